from __future__ import annotations

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.core.job_durations import JobDurations
from pollwise.core.remaining_time import Rates, Remaining, latest, remaining_time, useful

STANDARD = NormalDist()
FREE = Rates(slow=math.inf, fast=math.inf)
ONE = Rates(slow=1.0, fast=1.0)


def estimate(durations: JobDurations, now: float, rates: Rates = FREE, not_begun: int = 0) -> Remaining:
    found = remaining_time(durations, now, not_begun=not_begun, rates=rates, delay_s=0.0)
    assert found is not None
    return found


def took_s(share: float) -> float:
    return 100.0 * math.exp(0.5 * STANDARD.inv_cdf(share))


def known(ended: int) -> JobDurations:
    """So many jobs of an earlier run, which took about 100 s."""
    durations = JobDurations()
    for number in range(ended):
        durations.learn(0.97 * took_s((number + 0.5) / ended), took_s((number + 0.5) / ended))
    return durations


def test_jobs_that_are_over_take_a_request_each() -> None:
    """Of jobs that were never polled and are old, only the rate counts."""
    durations = known(100)
    for _ in range(600):
        durations.add(0.0, 0.0)
    remaining = estimate(durations, 10_000.0, ONE)
    assert 590.0 < remaining.low_s <= remaining.high_s < 610.0
    assert estimate(durations, 10_000.0, Rates(slow=10.0, fast=10.0)).high_s < 65.0


def test_requests_that_may_be_sent_at_once_take_no_time() -> None:
    """Under 5,000 requests an hour, 600 jobs that are over take seconds; 10,000 jobs take at least the rest of them."""
    durations, hourly = known(100), Rates(slow=5_000 / 3_600, fast=5_000 / 3_600)
    for _ in range(600):
        durations.add(0.0, 0.0)
    found = remaining_time(durations, 10_000.0, not_begun=0, rates=hourly, delay_s=0.0, at_once=5_000)
    assert found is not None
    assert found.high_s < 10.0
    for _ in range(9_400):
        durations.add(0.0, 0.0)
    found = remaining_time(durations, 10_000.0, not_begun=0, rates=hourly, delay_s=0.0, at_once=5_000)
    assert found is not None
    assert 3_500.0 < found.low_s < 3_700.0
    assert 7_000.0 < found.high_s < 7_400.0


@pytest.mark.parametrize("rates", [FREE, ONE])
def test_a_pause_comes_before_the_requests(rates: Rates) -> None:
    """While the server has asked for a pause, no job is seen to be over."""
    durations = known(100)
    for _ in range(60):
        durations.add(0.0, 0.0)
    found = remaining_time(durations, 10_000.0, not_begun=0, rates=rates, delay_s=0.0, pause_s=600.0)
    assert found is not None
    usual = estimate(durations, 10_000.0, rates)
    assert found.low_s == pytest.approx(600.0 + usual.low_s, rel=0.01)
    assert found.high_s == pytest.approx(600.0 + usual.high_s, rel=0.01)


def test_jobs_that_begin_now_cannot_be_over_soon() -> None:
    """Without a limit, the longest of the jobs decides, whose duration is between the 5 % and the 95 % quantile."""
    durations = known(1_000)
    remaining = estimate(durations, 0.0, not_begun=100)
    low_s, high_s = (took_s(quantile ** (1 / 100)) for quantile in (0.05, 0.95))
    assert remaining.low_s == pytest.approx(low_s, rel=0.1)
    assert remaining.high_s == pytest.approx(high_s, rel=0.3)


def test_a_job_that_has_lasted_long_lasts_longer() -> None:
    """A job that was seen to run at a high age does not end at the usual one."""
    durations = known(1_000)
    durations.add(0.0, 250.0)
    old = estimate(durations, 250.0)
    fresh = estimate(known(1_000), 250.0, not_begun=1)
    assert old.high_s < fresh.high_s
    assert 250.0 + old.high_s > fresh.high_s


def test_both_the_jobs_and_the_requests_count() -> None:
    """With a limit, the end is neither before that without one nor before one request for each job."""
    for jobs in (10, 100, 1_000):
        durations = known(1_000)
        limited, free = estimate(durations, 0.0, ONE, jobs), estimate(durations, 0.0, not_begun=jobs)
        assert limited.low_s >= max(0.97 * jobs, free.low_s)
        assert limited.high_s >= max(jobs, free.high_s)
        assert limited.high_s < 1.1 * (2 * jobs + free.high_s)


def test_the_delay_of_the_last_poll_counts() -> None:
    """The end of a job is seen by a poll, which comes later. With a limit, more than a minute of it is not pacing."""

    def high_s(delay_s: float, rates: Rates) -> float:
        found = remaining_time(known(1_000), 0.0, not_begun=10, rates=rates, delay_s=delay_s)
        assert found is not None
        return found.high_s

    assert high_s(30.0, FREE) == high_s(0.0, FREE) + 30.0
    assert high_s(900.0, FREE) == high_s(0.0, FREE) + 900.0
    assert high_s(30.0, ONE) == high_s(0.0, ONE) + 30.0
    assert high_s(900.0, ONE) == high_s(0.0, ONE) + 60.0


def test_two_ends_are_too_few() -> None:
    """The time left is unknown before three jobs have ended, and 0 if none is open."""
    for ended, unknown in ((2, True), (3, False)):
        found = remaining_time(known(ended), 0.0, not_begun=10, rates=FREE, delay_s=0.0)
        assert (found is None) is unknown
    assert estimate(known(0), 0.0) == Remaining(low_s=0.0, high_s=0.0)


def test_a_second_group_of_jobs_is_unknown_until_it_ends() -> None:
    """Half of the jobs have ended at about 30 s, and none for minutes: the rest may take any time."""
    durations = JobDurations()
    for number in range(400):
        durations.add(0.0, 0.0)
        if number < 200:
            took = 30.0 + number / 100
            durations.end(0.0, 0.0, 0.97 * took, took)
        else:
            durations.see(0.0, 0.0, 400.0)
    found = remaining_time(durations, 400.0, not_begun=0, rates=FREE, delay_s=1.0)
    assert useful(found, 400.0) is None


def test_a_wide_range_is_unknown() -> None:
    """A range of which the upper end is eight times the lower one is useful only if it is no longer than what has gone."""
    wide = Remaining(low_s=10.0, high_s=100.0)
    assert useful(wide, 30.0) is None
    assert useful(wide, 40.0) is wide
    assert useful(Remaining(low_s=20.0, high_s=100.0), 1.0) is not None
    assert useful(None, 1.0) is None


def test_the_slowest_endpoint_decides() -> None:
    """Each end of the range of several endpoints is the latest; unknown if that of one is unknown."""
    one, other = Remaining(low_s=1.0, high_s=9.0), Remaining(low_s=5.0, high_s=6.0)
    assert latest([one, other]) == Remaining(low_s=5.0, high_s=9.0)
    assert latest([one, None]) is None
    assert one.after(3.0) == Remaining(low_s=0.0, high_s=6.0)


@pytest.mark.parametrize(
    ("stated", "learnt", "recent", "held", "slow", "fast"),
    [
        (1.0, None, 0.0, False, 0.97, 1.03),
        (1.0, None, 0.5, False, 0.97, 1.03),
        (1.0, None, 0.5, True, 0.485, 1.03),
        (1.0, None, 2.0, True, 0.97, 1.03),
        (None, 2.0, 1.0, False, 1.6, 2.4),
        (None, 2.0, 1.0, True, 0.8, 2.4),
        (None, None, 1.0, True, 0.8, 1.2),
        (None, None, 1.0, False, math.inf, math.inf),
    ],
)
def test_the_rate_of_requests(
    stated: float | None, learnt: float | None, recent: float, held: bool, slow: float, fast: float
) -> None:
    """The limit counts, and the recent rate if jobs wait for their first poll."""
    rates = Rates.of(stated, learnt, recent, held=held)
    assert (rates.slow, rates.fast) == (pytest.approx(slow), pytest.approx(fast))


JOBS = st.tuples(st.floats(-1e5, 1e3), st.floats(0.0, 1e5), st.floats(0.0, 1e5), st.sampled_from("oea"))


@given(st.lists(JOBS, min_size=1, max_size=20), st.floats(1e-3, 1e3) | st.just(math.inf), st.integers(0, 1_000))
def test_any_jobs_have_a_range_or_none(
    jobs: list[tuple[float, float, float, str]], rate: float, not_begun: int
) -> None:
    """For any ages, ends and rates, the range is finite and in order, or it is unknown."""
    durations = JobDurations()
    for began_at, first_s, second_s, kind in jobs:
        seen_s, took = sorted((first_s, second_s))
        durations.add(began_at, 0.0)
        if kind == "e":
            durations.end(began_at, 0.0, seen_s, took)
        elif kind == "a":
            durations.abandon(began_at, 0.0)
        else:
            durations.see(began_at, 0.0, seen_s)
    rates = Rates(slow=rate, fast=rate)
    found = remaining_time(durations, 1e3, not_begun=not_begun, rates=rates, delay_s=1.0)
    if found is not None:
        assert 0.0 <= found.low_s <= found.high_s < math.inf
