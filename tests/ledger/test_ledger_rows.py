"""Rows as values: whatever a row has, it comes back as it was written, or is a damaged row by its number."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_values import ENDPOINT, abandoned, acks, change, every, new, raw, sealed, success

from pollwise.ledger import DamagedRow, LedgerCorrupt, Relocation, Renewal, SqliteLedger
from pollwise.ledger.rows import COLUMNS, known_watch

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
