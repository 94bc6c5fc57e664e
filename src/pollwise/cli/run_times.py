"""When `pollwise batch` ran: one line for each run, in a file beside the ledger.

Rule 1: the file only informs the report. If it cannot be written, the batch continues without it, and a warning is logged.
A line that cannot be read is left out.
Rule 2: the end of a run is written every two seconds, so a killed process is known to have run until then.
Rule 3: after a process stood still, as on a machine that was suspended, it begins a new line. So a run has no such time.
Rule 4: a file of that name with other contents, or with a second name, is not changed.
Rule 5: the file is bounded: it keeps the newest thousand runs. Its lines have one length and are written in place.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import stat
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import attrs

__all__ = ["RUNS_SUFFIX", "Run", "move_runs", "read_runs", "run_recorded"]

RUNS_SUFFIX = "-runs"
"""Appended to the name of the ledger, behind all links, it is the name of the file."""

_EVERY_S = 2.0
_STOOD_STILL_S = 30.0  # a loop that is busy for longer has polled nothing, too
_MOST = 1_000
_TIME = len("2026-11-30T12:00:00.000Z")
_LINE = 2 * _TIME + 2  # two times, a space and a line end
_SIGNS = b"0123456789-:.TZ \n\0"  # of a line; of one that was not written whole, too
_MOST_READ = 10 * _MOST * _LINE  # more than any number of runs can write

_log = logging.getLogger(__name__)


@attrs.frozen
class Run:
    """A time in which the command ran, in Unix seconds."""

    began: float
    until: float


def _now() -> datetime:
    return datetime.now(UTC)


@contextlib.asynccontextmanager
async def run_recorded(ledger: Path | None, clock: Callable[[], datetime] = _now) -> AsyncIterator[None]:
    """Record that the command runs, until the block is left. The caller has the ledger open for writing.

    Args:
        ledger: The ledger that the runs belong to. None for a database, which has no record of runs.
        clock: Returns the time, aware.
    """
    with contextlib.ExitStack() as stack:
        file = None
        try:
            if ledger is not None:
                file = stack.enter_context(_RunFile(_path(ledger), clock))
        except OSError as exc:
            _log.warning("the report will not know when this command ran: %s", exc)
        if file is None:
            yield
            return
        recording = asyncio.create_task(_record(file), name="pollwise-run-times")
        try:
            yield
        finally:
            file.write()
            recording.cancel()
            await asyncio.gather(recording, return_exceptions=True)


async def _record(file: _RunFile) -> None:
    while True:
        await asyncio.sleep(_EVERY_S)
        file.write()


def _path(ledger: Path) -> Path:
    return Path(f"{os.path.realpath(ledger)}{RUNS_SUFFIX}")


def _open(path: Path, flags: int) -> int:
    """A descriptor of the file, which only its user can read. Raises OSError for a link and what is no regular file."""
    safe_flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags | safe_flags, 0o600)
    state = os.fstat(descriptor)
    why = None if stat.S_ISREG(state.st_mode) else "it is not a regular file"
    if why is None and state.st_nlink > 1:
        why = "it has several names"
    if why is not None:
        os.close(descriptor)
        raise OSError(errno.EINVAL, why, str(path))
    return descriptor


class _RunFile:
    """The file, open for writing. The last line is this run.

    Raises:
        OSError: It cannot be opened or written.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        self._file = os.fdopen(_open(path, os.O_RDWR | os.O_CREAT), "r+b", buffering=0)
        self._clock = clock
        self._failed = False
        try:
            self._place = self._kept(path)
            self._began = self._until = clock()
            self._write()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._file.close()

    def write(self) -> None:
        """Write that the command runs now. An error is logged once."""
        now = self._clock()
        if (now - self._until).total_seconds() > _STOOD_STILL_S:
            self._place += _LINE
            self._began = now
        self._until = max(now, self._began)
        try:
            self._write()
        except OSError as exc:
            if not self._failed:
                _log.warning("the report may not know how long this command ran: %s", exc)
            self._failed = True

    def _write(self) -> None:
        self._file.seek(self._place)
        self._file.write(f"{_text(self._began)} {_text(self._until)}\n".encode("ascii"))

    def _kept(self, path: Path) -> int:
        """Where the next line goes, after the oldest ones were removed."""
        content = self._file.read(_MOST_READ)
        lines = content.split(b"\n")[:-1]
        if content.strip(_SIGNS) and not any(_run(line.decode("ascii", "replace")) for line in lines):
            raise OSError(errno.EINVAL, "it has no runs, so it is another file", str(path))
        sound = [line for line in lines if len(line) == _LINE - 1][1 - _MOST :]
        if sound != lines:
            self._file.seek(0)
            self._file.write(b"".join(line + b"\n" for line in sound))
            self._file.truncate()
        return _LINE * len(sound)


def _text(time: datetime) -> str:
    return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def move_runs(ledger: Path, moved: str) -> None:
    """Let the runs of a ledger follow it to its new path. If they cannot, a warning is logged."""
    new = f"{moved}{RUNS_SUFFIX}"
    try:
        if _runs_of(_path(ledger)) and not os.path.lexists(new):
            os.replace(_path(ledger), new)  # noqa: PTH105  both are names behind all links
    except FileNotFoundError:
        return
    except OSError as exc:
        _log.warning("the runs of the earlier ledger stay where they are: %s", exc)


def read_runs(ledger: Path | None) -> list[Run]:
    """The runs of the batch with this ledger, oldest first. Empty if none is recorded, or if they cannot be read."""
    try:
        return [] if ledger is None else _runs_of(_path(ledger))
    except OSError:
        return []


def _runs_of(path: Path) -> list[Run]:
    with os.fdopen(_open(path, os.O_RDONLY), "rb") as file:
        lines = file.read(_MOST_READ).decode("ascii", "replace").splitlines()
    return sorted(filter(None, map(_run, lines)), key=lambda run: run.began)


def _run(line: str) -> Run | None:
    began, _, until = line.partition(" ")
    try:
        run = Run(datetime.fromisoformat(began).timestamp(), datetime.fromisoformat(until).timestamp())
    except (ValueError, OverflowError):
        return None
    return run if len(line) == _LINE - 1 and run.began <= run.until else None
