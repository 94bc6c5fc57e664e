"""`pollwise ledger check` and `pollwise ledger recover`: each end has a clear sentence and its exit status."""

from __future__ import annotations

import asyncio
import json
import resource
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pollwise.cli.ledger_repair import check, recover
from pollwise.cli.options import CommonOptions
from pollwise.ledger import Conclusion, NewWatch, OutcomeKind, SqliteLedger
from pollwise.ledger.recovery import Survey, recover_ledger
from pollwise.ledger.schema import MIGRATIONS
from pollwise.model.reading import Phase

Run = Callable[..., Any]
Start = Callable[..., Any]
SAMPLES = Path(__file__).parents[1] / "samples" / "ledger"
BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PAGE, LEAF_OF_A_TABLE = 4096, 0x0D  # sqlite.org/fileformat2.html
SUCCESS: dict[str, Any] = {"outcome": OutcomeKind.SUCCEEDED, "phase": Phase.SUCCEEDED, "elapsed_s": 3.0, "polls": 2}
LARGE = b'{"files": "%s"}' % (b"x" * 20_000)


async def filled(path: Path, count: int, status: bytes = b'{"n": 1}') -> Path:
    """A closed ledger of `count` watches of tasks, of which every second one succeeded with this status."""
    new = [
        NewWatch(endpoint="document360", keys={"task_id": f"task-{n:06}"}, first_seen=BEGAN, deadline=None)
        for n in range(1, count + 1)
    ]
    async with SqliteLedger(path) as ledger:
        numbers = [found.id for found in await ledger.record(new)]
        await ledger.conclude([Conclusion(id=number, status=status, **SUCCESS) for number in numbers[::2]])
    return path


def raw(path: Path, *statements: str) -> list[Any]:
    """Do to the file what pollwise would not. Returns the rows of the last statement."""
    rows: list[Any] = []
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            rows = db.execute(statement).fetchall()
    return rows


def spoiled(path: Path, task: str) -> bytes:
    """Overwrite the page of the table that has this task. Returns the whole file."""
    raw(path, "PRAGMA journal_mode = DELETE")
    whole = bytearray(path.read_bytes())
    for place in range(0, len(whole), PAGE):
        if whole[place] == LEAF_OF_A_TABLE and task.encode() in whole[place : place + PAGE]:
            whole[place : place + PAGE] = bytes(PAGE)
    path.write_bytes(whole)
    return bytes(whole)


def names(folder: Path) -> list[str]:
    """The files of a folder, but for the lock files that stay beside a ledger."""
    return sorted(found.name for found in folder.iterdir() if not found.name.endswith(("-lock", "-shm", "-wal")))


async def exported(path: Path) -> bytes:
    async with SqliteLedger(path, read_only=True) as ledger:
        return b"".join([lines async for lines in ledger.export(include_open=True)])


# --- what is saved ------------------------------------------------------------------------------


async def test_a_sound_ledger(tmp_path: Path, command: Run) -> None:
    """All rows are sound, and the copy has the same rows."""
    path, new = await filled(tmp_path / "a.ledger", 3), tmp_path / "b.ledger"
    assert await command("ledger", "check", str(path)) == (0, "all 3 rows are sound\n", "")
    assert await command("ledger", "recover", str(path), str(new)) == (0, f"all 3 rows were written to {new}\n", "")
    assert await exported(new) == await exported(path)
    status, out, err = await command("ledger", "check", str(new), "--json")
    assert (status, json.loads(out), err) == (0, {"sound": 3, "damaged": [], "faults": []}, "")


async def test_a_damaged_ledger(tmp_path: Path, command: Run) -> None:
    """The sound rows are in the new ledger, the jobs of the others are listed, and the old file stays as it is."""
    path, new = await filled(tmp_path / "a.ledger", 200), tmp_path / "b.ledger"
    whole = spoiled(path, "task-000100")
    status, _, err = await command("ledger", "show", str(path))
    assert (status, "pollwise ledger recover" in err) == (74, True)
    status, listed, err = await command("ledger", "check", str(path))
    assert (status, err) == (1, "")
    status, out, err = await command("ledger", "recover", str(path), str(new), "--json")
    assert (status, err) == (1, "")
    survey = json.loads(out)
    lost = [row["row"] for row in survey["damaged"]]
    assert 100 in lost
    assert survey["sound"] + len(lost) == 200
    assert survey["damaged"][0] == {
        "row": lost[0],
        "reason": "its page cannot be read",
        "endpoint": "document360",
        "account": "",
        "job": {"task_id": f"task-{lost[0]:06}"},
        "certain": False,
    }
    assert listed.splitlines()[0] == f"{survey['sound']} rows are sound, {len(lost)} are damaged"
    assert "row 100: its page cannot be read; document360 task-000100 (may be wrong)" in listed.splitlines()
    assert "file: " in listed
    assert path.read_bytes() == whole
    status, out, _ = await command("ledger", "show", str(new), "--json")
    assert (status, json.loads(out)["watches"]) == (0, survey["sound"])


async def test_a_changed_row_is_named_with_its_job(tmp_path: Path, command: Run) -> None:
    """A row whose state is damaged has a job that is certainly right. In the text nothing of it acts on a terminal."""
    path, new = await filled(tmp_path / "a.ledger", 3), tmp_path / "b.ledger"
    raw(
        path,
        "UPDATE watches SET polls = 9 WHERE id = 2",
        'UPDATE watches SET job = \'{"a": "\\u001b[31m"}\' WHERE id = 3',
    )
    status, out, err = await command("ledger", "recover", str(path), str(new))
    assert (status, err) == (1, "")
    assert out.splitlines() == [
        f"1 row was written to {new}, 2 are damaged",
        "row 2: its state is not as it was written; document360 task-000002",
        "row 3: its job is not as it was written; document360 [31m (may be wrong)",
    ]
    status, out, _ = await command("ledger", "check", str(path), "--json")
    assert [row["certain"] for row in json.loads(out)["damaged"]] == [True, False]


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_a_ledger_of_an_older_release(tmp_path: Path, command: Run, version: int) -> None:
    """Its rows are in the new ledger, which is of the newest version. The old file is not migrated."""
    path, new = tmp_path / "old.ledger", tmp_path / "new.ledger"
    shutil.copy(SAMPLES / f"version_{version}.sqlite", path)
    before = path.read_bytes()
    lines = (SAMPLES / f"version_{version}.jsonl").read_bytes()
    assert (await command("ledger", "check", str(path)))[0] == 0
    assert (await command("ledger", "recover", str(path), str(new)))[0] == 0
    assert path.read_bytes() == before
    assert await exported(new) == lines
    assert raw(new, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    status, out, _ = await command("ledger", "check", str(new))
    assert (status, out) == (0, f"all {len(lines.splitlines())} rows are sound\n")


async def test_a_damaged_ledger_of_an_older_release(tmp_path: Path, command: Run) -> None:
    """Versions without checksums have damage as well: a row whose values cannot be right is listed."""
    path, new = tmp_path / "old.ledger", tmp_path / "new.ledger"
    shutil.copy(SAMPLES / "version_3.sqlite", path)
    raw(path, "UPDATE watches SET phase = 'sleeping' WHERE id = 1")
    rows = len((SAMPLES / "version_3.jsonl").read_bytes().splitlines())
    status, out, _ = await command("ledger", "recover", str(path), str(new))
    assert status == 1
    assert out.startswith(f"{rows - 1} rows were written to {new}, 1 is damaged\nrow 1: ")
    assert len((await exported(new)).splitlines()) == rows - 1


async def test_a_ledger_in_use(tmp_path: Path, command: Run) -> None:
    """The rows that a running process has written so far are checked and saved, with those in the log."""
    path, new = tmp_path / "a.ledger", tmp_path / "b.ledger"
    await filled(path, 3)
    async with SqliteLedger(path) as ledger:
        await ledger.record([NewWatch(endpoint="e", keys={"id": "1"}, first_seen=BEGAN, deadline=None)])
        assert (await command("ledger", "check", str(path)))[:2] == (0, "all 4 rows are sound\n")
        assert (await command("ledger", "recover", str(path), str(new)))[0] == 0
    assert await exported(new) == await exported(path)


# --- what cannot be read ------------------------------------------------------------------------


def a_text(path: Path) -> None:
    path.write_text("endpoint,task_id\ndocument360,t-1\n" * 500)


def an_empty_file(path: Path) -> None:
    path.touch()


def zeros(path: Path) -> None:
    path.write_bytes(bytes(3 * PAGE))


def a_folder(path: Path) -> None:
    path.mkdir()


def another_database(path: Path) -> None:
    raw(path, "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)")


def another_table_of_watches(path: Path) -> None:
    raw(path, "CREATE TABLE watches (id INTEGER PRIMARY KEY, owner TEXT)", "INSERT INTO watches VALUES (1, 'me')")


@pytest.mark.parametrize("make", [a_text, an_empty_file, zeros, a_folder, another_database, another_table_of_watches])
async def test_a_file_that_is_no_ledger(tmp_path: Path, command: Run, make: Callable[[Path], None]) -> None:
    """Both commands say so with status 74, and no new file is made."""
    path = tmp_path / "a.ledger"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    for arguments in (("check", str(path)), ("recover", str(path), str(tmp_path / "b.ledger"))):
        status, out, err = await command("ledger", *arguments)
        assert (status, out, err.count("\n")) == (74, "", 1)
        assert f"{path} is not a ledger" in err
        assert "left as it is" in err
    assert names(tmp_path) == ["a.ledger"]
    assert before is None or path.read_bytes() == before


async def test_a_file_that_does_not_exist(tmp_path: Path, command: Run) -> None:
    """Both commands end with status 2, and no file is made."""
    for arguments in (("check", str(tmp_path / "a")), ("recover", str(tmp_path / "a"), str(tmp_path / "b"))):
        status, out, err = await command("ledger", *arguments)
        assert (status, out) == (2, "")
        assert f"{tmp_path / 'a'} does not exist" in err
    assert names(tmp_path) == []


async def test_a_ledger_of_a_newer_release(tmp_path: Path, command: Run) -> None:
    """A recovery would drop its new columns, so it is refused with status 74."""
    path = await filled(tmp_path / "a.ledger", 2)
    raw(path, "ALTER TABLE watches ADD COLUMN mood TEXT", "PRAGMA user_version = 77")
    for arguments in (("check", str(path)), ("recover", str(path), str(tmp_path / "b.ledger"))):
        status, out, err = await command("ledger", *arguments)
        assert (status, out) == (74, "")
        assert "schema version 77" in err
        assert "Upgrade pollwise" in err
    assert names(tmp_path) == ["a.ledger"]


@pytest.mark.parametrize("pragma", ["application_id = 7", "user_version = 3", "user_version = 7", "user_version = 0"])
async def test_a_damaged_header_is_a_fault(tmp_path: Path, command: Run, pragma: str) -> None:
    """A file whose rows are sound and that cannot be opened has a fault: the check says why, and `recover` mends it."""
    path, new = await filled(tmp_path / "a.ledger", 2), tmp_path / "b.ledger"
    lines = await exported(path)
    raw(path, f"PRAGMA {pragma}")
    assert (await command("ledger", "show", str(path)))[0] == 74
    status, out, err = await command("ledger", "check", str(path))
    assert (status, err) == (1, "")
    assert out.splitlines()[0] == "2 rows are sound, 0 are damaged"
    assert out.splitlines()[1].startswith("file: ")
    assert (await command("ledger", "recover", str(path), str(new)))[0] == 1
    assert await exported(new) == lines


async def test_a_foreign_trigger_is_a_fault(tmp_path: Path, command: Run) -> None:
    """A ledger whose tables were changed cannot be opened, so the check says so."""
    path = await filled(tmp_path / "a.ledger", 2)
    raw(path, "CREATE TRIGGER t AFTER UPDATE ON watches BEGIN DELETE FROM watches; END")
    status, out, _ = await command("ledger", "check", str(path))
    assert status == 1
    assert "file: its tables are not as they were made" in out


async def test_a_ledger_that_another_program_locks(tmp_path: Path, command: Run, monkeypatch: Any) -> None:
    """The command says that the file is in use. No row counts as damaged."""
    monkeypatch.setattr("pollwise.ledger.recovery._BUSY_TIMEOUT_S", 0.0)
    path = await filled(tmp_path / "a.ledger", 2)
    raw(path, "PRAGMA journal_mode = DELETE")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        status, out, err = await command("ledger", "check", str(path))
        db.execute("ROLLBACK")
    assert (status, out) == (74, "")
    assert "is in use" in err


# --- what cannot be written ---------------------------------------------------------------------


def few_bytes(size: int) -> Callable[[], None]:
    """Makes a process that can write no file beyond this size."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("room", [0, 50_000, 1_500_000])
async def test_a_full_disk(
    tmp_path: Path, start: Start, command: Run, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command says that the disk is full, and that nothing was changed. With room, the same command succeeds."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # coverage could not write its own file either
    path, new = await filled(tmp_path / "old.ledger", 300, LARGE), tmp_path / "new.ledger"
    before = path.read_bytes()
    child = await start("ledger", "recover", str(path), str(new), preexec_fn=few_bytes(room))
    status, out, err = await child.end()
    assert (status, out, err.count("\n")) == (74, "", 1)
    assert err.startswith(f"pollwise: {new} could not be written: the disk is full")
    assert f"Nothing was changed: {path} is as it was, and the unfinished file was removed. Free some space" in err
    assert names(tmp_path) == ["old.ledger"]
    assert path.read_bytes() == before
    assert (await command("ledger", "recover", str(path), str(new)))[:2] == (0, f"all 300 rows were written to {new}\n")
    assert await exported(new) == await exported(path)


@pytest.mark.parametrize("place", ["/proc/self/new.ledger", "missing/new.ledger", "old.ledger/new.ledger"])
async def test_a_place_that_cannot_be_written(tmp_path: Path, command: Run, place: str) -> None:
    """The command names the new file and not the old one as the trouble, with status 74."""
    path, new = await filled(tmp_path / "old.ledger", 2), tmp_path / place
    status, out, err = await command("ledger", "recover", str(path), str(new))
    assert (status, out, err.count("\n")) == (74, "", 1)
    assert err.startswith(f"pollwise: {new} could not be written: ")
    assert f"Nothing was changed: {path} is as it was" in err
    assert "Name a file in a folder that can be written" in err
    assert names(tmp_path) == ["old.ledger"]


@pytest.mark.parametrize("end", ["", "-wal", "-journal"])
async def test_a_target_that_exists(tmp_path: Path, command: Run, end: str) -> None:
    """No file is overwritten, and no ledger is made beside the log of an earlier one, which SQLite would write into it."""
    path, new = await filled(tmp_path / "old.ledger", 2), tmp_path / "new.ledger"
    there = Path(f"{new}{end}")
    there.write_text("mine")
    status, out, err = await command("ledger", "recover", str(path), str(new))
    assert (status, out) == (2, "")
    assert f"{there} exists and is left as it is. Name another file." in err
    assert there.read_text() == "mine"


async def test_a_target_that_is_a_link_to_nothing(tmp_path: Path, command: Run) -> None:
    """A link is a file that exists, wherever it leads."""
    path, new = await filled(tmp_path / "old.ledger", 2), tmp_path / "new.ledger"
    new.symlink_to(tmp_path / "missing")
    assert (await command("ledger", "recover", str(path), str(new)))[0] == 2
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("end", ["", "-wal", "-shm", "-journal", "-lock"])
async def test_a_target_that_is_the_source(tmp_path: Path, command: Run, end: str) -> None:
    """Neither the damaged ledger nor a part of it is written to, by whatever name."""
    path = await filled(tmp_path / "old.ledger", 2)
    (tmp_path / "old.ledger-lock").unlink()
    (tmp_path / "link").symlink_to(tmp_path)
    for folder in (tmp_path, tmp_path / "link"):
        before = path.read_bytes()
        status, out, err = await command("ledger", "recover", str(path), f"{folder / 'old.ledger'}{end}")
        assert (status, out) == (2, "")
        assert f"old.ledger{end} " in err
        assert path.read_bytes() == before
    assert sorted(found.name for found in tmp_path.iterdir()) == ["link", "old.ledger"]


# --- what interrupts it -------------------------------------------------------------------------


@contextmanager
def standing_still(path: Path) -> Iterator[None]:
    """Lock the ledger, so that a recovery has begun its new file, and waits for the first row."""
    raw(path, "PRAGMA journal_mode = DELETE")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield
        db.execute("ROLLBACK")


async def begun(start: Start, tmp_path: Path) -> Any:
    """A recovery that has begun its new file."""
    child = await start("ledger", "recover", "old.ledger", "new.ledger")
    while not (tmp_path / "new.ledger-pollwise-recovery").exists():
        assert child.process.returncode is None
        await asyncio.sleep(0.001)
    return child


INTERRUPTED = "The recovery was interrupted. Nothing was changed, and new.ledger was not written."


async def test_ctrl_c(tmp_path: Path, start: Start) -> None:
    """The recovery stops, removes its unfinished file and says that nothing was changed, with status 130.

    The command may notice the signal after its last row. Then the ledger is written, and its numbers are shown.
    """
    path = await filled(tmp_path / "old.ledger", 5_000)
    with standing_still(path):
        before = path.read_bytes()
        child = await begun(start, tmp_path)
        child.process.send_signal(signal.SIGINT)
    end = await child.end()
    if end[0] == 130:
        assert end == (130, "", f"pollwise: {INTERRUPTED}\n")
        assert names(tmp_path) == ["old.ledger"]
    else:
        assert end == (0, "all 5,000 rows were written to new.ledger\n", "")
        assert names(tmp_path) == ["new.ledger", "old.ledger"]
    assert path.read_bytes() == before


async def test_a_recovery_that_is_cancelled(tmp_path: Path, capsys: Any) -> None:
    """The recovery stops at the next row, and removes its unfinished file."""
    path = await filled(tmp_path / "old.ledger", 3)
    with standing_still(path):
        recovering = asyncio.create_task(recover(path, tmp_path / "new.ledger", options=CommonOptions()))
        while not (tmp_path / "new.ledger-pollwise-recovery").exists():
            await asyncio.sleep(0.001)
        recovering.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await recovering
    assert "The recovery was interrupted. Nothing was changed, and " in capsys.readouterr().err
    assert names(tmp_path) == ["old.ledger"]


async def test_a_recovery_that_is_cancelled_too_late(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recovery that has written its ledger shows its numbers, although it is cancelled then."""
    path = await filled(tmp_path / "old.ledger", 3)
    written, checked = threading.Event(), threading.Event()

    def late(old: str, new: str, stop: Callable[[], bool]) -> Survey:
        survey = recover_ledger(old, new, stop)
        written.set()
        checked.wait()
        return survey

    monkeypatch.setattr("pollwise.cli.ledger_repair.recover_ledger", late)
    recovering = asyncio.create_task(recover(path, tmp_path / "new.ledger", options=CommonOptions()))
    while not written.is_set():
        await asyncio.sleep(0.001)
    recovering.cancel()
    await asyncio.sleep(0)
    checked.set()
    assert await recovering == 0
    assert capsys.readouterr().out.startswith("all 3 rows were written to ")
    assert names(tmp_path) == ["new.ledger", "old.ledger"]


async def test_ctrl_c_during_a_check(tmp_path: Path, capsys: Any) -> None:
    """The check stops at the next row, and says so."""
    path = await filled(tmp_path / "old.ledger", 3)
    with standing_still(path):
        checking = asyncio.create_task(check(path, options=CommonOptions()))
        for _ in range(3):  # it has begun, and cannot go on
            await asyncio.sleep(0)
        checking.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await checking
    assert tuple(capsys.readouterr()) == ("", "pollwise: The check was interrupted.\n")


async def test_what_a_killed_recovery_left(tmp_path: Path, start: Start) -> None:
    """No ledger is there under the new name, the old one is as it was, and the same command then succeeds."""
    path = await filled(tmp_path / "old.ledger", 3)
    with standing_still(path):
        before = path.read_bytes()
        child = await begun(start, tmp_path)
        child.process.kill()
        assert (await child.end())[0] == -signal.SIGKILL
    assert names(tmp_path) == ["new.ledger-pollwise-recovery", "old.ledger"]
    assert path.read_bytes() == before
    status, out, err = await (await start("ledger", "recover", "old.ledger", "new.ledger")).end()
    assert (status, out, err) == (0, "all 3 rows were written to new.ledger\n", "")
    assert names(tmp_path) == ["new.ledger", "old.ledger"]
