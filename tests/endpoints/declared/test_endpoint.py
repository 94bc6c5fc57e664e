"""Endpoints that are made from declarations, on a real socket."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import attrs
import pytest

from pollwise import (
    Abandoned,
    BearerAuth,
    Cancelled,
    Failed,
    JobWatcher,
    Pacing,
    Phase,
    Progressed,
    Reply,
    SqliteLedger,
    Succeeded,
)
from pollwise.endpoints.declared import Declaration, DeclaredEndpoint, Progress, Wait
from pollwise.errors import ConfigurationError, JobNotFound, MalformedReply, RateLimited, UnknownOutcome
from pollwise.testing import reply
from raw_server import Line, raw_server
from raw_server import reply as raw

pytestmark = pytest.mark.looptime

EXPORTS = Declaration(
    name="exports",
    base="https://api.example.com",
    job={"id": "int", "region": "str"},
    poll="GET /{region}/exports/{id}",
    state="state",
    queued=["waiting"],
    running=["working"],
    succeeded=["done"],
    failed=["error"],
    cancelled=["stopped"],
    http={"succeeded": [404]},
    progress=Progress(done="percent", of=100),
    reason="why.text",
    code="why.code",
    codes={"failed": ["GONE"]},
    limited="throttled",
    after=Wait(s="wait"),
)


def endpoint(**changes: Any) -> DeclaredEndpoint[Any]:
    return DeclaredEndpoint(attrs.evolve(EXPORTS, **changes))


async def events_of(*replies: bytes, declared: Declaration = EXPORTS, **options: Any) -> tuple[list[Any], list[bytes]]:
    """The events of one watch of a server with these replies, and the requests."""
    left = list(replies)

    def answer(line: Line) -> None:
        line.say(left.pop(0) if len(left) > 1 else left[0])

    async with raw_server(answer) as server:
        made: DeclaredEndpoint[Any] = DeclaredEndpoint(declared, base_url=server.url, **options)
        async with JobWatcher(made, timeout_s=600.0, pacing=Pacing.fixed(1.0)) as watcher:
            events = [event async for event in watcher.watch(made.job(id=7, region="eu west"))]
        return events, server.requests


WORKING = raw(b'{"state": "working", "percent": 25}')
DONE = raw(b'{"state": "DONE", "rows": 9}')


async def test_a_declared_endpoint_awaits_a_job() -> None:
    """The status is the JSON of the reply, with typed events on the way."""
    events, requests = await events_of(raw(b'{"state": "waiting"}'), WORKING, WORKING, DONE)
    assert [type(event) for event in events] == [Progressed, Progressed, Succeeded]
    assert (events[1].fraction, events[-1].status) == (0.25, {"state": "DONE", "rows": 9})
    assert requests[0].startswith(b"GET /eu%20west/exports/7 HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("last", "outcome", "reason"),
    [
        (raw(b'{"state": "error", "why": {"text": "no disk"}}'), Failed, "no disk"),
        (raw(b'{"state": "stopped"}'), Cancelled, None),
        (raw(b"", status="404 Not Found"), Succeeded, None),
        (raw(b'{"why": {"code": "gone"}}', status="400 Bad Request"), Failed, None),
    ],
)
async def test_a_job_ends_as_the_rules_say(last: bytes, outcome: type, reason: str | None) -> None:
    """By words, by status codes, and by error codes in refusals."""
    events, _ = await events_of(WORKING, last)
    assert type(events[-1]) is outcome
    assert reason is None or reason in str(events[-1].error)


async def test_a_code_in_no_list_leaves_a_refusal_as_it_is() -> None:
    """The vendor's code and words are in the error."""
    events, _ = await events_of(raw(b'{"why": {"code": "BAD", "text": "wrong region"}}', status="410 Gone"))
    assert isinstance(events[-1], Abandoned)
    assert isinstance(events[-1].error, JobNotFound)
    assert events[-1].error.problem is not None
    assert events[-1].error.problem.codes == ("BAD",)


def test_an_empty_reply_does_not_run_for_ever() -> None:
    """What no rule matches is malformed, and says so."""
    for body in ({}, {"state": None}, [], "text", None):
        with pytest.raises(MalformedReply, match="no rule of the declaration matches it"):
            endpoint().read(reply(body))
    with pytest.raises(MalformedReply, match="it has no id"):
        endpoint(expects="id").read(reply({"state": "working"}))


def test_a_throttle_inside_a_200_is_one() -> None:
    """With the wait of the body, in seconds."""
    with pytest.raises(RateLimited) as caught:
        endpoint().read(reply({"throttled": True, "wait": 7}))
    assert caught.value.retry_after_s == 7.0


def test_a_wait_in_the_body_reaches_the_reading() -> None:
    """While the job goes on."""
    assert endpoint().read(reply({"state": "working", "wait": 7})).poll_after_s == 7.0
    assert endpoint().read(reply({"state": "done", "wait": 7})).poll_after_s is None


async def test_a_job_may_wait_for_input() -> None:
    """It is not over, and its phase says so."""
    declared = attrs.evolve(EXPORTS, waiting_for_input=["asked"])
    events, _ = await events_of(raw(b'{"state": "asked"}'), DONE, declared=declared)
    assert isinstance(events[0], Progressed)
    assert (events[0].phase, len(events)) == (Phase.WAITING_FOR_INPUT, 2)


async def test_an_end_of_unknown_kind_is_told() -> None:
    """The watch ends with `UnknownOutcome`, which has the vendor's word."""
    declared = attrs.evolve(EXPORTS, over_when="finished")
    events, _ = await events_of(WORKING, raw(b'{"state": "weird", "finished": true}'), declared=declared)
    assert isinstance(events[-1], Abandoned)
    assert isinstance(events[-1].error, UnknownOutcome)
    assert "state=weird" in str(events[-1].error)


@attrs.frozen
class Status:
    state: str
    rows: int = 0


async def test_a_status_may_be_the_callers_class() -> None:
    """Fields with defaults may be missing. A reply that does not fit is malformed, and names the field."""
    events, _ = await events_of(WORKING, DONE, status=Status)
    assert events[-1].status == Status("DONE", 9)
    made = DeclaredEndpoint(EXPORTS, status=Status)
    with pytest.raises(MalformedReply, match="rows"):
        made.read(reply({"state": "done", "rows": "nine"}))


async def test_a_ledger_and_a_token_keep_a_declared_job(tmp_path: Path) -> None:
    """An int key comes back as an int, and the status as it was, without a line more."""
    left = [WORKING, DONE, DONE]
    async with raw_server(lambda line: line.say(left.pop(0))) as server:
        made: DeclaredEndpoint[Any] = DeclaredEndpoint(EXPORTS, base_url=server.url)
        job = made.job(id=7, region="eu")
        async with SqliteLedger(tmp_path / "l") as ledger:
            async with JobWatcher(made, timeout_s=600.0, pacing=Pacing.fixed(30.0), ledger=ledger) as watcher:
                watch = await watcher.record(job)
                async for event in watch:
                    assert isinstance(event, Progressed)
                    break
                token = watch.resume_token
            async with JobWatcher(made, timeout_s=600.0, ledger=ledger) as watcher:
                (watch,) = await watcher.resume()
                assert (watch.job, await watch) == (job, {"state": "DONE", "rows": 9})
        async with JobWatcher(made, timeout_s=600.0) as watcher:
            watch = watcher.watch_from_token(token)
            assert (watch.job, await watch) == (job, {"state": "DONE", "rows": 9})


@pytest.mark.parametrize(
    ("auth", "field"),
    [
        ({"bearer": "POLLWISE_T"}, ("Authorization", "Bearer abc-123")),
        (
            {"basic": ["POLLWISE_T", "POLLWISE_T"]},
            ("Authorization", "Basic " + base64.b64encode(b"abc-123:abc-123").decode()),
        ),
        ({"key": "POLLWISE_T", "header": "X-Key"}, ("X-Key", "abc-123")),
    ],
)
def test_credentials_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, auth: dict[str, Any], field: tuple[str, str]
) -> None:
    """A declaration names the variables, and holds no secret."""
    monkeypatch.delenv("POLLWISE_T", raising=False)
    with pytest.raises(ConfigurationError, match="set the environment variable POLLWISE_T"):
        endpoint(auth=auth)
    assert DeclaredEndpoint(attrs.evolve(EXPORTS, auth=auth), auth=BearerAuth("other")).auth is not None
    monkeypatch.setenv("POLLWISE_T", "abc-123")
    made = endpoint(auth=auth)
    assert made.auth is not None
    assert dict(made.auth.headers(0.0) or {}) == dict([field])
    assert "abc-123" not in repr(made)


def test_a_status_reads_the_same_for_the_same_reply() -> None:
    """Only the status code and the body count, so an equal reply is not read again."""
    made = endpoint()
    assert made.heeded_headers == ()
    body: dict[str, Any] = {"state": "working"}
    assert made.read(reply(body)) == made.read(Reply(200, {"X-Other": "1"}, reply(body).body))
