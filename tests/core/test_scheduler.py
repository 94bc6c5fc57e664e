"""What is done next: no request too many, none wasted, no watch starved, the likeliest first."""

from __future__ import annotations

import math
import random
from collections import Counter
from itertools import pairwise
from statistics import fmean

import pytest

from pollwise.core.concurrency_limiter import ConcurrencyLimiter
from pollwise.core.machine import WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.core.scheduler import Expire, Scheduler, Send, SleepUntil
from pollwise.core.token_budget import TokenBudget
from pollwise.core.watch_state import StepResult
from pollwise.model.reading import Phase, Reading


class Following:
    """A watch as the core sees it, of a job that ends at a known time."""

    def __init__(self, machine: WatchMachine[int, float], ends_at: float) -> None:
        self.machine = machine
        self.ends_at = ends_at


class Driver:
    """Drives turns in virtual time."""

    def __init__(
        self,
        budget: TokenBudget | None,
        *,
        timeout_s: float | None = None,
        pacing: Pacing | None = None,
        concurrency: int = 1_000,
    ) -> None:
        self.rules = Policy(pacing=pacing or Pacing(), retry=Retry(), timeout_s=timeout_s)
        self.budget = budget
        self.held: list[Following] = []
        self.turns: Scheduler[Following] = Scheduler(
            self.rules.forecast,
            budget,
            ConcurrencyLimiter(concurrency),
            cpu_s=lambda: 0.0,
            on_throttled=lambda watch, *_: self.held.append(watch),
        )
        self.now = 0.0
        self.sent: list[tuple[float, Following]] = []
        self.late: list[float] = []
        self.expired: list[Following] = []

    def add(self, count: int, ends_at: float) -> list[Following]:
        new = [Following(WatchMachine(n, self.rules, now=self.now), ends_at) for n in range(count)]
        for watch in new:
            self.turns.put(watch, self.now)
        return new

    def run(self, until: float) -> None:
        run_together([self], until)

    def work(self) -> float:
        """Do what can be done now. Returns when to go on."""
        while not isinstance(action := self.turns.next_action(self.now), SleepUntil):
            watch = action.watch
            if isinstance(action, Expire):
                self.expired.append(watch)
                continue
            self.sent.append((self.now, watch))
            watch.machine.asked(self.now)
            self.turns.in_flight -= 1
            if self.budget is not None:
                self.budget.release(action.permit, self.now)
            over = watch.ends_at <= self.now
            phase = Phase.SUCCEEDED if over else Phase.RUNNING
            reading = Reading(status=self.now, phase=phase, final=over)
            if watch.machine.on_reading(reading, now=self.now, dice=0.5) is StepResult.OVER:
                self.late.append(self.now - watch.ends_at)
            else:
                self.turns.put(watch, self.now)
        return action.at


def run_together(drivers: list[Driver], until: float) -> None:
    """Drive them all in the same virtual time."""
    now = max(driver.now for driver in drivers)
    while now < until:
        for driver in drivers:
            driver.now = now
        wake_at = min(driver.work() for driver in drivers)
        now = max(math.nextafter(now, math.inf), min(wake_at, until))
    for driver in drivers:
        driver.now = now


def test_without_a_budget_each_watch_goes_at_its_own_pace() -> None:
    """Fixed pacing of ten seconds gives one poll every ten seconds, to within a slot."""
    driver = Driver(None, pacing=Pacing.fixed(10.0))
    driver.add(5, math.inf)
    driver.run(100)
    assert len(driver.sent) == 50
    assert driver.held == []


def test_under_pressure_the_whole_budget_is_spent_and_no_more() -> None:
    """Sixty a minute, of which all are used from the first to the last minute."""
    driver = Driver(TokenBudget(60, per_s=60.0))
    driver.add(500, math.inf)
    driver.run(1200)
    times = [at for at, _ in driver.sent]
    assert 0.97 * 1200 <= len(times) <= 1200 + 60
    assert all(sum(start <= at < start + 60 for at in times) <= 60 for start in range(0, 1200, 7))


@pytest.mark.parametrize("watches", [10, 20, 30])
def test_tens_of_watches_do_not_spend_the_window_in_its_first_seconds(watches: int) -> None:
    """It is not known when their jobs end, and sixty a minute last: no pause is longer than half a minute."""
    driver = Driver(TokenBudget(60, per_s=60))
    driver.add(watches, math.inf)
    driver.run(60)
    times = [at for at, _ in driver.sent]
    assert max(after - before for before, after in pairwise([*times, 60.0])) < 31


def test_watchers_that_share_a_budget_ration_what_is_left_among_all_of_their_watches() -> None:
    """Two with fifteen each leave as short a pause as one with thirty; one that has left is not counted."""
    budget = TokenBudget(60, per_s=60)
    drivers = [Driver(budget), Driver(budget)]
    for driver in drivers:
        driver.add(15, math.inf)
    run_together(drivers, 60)
    times = sorted(at for driver in drivers for at, _ in driver.sent)
    assert max(after - before for before, after in pairwise([*times, 60.0])) < 31
    one, other = (driver.turns._share for driver in drivers)
    assert one is not None
    assert other is not None
    assert one.others == 15
    drivers[1].turns.clear()
    assert one.others == 0


def test_eight_watchers_that_share_a_budget_find_ends_about_as_soon_as_one_with_all_jobs() -> None:
    """A round counts all watches of the budget: a watcher with an eighth of them must not rank all of them as starving."""
    assert _mean_delay(watchers=8) < 1.5 * _mean_delay(watchers=1)


def _mean_delay(watchers: int) -> float:
    """Of 240 jobs that take about ten minutes each, as is known."""
    dice = random.Random(1)
    budget = TokenBudget(60, per_s=60)
    drivers = [Driver(budget) for _ in range(watchers)]
    for length in [dice.gauss(600, 60) for _ in range(300)]:
        for driver in drivers:
            driver.rules.forecast.durations.ran(0, length - 1)
            driver.rules.forecast.durations.over(length - 1, length)
    for n, arrives_at in enumerate(sorted(dice.uniform(0, 800) for _ in range(240))):
        run_together(drivers, arrives_at)
        drivers[n % watchers].add(1, arrives_at + dice.gauss(600, 60))
    run_together(drivers, 3_000)
    late = [delay for driver in drivers for delay in driver.late]
    assert len(late) == 240
    return fmean(late)


def test_twenty_quick_jobs_are_seen_to_end_within_a_round() -> None:
    """They end after four seconds. A round of twenty, at one a second, takes twenty."""
    driver = Driver(TokenBudget(60, per_s=60))
    driver.add(20, 4.0)
    driver.run(60)
    assert len(driver.late) == 20
    assert max(driver.late) <= 20


def test_a_few_watches_go_at_their_own_pace() -> None:
    """What is not scarce is not rationed."""
    rationed, free = Driver(TokenBudget(60, per_s=60)), Driver(None)
    for driver in (rationed, free):
        driver.add(5, math.inf)
        driver.run(60)
    assert [at for at, _ in rationed.sent] == [at for at, _ in free.sent]
    assert rationed.held == []


def test_a_ration_puts_no_poll_off_beyond_the_last_before_a_deadline() -> None:
    """Each of thirty is asked just before its time is up."""
    driver = Driver(TokenBudget(60, per_s=60), timeout_s=20)
    watches = driver.add(30, math.inf)
    driver.run(20)
    last = {watch: at for at, watch in driver.sent}
    assert all(last[watch] >= 19 for watch in watches)


def test_no_watch_starves() -> None:
    """With jobs of which nothing is known, no silence is much longer than a round."""
    driver = Driver(TokenBudget(60, per_s=60.0))
    watches = driver.add(200, math.inf)
    driver.run(3000)
    for watch in watches:
        times = [at for at, asked in driver.sent if asked is watch]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert max(gaps) <= 2.0 * 200


def test_of_starving_watches_the_longest_silence_goes_first() -> None:
    """No watch that was polled meanwhile goes before a waiting new one. All are polled in little more than a round."""
    driver = Driver(TokenBudget(60, per_s=60.0))
    watches = []
    for _ in range(250):
        watches += driver.add(1, 30.0) + driver.add(1, 1800.0)
    driver.run(2000)
    first = {watch: at for at, watch in reversed(driver.sent)}
    assert len(first) == len(watches)
    assert max(first.values()) <= 1.2 * len(watches)


def test_however_sure_the_forecast_is_no_silence_is_long() -> None:
    """Jobs took 100 s or a day. Those of an hour are asked in turn, though others may be over any moment."""
    driver = Driver(TokenBudget(60, per_s=60.0))
    for _ in range(400):
        for length in (100, 86_400):
            driver.rules.forecast.durations.ran(0, length - 1)
            driver.rules.forecast.durations.over(length - 1, length)
    for age in [86_000] * 100 + [3_600] * 50:
        driver.turns.put(Following(WatchMachine(age, driver.rules, now=-age), math.inf), 0.0)
    driver.run(3000)
    sure = Counter(watch for at, watch in driver.sent if watch.machine.job == 3_600 and at >= 60)
    assert len(sure) == 50
    assert min(sure.values()) >= 3000 // (4 * 150)  # a round is 150 s


def test_those_likely_to_be_over_are_asked_first() -> None:
    """Once jobs are known to take about 300 s, polls go to those of that age, not to those that have just begun."""
    dice = random.Random(4)
    driver = Driver(TokenBudget(60, per_s=60.0))
    for _ in range(300):
        driver.add(1, driver.now + dice.gauss(300, 20))
        driver.run(driver.now + 4)
    settled = driver.late[len(driver.late) // 2 :]
    assert sum(settled) / len(settled) < 25  # of 75 jobs each is asked once in 75 s


def test_a_watch_that_is_hastened_is_asked_soon_and_once() -> None:
    """Its later place in the queue is empty."""
    driver = Driver(None, pacing=Pacing(min_s=1.0, max_s=100.0, jitter=0))
    (watch,) = driver.add(1, math.inf)
    driver.run(500)
    asked = len(driver.sent)
    due_at = watch.machine.due_at
    assert due_at > 510
    assert driver.turns.hasten(watch, driver.now)
    assert not driver.turns.hasten(watch, driver.now)
    driver.run(due_at + 0.5)
    times = [at for at, _ in driver.sent[asked:]]
    assert times[0] - 500 <= 1.1
    assert all(later - earlier >= 1.0 for earlier, later in pairwise(times))


def test_throttling_is_reported_once_for_each_poll() -> None:
    """Five want to go and one may: it is reported for the other four at once, and for the fifth when it is due again."""
    driver = Driver(TokenBudget(1, per_s=100.0))
    driver.add(5, math.inf)
    driver.run(99)
    assert len(driver.held) == 5
    assert len(set(driver.held)) == 5
    assert driver.held[-1] is driver.sent[0][1]


def test_the_slow_start_of_an_unknown_budget_throttles_no_watch() -> None:
    """Until the first replies it lasts a moment, and is not reported."""
    driver = Driver(TokenBudget())
    driver.add(20, math.inf)
    taken = 0
    while isinstance(action := driver.turns.next_action(0.0), Send):
        taken += 1
    assert 0 < taken < 10
    assert isinstance(action, SleepUntil)
    assert 0.0 < action.at < 0.1
    assert driver.held == []


def test_a_watch_that_is_held_back_past_its_deadline_expires_unasked() -> None:
    """No watch is asked after its deadline, and none is forgotten."""
    driver = Driver(TokenBudget(1, per_s=30.0), timeout_s=100.0)
    watches = driver.add(20, math.inf)
    driver.run(101)
    assert sorted(watch.machine.job for watch in driver.expired) == sorted(watch.machine.job for watch in watches)
    assert all(at < 100 for at, _ in driver.sent)


def test_before_a_deadline_the_last_poll_goes_first() -> None:
    """The watch whose deadline is near is polled before the others."""
    driver = Driver(TokenBudget(30, per_s=10.0), timeout_s=1000.0)
    hurried = Following(WatchMachine(99, Policy(pacing=Pacing(), retry=Retry(), timeout_s=50.0), now=0.0), math.inf)
    driver.turns.put(hurried, 0.0)
    driver.add(300, math.inf)
    driver.run(50)
    assert any(watch is hurried and at >= 47.5 for at, watch in driver.sent)


def test_when_the_pressure_is_gone_each_watch_goes_at_its_own_pace_again() -> None:
    """The price of a poll falls when no watch is held back."""
    driver = Driver(TokenBudget(60, per_s=60.0), pacing=Pacing.fixed(10.0))
    driver.add(300, 400.0)
    driver.run(1500)
    assert len(driver.late) == 300
    driver.add(2, math.inf)
    begun = driver.now
    driver.run(begun + 200)
    assert sum(at > begun + 100 for at, _ in driver.sent) >= 18


@pytest.mark.parametrize("limit", [1, 1000])
def test_new_deadlines_count_when_the_watches_are_put_anew(limit: int) -> None:
    """Also of watches that are held back: each is asked before its deadline or expires, once."""
    driver = Driver(TokenBudget(limit, per_s=30.0), timeout_s=1000.0, pacing=Pacing.fixed(300.0))
    watches = driver.add(20, math.inf)
    driver.run(50)
    for watch in watches:
        watch.machine.on_suspended(800.0, now=driver.now, grace_s=10.0)
    driver.turns.requeue(driver.now)
    driver.run(250)
    assert sorted(watch.machine.job for watch in driver.expired) == sorted(watch.machine.job for watch in watches)
    assert all(at < 200 for at, _ in driver.sent)
    if limit == 1000:
        assert sum(at > 190 for at, _ in driver.sent) == 20
