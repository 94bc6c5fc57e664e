"""How far an ETA is to be relied on: learnt from the ends of jobs."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.core.estimates import Estimates

STEP = 1.1  # of the table


def shape_of(estimates: Estimates) -> float:
    """How steeply the chance rises around the ETA: the odds at twice the ETA are 2 to the power of this."""
    chance = estimates.chance(2.0)
    return math.log2(chance / (1.0 - chance))


def learnt(*ends: tuple[float, float]) -> Estimates:
    estimates = Estimates()
    for eta_s, actual_s in ends:
        estimates.learn(eta_s, actual_s)
    return estimates


# --- the chance -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "chance"),
    [(0.0, 0.0), (1e-3, 0.0), (0.1, 1 / 10_001), (0.5, 1 / 17), (1.0, 1 / 2), (2.0, 16 / 17), (10.0, 10_000 / 10_001)],
)
def test_a_job_is_as_likely_over_as_not_at_its_eta(ratio: float, chance: float) -> None:
    """The odds rise with the fourth power of the time. After a thousandth of the ETA there is no chance."""
    assert Estimates().chance(ratio) == pytest.approx(chance, rel=1e-9, abs=0.0)


@pytest.mark.parametrize("ends", [(), [(100.0, 165.0)] * 200, [(100.0, 100.0)] * 20])
@pytest.mark.parametrize("ratio", [0.05, 0.3, 0.5, 0.77, 1.0, 1.23, 2.0, 5.0, 12.0, 19.5, 20.5, 22.0, 30.0, 1_000.0])
def test_the_sum_is_the_integral_of_the_chance(ratio: float, ends: list[tuple[float, float]]) -> None:
    """To 2 % or a four-hundredth of the ETA, also after the spread was learnt, and beyond the end of the table."""
    estimates = learnt(*ends)
    parts = 20_000
    exact = sum(estimates.chance(ratio * (part + 0.5) / parts) for part in range(parts)) * ratio / parts
    assert estimates.summed(ratio) == pytest.approx(exact, rel=0.02, abs=0.0025)


def test_the_first_fiftieth_of_an_eta_adds_nothing() -> None:
    """The table begins there."""
    assert [Estimates().summed(ratio) for ratio in (0.0, 0.01, 0.02)] == [0.0, 0.0, 0.0]


@given(st.floats(1e-3, 1e3))
def test_the_sum_of_an_estimates_chance_inverts(summed: float) -> None:
    """`ratio` finds where the sum reaches a value, to within a step of the table, and exactly beyond the table."""
    estimates = Estimates()
    ratio = estimates.ratio(summed)
    assert estimates.summed(ratio) >= summed * (1 - 1e-9)
    assert estimates.summed(ratio / STEP) <= summed * (1 + 1e-9)
    if ratio > 25.0:
        assert estimates.summed(ratio) == pytest.approx(summed)


@pytest.mark.parametrize("summed", [18.5, 19.0, 19.5, 19.9])
def test_the_sum_inverts_at_the_end_of_the_table(summed: float) -> None:
    """The last step is as good as any other."""
    estimates = Estimates()
    ratio = estimates.ratio(summed)
    assert estimates.summed(ratio / STEP) <= summed <= estimates.summed(ratio)


def test_the_sum_and_its_inverse_follow_what_is_learnt() -> None:
    """Whichever is asked for first: the table of the earlier spread is not used."""
    doubted, fresh = Estimates(), Estimates()
    assert doubted.summed(0.5) == fresh.summed(0.5)
    for _ in range(100):
        doubted.learn(100.0, 300.0)
    assert doubted.summed(0.5) > 2 * fresh.summed(0.5)
    assert doubted.ratio(0.1) < 0.8 * fresh.ratio(0.1)


# --- the spread -------------------------------------------------------------------------------


def test_a_bad_estimator_is_trusted_less() -> None:
    """Ends far from the ETA widen the window in which they are looked for."""
    trusted, doubted = learnt(*[(100, 101)] * 100), learnt(*[(100, 300)] * 100)
    assert trusted.chance(0.5) < doubted.chance(0.5)


@pytest.mark.parametrize(
    ("eta_s", "actual_s", "spread"),
    [
        (100.0, 100.0 * math.e, 0.2875),
        (100.0 * math.e, 100.0, 0.2875),
        (1.0, 1e6, 0.3375),
        (1e6, 1.0, 0.3375),
        (100.0, 100.0, 0.2375),
        (0.1, 0.1, 0.2375),
        (0.0, 0.0, 0.2375),
        (1e-3, 1e-4, 0.2375),
        (1e-4, 1e-3, 0.2375),
        (0.0, 1.0, 0.3375),
    ],
)
def test_each_end_moves_the_spread_by_a_twentieth(eta_s: float, actual_s: float, spread: float) -> None:
    """Towards the logarithm of how wrong the ETA was, which is 2 at most. It was 0.25; times below 1 ms count as 1 ms."""
    assert shape_of(learnt((eta_s, actual_s))) == pytest.approx(1 / spread)


def test_a_spread_that_hardly_changed_is_not_used_yet() -> None:
    """Until it differs by 5 %: the table is not made again for every end."""
    actual_s = 100.0 * math.exp(0.3)
    assert shape_of(learnt((100.0, actual_s))) == pytest.approx(4.0)
    assert shape_of(learnt(*[(100.0, actual_s)] * 300)) == pytest.approx(1 / 0.3, rel=0.05)


def test_the_spread_becomes_the_mean_error() -> None:
    """It is never below 0.05, however good the estimates are."""
    assert shape_of(learnt(*[(100.0, 100.0 * math.exp(0.5))] * 300)) == pytest.approx(2.0, rel=0.05)
    assert shape_of(learnt(*[(100.0, 100.0)] * 300)) == pytest.approx(20.0, rel=0.05)
