"""JSON-RPC messages over HTTP: a request as a body, and the one response in a reply.

Rule 1: a reply has one response, as JSON or in an event stream (Transports, "Sending Messages to the Server"). In a stream,
requests, notifications and events without data may come before it, and are passed over.
Rule 2: a response to another request is malformed. So is a stream that ended before its response.
Rule 3: an error of JSON-RPC is an answer, whatever the status code of HTTP is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs
import orjson

from pollwise.endpoints._reader import clipped
from pollwise.endpoints._starting import json_bytes
from pollwise.endpoints._strict import shown
from pollwise.errors import MalformedReply, Problem
from pollwise.model.bounded_reply import bounded
from pollwise.model.limits import ReplyLimits
from pollwise.model.messages import Reply

__all__ = [
    "INVALID_PARAMS",
    "METHOD_NOT_FOUND",
    "NEVER_ANOTHER_ANSWER",
    "error_of",
    "is_event_stream",
    "response_in",
    "rpc",
]

METHOD_NOT_FOUND: Final = -32_601
INVALID_PARAMS: Final = -32_602
# Invalid request, method not found; and of revision 2026-07-28: header mismatch, missing capability, unsupported version
NEVER_ANOTHER_ANSWER: Final = frozenset({-32_600, METHOD_NOT_FOUND, -32_020, -32_021, -32_022})
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_LIMITS: Final = ReplyLimits()


def rpc(method: str, params: Mapping[str, Any], number: int | str | None = None, *, what: str = "the message") -> bytes:
    """The body of a request, or of a notification if it has no number.

    Raises:
        ConfigurationError: The parameters are no JSON. The error begins with `what`.
    """
    identified = {} if number is None else {"id": number}
    return json_bytes({"jsonrpc": "2.0", **identified, "method": method, "params": params}, what)


def is_event_stream(reply: Reply) -> bool:
    """Whether the reply is an event stream."""
    return reply.content_type == "text/event-stream"


def response_in(reply: Reply, limits: ReplyLimits = _LIMITS) -> dict[str, Any]:
    """The response, with its `result` or its `error`. Raises MalformedReply.

    Args:
        reply: The reply.
        limits: How much is kept of a response in an event stream. JSON has been cut before.
    """
    sent = _number_of(reply)
    if not is_event_stream(reply):
        data = reply.json()
        if not _is_response(data):
            raise reply.malformed("it is no response of JSON-RPC: it has neither result nor error")
        if not _fits(data, sent):
            raise reply.malformed(f"it is the response to another request, {shown(data.get('id'))}")
        return data  # type: ignore[no-any-return]  # looked at above
    for event in _events(reply.body):
        try:
            data = bounded(attrs.evolve(reply, body=event, bounds=None), limits).json()
        except MalformedReply:
            continue
        if _is_response(data) and _fits(data, sent):
            return data  # type: ignore[no-any-return]  # looked at above
    raise reply.malformed("the event stream has no response to this request; it may have been cut off")


def error_of(response: Mapping[str, Any]) -> tuple[int | None, Problem] | None:
    """The code of an error and what the server says, or None if the response has a result."""
    if "error" not in response:
        return None
    error = response["error"]
    code = error.get("code") if isinstance(error, dict) else None
    words = error.get("message") if isinstance(error, dict) else None
    known = code if type(code) is int else None
    return known, Problem(clipped([code]), clipped([words]), job_unknown=known == INVALID_PARAMS)


def _is_response(data: object) -> bool:
    return isinstance(data, dict) and ("result" in data or "error" in data) and "method" not in data


def _fits(response: Mapping[str, Any], sent: object) -> bool:
    """Whether the response is to this request. An error may have no ID, if the server could not read the request's."""
    found = response.get("id")
    return sent is None or found == sent or (found is None and "error" in response)


def _number_of(reply: Reply) -> object:
    """The ID of the request that the reply answers, or None if that is not known."""
    body = None if reply.request is None else reply.request.body
    try:
        data = None if body is None else orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return data.get("id") if isinstance(data, dict) else None


def _events(body: bytes) -> Iterator[bytes]:
    """The data of each event (HTML, "Server-sent events", 9.2.6). The last one counts without an empty line, too."""
    data: list[bytes] = []
    for line in _LINE_END.split(body.removeprefix(_BYTE_ORDER_MARK)):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif not line:
            if data:
                yield b"\n".join(data)
            data = []
    if data:
        yield b"\n".join(data)
