"""What all watches of one watcher have in common."""

from __future__ import annotations

from pollwise.core.forecast import level_of
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy


def test_the_last_poll_is_never_sooner_after_another_than_the_pacing_allows() -> None:
    """The pause before the last poll is the pacing's shortest wait, or less where that poll is nearer."""
    policy = Policy(pacing=Pacing(min_s=5.0), retry=Retry(), timeout_s=60.0, last_poll_s=1.0)
    assert policy.pause_s == 1.0
    assert Policy(pacing=Pacing(min_s=0.5), retry=Retry(), timeout_s=60.0, last_poll_s=1.0).pause_s == 0.5


def test_the_patience_of_the_pacing_is_a_level_of_worth() -> None:
    """More patience is a higher level: a poll must be worth more before it is asked."""
    patient = Policy(pacing=Pacing(patience_s=8.0), retry=Retry(), timeout_s=None)
    hasty = Policy(pacing=Pacing(patience_s=1.0), retry=Retry(), timeout_s=None)
    assert patient.patience_level == level_of(8.0) > hasty.patience_level
