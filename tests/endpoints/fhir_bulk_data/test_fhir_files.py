"""The files of a bulk export, with and without credentials, on real sockets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from yarl import URL

from pollwise import BearerAuth, ConfigurationError, JobFailed, JobWatcher, Pacing, Phase, Reply, Request
from pollwise.endpoints.fhir_bulk_data import BulkFileEndpoint, BulkFileJob, BulkFileStatus
from pollwise.errors import MalformedReply, PollwiseError
from pollwise.testing import Sample, check_endpoint
from scripted_server import answer, scripted_server

BASE = "https://fhir.example.com/r4"
STATUS_URL = f"{BASE}/status/7"
ENDPOINT = BulkFileEndpoint(BASE)
JOB = BulkFileJob(manifest_url=STATUS_URL)
TOKEN = "t0ken-of-a-test"
LINES = b'{"resourceType": "Patient", "id": "p-1"}\n{"resourceType": "Patient", "id": "p-2"}\n'


def manifest(url: str, *, token: bool = True, **more: Any) -> dict[str, Any]:
    return {"requiresAccessToken": token, "output": [{"type": "Patient", "url": url}], **more}


def reply(data: Any, status: int = 200, **fields: str) -> Reply:
    body = data if isinstance(data, bytes) else orjson.dumps(data)
    headers = {name.replace("_", "-"): text for name, text in fields.items()}
    return Reply(status, headers, body, Request(URL(STATUS_URL)))


def test_the_endpoint_does_what_each_endpoint_must() -> None:
    """An entry of the manifest is read, and whatever stands in the place of a part is no success."""
    check_endpoint(
        ENDPOINT,
        [
            Sample(job=JOB, reply=manifest(f"{BASE}/1.ndjson"), phase=Phase.SUCCEEDED),
            Sample(job=JOB, reply=reply(b"", 202), phase=Phase.RUNNING),
        ],
    )


def test_a_file_is_ready_once_the_manifest_lists_it() -> None:
    """Also while the export goes on. Its URL is made absolute."""
    second = BulkFileJob(manifest_url=STATUS_URL, index=1)
    assert ENDPOINT.read_for(second, reply(manifest("/1"), 202)).phase is Phase.RUNNING
    assert ENDPOINT.read_for(JOB, reply({"resourceType": "OperationOutcome"}, 202)).phase is Phase.RUNNING
    found = ENDPOINT.read_for(JOB, reply(manifest("/1"), 202))
    assert found.phase is Phase.SUCCEEDED
    assert found.status.file is not None
    assert found.status.file.url == "https://fhir.example.com/1"


def test_a_file_that_is_not_there_has_failed() -> None:
    """The manifest is complete and does not list it, or the export has failed."""
    other = BulkFileJob(manifest_url=STATUS_URL, part="deleted")
    assert ENDPOINT.read_for(other, reply(manifest("/1"))).phase is Phase.FAILED
    issues = {"resourceType": "OperationOutcome", "issue": [{"diagnostics": "out of disk"}]}
    failed = ENDPOINT.read_for(JOB, reply(issues, X_Export_Status="500"))
    assert (failed.phase, failed.reason) == (Phase.FAILED, "out of disk")


def test_a_file_beyond_the_limit_of_a_list_is_told() -> None:
    """The error names the limit, because the file is there."""
    long = {**manifest("/1"), "output": [{"url": f"/{number}"} for number in range(1_200)]}
    last = BulkFileJob(manifest_url=STATUS_URL, index=1_100)
    with pytest.raises(ConfigurationError, match="1200 files, and 1000 were kept"):
        ENDPOINT.read_for(last, reply(long))


@pytest.mark.parametrize("url", ["a b", "file:///etc/passwd", "mailto:a@example.com", "http://x:99999999/"])
def test_a_file_without_a_url_is_malformed(url: str) -> None:
    """It could not be fetched."""
    with pytest.raises(MalformedReply):
        ENDPOINT.read_for(JOB, reply(manifest(url)))


def test_lines_that_are_no_resources_are_malformed() -> None:
    """The error has the number of the line. Empty lines are passed over."""
    assert ENDPOINT.read_result(reply(LINES + b"\r\n\n")) == [
        {"resourceType": "Patient", "id": "p-1"},
        {"resourceType": "Patient", "id": "p-2"},
    ]
    for broken in (LINES + b"{", LINES + b"[]"):
        with pytest.raises(MalformedReply, match="line 3"):
            ENDPOINT.read_result(reply(broken))


def test_a_status_is_kept() -> None:
    """With its file, and without one."""
    for status in (ENDPOINT.read_for(JOB, reply(manifest("/1"))).status, BulkFileStatus(file=None)):
        codec = ENDPOINT.codec
        assert codec.status_from_json(orjson.loads(orjson.dumps(codec.status_to_json(status)))) == status


def endpoint_of(url: str, **options: Any) -> BulkFileEndpoint:
    return BulkFileEndpoint(url, auth=BearerAuth(TOKEN), **options)


@pytest.mark.looptime
async def test_a_file_is_saved_with_the_credentials_if_it_requires_them(tmp_path: Path) -> None:
    """`requiresAccessToken` true: as the status request."""
    script = {"GET /status/7": [answer(manifest("BASE/1.ndjson"))], "GET /1.ndjson": [answer(LINES)]}
    async with scripted_server(script) as server, JobWatcher(endpoint_of(server.url), timeout_s=600) as watcher:
        watch = watcher.watch(BulkFileJob(manifest_url=f"{server.url}/status/7"))
        assert await watch.save_result(tmp_path / "1.ndjson", max_bytes=10_000) == len(LINES)
        assert (await watch.result())[1]["id"] == "p-2"
    assert (tmp_path / "1.ndjson").read_bytes() == LINES
    file = server.of("GET /1.ndjson")[0]
    assert (file.headers["authorization"], file.headers["accept"]) == (f"Bearer {TOKEN}", "application/fhir+ndjson")


@pytest.mark.looptime
async def test_a_file_that_requires_none_gets_no_credentials() -> None:
    """Not even from the server of the export (`requiresAccessToken` false)."""
    script = {"GET /status/7": [answer(manifest("BASE/1.ndjson", token=False))], "GET /1.ndjson": [answer(LINES)]}
    async with scripted_server(script) as server, JobWatcher(endpoint_of(server.url), timeout_s=600) as watcher:
        assert len(await watcher.watch(BulkFileJob(manifest_url=f"{server.url}/status/7")).result()) == 2
    assert "authorization" in server.of("GET /status/7")[0].headers
    assert "authorization" not in server.of("GET /1.ndjson")[0].headers


@pytest.mark.looptime
@pytest.mark.parametrize("listed", [True, False])
async def test_credentials_go_to_a_file_server_only_if_it_is_listed(listed: bool) -> None:
    """Otherwise the error says what to write, and nothing is sent there."""
    async with scripted_server({"GET /1.ndjson": [answer(LINES)]}) as files:
        script = {"GET /status/7": [answer(manifest(f"{files.url}/1.ndjson"))]}
        async with scripted_server(script) as server:
            endpoint = endpoint_of(server.url, origins=(files.url,) if listed else ())
            async with JobWatcher(endpoint, timeout_s=600) as watcher:
                watch = watcher.watch(BulkFileJob(manifest_url=f"{server.url}/status/7"))
                if listed:
                    assert len(await watch.result()) == 2
                else:
                    with pytest.raises(PollwiseError, match="origins="):
                        await watch.result()
    assert [asked.headers.get("authorization") for asked in files.asked] == [f"Bearer {TOKEN}"] * listed


@pytest.mark.looptime
@pytest.mark.parametrize("token", [True, False])
@pytest.mark.parametrize(
    "url",
    [
        "ftp://files.example.com/1",
        "http://user:s3cr3t@169.254.169.254/1",
        "http://169.254.169.254/latest/meta-data",
    ],
)
async def test_a_file_at_an_unsafe_url_is_not_fetched(url: str, token: bool) -> None:
    """Neither with credentials nor without them. The error has no part of the path."""
    script = {"GET /status/7": [answer(manifest(url, token=token))]}
    async with scripted_server(script) as server, JobWatcher(endpoint_of(server.url), timeout_s=600) as watcher:
        with pytest.raises(PollwiseError, match=r"which is not asked|origins=") as caught:
            await watcher.watch(BulkFileJob(manifest_url=f"{server.url}/status/7")).result()
    assert not any(part in str(caught.value) for part in ("s3cr3t", "meta-data"))
    assert server.lines == ["GET /status/7"]


@pytest.mark.looptime
async def test_an_expired_link_is_replaced() -> None:
    """The manifest is asked once more, and has a fresh one."""
    script = {
        "GET /status/7": [answer(manifest("BASE/old", token=False)), answer(manifest("BASE/new", token=False))],
        "GET /old": [answer(b"<Error/>", status="403 Forbidden")],
        "GET /new": [answer(LINES)],
    }
    async with scripted_server(script) as server, JobWatcher(endpoint_of(server.url), timeout_s=600) as watcher:
        assert len(await watcher.watch(BulkFileJob(manifest_url=f"{server.url}/status/7")).result()) == 2
    assert server.lines == ["GET /status/7", "GET /old", "GET /status/7", "GET /new"]


@pytest.mark.looptime
async def test_a_large_file_is_whole() -> None:
    """All its lines, in memory as well."""
    many = LINES * 2_000
    script = {"GET /status/7": [answer(manifest("BASE/1"))], "GET /1": [answer(many)]}
    async with (
        scripted_server(script) as server,
        JobWatcher(endpoint_of(server.url), timeout_s=600, pacing=Pacing.fixed(5)) as watcher,
    ):
        assert len(await watcher.watch(BulkFileJob(manifest_url=f"{server.url}/status/7")).result()) == 4_000


@pytest.mark.looptime
async def test_a_file_of_a_failed_export_raises() -> None:
    """With the server's words."""
    issues = {"resourceType": "OperationOutcome", "issue": [{"diagnostics": "out of disk"}]}
    script = {"GET /status/7": [answer(issues, "X-Export-Status: 500")]}
    async with scripted_server(script) as server, JobWatcher(endpoint_of(server.url), timeout_s=600) as watcher:
        with pytest.raises(JobFailed, match="out of disk"):
            await watcher.watch(BulkFileJob(manifest_url=f"{server.url}/status/7"))
