"""How long jobs take, in exact numbers: each answer is compared with the same sum computed slowly."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pollwise.core.forecast import Durations

EDGES = [0.0, *(0.25 * 1.05**n for n in range(340))]
OLDEST_S = EDGES[-1]
BINS = list(zip(EDGES, [*EDGES[1:-1], math.inf], strict=False))  # the last bin has no end
WIDTHS = [end - begin for begin, end in pairwise(EDGES)]
# A tenth of a job that ends within dt with chance dt/(t + 2): the prior.
PRIOR_TIMES = [0.1 * width for width in WIDTHS]
PRIOR_ENDS = [
    0.1 * width / ((begin + end) / 2 + 2) for begin, end, width in zip(EDGES, EDGES[1:], WIDTHS, strict=False)
]


class Slow:
    """Ends and times by age, and all answers from them, without a table."""

    def __init__(self) -> None:
        self.ends = [0.0] * 340
        self.times = [0.0] * 340
        self.known = self.hazards()  # as they were after the last end

    def hazards(self) -> list[float]:
        return [
            (ends + few) / (times + little)
            for ends, times, few, little in zip(self.ends, self.times, PRIOR_ENDS, PRIOR_TIMES, strict=True)
        ]

    def risk(self, since_s: float, until_s: float) -> float:
        """The hazard summed over this time."""
        spans = (min(until_s, end) - max(since_s, begin) for begin, end in BINS)
        return sum(hazard * span for hazard, span in zip(self.hazards(), spans, strict=True) if span > 0)

    def chance(self, since_s: float, until_s: float) -> float:
        return -math.expm1(-self.risk(since_s, until_s))

    def undetected_s(self, since_s: float, until_s: float, steps: int = 300) -> float:
        """The trapezoid rule, with many steps."""
        step = (until_s - since_s) / steps
        chances = [self.chance(since_s, since_s + n * step) for n in range(steps + 1)]
        return step * (sum(chances) - chances[-1] / 2)

    def seen(self, since_s: float, until_s: float) -> float:
        """The hazard of the smoothed ends alone, summed over this time."""
        summed = 0.0
        for n, (begin, end) in enumerate(BINS):
            around = self.ends[max(0, n - 3) : n + 4]
            hazard = sum(around) / len(around) / (self.times[n] + PRIOR_TIMES[n])
            summed += hazard * max(0.0, min(until_s, end) - max(since_s, begin))
        return summed

    def ran(self, since_s: float, until_s: float) -> None:
        for n, (begin, end) in enumerate(BINS):
            self.times[n] += max(0.0, min(until_s, end, OLDEST_S) - max(since_s, begin))

    def over(self, since_s: float, until_s: float) -> None:
        """One end, in each bin as likely as the hazards say. Its time there is about the mean of both shares that run."""
        since_s, until_s = min(since_s, OLDEST_S), min(until_s, OLDEST_S)
        alive, whole = 1.0, self._known_chance(since_s, until_s)
        for n, (begin, end) in enumerate(BINS):
            last = until_s < end
            if since_s < end and begin <= until_s:
                first, beyond = max(since_s, begin), min(until_s, end)
                later = 0.0 if last else (whole - self._known_chance(since_s, beyond)) / whole
                self.ends[n] += alive - later
                self.times[n] += (alive + later) / 2 * (beyond - first)
                alive = later
        self.known = self.hazards()

    def _known_chance(self, since_s: float, until_s: float) -> float:
        spans = (min(until_s, end) - max(since_s, begin) for begin, end in BINS)
        return -math.expm1(-sum(hazard * span for hazard, span in zip(self.known, spans, strict=True) if span > 0))


AGES = st.one_of(st.floats(0, 100), st.floats(0, 1e4), st.floats(0, 5e6), st.sampled_from([0.0, 0.1, 0.25, OLDEST_S]))
SPANS = st.one_of(st.floats(0.01, 3), st.floats(1, 1e3), st.floats(1, 1e6))
SEEN = st.lists(st.tuples(st.booleans(), AGES, SPANS), max_size=6)


def both(seen: list[tuple[bool, float, float]]) -> tuple[Durations, Slow]:
    """The same jobs, seen by each of them. A job that is over ran from its begin on."""
    durations, slow = Durations(), Slow()
    for over, since, span in seen:
        for learns in (durations, slow):
            if over:
                learns.ran(0.0, since)
                learns.over(since, since + span)
            else:
                learns.ran(since, since + span)
    durations.learn([])  # what is seen running counts from the next end on
    return durations, slow


@given(SEEN, AGES, SPANS)
@example([(True, 0.1, 0.05)] * 3 + [(False, 0.1, 0.9)], 0.05, 0.1)
@example([(True, 0.3, 40.0), (True, 0.3, 4.0), (False, 0.3, 70.3)], 0.2, 50.0)
@example([(True, 1.0, 4e6), (False, 1.0, 4e6)], OLDEST_S * 1.01, 1e5)
@example([(True, 3e6, 1e6)], OLDEST_S * 0.97, 1e4)
@example([(False, 3e6, 9e6)], 1.0, OLDEST_S * 0.98)
def test_the_chance_follows_from_each_end_and_each_second_that_a_job_ran(
    seen: list[tuple[bool, float, float]], age: float, span: float
) -> None:
    """The hazard of an age is the number of ends by the time that jobs ran at that age, running jobs included."""
    durations, slow = both(seen)
    assert durations.chance(age, age + span) == pytest.approx(slow.chance(age, age + span), rel=1e-6, abs=1e-9)


@given(SEEN, AGES, SPANS)
@example([(True, 3.0, 1.0)] * 9, 2.9, 0.4)
@example([(True, 0.1, 0.05)] * 9, 0.0, 0.4)
@example([(True, 2e6, 1e6)] * 9, OLDEST_S * 0.9, 1e6)
def test_suspicion_is_smoothed_over_three_bins_to_either_side(
    seen: list[tuple[bool, float, float]], age: float, span: float
) -> None:
    """An end makes other ends likely at ages up to a sixth younger or older."""
    durations, slow = both(seen)
    expected = -math.expm1(-slow.seen(age, age + span))
    assert durations.suspicion(age, age + span) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("age", "silent_s"), [(0.0, 30.0), (55.0, 10.0), (0.1, 0.1), (90.0, 4_000.0), (3e6, 2e6), (4e6, 1e6)]
)
def test_the_expected_delay_is_the_chance_summed_over_the_silence(age: float, silent_s: float) -> None:
    """A poll of a job that is over for sure since the last poll would find it late by the whole silence."""
    durations, slow = both([(True, 50.0, 20.0)] * 20 + [(True, 1_000.0, 500.0)] * 9)
    expected = slow.undetected_s(age, age + silent_s)
    assert durations.undetected_s(age, age + silent_s) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("age", "silent_s"), [(0.0, 60.0), (52.0, 10.0), (60.0, 2.0)])
def test_the_suspected_time_is_the_suspicion_summed_over_the_silence(age: float, silent_s: float) -> None:
    """It says for how long a job has probably been over, by the ends that were seen."""
    durations = Durations()
    durations.learn([(0.0, 100.0)] * 10 + [(50.0, 70.0)] * 20)
    suspicions = [durations.suspicion(age, age + silent_s * n / 1_000) for n in range(1_001)]
    expected = silent_s / 1_000 * (sum(suspicions) - suspicions[-1] / 2)
    assert durations.suspected_s(age, age + silent_s) == pytest.approx(expected, rel=0.06)


def test_outliving_is_the_chance_not_to_end_between_two_bins() -> None:
    """From the begin of one bin to the begin of another."""
    durations, slow = both([(True, 5.0, 5.0)] * 4 + [(False, 0.0, 50.0)] * 6)
    for first, last in [(0, 1), (3, 80), (60, 90), (10, 10)]:
        expected = 1.0 - slow.chance(EDGES[first], EDGES[last])
        assert durations.outliving(first, last) == pytest.approx(expected, rel=1e-6)


def test_fifteen_ends_at_an_age_or_later_are_enough_to_know() -> None:
    """Fourteen are not, and ends at younger ages do not count."""
    durations = Durations()
    for _ in range(14):
        durations.over(10.0, 10.1)
    assert not durations.knows(0.0)
    durations.over(10.0, 10.1)
    assert durations.knows(0.0)
    assert durations.knows(10.0)
    assert not durations.knows(11.0)


def test_a_bin_begins_with_its_first_moment() -> None:
    """An end before 0.25 s says nothing of a job that has run for 0.25 s."""
    durations = Durations()
    for _ in range(15):
        durations.over(0.0, 0.2)
    assert durations.knows(0.24)
    assert not durations.knows(0.25)


def test_an_end_counts_though_no_time_passed_between_two_polls() -> None:
    """A clock with coarse steps may show the same time twice."""
    durations = Durations()
    for _ in range(15):
        durations.over(10.0, 10.0)
    assert durations.ended == 15.0
    assert durations.knows(10.0)


def test_an_end_counts_though_its_chance_was_next_to_nothing() -> None:
    """Ten thousand jobs outlived that moment, and one ended within it. The moment is in two bins."""
    at_once, one_by_one, moment = Durations(), Durations(), EDGES[200]
    for durations in (at_once, one_by_one):
        for _ in range(10_000):
            durations.ran(0.0, 2 * moment)
        durations.learn([])
    end = moment * (1 - 1e-13), moment * (1 + 1e-13)
    at_once.learn([end] * 15)
    for _ in range(15):
        one_by_one.over(*end)
    assert at_once.knows(EDGES[199])
    assert one_by_one.knows(EDGES[199])


def test_when_all_jobs_ended_at_once_an_older_one_is_over_for_sure() -> None:
    """No job outlives such an age, and the expected delay is the whole silence."""
    durations = Durations()
    for _ in range(100):
        durations.over(0.0, 0.0)
    assert durations.chance(1.0, 3.0) == 1.0
    assert durations.outliving(10, 20) == 0.0
    assert durations.undetected_s(1.0, 3.0) == 2.0


def test_each_of_fifty_ends_counts_at_once_and_later_ends_are_gathered() -> None:
    """To compute all hazards anew takes longer than an end is worth: a fiftieth of all ends waits for it at most."""
    durations, refreshed = Durations(), []
    for end in range(1, 301):
        before = durations.version
        durations.over(5.0, 6.0)
        assert durations.ended == end
        if durations.version == before + 1:
            refreshed.append(end)
    assert refreshed[:53] == [*range(1, 51), 52, 54, 56]
    assert refreshed[73:78] == [98, 100, 103, 106, 109]
    assert refreshed[-3:] == [286, 292, 298]


def test_after_a_thousand_ends_the_earlier_ones_count_half() -> None:
    """A thousand ends count whole, and one more halves all of them. The forecast is the same, and new ends weigh twice."""
    whole, halved = Durations(), Durations()
    whole.learn([(90.0, 100.0)] * 1_000)
    assert whole.ended == 1_000.0
    halved.learn([(90.0, 100.0)] * 1_001)
    assert halved.ended == 500.5
    for since, until in [(88.0, 93.0), (91.0, 95.0), (92.0, 97.0)]:
        assert halved.chance(since, until) == pytest.approx(whole.chance(since, until), rel=0.01)
