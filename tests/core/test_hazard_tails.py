from __future__ import annotations

import math
import random
from collections.abc import Callable
from statistics import NormalDist

import pytest

from pollwise.core.hazard_tails import early_and_late
from pollwise.core.job_durations import JobDurations

STANDARD = NormalDist()
JOBS = 2_000


def log_normal(share: float) -> float:
    return 300.0 * math.exp(0.5 * STANDARD.inv_cdf(share))


def even(share: float) -> float:
    return 1_000.0 * share


def watched(took_s: Callable[[float], float], share_over: float) -> JobDurations:
    """Jobs that began together, of which this share is over. They are looked at all the time."""
    durations, ended = JobDurations(), int(JOBS * share_over)
    now = took_s(share_over)
    for number in range(JOBS):
        durations.add(0.0, 0.0)
        if number < ended:
            took = took_s((number + 0.5) / JOBS)
            durations.end(0.0, 0.0, 0.98 * took, took)
        else:
            durations.see(0.0, 0.0, now)
    return durations


@pytest.mark.parametrize("share_over", [0.3, 0.6, 0.9])
def test_log_normal_durations_are_between_the_tails(share_over: float) -> None:
    """The age at which one in a thousand jobs still runs is between those of the tails."""
    early, late = early_and_late(watched(log_normal, share_over))
    end_s, few = log_normal(0.999), -math.log(0.001)
    assert late(end_s) < few < early[0](end_s)
    assert late(2.0 * end_s) > few


def test_jobs_that_end_one_after_another_go_on_like_that() -> None:
    """After most of them the end of the rest is sharp; before that, only the early tail has it."""
    (early,), late = early_and_late(watched(even, 0.8))
    assert early(1_050.0) > -math.log(0.001)
    assert late(1_100.0) > -math.log(0.001)
    assert late(900.0) == pytest.approx(-math.log(0.1), rel=0.2)
    early_ones, late = early_and_late(watched(even, 0.4))
    assert max(tail(1_050.0) for tail in early_ones) > -math.log(0.001)
    assert late(1_050.0) < -math.log(0.01)


def test_the_tails_are_the_curve_where_that_is_known() -> None:
    """Up to the age of the oldest jobs, both tails are what was observed."""
    durations = watched(log_normal, 0.9)
    early, late = early_and_late(durations)
    for age_s in (0.0, 100.0, 300.0, 500.0):
        assert early[0](age_s) == pytest.approx(late(age_s))
        assert late(age_s) == pytest.approx(durations.curve().at(age_s))


def test_jobs_that_are_seldom_looked_at_are_fitted() -> None:
    """Where each job was looked at once, the tails are log-normal and close to the truth."""
    durations, dice = JobDurations(), random.Random(2)
    for number in range(JOBS):
        took_s, age_s = log_normal((number + 0.5) / JOBS), 1_000.0 * dice.random()
        durations.add(0.0, 0.0)
        if took_s < age_s:
            durations.end(0.0, 0.0, 0.0, age_s)
        else:
            durations.see(0.0, 0.0, age_s)
    early, late = early_and_late(durations)
    assert late(log_normal(0.99)) < -math.log(0.01) < early[0](log_normal(0.99))
    assert late(log_normal(0.99)) > 4.0


def test_two_groups_of_jobs_are_not_fitted() -> None:
    """Jobs of 10 s and of 1,000 s, each looked at once: few of them run after 1,200 s."""
    durations, dice = JobDurations(), random.Random(2)
    for number in range(JOBS):
        took_s, age_s = 10.0 if number % 2 else 1_000.0, 2_000.0 * dice.random()
        durations.add(0.0, 0.0)
        if took_s < age_s:
            durations.end(0.0, 0.0, 0.0, age_s)
        else:
            durations.see(0.0, 0.0, age_s)
    early, late = early_and_late(durations)
    assert len(early) == 1
    assert late(500.0) == pytest.approx(math.log(2.0), rel=0.2)
    assert durations.fit(0.8).late.hazard(1_500.0) < 2.5 < late(1_500.0)


def test_ends_beyond_all_open_jobs_are_fitted() -> None:
    """Where the jobs that are open have not reached the age of any end, the tails come from both."""
    durations = JobDurations()
    for _ in range(20):
        durations.learn(1_000.0, 1_001.0)
    for _ in range(100):
        durations.add(0.0, 10.0)
    (early,), late = early_and_late(durations)
    assert early(500.0) < 0.1
    assert late(2_000.0) > 3.0
