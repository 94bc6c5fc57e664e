"""The facts of one watch, and the events that report them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pollwise.core.machine import WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.core.watch_state import DueReason
from pollwise.errors import ConnectFailed, JobCancelled, JobFailed, RateLimited, UnknownOutcome, WatchStopped
from pollwise.model.events import Abandoned, Cancelled, Failed, Succeeded
from pollwise.model.reading import Phase, Reading

BEGAN = 1_000.0


def machine(timeout_s: float | None = 100.0, now: float = 0.0) -> WatchMachine[str, str]:
    return WatchMachine("job", Policy(pacing=Pacing(), retry=Retry(), timeout_s=timeout_s), now=now)


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


def test_a_time_on_a_watch_counts_from_its_beginning() -> None:
    """Events and outcomes give durations, whatever the clock showed when the watch began."""
    watch = machine(now=BEGAN)
    watch.asked(BEGAN + 1.0)
    watch.on_error(ConnectFailed("reset"), now=BEGAN + 2.0, dice=0.5)
    retrying = watch.retrying(BEGAN + 2.0)
    assert (retrying.job, retrying.elapsed_s, retrying.delay_s, retrying.polls) == ("job", 2.0, 0.5, 1)
    throttled = watch.throttled(BEGAN + 3.0)
    assert (throttled.job, throttled.elapsed_s, throttled.delay_s, throttled.polls) == ("job", 3.0, 0.0, 1)
    watch.asked(BEGAN + 4.0)
    watch.on_reading(running(), now=BEGAN + 5.0, dice=0.5)
    assert watch.abandoned(WatchStopped("job"), now=BEGAN + 7.0).elapsed_s == 7.0
    watch.on_reading(Reading(status="over", phase=Phase.SUCCEEDED, final=True), now=BEGAN + 8.0, dice=0.5)
    assert isinstance(watch.outcome, Succeeded)
    assert (watch.outcome.elapsed_s, watch.outcome.detected_within_s) == (8.0, 3.0)


def test_a_retry_that_is_overdue_has_no_delay() -> None:
    """The event may be made a little late."""
    watch = machine()
    watch.on_error(RateLimited(), now=2.0, dice=0.5)
    assert [watch.retrying(now).delay_s for now in (2.0, 2.5, 4.0)] == [0.5, 0.0, 0.0]


@pytest.mark.parametrize(
    ("phase", "error"), [(Phase.FAILED, JobFailed), (Phase.CANCELLED, JobCancelled)], ids=["failed", "cancelled"]
)
def test_an_unhappy_end_says_which_job_and_why(phase: Phase, error: type[Any]) -> None:
    """The error has the vendor's status, and the vendor's words up to 32,768 characters."""
    for reason, kept in (("by a colleague", "by a colleague"), (None, None), ("x" * 40_000, "x" * 32_768)):
        watch = machine()
        watch.on_reading(Reading(status="over", phase=phase, final=True, reason=reason), now=5.0, dice=0.5)
        assert isinstance(watch.outcome, Failed | Cancelled)
        assert (watch.outcome.job, watch.outcome.status) == ("job", "over")
        gone = watch.outcome.error
        assert isinstance(gone, error)
        assert (gone.job, gone.status, gone.reason) == ("job", "over", kept)


@pytest.mark.parametrize(("unknown", "word"), [("state=9", "state=9"), ("x" * 40_000, "x" * 32_768)])
def test_an_end_of_unknown_kind_says_how_the_vendor_put_it(unknown: str, word: str) -> None:
    """It is cut as any other text."""
    watch = machine()
    watch.asked(3.0)
    over = Reading(status="odd", phase=Phase.RUNNING, final=True, unknown=unknown)
    watch.on_reading(over, now=5.0, dice=0.5)
    outcome = watch.outcome
    assert isinstance(outcome, Abandoned)
    assert (outcome.job, outcome.status, outcome.phase) == ("job", "odd", Phase.RUNNING)
    assert (outcome.elapsed_s, outcome.polls) == (5.0, 1)
    error = outcome.error
    assert isinstance(error, UnknownOutcome)
    assert (error.job, error.status, error.word) == ("job", "odd", word)
