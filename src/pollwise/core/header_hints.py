"""What a server says about time and limits in its header fields.

Rule 1: zero or a past date means now. An unreadable value counts as absent, and the next form is read. No hint raises.
Rule 2: results are in seconds. A date is compared with the reply's own `Date`, if it has one, so our clock does not matter.
Rule 3: each reply is searched once, whatever its status code. A reply without such fields costs one lookup of its names.
Rule 4: of several limits the tightest is reported: the one that is used up for the longest time, else the one with the
fewest requests left.

Sources: RFC 9110 10.2.3 (Retry-After); the IETF draft "RateLimit header fields for HTTP", versions 00 to 10; the fields
of GitHub, Okta, OpenAI, Anthropic, Discord, Kong, Envoy and Azure. docs/hints.md has the table.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Final, TypeAlias, TypeVar

import attrs

from pollwise.core.header_values import (
    LONGEST_WAIT_S,
    Now,
    count,
    elements,
    field_value,
    number,
    parameters,
    wait_from_ms,
    wait_s,
)

__all__ = ["HintReader", "RateHints", "ReplyHints", "rate_hints", "retry_after_s"]

T = TypeVar("T")

_Said: TypeAlias = Mapping[str, str]  # values by the lower-case names of their fields

# Milliseconds first, as in the clients of Azure and OpenAI: a server that sends both rounds the seconds up.
_RETRY_AFTER_MS: Final = ("retry-after-ms", "x-ms-retry-after-ms")
_RETRY_AFTER: Final = ("retry-after", "x-retry-after", "x-ratelimit-retry-after", "x-rate-limit-retry-after")
_PREFIXES: Final = ("x-ratelimit-", "x-rate-limit-", "ratelimit-", "rate-limit-")
_PERIODS_S: Final = {"second": 1.0, "minute": 60.0, "hour": 3_600.0, "day": 86_400.0}

_MOST_PLANS: Final = 64
_MOST_NAMES: Final = 64
_LONGEST_NAMES: Final = 4_096  # all of them together
_MOST_VALUES: Final = 256
_LONGEST_VALUE: Final = 64


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


@attrs.frozen
class ReplyHints:
    """What one reply said about when to ask again.

    Attributes:
        retry_after_s: Seconds to wait before the next request, at least 0; None where the reply did not say.
        rate: What it said about its rate limit, or None.
    """

    retry_after_s: float | None = None
    rate: RateHints | None = None

    @property
    def exhausted(self) -> bool:
        """Whether the reply said that no request is left."""
        return self.rate is not None and self.rate.remaining == 0


def retry_after_s(headers: Mapping[str, str], wall_now: float) -> float | None:
    """Seconds that `Retry-After` asks to wait, at least 0, or None. `wall_now` is epoch seconds."""
    hints = HintReader().read(headers, lambda: wall_now)
    return None if hints is None else hints.retry_after_s


def rate_hints(headers: Mapping[str, str], wall_now: float) -> RateHints | None:
    """What the reply says about its rate limit, or None where it says nothing. `wall_now` is epoch seconds."""
    hints = HintReader().read(headers, lambda: wall_now)
    return None if hints is None else hints.rate


class HintReader:
    """Reads the hints of one server's replies, and remembers which of its header fields can hold any.

    What it remembers is bounded: by the number and length of names and of values.

    Attributes:
        silent: The names of fields, in their order, of replies that were found to have no hints. A caller in a hurry may
            look here before it calls `read`.
    """

    __slots__ = ("_plans", "silent")

    def __init__(self) -> None:
        self.silent: set[tuple[str, ...]] = set()
        self._plans: dict[tuple[str, ...], _Plan | None] = {}

    def read(self, headers: Mapping[str, str], clock: Callable[[], float]) -> ReplyHints | None:
        """The hints of a reply, or None where it has none.

        Args:
            headers: The reply's header fields.
            clock: Returns epoch seconds. Only called for a hint that is a moment, where `Date` does not serve.
        """
        names = tuple(headers)
        try:
            plan = self._plans[names]
        except KeyError:
            plan = self._learn(names)
        if plan is None:
            return None
        values: str | tuple[str, ...]
        if len(headers) != len(names) or plan.only is None:  # a `CIMultiDict` names a repeated field once
            values = plan.values(headers, repeated=len(headers) != len(names))
        else:
            values = headers[plan.only]
        try:
            return plan.known[values]
        except KeyError:
            return plan.parse(headers, values, clock)

    def _learn(self, names: tuple[str, ...]) -> _Plan | None:
        fields = {name.lower(): name for name in names if name.lower() in _FIELDS}
        plan = _Plan(fields, repeated=len(fields) < sum(name.lower() in _FIELDS for name in names)) if fields else None
        if len(names) <= _MOST_NAMES and sum(map(len, names)) <= _LONGEST_NAMES:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
                self.silent.clear()
            self._plans[names] = plan
            if plan is None:
                self.silent.add(names)
        return plan


class _Plan:
    """Which fields of replies with certain names hold hints, and what their latest values meant.

    Args:
        fields: The fields' names as sent, by their names in lower case.
        repeated: Whether one of them is named more than once, as older releases of multidict have it.

    Attributes:
        known: What values meant that mean the same at any time.
        only: The name as sent where there is one field once.
    """

    __slots__ = ("_families", "_fields", "_repeated", "_waits", "known", "only")

    def __init__(self, fields: Mapping[str, str], *, repeated: bool) -> None:
        self._fields = fields
        self._repeated = repeated
        self._families = [family for family in _FAMILIES if not fields.keys().isdisjoint(family[0].values())]
        self._waits = not fields.keys().isdisjoint((*_RETRY_AFTER_MS, *_RETRY_AFTER))
        self.known: dict[str | tuple[str, ...], ReplyHints | None] = {}
        self.only = None if repeated or len(fields) > 1 else next(iter(fields.values()))

    def values(self, headers: Mapping[str, str], *, repeated: bool) -> tuple[str, ...]:
        """The values of the fields. `repeated`: some field of the reply is there more than once."""
        if repeated or self._repeated:
            return tuple([field_value(headers, name) for name in self._fields.values()])
        return tuple([headers[name] for name in self._fields.values()])

    def parse(
        self, headers: Mapping[str, str], values: str | tuple[str, ...], clock: Callable[[], float]
    ) -> ReplyHints | None:
        """What the values mean."""
        said = dict(zip(self._fields, (values,) if isinstance(values, str) else values, strict=True))
        now = Now(headers.get("Date", ""), clock)
        limits: list[RateHints] = []
        for names, window_s in self._families:
            limits += _family_limits(said, names, window_s, now)
        if _POLICY in said or _LIMIT in said:
            limits += _structured_limits(said, now)
        retry, rate = _retry_after_s(said, now) if self._waits else None, _rate(limits)
        hints = None if retry is None and rate is None else ReplyHints(retry_after_s=retry, rate=rate)
        if not now.asked and sum(map(len, said.values())) <= _LONGEST_VALUE:
            if len(self.known) >= _MOST_VALUES:
                self.known.clear()
            self.known[values] = hints
        return hints


# --- Retry-After ------------------------------------------------------------------------------


def _retry_after_s(said: _Said, now: Now) -> float | None:
    for name in _RETRY_AFTER_MS:
        if name in said and (wait := _longest([wait_from_ms(text) for text in elements(said[name])])) is not None:
            return wait
    for name in _RETRY_AFTER:
        if name in said and (wait := _longest([wait_s(text, now) for text in elements(said[name])])) is not None:
            return wait
    return None


def _longest(waits: Iterable[float | None]) -> float | None:
    """A server and its proxy that both say something are both obeyed."""
    return max(_known(waits), default=None)


# --- rate limits ------------------------------------------------------------------------------


_KINDS: Final = ("limit", "remaining", "reset", "reset-after")
# Fields that speak of one limit: their names by kind, and the window that the names say.
_FAMILIES: Final[Sequence[tuple[_Said, float | None]]] = (
    *(({kind: f"{prefix}{kind}" for kind in _KINDS}, None) for prefix in _PREFIXES),
    *(({kind: f"{prefix}{kind}-requests" for kind in _KINDS}, None) for prefix in _PREFIXES),
    ({kind: f"anthropic-ratelimit-requests-{kind}" for kind in _KINDS}, None),
    *(
        ({kind: f"{prefix}{kind}-{period}" for kind in _KINDS}, window_s)
        for prefix in _PREFIXES
        for period, window_s in _PERIODS_S.items()
    ),
)
_POLICY, _LIMIT = "ratelimit-policy", "ratelimit"
_FIELDS: Final = frozenset(
    {*_RETRY_AFTER_MS, *_RETRY_AFTER, _POLICY, _LIMIT, *(name for names, _ in _FAMILIES for name in names.values())}
)
_NOTHING: Final = RateHints()
_LISTED: Final = re.compile(r"[,;]")
_NONE: Final = (None, None, None)


def _rate(limits: list[RateHints]) -> RateHints | None:
    """The tightest of these limits, with what other forms say of the same one."""
    limits = [limit for limit in limits if limit != _NOTHING]
    if len(limits) < 2:
        return limits[0] if limits else None
    tightest, *others = sorted(limits, key=_slack)
    for other in others:
        tightest = _filled(tightest, other)
    return tightest


def _slack(limit: RateHints) -> tuple[bool, int, float]:
    """Orders limits, the tightest first; limits of which nothing is known but their size come last."""
    if limit.remaining == 0:
        return False, 0, -(limit.reset_s or 0.0)
    rate = limit.limit / limit.window_s if limit.limit is not None and limit.window_s is not None else math.inf
    return limit.remaining is None, limit.remaining or 0, rate


def _filled(limit: RateHints, other: RateHints) -> RateHints:
    """What `limit` does not say is taken from another form, if that may speak of the same limit."""
    for one, two in ((limit.limit, other.limit), (limit.remaining, other.remaining), (limit.window_s, other.window_s)):
        if one is not None and two is not None and one != two:
            return limit
    if limit.limit is None and other.limit is not None and (limit.remaining or 0) > other.limit:
        return limit
    return RateHints(
        limit=other.limit if limit.limit is None else limit.limit,
        remaining=other.remaining if limit.remaining is None else limit.remaining,
        reset_s=other.reset_s if limit.reset_s is None else limit.reset_s,
        window_s=other.window_s if limit.window_s is None else limit.window_s,
    )


def _family_limits(said: _Said, names: _Said, window_s: float | None, now: Now) -> list[RateHints]:
    """The limits in the fields of one family; `names` has their names by kind."""
    values = {kind: said[name] for kind, name in names.items() if name in said}
    if _LISTED.search("".join(values.values())):
        return _joined_limits(values, window_s, now)
    limit, left = count(values.get("limit", "")) or None, count(values.get("remaining", ""))
    reset_s = wait_s(values["reset-after"], now) if "reset-after" in values else None
    if reset_s is None and "reset" in values:
        reset_s = wait_s(values["reset"], now)
    if limit is None and left is None and reset_s is None:
        return []
    return [RateHints(limit=limit, remaining=left, reset_s=reset_s, window_s=window_s)]


def _joined_limits(values: _Said, window_s: float | None, now: Now) -> list[RateHints]:
    """The same where a field has several values: from proxies, which join them, or policies behind the limit."""
    limits: list[int | None] = []
    policies: list[RateHints] = []
    for member in parameters(values.get("limit", "")):
        if len(member) > 1:  # early drafts, and Envoy
            policies += [policy for _, policy in _policies([member]) if policy is not None]
        else:
            limits.append(count(member[0][1]) or None)
    left = [count(text) for text in elements(values.get("remaining", ""))]
    resets = [wait_s(text, now) for text in elements(values.get("reset-after", ""))]
    if _longest(resets) is None:
        resets = [wait_s(text, now) for text in elements(values.get("reset", ""))]
    sizes = {len(each) for each in (limits, left, resets) if each}
    if len(sizes) == 1 and sizes != {1}:  # those of a server and its proxy: what came first belongs together
        rows = list(zip_longest(limits, left, resets))
    else:
        rows = [(_first(limits), min(_known(left), default=None), _longest(resets))]
    hints = [RateHints(limit=a, remaining=b, reset_s=c, window_s=window_s) for a, b, c in rows if (a, b, c) != _NONE]
    return hints + policies


def _structured_limits(said: _Said, now: Now) -> list[RateHints]:
    """The limits in `RateLimit` and `RateLimit-Policy`: a dictionary in draft 07, a list of named items since."""
    policies = _policies(parameters(said.get(_POLICY, "")))
    limits: list[RateHints] = []
    unnamed: list[dict[str, str]] = [{}]
    for member in parameters(said.get(_LIMIT, "")):
        keys = dict(member)
        name = keys.get("")
        if name is None:
            if not unnamed[-1].keys().isdisjoint(keys):
                unnamed.append({})
            unnamed[-1].update(keys)
            continue
        named = [policy for policy_name, policy in policies if policy_name == name]
        if _counts_requests(keys) and None not in named:
            limit = _limits_of(keys, now)
            for policy in named:
                limit = limit if policy is None else _filled(limit, policy)
            limits.append(limit)
    return [
        *limits,
        *(_limits_of(keys, now) for keys in unnamed),
        *(policy for _, policy in policies if policy is not None),
    ]


def _policies(members: list[list[tuple[str, str]]]) -> list[tuple[str | None, RateHints | None]]:
    """Quota policies by name, if they have one; None for one that does not count requests."""
    found: list[tuple[str | None, RateHints | None]] = []
    for member in members:
        keys = dict(member)
        name = keys.get("")
        limit = _first([count(keys.get(key, "")) for key in ("q", "limit", "")]) or None
        found.append((name, RateHints(limit=limit, window_s=_window_s(keys)) if _counts_requests(keys) else None))
    return found


def _limits_of(keys: Mapping[str, str], now: Now) -> RateHints:
    return RateHints(
        limit=_first([count(keys.get(key, "")) for key in ("q", "limit")]) or None,
        remaining=_first([count(keys.get(key, "")) for key in ("r", "remaining")]),
        reset_s=_first([wait_s(keys.get(key, ""), now) for key in ("t", "reset")]),
        window_s=_window_s(keys),
    )


def _window_s(keys: Mapping[str, str]) -> float | None:
    window_s = _first([number(keys.get(key, "")) for key in ("w", "window")])
    return window_s if window_s and window_s <= LONGEST_WAIT_S else None


def _counts_requests(keys: Mapping[str, str]) -> bool:
    return keys.get("qu", "requests") == "requests"


def _known(values: Iterable[T | None]) -> Iterator[T]:
    return (value for value in values if value is not None)


def _first(values: Iterable[T | None]) -> T | None:
    return next(_known(values), None)
