"""Makes foreign text safe to print.

Rule 1: foreign text is text that pollwise did not write itself: a job's keys, a vendor's message, a URL, an argument. It
passes `safe` before it is written to a terminal, a pipe or a log.
Rule 2: `safe` returns one line. No character of it moves the cursor, changes a colour, rings the bell, or hides or
reorders text.
Rule 3: the line is shown as `rich.text.Text` or printed unchanged, never parsed as markup.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["clock", "counted", "duration", "endpoint_label", "safe", "shorten_keys"]

_LIMIT = 400
_SPACES = (0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029)
_REMOVED = (
    *range(0x20),
    *range(0x7F, 0xA0),  # DEL and C1, whose 0x9B is an escape sequence in one character
    0x00AD,  # soft hyphen: invisible
    0x061C,
    0x200B,  # zero-width space; the joiners U+200C and U+200D stay, because scripts and emoji need them
    *range(0x200E, 0x2010),
    *range(0x202A, 0x202F),  # bidirectional embeddings and overrides: they reorder the text around them
    *range(0x2060, 0x2070),  # isolates and other invisible format characters
    0xFEFF,
    *range(0xFFF9, 0xFFFC),
    *range(0xE0000, 0xE0080),  # tags: a hidden copy of ASCII
)
_TABLE: dict[int, str | None] = {
    **dict.fromkeys(_REMOVED),
    **dict.fromkeys(_SPACES, " "),
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
}


def safe(text: object, limit: int = _LIMIT) -> str:
    """One printable line of at most `limit` characters; a longer text ends in an ellipsis."""
    # Cut first, so that a text of a megabyte costs little.
    line = " ".join(str(text)[: limit * 8].translate(_TABLE).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def endpoint_label(endpoint: str, account: str, limit: int = _LIMIT) -> str:
    """The endpoint's name, and the account if there is one; safe to print."""
    return f"{safe(endpoint, limit)} ({safe(account, limit)})" if account else safe(endpoint, limit)


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 job`, `2 jobs`; `many` is the plural if it is not the singular with an s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def duration(seconds: float) -> str:
    """Seconds in a readable form: `4.2 s`, `3 min 05 s`, `2 h 07 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"


def clock(seconds: float) -> str:
    """Seconds as a clock shows them, in seven characters or fewer: `0:04`, `59:59`, `2h07`. Never below zero."""
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02}"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}" if hours < 100 else f"{hours}h"


def shorten_keys(keys: Sequence[str], limit: int) -> str:
    """A job's keys in at most `limit` characters. The middles are cut, because identifiers differ most at their ends."""
    room = limit - 3 * (len(keys) - 1)
    cut = list(keys)
    for done, index in enumerate(sorted(range(len(keys)), key=lambda index: len(keys[index]))):
        share = max(3, room // (len(keys) - done))  # shortest key first, so longer keys get the room it does not need
        if len(keys[index]) > share:
            cut[index] = f"{keys[index][: share // 2]}…{keys[index][-((share - 1) // 2) :]}"
        room -= len(cut[index])
    return " / ".join(cut)
