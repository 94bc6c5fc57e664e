"""The lock of a ledger's writer on the file itself, and the descriptors that pollwise opens.

Rule 1: the lock belongs to the inode. So it excludes other writers although `FILE-lock` was deleted, the file was renamed or
it is mounted elsewhere. Linux has such locks (open file description locks, fcntl(2)). Elsewhere there is only `FILE-lock`.
Rule 2: closing a descriptor of a file drops all POSIX locks of this process on that file, SQLite's too
(sqlite.org/howtocorrupt.html, 2.2). So a descriptor of a ledger is closed after the last connection of this process to it.
Rule 3: a forked child closes its copies of the descriptors at once, because a copy would keep the lock.
Rule 4: a new file is private from its first byte. SQLite would give it the mode 0644.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import sys
import threading
import time
from collections.abc import Iterator
from typing import TypeAlias

import attrs

from pollwise.ledger.errors import LedgerFailed, LedgerInUse, LedgerUnsafe

if sys.platform != "win32":
    import fcntl

    _SET_LOCK: int = getattr(fcntl, "F_OFD_SETLK", 0)  # 0: this system has no such locks
else:
    _SET_LOCK = 0

__all__ = ["FileId", "create_private", "file_id", "hold_inode", "in_use"]

FileId: TypeAlias = tuple[int, int]
"""The device and the inode of a file."""

_LOCK_BYTE = 0x4001_0000  # SQLite locks bytes from 0x4000_0000 to 0x4000_01FF
_FLOCK = struct.Struct("hhqqi0q")  # struct flock of fcntl(2)
_LEAST_WAIT_S = 0.2  # a process that was killed closes its files one after another, and FILE-lock comes first
_PAUSE_S = 0.01
_NO_SUCH_LOCKS = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}


@attrs.define
class _Uses:
    """What this process does with one file."""

    connections: int = 0
    is_written: bool = False
    descriptors: list[int] = attrs.field(factory=list)


_uses: dict[FileId, _Uses] = {}
_mutex = threading.Lock()  # held while a descriptor is opened or closed, and during a fork


def file_id(path: str) -> FileId | None:
    """The file at this path, links followed. None if there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - called several times for each commit
    except OSError:
        return None
    return found.st_dev, found.st_ino


def create_private(path: str, mode: int = 0o600) -> None:
    """Make an empty file of this mode, whatever the umask. A file that is already there keeps its mode."""
    with _mutex, contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode & 0o600)
        try:
            if hasattr(os, "fchmod"):
                with contextlib.suppress(OSError):  # a file system without modes
                    os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def in_use(path: str) -> Iterator[FileId]:
    """Keep the descriptors of this file open while the block runs. Each connection is opened in such a block."""
    with _mutex:
        found = os.stat(path)  # noqa: PTH116 - all of a ledger's paths are texts
        file = found.st_dev, found.st_ino
        uses = _uses.setdefault(file, _Uses())
        uses.connections += 1
    try:
        yield file
    finally:
        with _mutex:
            uses.connections -= 1
            if not uses.connections and _uses.get(file) is uses:
                del _uses[file]
                _close_all(uses)


@contextlib.contextmanager
def hold_inode(path: str, wait_s: float) -> Iterator[FileId]:
    """Hold the lock of the file at this path while the block runs.

    Raises:
        LedgerInUse: The file is open for writing, in this process or another one.
        LedgerUnsafe: The file system grants one lock to two holders.
    """
    with in_use(path) as file:
        uses = _uses[file]
        with _mutex:
            if uses.is_written:
                raise LedgerInUse(path)
            uses.is_written = True
        taken: list[int] = []
        try:
            if _SET_LOCK:
                _take(path, file, wait_s, taken)
            yield file
        finally:
            for descriptor in taken:
                _set(descriptor, fcntl.F_UNLCK)
            uses.is_written = False


def _take(path: str, file: FileId, wait_s: float, taken: list[int]) -> None:
    first = _open(path, file)
    until = time.monotonic() + max(wait_s, _LEAST_WAIT_S)
    try:
        while not _set(first, fcntl.F_WRLCK):
            if time.monotonic() >= until:
                raise LedgerInUse(path)
            time.sleep(_PAUSE_S)
    except OSError as exc:
        if exc.errno in _NO_SUCH_LOCKS:
            return
        raise
    taken.append(first)
    second = _open(path, file)
    if _set(second, fcntl.F_WRLCK):
        taken.append(second)
        raise LedgerUnsafe(
            path,
            "its file system gives one lock to two holders, so two processes could write the ledger at once",
            "Put the ledger on a disk of this machine",
        )


def _open(path: str, file: FileId) -> int:
    """A new descriptor of this file, which `in_use` closes."""
    with _mutex:
        descriptor = os.open(path, os.O_RDWR)
        found = os.fstat(descriptor)
        uses = _uses.get((found.st_dev, found.st_ino))
        if uses is None:
            os.close(descriptor)
        else:
            uses.descriptors.append(descriptor)
    if (found.st_dev, found.st_ino) != file:
        raise LedgerFailed(path, "it was replaced while it was opened")
    return descriptor


def _set(descriptor: int, kind: int) -> bool:
    """Whether the lock could be set to this kind now."""
    lock = _FLOCK.pack(kind, os.SEEK_SET, _LOCK_BYTE, 1, 0)
    try:
        fcntl.fcntl(descriptor, _SET_LOCK, lock)
    except OSError as exc:
        if exc.errno in {errno.EAGAIN, errno.EACCES}:
            return False
        raise
    return True


def _close_all(uses: _Uses) -> None:
    while uses.descriptors:
        with contextlib.suppress(OSError):
            os.close(uses.descriptors.pop())


def _forget_in_child() -> None:
    for uses in _uses.values():
        _close_all(uses)  # POSIX locks are not inherited, so this drops no lock of the parent
    _uses.clear()
    _mutex.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_mutex.acquire, after_in_parent=_mutex.release, after_in_child=_forget_in_child)
