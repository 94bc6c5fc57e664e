"""The durable record of watches: their jobs, their state and their outcomes.

    errors.py    the exceptions of a ledger, as one tree
    intents.py   the same for jobs that are to be started
    intent_rows.py   their rows and statements
    records.py   the arguments and results of a ledger, and the `Ledger` protocol
    sqlite.py    `SqliteLedger`, as the event loop uses it
    writer.py    the thread of a `SqliteLedger`: groups calls into transactions, and returns their results
    work.py      the statements of the calls that write
    reading.py   the statements of the calls that read
    statements.py  what both have in common
    claims.py    which consumer processes an outcome
    shards.py    `Shard`: the watches of one endpoint and account
    rows.py      values as rows, and rows as values
    checksums.py  the checksums of a row
    files.py     opens and creates a ledger's file, without damage to any file
    file_safety.py   refuses places where a ledger cannot be kept
    inode_lock.py    the lock on the file itself, and the descriptors that pollwise opens
    open_file.py     the writer's connection, and the check that its files are in their place
    integrity.py  whether a damaged file can be used
    recovery.py   checks a damaged ledger, and saves its sound rows in a new file
    first_page.py  reads a ledger whose first page is damaged
    schema.py    tables, versions, migrations
    postgres/    the ledger in a PostgreSQL database, which is imported only by its own name

Rule 1: a call returns after its data is on disk. If it fails, the call raises.
Rule 2: the event loop never waits for a disk.
Rule 3: a file that is damaged, foreign or in use is an error. It is never replaced by a new ledger.
Rule 4: a ledger has no field for a credential.
"""

from __future__ import annotations

from pollwise.ledger.errors import (
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
)
from pollwise.ledger.intents import Intended, Intent, KeepsIntents, NewIntent
from pollwise.ledger.records import (
    Acknowledgement,
    Change,
    Concluded,
    Conclusion,
    DamagedRow,
    Ledger,
    NewWatch,
    OpenWatch,
    OriginCount,
    OutcomeKind,
    Recorded,
    Relocation,
    Renewal,
)
from pollwise.ledger.shards import Shard
from pollwise.ledger.sqlite import SqliteLedger

__all__ = [
    "Acknowledgement",
    "Change",
    "Concluded",
    "Conclusion",
    "DamagedRow",
    "Intended",
    "Intent",
    "KeepsIntents",
    "LeaseLost",
    "Ledger",
    "LedgerClosed",
    "LedgerCorrupt",
    "LedgerError",
    "LedgerFailed",
    "LedgerFull",
    "LedgerInUse",
    "LedgerMissing",
    "LedgerNotRecovered",
    "LedgerReadOnly",
    "LedgerRefused",
    "LedgerTooNew",
    "LedgerTooOld",
    "LedgerUnreachable",
    "LedgerUnsafe",
    "LedgerUnwritable",
    "NewIntent",
    "NewWatch",
    "NotALedger",
    "OpenWatch",
    "OriginCount",
    "OutcomeKind",
    "Recorded",
    "Relocation",
    "Renewal",
    "Shard",
    "SqliteLedger",
]
