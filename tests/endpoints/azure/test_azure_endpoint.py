"""The status call of Azure operations: what a reply means, and whole operations on a real socket."""

from __future__ import annotations

import asyncio
import datetime as dt
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
from yarl import URL

from pollwise import (
    Abandoned,
    BearerAuth,
    ConfigurationError,
    Failed,
    JobCancelled,
    JobFailed,
    JobWatcher,
    Pacing,
    Phase,
    Reading,
    Request,
    Retry,
    SqliteLedger,
    Succeeded,
)
from pollwise.endpoints.azure import (
    AzureError,
    AzureOperation,
    AzureOperationsEndpoint,
    AzureOrder,
    AzureStatus,
    Monitor,
)
from pollwise.errors import MalformedReply, RateLimited, RequestRejected, UnsafeUrl
from pollwise.model.messages import Reply
from pollwise.testing import Sample, ScriptedTransport, check_endpoint, reply
from raw_server import Line, RawServer, raw_server
from raw_server import reply as raw

BASE = "https://management.example.com"
ENDPOINT = AzureOperationsEndpoint(BASE)
SECRET = "s3cr3t-s3cr3t-s3cr3t"


def operation(monitor: Monitor = Monitor.STATUS, method: str = "PUT", **more: Any) -> AzureOperation:
    return AzureOperation(
        url=f"{BASE}/operations/7", method=method, request_url=f"{BASE}/things/1", monitor=monitor, **more
    )


def read(document: Any, monitor: Monitor = Monitor.STATUS, **options: Any) -> Reading[AzureStatus]:
    answer = attrs.evolve(reply(document, **options), request=Request(URL(f"{BASE}/operations/7")))
    return ENDPOINT.read_for(operation(monitor), answer, "the cursor before")


# --- what a reply means -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        ("NotStarted", Phase.QUEUED),
        ("Running", Phase.RUNNING),
        ("InProgress", Phase.RUNNING),
        ("Canceling", Phase.RUNNING),
        ("PreparingVMDisk", Phase.RUNNING),
        ("sUCCEEDED", Phase.SUCCEEDED),
        ("failed", Phase.FAILED),
        ("Canceled", Phase.CANCELLED),
        ("cancelled", Phase.CANCELLED),
    ],
)
@pytest.mark.parametrize("monitor", [Monitor.STATUS, Monitor.RESOURCE])
def test_a_state_in_any_letter_case(state: str, phase: Phase, monitor: Monitor) -> None:
    """Three words end an operation. All others run, because each resource provider has its own."""
    body = {"status": state} if monitor is Monitor.STATUS else {"properties": {"provisioningState": state}}
    reading = read(body, monitor)
    assert (reading.phase, reading.status.state, reading.unknown) == (phase, state, None)


@pytest.mark.parametrize("document", [None, [], "Succeeded", {}, {"status": None}, {"status": 7}, {"status": ""}])
def test_a_monitor_without_a_status_is_malformed(document: Any) -> None:
    """Nothing else says how the operation is, not even `provisioningState`."""
    with pytest.raises(MalformedReply):
        read(document)


@pytest.mark.parametrize(
    ("document", "phase"),
    [
        ({"name": "1"}, Phase.SUCCEEDED),
        ({"properties": None}, Phase.SUCCEEDED),
        ({"properties": {"provisioningState": None}}, Phase.SUCCEEDED),
        ({"provisioningState": "Updating"}, Phase.RUNNING),
    ],
)
def test_a_resource_without_a_provisioning_state_has_succeeded(document: Any, phase: Phase) -> None:
    """The asynchronous API reference says so. Some services have the state beside `properties`."""
    assert read(document, Monitor.RESOURCE).phase is phase


@pytest.mark.parametrize(
    "document", [None, [], {}, {"properties": {"provisioningState": 7}}, {"provisioningState": ""}]
)
def test_a_resource_that_cannot_be_read_is_malformed(document: Any) -> None:
    """It is no success."""
    with pytest.raises(MalformedReply):
        read(document, Monitor.RESOURCE)


def test_a_web_page_at_a_location_is_no_end() -> None:
    """A proxy or a sign-in answers 200, and the operation may be running."""
    with pytest.raises(MalformedReply, match="web page"):
        ENDPOINT.read_for(operation(Monitor.LOCATION), Reply(200, {}, b"<!DOCTYPE html><html></html>"))


def test_a_resource_that_is_still_accepted_runs() -> None:
    """202 is no success (RFC 9110, 15.3.3)."""
    assert read({"name": "1"}, Monitor.RESOURCE, status=202).phase is Phase.RUNNING


@pytest.mark.parametrize(
    ("percent", "fraction"),
    [(25, 0.25), (99.5, 0.995), ("40", 0.4), (-1, None), (101, None), ("much", None), ([], None)],
)
def test_percent_complete_is_the_fraction(percent: Any, fraction: float | None) -> None:
    """What is no percentage is None, and hides nothing."""
    reading = read({"status": "Running", "percentComplete": percent})
    assert reading.fraction == fraction
    assert reading.status.body["percentComplete"] == percent


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"code": "SkuNotAvailable", "message": "Choose another one."}, "SkuNotAvailable: Choose another one."),
        ({"message": "Choose another one."}, "Choose another one."),
        ({"code": 7}, ""),
        ("no room", "no room"),
        (None, None),
        ([], None),
    ],
)
def test_the_error_object_is_the_reason(error: Any, reason: str | None) -> None:
    """Of failed and of cancelled operations."""
    for state in ("Failed", "Canceled"):
        assert read({"status": state, "error": error}).reason == reason
    assert read({"properties": {"provisioningState": "Failed", "error": error}}, Monitor.RESOURCE).reason == reason


def test_the_newest_monitor_is_polled_next() -> None:
    """`Operation-Location` wins, and a relative URL is resolved. Without one, the URL before stays."""
    running = {"status": "Running"}
    headers = {"Azure-AsyncOperation": f"{BASE}/b", "operation-location": "/c", "Location": "/d"}
    assert read(running, headers=headers).cursor == f"{BASE}/c"
    assert read(running, headers={"Azure-AsyncOperation": f"{BASE}/b"}).cursor == f"{BASE}/b"
    assert read(running).cursor == "the cursor before"
    assert read(None, Monitor.LOCATION, status=202, headers={"Location": "/d"}).cursor == f"{BASE}/d"
    assert read({}, Monitor.LOCATION, status=202).cursor == "the cursor before"


def test_a_url_that_is_none_hides_no_end() -> None:
    """It counts only while the operation runs."""
    headers = {"Operation-Location": "http://["}
    assert read({"status": "Succeeded"}, headers=headers).final
    assert read({"name": "1"}, Monitor.LOCATION, headers={"Location": "http://["}).final
    with pytest.raises(MalformedReply, match="Operation-Location is no URL"):
        read({"status": "Running"}, headers=headers)


def test_a_url_that_moves_is_no_change_of_the_status() -> None:
    """Only what is known of the operation is an event."""
    one = read(None, Monitor.LOCATION, status=202, headers={"Location": "/1"})
    two = read(None, Monitor.LOCATION, status=202, headers={"Location": "/2"})
    assert one.status == two.status
    assert one.cursor != two.cursor


def test_a_long_last_reply_is_asked_for_once_more() -> None:
    """It may have been cut to limits. So its URL stands for the result."""
    short, long = read({"name": "1"}, Monitor.RESOURCE), read({"name": "1" * 2_000}, Monitor.RESOURCE)
    assert short.status.result_url is None
    assert long.status.result_url == f"{BASE}/operations/7"


@pytest.mark.parametrize("status", [400, 409, 412, 422])
def test_a_synchronous_failure_at_a_location_is_a_failed_operation(status: int) -> None:
    """The asynchronous API reference: the reply that would have come if the operation had been synchronous."""
    document = {"error": {"code": "BadArgument", "message": "The name has invalid characters."}}
    reading = read(document, Monitor.LOCATION, status=status)
    assert (reading.phase, reading.final) == (Phase.FAILED, True)
    assert reading.reason == "BadArgument: The name has invalid characters."
    assert reading.status.error == AzureError(code="BadArgument", message="The name has invalid characters.")


@pytest.mark.parametrize(
    ("monitor", "document", "headers"),
    [
        (Monitor.STATUS, {"error": {"code": "BadArgument"}}, {}),
        (Monitor.RESOURCE, {"error": {"code": "BadArgument"}}, {}),
        (Monitor.LOCATION, {"error": {"message": "no code"}}, {}),
        (Monitor.LOCATION, None, {}),
        (Monitor.LOCATION, {"error": {"code": "MissingApiVersionParameter"}}, {}),
        (Monitor.LOCATION, {"error": {"code": "TooManyRequests"}}, {"Retry-After": "5"}),
        (Monitor.LOCATION, {"error": {"code": "Busy"}}, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
        (Monitor.LOCATION, {"error": {"code": "Busy"}}, {"x-ms-retry-after-ms": "5"}),
    ],
)
def test_another_refusal_says_nothing_about_the_operation(monitor: Monitor, document: Any, headers: Any) -> None:
    """A monitor's 4xx is a failure to read the status, and a wrong version is a wrong request."""
    with pytest.raises(MalformedReply, match="it says nothing about the operation"):
        read(document, monitor, status=409, headers=headers)


def test_the_vendors_words_of_a_refusal() -> None:
    """The error object is the problem."""
    problem = ENDPOINT.problem(reply({"error": {"code": "AuthorizationFailed", "message": "No."}}, status=403))
    assert problem is not None
    assert (problem.codes, problem.descriptions) == (("AuthorizationFailed",), ("No.",))
    assert ENDPOINT.problem(reply([], status=403)) is None


def test_it_is_a_sound_endpoint() -> None:
    """Whatever a server sends becomes a reading or MalformedReply."""
    full = {"status": "Running", "percentComplete": 20.0, "id": "/operations/7", "startTime": "2017-01-06T20:56:36Z"}
    failed = {"status": "Failed", "error": {"code": "A", "message": "b", "details": [{"code": "c"}]}}
    check_endpoint(
        ENDPOINT,
        [
            Sample(job=operation(), reply=full, phase=Phase.RUNNING),
            Sample(job=operation(), reply=failed, phase=Phase.FAILED),
        ],
        states=["status"],
    )


def test_a_status_is_kept_whole() -> None:
    """A ledger gives an equal status back."""
    for document in ({"status": "Running", "percentComplete": 20}, {"status": "Failed", "error": {"code": "A"}}):
        status = read(document).status
        data = orjson.loads(orjson.dumps(ENDPOINT.codec.status_to_json(status)))
        assert ENDPOINT.codec.status_from_json(data) == status


# --- starting ---------------------------------------------------------------------------------


def test_an_order_is_one_request() -> None:
    """Method, path, query, body and header fields as they were given. The key is not sent."""
    order = AzureOrder("PUT", "/things/a%2Fb?api-version=1", {"sku": 1}, headers={"Operation-Id": "7"})
    request = AzureOperationsEndpoint(f"{BASE}/tenant").submit_request(order, "key")
    assert str(request.url) == f"{BASE}/tenant/things/a%2Fb?api-version=1"
    assert (request.method, request.body) == ("PUT", b'{"sku":1}')
    assert dict(request.headers) == {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "Operation-Id": "7",
    }
    assert ENDPOINT.submit_request(AzureOrder("DELETE", "/things/1"), "key").body is None


def test_the_reply_to_an_order_is_the_operation() -> None:
    """With the option of the order."""
    order = AzureOrder("POST", "/things/1/start?api-version=1", final_state_via="location")
    headers = {"Azure-AsyncOperation": f"{BASE}/operations/7", "Location": "/results/7"}
    job = ENDPOINT.read_submitted(order, reply(None, status=202, headers=headers))
    assert job == AzureOperation(
        url=f"{BASE}/operations/7",
        method="POST",
        request_url=f"{BASE}/things/1/start?api-version=1",
        location=f"{BASE}/results/7",
        final_state_via="location",
    )


@pytest.mark.parametrize(
    ("method", "path", "json", "words"),
    [
        ("post", "/x", None, "method must be a method of HTTP in capitals"),
        ("PO ST", "/x", None, "method must be"),
        ("POST", "x", None, "path must be a path below the base URL"),
        ("POST", "//other.example/x", None, "path must be"),
        ("POST", "https://other.example/x", None, "path must be"),
        ("POST", "/x y", None, "path must be"),
        ("POST", "/x#y", None, "path must be"),
        ("POST", "/x\\y", None, "path must be"),
        ("POST", "/x\r\nHost: y", None, "path must be"),
        ("POST", "/ä", None, "path must be"),
        ("POST", "/x", {"a": object()}, "json of the order has a value that JSON does not have"),
    ],
)
def test_an_order_that_cannot_be_right_is_refused(method: str, path: str, json: Any, words: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigurationError, match=words):
        ENDPOINT.submit_request(AzureOrder(method, path, json), "key")


def test_a_location_can_be_a_status_monitor() -> None:
    """Azure Maps answers 202 with a `Location` alone, and the body there has a `status`."""
    order = AzureOrder("POST", "/mapData?api-version=1", monitor="status")
    job = ENDPOINT.read_submitted(order, reply(None, status=202, headers={"Location": f"{BASE}/operations/7"}))
    assert (job.url, job.monitor, job.location) == (f"{BASE}/operations/7", Monitor.STATUS, "")
    running = ENDPOINT.read_for(job, reply({"status": "Running", "createdDateTime": "2020-05-18T00:00:00Z"}))
    assert running.phase is Phase.RUNNING
    done = ENDPOINT.read_for(job, reply({"status": "Succeeded", "resourceLocation": f"{BASE}/mapData/7"}))
    assert done.status.result_url == f"{BASE}/mapData/7"


def test_an_option_that_azure_does_not_have_is_refused() -> None:
    """The error names those that it has."""
    with pytest.raises(ConfigurationError, match="final_state_via must be one of default, azure-async-operation"):
        AzureOrder("PUT", "/x", final_state_via="final-state-schema")


@pytest.mark.parametrize("base_url", ["management.example.com", "https://a:b@x.example", "https://x.example/?a=b"])
def test_a_base_url_that_cannot_be_right_is_refused(base_url: str) -> None:
    """As with every endpoint."""
    with pytest.raises(ConfigurationError, match="base_url"):
        AzureOperationsEndpoint(base_url)


# --- whole operations -------------------------------------------------------------------------


async def _watched(job: Any, script: Any, **options: Any) -> tuple[Any, ScriptedTransport]:
    transport = ScriptedTransport(script)
    options = {"timeout_s": 3600.0, "pacing": Pacing.fixed(5.0), "retry": Retry(outage_s=30.0), **options}
    async with JobWatcher(ENDPOINT, transport=transport, **options) as watcher:
        return (await watcher.gather([job]))[0], transport


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"Retry-After": "17"}, 17.0),
        ({"retry-after-ms": "17000"}, 17.0),
        ({"x-ms-retry-after-ms": "17000"}, 17.0),
        ({"Retry-After": "date"}, 17.0),
        ({"Retry-After": "0"}, 5.0),
        ({}, 5.0),
    ],
)
async def test_the_servers_hint_is_a_floor(headers: dict[str, str], wait_s: float) -> None:
    """In seconds, in milliseconds or as a date. Zero is no hot loop."""
    noon = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
    if headers.get("Retry-After") == "date":
        headers = {"Date": format_datetime(noon, usegmt=True)}
        headers["Retry-After"] = format_datetime(noon + dt.timedelta(seconds=17), usegmt=True)
    script = [reply({"status": "Running"}, headers=headers), {"status": "Succeeded"}]
    outcome, transport = await _watched(operation(method="DELETE"), script, pacing=Pacing(min_s=5, max_s=5, jitter=0))
    assert isinstance(outcome, Succeeded)
    assert transport.times[1] - transport.times[0] == pytest.approx(wait_s)


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"status": "Failed", "error": {"code": "A", "message": "b"}}, JobFailed),
        ({"status": "Canceled"}, JobCancelled),
    ],
)
async def test_an_end_that_is_no_success(document: Any, error: type[Exception]) -> None:
    """Awaiting raises it."""
    outcome, _ = await _watched(operation(), [{"status": "Running"}, document])
    assert type(outcome.error) is error


@pytest.mark.looptime
async def test_a_refusal_of_the_monitor_is_no_failed_operation() -> None:
    """It ends the watch, and the operation may be running."""
    outcome, _ = await _watched(operation(), [reply({"error": {"code": "A", "message": "b"}}, status=409)])
    assert isinstance(outcome, Abandoned)
    assert isinstance(outcome.error, RequestRejected)
    assert "A" in str(outcome.error)


@pytest.mark.looptime
async def test_a_throttled_location_is_asked_again() -> None:
    """A refusal that says when to come back is a rate limit, whatever its error object says."""
    throttled = reply({"error": {"code": "Busy", "message": "b"}}, status=409, headers={"Retry-After": "20"})
    outcome, transport = await _watched(operation(Monitor.LOCATION), [throttled, {"name": "1"}])
    assert isinstance(outcome, Succeeded)
    assert transport.times[1] - transport.times[0] >= 20.0
    assert RateLimited is not type(outcome)


class Server:
    """Answers by the path, and keeps each request."""

    def __init__(self, **answers: bytes | list[bytes]) -> None:
        self.answers: dict[str, Any] = answers
        self.raw: RawServer

    def __call__(self, line: Line) -> None:
        path = self.raw.requests[-1].split(b" ")[1].decode()
        answer = self.answers[URL(path).name]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        line.say(answer)

    def paths(self) -> list[str]:
        return [request.split(b" ")[1].decode() for request in self.raw.requests]


@pytest.mark.looptime
async def test_a_whole_operation_on_a_socket(tmp_path: Path) -> None:
    """PUT, a monitor that moves, a signed URL that the server names again, a restart with a ledger, and the resource."""
    accepted = raw(b"", f"Location: /monitor?code={SECRET}", "Retry-After: 5", status="202 Accepted")
    server = Server(
        monitor=[accepted, accepted, raw(b"", f"Location: /monitor/2?code={SECRET}", status="202 Accepted")],
        **{"2": [raw(b"", status="202 Accepted"), raw(b'{"name": "vm-7"}')]},
    )
    async with raw_server(server) as server.raw:
        start = reply(None, status=202, headers={"Location": f"/monitor?code={SECRET}"})
        request = Request(URL(f"{server.raw.url}/vm-7"), method="POST")
        job = AzureOperation.from_reply(request, start)
        options: dict[str, Any] = {"timeout_s": 3600.0, "pacing": Pacing.fixed(5.0)}
        async with SqliteLedger(tmp_path / "l") as ledger:
            endpoint = AzureOperationsEndpoint(server.raw.url, auth=BearerAuth("t0ken-t0ken-t0ken"))
            async with JobWatcher(endpoint, ledger=ledger, **options) as watcher:
                watcher.watch(job)
                await asyncio.sleep(12.0)
            async with JobWatcher(endpoint, ledger=ledger, **options) as watcher:
                (watch,) = await watcher.resume()
                assert await watch.result() == {"name": "vm-7"}
    assert server.paths() == [f"/monitor?code={SECRET}"] * 3 + [f"/monitor/2?code={SECRET}"] * 2
    assert all(b"t0ken-t0ken-t0ken" in request for request in server.raw.requests)


@pytest.mark.looptime
async def test_the_first_url_at_another_origin_gets_no_credentials() -> None:
    """The reply to the start named it, so it is asked without them. In `origins`, it gets them."""
    other = Server(op=raw(b'{"status": "Succeeded"}'))
    async with raw_server(other) as other.raw, raw_server() as api:
        job = AzureOperation(url=f"{other.raw.url}/op", method="DELETE", request_url=f"{api.url}/thing")
        for origins in ((), (other.raw.url,)):
            endpoint = AzureOperationsEndpoint(api.url, auth=BearerAuth(SECRET), origins=origins)
            async with JobWatcher(endpoint, timeout_s=60.0) as watcher:
                await watcher.watch(job)
        assert [SECRET.encode() in request for request in other.raw.requests] == [False, True]
        assert api.requests == []


@pytest.mark.looptime
@pytest.mark.parametrize("url", ["http://127.0.0.1:1/op", "http://169.254.169.254/op"])
async def test_an_unsafe_url_of_the_start_is_not_asked(url: str) -> None:
    """A private address, where the API has a public one."""
    job = AzureOperation(url=url, method="DELETE", request_url="https://203.0.113.7/thing")
    async with JobWatcher(AzureOperationsEndpoint("https://203.0.113.7"), timeout_s=60.0) as watcher:
        outcome = (await watcher.gather([job]))[0]
    assert isinstance(outcome, Abandoned)
    assert isinstance(outcome.error, UnsafeUrl)
    assert not isinstance(outcome, Failed)
