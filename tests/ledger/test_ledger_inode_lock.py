# A test that looks at files and processes has its loop to itself, so it may block it.
# ruff: noqa: ASYNC220

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sqlite3
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from ledger_values import ENDPOINT, every, new, of_a_child

from pollwise.ledger import LedgerFailed, LedgerInUse, LedgerUnsafe, SqliteLedger, inode_lock
from pollwise.ledger.inode_lock import create_private, file_id, hold_inode, in_use

CHILD = Path(__file__).with_name("ledger_child.py")
HAS_INODE_LOCKS = bool(inode_lock._SET_LOCK)
needs_inode_locks = pytest.mark.skipif(not HAS_INODE_LOCKS, reason="the system has no open file description locks")


@contextmanager
def held_by_another_process(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process has the ledger open for writing."""
    command = [sys.executable, CHILD, "hold", path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=of_a_child()) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        yield other
        other.kill()


async def opened(path: Path) -> None:
    async with SqliteLedger(path, busy_timeout_s=0.0):
        pass


# --- one writer, whatever happens to names ------------------------------------------------------


@needs_inode_locks
async def test_the_lock_file_is_deleted(path: Path) -> None:
    """The lock holds without its file, against this process and against another one."""
    async with SqliteLedger(path):
        Path(f"{path}-lock").unlink()
        with pytest.raises(LedgerInUse):
            await opened(path)
    with held_by_another_process(path):
        Path(f"{path}-lock").unlink()
        with pytest.raises(LedgerInUse):
            await opened(path)
    await opened(path)


@needs_inode_locks
async def test_a_ledger_that_was_moved_while_open(path: Path) -> None:
    """A ledger in use is in use under its new name, too, where its log and its lock are not."""
    elsewhere = path.with_name("elsewhere")
    async with SqliteLedger(path):
        path.rename(elsewhere)
        with pytest.raises(LedgerInUse):
            await opened(elsewhere)
        elsewhere.rename(path)
    with held_by_another_process(path):
        path.rename(elsewhere)
        with pytest.raises(LedgerInUse):
            await opened(elsewhere)


async def test_an_earlier_version_in_another_process(path: Path) -> None:
    """Versions that know only `FILE-lock` and this one exclude each other."""
    await opened(path)
    lock = sqlite3.connect(f"{path}-lock", isolation_level=None)
    lock.execute("PRAGMA journal_mode = MEMORY")
    lock.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LedgerInUse):
        await opened(path)
    lock.close()
    async with SqliteLedger(path):
        with sqlite3.connect(f"{path}-lock", timeout=0) as lock, pytest.raises(sqlite3.OperationalError, match="lock"):
            lock.execute("BEGIN EXCLUSIVE")
        lock.close()


async def test_a_forked_child_keeps_no_lock(path: Path) -> None:
    """A child that outlives the process that opened the ledger does not keep others out."""
    command = [sys.executable, CHILD, "fork_and_die", path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=of_a_child()) as other:
        assert other.stdout is not None
        child = int(other.stdout.readline())
        other.wait()
        try:
            async with SqliteLedger(path, busy_timeout_s=0.0) as ledger:
                assert len(await every(ledger.open_watches(ENDPOINT))) == 1
        finally:
            os.kill(child, signal.SIGKILL)


def others_may_take_it_over(path: Path) -> bool:
    """Whether another process gets the exclusive lock of SQLite, because it sees no connection of ours."""
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('PRAGMA journal_mode = DELETE')"
    return subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=False).returncode == 0


async def test_the_end_of_a_writer_takes_no_lock_from_a_reader(path: Path) -> None:
    """While a reader of this process has the file open, no descriptor of it is closed: that would drop SQLite's locks."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
        reader = SqliteLedger(path, read_only=True)
        await reader.__aenter__()
    assert not others_may_take_it_over(path)
    await opened(path)
    assert not others_may_take_it_over(path)
    await reader.aclose()
    assert others_may_take_it_over(path)
    assert inode_lock._uses == {}


# --- systems and file systems without such locks ------------------------------------------------


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
@needs_inode_locks
async def test_a_system_without_inode_locks(path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Where the file system or the kernel has no such locks, `FILE-lock` alone is the lock."""

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.fcntl", refuse)
    async with SqliteLedger(path):
        with pytest.raises(LedgerInUse):
            await opened(path)


async def test_a_platform_without_inode_locks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Python does not know such locks, `FILE-lock` alone is the lock."""
    monkeypatch.setattr(inode_lock, "_SET_LOCK", 0)
    async with SqliteLedger(path) as ledger:
        assert len(await ledger.record([new(1)])) == 1
        with pytest.raises(LedgerInUse):
            await opened(path)


@needs_inode_locks
async def test_locks_that_exclude_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that grants one lock to two holders is refused."""
    monkeypatch.setattr("fcntl.fcntl", lambda *_: b"")
    with pytest.raises(LedgerUnsafe) as caught:
        await opened(path)
    assert caught.value.where == str(path)
    assert caught.value.detail == (
        "its file system gives one lock to two holders, so two processes could write the ledger at once"
    )
    assert caught.value.advice == "Put the ledger on a disk of this machine"


@needs_inode_locks
async def test_another_error_of_the_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the disk while locking is an error, and no reason to go on without the lock."""

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr("fcntl.fcntl", fail)
        with pytest.raises(Exception, match="Input/output error"):
            await opened(path)
    await opened(path)


@needs_inode_locks
def test_a_file_replaced_while_it_is_locked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is on the file that was looked at, or there is an error."""
    path.write_bytes(b"first")
    open_it = os.open

    def replace(name: Any, *rest: Any) -> int:
        path.rename(path.with_name("moved"))
        path.write_bytes(b"second")
        return open_it(name, *rest)

    monkeypatch.setattr(os, "open", replace)
    with pytest.raises(LedgerFailed) as caught, hold_inode(str(path), 0.0):
        pass
    assert (caught.value.where, caught.value.detail) == (str(path), "it was replaced while it was opened")
    assert inode_lock._uses == {}


def test_uses_are_counted(path: Path) -> None:
    """A file is forgotten after its last use, and can be locked again."""
    path.touch()
    with in_use(str(path)) as one, in_use(str(path)), hold_inode(str(path), 0.0) as locked:
        assert one == locked == file_id(str(path))
        with pytest.raises(LedgerInUse) as caught, hold_inode(str(path), 0.0):
            pass
        assert caught.value.where == str(path)
    with hold_inode(str(path), 0.0):
        pass
    assert inode_lock._uses == {}


# --- the lock itself ----------------------------------------------------------------------------

LOCK_BYTE = 0x4001_0000


def locked(path: Path, first: int, count: int) -> int:
    """Another holder's lock of these bytes, as a descriptor, which the caller closes. A count of 0 means all bytes from there on."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, first, count, 0))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


class Clock:
    """Time that only sleeping moves, a quarter of a second each time."""

    def __init__(self) -> None:
        self.sleeps = 0
        self.at_sleep: dict[int, Callable[[], object]] = {}

    def monotonic(self) -> float:
        return self.sleeps / 4

    def sleep(self, _: float) -> None:
        self.sleeps += 1
        self.at_sleep.get(self.sleeps, int)()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(inode_lock, "time", clock)
    return clock


@needs_inode_locks
def test_the_lock_is_one_byte(path: Path) -> None:
    """It is the byte that earlier versions lock, and no byte that SQLite locks."""
    path.touch()
    with hold_inode(str(path), 0.0):
        with pytest.raises(BlockingIOError):
            locked(path, LOCK_BYTE, 1)
        for others in (locked(path, 0, LOCK_BYTE), locked(path, LOCK_BYTE + 1, 0)):
            os.close(others)
    os.close(locked(path, LOCK_BYTE, 1))


@needs_inode_locks
@pytest.mark.parametrize(("wait_s", "sleeps"), [(0.0, 1), (0.25, 1), (0.26, 2), (0.5, 2), (0.75, 3)])
def test_how_long_a_lock_is_waited_for(path: Path, clock: Clock, wait_s: float, sleeps: int) -> None:
    """As long as it was asked for, and at least 0.2 s, because a killed process gives its locks back one after another."""
    path.touch()
    other = locked(path, LOCK_BYTE, 1)
    with pytest.raises(LedgerInUse) as caught, hold_inode(str(path), wait_s):
        pass
    assert caught.value.where == str(path)
    assert clock.sleeps == sleeps
    os.close(other)


@needs_inode_locks
def test_a_lock_that_is_released_in_time(path: Path, clock: Clock) -> None:
    """It is taken as soon as the other holder releases it."""
    path.touch()
    other = locked(path, LOCK_BYTE, 1)
    clock.at_sleep[2] = lambda: os.close(other)
    with hold_inode(str(path), 1.0), pytest.raises(BlockingIOError):
        locked(path, LOCK_BYTE, 1)
    assert clock.sleeps == 2


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
def test_what_a_forked_child_does_first(path: Path) -> None:
    """It closes its copies of the descriptors, and what its parent holds is unknown to it."""

    def descriptors() -> list[str]:
        return [found.name for found in Path("/proc/self/fd").iterdir() if found.exists() and found.samefile(path)]

    path.touch()
    with in_use(str(path)):
        holding = hold_inode(str(path), 0.0)
        holding.__enter__()
        assert len(descriptors()) == (2 if HAS_INODE_LOCKS else 0)
        inode_lock._mutex.acquire()  # what os.fork() does in the parent
        inode_lock._forget_in_child()
        assert descriptors() == []
        with hold_inode(str(path), 0.0):
            pass
        with suppress(OSError):  # the child has no thread that would come here
            holding.__exit__(None, None, None)
    assert inode_lock._uses == {}


# --- private from the first byte ----------------------------------------------------------------


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def modes(path: Path) -> dict[str, str]:
    return {found.name: oct(stat.S_IMODE(found.stat().st_mode)) for found in path.parent.iterdir()}


@pytest.mark.parametrize("mask", [0, 0o022, 0o777])
async def test_a_new_ledger_is_private(path: Path, monkeypatch: pytest.MonkeyPatch, mask: int) -> None:
    """Each file of a new ledger is for its owner alone, whatever the umask, also while it is made."""
    link, seen = os.link, {}

    def look(fresh: str, place: str) -> None:
        seen.update(modes(path))
        link(fresh, place)

    monkeypatch.setattr(os, "link", look)
    with umask(mask):
        async with SqliteLedger(path) as ledger:
            await ledger.record([new(1)])
            seen.update(modes(path))
    names = [path.name + end for end in ("", "-lock", "-pollwise-new", "-shm", "-wal")]
    assert seen == dict.fromkeys(names, "0o600")


async def test_a_ledger_keeps_its_mode(path: Path) -> None:
    """A ledger that a group shares stays as it is, and the files beside it have its mode."""
    await opened(path)
    Path(f"{path}-lock").unlink()
    path.chmod(0o660)
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
        assert modes(path) == dict.fromkeys([path.name + end for end in ("", "-lock", "-shm", "-wal")], "0o660")


@pytest.mark.parametrize("mask", [0, 0o777])
def test_a_mode_that_is_asked_for(path: Path, mask: int) -> None:
    """The file has exactly this mode, whatever the umask."""
    with umask(mask):
        create_private(str(path), 0o640)
        create_private(f"{path}-2")
    assert modes(path) == {path.name: "0o640", f"{path.name}-2": "0o600"}


def test_a_file_system_without_modes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no mode can be set, the file is for its owner alone."""

    def fail(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fchmod", fail)
    with umask(0):
        create_private(str(path), 0o777)
    assert modes(path) == {path.name: "0o600"}


def test_a_file_that_is_there_is_left_alone(path: Path) -> None:
    """No file is emptied and no link is followed to make a private file."""
    path.write_text("mine")
    path.chmod(0o644)
    link = path.with_name("link")
    link.symlink_to(path.with_name("nothing"))
    create_private(str(path))
    create_private(str(link))
    assert (path.read_text(), oct(path.stat().st_mode & 0o777)) == ("mine", "0o644")
    assert not path.with_name("nothing").exists()
