"""The durable record of watches: what is watched, how far it got, and how it ended.

    errors.py    what can go wrong with a ledger, as one tree
    records.py   the values that a ledger takes and gives, and the `Ledger` protocol
    sqlite.py    `SqliteLedger`: the embedded default, and the only file that an event loop uses
    writer.py    the thread of a `SqliteLedger`: which calls become one transaction, and which caller gets which result
    work.py      what each call reads and writes
    rows.py      the values in rows, and back
    files.py     opening and making a ledger's file without damage to any file
    schema.py    tables, versions, migrations

Rule 1: what a call promises is on disk before the call returns. A failure raises in each call that it concerns.
Rule 2: the event loop never waits for a disk.
Rule 3: nothing is guessed. A file that is damaged, foreign or in use is an error, and is never started anew.
Rule 4: no credential is ever put in a ledger: there is no field for one.
"""

from __future__ import annotations

from pollwise.ledger.errors import (
    LedgerClosed,
    LedgerCorrupt,
    LedgerError,
    LedgerFailed,
    LedgerFull,
    LedgerInUse,
    LedgerMissing,
    LedgerTooNew,
    LedgerUnwritable,
    NotALedger,
)
from pollwise.ledger.records import (
    Change,
    Concluded,
    Conclusion,
    Ledger,
    NewWatch,
    OpenWatch,
    OriginCount,
    OutcomeKind,
    Recorded,
    Relocation,
    Renewal,
)
from pollwise.ledger.sqlite import SqliteLedger

__all__ = [
    "Change",
    "Concluded",
    "Conclusion",
    "Ledger",
    "LedgerClosed",
    "LedgerCorrupt",
    "LedgerError",
    "LedgerFailed",
    "LedgerFull",
    "LedgerInUse",
    "LedgerMissing",
    "LedgerTooNew",
    "LedgerUnwritable",
    "NewWatch",
    "NotALedger",
    "OpenWatch",
    "OriginCount",
    "OutcomeKind",
    "Recorded",
    "Relocation",
    "Renewal",
    "SqliteLedger",
]
