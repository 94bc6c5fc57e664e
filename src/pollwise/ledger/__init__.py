"""The durable record of watches: what is watched, how far it got, and how it ended.

    records.py   the values that cross, and the `Ledger` protocol
    sqlite.py    `SqliteLedger`: the embedded default, and the only file that an event loop sees
    writer.py    its thread: which calls become one transaction, and who is told what
    work.py      what each call reads and writes
    rows.py      the values in rows, and back
    files.py     opening and making a ledger's file without ever harming one
    schema.py    tables, versions, migrations

Rule 1: what a call promises is on disk before the call returns; what fails is told to every caller that it failed for.
Rule 2: the event loop never waits for a disk.
Rule 3: nothing is guessed: a file that is not whole, not ours or not free is an error, never a fresh start.
Rule 4: no credential is ever put in one: there is no field for it.
"""

from __future__ import annotations

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
    "NewWatch",
    "OpenWatch",
    "OriginCount",
    "OutcomeKind",
    "Recorded",
    "Relocation",
    "Renewal",
    "SqliteLedger",
]
