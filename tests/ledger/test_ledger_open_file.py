# A test that looks at files and processes has its loop to itself, so it may block it.
# ruff: noqa: ASYNC220

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ledger_values import ENDPOINT, every, new, raw

from pollwise.ledger import LedgerFailed, LedgerUnsafe, SqliteLedger, work
from pollwise.ledger.inode_lock import file_id
from pollwise.ledger.open_file import OpenFile
from pollwise.ledger.work import Work


async def left_by_a_kill(path: Path, place: Path) -> list[str]:
    """The jobs that the next process would find if this one were killed now: what stands beside the path, and no more."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for end in ("", "-wal"):
        if Path(f"{path}{end}").exists():
            shutil.copy(f"{path}{end}", place)
    async with SqliteLedger(place / path.name) as ledger:
        return [known.keys["job_id"] for known in await every(ledger.open_watches(ENDPOINT))]


def delete(path: Path) -> None:
    path.unlink()


def move_away(path: Path) -> None:
    path.rename(path.with_name("moved"))


def replace_by_nothing(path: Path) -> None:
    path.unlink()
    path.touch()


def let_a_reader_make_it(path: Path) -> None:
    """What `pollwise ledger show` does after the file was deleted: SQLite makes an empty one."""
    path.unlink()
    with closing(sqlite3.connect(str(path).rpartition("-")[0])) as db, pytest.raises(sqlite3.Error):
        db.execute("SELECT * FROM watches").fetchall()


@pytest.mark.parametrize("end", ["-wal", "-shm"])
@pytest.mark.parametrize("harm", [delete, move_away, replace_by_nothing])
async def test_what_is_recorded_is_found(path: Path, tmp_path: Path, end: str, harm: Callable[[Path], None]) -> None:
    """A log that is lost while the ledger is open costs no row: all rows are where the next process looks."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(0)])
        for number in (1, 2, 3):
            harm(Path(f"{path}{end}"))
            await ledger.record([new(number)])
            assert await left_by_a_kill(path, tmp_path / "copy") == [f"ZX-{n}" for n in range(number + 1)]
    assert raw(path, "PRAGMA integrity_check") == [("ok",)]
    assert raw(path, "SELECT count(*) FROM watches") == [(4,)]


async def test_a_reader_makes_a_new_log(path: Path, tmp_path: Path) -> None:
    """An empty log that a reader made in the place of the deleted one is used, and no row is lost."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
        let_a_reader_make_it(Path(f"{path}-wal"))
        await ledger.record([new(2)])
        assert await left_by_a_kill(path, tmp_path / "copy") == ["ZX-1", "ZX-2"]
        async with SqliteLedger(path, read_only=True) as reader:
            assert len(await every(reader.open_watches(ENDPOINT))) == 2


async def test_a_log_that_is_lost_during_a_transaction(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are looked at after the commit, too."""

    def record(db: sqlite3.Connection, watches: Any) -> Any:
        recorded = work.RECORD.run(db, watches)
        Path(f"{path}-wal").unlink()
        return recorded

    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
        monkeypatch.setattr("pollwise.ledger.sqlite.RECORD", Work(record, writes=True))
        assert len(await ledger.record([new(2)])) == 1
        assert await left_by_a_kill(path, tmp_path / "copy") == ["ZX-1", "ZX-2"]


async def test_a_file_that_is_lost_during_a_transaction(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call whose rows no later process can find raises."""

    def record(db: sqlite3.Connection, watches: Any) -> Any:
        recorded = work.RECORD.run(db, watches)
        path.rename(path.with_name("elsewhere"))
        return recorded

    async with SqliteLedger(path) as ledger:
        with monkeypatch.context() as patch:
            patch.setattr("pollwise.ledger.sqlite.RECORD", Work(record, writes=True))
            with pytest.raises(LedgerFailed, match="moved"):
                await ledger.record([new(1)])
        path.with_name("elsewhere").rename(path)
        assert len(await ledger.record([new(1)])) == 1


async def test_an_idle_ledger(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a call, too, a lost log is noticed, its rows are saved, and there is a new log."""
    looked, look = threading.Event(), OpenFile.save_log

    def notice(file: OpenFile) -> None:
        was_lost = not Path(f"{path}-wal").exists()
        look(file)
        if was_lost:
            looked.set()

    monkeypatch.setattr("pollwise.ledger.writer._CHECK_S", 0.001)
    monkeypatch.setattr(OpenFile, "save_log", notice)
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
        Path(f"{path}-wal").unlink()
        assert await asyncio.to_thread(looked.wait, 10.0)
        assert Path(f"{path}-wal").exists()
        assert await left_by_a_kill(path, tmp_path / "copy") == ["ZX-1"]


async def test_a_foreign_log(path: Path, tmp_path: Path) -> None:
    """A foreign file in the place of the log is neither used nor deleted, and the rows are in the ledger itself."""
    log = Path(f"{path}-wal")
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
        older = log.read_bytes()
        await ledger.record([new(2)])
        log.rename(tmp_path / "moved")
        log.write_bytes(older)
        for _ in range(2):
            with pytest.raises(LedgerUnsafe) as caught:
                await ledger.record([new(3)])
            assert caught.value.where == str(path)
            assert caught.value.detail == (
                "a foreign file was put in the place of its -wal; all earlier rows are saved in the ledger itself"
            )
            assert caught.value.advice == f"Move {log} away, then repeat the call"
        assert log.read_bytes() == older
        log.unlink()
        assert await left_by_a_kill(path, tmp_path / "copy") == ["ZX-1", "ZX-2"]
        await ledger.record([new(3)])
        assert await left_by_a_kill(path, tmp_path / "copy") == ["ZX-1", "ZX-2", "ZX-3"]


async def test_a_reader_in_the_way(path: Path, tmp_path: Path) -> None:
    """While a reader keeps the rows from being saved, each call raises and can be repeated. The close raises, too."""
    async with SqliteLedger(path, busy_timeout_s=0.0) as ledger:
        await ledger.record([new(1)])
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM watches").fetchall() == [(1,)]
            Path(f"{path}-wal").unlink()
            with pytest.raises(LedgerUnsafe) as caught:
                await ledger.record([new(2)])
        assert caught.value.where == str(path)
        assert caught.value.detail == (
            "its -wal or -shm was deleted or replaced while it was in use, and another process reads the ledger, so the"
            " newest rows could not be saved yet"
        )
        assert caught.value.advice == "End the process that reads the ledger, then repeat the call"
        await ledger.record([new(2)])
        assert await left_by_a_kill(path, tmp_path / "copy") == ["ZX-1", "ZX-2"]


async def test_a_close_that_could_lose_rows(path: Path) -> None:
    """A close that cannot save the rows of a lost log raises, instead of losing them silently."""
    ledger = SqliteLedger(path, busy_timeout_s=0.0)
    async with ledger:
        await ledger.record([new(1)])
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM watches").fetchall()
            Path(f"{path}-wal").unlink()
            with pytest.raises(LedgerUnsafe):
                await ledger.aclose()


async def test_a_close_saves_a_lost_log(path: Path) -> None:
    """Rows that are only in a deleted log are in the file after the close."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
        Path(f"{path}-wal").unlink()
    assert raw(path, "SELECT count(*) FROM watches") == [(1,)]


async def test_a_folder_that_is_gone(path: Path, tmp_path: Path) -> None:
    """With the whole folder gone, or moved, each call says so, and the close is quiet."""
    folder = tmp_path / "folder"
    folder.mkdir()
    async with SqliteLedger(folder / "jobs.ledger") as ledger:
        await ledger.record([new(1)])
        folder.rename(tmp_path / "moved")
        with pytest.raises(LedgerFailed) as caught:
            await ledger.record([new(2)])
        assert caught.value.where == str(folder / "jobs.ledger")
        assert caught.value.detail == "it was deleted, moved or replaced while it was in use"
        (tmp_path / "moved").rename(folder)
        await ledger.record([new(3)])
        shutil.rmtree(folder)
        with pytest.raises(LedgerFailed, match="deleted, moved or replaced"):
            await ledger.record([new(4)])


async def test_a_new_connection_that_fails(path: Path, tmp_path: Path) -> None:
    """If no new log can be made, the call raises, no row is lost, and a later call makes it."""
    log = Path(f"{path}-wal")
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
        log.unlink()
        log.mkdir()
        for _ in range(2):
            with pytest.raises(Exception, match=str(path)):
                await ledger.record([new(2)])
        log.rmdir()
        await ledger.record([new(2)])
        assert await left_by_a_kill(path, tmp_path / "copy") == ["ZX-1", "ZX-2"]


async def test_a_ledger_behind_a_link(path: Path, tmp_path: Path) -> None:
    """The log stands beside the file that a symbolic link leads to."""
    link = tmp_path / "links" / "jobs.ledger"
    link.parent.mkdir()
    link.symlink_to(path)
    async with SqliteLedger(link) as ledger:
        await ledger.record([new(1)])
        Path(f"{path}-wal").unlink()
        await ledger.record([new(2)])
        assert await left_by_a_kill(path, tmp_path / "copy") == ["ZX-1", "ZX-2"]


# --- readers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["-wal", "-shm"])
async def test_a_reader_follows_the_log(path: Path, end: str) -> None:
    """A reader that is open while the log is lost sees all rows, those from before and those from after."""
    async with SqliteLedger(path) as ledger, SqliteLedger(path, read_only=True) as reader:
        for number in range(3):
            await ledger.record([new(number)])
            assert len(await every(reader.open_watches(ENDPOINT))) == number + 1
            Path(f"{path}{end}").unlink(missing_ok=True)  # both connections share an -shm that was deleted


async def test_a_reader_of_a_file_that_was_replaced(path: Path) -> None:
    """A reader does not go on reading a file that is no longer the ledger."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
    async with SqliteLedger(path, read_only=True) as reader:
        path.rename(path.with_name("elsewhere"))
        with pytest.raises(LedgerFailed, match="deleted, moved or replaced"):
            await every(reader.open_watches(ENDPOINT))
        path.with_name("elsewhere").rename(path)
        assert len(await every(reader.open_watches(ENDPOINT))) == 1


async def test_a_reader_of_another_process_after_the_index_was_deleted(path: Path, tmp_path: Path) -> None:
    """A reader that makes an -shm of its own does not keep the writer from its log, and no row is lost.

    The writer leaves its old log to that reader, whose -shm would mislead it about what is in a log that both use.
    """
    code = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]);"
        "print(db.execute('SELECT count(*) FROM watches').fetchone()[0], flush=True); sys.stdin.read()"
    )
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(0)])
        Path(f"{path}-shm").unlink()
        with subprocess.Popen(
            [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as reader:
            assert reader.stdout is not None
            assert reader.stdout.readline() == b"1\n"
            log_of_reader = file_id(f"{path}-wal")
            for number in (1, 2, 3):
                await ledger.record([new(number)])
                assert file_id(f"{path}-wal") != log_of_reader
                assert await left_by_a_kill(path, tmp_path / "copy") == [f"ZX-{n}" for n in range(number + 1)]
            reader.kill()
    assert raw(path, "SELECT count(*) FROM watches") == [(4,)]
