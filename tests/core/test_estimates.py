"""How far an ETA is to be relied on: learnt from the ends of jobs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pollwise.core.estimates import Estimates


@given(st.floats(1e-3, 1e3))
def test_the_sum_of_an_estimates_chance_inverts(summed: float) -> None:
    """`ratio` finds where the sum reaches a value, to within a step of the table."""
    estimates = Estimates()
    ratio = estimates.ratio(summed)
    assert estimates.summed(ratio * 1.11) >= summed * (1 - 1e-6) or ratio <= 0.03
    assert estimates.summed(ratio / 1.11) <= summed * (1 + 1e-6)


def test_a_bad_estimator_is_trusted_less() -> None:
    """Ends far from the ETA widen the window in which they are looked for."""
    trusted, doubted = Estimates(), Estimates()
    for _ in range(100):
        trusted.learn(100, 101)
        doubted.learn(100, 300)
    assert trusted.chance(0.5) < doubted.chance(0.5)
