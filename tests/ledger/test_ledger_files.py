# A test that looks at files and processes has its loop to itself, so it may block it.
# ruff: noqa: ASYNC220, ASYNC221

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from ledger_values import ENDPOINT, abandoned, acks, every, folder_of, new, raw, success

from pollwise.ledger import (
    LedgerCorrupt,
    LedgerInUse,
    LedgerMissing,
    LedgerUnwritable,
    NotALedger,
    SqliteLedger,
    writer,
)
from pollwise.ledger.files import Opening, Synchronous, make_ledger, open_ledger
from pollwise.ledger.open_file import OpenFile

CHILD = Path(__file__).with_name("ledger_child.py")


async def opened(path: Path, *, read_only: bool = False) -> None:
    async with SqliteLedger(path, busy_timeout_s=0.0, read_only=read_only):
        pass


def opening_of(path: Path, **other: Any) -> Opening:
    given: dict[str, Any] = {"synchronous": "full", "busy_timeout_s": 0.0, "read_only": False}
    return Opening(path=str(path), **{**given, **other})


async def filled(path: Path, rows: int = 2_000) -> bytes:
    """A closed ledger with something in it."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(n) for n in range(rows)])
    return path.read_bytes()


# --- how it is opened ---------------------------------------------------------------------------


@pytest.mark.parametrize(("synchronous", "level", "fullfsync"), [("full", 2, 1), ("normal", 1, 0)])
def test_a_commit_is_synchronised_as_it_was_asked_for(
    path: Path, synchronous: Synchronous, level: int, fullfsync: int
) -> None:
    """With "full", SQLite waits for the disk at each commit; with "normal" at each checkpoint only."""
    with ExitStack() as held:
        db = open_ledger(opening_of(path, synchronous=synchronous), held).db
        assert db.execute("PRAGMA synchronous").fetchone() == (level,)
        assert db.execute("PRAGMA fullfsync").fetchone() == (fullfsync,)


@pytest.mark.parametrize(("options", "asked"), [({}, "full"), ({"synchronous": "normal"}, "normal")])
async def test_a_ledger_survives_power_loss_by_default(
    path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], asked: str
) -> None:
    """The default is "full". An option is passed on unchanged."""
    openings: list[Opening] = []

    def noting(opening: Opening, held: ExitStack) -> OpenFile:
        openings.append(opening)
        return open_ledger(opening, held)

    monkeypatch.setattr(writer, "open_ledger", noting)
    async with SqliteLedger(path, **options):
        assert [opening.synchronous for opening in openings] == [asked]


@pytest.mark.parametrize("read_only", [False, True])
async def test_each_call_waits_as_long_as_it_was_told_to(path: Path, *, read_only: bool) -> None:
    """`busy_timeout_s` is the time that SQLite waits for another process's lock."""
    await opened(path)
    with ExitStack() as held:
        db = open_ledger(opening_of(path, busy_timeout_s=1.75, read_only=read_only), held).db
        assert db.execute("PRAGMA busy_timeout").fetchone() == (1_750,)


@contextmanager
def lock_held(path: Path) -> Iterator[None]:
    """A program holds `FILE-lock`."""
    with closing(sqlite3.connect(f"{path}-lock", isolation_level=None)) as lock:
        lock.execute("PRAGMA journal_mode = MEMORY")
        lock.execute("BEGIN EXCLUSIVE")
        yield


@contextmanager
def file_locked(path: Path) -> Iterator[None]:
    """Another tool writes the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("BEGIN EXCLUSIVE")
        yield


@pytest.mark.parametrize(("blocked", "read_only"), [(lock_held, False), (file_locked, False), (file_locked, True)])
async def test_opening_waits_as_long_as_it_was_told_to(
    path: Path, *, blocked: Callable[[Path], Any], read_only: bool
) -> None:
    """Only then it says that the ledger is in use."""
    await opened(path)
    with blocked(path), ExitStack() as held:
        began = time.monotonic()
        with pytest.raises(LedgerInUse):
            open_ledger(opening_of(path, busy_timeout_s=0.1, read_only=read_only), held)
        assert time.monotonic() - began >= 0.1


async def test_opening_writes_nothing(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger of this version is not written to before the first call, and no file is made in another folder."""
    before = await filled(path, 1)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    with ExitStack() as held:
        _ = open_ledger(opening_of(path), held)
        assert Path(f"{path}-wal").stat().st_size == 0
    assert path.read_bytes() == before
    assert list(here.iterdir()) == []


def test_a_new_ledger_keeps_what_it_is_filled_with(path: Path) -> None:
    """Without a commit, too: each statement is one."""
    insert = "INSERT INTO watches (endpoint, job, first_seen_us) VALUES ('a', '{}', 1)"
    make_ledger(str(path), f"{path}-fresh", lambda db: db.execute(insert))
    assert raw(path, "SELECT endpoint FROM watches") == [("a",)]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(("mode", "beside"), [(0o660, 0o660), (0o777, 0o666), (0o444, 0o644), (0o600, 0o600)])
async def test_the_lock_has_the_mode_of_the_ledger(path: Path, mode: int, beside: int) -> None:
    """Those who may write the ledger may lock it. No file beside it can be executed, and its owner can always write it."""
    await opened(path)
    lock = Path(f"{path}-lock")
    lock.unlink()
    path.chmod(mode)
    with ExitStack() as held:
        with suppress(LedgerUnwritable):  # without root's rights a file that may only be read cannot be opened
            open_ledger(opening_of(path), held)
        assert oct(stat.S_IMODE(lock.stat().st_mode)) == oct(beside)


# --- what is not a ledger -----------------------------------------------------------------------


def foreign_database(path: Path) -> None:
    raw(path, "CREATE TABLE watches (id INTEGER PRIMARY KEY, owner TEXT)", "INSERT INTO watches VALUES (1, 'me')")


def foreign_database_in_wal_mode(path: Path) -> None:
    raw(path, "PRAGMA journal_mode = WAL", "CREATE TABLE notes (text TEXT)")


def table_of_jobs(path: Path) -> None:
    path.write_text("endpoint,file_id,job_id\noracle-content,D1,ZX-1\n" * 100)


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(100_000))


def nothing(path: Path) -> None:
    path.touch()


def zeros(path: Path) -> None:
    path.write_bytes(bytes(8192))


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    "make", [foreign_database, foreign_database_in_wal_mode, table_of_jobs, garbage, nothing, zeros]
)
async def test_what_is_not_ours_is_left_alone(path: Path, make: object, *, read_only: bool) -> None:
    """A file that is no ledger is refused, without a byte changed or a file put beside it."""
    make(path)
    before = folder_of(path)
    with pytest.raises(NotALedger):
        await opened(path, read_only=read_only)
    assert folder_of(path) == before


@pytest.mark.parametrize(
    ("make", "detail"),
    [
        (foreign_database, "it is another program's SQLite database"),
        (nothing, "the file is empty"),
        (os.mkfifo, "it is no regular file"),
        (garbage, "file is not a database"),
    ],
)
async def test_why_a_file_is_not_a_ledger(path: Path, make: Callable[[Path], None], detail: str) -> None:
    """The error names the file and says what it is."""
    make(path)
    with pytest.raises(NotALedger) as caught:
        await opened(path)
    assert (caught.value.where, caught.value.detail) == (str(path), detail)


async def test_a_lock_file_that_leads_nowhere(path: Path) -> None:
    """No file is made where a link in the place of the lock leads to."""
    Path(f"{path}-lock").symlink_to(path.with_name("elsewhere"))
    with pytest.raises(LedgerUnwritable, match="-lock: unable to open"):
        await opened(path)
    assert not path.with_name("elsewhere").exists()
    assert not path.exists()


async def test_a_lock_file_that_is_something_else(path: Path) -> None:
    """A foreign file in the place of the lock is not written to."""
    lock = Path(f"{path}-lock")
    lock.write_text("my notes\n" * 1_000)
    with pytest.raises(LedgerUnwritable, match="-lock"):
        await opened(path)
    assert lock.read_text() == "my notes\n" * 1_000
    assert not path.exists()


# --- what is damaged ----------------------------------------------------------------------------


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
async def test_a_truncated_ledger(path: Path, share: float, *, read_only: bool) -> None:
    """A ledger that lost its end is damaged, and left as it is."""
    whole = await filled(path)
    short = whole[: int(len(whole) * share)]
    path.write_bytes(short)
    with pytest.raises(LedgerCorrupt):
        await opened(path, read_only=read_only)
    assert path.read_bytes() == short


async def test_a_ledger_emptied_is_no_fresh_start(path: Path) -> None:
    """A ledger of no bytes was one: it is reported, not begun anew."""
    await filled(path)
    path.write_bytes(b"")
    with pytest.raises(NotALedger, match="empty"):
        await opened(path)
    assert path.read_bytes() == b""


@pytest.mark.parametrize("read_only", [False, True])
async def test_garbage_in_the_middle(path: Path, *, read_only: bool) -> None:
    """Pages overwritten are found at opening, before anything is done on top of them."""
    whole = bytearray(await filled(path))
    whole[20_000:60_000] = random.Random(2).randbytes(40_000)
    path.write_bytes(whole)
    with pytest.raises(LedgerCorrupt):
        await opened(path, read_only=read_only)
    assert path.read_bytes() == whole


async def test_a_log_without_its_file(path: Path) -> None:
    """If only the write-ahead log is left, no new ledger is made that would swallow it."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
        log = Path(f"{path}-wal").read_bytes()
    path.unlink()
    Path(f"{path}-wal").write_bytes(log)
    with pytest.raises(LedgerCorrupt, match="-wal"):
        await opened(path)
    assert not path.exists()
    assert Path(f"{path}-wal").read_bytes() == log


async def test_a_torn_log_loses_only_its_end(path: Path, tmp_path: Path) -> None:
    """A log cut anywhere, as by a crash, gives whole calls up to there: never half a one."""
    copy = tmp_path / "copy" / "jobs.ledger"
    async with SqliteLedger(path) as ledger:
        for batch in range(20):
            await ledger.record([new(0, keys={"batch": str(batch), "n": str(n)}) for n in range(10)])
        main, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    seen = set()
    for cut in range(0, len(log), len(log) // 15):
        shutil.rmtree(copy.parent, ignore_errors=True)
        copy.parent.mkdir()
        copy.write_bytes(main)
        Path(f"{copy}-wal").write_bytes(log[:cut] + b"torn")
        async with SqliteLedger(copy) as ledger:
            found = [(w.keys["batch"], w.keys["n"]) for w in await every(ledger.open_watches(ENDPOINT))]
        assert len(found) % 10 == 0
        assert found == [(str(batch), str(n)) for batch in range(len(found) // 10) for n in range(10)]
        seen.add(len(found))
    assert len(seen) > 5


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_damaged_ledger_keeps_its_log(path: Path, tmp_path: Path, *, read_only: bool) -> None:
    """The rows in the log can still be saved by hand, because they were not written into damaged pages."""
    copy = tmp_path / "copy" / "jobs.ledger"
    copy.parent.mkdir()
    await filled(path)
    async with SqliteLedger(path) as ledger:
        await ledger.conclude([success(1), abandoned(2)])
        whole, log = bytearray(path.read_bytes()), Path(f"{path}-wal").read_bytes()
    whole[-60_000:-20_000] = random.Random(2).randbytes(40_000)
    copy.write_bytes(whole)
    Path(f"{copy}-wal").write_bytes(log)
    with pytest.raises(LedgerCorrupt):
        await opened(copy, read_only=read_only)
    assert (copy.read_bytes(), Path(f"{copy}-wal").read_bytes()) == (whole, log)


# --- what cannot be opened ----------------------------------------------------------------------


async def test_looking_makes_no_ledger(path: Path) -> None:
    """Opening read-only where nothing is says so and leaves nothing."""
    with pytest.raises(LedgerMissing):
        await opened(path, read_only=True)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "connection", "read_only"),
    [
        *[("jobs.ledger", connection, False) for connection in range(4)],
        *[("jobs.ledger", connection, True) for connection in range(2)],
        ("jobs.ledger-pollwise-new", 0, False),
    ],
)
async def test_a_file_that_is_deleted_while_it_is_opened(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, name: str, connection: int, read_only: bool
) -> None:
    """Before whichever connection: no empty file takes its place, which would look like a ledger that lost its rows."""
    if name == path.name:
        await filled(path, 1)
    connect, deleted, seen = sqlite3.connect, path.with_name(name), 0

    def too_late(database: str, **options: Any) -> sqlite3.Connection:
        nonlocal seen
        if database.startswith(f"{deleted.as_uri()}?"):
            if seen == connection:
                deleted.unlink()
            seen += 1
        return connect(database, **options)

    monkeypatch.setattr(sqlite3, "connect", too_late)
    with pytest.raises(LedgerUnwritable, match="unable to open database file"):
        await opened(path, read_only=read_only)
    assert seen == connection + 1
    assert not {path.name, name} & set(folder_of(path))


async def test_a_file_system_without_shared_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where SQLite cannot have a write-ahead log, the ledger is not opened, and the reason is given."""
    connect = sqlite3.connect

    def without_memory(database: str, **options: Any) -> sqlite3.Connection:
        return connect(f"{database}&vfs=unix-none" if options.get("uri") else database, **options)

    monkeypatch.setattr(sqlite3, "connect", without_memory)
    with pytest.raises(LedgerUnwritable) as caught:
        await opened(path)
    assert caught.value.detail == "its file system does not let processes share memory, as SQLite's WAL needs"


async def test_no_such_folder(tmp_path: Path) -> None:
    """A folder that is not there is named."""
    with pytest.raises(LedgerUnwritable, match="missing is not a folder"):
        await opened(tmp_path / "missing" / "jobs.ledger")


async def test_a_path_through_a_file(tmp_path: Path) -> None:
    """A path that leads through a file is refused."""
    (tmp_path / "file").touch()
    with pytest.raises(LedgerUnwritable):
        await opened(tmp_path / "file" / "jobs.ledger")


async def test_a_folder_is_no_ledger(tmp_path: Path) -> None:
    """A folder in the ledger's place is refused."""
    with pytest.raises(NotALedger, match="no regular file"):
        await opened(tmp_path)


async def test_a_pipe_is_no_ledger(path: Path) -> None:
    """A pipe in the ledger's place is refused, and not waited for."""
    os.mkfifo(path)
    with pytest.raises(NotALedger, match="no regular file"):
        await opened(path)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder where not even root can make a file")
async def test_a_place_where_no_file_can_be_made() -> None:
    """Where the system makes no files, no ledger can be made, by root neither."""
    with pytest.raises(LedgerUnwritable):
        await opened(Path("/proc/self/jobs.ledger"))


@contextmanager
def as_another_user() -> Iterator[None]:
    """Without root's rights, which no permission binds."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """A folder in which no user may write until the test allows it."""
    folder = Path(tempfile.mkdtemp())  # tmp_path lies under a folder that only its owner may enter
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


async def test_a_read_only_folder(closed_folder: Path) -> None:
    """Where no file may be made, no ledger is begun, and the reason is given."""
    closed_folder.chmod(0o555)
    with as_another_user(), pytest.raises(LedgerUnwritable, match="no permission to write in"):
        await opened(closed_folder / "jobs.ledger")
    assert list(closed_folder.iterdir()) == []


async def test_a_ledger_that_may_only_be_read(closed_folder: Path) -> None:
    """A ledger in a read-only folder cannot be written, but it can be read."""
    path = closed_folder / "jobs.ledger"
    before = await filled(path, 10)
    for found in closed_folder.iterdir():
        found.chmod(stat.S_IREAD | stat.S_IRGRP | stat.S_IROTH)
    closed_folder.chmod(0o555)
    with as_another_user():
        with pytest.raises(LedgerUnwritable):
            await opened(path)
        async with SqliteLedger(path, read_only=True) as ledger:
            assert len(await every(ledger.open_watches(ENDPOINT))) == 10
    assert path.read_bytes() == before


async def test_a_lock_that_may_not_be_opened(closed_folder: Path) -> None:
    """SQLite only says that it could not open a file. The error says why."""
    path = closed_folder / "jobs.ledger"
    await filled(path, 1)
    path.chmod(0o644)
    Path(f"{path}-lock").chmod(0)
    closed_folder.chmod(0o555)
    with as_another_user(), pytest.raises(LedgerUnwritable) as caught:
        await opened(path)
    assert caught.value.detail == f"no permission to write in {closed_folder}"


async def test_a_log_that_may_not_be_read(closed_folder: Path) -> None:
    """Where a crash left a log that we may not play, we do not pretend that the rest is all there is."""
    path = closed_folder / "jobs.ledger"
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
        main, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    path.write_bytes(main)
    path.chmod(0o644)
    Path(f"{path}-wal").write_bytes(log)
    Path(f"{path}-wal").chmod(0)
    closed_folder.chmod(0o555)
    with as_another_user(), pytest.raises(LedgerUnwritable):
        await opened(path, read_only=True)


async def test_looking_is_only_looking(path: Path) -> None:
    """A ledger opened read-only answers and refuses every call that writes, an empty one too."""
    await filled(path, 3)
    before = path.read_bytes()
    async with SqliteLedger(path, read_only=True) as ledger:
        assert len(b"".join([part async for part in ledger.export(include_open=True)]).splitlines()) == 3
        for call in (
            ledger.record([new(9)]),
            ledger.record([]),
            ledger.update([]),
            ledger.conclude([success(1)]),
            ledger.acknowledge(acks(1)),
            ledger.reopen([]),
        ):
            with pytest.raises(LedgerUnwritable, match="read_only=True"):
                await call
    assert path.read_bytes() == before


# --- one writer ---------------------------------------------------------------------------------


async def test_a_second_ledger_in_this_process(path: Path, ledger: SqliteLedger) -> None:
    """A ledger open for writing is not opened for writing again, under whatever name."""
    assert sorted(folder_of(path)) == [path.name + end for end in ("", "-lock", "-shm", "-wal")]
    link = path.with_name("another.ledger")
    link.symlink_to(path)
    for name in (path, link):
        with pytest.raises(LedgerInUse):
            await opened(name)
    await ledger.record([new(1)])
    async with SqliteLedger(path, read_only=True) as onlooker:
        assert len(await every(onlooker.open_watches(ENDPOINT))) == 1
        await ledger.record([new(2)])
        assert len(await every(onlooker.open_watches(ENDPOINT))) == 2


async def test_a_second_process(path: Path) -> None:
    """Another live process keeps us out but lets us look; killed, it leaves the ledger to us, whole."""
    command = [sys.executable, CHILD, "hold", path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(LedgerInUse):
            await opened(path)
        async with SqliteLedger(path, read_only=True) as onlooker:
            assert len(await every(onlooker.open_watches(ENDPOINT))) == 1
        other.send_signal(signal.SIGKILL)
    async with SqliteLedger(path, read_only=True) as onlooker:
        assert len(await every(onlooker.open_watches(ENDPOINT))) == 1
    async with SqliteLedger(path, busy_timeout_s=0.0) as ledger:
        assert len(await every(ledger.open_watches(ENDPOINT))) == 1


async def test_a_forked_child_has_no_ledger(path: Path) -> None:
    """After a fork the child's calls are refused and its end harms nothing; the parent goes on."""
    done = subprocess.run([sys.executable, "-W", "ignore", CHILD, "fork", path], capture_output=True, check=True)
    assert done.stdout.split() == [b"LedgerClosed", b"closed"]
    async with SqliteLedger(path) as ledger:
        assert [w.keys["job_id"] for w in await every(ledger.open_watches(ENDPOINT))] == ["ZX-1", "ZX-3"]


async def test_what_a_killed_maker_left(path: Path) -> None:
    """A file that a killed process left while it created the ledger is removed."""
    left = path.with_name(f"{path.name}-pollwise-new")
    left.write_bytes(b"half")
    await opened(path)
    assert sorted(folder_of(path)) == [path.name, f"{path.name}-lock"]
    os.link(path, left)  # killed after the last step but one
    await opened(path)
    assert sorted(folder_of(path)) == [path.name, f"{path.name}-lock"]


async def test_a_file_system_without_links(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file cannot have two names, the new ledger is moved into place."""

    def refuse(*names: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    await filled(path, 1)
    assert sorted(folder_of(path)) == [path.name, f"{path.name}-lock"]


async def test_a_ledger_that_appears_without_the_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that appears in the ledger's place at the last moment is not replaced, but inspected like any other file."""

    def too_late(fresh: str, place: str) -> None:
        table_of_jobs(Path(place))
        raise FileExistsError(17, "File exists")

    monkeypatch.setattr(os, "link", too_late)
    with pytest.raises(NotALedger):
        await opened(path)
    assert path.read_text().startswith("endpoint,file_id")


@pytest.mark.parametrize("name", ["a b%20?mode=ro#x.ledger", "über\udcff.ledger", ":memory:", "file:x", "'; --"])
async def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    """A file's name is a name and nothing else."""
    await filled(tmp_path / name, 1)
    assert sorted(found.name for found in tmp_path.iterdir()) == sorted([name, f"{name}-lock"])


# --- another tool -------------------------------------------------------------------------------


async def test_another_tool_in_the_way(path: Path) -> None:
    """A tool that holds the file keeps us out, and an opening that failed leaves nothing open."""
    await filled(path, 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerInUse):
            await opened(path)
        db.execute("ROLLBACK")
    await opened(path)
