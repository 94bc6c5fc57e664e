"""What a server says about time and limits in its header fields.

Rule 1: zero or a past date means now; garbage means absent. A hint never makes anything fail.
Rule 2: seconds out. A date is compared with the reply's own `Date` where it has one: two clocks, one truth.

Sources: RFC 9110 10.2.3 (Retry-After), the IETF draft "RateLimit header fields for HTTP", and the vendors' own
`X-RateLimit-Limit`, `-Remaining` and `-Reset`.
"""

from __future__ import annotations

import math
import re
from calendar import timegm
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import attrs

__all__ = ["RateHints", "rate_hints", "retry_after_s"]

_NUMBER = re.compile(r"\d{1,15}(\.\d{1,9})?")
_PARAMETER = re.compile(r"(?:^|[;,\s])(limit|remaining|reset|[rtqw])\s*=\s*\"?(\d{1,15}(?:\.\d{1,9})?)", re.ASCII)
_EPOCH_FROM = 1_000_000_000.0  # as a delta this would be 31 years; as an epoch it was 2001
_EPOCH_MS_FROM = 100_000_000_000.0  # as seconds this would be the year 5138; as milliseconds it was 1973


@attrs.frozen(kw_only=True)
class RateHints:
    """What one reply said about its rate limit; None where it said nothing.

    Attributes:
        limit: Requests allowed in a window.
        remaining: Requests still allowed in this window.
        reset_s: Seconds until the window resets, at least 0.
        window_s: Length of a window in seconds.
    """

    limit: int | None = None
    remaining: int | None = None
    reset_s: float | None = None
    window_s: float | None = None


def retry_after_s(headers: Mapping[str, str], wall_now: float) -> float | None:
    """Seconds that `Retry-After` asks to wait, at least 0, or None. `wall_now` is epoch seconds."""
    value = headers.get("Retry-After")
    if value is None:
        return None
    seconds = _number(value)
    if seconds is not None:
        return seconds
    at = _date(value)
    if at is None:
        return None
    sent = _date(headers.get("Date", ""))
    return max(0.0, at - (wall_now if sent is None else sent))


def rate_hints(headers: Mapping[str, str], wall_now: float) -> RateHints | None:
    """What the reply says about its rate limit, or None where it says nothing. `wall_now` is epoch seconds."""
    fields = _structured(headers)
    limit = _number(headers.get("X-RateLimit-Limit") or headers.get("RateLimit-Limit") or "")
    remaining = _number(headers.get("X-RateLimit-Remaining") or headers.get("RateLimit-Remaining") or "")
    reset = _number(headers.get("X-RateLimit-Reset") or headers.get("RateLimit-Reset") or "")
    limit = fields.get("q", fields.get("limit")) if limit is None else limit
    remaining = fields.get("r", fields.get("remaining")) if remaining is None else remaining
    reset = fields.get("t", fields.get("reset")) if reset is None else reset
    window = fields.get("w")
    if limit is None and remaining is None and reset is None and window is None:
        return None
    if reset is not None and reset >= _EPOCH_FROM:
        reset = reset / 1000 if reset >= _EPOCH_MS_FROM else reset
        sent = _date(headers.get("Date", ""))
        reset = max(0.0, reset - (wall_now if sent is None else sent))
    return RateHints(
        limit=int(limit) if limit else None,
        remaining=None if remaining is None else int(remaining),
        reset_s=reset,
        window_s=window or None,
    )


def _structured(headers: Mapping[str, str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in ("RateLimit-Policy", "RateLimit"):
        value = headers.get(name)
        if value is not None:
            for key, number in _PARAMETER.findall(value.lower()):
                found.setdefault(key, float(number))
    return found


def _number(text: str) -> float | None:
    text = text.strip()
    if _NUMBER.fullmatch(text) is None or not text.isascii():
        return None
    return float(text)


def _date(text: str) -> float | None:
    try:
        at = parsedate_to_datetime(text)
        seconds = at.timestamp() if at.tzinfo else float(timegm(at.timetuple()))  # HTTP's dates are in GMT
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return None
    return seconds if math.isfinite(seconds) else None
