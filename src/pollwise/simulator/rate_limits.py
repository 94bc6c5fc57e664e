"""Rate limits, exact to the request, and their header fields.

Rule 1: one counter accepts or refuses a request at one moment; a refused request is not counted.
Rule 2: each token has its own counter. The clock is an argument.
Rule 3: a refusal names the seconds after which the next request passes. `rate_headers.py` writes them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol

import attrs

from pollwise.simulator.rate_headers import (
    AFTER_FORMS,
    RESET_FORMS,
    STYLES,
    AfterForm,
    ResetForm,
    Style,
    after_field,
    reset_text,
)
from pollwise.simulator.vendor import VendorName

__all__ = ["RateLimit", "RateLimitState", "RateLimiter"]

_ROUNDING = 1e-9  # of a request: tolerance for sums of fractions


@attrs.frozen
class RateLimitState:
    """A token after one request: whether it was accepted, how many are left, and seconds until there are more."""

    accepted: bool
    remaining: int
    reset_s: float


def _parse_vendors(vendors: Iterable[VendorName]) -> frozenset[VendorName]:
    return frozenset(vendors)


def _one_of(*values: object) -> Any:
    return attrs.validators.in_(values)


_COUNT = attrs.validators.ge(0)
_REFUSALS = (429, 200, 400, 402, 403, 409, 420, 423)


@attrs.frozen(kw_only=True)
class RateLimit:
    """A limit per token, and its header fields. The defaults are Document360's 60 requests a minute.

    Attributes:
        limit: Requests that are accepted in one window.
        per_s: Seconds that a window lasts; small values compress time.
        window: `fixed` starts with the first request after the end of the last window, and allows all `limit` requests
            again. `sliding` counts the requests of the last `per_s` seconds. `bucket` holds `burst` requests and gets
            `limit` new ones in `per_s` seconds, evenly: a token bucket, as in nginx, and in Amazon's and Stripe's
            gateways.
        burst: Requests that a full bucket holds; None is `limit`.
        aligned: Fixed windows start at multiples of `per_s` of the clock instead.
        headers: `document360` sends `Remaining` always, and `Limit` and `Reset` only with a refusal. `always` sends all
            three always, `hidden` sends none. With `hidden` and without `retry_after`, a refusal has no hint at all.
        style: The names of the fields. `x-ratelimit` is Document360's and GitHub's; `x-rate-limit` is Okta's and
            Nature Remo's; `ratelimit` is that of draft-ietf-httpapi-ratelimit-headers up to 06; `requests` is
            OpenAI's `x-ratelimit-remaining-requests`.
        reset: The format of a reset: `seconds`; a `duration` (`6m0s`, OpenAI); `epoch` seconds (GitHub);
            `epoch-ms` (several gateways); `iso` (`2026-11-29T10:00:00Z`, Twilio and Anthropic); `http-date`.
        fractional: Seconds of a reset and of `Retry-After` may be fractions, for compressed time. Otherwise they are
            whole numbers, rounded up, at least 1, as real servers send them.
        policy: The limit is followed by its window, as in `60, 60;w=60` (draft-ietf-httpapi-ratelimit-headers-03).
        ietf: Send `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers) as well.
        retry_after: The hint of a refusal: `Retry-After` as `seconds` or as a `date`; or milliseconds in
            `retry-after-ms` (Azure OpenAI, OpenAI) or `x-ms-retry-after-ms` (Azure Cosmos DB). None sends no hint.
        refusal: The status code of a refusal. GitHub's secondary limit is a 403, Amazon's ThrottlingException a 400;
            others use 402, 409, 420 and 423. 200 sends the error document with the status code of a success.
        vendors: The vendors whose requests are limited.
    """

    limit: int = attrs.field(default=60, validator=_COUNT)
    per_s: float = attrs.field(default=60.0, validator=attrs.validators.gt(0.0))
    window: Literal["fixed", "sliding", "bucket"] = attrs.field(
        default="fixed", validator=_one_of("fixed", "sliding", "bucket")
    )
    burst: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(1)))
    aligned: bool = False
    headers: Literal["document360", "always", "hidden"] = attrs.field(
        default="document360", validator=_one_of("document360", "always", "hidden")
    )
    style: Style = attrs.field(default="x-ratelimit", validator=_one_of(*STYLES))
    reset: ResetForm = attrs.field(default="seconds", validator=_one_of("seconds", *RESET_FORMS))
    fractional: bool = False
    policy: bool = False
    ietf: bool = False
    retry_after: AfterForm | None = attrs.field(default=None, validator=_one_of(None, *AFTER_FORMS))
    refusal: int = attrs.field(default=429, validator=_one_of(*_REFUSALS))
    vendors: frozenset[VendorName] = attrs.field(default=frozenset({"document360"}), converter=_parse_vendors)

    def fields(self, state: RateLimitState) -> dict[str, str]:
        """The header fields of the reply to a request with this state."""
        fields: dict[str, str] = {}
        if self.headers != "hidden":
            limit, remaining, reset = STYLES[self.style]
            fields[remaining] = str(state.remaining)
            if self.headers == "always" or not state.accepted:
                window = f", {self.limit};w={self._seconds(self.per_s)}" if self.policy else ""
                fields[limit] = f"{self.limit}{window}"
                fields[reset] = reset_text(self.reset, state.reset_s, fractional=self.fractional)
        if self.ietf:
            fields["RateLimit-Policy"] = f'"default";q={self.limit};w={self._seconds(self.per_s)}'
            fields["RateLimit"] = f'"default";r={state.remaining};t={self._seconds(state.reset_s)}'
        if self.retry_after is not None and not state.accepted:
            fields |= after_field(self.retry_after, state.reset_s, fractional=self.fractional)
        return fields

    def _seconds(self, seconds: float) -> str:
        return reset_text("seconds", seconds, fractional=self.fractional)


class _RequestCounter(Protocol):
    def acquire(self, now: float) -> RateLimitState:
        """Accept one request, or refuse it."""
        ...


class _FixedWindow:
    __slots__ = ("_ends_at", "_rule", "_used")

    def __init__(self, rule: RateLimit) -> None:
        self._rule = rule
        self._used = 0
        self._ends_at = -math.inf

    def acquire(self, now: float) -> RateLimitState:
        rule = self._rule
        if now >= self._ends_at:
            self._ends_at = (now // rule.per_s + 1) * rule.per_s if rule.aligned else now + rule.per_s
            self._used = 0
        accepted = self._used < rule.limit
        if accepted:
            self._used += 1
        return RateLimitState(accepted, rule.limit - self._used, self._ends_at - now)


class _SlidingWindow:
    __slots__ = ("_expires_at", "_rule")

    def __init__(self, rule: RateLimit) -> None:
        self._rule = rule
        self._expires_at: deque[float] = deque()  # when each accepted request no longer counts

    def acquire(self, now: float) -> RateLimitState:
        rule, held = self._rule, self._expires_at
        while held and held[0] <= now:
            held.popleft()
        accepted = len(held) < rule.limit
        if accepted:
            held.append(now + rule.per_s)
        return RateLimitState(accepted, rule.limit - len(held), held[0] - now if held else rule.per_s)


class _TokenBucket:
    __slots__ = ("_at", "_rule", "_size", "_tokens")

    def __init__(self, rule: RateLimit) -> None:
        self._rule = rule
        self._size = float(rule.limit if rule.burst is None else rule.burst)
        self._tokens = self._size
        self._at = -math.inf

    def acquire(self, now: float) -> RateLimitState:
        each_s = self._rule.per_s / self._rule.limit if self._rule.limit else math.inf
        if now > self._at:
            self._tokens = (
                self._size if self._at == -math.inf else min(self._size, self._tokens + (now - self._at) / each_s)
            )
            self._at = now
        accepted = self._tokens >= 1.0 - _ROUNDING
        if accepted:
            self._tokens = max(0.0, self._tokens - 1.0)
        whole = math.floor(self._tokens + _ROUNDING)
        return RateLimitState(accepted, whole, min(self._rule.per_s, (whole + 1 - self._tokens) * each_s))


_COUNTERS: Mapping[str, type[_FixedWindow | _SlidingWindow | _TokenBucket]] = {
    "fixed": _FixedWindow,
    "sliding": _SlidingWindow,
    "bucket": _TokenBucket,
}


class RateLimiter:
    """The counters of all tokens of one `RateLimit`."""

    def __init__(self, rule: RateLimit) -> None:
        self.rule = rule
        self._counters: dict[tuple[VendorName, str], _RequestCounter] = {}

    def acquire(self, vendor: VendorName, token: str, now: float) -> RateLimitState:
        """Accept or refuse one request of a token at `now` (the clock's seconds, never falling)."""
        counter = self._counters.get((vendor, token))
        if counter is None:
            counter = self._counters[vendor, token] = _COUNTERS[self.rule.window](self.rule)
        return counter.acquire(now)
