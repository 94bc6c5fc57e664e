"""Limits that a caller or an endpoint states, and what counts as a number in them."""

from __future__ import annotations

import math
from typing import TypeGuard

import attrs

from pollwise.errors import ConfigurationError

__all__ = ["Limits", "RateLimit", "is_number", "require_seconds"]


def is_number(value: object) -> TypeGuard[float]:
    """Whether this is an int or a float. A bool is not meant as a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def require_seconds(name: str, value: object) -> None:
    """Raise ConfigurationError, with this name, unless the value is a positive number of seconds."""
    if not (is_number(value) and value > 0 and math.isfinite(value)):
        raise ConfigurationError(f"{name} must be a positive number of seconds, got {value!r}")


@attrs.frozen(kw_only=True)
class Limits:
    """How much one watcher does at a time: `JobWatcher(..., limits=Limits(concurrency=16))`.

    Attributes:
        concurrency: Most requests in flight at once. While the processor has no time to spare they are fewer.
        capacity: Most watches that `as_completed` and `gather` keep open at once.
        request_timeout_s: Longest time for one request, in seconds.

    Raises:
        ConfigurationError: A value cannot be right.
    """

    concurrency: int = 64
    capacity: int = 100_000
    request_timeout_s: float = 30.0

    def __attrs_post_init__(self) -> None:
        for name in ("concurrency", "capacity"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ConfigurationError(f"{name} must be a whole number of at least 1, got {value!r}")
        timeout_s: object = self.request_timeout_s
        if type(timeout_s) not in (int, float) or not 0 < self.request_timeout_s < math.inf:
            raise ConfigurationError(f"request_timeout_s must be a positive number of seconds, got {timeout_s!r}")


@attrs.frozen
class RateLimit:
    """A rate limit that a vendor documents: `RateLimit(60, per_s=60.0)`.

    Attributes:
        requests: Requests that the server allows in one window, at least 1.
        per_s: Length of the window in seconds.

    Raises:
        ConfigurationError: A value cannot be right.
    """

    requests: int
    per_s: float = attrs.field(kw_only=True)

    def __attrs_post_init__(self) -> None:
        whole = type(self.requests) is int and self.requests >= 1
        if not whole or type(self.per_s) not in (int, float) or not 0 < self.per_s < math.inf:
            raise ConfigurationError(
                "a rate limit needs at least 1 request in a positive number of seconds, such as"
                f" RateLimit(60, per_s=60.0); got {self.requests!r} in {self.per_s!r}"
            )
