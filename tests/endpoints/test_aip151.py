"""AIP-151: what an operation means, the HTTP mapping, and the scenarios of google-api-core's own tests.

Sources of the scenarios, of which only the facts are used: tests/unit/test_operation.py and
tests/unit/operations_v1/test_operations_rest_client.py of googleapis/python-api-core.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from pollwise import (
    Abandoned,
    BearerAuth,
    ConfigurationError,
    JobCancelled,
    JobFailed,
    JobWatcher,
    Pacing,
    Phase,
    Progressed,
    Reading,
    Succeeded,
)
from pollwise.endpoints.aip151 import GoogleError, GoogleOperation, GoogleOperationsEndpoint, GoogleOrder, GoogleStatus
from pollwise.endpoints.azure import AzureOperationsEndpoint
from pollwise.endpoints.http_async import HttpAsyncEndpoint
from pollwise.errors import CancelDoubtful, JobNotFound, MalformedReply, RequestRejected, UnknownOutcome
from pollwise.model.submitting import Submitted
from pollwise.testing import Sample, ScriptedTransport, check_endpoint, reply
from raw_server import Line, raw_server
from raw_server import reply as raw

BASE = "https://longrunning.example.com"
ENDPOINT = GoogleOperationsEndpoint(BASE)
NAME = "operations/sample1"
JOB = GoogleOperation(NAME)
EMPTY = {"@type": "type.googleapis.com/google.protobuf.Empty"}


def read(**document: Any) -> Reading[GoogleStatus]:
    return ENDPOINT.read_for(JOB, reply({"name": NAME, **document}))


# --- what an operation means ------------------------------------------------------------------


@pytest.mark.parametrize("done", [{}, {"done": False}, {"done": None}])
def test_an_operation_that_is_not_done_runs(done: dict[str, Any]) -> None:
    """operations.proto: while `done` is false, it is in progress. JSON leaves out what is false."""
    assert read(**done).phase is Phase.RUNNING
    assert read(**done, response={"a": 1}).phase is Phase.RUNNING


@pytest.mark.parametrize("response", [{}, EMPTY, {"@type": "type.googleapis.com/Book", "title": "x"}])
def test_a_response_is_a_success(response: Any) -> None:
    """Also an empty one, which stands for `google.protobuf.Empty`."""
    reading = read(done=True, response=response)
    assert (reading.phase, reading.final, reading.status.response) == (Phase.SUCCEEDED, True, response)


@pytest.mark.parametrize(
    ("error", "phase", "reason"),
    [
        ({"code": 1, "message": "cancelled"}, Phase.CANCELLED, "CANCELLED: cancelled"),
        ({"code": "1"}, Phase.CANCELLED, "CANCELLED"),
        ({"code": 5, "message": "meep"}, Phase.FAILED, "NOT_FOUND: meep"),
        ({"message": "meep"}, Phase.FAILED, "code 0: meep"),
        ({}, Phase.FAILED, "code 0"),
        ({"code": 411}, Phase.FAILED, "code 411"),
        ({"code": "CANCELLED"}, Phase.FAILED, "code None"),
        ({"code": -1, "message": ["x"]}, Phase.FAILED, "code -1"),
    ],
)
def test_an_error_is_a_failure_or_a_cancellation(error: Any, phase: Phase, reason: str) -> None:
    """operations.proto: a cancelled operation has an error with the code 1."""
    reading = read(done=True, error=error)
    assert (reading.phase, reading.final, reading.reason) == (phase, True, reason)


def test_the_details_of_an_error_are_kept() -> None:
    """They are JSON with `@type`."""
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "NO_ROOM"}]
    reading = read(done=True, error={"code": 8, "message": "m", "details": details})
    assert reading.status.error == GoogleError(code=8, message="m", details=details)


@pytest.mark.parametrize("more", [{}, {"response": None}, {"error": None}])
def test_done_with_neither_is_an_end_of_unknown_kind(more: dict[str, Any]) -> None:
    """As for google-api-core, it is no success."""
    reading = read(done=True, **more)
    assert (reading.phase, reading.final, reading.unknown) == (
        Phase.RUNNING,
        True,
        "done=true without error and response",
    )


@pytest.mark.parametrize(
    "document",
    [
        {"done": "true"},
        {"done": 1},
        {"done": True, "error": "no"},
        {"done": True, "error": []},
        {"done": True, "response": "yes"},
        {"done": True, "response": []},
        {"done": True, "response": {}, "error": {}},
        {"name": "operations/sample2"},
        {"name": "operations/sample2", "done": True, "response": {}},
        {"name": "OPERATIONS/sample1"},
        {"name": 7},
        {"name": ["operations/sample1"]},
    ],
)
def test_what_decides_is_read_strictly(document: dict[str, Any]) -> None:
    """And a reply about another name is malformed."""
    with pytest.raises(MalformedReply):
        read(**document)


@pytest.mark.parametrize(
    ("metadata", "fraction"),
    [
        ({"progressPercent": 40}, 0.4),
        ({"progressPercent": "40"}, 0.4),
        ({"progress": {"progressPercent": 12.5}}, 0.125),
        ({"progressPercent": 101}, None),
        ({"progressPercent": -1}, None),
        ({"progressPercent": "much"}, None),
        ({"progress": 40}, None),
        ([], None),
        (None, None),
    ],
)
def test_progress_is_read_where_it_is(metadata: Any, fraction: float | None) -> None:
    """An int64 of protobuf is a text in JSON. What is no percentage hides nothing."""
    reading = read(metadata=metadata)
    assert (reading.fraction, reading.status.metadata) == (fraction, metadata)


def test_it_is_a_sound_endpoint() -> None:
    """Whatever a server sends becomes a reading or MalformedReply."""
    check_endpoint(
        ENDPOINT,
        [
            Sample(job=JOB, reply={"name": NAME, "metadata": {"progressPercent": 3}}, phase=Phase.RUNNING),
            Sample(job=JOB, reply={"name": NAME, "done": True, "response": {"a": [1]}}, phase=Phase.SUCCEEDED),
            Sample(job=JOB, reply={"name": NAME, "done": True, "error": {"code": 5}}, phase=Phase.FAILED),
        ],
    )


def test_jobs_and_statuses_are_kept_whole() -> None:
    """A ledger gives equal ones back."""
    codec = ENDPOINT.codec
    assert codec.job_from_keys(codec.job_to_keys(JOB)) == JOB
    for reading in (read(metadata={"a": [1]}), read(done=True, response={}), read(done=True, error={"code": 5})):
        data = orjson.loads(orjson.dumps(codec.status_to_json(reading.status)))
        assert codec.status_from_json(data) == reading.status


def test_the_words_of_a_refusal() -> None:
    """AIP-193."""
    problem = ENDPOINT.problem(reply({"error": {"code": 404, "message": "Gone.", "status": "NOT_FOUND"}}, status=404))
    assert problem is not None
    assert (problem.codes, problem.descriptions) == (("NOT_FOUND",), ("Gone.",))
    assert ENDPOINT.problem(reply({"error": "x"}, status=404)) is None


# --- the HTTP mapping -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "name", "path"),
    [
        ({}, NAME, "/v1/operations/sample1"),
        ({"version": "v3"}, NAME, "/v3/operations/sample1"),
        ({"version": "v1/operations"}, "7", "/v1/operations/7"),
        ({}, "projects/p/locations/l/operations/7", "/v1/projects/p/locations/l/operations/7"),
        ({}, "operations/a b:c?d#e", "/v1/operations/a%20b%3Ac%3Fd%23e"),
    ],
)
def test_get_cancel_and_delete(options: dict[str, Any], name: str, path: str) -> None:
    """operations.proto: GET and DELETE of the name, and POST of `:cancel` with a body."""
    endpoint, job = GoogleOperationsEndpoint(BASE, **options), GoogleOperation(name)
    get, cancel, delete = endpoint.request(job), endpoint.cancel_request(job, None), endpoint.delete_request(job)
    assert (get.method, str(get.url), get.body) == ("GET", f"{BASE}{path}", None)
    assert (cancel.method, str(cancel.url), cancel.body) == ("POST", f"{BASE}{path}:cancel", b"{}")
    assert (delete.method, str(delete.url), delete.body) == ("DELETE", f"{BASE}{path}", None)


@pytest.mark.parametrize(
    "name", ["", "/operations/7", "operations/", "operations/../secrets", "a/./b", "a\n/b", None, 7]
)
def test_a_name_that_leads_elsewhere_is_refused(name: Any) -> None:
    """Where the operation is made."""
    with pytest.raises(ConfigurationError, match="name"):
        GoogleOperation(name)


@pytest.mark.parametrize("version", ["", "/v1", "..", "v1/../v2", None])
def test_a_version_that_leads_elsewhere_is_refused(version: Any) -> None:
    """As for names."""
    with pytest.raises(ConfigurationError, match="version"):
        GoogleOperationsEndpoint(BASE, version=version)


def test_the_key_goes_where_the_api_takes_it() -> None:
    """AIP-155: `request_id` is in the query, or in the body of a method whose body is the whole message."""

    def sent(path: str = "/v1/books", json: Any = None, **options: Any) -> tuple[str, Any]:
        request = ENDPOINT.submit_request(GoogleOrder("POST", path, json, **options), "key 1")
        return str(request.url).removeprefix(BASE), request.body and orjson.loads(request.body)

    assert sent(json={"title": "x"}) == ("/v1/books", {"title": "x"})
    assert sent(request_id="query") == ("/v1/books?requestId=key%201", None)
    assert sent("/v1/books?a=b", request_id="query") == ("/v1/books?a=b&requestId=key%201", None)
    assert sent(json={"title": "x"}, request_id="body") == ("/v1/books", {"title": "x", "requestId": "key 1"})
    assert sent(request_id="body") == ("/v1/books", {"requestId": "key 1"})
    with pytest.raises(ConfigurationError, match="json must be an object"):
        sent(json=[1], request_id="body")
    with pytest.raises(ConfigurationError, match="request_id must be 'query', 'body' or None"):
        sent(request_id="header")


def test_the_reply_to_an_order_is_the_operation() -> None:
    """One without a valid name is malformed. An operation that is done already has its end."""
    order = GoogleOrder("POST", "/v1/books")
    assert ENDPOINT.read_submitted(order, reply({"name": NAME, "metadata": {}})) == JOB
    made = ENDPOINT.read_submitted(order, reply({"name": NAME, "done": True, "response": {}}))
    assert isinstance(made, Submitted)
    assert made.reading is not None
    assert (made.job, made.reading.phase) == (JOB, Phase.SUCCEEDED)
    for document in ({}, [], {"done": True}, {"name": ""}, {"name": 7}, {"name": "../x"}):
        with pytest.raises(MalformedReply):
            ENDPOINT.read_submitted(order, reply(document))


# --- google-api-core's scenarios, with a watcher ----------------------------------------------


def _watcher(script: Any, **options: Any) -> tuple[JobWatcher[Any, Any], ScriptedTransport]:
    transport = ScriptedTransport(script)
    return JobWatcher(ENDPOINT, timeout_s=3600.0, pacing=Pacing.fixed(5.0), transport=transport, **options), transport


@pytest.mark.looptime
async def test_result() -> None:
    """Running, then done with a response: that is the result, and `@type` stays."""
    response = {"@type": "type.googleapis.com/google.protobuf.Struct", "value": {"a": 1}}
    watcher, transport = _watcher([{"name": NAME}, {"name": NAME, "done": True, "response": response}])
    async with watcher:
        assert await watcher.watch(JOB).result() == response
    assert len(transport.requests) == 2


@pytest.mark.looptime
async def test_a_long_result_is_whole() -> None:
    """A status is cut to limits. The operation is asked for once more, and read within those of results."""
    response = {"rows": list(range(5_000))}
    watcher, transport = _watcher([{"name": NAME, "done": True, "response": response}])
    async with watcher:
        watch = watcher.watch(JOB)
        assert await watch.result() == response
        assert len((await watch).response["rows"]) < 5_000
    assert len(transport.requests) == 2


def test_a_result_that_has_gone_is_malformed() -> None:
    """The operation is asked for once more, and has no response then."""
    with pytest.raises(MalformedReply, match="field response: it is missing"):
        ENDPOINT.read_result(reply({"name": NAME, "done": True}))


@pytest.mark.parametrize("make", [GoogleOperationsEndpoint, HttpAsyncEndpoint, AzureOperationsEndpoint])
def test_the_text_of_a_preset_has_no_credential(make: Any) -> None:
    """It names the API."""
    endpoint = make(f"{BASE}/tenant", auth=BearerAuth("s3cr3t-s3cr3t"), account="acme")
    assert repr(endpoint) == f"{make.__name__}('{BASE}/tenant')"
    assert endpoint.account == "acme"


@pytest.mark.looptime
async def test_metadata() -> None:
    """It is in each event's status."""
    metadata = {"@type": "type.googleapis.com/google.protobuf.Struct", "value": {}}
    watcher, _ = _watcher([{"name": NAME, "metadata": metadata}, {"name": NAME, "done": True, "response": {}}])
    async with watcher:
        events = [event async for event in watcher.watch(JOB)]
    assert events[0].status.metadata == metadata
    assert isinstance(events[-1], Succeeded)


@pytest.mark.looptime
async def test_cancellation() -> None:
    """The request is accepted with an empty body. The operation then says that it was cancelled."""
    script = [{"name": NAME}, reply(status=200), {"name": NAME, "done": True, "error": {"code": 1}}]
    watcher, transport = _watcher(script)
    async with watcher:
        watch = watcher.watch(JOB)
        await anext(aiter(watch))
        assert await watch.cancel() is True
        with pytest.raises(JobCancelled):
            await watch
        assert await watch.cancel() is False
    assert [(request.method, request.url.path) for _, request in transport.requests] == [
        ("GET", "/v1/operations/sample1"),
        ("POST", "/v1/operations/sample1:cancel"),
        ("GET", "/v1/operations/sample1"),
    ]


@pytest.mark.looptime
async def test_a_lost_cancel_request_is_told() -> None:
    """POST is not idempotent by HTTP's rules, so it is not sent again."""
    watcher, _ = _watcher(lambda request: {"name": NAME} if request.method == "GET" else 500)
    async with watcher:
        with pytest.raises(CancelDoubtful):
            await watcher.watch(JOB).cancel()


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("error", "words"), [({"message": "meep"}, "meep"), ({"message": "meep", "code": 5}, "NOT_FOUND: meep")]
)
async def test_exception(error: Any, words: str) -> None:
    """An error is raised with the words of the API."""
    watcher, _ = _watcher([{"name": NAME}, {"name": NAME, "done": True, "error": error}])
    async with watcher:
        with pytest.raises(JobFailed, match=words):
            await watcher.watch(JOB)


@pytest.mark.looptime
async def test_unexpected_result() -> None:
    """Done with neither error nor response."""
    watcher, _ = _watcher([{"name": NAME}, {"name": NAME, "done": True}])
    async with watcher:
        with pytest.raises(UnknownOutcome):
            await watcher.watch(JOB)


@pytest.mark.looptime
async def test_get_that_fails() -> None:
    """A 400 ends the watch, a 404 may be an operation that is not visible yet, and a 410 is none any more."""
    refused = {"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}}
    for script, error in (([reply(refused, status=400)], RequestRejected), ([410], JobNotFound)):
        watcher, _ = _watcher(script)
        async with watcher:
            outcome = (await watcher.gather([JOB]))[0]
        assert isinstance(outcome, Abandoned)
        assert isinstance(outcome.error, error)
    watcher, _ = _watcher([404, {"name": NAME, "done": True, "response": {}}])
    async with watcher:
        assert (await watcher.watch(JOB)).done


@pytest.mark.looptime
async def test_a_whole_operation_on_a_socket() -> None:
    """Started, watched with its progress, and its result."""
    answers = [
        raw(b'{"name": "operations/7", "metadata": {"progressPercent": 50}}'),
        raw(b'{"name": "operations/7", "done": true, "response": {"@type": "type.googleapis.com/Book", "title": "x"}}'),
    ]

    def answer(line: Line) -> None:
        line.say(answers.pop(0))

    async with raw_server(answer) as server:
        endpoint = GoogleOperationsEndpoint(server.url)
        async with JobWatcher(endpoint, timeout_s=60.0, pacing=Pacing.fixed(5.0)) as watcher:
            watch = watcher.watch(GoogleOperation("operations/7"))
            first = await anext(aiter(watch))
            assert isinstance(first, Progressed)
            assert first.fraction == 0.5
            assert (await watch.result())["title"] == "x"
    assert [request.split(b" ")[1] for request in server.requests] == [b"/v1/operations/7"] * 2
