"""Moves a ledger aside, so that another one can begin under its name. Nothing is deleted.

Rule 1: the log is first written into the file itself, and -wal and -shm are gone before the file moves. So the file is the whole
ledger, and one rename moves it. A process that is killed at any moment leaves the ledger whole, under one of the two names.
Rule 2: a ledger that another process writes or reads stays, and so does one that is damaged, newer, or no ledger.
Rule 3: no file is replaced: the new name is taken before the move, and no part of an earlier ledger stands beside it. A process
that is killed in between leaves an empty file there.
Rule 4: `FILE-lock` stays, because it is the lock of the name and not of the file.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
from collections.abc import Collection
from contextlib import ExitStack

from pollwise.ledger.errors import LedgerFailed
from pollwise.ledger.files import Opening, is_file, ledger_error_of, open_ledger, sync_folder
from pollwise.ledger.open_file import OpenFile

__all__ = ["set_aside"]

_PATIENCE_S = 1.0  # as that of `SqliteLedger`
_PARTS = ("", "-wal", "-shm", "-journal", "-lock", "-pollwise-new", "-runs")  # the last one is that of `pollwise batch`


def set_aside(path: str | os.PathLike[str], *, taken: Collection[str] = ()) -> str | None:
    """Move the ledger to `FILE.1`, or the next free number, in its folder.

    Args:
        path: The ledger.
        taken: Real paths that are not free, because another file will be written there.

    Returns:
        The new path, or None if there is no ledger.

    Raises:
        LedgerInUse: Another process, or this one, writes or reads it.
        LedgerError: It cannot be moved, or is no ledger that can be used. It is as it was.
    """
    given = os.path.abspath(path)  # noqa: PTH100  all of a ledger's paths are texts
    try:
        place = os.path.realpath(given)
        if not is_file(place):
            return None
        opening = Opening(path=given, synchronous="full", busy_timeout_s=_PATIENCE_S, read_only=False)
        with ExitStack() as held:
            file = open_ledger(opening, held)
            _join_log(file)
            return _move(place, taken)
    except (sqlite3.Error, OSError) as exc:
        raise ledger_error_of(exc, given) from exc


def _join_log(file: OpenFile) -> None:
    """Write the log into the file, and remove it. SQLite refuses that while there is another connection to the file."""
    [mode] = file.db.execute("PRAGMA journal_mode = DELETE").fetchone()
    file.check_main()
    file.close()
    if mode != "delete" or os.path.lexists(f"{file.real_path}-wal"):
        raise LedgerFailed(file.path, "its newest part is still in its -wal, so it was not moved")


def _move(place: str, taken: Collection[str]) -> str:
    for number in itertools.count(1):
        new = f"{place}.{number}"
        if new in taken or any(os.path.lexists(new + part) for part in _PARTS):
            continue
        try:
            os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # a rename replaces what it finds
        except FileExistsError:
            continue
        try:
            os.replace(place, new)  # noqa: PTH105  all of a ledger's paths are texts
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(new)  # noqa: PTH108  all of a ledger's paths are texts
            raise
        sync_folder(new)
        return new
    raise AssertionError("the numbers do not end")
