"""A file that is written whole or not at all.

Rule 1: it is written under another name beside its place, brought to the disk, and then moved there in one step.
Rule 2: what is no regular file (a pipe, `/dev/stdout`) cannot be moved to, and is written as it is.
Rule 3: an interrupted write leaves nothing; a killed process leaves a file ending in `.part`.
Rule 4: nothing is put in the place of a file that the command itself lives on.
Rule 5: an error names the file that was asked for, and no other.
Rule 6: a new file can be read and written by its user alone, from its first byte. A replaced file keeps its mode.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pollwise.cli.exit_status import UsageError

__all__ = ["atomic_write", "check_distinct", "check_writable"]

_BUFFER = 1 << 18
_PRIVATE = 0o600
# as ledger/files.py, SQLite and run_times.py call them
_BESIDE_A_LEDGER = ("-lock", "-wal", "-shm", "-journal", "-pollwise-new", "-runs")


def check_distinct(files: Mapping[str, Path | str | None], *, ledger: Path | None = None) -> None:
    """Find out before anything is lost whether all of these are files of their own.

    Args:
        files: What the command writes or reads, by what the user calls it, in the order of the complaint.
        ledger: The ledger, if it is one of them; what belongs to it stands beside it.

    Raises:
        UsageError: Two of them are one, or one of them is a part of the ledger.
    """
    parts = set() if ledger is None else {f"{os.path.realpath(ledger)}{end}" for end in _BESIDE_A_LEDGER}
    seen: dict[str, str] = {}
    for name, path in files.items():
        if path is None:
            continue
        place = os.path.realpath(path)
        if place in parts:
            raise UsageError(f"{path} is a part of the ledger {ledger}; name another file for {name}")
        first = seen.setdefault(place, name)
        if first != name:
            raise UsageError(f"{first} and {name} are the same file, {path}; name another one")


def check_writable(path: Path) -> None:
    """Find out now rather than after hours whether a file can be put there.

    Raises:
        OSError: It cannot.
    """
    if path.is_dir():
        raise IsADirectoryError(21, "it is a folder", str(path))
    if _is_movable(path):
        trial = _beside(path)
        with _named(path, trial):
            os.close(_new(trial))
            trial.unlink()


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Callable[[bytes], object]]:
    """Write the file with what this yields. It is put in its place at the end of the block, unless that raises.

    Raises:
        OSError: It cannot be written; the file that was there before is as it was.
    """
    if not _is_movable(path):
        with path.open("wb", _BUFFER) as stream:
            yield stream.write
        return
    place = Path(os.path.realpath(path))  # what a link leads to is replaced, and the link stays
    part = _beside(place)
    try:
        with _named(path, part):
            with open(_new(part), "wb", _BUFFER) as stream:
                yield stream.write
                stream.flush()
                _copy_mode(place, stream.fileno())
                os.fsync(stream.fileno())
            part.replace(place)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync(place.parent)


@contextlib.contextmanager
def _named(path: Path, part: Path) -> Iterator[None]:
    """An error of `part`, which a write does not name, is an error of `path`."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename not in {None, str(part)}:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _new(path: Path) -> int:
    """A descriptor of a new file, which only this user can read. The umask can only take away from that."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), _PRIVATE)


def _copy_mode(place: Path, part: int) -> None:
    """A file that is replaced keeps its mode. The new content gets it when it is whole."""
    with contextlib.suppress(FileNotFoundError):
        mode = stat.S_IMODE(place.stat().st_mode)
        if hasattr(os, "fchmod"):
            os.fchmod(part, mode)


def _is_movable(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return True


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.part")


def _sync(folder: Path) -> None:
    """Bring the file's name to the disk as well. Where a folder cannot be opened, as on Windows, there is no need."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
