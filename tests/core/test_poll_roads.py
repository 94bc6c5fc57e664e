"""On each road that a reply can take: what the budget learns of it, and what the error says."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from poll_bench import Bench, Counted
from pollwise.core.pacing import Pacing
from pollwise.core.poll_results import stop_with
from pollwise.core.watch_state import StepResult
from pollwise.errors import (
    EndpointBug,
    MalformedReply,
    PermissionDenied,
    RateLimited,
    RequestRejected,
)
from pollwise.model.messages import Reply
from pollwise.model.reading import Reading
from pollwise.testing import reply
from toy import RUNNING, ToyJob, ToyStatus, running

LIMIT = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "59"}


def _read_as(error: BaseException | None) -> Counted:
    """An endpoint that reads each reply but the first with this error."""

    def read(_reply: Reply) -> Reading[ToyStatus]:
        if endpoint.reads > 1 and error is not None:
            raise error
        return Reading.running(ToyStatus("running"))

    endpoint = Counted(read)
    return endpoint


@pytest.mark.parametrize("status", [200, 304, 400, 403, 404, 408, 410, 429, 500, 503])
@pytest.mark.parametrize("body", [running(1), running(2)], ids=["same", "other"])
def test_every_reply_teaches_the_budget_its_limit(status: int, body: Any) -> None:
    """Whatever its status code, and also if the body is the same as before."""
    bench = Bench()
    bench.take(reply(running(1)))
    assert bench.budget.limit is None
    bench.take(reply(body, status=status, headers=LIMIT))
    assert (bench.budget.limit, bench.hand.permit) == (60, 0)


@pytest.mark.parametrize(
    "error",
    [MalformedReply("odd", 200), ZeroDivisionError(), RateLimited(), PermissionDenied("job", 200), KeyboardInterrupt()],
    ids=repr,
)
def test_a_reply_that_is_not_read_teaches_the_budget_its_limit(error: BaseException) -> None:
    """What the endpoint raises says nothing about the header fields."""
    bench = Bench(_read_as(error))
    bench.take(reply(running(1)))
    try:
        bench.take(reply(running(2), headers=LIMIT))
    except KeyboardInterrupt:
        assert isinstance(error, KeyboardInterrupt)
    assert (bench.budget.limit, bench.hand.permit) == (60, 0)


@pytest.mark.parametrize("status", [200, 403, 429])
def test_a_reset_that_is_not_believed_holds_the_token_back_for_a_part_of_the_time(status: int) -> None:
    """A reply that says that nothing is left for hours: one request goes when half of the time is over."""
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9000"}
    for timeout_s, available_at in ((None, 3601.0), (1802.0, 901.0)):
        bench = Bench(timeout_s=timeout_s)
        bench.take(reply(RUNNING, status=status, headers=headers))
        assert bench.budget.available_at(1.0) == pytest.approx(available_at)


def test_a_reset_that_is_believed_holds_the_token_back_until_then() -> None:
    """All requests go after that."""
    bench = Bench(timeout_s=1801.0)
    bench.take(reply(RUNNING, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "20"}))
    assert bench.budget.available_at(1.0) == pytest.approx(21.0)


@pytest.mark.parametrize(
    ("status", "available_at"), [(408, 1.0), (425, 1.0), (500, 121.0), (502, 121.0), (503, 121.0), (599, 121.0)]
)
def test_a_5xx_with_retry_after_speaks_for_the_server(status: int, available_at: float) -> None:
    """Any other trouble with a wait is about this request alone."""
    bench = Bench()
    assert bench.take(reply(status=status, headers={"Retry-After": "120"})) is StepResult.RETRYING
    assert bench.watch.machine.due_at >= 121.0
    assert bench.budget.available_at(1.0) == pytest.approx(available_at)


@pytest.mark.parametrize("wait_s", [0.0, 0.5, 7.0])
def test_a_wait_in_a_body_wins_over_the_header_fields(wait_s: float) -> None:
    """Also one of zero: the error shows it."""
    bench = Bench(_read_as(RateLimited(wait_s)))
    bench.take(reply(running(1)))
    assert bench.take(reply(running(2), headers={"Retry-After": "90"})) is StepResult.RETRYING
    error = bench.watch.machine.retrying(1.0).error
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == wait_s
    assert bench.budget.available_at(1.0) <= 1.0 + max(wait_s, 1.0)


@pytest.mark.parametrize(("hint_s", "wait_s"), [(0.0, 0.25), (0.125, 0.25), (0.5, 0.5), (1.0, 1.0)])
def test_a_short_wait_in_a_body_lengthens_a_shorter_pace(hint_s: float, wait_s: float) -> None:
    """A status may be worth asking for several times a second, and a vendor may ask for less."""
    endpoint = Counted(lambda _: Reading.running(ToyStatus("running"), poll_after_s=hint_s))
    bench = Bench(endpoint, pacing=Pacing.fixed(0.25))
    bench.take(reply(RUNNING))
    assert bench.watch.machine.due_at == 1.0 + wait_s


@pytest.mark.parametrize(("status", "read"), [(199, False), (200, True), (299, True), (300, False), (301, False)])
def test_a_reply_of_2xx_is_read(status: int, *, read: bool) -> None:
    """Any other is a refusal, whatever its body."""
    bench = Bench()
    bench.take(reply(RUNNING, status=status))
    assert bench.endpoint.reads == read


@pytest.mark.parametrize(
    ("status", "step"), [(200, StepResult.RETRYING), (299, StepResult.RETRYING), (300, StepResult.OVER)]
)
def test_a_page_of_another_status_code_is_a_refusal(status: int, step: StepResult) -> None:
    """Where the endpoint would read that code, but not this body. With 2xx it is a malformed reply."""

    class ReadsRedirects(Counted):
        answer_statuses = frozenset({300})

    bench = Bench(ReadsRedirects())
    page = attrs.evolve(reply({}, status=status, headers=LIMIT), body=b"<html>moved</html>")
    assert bench.take(page) is step
    assert (bench.budget.limit, bench.hand.permit) == (60, 0)
    if step is StepResult.OVER:
        assert isinstance(bench.why, RequestRejected)


def test_each_of_a_hundred_different_replies_is_read() -> None:
    """None is taken for a repetition of the one before it."""
    bench = Bench()
    for n in range(100):
        assert bench.take(reply({"state": "running", "done": n})) is StepResult.PROGRESSED
    assert bench.endpoint.reads == 100


def test_each_of_a_hundred_different_header_fields_is_read() -> None:
    """Where `read` looks at one, and the body stays the same."""
    endpoint = Counted()
    endpoint.heeded_headers = ("x-state",)
    bench = Bench(endpoint)
    for n in range(100):
        bench.take(reply(RUNNING, headers={"X-State": str(n)}))
    assert endpoint.reads == 100


def test_an_endpoint_may_have_any_callable_as_its_read_for() -> None:
    """A function that was assigned is called like a method."""
    endpoint, jobs = Counted(), []

    def read_for(job: ToyJob, reply: Reply, /) -> Reading[ToyStatus]:
        jobs.append(job)
        return endpoint.read(reply)

    class Reader:
        __slots__ = ()
        __call__ = staticmethod(read_for)

    for function in (read_for, Reader()):
        endpoint.read_for = function  # type: ignore[method-assign, assignment]
        assert Bench(endpoint).take(reply(RUNNING)) is StepResult.PROGRESSED
    assert jobs == [ToyJob(), ToyJob()]


# --- errors -------------------------------------------------------------------------------------


def test_a_304_to_nothing_is_explained() -> None:
    """The error has the status code and the media type of the reply."""
    bench = Bench()
    bench.take(reply(RUNNING, status=304))
    error = bench.watch.machine.retrying(1.0).error
    assert isinstance(error, MalformedReply)
    assert error.reason == "there is no earlier reply that it could repeat"
    assert (error.http_status, error.content_type) == (304, "application/json")


def test_a_refusal_names_the_job() -> None:
    """The message begins with it."""
    bench = Bench()
    bench.take(reply(RUNNING, status=403))
    assert isinstance(bench.why, PermissionDenied)
    assert bench.why.job == ToyJob()


@pytest.mark.parametrize(
    ("error", "words"),
    [(KeyError("state"), "'state'"), (KeyError(), "it gave no message"), (ValueError("x" * 99), "***")],
)
def test_a_bug_of_the_endpoint_names_the_job_and_says_its_own_words(error: Exception, words: str) -> None:
    """The error has the words of the exception, without what looks like a credential."""
    bench = Bench()
    stop_with(bench.watch.machine, error, 1.0)
    assert isinstance(bench.why, EndpointBug)
    assert (bench.why.job, bench.why.detail) == (ToyJob(), words)
    assert bench.why.__cause__ is error
