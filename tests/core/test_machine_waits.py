"""When a watch is asked next, to the second: at the edges of a grace, an outage, a hint and the deadline."""

from __future__ import annotations

import attrs
import pytest

from pollwise.core.forecast import Forecast
from pollwise.core.machine import WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.core.resume_state import ResumeState
from pollwise.core.watch_state import DueReason, StepResult
from pollwise.errors import ConnectFailed, NotVisibleYet, PollError, RateLimited
from pollwise.model.reading import Phase, Reading

BEGAN = 1_000.0
RULES = Policy(pacing=Pacing(jitter=0), retry=Retry(), timeout_s=None)


def make(**changes: object) -> WatchMachine[str, str]:
    return WatchMachine("job", attrs.evolve(RULES, **{"forecast": Forecast(), **changes}), now=BEGAN)


def running(fraction: float | None = None) -> Reading[str]:
    return Reading(status="working", phase=Phase.RUNNING, fraction=fraction)


def unsure() -> Reading[str]:
    return Reading(status="looks over", phase=Phase.FAILED, unconfirmed=True)


def waits(machine: WatchMachine[str, str], error: PollError, *, dice: float, polls: int) -> list[float]:
    """Seconds between failed polls, each asked when it is due."""
    made = []
    for _ in range(polls):
        now = machine.due_at
        machine.on_error(error, now=now, dice=dice)
        made.append(machine.due_at - now)
    return made


# --- grace and outage ---------------------------------------------------------------------------


def test_the_third_404_comes_at_the_end_of_the_grace() -> None:
    """The first wait is the usual one, because two 404s decide nothing. The second ends with the grace."""
    machine = make(not_found_grace_s=12.0, retry=Retry(base_s=10.0))
    assert waits(machine, NotVisibleYet(), dice=0.75, polls=2) == [7.5, 4.5]
    assert machine.on_error(NotVisibleYet(), now=BEGAN + 12.0, dice=0.75) is StepResult.OVER


def test_one_404_is_followed_by_the_usual_wait_though_the_grace_is_shorter() -> None:
    """Three polls are needed in any case."""
    machine = make(not_found_grace_s=2.0, retry=Retry(base_s=10.0))
    assert waits(machine, NotVisibleYet(), dice=0.75, polls=2) == [7.5, 15.0]


def test_a_404_at_the_end_of_the_grace_is_not_followed_by_another_at_once() -> None:
    """If it is the second one, the usual wait comes first."""
    machine = make(not_found_grace_s=7.5, retry=Retry(base_s=10.0))
    assert waits(machine, NotVisibleYet(), dice=0.75, polls=2) == [7.5, 15.0]


def test_a_failure_at_the_end_of_an_outage_is_not_followed_by_another_at_once() -> None:
    """If too few polls have failed, the usual wait comes first."""
    machine = make(retry=Retry(base_s=10.0, outage_s=7.5, min_failures=3))
    assert waits(machine, ConnectFailed("reset"), dice=0.75, polls=2) == [7.5, 15.0]


# --- hints --------------------------------------------------------------------------------------


def test_a_hint_as_long_as_the_longest_is_believed() -> None:
    """A longer one leaves half of the time until the last poll, if that is less."""
    for hint_s, wait_s in ((300.0, 300.0), (300.5, 199.5)):
        machine = make(longest_hint_s=300.0, timeout_s=400.0)
        assert machine.believed_s(hint_s, BEGAN) == wait_s


def test_a_hint_that_is_not_believed_adds_nothing_after_the_last_poll() -> None:
    """Half of no time is none: our own wait is all that is left."""
    machine = make(timeout_s=10.0, last_poll_s=2.0)
    machine.on_error(RateLimited(1e9), now=BEGAN + 9.0, dice=0.25)
    assert machine.due_at == BEGAN + 9.25


@pytest.mark.parametrize(("dice", "wait_s"), [(0.0, 40.0), (0.25, 45.0), (0.5, 50.0), (0.75, 55.0)])
@pytest.mark.parametrize("longest_hint_s", [60.0, 52.0, 40.0])
def test_a_hint_is_spread_upwards(dice: float, wait_s: float, longest_hint_s: float) -> None:
    """Watches that got the same hint do not come back together, none of them too early, and none after the longest hint."""
    machine = make(pacing=Pacing(jitter=0.5), longest_hint_s=longest_hint_s)
    machine.on_reading(running(), now=BEGAN, dice=dice, hint_s=40.0)
    assert machine.due_at - BEGAN == min(wait_s, longest_hint_s)


def test_a_reply_that_confirms_an_end_may_ask_for_a_pause_too() -> None:
    """Also if it is the same as the one before."""
    machine = make()
    machine.on_reading(unsure(), now=BEGAN, dice=0.5, hint_s=5.0)
    assert machine.due_at == BEGAN + 5.0
    machine.on_unchanged(now=BEGAN + 5.0, dice=0.5, hint_s=20.0)
    assert machine.due_at == BEGAN + 25.0


# --- the last poll ------------------------------------------------------------------------------


def test_a_last_poll_that_fails_is_repeated_at_the_usual_pace() -> None:
    """Not at once: a second of attempts would be a burst."""
    machine = make(timeout_s=10.0, last_poll_s=2.0)
    machine.on_error(ConnectFailed("reset"), now=BEGAN + 8.0, dice=0.5)
    assert (machine.due_at, machine.due_reason) == (BEGAN + 8.5, DueReason.GIVEN)


def test_the_last_poll_keeps_the_shortest_wait_of_the_pacing() -> None:
    """After a good reading half a second before it is due."""
    machine = make(timeout_s=10.0, last_poll_s=2.0)
    machine.on_reading(running(), now=BEGAN + 7.5, dice=0.5)
    assert machine.due_at == BEGAN + 8.5


# --- confirmation -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("confirm_s", "times"), [(1.5, [1.0, 1.5]), (1.25, [1.0, 1.5]), (1.0, [1.0, 2.5]), (60.0, [1.0, 2.5])]
)
def test_what_looks_over_is_asked_again_when_it_can_be_believed(confirm_s: float, times: list[float]) -> None:
    """Not before the shortest wait of the pacing has passed, and not later than the pacing asks in any case."""
    machine = make(
        confirmations=5,
        confirm_s=confirm_s,
        pacing=Pacing(min_s=0.5, wait=lambda: (wait_s for wait_s in (1.0, 1.5)), jitter=0),
    )
    seen = []
    for _ in range(2):
        machine.on_reading(unsure(), now=machine.due_at, dice=0.5)
        seen.append(machine.due_at - BEGAN)
    assert seen == times


@pytest.mark.parametrize(("dice", "factor"), [(0.0, 1.0), (0.5, 1.5), (0.75, 1.75)])
def test_a_job_that_flaps_is_asked_at_random_distances(dice: float, factor: float) -> None:
    """Between one and two waits of the pacing. At equal distances all polls could fall between two attempts."""
    machine = make(pacing=Pacing.fixed(8.0))
    for reading in (unsure(), running(), unsure()):
        machine.on_reading(reading, now=BEGAN, dice=dice)
    assert machine.due_at == BEGAN + factor * 8.0


# --- what is foreseen ---------------------------------------------------------------------------


def test_a_job_that_reports_progress_is_asked_when_it_may_be_over() -> None:
    """Half done after a thousand seconds: the next poll is not a second away, as it is where nothing is known."""
    for adaptive, reason in ((True, DueReason.FORESEEN), (False, DueReason.BLIND)):
        machine = make(pacing=Pacing(jitter=0, max_s=600.0, adaptive=adaptive))
        machine.on_reading(running(0.0), now=BEGAN, dice=0.5)
        assert (machine.due_at - BEGAN, machine.due_reason) == (1.0, DueReason.BLIND)
        machine.on_reading(running(0.5), now=BEGAN + 1_000.0, dice=0.5)
        wait_s = machine.due_at - BEGAN - 1_000.0
        assert machine.due_reason is reason
        assert 100.0 < wait_s < 1_000.0 if adaptive else wait_s == 1.5


class Seen(Forecast):
    """Keeps what it is told and asked."""

    __slots__ = ("lives", "questions")

    def __init__(self) -> None:
        super().__init__()
        self.lives: list[tuple[str, float, float, float | None]] = []
        self.questions: list[tuple[float, float | None]] = []

    def ran(self, since_s: float, until_s: float, eta_s: float | None) -> None:
        self.lives.append(("ran", since_s, until_s, eta_s))

    def over(self, seen_s: float, age_s: float, eta_s: float | None) -> None:
        self.lives.append(("over", seen_s, age_s, eta_s))

    def has_evidence(self, _eta_s: float | None) -> bool:
        return True

    def silence_s(self, _level: int, age_s: float, eta_s: float | None, _at_most_s: float) -> float:
        self.questions.append((age_s, eta_s))
        return 5.0


def test_the_forecast_learns_at_which_ages_the_job_was_seen() -> None:
    """From one reading to the next, with the ETA of the first. An unconfirmed end is no sign that the job ran until then."""
    seen = Seen()
    machine = make(forecast=seen)
    for at, reading in (
        (2.0, running(0.0)),
        (6.0, running(0.5)),
        (7.0, unsure()),
        (9.0, running(0.5)),
        (11.0, running(0.5)),
    ):
        machine.on_reading(reading, now=BEGAN + at, dice=0.5)
    machine.on_reading(Reading(status="over", phase=Phase.SUCCEEDED, final=True), now=BEGAN + 12.0, dice=0.5)
    assert seen.lives == [
        ("ran", 0.0, 2.0, None),
        ("ran", 2.0, 6.0, None),
        ("ran", 7.0, 9.0, None),
        ("ran", 9.0, 11.0, 9.0),
        ("over", 11.0, 12.0, 11.0),
    ]
    assert seen.questions == [(2.0, None), (6.0, 6.0), (9.0, 9.0), (11.0, 11.0)]


def test_a_job_that_is_over_at_its_first_poll_was_not_seen_before() -> None:
    """All that is known is that it took no longer than the watch."""
    seen = Seen()
    make(forecast=seen).on_reading(Reading(status="over", phase=Phase.FAILED, final=True), now=BEGAN + 3.0, dice=0.5)
    assert seen.lives == [("over", 0.0, 3.0, None)]


@pytest.mark.parametrize(
    ("fraction", "took_s", "eta_s"),
    [(0.5, 0.5, 0.5), (0.5, 1.0, 1.0), (1e-9, 1.0, 1e9), (0.9e-9, 1.0, None), (0.5, 0.0, None), (1.0, 2.0, 0.0)],
)
def test_an_eta_needs_progress_and_time(fraction: float, took_s: float, eta_s: float | None) -> None:
    """However little of both."""
    odd: list[float] = []
    machine = make(on_odd_fraction=odd.append)
    machine.on_reading(running(0.0), now=BEGAN, dice=0.5)
    machine.on_reading(running(fraction), now=BEGAN + took_s, dice=0.5)
    assert machine.eta_s() == (None if eta_s is None else pytest.approx(eta_s))
    assert machine.fraction == fraction
    assert odd == []


# --- resuming -----------------------------------------------------------------------------------


def test_an_overdue_watch_has_no_grace_unless_it_is_given_one() -> None:
    """Its deadline is its first poll then."""
    past: ResumeState[str] = ResumeState(age_s=7_200.0, left_s=-3_600.0)
    machine = WatchMachine.resumed("job", RULES, past, now=BEGAN)
    machine.asked(BEGAN + 5.0)
    assert machine.deadline == BEGAN + 5.0


def test_a_job_that_no_process_has_seen_may_not_exist() -> None:
    """After a restart a 404 has its own grace, and not the time of an outage."""
    past: ResumeState[str] = ResumeState(age_s=5.0, left_s=None, polls=3)
    machine = WatchMachine.resumed("job", RULES, past, now=BEGAN)
    for now, result in ((0.0, StepResult.RETRYING), (15.0, StepResult.RETRYING), (30.0, StepResult.OVER)):
        assert machine.on_error(NotVisibleYet(), now=BEGAN + now, dice=0) is result


@pytest.mark.parametrize(("polls", "failures", "wait_s"), [(6, 4, 2.25), (2, 0, 2.25), (1, 1, 1.0), (1, 3, 1.0)])
def test_only_good_polls_slow_the_pace_of_a_resumed_watch(polls: int, failures: int, wait_s: float) -> None:
    """The next wait is that after the good polls before it."""
    past: ResumeState[str] = ResumeState(age_s=600.0, left_s=None, polls=polls, failures=failures)
    machine = WatchMachine.resumed("job", attrs.evolve(RULES, forecast=Forecast()), past, now=BEGAN)
    machine.on_reading(running(), now=BEGAN, dice=0.5)
    assert machine.due_at == BEGAN + wait_s


# --- time in which the computer was suspended -----------------------------------------------------


def test_suspended_time_brings_the_deadline_and_the_last_poll_nearer() -> None:
    """A wait that would now end after the deadline ends with the last poll before it."""
    machine = make(timeout_s=100.0, pacing=Pacing.fixed(60.0))
    machine.asked(BEGAN)
    machine.on_reading(running(), now=BEGAN, dice=0.5)
    machine.on_suspended(30.0, now=BEGAN + 10.0, grace_s=5.0)
    assert machine.deadline == BEGAN + 70.0
    assert machine.due_at == BEGAN + 60.0
    machine.on_suspended(30.0, now=BEGAN + 10.0, grace_s=5.0)
    assert machine.due_at == BEGAN + 39.0


def test_a_deadline_that_passed_in_a_suspension_leaves_one_poll() -> None:
    """It is sent at once, may take the grace, and a reading that is not final ends the watch."""
    machine = make(timeout_s=100.0, pacing=Pacing.fixed(60.0))
    machine.asked(BEGAN)
    machine.on_reading(running(), now=BEGAN, dice=0.5)
    now = BEGAN + 10.0
    machine.on_suspended(3600.0, now=now, grace_s=5.0)
    machine.on_suspended(3600.0, now=now, grace_s=5.0)
    assert machine.due_at == now
    assert machine.agreed_deadline == BEGAN + 100.0 - 3600.0
    machine.asked(now + 2.0)
    assert machine.deadline == now + 7.0
    assert machine.on_reading(running(), now=now + 3.0, dice=0.5) is StepResult.OVER


def test_a_suspension_does_not_shorten_the_wait_after_a_refusal() -> None:
    """A ban that lasts beyond the deadline ends the watch at the deadline; a short delay stands."""
    banned = make(timeout_s=1000.0)
    banned.asked(BEGAN)
    banned.on_error(RateLimited(429, 600.0), now=BEGAN, dice=0.5)
    due_at = banned.due_at
    banned.on_suspended(100.0, now=BEGAN + 1.0, grace_s=5.0)
    assert banned.due_at == due_at
    banned.on_suspended(5000.0, now=BEGAN + 1.0, grace_s=5.0)
    assert banned.due_at == banned.deadline < BEGAN
    failed = make(timeout_s=1000.0, retry=Retry(base_s=2.0))
    failed.asked(BEGAN)
    failed.on_error(ConnectFailed("reset"), now=BEGAN, dice=1.0)
    due_at = failed.due_at
    failed.on_suspended(5000.0, now=BEGAN, grace_s=5.0)
    assert BEGAN < failed.due_at == due_at
    assert failed.deadline == float("inf")


def test_a_watch_without_a_deadline_ignores_suspensions() -> None:
    """So does one that is over."""
    machine = make()
    machine.on_suspended(3600.0, now=BEGAN, grace_s=5.0)
    assert machine.due_at == BEGAN
    over = make(timeout_s=10.0)
    over.on_deadline(now=BEGAN + 10.0)
    over.on_suspended(3600.0, now=BEGAN + 10.0, grace_s=5.0)
    assert over.deadline == BEGAN + 10.0


# --- a host that is down ------------------------------------------------------------------------

REFUSED = ConnectFailed("refused")


def host_down(machine: WatchMachine[str, str], now: float, *, down_since: float = BEGAN) -> StepResult:
    return machine.on_host_down(REFUSED, down_since=down_since, now=now, dice=0.5)


def test_a_poll_that_is_not_sent_fails_with_the_error_of_the_probe() -> None:
    """It is reported and retried like any other, and no poll is counted."""
    machine = make()
    assert host_down(machine, BEGAN) is StepResult.RETRYING
    event = machine.retrying(BEGAN)
    assert (event.error, event.failures, event.polls) == (REFUSED, 1, 0)
    assert machine.due_at == BEGAN + 0.5
    assert machine.failed_at == BEGAN


def test_an_outage_that_the_watch_was_not_asked_in_ends_it_on_time() -> None:
    """At `outage_s` after its first poll that was due, and not before."""
    machine = make(retry=Retry(outage_s=60.0, min_failures=3))
    for now in (BEGAN, BEGAN + 10.0, BEGAN + 59.0):
        assert host_down(machine, now) is StepResult.RETRYING
    assert machine.decides_at == machine.outage_ends_at == BEGAN + 60.0
    assert machine.due_at <= BEGAN + 60.0
    assert host_down(machine, BEGAN + 60.0) is StepResult.OVER


def test_an_answer_of_the_host_makes_the_poll_due_and_voids_the_probes() -> None:
    """The outage of this watch begins anew with its next failure."""
    machine = make(retry=Retry(outage_s=60.0, min_failures=2))
    host_down(machine, BEGAN)
    machine.on_host_answer(BEGAN + 0.1)
    assert (machine.due_at, machine.failures) == (BEGAN + 0.1, 0)
    machine.on_host_answer(BEGAN + 5.0)
    assert machine.due_at == BEGAN + 0.1  # never later


def test_probes_before_an_answer_do_not_count_in_the_next_outage() -> None:
    """Also if the watch was not asked in between."""
    machine = make(retry=Retry(outage_s=60.0, min_failures=1))
    host_down(machine, BEGAN)
    assert host_down(machine, BEGAN + 70.0, down_since=BEGAN + 65.0) is StepResult.RETRYING
    assert machine.failures == 1


def test_the_grace_of_an_overdue_watch_begins_with_a_poll_that_is_not_sent() -> None:
    """Otherwise a resumed watch would wait for its host for ever."""
    state: ResumeState[str] = ResumeState(
        age_s=100.0, left_s=-5.0, polls=3, failures=0, status="working", seen_s=90.0, phase=Phase.RUNNING
    )
    machine = WatchMachine.resumed("job", RULES, state, now=BEGAN, grace_s=30.0)
    host_down(machine, BEGAN + 1.0)
    assert machine.deadline == BEGAN + 31.0


def test_a_watch_that_is_over_takes_no_failure() -> None:
    """There is no event after the outcome."""
    machine = make()
    machine.on_deadline(now=BEGAN)
    assert host_down(machine, BEGAN) is StepResult.QUIET
    machine.on_host_answer(BEGAN)
    assert machine.due_at == float("inf")
