"""The scheduler alone, driven by any watches, replies and stops, in virtual time: what holds after each action."""

from __future__ import annotations

import math
from collections import Counter
from heapq import heappop, heappush

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from pollwise.core.concurrency_limiter import ConcurrencyLimiter
from pollwise.core.machine import WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.core.scheduler import Expire, Scheduler, Send, SleepUntil
from pollwise.core.token_budget import TokenBudget
from pollwise.core.watch_state import StepResult
from pollwise.errors import WatchStopped
from pollwise.model.reading import Phase, Reading

UNTIL = 100.0
MOST_STEPS = 20_000


class Following:
    """A watch as the core sees it."""

    def __init__(self, machine: WatchMachine[int, float]) -> None:
        self.machine = machine


@attrs.frozen
class Plan:
    """One watch: when it begins, how long it may take, when its job ends, how slow its replies are, and when it is stopped."""

    begins_at: float
    timeout_s: float | None
    ends_at: float
    latency_s: float
    stopped_at: float


PLANS = st.builds(
    Plan,
    begins_at=st.sampled_from([0.0, 0.0, 0.5, 20.0, 61.3]),
    timeout_s=st.none() | st.floats(0.1, 150.0),
    ends_at=st.floats(0.0, 400.0),
    latency_s=st.sampled_from([0.0, 0.02, 0.7, 8.0]),
    stopped_at=st.sampled_from([math.inf, math.inf, 0.0, 33.0, 90.0]),
)
BUDGETS = st.none() | st.tuples(st.integers(1, 30), st.sampled_from([0.5, 10.0, 60.0]))


class World:
    """Drives a scheduler as a dispatcher does, and checks each action."""

    def __init__(self, plans: list[Plan], limit: tuple[int, float] | None, concurrency: int) -> None:
        self.limit = limit
        self.concurrency = concurrency
        self.budget = TokenBudget() if limit is None else TokenBudget(limit[0], per_s=limit[1])
        self.rules = Policy(pacing=Pacing(), retry=Retry(), timeout_s=None)
        self.scheduler: Scheduler[Following] = Scheduler(
            self.rules.forecast,
            self.budget,
            ConcurrencyLimiter(concurrency),
            cpu_s=lambda: 0.0,
            on_throttled=lambda _watch, now, at: self.throttled.append((now, at)),
        )
        self.throttled: list[tuple[float, float]] = []
        self.events: list[tuple[float, int, str, int]] = []  # time, order, what, and which plan
        self.plans = plans
        self.watches: dict[int, Following] = {}
        self.permits: dict[int, int] = {}
        self.sent: list[float] = []
        self.in_flight: set[int] = set()
        self.expired: Counter[int] = Counter()
        self.now = 0.0
        for n, plan in enumerate(plans):
            self._plan(plan.begins_at, "begin", n)
            self._plan(plan.stopped_at, "stop", n)

    def _plan(self, at: float, what: str, n: int) -> None:
        if at < math.inf:
            heappush(self.events, (at, len(self.events), what, n))

    def run(self) -> None:
        """Until the end of time."""
        for _ in range(MOST_STEPS):
            while self.events and self.events[0][0] <= self.now:
                _, _, what, n = heappop(self.events)
                getattr(self, what)(n)
            wake_at = self._obey()
            event_at = self.events[0][0] if self.events else math.inf
            self._nothing_can_be_done_before(min(wake_at, event_at))
            next_at = min(max(wake_at, math.nextafter(self.now, math.inf)), event_at)
            if next_at > UNTIL:
                return
            self.now = next_at
        raise AssertionError("the scheduler lets the driver spin")

    def _obey(self) -> float:
        while not isinstance(action := self.scheduler.next_action(self.now), SleepUntil):
            watch = action.watch
            job = watch.machine.job
            assert watch.machine.outcome is None, "a watch that is over is asked or expired"
            if isinstance(action, Expire):
                assert self.now >= watch.machine.deadline
                self.expired[job] += 1
                watch.machine.on_deadline(now=self.now)
            else:
                self._send(action, watch, job)
        return action.at

    def _send(self, action: Send[Following], watch: Following, job: int) -> None:
        assert self.now < watch.machine.deadline, "a watch is sent at or after its deadline"
        assert self.now >= watch.machine.due_at, "a watch is sent before it is due"
        assert job not in self.in_flight
        watch.machine.asked(self.now)
        self.sent.append(self.now)
        self.in_flight.add(job)
        assert len(self.in_flight) <= self.concurrency
        self.permits[job] = action.permit
        self._plan(self.now + self.plans[job].latency_s, "reply", job)

    def _nothing_can_be_done_before(self, at: float) -> None:
        """Waking up earlier than the scheduler says is of no use.

        One exception: while the budget spreads requests evenly, a place that is freed may let one go a little earlier.
        """
        spread = self.limit is not None and self.scheduler._queue.held
        if self.now < at < math.inf and not spread:
            early = self.now + (at - self.now) / 2
            if self.now < early < at:
                assert isinstance(self.scheduler.next_action(early), SleepUntil)

    def begin(self, n: int) -> None:
        rules = attrs.evolve(self.rules, timeout_s=self.plans[n].timeout_s)
        self.watches[n] = Following(WatchMachine(n, rules, now=self.now))
        self.scheduler.put(self.watches[n], self.now)

    def stop(self, n: int) -> None:
        if n in self.watches:
            self.watches[n].machine.on_stop(WatchStopped(n), now=self.now)

    def reply(self, n: int) -> None:
        self.in_flight.remove(n)
        self.scheduler.in_flight -= 1
        self.budget.release(self.permits.pop(n), self.now)
        watch, over = self.watches[n], self.plans[n].ends_at <= self.now
        machine = watch.machine
        if machine.deadline <= self.now:
            machine.on_deadline(now=self.now)
        phase = Phase.SUCCEEDED if over else Phase.RUNNING
        step = machine.on_reading(Reading(status=self.now, phase=phase, final=over), now=self.now, dice=0.5)
        if step is not StepResult.OVER and machine.outcome is None:
            self.scheduler.put(watch, self.now)


@settings(max_examples=100, deadline=None)
@given(st.lists(PLANS, min_size=1, max_size=20), BUDGETS, st.integers(1, 50))
def test_each_action_is_allowed_and_nothing_is_lost(
    plans: list[Plan], limit: tuple[int, float] | None, concurrency: int
) -> None:
    """No request too many or too late, no second expiry, no sleep too long, and no watch forgotten."""
    world = World(plans, limit, concurrency)
    world.run()
    if limit is not None:
        most, per_s = limit
        for first, beyond in zip(world.sent, world.sent[most:], strict=False):
            assert beyond - first >= per_s * (1 - 1e-9), "more permits than the budget has"
    assert all(times == 1 for times in world.expired.values())
    for n, watch in world.watches.items():
        machine = watch.machine
        if machine.outcome is None and n not in world.in_flight:
            assert machine.deadline >= UNTIL - 1 / 16, "a watch was forgotten"
    open_count = sum(1 for n, watch in world.watches.items() if watch.machine.outcome is None)
    queued = world.scheduler._queue.size
    assert queued >= open_count - len(world.in_flight)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.integers(1, 20))
def test_watches_are_sent_again_and_again_until_their_deadlines(watches: int, concurrency: int) -> None:
    """Without a budget each watch is polled by its own pace, and expires once."""
    plan = Plan(begins_at=0.0, timeout_s=90.0, ends_at=math.inf, latency_s=0.02, stopped_at=math.inf)
    world = World([plan] * watches, None, concurrency)
    world.run()
    assert all(watch.machine.polls >= 5 for watch in world.watches.values())
    assert all(watch.machine.outcome is not None for watch in world.watches.values())
    assert not world.in_flight


def test_the_returned_values_are_reused_and_keep_no_watch_alive() -> None:
    """They are valid until the next call, and hold nothing while the scheduler sleeps."""
    plan = Plan(begins_at=0.0, timeout_s=None, ends_at=math.inf, latency_s=1.0, stopped_at=math.inf)
    world = World([plan] * 2, (10, 1.0), 10)
    for n in range(2):
        world.begin(n)
    first = world.scheduler.next_action(0.0)
    assert isinstance(first, Send)
    watch, permit = first.watch, first.permit
    second = world.scheduler.next_action(0.0)
    assert second is first
    assert isinstance(second, Send)
    assert (second.watch, second.permit) != (watch, permit)
    assert isinstance(world.scheduler.next_action(0.0), SleepUntil)
    assert first.watch is None


def test_waiting_for_the_concurrency_limit_is_no_throttling() -> None:
    """The budget holds no watch back then."""
    plan = Plan(begins_at=0.0, timeout_s=None, ends_at=math.inf, latency_s=8.0, stopped_at=math.inf)
    world = World([plan] * 5, (60, 60.0), 1)
    world.run()
    assert len(world.sent) >= 12
    assert world.throttled == []
