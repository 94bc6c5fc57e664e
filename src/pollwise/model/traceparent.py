"""The W3C `traceparent` of the code that began a watch, and how it is kept beside a cursor.

Rule 1: only the form of the W3C's Trace Context, version 00 and later, is kept: version, trace ID, parent ID and flags in
lower-case hexadecimal digits. IDs of zeros alone are no IDs.
Rule 2: in a ledger it shares the column of the cursor, as `{"pollwise.traceparent": ..., "cursor": ...}`. A row without one
has the bare cursor, as before. A cursor that looks like such an object is put into one, so nothing is ever mistaken.
"""

from __future__ import annotations

import re
from typing import Final

from pollwise.model.cursor import Cursor

__all__ = ["checked_traceparent", "with_traceparent", "without_traceparent"]

_FORM: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
_NAME: Final = "pollwise.traceparent"


def checked_traceparent(value: object) -> str | None:
    """The value if it is a traceparent, else None."""
    return value if isinstance(value, str) and _FORM.fullmatch(value) else None


def with_traceparent(cursor: Cursor, traceparent: str | None) -> Cursor:
    """What is kept of both; the cursor itself if there is no traceparent."""
    if traceparent is None and not (isinstance(cursor, dict) and _NAME in cursor):
        return cursor
    return {_NAME: traceparent, "cursor": cursor}


def without_traceparent(kept: Cursor) -> tuple[Cursor, str | None]:
    """The cursor and the traceparent of what was kept."""
    if isinstance(kept, dict) and kept.keys() == {_NAME, "cursor"}:
        return kept["cursor"], checked_traceparent(kept[_NAME])
    return kept, None
