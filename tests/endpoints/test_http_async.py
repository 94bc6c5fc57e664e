"""202, Location, 303: each promise with the section of the standard that makes it."""

from __future__ import annotations

import asyncio
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
    JobWatcher,
    Pacing,
    Phase,
    Reading,
    Reply,
    Request,
    Retry,
    Succeeded,
)
from pollwise.endpoints.http_async import AcceptedJob, AcceptedStatus, HttpAsyncEndpoint, Order
from pollwise.errors import JobNotFound, MalformedReply, RequestRejected, RetriesExhausted
from pollwise.model.results import ResultPage
from pollwise.model.submitting import Submitted
from pollwise.testing import Sample, check_endpoint, reply
from raw_server import Line, RawServer, raw_server
from raw_server import reply as raw

BASE = "https://api.example.com"
ENDPOINT = HttpAsyncEndpoint(BASE)
JOB = AcceptedJob(f"{BASE}/queue/7")


def read(
    status: int, document: Any = None, *, endpoint: HttpAsyncEndpoint = ENDPOINT, **headers: str
) -> Reading[AcceptedStatus]:
    body = document if isinstance(document, bytes) else b"" if document is None else orjson.dumps(document)
    answer = attrs.evolve(
        reply(None, status=status, headers=headers), body=body, request=Request(URL(f"{BASE}/queue/7"))
    )
    return endpoint.read(answer, "the cursor before")


# --- what a reply means -----------------------------------------------------------------------


def test_202_is_running() -> None:
    """RFC 9110, 15.3.3: the processing has not been completed. Its body describes the status and is kept."""
    reading = read(202, {"step": 3})
    assert (reading.phase, reading.final, reading.cursor) == (Phase.RUNNING, False, "the cursor before")
    assert reading.status == AcceptedStatus(http_status=202, body={"step": 3})


def test_a_202_may_name_another_status_monitor() -> None:
    """A `Location` is relative to the URL of the request (RFC 9110, 10.2.2)."""
    assert read(202, Location="8?a=%2F").cursor == f"{BASE}/queue/8?a=%2F"
    assert read(202, Location="https://west.example/8").cursor == "https://west.example/8"


@pytest.mark.parametrize("status", [200, 201, 203, 204, 205, 226])
def test_any_other_2xx_is_the_end(status: int) -> None:
    """RFC 9110, 15.3: the request was successfully received, understood and accepted."""
    reading = read(status, {"rows": 3} if status != 204 else None)
    assert (reading.phase, reading.final) == (Phase.SUCCEEDED, True)
    assert reading.status.result_url is None


def test_303_is_the_end_and_names_the_result() -> None:
    """RFC 9110, 15.4.4: an indirect response to the original request, at another URL."""
    reading = read(303, Location="/results/7")
    assert (reading.phase, reading.final) == (Phase.SUCCEEDED, True)
    assert reading.status == AcceptedStatus(http_status=303, result_url=f"{BASE}/results/7")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_another_redirect_moves_the_status(status: int) -> None:
    """RFC 9110, 15.4.2, 15.4.3, 15.4.8 and 15.4.9. The job is still asked about, at the new URL."""
    reading = read(status, Location="/there")
    assert (reading.phase, reading.cursor) == (Phase.RUNNING, f"{BASE}/there")


@pytest.mark.parametrize("status", [301, 303, 308])
@pytest.mark.parametrize("headers", [{}, {"Location": ""}, {"Location": "http://["}, {"Location": "a b"}])
def test_a_redirect_that_leads_nowhere_is_malformed(status: int, headers: dict[str, str]) -> None:
    """It is never a success."""
    with pytest.raises(MalformedReply, match=r"leads nowhere|is no URL"):
        read(status, **headers)


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize(("gone", "phase"), [("succeeded", Phase.SUCCEEDED), ("failed", Phase.FAILED)])
def test_gone_is_what_the_api_means_by_it(status: int, gone: Any, phase: Phase) -> None:
    """RFC 9110, 15.5.5 and 15.5.11, leave open why. One argument says it."""
    endpoint = HttpAsyncEndpoint(BASE, gone=gone)
    assert status in endpoint.answer_statuses
    reading = read(status, endpoint=endpoint)
    assert (reading.phase, reading.final) == (phase, True)


def test_a_status_code_can_be_a_failure() -> None:
    """With the words of problem details (RFC 9457, 3.1)."""
    endpoint = HttpAsyncEndpoint(BASE, failed={422, 500})
    assert {422, 500} <= endpoint.answer_statuses
    reading = read(422, {"title": "Invalid", "detail": "Row 3 has no name."}, endpoint=endpoint)
    assert (reading.phase, reading.reason) == (Phase.FAILED, "Invalid: Row 3 has no name.")
    assert read(500, b"<html>", endpoint=endpoint).reason is None


@pytest.mark.parametrize("document", [b"", b"a,b\n1,2\n", {"rows": "x" * 2_000}, {"rows": 1}])
def test_what_the_last_reply_has_is_asked_for_once_more_unless_it_is_whole(document: Any) -> None:
    """Short JSON is the result itself. A long one may be cut, and other bytes are not in a status."""
    own = f"{BASE}/queue/7"
    assert read(200, document).status.result_url == (None if document in (b"", {"rows": 1}) else own)
    endpoint = HttpAsyncEndpoint(BASE, raw=True)
    assert read(200, document, endpoint=endpoint).status.result_url == (None if document == b"" else own)


PAGES = [
    (b"<!DOCTYPE html><html><title>Sign in</title></html>", "text/html; charset=utf-8"),
    (b"\xef\xbb\xbf\n <HTML>Scheduled maintenance</HTML>", "text/plain"),
    (b"Please sign in.", "text/html"),
]


@pytest.mark.parametrize(("page", "content_type"), PAGES)
def test_a_web_page_is_no_end(page: bytes, content_type: str) -> None:
    """A proxy or a sign-in answers 200, and the job may be running. With `raw`, a page is a result like any other bytes."""
    with pytest.raises(MalformedReply, match="web page"):
        read(200, page, **{"Content-Type": content_type})
    assert HttpAsyncEndpoint(BASE, raw=True).read(Reply(200, {"Content-Type": content_type}, page)).final


@pytest.mark.parametrize(("page", "content_type"), PAGES)
def test_a_web_page_starts_no_job_and_is_no_result(page: bytes, content_type: str) -> None:
    """Whether the server got the order is in doubt."""
    with pytest.raises(MalformedReply, match="web page"):
        ENDPOINT.read_submitted(Order("POST", "/exports"), Reply(200, {"Content-Type": content_type}, page))


def test_a_result_with_the_content_type_of_a_page_is_one() -> None:
    """A gateway may name a wrong one. JSON is JSON, and an empty reply is the end."""
    for body in (b'{"rows": 1}', b""):
        assert read(200, body, **{"Content-Type": "text/html"}).phase is Phase.SUCCEEDED


def test_the_words_of_a_refusal() -> None:
    """Problem details (RFC 9457)."""
    problem = ENDPOINT.problem(reply({"type": "/errors/7", "title": "No", "detail": "Not yours."}, status=403))
    assert problem is not None
    assert (problem.codes, problem.descriptions) == (("/errors/7",), ("No", "Not yours."))
    assert ENDPOINT.problem(reply({"message": "No"}, status=403)) is None
    assert ENDPOINT.problem(reply([], status=403)) is None


def test_it_is_a_sound_endpoint() -> None:
    """The members, the requests and the codec are right."""
    accepted = Reply(202, {"Location": f"{BASE}/queue/8"}, b"")
    for endpoint in (ENDPOINT, HttpAsyncEndpoint(BASE, gone="succeeded", failed={422}, raw=True, cancel="DELETE")):
        check_endpoint(endpoint, [Sample(job=JOB, reply=accepted, phase=Phase.RUNNING)])


def test_jobs_and_statuses_are_kept_whole() -> None:
    """A ledger gives equal ones back."""
    codec = ENDPOINT.codec
    job = AcceptedJob(f"{BASE}/queue/7?code=s3cr3t")
    assert codec.job_from_keys(codec.job_to_keys(job)) == job
    assert repr(job) == f"AcceptedJob({BASE}/queue/7)"
    status = read(200, {"rows": [1, None, {"a": "b"}]}).status
    assert codec.status_from_json(orjson.loads(orjson.dumps(codec.status_to_json(status)))) == status


def test_a_text_of_a_status_has_no_signature() -> None:
    """The URL of a result may be signed, and the text stands in logs."""
    status = read(303, b"", location="https://user:s3cr3t@x.example/a@b?sig=s3cr3t").status
    assert status.result_url == "https://user:s3cr3t@x.example/a@b?sig=s3cr3t"
    assert "https://x.example/a@b" in repr(status)
    assert "s3cr3t" not in repr(status)


@pytest.mark.parametrize("url", ["https://\u00e4.example/1", "https://x.example/\u00fc?x=\u00df"])
def test_a_url_that_is_not_encoded_is_refused(url: str) -> None:
    """It is asked to the letter, and no request has other characters than ASCII."""
    with pytest.raises(ConfigurationError, match="percent-encoded"):
        AcceptedJob(url)


def test_a_location_that_is_not_encoded_is_encoded() -> None:
    """As a browser does."""
    assert read(202, None, location="/\u00fc?x=\u00df").cursor == f"{BASE}/%C3%BC?x=%C3%9F"


def test_a_job_keeps_no_password() -> None:
    """Its URL would be written to ledgers. The error does not show it."""
    with pytest.raises(ConfigurationError, match="without a user name") as caught:
        AcceptedJob("https://user:s3cr3t@api.example.com/queue/7")
    assert "s3cr3t" not in str(caught.value)


# --- starting ---------------------------------------------------------------------------------


def test_a_header_field_of_the_order_takes_the_place_of_the_usual_one() -> None:
    """In any letter case. A field that is sent twice has no certain meaning."""
    own = {"content-type": "application/merge-patch+json", "PREFER": "respond-async, wait=1", "accept": "text/csv"}
    request = ENDPOINT.submit_request(Order("PATCH", "/exports", {"rows": 7}, headers=own), "key-1")
    assert dict(request.headers) == own


def test_an_order_cannot_set_the_field_of_the_key() -> None:
    """Each start would have the same key, and a second one would do nothing."""
    endpoint = HttpAsyncEndpoint(BASE, key_field="Idempotency-Key")
    with pytest.raises(ConfigurationError, match="submit"):
        endpoint.submit_request(Order("POST", "/exports", headers={"idempotency-key": "7"}), "key-1")


def test_an_order_prefers_an_asynchronous_reply() -> None:
    """RFC 7240, 4.1 and 4.3. The key goes where the API takes it."""
    order = Order("POST", "/exports?format=csv", {"rows": 7}, headers={"X-Trace": "1"})
    request = ENDPOINT.submit_request(order, "key-1")
    assert (str(request.url), request.method, request.body) == (f"{BASE}/exports?format=csv", "POST", b'{"rows":7}')
    assert dict(request.headers) == {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "Prefer": "respond-async",
        "X-Trace": "1",
    }
    request = HttpAsyncEndpoint(BASE, wait_s=10, key_field="Idempotency-Key").submit_request(order, "key-1")
    assert request.headers["Prefer"] == "respond-async, wait=10"
    assert request.headers["Idempotency-Key"] == "key-1"


def test_the_reply_to_an_order_is_the_job() -> None:
    """Relative to the URL of the order."""
    order = Order("POST", "/exports/new")
    assert ENDPOINT.read_submitted(order, reply(status=202, headers={"Location": "7"})) == AcceptedJob(
        f"{BASE}/exports/7"
    )
    endpoint = HttpAsyncEndpoint(BASE, monitor_field="Content-Location", started={201, 202})
    answer = reply(status=201, headers={"Content-Location": "/jobs/7"})
    assert endpoint.read_submitted(order, answer) == AcceptedJob(f"{BASE}/jobs/7")


@pytest.mark.parametrize("status", [200, 201, 204])
def test_a_server_may_answer_at_once(status: int) -> None:
    """RFC 7240, 2: a preference may be ignored. The status has the result, and the job no query, which may have a signature."""
    answer = attrs.evolve(reply({"rows": 3}, status=status), body=b"" if status == 204 else b'{"rows": 3}')
    made = ENDPOINT.read_submitted(Order("POST", "/exports?sig=s3cr3t"), answer)
    assert isinstance(made, Submitted)
    assert made.reading is not None
    assert made.reading.status.http_status == status
    result = None if status == 204 else {"rows": 3}
    assert ENDPOINT.result_request(made.job, made.reading.status) == ResultPage(result)
    assert "s3cr3t" not in made.job.url
    raw = HttpAsyncEndpoint(BASE, raw=True)
    made = raw.read_submitted(Order("POST", "/exports"), answer)
    assert isinstance(made, Submitted)
    assert made.reading is not None
    assert raw.result_request(made.job, made.reading.status) == ResultPage(answer.body)


def test_a_result_that_a_ledger_has_cut_is_not_taken_for_whole() -> None:
    """The error says which limit to raise."""
    made = ENDPOINT.read_submitted(Order("POST", "/exports"), reply({"rows": [1, 2, 3]}, status=200))
    assert isinstance(made, Submitted)
    with pytest.raises(ConfigurationError, match="row="):
        ENDPOINT.result_request(made.job, AcceptedStatus(http_status=200, body={"rows": [1, 2]}))


def test_an_acceptance_that_is_not_expected_is_no_end() -> None:
    """202 is never one (RFC 9110, 15.3.3)."""
    answer = reply(status=202, headers={"Location": "7"})
    made = HttpAsyncEndpoint(BASE, started={201}).read_submitted(Order("POST", "/exports/new"), answer)
    assert made == AcceptedJob(f"{BASE}/exports/7")


def test_a_202_that_names_no_monitor_cannot_be_followed() -> None:
    """The error names the header field, or says what is wrong with the URL."""
    with pytest.raises(MalformedReply, match="what it names cannot be followed"):
        ENDPOINT.read_submitted(Order("POST", "/exports"), reply(status=202, headers={"Location": "ftp://x.example/7"}))
    with pytest.raises(MalformedReply, match="it has no Location, so it does not say where the job can be followed"):
        ENDPOINT.read_submitted(Order("POST", "/exports"), reply(status=202))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gone": "over"}, "gone must be one of refused, succeeded, failed"),
        ({"failed": {401}}, "failed must hold status codes from 400 to 599, without 401 and 429"),
        ({"failed": {200}}, "failed must hold status codes"),
        ({"failed": {"422"}}, "failed must hold status codes"),
        ({"started": {100}}, "started must hold status codes from 200"),
        ({"cancel": "delete"}, "method must be a method of HTTP in capitals"),
        ({"monitor_field": "Loc ation"}, "monitor_field must be the name of a header field"),
        ({"key_field": ""}, "key_field must be the name of a header field"),
        ({"wait_s": 1.5}, "wait_s must be whole seconds"),
        ({"wait_s": -1}, "wait_s must be whole seconds"),
        ({"wait_s": True}, "wait_s must be whole seconds"),
    ],
)
def test_an_argument_that_cannot_be_right_is_refused(options: dict[str, Any], words: str) -> None:
    """Where the endpoint is made."""
    with pytest.raises(ConfigurationError, match=words):
        HttpAsyncEndpoint(BASE, **options)


@pytest.mark.parametrize("url", ["/queue/7", "ftp://x.example/s3cr3t", "", "http://[", "http://x:99999/"])
def test_a_job_needs_an_absolute_url(url: str) -> None:
    """The error has no part of it."""
    with pytest.raises(ConfigurationError, match="url must be an absolute http or https URL") as caught:
        AcceptedJob(url)
    assert "s3cr3t" not in str(caught.value)


# --- whole jobs on a real socket --------------------------------------------------------------


class Server:
    """Answers by the path, and keeps each request. A list is a script whose last answer repeats."""

    raw: RawServer

    def __init__(self, **answers: bytes | list[bytes]) -> None:
        self.answers: dict[str, Any] = answers
        self.times: list[float] = []

    def __call__(self, line: Line) -> None:
        self.times.append(asyncio.get_running_loop().time())
        answer = self.answers[self.paths()[-1].strip("/").partition("?")[0]]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        line.say(answer)

    def paths(self) -> list[str]:
        return [request.split(b" ")[1].decode() for request in self.raw.requests]


def _watcher(server: Server, **options: Any) -> JobWatcher[AcceptedJob, AcceptedStatus]:
    watching: dict[str, Any] = {"timeout_s": 3600.0, "pacing": Pacing.fixed(5.0), "retry": Retry(outage_s=30.0)}
    return JobWatcher(HttpAsyncEndpoint(server.raw.url, **options), **watching)


@pytest.mark.looptime
async def test_the_whole_exchange() -> None:
    """202, a monitor that moves, a redirect, 303, and the result: each request where the reply before it said."""
    server = Server(
        queue=[raw(b"", "Location: /queue2", "Retry-After: 20", status="202 Accepted")],
        queue2=raw(b"", "Location: /queue3?code=k3y-of-the-url", status="307 Temporary Redirect"),
        queue3=[
            raw(b'{"step": 1}', "Retry-After: 0", "Location: /queue3?code=k3y-of-the-url", status="202 Accepted"),
            raw(b"", "Location: /results/7", status="303 See Other"),
        ],
        **{"results/7": [raw(b"", status="202 Accepted"), raw(b'{"rows": 3}')]},
    )
    async with raw_server(server) as server.raw, _watcher(server, auth=BearerAuth("t0ken-t0ken-t0ken")) as watcher:
        assert await watcher.watch(AcceptedJob(f"{server.raw.url}/queue")).result() == {"rows": 3}
    signed = "/queue3?code=k3y-of-the-url"
    assert server.paths() == ["/queue", "/queue2", signed, signed, "/results/7", "/results/7"]
    waits = [two - one for one, two in zip(server.times, server.times[1:], strict=False)]
    assert waits[0] >= 20.0
    assert min(waits[1:3]) >= 5.0
    assert all(b"t0ken-t0ken-t0ken" in request for request in server.raw.requests)


@pytest.mark.looptime
async def test_a_result_that_is_no_json() -> None:
    """With `raw` it is the bytes, however long."""
    rows = b"a,b\n" + b"1,2\n" * 1_000
    server = Server(queue=[raw(b"", status="202 Accepted"), raw(rows)])
    async with raw_server(server) as server.raw, _watcher(server, raw=True) as watcher:
        assert await watcher.watch(AcceptedJob(f"{server.raw.url}/queue")).result() == rows
    assert len(server.paths()) == 3


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("status", "error"), [("404 Not Found", JobNotFound), ("410 Gone", JobNotFound), ("403 No", None)]
)
async def test_a_refusal_says_nothing_about_the_job(status: str, error: Any) -> None:
    """Without `gone` and `failed`, it ends the watch, and the job may be running."""
    server = Server(queue=raw(b'{"title": "No"}', status=status))
    async with raw_server(server) as server.raw, _watcher(server) as watcher:
        outcome = (await watcher.gather([AcceptedJob(f"{server.raw.url}/queue")]))[0]
    assert isinstance(outcome, Abandoned)
    assert error is None or isinstance(outcome.error, error)


@pytest.mark.looptime
async def test_the_deletion_of_a_resource() -> None:
    """404 is the success of a deletion."""
    server = Server(queue=[raw(b"", status="202 Accepted"), raw(b"", status="404 Not Found")])
    async with raw_server(server) as server.raw, _watcher(server, gone="succeeded") as watcher:
        outcome = (await watcher.gather([AcceptedJob(f"{server.raw.url}/queue")]))[0]
    assert isinstance(outcome, Succeeded)


@pytest.mark.looptime
async def test_a_job_can_be_cancelled_where_the_api_has_that() -> None:
    """`cancel` is the method. What the status says afterwards is the outcome."""
    server = Server(
        queue=[raw(b"", status="202 Accepted"), raw(b"", status="202 Accepted"), raw(b"", status="410 Gone")]
    )
    async with raw_server(server) as server.raw, _watcher(server, cancel="DELETE", gone="failed") as watcher:
        watch = watcher.watch(AcceptedJob(f"{server.raw.url}/queue"))
        await anext(aiter(watch))
        assert await watch.cancel()
        outcome = (await watcher.gather([watch.job]))[0]
        assert isinstance(outcome, Failed)
    assert [request.split(b" ")[0] for request in server.raw.requests] == [b"GET", b"DELETE", b"GET"]
    async with _watcher(server) as watcher:
        with pytest.raises(ConfigurationError, match="cannot cancel jobs"):
            await watcher.watch(AcceptedJob(f"{server.raw.url}/queue")).cancel()


@pytest.mark.looptime
async def test_a_redirect_loop_ends_with_the_deadline() -> None:
    """It is asked at the pace of any poll, and no oftener."""
    server = Server(
        queue=raw(b"", "Location: /back", status="302 Found"), back=raw(b"", "Location: /queue", status="302 Found")
    )
    options: dict[str, Any] = {"timeout_s": 60.0, "pacing": Pacing.fixed(5.0)}
    async with raw_server(server) as server.raw, JobWatcher(HttpAsyncEndpoint(server.raw.url), **options) as watcher:
        outcome = (await watcher.gather([AcceptedJob(f"{server.raw.url}/queue")]))[0]
    assert isinstance(outcome, Abandoned)
    assert len(server.paths()) <= 14
    assert not isinstance(outcome.error, RetriesExhausted | RequestRejected)
