"""The search for a rate, step by step: what counts as a measure, how long a trial is, and which rate is tried next."""

from __future__ import annotations

import itertools
import math

import pytest

from pollwise.core.rate_limiter import Limiter

SHORT_S = 0.125  # of a pause


class Token:
    """A limiter and its time."""

    def __init__(self) -> None:
        self.limiter = Limiter()
        self.now = 1_000.0

    def burst(
        self, good: int, took_s: float, *, pause_s: float = SHORT_S, probes: int = 0, contradicted: bool = False
    ) -> float:
        """Good replies, a refusal, and a pause, in so many seconds. Returns the rate after that."""
        for _ in range(good):
            self.limiter.on_reply(self.now)
        self.now += took_s
        self.limiter.on_refusal(self.now - pause_s)
        self.limiter.on_recovery(self.now, probes, contradicted=contradicted)
        return self.limiter.rate

    def passes(self) -> int:
        """How many replies at the full rate it takes until the trial has passed."""
        limiter, began, replies = self.limiter, self.limiter.since, 0
        while limiter.since == began:
            self.now += limiter.spacing_s
            limiter.on_reply(self.now)
            replies += 1
        return replies

    def tried(self, limit: float, trials: int) -> list[tuple[float, int]]:
        """The rates of the next trials, each with its good replies, on a server that allows `limit` a second."""
        rates = []
        while len(rates) < trials and self.limiter.rate < math.inf:
            rate, replies = self.limiter.rate, 0
            if rate > limit:
                self.burst(0, 0.25)
            else:
                replies = self.passes()
            rates.append((rate, replies))
        return rates


def limited_to(rate: float, *, bursts_s: float = 8.0, pause_s: float = SHORT_S) -> Token:
    """A token whose rate was just set, because three bursts had this goodput."""
    token = Token()
    for _ in range(3):
        token.burst(int(rate * bursts_s), bursts_s, pause_s=pause_s)
    assert token.limiter.rate == rate
    return token


def test_without_a_refusal_there_is_no_rate() -> None:
    """Requests may go at any time, and without a distance."""
    limiter = Limiter()
    assert (limiter.rate, limiter.spacing_s, limiter.next_at, limiter.trial) == (math.inf, 0.0, -math.inf, math.inf)


# --- the measure ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((10, 1.0), (12, 1.0), True),
        ((10, 1.0), (13, 1.0), False),
        ((13, 1.0), (11, 1.0), True),
        ((13, 1.0), (10, 1.0), False),
        ((20, 2.0), (10, 1.0), True),
        ((97, 1.0), (100, 2.0), True),
        ((96, 1.0), (100, 2.0), False),
        ((8, 1.0), (8, 2.0), True),
        ((7, 1.0), (7, 2.0), False),
        ((1, 2.0), (2, 2.0), False),
        ((1, 2.0), (0, 2.0), True),
    ],
)
def test_a_rate_is_set_when_the_goodput_stays_the_same(
    one: tuple[int, float], other: tuple[int, float], *, same: bool
) -> None:
    """Twice in a row it differs by less than a factor of 1.3, or the good replies differ by at most 3 %."""
    token = Token()
    rates = [token.burst(*one), token.burst(*other), token.burst(*other)]
    assert [rate < math.inf for rate in rates] == [False, False, same]


def test_the_first_measure_is_the_same_as_nothing() -> None:
    """Not even one good reply in a second: three bursts set a rate, not two."""
    token = Token()
    assert [token.burst(1, 1.0), token.burst(1, 1.0), token.burst(1, 1.0)] == [math.inf, math.inf, 1.0]


def test_the_rate_is_the_goodput_of_all_that_was_the_same() -> None:
    """With the pauses. What was measured before it changed does not count."""
    token = Token()
    token.burst(90, 1.0)
    assert [token.burst(good, 2.0) for good in (18, 20, 22)] == [math.inf, math.inf, 10.0]


@pytest.mark.parametrize(("probes", "rate"), [(5, math.inf), (6, 0.5)])
def test_six_refused_probes_in_a_row_set_a_rate_at_once(probes: int, rate: float) -> None:
    """The rate is the goodput until then, even of a single reply."""
    assert Token().burst(1, 2.0, probes=probes) == rate


@pytest.mark.parametrize(("contradicted", "least_s"), [(False, 1.0), (True, 5.0)])
def test_a_goodput_of_a_short_time_is_ignored(least_s: float, *, contradicted: bool) -> None:
    """A second is enough, or five seconds where other replies contradicted the refusals. Else the measure goes on."""
    token = Token()
    token.burst(10, least_s - 0.125, contradicted=contradicted)
    assert (token.limiter.good_replies, token.limiter.since) == (10, 1_000.0)
    token.burst(10, 0.125, contradicted=contradicted)
    assert (token.limiter.good_replies, token.limiter.since) == (0, token.now)


def test_a_measure_is_doubtful_if_more_than_a_third_of_its_bursts_was_contradicted() -> None:
    """Three seconds are too short then. Each measure counts its own bursts."""
    rounds = [bursts for length in (1, 2, 3, 4) for bursts in itertools.product((False, True), repeat=length)]
    for before, bursts in itertools.product(([], [False], [True, False, False]), rounds):
        token = Token()
        for each in (before, bursts):
            for n, contradicted in enumerate(each, start=1):
                token.burst(1, 3.0 if n == len(each) else 0.0625, pause_s=0.0, contradicted=contradicted)
        measured = token.limiter.since == token.now
        assert measured == (3 * sum(bursts) <= len(bursts)), (before, bursts)


def test_a_measure_begins_anew_after_a_minute_without_a_refusal() -> None:
    """The replies of an earlier hour say nothing about the rate of this one."""
    limiter = Limiter()
    seen = []
    for now in (1_000.0, 1_060.0, 1_060.125, 1_120.125, 1_120.25):
        limiter.on_reply(now)
        seen.append((limiter.good_replies, limiter.since))
    assert seen == [(1, 1_000.0), (2, 1_000.0), (1, 1_060.125), (2, 1_060.125), (1, 1_120.25)]


def test_a_measure_goes_on_for_a_minute_after_a_refusal() -> None:
    """It began with the recovery."""
    token = Token()
    token.burst(10, 2.0)
    for now, seen in ((1_062.0, (1, 1_002.0)), (1_062.125, (1, 1_062.125))):
        token.limiter.on_reply(now)
        assert (token.limiter.good_replies, token.limiter.since) == seen


@pytest.mark.parametrize(("pause_s", "memory_s"), [(0.125, 60.0), (15.0, 60.0), (20.0, 80.0)])
def test_a_refusal_is_remembered_for_a_minute_or_four_times_its_pause(pause_s: float, memory_s: float) -> None:
    """As many replies as before the earlier refusals set a rate then, and later they do not."""
    for quiet_s, remembered in ((memory_s, True), (memory_s + 0.125, False)):
        token = Token()
        token.burst(10, 30.0, pause_s=pause_s)
        token.burst(10, 30.0, pause_s=pause_s)
        rate = token.burst(10, quiet_s + pause_s, pause_s=pause_s)
        assert (rate < math.inf) == remembered


def test_what_was_measured_before_a_quiet_hour_sets_no_rate_after_it() -> None:
    """Three bursts are needed again, and the quiet hour does not count as time in which nothing was good."""
    token = Token()
    token.burst(100, 10.0)
    token.burst(100, 10.0)
    token.now += 3_600.0
    assert [token.burst(100, 10.0) for _ in range(3)] == [math.inf, math.inf, 10.0]


def test_nor_does_one_good_reply_in_a_second() -> None:
    """After a quiet time the first measure is the same as nothing."""
    token = Token()
    token.burst(50, 10.0)
    token.now += 3_600.0
    assert [token.burst(10, 10.0) for _ in range(3)] == [math.inf, math.inf, 1.0]


# --- the rate ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "late_s", "next_s"),
    [
        (10.0, 0.0, 0.1),
        (10.0, 0.03, 0.07),
        (10.0, 0.05, 0.05),
        (10.0, 0.08, 0.05),
        (50.0, 0.01, 0.01),
        (50.0, 0.03, 0.0),
    ],
)
def test_a_late_request_delays_the_next_one_by_little(rate: float, late_s: float, next_s: float) -> None:
    """Up to 50 ms are caught up, and no more than one request. The first one goes when the rate allows it."""
    token = limited_to(rate)
    limiter = token.limiter
    assert limiter.next_at == token.now + limiter.spacing_s
    assert limiter.spacing_s == 1.0 / rate
    sent_at = limiter.next_at + late_s
    limiter.acquire(sent_at)
    assert limiter.next_at - sent_at == pytest.approx(next_s)


# --- trials -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("pause_s", "trial_s"), [(0.125, 0.5), (0.25, 0.5), (0.5, 1.0), (10.0, 20.0), (40.0, 60.0)])
def test_a_trial_is_as_long_as_two_pauses(pause_s: float, trial_s: float) -> None:
    """At least half a second and at most a minute."""
    token = limited_to(64.0, bursts_s=50.0, pause_s=pause_s)
    assert token.passes() == 64 * trial_s


def test_the_pauses_before_a_quiet_hour_make_no_trial_longer() -> None:
    """They are forgotten with their refusals."""
    token = Token()
    token.burst(640, 10.0, pause_s=9.0)
    token.now += 3_600.0
    assert [token.burst(640, 10.0) for _ in range(3)][-1] == 64.0
    assert token.passes() == 32


@pytest.mark.parametrize(("took_s", "passes"), [(1.0, True), (1.125, False)])
def test_a_trial_counts_only_if_the_rate_is_used(took_s: float, *, passes: bool) -> None:
    """At least 80 % of it. Else the trial starts anew, with as many replies as any other."""
    token = limited_to(10.0)
    token.now += took_s
    for _ in range(8):
        token.limiter.on_reply(token.now)
    assert (token.limiter.rate > 10.0) == passes
    assert token.passes() == 8


@pytest.mark.parametrize(
    ("good", "took_s", "rate"),
    [(0, 0.25, 17.0), (7, 0.25, 17.0), (8, 0.25, 19.4), (8, 0.5, 16.0), (8, 4.0, 14.0)],
)
def test_a_refused_rate_is_lowered_to_its_goodput(good: int, took_s: float, rate: float) -> None:
    """By 3 % at least and 30 % at most; by 15 % if it was refused before eight good replies."""
    assert limited_to(20.0).burst(good, took_s) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("after_s", "contradicted", "rate"), [(0.375, True, 20.0), (0.5, True, 17.0), (0.375, False, 17.0)]
)
def test_a_refusal_of_the_earlier_rate_lowers_no_rate(after_s: float, rate: float, *, contradicted: bool) -> None:
    """Other replies contradict it within half a second after the rate was set. Then the trial starts anew."""
    token = limited_to(20.0)
    assert token.burst(1, after_s, contradicted=contradicted) == rate
    assert token.passes() == max(8, rate // 2)


def test_a_rate_far_below_the_goodput_that_set_it_is_forgotten() -> None:
    """The refusals go on at less than half of it, so it was no limit."""
    token = limited_to(20.0)
    rates = [token.burst(0, 0.25) for _ in range(5)]
    assert rates == [pytest.approx(rate) for rate in (17.0, 14.45, 12.2825, 10.440125, math.inf)]


def test_each_forgotten_rate_makes_the_next_first_trial_four_times_as_long() -> None:
    """Up to 8,000 replies; after a quiet time it is short again."""
    token, trials = Token(), []
    for quiet_s in (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 3_600.0):
        token.burst(1, 2.0)
        token.now += quiet_s
        while token.burst(1, 2.0) == math.inf:
            pass
        trials.append(token.limiter.trial)
        while token.burst(0, 0.25) < math.inf:
            pass
    assert trials == [8, 32, 128, 512, 2_048, 8_000, 8_000, 8]


# --- the plateau ------------------------------------------------------------------------------


def about(*trials: tuple[float, int]) -> list[tuple[object, int]]:
    return [(pytest.approx(rate, rel=1e-4), replies) for rate, replies in trials]


def held_at(rate: float) -> Token:
    """A token whose limit is found, and was held for once. A higher rate is tried next."""
    token = limited_to(rate)
    trials = token.tried(rate, 10)
    assert [replies for _, replies in trials] == [8, 0, 8, 0, 8, 0, 8, 0, 8, 9]
    assert {rate for rate, replies in trials if replies} == {rate}
    return token


def test_a_rate_that_is_not_refused_rises_faster_and_faster() -> None:
    """By a quarter, a half, and then by all of it. Past four times the first rate there is no limit."""
    token = limited_to(16.0)
    assert token.tried(math.inf, 6) == about((16, 8), (20, 10), (30, 15), (60, 30), (120, 60))
    assert token.limiter.rate == math.inf


def test_a_limit_is_looked_for_halfway_between_what_was_good_and_what_was_refused() -> None:
    """Until both are within 3.5 % of each other. Then the rate is held for one reply more than a trial."""
    assert limited_to(10.0).tried(20.0, 15) == about(
        (10, 8),
        (12.5, 8),
        (18.75, 9),
        (37.5, 0),
        (18.75, 9),
        (26.517, 0),
        (18.75, 9),
        (22.298, 0),
        (18.75, 9),
        (20.447, 0),
        (18.75, 9),
        (19.580, 9),
        (20.009, 0),
        (19.580, 9),
        (19.580, 10),
    )


@pytest.mark.parametrize(
    ("rate", "holds"),
    [(10.0, [1_000, 2_000, 4_000, 8_000, 8_000]), (1.0, [1_000, 2_000, 3_600, 3_600]), (0.125, [1_000, 1_000, 1_000])],
)
def test_each_refusal_above_the_limit_doubles_the_hold(rate: float, holds: list[int]) -> None:
    """Up to 8,000 replies or an hour, but 1,000 in any case. A trial takes an eighth of the hold."""
    expected = [trial for hold in holds for trial in ((1.035 * rate, 0), (rate, hold // 8), (rate, hold))]
    assert held_at(rate).tried(rate, len(expected)) == about(*expected)


def test_a_limit_that_is_lifted_is_left_in_growing_steps() -> None:
    """By 3.5 % at first; each step is twice as large as the one before it, up to all of the rate."""
    token = held_at(10.0)
    assert token.tried(math.inf, 7) == about(
        (10.35, 8), (11.0745, 8), (12.625, 8), (16.160, 8), (25.209, 12), (50.419, 25)
    )
    assert token.limiter.rate == math.inf


def test_a_slightly_higher_limit_is_searched_for_once() -> None:
    """A second refusal above it shows that nothing is to be found between: the rate that was held is held again."""
    token = held_at(10.0)
    found = 10.2584
    assert token.tried(10.5, 7) == about(
        (10.35, 8), (11.0745, 0), (10, 125), (10.5236, 0), (10, 125), (found, 125), (found, 1_000)
    )
    assert token.tried(10.7, 5) == about(
        (1.035 * found, 125), (1.035 * 1.07 * found, 0), (found, 250), (found, 2_000), (1.035 * found, 250)
    )


def test_a_much_higher_limit_starts_the_holds_anew() -> None:
    """It is looked for above the last rate that was good."""
    token = held_at(10.0)
    token.tried(10.0, 6)
    assert token.tried(14.0, 6) == about(
        (10.35, 250), (11.0745, 250), (12.625, 250), (16.160, 0), (12.198, 125), (14.040, 0)
    )
