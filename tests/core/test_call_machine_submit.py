"""The start of a job: what may be sent again, and what is in doubt."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from pollwise.core.call_machine import SubmitMachine, call_policy
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectFailed,
    EndpointBug,
    JobNotFound,
    MalformedReply,
    NotVisibleYet,
    PermissionDenied,
    PollError,
    PollTimeout,
    RateLimited,
    RequestRejected,
    ServerUnavailable,
    SubmitDoubtful,
    UnsafeUrl,
    WatcherClosed,
    WatchError,
    WatchStopped,
)
from pollwise.model.events import Abandoned, Succeeded
from pollwise.model.messages import Reply, Request
from pollwise.model.reading import Reading
from pollwise.model.submitting import SubmitCall
from toy import ToyEndpoint, ToyJob

POLICY = Policy(pacing=Pacing.fixed(5.0), retry=Retry(outage_s=60.0), timeout_s=600.0, renewable=True)


class _Starting(ToyEndpoint):
    def __init__(self, *, idempotent: bool) -> None:
        super().__init__()
        self._idempotent = idempotent

    def submit_request(self, order: str, key: str, /) -> Request:
        return Request(URL("https://toy.example/start"), method="POST", idempotent=self._idempotent)

    def read_submitted(self, order: str, reply: Reply, /) -> ToyJob:
        return ToyJob("7")


def _machine(*, idempotent: bool = False, in_doubt: bool = False) -> SubmitMachine:
    call: SubmitCall[ToyJob] = SubmitCall(_Starting(idempotent=idempotent), "print", "a")
    return SubmitMachine("the order", call_policy(POLICY, call), now=0.0, in_doubt=in_doubt)


def _send(machine: SubmitMachine, now: float = 0.0) -> None:
    machine.asked(now)
    machine.call.request("", None)
    machine.call.on_send()


def _error(machine: SubmitMachine) -> Any:
    assert isinstance(machine.outcome, Abandoned)
    return machine.outcome.error


def _unsent() -> PollError:
    error = ConnectFailed("refused")
    error.sent = False
    return error


LOST: list[PollError | WatchError] = [
    ConnectFailed("reset"),
    PollTimeout(5.0),
    ServerUnavailable(503, 1.0),
    ServerUnavailable(408),
    MalformedReply("no id", 200),
    RequestRejected("the order", 303),
    RequestRejected("the order", 302),
]
NOTHING_DONE: list[PollError] = [RateLimited(1.0), RateLimited(None, None, 403), _unsent()]
REFUSED: list[WatchError] = [
    RequestRejected("the order", 400),
    RequestRejected("the order", 409),
    RequestRejected("the order", 308),
    PermissionDenied("the order", 403),
    JobNotFound("the order", 410),
]


@pytest.mark.parametrize("error", LOST, ids=repr)
def test_a_lost_reply_ends_a_start_in_doubt(error: Any) -> None:
    """Unless the request is idempotent. Then a later end but the job is in doubt, except for a reply that is no answer."""
    machine = _machine()
    _send(machine)
    machine.on_error(error, now=1.0, dice=0.5)
    assert isinstance(_error(machine), SubmitDoubtful)
    assert _error(machine).__cause__ is error
    again = _machine(idempotent=True)
    _send(again)
    again.on_error(error, now=1.0, dice=0.5)
    if isinstance(error, PollError):
        assert again.outcome is None
        again.on_deadline(now=700.0)
    assert isinstance(_error(again), SubmitDoubtful)
    assert _error(again).repeatable


@pytest.mark.parametrize("error", NOTHING_DONE, ids=repr)
def test_what_did_nothing_is_sent_again(error: PollError) -> None:
    """And is in doubt at no time."""
    machine = _machine()
    _send(machine)
    machine.on_error(error, now=1.0, dice=0.5)
    assert machine.outcome is None
    assert not machine.in_doubt
    machine.on_deadline(now=700.0)
    assert not isinstance(_error(machine), SubmitDoubtful)


@pytest.mark.parametrize("error", REFUSED, ids=repr)
def test_a_refusal_is_final(error: WatchError) -> None:
    """It is a doubt only if an earlier request was lost."""
    machine = _machine()
    _send(machine)
    machine.on_error(error, now=1.0, dice=0.5)
    assert _error(machine) is error
    after = _machine(idempotent=True, in_doubt=True)
    _send(after)
    after.on_error(error, now=1.0, dice=0.5)
    if isinstance(error, RequestRejected) and error.http_status == 409:
        assert after.outcome is None  # the first request is still being processed
    else:
        assert isinstance(_error(after), SubmitDoubtful)


def test_a_conflict_without_an_earlier_request_is_final() -> None:
    """The order itself is refused."""
    machine, error = _machine(idempotent=True), RequestRejected("the order", 409)
    _send(machine)
    machine.on_error(error, now=1.0, dice=0.5)
    assert _error(machine) is error


def test_an_error_before_the_request_was_sent_is_no_doubt() -> None:
    """Such as that of a renewal of the credentials."""
    machine = _machine()
    machine.asked(0.0)
    machine.call.request("", None)
    machine.on_error(ConnectFailed("reset"), now=1.0, dice=0.5)
    assert machine.outcome is None
    assert not machine.in_doubt


def test_a_404_is_no_job_that_is_not_visible_yet() -> None:
    """There is none yet."""
    machine = _machine()
    _send(machine)
    machine.on_error(NotVisibleYet(), now=1.0, dice=0.5)
    assert isinstance(_error(machine), JobNotFound)


def test_refused_credentials_are_renewed_once() -> None:
    """The request did nothing, so that is no doubt."""
    machine = _machine()
    for _ in range(2):
        _send(machine)
        machine.on_error(AuthenticationError("no"), now=1.0, dice=0.5)
    assert isinstance(_error(machine), AuthenticationError)


@pytest.mark.parametrize("error", [WatchStopped("x"), WatcherClosed("x"), EndpointBug("x", "KeyError", "y")], ids=repr)
def test_the_end_of_a_request_under_way_is_a_doubt(error: WatchError) -> None:
    """Whoever ends it. Before a request was sent, it is none."""
    machine = _machine()
    machine.asked(0.0)
    machine.on_stop(error, now=1.0)
    assert _error(machine) is error
    sent = _machine()
    _send(sent)
    assert sent.in_doubt
    sent.on_stop(error, now=1.0)
    assert isinstance(_error(sent), SubmitDoubtful)


def test_a_request_that_the_transport_refused_is_no_doubt() -> None:
    """Such as one that cannot be sent, or signed. The same error of the reading is one."""
    bug = EndpointBug("x", "ConfigurationError", "y")
    bug.__cause__ = ConfigurationError("no")
    for refusal in (bug, AuthenticationError("no signature"), UnsafeUrl("evil.example", "it is private")):
        machine = _machine()
        _send(machine)
        machine.on_stop(refusal, now=1.0)
        assert _error(machine) is refusal
    read = _machine()
    _send(read)
    read.call.read("", Reply(200, {}, b""), None)
    read.on_stop(bug, now=1.0)
    assert isinstance(_error(read), SubmitDoubtful)


def test_a_job_ends_every_doubt() -> None:
    """With the wait that the reply asked for."""
    machine = _machine(idempotent=True, in_doubt=True)
    _send(machine)
    reading: Reading[None] = machine.call.read("", Reply(200, {}, b""), None)
    machine.on_reading(reading, now=1.0, dice=0.0, hint_s=30.0)
    assert isinstance(machine.outcome, Succeeded)
    assert (machine.hint_s, machine.call.job) == (30.0, ToyJob("7"))
    assert not machine.in_doubt


@given(st.lists(st.sampled_from([*LOST, *NOTHING_DONE, *REFUSED]), min_size=1, max_size=8), st.booleans())
def test_nothing_is_sent_after_a_reply_was_lost(errors: list[Any], idempotent: bool) -> None:
    """Whatever came before: a start goes on only if every earlier request did nothing, or if it is idempotent."""
    machine, lost = _machine(idempotent=idempotent), False
    for n, error in enumerate(errors):
        if machine.outcome is not None:
            break
        assert idempotent or not lost
        _send(machine, float(n))
        machine.on_error(error, now=float(n), dice=0.5)
        lost = lost or error in LOST
        assert machine.in_doubt is lost
    if machine.outcome is not None:
        assert isinstance(_error(machine), SubmitDoubtful) is lost
