"""JSON-RPC over HTTP: the one response in a reply, as JSON or in an event stream."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from pollwise import Reply, Request
from pollwise.endpoints.mcp_tasks.messages import error_of, response_in, rpc
from pollwise.errors import MalformedReply
from pollwise.model.limits import ReplyLimits

RESULT = {"jsonrpc": "2.0", "id": "a-1", "result": {"taskId": "7"}}
NOTE = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"result": 1}}
ASKED = {"jsonrpc": "2.0", "id": "a-1", "method": "elicitation/create", "params": {}}


def reply(data: Any, *, kind: str = "application/json", sent: bytes | None = rpc("tasks/get", {}, "a-1")) -> Reply:
    body = data if isinstance(data, bytes) else orjson.dumps(data)
    return Reply(200, {"Content-Type": kind}, body, Request(URL("https://x.example"), {}, "POST", sent))


def stream(*events: Any, end: bytes = b"\n") -> Reply:
    """An event stream: JSON as data, and bytes as lines of their own."""
    lines = [event if isinstance(event, bytes) else b"data: " + orjson.dumps(event) for event in events]
    return reply(b"".join(line + end + end for line in lines), kind="text/event-stream; charset=utf-8")


def test_a_request_has_a_number_and_a_notification_has_none() -> None:
    """JSON-RPC 2.0."""
    assert orjson.loads(rpc("a", {"b": 1}, 7)) == {"jsonrpc": "2.0", "id": 7, "method": "a", "params": {"b": 1}}
    assert "id" not in orjson.loads(rpc("a", {}))


def test_a_response_is_read_as_json() -> None:
    """With its result, or its error."""
    assert response_in(reply(RESULT)) == RESULT


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_response_is_found_in_an_event_stream(end: bytes) -> None:
    """Behind a first event without data, comments, notifications and requests (Transports, 2025-11-25)."""
    events = [b"id: 1" + end + b"data:", b": keep-alive", NOTE, ASKED, b"event: message" + end + b"retry: 5", RESULT]
    assert response_in(stream(*events, end=end)) == RESULT


def test_an_event_may_have_several_lines_and_no_end() -> None:
    """They are joined. A byte order mark does not matter."""
    body = b'\xef\xbb\xbfdata: {"jsonrpc": "2.0", "id": "a-1",\ndata:"result": {"taskId": "7"}}'
    assert response_in(reply(body, kind="text/event-stream")) == RESULT


@pytest.mark.parametrize(
    "found",
    [
        reply(b"<html>"),
        reply([RESULT]),
        reply(NOTE),
        reply(ASKED),
        reply({"jsonrpc": "2.0", "id": "a-1"}),
        reply({**RESULT, "id": "a-2"}),
        reply({**RESULT, "id": None}),
        stream(),
        stream(NOTE, ASKED),
        stream(b'data: {"jsonrpc": "2.0", "id": "a-1", "resu'),
        stream({**RESULT, "id": "a-2"}),
    ],
)
def test_a_reply_without_a_response_to_this_request_is_malformed(found: Reply) -> None:
    """Such as a stream that was cut off, or the response to another request."""
    with pytest.raises(MalformedReply):
        response_in(found)


def test_an_unknown_request_is_not_compared() -> None:
    """Replies in tests have none."""
    for sent in (None, b"{", b"[]"):
        assert response_in(reply(RESULT, sent=sent)) == RESULT


def test_an_error_may_have_no_id() -> None:
    """If the server could not read the request's."""
    error = {"jsonrpc": "2.0", "error": {"code": -32602, "message": "Failed to retrieve task: Task has expired"}}
    code, problem = error_of(response_in(reply(error))) or (0, None)
    assert problem is not None
    assert (code, problem.codes, problem.job_unknown) == (-32602, ("-32602",), True)
    assert problem.descriptions == ("Failed to retrieve task: Task has expired",)
    assert error_of(RESULT) is None


@pytest.mark.parametrize("error", [None, "no", {}, {"code": "x", "message": 7}, {"code": True}])
def test_an_error_of_any_form_is_an_error(error: object) -> None:
    """It never counts as a result."""
    code, problem = error_of({"error": error}) or (0, None)
    assert code is None
    assert problem is not None
    assert not problem.job_unknown


def test_a_response_in_a_stream_is_cut_like_any_reply() -> None:
    """A status is kept within the limits, a result whole."""
    long = stream({**RESULT, "result": {"rows": [0] * 5_000}})
    assert len(response_in(long)["result"]["rows"]) == 1_000
    assert len(response_in(long, ReplyLimits(items=9_000))["result"]["rows"]) == 5_000


@given(st.binary(max_size=200) | st.text(st.sampled_from("data: {}\n\r\"id'ev"), max_size=80).map(str.encode))
def test_any_stream_is_a_response_or_malformed(body: bytes) -> None:
    """Nothing else is raised."""
    with pytest.raises(MalformedReply):
        response_in(reply(body, kind="text/event-stream"))
