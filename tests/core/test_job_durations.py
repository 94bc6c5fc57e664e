from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.core.job_durations import EDGES, JobDurations

AGES = st.floats(0.0, 1e7)


def exact(durations: JobDurations, *took_s: float) -> JobDurations:
    """Jobs that began at 0, each seen to run just before its end."""
    for took in took_s:
        durations.add(0.0, 0.0)
        durations.see(0.0, 0.0, 0.97 * took)
        durations.end(0.0, 0.97 * took, 0.97 * took, took)
    return durations


def test_the_curve_is_the_share_of_jobs_that_still_run() -> None:
    """Jobs that end one after another, and others that go on, give the hazards of that share."""
    durations = exact(JobDurations(), *(float(second) for second in range(100, 200)))
    for _ in range(100):
        durations.add(0.0, 210.0)
    curve = durations.curve()
    assert 180.0 < curve.frontier_s <= 210.0
    for age_s in (120.0, 150.0, 170.0):
        assert math.exp(-curve.at(age_s)) == pytest.approx(1.0 - (age_s - 100.0) / 200.0, abs=0.03)
    assert curve.at(1e9) == curve.hazards[-1]
    assert curve.at(curve.age_of(0.2)) == pytest.approx(0.2)


def test_an_end_that_came_long_after_the_last_look_is_spread_by_the_others() -> None:
    """The known ends are at 100 s, so a job that ended between 0 and 1,000 s counts mostly there."""
    durations = exact(JobDurations(), *[100.0] * 50)
    for _ in range(20):
        durations.learn(0.0, 1_000.0)
    for _ in range(30):
        durations.add(0.0, 1_200.0)
    assert math.exp(-durations.curve().at(130.0)) == pytest.approx(0.3, abs=0.05)


def test_most_ends_have_to_be_known_well() -> None:
    """The curve is exact if twenty ends, and more than half of all, came soon after their jobs were last seen."""
    durations = exact(JobDurations(), *[100.0] * 19)
    assert not durations.are_known_well
    exact(durations, 100.0)
    assert durations.are_known_well
    for _ in range(20):
        durations.learn(0.0, 100.0)
    assert not durations.are_known_well


def test_abandoned_jobs_ran_at_the_ages_at_which_they_were_seen() -> None:
    """An abandoned job is no end, and shows that a job may take longer."""
    durations = exact(JobDurations(), *[100.0] * 20)
    for _ in range(60):
        durations.add(5.0, 200.0)
        durations.abandon(5.0, 200.0)
    assert (durations.ended, durations.open.total()) == (20, 0)
    assert math.exp(-durations.curve().at(150.0)) == pytest.approx(0.75, abs=0.01)


def test_a_job_that_was_seen_is_never_among_the_unseen() -> None:
    """That is true for a job that was seen in the first moment, too."""
    durations = JobDurations()
    durations.add(0.0, 0.0)
    assert durations.unseen == 1
    durations.see(0.0, 0.0, 0.001)
    assert durations.unseen == 0


def test_begins_over_a_day_are_in_few_bins() -> None:
    """A thousand jobs that begin one after another take 32 bins, and each can still be seen and ended."""
    durations = JobDurations()
    for number in range(1_000):
        durations.add(86.4 * number, 0.0)
    assert len({begin for begin, _ in durations.open}) <= 32
    for number in range(1_000):
        durations.see(86.4 * number, 0.0, 50.0)
        if number % 2:
            durations.end(86.4 * number, 50.0, 50.0, 51.0)
    assert (durations.open.total(), durations.unseen, durations.ended) == (500, 0, 500)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), AGES, AGES, AGES, st.sampled_from("oaes")), max_size=40))
def test_any_updates_leave_right_counts(jobs: list[tuple[float, float, float, float, str]]) -> None:
    """Counts are kept for any ages and begins, in at most 32 bins of begins; the curve never falls."""
    durations = JobDurations()
    left = 0
    for began_at, first_s, second_s, third_s, kind in jobs:
        before_s, seen_s, took_s = sorted((first_s, second_s, third_s))
        durations.add(began_at, before_s)
        if kind == "a":
            durations.abandon(began_at, before_s)
        elif kind == "e":
            durations.end(began_at, before_s, seen_s, took_s)
        else:
            left += 1
            if kind == "s":
                durations.see(began_at, before_s, seen_s)
    assert durations.open.total() == left
    assert min(durations.open.values(), default=1) > 0
    assert len({begin for begin, _ in durations.open}) <= 32
    hazards = durations.curve().hazards
    assert hazards == sorted(hazards)
    assert 1 <= len(hazards) <= len(EDGES)
