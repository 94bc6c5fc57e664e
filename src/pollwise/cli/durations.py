"""Durations as users write them: `90s`, `1h30m`, `2d`, `500ms`, or a plain number of seconds.

Rule 1: the units are those of Go and Kubernetes, and `d` for 24 hours. The longest comes first, and each comes once.
Rule 2: a duration is from 1 ms to 10 years. Anything else is probably a mistake, and NaN and infinity are none.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

__all__ = ["DURATION_FORMS", "duration_text", "parse_duration", "to_duration", "to_timeout"]

_UNITS: Final = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PARTS: Final = re.compile("".join(rf"(?:(?P<{unit}>[0-9]{{1,12}}(?:\.[0-9]{{1,9}})?){unit})?" for unit in _UNITS))
_LEAST_S: Final = 0.001
_MOST_S: Final = 3650 * 86_400.0
DURATION_FORMS: Final = "a duration such as 90s, 1h30m, 2d or 500ms"
"""Right forms, for messages."""


def parse_duration(text: str) -> float:
    """The seconds. Raises ValueError, whose text shows right forms."""
    seconds = _seconds(text.strip().lower())
    if seconds is None:
        raise ValueError(f"expected {DURATION_FORMS}, got {text!r}")
    if not _LEAST_S <= seconds <= _MOST_S:
        raise ValueError(f"expected {DURATION_FORMS}, from 1ms to 3650d, got {text!r}")
    return seconds


def duration_text(seconds: float) -> str:
    """The duration as a user writes it: `1h30m` for 5400."""
    if not _LEAST_S <= seconds <= _MOST_S:
        return f"{seconds:g}s"
    left, parts = round(1000 * seconds), []
    for unit, size_s in _UNITS.items():
        count, left = divmod(left, round(1000 * size_s))
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts)


def to_duration(_type: Any, tokens: Any) -> float:
    """A converter of cyclopts. Raises ValueError, which becomes a usage error."""
    return parse_duration(tokens[0].value)


def to_timeout(_type: Any, tokens: Any) -> float | None:
    """The same, or None for `none`."""
    text = tokens[0].value
    try:
        return None if text.strip().lower() == "none" else parse_duration(text)
    except ValueError as error:
        raise ValueError(f"{error}; `none` is no limit") from None


def _seconds(text: str) -> float | None:
    """None for a text that is no duration. NaN and infinities are returned, and are in no range."""
    try:
        return float(text)
    except ValueError:
        found = _PARTS.fullmatch(text)
    if not text or found is None:
        return None
    return math.fsum(float(count) * _UNITS[unit] for unit, count in found.groupdict(default="0").items())
