from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.core.job_durations import EDGES
from pollwise.core.log_normal_fit import LogNormal, fit_log_normal


def looked_at_once(median_s: float, spread: float, jobs: int) -> tuple[Counter[tuple[int, int]], Counter[int]]:
    """Each of the jobs is looked at once, at some age up to twice the median: over, or not."""
    dice = random.Random(1)
    between: Counter[tuple[int, int]] = Counter()
    beyond: Counter[int] = Counter()
    for _ in range(jobs):
        age_s, took_s = 2 * median_s * dice.random(), dice.lognormvariate(math.log(median_s), spread)
        edge = bisect_right(EDGES, age_s) - 1
        if took_s < age_s:
            between[0, edge + 1] += 1
        else:
            beyond[edge] += 1
    return between, beyond


@pytest.mark.parametrize(("median_s", "spread"), [(300.0, 0.5), (20.0, 0.3), (3600.0, 1.0)])
def test_one_look_at_each_job_shows_the_distribution(median_s: float, spread: float) -> None:
    """A thousand jobs, each of which was looked at once, give median and spread within 15 %."""
    fit = fit_log_normal(*looked_at_once(median_s, spread, 1_000), EDGES, 0.0)
    assert fit.early == fit.likeliest == fit.late
    assert math.exp(fit.likeliest.mean) == pytest.approx(median_s, rel=0.15)
    assert fit.likeliest.spread == pytest.approx(spread, rel=0.15)


def test_few_jobs_give_a_wide_range() -> None:
    """The early and the late distribution are far apart after ten jobs, and close together after a thousand."""
    ranges = []
    for jobs in (10, 1_000):
        fit = fit_log_normal(*looked_at_once(300.0, 0.5, jobs), EDGES, 1.0)
        ends = [distribution.mean + 3.0 * distribution.spread for distribution in (fit.early, fit.late)]
        assert ends[0] < math.log(300.0) + 3.0 * 0.5 < ends[1]
        ranges.append(ends[1] - ends[0])
    assert ranges[0] > 4 * ranges[1]


def test_the_hazard_is_that_of_the_distribution() -> None:
    """Half of the jobs take longer than the median, and 2.3 % longer than two spreads above it."""
    distribution = LogNormal(math.log(60.0), 0.5)
    assert math.exp(-distribution.hazard(60.0)) == pytest.approx(0.5)
    assert math.exp(-distribution.hazard(60.0 * math.e)) == pytest.approx(0.02275, rel=1e-3)
    assert distribution.hazard(0.0) == 0.0
    assert math.isfinite(distribution.hazard(1e300))


BINS = st.integers(0, 300)


@given(
    st.lists(st.tuples(BINS, st.integers(1, 20), st.integers(1, 10_000)), max_size=6),
    st.dictionaries(BINS, BINS, max_size=6),
)
def test_any_bounds_have_a_fit(ends: list[tuple[int, int, int]], beyond: dict[int, int]) -> None:
    """Contradicting, few and no bounds give finite distributions, the early one before the late one."""
    between = {(since, since + width): count for since, width, count in ends}
    fit = fit_log_normal(between, beyond, EDGES, 1.0)
    for distribution in (fit.early, fit.likeliest, fit.late):
        assert math.isfinite(distribution.mean)
        assert 0.0 < distribution.spread < math.inf
    assert fit.early.mean + 2.5 * fit.early.spread <= fit.late.mean + 2.5 * fit.late.spread
