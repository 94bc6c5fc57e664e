"""The header fields of a rate limit, in the formats that real servers use.

Rule: an announced time is never too early: after it, a new window has begun.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from pollwise.simulator.replies import http_date

__all__ = ["AFTER_FORMS", "RESET_FORMS", "STYLES", "AfterForm", "ResetForm", "Style", "after_field", "reset_text"]

Style: TypeAlias = Literal["x-ratelimit", "x-rate-limit", "ratelimit", "requests"]
ResetForm: TypeAlias = Literal["seconds", "duration", "epoch", "epoch-ms", "iso", "http-date"]
AfterForm: TypeAlias = Literal["seconds", "date", "retry-after-ms", "x-ms-retry-after-ms"]

STYLES: Mapping[str, tuple[str, str, str]] = {
    "x-ratelimit": ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
    "x-rate-limit": ("X-Rate-Limit-Limit", "X-Rate-Limit-Remaining", "X-Rate-Limit-Reset"),
    "ratelimit": ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"),
    "requests": ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
}


def _duration(seconds: float) -> str:
    """A duration as Go and OpenAI's API write it: `250ms`, `7s`, `6m0s`."""
    whole_ms = math.ceil(seconds * 1000)
    if whole_ms < 1000:
        return f"{whole_ms}ms"
    minutes, rest_ms = divmod(whole_ms, 60_000)
    return f"{minutes}m{rest_ms / 1000:g}s" if minutes else f"{rest_ms / 1000:g}s"


def _iso(seconds: float) -> str:
    moment = datetime.fromtimestamp(math.ceil(time.time() + seconds), UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


RESET_FORMS: Mapping[str, Callable[[float], str]] = {
    "duration": _duration,
    "epoch": lambda seconds: str(math.ceil(time.time() + seconds)),
    "epoch-ms": lambda seconds: str(math.ceil((time.time() + seconds) * 1000)),
    "iso": _iso,
    "http-date": http_date,
}
AFTER_FORMS = ("seconds", "date", "retry-after-ms", "x-ms-retry-after-ms")


def _in_seconds(seconds: float, *, fractional: bool) -> str:
    if fractional:
        return f"{math.ceil(seconds * 1000) / 1000:.3f}"
    return str(max(1, math.ceil(seconds)))


def reset_text(form: ResetForm, seconds: float, *, fractional: bool) -> str:
    """The value of a reset field, `seconds` from now."""
    write = RESET_FORMS.get(form)
    return _in_seconds(seconds, fractional=fractional) if write is None else write(seconds)


def after_field(form: AfterForm, seconds: float, *, fractional: bool) -> dict[str, str]:
    """The field for the next allowed time."""
    match form:
        case "seconds":
            return {"Retry-After": _in_seconds(seconds, fractional=fractional)}
        case "date":
            return {"Retry-After": http_date(seconds)}
        case name:
            return {name: str(math.ceil(seconds * 1000))}
