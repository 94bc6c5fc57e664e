"""Lenient conversions of values that do not have the documented type.

Rule 1: a value is converted if it has one meaning only: the number in `"100.0"`, the bool in `"True"`, the text in `12`.
Rule 2: any other value raises ValueError, and the field is None. No default such as 0, False or an empty text is used.
"""

from __future__ import annotations

import re

from pollwise.endpoints._strict import shown

__all__ = [
    "lenient_bool",
    "lenient_id",
    "lenient_number",
    "lenient_number_or_null",
    "lenient_text",
    "lenient_whole_number",
]

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{0,18})?").fullmatch
_ROUNDED = 2.0**53  # above this, a float may be a rounded integer
_SCALARS = (str, int, float, bool)
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


def lenient_number(value: object) -> float:
    """A number, also in a string."""
    if type(value) is int or type(value) is float:
        return value
    if type(value) is str:
        found = _NUMBER(value.strip())
        if found:
            return float(found[0]) if found[1] else int(found[0])
    raise ValueError(f"expected a number, got {shown(value)}")


def lenient_number_or_null(value: object, _type: object = None, /) -> float | None:
    """The same as a hook, and null."""
    return None if value is None else lenient_number(value)


def lenient_whole_number(value: object) -> int:
    """A whole number, also as `25.0` and in a string."""
    number = lenient_number(value)
    if type(number) is float and (abs(number) >= _ROUNDED or number != int(number)):
        raise ValueError(f"expected a whole number, got {shown(value)}")
    return int(number)


def lenient_bool(value: object) -> bool:
    """A bool, also as text in any letter case, and as 1 or 0."""
    if type(value) in (str, int, bool):
        return _TRUTHS[str(value).strip().lower()]
    raise ValueError(f"expected true or false, got {shown(value)}")


def lenient_text(value: object) -> str:
    """A text, number or bool as text. A list of them becomes lines."""
    if type(value) is list:
        lines = [lenient_text(line) for line in value if type(line) in _SCALARS]
        if lines:
            return "\n".join(lines)
    elif type(value) is bool:
        return str(value).lower()
    elif type(value) in _SCALARS:
        return str(value)
    raise ValueError(f"expected text, got {shown(value)}")


def lenient_id(value: object) -> str | int:
    """An ID, as text or whole number. A float is refused, because it may be rounded."""
    if type(value) is str or type(value) is int:
        return value
    raise ValueError(f"expected an ID, got {shown(value)}")
