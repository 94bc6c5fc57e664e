"""Errors of a ledger: each names the file, says what to do, and crosses a process."""

from __future__ import annotations

import pickle

import pytest

from pollwise.errors import ConfigurationError
from pollwise.ledger import (
    LeaseLost,
    LedgerClosed,
    LedgerCorrupt,
    LedgerError,
    LedgerFailed,
    LedgerFull,
    LedgerInUse,
    LedgerMissing,
    LedgerNotRecovered,
    LedgerReadOnly,
    LedgerRefused,
    LedgerTooNew,
    LedgerTooOld,
    LedgerUnreachable,
    LedgerUnsafe,
    LedgerUnwritable,
    NotALedger,
    Shard,
)
from pollwise.ledger.errors import is_of_one, row_names

LEDGER_ERRORS = [
    LedgerMissing("a.ledger"),
    NotALedger("a.ledger", "why"),
    LedgerTooNew("a.ledger", 7, 1),
    LedgerTooOld("a.ledger", 2, 3),
    LedgerUnreachable("a.ledger", "why"),
    LedgerRefused("a.ledger", "why", "Do this"),
    LedgerReadOnly("a.ledger", "why"),
    LeaseLost("a.ledger", Shard("toy", "acme"), "why"),
    LedgerCorrupt("a.ledger", "why"),
    LedgerFull("a.ledger", "why"),
    LedgerUnwritable("a.ledger", "why"),
    LedgerUnsafe("a.ledger", "why", "Do this"),
    LedgerInUse("a.ledger"),
    LedgerFailed("a.ledger", "why"),
    LedgerNotRecovered("a.ledger", "old.ledger", "why"),
    LedgerClosed("a.ledger", "why"),
]


@pytest.mark.parametrize("error", LEDGER_ERRORS, ids=lambda error: type(error).__name__)
def test_ledger_errors_cross_processes(error: LedgerError) -> None:
    """Every error of a ledger survives pickling and names the file in a sentence."""
    restored = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (type(restored), str(restored), restored.where) == (type(error), str(error), "a.ledger")
    assert str(error).startswith("a.ledger")
    assert str(error).endswith(".")


def test_no_ledger_error_is_left_out() -> None:
    """The list above is complete."""
    assert {type(error) for error in LEDGER_ERRORS} == set(LedgerError.__subclasses__())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            LedgerMissing("a.ledger"),
            "a.ledger does not exist. Check the path; a ledger is made when it is opened for writing.",
        ),
        (
            NotALedger("a.ledger", "the file is empty"),
            (
                "a.ledger is not a ledger (the file is empty) and was left as it is. Check the path, or restore the ledger"
                " from a copy."
            ),
        ),
        (
            LedgerTooNew("a.ledger", 7, 1),
            (
                "a.ledger has schema version 7, and this pollwise knows versions up to 1. Upgrade pollwise; the ledger was"
                " left as it is."
            ),
        ),
        (
            LedgerCorrupt("a.ledger", "its polls has the type str", (5, 7)),
            (
                "a.ledger is damaged in rows 5 and 7: its polls has the type str. All other rows can be used. To record the"
                " job again, write them to a new ledger: `pollwise ledger recover LEDGER NEW`. `pollwise ledger check LEDGER`"
                " lists all damaged rows."
            ),
        ),
        (
            LedgerCorrupt("a.ledger", "a page is gone"),
            (
                "a.ledger is damaged: a page is gone. It was left as it is. Restore a copy, or save its sound rows:"
                " `pollwise ledger check LEDGER` lists what is damaged, and `pollwise ledger recover LEDGER NEW` writes the"
                " rest to a new ledger."
            ),
        ),
        (
            LedgerFull("a.ledger", "No space left on device"),
            (
                "a.ledger could not grow (No space left on device): the disk is full, or a quota or size limit is reached."
                " Nothing of this call was kept. Make room and call again; the ledger is still usable."
            ),
        ),
        (
            LedgerUnwritable("a.ledger", "no permission to write in b"),
            (
                "a.ledger cannot be opened here: no permission to write in b. To write it, make the file and its directory"
                " writable. To read it with read_only=True, make the file readable."
            ),
        ),
        (
            LedgerUnsafe("a.ledger", "it has 2 names", "Keep one name"),
            "a.ledger cannot be kept safely: it has 2 names. Keep one name.",
        ),
        (
            LedgerInUse("a.ledger"),
            (
                "a.ledger is in use: one ledger is written by one process at a time. Stop the other one, use another file, or"
                " only look at it with read_only=True."
            ),
        ),
        (
            LedgerFailed("a.ledger", "disk I/O error"),
            "a.ledger: disk I/O error. Nothing of this call was kept. Check the disk, then call again.",
        ),
        (
            LedgerTooOld("postgresql://db:5432/jobs", 2, 3),
            (
                "postgresql://db:5432/jobs has schema version 2, and this pollwise needs version 3. Run `pollwise ledger"
                " migrate LEDGER` once; the ledger was left as it is."
            ),
        ),
        (
            LedgerTooOld("postgresql://db:5432/jobs", 0, 3),
            (
                "postgresql://db:5432/jobs has no schema of a ledger yet, and this pollwise needs version 3. Run `pollwise"
                " ledger migrate LEDGER` once; the ledger was left as it is."
            ),
        ),
        (
            LedgerUnreachable("postgresql://db:5432/jobs", "connection refused"),
            (
                "postgresql://db:5432/jobs cannot be reached: connection refused. Check that the server runs and that the"
                " network leads to it, then call again; a repeated call changes nothing."
            ),
        ),
        (
            LeaseLost("postgresql://db:5432/jobs", Shard("toy", "acme"), "its epoch is 7, not 6"),
            (
                "postgresql://db:5432/jobs: this process no longer owns the shard 'toy/acme' (its epoch is 7, not 6)."
                " Nothing of this call was kept. Stop watching its jobs here; another process watches them."
            ),
        ),
        (
            LedgerClosed("a.ledger", "it was closed"),
            "a.ledger is not open here: it was closed. Use it inside its own `async with` block.",
        ),
    ],
)
def test_an_error_of_a_ledger_says_what_to_do(error: LedgerError, words: str) -> None:
    """A message has the file, what is wrong, what became of the data, and the next step."""
    assert str(error) == words


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([5], "row 5"),
        ([5, 7], "rows 5 and 7"),
        ([5, 7, 9], "rows 5, 7 and 9"),
        (range(1, 11), "rows 1, 2, 3, 4, 5, 6, 7, 8, 9 and 10"),
        (range(1, 12), "rows 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 1 more"),
        (range(1, 2_012), "rows 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2,001 more"),
    ],
)
def test_damaged_rows_are_named(rows: range | list[int], words: str) -> None:
    """By their numbers, up to ten; of more rows, by how many more there are."""
    assert row_names(rows) == words


@pytest.mark.parametrize(
    ("error", "alone"),
    [
        (ConfigurationError("a value cannot be kept"), True),
        (LedgerCorrupt("a.ledger", "why", (5,)), True),
        (LedgerCorrupt("a.ledger", "why"), False),
        (LedgerFull("a.ledger", "why"), False),
        (ValueError("why"), False),
    ],
)
def test_what_fails_one_call_alone(error: Exception, *, alone: bool) -> None:
    """A wrong value or a damaged row fails the call that has it. Any other error fails all calls of the transaction."""
    assert is_of_one(error) is alone
