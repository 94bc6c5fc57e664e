"""Rate limits, exact to the request, and the header fields that tell of them.

Rule 1: a request is accepted or refused at one moment by one meter; a refused one costs nothing.
Rule 2: each token has a meter of its own. The clock is an argument.
Rule 3: what is announced is never too early: who waits for the announced seconds meets a new window.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import Literal, Protocol

import attrs

from pollwise.simulator.answers import http_date
from pollwise.simulator.vendor import VendorName

__all__ = ["RateLimit", "RateLimiter", "Standing"]


@attrs.frozen
class Standing:
    """Where a token stands after one request: was it accepted, how many are left, and seconds until there are more."""

    accepted: bool
    remaining: int
    reset_s: float


def _read_vendors(vendors: Iterable[VendorName]) -> frozenset[VendorName]:
    return frozenset(vendors)


@attrs.frozen(kw_only=True)
class RateLimit:
    """A limit per token, and how it is announced. The defaults are Document360's 60 requests a minute.

    Attributes:
        limit: Requests that are accepted in one window.
        per_s: Seconds that a window lasts; small ones compress time.
        window: `fixed` starts with the first request after the last window's end and is refilled at once;
            `sliding` counts the requests of the last `per_s` seconds.
        aligned: Fixed windows start at multiples of `per_s` of the clock instead.
        headers: `document360` sends `X-RateLimit-Remaining` always, `-Limit` and `-Reset` with a refusal only;
            `always` sends all three always; `hidden` none.
        fractional: `-Reset` and `Retry-After` may be fractions of a second, for compressed time. Otherwise they
            are whole seconds, rounded up, at least 1.
        ietf: Send `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers) as well.
        retry_after: Send `Retry-After` with a refusal, as `seconds` or as a `date`, or not at all.
        vendors: Whose requests are limited.
    """

    limit: int = attrs.field(default=60, validator=attrs.validators.ge(0))
    per_s: float = attrs.field(default=60.0, validator=attrs.validators.gt(0.0))
    window: Literal["fixed", "sliding"] = attrs.field(
        default="fixed", validator=attrs.validators.in_(("fixed", "sliding"))
    )
    aligned: bool = False
    headers: Literal["document360", "always", "hidden"] = attrs.field(
        default="document360", validator=attrs.validators.in_(("document360", "always", "hidden"))
    )
    fractional: bool = False
    ietf: bool = False
    retry_after: Literal["seconds", "date"] | None = None
    vendors: frozenset[VendorName] = attrs.field(default=frozenset({"document360"}), converter=_read_vendors)

    def fields(self, standing: Standing) -> dict[str, str]:
        """The header fields for a reply to a request that left its token standing there."""
        fields: dict[str, str] = {}
        if self.headers != "hidden":
            fields["X-RateLimit-Remaining"] = str(standing.remaining)
            if self.headers == "always" or not standing.accepted:
                fields["X-RateLimit-Limit"] = str(self.limit)
                fields["X-RateLimit-Reset"] = self._seconds(standing.reset_s)
        if self.ietf:
            fields["RateLimit-Policy"] = f'"default";q={self.limit};w={self._seconds(self.per_s)}'
            fields["RateLimit"] = f'"default";r={standing.remaining};t={self._seconds(standing.reset_s)}'
        if self.retry_after is not None and not standing.accepted:
            in_words = self._seconds if self.retry_after == "seconds" else http_date
            fields["Retry-After"] = in_words(standing.reset_s)
        return fields

    def _seconds(self, seconds: float) -> str:
        if self.fractional:
            return f"{math.ceil(seconds * 1000) / 1000:.3f}"
        return str(max(1, math.ceil(seconds)))


class _Meter(Protocol):
    def take(self, now: float) -> Standing:
        """Accept one request, or refuse it."""
        ...


class _FixedWindow:
    __slots__ = ("_ends_at", "_rule", "_used")

    def __init__(self, rule: RateLimit) -> None:
        self._rule = rule
        self._used = 0
        self._ends_at = -math.inf

    def take(self, now: float) -> Standing:
        rule = self._rule
        if now >= self._ends_at:
            self._ends_at = (now // rule.per_s + 1) * rule.per_s if rule.aligned else now + rule.per_s
            self._used = 0
        accepted = self._used < rule.limit
        if accepted:
            self._used += 1
        return Standing(accepted, rule.limit - self._used, self._ends_at - now)


class _SlidingWindow:
    __slots__ = ("_forgotten_at", "_rule")

    def __init__(self, rule: RateLimit) -> None:
        self._rule = rule
        self._forgotten_at: deque[float] = deque()  # when each accepted request will no longer count

    def take(self, now: float) -> Standing:
        rule, held = self._rule, self._forgotten_at
        while held and held[0] <= now:
            held.popleft()
        accepted = len(held) < rule.limit
        if accepted:
            held.append(now + rule.per_s)
        return Standing(accepted, rule.limit - len(held), held[0] - now if held else rule.per_s)


class RateLimiter:
    """The meters of all tokens under one `RateLimit`."""

    def __init__(self, rule: RateLimit) -> None:
        self.rule = rule
        self._meters: dict[tuple[VendorName, str], _Meter] = {}

    def take(self, vendor: VendorName, token: str, now: float) -> Standing:
        """Accept or refuse one request of a token at `now` (the clock's seconds, never falling)."""
        meter = self._meters.get((vendor, token))
        if meter is None:
            kind = _FixedWindow if self.rule.window == "fixed" else _SlidingWindow
            meter = self._meters[vendor, token] = kind(self.rule)
        return meter.take(now)
