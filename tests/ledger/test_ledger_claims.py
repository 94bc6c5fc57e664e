"""Claims in memory: which outcomes a consumer has, and until when."""

from __future__ import annotations

from pollwise.ledger import Acknowledgement
from pollwise.ledger.claims import Claims


def outcomes(*numbers: int, generation: int = 0) -> list[Acknowledgement]:
    return [Acknowledgement(id=number, generation=generation) for number in numbers]


def test_a_claim_ends_at_its_moment() -> None:
    """It is held before that moment, and not at it."""
    claims = Claims()
    claims.take(outcomes(1, 2), until=10.0)
    claims.take(outcomes(3), until=20.0)
    assert claims.held(9.9) == {1, 2, 3}
    assert claims.held(10.0) == {3}
    assert claims.held(20.0) == set()


def test_what_is_held_is_a_value() -> None:
    """A later claim does not change it, because another thread reads it."""
    claims = Claims()
    before = claims.held(0.0)
    claims.take(outcomes(1), until=10.0)
    assert before == set()


def test_a_dropped_claim_is_not_held() -> None:
    """What was never claimed can be dropped, too."""
    claims = Claims()
    claims.take(outcomes(1, 2), until=10.0)
    claims.drop(outcomes(2, 7))
    assert claims.held(0.0) == {1}


def test_an_outcome_of_an_earlier_generation_is_another_one() -> None:
    """Dropping it leaves the claim of the outcome that came after it."""
    claims = Claims()
    claims.take(outcomes(1, generation=1), until=10.0)
    claims.drop(outcomes(1))
    assert claims.held(0.0) == {1}
    claims.drop(outcomes(1, generation=1))
    assert claims.held(0.0) == set()
