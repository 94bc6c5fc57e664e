"""Oracle Content's downloads of many files, and the traps of the vendor's page."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from pollwise import Phase, Reading, Reply
from pollwise.endpoints.oracle_content.downloads import (
    DownloadEndpoint,
    DownloadFile,
    DownloadJob,
    DownloadLink,
    DownloadOrder,
    DownloadProgress,
)
from pollwise.errors import ConfigurationError, MalformedReply, Problem, RequestRejected
from vendor_cases import document

ENDPOINT = DownloadEndpoint("https://api.example.com/x")
FOLDER = "FE7DA518D17AA5E46E282D9A1B02AE3398E71823807D"
JOB = DownloadJob(FOLDER, "43C4798AB49E496B53A27D99F3CE768F1614800841210")
ORDER = DownloadOrder(folder_id=FOLDER, ids=("D1", "F2"))


def reply(body: object, status: int = 200, **headers: str) -> Reply:
    return Reply(status, headers, orjson.dumps(body))


def read(**fields: object) -> Reading[Any]:
    return ENDPOINT.read_for(JOB, reply({**document("oracle_content/download_succeeded"), **fields}))


def started(**fields: object) -> DownloadJob:
    return ENDPOINT.read_submitted(ORDER, reply({**document("oracle_content/download_started"), **fields}))


def test_both_forms_of_the_page_are_the_same_status(caplog: pytest.LogCaptureFixture) -> None:
    """Real scalars and strings, `links` as an object and as a list. Neither is called undocumented."""
    link = document("oracle_content/download_succeeded")["links"]
    strings = {"completed": "true", "completedPercentage": "100", "errorCode": "0"}
    texts = read(**strings, links=[link], details={"filename": "OCE-20210303.zip", "filesize": "27811"})
    assert texts == read()
    status = texts.status
    assert (status.progress, status.completed, status.error_code) == (DownloadProgress.SUCCEEDED, True, 0)
    assert status.details == DownloadFile(filename="OCE-20210303.zip", filesize=27811)
    assert [(one.rel, one.media_type) for one in status.links] == [("enclosure", "application/zip")]
    assert (texts.phase, texts.fraction, caplog.records) == (Phase.SUCCEEDED, 1.0, [])
    assert read(type=7).status.links == status.links  # another field is undocumented, and only that is logged
    assert [record.getMessage().split(" is ")[0] for record in caplog.records] == [
        "oracle-content-download: field type"
    ]


@pytest.mark.parametrize("links", [None, [], "x", [{"href": 7}], {"rel": "self"}, [{"href": "https://other.example/"}]])
@pytest.mark.parametrize("details", [None, {}, "a.zip", {"filesize": "many"}])
def test_what_informs_never_hides_the_end(links: object, details: object) -> None:
    """Odd links and details are kept as far as possible."""
    assert read(links=links, details=details).phase is Phase.SUCCEEDED


def test_a_link_to_another_jobs_package_is_malformed() -> None:
    """The status does not name its job, but its link does."""
    other = DownloadJob(FOLDER, "43C4798AB49E496B53A27D99F3CE768F1614800841211")
    with pytest.raises(MalformedReply, match=r"field links\.href: the reply is about another job"):
        ENDPOINT.read_for(other, reply(document("oracle_content/download_succeeded")))
    assert read(links=DownloadLink().href).final


def test_a_failure_has_its_code_and_message() -> None:
    """As for an extraction."""
    failed = read(progress="FAILED", errorCode="-21", message="no space")
    assert (failed.phase, failed.final, failed.reason) == (Phase.FAILED, True, "no space; code -21")


def test_an_unknown_job_is_told_by_its_key() -> None:
    """Also for a job of another user. Other refusals are not."""
    refusal = {"errorCode": "-97", "errorKey": "!csCloudBulkZipRequestJobNotValid", "errorMessage": "not valid"}
    problem = ENDPOINT.problem(reply(refusal, 400))
    assert problem == Problem(codes=("-97",), descriptions=("not valid",), key=refusal["errorKey"], job_unknown=True)
    other = ENDPOINT.problem(reply({**refusal, "errorKey": "!csInvalidRequest"}, 400))
    assert other is not None
    assert not other.job_unknown


def test_the_result_is_the_package_of_the_job() -> None:
    """At the documented path below the base URL, not at the server's link."""
    request = ENDPOINT.result_request(JOB, read().status)
    assert (
        str(request.url)
        == f"https://api.example.com/x/documents/api/1.2/folders/{FOLDER}/_download/{JOB.job_id}/package"
    )
    assert ENDPOINT.read_result(Reply(200, {}, b"PK")) == b"PK"


def test_a_download_is_started_as_documented() -> None:
    """One POST with the IDs as one text. The job is the last segment of `Location`, as a field or as a header field."""
    request = ENDPOINT.submit_request(ORDER, "key")
    assert (request.method, orjson.loads(request.body or b"")) == ("POST", {"idList": "D1,F2"})
    assert str(request.url) == f"https://api.example.com/x/documents/api/1.2/folders/{FOLDER}/_download"
    job = DownloadJob(FOLDER, "EF45E5E0A9F169D61CA387968719F5AA1614798736483")
    assert started() == started(errorCode="0") == job
    located = reply({"errorCode": 0}, Location=f"https://api.example.com/documents/x/_download/{job.job_id}")
    assert ENDPOINT.read_submitted(ORDER, located) == job
    home = DownloadOrder(folder_id="self", ids=("D1",))
    assert ENDPOINT.read_submitted(home, reply(document("oracle_content/download_started"))).folder_id == "self"


def test_a_start_that_names_no_job_is_a_refusal_or_malformed() -> None:
    """So is one about another folder."""
    with pytest.raises(RequestRejected) as caught:
        started(Location=None, errorCode="-16", errorMessage="no such file")
    assert caught.value.problem == Problem(codes=("-16",), descriptions=("no such file",))
    for location in (None, "", "https://api.example.com/login", f"…/folders/{FOLDER}", "x/_download/", 7):
        with pytest.raises(MalformedReply, match="field Location"):
            started(Location=location)
    with pytest.raises(MalformedReply, match="another folder"):
        started(id="fFolderGUID:" + FOLDER[::-1])


@pytest.mark.parametrize("ids", [(), ("a,b",), ("",), ("a", ".."), "abc", ["a"], (7,)])
def test_an_order_has_ids_that_can_be_sent(ids: Any) -> None:
    """It is refused where it is made."""
    with pytest.raises(ConfigurationError, match="ids"):
        DownloadOrder(folder_id="F", ids=ids)
