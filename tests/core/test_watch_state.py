"""The facts of one watch, and the events that report them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pollwise.core.machine import WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.core.watch_state import DueReason
from pollwise.errors import WatchStopped
from pollwise.model.events import Cancelled, Failed, Succeeded
from pollwise.model.reading import Phase, Reading


def machine(timeout_s: float | None = 100.0) -> WatchMachine[str, str]:
    return WatchMachine("job", Policy(pacing=Pacing(), retry=Retry(), timeout_s=timeout_s), now=0.0)


def running(fraction: float | None = None) -> Reading[str]:
    return Reading(status="running", phase=Phase.RUNNING, fraction=fraction)


def test_a_new_watch_is_due_at_once_and_has_all_its_time() -> None:
    """Nothing was asked yet, and the deadline is the timeout away."""
    watch = machine()
    assert (watch.due_at, watch.deadline, watch.due_reason) == (0.0, 100.0, DueReason.GIVEN)
    assert watch.is_new
    assert watch.seen_s is None
    assert machine(timeout_s=None).deadline == math.inf


def test_progress_tells_how_long_the_rest_takes() -> None:
    """A fifth in ten seconds: the other four fifths take forty."""
    watch = machine()
    watch.asked(0.0)
    watch.on_reading(running(0.0), now=0.0, dice=0.5)
    assert watch.eta_s() is None
    watch.asked(10.0)
    watch.on_reading(running(0.2), now=10.0, dice=0.5)
    event = watch.progressed()
    assert (event.fraction, event.elapsed_s, event.polls) == (0.2, 10.0, 2)
    assert event.eta_s == pytest.approx(40.0)


def test_the_wait_for_the_budget_is_reported_until_the_poll_is_due() -> None:
    """Without a known time the delay is 0: no number is invented."""
    watch = machine()
    watch.defer(7.0)
    assert watch.throttled(2.0).delay_s == 5.0
    watch.defer(math.inf)
    assert watch.throttled(2.0).delay_s == 0.0


@pytest.mark.parametrize(
    ("phase", "made"), [(Phase.SUCCEEDED, Succeeded), (Phase.FAILED, Failed), (Phase.CANCELLED, Cancelled)]
)
def test_an_outcome_says_how_soon_the_end_was_noticed(phase: Phase, made: type[Any]) -> None:
    """The end lies between the last poll that saw the job run and the poll that saw its end."""
    watch = machine()
    watch.asked(3.0)
    watch.on_reading(running(), now=3.0, dice=0.5)
    watch.asked(5.0)
    watch.on_reading(Reading(status="over", phase=phase, final=True), now=5.0, dice=0.5)
    outcome = watch.outcome
    assert isinstance(outcome, made)
    assert (outcome.elapsed_s, outcome.detected_within_s, outcome.polls) == (5.0, 2.0, 2)


def test_an_abandoned_outcome_keeps_the_last_status() -> None:
    """The job may be running: what was seen last is all that is known."""
    watch = machine()
    watch.asked(3.0)
    watch.on_reading(running(), now=3.0, dice=0.5)
    outcome = watch.abandoned(WatchStopped("job"), now=9.0)
    assert (outcome.status, outcome.phase, outcome.elapsed_s, outcome.polls) == ("running", Phase.RUNNING, 9.0, 1)
    assert watch.outcome is None
