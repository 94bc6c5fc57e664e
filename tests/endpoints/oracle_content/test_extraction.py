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

from pollwise import Phase, Reading, Reply
from pollwise.endpoints.oracle_content import (
    ExtractionEndpoint,
    ExtractionItem,
    ExtractionJob,
    ExtractionProgress,
    ExtractionStatus,
)
from pollwise.errors import MalformedReply, Problem

ENDPOINT = ExtractionEndpoint("https://example.com")
JSON_TYPE = {"Content-Type": "application/json"}

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
TEXT = st.none() | st.text()
COUNT = st.integers(-(10**18) + 1, 10**18 - 1)
COUNT_OR_NONE = st.none() | COUNT
ITEMS = st.lists(st.builds(ExtractionItem, id=TEXT, type=TEXT, error=TEXT), max_size=3).map(tuple)
STATUSES = st.builds(
    ExtractionStatus,
    progress=st.sampled_from(ExtractionProgress)
    | st.text().filter(lambda word: word.upper() not in set(ExtractionProgress)),
    completed=st.none() | st.booleans(),
    completed_percentage=st.none() | st.integers(0, 100),
    error_code=COUNT_OR_NONE | st.just("OCE-1234"),
    files_created=COUNT_OR_NONE,
    files_ignored=COUNT_OR_NONE,
    files_name_adjusted=COUNT_OR_NONE,
    files_overwritten=COUNT_OR_NONE,
    files_processed=COUNT_OR_NONE,
    files_skipped=COUNT_OR_NONE,
    files_versioned=COUNT_OR_NONE,
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
        ({"completed": "true", "completedPercentage": "100"}, Phase.RUNNING, True),
        ({"completed": "true", "completedPercentage": "99"}, Phase.RUNNING, True),
        ({"completed": "true", "completedPercentage": "100", "errorCode": "-5"}, Phase.RUNNING, True),
        ({"completed": True, "completedPercentage": ""}, Phase.RUNNING, True),
        ({"completed": "TRUE"}, Phase.RUNNING, True),
        ({"completed": 1}, Phase.RUNNING, True),
        ({"completed": "yes"}, Phase.RUNNING, False),
        ({"completed": None, "completedPercentage": "100"}, Phase.RUNNING, False),
    ],
)
def test_an_unknown_word_runs_and_looks_over_only_when_completed(
    more: dict[str, str], phase: Phase, unconfirmed: bool
) -> None:
    """It is kept verbatim, and is never a success: looking over, it is an end of unknown kind."""
    reading = ENDPOINT.read(reply(answer("PAUSED", **more)))
    assert (reading.phase, reading.final, reading.unconfirmed) == (phase, False, unconfirmed)
    attrs.evolve(reading)  # it is checked where it is made, and this one was made without
    assert reading.status.progress == "PAUSED"
    assert not isinstance(reading.status.progress, ExtractionProgress)
    assert reading.unknown == "progress=PAUSED"


def test_an_unknown_word_is_told_short_and_escaped() -> None:
    """What is logged holds no escape sequence and no page of text."""
    assert ENDPOINT.read(reply(answer("\x1b[2J" + "x" * 500))).unknown == "progress=\\x1b[2J" + "x" * 36


@pytest.mark.parametrize(
    ("word", "progress"),
    [
        ("succeeded", ExtractionProgress.SUCCEEDED),
        ("Failed", ExtractionProgress.FAILED),
        ("processing", ExtractionProgress.PROCESSING),
        ("aborted", ExtractionProgress.ABORTED),
    ],
)
def test_words_are_known_in_any_letter_case(word: str, progress: ExtractionProgress) -> None:
    """The vendor's other APIs have them in lower case."""
    reading = ENDPOINT.read(reply(answer(word)))
    assert reading.status.progress is progress
    assert reading.unknown is None
    assert reading.phase is ENDPOINT.read(reply(answer(progress))).phase


@pytest.mark.parametrize("word", ["SUCCEEDED ", "SUCCESS", "proce\u017f\u017fing", "Paused", ""])
def test_words_are_matched_exactly(word: str) -> None:
    """No guessing: another spelling is another word, and is kept as sent."""
    reading = ENDPOINT.read(reply(answer(word)))
    assert (reading.phase, reading.status.progress) == (Phase.RUNNING, word)


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


@pytest.mark.parametrize("progress", ["SUCCEEDED", "FAILED", "PROCESSING"])
@pytest.mark.parametrize(
    ("value", "number"),
    [
        (25.0, 25),
        ("25.0", 25),
        (" 25", 25),
        ("25 ", 25),
        ("+25", 25),
        (None, None),
        (True, None),
        ("", None),
        ("2_5", None),
        ("0x19", None),
        ("٢٥", None),
        ("1e2", None),
        (2.5, None),
        (1e30, None),
        ("9" * 19, None),
        ([], None),
        ({}, None),
        ("x" * 99, None),
    ],
)
def test_an_odd_counter_never_hides_progress(progress: str, value: object, number: int | None) -> None:
    """It is the number that it can only mean, or None: never 0."""
    reading = ENDPOINT.read(reply(answer(progress, filesCreated=value)))
    assert reading.phase is ENDPOINT.read(reply(answer(progress))).phase
    assert reading.final is (progress != "PROCESSING")
    assert reading.status.files_created == number


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("100.0", 100),
        (100.0, 100),
        ("99.9", 99),
        ("25%", 25),
        (" 25 % ", 25),
        ("104", None),
        (104, None),
        ("-1", None),
        (-1, None),
        (1e300, None),
        ("", None),
        (None, None),
        ("half", None),
        ([], None),
    ],
)
def test_an_odd_percentage_never_hides_progress(value: object, number: int | None) -> None:
    """Rounded down, or None where it does not say how much is done; the fraction follows it."""
    for progress, phase in (("SUCCEEDED", Phase.SUCCEEDED), ("FAILED", Phase.FAILED), ("PROCESSING", Phase.RUNNING)):
        reading = ENDPOINT.read(reply(answer(progress, completedPercentage=value)))
        assert (reading.phase, reading.status.completed_percentage) == (phase, number)
        assert reading.fraction == (None if number is None else number / 100)


@pytest.mark.parametrize(
    ("value", "truth"),
    [
        ("True", True),
        ("FALSE", False),
        (" true ", True),
        (1, True),
        ("0", False),
        (None, None),
        ("yes", None),
        ("", None),
        (2, None),
        (1.0, None),
        ([], None),
        ({}, None),
    ],
)
def test_an_odd_boolean_never_hides_progress(value: object, truth: bool | None) -> None:
    """`completed` is the truth that it can only mean, or None."""
    reading = ENDPOINT.read(reply(answer("SUCCEEDED", completed=value)))
    assert (reading.phase, reading.final, reading.status.completed) == (Phase.SUCCEEDED, True, truth)


@pytest.mark.parametrize(
    ("value", "code", "reason"),
    [
        ("OCE-1234", "OCE-1234", "no; code OCE-1234"),
        ("-17.0", -17, "no; code -17"),
        ("", None, "no"),
        (None, None, "no"),
        (True, None, "no"),
        ({"code": 1}, None, "no"),
    ],
)
def test_an_odd_error_code_is_kept_as_text(value: object, code: object, reason: str) -> None:
    """And is in the reason of the failure."""
    reading = ENDPOINT.read(reply(answer("FAILED", errorCode=value, message="no")))
    assert (reading.phase, reading.status.error_code, reading.reason) == (Phase.FAILED, code, reason)


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ({"id": "a"}, (ExtractionItem(id="a"),)),
        (["a.jpg"], (ExtractionItem(id="a.jpg"),)),
        ("a.jpg", (ExtractionItem(id="a.jpg"),)),
        ([{"type": "file", "error": "x"}], (ExtractionItem(type="file", error="x"),)),
        ([{"id": None}], (ExtractionItem(),)),
        ([{"id": 7, "error": ["a", "b"], "Type": "file"}], (ExtractionItem(id="7", error="a\nb", type="file"),)),
        ([None, {"id": "b"}], (ExtractionItem(), ExtractionItem(id="b"))),
        ([{"id": "a"}, 5], (ExtractionItem(id="a"), ExtractionItem())),
        ({}, ()),
        ("", ()),
        (0, ()),
    ],
)
def test_an_odd_list_never_hides_progress(value: object, items: tuple[ExtractionItem, ...]) -> None:
    """No item is lost, for a success may have skipped every file."""
    reading = ENDPOINT.read(reply(answer("SUCCEEDED", skippedItems=value)))
    assert (reading.phase, reading.final, reading.status.skipped_items) == (Phase.SUCCEEDED, True, items)
    assert reading.status.skipped_any is bool(items)
    assert reading.status.extracted_all is not bool(items)


@pytest.mark.parametrize("value", [12, ["a"], {"text": "a"}, True, None])
def test_an_odd_text_never_hides_progress(value: object) -> None:
    """The text that it can only mean, or None."""
    reading = ENDPOINT.read(reply(answer("SUCCEEDED", message=value, type=value)))
    kept = {12: "12", True: "true"}.get(value) if not isinstance(value, list | dict) else None
    kept = "a" if isinstance(value, list) else kept
    assert (reading.phase, reading.status.message, reading.status.type) == (Phase.SUCCEEDED, kept, kept)


@pytest.mark.parametrize("absent", [["completed"], ["completedPercentage"], ["completed", "completedPercentage"]])
def test_only_progress_is_required(absent: list[str]) -> None:
    """What is not sent is None."""
    body = {key: value for key, value in answer("SUCCEEDED").items() if key not in absent}
    reading = ENDPOINT.read(reply(body))
    assert (reading.phase, reading.final) == (Phase.SUCCEEDED, True)
    assert (reading.status.completed is None) == ("completed" in absent)
    assert (reading.fraction is None) == ("completedPercentage" in absent)


@pytest.mark.parametrize("unreadable", [{"filesSkipped": "many"}, {"filesIgnored": None}])
def test_an_unreadable_count_is_no_proof_that_all_was_extracted(unreadable: dict[str, object]) -> None:
    """`extracted_all` needs both counts; the summary has the known ones."""
    status = ENDPOINT.read(reply(answer("SUCCEEDED", filesCreated="3", **unreadable))).status
    assert not status.extracted_all
    assert not status.skipped_any
    assert not status.ignored_any
    assert status.summary() == "3 created"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"completed": "true", "completedPercentage": "1"}, "field progress: missing"),
        (answer(None), "field progress: expected text, got null"),
        (answer(3), "field progress: expected text, got 3"),
        (answer(["SUCCEEDED"]), "field progress: expected text, got a list"),
        (answer(None, completedPercentage="104"), "field progress: expected text, got null"),
        ("text", "expected an object, got 'text'"),
        (b'<?xml version="1.0"?>', "broken JSON, "),
        (b"", "expected JSON, got an empty body"),
    ],
)
def test_a_reply_without_what_decides_is_malformed_and_says_where(body: object, why: str) -> None:
    """Only `progress` decides."""
    with pytest.raises(MalformedReply) as caught:
        ENDPOINT.read(reply(body))
    assert caught.value.reason.startswith(why)
    assert caught.value.__context__ is None


def test_a_refusal_inside_a_good_reply_is_told_in_the_vendors_words(samples: Path) -> None:
    """HTTP 200 with the body of a 400."""
    body = (samples / "oracle_content" / "job_not_valid_400.json").read_bytes()
    with pytest.raises(
        MalformedReply, match=r"the server said: Extraction job ID not valid; !cs\w+; code -96"
    ) as caught:
        ENDPOINT.read(reply(body))
    assert caught.value.__context__ is None


def test_a_megabyte_of_odd_items_is_soon_read() -> None:
    """A list ends after five hundred of them; what is as documented is not counted, up to the limit of a list."""
    status = ENDPOINT.read(reply(answer("FAILED", skippedItems=[0] * 500_000))).status
    assert tuple(status.skipped_items) == (ExtractionItem(),) * 500
    assert status.left_out == {"skipped_items": 499_500}
    mixed = [{"id": "a"}] * 900 + [0]
    assert len(ENDPOINT.read(reply(answer("FAILED", skippedItems=mixed))).status.skipped_items) == 901


@pytest.mark.parametrize("kind", [None, "text/html; charset=utf-8", "text/json", "text/plain", "application/xml"])
def test_json_is_read_whatever_its_content_type(samples: Path, kind: str | None) -> None:
    """With and without a byte order mark, and in UTF-16."""
    body = (samples / "oracle_content" / "succeeded.json").read_bytes()
    headers = {} if kind is None else {"Content-Type": kind}
    for encoded in (body, b"\xef\xbb\xbf" + body, body.decode().encode("utf-16")):
        assert ENDPOINT.read(Reply(200, headers, encoded)).status.extracted_all


def test_a_page_is_called_a_page() -> None:
    """A proxy's page is malformed, and the error says what it is."""
    with pytest.raises(MalformedReply, match="expected JSON, got text/html"):
        ENDPOINT.read(Reply(200, {"Content-Type": "text/html"}, b"<html>Sign in</html>"))


@pytest.mark.parametrize(
    "message", [b'"\xff\xfe"', b'"a\tb"', b'"\\ud83d"', b"NaN", b"1e999", b"[" * 3_000 + b"]" * 3_000, b"9" * 5_000]
)
def test_a_broken_value_never_hides_progress(message: bytes) -> None:
    """Half a character, a control character, a number that is none, endless nesting: the job is over all the same."""
    body = orjson.dumps(answer("FAILED", message="?", unheard_of="?")).replace(b'"?"', message)
    reading = ENDPOINT.read(reply(body))
    assert (reading.phase, reading.final) == (Phase.FAILED, True)
    orjson.dumps(ENDPOINT.codec.status_to_json(reading.status))  # it can be kept


KEPT_BEFORE = b"""{"progress":"SUCCEEDED","completed":true,"completedPercentage":100,"errorCode":0,"filesCreated":0,
"filesIgnored":0,"filesNameAdjusted":0,"filesOverwritten":0,"filesProcessed":0,"filesSkipped":1,"filesVersioned":0,
"message":"Zip processing completed","type":"file","skippedItems":[{"id":"Mugs.jpg","type":"file","error":"exists"}],
"ignoredItems":[]}"""


@pytest.mark.parametrize("word", ["SUCCEEDED", "PAUSED", ""])
def test_a_status_that_an_earlier_release_kept_is_read(word: str, caplog: pytest.LogCaptureFixture) -> None:
    """A ledger's rows from before odd replies were read."""
    kept = {**orjson.loads(KEPT_BEFORE), "progress": word}
    assert ENDPOINT.codec.status_to_json(ENDPOINT.codec.status_from_json(kept)) == kept
    assert not caplog.records


def test_a_counter_that_is_not_sent_is_zero_and_lists_may_be_null() -> None:
    """Only the deciding field is required, and undocumented keys are ignored."""
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
        assert len(reading) < 450
        assert reading.isascii()
        return
    attrs.evolve(reading)  # it is checked where it is made, and this one was made without
    assert reading.final == (reading.status.progress in {ExtractionProgress.SUCCEEDED, ExtractionProgress.FAILED})
    assert reading.fraction is None or 0 <= reading.fraction <= 1
    kept = ENDPOINT.codec.status_from_json(orjson.loads(orjson.dumps(ENDPOINT.codec.status_to_json(reading.status))))
    assert kept == reading.status


@given(STATUSES)
def test_a_status_comes_back_from_json_equal(status: ExtractionStatus) -> None:
    """The ledger's round trip loses nothing, unknown words included."""
    text = orjson.dumps(ENDPOINT.codec.status_to_json(status))
    again = ENDPOINT.codec.status_from_json(orjson.loads(text))
    assert again == status
    assert type(again.progress) is type(status.progress)
    assert ENDPOINT.read(reply(text)).status == status
    assert pickled(status) == status


def test_json_has_the_vendors_names_and_real_types(samples: Path) -> None:
    """Numbers are numbers and booleans booleans, under the names that the vendor gave them."""
    status = ENDPOINT.read(reply((samples / "oracle_content" / "succeeded_all_skipped.json").read_bytes())).status
    kept = ENDPOINT.codec.status_to_json(status)
    assert kept["completed"] is True
    assert kept["completedPercentage"] == 100
    assert kept["filesNameAdjusted"] == 0
    assert kept["progress"] == "SUCCEEDED"
    assert type(kept["progress"]) is str
    assert kept["skippedItems"][1]["id"] == "Mugs.jpg"
    assert kept["ignoredItems"] == []


@pytest.mark.parametrize("data", [None, 5, "x", [], {}, {"progress": 5, "completed": True}])
def test_data_that_is_no_status_is_refused(data: object) -> None:
    """A ledger's garbage is a ValueError."""
    with pytest.raises(ValueError, match="this is not the data of ExtractionStatus: "):
        ENDPOINT.codec.status_from_json(data)


def test_statuses_share_what_they_can() -> None:
    """All statuses share the enum's members and one text for the type, and have no `__dict__`."""
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
    assert ENDPOINT.documented_limit is None
    assert ENDPOINT.heeded_headers == ()
    assert ENDPOINT.auth is None
    assert repr(ENDPOINT) == "ExtractionEndpoint('https://example.com')"


def test_keys_make_the_job_again() -> None:
    """A job is kept by its keys, and only exactly its keys make one."""
    job = ExtractionJob("a/b", "c")
    assert ENDPOINT.codec.job_to_keys(job) == {"file_id": "a/b", "job_id": "c"}
    assert ENDPOINT.codec.job_from_keys({"job_id": "c", "file_id": "a/b"}) == job
    for keys in ({}, {"file_id": "x"}, {"file_id": "x", "job_id": ".."}, {"file_id": "x", "job_id": "y", "z": "z"}):
        with pytest.raises(ValueError, match="job_id"):
            ENDPOINT.codec.job_from_keys(keys)
