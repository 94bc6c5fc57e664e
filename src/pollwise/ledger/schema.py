"""The tables of a ledger's file, their version, and the migrations from older versions.

Rule 1: migrations go forward, one version at a time, all in one transaction. After a crash the file is as before or as
after.
Rule 2: a released migration is never edited. A later migration corrects it.
Rule 3: reading an older file does not change it: it is read through a view.
Rule 4: `application_id` alone says that a file is a ledger. Its version is 1 or more, because a file is made elsewhere and
moved into place.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from pollwise.ledger.checksums import OLDER, register

__all__ = ["APPLICATION_ID", "MIGRATIONS", "NO_SUBMITS", "VIEWS", "Migration", "migrate", "version_of"]

Migration: TypeAlias = Sequence[str]

APPLICATION_ID = 0x706F6C6C  # "poll", at byte 68 of the file, where `file(1)` looks

_VERSION_1: Migration = (
    # AUTOINCREMENT: an id is never used for another watch, even if rows are deleted by hand.
    # Times are integer microseconds since 1970 in UTC: exact, and free of SQLite's text-to-float rounding.
    """
    CREATE TABLE watches (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        endpoint TEXT NOT NULL,
        job TEXT NOT NULL,
        first_seen_us INTEGER NOT NULL,
        deadline_us INTEGER,
        phase TEXT,
        polls INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0,
        status BLOB,
        seen_s REAL,
        outcome TEXT,
        elapsed_s REAL,
        error_type TEXT,
        error_message TEXT,
        acknowledged INTEGER NOT NULL DEFAULT 0
    )
    """,
    "CREATE UNIQUE INDEX watches_by_job ON watches (endpoint, job)",
    # Partial indexes: their size depends on the open work, not on the history.
    "CREATE INDEX watches_open ON watches (endpoint, id) WHERE outcome IS NULL",
    "CREATE INDEX watches_unacknowledged ON watches (endpoint, id) WHERE outcome IS NOT NULL AND acknowledged = 0",
)

_VERSION_2: Migration = (
    # The account, where one vendor has several, and the origin at which the job is asked about; NULL: unknown.
    "ALTER TABLE watches ADD COLUMN account TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE watches ADD COLUMN origin TEXT",
    "DROP INDEX watches_by_job",
    "DROP INDEX watches_open",
    "DROP INDEX watches_unacknowledged",
    "CREATE UNIQUE INDEX watches_by_job ON watches (endpoint, account, job)",
    "CREATE INDEX watches_open ON watches (endpoint, account, id) WHERE outcome IS NULL",
    """
    CREATE INDEX watches_unacknowledged ON watches (endpoint, account, id)
    WHERE outcome IS NOT NULL AND acknowledged = 0
    """,
)

_VERSION_3: Migration = (
    # The outcome's error as JSON: its class and fields. NULL: there is no error, or an earlier version wrote the row.
    # error_type and error_message stay, for people who read the file with SQL.
    "ALTER TABLE watches ADD COLUMN error_data BLOB",
)


def _checksum_of(columns: str) -> str:
    """The checksum of these columns. Texts are cast, because a damaged one may not be UTF-8."""
    values = (f"CASE typeof({name}) WHEN 'text' THEN CAST({name} AS BLOB) ELSE {name} END" for name in columns.split())
    return f"pollwise_checksum({', '.join(values)})"


_VERSION_4: Migration = (
    # How often the row was opened again: an acknowledgement names the outcome of one generation.
    "ALTER TABLE watches ADD COLUMN generation INTEGER NOT NULL DEFAULT 0",
    # Checksums, as checksums.py has them.
    "ALTER TABLE watches ADD COLUMN job_checksum INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE watches ADD COLUMN state_checksum INTEGER NOT NULL DEFAULT 0",
    "UPDATE watches SET"  # noqa: S608  constants alone, here and below
    f" job_checksum = {_checksum_of('id endpoint account job origin first_seen_us deadline_us generation')},"
    " state_checksum = "
    + _checksum_of(
        "id phase polls failures status seen_s outcome elapsed_s error_type error_message error_data acknowledged"
    ),
)

_VERSION_5: Migration = (
    # Where and how the job is asked about next, as JSON; NULL: from the start. A row without one has the checksum of
    # version 4, so the checksums stay.
    "ALTER TABLE watches ADD COLUMN cursor BLOB",
)

_VERSION_6: Migration = (
    # The jobs that are to be started. `watch` is the row of the job, once that is known.
    """
    CREATE TABLE submits (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        endpoint TEXT NOT NULL,
        account TEXT NOT NULL,
        submit_key TEXT NOT NULL,
        digest TEXT NOT NULL,
        began_us INTEGER NOT NULL,
        watch INTEGER,
        checksum INTEGER NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX submits_by_key ON submits (endpoint, account, submit_key)",
    "CREATE INDEX submits_unfinished ON submits (id) WHERE watch IS NULL",
)

MIGRATIONS: Sequence[Migration] = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4, _VERSION_5, _VERSION_6)
"""`MIGRATIONS[n]` leads from version n to n + 1. Their number is the version that this pollwise writes."""

_WITHOUT_CHECKSUMS = f"0 AS generation, '{OLDER}' AS job_checksum, '{OLDER}' AS state_checksum, NULL AS cursor"

VIEWS: Mapping[int, str] = {
    1: f"SELECT *, '' AS account, NULL AS origin, NULL AS error_data, {_WITHOUT_CHECKSUMS} FROM main.watches",  # noqa: S608
    2: f"SELECT *, NULL AS error_data, {_WITHOUT_CHECKSUMS} FROM main.watches",  # noqa: S608
    3: f"SELECT *, {_WITHOUT_CHECKSUMS} FROM main.watches",  # noqa: S608
    4: "SELECT *, NULL AS cursor FROM main.watches",
    5: "SELECT * FROM main.watches",
}
"""For each older version, a view of its watches as the newest version has them."""

NO_SUBMITS = (
    "SELECT 0 AS id, '' AS endpoint, '' AS account, '' AS submit_key, '' AS digest, 0 AS began_us, NULL AS watch,"
    " 0 AS checksum WHERE 0"
)
"""The same of its intents: before version 6 there were none."""


def version_of(db: sqlite3.Connection) -> int:
    """The schema version of the file."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def migrate(db: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    """Apply the migrations that the file lacks, all of them or none."""
    register(db)
    db.execute("BEGIN IMMEDIATE")
    try:
        for migration in migrations[version_of(db) :]:
            for statement in migration:
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {len(migrations)}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
