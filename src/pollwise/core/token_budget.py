"""The rate budget of one token: what may be sent, and when; configured, or learnt from what the server says.

Rule 1: no request goes that the server is known to refuse: never more than `limit` in any span of `per_s` seconds.
A request fills its place from the moment it is sent until `per_s` after its reply, because only the server knows when
in between the request was counted. So both fixed and sliding windows on the server's side are kept.
Rule 2: the server's statements win: fewer requests left than counted here (other clients may use the token), a lower
limit, a pause. No header delays a request by more than `longest_hint_s`, and a statement of one reply alone lapses.
Rule 3: under pressure the requests are spread evenly over the window, because a poll in time is worth more than two at
once.
Rule 4: an unknown limit is learnt from `Remaining` as it falls and refills, from one refusal, or by trying
(`rate_limiter.py`), and the length of a window in `rate_window.py`. Until then the first requests are few
(`slow_start.py`).
Rule 5: watchers that share a token take turns while more than one of them waits (`share.py`).
Rule 6: a budget that is to close at a time gives no permit from then on, until that time is moved. A process whose right to
use the token expires sends nothing afterwards, also if it was suspended meanwhile.
Rule 7: the budget decides and never waits. If there is no permit, it says when asking again can help. It is pure.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from pollwise.core.header_hints import RateHints
from pollwise.core.host_health import Hosts
from pollwise.core.pacing import GROWTH
from pollwise.core.pauses import End, Pause
from pollwise.core.rate_limiter import Limiter
from pollwise.core.rate_window import Window
from pollwise.core.share import Share, Shares
from pollwise.core.slow_start import FIRST_IN_FLIGHT, SlowStart
from pollwise.errors import ConfigurationError
from pollwise.model.limits import RateLimit

__all__ = ["TokenBudget"]

_LOOK_AGAIN_S = 1 / 64  # while the start is slow, ask for a permit again after this time
_PLENTY = 20  # requests left for each watch: with more, a ration would be next to no wait
_FIRST_PROBE_S = 1.0  # longest wait before a probe of a window whose length or end is not known
_MOST_IN_A_WINDOW = 10_000_000  # a stated limit above this is not believed
_SHORTEST_WINDOW_S = 0.001  # a stated window shorter than this is not believed
_SILENT_REPLIES = 3  # replies without rate headers, after which the statement of a single reply lapses
_MANY = -1  # in place of the number of the only reply with rate headers: several replies had them, or a refusal
_OTHERS = 10  # a window counts as ours alone if other clients used at most a tenth of it


class TokenBudget:
    """The permits of one token. `RateBudget` is what a caller sees of it.

    Args:
        limit: Requests that the server allows in one window, at least 1. None learns it from the replies.
        per_s: Length of the window in seconds. None learns it from the replies.
        longest_hint_s: No header of a reply delays a request by more than this many seconds. If a server asks for a
            longer pause, one request goes after this time, and the others after its reply.

    Attributes:
        hosts: The hosts of this token, as far as polls of them fail.
        refused: How many requests the server has refused with 429.
        starting: Whether the start is slow, because no reply has stated a limit. It holds a watch back for a moment only.
        closes_at: From this time on no request goes; infinite while the budget is open.
        on_moved: Called after `closes_at` was moved.
    """

    __slots__ = (
        "_base",
        "_cap",
        "_freed_at",
        "_in_flight",
        "_last_permit",
        "_learning",
        "_left",
        "_limiter",
        "_most_left",
        "_newest_settled",
        "_next_at",
        "_pause",
        "_shares",
        "_silent",
        "_slow_start",
        "_stated",
        "_stated_window",
        "_window",
        "closes_at",
        "hosts",
        "limit",
        "longest_hint_s",
        "on_moved",
        "per_s",
        "refused",
        "starting",
    )

    def __init__(self, limit: int | None = None, *, per_s: float | None = None, longest_hint_s: float = 3600.0) -> None:
        if (limit is not None and limit < 1) or (per_s is not None and not (per_s > 0 and math.isfinite(per_s))):
            raise ConfigurationError(f"a budget needs at least 1 request per positive time, got {limit} per {per_s} s")
        if not (longest_hint_s > 0 and math.isfinite(longest_hint_s)):
            raise ConfigurationError(f"longest_hint_s must be a positive number of seconds, got {longest_hint_s!r}")
        self.limit = limit
        self.per_s = per_s
        self.longest_hint_s: Final = longest_hint_s
        self._base = limit, per_s
        self._cap = limit  # what was configured is never exceeded, whatever the server allows
        self._learning = limit is None or per_s is None
        self.starting = self._learning
        self._slow_start = SlowStart()
        self._in_flight = self.refused = 0
        self._freed_at: deque[float] = deque()  # when each answered request stops filling a place
        self._left: int | None = None  # what the server last said, less what was sent since, plus what was freed
        self._most_left = 0
        self._last_permit = self._newest_settled = 0
        self._stated = 0  # the number of the only reply with rate headers; 0 for none
        self._silent = 0
        self._stated_window = False
        self._next_at = -math.inf  # when the next one is due at an even rate
        self._window = Window()
        self._pause = Pause()
        self._limiter = Limiter()
        self._shares = Shares()
        self.closes_at = math.inf
        self.on_moved: set[Callable[[], None]] = set()
        self.hosts = Hosts()

    @classmethod
    def documented(cls, limit: RateLimit | None, *, longest_hint_s: float = 3600.0) -> TokenBudget:
        """A budget from the limit that a vendor documents; None where there is none.

        It holds until the server says that this token may send more or less.
        """
        if limit is None:
            return cls(longest_hint_s=longest_hint_s)
        budget = cls(limit.requests, per_s=limit.per_s, longest_hint_s=longest_hint_s)
        budget._cap = None
        return budget

    @property
    def spacing_s(self) -> float:
        """Seconds between two requests at the full rate; 0 while the rate is not known."""
        found_s = self._limiter.spacing_s
        if self.per_s is None or not self.limit:
            return found_s
        even_s = self.per_s / self.limit
        return even_s if even_s > found_s else found_s

    def left(self, now: float) -> int | None:
        """How many requests may go at once now, or None while no limit is known."""
        self._free(now)
        left = self._left
        if self.limit is not None and self.per_s is not None:
            places = self.limit - self._in_flight - len(self._freed_at)
            left = places if left is None else min(places, left)
        return None if left is None else max(0, left)

    def seen_left(self, now: float) -> int | None:
        """As `left`, but nothing is changed, so any thread may call it."""
        freed = tuple(self._freed_at)
        filled = sum(at > now for at in freed)
        left = None if self._left is None else self._left + len(freed) - filled
        if self.limit is not None and self.per_s is not None:
            left = min(self.limit - self._in_flight - filled, self.limit if left is None else left)
        return None if left is None else max(0, left)

    def pause_s(self, now: float) -> float:
        """Seconds until the end of the pause that the server asked for; 0 without one, and while a probe is under way."""
        at = self._pause.available_at(now) if self._pause.on else now
        return at - now if now < at < math.inf else 0.0

    def ration_s(self, now: float, among: int) -> float:
        """How soon each of `among` watches, and of those in flight, may ask again, so that the window lasts until its end.

        Each wait is taken to be half as long again as the one before it, as with `Pacing`, and at most what an even rate
        gives. It is 0 where plenty is left, where the rate is not known, and for more watches than the limit, because
        some of those are held back in any case.
        """
        among += self._in_flight
        if self.limit is None or self.per_s is None or among > self.limit:
            return 0.0
        left = self.left(now)
        if left is None or left > _PLENTY * among:
            return 0.0
        even_s = among * self.spacing_s
        if left == 0:
            return even_s
        more_at = self._freed_at[0] if self._freed_at else now + self.per_s
        return min(even_s, (more_at - now) * (GROWTH - 1.0) / (math.pow(GROWTH, left / among) - 1.0))

    @property
    def sent(self) -> int:
        """How many permits were given."""
        return self._last_permit

    def spent(self, now: float) -> list[float]:
        """In how many seconds each filled place is free, as if the requests in flight were answered now.

        Empty if the length of the window is not known.
        """
        if self.per_s is None:
            return []
        return [*(at - now for at in self._freed_at if at > now), *([self.per_s] * self._in_flight)]

    def spend(self, free_in_s: Iterable[float], now: float) -> None:
        """Another process has filled places. Each of them is free in this number of seconds. Only before the first request of this one."""
        if self.limit is None or self.per_s is None:
            return
        places = sorted(min(free_s, self.per_s) for free_s in free_in_s if free_s > 0.0)[-self.limit :]
        self._freed_at = deque(now + free_s for free_s in places)

    def share(self) -> Share:
        """A share of this budget for one more watcher."""
        return Share(self, self._shares)

    # --- deciding -----------------------------------------------------------------------------

    def close_at(self, at: float | None) -> None:
        """No request goes at this time or later, until it is moved. None for never."""
        if at is not None and math.isnan(at):
            raise ConfigurationError("a budget closes at a time of the monotonic clock, or never (None); got nan")
        self.closes_at = math.inf if at is None else at
        for call in tuple(self.on_moved):
            call()

    def available_at(self, now: float, *, waiting: int = 1) -> float:  # noqa: PLR0911  # one for each reason, in order
        """When the next request may go, or when to ask again; infinite while only a reply can free a place, or if it is closed.

        Args:
            now: Monotonic seconds.
            waiting: How many watches wait. If more wait than may go at once, the requests are spread evenly.
        """
        if now >= self.closes_at:
            return math.inf
        if self._pause.on and (at := self._pause.available_at(now)) > now:
            return at
        if self.starting and self._in_flight >= self._slow_start.most_in_flight(now, self._replies()):
            return now + _LOOK_AGAIN_S
        if self._freed_at and self._freed_at[0] <= now:
            self._free(now)
        if self.limit is not None and self.per_s is not None:
            places = self.limit - len(self._freed_at) - self._in_flight
            if places <= 0:
                return self._next_place_at()
            if waiting > places and self._next_at > now:
                return self._next_at
        if self._limiter.next_at > now:
            return self._limiter.next_at
        return self._refill_at(now) if self._left is not None and self._left <= 0 else now

    def _next_place_at(self) -> float:
        """All places are filled."""
        self._window.pressed = True
        if not self._freed_at:
            return math.inf
        at = self._freed_at[0]
        self._next_at = max(self._next_at, at)  # requests that were sent together are not sent together again
        return at

    def acquire(self, now: float) -> int:
        """One request goes now. Returns its permit: a number for `release`, `on_429` or `on_unavailable`."""
        if not self._last_permit:
            self._slow_start.begin(now, 0)
        self._last_permit += 1
        self._in_flight += 1
        if self._pause.on:
            self._pause.acquire(self._last_permit)
        if self._limiter.spacing_s > 0.0:
            self._limiter.acquire(now)
        if self._learning:
            self._window.on_request(now, self.limit)
        if self._left is not None:
            self._left -= 1
        per_s = self.per_s
        if per_s is not None and self.limit is not None:
            # after an idle time the rate may catch up, with a whole window at most
            earliest = now - per_s
            next_at = self._next_at if self._next_at > earliest else earliest
            self._next_at = next_at + per_s / self.limit
        return self._last_permit

    def release(self, permit: int, now: float, hints: RateHints | None = None) -> None:
        """The request with this permit is over: answered, failed or cancelled, but not refused with 429."""
        self._on_reply(permit, now, hints)
        limiter = self._limiter
        limiter.good_replies += 1  # from here as in `Limiter.on_reply`: this runs for every reply
        if limiter.good_replies >= limiter.trial:
            limiter.pass_trial(now)
        elif now > limiter.stale_after:
            limiter.good_replies, limiter.since, limiter.stale_after = 1, now, now + limiter.memory_s
        if self._pause.on:
            probes = self._pause.probes - 1
            end = self._pause.on_reply(permit, now)
            if end is not End.NO:
                limiter.on_recovery(now, probes, contradicted=end is End.CONTRADICTED)
                if end is End.PROBED and hints is None:
                    self._start_over(now)

    def on_429(self, permit: int, now: float, retry_after_s: float | None, hints: RateHints | None) -> None:
        """The request with this permit was refused with 429: nothing goes for a time, and then one request goes first.

        `retry_after_s` says when one request may go. It wins over the reset in `hints`, which says when all may go.
        """
        self._on_reply(permit, now, hints, refused=True)
        self.refused += 1
        self.starting = False
        reset_s = None if hints is None else hints.reset_s
        wait_s = reset_s if retry_after_s is None else retry_after_s
        seen_s = wait_s if reset_s is None else reset_s
        if seen_s is not None:
            self._see_window(now, seen_s, too_short=True)
        self._pause_for(permit, now, wait_s)
        if not self._explained(hints):
            self._limiter.on_refusal(now)
        self._left = None

    def on_unavailable(self, permit: int, now: float, wait_s: float) -> None:
        """The request with this permit met a server that is out of service (503): nothing goes for `wait_s`.

        Then one request goes first, and the others after its reply. This is no refusal and lowers no rate.
        """
        self._on_reply(permit, now, None, refused=True)
        self._pause_for(permit, now, wait_s)

    def _pause_for(self, permit: int, now: float, wait_s: float | None) -> None:
        wait_s = None if wait_s is None else min(wait_s, self.longest_hint_s)
        least_s = min(_FIRST_PROBE_S, self.spacing_s)
        self._pause.on_refusal(permit, now, wait_s, sent=self._last_permit, in_flight=self._in_flight, least_s=least_s)

    def _explained(self, hints: RateHints | None) -> bool:
        """Whether the known window explains the refusal, so that the limiter has nothing to find."""
        stated = hints is not None and not hints.remaining and (hints.limit is not None or hints.remaining == 0)
        return stated and self.limit is not None and self.per_s is not None

    def _start_over(self, now: float) -> None:
        """After a probe the start is slow again, because the refusals may have been of a burst."""
        if self._learning and self._limiter.spacing_s == 0.0:
            self.starting = True
            self._slow_start.begin(now, self._replies(), max(FIRST_IN_FLIGHT, self._pause.width // 2))

    def _replies(self) -> int:
        return self._last_permit - self._in_flight

    # --- learning -----------------------------------------------------------------------------

    def _on_reply(self, permit: int, now: float, hints: RateHints | None, *, refused: bool = False) -> None:
        self._in_flight -= 1
        if self.starting:
            self.starting = hints is None and not self._slow_start.is_over(self._replies())
        if self.per_s is not None:
            self._freed_at.append(now + self.per_s)
        if self._learning:
            self._window.on_reply(now, self.limit)
        if hints is not None:
            self._learn(permit, now, hints, refused=refused)
        elif self._stated > 0 and permit > self._stated and not refused:
            self._lapse()
        if permit > self._newest_settled:
            self._newest_settled = permit

    def _lapse(self) -> None:
        """A single reply had rate headers and newer replies have none. After some of them its statement lapses."""
        self._silent += 1
        if self._silent >= _SILENT_REPLIES:
            self.limit, self.per_s = self._base
            self._left, self._most_left, self._stated, self._stated_window = None, 0, 0, False
            self._pause.contradict(self._last_permit)
            if self.per_s is None:
                self._freed_at.clear()

    def _free(self, now: float) -> None:
        freed = self._freed_at
        while freed and freed[0] <= now:
            freed.popleft()
            if self._left is not None:
                self._left += 1

    def _refill_at(self, now: float) -> float:
        """The server says that nothing is left, but not until when."""
        if self._freed_at:
            return self._freed_at[0]
        if self._in_flight:
            return math.inf
        # no request of ours is counted any more, or the window is not known: one probe finds out
        self._left = None
        wait_s = _FIRST_PROBE_S if self.per_s is None else min(self.spacing_s, _FIRST_PROBE_S)
        self._pause.begin(self._last_permit, now + min(wait_s, self.longest_hint_s), probe=True)
        return self._pause.available_at(now)

    def _learn(self, permit: int, now: float, hints: RateHints, *, refused: bool) -> None:
        self._stated, self._silent = (_MANY if refused or self._stated else permit), 0
        if hints.limit is not None and hints.limit <= _MOST_IN_A_WINDOW:
            self._set_limit(hints.limit)
        if hints.window_s is not None and (self._learning or self._cap is None):
            self._state_window(hints.window_s)
        if now >= self._window.shorten_at and self.per_s is not None:
            shorter_s = self._window.shorter(self.per_s, now)
            if shorter_s is not None:
                self._set_window(shorter_s, now)
        if hints.remaining is not None and hints.remaining <= _MOST_IN_A_WINDOW:
            self._learn_left(permit, hints.remaining, shows_limit=hints.limit is None and not refused)
            if hints.remaining > 0:
                self._pause.contradict(permit)
            elif hints.reset_s is not None and not refused:
                self._exhausted(permit, now, hints.reset_s)

    def _learn_left(self, permit: int, remaining: int, *, shows_limit: bool) -> None:
        left = remaining - self._in_flight  # the server may not have counted these yet
        if self._cap is None and remaining + 1 > self._most_left:
            self._most_left = remaining + 1
            if shows_limit:
                self._set_limit(max(self._most_left, self.limit or 0))
        if self._left is not None and permit < self._newest_settled:
            left = min(left, self._left)  # a newer reply came first
        self._left = left

    def _exhausted(self, permit: int, now: float, reset_s: float) -> None:
        """A good reply says that nothing remains until then."""
        counted = self._counted(now)
        self._see_window(now, reset_s, too_short=not counted)
        self._left = None
        if not counted:
            wait_s = min(reset_s, self.longest_hint_s)
            self._pause.begin(permit, now + wait_s, probe=wait_s < reset_s)

    def _counted(self, now: float) -> bool:
        """Whether our requests alone fill the window: then our own count is more exact than a reset in whole seconds."""
        self._free(now)
        counted = len(self._freed_at) + self._in_flight
        if self.limit is None or self.per_s is None:
            return False
        return _OTHERS * (self.limit - counted) <= max(_OTHERS, self.limit)

    def _set_limit(self, limit: int) -> None:
        self.limit = limit if self._cap is None else min(limit, self._cap)

    def _state_window(self, per_s: float) -> None:
        if _SHORTEST_WINDOW_S <= per_s <= self.longest_hint_s:
            self.per_s, self._stated_window, self._window.shorten_at = per_s, True, math.inf

    def _see_window(self, now: float, reset_s: float, *, too_short: bool) -> None:
        if self._learning and not self._stated_window and self.limit is not None:
            per_s = self._window.on_reset(now, reset_s, limit=self.limit, per_s=self.per_s, too_short=too_short)
            if per_s is not None and per_s <= self.longest_hint_s:
                self._set_window(per_s, now)

    def _set_window(self, per_s: float, now: float) -> None:
        """Learn the length of the window: what was sent fills its places for that long."""
        self.per_s = per_s
        self._window.use(per_s, now)
        self._freed_at = deque(at + per_s for at in self._window.answered if at + per_s > now)
        self._next_at = max(self._next_at, now)  # the places that a shorter window frees are not used in one burst
