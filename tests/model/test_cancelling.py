"""The call that asks for a job to be stopped."""

from __future__ import annotations

from typing import Any

import pytest
from yarl import URL

from pollwise.errors import CancelDoubtful, PollTimeout
from pollwise.model.cancelling import CancelCall
from pollwise.model.messages import Reply, Request
from toy import ToyEndpoint, ToyJob, ToyStatus


class _Stopping(ToyEndpoint):
    def __init__(self, method: str) -> None:
        super().__init__()
        self._method = method

    def cancel_request(self, job: ToyJob, status: ToyStatus | None, /) -> Request:
        return Request(URL("https://toy.example") / job.id / str(status and status.state), method=self._method)


@pytest.mark.parametrize(("method", "idempotent"), [("POST", False), ("PATCH", False), ("DELETE", True), ("PUT", True)])
def test_the_method_says_whether_it_may_be_repeated(method: str, idempotent: bool) -> None:
    """As RFC 9110 does. The request has the job and its status."""
    call: CancelCall[Any, Any] = CancelCall(_Stopping(method), ToyStatus("running"))
    assert str(call.request(ToyJob(), None).url) == "https://toy.example/a/running"
    assert call.is_idempotent is idempotent


@pytest.mark.parametrize(("status", "accepted"), [(200, True), (202, True), (204, True), (404, False), (409, False)])
def test_a_reply_says_whether_it_is_accepted(status: int, accepted: bool) -> None:
    """By its status code."""
    call: CancelCall[Any, Any] = CancelCall(_Stopping("POST"), None)
    reading = call.read(ToyJob(), Reply(status, {}, b""), None)
    assert (reading.final, reading.status) == (True, accepted)


def test_an_api_that_refuses_inside_a_2xx_can_say_so() -> None:
    """With `read_cancelled`, which gets the replies that say that it is too late, too."""

    class Telling(_Stopping):
        def read_cancelled(self, reply: Reply, /) -> bool:
            return reply.body == b"yes"

    call: CancelCall[Any, Any] = CancelCall(Telling("POST"), None)
    answers = [
        call.read(ToyJob(), Reply(status, {}, body), None).status for status, body in ((200, b"no"), (404, b"yes"))
    ]
    assert answers == [False, True]


def test_a_lost_reply_is_a_doubt() -> None:
    """With what happened."""
    call: CancelCall[Any, Any] = CancelCall(_Stopping("POST"), None)
    lost = PollTimeout(5.0)
    doubt = call.doubtful(ToyJob(), lost)
    assert isinstance(doubt, CancelDoubtful)
    assert doubt.last_error is lost
