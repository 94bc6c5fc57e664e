"""The manifest of a bulk export: its fields, its pages, and the places of its files."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from yarl import URL

from pollwise import Reply, Request
from pollwise.endpoints._reader import ReplyReader
from pollwise.endpoints.fhir_bulk_data import BulkExport, BulkFileJob, BulkManifest
from pollwise.endpoints.fhir_bulk_data.manifest import MANIFEST, manifest_in, next_page
from pollwise.errors import ConfigurationError, MalformedReply

STATUS_URL = "https://fhir.example.com/status/7"
# The IG's examples: version 3.0.0, "Response - Output Manifest", and BulkDataManifestOrganizedByPatientExample of STU 4
STU3: dict[str, Any] = {
    "transactionTime": "2021-01-01T00:00:00Z",
    "request": "https://example.com/fhir/Patient/$export?_type=Patient,Observation",
    "requiresAccessToken": True,
    "output": [
        {"type": "Patient", "url": "https://example.com/output/patient_file_1.ndjson"},
        {"type": "Observation", "url": "https://example.com/output/observation_file_1.ndjson"},
    ],
    "deleted": [{"type": "Bundle", "url": "https://example.com/output/del_file_1.ndjson"}],
    "error": [{"type": "OperationOutcome", "url": "https://example.com/output/err_file_1.ndjson"}],
    "extension": {"https://example.com/extra-property": True},
}
STU4: dict[str, Any] = {
    "manifestType": "http://hl7.org/fhir/uv/bulkdata/StructureDefinition/BulkDataManifest",
    "transactionTime": "2021-01-01T00:00:00Z",
    "requiresAccessToken": False,
    "outputOrganizedBy": "Patient",
    "output": [
        {"url": "https://example.org/output/file_1.ndjson"},
        {
            "url": "https://example.org/output/file_2.ndjson",
            "continuesInFile": "https://example.org/output/file_3.ndjson",
            "count": 40,
            "fileSize": 4_096,
        },
    ],
    "outcome": [
        {"url": "https://example.org/output/err_file_1.ndjson", "countSeverity": [{"code": "error", "count": 2}]}
    ],
    "link": [{"relation": "next", "url": "https://example.org/output/manifest-2.json"}],
}


def reply(data: Any, **fields: str) -> Reply:
    headers = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in fields.items()}}
    return Reply(200, headers, orjson.dumps(data), Request(URL(STATUS_URL)))


def read(data: Any) -> BulkManifest:
    return manifest_in(reply(data), ReplyReader(MANIFEST, "fhir", lambda _reply: None))


def test_a_manifest_of_stu_3_is_read() -> None:
    """Its messages are in `error`, and it has the request."""
    manifest = read(STU3)
    assert manifest.requires_access_token
    assert manifest.request == STU3["request"]
    assert [file.type for file in manifest.output] == ["Patient", "Observation"]
    assert [len(files) for files in (manifest.deleted, manifest.error, manifest.outcome)] == [1, 1, 0]
    assert manifest.extension == STU3["extension"]


def test_a_manifest_of_stu_4_is_read() -> None:
    """Its messages are in `outcome`, and files have a size."""
    manifest = read(STU4)
    assert (manifest.output_organized_by, manifest.requires_access_token) == ("Patient", False)
    second = manifest.output[1]
    assert (second.count, second.file_size) == (40, 4_096)
    assert second.continues_in_file == "https://example.org/output/file_3.ndjson"
    assert manifest.outcome[0].count_severity == [{"code": "error", "count": 2}]


def test_a_file_is_named_by_its_place() -> None:
    """By the page, the list and the index, because its URL may change."""
    manifest = read(STU3)
    assert manifest.output[1].job == BulkFileJob(manifest_url=STATUS_URL, part="output", index=1)
    assert manifest.error[0].job == BulkFileJob(manifest_url=STATUS_URL, part="error", index=0)


def test_pages_are_joined() -> None:
    """The values of the first page, the files of all, and the link of the last one."""
    first, second = read(STU4), read({**STU4, "link": []})
    whole = first + second
    assert (len(whole.output), len(whole.outcome), whole.link) == (4, 2, ())
    assert next_page(first, reply(STU4)) == "https://example.org/output/manifest-2.json"
    assert next_page(second, reply(STU4)) is None
    relative = read({**STU4, "link": [{"relation": "prev", "url": "x"}, {"relation": "next", "url": "../page/2"}]})
    assert next_page(relative, reply(STU4)) == "https://fhir.example.com/page/2"
    with pytest.raises(MalformedReply):
        next_page(read({**STU4, "link": [{"relation": "next", "url": "a b"}]}), reply(STU4))


@pytest.mark.parametrize("token", [None, "maybe", 1])
def test_a_manifest_must_say_whether_its_files_need_credentials(token: object) -> None:
    """Otherwise they could go to the wrong server."""
    with pytest.raises(MalformedReply, match="requiresAccessToken"):
        read({**STU3, "requiresAccessToken": token})


def test_a_file_without_a_url_is_malformed() -> None:
    """There would be nothing to fetch."""
    with pytest.raises(MalformedReply, match="url"):
        read({**STU3, "output": [{"type": "Patient"}]})


def test_what_informs_hides_nothing() -> None:
    """A count in another form is converted, or None."""
    manifest = read({**STU3, "output": [{"url": "a", "count": "7", "fileSize": "big"}], "deleted": None})
    assert (manifest.output[0].count, manifest.output[0].file_size, manifest.deleted) == (7, None, ())


def test_a_long_manifest_says_how_many_files_are_missing() -> None:
    """A status keeps the first thousand of a list. The result has all."""
    manifest = read({**STU3, "output": [{"url": f"https://example.com/{number}"} for number in range(1_500)]})
    assert len(manifest.output) == 1_000
    assert MANIFEST.structure(MANIFEST.unstructure(manifest)) == manifest
    assert MANIFEST.unstructure(manifest)["left_out"] == {"output": 500}


@pytest.mark.parametrize(
    "keys",
    [
        {"manifest_url": "/status/7"},
        {"manifest_url": "file:///etc/passwd"},
        {"manifest_url": "https://user:secret@fhir.example.com/7"},
        {"manifest_url": "https://fhir.example.com/\n"},
        {"manifest_url": "https://fhir.example.com/" + "x" * 9_000},
        {"manifest_url": 7},
        {"manifest_url": STATUS_URL, "part": "link"},
        {"manifest_url": STATUS_URL, "index": -1},
        {"manifest_url": STATUS_URL, "index": True},
    ],
)
def test_a_job_that_cannot_be_asked_is_refused(keys: dict[str, Any]) -> None:
    """When it is made; a resume token is no way around that."""
    with pytest.raises(ConfigurationError):
        BulkFileJob(**keys)


def test_a_signature_in_a_url_is_not_shown() -> None:
    """A file's URL may be all that its reader needs ("Bulk Data Output File Request")."""
    url = "https://files.example.com/1?sig=s3cr3t"
    manifest = read(
        {**STU3, "output": [{"url": url, "continuesInFile": url}], "link": [{"relation": "next", "url": url}]}
    )
    job = BulkFileJob(manifest_url=url)
    assert "s3cr3t" not in repr((manifest, job, BulkExport(url)))
    assert "https://files.example.com/1" in repr(manifest)
