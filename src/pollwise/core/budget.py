"""The rate ledger of one token: what may be sent, and when; configured, or learnt from what the server says.

Rule 1: no request goes that the server is known to refuse: never more than `limit` in any span of `per_s` seconds.
A request fills its place from the moment it is sent until `per_s` after its reply, because nobody but the server
knows when in between it was counted. So both fixed and sliding windows on the server's side are kept.
Rule 2: what the server says wins: fewer left than we think (others use the token too), a lower limit, a pause.
Rule 3: under pressure the requests are spread evenly over the window: a poll in time is worth more than two at once.
Rule 4: what is not known is learnt from `Remaining` as it falls and refills, and from one refusal, not from many. So
the first requests are few, until replies have told a limit or, some of them, that none is told.
Rule 5: watchers that share a token take turns while more than one of them is waiting.
Rule 6: the budget decides and never waits; who is refused is told when asking again can help. It is pure: a budget
across processes can stand on the same decisions.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final
from weakref import WeakSet

from pollwise.core.hints import RateHints
from pollwise.core.pacing import GROWTH
from pollwise.errors import ConfigurationError

__all__ = ["Lane", "RateBudget"]

_PROBE_GROWTH = 1.5
_BLIND_STEP = 0.02  # by so much a rate that was found by trying is tried higher
_BLIND_WINDOWS = 10  # after so many windows' worth of good replies
_FIRST_PROBE_S = 1.0
_LONGEST_PROBE_S = 60.0
_FIRST_IN_FLIGHT = 4  # as many go before the first reply, and with each reply as many more
_SLOW_REPLY_S = 0.25  # and twice as many after each such time: a server that hangs shall not hold up all
_FIRST_REPLIES = 16  # after so many replies without a word there is no limit to be careful of
_LOOK_AGAIN_S = 1 / 64
_PLENTY = 20  # requests left for each: the first of so many waits would be next to nothing


class RateBudget:
    """Requests per time, shared by every watch that uses the same token. Share one between watchers of one event loop.

    Args:
        limit: Requests that the server allows in one window, at least 1. None learns it from the replies.
        per_s: Length of the window in seconds. None learns it from the replies.

    Attributes:
        starting: Whether no reply has told yet how many may go: who is held back now is so for a moment only.
    """

    __slots__ = (
        "_blind",
        "_cap",
        "_first_sent",
        "_freed_at",
        "_good",
        "_hungry",
        "_in_flight",
        "_lanes",
        "_learning",
        "_left",
        "_most_left",
        "_newest_settled",
        "_next_at",
        "_paused_until",
        "_probes",
        "_refused",
        "_sent",
        "_serial",
        "limit",
        "per_s",
        "starting",
    )

    def __init__(self, limit: int | None = None, *, per_s: float | None = None) -> None:
        if (limit is not None and limit < 1) or (per_s is not None and not (per_s > 0 and math.isfinite(per_s))):
            raise ConfigurationError(f"a budget needs at least 1 request per positive time, got {limit} per {per_s} s")
        self.limit = limit
        self.per_s = per_s
        self._cap = limit  # what was configured is never exceeded, whatever the server allows
        self._learning = limit is None or per_s is None
        self.starting = self._learning
        self._in_flight = 0
        self._freed_at: deque[float] = deque()  # when each answered request stops filling a place
        self._sent: deque[float] = deque()  # when the last `limit` requests were sent
        self._left: int | None = None  # what the server last said, less what was sent since, plus what was freed
        self._most_left = 0
        self._serial = 0
        self._newest_settled = 0
        self._next_at = -math.inf  # when the next one is due at an even rate
        self._paused_until = -math.inf
        self._probes = 0
        self._refused = 0
        self._blind = False  # refusals say nothing: the rate is found by trying
        self._first_sent = math.nan
        self._good = 0
        self._hungry: dict[Lane, float] = {}
        self._lanes: WeakSet[Lane] = WeakSet()  # a watcher that is gone is counted no more

    def __repr__(self) -> str:
        return f"RateBudget({self.limit}, per_s={self.per_s})"

    @classmethod
    def guessed(cls, limit: int, *, per_s: float) -> RateBudget:
        """A budget from what a vendor documents: kept until the server says that this token may do more."""
        budget = cls(limit, per_s=per_s)
        budget._cap = None
        return budget

    @property
    def spacing_s(self) -> float:
        """Seconds between two requests at the full rate; 0 while the rate is not known."""
        return self.per_s / self.limit if self.per_s is not None and self.limit else 0.0

    @property
    def refused(self) -> int:
        """How many requests the server has refused with 429."""
        return self._refused

    def left(self, now: float) -> int | None:
        """How many requests may go at once now, or None while no limit is known."""
        self._free(now)
        left = self._left
        if self.limit is not None and self.per_s is not None:
            places = self.limit - self._in_flight - len(self._freed_at)
            left = places if left is None or places < left else left
        return None if left is None else max(0, left)

    def ration_s(self, now: float, among: int) -> float:
        """How soon each of so many, and of those in flight, may ask again, for the window to last until more may go.

        Each wait is taken to be half as long again as the one before it, as it is with `Pacing`; and no longer than at an
        even rate for good. 0 where there is plenty, where the rate is not known, and for more than the limit: of those
        some are held back in any case.
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

    def lane(self) -> Lane:
        """A place in the queue for one watcher."""
        lane = Lane(self)
        self._lanes.add(lane)
        return lane

    # --- deciding -----------------------------------------------------------------------------

    def free_at(self, now: float, *, waiting: int = 1) -> float:
        """When the next request may go: a time that has come, or the time at which asking again can help.

        That time is infinite while only a reply to a request in flight can free a place.

        Args:
            now: Monotonic seconds.
            waiting: How many want to go. If they are more than may go at once, they are spread evenly.
        """
        if now < self._paused_until:
            return self._paused_until
        if self.starting and self._in_flight >= self._first_in_flight(now):
            return now + _LOOK_AGAIN_S
        if self._freed_at and self._freed_at[0] <= now:
            self._free(now)
        if self.limit is not None and self.per_s is not None:
            places = self.limit - len(self._freed_at) - self._in_flight
            if places <= 0:
                if not self._freed_at:
                    return math.inf
                self._next_at = max(self._next_at, self._freed_at[0])  # what was sent at once is not due at once again
                return self._freed_at[0]
            if waiting > places and self._next_at > now:
                return self._next_at
        return self._refill_at(now) if self._left is not None and self._left <= 0 else now

    def _first_in_flight(self, now: float) -> int:
        replies, waited_s = self._serial - self._in_flight, now - self._first_sent if self._serial else 0.0
        return _FIRST_IN_FLIGHT * (replies + (1 << int(min(waited_s / _SLOW_REPLY_S, 20.0))))

    def take(self, now: float) -> int:
        """One request goes now. Returns its number, to be given back to `settle`."""
        if not self._serial:
            self._first_sent = now
        self._serial += 1
        self._in_flight += 1
        if self._learning:
            self._sent.append(now)
            if len(self._sent) > (self.limit or 10_000):
                self._sent.popleft()
        if self._left is not None:
            self._left -= 1
        per_s = self.per_s
        if per_s is not None:
            # whoever was idle may catch up, with a whole window at most
            earliest = now - per_s
            next_at = self._next_at if self._next_at > earliest else earliest
            self._next_at = next_at + self.spacing_s
        return self._serial

    def settle(self, serial: int, now: float, hints: RateHints | None = None) -> None:
        """The request with this number is over: answered, failed or cut, but not refused with 429."""
        self._land(serial, now, hints)
        self._good += 1
        if hints is None and self._blind:
            self._learn_blind(now)
        elif hints is None and self._probes:
            self._probes, self._left = 0, None

    def refuse(self, serial: int, now: float, retry_after_s: float | None, hints: RateHints | None) -> None:
        """The request with this number was answered with 429: nothing goes until it may."""
        self._land(serial, now, hints)
        self._refused += 1
        self.starting = False
        reset_s = None if hints is None else hints.reset_s
        told = [wait for wait in (retry_after_s, reset_s) if wait is not None]
        if told:
            self._learn_window(now + max(told))
            self._left = None
            self._paused_until = max(self._paused_until, now + max(told))
        elif now >= self._paused_until:  # those of one burst are refused together, and count once
            self._refuse_blind(now)

    def suspend(self, serial: int, now: float, wait_s: float) -> None:
        """A 503 asks for a pause: nothing goes for `wait_s` seconds."""
        self._land(serial, now, None)
        self._paused_until = max(self._paused_until, now + wait_s)

    def _refuse_blind(self, now: float) -> None:
        """Refused without a word: one probe at a time, each later than the last, until the server answers again."""
        wait = max(_FIRST_PROBE_S, self.spacing_s) * _PROBE_GROWTH ** min(self._probes, 20)
        self._paused_until = now + min(_LONGEST_PROBE_S, wait)
        self._left = 1
        if self._learning:
            if self._blind and self.limit is not None and not self._probes:
                self.limit = max(1, int(self.limit * (1 - 2 * _BLIND_STEP)))
            self._blind = True
        self._probes += 1

    # --- learning -----------------------------------------------------------------------------

    def _land(self, serial: int, now: float, hints: RateHints | None) -> None:
        self._in_flight -= 1
        if self.starting:
            self.starting = hints is None and self._serial - self._in_flight < _FIRST_REPLIES
        if self.per_s is not None:
            self._freed_at.append(now + self.per_s)
        if hints is not None:
            self._learn(serial, now, hints)
        if serial > self._newest_settled:
            self._newest_settled = serial

    def _free(self, now: float) -> None:
        freed = self._freed_at
        while freed and freed[0] <= now:
            freed.popleft()
            if self._left is not None:
                self._left += 1

    def _refill_at(self, now: float) -> float:
        """The server says that nothing is left, and not until when."""
        if self._freed_at:
            return self._freed_at[0]
        if self._in_flight:
            return math.inf
        # nothing of ours is counted any more, or the window is not known: one probe finds out
        self._left = 1
        self._paused_until = now + max(self.spacing_s, _FIRST_PROBE_S if self.per_s is None else 0.0)
        return self._paused_until

    def _learn(self, serial: int, now: float, hints: RateHints) -> None:
        self._probes = 0
        if hints.limit is not None:
            self._set_limit(hints.limit)
        if hints.window_s is not None and self._learning:
            self.per_s = hints.window_s
        if hints.remaining is None:
            return
        left = hints.remaining - self._in_flight  # those under way may not be counted yet
        if self._learning and hints.remaining + 1 > self._most_left:
            self._most_left = hints.remaining + 1
            if hints.limit is None:
                self._set_limit(max(self._most_left, self.limit or 0))
        if self._left is not None and serial < self._newest_settled:
            left = min(left, self._left)  # an answer that was overtaken knows less
        self._left = left
        if left <= 0 and hints.remaining == 0 and hints.reset_s is not None:
            self._learn_window(now + hints.reset_s)
            self._paused_until = max(self._paused_until, now + hints.reset_s)
            self._left = None

    def _learn_blind(self, now: float) -> None:
        """A good reply after a refusal without a word: so many requests went well in so long."""
        if self._refused and self._left is not None and self._left <= 0 and self._probes:
            self._probes = 0
            self._left = None
            if self.per_s is None:
                self.limit, self.per_s = max(1, self._good), now - self._first_sent
            self._good = 0
        elif self.limit is not None and self._good > _BLIND_WINDOWS * self.limit:
            self._good = 0
            self.limit += max(1, int(self.limit * _BLIND_STEP))

    def _set_limit(self, limit: int) -> None:
        self.limit = limit if self._cap is None else min(limit, self._cap)

    def _learn_window(self, resets_at: float) -> None:
        """The oldest of the last `limit` requests began the window, or leaves it then."""
        if self._learning and self._sent and self.limit is not None and len(self._sent) >= self.limit:
            seen = resets_at - self._sent[-self.limit]
            if self.per_s is None or seen > self.per_s:
                self.per_s = seen
                self._freed_at = deque(sent + seen for sent in self._sent if sent + seen > resets_at)


class Lane:
    """One watcher's place at a budget. While several are waiting, they take turns.

    Attributes:
        left: As `RateBudget.left`.
        ration_s: As `RateBudget.ration_s`.
        refuse: As `RateBudget.refuse`.
        served: Turns taken; a lane that was away starts level with the others.
        settle: As `RateBudget.settle`.
        size: How many watches stand in it, as the watcher said last; without those in flight.
    """

    __slots__ = ("__weakref__", "_budget", "left", "ration_s", "refuse", "served", "settle", "size", "suspend")

    def __init__(self, budget: RateBudget) -> None:
        self._budget = budget
        self.left: Final = budget.left
        self.ration_s: Final = budget.ration_s
        self.settle: Final = budget.settle
        self.refuse: Final = budget.refuse
        self.suspend: Final = budget.suspend
        self.served = 0.0
        self.size = 0

    def leave(self) -> None:
        """Nobody stands in it any more, and nobody is to wait for its turn."""
        self.size = 0
        self._budget._hungry.pop(self, None)  # noqa: SLF001  # a lane is a part of its budget

    @property
    def others(self) -> int:
        """How many watches stand in the other lanes of this budget."""
        lanes = self._budget._lanes  # noqa: SLF001
        return 0 if len(lanes) == 1 else sum(lane.size for lane in lanes) - self.size

    def free_at(self, now: float, *, waiting: int = 1) -> float:
        """As `RateBudget.free_at`, but after the others' turns."""
        budget = self._budget
        hungry = budget._hungry  # noqa: SLF001
        at = budget.free_at(now, waiting=waiting)
        if at > now:
            if self not in hungry:
                self.served = max([self.served, *(lane.served for lane in hungry)])
            hungry[self] = (at if at < math.inf else now) + _patience(budget)
            return at
        return self._turn_at(now) if hungry else now

    def _turn_at(self, now: float) -> float:
        """When it is this lane's turn, as far as others want theirs first."""
        budget, hungry = self._budget, self._budget._hungry  # noqa: SLF001
        for lane, until in list(hungry.items()):
            if until < now:
                del hungry[lane]
            elif lane is not self and lane.served < self.served:
                hungry[self] = now + _patience(budget)
                return now + _patience(budget) / 4
        return now

    @property
    def spacing_s(self) -> float:
        """As `RateBudget.spacing_s`."""
        return self._budget.spacing_s

    @property
    def starting(self) -> bool:
        """As `RateBudget.starting`."""
        return self._budget.starting

    def take(self, now: float) -> int:
        """As `RateBudget.take`."""
        budget = self._budget
        if budget._hungry:  # noqa: SLF001
            budget._hungry.pop(self, None)  # noqa: SLF001
        self.served += 1
        return budget.take(now)


def _patience(budget: RateBudget) -> float:
    """How long a turn is kept for a lane that is slow to take it, in seconds."""
    return min(0.1, max(0.01, budget.spacing_s))
