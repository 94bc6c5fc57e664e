"""Errors of a ledger: each names the file, says what to do, and crosses a process."""

from __future__ import annotations

import pickle

import pytest

from pollwise.ledger import (
    LedgerClosed,
    LedgerCorrupt,
    LedgerError,
    LedgerFailed,
    LedgerFull,
    LedgerInUse,
    LedgerMissing,
    LedgerTooNew,
    LedgerUnsafe,
    LedgerUnwritable,
    NotALedger,
)

LEDGER_ERRORS = [
    LedgerMissing("a.ledger"),
    NotALedger("a.ledger", "why"),
    LedgerTooNew("a.ledger", 7, 1),
    LedgerCorrupt("a.ledger", "why"),
    LedgerFull("a.ledger", "why"),
    LedgerUnwritable("a.ledger", "why"),
    LedgerUnsafe("a.ledger", "why", "Do this"),
    LedgerInUse("a.ledger"),
    LedgerFailed("a.ledger", "why"),
    LedgerClosed("a.ledger", "why"),
]


@pytest.mark.parametrize("error", LEDGER_ERRORS, ids=lambda error: type(error).__name__)
def test_ledger_errors_cross_processes(error: LedgerError) -> None:
    """Every error of a ledger survives pickling and names the file in a sentence."""
    restored = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (type(restored), str(restored), restored.path) == (type(error), str(error), "a.ledger")
    assert str(error).startswith("a.ledger")
    assert str(error).endswith(".")


def test_no_ledger_error_is_left_out() -> None:
    """The list above is complete."""
    assert {type(error) for error in LEDGER_ERRORS} == set(LedgerError.__subclasses__())
