"""OGC API - Processes: every phase, the standard's own examples, and the whole life of a job on a real socket."""

from __future__ import annotations

from typing import Any

import attrs
import orjson
import pytest

from pollwise import Cancelled, ConfigurationError, JobWatcher, Pacing, Phase, Reply
from pollwise.endpoints.ogc_processes import (
    ProcessesEndpoint,
    ProcessJob,
    ProcessLink,
    ProcessOrder,
    ProcessResults,
    ProcessStatus,
)
from pollwise.errors import JobNotFound, MalformedReply
from pollwise.model.results import ResultPage
from pollwise.model.submitting import Submitted
from pollwise.testing import Sample, check_endpoint
from scripted_server import answer, scripted_server

ENDPOINT = ProcessesEndpoint("https://processing.example.org/oapi-p")
ID = "81574318-1eb1-4d7c-af61-4b3fbcf33c4f"
JOB = ProcessJob(ID)
# core/examples/json/StatusInfo.json and StatusInfo-dismissed.json of the standard, without their links' titles
ACCEPTED: dict[str, Any] = {
    "jobID": ID,
    "status": "accepted",
    "message": "Process started",
    "progress": 0,
    "created": "2021-05-04T10:13:00+05:00",
    "links": [{"href": f"http://processing.example.org/oapi-p/jobs/{ID}", "rel": "self", "type": "application/json"}],
}
DISMISSED: dict[str, Any] = {"jobID": ID, "status": "dismissed", "message": "Job dismissed", "progress": 56}
RUNNING: dict[str, Any] = {**ACCEPTED, "status": "running", "progress": 40}
SUCCESSFUL: dict[str, Any] = {**ACCEPTED, "status": "successful", "progress": 100}
NO_SUCH_JOB = {
    "type": "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/no-such-job",
    "title": "No such job",
    "detail": "The job was removed",
}


def reply(data: Any, status: int = 200, **fields: str) -> Reply:
    body = data if isinstance(data, bytes) else orjson.dumps(data)
    headers = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in fields.items()}}
    return Reply(status, headers, body)


def test_the_endpoint_does_what_each_endpoint_must() -> None:
    """The examples of the standard are read, and whatever stands in their place is no success."""
    check_endpoint(
        ENDPOINT,
        [
            Sample(job=JOB, reply=ACCEPTED, phase=Phase.QUEUED),
            Sample(job=JOB, reply=RUNNING, phase=Phase.RUNNING),
            Sample(job=JOB, reply=SUCCESSFUL, phase=Phase.SUCCEEDED),
            Sample(job=JOB, reply={**ACCEPTED, "status": "failed"}, phase=Phase.FAILED),
            Sample(job=JOB, reply=DISMISSED, phase=Phase.CANCELLED),
        ],
        states=["status"],
    )


def test_a_status_keeps_every_field_of_the_standard() -> None:
    """statusInfo.yaml: the IDs, the message, the times, the progress and the links."""
    reading = ENDPOINT.read_for(JOB, reply(ACCEPTED))
    link = ProcessLink(href=f"http://processing.example.org/oapi-p/jobs/{ID}", rel="self", type="application/json")
    assert reading.status == ProcessStatus(
        status="accepted",
        job_id=ID,
        message="Process started",
        progress=0,
        created="2021-05-04T10:13:00+05:00",
        links=(link,),
    )
    assert (reading.fraction, ENDPOINT.request(JOB).url.path) == (0.0, f"/oapi-p/jobs/{ID}")


@pytest.mark.parametrize(
    ("progress", "fraction"), [(25, 0.25), ("25", 0.25), (101, None), (-1, None), ("half", None), (None, None)]
)
def test_progress_is_a_percentage_or_nothing(progress: object, fraction: float | None) -> None:
    """A progress that cannot be right hides nothing else."""
    reading = ENDPOINT.read(reply({**RUNNING, "progress": progress}))
    assert (reading.phase, reading.fraction) == (Phase.RUNNING, fraction)


def test_a_failure_has_the_servers_words() -> None:
    """`message` is the reason."""
    reading = ENDPOINT.read(reply({**ACCEPTED, "status": "failed", "message": "out of memory"}))
    assert (reading.phase, reading.reason) == (Phase.FAILED, "out of memory")


def test_an_unknown_state_goes_on() -> None:
    """Such a job is running, and its word is told."""
    reading = ENDPOINT.read(reply({**ACCEPTED, "status": "paused"}))
    assert (reading.phase, reading.final, reading.unknown) == (Phase.RUNNING, False, "status=paused")


@pytest.mark.parametrize("name", ["jobID", "id"])
def test_a_reply_about_another_job_is_malformed(name: str) -> None:
    """Versions 1.0 and 2.0 call the ID differently."""
    with pytest.raises(MalformedReply, match="another job"):
        ENDPOINT.read_for(JOB, reply({"status": "successful", name: "other"}))
    assert ENDPOINT.read_for(JOB, reply({"status": "successful", name: ID})).final


def test_a_status_of_version_2_is_read() -> None:
    """Its ID is `id`, and it may have an exception."""
    exception = {"type": "about:blank", "title": "no input"}
    status = ENDPOINT.read_for(JOB, reply({"id": ID, "status": "failed", "exception": exception})).status
    assert (status.id, status.exception) == (ID, exception)


@pytest.mark.parametrize("exception", [{"type": "about:blank", "title": "no input"}, "no input"])
def test_a_success_with_an_exception_has_failed(exception: Any) -> None:
    """A status that contradicts itself is no success."""
    found = ENDPOINT.read_for(JOB, reply({**SUCCESSFUL, "exception": exception}))
    assert found.phase is Phase.FAILED
    assert "no input" in str(found.reason)


@pytest.mark.parametrize("exception", [None, {}, "", []])
def test_a_success_with_an_empty_exception_is_one(exception: Any) -> None:
    """Some servers send all fields."""
    assert ENDPOINT.read_for(JOB, reply({**SUCCESSFUL, "exception": exception})).phase is Phase.SUCCEEDED


def test_a_failure_is_told_in_the_words_of_its_exception() -> None:
    """Version 2.0 has them there. Without them, the message is the reason."""
    failed = {"id": ID, "status": "failed", "exception": {"title": "Bad", "detail": "no input"}}
    assert ENDPOINT.read_for(JOB, reply(failed)).reason == "Bad: no input"
    assert ENDPOINT.read_for(JOB, reply({**failed, "exception": {}, "message": "It failed."})).reason == "It failed."


def test_a_job_that_was_seen_and_is_unknown_then_was_dismissed() -> None:
    """Clause 14: some servers remove the jobs that they dismiss. Further polls confirm it."""
    gone = reply(NO_SUCH_JOB, 404)
    seen = ENDPOINT.read_for(JOB, reply(RUNNING)).cursor
    reading = ENDPOINT.read_for(JOB, gone, seen)
    assert (reading.phase, reading.unconfirmed, reading.status.status) == (Phase.CANCELLED, True, "dismissed")
    assert ENDPOINT.read_for(JOB, gone, reading.cursor) == reading
    with pytest.raises(MalformedReply):  # so it stays a refusal
        ENDPOINT.read_for(JOB, gone)


def test_a_gateways_404_dismisses_no_job() -> None:
    """Only the standard's own exception says that a job is gone."""
    with pytest.raises(MalformedReply):
        ENDPOINT.read_for(JOB, reply(b"<html>404</html>", 404), "seen")


def test_an_exception_is_told_in_the_servers_words() -> None:
    """RFC 7807: type, title and detail. `no-such-job` means that the job is unknown (/req/core/job-exception-no-such-job)."""
    problem = ENDPOINT.problem(reply(NO_SUCH_JOB, 404))
    assert problem is not None
    assert (problem.codes, problem.job_unknown) == ((NO_SUCH_JOB["type"],), True)
    assert problem.descriptions == ("No such job", "The job was removed")
    other = ENDPOINT.problem(reply({"title": "busy"}, 503))
    assert other is not None
    assert not other.job_unknown
    assert ENDPOINT.problem(reply(b"<html>", 503)) is None


# --- execute ----------------------------------------------------------------------------------


def test_an_order_is_executed_asynchronously() -> None:
    """`POST /processes/{id}/execution` with `Prefer: respond-async` and the inputs."""
    order = ProcessOrder(process_id="EchoProcess", inputs={"doubleInput": 3.14159}, response="document")
    request = ENDPOINT.submit_request(order, "key")
    assert (request.method, request.url.path) == ("POST", "/oapi-p/processes/EchoProcess/execution")
    assert request.headers["Prefer"] == "respond-async"
    assert orjson.loads(request.body or b"") == {"inputs": {"doubleInput": 3.14159}, "response": "document"}
    assert not request.is_idempotent


@pytest.mark.parametrize(
    "accepted",
    [
        reply(ACCEPTED, 201, Location="/elsewhere"),
        reply(ACCEPTED),
        reply({"id": ID, "status": "accepted"}, 201),
        reply(b"", 201, Location=f"https://processing.example.org/oapi-p/jobs/{ID}"),
        reply(b"", 201, Location=f"/oapi-p/jobs/{ID}/?f=json"),
        reply(
            {"value": 3}, 200, Link=f'</up>; rel=up, <http://processing.example.org/oapi-p/jobs/{ID}>; rel="monitor"'
        ),
    ],
)
def test_the_job_is_named_by_its_id_or_its_url(accepted: Reply) -> None:
    """By `jobID`, by the Location, or by the `monitor` link of a process that ran at once."""
    assert ENDPOINT.read_submitted(ProcessOrder(process_id="EchoProcess"), accepted) == JOB


@pytest.mark.parametrize(
    "accepted",
    [reply(b"", 201), reply(b"", 201, Location="/.."), reply({"jobID": 7, "status": "accepted"}, 201)],
)
def test_a_created_job_without_a_name_is_malformed(accepted: Reply) -> None:
    """It exists, and nothing says which one it is."""
    with pytest.raises(MalformedReply, match="neither a jobID nor a Location"):
        ENDPOINT.read_submitted(ProcessOrder(process_id="EchoProcess"), accepted)


@pytest.mark.parametrize(("body", "outputs"), [({"value": 3}, {"value": 3}), (b"", {})])
def test_a_process_that_ran_at_once_is_over(body: Any, outputs: Any) -> None:
    """`Prefer` is a wish (RFC 7240, 4.1). The status has the outputs."""
    made = ENDPOINT.read_submitted(ProcessOrder(process_id="EchoProcess"), reply(body))
    assert isinstance(made, Submitted)
    assert made.reading is not None
    assert made.reading.phase is Phase.SUCCEEDED
    page = ENDPOINT.result_request(made.job, made.reading.status)
    assert isinstance(page, ResultPage)
    assert page.value == ENDPOINT.read_result(reply(body))
    assert page.value.outputs == outputs


def test_a_process_that_is_over_in_the_reply_to_its_start_has_its_end() -> None:
    """A job with `successful` need not be polled."""
    over = reply({"jobID": ID, "status": "successful"}, 201)
    made = ENDPOINT.read_submitted(ProcessOrder(process_id="EchoProcess"), over)
    assert isinstance(made, Submitted)
    assert made.reading is not None
    assert (made.job, made.reading.final) == (JOB, True)


def test_a_web_page_executes_no_process() -> None:
    """A proxy or a sign-in answers 200. An output may be a page if raw outputs were asked for."""
    page = Reply(200, {"Content-Type": "text/html"}, b"<!doctype html><html></html>")
    with pytest.raises(MalformedReply, match="web page"):
        ENDPOINT.read_submitted(ProcessOrder(process_id="EchoProcess"), page)
    assert isinstance(ENDPOINT.read_submitted(ProcessOrder(process_id="a", response="raw"), page), Submitted)


def test_an_order_that_is_no_json_is_refused_before_it_is_sent() -> None:
    """The error names the process."""
    with pytest.raises(ConfigurationError, match="EchoProcess"):
        ENDPOINT.submit_request(ProcessOrder(process_id="EchoProcess", inputs={"a": object()}), "key")


# --- results ----------------------------------------------------------------------------------


def test_results_come_by_value_and_by_reference() -> None:
    """7.13, core/examples/json/Result.json: a value, a value with its media type, and a reference."""
    data = {
        "doubleOutput": "3.14159",
        "imageOutput": {"href": "https://www.someserver.com/coverage", "type": "image/tiff; application=geotiff"},
        "featureOutput": {"value": "<a/>", "mediaType": "application/gml+xml"},
    }
    results = ENDPOINT.read_result(reply(data))
    assert results.outputs == data
    assert results.references == {"imageOutput": "https://www.someserver.com/coverage"}


def test_raw_results_come_as_bytes_or_as_links() -> None:
    """One raw output is the body. Raw outputs by reference are `Link` header fields, and the reply has no body."""
    image = ENDPOINT.read_result(attrs.evolve(reply(b"II*\0"), headers={"Content-Type": "image/tiff"}))
    assert image == ProcessResults(outputs={}, body=b"II*\0", media_type="image/tiff")
    linked = ENDPOINT.read_result(
        reply(b"", 204, Link="<https://a.example/1>;rel=one, </2> ; title=x; rel='two three'")
    )
    assert (linked.outputs, linked.links["one"]) == ({}, "https://a.example/1")


def test_a_hostile_link_field_takes_no_time() -> None:
    """Its length is bounded, and the search is linear."""
    hostile = "<a>" + "; rel" * 30_000
    assert ENDPOINT.read_result(reply(b"", 204, Link=hostile)).links == {}


# --- on a real socket -------------------------------------------------------------------------


@pytest.mark.looptime
async def test_a_job_is_awaited_and_its_results_are_fetched() -> None:
    """accepted, running, successful, and then its results."""
    path = f"/oapi-p/jobs/{ID}"
    script = {
        f"GET {path}": [answer(ACCEPTED), answer(RUNNING), answer(RUNNING), answer(SUCCESSFUL)],
        f"GET {path}/results": [answer({"doubleOutput": "3.14159"})],
    }
    async with scripted_server(script) as server:
        endpoint = ProcessesEndpoint(f"{server.url}/oapi-p")
        async with JobWatcher(endpoint, timeout_s=600, pacing=Pacing.fixed(5)) as watcher:
            watch = watcher.watch(JOB)
            results = await watch.result()
    assert results.outputs == {"doubleOutput": "3.14159"}
    assert server.lines == [f"GET {path}"] * 4 + [f"GET {path}/results"]


@pytest.mark.looptime
async def test_a_job_that_one_server_does_not_know_yet_goes_on() -> None:
    """Behind a balancer, one 404 between good replies is no end."""
    path = f"/jobs/{ID}"
    script = {f"GET {path}": [answer(RUNNING), answer(NO_SUCH_JOB, status="404 Not Found"), answer(SUCCESSFUL)]}
    async with scripted_server(script) as server, JobWatcher(ProcessesEndpoint(server.url), timeout_s=600) as watcher:
        assert (await watcher.watch(JOB)).status == "successful"


@pytest.mark.looptime
async def test_a_dismissed_job_is_cancelled() -> None:
    """After the DELETE this server does not know the job any more."""
    path = f"/jobs/{ID}"
    script = {
        f"GET {path}": [answer(RUNNING), answer(NO_SUCH_JOB, status="404 Not Found")],
        f"DELETE {path}": [answer(DISMISSED)],
    }
    async with scripted_server(script) as server:
        endpoint = ProcessesEndpoint(server.url)
        async with JobWatcher(endpoint, timeout_s=600, pacing=Pacing.fixed(5)) as watcher:
            watch = watcher.watch(JOB)
            async for _ in watch:
                break
            assert await watch.cancel()
            outcome = [event async for event in watch][-1]
    assert isinstance(outcome, Cancelled)


@pytest.mark.looptime
async def test_an_unknown_job_is_not_found() -> None:
    """The standard's exception says so at the first poll."""
    script = {f"GET /jobs/{ID}": [answer(NO_SUCH_JOB, status="404 Not Found")]}
    async with scripted_server(script) as server, JobWatcher(ProcessesEndpoint(server.url), timeout_s=600) as watcher:
        with pytest.raises(JobNotFound, match="No such job"):
            await watcher.watch(JOB)
    assert len(server.asked) == 1
