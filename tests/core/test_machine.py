"""The rules of a watch, by number; and, by property, what must hold whatever comes."""

from __future__ import annotations

import math
import pickle
import random
from collections.abc import Callable

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pollwise.core.forecast import Forecast
from pollwise.core.machine import WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.core.resume_state import ResumeState
from pollwise.core.watch_state import DueReason, StepResult
from pollwise.errors import (
    AuthenticationError,
    ConnectFailed,
    DeadlineExceeded,
    JobFailed,
    JobNotFound,
    MalformedReply,
    NotVisibleYet,
    PermissionDenied,
    PollError,
    PollTimeout,
    RateLimited,
    RequestRejected,
    RetriesExhausted,
    ServerUnavailable,
    StaleConnection,
    UnknownOutcome,
    WatchStopped,
)
from pollwise.model.events import Abandoned, Cancelled, Failed, Succeeded
from pollwise.model.reading import Phase, Reading

FOREVER = Policy(pacing=Pacing(jitter=0), retry=Retry(), timeout_s=None)


def make(rules: Policy = FOREVER, **changes: object) -> WatchMachine[str, str]:
    # what one watch has taught must not change the pace of the next
    return WatchMachine("job", attrs.evolve(rules, **{"forecast": Forecast(), **changes}), now=0.0)


def running(status: str = "working", fraction: float | None = None) -> Reading[str]:
    return Reading(status=status, phase=Phase.RUNNING, fraction=fraction)


def final(phase: Phase = Phase.SUCCEEDED) -> Reading[str]:
    return Reading(status="over", phase=phase, final=True, reason="because")


def unsure(phase: Phase = Phase.FAILED) -> Reading[str]:
    return Reading(status="looks over", phase=phase, unconfirmed=True)


def test_rule_1_the_first_poll_is_immediate() -> None:
    """A new watch is due at once."""
    assert make().due_at == 0.0


def test_rule_1_after_a_reading_pacing_says_when_to_ask_again() -> None:
    """Each good reading is followed by the next delay of the pacing."""
    machine = make()
    dues = []
    now = 0.0
    for _ in range(4):
        machine.on_reading(running(), now=now, dice=0.5)
        dues.append(machine.due_at - now)
        now = machine.due_at
    assert dues == [1.0, 1.5, 2.25, 3.375]


@pytest.mark.parametrize(
    ("phase", "kind"), [(Phase.SUCCEEDED, Succeeded), (Phase.FAILED, Failed), (Phase.CANCELLED, Cancelled)]
)
def test_rule_1_a_final_reading_is_the_outcome(phase: Phase, kind: type) -> None:
    """The outcome is of the reading's phase and carries the status and the counts."""
    machine = make()
    machine.asked(0.0)
    assert machine.on_reading(final(phase), now=2.0, dice=0) is StepResult.OVER
    outcome = machine.outcome
    assert type(outcome) is kind
    assert (outcome.status, outcome.elapsed_s, outcome.polls) == ("over", 2.0, 1)
    assert outcome.detected_within_s is None  # it was never seen going on


def test_the_next_poll_can_only_be_put_off() -> None:
    """The machine keeps the later of two due times."""
    machine = make()
    machine.defer(3.0)
    machine.defer(2.0)
    assert machine.due_at == 3.0


def test_a_job_that_has_probably_changed_is_asked_soon() -> None:
    """Never later than before, and not while a failed poll or the end has set the time."""
    machine = make()
    for now in (0.0, 100.0, 200.0, 300.0):
        machine.on_reading(running(), now=now, dice=0.0)
    machine.expect_change(300.5)
    soon_at = 300.5 + FOREVER.pacing.min_s
    assert machine.due_at == soon_at
    machine.expect_change(301.0)
    assert machine.due_at == soon_at
    machine.on_error(RateLimited(60.0), now=301.0, dice=0.0)
    due_at = machine.due_at
    machine.expect_change(302.0)
    assert machine.due_at == due_at
    machine.on_reading(final(), now=400.0, dice=0.0)
    machine.expect_change(401.0)
    assert machine.due_at == math.inf


def test_a_watch_is_marked_as_throttled_once_for_each_poll() -> None:
    """A poll begins anew. After the outcome nothing is news."""
    machine = make()
    assert [machine.mark_throttled() for _ in range(3)] == [True, False, False]
    machine.asked(0.0)
    assert machine.mark_throttled()
    machine.asked(1.0)
    machine.on_reading(final(), now=2.0, dice=0)
    assert not machine.mark_throttled()


def test_a_machine_is_new_until_its_first_poll() -> None:
    """A resumed machine is not new, because it has another time-out than the others."""
    machine = make()
    assert machine.is_new
    machine.asked(0.0)
    assert not machine.is_new
    for timeout_s, left_s in ((60.0, 1.0), (60.0, 55.0), (None, None)):
        past: ResumeState[str] = ResumeState(age_s=5.0, left_s=left_s)
        rules = Policy(pacing=Pacing(), retry=Retry(), timeout_s=timeout_s)
        assert not WatchMachine.resumed("job", rules, past, now=0.0).is_new


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED])
def test_an_outcome_says_within_how_long_it_was_detected(phase: Phase) -> None:
    """The end lies between the outcome and the last good reading before it, whatever went wrong in between."""
    machine = make()
    machine.on_reading(running(), now=3.0, dice=0)
    machine.on_error(ServerUnavailable(503), now=5.0, dice=0)
    machine.on_reading(final(phase), now=8.5, dice=0)
    assert machine.outcome.detected_within_s == 5.5


def test_rule_1_a_failure_keeps_the_vendors_reason() -> None:
    """JobFailed carries the job, the status and the reason, and pickles."""
    machine = make()
    machine.on_reading(final(Phase.FAILED), now=0, dice=0)
    assert isinstance(machine.outcome, Failed)
    error = pickle.loads(pickle.dumps(machine.outcome.error))  # noqa: S301  # our own pickle
    assert isinstance(error, JobFailed)
    assert (error.job, error.status, error.reason) == ("job", "over", "because")


def test_rule_2_only_changes_are_news() -> None:
    """A reading equal to the last is quiet; a change of status, phase or fraction is news."""
    machine = make()
    assert machine.on_reading(running(), now=0, dice=0) is StepResult.PROGRESSED
    assert machine.on_reading(running(), now=1, dice=0) is StepResult.QUIET
    assert machine.on_unchanged(now=2, dice=0) is StepResult.QUIET
    assert machine.on_reading(running(fraction=0.5), now=3, dice=0) is StepResult.PROGRESSED
    assert machine.on_reading(Reading(status="working", phase=Phase.QUEUED), now=4, dice=0) is StepResult.PROGRESSED


def test_rule_2_a_heartbeat_asks_for_more() -> None:
    """An unchanged status is reported once nothing was for heartbeat_s."""
    machine = make(heartbeat_s=10)
    machine.on_reading(running(), now=0, dice=0)
    assert machine.on_unchanged(now=9.9, dice=0) is StepResult.QUIET
    assert machine.on_unchanged(now=10, dice=0) is StepResult.PROGRESSED
    assert machine.on_unchanged(now=19, dice=0) is StepResult.QUIET


@pytest.mark.parametrize(
    "error",
    [
        ConnectFailed("reset"),
        PollTimeout(30),
        ServerUnavailable(408),
        ServerUnavailable(503),
        MalformedReply("html", 200),
    ],
)
def test_rule_3_a_poll_that_taught_nothing_is_repeated(error: Exception) -> None:
    """It is no failure of the job: retried with full jitter, and abandoned when an outage is too long."""
    machine = make(retry=Retry(outage_s=10.0, min_failures=3))
    assert machine.on_error(error, now=1, dice=0.5) is StepResult.RETRYING
    assert machine.due_at == 1.5
    assert machine.on_error(error, now=2, dice=0.5) is StepResult.RETRYING
    assert machine.due_at == 3.0
    assert machine.on_error(error, now=10.5, dice=0.999) is StepResult.RETRYING
    assert machine.due_at == 11.0  # the moment at which the outage is long enough
    assert machine.on_error(error, now=11, dice=0) is StepResult.OVER
    assert isinstance(machine.outcome, Abandoned)
    gone = machine.outcome.error
    assert isinstance(gone, RetriesExhausted)
    assert (gone.failures, gone.outage_s, gone.last_error, gone.__cause__) == (4, 10.0, error, error)
    assert "4 polls within 10 s" in str(gone)


def test_rule_3_an_outage_is_counted_in_time() -> None:
    """However many polls failed, the watch goes on until they failed for `outage_s`; and None is for ever."""
    machine = make(retry=Retry(outage_s=600.0))
    for n in range(1_000):
        assert machine.on_error(ServerUnavailable(502), now=0.5 * n, dice=0) is StepResult.RETRYING
    patient = make(retry=Retry(outage_s=None))
    for n in range(1_000):
        assert patient.on_error(ServerUnavailable(502), now=1e4 * n, dice=0) is StepResult.RETRYING


def test_rule_3_a_few_failures_are_no_outage() -> None:
    """However long they took: the budget may have held the polls back."""
    machine = make(retry=Retry(outage_s=10.0, min_failures=5))
    for n in range(4):
        assert machine.on_error(ServerUnavailable(502), now=1e4 * n, dice=0) is StepResult.RETRYING
    assert machine.on_error(ServerUnavailable(502), now=4e4, dice=0) is StepResult.OVER


def test_rule_3_any_good_reading_resets_the_count() -> None:
    """Failures must be in a row."""
    machine = make(retry=Retry(outage_s=0.5, min_failures=2))
    machine.on_reading(running(), now=0, dice=0)
    for now in range(10):
        assert machine.on_error(ConnectFailed("x"), now=now, dice=0) is StepResult.RETRYING
        machine.on_unchanged(now=now, dice=0)


def test_rule_3_a_429_does_not_count() -> None:
    """A hundred refusals with 429 do not end a watch."""
    machine = make(retry=Retry(outage_s=0.5, min_failures=2))
    for now in range(100):
        assert machine.on_error(RateLimited(), now=now, dice=0) is StepResult.RETRYING
    assert machine.on_error(ConnectFailed("x"), now=100, dice=0) is StepResult.RETRYING


def test_rule_3_a_stale_connection_is_asked_again_at_once_and_quietly() -> None:
    """A kept-alive connection that had been closed is no failure; a second one in a row is."""
    machine, stale = make(), StaleConnection("closed")
    for now in (10.0, 20.0):
        machine.on_reading(running(), now=now, dice=0.5)
        assert machine.on_error(stale, now=now + 1, dice=0.5) is StepResult.QUIET
        assert (machine.due_at, machine.failures, machine.due_reason) == (now + 1, 0, DueReason.GIVEN)
    assert machine.on_error(stale, now=22.0, dice=0.5) is StepResult.RETRYING
    assert (machine.failures, machine.retrying(22.0).error) == (1, stale)
    assert machine.due_at > 22.0
    assert machine.on_error(stale, now=30.0, dice=0.5) is StepResult.QUIET
    assert machine.on_error(ConnectFailed("refused"), now=31.0, dice=0.5) is StepResult.RETRYING
    assert machine.on_error(stale, now=40.0, dice=0.5) is StepResult.QUIET
    assert machine.failures == 2


def test_rule_3_stale_connections_alone_end_a_watch() -> None:
    """If the server closes every connection, the watch ends after at most two requests for each failure."""
    machine, asked = make(), 0
    while machine.outcome is None:
        asked += 1
        machine.on_error(StaleConnection("closed"), now=machine.due_at, dice=0.5)
    assert isinstance(machine.outcome, Abandoned)
    assert isinstance(machine.outcome.error, RetriesExhausted)
    assert asked == 2 * machine.outcome.error.failures


def test_rule_3_the_pause_of_a_429_is_no_part_of_an_outage() -> None:
    """The server is there, and asked for it."""
    machine = make(retry=Retry(outage_s=100.0, min_failures=1))
    machine.on_error(ConnectFailed("x"), now=0, dice=0)
    machine.on_error(RateLimited(500.0), now=10, dice=0)
    assert machine.on_error(ConnectFailed("x"), now=510, dice=0) is StepResult.RETRYING
    assert machine.on_error(ConnectFailed("x"), now=600, dice=0) is StepResult.OVER


def test_rule_4_a_404_is_tolerated_for_its_grace_time() -> None:
    """From the first 404 in a row, however many there are; then the job does not exist."""
    machine = make(not_found_grace_s=30, retry=Retry(outage_s=1e-9, min_failures=1))
    now = 0.0
    for _ in range(100):
        if machine.on_error(NotVisibleYet(), now=now, dice=0.999) is StepResult.OVER:
            break
        now = machine.due_at
    assert now == 30.0
    assert isinstance(machine.outcome, Abandoned)
    assert isinstance(machine.outcome.error, JobNotFound)


def test_rule_4_a_wait_for_the_budget_is_no_grace() -> None:
    """Three polls at least must say 404, however long that takes."""
    machine = make(not_found_grace_s=30)
    assert machine.on_error(NotVisibleYet(), now=0, dice=0) is StepResult.RETRYING
    assert machine.on_error(NotVisibleYet(), now=500, dice=0) is StepResult.RETRYING
    assert machine.on_error(NotVisibleYet(), now=501, dice=0) is StepResult.OVER


def test_rule_4_the_pause_of_a_429_is_no_grace() -> None:
    """A ban of a minute between two 404s does not use up the time in which the job may become visible."""
    machine = make(not_found_grace_s=30)
    for now in (0, 1):
        machine.on_error(NotVisibleYet(), now=now, dice=0)
    machine.on_error(RateLimited(60.0), now=2, dice=0)
    for now in (62, 89):
        assert machine.on_error(NotVisibleYet(), now=now, dice=0) is StepResult.RETRYING
    assert machine.on_error(NotVisibleYet(), now=90, dice=0) is StepResult.OVER


def test_rule_4_a_server_in_trouble_begins_the_grace_anew() -> None:
    """The 404 of such a server is no evidence. Only an unbroken row of 404s shows that there is no such job."""
    machine = make(not_found_grace_s=30)
    for now in range(0, 500, 10):
        error = ServerUnavailable(502) if now % 20 else NotVisibleYet()
        assert machine.on_error(error, now=now, dice=0) is StepResult.RETRYING
    for now in (500, 510, 520):
        assert machine.on_error(NotVisibleYet(), now=now, dice=0) is StepResult.RETRYING
    assert machine.on_error(NotVisibleYet(), now=530, dice=0) is StepResult.OVER


def test_rule_4_a_job_that_was_seen_gets_the_time_of_an_outage() -> None:
    """An empty gateway answers 404, too. If that lasts, the job is gone."""
    for machine in (make(retry=Retry(outage_s=300.0)), make(retry=Retry(outage_s=300.0))):
        machine.on_reading(running(), now=0, dice=0)
        now = 1.0
        while machine.on_error(NotVisibleYet(), now=now, dice=0.999) is StepResult.RETRYING:
            now = machine.due_at
        assert now == 301.0
        assert isinstance(machine.outcome, Abandoned)
        assert isinstance(machine.outcome.error, JobNotFound)


def test_rule_4_an_earlier_process_may_have_seen_the_job() -> None:
    """A resume token says so, without the status."""
    past: ResumeState[str] = ResumeState(age_s=5.0, left_s=None, polls=3, visible=True)
    machine = WatchMachine.resumed("job", attrs.evolve(FOREVER, retry=Retry(outage_s=300.0)), past, now=0.0)
    for now in (1.0, 100.0, 200.0, 300.0):
        assert machine.on_error(NotVisibleYet(), now=now, dice=0) is StepResult.RETRYING
    assert machine.on_error(NotVisibleYet(), now=301.0, dice=0) is StepResult.OVER


def test_rule_4_a_404_may_carry_a_hint() -> None:
    """`Retry-After` is obeyed on every reply."""
    machine = make()
    machine.on_error(NotVisibleYet(retry_after_s=20.0), now=5, dice=0)
    assert machine.due_at == 25.0


def test_rule_4_a_good_reading_ends_the_grace_time() -> None:
    """A job that was visible has a whole outage's time again."""
    machine = make(not_found_grace_s=10)
    machine.on_error(NotVisibleYet(), now=0, dice=0)
    machine.on_reading(running(), now=9, dice=0)
    assert machine.on_error(NotVisibleYet(), now=11, dice=0) is StepResult.RETRYING
    machine.on_reading(running(), now=12, dice=0)
    for now in (600, 700, 800, 900):
        assert machine.on_error(NotVisibleYet(), now=now, dice=0) is StepResult.RETRYING


def test_rule_5_refused_credentials_are_renewed_once() -> None:
    """The first 401 asks for renewal and an immediate poll; the second in a row is final."""
    machine = make(renewable=True)
    refused = AuthenticationError("no")
    assert machine.on_error(refused, now=0, dice=0) is StepResult.RENEW
    assert machine.due_at == 0
    assert machine.on_error(refused, now=1, dice=0) is StepResult.OVER
    assert isinstance(machine.outcome, Abandoned)
    assert machine.outcome.error is refused


def test_rule_5_a_good_reading_allows_another_renewal() -> None:
    """A token that expires every hour is renewed every hour."""
    machine = make(renewable=True)
    for now in range(5):
        assert machine.on_error(AuthenticationError("no"), now=now, dice=0) is StepResult.RENEW
        machine.on_unchanged(now=now, dice=0)


def test_rule_5_what_cannot_be_renewed_is_final() -> None:
    """Without renewable credentials one 401 ends the watch."""
    assert make().on_error(AuthenticationError("no"), now=0, dice=0) is StepResult.OVER


@pytest.mark.parametrize("error", [PermissionDenied("job", 403), RequestRejected("job", 400), JobNotFound("job", 400)])
def test_rule_5_other_refusals_are_final(error: Exception) -> None:
    """Asking again cannot mend them."""
    machine = make(renewable=True)
    assert machine.on_error(error, now=0, dice=0) is StepResult.OVER
    assert isinstance(machine.outcome, Abandoned)
    assert machine.outcome.error is error


@pytest.mark.parametrize("error", [RateLimited(20.0), ServerUnavailable(503, 20.0)])
@pytest.mark.parametrize("dice", [0.0, 0.5, 0.999])
def test_rule_6_a_hint_is_never_shortened(error: Exception, dice: float) -> None:
    """Retry-After is obeyed; jitter only adds to it."""
    machine = make()
    machine.on_error(error, now=5, dice=dice)
    assert 25.0 <= machine.due_at <= 27.0


@pytest.mark.parametrize("error", [RateLimited(0.0), ServerUnavailable(503, 0.0)])
def test_rule_6_a_hint_of_zero_is_no_leave_for_a_hot_loop(error: Exception) -> None:
    """Our own wait is the floor: it is as if nothing were said."""
    said, silent = make(), make()
    for n in range(8):
        said.on_error(error, now=100.0 * n, dice=0.5)
        silent.on_error(attrs.evolve(error, retry_after_s=None), now=100.0 * n, dice=0.5)
        assert said.due_at == silent.due_at


@pytest.mark.parametrize("error", [RateLimited(1e9), ServerUnavailable(503, 1e9), NotVisibleYet(None, 1e9)])
def test_rule_6_a_hint_that_is_too_long_is_not_believed(error: Exception) -> None:
    """One poll asks after `longest_hint_s`, or after half of the time that is left."""
    machine = make(longest_hint_s=3600.0)
    machine.on_error(error, now=5, dice=0.999)
    assert machine.due_at == 3605.0
    machine = make(timeout_s=600.0)
    machine.on_error(error, now=5, dice=0)
    assert machine.due_at == 302.0


@pytest.mark.parametrize(("hint", "wait"), [(0.0, 1.0), (0.5, 1.0), (30.0, 30.0), (3600.0, 3600.0), (1e9, 3600.0)])
def test_rule_6_a_good_reply_may_ask_for_a_pause(hint: float, wait: float) -> None:
    """It lengthens the wait, up to `longest_hint_s`, and never shortens it; also of what is unchanged."""
    machine = make(pacing=Pacing.fixed(1.0))
    machine.on_reading(running(), now=0, dice=0, hint_s=hint)
    assert machine.due_at == wait
    machine.on_unchanged(now=0, dice=0, hint_s=hint)
    assert machine.due_at == wait


def test_rule_6_with_a_good_reply_a_hint_is_advice() -> None:
    """The last poll before the deadline is asked all the same."""
    machine = make(timeout_s=100.0)
    machine.on_reading(running(), now=0, dice=0, hint_s=1000.0)
    assert machine.due_at == 99.0


def test_rule_6_a_hint_beyond_the_deadline_ends_the_watch_there() -> None:
    """No poll before the hint allows it, and none after the deadline."""
    machine = make(timeout_s=10)
    machine.on_error(RateLimited(60.0), now=5, dice=0)
    assert machine.due_at == machine.deadline == 10
    assert machine.on_deadline(now=10) is StepResult.OVER


def test_rule_7_the_last_wait_is_trimmed_for_one_last_poll() -> None:
    """The last poll comes last_poll_s before the deadline, then nothing but the deadline."""
    machine = make(timeout_s=10, pacing=Pacing.fixed(8), last_poll_s=1)
    dues = [machine.due_at]
    while dues[-1] < machine.deadline:
        machine.on_reading(running(), now=dues[-1], dice=0)
        dues.append(machine.due_at)
    assert dues == [0, 8, 9, 10]


def test_rule_7_a_deadline_names_the_last_error() -> None:
    """DeadlineExceeded is a TimeoutError and says what went wrong last."""
    machine = make(timeout_s=10)
    trouble = ServerUnavailable(503)
    machine.on_error(trouble, now=5, dice=0)
    machine.on_deadline(now=10)
    assert isinstance(machine.outcome, Abandoned)
    error = machine.outcome.error
    assert isinstance(error, DeadlineExceeded)
    assert isinstance(error, TimeoutError)
    assert (error.timeout_s, error.last_error) == (10, trouble)


def test_rule_8_what_looks_over_is_confirmed_and_then_believed() -> None:
    """More polls must show the same phase, over enough time; then it counts, with the phase it shows."""
    machine = make(confirmations=2, confirm_s=10.0)
    assert machine.on_reading(unsure(), now=0, dice=0) is StepResult.PROGRESSED
    assert machine.due_at == 1.0
    for now in (1.0, 2.5, 4.75, 8.125):
        assert machine.due_at == now
        assert machine.on_reading(unsure(), now=now, dice=0) is StepResult.QUIET
    assert machine.due_at == 10.0  # when it can be believed
    assert machine.on_reading(unsure(), now=10, dice=0) is StepResult.OVER
    assert isinstance(machine.outcome, Failed)
    assert machine.outcome.detected_within_s is None  # it never was seen going on


def test_rule_8_what_looks_over_is_not_seen_going_on() -> None:
    """The end is known to lie after the last reading that showed a running job, however long it was then confirmed."""
    for last in (unsure(), final(Phase.FAILED)):
        machine = make(confirmations=2, confirm_s=3.0)
        machine.on_reading(running(), now=5, dice=0)
        machine.on_reading(unsure(Phase.CANCELLED), now=8, dice=0)
        for now in range(9, 17):
            assert machine.on_reading(unsure(), now=now, dice=0) is not StepResult.OVER
        assert machine.on_reading(last, now=21, dice=0) is StepResult.OVER
        assert machine.outcome.detected_within_s == 16.0


def test_rule_8_a_contradiction_starts_the_confirmation_again() -> None:
    """A running reading, or another phase, in between means that it was not over; then it takes more."""
    for flaps, polls in enumerate((1, 4, 8, 8, 8)):
        machine = make(confirmations=1, confirm_s=0.5)
        for now in range(flaps):
            machine.on_reading(unsure(), now=2 * now, dice=0)
            machine.on_reading(running(), now=2 * now + 1, dice=0)
        assert machine.on_reading(unsure(Phase.CANCELLED), now=100, dice=0) is StepResult.PROGRESSED
        for now in range(101, 100 + polls):
            assert machine.on_reading(unsure(Phase.CANCELLED), now=now, dice=0) is StepResult.QUIET
        assert machine.on_reading(unsure(Phase.CANCELLED), now=100 + polls, dice=0) is StepResult.OVER
        assert isinstance(machine.outcome, Cancelled)


def test_rule_8_what_looks_over_is_asked_again_soon() -> None:
    """However slow the pace has become: the pace of a new watch begins, and goes on as usual."""
    machine = make(confirmations=2, confirm_s=600.0)
    for _ in range(20):
        machine.on_reading(running(), now=machine.due_at, dice=0)
    now = machine.due_at
    waits = []
    for _ in range(3):
        machine.on_reading(unsure(), now=now, dice=0)
        waits.append(machine.due_at - now)
        now = machine.due_at
    assert waits == [1.0, 1.5, 2.25]


@pytest.mark.parametrize("period_s", [1.0, 7.0, 30.0, 60.0, 63.0, 90.0])
def test_rule_8_a_job_that_is_tried_again_and_again_is_not_taken_for_failed(period_s: float) -> None:
    """Polls a minute apart can meet nothing but its failures for a while. Half of the time it looks failed."""
    wrong = 0
    for seed in range(50):
        dice, machine = random.Random(seed), make(timeout_s=3600.0, pacing=Pacing(), forecast=Forecast())
        while machine.outcome is None and machine.due_at < machine.deadline:
            looks_failed = machine.due_at % period_s >= period_s / 2
            machine.on_reading(unsure() if looks_failed else running(), now=machine.due_at, dice=dice.random())
        wrong += machine.outcome is not None
    assert wrong <= 2


def test_rule_8_too_few_polls_confirm_nothing() -> None:
    """However long they are apart."""
    machine = make(confirmations=2, confirm_s=1.0)
    machine.on_reading(unsure(), now=0, dice=0)
    assert machine.on_reading(unsure(), now=1_000, dice=0) is StepResult.QUIET
    assert machine.on_reading(unsure(), now=1_001, dice=0) is StepResult.OVER


@pytest.mark.parametrize(
    "shows",
    [
        (unsure(), running()),
        (unsure(), running(), running()),
        (unsure(), unsure(), running()),
        (unsure(Phase.FAILED), unsure(Phase.CANCELLED)),
    ],
)
def test_rule_8_a_job_that_flaps_is_asked_no_oftener_than_any_other(shows: tuple[Reading[str], ...]) -> None:
    """What looks over is asked again soon once; then it has the pace of every running job."""

    def polls(shows: tuple[Reading[str], ...]) -> int:
        machine, count = make(), 0
        while machine.due_at < 3600.0:
            machine.on_reading(shows[count % len(shows)], now=machine.due_at, dice=0.5)
            count += 1
            assert machine.outcome is None
        return count

    assert polls(shows) <= 1.2 * polls((running(),))


def test_rule_8_a_job_that_flaps_does_not_go_before_others_under_pressure() -> None:
    """Its polls can be put off as any other's."""
    machine = make()
    for now, shown in enumerate((unsure(), running(), unsure())):
        machine.on_reading(shown, now=now, dice=0)
    assert machine.due_reason is DueReason.BLIND


def test_rule_8_what_flapped_can_still_end() -> None:
    """The same unconfirmed end, shown often and long enough, is believed."""
    machine = make(confirmations=2, confirm_s=60.0)
    for shown in (unsure(), running(), running()):
        machine.on_reading(shown, now=machine.due_at, dice=0)
    news = [machine.on_reading(unsure(), now=machine.due_at, dice=0)]
    began = machine.due_at
    while news[-1] is not StepResult.OVER:
        began = machine.due_at if machine.outcome is None else began
        news.append(machine.on_reading(unsure(), now=machine.due_at, dice=0))
    assert isinstance(machine.outcome, Failed)


def test_rule_9_an_end_of_unknown_kind_is_no_success() -> None:
    """It is abandoned with the vendor's word: final at once, unconfirmed after its confirmations."""
    over = Reading(status="odd", phase=Phase.RUNNING, final=True, unknown="state=odd")
    machine = make()
    machine.on_reading(running(), now=0, dice=0)
    assert machine.on_reading(over, now=1, dice=0) is StepResult.OVER
    assert isinstance(machine.outcome, Abandoned)
    assert isinstance(machine.outcome.error, UnknownOutcome)
    assert (machine.outcome.error.word, machine.outcome.status) == ("state=odd", "odd")
    looks = Reading(status="odd", phase=Phase.RUNNING, unconfirmed=True, unknown="state=odd")
    machine = make(confirmations=1, confirm_s=10.0)
    machine.on_reading(running(), now=0, dice=0)
    assert machine.on_reading(looks, now=1, dice=0) is StepResult.PROGRESSED
    assert machine.on_reading(looks, now=11, dice=0) is StepResult.OVER
    assert isinstance(machine.outcome.error, UnknownOutcome)


def test_rule_8_without_confirmations_it_is_believed_at_once() -> None:
    """confirmations=0 trusts the first showing."""
    assert make(confirmations=0).on_reading(unsure(), now=0, dice=0) is StepResult.OVER


def test_rule_10_a_watch_goes_on_from_its_counts() -> None:
    """Two machines that saw the same agree on every delay."""
    one, two = make(), make()
    for step in range(8):
        one.on_reading(running(str(step)), now=step, dice=0.3)
        two.on_reading(running(str(step)), now=step, dice=0.3)
        assert one.due_at == two.due_at


def test_the_eta_follows_progress() -> None:
    """Half done after ten seconds leaves about ten; nothing is guessed before there is progress."""
    machine = make()
    machine.on_reading(running(fraction=0.0), now=0, dice=0)
    assert machine.progressed().eta_s is None
    machine.on_reading(running(fraction=0.5), now=10, dice=0)
    assert machine.progressed().eta_s == pytest.approx(10.0)


@pytest.mark.parametrize("at", [0.5, 1.0])
def test_a_job_that_is_seen_at_once_began_with_its_first_fraction(at: float) -> None:
    """What it had done before the watch began says nothing about its pace."""
    machine = make()
    machine.on_reading(running(fraction=0.4), now=at, dice=0)
    assert machine.progressed().eta_s is None
    machine.on_reading(running(fraction=0.7), now=at + 10.0, dice=0)
    assert machine.progressed().eta_s == pytest.approx(10.0)


@pytest.mark.parametrize("at", [1.01, 10.0])
def test_a_job_that_is_seen_late_began_with_the_watch(at: float) -> None:
    """Its first reading already gives an ETA: all that is done was done since the watch began."""
    machine = WatchMachine[str, str]("job", FOREVER, now=100.0)
    machine.on_reading(running(fraction=0.5), now=100.0 + at, dice=0)
    assert machine.progressed().eta_s == pytest.approx(at)
    machine.on_reading(running(fraction=0.75), now=100.0 + 3 * at, dice=0)
    assert machine.progressed().eta_s == pytest.approx(at)


def test_hardly_any_progress_gives_no_eta() -> None:
    """A share too small to divide by says nothing: the ETA is none, and the end is learnt as of a job without one."""
    machine = make()
    machine.on_reading(running(), now=0, dice=0)
    machine.on_reading(running(fraction=5e-324), now=10, dice=0)
    assert machine.progressed().eta_s is None
    assert machine.on_reading(final(Phase.SUCCEEDED), now=40, dice=0) is StepResult.OVER


@pytest.mark.parametrize("fraction", [math.nan, -0.1, 1.01, 25.0, math.inf])
def test_a_fraction_that_is_no_share_says_nothing(fraction: float) -> None:
    """It is neither news at each poll, because nan equals nothing, nor a time at which the job would be over."""
    odd: list[float] = []
    machine = make(on_odd_fraction=odd.append)
    machine.on_reading(running(), now=0, dice=0)
    for now in (1.0, 2.0):
        assert machine.on_reading(running(fraction=fraction), now=now, dice=0) is StepResult.QUIET
    assert machine.fraction is None
    assert machine.eta_s() is None
    assert repr(odd) == repr([fraction] * 2)


class AnyWatch(RuleBasedStateMachine):
    """Random replies and times: one outcome, nothing after it, no poll early, the deadline kept."""

    @initialize(
        timeout=st.none() | st.floats(0.5, 500),
        failures=st.integers(1, 5),
        outage=st.none() | st.floats(1, 700),
        confirm=st.floats(0.1, 120),
        longest=st.floats(1, 4000),
        confirmations=st.integers(0, 3),
        grace=st.floats(0, 60),
        renewable=st.booleans(),
        fixed=st.none() | st.floats(0.01, 90),
        beat=st.none() | st.floats(1, 50),
    )
    def begin(
        self,
        timeout: float | None,
        failures: int,
        outage: float | None,
        confirm: float,
        longest: float,
        confirmations: int,
        grace: float,
        renewable: bool,
        fixed: float | None,
        beat: float | None,
    ) -> None:
        self.pacing = Pacing() if fixed is None else Pacing.fixed(fixed)
        rules = Policy(
            pacing=self.pacing,
            retry=Retry(outage_s=outage, min_failures=failures),
            timeout_s=timeout,
            last_poll_s=0.1 * min(timeout or 1, 10),
            not_found_grace_s=grace,
            confirmations=confirmations,
            confirm_s=confirm,
            longest_hint_s=longest,
            heartbeat_s=beat,
            renewable=renewable,
        )
        self.now = 100.0
        self.longest = longest
        self.machine: WatchMachine[str, str] = WatchMachine("job", rules, now=self.now)
        self.outcome: object = None
        self.overs = 0

    def step(self, news: StepResult) -> None:
        self.overs += news is StepResult.OVER
        if news is StepResult.PROGRESSED:
            assert self.machine.progressed().elapsed_s >= 0
        if news is StepResult.RETRYING:
            assert self.machine.retrying(self.now).delay_s >= 0
        if news is StepResult.OVER:
            self.outcome = self.machine.outcome
        elif self.outcome is None:
            assert self.now <= self.machine.due_at <= self.machine.deadline or self.now > self.machine.deadline

    def ask(self, late: float) -> bool:
        """Let time pass until the poll; False when the deadline comes first."""
        if self.machine.due_at < math.inf:
            self.now = max(self.now, self.machine.due_at)
        if self.outcome is None and self.now >= self.machine.deadline:
            self.step(self.machine.on_deadline(now=self.now))
            return False
        self.machine.asked(0.0)
        self.now = min(self.now + late, self.machine.deadline)
        return True

    @rule(
        status=st.sampled_from("abc"),
        fraction=st.none() | st.floats(0, 1),
        late=st.floats(0, 2),
        dice=st.floats(0, 0.999),
    )
    def read(self, status: str, fraction: float | None, late: float, dice: float) -> None:
        if self.ask(late):
            at = self.now
            self.step(self.machine.on_reading(running(status, fraction), now=at, dice=dice))
            if self.outcome is None and self.machine.due_at < self.machine.deadline:
                pause = min(self.pacing.min_s, self.machine.deadline - self.machine.due_at)
                assert self.machine.due_at - at >= pause * (1 - 1e-9)

    @precondition(lambda self: self.machine.phase is not None)
    @rule(late=st.floats(0, 2), dice=st.floats(0, 0.999))
    def unchanged(self, late: float, dice: float) -> None:
        if self.ask(late):
            self.step(self.machine.on_unchanged(now=self.now, dice=dice))

    @rule(phase=st.sampled_from([Phase.FAILED, Phase.CANCELLED, Phase.SUCCEEDED]), dice=st.floats(0, 0.999))
    def look_over(self, phase: Phase, dice: float) -> None:
        if self.ask(0.1):
            self.step(self.machine.on_reading(unsure(phase), now=self.now, dice=dice))

    @rule(phase=st.sampled_from([Phase.FAILED, Phase.CANCELLED, Phase.SUCCEEDED]))
    def finish(self, phase: Phase) -> None:
        if self.ask(0.1):
            self.step(self.machine.on_reading(final(phase), now=self.now, dice=0))

    @rule(
        error=st.sampled_from(
            [ConnectFailed("x"), PollTimeout(1), ServerUnavailable(500), MalformedReply("x", 200), NotVisibleYet()]
        ),
        dice=st.floats(0, 0.999),
    )
    def fail(self, error: ConnectFailed, dice: float) -> None:
        if self.ask(0.1):
            self.step(self.machine.on_error(error, now=self.now, dice=dice))

    @rule(
        hint=st.none() | st.floats(0, 1000) | st.floats(0, 1e12),
        dice=st.floats(0, 0.999),
        kind=st.sampled_from(
            [RateLimited, lambda hint: ServerUnavailable(503, hint), lambda hint: NotVisibleYet(None, hint)]
        ),
    )
    def hint(self, hint: float | None, dice: float, kind: Callable[[float | None], PollError]) -> None:
        if self.ask(0.1):
            self.step(self.machine.on_error(kind(hint), now=self.now, dice=dice))
            if self.outcome is None and hint is not None:
                wait, left = self.machine.due_at - self.now, self.machine.deadline - self.now
                if hint <= self.longest:
                    assert wait >= min(hint, left) * (1 - 1e-9) - 1e-9
                assert wait <= max(self.longest, 60.0) * (1 + 1e-9)

    @rule(hint=st.floats(0, 1000) | st.floats(0, 1e12), dice=st.floats(0, 0.999), status=st.sampled_from("abc"))
    def advise(self, hint: float, dice: float, status: str) -> None:
        if self.ask(0.1):
            at = self.now
            self.step(self.machine.on_reading(running(status), now=at, dice=dice, hint_s=hint))
            if self.outcome is None:
                wait, left = self.machine.due_at - at, self.machine.last_poll_at - at
                assert wait >= min(hint, self.longest, max(left, 0.0)) * (1 - 1e-9) - 1e-9
                assert wait <= max(self.longest, 1.1 * self.pacing.max_s) * (1 + 1e-9)

    @rule()
    def refuse(self) -> None:
        if self.ask(0.1):
            news = self.machine.on_error(AuthenticationError("no"), now=self.now, dice=0)
            self.step(news)
            if news is StepResult.RENEW:
                self.machine.on_renewed(now=self.now)

    @rule()
    def stop(self) -> None:
        self.step(self.machine.on_stop(WatchStopped("job"), now=self.now))

    @invariant()
    def one_outcome_and_nothing_after_it(self) -> None:
        assert self.overs <= 1
        assert self.machine.outcome is self.outcome
        if self.outcome is not None:
            assert self.machine.due_at == math.inf


TestAnyWatch = AnyWatch.TestCase
TestAnyWatch.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
