"""Document360 v2: exports and imports, their starts and the traps of the vendor's pages."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from pollwise import Phase, Reading, Reply
from pollwise.endpoints.document360.projects import (
    ExportV2Endpoint,
    ExportV2Job,
    ExportV2Order,
    ImportV2Endpoint,
    ImportV2Job,
    ImportV2Order,
    JobState,
)
from pollwise.errors import ConfigurationError, MalformedReply, Problem, RequestRejected
from vendor_cases import document

EXPORTS = ExportV2Endpoint("https://api.example.com/eu")
IMPORTS = ImportV2Endpoint("https://api.example.com/eu")
IMPORT = ImportV2Order(source_documentation_url="https://files.example.com/a.zip?sig=s3cr3t", import_by="U")


def reply(body: object, status: int = 200) -> Reply:
    return Reply(status, {}, orjson.dumps(body))


def export(**fields: object) -> Reading[Any]:
    return EXPORTS.read(reply({**document("document360/export_v2_completed"), **fields}))


@pytest.mark.parametrize(
    ("state", "phase", "final", "unconfirmed"),
    [
        ("Queued", Phase.QUEUED, False, False),
        ("Initiated", Phase.RUNNING, False, False),
        ("InProgress", Phase.RUNNING, False, False),
        ("in progress", Phase.RUNNING, False, False),
        ("IN_PROGRESS", Phase.RUNNING, False, False),
        ("Completed", Phase.SUCCEEDED, True, False),
        ("Error", Phase.FAILED, True, False),
        ("Failed", Phase.FAILED, False, True),
        ("Canceled", Phase.CANCELLED, False, True),
        ("Success", Phase.RUNNING, False, False),
    ],
)
def test_only_completed_and_error_end_an_export(state: str, phase: Phase, final: bool, unconfirmed: bool) -> None:
    """The words of v3 for a bad end look over, and further polls confirm them."""
    reading = export(status=state)
    assert (reading.phase, reading.final, reading.unconfirmed) == (phase, final, unconfirmed)


def test_an_export_with_errors_has_failed() -> None:
    """`success` false and a non-empty `errors` make a completion a failure, with the vendor's words."""
    assert export(success=False).phase is Phase.FAILED
    failed = export(errors=[{"description": "disk full", "error_code": "E"}])
    assert (failed.phase, failed.reason) == (Phase.FAILED, "disk full; code E")
    assert export(status="InProgress", success=False).phase is Phase.RUNNING


def test_the_documented_completion_of_an_import_is_a_success_although_it_reports_an_error() -> None:
    """The vendor's own example has `success` false, and an error about its log."""
    reading = IMPORTS.read(reply(document("document360/import_v2_completed")))
    assert (reading.phase, reading.final, reading.reason) == (Phase.SUCCEEDED, True, None)
    assert reading.status.success is False
    assert reading.status.errors[0].description == "Element 'ImportLog' not found."


def test_the_log_of_an_import_is_kept() -> None:
    """As sent, whatever is in it."""
    log = {
        "new_versions": 1,
        "languages": "2",
        "messages": [{"message_type": 0, "message": "x", "cancel_operation": True}],
    }
    body = {**document("document360/import_v2_completed"), "status": "Error", "import_documentation_log": log}
    reading = IMPORTS.read(reply(body))
    assert (reading.phase, reading.status.import_documentation_log) == (Phase.FAILED, log)


def test_a_null_status_is_malformed_with_the_vendors_words() -> None:
    """The page shows it for an invalid ID."""
    body = {"status": None, "success": True, "errors": [{"description": "Invalid export id", "error_code": "400"}]}
    with pytest.raises(MalformedReply, match="the server said: Invalid export id; code 400"):
        EXPORTS.read(reply(body))
    refusal = reply(document("document360/export_v2_invalid_400"), 400)
    assert EXPORTS.problem(refusal) == Problem(codes=("400",), descriptions=("Invalid export id",))


def test_the_result_is_the_file_at_the_link() -> None:
    """The link is asked as it was sent, and shown nowhere."""
    link = "https://cdn.example.com/exp/a%20b.zip?sv=2023&sig=Bt%2FHwe%3D"
    status = export(download_url=link).status
    assert str(EXPORTS.result_request(ExportV2Job("E"), status).url) == link
    assert "sig" not in repr(status)
    assert EXPORTS.read_result(Reply(200, {}, b"PK\x03\x04")) == b"PK\x03\x04"


@pytest.mark.parametrize("link", [None, "", "http://[", "http://x.example:abc/", "https://x.example/a b"])
def test_a_completed_export_without_a_link_has_no_result(link: str | None) -> None:
    """The error says so, without the link."""
    with pytest.raises(ConfigurationError, match="no URL in download_url"):
        EXPORTS.result_request(ExportV2Job("E"), export(download_url=link).status)


def test_an_export_is_started_as_documented() -> None:
    """One POST with the documented fields; further ones may be passed."""
    request = EXPORTS.submit_request(
        ExportV2Order(version_ids=("V",), entity="Version", more={"export_type": 0}), "key"
    )
    assert (request.method, str(request.url)) == ("POST", "https://api.example.com/eu/v2/Project/Export")
    assert not request.is_idempotent
    assert orjson.loads(request.body or b"") == {
        "entity": "Version",
        "version_id": ["V"],
        "exclude_media_files": False,
        "export_type": 0,
    }
    job = EXPORTS.read_submitted(ExportV2Order(), reply(document("document360/export_v2_started")))
    assert job == ExportV2Job("69c2a0ee-bbac-4563-921c-08efef575b64")
    assert hash(ExportV2Order()) == hash(ExportV2Order())


def test_an_import_is_started_as_documented() -> None:
    """One POST. The source is in no `repr`, because its URL may be signed."""
    request = IMPORTS.submit_request(IMPORT, "key")
    assert (request.method, str(request.url)) == ("POST", "https://api.example.com/eu/v2/Project/Import")
    assert orjson.loads(request.body or b"") == {
        "source_documentation_url": "https://files.example.com/a.zip?sig=s3cr3t",
        "publish_article": False,
        "import_by": "U",
    }
    assert "s3cr3t" not in repr((IMPORT, request))
    assert IMPORTS.read_submitted(IMPORT, reply({"id": "I", "status": "Queued"})) == ImportV2Job("I")


@pytest.mark.parametrize("errors", [["Export API request limit(2) is reached for the day."], []])
def test_a_start_that_names_no_job_is_a_refusal_or_malformed(errors: list[str]) -> None:
    """With the vendor's words, if it has some."""
    kind = RequestRejected if errors else MalformedReply
    body = reply({"id": None, "status": None, "success": True, "errors": errors})
    with pytest.raises(kind):
        EXPORTS.read_submitted(ExportV2Order(), body)
    with pytest.raises(kind) as caught:
        IMPORTS.read_submitted(IMPORT, body)
    assert "s3cr3t" not in str(caught.value)


def test_the_words_are_an_enum() -> None:
    """A known word in any spelling is a member; another one stays what it is."""
    assert export(status="in-progress").status.status is JobState.IN_PROGRESS
    assert export(status=" Thawing ").status.status == " Thawing "
    assert not isinstance(export(status="Thawing").status.status, JobState)
