"""Limits that a caller or an endpoint states, and what counts as a number in them."""

from __future__ import annotations

import math
from typing import TypeGuard

import attrs

from pollwise.errors import ConfigurationError

__all__ = ["Limits", "RateLimit", "ReplyLimits", "is_number", "require_seconds"]


_DEEPEST = 200  # orjson writes 254 levels, and cattrs and pickle reach Python's recursion limit soon after


def is_number(value: object) -> TypeGuard[float]:
    """Whether this is an int or a float. A bool is not meant as a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def require_seconds(name: str, value: object) -> None:
    """Raise ConfigurationError, with this name, unless the value is a positive number of seconds."""
    if not (is_number(value) and value > 0 and math.isfinite(value)):
        raise ConfigurationError(f"{name} must be a positive number of seconds, got {value!r}")


def _require_count(name: str, value: object) -> None:
    """Raise ConfigurationError, with this name, unless the value is a whole number of at least 1."""
    if type(value) is not int or value < 1:
        raise ConfigurationError(f"{name} must be a whole number of at least 1, got {value!r}")


@attrs.frozen(kw_only=True)
class ReplyLimits:
    """How much of a JSON reply is decoded and kept: `Limits(reply=ReplyLimits(items=10_000))`.

    A longer reply is not refused. What is too much is left out before the reply is decoded, and `Reply.left_out` says how
    much. Values after a list that is too long are still read. `docs/limits.md` has the rules.

    Attributes:
        items: Most items of one list, and most members of one object.
        values: Most values of a reply, those in lists and objects included.
        depth: Most levels of lists and objects. A deeper list or object becomes null.
        text: Longest text, in bytes. Of a longer text the beginning is kept, with `...` at its end.
        size: About how many bytes of JSON are kept of a reply.
        row: Most bytes of a status in a ledger, and half as many of an error.

    Raises:
        ConfigurationError: A value is no whole number of at least 1, or `depth` is over 200.
    """

    items: int = 1_000
    values: int = 10_000
    depth: int = 100
    text: int = 16_384
    size: int = 262_144
    row: int = 131_072

    def __attrs_post_init__(self) -> None:
        for field in attrs.fields(type(self)):
            _require_count(field.name, getattr(self, field.name))
        if self.depth > _DEEPEST:
            raise ConfigurationError(f"depth must be at most {_DEEPEST}, got {self.depth!r}")


@attrs.frozen(kw_only=True)
class Limits:
    """How much one watcher does at a time: `JobWatcher(..., limits=Limits(concurrency=16))`.

    Attributes:
        concurrency: Most requests in flight at once. While the processor has no time to spare they are fewer.
        capacity: Most watches that `as_completed` and `gather` keep open at once.
        request_timeout_s: Longest time for one request, in seconds.
        reply: How much of a reply is decoded and kept.
        result_bytes: Most bytes of a job's result, all its pages together. A page counts 1,024 bytes at least.

    Raises:
        ConfigurationError: A value cannot be right.
    """

    concurrency: int = 64
    capacity: int = 100_000
    request_timeout_s: float = 30.0
    reply: ReplyLimits = ReplyLimits()
    result_bytes: int = 67_108_864

    def __attrs_post_init__(self) -> None:
        _require_count("concurrency", self.concurrency)
        _require_count("capacity", self.capacity)
        _require_count("result_bytes", self.result_bytes)
        reply: object = self.reply
        if not isinstance(reply, ReplyLimits):
            raise ConfigurationError(f"reply must be a ReplyLimits(items=1000), got {type(reply).__name__}")
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
