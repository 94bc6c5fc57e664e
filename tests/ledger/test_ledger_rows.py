"""Rows as values: whatever a row has, it comes back as it was written, or is a damaged row by its number."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_values import ENDPOINT, NOON, abandoned, acks, change, every, new, raw, sealed, success

from pollwise.errors import ConfigurationError
from pollwise.ledger import (
    Concluded,
    DamagedRow,
    LedgerCorrupt,
    OpenWatch,
    OutcomeKind,
    Relocation,
    Renewal,
    SqliteLedger,
)
from pollwise.ledger.rows import (
    COLUMNS,
    Row,
    UnsoundRow,
    checksums_of,
    elapsed_of,
    json_of,
    key_text,
    known_watch,
    line_of,
    microseconds,
    seconds,
    state_of,
    text_of,
)
from pollwise.model.reading import Phase

NAMES = [name for name in COLUMNS.split(", ") if name != "id"]
ODD = [
    *("NULL", "0", "1", "-1", "7", "9223372036854775807", "-9223372036854775808", "1.5", "9e999", "-9e999", "1e300"),
    *(
        "''",
        "'abc'",
        "'[]'",
        "'{\"a\":1}'",
        "x''",
        "x'ff'",
        "x'7b7d'",
        "CAST(x'ff' AS TEXT)",
        "CAST(x'7bff7d' AS TEXT)",
    ),
]

# Rows as schema version 4 has them on disk, with the checksums that it wrote. Version 5 has the cursor before these.
JOB = (
    7,
    ENDPOINT,
    "acme",
    '{"file_id":"D1","job_id":"ZX-7"}',
    "https://a.example",
    1772366400123456,
    1772370000123456,
    2,
)
JOB_SUM = -98975031771851161
OPEN = (*JOB, "running", 3, 1, b'{"progress": "PROCESSING"}', 7.5, *[None] * 5, 0, None, JOB_SUM, 4424833982080853503)
FAILED: Row = (
    *(*JOB, "failed", 4, 0, b'{"progress": "FAILED"}', 10.0),
    *("failed", 12.5, "JobFailed", "no", b"{}", 1, None, JOB_SUM, -8150550322496798226),
)
BARE_JOB = (8, "document360", "", '{"task_id":"a"}', None, 0, None, 0)
BARE_JOB_SUM = -5530423167131281578
BARE = (*BARE_JOB, None, 0, 0, *[None] * 7, 0, None, BARE_JOB_SUM, -964648734614936736)
BARE_SUCCESS: Row = (
    *(*BARE_JOB, "succeeded", 1, 0, None, None),
    *("succeeded", 0.25, None, None, None, 0, None, BARE_JOB_SUM, -8825147269728742505),
)
OPEN_WATCH = OpenWatch(
    id=7,
    endpoint=ENDPOINT,
    account="acme",
    keys={"file_id": "D1", "job_id": "ZX-7"},
    origin="https://a.example",
    first_seen=NOON,
    deadline=NOON + timedelta(hours=1),
    generation=2,
    phase=Phase.RUNNING,
    polls=3,
    failures=1,
    status=b'{"progress": "PROCESSING"}',
    seen_s=7.5,
)
BARE_WATCH = OpenWatch(
    id=8,
    endpoint="document360",
    keys={"task_id": "a"},
    first_seen=datetime(1970, 1, 1, tzinfo=UTC),
    deadline=None,
    phase=None,
    polls=0,
    failures=0,
    status=None,
)


def with_columns(row: Row, **values: Any) -> Row:
    """The row with these values, and with the checksums of what it has then."""
    names = COLUMNS.split(", ")
    other = tuple(values.get(name, value) for name, value in zip(names, row, strict=True))
    return (*other[:-2], *checksums_of(other))


# --- values as rows -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "us"),
    [
        (None, None),
        (datetime(1970, 1, 1, tzinfo=UTC), 0),
        (datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), -1),
        (datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC), 1_772_366_400_123_456),
        (datetime.max.replace(tzinfo=UTC), 253_402_300_799_999_999),
    ],
)
def test_a_time_is_exact(time: datetime | None, us: int | None) -> None:
    """It is kept as whole microseconds since 1970."""
    assert microseconds(time) == us


@pytest.mark.parametrize("keys", [{"b": "\u00e9", "a": "1"}, {"a": "1", "b": "\u00e9"}])
def test_equal_keys_are_one_text(keys: Mapping[str, str]) -> None:
    """In any order, because this text is the identity of the row."""
    assert key_text(keys) == '{"a":"1","b":"\u00e9"}'


def test_keys_that_no_file_can_keep() -> None:
    """They are refused, and the message has them."""
    with pytest.raises(ConfigurationError, match=r"^the job keys \{'a': '\\ud800'\} cannot be kept: .*surrogates"):
        key_text({"a": "\ud800"})


@pytest.mark.parametrize("document", [b'{"a": 1}', bytearray(b'{"a": 1}'), memoryview(b'{"a": 1}')])
def test_a_document_is_kept_byte_for_byte(document: bytes) -> None:
    """Whichever type of bytes the caller has. None stays None."""
    kept = json_of(document, "status")
    assert (kept, type(kept)) == (b'{"a": 1}', bytes)
    assert json_of(None, "status") is None


@pytest.mark.parametrize("document", [b"", b"{", b"{} {}", b"\xff", "{}", 7])
def test_what_is_no_document(document: Any) -> None:
    """Anything else than one JSON document in bytes is refused, by its name."""
    with pytest.raises(ConfigurationError, match=r"^the status is not one JSON document in bytes: ."):
        json_of(document, "status")


def test_a_text_is_kept_as_far_as_it_can_be() -> None:
    """A message of an error is not lost because of a character that UTF-8 does not have."""
    assert text_of("a \u00e9 \ud800") == "a \u00e9 \\ud800"
    assert text_of(None) is None


@pytest.mark.parametrize("number", [0, 3, 0.25, -1.5, 1e300])
def test_a_duration_is_a_float(number: float) -> None:
    """Also where the caller has an integer, because SQLite returns a float, and the checksum depends on the type."""
    assert (seconds(number), type(seconds(number))) == (number, float)


def test_a_duration_has_no_negative_zero() -> None:
    """SQLite has none, so the checksum would not fit."""
    assert math.copysign(1, seconds(-0.0)) == 1


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_a_duration_is_finite(number: float) -> None:
    """Another one is refused, by its name, because JSON does not have it."""
    with pytest.raises(ConfigurationError, match=f"^elapsed_s must be a finite number of seconds, got {number}$"):
        state_of(success(1, elapsed_s=number))
    with pytest.raises(ConfigurationError, match=f"^seen_s must be a finite number of seconds, got {number}$"):
        state_of(change(1, seen_s=number))


@pytest.mark.parametrize(
    ("known", "state"),
    [
        (change(1), ("running", 3, 1, b'{"progress": "PROCESSING"}', 7.5, None, None, None, None, None, 0)),
        (
            change(1, phase=None, status=None, seen_s=None, polls=0, failures=0),
            (None, 0, 0, None, None, None, None, None, None, None, 0),
        ),
        (
            success(1),
            ("succeeded", 4, 0, b'{"progress": "SUCCEEDED"}', 10.0, "succeeded", 12.5, None, None, None, 0),
        ),
        (
            abandoned(1, error_data=b"{}", status=None),
            ("running", 4, 8, None, 10.0, "abandoned", 12.5, "RetriesExhausted", "gave up", b"{}", 0),
        ),
        (
            abandoned(1, error_type="\ud800", error_message="\udfff", phase=None, status=None),
            (None, 4, 8, None, 10.0, "abandoned", 12.5, "\\ud800", "\\udfff", None, 0),
        ),
    ],
)
def test_a_state_as_columns(known: Any, state: Row) -> None:
    """A change has no outcome, and an outcome is not acknowledged yet."""
    assert state_of(known) == state


@pytest.mark.parametrize("name", ["status", "error_data"])
def test_a_bad_document_is_named(name: str) -> None:
    """The message says which of the documents is not JSON."""
    with pytest.raises(ConfigurationError, match=f"^the {name} is not one JSON document"):
        state_of(abandoned(1, **{name: b"no"}))


# --- rows as values -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "known"),
    [
        (OPEN, OPEN_WATCH),
        (BARE, BARE_WATCH),
        (
            FAILED,
            Concluded(
                **{
                    **attrs.asdict(OPEN_WATCH, recurse=False),
                    "phase": Phase.FAILED,
                    "polls": 4,
                    "failures": 0,
                    "status": b'{"progress": "FAILED"}',
                    "seen_s": 10.0,
                },
                outcome=OutcomeKind.FAILED,
                elapsed_s=12.5,
                error_type="JobFailed",
                error_message="no",
                error_data=b"{}",
                acknowledged=True,
            ),
        ),
        (
            BARE_SUCCESS,
            Concluded(
                **{**attrs.asdict(BARE_WATCH, recurse=False), "phase": Phase.SUCCEEDED, "polls": 1},
                outcome=OutcomeKind.SUCCEEDED,
                elapsed_s=0.25,
                error_type=None,
                error_message=None,
                acknowledged=False,
            ),
        ),
    ],
)
def test_a_row_of_version_4_is_read(row: Row, known: OpenWatch | Concluded) -> None:
    """Each column comes back as it was written, and an older file's row without checksums does, too."""
    assert known_watch(row) == known
    assert known_watch((*row[:-2], "older", "older")) == known


NULLABLE = {
    *("origin", "deadline_us", "phase", "status", "seen_s", "outcome", "error_type", "error_message", "error_data"),
    "elapsed_s",
}


@pytest.mark.parametrize("place", range(19))
def test_a_value_of_another_type_is_named(place: int) -> None:
    """The reason has the column and the type. NULL is such a value, unless the column may be NULL."""
    name = COLUMNS.split(", ")[place]
    odd = "text" if isinstance(FAILED[place], float) else 1.5
    with pytest.raises(UnsoundRow, match=f"'its {name} has the type {type(odd).__name__}'"):
        known_watch(with_columns(FAILED, **{name: odd}))
    absent = with_columns(FAILED, **{name: None})
    if name not in NULLABLE:
        with pytest.raises(UnsoundRow, match=f"'its {name} has the type NoneType'"):
            known_watch(absent)
    elif name != "elapsed_s":  # which an outcome has always
        assert known_watch(absent).id == 7


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ((*OPEN[:2], "other", *OPEN[3:]), "its job is not as it was written"),
        ((*OPEN[:9], 4, *OPEN[10:]), "its state is not as it was written"),
        ((*OPEN[:-2], OPEN[-2] + 1, OPEN[-1]), "its job is not as it was written"),
        ((*OPEN[:-1], OPEN[-1] + 1), "its state is not as it was written"),
        ((*OPEN[:-2], "older", OPEN[-1]), "its job is not as it was written"),
        ((*OPEN[:-1], "older"), "its state is not as it was written"),
        ((8, *OPEN[1:-2], checksums_of((8, *OPEN[1:]))[0], OPEN[-1]), "its state is not as it was written"),
        (with_columns(OPEN, phase="odd"), "its phase or its outcome has an unknown name"),
        (with_columns(FAILED, outcome="odd"), "its phase or its outcome has an unknown name"),
        (with_columns(FAILED, elapsed_s=math.inf), "a duration is not finite"),
        (with_columns(OPEN, seen_s=-math.inf), "a duration is not finite"),
        (with_columns(OPEN, job="[]"), "its job is not an object of keys"),
        (with_columns(OPEN, job='{"a":"1","b":2}'), "its job is not an object of keys"),
    ],
)
def test_a_damaged_row_has_a_reason(row: Row, reason: str) -> None:
    """It says what is wrong, for a person who looks at the row."""
    for read in (known_watch, line_of):
        with pytest.raises(UnsoundRow, match=f"reason='{reason}'") as caught:
            read(row)
        assert (caught.value.damaged.id, caught.value.damaged.reason) == (row[0], reason)


@pytest.mark.parametrize("name", ["first_seen_us", "deadline_us"])
@pytest.mark.parametrize("us", [2**63 - 1, -(2**63), 253_402_300_800_000_000])
def test_a_time_out_of_range_is_damage(name: str, us: int) -> None:
    """The file can have a time that no datetime has."""
    with pytest.raises(UnsoundRow) as caught:
        known_watch(with_columns(OPEN, **{name: us}))
    assert caught.value.damaged.id == 7


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (
            (*OPEN[:9], 4, *OPEN[10:]),
            {"endpoint": ENDPOINT, "account": "acme", "keys": {"file_id": "D1", "job_id": "ZX-7"}, "certain": True},
        ),
        (
            (*OPEN[:4], "https://q.example", *OPEN[5:]),
            {"endpoint": ENDPOINT, "account": "acme", "keys": {"file_id": "D1", "job_id": "ZX-7"}, "certain": False},
        ),
        (
            (7, b"\xff", b"\xff", b'{"a":"1"}', *OPEN[4:]),
            {"endpoint": None, "account": None, "keys": {"a": "1"}, "certain": False},
        ),
        (
            with_columns((*OPEN[:9], "4", *OPEN[10:]), job="{}{"),
            {"endpoint": ENDPOINT, "account": "acme", "keys": None, "certain": False},
        ),
        (
            with_columns((*OPEN[:9], "4", *OPEN[10:]), job="[]"),
            {"endpoint": ENDPOINT, "account": "acme", "keys": None, "certain": False},
        ),
    ],
)
def test_what_can_be_read_of_a_damaged_row(row: Row, found: Mapping[str, Any]) -> None:
    """Endpoint, account and keys, each on its own; they are certain only if their checksum is right."""
    with pytest.raises(UnsoundRow) as caught:
        known_watch(row)
    assert attrs.asdict(caught.value.damaged, filter=lambda field, _: field.name in found) == found


@pytest.mark.parametrize("row", [BARE_SUCCESS, (*BARE_SUCCESS[:-2], "older", "older")])
def test_the_duration_of_a_success(row: Row) -> None:
    """It is read without the rest of the row, and only if the row is as it was written."""
    assert elapsed_of(row) == 0.25


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ((*BARE_SUCCESS[:9], 2, *BARE_SUCCESS[10:]), "its state is not as it was written"),
        ((*BARE_SUCCESS[:1], "toy", *BARE_SUCCESS[2:]), "its job is not as it was written"),
        (with_columns(BARE_SUCCESS, polls="1"), "its polls has the type str"),
        (with_columns(BARE_SUCCESS, elapsed_s=math.inf), "a duration is not finite"),
        (with_columns(BARE_SUCCESS, elapsed_s=None), "must be real number, not NoneType"),
    ],
)
def test_the_duration_of_a_damaged_row(row: Row, reason: str) -> None:
    """It teaches nothing, and the row is named."""
    with pytest.raises(UnsoundRow) as caught:
        elapsed_of(row)
    assert (caught.value.damaged.id, caught.value.damaged.reason) == (8, reason)


# --- rows as lines ------------------------------------------------------------------------------

FIRST_LINE = (
    b'{"outcome":null,"endpoint":"oracle-content","account":"acme","job":{"file_id":"D1","job_id":"ZX-7"},'
    b'"phase":"running","first_seen":"2026-03-01T12:00:00.123456Z","deadline":"2026-03-01T13:00:00.123456Z",'
    b'"elapsed_s":null,"detected_within_s":null,"polls":3,"failures":1,"status":{"progress":"PROCESSING"},'
    b'"error":null,"acknowledged":false,"origin":"https://a.example"}\n'
)


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (OPEN, FIRST_LINE),
        (
            FAILED,
            FIRST_LINE.replace(b'"outcome":null', b'"outcome":"failed"')
            .replace(b'"phase":"running"', b'"phase":"failed"')
            .replace(b'"elapsed_s":null,"detected_within_s":null', b'"elapsed_s":12.5,"detected_within_s":2.5')
            .replace(b'"polls":3,"failures":1', b'"polls":4,"failures":0')
            .replace(b"PROCESSING", b"FAILED")
            .replace(b'"error":null', b'"error":{"type":"JobFailed","message":"no","data":{}}')
            .replace(b'"acknowledged":false', b'"acknowledged":true'),
        ),
        (
            BARE,
            (
                b'{"outcome":null,"endpoint":"document360","job":{"task_id":"a"},"phase":null,'
                b'"first_seen":"1970-01-01T00:00:00Z","deadline":null,"elapsed_s":null,"detected_within_s":null,'
                b'"polls":0,"failures":0,"status":null,"error":null,"acknowledged":false}\n'
            ),
        ),
        (
            BARE_SUCCESS,
            (
                b'{"outcome":"succeeded","endpoint":"document360","job":{"task_id":"a"},"phase":"succeeded",'
                b'"first_seen":"1970-01-01T00:00:00Z","deadline":null,"elapsed_s":0.25,"detected_within_s":null,'
                b'"polls":1,"failures":0,"status":null,"error":null,"acknowledged":false}\n'
            ),
        ),
    ],
)
def test_a_row_as_a_line(row: Row, line: bytes) -> None:
    """The export of a row is this line: programs of users read it."""
    assert line_of(row) == line


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (None, b'"error":{"type":"JobFailed","message":"no"}'),
        (b"no json", b'"error":{"type":"JobFailed","message":"no"}'),
        (b'{"a": [1]}', b'"error":{"type":"JobFailed","message":"no","data":{"a":[1]}}'),
        (b"[" * 1_000 + b"]" * 1_000, b'"error":{"type":"JobFailed","message":"no"}'),
    ],
)
def test_a_line_has_the_data_of_its_error(data: bytes | None, error: bytes) -> None:
    """Data that is not there, or that cannot be read or written, is left out, and the line is exported all the same."""
    assert error in line_of(with_columns(FAILED, error_data=data))


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (b"no json", r"its status is not JSON \(invalid literal"),
        (b"[" * 1_000 + b"]" * 1_000, "Recursion limit reached"),
    ],
)
def test_a_status_that_no_line_can_have(status: bytes, reason: str) -> None:
    """The row is damaged, and the reason says that it is the status."""
    with pytest.raises(UnsoundRow, match=f"reason=.{reason}"):
        line_of(with_columns(OPEN, status=status))


# --- rows of a file -----------------------------------------------------------------------------


async def filled(path: Path, more: int = 0) -> None:
    """A success, an open watch, an abandoned one, and `more` successes."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(number) for number in range(1, 4 + more)])
        await ledger.update([change(2)])
        await ledger.conclude([success(1), abandoned(3), *(success(4 + number) for number in range(more))])


async def read_by_all(path: Path) -> tuple[set[int], set[int], set[int]]:
    """The numbers of the rows that are open, not acknowledged, and damaged, as all readers say."""
    async with SqliteLedger(path) as ledger:
        _ = [lines async for lines in ledger.export(include_open=True)]
        still_open = {watch.id for watch in await every(ledger.open_watches(ENDPOINT))}
        ended = {known.id for known in await every(ledger.unacknowledged(ENDPOINT))}
        await ledger.durations(ENDPOINT)
        await ledger.origins(ENDPOINT)
        return still_open, ended, {row.id for row in ledger.damaged}


def odd_rows(path: Path, name: str, change: Callable[..., Any]) -> set[int]:
    """Put an odd value into this column of each row from 4 on. Returns the numbers of the rows that changed."""
    look = f"SELECT id, typeof({name}), hex({name}) FROM watches WHERE id > 3"  # noqa: S608
    before = set(raw(path, look))
    change(path, *(f"UPDATE OR IGNORE watches SET {name} = {value} WHERE id = {n}" for n, value in enumerate(ODD, 4)))  # noqa: S608
    return {number for number, *_ in before - set(raw(path, look))}


@pytest.mark.parametrize("name", NAMES)
async def test_any_value_in_any_column(path: Path, name: str) -> None:
    """Its checksum shows each change, whatever the value is, and the other rows are read by each reader."""
    await filled(path, len(ODD))
    changed = odd_rows(path, name, raw)
    assert len(changed) > len(ODD) / 2
    still_open, ended, damaged = await read_by_all(path)
    assert damaged == changed
    assert still_open == {2}
    assert ended == {1, 3, *range(4, 4 + len(ODD))} - changed


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("_checksum")])
async def test_any_value_with_a_right_checksum(path: Path, name: str) -> None:
    """As in a file that was migrated with nonsense in it: what can be read is read, and no other error comes out."""
    await filled(path, len(ODD))
    changed = odd_rows(path, name, sealed)
    _, ended, damaged = await read_by_all(path)
    assert {1, 3} <= ended
    assert damaged <= changed


values = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | st.sampled_from(["{}", "running", "succeeded", "older", b"{}"])
)


@settings(max_examples=500)
@given(st.lists(values, min_size=len(COLUMNS.split(", ")), max_size=len(COLUMNS.split(", "))), st.booleans())
def test_no_row_has_another_exception(row: list[Any], older: bool) -> None:
    """A row of any values is read, or is damaged: nothing else."""
    if older:
        row[-2:] = "older", "older"
    try:
        known_watch(tuple(row))
    except Exception as exc:  # noqa: BLE001
        assert isinstance(getattr(exc, "damaged", None), DamagedRow)  # noqa: PT017


CALLS: list[Callable[[SqliteLedger], Any]] = [
    lambda ledger: ledger.record([new(1)]),
    lambda ledger: ledger.acknowledge(acks(1)),
    lambda ledger: ledger.conclude([success(1)]),
    lambda ledger: ledger.reopen([Renewal(id=1, generation=0, deadline=None)]),
    lambda ledger: ledger.relocate([Relocation(id=1, origin="https://a.example")]),
]


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_about_a_damaged_row(path: Path, call: Callable[[SqliteLedger], Any]) -> None:
    """It raises, and says which row it was; the row stays as it is, and calls about other rows at the same time succeed."""
    await filled(path)
    raw(path, "UPDATE watches SET polls = 99 WHERE id = 1")
    before = raw(path, "SELECT * FROM watches WHERE id = 1")
    async with SqliteLedger(path) as ledger:
        found = await asyncio.gather(call(ledger), ledger.record([new(2)]), return_exceptions=True)
        assert isinstance(found[0], LedgerCorrupt)
        assert found[0].rows == (1,)
        assert "row 1" in str(found[0])
        assert "pollwise ledger recover" in str(found[0])
        assert found[1][0].id == 2
        assert [(row.id, row.keys, row.certain) for row in ledger.damaged] == [
            (1, {"file_id": "D1", "job_id": "ZX-1"}, True)
        ]
    assert raw(path, "SELECT * FROM watches WHERE id = 1") == before


async def test_a_damaged_row_is_logged_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By its number, however often it is read."""
    await filled(path)
    raw(path, "UPDATE watches SET polls = 99 WHERE id = 1")
    async with SqliteLedger(path) as ledger:
        for _ in range(3):
            await every(ledger.unacknowledged(ENDPOINT))
    (record,) = caplog.records
    assert "row 1 (its state is not as it was written)" in record.getMessage()


async def test_a_whole_page_of_damaged_rows(path: Path) -> None:
    """The pages after it are read all the same."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(number) for number in range(2_500)])
    raw(path, "UPDATE watches SET polls = 99 WHERE id BETWEEN 1000 AND 2100")
    async with SqliteLedger(path) as ledger:
        found = [watch.id for watch in await every(ledger.open_watches(ENDPOINT))]
        assert found == [*range(1, 1_000), *range(2_101, 2_501)]
        assert len(ledger.damaged) == 1_101


async def test_a_damaged_origin_is_not_counted(path: Path) -> None:
    """Else it would look as if the API had moved."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(number, origin="https://a.example") for number in range(3)])
    raw(path, "UPDATE watches SET origin = 'https://q.example' WHERE id = 2")
    raw(path, "UPDATE watches SET polls = 1 WHERE id = 1")
    async with SqliteLedger(path) as ledger:
        (found,) = await ledger.origins(ENDPOINT)
        assert found.origin == "https://a.example"
        assert found.keys == {"file_id": "D1", "job_id": "ZX-2"}
        assert [row.id for row in ledger.damaged] == [1, 2]


@pytest.mark.parametrize(("data", "exported"), [("'{\"version\":1}'", b'"data":{"version":1}'), ("'no json'", None)])
async def test_an_exported_error_has_its_data(path: Path, data: str, exported: bytes | None) -> None:
    """Data that is not JSON is left out, and the export goes on."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
        await ledger.conclude([abandoned(1)])
    sealed(path, f"UPDATE watches SET error_data = CAST({data} AS BLOB)")  # noqa: S608 - the point of it
    async with SqliteLedger(path) as ledger:
        [line] = [line async for line in ledger.export()]
    assert (b'"data":' in line) == (exported is not None)
    assert exported is None or exported in line
