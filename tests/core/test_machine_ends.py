"""What the end of a watch says: which job, what the server said, and what was the last before it."""

from __future__ import annotations

import math

import attrs
import pytest

from pollwise.core.forecast import Forecast
from pollwise.core.machine import WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.core.resume_state import ResumeState
from pollwise.core.watch_state import StepResult
from pollwise.errors import (
    ConnectFailed,
    DeadlineExceeded,
    JobNotFound,
    NotVisibleYet,
    Problem,
    RetriesExhausted,
    ServerUnavailable,
    WatchStopped,
)
from pollwise.model.events import Abandoned, Succeeded
from pollwise.model.reading import Phase, Reading

BEGAN = 1_000.0
RULES = Policy(pacing=Pacing(), retry=Retry(outage_s=10.0, min_failures=2), timeout_s=60.0, not_found_grace_s=0.0)
RUNNING = Reading(status="working", phase=Phase.RUNNING, fraction=0.5)
DONE = Reading(status="over", phase=Phase.SUCCEEDED, final=True)


def make(**changes: object) -> WatchMachine[str, str]:
    return WatchMachine("job", attrs.evolve(RULES, **changes), now=BEGAN)


def error_of(machine: WatchMachine[str, str]) -> Exception:
    assert isinstance(machine.outcome, Abandoned)
    assert machine.outcome.job == "job"
    return machine.outcome.error


@pytest.mark.parametrize("seen", [False, True])
def test_a_job_that_is_not_found_is_named_with_the_servers_words(*, seen: bool) -> None:
    """Whether it was never seen, or is gone."""
    machine, problem = make(), Problem(("E-17",), ("no such file",))
    if seen:
        machine.on_reading(RUNNING, now=BEGAN, dice=0.5)
    for now in (1.0, 6.0, 11.0):
        machine.on_error(NotVisibleYet(problem), now=BEGAN + now, dice=0.5)
    error = error_of(machine)
    assert isinstance(error, JobNotFound)
    assert (error.job, error.http_status, error.problem) == ("job", 404, problem)


def test_an_outage_names_the_job() -> None:
    """And how long it was."""
    machine = make()
    for now in (1.0, 11.0):
        machine.on_error(ConnectFailed("reset"), now=BEGAN + now, dice=0.5)
    error = error_of(machine)
    assert isinstance(error, RetriesExhausted)
    assert (error.job, error.failures, error.outage_s) == ("job", 2, 10.0)


def test_a_deadline_names_the_job_and_is_caused_by_the_last_error() -> None:
    """A traceback shows both. Without an error it has no cause."""
    machine, trouble = make(), ServerUnavailable(503)
    machine.on_error(trouble, now=BEGAN + 5.0, dice=0.5)
    silent = make()
    for each, cause in ((machine, trouble), (silent, None)):
        each.on_deadline(now=BEGAN + 60.0)
        error = error_of(each)
        assert isinstance(error, DeadlineExceeded)
        assert (error.job, error.timeout_s, error.last_error) == ("job", 60.0, cause)
        assert error.__cause__ is cause


def test_the_last_progress_can_be_reported_after_the_end() -> None:
    """With the status, the age and the polls that it had."""
    machine = make()
    for now, polls in ((1.0, 1), (3.0, 2)):
        machine.asked(BEGAN + now)
        machine.on_reading(RUNNING, now=BEGAN + now, dice=0.5)
        event = machine.progressed()
        assert (event.job, event.status, event.phase, event.fraction) == ("job", "working", Phase.RUNNING, 0.5)
        assert (event.elapsed_s, event.polls) == (now, polls)
    machine.asked(BEGAN + 9.0)
    machine.on_reading(DONE, now=BEGAN + 9.0, dice=0.5)
    assert machine.progressed() == event


def test_an_outcome_of_a_ledger_replaces_the_one_before() -> None:
    """The ledger has it, and nothing follows it."""
    machine = make()
    machine.on_stop(WatchStopped("job"), now=BEGAN)
    kept = machine.abandoned(WatchStopped("another"), now=BEGAN)
    machine.replace_outcome(kept)
    assert machine.outcome is kept
    assert machine.due_at == math.inf
    assert machine.on_reading(DONE, now=BEGAN + 1.0, dice=0.5) is StepResult.QUIET


def test_a_reply_is_unchanged_only_after_a_reading_of_the_same() -> None:
    """The hash of an earlier reply is compared. An unconfirmed end is read again each time."""
    machine = make()
    assert not machine.is_unchanged(0)
    machine.on_reading(RUNNING, now=BEGAN, dice=0.5, reply_hash=7)
    assert [machine.is_unchanged(reply_hash) for reply_hash in (7, 8)] == [True, False]
    unsure = Reading(status="looks over", phase=Phase.FAILED, unconfirmed=True)
    machine.on_reading(unsure, now=BEGAN + 1.0, dice=0.5, reply_hash=9)
    assert not any(machine.is_unchanged(reply_hash) for reply_hash in (1, 7, 9))
    machine.on_reading(RUNNING, now=BEGAN + 2.0, dice=0.5)
    assert not machine.is_unchanged(1)


def test_after_a_restart_no_reply_is_unchanged() -> None:
    """The replies of the earlier process are not known."""
    past = ResumeState(age_s=5.0, left_s=None, polls=1, phase=Phase.RUNNING, status="working")
    machine = WatchMachine.resumed("job", RULES, past, now=BEGAN)
    assert not any(machine.is_unchanged(reply_hash) for reply_hash in range(1, 10))


def test_an_end_in_the_reply_to_the_start_is_the_first_poll() -> None:
    """It took no time, and no other job is expected to be as fast."""
    machine = make(forecast=Forecast())
    assert machine.begin_with(DONE, 5.0, now=BEGAN, dice=0.5) is StepResult.OVER
    assert isinstance(machine.outcome, Succeeded)
    assert (machine.outcome.polls, machine.outcome.elapsed_s, machine.outcome.status) == (1, 0.0, "over")
    assert machine._policy.forecast.durations.ended == 0
    assert math.isinf(machine.due_at)


@pytest.mark.parametrize(("after_s", "due_s"), [(0.0, 1.0), (0.5, 1.0), (7.0, 7.0), (100.0, 59.0)])
def test_another_reading_in_that_reply_is_followed_by_a_wait(after_s: float, due_s: float) -> None:
    """The longer one of the pacing's and the asked one. The last poll before the deadline is sent all the same."""
    machine = make(pacing=Pacing.fixed(1.0))
    assert machine.begin_with(RUNNING, after_s, now=BEGAN, dice=0.0) is StepResult.PROGRESSED
    assert (machine.due_at - BEGAN, machine.polls, machine.phase) == (due_s, 1, Phase.RUNNING)
    assert machine.progressed().polls == 1
