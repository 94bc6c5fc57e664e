"""Strict hooks for the values in a vendor's JSON.

Rule 1: a value has the documented type, or is refused. Nothing is guessed or rounded here. Undocumented keys are
ignored, because a vendor may add some. `_lenient_reader.py` decides what happens with a refused value.
Rule 2: a message shows a value escaped and short, or not at all.
Rule 3: an accepted value can be compared, pickled and encoded, because its nesting is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias, cast

__all__ = [
    "Hook",
    "json_object_or_null",
    "json_value",
    "shown",
    "text",
    "text_or_null",
    "true_or_false",
    "true_or_false_or_null",
    "unknown",
    "whole_number_or_null",
    "yes_or_no",
    "yes_or_no_or_null",
]

Hook: TypeAlias = Callable[..., Any]
"""A cattrs structure hook. Its arguments are the value and the documented type, which these hooks ignore."""

_MAX_SHOWN = 40
_MAX_DEPTH = 64  # far below the depth at which comparing, pickling or encoding a value reaches the recursion limit

_KINDS = {type(None): "null", list: "a list", dict: "an object"}
_WHOLE = re.compile(r"-?[0-9]{1,18}").fullmatch  # fits 64 bits, as orjson's integers do

# Common values are looked up first, because each poll reads about a dozen values. The keys are texts only, because 1, 1.0
# and True are equal keys. For other values the type is checked.
_COMMON: dict[object, int] = {str(number): number for number in range(1001)}
_BOOLS: dict[object, bool] = {"true": True, "false": False}


def shown(value: object) -> str:
    """A JSON value as a short, escaped text for a message."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)[:_MAX_SHOWN]
        case str() if len(value) > _MAX_SHOWN:
            return f"text of {len(value)} characters"
        case str():
            return ascii(value)
    return _KINDS.get(type(value), type(value).__name__)


def unknown(field: str, value: object) -> str:
    """An undocumented enum value as `field=value`, escaped and short."""
    return f"{field}={ascii(str(value)[:_MAX_SHOWN])[1:-1]}"


def whole_number_or_null(value: object, _type: object = None, /) -> int | None:
    """The int in a number or in its string form: `25` and `"25"`, but no `25.0`, `true`, `"+25"` or `" 25"`."""
    try:
        return _COMMON[value]
    except (KeyError, TypeError):
        if value is None:
            return None
        if type(value) is int or (type(value) is str and _WHOLE(value)):
            return int(value)
    raise ValueError(f"expected a whole number, got {shown(value)}")


def yes_or_no(value: object, _type: object = None, /) -> bool:
    """The bool in a boolean or in its string form."""
    try:
        return _BOOLS[value]
    except (KeyError, TypeError):
        if type(value) is bool:
            return value
    raise ValueError(f"expected 'true' or 'false', got {shown(value)}")


def yes_or_no_or_null(value: object, _type: object = None, /) -> bool | None:
    """The same, or null."""
    try:
        return _BOOLS[value]
    except (KeyError, TypeError):
        return None if value is None else yes_or_no(value)


def true_or_false(value: object, _type: object = None, /) -> bool:
    """A JSON boolean as it is."""
    if type(value) is bool:
        return value
    raise ValueError(f"expected true or false, got {shown(value)}")


def true_or_false_or_null(value: object, _type: object = None, /) -> bool | None:
    """A JSON boolean or null as it is."""
    if type(value) is bool or value is None:
        return value
    raise ValueError(f"expected true, false or null, got {shown(value)}")


def text(value: object, _type: object = None, /) -> str:
    """A JSON string as it is."""
    if type(value) is str:
        return value
    raise ValueError(f"expected text, got {shown(value)}")


def text_or_null(value: object, _type: object = None, /) -> str | None:
    """A JSON string or null as it is."""
    if value is None or type(value) is str:
        return value
    raise ValueError(f"expected text or null, got {shown(value)}")


def json_value(value: object, _type: object = None, /) -> Any:
    """Any JSON value as it is, if it is nested at most `_MAX_DEPTH` deep."""
    if not isinstance(value, dict | list):
        return value
    layer: list[Any] = [value]
    for _ in range(_MAX_DEPTH + 1):
        inner = [child for child in layer if isinstance(child, dict | list)]
        if not inner:
            return value
        layer = [leaf for child in inner for leaf in (child.values() if isinstance(child, dict) else child)]
    raise ValueError(f"nested more than {_MAX_DEPTH} deep")


def json_object_or_null(value: object, _type: object = None, /) -> dict[str, Any] | None:
    """A JSON object or null as it is."""
    if value is None or type(value) is dict:
        return cast("dict[str, Any] | None", json_value(value))
    raise ValueError(f"expected an object or null, got {shown(value)}")
