"""A terminal in memory, for tests: it shows what a user would see after the output of a command.

It knows what rich and the command write: printable text of one or two cells, CR, LF, moves of the cursor, and erasing. A
narrower window wraps the lines again, as VTE, kitty, iTerm2, Windows Terminal and tmux do.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable

from rich.cells import cell_len
from rich.console import Console, RenderableType

from pollwise.cli.live_frame import LiveFrame

__all__ = ["DrawnTerminal", "Window"]

_TOKEN = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|\r|\n|[^\x1b\r\n]")


class DrawnTerminal:
    """A window of `columns` x `lines` cells, with all lines that have left it at the top.

    Attributes:
        cursor: False while the cursor is hidden.
        styles: The parameters of every SGR sequence so far.
    """

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        self.columns, self.lines = columns, lines
        self.cursor = True
        self.styles: set[str] = set()
        self._rows: list[list[str]] = [[]]
        self._wrapped = [False]  # by row: it goes on in the next one
        self._row = self._column = self._top = 0
        self._wraps = True

    @property
    def text(self) -> list[str]:
        """All lines, also those above the window, without blanks at their ends and without the empty ones at the end."""
        lines = ["".join(row).rstrip() for row in self._rows]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def place(self) -> tuple[int, int]:
        """The line of the cursor, from the first one of `text`, and its column."""
        return self._row, self._column

    def write(self, output: str) -> None:
        """Show what a command has written."""
        for token in _TOKEN.finditer(output):
            match token[0]:
                case "\r":
                    self._column = 0
                case "\n":  # the line discipline of a terminal makes CR LF of it
                    self._move_down()
                    self._column = 0
                case text if token[2] is None:
                    self._put(text)
                case _:
                    self._control(token[1], token[2])

    def echo(self, text: str) -> None:
        """Show keys that a user has typed, as a terminal with echo does: those of Ctrl-C as `^C`."""
        self.write(text.replace("\x03", "^C").replace("\x1a", "^Z"))

    def resize(self, columns: int, lines: int) -> None:
        """Make the window larger or smaller, and wrap its lines again. Below the cursor lines are cut if there are too many."""
        rows: list[list[str]] = []
        wrapped: list[bool] = []
        place = column = 0
        line: list[str] = []
        for index, row in enumerate(self._rows):
            if index == self._row:
                before = len(line) + min(self._column, self.columns - 1)
                place, column = len(rows) + before // columns, before % columns
            line = [*line, *row]
            if not self._wrapped[index]:
                pieces = [line[at : at + columns] for at in range(0, max(1, len(line)), columns)]
                rows += pieces
                wrapped += [True] * (len(pieces) - 1) + [False]
                line = []
        rows += [[] for _ in range(place + 1 - len(rows))]
        wrapped += [False] * (len(rows) - len(wrapped))
        while len(rows) > place + 1 and (not rows[-1] or len(rows) - self._top > lines):
            del rows[-1], wrapped[-1]
        self._rows, self._wrapped, self._row, self._column = rows, wrapped, place, column
        self.columns, self.lines = columns, lines
        self._top = max(0, min(self._top, place), len(rows) - lines)

    def _move_down(self) -> None:
        self._row += 1
        if self._row == len(self._rows):
            self._rows.append([])
            self._wrapped.append(False)
        self._top = max(self._top, self._row - self.lines + 1)

    def _put(self, text: str) -> None:
        cells = cell_len(text)
        row = self._rows[self._row]
        if not cells:  # a combining character
            if row:
                row[min(self._column, len(row)) - 1] += text
            return
        if self._column + cells > self.columns and not self._wraps:
            self._column = self.columns - cells
        elif self._column + cells > self.columns:
            self._wrapped[self._row] = True
            self._move_down()
            self._column = 0
            row = self._rows[self._row]
        row += [" "] * (self._column - len(row))
        row[self._column : self._column + cells] = [text, *[""] * (cells - 1)]
        self._column += cells

    def _control(self, parameters: str, kind: str) -> None:
        match parameters + kind:
            case "?25h" | "?25l":
                self.cursor = kind == "h"
            case "?7h" | "?7l":
                self._wraps = kind == "h"
            case "J" | "K":
                self._erase_line()
                if kind == "J":
                    for row in range(self._row + 1, len(self._rows)):
                        self._rows[row], self._wrapped[row] = [], False
            case _ if kind in "AB":
                self._move(-int(parameters or 1) if kind == "A" else int(parameters or 1))
            case _ if kind == "m":
                self.styles.add(parameters)
            case other:
                raise AssertionError(f"this terminal does not know CSI {other}")

    def _move(self, lines: int) -> None:
        """Move the cursor up or down, within the window."""
        target = min(max(self._row + lines, self._top), self._top + self.lines - 1)
        while self._row < target:
            self._move_down()
        self._row = target
        self._column = min(self._column, self.columns - 1)

    def _erase_line(self) -> None:
        """Erase from the cursor to the end. After the last column the cursor is still on it, so its cell is erased."""
        del self._rows[self._row][min(self._column, self.columns - 1) :]
        self._wrapped[self._row] = False


class Window(io.TextIOBase):
    """A stream that a terminal of this size shows, and the console that writes to it. The next `failures` writes fail."""

    def __init__(self, columns: int = 80, lines: int = 24, encoding: str = "utf-8") -> None:
        self.shown = DrawnTerminal(columns, lines)
        self.output = ""
        self.failures = 0
        self._encoding = encoding
        self.console = Console(file=self, force_terminal=True, width=columns, height=lines)  # type: ignore[arg-type]

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def write(self, text: str) -> int:
        if self.failures:
            self.failures -= 1
            raise OSError("gone")
        self.output += text.encode(self._encoding).decode(self._encoding)
        self.shown.write(text)
        return len(text)

    def resize(self, columns: int, lines: int) -> None:
        """Make the window larger or smaller."""
        self.shown.resize(columns, lines)
        self.console.size = (columns, lines)  # type: ignore[assignment]

    def count(self, text: str) -> int:
        """In how many of its lines this text is, also above the window."""
        return sum(text in line for line in self.shown.text)

    def frame(self, rows: Callable[[int, int], RenderableType]) -> list[str]:
        """One frame, as a user sees it."""
        live = LiveFrame(self.console, rows)
        live.open()
        live.close(keep=True)
        return self.shown.text
