"""Cursors: what a reading hands to the next request and the next reading.

Rule 1: a cursor is a small JSON value: at most 4 KiB, and 8 lists or objects deep. It is kept for each watch, and is
written to ledgers and resume tokens.
Rule 2: a cursor may come from a server. What a server can make wrong, such as the size, is a MalformedReply. What only the
endpoint's code can make wrong, such as a tuple, is a ConfigurationError.
Rule 3: a kept cursor is a copy, so later changes of a list or an object of the endpoint's do not change it.
"""

from __future__ import annotations

import math
from types import NoneType
from typing import Any, Final, TypeAlias

import orjson

from pollwise.errors import ConfigurationError

__all__ = ["Cursor", "CursorTooLarge", "cursor_hash", "own_cursor"]

Cursor: TypeAlias = "str | int | float | bool | list[Any] | dict[str, Any] | None"
"""A small JSON value, such as the next URL, an entity tag or the number of a page. None is the start."""

_MOST_BYTES: Final = 4_096  # as JSON
_DEEPEST: Final = 8
_SHORT: Final = _MOST_BYTES // 6 - 1  # characters: JSON escapes one in six bytes at most


class CursorTooLarge(ValueError):
    """A cursor that JSON or the limits do not allow. The message says why."""


def own_cursor(cursor: Cursor) -> Cursor:
    """The cursor, or a copy where it is a list or an object.

    Raises:
        CursorTooLarge: It is larger than the limits, or has a number or a text that JSON cannot hold.
        ConfigurationError: It is of another type than JSON has.
    """
    if cursor is None or (type(cursor) is str and len(cursor) <= _SHORT and cursor.isascii()):
        return cursor
    _check_parts(cursor)
    text: bytes | None
    try:
        text = orjson.dumps(cursor)
    except TypeError:
        text = None
    if text is None:  # raised out here, so that the error does not refer to the cursor
        raise CursorTooLarge("it has a whole number of more than 64 bits, or half of a surrogate pair")
    if len(text) > _MOST_BYTES:
        raise CursorTooLarge(f"it has more than {_MOST_BYTES:,} bytes as JSON")
    return orjson.loads(text) if isinstance(cursor, (list, dict)) else cursor


def _check_parts(cursor: Cursor) -> None:
    """Raise for a type that JSON does not have, and for more parts than could be within the limits."""
    parts: list[tuple[Any, int]] = [(cursor, 0)]
    seen = 0
    while parts:
        part, depth = parts.pop()
        kind = type(part)
        if kind is dict or kind is list:
            seen += len(part)
            if seen > _MOST_BYTES:
                raise CursorTooLarge(f"it has more than {_MOST_BYTES:,} bytes as JSON")
            if depth == _DEEPEST:
                raise CursorTooLarge(f"it is more than {_DEEPEST} lists or objects deep")
            inner = part
            if kind is dict:
                if not all(type(key) is str for key in part):
                    raise ConfigurationError("the cursor of a Reading must be JSON, which has str as its keys alone")
                inner = part.values()
            parts.extend((item, depth + 1) for item in inner)
        elif kind is float:
            if not math.isfinite(part):
                raise CursorTooLarge("it has a number that is not finite")
        elif kind not in {str, int, bool, NoneType}:
            raise ConfigurationError(
                "the cursor of a Reading must be JSON: str, int, float, bool, None, a list or a dict of them, such as"
                f" str(url); a part of it is a value of type {kind.__name__}"
            )


def cursor_hash(cursor: Cursor) -> int:
    """A hash, equal for equal cursors."""
    if cursor is None or isinstance(cursor, str):
        return hash(cursor)
    return hash((orjson.dumps(cursor, option=orjson.OPT_SORT_KEYS),))
