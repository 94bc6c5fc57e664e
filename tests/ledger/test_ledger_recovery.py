"""Damaged files: what is sound is saved, the rest is named, and the damaged file stays as it is."""

from __future__ import annotations

import errno
import itertools
import shutil
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from damaged_files import (
    LEAF_OF_A_TABLE,
    PAGE,
    ROWS,
    SAMPLES,
    cells,
    exported,
    filled,
    overwritten,
    page_of,
    root_of,
    saved,
)
from ledger_values import ENDPOINT, change, every, folder_of, new, raw, sealed

from pollwise.errors import ConfigurationError
from pollwise.ledger import (
    LedgerCorrupt,
    LedgerInUse,
    LedgerMissing,
    LedgerNotRecovered,
    LedgerTooNew,
    LedgerUnsafe,
    LedgerUnwritable,
    NotALedger,
    SqliteLedger,
    file_safety,
    recovery,
)
from pollwise.ledger.recovery import Stopped, Survey, check_ledger, recover_ledger
from pollwise.ledger.schema import MIGRATIONS

# --- damage of rows -----------------------------------------------------------------------------


async def test_a_page_that_cannot_be_read(path: Path) -> None:
    """Its rows are listed with their jobs, which the index has. All other rows are in the new ledger."""
    data = await filled(path)
    overwritten(path, page_of(data, b"ZX-250"), bytes(PAGE))
    survey = saved(path)
    assert survey.faults
    assert ROWS - 40 < survey.sound < ROWS
    assert survey.sound + len(survey.damaged) == ROWS
    lost = {row.id: row for row in survey.damaged}
    assert list(lost) == sorted(lost)
    assert lost[250].keys == {"file_id": "D1", "job_id": "ZX-250"}
    assert (lost[250].endpoint, lost[250].account, lost[250].certain) == (ENDPOINT, "", False)
    assert {row.reason for row in survey.damaged} == {"its page cannot be read"}
    async with SqliteLedger(path.with_name("new.ledger")) as ledger:
        found = await every(ledger.open_watches(ENDPOINT)) + await every(ledger.unacknowledged(ENDPOINT))
        assert {row.id for row in found} == set(range(1, ROWS + 1)) - lost.keys()
        assert ledger.damaged == []


@pytest.mark.parametrize("number", [1, 250, ROWS])
async def test_a_page_and_the_index_that_cannot_be_read(path: Path, number: int) -> None:
    """Without the index, the numbers of the lost rows are known, but not their jobs."""
    data = await filled(path)
    overwritten(path, page_of(data, b'ZX-%d"' % number), bytes(PAGE))
    overwritten(path, root_of(path, "watches_by_job"), bytes(PAGE))
    survey = saved(path)
    assert survey.sound + len(survey.damaged) == ROWS
    assert {(row.reason, row.endpoint, row.account, row.keys, row.certain) for row in survey.damaged} == {
        ("its page cannot be read", None, None, None, False)
    }
    assert number in {row.id for row in survey.damaged}


async def test_an_index_that_cannot_be_read(path: Path) -> None:
    """All rows are saved, and the file has a fault."""
    await filled(path)
    lines = await exported(path)
    overwritten(path, root_of(path, "watches_by_job"), bytes(PAGE))
    survey = saved(path)
    assert (survey.sound, survey.damaged) == (ROWS, [])
    assert survey.faults
    assert await exported(path.with_name("new.ledger")) == lines


async def test_the_root_of_the_table_cannot_be_read(path: Path) -> None:
    """No row can be found, and all of them are named, as the index has them."""
    await filled(path)
    overwritten(path, root_of(path, "watches"), bytes(PAGE))
    survey = saved(path)
    assert survey.sound == 0
    assert survey.faults == ["database disk image is malformed"]
    assert [row.id for row in survey.damaged] == list(range(1, ROWS + 1))
    assert [row.keys for row in survey.damaged][-1] == {"file_id": "D1", "job_id": f"ZX-{ROWS}"}


@pytest.mark.parametrize("number", [1, 9, 100])
@pytest.mark.parametrize("instead", [0, 60, 0x80])
async def test_a_damaged_number_costs_one_row(path: Path, number: int, instead: int) -> None:
    """A row whose number is damaged is named with its job, and the rows behind it are saved all the same."""
    data = await filled(path, 120)
    (place,) = [place for known, place in cells(data) if known == number]
    overwritten(path, place, bytes([number | 0x80 if instead == 0x80 else instead ^ (instead == number)]))
    survey = saved(path)
    assert survey.sound == 119
    keys = {"file_id": "D1", "job_id": f"ZX-{number}"}
    assert [(row.id, row.reason) for row in survey.damaged if row.keys == keys and row.id == number] == [
        (number, "it is not in its place")
    ]
    assert not {row.id for row in survey.damaged} & (set(range(1, 121)) - {number})


async def test_a_row_of_a_linked_page_is_saved_once(path: Path) -> None:
    """If a page is found in two places, its rows are not damaged, and the rows of the page that it replaces are named."""
    data = await filled(path)
    there, instead = page_of(data, b"ZX-250"), page_of(data, b"ZX-350")
    overwritten(path, instead, data[there : there + PAGE])
    survey = saved(path)
    assert survey.sound + len(survey.damaged) == ROWS
    damaged = {row.id for row in survey.damaged}
    assert 350 in damaged
    assert 250 not in damaged


async def test_a_second_row_of_a_job(path: Path) -> None:
    """The first one is saved, because the new ledger has an index with one row for each job, wherever it is polled."""
    await filled(path, 3)
    sealed(
        path,
        "DROP INDEX watches_by_job",
        "UPDATE watches SET job = (SELECT job FROM watches WHERE id = 1)",
        "UPDATE watches SET origin = 'https://b.example' WHERE id = 2",
    )
    survey = saved(path)
    assert survey.sound == 1
    assert [(row.id, row.reason, row.certain) for row in survey.damaged] == [
        (2, "it is a second row of its job", True),
        (3, "it is a second row of its job", True),
    ]
    assert raw(path.with_name("new.ledger"), "SELECT id FROM watches") == [(1,)]


async def test_equal_keys_of_other_endpoints_and_accounts(path: Path) -> None:
    """They are other jobs, and each of them is saved."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1), new(1, account="acme"), new(1, endpoint="other")])
    assert saved(path) == Survey(sound=3, damaged=[], faults=[])


async def test_a_job_that_is_damaged_in_the_index_alone(path: Path) -> None:
    """Its row is sound, so it is saved, and not named."""
    data = await filled(path, 3)
    page = root_of(path, "watches_by_job")
    overwritten(path, data.index(b"ZX-2", page) + 3, b"7")
    survey = saved(path)
    assert (survey.sound, survey.damaged) == (3, [])
    assert "row 2 missing from index watches_by_job" in survey.faults


async def test_rows_that_were_changed(path: Path) -> None:
    """Each of them is named with what is wrong with it. Of the state, the job is certain."""
    await filled(path, 4)
    raw(path, "UPDATE watches SET polls = 9 WHERE id = 2", "UPDATE watches SET account = 'x' WHERE id = 3")
    survey = saved(path)
    assert (survey.sound, survey.faults) == (2, [])
    assert [(row.id, row.reason, row.certain) for row in survey.damaged] == [
        (2, "its state is not as it was written", True),
        (3, "its job is not as it was written", False),
    ]


@pytest.mark.parametrize("seq", ["0", "3", "4000000000000000000", "'x'", "NULL"])
async def test_a_damaged_count_of_rows(path: Path, seq: str) -> None:
    """The highest number is believed as two of the three places have it, so nothing is lost, and it takes no longer."""
    await filled(path, 5)
    raw(path, f"UPDATE sqlite_sequence SET seq = {seq}")  # noqa: S608
    assert saved(path) == Survey(sound=5, damaged=[], faults=[])


async def test_a_damaged_count_of_rows_and_index(path: Path) -> None:
    """Without the index there are two places, and the higher number is believed, so that no row is lost."""
    await filled(path)
    overwritten(path, root_of(path, "watches_by_job"), bytes(PAGE))
    data = path.read_bytes()
    place = data.index(b"watches", root_of(path, "sqlite_sequence")) + len("watches")
    assert data[place : place + 2] == ROWS.to_bytes(2, "big")
    overwritten(path, place, b"\x00\x03")
    survey = saved(path)
    assert (survey.sound, survey.damaged) == (ROWS, [])


async def test_an_empty_table_that_cannot_be_read(path: Path) -> None:
    """No row is named that never was."""
    await filled(path, 0)
    overwritten(path, root_of(path, "watches"), bytes(PAGE))
    survey = saved(path)
    assert (survey.sound, survey.damaged) == (0, [])
    assert survey.faults


async def test_many_rows_with_gaps(path: Path) -> None:
    """Rows are read in ranges of a thousand numbers, and none is left out at their ends."""
    numbers = [1, 2, 999, 1_000, 1_001, 1_002, 1_999, 2_000, 2_001, 5_000]
    await filled(path, 10)
    shifts = (f"UPDATE watches SET id = {to} WHERE id = {n}" for n, to in reversed(list(enumerate(numbers, 1))))  # noqa: S608
    sealed(path, *shifts)
    assert saved(path) == Survey(sound=10, damaged=[], faults=[])
    assert [number for (number,) in raw(path.with_name("new.ledger"), "SELECT id FROM watches ORDER BY id")] == numbers


async def test_an_empty_ledger(path: Path) -> None:
    """It has no rows, and no faults."""
    await filled(path, 0)
    assert saved(path) == Survey(sound=0, damaged=[], faults=[])


async def test_at_most_twenty_messages_of_sqlite(path: Path) -> None:
    """An index that has none of the rows is told by the first twenty of them."""
    await filled(path, 30)
    overwritten(path, root_of(path, "watches_by_job"), bytes([0x0A, 0, 0, 0, 0, 0x10, 0, 0]) + bytes(PAGE - 8))
    survey = check_ledger(str(path))
    assert (survey.sound, len(survey.faults)) == (30, 20)
    assert any("missing from index watches_by_job" in fault for fault in survey.faults)


# --- files that are read ------------------------------------------------------------------------


def test_no_file(path: Path) -> None:
    """The error has the path, and no file is made."""
    for call in (lambda: check_ledger(str(path)), lambda: recover_ledger(str(path), f"{path}.new")):
        with pytest.raises(LedgerMissing) as caught:
            call()
        assert caught.value.where == str(path)
    assert folder_of(path) == {}


def test_another_programs_database(path: Path) -> None:
    """It is no ledger, also if it has a table of watches."""
    for table in ("notes (id INTEGER PRIMARY KEY)", "watches (id INTEGER PRIMARY KEY, endpoint, job)"):
        path.unlink(missing_ok=True)
        raw(path, f"CREATE TABLE {table}")
        with pytest.raises(NotALedger) as caught:
            check_ledger(str(path))
        assert (caught.value.where, caught.value.detail) == (str(path), "it is another program's SQLite database")


async def test_a_ledger_without_its_table(path: Path) -> None:
    """A ledger whose table of watches is gone is damaged."""
    await filled(path, 2)
    raw(path, "DROP TABLE watches")
    with pytest.raises(LedgerCorrupt) as caught:
        check_ledger(str(path))
    assert (caught.value.where, caught.value.detail) == (str(path), "it has no table of watches that can be read")


async def test_a_newer_ledger(path: Path) -> None:
    """Its columns that are not known would be lost, so it is refused. A version that is only damaged is a fault."""
    await filled(path, 2)
    newer = len(MIGRATIONS) + 1
    raw(path, f"PRAGMA user_version = {newer}")
    assert saved(path) == Survey(sound=2, damaged=[], faults=[f"its schema version is {newer}"])
    raw(path, "ALTER TABLE watches ADD COLUMN mood TEXT")
    with pytest.raises(LedgerTooNew) as caught:
        check_ledger(str(path))
    assert (caught.value.where, caught.value.found, caught.value.supported) == (str(path), newer, len(MIGRATIONS))
    raw(path, f"PRAGMA user_version = {len(MIGRATIONS)}")
    assert check_ledger(str(path)).faults == ["its tables are not as they were made"]


async def test_an_id_of_another_application(path: Path) -> None:
    """Its tables say that it is a ledger, so its rows are saved, and the fault is told."""
    await filled(path, 2)
    raw(path, "PRAGMA application_id = 7")
    assert saved(path) == Survey(sound=2, damaged=[], faults=["it is another program's SQLite database"])


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_a_file_of_an_older_version(path: Path, version: int) -> None:
    """All its rows are sound, and come back as that release exported them. A lost page is listed with its jobs."""
    shutil.copy(SAMPLES / f"version_{version}.sqlite", path)
    lines = (SAMPLES / f"version_{version}.jsonl").read_bytes()
    assert saved(path) == Survey(sound=len(lines.splitlines()), damaged=[], faults=[])
    assert await exported(path.with_name("new.ledger")) == lines
    path.with_name("new.ledger").unlink()
    data = path.read_bytes()
    overwritten(
        path, max(at for at in range(0, len(data), PAGE) if data[at] == LEAF_OF_A_TABLE and at > PAGE), bytes(9)
    )
    survey = saved(path)
    assert survey.damaged
    assert survey.sound + len(survey.damaged) == len(lines.splitlines())
    assert all(row.keys and row.endpoint and row.account is not None for row in survey.damaged)


async def test_a_ledger_that_another_program_locks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in use, and not damaged, also if the lock comes while its rows are read."""
    monkeypatch.setattr(recovery, "_BUSY_TIMEOUT_S", 0.0)
    await filled(path, 3)
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as db:
        with pytest.raises(LedgerInUse):
            check_ledger(str(path), lambda: not db.in_transaction and db.execute("BEGIN EXCLUSIVE") is None)
        db.execute("ROLLBACK")
        db.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerInUse) as caught:
            check_ledger(str(path))
        assert caught.value.where == str(path)
        db.execute("ROLLBACK")


async def test_a_ledger_that_is_being_written(path: Path) -> None:
    """What its log has is saved as well."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1), new(2)])
        await ledger.update([change(1)])
        assert recover_ledger(str(path), f"{path}.new") == Survey(sound=2, damaged=[], faults=[])
    assert await exported(Path(f"{path}.new")) == await exported(path)


# --- the new file -------------------------------------------------------------------------------


async def test_a_recovered_ledger_is_private(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its mode is 0600, also by a relative name and after a recovery that was killed."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
    monkeypatch.chdir(path.parent)
    Path("new.ledger-pollwise-recovery").write_bytes(b"half a ledger")
    assert recover_ledger(str(path), "new.ledger").sound == 1
    assert Path("new.ledger").stat().st_mode & 0o777 == 0o600
    assert not Path("new.ledger-pollwise-recovery").exists()


@pytest.mark.parametrize("end", ["", "-wal", "-journal"])
async def test_a_file_in_the_place_of_the_new_one(path: Path, end: str) -> None:
    """It is named and left as it is: SQLite would write the log of another ledger into the new one."""
    await filled(path, 1)
    there = Path(f"{path}.new{end}")
    there.write_bytes(b"mine")
    with pytest.raises(FileExistsError) as caught:
        recover_ledger(str(path), f"{path}.new")
    error = caught.value
    assert (error.errno, error.strerror, error.filename) == (errno.EEXIST, "File exists", str(there))
    assert there.read_bytes() == b"mine"


async def test_a_file_that_appears_at_the_last_moment(path: Path) -> None:
    """It is not replaced."""
    await filled(path, 1)
    there = Path(f"{path}.new")
    with pytest.raises(FileExistsError) as caught:
        recover_ledger(str(path), str(there), lambda: there.write_bytes(b"mine") == 0)
    assert caught.value.filename == str(there)
    assert there.read_bytes() == b"mine"
    assert f"{there.name}-pollwise-recovery" not in folder_of(path)


@pytest.mark.parametrize("end", ["-wal", "-shm", "-journal", "-lock"])
async def test_a_part_of_the_damaged_ledger_is_no_new_file(path: Path, tmp_path: Path, end: str) -> None:
    """Not by another name either."""
    await filled(path, 1)
    other = tmp_path / "other.ledger"
    other.symlink_to(path)
    with pytest.raises(ConfigurationError, match=f"{path}{end} would be a part of the damaged ledger"):
        recover_ledger(str(other), f"{path}{end}")
    assert not Path(f"{path}{end}").exists()


async def test_a_new_file_that_cannot_be_written(path: Path) -> None:
    """The error has both files, and what the system says."""
    await filled(path, 1)
    place = path.parent / "missing" / "new.ledger"
    with pytest.raises(LedgerNotRecovered) as caught:
        recover_ledger(str(path), str(place))
    error = caught.value
    assert (error.where, error.damaged, error.is_full) == (str(place), str(path), False)
    assert error.detail == "No such file or directory"
    assert "could not be written: No such file or directory. Nothing was changed" in str(error)
    assert "in a folder that can be written" in str(error)


@pytest.mark.parametrize("pages", [1, 7, 20])
async def test_a_new_file_without_room(path: Path, monkeypatch: pytest.MonkeyPatch, pages: int) -> None:
    """It is the new file that is full, at its first row or a later one. No file is left, and nothing is damaged."""
    data = await filled(path)
    before = folder_of(path)
    insert = recovery._save

    def without_room(db: sqlite3.Connection, row: object) -> None:
        db.execute(f"PRAGMA max_page_count = {pages}")
        insert(db, row)

    monkeypatch.setattr(recovery, "_save", without_room)
    with pytest.raises(LedgerNotRecovered) as caught:
        recover_ledger(str(path), f"{path}.new")
    error = caught.value
    assert (error.where, error.damaged, error.is_full) == (f"{path}.new", str(path), True)
    assert "the disk is full, or a quota or size limit is reached (database or disk is full)" in str(error)
    assert "Free some space" in str(error)
    assert folder_of(path) == before
    assert path.read_bytes() == data


async def test_a_new_file_that_another_program_locks(path: Path) -> None:
    """As a virus scanner may do. It is no damage of the old file."""
    await filled(path, 1)

    def lock() -> bool:
        if not held:
            held.append(sqlite3.connect(f"{path}.new-pollwise-recovery", isolation_level=None))
            other.enter_context(closing(held[0]))
            held[0].execute("BEGIN EXCLUSIVE")
        return False

    held: list[sqlite3.Connection] = []
    with ExitStack() as other, pytest.raises(LedgerNotRecovered) as caught:
        recover_ledger(str(path), f"{path}.new", lock)
    assert (caught.value.detail, caught.value.is_full) == ("database is locked", False)


async def test_a_new_file_on_a_network_file_system(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could not be opened there, so it is not made there."""
    await filled(path, 1)
    monkeypatch.setattr(file_safety, "file_system_of", lambda *_: "nfs")
    with pytest.raises(LedgerUnsafe) as caught:
        recover_ledger(str(path), f"{path}.new")
    assert caught.value.where == f"{path}.new"
    assert not Path(f"{path}.new").exists()


async def test_a_damaged_file_that_may_not_be_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no damage, and no error of the new file."""
    await filled(path, 1)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(recovery, "connect_to_read", refuse)
    with pytest.raises(LedgerUnwritable, match="Permission denied") as caught:
        recover_ledger(str(path), f"{path}.new")
    assert caught.value.where == str(path)
    assert f"{path.name}.new" not in folder_of(path)


# --- stopping -----------------------------------------------------------------------------------


async def test_it_stops_when_it_is_asked_to(path: Path) -> None:
    """At any row, and also after the last one: then there is no new file, and no unfinished one."""
    await filled(path, 5)
    before = folder_of(path)
    for asked in itertools.count():
        answers = iter([False] * asked)
        try:
            survey = recover_ledger(str(path), f"{path}.new", lambda answers=answers: next(answers, True))  # type: ignore[misc]
        except Stopped:
            assert folder_of(path) == before
            with pytest.raises(Stopped):
                answers = iter([False] * asked)
                check_ledger(str(path), lambda answers=answers: next(answers, True))  # type: ignore[misc]
        else:
            break
    assert survey.sound == 5
    assert asked > 6
