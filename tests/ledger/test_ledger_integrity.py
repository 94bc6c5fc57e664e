"""Which damage ends the use of a file, and which only that of a row."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from ledger_values import ENDPOINT, abandoned, acks, every, new, raw, success

from pollwise.ledger import LedgerCorrupt, SqliteLedger
from pollwise.ledger.checksums import register
from pollwise.ledger.schema import MIGRATIONS

SAMPLES = Path(__file__).parents[1] / "samples" / "ledger"
INDEXES = ["watches_by_job", "watches_open", "watches_unacknowledged"]
SEAL = MIGRATIONS[3][-1]  # gives each row the checksums of what it has


async def flipped(path: Path, *, in_table: bool) -> None:
    """A ledger of three jobs, with one bit of one job's key flipped, in the table or in the index."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1), new(2), new(3)])
    raw(path, "PRAGMA journal_mode = DELETE")
    data = bytearray(path.read_bytes())
    places = [place for place in range(len(data)) if data.startswith(b"ZX-2", place)]
    pages = dict(raw(path, "SELECT name, rootpage FROM sqlite_schema"))
    page = pages["watches" if in_table else "watches_by_job"]
    (place,) = [place for place in places if place // 4096 + 1 == page]
    data[place + 3] ^= 4
    path.write_bytes(data)


async def test_a_flipped_key_in_the_table_is_one_damaged_row(path: Path) -> None:
    """The other rows are used, and its job gets no second row."""
    await flipped(path, in_table=True)
    async with SqliteLedger(path) as ledger:
        assert [watch.id for watch in await every(ledger.open_watches(ENDPOINT))] == [1, 3]
        with pytest.raises(LedgerCorrupt) as caught:
            await ledger.record([new(2)])
        assert caught.value.rows == (2,)


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_flipped_key_in_an_index_is_a_damaged_file(path: Path, *, read_only: bool) -> None:
    """Else the job, which the index does not find, would get a second row."""
    await flipped(path, in_table=False)
    with pytest.raises(LedgerCorrupt, match="missing from index watches_by_job") as caught:
        await SqliteLedger(path, read_only=read_only).__aenter__()
    assert caught.value.rows == ()
    assert caught.value.where == str(path)


# --- indexes that do not fit the table ----------------------------------------------------------


async def filled(path: Path) -> None:
    """A ledger with rows that are open (1 to 3), not acknowledged (4 to 6) and acknowledged (7 to 9)."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(number) for number in range(1, 10)])
        await ledger.conclude([success(number) for number in (4, 5, 7, 8)])
        await ledger.conclude([abandoned(number) for number in (6, 9)])
        await ledger.acknowledge(acks(7, 8, 9))


def behind(path: Path, indexes: list[str], *statements: str) -> None:
    """Change the table, and leave these indexes as they are."""
    names = ", ".join(f"'{name}'" for name in indexes)
    schema = raw(path, "PRAGMA journal_mode = DELETE", f"SELECT * FROM sqlite_schema WHERE name IN ({names})")  # noqa: S608
    raw(path, "PRAGMA writable_schema = ON", f"DELETE FROM sqlite_schema WHERE name IN ({names})")  # noqa: S608
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        register(db)
        for statement in statements:
            db.execute(statement)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.executemany("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", schema)


async def left_out(path: Path) -> list[int]:
    """The damaged rows, if the ledger can be opened. All other rows are read."""
    async with SqliteLedger(path) as ledger:
        lines = b"".join([lines async for lines in ledger.export(include_open=True)]).splitlines()
        still_open = {watch.id for watch in await every(ledger.open_watches(ENDPOINT))}
        ended = {watch.id for watch in await every(ledger.unacknowledged(ENDPOINT))}
        damaged = [row.id for row in ledger.damaged]
        assert len(lines) == 9 - len(damaged)
        # A row whose name or account is damaged in the table alone is whole for a call that reads both in the index.
        assert {1, 2, 3} - set(damaged) <= still_open <= {1, 2, 3}
        assert {4, 5, 6} - set(damaged) <= ended <= {4, 5, 6}
        return damaged


@pytest.mark.parametrize(
    ("change", "damaged"),
    [
        ("outcome = NULL WHERE id = 4", [4]),
        ("outcome = 'failed' WHERE id = 2", [2]),
        ("acknowledged = 1 WHERE id = 5", [5]),
        ("acknowledged = 0 WHERE id = 8", [8]),
        ("account = 'x' WHERE id IN (1, 4, 7)", [1, 4, 7]),
        ("endpoint = 'x'", list(range(1, 10))),
        ("endpoint = x'ff' WHERE id = 3", [3]),
        ("job = 'x' WHERE id = 6", [6]),
    ],
)
async def test_indexes_may_have_anything_about_damaged_rows(path: Path, change: str, damaged: list[int]) -> None:
    """A row whose damage is seen nowhere in the indexes is left out by its number, and the others are used."""
    await filled(path)
    behind(path, INDEXES, f"UPDATE watches SET {change}")  # noqa: S608
    assert raw(path, "PRAGMA integrity_check") != [("ok",)]
    assert await left_out(path) == damaged


@pytest.mark.parametrize("also_damaged", [False, True])
@pytest.mark.parametrize(
    ("index", "change"),
    [
        ("watches_by_job", "UPDATE watches SET job = '{}' WHERE id = 7"),
        ("watches_by_job", "UPDATE watches SET account = 'x' WHERE id = 7"),
        ("watches_by_job", "UPDATE watches SET endpoint = 'x' WHERE id = 7"),
        ("watches_by_job", "UPDATE watches SET id = 77 WHERE id = 7"),
        ("watches_by_job", "DELETE FROM watches WHERE id = 7"),
        ("watches_open", "UPDATE watches SET account = 'x' WHERE id = 1"),
        ("watches_open", "UPDATE watches SET endpoint = 'x' WHERE id = 1"),
        ("watches_open", "UPDATE watches SET id = 77 WHERE id = 1"),
        ("watches_open", "UPDATE watches SET outcome = 'failed', elapsed_s = 1.0, acknowledged = 1 WHERE id = 1"),
        ("watches_open", "UPDATE watches SET outcome = NULL, elapsed_s = NULL WHERE id = 7"),
        ("watches_unacknowledged", "UPDATE watches SET account = 'x' WHERE id = 4"),
        ("watches_unacknowledged", "UPDATE watches SET endpoint = 'x' WHERE id = 4"),
        ("watches_unacknowledged", "UPDATE watches SET id = 77 WHERE id = 4"),
        ("watches_unacknowledged", "UPDATE watches SET acknowledged = 1 WHERE id = 4"),
        ("watches_unacknowledged", "UPDATE watches SET acknowledged = 0 WHERE id = 7"),
    ],
)
async def test_an_index_that_lacks_a_sound_row(path: Path, index: str, change: str, *, also_damaged: bool) -> None:
    """The whole file is refused, also if rows are damaged: a call would not find the row, and make a second one."""
    await filled(path)
    behind(path, [index], change, SEAL)
    if also_damaged:
        behind(path, INDEXES, "UPDATE watches SET account = 'damaged' WHERE id = 9")
    (first,), *_ = raw(path, "PRAGMA integrity_check")
    assert index in first or also_damaged
    with pytest.raises(LedgerCorrupt) as caught:
        await left_out(path)
    assert (caught.value.where, caught.value.detail, caught.value.rows) == (str(path), first, ())


@pytest.mark.parametrize(("messages", "usable"), [(99, True), (100, False)])
async def test_damage_of_very_many_rows(path: Path, messages: int, usable: bool) -> None:
    """From a hundred messages of SQLite on the file is refused, because the hundredth may be about anything."""
    rows = messages - 1  # each of them is missing from one index, which has one entry too many
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(number) for number in range(1, 201)])
        await ledger.conclude([success(number) for number in range(1, 201)])
    behind(path, ["watches_open"], f"UPDATE watches SET outcome = NULL WHERE id <= {rows}")  # noqa: S608
    assert len(raw(path, "PRAGMA integrity_check(1000)")) == messages
    ledger = SqliteLedger(path)
    if usable:
        async with ledger:
            await every(ledger.unacknowledged(ENDPOINT))
            async for _ in ledger.export():
                pass
            assert len(ledger.damaged) == rows
    else:
        with pytest.raises(LedgerCorrupt, match="missing from index watches_open"):
            await ledger.__aenter__()


async def test_damage_of_the_file_beside_that_of_a_row(path: Path) -> None:
    """One message that is not about a row is enough to refuse the file."""
    await filled(path)
    behind(path, INDEXES, "UPDATE watches SET account = 'x' WHERE id = 1", "CREATE TABLE more (id)", "DROP TABLE more")
    assert await left_out(path) == [1]
    data = bytearray(path.read_bytes())
    assert data[36:40] != bytes(4)  # the number of free pages
    data[36:40] = bytes(4)
    path.write_bytes(data)
    with pytest.raises(LedgerCorrupt):
        await left_out(path)


async def test_an_older_file_with_a_damaged_index(path: Path) -> None:
    """It has no checksums, so nobody knows which of the two is right: it is refused, and not migrated."""
    shutil.copy(SAMPLES / "version_3.sqlite", path)
    behind(path, INDEXES, "UPDATE watches SET phase = 'x', account = 'x' WHERE id = 1")
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(LedgerCorrupt, match="index"):
            await SqliteLedger(path, read_only=read_only).__aenter__()
    assert path.read_bytes() == before
