"""The tables of a ledger's file, their version, and the way from an older version to this one.

Rule 1: migrations only go forward, one version at a time, all in one transaction: an older file is as it was or as new.
Rule 2: a migration that was released is never edited; the next one mends it.
Rule 3: looking at an older file changes nothing: it is read through a view.
Rule 4: a file is ours by its application_id alone, and of version 1 or later: it is made elsewhere and moved into place.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import TypeAlias

__all__ = ["APPLICATION_ID", "MIGRATIONS", "VIEWS", "Migration", "migrate", "version_of"]

Migration: TypeAlias = Sequence[str]

APPLICATION_ID = 0x706F6C6C  # "poll", at byte 68 of the file, where `file(1)` looks

_VERSION_1: Migration = (
    # AUTOINCREMENT: an id that was handed out never names another watch, even if rows are deleted by hand.
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
    # Partial: they hold what is still to be done, however long the history grows.
    "CREATE INDEX watches_open ON watches (endpoint, id) WHERE outcome IS NULL",
    "CREATE INDEX watches_unacknowledged ON watches (endpoint, id) WHERE outcome IS NOT NULL AND acknowledged = 0",
)

_VERSION_2: Migration = (
    # Whose jobs they are, where one vendor has several accounts, and where they were asked about; NULL: not known.
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
    # The outcome's error as JSON, with its class and fields. NULL: there is none, or an earlier version wrote the row.
    # error_type and error_message stay as they are, for people who look at the file with SQL.
    "ALTER TABLE watches ADD COLUMN error_data BLOB",
)

MIGRATIONS: Sequence[Migration] = (_VERSION_1, _VERSION_2, _VERSION_3)
"""`MIGRATIONS[n]` leads from version n to n + 1; their number is the version that this pollwise writes."""

VIEWS: Mapping[int, str] = {
    1: "SELECT *, '' AS account, NULL AS origin, NULL AS error_data FROM main.watches",
    2: "SELECT *, NULL AS error_data FROM main.watches",
}
"""How the watches of an older version read as those of the newest one, so that looking at a file need not change it."""


def version_of(db: sqlite3.Connection) -> int:
    """The schema version that the file says it has."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def migrate(db: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    """Bring an older file to the version that `migrations` lead to, at once or not at all."""
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
