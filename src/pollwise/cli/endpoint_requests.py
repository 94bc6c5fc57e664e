"""`pollwise endpoint check` with a job: which requests a declaration would send, and what it would make of replies to them.

Rule 1: nothing is sent. Requests are made, and checked, by the code that a watch uses.
Rule 2: a line has the method, the URL with its keys, and the body. What is named like a credential is masked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from pollwise.cli.result import json_text
from pollwise.core.addresses import AddressKind, kind_of_host
from pollwise.core.url_rules import UrlRules
from pollwise.endpoints.declared import DeclaredEndpoint, DeclaredJob
from pollwise.errors import ConfigurationError, MalformedReply, PollwiseError, UnsafeUrl
from pollwise.model.cursor import Cursor
from pollwise.model.masking import mask_of
from pollwise.model.messages import Reply, Request
from pollwise.model.reading import Phase, Reading
from pollwise.model.results import ResultPage
from pollwise.model.submitting import Submitted

__all__ = ["further_readings", "own_requests"]

_LONGEST = 200


def own_requests(endpoint: DeclaredEndpoint[Any], job: DeclaredJob) -> Iterator[str]:
    """The requests that need no reply: the poll, the cancel request and the start."""
    yield f"poll: {_sent(endpoint, job, endpoint.request(job))}"
    if hasattr(endpoint, "cancel_request"):
        yield f"cancel: {_sent(endpoint, job, endpoint.cancel_request(job, None))}"
    submit = endpoint.declaration.submit
    if submit is not None:
        body = "" if submit.json is None else f", with the body {_short(orjson.dumps(submit.json).decode())}"
        yield f"submit: {submit.ask} of an order{body}"


def further_readings(endpoint: DeclaredEndpoint[Any], job: DeclaredJob, reply: Reply) -> Iterator[str]:
    """What a reply says beside the phase: the next URL, the result, and the job that was started."""
    reply = Reply(reply.status, reply.headers, reply.body, endpoint.request(job))
    reading: Reading[Any] | None
    try:
        reading = endpoint.read(reply)
    except PollwiseError:
        reading = None
    if reading is not None and reading.cursor is not None:
        yield f"next: {_next(endpoint, job, reading.cursor)}"
    if reading is not None and reading.phase is Phase.SUCCEEDED and hasattr(endpoint, "result_request"):
        yield f"result: {_result(endpoint, job, reading.status)}"
    if endpoint.declaration.submit is not None and 200 <= reply.status < 300:
        yield f"as the reply to submit: {_started(endpoint, reply)}"


def _next(endpoint: Any, job: DeclaredJob, cursor: Cursor) -> str:
    return _sent(endpoint, job, endpoint.request(job, cursor), cursor)


def _result(endpoint: Any, job: DeclaredJob, status: Any) -> str:
    try:
        made = endpoint.result_request(job, status)
    except ConfigurationError as error:
        return f"none, because {error}"
    if isinstance(made, ResultPage):
        return _short(json_text(made.value))
    declared = endpoint.declaration
    if isinstance(declared.result, str):
        return f"{declared.result} in the whole status, which is asked for once more: {_sent(endpoint, job, made)}"
    fetch = declared.then if declared.result is None else declared.result
    return f"{_sent(endpoint, job, made)}; the {'bytes' if fetch.raw else 'JSON'} of its reply"


def _started(endpoint: Any, reply: Reply) -> str:
    try:
        made = endpoint.read_submitted({}, reply)
    except ConfigurationError as error:
        return f"no job without an order: {error}"
    except MalformedReply as error:
        return f"no job: {error.reason}"
    except PollwiseError as error:
        return f"no job: {error}"
    job = made.job if isinstance(made, Submitted) else made
    return " ".join(f"{name}={value}" for name, value in job.keys)


def _sent(endpoint: DeclaredEndpoint[Any], job: DeclaredJob, made: Request, cursor: Cursor = None) -> str:
    """A request as it would be sent."""
    mask = mask_of(made.named_secrets)
    try:
        checked = UrlRules(endpoint).checked(job, made, cursor)
    except UnsafeUrl as error:
        return f"refused, because the URL is at {error.host or 'no host'}, and {error.reason}"
    body = "" if made.body is None else f", with the body {_short(mask.text(made.body.decode()))}"
    return f"{made.method} {mask.text(str(made.url))}{body}{_bare(checked)}"


def _bare(checked: Request) -> str:
    """What is particular about a request to another server."""
    if checked.first_host is None:
        return ""
    kind = kind_of_host(checked.url.raw_host or "")
    if kind is None or kind is AddressKind.PUBLIC or kind is kind_of_host(checked.first_host):
        return ", without credentials, because it is another origin"
    return f", refused unless {checked.first_host} is at a {kind.value} address, too"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
