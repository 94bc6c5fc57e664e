"""Each decision of the scheduler in exact numbers: what the forecast is asked, and what its answers lead to."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from pollwise.core.concurrency_limiter import LOOK_S, ConcurrencyLimiter
from pollwise.core.forecast import Forecast, level_of, worth_of
from pollwise.core.machine import WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.core.scheduler import Action, Expire, Scheduler, Send, SleepUntil
from pollwise.core.token_budget import TokenBudget
from pollwise.errors import PollError
from pollwise.model.reading import Phase, Reading

SLOT_S = 1 / 16


class Watched:
    """A watch of a running job, as the core sees it."""

    def __init__(
        self,
        name: str = "",
        *,
        every_s: float = 1.0,
        age_s: float = 0.0,
        timeout_s: float | None = None,
        last_poll_s: float = 1.0,
    ) -> None:
        policy = Policy(pacing=Pacing.fixed(every_s), retry=Retry(), timeout_s=timeout_s, last_poll_s=last_poll_s)
        self.machine: WatchMachine[str, str] = WatchMachine(name, policy, now=-age_s)

    def saw(self, now: float, fraction: float | None = None) -> None:
        """A poll found the job running."""
        self.machine.asked(now)
        reading = Reading(status=f"at {now}", phase=Phase.RUNNING, final=False, fraction=fraction)
        self.machine.on_reading(reading, now=now, dice=0.5)


class Foreseen(Forecast):
    """A forecast with given answers, which keeps the questions."""

    def __init__(
        self,
        worth: Callable[[float, float, float | None], float] = lambda _silent, _age, _eta: 1.0,
        silence_s: Callable[[int, float, float | None], float] = lambda _level, _age, _eta: 1.0,
        over: Callable[[float, float, float | None], bool] = lambda _silent, _age, _eta: False,
    ) -> None:
        super().__init__()
        self._worth, self._silence_s, self._over = worth, silence_s, over
        self.asked: list[tuple[float, float, float | None]] = []  # silence, age and ETA
        self.levels: list[tuple[int, float, float | None, float]] = []  # level, age, ETA and the bound
        self.doubted: list[tuple[float, float, float | None, float]] = []  # silence, age, ETA and patience

    def worth(self, silent_s: float, age_s: float, eta_s: float | None) -> float:
        self.asked.append((silent_s, age_s, eta_s))
        return self._worth(silent_s, age_s, eta_s)

    def silence_s(self, level: int, age_s: float, eta_s: float | None, at_most_s: float) -> float:
        self.levels.append((level, age_s, eta_s, at_most_s))
        return self._silence_s(level, age_s, eta_s)

    def may_be_over(self, silent_s: float, age_s: float, eta_s: float | None, too_long_s: float) -> bool:
        self.doubted.append((silent_s, age_s, eta_s, too_long_s))
        return self._over(silent_s, age_s, eta_s)


class Limit(ConcurrencyLimiter):
    """A limiter that keeps when it looked, and whether watches waited."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.looks: list[tuple[float, bool]] = []

    def look(self, now: float, cpu_s: float, *, waiting: bool) -> None:
        self.looks.append((now, waiting))
        super().look(now, cpu_s, waiting=waiting)


class Bench:
    """A scheduler and what it reports."""

    def __init__(
        self,
        budget: TokenBudget | None = None,
        *,
        forecast: Forecast | None = None,
        most: int = 1_000,
        cpu_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.budget = budget
        self.limiter = Limit(most)
        self.throttled: list[tuple[str, float, float]] = []
        self.scheduler: Scheduler[Watched] = Scheduler(
            forecast or Foreseen(),
            budget,
            self.limiter,
            cpu_s=cpu_s,
            on_throttled=lambda watch, now, at: self.throttled.append((watch.machine.job, now, at)),
        )

    def put(self, *watches: Watched, now: float = 0.0) -> list[float]:
        return [self.scheduler.put(watch, now) for watch in watches]

    def next(self, now: float) -> Action[Watched]:
        return self.scheduler.next_action(now)

    def send(self, now: float) -> Watched:
        """The next action is a poll."""
        action = self.next(now)
        assert isinstance(action, Send)
        return action.watch

    def sleep(self, now: float) -> float:
        """The next action is to sleep."""
        action = self.next(now)
        assert isinstance(action, SleepUntil)
        return action.at

    def replied(self, permit: int, now: float) -> None:
        self.scheduler.in_flight -= 1
        if self.budget is not None:
            self.budget.release(permit, now)

    def poll(self, now: float, fraction: float | None = None) -> Watched:
        """Send the next poll, which is replied to at once. The watch is not put again."""
        action = self.next(now)
        assert isinstance(action, Send)
        self.replied(action.permit, now)
        action.watch.saw(now, fraction)
        return action.watch


def pressed(forecast: Forecast, *watches: Watched, every_s: float = 8.0) -> Bench:
    """One request may go each `every_s` seconds, at 1.25 s or later. The watches were polled at 0 and are held back at 1."""
    budget = TokenBudget(1, per_s=every_s)
    bench = Bench(budget, forecast=forecast)
    budget.release(budget.acquire(0.0), max(0.0, 1.25 - every_s))
    for watch in watches:
        if watch.machine.polls == 0:
            watch.saw(0.0)
    bench.put(*watches, now=1.0)
    assert bench.sleep(1.0) > 1.0
    return bench


# --- what the forecast is asked -----------------------------------------------------------------


def test_the_forecast_is_asked_about_the_silence_the_age_and_the_eta_of_a_job() -> None:
    """The age is that at the last poll, and the ETA is the one that the job's progress gave then."""
    half, unknown, quarter = Watched(age_s=100.0), Watched(age_s=40.0), Watched(age_s=21.0)
    half.saw(0.0, 0.5)
    quarter.saw(0.0, 0.25)
    forecast = Foreseen()
    bench = pressed(forecast, half, unknown, quarter)
    jobs = [(100.0, 100.0), (40.0, None), (21.0, 63.0)]
    assert forecast.asked == [(1.0, age, eta) for age, eta in jobs]
    assert bench.poll(8.0) is half
    assert forecast.asked[3:] == [(8.0, age, eta) for age, eta in [*jobs, jobs[0]]]  # ranked again, and the price
    bench.poll(24.0)
    assert set(forecast.asked[7:]) == {(24.0, age, eta) for age, eta in jobs[1:]}
    assert [tuple(question) for *question, _ in forecast.doubted] == [(24.0, age, eta) for age, eta in jobs[1:]]


def test_a_job_that_reports_progress_gets_more_patience() -> None:
    """A round is one poll of every watch at the full rate. Patience is 1.38 rounds with progress and 0.9 without."""
    progress, other = Watched(age_s=100.0), Watched(age_s=100.0)
    progress.saw(0.0, 0.5)
    forecast = Foreseen()
    bench = pressed(forecast, progress, other)
    round_s = 2 * 8.0
    asked_s = {eta: at_most for _, _, eta, at_most in forecast.levels}
    assert asked_s == {100.0: pytest.approx(1.38 * round_s), None: pytest.approx(0.9 * round_s)}
    bench.poll(24.0)
    assert {eta: patience for _, _, eta, patience in forecast.doubted} == asked_s


def test_a_starving_watch_goes_first_whatever_the_forecast_says() -> None:
    """The forecast finds a poll worth nothing and the job surely running. After 3.3 rounds the watch is polled all the same."""
    dull, lively = Watched("dull", age_s=500.0), Watched("lively")
    bench = pressed(Foreseen(worth=lambda _silent, age, _eta: 0.01 if age == 500.0 else 8.0), dull, lively)
    sent = []
    for now in (8.0, 16.0, 24.0, 32.0, 40.0, 48.0, 56.0):
        watch = bench.poll(now)
        sent.append(watch.machine.job)
        bench.put(watch, now=now)
        bench.sleep(now + 2.0)
    assert sent == ["lively"] * 6 + ["dull"]  # a round is 16 s


def test_the_last_poll_before_a_deadline_goes_before_all_that_do_not_starve() -> None:
    """From the moment on at which it is to be asked."""
    last, worthy = Watched("last", timeout_s=9.0), Watched("worthy", age_s=500.0)
    bench = pressed(Foreseen(worth=lambda _silent, age, _eta: 99.0 if age == 500.0 else 0.1), worthy, last)
    assert last.machine.last_poll_at == 8.0
    assert bench.poll(8.0) is last


def test_a_watch_is_ranked_again_when_its_silence_has_grown_by_an_eighth() -> None:
    """Or by a twelfth of a round, which is sooner for a long silence. Ranks cost time: they are not more than needed."""
    dull = Watched(age_s=500.0)
    others = [Watched(every_s=1.0 if n < 8 else 1_000.0) for n in range(39)]
    forecast = Foreseen(worth=lambda _silent, age, _eta: 0.01 if age == 500.0 else 8.0)
    bench = pressed(forecast, dull, *others, every_s=0.25)
    expected, rank_at = [1.0], 1.12
    for quarter in range(5, 50):
        now = quarter / 4
        if now >= rank_at:
            expected.append(now)
            rank_at = now + max(0.05, min(0.12 * now, 10.0 / 12))
        bench.put(bench.poll(now), now=now)
    assert [silent for silent, age, _ in forecast.asked if age == 500.0] == expected
    assert expected[-4:] == [8.5, 9.5, 10.5, 11.5]


def test_a_watch_is_not_ranked_before_its_poll_can_be_worth_more() -> None:
    """The forecast says after which silence that is. 3 % are added, because its tables are rounded."""
    dull = Watched(age_s=500.0)
    others = [Watched(every_s=1.0 if n < 8 else 1_000.0) for n in range(39)]
    forecast = Foreseen(
        worth=lambda _silent, age, _eta: 0.01 if age == 500.0 else 8.0,
        silence_s=lambda _level, age, _eta: 5.0 if age == 500.0 else 1.0,
    )
    bench = pressed(forecast, dull, *others, every_s=0.25)
    for quarter in range(5, 23):
        bench.put(bench.poll(quarter / 4), now=quarter / 4)
    assert [silent for silent, age, _ in forecast.asked if age == 500.0] == [1.0, 5.25]


def test_of_watches_that_were_never_polled_only_the_first_is_ranked() -> None:
    """They differ only in how long they have waited. Ten thousand new watches cost no ten thousand ranks."""
    budget, forecast = TokenBudget(1, per_s=8.0), Foreseen()
    bench = Bench(budget, forecast=forecast)
    budget.release(budget.acquire(0.0), 0.0)
    bench.put(*(Watched(str(n)) for n in range(50)))
    assert bench.sleep(0.5) == 1.5
    assert forecast.asked == [(0.5, 0.0, None)]
    assert bench.poll(8.0).machine.job == "0"


# --- the price ----------------------------------------------------------------------------------


def test_the_price_follows_the_worth_of_the_polls_that_are_sent() -> None:
    """By 2 % of the difference with each poll, and a jump counts as at most four times the price and a second.

    A watch is not due again before a poll of it is worth half of that. Without pressure the price falls by 8 %.
    """
    watch = Watched()
    forecast = Foreseen(worth=lambda _silent, _age, _eta: 50.0)
    bench = pressed(forecast, watch)
    price, now = 0.0, 0.0
    for _ in range(120):
        now += 8.0
        bench.poll(now)
        price += 0.02 * (min(50.0, 4 * price + 1.0) - price)
        forecast.levels.clear()
        bench.put(watch, now=now)
        assert [level for level, *_ in forecast.levels] == [level_of(price) - 2]
        bench.sleep(now + 2.0)
    assert price > 20.0
    now += 8.0
    bench.poll(now)
    watch = Watched(every_s=20.0)
    price += 0.02 * (50.0 - price)
    polls = 0
    while price:
        watch.saw(now)
        forecast.levels.clear()
        bench.put(watch, now=now)
        assert [level for level, *_ in forecast.levels] == [level_of(price) - 2]
        now += 20.0
        assert bench.poll(now) is watch
        price *= 0.92
        price = price if price >= worth_of(-16) else 0.0
        polls += 1
    assert polls > 100
    forecast.levels.clear()
    bench.put(watch, now=now)
    assert forecast.levels == []


def test_a_watch_below_the_price_is_ranked_again_when_it_may_have_reached_it() -> None:
    """One above the price is ranked again when it may have reached the next level."""
    low, high = Watched("low", age_s=500.0), Watched("high", age_s=1.0)
    forecast = Foreseen(worth=lambda _silent, age, _eta: 0.01 if age == 500.0 else 8.0)
    bench = pressed(forecast, low, high)
    assert [level for level, *_ in forecast.levels] == [level_of(0.01) + 1, level_of(8.0) + 1]
    assert bench.poll(8.0) is high
    bench.put(high, now=8.0)
    bench.sleep(10.0)
    forecast.levels.clear()
    assert bench.poll(16.0) is high
    assert {age: level for level, age, *_ in forecast.levels} == {500.0: level_of(0.02), 9.0: level_of(8.0) + 1}


def test_under_pressure_a_watch_is_due_when_its_poll_is_worth_half_the_price() -> None:
    """Counted from its last good poll, and at the latest after a round. The delay is reported, once."""
    watch, other = Watched("it", age_s=100.0), Watched("other")
    watch.saw(0.0, 0.5)
    forecast = Foreseen(worth=lambda _silent, age, _eta: 9.0 if age else 1.0, silence_s=lambda _level, _age, _eta: 5.0)
    bench = pressed(forecast, watch, other)
    assert bench.poll(8.0, 0.6) is watch
    bench.throttled.clear()
    assert bench.put(watch, now=8.5) == [13.0]
    assert forecast.levels[-1] == (level_of(0.02) - 2, 108.0, pytest.approx(72.0), 8.0)
    assert bench.throttled == [("it", 8.5, 13.0)]


def test_a_retry_keeps_its_time_under_pressure() -> None:
    """So does what a server has asked for. Only the times of the pacing are deferred."""
    watch = Watched()
    bench = pressed(Foreseen(silence_s=lambda _level, _age, _eta: 500.0), watch)
    assert bench.poll(8.0) is watch
    watch.machine.on_error(PollError("reset"), now=8.0, dice=0.99)
    due_at = watch.machine.due_at
    assert 8.0 < due_at < 20.0
    bench.throttled.clear()
    assert due_at <= bench.put(watch, now=8.0)[0] < due_at + SLOT_S
    assert bench.throttled == []


def test_a_watch_that_is_due_now_is_not_deferred() -> None:
    """It is ranked among the watches that are held back, so it may go at once."""
    watch = Watched()
    bench = pressed(Foreseen(silence_s=lambda _level, _age, _eta: 500.0), watch)
    bench.poll(8.0)
    bench.throttled.clear()
    assert bench.put(watch, now=9.0) == [9.0]
    assert bench.throttled == []


def test_the_last_poll_is_neither_deferred_nor_reported() -> None:
    """It has its time: the budget does not hold it back before that."""
    watch, other = Watched(every_s=100.0, timeout_s=31.0), Watched("other")
    bench = pressed(Foreseen(silence_s=lambda _level, _age, _eta: 500.0), other)
    assert bench.poll(8.0) is other
    bench.throttled.clear()
    watch.saw(8.0)
    assert watch.machine.due_at == watch.machine.last_poll_at == 30.0
    assert bench.put(watch, now=8.0) == [30.0]
    assert bench.throttled == []


def test_a_pause_of_a_budget_without_a_known_rate_is_no_pressure() -> None:
    """A server was out of service and all watches waited. Afterwards each goes at its own pace."""
    budget = TokenBudget()
    for _ in range(17):
        permit = budget.acquire(0.0)
        budget.release(permit, 0.0)
    assert not budget.starting
    budget.on_unavailable(budget.acquire(0.0), 0.0, 5.0)
    bench = Bench(budget, forecast=Foreseen(silence_s=lambda _level, _age, _eta: 500.0))
    watches = [Watched(every_s=10.0), Watched(every_s=10.0)]
    bench.put(*watches)
    assert bench.sleep(0.0) == 1.0
    bench.sleep(4.0)
    now = 6.0
    for _ in watches:
        watch = bench.poll(now)
        assert bench.put(watch, now=now) == [16.0]
    assert len(bench.throttled) == 2


# --- the ration ---------------------------------------------------------------------------------


def test_while_nothing_is_known_what_is_left_is_rationed_among_all_watches() -> None:
    """Each gets the wait that the budget gives for the number of watches, this one included. It is no throttling."""
    bench = Bench(TokenBudget(20, per_s=60.0))
    assert bench.budget is not None
    bench.put(*(Watched(str(n)) for n in range(8)))
    for waiting in range(7, -1, -1):
        watch = bench.poll(0.0)
        wait_s = bench.budget.ration_s(0.0, 8)
        assert wait_s > 2.0
        assert bench.put(watch) == [math.ceil(wait_s / SLOT_S) * SLOT_S]
        assert len({bench.budget.ration_s(0.0, among) for among in (7, 8, 9)}) == 3
        assert waiting >= 0
    assert bench.throttled == []


def test_a_ration_of_less_than_a_second_counts() -> None:
    """Sixty a second is a budget as any other."""
    bench = Bench(TokenBudget(20, per_s=1.0))
    assert bench.budget is not None
    bench.put(*(Watched(every_s=0.01) for _ in range(8)))
    watch = bench.poll(0.0)
    wait_s = bench.budget.ration_s(0.0, 8)
    assert 0.02 < wait_s < 1.0
    assert wait_s <= bench.put(watch)[0] < wait_s * 1.04


def test_a_job_whose_progress_shows_its_end_is_not_rationed() -> None:
    """It is polled when it is probably over, so it does not spend the window."""
    bench = Bench(TokenBudget(20, per_s=60.0))
    bench.put(*(Watched(every_s=2.0, age_s=50.0) for _ in range(8)))
    assert bench.put(bench.poll(0.0, 0.5)) == [2.0]
    assert bench.put(bench.poll(0.0))[0] > 2.0


# --- the bounds ---------------------------------------------------------------------------------


def test_without_a_budget_a_permit_is_0() -> None:
    """There is nothing to release."""
    bench = Bench()
    bench.put(Watched())
    action = bench.next(0.0)
    assert isinstance(action, Send)
    assert action.permit == 0


def test_a_watch_is_sent_at_the_very_time_for_which_the_driver_sleeps() -> None:
    """Not a moment later, so no driver spins."""
    bench, watch = Bench(), Watched(every_s=5.0)
    watch.saw(0.0)
    bench.put(watch)
    assert bench.sleep(0.0) == 5.0
    assert bench.send(5.0) is watch


def test_a_watch_that_is_due_at_its_deadline_expires_then() -> None:
    """A deadline is not rounded up to a slot as other due times are."""
    bench, watch = Bench(), Watched(every_s=100.0, timeout_s=10.0123)
    watch.saw(9.5)
    assert bench.put(watch, now=9.5) == [10.0123]
    action = bench.next(10.0123)
    assert isinstance(action, Expire)
    assert action.watch is watch


def test_a_watch_that_is_held_back_expires_at_the_very_time_for_which_the_driver_sleeps() -> None:
    """A driver that wakes up then has something to do."""
    watch = Watched(timeout_s=3.0)
    bench = pressed(Foreseen(), watch)
    assert bench.sleep(2.5) == 3.0
    action = bench.next(3.0)
    assert isinstance(action, Expire)
    assert action.watch is watch


def test_a_hundred_watches_at_most_expire_without_a_pause() -> None:
    """The event loop runs in between, and the next call goes on."""
    bench = Bench(most=1)
    bench.put(Watched(), *(Watched(timeout_s=3.0) for _ in range(250)))
    bench.send(0.0)
    expired = []
    for _ in range(3):
        count = 0
        while isinstance(action := bench.next(3.0), Expire):
            count += 1
            assert count <= 250
        assert isinstance(action, SleepUntil)
        expired.append(count)
    assert expired == [100, 100, 50]


def test_a_hundred_watches_at_most_are_held_back_without_a_pause() -> None:
    """The event loop runs in between. Until all of them are ranked and reported, there is more to do now."""
    budget = TokenBudget(1, per_s=8.0)
    bench = Bench(budget)
    budget.release(budget.acquire(0.0), 0.0)
    bench.put(*(Watched(str(n)) for n in range(250)))
    found = [(bench.sleep(0.5), len(bench.throttled)) for _ in range(3)]
    assert found == [(0.5, 100), (0.5, 200), (1.5, 250)]
    assert len(set(bench.throttled)) == 250


def test_the_processor_is_looked_at_only_while_watches_wait_for_the_limit() -> None:
    """Not while just as many are in flight as may be, and not while the budget holds the watches back."""
    bench = Bench(most=2)
    bench.put(Watched(), Watched())
    bench.send(0.0)
    bench.send(0.0)
    bench.sleep(0.0)
    assert bench.limiter.looks == []
    bench.put(Watched())
    bench.sleep(0.0)
    assert bench.limiter.looks == [(0.0, True)]
    held_by_budget = pressed(Foreseen(), Watched(), Watched())
    held_by_budget.sleep(2.0)
    assert held_by_budget.limiter.looks == []


def test_a_lowered_limit_is_looked_at_again_at_the_very_time_for_which_the_driver_sleeps() -> None:
    """Until it is as high as the caller allows. Perhaps no reply comes before that."""
    used_s = [0.0]
    bench = Bench(most=32, cpu_s=lambda: used_s[0])
    bench.put(*(Watched() for _ in range(40)))
    for _ in range(32):
        bench.send(0.0)
    bench.sleep(0.0)
    used_s[0] = LOOK_S
    assert bench.sleep(LOOK_S) == 2 * LOOK_S
    assert bench.limiter.limit == 24
    bench.sleep(2 * LOOK_S)
    assert [at for at, _ in bench.limiter.looks] == [0.0, LOOK_S, 2 * LOOK_S]
    assert bench.limiter.limit == 32
    for _ in range(40 - 32):
        bench.replied(0, 0.1)
        bench.send(0.1)
    bench.sleep(0.1)
    assert len(bench.limiter.looks) == 3


def test_a_share_counts_each_permit_once() -> None:
    """Watchers with the same token take turns by these counts."""
    budget = TokenBudget(10, per_s=60.0)
    bench = Bench(budget)
    probe = budget.share()
    bench.put(*(Watched() for _ in range(3)))
    for _ in range(3):
        bench.poll(0.0)
    assert sorted(share.served for share in probe.all) == [0, 3]
