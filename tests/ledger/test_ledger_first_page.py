"""A first page that is damaged costs no row, although SQLite finds no table in the file."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from damaged_files import (
    LEAF_OF_A_TABLE,
    PAGE,
    ROWS,
    SAMPLES,
    exported,
    filled,
    overwritten,
    saved,
)
from ledger_values import NOON, new, raw

from pollwise.ledger import LedgerCorrupt, NewIntent, NotALedger, SqliteLedger
from pollwise.ledger.recovery import check_ledger


@pytest.mark.parametrize(
    ("place", "data"),
    [
        (0, bytes(PAGE)),
        (0, b"s"),  # the name of the format
        (16, b"\x00\x00"),  # the size of a page
        (20, b"\x20"),  # the bytes at the end of a page that are not used
        (56, b"\x00\x00\x00\x02"),  # UTF-16
        (100, b"\xff"),  # the kind of page
        (103, b"\x00\x00"),  # the number of tables
    ],
)
async def test_a_first_page_that_is_damaged(path: Path, place: int, data: bytes) -> None:
    """All rows are saved, although SQLite finds no table in the file. The fault is told."""
    await filled(path)
    lines = await exported(path)
    overwritten(path, place, data)
    survey = saved(path)
    assert (survey.sound, survey.damaged) == (ROWS, [])
    assert survey.faults
    assert await exported(path.with_name("new.ledger")) == lines


async def test_a_table_whose_name_is_damaged(path: Path) -> None:
    """All rows are saved, also if the name is no text any more."""
    for name in (b"wotches", b"\xf4atches"):
        path.unlink(missing_ok=True)
        path.with_name("new.ledger").unlink(missing_ok=True)
        data = await filled(path, 5)
        overwritten(path, 0, data[:PAGE].replace(b"watches", name))
        with pytest.raises(LedgerCorrupt):
            await SqliteLedger(path).__aenter__()
        assert saved(path).sound == 5


@pytest.mark.parametrize("column", ["id", "job", "phase", "origin", "state_checksum"])
async def test_a_column_whose_name_is_damaged(path: Path, column: str) -> None:
    """The name is in the first page, so all rows are saved."""
    await filled(path)
    raw(path, f"ALTER TABLE watches RENAME COLUMN {column} TO damaged")
    survey = saved(path)
    assert (survey.sound, survey.damaged) == (ROWS, [])
    assert "its tables are not as they were made" in survey.faults or "no table of watches" in survey.faults[0]


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_a_first_page_of_an_older_release(path: Path, version: int) -> None:
    """The file's schema version is used, if it is left."""
    shutil.copy(SAMPLES / f"version_{version}.sqlite", path)
    overwritten(path, 100, bytes(PAGE - 100))
    lines = (SAMPLES / f"version_{version}.jsonl").read_bytes()
    survey = saved(path)
    assert survey.sound == len(lines.splitlines())
    assert await exported(path.with_name("new.ledger")) == lines


def _intent(key: str) -> NewIntent:
    return NewIntent(endpoint="e", key=key, digest="d", began=NOON)


@pytest.mark.parametrize("starts", [0, 1, 400])
@pytest.mark.parametrize("migrated", [False, True])
async def test_a_first_page_costs_no_start_of_a_job(path: Path, starts: int, migrated: bool) -> None:
    """Also in a file that an older release made, where their table is at another place. A key starts no second job."""
    if migrated:
        shutil.copy(SAMPLES / "version_5.sqlite", path)
    keys = [f"order-{number}" for number in range(starts)]
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(number) for number in range(ROWS)])
        await ledger.intend_submits([_intent(f"old-{number}") for number in range(200 if starts else 0)])
    raw(path, "PRAGMA secure_delete = OFF", "DELETE FROM submits")  # so that unused pages have old starts
    async with SqliteLedger(path) as ledger:
        await ledger.intend_submits([_intent(key) for key in keys])
    overwritten(path, 100, bytes(PAGE - 100))
    survey = saved(path)
    assert not any("start" in fault for fault in survey.faults)
    async with SqliteLedger(path.with_name("new.ledger")) as ledger:
        assert [intent.key for intent in await ledger.unfinished_submits()] == keys


async def test_a_first_page_and_a_log(path: Path) -> None:
    """What only the log has cannot be saved, and that is told."""
    await filled(path)
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(ROWS + 1)])
        whole, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    path.write_bytes(bytes(PAGE) + whole[PAGE:])
    for content, faults in ((log, True), (b"", False)):
        Path(f"{path}-wal").write_bytes(content)
        survey = check_ledger(str(path))
        assert survey.sound == ROWS
        assert any("-wal cannot be read" in fault for fault in survey.faults) is faults


async def test_a_first_page_of_a_ledger_without_rows(path: Path) -> None:
    """There is nothing to save, so the error is that of the file."""
    await filled(path, 0)
    overwritten(path, 0, bytes(PAGE))
    with pytest.raises(NotALedger):
        check_ledger(str(path))


@pytest.mark.parametrize("size", [1, 99, PAGE, 2 * PAGE, 3 * PAGE + 1])
def test_garbage_is_no_ledger(path: Path, size: int) -> None:
    """Of whatever size, and also if its second page looks like that of a table."""
    data = bytearray(random.Random(size).randbytes(size))
    data[PAGE : PAGE + 1] = data[PAGE : PAGE + 1] and bytes([LEAF_OF_A_TABLE])
    path.write_bytes(data)
    with pytest.raises(NotALedger):
        check_ledger(str(path))
    assert path.read_bytes() == data
