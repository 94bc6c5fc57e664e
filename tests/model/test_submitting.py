"""The call that starts a job."""

from __future__ import annotations

from typing import Any

import pytest
from yarl import URL

from pollwise.errors import ConfigurationError, PollTimeout
from pollwise.model.messages import Reply, Request
from pollwise.model.submitting import SubmitCall, Submitted, check_can_submit, checked_key
from toy import ToyEndpoint, ToyJob


class _Starting(ToyEndpoint):
    submit_advice = "Look into the tray."

    def submit_request(self, order: str, key: str, /) -> Request:
        return Request(URL("https://toy.example/start"), {"Idempotency-Key": key}, "POST", order.encode())

    def read_submitted(self, order: str, reply: Reply, /) -> ToyJob | Submitted[ToyJob]:
        return Submitted(ToyJob(order), 5.0)


def _call(order: str = "print", key: str = "k") -> SubmitCall[ToyJob]:
    return SubmitCall(_Starting(), order, key)


def test_the_request_is_made_once() -> None:
    """A repeated request is the same to the last byte."""
    call = _call()
    assert call.request("", None) is call.request("", None)


@pytest.mark.parametrize(
    ("headers", "idempotent", "expected"),
    [
        ({}, None, False),
        ({"idempotency-key": "k"}, None, True),
        ({}, True, True),
        ({"Idempotency-Key": "k"}, False, False),
    ],
)
def test_a_request_says_whether_it_may_be_repeated(
    headers: dict[str, str], idempotent: bool | None, expected: bool
) -> None:
    """By its header field, unless it says so itself."""
    request = Request(URL("https://toy.example"), headers, "POST", idempotent=idempotent)
    assert request.is_idempotent is expected


def test_the_reading_has_the_wait_and_the_call_the_job() -> None:
    """The job is beside the reading, so that no mask changes its ID."""
    call = _call()
    reading = call.read("", Reply(201, {}, b""), None)
    assert (reading.final, reading.status, reading.poll_after_s) == (True, None, 5.0)
    assert call.job == ToyJob("print")


def test_orders_differ_by_their_requests() -> None:
    """The digest is that of method, path, query and body."""
    assert _call("a").digest == _call("a").digest != _call("b").digest
    assert len(_call().digest) == 64


def test_a_doubt_has_the_advice_of_the_endpoint() -> None:
    """And what happened, and not the order, which may have a secret."""
    doubt = _call("s3cr3t").doubtful(PollTimeout(5.0))
    assert "Look into the tray." in str(doubt)
    assert "within 5 s" in str(doubt)
    assert "s3cr3t" not in str(doubt)


@pytest.mark.parametrize("key", ["a", "order-17", "x" * 255, "a b"])
def test_a_key_is_kept_as_it_is(key: str) -> None:
    """Printable ASCII."""
    assert checked_key(key) == key


def test_both_methods_are_needed() -> None:
    """The error says which."""

    class Half(ToyEndpoint):
        def submit_request(self, order: str, key: str, /) -> Request:
            return Request(URL("https://toy.example"))

    for endpoint in (ToyEndpoint(), Half()):
        with pytest.raises(ConfigurationError, match=r"read_submitted\(order, reply\)"):
            check_can_submit(endpoint)
    made: Any = _Starting()
    check_can_submit(made)
