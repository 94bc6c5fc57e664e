"""Whose turn it is: the agenda's order, the budget's leave and the forecast's worth, put together.

Rule 1: without pressure a watch is asked when it is due, and the budget is asked for nothing but leave. One exception
is rule 3.
Rule 2: under pressure the budget is spent where a poll is worth most, and all of it is spent. A watch that was
asked is not due again before it is worth half of what polls are worth now: so most of those who wait, wait cheaply.
Rule 3: while nothing is known of when the jobs end, what is left of the budget is rationed: else some tens of watches
would have spent it in their first seconds, and nobody could be asked for the rest of the window.
Rule 4: nobody starves. Whose job may have been over for about as long as a round of all watches at the full rate takes
goes first; and after a few rounds anybody does, however sure the forecast is that the job still runs.
Rule 5: only who is really held back is told so, once for each holding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar

from pollwise.core.forecast import LEVELS_TO_DOUBLE, Forecast, level_of, worth_of
from pollwise.core.machine import WatchMachine
from pollwise.core.rate_budget import Share
from pollwise.core.ready_queue import ReadyQueue
from pollwise.core.watch_state import DueReason

__all__ = ["Scheduler"]

_TOP_LEVEL = 1_000
_NEVER_S = 1e12  # nobody rises from the top; who has been silent for longest goes first there
_LAST_LEVEL = 900  # one last poll before the deadline goes before everything but those who starve
_PATIENCE = 0.9  # so many rounds of all watches may a job be over and not be asked
_PATIENCE_WITH_PROGRESS = 1.38  # who says how far it is may wait a little longer: there are few surprises
_MOST_PATIENCE = 3.3  # so many rounds may anybody be silent
_RISE = 0.12  # a watch is ranked anew after this share more silence at the soonest: about one level
_RISES_A_ROUND = 12  # or so often in a round, for the sake of those who come to starve
_SURE = 1.03  # so much later the level is reached, for all that the tables of silences are rounded
_LEAST_RISE_S = 0.05
_PRICE_MEMORY = 0.02


class Watching(Hashable, Protocol):
    """Anything that follows a job with a machine."""

    @property
    def machine(self) -> WatchMachine[Any, Any]:
        """What is known of the watch."""
        ...


W = TypeVar("W", bound=Watching)

_deadline: Callable[[Watching], float] = attrgetter("machine.deadline")
_is_new: Callable[[Watching], bool] = attrgetter("machine.is_new")


class Scheduler(Generic[W]):
    """Hands out the watches of one watcher, each when it is its turn.

    Args:
        forecast: What is known about when jobs end.
        share: The watcher's place at its budget, or None for no limit.
        on_held: Called with a watch that the budget holds back, the time, and the time at which one may go.
    """

    __slots__ = ("_forecast", "_low", "_on_held", "_others", "_price", "_queue", "_share")

    def __init__(self, forecast: Forecast, share: Share | None, on_held: Callable[[W, float, float], None]) -> None:
        self._forecast = forecast
        self._share = share
        self._on_held = on_held
        self._queue: ReadyQueue[W] = self._empty()
        self._others = 0  # watches of other watchers that use the budget, as far as it has been looked at
        self._price = 0.0  # the worth at which polls go now; 0 without pressure
        self._low = level_of(0.0)  # the level of half of it

    @property
    def next_at(self) -> float:
        """When something falls due or expires next; infinite for never."""
        return min(self._queue.next_at, self._queue.next_expiry)

    @property
    def held(self) -> int:
        """How many watches are due and not handed out."""
        return self._queue.held

    def put(self, watch: W, now: float) -> float:
        """Ask this watch when it is due. Returns that time, which is rounded up a little."""
        machine = watch.machine
        due_at, deadline = machine.due_at, machine.deadline
        if now < due_at < deadline and machine.due_reason is not DueReason.GIVEN:
            later_at = self._later_at(machine, now)
            if later_at > due_at and machine.last_poll_at > due_at:
                due_at = min(later_at, machine.last_poll_at)
                if self._price > 0.0:
                    self._announce(watch, now, due_at)
        due_at = self._queue.put(watch, due_at, now, exact=due_at >= deadline)
        machine.defer(due_at)
        return due_at

    def ripen(self, now: float) -> None:
        """Let everything that is due by now have its turn, and see who else uses the budget."""
        self._queue.ripen(now)
        share = self._share
        if share is not None:
            share.size = self._queue.size
            self._others = share.others

    def next(self, now: float) -> tuple[W, int] | float:
        """The watch whose turn it is, with the number of its request at the budget.

        Otherwise the time at which to ask again, infinite where that depends on something else happening. A watch
        that is over or past its deadline comes with the number -1 and is not to be asked.
        """
        queue = self._queue
        queue.ripen(now)
        while queue.held:
            share = self._share
            if share is not None:
                available_at = share.available_at(now, waiting=queue.held)
                if available_at > now:
                    # at the start it is a matter of a moment: no reason to rank, and nothing to tell
                    return available_at if share.starting else self._hold(now, available_at)
            # a pause without a known rate is no pressure: polls are worth no more after it
            ranked = queue.ranked > 0 and (share is None or share.spacing_s > 0.0)
            watch = queue.pop(now)
            if watch is None:
                break
            machine = watch.machine
            if machine.outcome is not None or machine.deadline <= now:
                return watch, -1
            if ranked or self._price > 0.0:
                self._learn_price(machine, now, ranked=ranked)
            return watch, 0 if share is None else share.acquire(now)
        return math.inf

    def expired(self, now: float) -> list[W]:
        """Those that are due and past their deadline: they are not to be asked any more."""
        return self._queue.expired(now)

    def clear(self) -> None:
        """Let go of every watch."""
        self._queue = self._empty()
        if self._share is not None:
            self._share.leave()

    def _empty(self) -> ReadyQueue[W]:
        return ReadyQueue(self._rank, _deadline, _is_new)

    def _later_at(self, machine: WatchMachine[Any, Any], now: float) -> float:
        """Until when the budget has better use for a request, as far as it can be said before there is none left."""
        if self._price > 0.0:
            age = machine.seen_at - machine.started_at
            return machine.seen_at + self._forecast.silence_s(self._low, age, machine.eta_s(), self._round_s())
        if (
            self._share is not None
            and machine.due_reason is DueReason.BLIND
            and not self._forecast.tells(machine.eta_s())
        ):
            return now + self._share.ration_s(now, self._others + self._queue.size + 1)
        return now

    def _hold(self, now: float, available_at: float) -> float:
        all_ranked = self._queue.hold(now)
        for watch in self._queue.newly_held():
            self._announce(watch, now, available_at)
        return available_at if all_ranked and not self._queue.unannounced else now

    def _announce(self, watch: W, now: float, available_at: float) -> None:
        if watch.machine.mark_throttled():
            self._on_held(watch, now, available_at)

    def _round_s(self) -> float:
        spacing = 0.0 if self._share is None else self._share.spacing_s
        return (self._others + self._queue.size) * spacing if spacing else math.inf

    def _learn_price(self, machine: WatchMachine[Any, Any], now: float, *, ranked: bool) -> None:
        if ranked:
            eta_s = machine.eta_s()
            worth = self._forecast.worth(now - machine.seen_at, machine.seen_at - machine.started_at, eta_s)
            self._price += _PRICE_MEMORY * (min(worth, 4 * self._price + 1.0) - self._price)
        else:
            self._price *= 1.0 - 4 * _PRICE_MEMORY
            if self._price < worth_of(-8 * LEVELS_TO_DOUBLE):
                self._price = 0.0
        self._low = level_of(self._price) - LEVELS_TO_DOUBLE

    def _rank(self, watch: W, now: float) -> tuple[int, float]:
        machine = watch.machine
        if machine.outcome is not None:
            return _TOP_LEVEL, _NEVER_S
        if now >= machine.last_poll_at:
            return _LAST_LEVEL, math.inf
        since, eta_s = machine.seen_at, machine.eta_s()
        silent, age = now - since, since - machine.started_at
        round_s = self._round_s()
        patience = (_PATIENCE if eta_s is None else _PATIENCE_WITH_PROGRESS) * round_s
        forecast = self._forecast
        if silent > patience and (
            silent >= _MOST_PATIENCE * round_s or forecast.may_be_over(silent, age, eta_s, patience)
        ):
            return _TOP_LEVEL, _NEVER_S + since
        level = level_of(forecast.worth(silent, age, eta_s))
        # below the price nobody goes as things are: who waits there is ranked again when the price is reached
        rises = forecast.silence_s(max(level + 1, self._low + LEVELS_TO_DOUBLE), age, eta_s, patience)
        soonest = silent + max(_LEAST_RISE_S, min(_RISE * silent, round_s / _RISES_A_ROUND))
        return level, min(since + max(_SURE * rises, soonest), machine.last_poll_at)
