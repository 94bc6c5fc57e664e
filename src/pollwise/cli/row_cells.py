"""The parts of a row on a terminal: texts of a width, and bars.

Rule 1: widths are in cells. A CJK character takes two of them.
Rule 2: a bar is readable without colours: what is done is a thick line, and the rest is a thin one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from pollwise.cli.event_text import ACCENT
from pollwise.cli.safe_text import shorten_keys

__all__ = ["bar", "fitted", "joined", "keys_text", "wrapped"]

_KEY_CELLS = 7  # of one of several keys, with what separates them
_DONE, _HALF, _REST = "━", "╸", "─"  # a terminal of another encoding gets ASCII; see live_frame.py


def bar(fraction: float, cells: int) -> Text:
    """A bar, `cells` long, for a fraction of 0..1. It is full only if all is done."""
    halves = min(int(2 * cells * max(0.0, fraction)), 2 * cells - (fraction < 1.0))
    done = _DONE * (halves // 2) + _HALF * (halves % 2)
    return Text().append(done, style=ACCENT).append(_REST * (cells - len(done)), style="dim")


def fitted(text: Text | str, cells: int, style: str = "", *, right: bool = False) -> Text:
    """The text, filled with blanks or cut to exactly `cells`. A cut text ends in an ellipsis."""
    fits = Text(text, style=style) if isinstance(text, str) else text.copy()
    if cells < 1:
        return Text("")
    fits.truncate(cells, overflow="ellipsis")
    blanks = cells - fits.cell_len
    if right:
        return Text(" " * blanks) + fits
    fits.append(" " * blanks, style="not bold")
    return fits


def keys_text(keys: Sequence[str], cells: int) -> Text:
    """A job's keys in exactly `cells`. Where they would be cut to a few letters, only the last key is shown."""
    enough = cells >= min(_KEY_CELLS * len(keys), cell_len(" / ".join(keys)))
    shown = keys if enough else keys[-1:]
    return fitted(shorten_keys(shown, cells), cells)


def joined(parts: Iterable[Text], between: str = " ") -> Text:
    """The parts in one line, with these blanks between two of them."""
    return Text(between, no_wrap=True, overflow="crop").join(parts)


def wrapped(console: Console, text: Text, cells: int, most: int) -> list[Text]:
    """The text in lines of `cells`, wrapped between words. After `most` lines it ends in an ellipsis."""
    lines = [*text.wrap(console, max(1, cells), overflow="fold")]
    for line in lines:
        line.rstrip()
    if len(lines) > most:
        lines[most - 1 :] = [fitted(Text(" ").join(lines[most - 1 :]), cells)]
    return lines
