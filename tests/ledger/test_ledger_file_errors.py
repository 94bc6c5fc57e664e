"""Errors of SQLite and of the system in our words: each has its place in the tree, with the file and the reason."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from pollwise.errors import ConfigurationError
from pollwise.ledger import LedgerCorrupt, LedgerFailed, LedgerFull, LedgerInUse, LedgerUnwritable, NotALedger
from pollwise.ledger.files import ledger_error_of


def complaint(code: int | None, kind: type[sqlite3.Error] = sqlite3.OperationalError) -> sqlite3.Error:
    error = kind("words")
    if code is not None:
        error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, LedgerFull),
        (sqlite3.SQLITE_IOERR_WRITE, LedgerFull),
        (sqlite3.SQLITE_IOERR_SHMSIZE, LedgerFull),
        (sqlite3.SQLITE_IOERR_TRUNCATE, LedgerFull),
        (sqlite3.SQLITE_IOERR, LedgerFailed),
        (sqlite3.SQLITE_IOERR_READ, LedgerFailed),
        (sqlite3.SQLITE_NOMEM, LedgerFailed),
        (sqlite3.SQLITE_AUTH, LedgerUnwritable),
        (sqlite3.SQLITE_CANTOPEN, LedgerUnwritable),
        (sqlite3.SQLITE_PERM, LedgerUnwritable),
        (sqlite3.SQLITE_READONLY, LedgerUnwritable),
        (sqlite3.SQLITE_READONLY_DBMOVED, LedgerUnwritable),
        (sqlite3.SQLITE_CORRUPT, LedgerCorrupt),
        (sqlite3.SQLITE_CORRUPT_INDEX, LedgerCorrupt),
        (sqlite3.SQLITE_NOTADB, NotALedger),
        (None, LedgerCorrupt),  # the module's own error for a text that is not UTF-8
    ],
)
def test_sqlite_in_our_words(path: Path, code: int | None, kind: type[Exception]) -> None:
    """Each of SQLite's complaints has its place in our tree, with the file and SQLite's words."""
    error: Any = ledger_error_of(complaint(code), str(path))
    assert (type(error), error.where, error.detail) == (kind, str(path), "words")


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY, sqlite3.SQLITE_LOCKED])
def test_a_lock_of_sqlite_in_our_words(path: Path, code: int) -> None:
    """Whatever holds it, the ledger is in use."""
    error: Any = ledger_error_of(complaint(code), str(path))
    assert (type(error), error.where) == (LedgerInUse, str(path))


@pytest.mark.parametrize(
    "error",
    [
        complaint(sqlite3.SQLITE_CONSTRAINT_NOTNULL, sqlite3.IntegrityError),
        complaint(sqlite3.SQLITE_TOOBIG, sqlite3.DataError),
        complaint(sqlite3.SQLITE_MISMATCH, sqlite3.IntegrityError),
        complaint(None, sqlite3.ProgrammingError),
        OverflowError("words"),
    ],
)
def test_a_value_that_sqlite_refuses(path: Path, error: Exception) -> None:
    """The caller's value is wrong and the file is not, and the error has the reason."""
    found = ledger_error_of(error, str(path))
    assert isinstance(found, ConfigurationError)
    assert str(found) == "a value cannot be kept: words"


@pytest.mark.parametrize(
    ("code", "reason"),
    [(sqlite3.SQLITE_CANTOPEN, "missing is not a folder that exists"), (sqlite3.SQLITE_IOERR, "words")],
)
def test_why_a_file_cannot_be_opened(path: Path, code: int, reason: str) -> None:
    """SQLite does not say why, so the folder is looked at. Another error has SQLite's own words."""
    error: Any = ledger_error_of(complaint(code), str(path.with_name("missing") / "jobs.ledger"))
    assert error.detail.endswith(reason)


@pytest.mark.parametrize(
    ("error", "kind", "detail"),
    [
        (OSError(errno.ENOSPC, "No space left"), LedgerFull, "No space left"),
        (OSError(errno.EDQUOT, "Quota exceeded"), LedgerFull, "Quota exceeded"),
        (OSError(errno.EFBIG, "File too large"), LedgerFull, "File too large"),
        (PermissionError(errno.EACCES, "Permission denied"), LedgerUnwritable, "Permission denied"),
        (OSError("only words"), LedgerUnwritable, "only words"),
    ],
)
def test_the_system_in_our_words(path: Path, error: OSError, kind: type[Exception], detail: str) -> None:
    """Each error of the system has its place in our tree, with the file and the system's words."""
    found: Any = ledger_error_of(error, str(path))
    assert (type(found), found.where, found.detail) == (kind, str(path), detail)


def test_what_is_neither_is_passed_on(path: Path) -> None:
    """An error of Python is not hidden."""
    bug = KeyError("bug")
    assert ledger_error_of(bug, str(path)) is bug
