"""What is left of a watch that was written down, by clocks that may have jumped; and a machine that goes on from it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.core.machine import WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.core.resume_state import ResumeState
from pollwise.core.watch_state import StepResult
from pollwise.errors import DeadlineExceeded, RetriesExhausted, ServerUnavailable
from pollwise.model.events import Abandoned, Succeeded
from pollwise.model.reading import Phase, Reading

DAY_S = 86_400.0
BEGAN_S = 1_750_000_000.0
RULES = Policy(pacing=Pacing(adaptive=False, jitter=0.0), retry=Retry(outage_s=1e-9, min_failures=5), timeout_s=3600.0)
RUNNING = Reading(status="running", phase=Phase.RUNNING, fraction=0.5)
DONE = Reading(status="done", phase=Phase.SUCCEEDED, final=True)


def resumed(past: ResumeState[str], now: float = 100.0, **options: float) -> WatchMachine[str, str]:
    return WatchMachine.resumed("job", RULES, past, now=now, **options)


# --- clocks -------------------------------------------------------------------------------------


def test_a_clock_that_is_right_keeps_age_and_deadline() -> None:
    """Ten minutes later there are fifty left of the hour."""
    past: ResumeState[str] = ResumeState.between(BEGAN_S, BEGAN_S + 3600, BEGAN_S + 600)
    assert (past.age_s, past.left_s, past.overdue) == (600, 3000, False)


def test_what_was_written_down_is_kept() -> None:
    """The counts, the phase, the status and the cursor come back unchanged. Without them the watch is as at its beginning."""
    past: ResumeState[str] = ResumeState.between(
        *(BEGAN_S, None, BEGAN_S + 9),
        polls=7,
        failures=2,
        phase=Phase.QUEUED,
        status="waiting",
        seen_s=5.0,
        cursor={"page": 3},
    )
    assert past.cursor == {"page": 3}
    assert (past.polls, past.failures, past.phase, past.status, past.seen_s) == (7, 2, Phase.QUEUED, "waiting", 5.0)
    new: ResumeState[str] = ResumeState.between(BEGAN_S, None, BEGAN_S)
    assert (new.polls, new.failures, new.phase, new.status, new.seen_s, new.visible) == (0, 0, None, None, None, False)
    assert new.cursor is None


@pytest.mark.parametrize("seen", [{"phase": Phase.RUNNING}, {"seen_s": 1.0}, {"visible": True}])
def test_any_trace_of_a_good_poll_makes_a_job_visible(seen: dict[str, Any]) -> None:
    """A 404 is then no sign that the job never existed."""
    past: ResumeState[str] = ResumeState.between(BEGAN_S, None, BEGAN_S + 9, **seen)
    assert past.visible


def test_a_state_with_less_time_left_is_itself() -> None:
    """`at_most` makes a copy only where it changes something."""
    past: ResumeState[str] = ResumeState(age_s=1.0, left_s=60.0)
    assert past.at_most(60.0) is past.at_most(None) is past.at_most(61.0) is past
    assert past.at_most(59.0).left_s == 59.0
    assert ResumeState[str](age_s=1.0, left_s=None).at_most(5.0).left_s == 5.0


def test_a_clock_that_jumped_back_a_day() -> None:
    """Time does not run backwards, and the deadline is no farther away than it was in the beginning."""
    past: ResumeState[str] = ResumeState.between(BEGAN_S, BEGAN_S + 3600, BEGAN_S + 600 - DAY_S)
    assert (past.age_s, past.left_s, past.overdue) == (0, 3600, False)


def test_a_clock_that_jumped_forward_a_day() -> None:
    """The deadline has passed by that clock."""
    past: ResumeState[str] = ResumeState.between(BEGAN_S, BEGAN_S + 3600, BEGAN_S + 600 + DAY_S)
    assert past.overdue


def test_without_a_deadline_nothing_is_overdue() -> None:
    """However late it is."""
    past: ResumeState[str] = ResumeState.between(BEGAN_S, None, BEGAN_S + 1000 * DAY_S)
    assert (past.left_s, past.overdue) == (None, False)


@given(
    began_s=st.floats(0, 1e11),
    allowed_s=st.none() | st.floats(0.001, 1e9),
    wall_now=st.floats(-1e11, 1e12),
)
def test_no_clock_makes_nonsense(began_s: float, allowed_s: float | None, wall_now: float) -> None:
    """Whatever it shows: the age is not negative, and no more is left than there ever was."""
    deadline_s = None if allowed_s is None else began_s + allowed_s
    past: ResumeState[str] = ResumeState.between(began_s, deadline_s, wall_now)
    assert past.age_s >= 0
    assert (past.left_s is None) is (deadline_s is None)
    if past.left_s is not None and deadline_s is not None:
        assert past.left_s <= deadline_s - began_s
    machine = resumed(past, grace_s=30.0)
    assert machine.started_at <= 100.0 <= machine.due_at <= machine.deadline


def test_when_a_job_was_last_seen_goes_on() -> None:
    """An end after the gap is known to have come since then, and no clock puts that into the future."""
    past: ResumeState[str] = ResumeState.between(
        BEGAN_S, None, BEGAN_S + 600, seen_s=540.0, phase=Phase.RUNNING, status="running", polls=3
    )
    machine = resumed(past)
    machine.on_reading(DONE, now=130.0, dice=0.0)
    assert isinstance(machine.outcome, Succeeded)
    assert machine.outcome.elapsed_s == 630.0
    assert machine.outcome.detected_within_s == 90.0
    for wall_now, seen_s, expected_s in ((BEGAN_S - DAY_S, 540.0, 0.0), (BEGAN_S + 600, -9.0, 0.0)):
        assert ResumeState.between(BEGAN_S, None, wall_now, seen_s=seen_s).seen_s == expected_s


def test_the_watchers_own_limit_can_be_put_on_it() -> None:
    """A text from outside gives no watch more time than the watcher would."""
    for left_s in (None, 7200.0):
        past: ResumeState[str] = ResumeState(age_s=1, left_s=left_s)
        assert past.at_most(3600.0).left_s == 3600.0
        assert past.at_most(None).left_s == left_s
    assert ResumeState(age_s=1, left_s=5.0).at_most(3600.0).left_s == 5.0
    assert ResumeState(age_s=1, left_s=-5.0).at_most(3600.0).overdue


# --- going on -----------------------------------------------------------------------------------


def test_a_machine_goes_on_where_it_was() -> None:
    """Age, polls, failures in a row, status and phase are those of before."""
    past = ResumeState(age_s=600, left_s=3000, polls=12, failures=4, phase=Phase.RUNNING, status="running")
    machine = resumed(past)
    assert (machine.started_at, machine.deadline, machine.due_at) == (-500, 3100, 100)
    assert (machine.polls, machine.failures, machine.phase, machine.status) == (12, 4, Phase.RUNNING, "running")
    machine.asked(0.0)
    assert (
        machine.on_error(ServerUnavailable(503), now=101, dice=0.5) is StepResult.RETRYING
    )  # an outage begins with this process
    assert machine.on_error(ServerUnavailable(503), now=102, dice=0.5) is StepResult.OVER
    assert isinstance(machine.outcome, Abandoned)
    assert isinstance(machine.outcome.error, RetriesExhausted)
    assert (machine.outcome.error.failures, machine.outcome.elapsed_s) == (6, 602)


def test_the_pace_goes_on_where_it_was() -> None:
    """A job that has run for long is not asked as if it had just begun."""
    fresh, old = resumed(ResumeState(age_s=0, left_s=3600)), resumed(ResumeState(age_s=600, left_s=3000, polls=20))
    for machine in (fresh, old):
        machine.asked(0.0)
        machine.on_reading(RUNNING, now=100, dice=0.0)
    assert fresh.due_at == 101
    assert old.due_at == 160


def test_the_estimate_goes_on_where_it_was() -> None:
    """Half done after ten minutes and a restart leaves ten minutes."""
    machine = resumed(ResumeState(age_s=600, left_s=3000))
    machine.asked(0.0)
    machine.on_reading(RUNNING, now=100, dice=0.0)
    assert machine.eta_s() == pytest.approx(600)


def test_only_changes_are_news() -> None:
    """Also those since the last run: a fraction is not written down, hence new, and a status alone is not."""
    machine = resumed(ResumeState(age_s=600, left_s=3000, polls=1, phase=Phase.RUNNING, status="running"))
    plain = Reading(status="running", phase=Phase.RUNNING)
    assert machine.on_reading(plain, now=100, dice=0.0) is StepResult.QUIET
    assert machine.on_reading(RUNNING, now=101, dice=0.0) is StepResult.PROGRESSED


def test_its_place_in_a_spread_is_kept() -> None:
    """Unless the deadline wants its last poll sooner."""
    assert resumed(ResumeState(age_s=1, left_s=3000), after_s=50).due_at == 150
    soon = resumed(ResumeState(age_s=1, left_s=20), after_s=50)
    assert (soon.due_at, soon.deadline) == (119, 120)
    at_once = resumed(ResumeState(age_s=1, left_s=0.5), after_s=50)
    assert (at_once.due_at, at_once.deadline) == (100, 100.5)


# --- overdue ------------------------------------------------------------------------------------


def overdue() -> WatchMachine[str, str]:
    machine = resumed(ResumeState(age_s=7200, left_s=-3600, polls=3), after_s=50, grace_s=30)
    assert (machine.due_at, machine.deadline) == (150, math.inf)  # until the budget has a place for it
    machine.asked(150)
    assert machine.deadline == 180
    return machine


def test_what_is_overdue_is_asked_once_more() -> None:
    """An end that came in time, while no process looked, is found."""
    machine = overdue()
    assert machine.on_reading(DONE, now=151, dice=0.0) is StepResult.OVER
    assert isinstance(machine.outcome, Succeeded)


def test_what_is_overdue_and_still_runs_is_over() -> None:
    """With the first answer that says so, which the outcome shows."""
    machine = overdue()
    assert machine.on_reading(RUNNING, now=151, dice=0.0) is StepResult.OVER
    assert isinstance(machine.outcome, Abandoned)
    assert isinstance(machine.outcome.error, DeadlineExceeded)
    assert (machine.outcome.status, machine.outcome.polls) == ("running", 4)


def test_what_is_overdue_is_not_given_up_for_a_bad_poll() -> None:
    """One that taught nothing is repeated, until the time of grace has passed."""
    machine = overdue()
    assert machine.on_error(ServerUnavailable(503), now=151, dice=0.5) is StepResult.RETRYING
    assert machine.due_at < machine.deadline
    machine.asked(0.0)
    assert machine.on_reading(DONE, now=machine.due_at, dice=0.0) is StepResult.OVER
    assert isinstance(machine.outcome, Succeeded)


def test_what_is_overdue_and_looks_over_is_confirmed() -> None:
    """As always, within the time of grace."""
    machine = overdue()
    maybe = Reading(status="maybe", phase=Phase.FAILED, unconfirmed=True)
    assert machine.on_reading(maybe, now=151, dice=0.0) is StepResult.PROGRESSED
    assert machine.due_at < machine.deadline < math.inf


def test_grace_is_no_part_of_the_agreement() -> None:
    """It is for the one answer. A watch that is written again keeps the deadline that it had."""
    machine = overdue()
    assert machine.agreed_deadline == -3500
    machine.on_error(ServerUnavailable(503), now=151, dice=0.5)
    assert (machine.agreed_deadline, machine.deadline) == (-3500, 180)
    assert resumed(ResumeState(age_s=1, left_s=20)).agreed_deadline == 120
    assert resumed(ResumeState(age_s=1, left_s=None)).agreed_deadline == math.inf
