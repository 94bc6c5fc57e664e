"""A bulk export: kick-off, status, failure, deletion, and its whole life on a real socket."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from multidict import CIMultiDict
from yarl import URL

from pollwise import (
    Abandoned,
    BearerAuth,
    Cancelled,
    ConfigurationError,
    JobFailed,
    JobWatcher,
    Pacing,
    Phase,
    Progressed,
    Reply,
    Request,
    Retrying,
)
from pollwise.endpoints.fhir_bulk_data import (
    BulkExport,
    BulkExportEndpoint,
    BulkExportOrder,
    BulkExportStatus,
    OutcomeIssue,
)
from pollwise.errors import EndpointBug, MalformedReply, PermissionDenied, RateLimited, ServerUnavailable
from pollwise.testing import Sample, check_endpoint
from scripted_server import answer, scripted_server

BASE = "https://fhir.example.com/r4"
STATUS_URL = f"{BASE}/status/7"
ENDPOINT = BulkExportEndpoint(BASE)
JOB = BulkExport(STATUS_URL)
SEPARATE = BulkExport(STATUS_URL, separate_status=True)
MANIFEST: dict[str, Any] = {
    "transactionTime": "2021-01-01T00:00:00Z",
    "requiresAccessToken": True,
    "output": [{"type": "Patient", "url": f"{BASE}/files/1.ndjson"}],
}


def outcome(code: str = "processing", diagnostics: str = "out of disk") -> dict[str, Any]:
    issue = {"severity": "error", "code": code, "diagnostics": diagnostics}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def reply(data: Any = b"", status: int = 200, **fields: str) -> Reply:
    body = data if isinstance(data, bytes) else orjson.dumps(data)
    headers = CIMultiDict({"Content-Type": "application/json"})
    headers.update({name.replace("_", "-"): text for name, text in fields.items()})
    return Reply(status, headers, body, Request(URL(STATUS_URL)))


def test_the_endpoint_does_what_each_endpoint_must() -> None:
    """A manifest and a failure are read, and whatever stands in the place of a part is no success."""
    check_endpoint(
        ENDPOINT,
        [
            Sample(job=JOB, reply=MANIFEST, phase=Phase.SUCCEEDED),
            Sample(job=JOB, reply=reply(b"", 202, X_Progress="30%"), phase=Phase.RUNNING),
            Sample(job=JOB, reply=reply(outcome(), 500), phase=Phase.FAILED),
        ],
    )


@pytest.mark.parametrize(
    ("progress", "fraction"),
    [
        ("30%", 0.3),
        ("Build in progress - Overall 12.5 % complete", 0.125),
        ("in progress", None),
        ("250%", None),
        ("30", None),
        (None, None),
    ],
)
def test_progress_is_kept_and_understood_if_it_is_a_percentage(progress: str | None, fraction: float | None) -> None:
    """`X-Progress` has no form."""
    found = ENDPOINT.read_for(JOB, reply(b"", 202, **({} if progress is None else {"X_Progress": progress})))
    assert (found.phase, found.status.progress, found.fraction) == (Phase.RUNNING, progress, fraction)


def test_files_that_are_ready_are_told_before_the_end() -> None:
    """A partial manifest (`allowPartialManifests`, STU 3)."""
    found = ENDPOINT.read_for(JOB, reply(MANIFEST, 202))
    assert found.phase is Phase.RUNNING
    assert found.status.manifest is not None
    assert found.status.manifest.output[0].job.manifest_url == STATUS_URL
    assert ENDPOINT.read_for(JOB, reply(outcome("informational"), 202)).status.manifest is None


def test_a_complete_export_has_its_manifest_and_its_expiry() -> None:
    """200, and `Expires`."""
    found = ENDPOINT.read_for(JOB, reply(MANIFEST, Expires="Mon, 22 Jul 2019 23:59:59 GMT"))
    assert found.phase is Phase.SUCCEEDED
    assert found.status.expires == "Mon, 22 Jul 2019 23:59:59 GMT"


@pytest.mark.parametrize(
    ("code", "data", "phase"),
    [("202 Accepted", b"", Phase.RUNNING), ("200 OK", MANIFEST, Phase.SUCCEEDED), ("500", outcome(), Phase.FAILED)],
)
def test_a_status_of_its_own_is_in_a_header_field(code: str, data: Any, phase: Phase) -> None:
    """`X-Export-Status` on a 200 (`separate-export-status`)."""
    assert ENDPOINT.read_for(SEPARATE, reply(data, X_Export_Status=code)).phase is phase


def test_without_an_outcome_a_separate_failure_has_its_code() -> None:
    """The body may be anything."""
    found = ENDPOINT.read_for(SEPARATE, reply(b"<html>", X_Export_Status="502"))
    assert (found.phase, found.reason) == (Phase.FAILED, "status code 502")


@pytest.mark.parametrize(
    ("job", "found"),
    [
        (JOB, reply(b"<html>", 500)),  # a gateway
        (JOB, reply({"error": "x"}, 400)),
        (JOB, reply(outcome(), 503, Retry_After="120")),
        (JOB, reply(outcome(), 403, WWW_Authenticate="Bearer")),
        (JOB, reply(outcome("forbidden"), 403)),
        (JOB, reply(outcome("not-found"), 404)),  # never seen
        (SEPARATE, reply(outcome(), 500)),
        (JOB, reply(b"", 204)),
        (JOB, reply(b"")),
        (JOB, reply(outcome())),
        (JOB, reply(MANIFEST, X_Export_Status="done")),
    ],
)
def test_what_says_nothing_about_the_export_is_malformed(job: BulkExport, found: Reply) -> None:
    """A refusal stays one: it is repeated, or ends the watch with its own error."""
    with pytest.raises(MalformedReply):
        ENDPOINT.read_for(job, found)


@pytest.mark.parametrize("code", ["transient", "timeout", "lock-error"])
@pytest.mark.parametrize("found", [{"status": 400}, {"status": 200, "X_Export_Status": "503"}])
def test_a_transient_issue_fails_the_poll_alone(code: str, found: dict[str, Any]) -> None:
    """The server wants to be asked again."""
    with pytest.raises(ServerUnavailable):
        ENDPOINT.read_for(JOB, reply(outcome(code), **found))


def test_one_lasting_issue_makes_a_failure() -> None:
    """Also beside a transient one. `exception` is no transient code in practice."""
    data = outcome("transient")
    data["issue"] += outcome("invalid")["issue"]
    assert ENDPOINT.read_for(JOB, reply(data, 400)).phase is Phase.FAILED
    assert ENDPOINT.read_for(JOB, reply(outcome("exception"), 500)).phase is Phase.FAILED


def test_a_throttled_issue_is_a_rate_limit() -> None:
    """Whatever the status code is."""
    with pytest.raises(RateLimited):
        ENDPOINT.read_for(JOB, reply(outcome("throttled"), 400))


def test_a_failure_is_told_in_the_servers_words() -> None:
    """All issues, also those with words for people only."""
    data = outcome()
    data["issue"] += [{"code": "invalid", "details": {"text": "no such group"}}, {"code": "value"}, 7]
    found = ENDPOINT.read_for(JOB, reply(data, 400))
    assert (found.phase, found.reason) == (Phase.FAILED, "out of disk; no such group; value")
    assert found.status.issues[1] == OutcomeIssue(code="invalid", details="no such group")
    problem = ENDPOINT.problem(reply(data, 400))
    assert problem is not None
    assert problem.codes == ("processing", "invalid", "value")
    assert ENDPOINT.problem(reply(MANIFEST, 400)) is None


def test_an_export_can_be_read_without_its_job() -> None:
    """As one whose status is not separate."""
    assert ENDPOINT.read(reply(MANIFEST)) == ENDPOINT.read_for(JOB, reply(MANIFEST))
    assert repr(ENDPOINT) == "BulkExportEndpoint('https://fhir.example.com/r4')"
    with pytest.raises(MalformedReply, match="not complete"):
        ENDPOINT.read_result(reply(MANIFEST, 202))


def test_an_export_that_was_seen_and_is_gone_was_deleted() -> None:
    """404 with an OperationOutcome ("Bulk Data Delete Request")."""
    cursor = ENDPOINT.read_for(JOB, reply(b"", 202)).cursor
    found = ENDPOINT.read_for(JOB, reply(outcome("not-found", "deleted"), 404), cursor)
    assert (found.phase, found.final, found.reason) == (Phase.CANCELLED, True, "deleted")


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize(
    ("code", "error"),
    [("transient", ServerUnavailable), ("throttled", RateLimited), ("forbidden", MalformedReply)],
)
def test_an_export_is_not_deleted_by_a_passing_fault(status: int, code: str, error: type[Exception]) -> None:
    """A transient issue, or one about the credentials, says nothing about an export that was seen."""
    with pytest.raises(error):
        ENDPOINT.read_for(JOB, reply(outcome(code), status), "seen")


@pytest.mark.parametrize(
    "status",
    [
        ENDPOINT.read_for(JOB, reply(MANIFEST)).status,
        ENDPOINT.read_for(JOB, reply(outcome(), 500)).status,
        ENDPOINT.read_for(JOB, reply({**MANIFEST, "output": [{"url": "a"}] * 1_500})).status,
    ],
)
def test_a_status_is_kept_with_its_manifest(status: BulkExportStatus) -> None:
    """Also how many files of a long list are missing."""
    codec = ENDPOINT.codec
    assert codec.status_from_json(orjson.loads(orjson.dumps(codec.status_to_json(status)))) == status
    with pytest.raises(ConfigurationError):
        codec.status_from_json([])


# --- start ------------------------------------------------------------------------------------


def test_an_export_is_named_by_its_content_location() -> None:
    """Absolute or relative, and with what was agreed about its status."""
    order = BulkExportOrder()
    assert ENDPOINT.read_submitted(order, reply(b"", 202, Content_Location=STATUS_URL)) == JOB
    agreed = reply(b"", 202, Content_Location="7", Preference_Applied="respond-async, separate-export-status")
    assert ENDPOINT.read_submitted(order, agreed) == SEPARATE
    for wrong in (reply(b"", 202), reply(MANIFEST), reply(b"", 202, Content_Location="ftp://x/7")):
        with pytest.raises(MalformedReply):
            ENDPOINT.read_submitted(order, wrong)


# --- on a real socket -------------------------------------------------------------------------


@pytest.mark.looptime
async def test_an_export_is_awaited_and_its_manifest_has_all_pages() -> None:
    """202, 202 with `Retry-After`, 200, and then both pages of the manifest."""
    first = {**MANIFEST, "link": [{"relation": "next", "url": "BASE/status/7/2"}]}
    script = {
        "GET /status/7": [
            answer(None, "X-Progress: 10%", status="202 Accepted"),
            answer(None, "X-Progress: 60%", "Retry-After: 40", status="202 Accepted"),
            answer(first),
        ],
        "GET /status/7/2": [answer(MANIFEST)],
    }
    async with scripted_server(script) as server:
        endpoint = BulkExportEndpoint(server.url, auth=BearerAuth("t0ken-of-a-test"))
        async with JobWatcher(endpoint, timeout_s=600, pacing=Pacing.fixed(5)) as watcher:
            watch = watcher.watch(BulkExport(f"{server.url}/status/7"))
            manifest = await watch.result()
    assert [file.url for file in manifest.output] == [f"{BASE}/files/1.ndjson"] * 2
    assert [file.job.manifest_url for file in manifest.output] == [
        f"{server.url}/status/7",
        f"{server.url}/status/7/2",
    ]
    assert server.lines == ["GET /status/7"] * 4 + ["GET /status/7/2"]
    assert {asked.headers["authorization"] for asked in server.asked} == {"Bearer t0ken-of-a-test"}


@pytest.mark.looptime
async def test_a_gateways_error_is_retried_and_a_failure_is_raised() -> None:
    """502 without an OperationOutcome is no failure of the export."""
    script = {
        "GET /status/7": [
            answer(b"<html>", status="502 Bad Gateway"),
            answer(None, status="202 Accepted"),
            answer(outcome(), status="500 Internal Server Error"),
        ]
    }
    async with (
        scripted_server(script) as server,
        JobWatcher(BulkExportEndpoint(server.url), timeout_s=600, pacing=Pacing.fixed(5)) as watcher,
    ):
        watch = watcher.watch(BulkExport(f"{server.url}/status/7"))
        events = [type(event) async for event in watch]
        with pytest.raises(JobFailed, match="out of disk"):
            await watch
    assert events[:2] == [Retrying, Progressed]


@pytest.mark.looptime
async def test_a_deleted_export_is_cancelled() -> None:
    """DELETE is answered with 202, and the next poll with 404."""
    script = {
        "GET /status/7": [answer(None, status="202 Accepted"), answer(outcome("not-found"), status="404 Not Found")],
        "DELETE /status/7": [answer(None, status="202 Accepted")],
    }
    async with scripted_server(script) as server:
        endpoint = BulkExportEndpoint(server.url)
        async with JobWatcher(endpoint, timeout_s=600, pacing=Pacing.fixed(5)) as watcher:
            watch = watcher.watch(BulkExport(f"{server.url}/status/7"))
            async for _ in watch:
                break
            assert await watch.cancel()
            last = [event async for event in watch][-1]
    assert isinstance(last, Cancelled)


@pytest.mark.looptime
async def test_a_forbidden_status_is_no_failed_export() -> None:
    """403 is about the credentials."""
    script = {"GET /status/7": [answer(outcome("forbidden"), status="403 Forbidden")]}
    async with (
        scripted_server(script) as server,
        JobWatcher(BulkExportEndpoint(server.url), timeout_s=600) as watcher,
    ):
        with pytest.raises(PermissionDenied):
            await watcher.watch(BulkExport(f"{server.url}/status/7"))


def test_an_origin_without_credentials_is_named() -> None:
    """The error says what to write. A stated default port does not matter."""
    endpoint = BulkExportEndpoint("https://fhir.example.com/r4", origins=("https://files.example.com",))
    for url in ("https://files.example.com/1", "https://fhir.example.com:443/1"):
        assert endpoint.request(BulkExport(url)).url == URL(url)
    with pytest.raises(ConfigurationError, match=r"origins=\('http://fhir.example.com',\)"):
        endpoint.request(BulkExport("http://fhir.example.com/1"))


@pytest.mark.looptime
async def test_credentials_go_to_no_other_origin() -> None:
    """A status URL elsewhere is refused by name, and nothing is sent."""
    async with scripted_server({}) as server:
        endpoint = BulkExportEndpoint("https://fhir.example.com", auth=BearerAuth("t0ken-of-a-test"))
        async with JobWatcher(endpoint, timeout_s=600) as watcher:
            last = [event async for event in watcher.watch(BulkExport(f"{server.url}/status/7"))][-1]
    assert isinstance(last, Abandoned)
    assert isinstance(last.error, EndpointBug)
    assert "origins=" in str(last.error)
    assert server.asked == []
