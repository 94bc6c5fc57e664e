"""What the driver does next: send a poll, expire a watch, or sleep.

Rule 1: without pressure a watch is asked when it is due, and the rate budget only has to grant the permit. Rule 3 is the
one exception.
Rule 2: under pressure the budget is spent where a poll is worth most, and all of it is spent. A watch that was asked is
not due again before a poll of it is worth half of what polls are worth now. So most watches wait in the timer queue.
Rule 3: while nothing is known about when the jobs end, the rest of the budget is rationed. Otherwise some tens of watches
would spend it in their first seconds, and no watch could be asked for the rest of the window.
Rule 4: no watch starves. A watch goes first if its job may have been over for about one round, which is how long all
watches take at the full rate. After a few rounds of silence every watch goes first, whatever the forecast says.
Rule 5: a watch is reported as throttled only if the budget really holds it back, and once for each poll.
Rule 6: the concurrency limiter is asked only while watches wait for it, or while it allows less than the most.
Rule 7: no watch is sent at or after its deadline. A watch that is due then is expired, once.
Rule 8: a watch whose host fails for every watch waits for the host (`host_health.py`). One at a time is sent as a probe.
While the host is down, a watch that is due takes the failure of the last probe, and needs no permit.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Hashable
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from pollwise.core.concurrency_limiter import ConcurrencyLimiter
from pollwise.core.forecast import LEVELS_TO_DOUBLE, Forecast, level_of, worth_of
from pollwise.core.host_health import HostHealth, HostState, WatchedHosts
from pollwise.core.host_queue import HostQueue
from pollwise.core.machine import WatchMachine
from pollwise.core.ready_queue import ReadyQueue
from pollwise.core.token_budget import TokenBudget
from pollwise.core.watch_state import DueReason
from pollwise.errors import PollError

__all__ = ["Action", "Expire", "Fail", "Scheduler", "Send", "SleepUntil"]

_TOP_LEVEL = 1_000  # watches that starve, and watches that are over
_NEVER_S = 1e12  # no watch rises from the top level; there the longest silence goes first
_LAST_LEVEL = 900  # the last poll before a deadline goes before all watches but those that starve
_PATIENCE = 0.9  # rounds that a job may be over before its watch is asked
_PATIENCE_WITH_PROGRESS = 1.38  # the same for a job that reports its progress: its end is rarely a surprise
_MOST_PATIENCE = 3.3  # max silence, in rounds
_RISE = 0.12  # share by which the silence grows before a watch is ranked again: about one level
_RISES_A_ROUND = 12  # ranks of one watch in a round at least, so that a watch that starves is noticed
_SURE = 1.03  # 3 % margin on the time of the next level, because the tables of silences are rounded
_LEAST_RISE_S = 0.05  # shortest time between two ranks of one watch
_PRICE_MEMORY = 0.02  # weight of the newest poll in the price
_RECHECK_S = 1.0  # longest sleep while watches are held back: another watcher's replies may free the budget
_MOST_AT_ONCE = 100  # watches of failing hosts between two sleeps: the event loop runs in between
_RELEASE_AGAIN_S = 1 / 64  # between two looks whether more watches of a host that returns may go


class Watching(Hashable, Protocol):
    """Anything that follows a job with a machine."""

    @property
    def machine(self) -> WatchMachine[Any, Any]:
        """The state of the watch."""
        ...


W = TypeVar("W", bound=Watching)

_deadline: Callable[[Watching], float] = attrgetter("machine.deadline")
_is_new: Callable[[Watching], bool] = attrgetter("machine.is_new")


class Send(Generic[W]):
    """Poll this watch now. It counts as in flight.

    Attributes:
        permit: The permit from the budget, to be released with the reply; 0 without a budget.
        watch: The watch.
    """

    __slots__ = ("permit", "watch")

    permit: int
    watch: W


class Expire(Generic[W]):
    """This watch is past its deadline and was not asked in time.

    Attributes:
        watch: The watch. It has left the queues.
    """

    __slots__ = ("watch",)

    watch: W


class Fail(Generic[W]):
    """The host of this watch is down: its poll fails without a request. Then put it again.

    Attributes:
        down_since: When its host began to fail, in monotonic seconds.
        error: The error of the last probe.
        watch: The watch. It has left the queues.
    """

    __slots__ = ("down_since", "error", "watch")

    down_since: float
    error: PollError
    watch: W


class SleepUntil:
    """There is nothing to do before this time, unless a watch is put or a reply comes.

    Attributes:
        at: Monotonic seconds; infinite for never. If it is not after `now`, there is more work of the kind that is bounded
            at a time: let the event loop run, and ask again.
    """

    __slots__ = ("at",)

    at: float


Action: TypeAlias = Send[W] | Expire[W] | Fail[W] | SleepUntil
"""What the driver does next."""


class Scheduler(Generic[W]):
    """Decides for the watches of one watcher which is asked next, and when.

    Args:
        forecast: What is known about when jobs end.
        budget: The token's rate budget, or None for no limit.
        limiter: How many polls may be in flight.
        cpu_s: Returns the processor time of the event loop's thread so far, in seconds.
        on_throttled: Called with a watch that the budget holds back, the time, and the time at which one may go.
        hosts: The hosts of the watches, or None to watch none.

    Attributes:
        in_flight: Polls that were sent and are not finished. `next_action` adds one for each `Send`; the driver says when
            they are fewer.
    """

    __slots__ = (
        "_asleep",
        "_budget",
        "_cpu_s",
        "_expire",
        "_fail",
        "_forecast",
        "_host_queues",
        "_hosts",
        "_hosts_at",
        "_late",
        "_limiter",
        "_looked_for_late",
        "_low",
        "_on_throttled",
        "_others",
        "_price",
        "_queue",
        "_send",
        "_share",
        "_sleep",
        "_steps",
        "_troubled",
        "in_flight",
    )

    def __init__(
        self,
        forecast: Forecast,
        budget: TokenBudget | None,
        limiter: ConcurrencyLimiter,
        *,
        cpu_s: Callable[[], float],
        on_throttled: Callable[[W, float, float], None],
        hosts: WatchedHosts[Any] | None = None,
    ) -> None:
        self._forecast = forecast
        self._budget = budget
        self._share = None if budget is None else budget.share()
        self._limiter = limiter
        self._cpu_s = cpu_s
        self._on_throttled = on_throttled
        self._queue = self._empty_queue()
        self._asleep = True  # the last action was `SleepUntil`
        self._late: deque[W] = deque()  # expired, to be returned by `next_action`
        self._looked_for_late = False  # since the last `SleepUntil`
        self._others = 0  # watches of other watchers that use the budget, at the last look
        self._price = 0.0  # the worth of the polls that are sent now; 0 without pressure
        self._low = level_of(0.0) - LEVELS_TO_DOUBLE  # the level of half of it
        self._send: Send[W] = Send()
        self._hosts = hosts
        self._troubled = {} if hosts is None else hosts.troubled
        self._host_queues: dict[HostHealth, HostQueue[W]] = {}  # of the hosts for which watches wait
        self._hosts_at = math.inf  # when to look at these queues again
        self._steps = _MOST_AT_ONCE  # watches of failing hosts that may be dealt with before the next sleep
        self._fail: Fail[W] = Fail()
        self._expire: Expire[W] = Expire()
        self._sleep = SleepUntil()
        self.in_flight = 0

    @property
    def held(self) -> int:
        """How many watches are due and not sent."""
        return self._queue.held

    def put(self, watch: W, now: float) -> float:
        """Ask this watch when it is due. Returns that time, which is rounded up a little."""
        machine = watch.machine
        due_at, deadline = machine.due_at, machine.deadline
        if self._troubled and (host := self._failing_host(watch)) is not None:
            self._wait_for(host, watch, due_at, now)
            return due_at
        if now < due_at and machine.due_reason is not DueReason.GIVEN:
            later_at = self._later_at(machine, now)
            if later_at > due_at and machine.last_poll_at > due_at:
                due_at = min(later_at, machine.last_poll_at)
                if self._price > 0.0:
                    self._report_throttled(watch, now, due_at)
        due_at = self._queue.put(watch, due_at, now, exact=due_at >= deadline)
        machine.defer(due_at)
        return due_at

    def hasten(self, watch: W, now: float) -> bool:
        """Ask this watch soon, because its job has probably changed. False if it is not waiting, or is due as soon."""
        machine = watch.machine
        due_at = machine.due_at
        machine.expect_change(now)
        hastened = machine.due_at < due_at and self._queue.remove(watch, due_at)
        if hastened:
            self.put(watch, now)
        return hastened

    def requeue(self, now: float) -> None:
        """Put every watch anew, because deadlines have changed. Those that are being asked are in no queue."""
        watches, self._queue = self._queue.items(), self._empty_queue()
        for waiting in self._host_queues.values():
            watches += waiting.items()
            waiting.clear()
        for watch in watches:
            self.put(watch, now)

    def next_action(  # noqa: C901, PLR0911, PLR0912  # the one road of every poll: a call for each part of it would cost a hundredth
        self, now: float
    ) -> Action[W]:
        """What to do now. The returned value is reused: it is valid until the next call."""
        queue, budget = self._queue, self._budget
        if queue.next_at <= now:
            queue.ripen(now)
        if self._asleep:
            self._wake()
        if self._host_queues and (action := self._look_at_hosts(now)) is not None:
            return action
        while queue.held and self.in_flight < self._limiter.limit:
            if budget is not None:
                available_at = self._available_at(budget, now)
                if available_at > now:
                    return self._idle(self._hold_until(available_at, now), now)
            # a pause without a known rate is no pressure: polls are worth no more after it
            ranked = queue.ranked > 0 and (budget is None or budget.spacing_s > 0.0)
            watch = queue.pop(now)
            if watch is None:
                break
            machine = watch.machine
            if machine.outcome is not None:
                continue
            if machine.deadline <= now:
                self._expire.watch = watch
                return self._expire
            if self._troubled and (host := self._failing_host(watch)) is not None:
                if (action := self._try(host, watch, now)) is not None:
                    return action
                self._steps -= 1
                if self._steps <= 0:
                    return self._idle(now, now)
                continue
            if ranked or self._price > 0.0:
                self._learn_price(machine, now, ranked=ranked)
            self.in_flight += 1
            self._send.watch = watch
            self._send.permit = 0 if budget is None else self._acquire(budget, now)
            return self._send
        return self._idle(math.inf, now)

    def clear(self) -> None:
        """Forget every watch."""
        self._queue = self._empty_queue()
        self._late.clear()
        for waiting in self._host_queues.values():
            waiting.clear()
        self._host_queues.clear()
        self._hosts_at = math.inf
        if self._share is not None:
            self._share.leave()

    def _empty_queue(self) -> ReadyQueue[W]:
        return ReadyQueue(self._rank, _deadline, _is_new)

    def _wake(self) -> None:
        """The first step after a sleep: see how many watches use the budget."""
        self._asleep = False
        self._steps = _MOST_AT_ONCE
        share = self._share
        if share is not None:
            share.size = self._queue.size
            if self._host_queues:
                share.size += sum(waiting.size for waiting in self._host_queues.values())
            self._others = share.others if len(share.all) > 1 else 0

    # --- permits ------------------------------------------------------------------------------

    def _available_at(self, budget: TokenBudget, now: float) -> float:
        """When this watcher may have the next permit: a time that has come, or when to ask again."""
        share = self._share
        at = budget.available_at(now, waiting=self._queue.held)
        return share.wait(at, now) if share is not None and (at > now or share.waiters) else at

    def _sent(self, watch: W, now: float) -> Send[W]:
        self.in_flight += 1
        self._send.watch = watch
        self._send.permit = 0 if self._budget is None else self._acquire(self._budget, now)
        return self._send

    def _acquire(self, budget: TokenBudget, now: float) -> int:
        share = self._share
        if share is not None:
            share.served += 1
            if share.waiters:
                share.stop_waiting()
        return budget.acquire(now)

    def _hold_until(self, available_at: float, now: float) -> float:
        """The budget holds back what is due: rank it and report it, a bounded number at a time."""
        until, queue = min(available_at, now + _RECHECK_S), self._queue
        if self._budget is not None:
            if now >= self._budget.closes_at:
                return math.inf  # the driver asks again when the time is moved
            if self._budget.starting:
                return until  # replies end the slow start in a moment: no reason to rank or to report
        all_ranked = queue.hold(now)
        for watch in queue.newly_held():
            self._report_throttled(watch, now, available_at)
        return until if all_ranked and not queue.unannounced else now

    def _report_throttled(self, watch: W, now: float, available_at: float) -> None:
        if watch.machine.mark_throttled():
            self._on_throttled(watch, now, available_at)

    # --- hosts that fail ----------------------------------------------------------------------

    def _failing_host(self, watch: W) -> HostHealth | None:
        """The host that this watch has to wait for, or None."""
        host = None if self._hosts is None else self._hosts.of(watch.machine)
        return host if host is not None and host.is_closed else None

    def _wait_for(self, host: HostHealth, watch: W, at: float, now: float) -> None:
        """Let the watch wait for its host until then at most, and no longer than until a poll of it decides something."""
        waiting = self._host_queues.get(host)
        if waiting is None:
            waiting = self._host_queues[host] = HostQueue(host)
        machine = watch.machine
        latest = machine.decides_at if machine.decides_at > now else machine.deadline
        waiting.put(watch, min(at, latest), now, latest=latest)
        if waiting.next_at < self._hosts_at:
            self._hosts_at = waiting.next_at
        if host.probe_at < self._hosts_at:
            self._hosts_at = host.probe_at

    def _look_at_hosts(self, now: float) -> Action[W] | None:
        """Deal with the watches that wait for their hosts. None if the others are next."""
        self._hosts_at = math.inf
        for waiting in list(self._host_queues.values()):
            if not waiting.host.is_closed:
                self._release(waiting, now)
            elif (action := self._probe(waiting, now)) is not None:
                self._hosts_at = now
                return action
            if not waiting.size:
                del self._host_queues[waiting.host]
        if self._share is not None and len(self._share.all) > 1 and self._host_queues:
            self._hosts_at = min(self._hosts_at, now + _RECHECK_S)  # another watcher may have the answer
        return None

    def _probe(self, waiting: HostQueue[W], now: float) -> Action[W] | None:
        """Deal with the watches whose time has come, and send a probe if it is time."""
        host, again_at = waiting.host, math.inf
        while self._steps > 0:
            watch = waiting.take(now)
            if watch is None and host.probe_at <= now:
                again_at = self._next_permit_at(now)
                if again_at <= now:
                    watch = waiting.take(math.inf)
            if watch is None:
                break
            self._steps -= 1
            action = self._try(host, watch, now)
            if action is not None:
                return action
        else:
            again_at = now
        if host.probe_at > now:
            again_at = min(again_at, host.probe_at)
        if waiting.size:
            self._hosts_at = min(self._hosts_at, again_at, waiting.next_at)
        return None

    def _release(self, waiting: HostQueue[W], now: float) -> None:
        """The host has answered: what waited for it is due."""
        while waiting.host.may_release(now):
            watch = waiting.take(math.inf) if self._steps > 0 else None
            if watch is None:
                break
            self._steps -= 1
            if watch.machine.outcome is None:
                waiting.host.on_release()
                watch.machine.on_host_answer(now)
                self._queue.put(watch, now, now)
        if waiting.size:
            self._hosts_at = min(self._hosts_at, now if self._steps <= 0 else now + _RELEASE_AGAIN_S)

    def _try(self, host: HostHealth, watch: W, now: float) -> Action[W] | None:
        """This watch is due, and its host fails: send it as a probe, let its poll fail, or let it wait."""
        machine = watch.machine
        if machine.outcome is not None:
            return None
        if machine.deadline <= now:
            self._expire.watch = watch
            return self._expire
        decides = now >= machine.decides_at
        again_at = host.again_at(now, decides=decides)
        if host.may_probe(now, decides=decides):
            again_at = self._next_permit_at(now)
            if again_at <= now:
                host.on_probe(id(machine), now)
                machine.ask_now(now)
                return self._sent(watch, now)
        elif (
            host.error is not None
            and (host.is_fresh(now) if decides else host.state is HostState.DOWN)
            and (host.failed_at > machine.failed_at or now >= machine.outage_ends_at)
        ):
            fail = self._fail
            fail.watch, fail.error, fail.down_since = watch, host.error, host.since
            return fail
        self._wait_for(host, watch, max(again_at, now + _RELEASE_AGAIN_S), now)
        return None

    def _next_permit_at(self, now: float) -> float:
        """When a probe may go, as far as the budget and the concurrency limit say: a time that has come, or when to look."""
        if self.in_flight >= self._limiter.limit:
            return now + _RECHECK_S
        return now if self._budget is None else min(self._available_at(self._budget, now), now + _RECHECK_S)

    # --- nothing to send ----------------------------------------------------------------------

    def _idle(self, wake_at: float, now: float) -> Action[W]:
        """No watch may be sent now: expire late watches, look at the concurrency limit, and sleep."""
        queue, limiter = self._queue, self._limiter
        limited = queue.held > 0 and self.in_flight >= limiter.limit
        if now >= limiter.look_at and (limited or limiter.limit < limiter.most):
            before = limiter.limit
            limiter.look(now, self._cpu_s(), waiting=limited)
            if limiter.limit > before:
                return self.next_action(now)
        if (self._late or queue.next_expiry <= now) and self._find_late(now):
            return self._expire
        self._looked_for_late = False
        if limiter.limit < limiter.most and limiter.look_at < wake_at:
            wake_at = limiter.look_at  # perhaps no reply comes until then
        self._asleep = True
        self._send.watch = self._expire.watch = self._fail.watch = None  # type: ignore[assignment]  # to keep no watch alive
        self._sleep.at = min(wake_at, queue.next_at, queue.next_expiry, self._hosts_at)
        return self._sleep

    def _find_late(self, now: float) -> bool:
        """Whether a watch is past its deadline, which is then in `_expire`. Looks into the queue once before each sleep."""
        if not self._looked_for_late:
            self._looked_for_late = True
            self._late.extend(self._queue.expired(now))
        while self._late:
            watch = self._late.popleft()
            if watch.machine.outcome is None:
                self._expire.watch = watch
                return True
        return False

    # --- when a poll is worth it --------------------------------------------------------------

    def _later_at(self, machine: WatchMachine[Any, Any], now: float) -> float:
        """Until when other watches have better use for a request; `now` if none has."""
        if self._price > 0.0:
            age = machine.seen_at - machine.started_at
            return machine.seen_at + self._forecast.silence_s(self._low, age, machine.eta_s(), self._round_s())
        if self._budget is not None and machine.due_reason is DueReason.BLIND:
            ration_s = self._budget.ration_s(now, self._others + self._queue.size + 1)
            if ration_s > 0.0 and not self._forecast.has_evidence(machine.eta_s()):
                return now + ration_s
        return now

    def _round_s(self) -> float:
        """How long one poll of every watch takes at the full rate; infinite while the rate is not known."""
        spacing = 0.0 if self._budget is None else self._budget.spacing_s
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
        """The level of a watch that is held back, and when it may rise to a higher level."""
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
        # no watch is sent below the price: one that waits there is ranked again when it may have reached the price
        rises = forecast.silence_s(max(level + 1, self._low + LEVELS_TO_DOUBLE), age, eta_s, patience)
        soonest = silent + max(_LEAST_RISE_S, min(_RISE * silent, round_s / _RISES_A_ROUND))
        return level, min(since + max(_SURE * rises, soonest), machine.last_poll_at)
