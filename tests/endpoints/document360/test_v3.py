"""Document360 v3: tasks of the drive, exports and imports, and the traps of the vendor's pages."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from pollwise import JobWatcher, Phase, Reading, Reply
from pollwise.core.header_hints import rate_hints
from pollwise.endpoints.document360.v3 import (
    DriveTaskEndpoint,
    DriveTaskJob,
    ExportV3Endpoint,
    ExportV3Job,
    ExportV3Order,
    ImportV3Endpoint,
    ImportV3Job,
    ImportV3Order,
)
from pollwise.errors import ConfigurationError, MalformedReply, Problem, RequestRejected
from pollwise.testing import ScriptedTransport
from vendor_cases import document

BASE = "https://api.example.com"
TASKS, EXPORTS, IMPORTS = DriveTaskEndpoint(BASE), ExportV3Endpoint(BASE), ImportV3Endpoint(BASE)
TASK = DriveTaskJob("p", "a3b4c5d6-1234-5678-9abc-def012345678")
EXPORT = ExportV3Order(project_id="p", format="pdf", workspace_id="w", lang_code="en")


def reply(body: object, status: int = 200, **headers: str) -> Reply:
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, orjson.dumps(body))


def export(**data: object) -> Reading[Any]:
    body = document("document360/export_v3_completed")
    body["data"] |= data
    return EXPORTS.read(reply(body))


@pytest.mark.parametrize(("sample", "phase"), [("processing", Phase.RUNNING), ("completed", Phase.SUCCEEDED)])
def test_the_documented_replies_are_understood(sample: str, phase: Phase) -> None:
    """`Processing` is in the vendor's example, and not in its list of words."""
    reading = TASKS.read_for(TASK, reply(document(f"document360/task_v3_{sample}")))
    assert (reading.phase, reading.unknown, reading.fraction) == (phase, None, None)


@pytest.mark.parametrize(
    ("state", "phase", "final", "unconfirmed"),
    [
        ("Pending", Phase.QUEUED, False, False),
        ("InProgress", Phase.RUNNING, False, False),
        ("Completed", Phase.SUCCEEDED, True, False),
        ("Failed", Phase.FAILED, True, False),
        ("Error", Phase.FAILED, False, True),
        ("Cancelled", Phase.CANCELLED, False, True),
        ("Success", Phase.RUNNING, False, True),
    ],
)
def test_only_completed_and_failed_end_a_job(state: str, phase: Phase, final: bool, unconfirmed: bool) -> None:
    """The word of v2 for a bad end is unconfirmed. An unknown word with a time of completion is no success."""
    reading = export(status=state)
    assert (reading.phase, reading.final, reading.unconfirmed) == (phase, final, unconfirmed)


@pytest.mark.parametrize("more", [{"success": False}, {"errors": [{"code": "E", "message": "no space"}]}])
def test_a_completion_with_errors_has_failed(more: dict[str, Any]) -> None:
    """A wrong success is the worst error."""
    reading = TASKS.read(reply({**document("document360/task_v3_completed"), **more}))
    assert (reading.phase, reading.reason) == (Phase.FAILED, "no space; code E" if "errors" in more else None)


def test_a_refusal_has_the_vendors_code_and_words() -> None:
    """Refusals are problem details (RFC 9457). Without errors, `detail` says why."""
    body = document("document360/unauthorized_v3_401")
    refused = Problem(codes=("UNAUTHORIZED",), descriptions=("Bearer token is missing or invalid.",))
    assert EXPORTS.problem(reply(body, 401)) == refused
    expired = "The authentication token is missing or has expired."
    assert EXPORTS.problem(reply({**body, "errors": None}, 401)) == Problem(descriptions=(expired,))
    assert EXPORTS.problem(reply({"title": "Not Found."}, 404)) == Problem(descriptions=("Not Found.",))
    assert EXPORTS.problem(reply({"other": 1}, 404)) is None


def test_the_reset_is_a_unix_time() -> None:
    """The seconds until then are what counts."""
    said = {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1767225660"}
    hints = rate_hints(said, wall_now=1767225600.0)
    assert hints is not None
    assert (hints.limit, hints.remaining, hints.reset_s) == (100, 0, 60.0)


@pytest.mark.looptime
async def test_an_expired_link_is_fetched_afresh() -> None:
    """The signed link of a project that is not public is valid for 30 minutes. A refused one is replaced, once."""

    def answer(request: Any) -> Reply:
        if "storage" in str(request.url.host):
            fresh = "sig=2" in request.url.query_string
            return Reply(200 if fresh else 403, {}, b"PK" if fresh else b"<Error>AuthenticationFailed</Error>")
        asked.append(request)
        body = document("document360/export_v3_completed")
        body["data"]["download_url"] += f"?sig={len(asked)}"
        return reply(body)

    asked: list[Any] = []
    transport = ScriptedTransport(answer)
    async with JobWatcher(EXPORTS, timeout_s=60, transport=transport) as watcher:
        job = ExportV3Job("p", "f1a2b3c4-d5e6-7f89-0a1b-2c3d4e5f6a7b")
        assert await watcher.watch(job).result() == b"PK"
    assert [request.url.host for _, request in transport.requests] == [
        "api.example.com",
        "storage.document360.io",
        "api.example.com",
        "storage.document360.io",
    ]


def test_an_export_without_a_link_has_no_result() -> None:
    """The error says which field is empty."""
    with pytest.raises(ConfigurationError, match=r"no URL in data\.download_url"):
        EXPORTS.result_request(ExportV3Job("p", "e"), export(download_url=None).status)


def test_an_export_is_started_as_documented() -> None:
    """One POST, whose reply 202 names the export."""
    request = EXPORTS.submit_request(EXPORT, "key")
    assert (request.method, str(request.url)) == ("POST", f"{BASE}/v3/projects/p/exports")
    assert orjson.loads(request.body or b"") == {"workspace_id": "w", "format": "pdf", "lang_code": "en"}
    older = ExportV3Order(project_id="p", format="pdf", workspace_id=None, more={"project_version_id": "v"})
    assert orjson.loads(EXPORTS.submit_request(older, "key").body or b"") == {
        "format": "pdf",
        "project_version_id": "v",
    }
    started = reply(document("document360/export_v3_started"), 202)
    assert EXPORTS.read_submitted(EXPORT, started) == ExportV3Job("p", "f1a2b3c4-d5e6-7f89-0a1b-2c3d4e5f6a7b")


def test_an_import_is_started_as_documented() -> None:
    """One POST. Without an ID in the body, `Operation-Location` names the import."""
    order = ImportV3Order(project_id="p", source_documentation_url="https://files.example.com/?sig=x", import_by="U")
    request = IMPORTS.submit_request(order, "key")
    assert (request.method, str(request.url)) == ("POST", f"{BASE}/v3/projects/p/imports")
    assert orjson.loads(request.body or b"")["publish_article"] is False
    assert "sig" not in repr(order)
    body = {"data": {"id": None, "status": "Pending"}, "success": True}
    located = reply(body, 202, Operation_Location=f"{BASE}/v3/projects/p/imports/I%201")
    assert IMPORTS.read_submitted(order, located) == ImportV3Job("p", "I 1")


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({}, MalformedReply),
        ({"success": False}, RequestRejected),
        ({"errors": [{"code": "LIMIT", "message": "too many"}]}, RequestRejected),
        ({"data": None}, MalformedReply),
    ],
)
def test_a_start_that_names_no_job_is_a_refusal_or_malformed(more: dict[str, Any], kind: type[Exception]) -> None:
    """A redirect to another page is no job either."""
    body = {"data": {"id": None, "status": "Pending"}, "success": True, **more}
    with pytest.raises(kind):
        EXPORTS.read_submitted(EXPORT, reply(body, 202, Operation_Location=f"{BASE}/login"))
