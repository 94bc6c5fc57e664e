"""Starting an extraction: one request, unless it did nothing, and an error that says what may have happened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pytest

from pollwise import ConfigurationError, DeadlineExceeded, JobWatcher, Reply, Request
from pollwise.endpoints.oracle_content import DuplicateResolution, ExtractionEndpoint, ExtractionJob, ExtractionOrder
from pollwise.errors import (
    AuthenticationError,
    ConnectFailed,
    JobNotFound,
    MalformedReply,
    PermissionDenied,
    PollTimeout,
    RequestRejected,
    ServerUnavailable,
    SubmitDoubtful,
)
from pollwise.model.protocols import Auth, Transport

pytestmark = pytest.mark.looptime

JSON_TYPE = {"Content-Type": "application/json"}
STARTED = {
    "Location": "https://example.com/documents/api/1.2/files/F/_extract/ZX-1",
    "destinationID": "D",
    "errorCode": "0",
    "id": "F",
    "jobId": "ZX-1",
    "type": "file",
}


class Wire(Transport):
    """Answers every start alike, and keeps what was sent. Polls stay without an answer."""

    def __init__(self, answer: object = STARTED, status: int = 200, headers: Mapping[str, str] = JSON_TYPE) -> None:
        self.answer = answer
        self.status = status
        self.headers = headers
        self.sent: list[Request] = []
        self.asked = asyncio.Event()

    async def send(self, request: Request, /) -> Reply:
        if request.method == "GET":
            await asyncio.Event().wait()
        self.sent.append(request)
        self.asked.set()
        if isinstance(self.answer, BaseException):
            raise self.answer
        if self.answer is None:
            await asyncio.Event().wait()
        body = self.answer if isinstance(self.answer, bytes) else orjson.dumps(self.answer)
        return Reply(self.status, self.headers, body, request)


class Credential(Auth):
    """Has a token once it was renewed `needed` times; counts."""

    def __init__(self, *, needed: int = 0, answer: Callable[[], object] = lambda: None) -> None:
        self.needed = needed
        self.renewals: list[Mapping[str, str] | None] = []
        self.answer = answer

    def headers(self, now: float, /) -> Mapping[str, str] | None:
        return {"Authorization": "Bearer s3cr3t"} if len(self.renewals) >= self.needed else None

    async def renew(self, via: Transport, now: float, stale: Mapping[str, str] | None, /) -> None:
        self.renewals.append(stale)
        outcome = self.answer()
        if isinstance(outcome, BaseException):
            raise outcome


async def start(
    wire: Wire, order: ExtractionOrder | None = None, *, auth: Auth | None = None, timeout_s: float = 30.0
) -> ExtractionJob:
    """Start it with a watcher, and leave that at once."""
    endpoint = ExtractionEndpoint("https://example.com", auth=auth)
    async with JobWatcher(endpoint, timeout_s=3600, transport=wire) as watcher:
        return (await watcher.submit(order or ExtractionOrder("F"), timeout_s=timeout_s)).job


def notes(error: BaseException) -> str:
    return " ".join(getattr(error, "__notes__", []))


async def test_a_start_is_the_documented_request_and_gives_the_job() -> None:
    """A POST with the default resolution, and the job that the answer names."""
    wire = Wire()
    assert await start(wire) == ExtractionJob("F", "ZX-1")
    (request,) = wire.sent
    assert request.method == "POST"
    assert str(request.url) == "https://example.com/documents/api/1.2/files/F/_extract"
    assert request.body == b'{"duplicateResolution":"ResolveDuplicates"}'
    assert dict(request.headers) == {"Accept": "application/json", "Content-Type": "application/json"}
    assert not request.is_idempotent


async def test_a_start_can_name_a_folder_and_a_resolution() -> None:
    """Both go into the body; an ID is quoted in the path alone."""
    wire = Wire({**STARTED, "id": "a/b"})
    job = await start(wire, ExtractionOrder("a/b", "d/é", DuplicateResolution.SKIP))
    assert job == ExtractionJob("a/b", "ZX-1")
    (request,) = wire.sent
    assert request.url.raw_path == "/documents/api/1.2/files/a%2Fb/_extract"
    assert orjson.loads(request.body or b"") == {"duplicateResolution": "SkipDuplicates", "destinationID": "d/é"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"file_id": ".."},
        {"file_id": ""},
        {"destination_id": ""},
        {"destination_id": "a\nb"},
        {"destination_id": "\ud800"},
        {"duplicate_resolution": "Overwrite"},
    ],
)
def test_a_wrong_order_is_refused_when_it_is_made(wrong: dict[str, Any]) -> None:
    """So nothing is sent."""
    with pytest.raises(ConfigurationError):
        ExtractionOrder(**{"file_id": "F", **wrong})


async def test_the_credentials_are_put_on() -> None:
    """And are not renewed while there are some."""
    wire, credential = Wire(), Credential()
    await start(wire, auth=credential)
    assert wire.sent[0].headers["Authorization"] == "Bearer s3cr3t"
    assert "s3cr3t" not in repr(wire.sent)
    assert credential.renewals == []


async def test_the_credentials_are_had_first_where_there_are_none() -> None:
    """Renewed once, before the request, with nothing stale to replace."""
    wire, credential = Wire(), Credential(needed=1)
    await start(wire, auth=credential)
    assert wire.sent[0].headers["Authorization"] == "Bearer s3cr3t"
    assert credential.renewals == [None]


async def test_no_credentials_to_be_had_is_an_authentication_error() -> None:
    """Nothing is sent without them."""
    wire, credential = Wire(), Credential(needed=9)
    with pytest.raises(AuthenticationError) as caught:
        await start(wire, auth=credential)
    assert wire.sent == []
    assert "No job was started" in notes(caught.value)


async def test_a_renewal_that_fails_started_nothing() -> None:
    """It is tried again until the time is over, and the error has no warning that a job may be running."""
    wire, credential = Wire(), Credential(needed=99, answer=lambda: ConnectFailed("refused"))
    with pytest.raises(DeadlineExceeded) as caught:
        await start(wire, auth=credential)
    assert isinstance(caught.value.last_error, ConnectFailed)
    assert wire.sent == []
    assert "No job was started" in notes(caught.value)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (308, RequestRejected),
        (400, RequestRejected),
        (403, PermissionDenied),
        (404, JobNotFound),
        (410, JobNotFound),
    ],
)
async def test_a_refusal_is_a_typed_error_and_is_not_sent_again(status: int, kind: type[Any]) -> None:
    """The vendor's codes are kept."""
    wire = Wire({"errorCode": "-7", "errorMessage": "no"}, status)
    with pytest.raises(kind) as caught:
        await start(wire, auth=Credential())
    assert type(caught.value) is kind
    assert caught.value.problem.codes == ("-7",)
    assert len(wire.sent) == 1
    assert "may be running" not in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("status", [408, 500, 503])
async def test_a_fault_of_the_server_leaves_it_open(status: int) -> None:
    """The job may run all the same, and the error says so. The request is not sent again."""
    wire = Wire({"errorCode": "-7", "errorMessage": "no"}, status)
    with pytest.raises(SubmitDoubtful, match="may be running") as caught:
        await start(wire, auth=Credential())
    cause = caught.value.__cause__
    assert isinstance(cause, ServerUnavailable)
    assert cause.problem is not None
    assert cause.problem.codes == ("-7",)
    assert len(wire.sent) == 1
    assert "s3cr3t" not in str(caught.value)


async def test_refused_credentials_are_renewed_once() -> None:
    """The server has done nothing. The second refusal is the error."""
    wire, credential = Wire({"errorCode": "-7"}, 401), Credential()
    with pytest.raises(AuthenticationError) as caught:
        await start(wire, auth=credential)
    assert caught.value.problem is not None
    assert (len(wire.sent), len(credential.renewals)) == (2, 1)


async def test_a_throttled_start_waits_for_its_turn() -> None:
    """The server has done nothing, so it is asked again until the time is over."""
    wire = Wire({}, 429)
    with pytest.raises(DeadlineExceeded, match="rate limit"):
        await start(wire)
    assert len(wire.sent) > 1


@pytest.mark.parametrize("status", [0, 99, 101, 304])
async def test_a_code_that_is_no_refusal_leaves_it_open(status: int) -> None:
    """The server may have accepted the start, so the error says that the job may be running."""
    with pytest.raises(SubmitDoubtful, match="may be running"):
        await start(Wire(STARTED, status))


async def test_an_error_code_in_a_good_reply_is_a_refusal() -> None:
    """The status code says 200 and the body says no."""
    with pytest.raises(RequestRejected) as caught:
        await start(Wire({"errorCode": "-96", "errorMessage": "no"}))
    assert caught.value.problem is not None
    assert caught.value.problem.codes == ("-96",)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"<html>", "broken JSON"),
        ([], "expected an object"),
        ({}, "field jobId: expected an ID, got null"),
        ({**STARTED, "jobId": ""}, "field jobId: expected an ID, got ''"),
        ({**STARTED, "jobId": ".."}, "field jobId: expected an ID, got '..'"),
        ({**STARTED, "jobId": []}, "field jobId: expected an ID, got null"),
        ({**STARTED, "jobId": 1e30}, "field jobId: expected an ID, got null"),
        ({**STARTED, "id": "G"}, "field id: the reply is about another file, 'G'"),
    ],
)
async def test_a_good_reply_without_a_job_is_malformed_and_leaves_it_open(answer: object, why: str) -> None:
    """It was accepted, it seems: the job may run, and its ID is lost."""
    wire = Wire(answer)
    with pytest.raises(SubmitDoubtful, match="may be running") as caught:
        await start(wire)
    assert isinstance(caught.value.__cause__, MalformedReply)
    assert caught.value.__cause__.reason.startswith(why)
    assert len(wire.sent) == 1


@pytest.mark.parametrize(
    "odd",
    [
        {"id": "f"},
        {"id": None},
        {"id": 5},
        {"errorCode": None},
        {"errorCode": ""},
        {"errorCode": "none"},
        {"errorCode": 0.0},
        {"jobId": "ZX-1", "type": 7, "destinationID": []},
    ],
)
async def test_an_odd_field_does_not_lose_the_job(odd: dict[str, object]) -> None:
    """`jobId` decides: a job that was started can be watched."""
    wire = Wire({**STARTED, **odd})
    assert await start(wire) == ExtractionJob("F", "ZX-1")
    assert len(wire.sent) == 1


async def test_a_job_id_may_be_a_number() -> None:
    """It is a text in the path all the same."""
    assert await start(Wire({**STARTED, "jobId": 5})) == ExtractionJob("F", "5")


@pytest.mark.parametrize("code", ["-96", -96, -96.0, "OCE-1234"])
async def test_an_error_code_without_a_job_is_a_refusal(code: object) -> None:
    """A number is one beside a job ID, too."""
    for more in ({}, {"jobId": "ZX-1"}) if code != "OCE-1234" else ({},):
        with pytest.raises(RequestRejected):
            await start(Wire({"errorCode": code, **more}))


@pytest.mark.parametrize("kind", ["text/html", "text/json"])
async def test_a_start_is_read_whatever_its_content_type(kind: str) -> None:
    """A gateway's media type does not lose the job."""
    assert await start(Wire(STARTED, headers={"Content-Type": kind})) == ExtractionJob("F", "ZX-1")


async def test_a_page_of_a_proxy_is_no_start() -> None:
    """It is called what it is, and leaves it open whether the job runs."""
    with pytest.raises(SubmitDoubtful, match="expected JSON, got text/html"):
        await start(Wire(b"<html>", headers={"Content-Type": "text/html"}))


@pytest.mark.parametrize("lost", [ConnectFailed("reset"), PollTimeout(5.0)])
async def test_a_lost_reply_is_not_asked_for_again(lost: Exception) -> None:
    """The error says that the job may be running and what to do."""
    wire = Wire(lost)
    with pytest.raises(SubmitDoubtful, match=r"may be running.*DuplicateResolution\.SKIP") as caught:
        await start(wire)
    assert type(caught.value.__cause__) is type(lost)
    assert len(wire.sent) == 1


async def test_a_reply_that_never_comes_is_given_up_in_time() -> None:
    """After `timeout_s`, credentials included; sent once."""
    wire = Wire(None)
    began = asyncio.get_running_loop().time()
    with pytest.raises(SubmitDoubtful, match="may be running"):
        await start(wire, timeout_s=12.5)
    assert asyncio.get_running_loop().time() - began == pytest.approx(12.5)
    assert len(wire.sent) == 1


async def test_a_renewal_that_never_ends_is_given_up_in_time() -> None:
    """And nothing was sent, so nothing can be running."""

    class Stuck(Credential):
        async def renew(self, via: Transport, now: float, stale: Mapping[str, str] | None, /) -> None:
            await asyncio.Event().wait()

    wire = Wire()
    with pytest.raises(DeadlineExceeded) as caught:
        await start(wire, auth=Stuck(needed=1))
    assert wire.sent == []
    assert "No job was started" in notes(caught.value)


async def test_a_cancelled_start_is_cancelled() -> None:
    """It is neither swallowed nor turned into anything else."""
    wire = Wire(None)
    task = asyncio.create_task(start(wire))
    await wire.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(wire.sent) == 1
