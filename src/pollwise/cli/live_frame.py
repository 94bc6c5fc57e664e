"""Draws rows in place on a terminal.

Rule 1: between two frames the cursor is in the first cell of the rows. So a key that is echoed, or a window that wraps its
lines again because it was made narrower, moves no row: the next frame is drawn from the cursor to the end of the screen.
Rule 2: a frame overwrites the last one, and erases only what is left of it. No row is wrapped by the terminal: its last column
stays free, and a text that is wider there than rich says, as some emoji are, is cut by the terminal.
Rule 3: what is printed meanwhile on the console, or on stderr if that is a terminal, is above the rows.
Rule 4: a character that the terminal's encoding lacks is replaced by ASCII of the same width.
Rule 5: a frame is never drawn in the background of a shell.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TextIO, cast

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook, RenderResult
from rich.control import Control
from rich.file_proxy import FileProxy
from rich.segment import ControlType, Segment

from pollwise.cli.terminal import RowsTerminal

__all__ = ["LiveFrame"]

_ERASE_BELOW = "\r\x1b[J"
_REPLACEMENTS = {"…": "~", "━": "=", "─": "-", "╸": "="}
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"


class LiveFrame(RenderHook):
    """Rows on a terminal, from `open` to `close`.

    Args:
        console: The terminal.
        rows: Makes the rows of a frame from its numbers of columns and lines. The rows are cut to that size.
    """

    def __init__(self, console: Console, rows: Callable[[int, int], RenderableType]) -> None:
        self._console = console
        self._terminal = RowsTerminal(console.file)
        self._rows = rows
        self._stderr: TextIO | None = None
        self._last = False
        self._drawn = True

    @property
    def size(self) -> tuple[int, int]:
        """How many columns and lines a frame may have."""
        columns, lines = self._terminal.size(*self._console.size)
        return max(1, columns - 1), max(1, lines)

    def open(self) -> None:
        """Draw the first frame."""
        self._terminal.open()
        if sys.stderr.isatty() and not isinstance(sys.stderr, FileProxy):
            self._stderr = sys.stderr
            sys.stderr = cast("TextIO", FileProxy(self._console, sys.stderr))
        self._console.push_render_hook(self)
        try:
            if not self._terminal.in_background:
                self._console.show_cursor(False)
            self.draw()
        except BaseException:
            self.close(keep=True)
            raise

    def draw(self) -> None:
        """Draw a frame. Raises OSError if the terminal cannot be written to."""
        if not self._terminal.in_background:
            self._drawn = False
            self._console.print(Control())
            self._drawn = True

    def close(self, *, keep: bool) -> None:
        """Draw the last frame if `keep`, else remove the rows. Raises OSError as `draw`, and leaves the terminal all the same."""
        try:
            if self._stderr is not None:
                sys.stderr.flush()
                sys.stderr = self._stderr
            if self._drawn and keep:  # the frame that could not be drawn is not drawn again
                self._last = True
                self._console.print(Control())
        finally:
            self._console.pop_render_hook()
            rows, self._terminal.rows = self._terminal.rows, 0
            try:
                if self._drawn and not keep and rows:  # without rows the line of the cursor is another command's
                    self._console.print(_Codes(_ERASE_BELOW))
                self._console.show_cursor(True)
            finally:
                self._terminal.close()

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Add the rows below what is printed. Rich calls it for each print."""
        printed = [renderable for renderable in renderables if not isinstance(renderable, Control)]
        if printed and self._terminal.in_background:
            return renderables
        return [*([_Codes(_ERASE_BELOW), *printed] if printed else []), _Frame(self._draw_rows)]

    def _draw_rows(self, console: Console, options: ConsoleOptions) -> Iterable[Segment]:
        columns, lines = self.size
        drawn = console.render_lines(self._rows(columns, lines), options.update(width=columns, height=None), pad=False)
        rows = [_trimmed(_encodable(row, console.encoding), columns) for row in drawn[:lines]]
        yield _control(f"\r{_NO_WRAP}")
        for number, row in enumerate(rows):
            yield from row
            yield _control("\x1b[K")
            if number < len(rows) - 1 or self._last:
                yield Segment.line()
        yield _control(f"\x1b[J{_WRAP}")
        self._terminal.rows = len(rows)
        if not self._last:
            up = f"\x1b[{len(rows) - 1}A" if len(rows) > 1 else ""
            yield _control(f"\r{up}")


class _Frame:
    def __init__(self, draw: Callable[[Console, ConsoleOptions], Iterable[Segment]]) -> None:
        self._draw = draw

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._draw(console, options)


class _Codes:
    def __init__(self, codes: str) -> None:
        self._codes = codes

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield _control(self._codes)


def _trimmed(row: list[Segment], columns: int) -> list[Segment]:
    """The row, cut to the columns, without blanks at its end, which a narrower window would wrap."""
    trimmed = Segment.adjust_line_length(row, columns, pad=False)
    while trimmed and not trimmed[-1].text.rstrip():
        trimmed.pop()
    if trimmed:
        text, style, control = trimmed[-1]
        trimmed[-1] = Segment(text.rstrip(), style, control)
    return trimmed


def _encodable(row: list[Segment], encoding: str) -> list[Segment]:
    if encoding.startswith("utf"):
        return row
    return [Segment("".join(_replaced(one, encoding) for one in text), style, control) for text, style, control in row]


def _replaced(character: str, encoding: str) -> str:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return _REPLACEMENTS.get(character, "?" * cell_len(character))
    return character


def _control(codes: str) -> Segment:
    return Segment(codes, None, [(ControlType.HOME,)])  # rich writes the text of a control segment as it is
