"""Oracle Content Management's ZIP extraction: every phase rule, every documented reply, and whatever else may come."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise import MalformedReply, Phase, Problem, Reading, Reply
from pollwise.endpoints.oracle_content import (
    ExtractionEndpoint,
    ExtractionItem,
    ExtractionJob,
    ExtractionProgress,
    ExtractionStatus,
)

ENDPOINT = ExtractionEndpoint("https://example.com")
JSON_TYPE = {"Content-Type": "application/json"}

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
TEXT = st.none() | st.text()
COUNT = st.integers(-(10**18) + 1, 10**18 - 1)
ITEMS = st.lists(st.builds(ExtractionItem, id=st.text(), type=TEXT, error=TEXT), max_size=3).map(tuple)
STATUSES = st.builds(
    ExtractionStatus,
    progress=st.sampled_from(ExtractionProgress) | st.text().filter(lambda word: word not in set(ExtractionProgress)),
    completed=st.booleans(),
    completed_percentage=st.integers(0, 100),
    error_code=COUNT,
    files_created=COUNT,
    files_ignored=COUNT,
    files_name_adjusted=COUNT,
    files_overwritten=COUNT,
    files_processed=COUNT,
    files_skipped=COUNT,
    files_versioned=COUNT,
    message=TEXT,
    type=TEXT,
    skipped_items=ITEMS,
    ignored_items=ITEMS,
)


def reply(body: object, status: int = 200) -> Reply:
    return Reply(status, JSON_TYPE, body if isinstance(body, bytes) else orjson.dumps(body))


def reading_or_reason(body: bytes) -> Reading[ExtractionStatus] | str:
    try:
        return ENDPOINT.read(reply(body))
    except MalformedReply as exc:
        return exc.reason


def pickled(value: object) -> object:
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own bytes


def answer(progress: object = "PROCESSING", **more: object) -> dict[str, Any]:
    return {"progress": progress, "completed": "false", "completedPercentage": "25", **more}


def test_the_documented_progress_is_a_quarter(samples: Path) -> None:
    """PROCESSING runs, and its percentage is the fraction done."""
    reading = ENDPOINT.read(reply((samples / "oracle_content" / "processing.json").read_bytes()))
    assert (reading.phase, reading.final, reading.unconfirmed, reading.fraction) == (Phase.RUNNING, False, False, 0.25)
    assert reading.status == ExtractionStatus(
        progress=ExtractionProgress.PROCESSING,
        completed=False,
        completed_percentage=25,
        files_ignored=1,
        message="Processing entry 6image/./exif-xmp.jpg",
        type="file",
    )
    assert reading.status.ignored_any
    assert not reading.status.extracted_all


def test_the_documented_success_left_nothing_out(samples: Path) -> None:
    """SUCCEEDED is final, and the status says that all was extracted."""
    reading = ENDPOINT.read(reply((samples / "oracle_content" / "succeeded.json").read_bytes()))
    assert (reading.phase, reading.final, reading.fraction, reading.reason) == (Phase.SUCCEEDED, True, 1.0, None)
    assert reading.status.extracted_all
    assert reading.status.summary() == "3 processed, 3 created"


def test_the_documented_success_that_skipped_everything_says_so(samples: Path) -> None:
    """Still a success; its three skipped items are typed, and the status does not hide them."""
    reading = ENDPOINT.read(reply((samples / "oracle_content" / "succeeded_all_skipped.json").read_bytes()))
    why = "Entry skipped - existing file with same name in folder"
    assert (reading.phase, reading.final) == (Phase.SUCCEEDED, True)
    assert reading.status.skipped_items == tuple(
        ExtractionItem(id=name, type="file", error=why) for name in ("exif-xmp.jpg", "Mugs.jpg", "Mugs.png")
    )
    assert reading.status.skipped_any
    assert not reading.status.ignored_any
    assert not reading.status.extracted_all
    assert reading.status.summary() == "3 skipped"


def test_the_documented_400_means_that_the_job_is_unknown(samples: Path) -> None:
    """The vendor's code and key are kept, and the key means that there is no such job for this caller."""
    body = (samples / "oracle_content" / "job_not_valid_400.json").read_bytes()
    assert ENDPOINT.problem(reply(body, 400)) == Problem(
        codes=("-96",),
        descriptions=("Extraction job ID not valid.",),
        key="!csCloudBulkExtractionRequestJobNotValid",
        job_unknown=True,
    )


@pytest.mark.parametrize("completed", ["true", "false"])
@pytest.mark.parametrize(
    ("progress", "phase", "final", "unconfirmed"),
    [
        ("PENDING", Phase.QUEUED, False, False),
        ("PROCESSING", Phase.RUNNING, False, False),
        ("SUCCEEDED", Phase.SUCCEEDED, True, False),
        ("FAILED", Phase.FAILED, True, False),
        ("ABORTED", Phase.CANCELLED, False, True),
    ],
)
def test_progress_ends_a_watch_and_completed_never_does(
    completed: str, progress: str, phase: Phase, final: bool, unconfirmed: bool
) -> None:
    """The phase of every documented word, whatever `completed` says."""
    reading = ENDPOINT.read(reply(answer(progress, completed=completed)))
    assert (reading.phase, reading.final, reading.unconfirmed) == (phase, final, unconfirmed)
    assert reading.status.progress is ExtractionProgress(progress)
    assert reading.unknown is None


@pytest.mark.parametrize(
    ("more", "phase", "unconfirmed"),
    [
        ({}, Phase.RUNNING, False),
        ({"completedPercentage": "100"}, Phase.RUNNING, False),
        ({"errorCode": "-5"}, Phase.RUNNING, False),
        ({"completed": "true", "completedPercentage": "100"}, Phase.SUCCEEDED, True),
        ({"completed": "true", "completedPercentage": "99"}, Phase.FAILED, True),
        ({"completed": "true", "completedPercentage": "100", "errorCode": "-5"}, Phase.FAILED, True),
    ],
)
def test_an_unknown_word_runs_and_looks_over_only_when_completed(
    more: dict[str, str], phase: Phase, unconfirmed: bool
) -> None:
    """It is kept verbatim; it is believed a success only where everything else says so too."""
    reading = ENDPOINT.read(reply(answer("PAUSED", **more)))
    assert (reading.phase, reading.final, reading.unconfirmed) == (phase, False, unconfirmed)
    assert reading.status.progress == "PAUSED"
    assert not isinstance(reading.status.progress, ExtractionProgress)
    assert reading.unknown == "progress=PAUSED"


def test_an_unknown_word_is_told_short_and_escaped() -> None:
    """What is logged holds no escape sequence and no page of text."""
    assert ENDPOINT.read(reply(answer("\x1b[2J" + "x" * 500))).unknown == "progress=\\x1b[2J" + "x" * 36


def test_words_are_matched_exactly() -> None:
    """No guessing: another spelling is another word."""
    assert ENDPOINT.read(reply(answer("succeeded"))).phase is Phase.RUNNING
    assert ENDPOINT.read(reply(answer("SUCCEEDED "))).phase is Phase.RUNNING


def test_a_status_reads_well_with_match() -> None:
    """Callers can match on the enum, and on the word where it is unknown."""
    match ENDPOINT.read(reply(answer("FAILED"))).status:
        case ExtractionStatus(progress=ExtractionProgress.FAILED, error_code=code):
            assert code == 0
        case _:
            pytest.fail("did not match")


def test_the_reason_is_the_vendors_words() -> None:
    """A failure carries the message and the error code; zero is none."""
    failed = answer("FAILED", message="ZIP is broken", errorCode="-17")
    assert ENDPOINT.read(reply(failed)).reason == "ZIP is broken; code -17"
    assert ENDPOINT.read(reply(answer("FAILED", message="x" * 900))).reason == "x" * 500
    assert ENDPOINT.read(reply(answer("FAILED"))).reason is None
    assert ENDPOINT.read(reply(answer("ABORTED", message="by admin"))).reason == "by admin"
    assert ENDPOINT.read(reply(answer("SUCCEEDED", message="Zip processing completed"))).reason is None


@pytest.mark.parametrize(
    ("value", "number"), [("25", 25), (25, 25), ("0", 0), ("-96", -96), ("5000", 5000), ("007", 7)]
)
def test_numbers_come_as_text_or_as_numbers(value: object, number: int) -> None:
    """Gateways re-encode."""
    assert ENDPOINT.read(reply(answer(errorCode=value, filesSkipped=value))).status.error_code == number


@pytest.mark.parametrize(("value", "truth"), [("true", True), (True, True), ("false", False), (False, False)])
def test_booleans_come_as_text_or_as_booleans(value: object, truth: bool) -> None:
    """Gateways re-encode."""
    assert ENDPOINT.read(reply(answer(completed=value))).status.completed is truth


@pytest.mark.parametrize(
    "value", [None, True, 25.0, "25.0", "", " 25", "25 ", "+25", "2_5", "0x19", "٢٥", "1e2", "9" * 19, [], {}, "x" * 99]
)
def test_no_other_form_is_a_number(value: object) -> None:
    """Strict at the door: a field that is not what is documented is named."""
    with pytest.raises(MalformedReply) as caught:
        ENDPOINT.read(reply(answer(filesCreated=value)))
    assert caught.value.reason.startswith("field filesCreated: expected a whole number, got ")
    assert len(caught.value.reason) < 120


@pytest.mark.parametrize("value", [None, 0, 1, "True", "yes", "", [], {}])
def test_no_other_form_is_a_boolean(value: object) -> None:
    """Strict at the door."""
    with pytest.raises(MalformedReply, match="field completed: expected 'true' or 'false', got "):
        ENDPOINT.read(reply(answer(completed=value)))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"completed": "true", "completedPercentage": "1"}, "field progress: missing"),
        ({"progress": "FAILED", "completedPercentage": "1"}, "field completed: missing"),
        ({"progress": "FAILED", "completed": "true"}, "field completedPercentage: missing"),
        (answer(None), "field progress: expected text, got null"),
        (answer(3), "field progress: expected text, got 3"),
        (answer(completedPercentage="101"), "field completedPercentage: expected 0 to 100, got '101'"),
        (answer(completedPercentage=-1), "field completedPercentage: expected 0 to 100, got -1"),
        (answer(message=5), "field message: expected text or null, got 5"),
        (answer(type=[]), "field type: expected text or null, got a list"),
        (answer(skippedItems={}), "field skippedItems: expected a list or null, got an object"),
        (answer(skippedItems=["a.jpg"]), "field skippedItems[0]: expected an object, got 'a.jpg'"),
        (answer(ignoredItems=[{"id": "a"}, {"type": "file"}]), "field ignoredItems[1].id: missing"),
        (answer(ignoredItems=[{"id": "a"}, {"id": None}]), "field ignoredItems[1].id: expected text, got null"),
        ("text", "expected an object, got 'text'"),
        (b'<?xml version="1.0"?>', "broken JSON, "),
    ],
)
def test_what_is_not_documented_is_malformed_and_says_where(body: object, why: str) -> None:
    """The first fault is told with the path to its field, by the vendor's own names."""
    with pytest.raises(MalformedReply) as caught:
        ENDPOINT.read(reply(body))
    assert caught.value.reason.startswith(why)
    assert caught.value.__context__ is None


def test_a_megabyte_of_bad_items_is_one_fault() -> None:
    """The first bad item is enough; the others cost nothing."""
    with pytest.raises(MalformedReply, match=r"field skippedItems\[0\]: expected an object, got 0"):
        ENDPOINT.read(reply(answer(skippedItems=[0] * 500_000)))


@pytest.mark.parametrize("kind", [None, "text/html; charset=utf-8", "application/xml"])
def test_only_json_is_read(samples: Path, kind: str | None) -> None:
    """A proxy's page is never parsed."""
    body = (samples / "oracle_content" / "succeeded.json").read_bytes()
    with pytest.raises(MalformedReply, match="expected JSON"):
        ENDPOINT.read(Reply(200, {} if kind is None else {"Content-Type": kind}, body))


def test_a_counter_that_is_not_sent_is_zero_and_lists_may_be_null() -> None:
    """Only what decides is required; keys that nobody documented are ignored."""
    status = ENDPOINT.read(reply(answer(skippedItems=None, ignoredItems=[], unheard_of={"x": 1}))).status
    assert status == ExtractionStatus(
        progress=ExtractionProgress.PROCESSING, completed=False, completed_percentage=25, message=None
    )
    assert status.summary() == "no files"


@pytest.mark.parametrize(
    "more",
    [
        {"filesSkipped": "1"},
        {"filesIgnored": "1"},
        {"skippedItems": [{"id": "a"}]},
        {"ignoredItems": [{"id": "a", "type": None, "error": None}]},
    ],
)
def test_a_success_that_left_files_out_is_not_complete(more: dict[str, object]) -> None:
    """Counters and lists both count, for either can be missing."""
    status = ENDPOINT.read(reply(answer("SUCCEEDED", **more))).status
    assert not status.extracted_all
    assert status.skipped_any != status.ignored_any
    assert status.summary().startswith("1 ")


def test_the_summary_names_every_count() -> None:
    """In one line, and with no word from outside."""
    status = ExtractionStatus(
        progress="x",
        completed=True,
        completed_percentage=3,
        files_created=1,
        files_ignored=2,
        files_name_adjusted=3,
        files_overwritten=4,
        files_processed=5,
        files_skipped=6,
        files_versioned=7,
        message="untrusted",
    )
    assert status.summary() == ("5 processed, 1 created, 4 overwritten, 7 versioned, 3 renamed, 6 skipped, 2 ignored")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", None),
        (b"\xff", None),
        ([], None),
        ({}, None),
        ({"title": "Bad Gateway"}, None),
        ({"errorCode": "-1"}, Problem(codes=("-1",))),
        ({"errorCode": -1, "errorMessage": "m", "title": "t"}, Problem(codes=("-1",), descriptions=("m", "t"))),
        ({"errorCode": None, "errorKey": {}, "errorMessage": [], "title": True}, Problem()),
        ({"errorKey": "!other"}, Problem(key="!other")),
        (
            {"errorCode": "c" * 900, "errorMessage": "m" * 900, "errorKey": "k" * 900},
            Problem(codes=("c" * 500,), descriptions=("m" * 500,), key="k" * 500),
        ),
    ],
)
def test_a_problem_is_what_the_body_holds(body: object, problem: Problem | None) -> None:
    """None where the body is not the vendor's; short, and never an exception."""
    assert ENDPOINT.problem(reply(body, 400)) == problem


FIELDS = [
    "errorCode",
    "errorKey",
    "errorMessage",
    "title",
    "progress",
    "completed",
    "completedPercentage",
    "filesCreated",
    "message",
    "type",
    "skippedItems",
    "ignoredItems",
]
MAYBE = st.fixed_dictionaries(
    {},
    optional={
        name: JSON | st.sampled_from(["true", "false", "7", "SUCCEEDED", "FAILED", "HUH"]) for name in FIELDS[:10]
    }
    | {name: JSON | st.lists(st.dictionaries(st.sampled_from(["id", "error"]), JSON)) for name in FIELDS[10:]},
)


@given(st.binary() | JSON.map(orjson.dumps) | MAYBE.map(orjson.dumps))
def test_garbage_is_malformed_or_a_sound_reading(body: bytes) -> None:
    """Nothing but MalformedReply ever comes out, and a reading is terminal exactly when it says so."""
    ENDPOINT.problem(reply(body, 500))
    reading = reading_or_reason(body)
    if isinstance(reading, str):
        assert len(reading) < 250
        assert reading.isascii()
        return
    assert (reading.phase in {Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED}) == (reading.final or reading.unconfirmed)
    assert reading.fraction is not None
    assert 0 <= reading.fraction <= 1


@given(STATUSES)
def test_a_status_comes_back_from_json_equal(status: ExtractionStatus) -> None:
    """The ledger's round trip loses nothing, unknown words included."""
    text = orjson.dumps(ENDPOINT.status_to_json(status))
    again = ENDPOINT.status_from_json(orjson.loads(text))
    assert again == status
    assert type(again.progress) is type(status.progress)
    assert ENDPOINT.read(reply(text)).status == status
    assert pickled(status) == status


def test_json_has_the_vendors_names_and_real_types(samples: Path) -> None:
    """Numbers are numbers and booleans booleans, under the names that the vendor gave them."""
    status = ENDPOINT.read(reply((samples / "oracle_content" / "succeeded_all_skipped.json").read_bytes())).status
    kept = ENDPOINT.status_to_json(status)
    assert kept["completed"] is True
    assert kept["completedPercentage"] == 100
    assert kept["filesNameAdjusted"] == 0
    assert kept["progress"] == "SUCCEEDED"
    assert type(kept["progress"]) is str
    assert kept["skippedItems"][1]["id"] == "Mugs.jpg"
    assert kept["ignoredItems"] == []


@pytest.mark.parametrize("data", [None, 5, "x", [], {}, {"progress": "FAILED", "completed": 5}])
def test_data_that_is_no_status_is_refused(data: object) -> None:
    """A ledger's garbage is a ValueError."""
    with pytest.raises(ValueError, match="this is no ExtractionStatus: "):
        ENDPOINT.status_from_json(data)


def test_statuses_share_what_they_can() -> None:
    """A hundred thousand of them hold the enum's members and one word for the type, and have no dict."""
    one, other = (ENDPOINT.read(reply(answer(type="file"))).status for _ in range(2))
    assert one.progress is other.progress
    assert one.type is other.type
    assert not hasattr(one, "__dict__")
    assert ENDPOINT.read(reply(answer(type="folder"))).status.type == "folder"


def test_a_job_is_a_small_value() -> None:
    """Hashable, equal by its IDs, frozen, positional, and pickled."""
    job = ExtractionJob("F", "ZX-1")
    assert {job: 1}[ExtractionJob("F", "ZX-1")] == 1
    assert job != ExtractionJob("ZX-1", "F")
    assert pickled(job) == job
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        job.job_id = "x"  # type: ignore[misc]  # that is what must fail


def test_the_request_is_the_documented_one() -> None:
    """A GET without credentials that asks for JSON."""
    request = ExtractionEndpoint("https://example.com:8443/").request(ExtractionJob("DC76", "ZX-E8"))
    assert str(request.url) == "https://example.com:8443/documents/api/1.2/files/DC76/_extract/ZX-E8"
    assert (request.method, request.body) == ("GET", None)
    assert dict(request.headers) == {}  # the transport asks for JSON


def test_the_request_of_a_job_is_made_once() -> None:
    """A poll does not pay for the URL again, while fewer than two thousand jobs are asked in turn; no more are kept."""
    endpoint = ExtractionEndpoint("https://example.com")
    first = endpoint.request(ExtractionJob("F", "J"))
    for n in range(2_047):
        endpoint.request(ExtractionJob("F", f"J{n}"))
    assert endpoint.request(ExtractionJob("F", "J")) is first
    for n in range(2_048):
        endpoint.request(ExtractionJob("G", f"J{n}"))
    again = endpoint.request(ExtractionJob("F", "J"))
    assert again == first
    assert again is not first


def test_what_the_endpoint_says_of_itself() -> None:
    """Its name, no documented allowance, no credentials of its own, and a repr that shows where it asks."""
    assert ENDPOINT.name == "oracle-content"
    assert ENDPOINT.allowance is None
    assert ENDPOINT.auth is None
    assert repr(ENDPOINT) == "ExtractionEndpoint('https://example.com')"


def test_keys_make_the_job_again() -> None:
    """A job is kept by its keys, and only exactly its keys make one."""
    job = ExtractionJob("a/b", "c")
    assert ENDPOINT.job_to_keys(job) == {"file_id": "a/b", "job_id": "c"}
    assert ENDPOINT.job_from_keys({"job_id": "c", "file_id": "a/b"}) == job
    for keys in ({}, {"file_id": "x"}, {"file_id": "x", "job_id": ".."}, {"file_id": "x", "job_id": "y", "z": "z"}):
        with pytest.raises(ValueError, match="job_id"):
            ENDPOINT.job_from_keys(keys)
