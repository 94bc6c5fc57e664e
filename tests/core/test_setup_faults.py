"""Which failures of the first polls end a watch, and when."""

from __future__ import annotations

import attrs
import pytest

from pollwise.core.machine import WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.core.resume_state import ResumeState
from pollwise.core.setup_faults import looks_needed
from pollwise.core.watch_state import StepResult
from pollwise.errors import (
    CertificateRejected,
    ConnectFailed,
    MalformedReply,
    PollError,
    PollTimeout,
    ProxyFailed,
    RateLimited,
    ServerUnavailable,
    SetupError,
    TlsFailed,
    UnknownHost,
)
from pollwise.model.events import Abandoned
from pollwise.model.reading import Phase, Reading

RUNNING = Reading(status="working", phase=Phase.RUNNING)
DONE = Reading(status="over", phase=Phase.SUCCEEDED, final=True)
PAGE = MalformedReply("expected JSON", 200, "text/html", "<!DOCTYPE html>")
CERTIFICATE = CertificateRejected("certificate has expired", 10)
NAME = UnknownHost("cannot connect", "api.example")
NO_TLS = TlsFailed("WRONG_VERSION_NUMBER")


def policy() -> Policy:
    return Policy(pacing=Pacing(), retry=Retry(), timeout_s=3600.0)


def failing(machine: WatchMachine[str, str], error: PollError, dice: float = 0.5) -> list[float]:
    """The seconds between the polls until the watch ends, if each of them fails in this way."""
    waits, now = [], 0.0
    while machine.on_error(error, now=now, dice=dice) is not StepResult.OVER:
        waits.append(machine.due_at - now)
        now = machine.due_at
    assert isinstance(machine.outcome, Abandoned)
    return waits


def machine_of(rules: Policy) -> WatchMachine[str, str]:
    return WatchMachine("job", rules, now=0.0)


@pytest.mark.parametrize(
    "error",
    [CERTIFICATE, ServerUnavailable(501), ServerUnavailable(505), ProxyFailed("407", 407), ProxyFailed("403", 403)],
    ids=str,
)
def test_what_waiting_cannot_mend_ends_the_first_watch_at_once(error: PollError) -> None:
    """The error has that of the poll, and says what to check."""
    machine = machine_of(policy())
    assert failing(machine, error) == []
    assert isinstance(machine.outcome, Abandoned)
    assert isinstance(machine.outcome.error, SetupError)
    assert machine.outcome.error.last_error is error
    assert str(error) in str(machine.outcome.error)


def test_each_kind_of_failure_is_counted_apart() -> None:
    """A name that is unknown once, and two pages, are no set-up that is certainly wrong."""
    for errors in ([NAME, PAGE, PAGE], [PAGE, PAGE, NAME]):
        machine = machine_of(policy())
        for n, error in enumerate(errors):
            assert machine.on_error(error, now=float(n), dice=0.5) is StepResult.RETRYING
        assert machine.on_error(errors[0], now=3.0, dice=0.5) is StepResult.OVER
        assert isinstance(machine.outcome, Abandoned)
        assert isinstance(machine.outcome.error, SetupError)
        assert machine.outcome.error.last_error is errors[0]


@pytest.mark.parametrize("dice", [0.0, 0.5, 0.999])
@pytest.mark.parametrize(("error", "looks"), [(NAME, 2), (NO_TLS, 2), (PAGE, 3)])
def test_what_may_be_wrong_for_a_moment_is_looked_at_again(error: PollError, looks: int, dice: float) -> None:
    """A resolver, a server or a gateway may be wrong for that long. The watch ends after less than five seconds."""
    machine = machine_of(policy())
    waits = failing(machine, error, dice)
    assert len(waits) == looks - 1
    assert all(0.5 <= wait_s <= 2.0 for wait_s in waits)
    assert isinstance(machine.outcome, Abandoned)
    assert isinstance(machine.outcome.error, SetupError)


@pytest.mark.parametrize("between", [ConnectFailed("reset"), RateLimited(), ServerUnavailable(503)], ids=str)
def test_only_looks_in_a_row_count(between: PollError) -> None:
    """Another failure shows that the name is known, or that the page is gone."""
    machine = machine_of(policy())
    for error in (NAME, between, NAME, between, PAGE, PAGE, between, PAGE):
        assert machine.on_error(error, now=1.0, dice=0.5) is StepResult.RETRYING


@pytest.mark.parametrize("reading", [RUNNING, DONE])
@pytest.mark.parametrize("error", [CERTIFICATE, ServerUnavailable(501), NAME, PAGE], ids=str)
def test_once_any_poll_has_worked_there_is_the_usual_patience(error: PollError, reading: Reading[str]) -> None:
    """Also for other jobs of the watcher, and for watches that end after it."""
    rules = policy()
    machine_of(rules).on_reading(reading, now=0.0, dice=0.5)
    waits = failing(machine_of(rules), error)
    assert sum(waits) >= 600.0


def test_single_calls_of_a_watcher_share_what_its_polls_have_shown() -> None:
    """A result whose server shows a page is asked for with the usual patience."""
    rules = policy()
    machine_of(attrs.evolve(rules)).on_reading(RUNNING, now=0.0, dice=0.5)
    assert rules.history.has_worked


def test_a_watch_of_an_earlier_run_has_the_usual_patience() -> None:
    """Its endpoint has worked then."""
    state: ResumeState[str] = ResumeState(
        polls=3, failures=0, status="working", phase=Phase.RUNNING, age_s=60.0, left_s=3540.0
    )
    rules = policy()
    machine: WatchMachine[str, str] = WatchMachine.resumed("job", rules, state, now=0.0)
    assert machine.on_error(CERTIFICATE, now=1.0, dice=0.5) is StepResult.RETRYING
    assert not rules.history.has_worked
    machine.on_reading(RUNNING, now=2.0, dice=0.5)
    assert rules.history.has_worked


@pytest.mark.parametrize(
    "error",
    [
        ConnectFailed("refused"),
        TlsFailed("handshake failed"),
        PollTimeout(5.0),
        ServerUnavailable(500),
        ServerUnavailable(501, 60.0),
        ProxyFailed("unreachable"),
        ProxyFailed("502", 502),
        ProxyFailed("429", 429),
        RateLimited(),
        MalformedReply("broken JSON", 200, "application/json", "{"),
        MalformedReply("a field", 200, "text/html", '{"state": 7}'),
        MalformedReply("expected JSON, got an empty body", 200, "text/html", ""),
        MalformedReply("a page", 502, "text/html", "<html>"),
    ],
    ids=str,
)
def test_what_may_pass_is_waited_for(error: PollError) -> None:
    """It ends no watch by itself."""
    assert looks_needed(error) == 0


@pytest.mark.parametrize(
    ("content_type", "excerpt"),
    [
        ("text/html", "<h1>Sign in"),
        ("application/xhtml+xml", "<?xml"),
        (None, "\n<!doctype HTML>"),
        ("text/plain", "<html"),
    ],
)
def test_a_page_is_known_by_its_type_or_its_beginning(content_type: str | None, excerpt: str) -> None:
    """Gateways do not always name the type."""
    assert MalformedReply("expected JSON", 200, content_type, excerpt).is_web_page


@pytest.mark.parametrize(
    ("code", "flaw"),
    [
        (10, "expired"),
        (9, "not yet valid"),
        (62, "other name"),
        (64, "other name"),
        (18, "unknown issuer"),
        (None, "not pinned"),
    ],
)
def test_a_certificate_says_its_flaw(code: int | None, flaw: str) -> None:
    """Each flaw has its own advice."""
    error = CertificateRejected("OpenSSL's words", code)
    assert error.flaw == flaw
    assert len(str(error).split(". ")) >= 2


def test_failures_of_probes_count_like_polls_of_the_watch() -> None:
    """The host is down for every watch, so one probe asks in place of all of them."""
    machine = machine_of(policy())
    assert machine.on_host_down(NAME, down_since=-9.0, now=0.0, dice=0.5) is StepResult.RETRYING
    assert 0.5 <= machine.due_at <= 2.0
    assert machine.on_host_down(NAME, down_since=-9.0, now=machine.due_at, dice=0.5) is StepResult.OVER
    assert isinstance(machine.outcome, Abandoned)
    assert isinstance(machine.outcome.error, SetupError)


def test_an_answer_to_another_watch_shows_that_the_name_exists() -> None:
    """The failures before it are not in a row with those after it."""
    machine = machine_of(policy())
    machine.on_host_down(NAME, down_since=-9.0, now=0.0, dice=0.5)
    machine.on_host_answer(1.0)
    assert machine.on_error(NAME, now=1.0, dice=0.5) is StepResult.RETRYING
    machine = machine_of(policy())
    machine.on_host_down(NAME, down_since=-9.0, now=0.0, dice=0.5)
    assert machine.on_host_down(NAME, down_since=1.0, now=2.0, dice=0.5) is StepResult.RETRYING
