"""The tables of a ledger in PostgreSQL, their version, and the migrations from older versions.

Rule 1: tables are made and changed by `migrate` alone, which an operator calls. Opening a ledger never does.
Rule 2: a migration runs in one transaction under an advisory lock. It is repeatable, and two at once are safe.
Rule 3: a released migration is never edited. A later migration corrects it.
Rule 4: every name is qualified with the schema, so the `search_path` of a connection does not matter.

Why the column `identity`: an index of PostgreSQL takes about 2,700 bytes a row, and the keys of a job may be a long URL. It is
a digest of endpoint, account and keys (columns.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import asyncpg
import attrs

from pollwise.ledger.errors import LedgerTooNew, LedgerTooOld
from pollwise.ledger.postgres.columns import lock_key
from pollwise.ledger.postgres.connections import AnyConnection, Connections, checked_schema

__all__ = ["MIGRATIONS", "Migrated", "check_version", "migrate"]

Migration: TypeAlias = Sequence[str]

_VERSION_1: Migration = (
    # Times are integer microseconds since 1970 in UTC, as in a ledger's file.
    """
    CREATE TABLE {schema}.watches (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        identity bytea NOT NULL,
        endpoint text NOT NULL,
        account text NOT NULL,
        job text NOT NULL,
        origin text,
        first_seen_us bigint NOT NULL,
        deadline_us bigint,
        generation bigint NOT NULL DEFAULT 0,
        phase text,
        polls bigint NOT NULL DEFAULT 0,
        failures bigint NOT NULL DEFAULT 0,
        status bytea,
        seen_s double precision,
        outcome text,
        elapsed_s double precision,
        error_type text,
        error_message text,
        error_data bytea,
        acknowledged boolean NOT NULL DEFAULT false,
        cursor bytea,
        claimed_until timestamptz
    ) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000)
    """,
    # The space that is left in a page keeps the change of an open watch off the indexes (a heap-only tuple).
    "CREATE UNIQUE INDEX watches_by_job ON {schema}.watches (identity)",
    # Partial indexes: their size depends on the open work, not on the history.
    "CREATE INDEX watches_open ON {schema}.watches (endpoint, account, id) WHERE outcome IS NULL",
    """
    CREATE INDEX watches_unacknowledged ON {schema}.watches (endpoint, account, id)
    WHERE outcome IS NOT NULL AND NOT acknowledged
    """,
    """
    CREATE INDEX watches_succeeded ON {schema}.watches (endpoint, account, id) INCLUDE (elapsed_s)
    WHERE outcome = 'succeeded'
    """,
    # The jobs that are to be started. `watch` is the row of the job, once that is known. `call` is of the call that wrote it.
    """
    CREATE TABLE {schema}.submits (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        identity bytea NOT NULL,
        endpoint text NOT NULL,
        account text NOT NULL,
        submit_key text NOT NULL,
        digest text NOT NULL,
        began_us bigint NOT NULL,
        watch bigint,
        call bytea NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX submits_by_key ON {schema}.submits (identity)",
    "CREATE INDEX submits_unfinished ON {schema}.submits (id) WHERE watch IS NULL",
    # Which process owns the watches of an endpoint and account. `session` is its advisory lock. `spent` is what it had used of its
    # rate limit at `spent_at`, for the next owner.
    """
    CREATE TABLE {schema}.shards (
        endpoint text NOT NULL,
        account text NOT NULL,
        epoch bigint NOT NULL DEFAULT 0,
        owner text,
        session bigint,
        acquired_at timestamptz,
        expires_at timestamptz,
        spent text,
        spent_at timestamptz,
        PRIMARY KEY (endpoint, account)
    ) WITH (fillfactor = 50)
    """,
    # What other processes ask the owner of a shard to do. `kind` is "cancel", or "watch" for a watch that was opened again.
    """
    CREATE TABLE {schema}.requests (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        endpoint text NOT NULL,
        account text NOT NULL,
        watch bigint NOT NULL,
        kind text NOT NULL,
        asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        UNIQUE (endpoint, account, watch, kind)
    )
    """,
    # The processes that take shards, also those that own none. `session` is as in `shards`.
    """
    CREATE TABLE {schema}.workers (
        session bigint PRIMARY KEY,
        name text NOT NULL,
        started_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        draining boolean NOT NULL
    ) WITH (fillfactor = 50)
    """,
)

MIGRATIONS: Sequence[Migration] = (_VERSION_1,)
"""`MIGRATIONS[n]` leads from version n to n + 1. Their number is the version that this pollwise reads and writes."""

_VERSIONS = """
CREATE TABLE IF NOT EXISTS {schema}.schema_versions (
    version integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""


@attrs.frozen(kw_only=True)
class Migrated:
    """What `migrate` did.

    Attributes:
        where: The database, as a URL without credentials.
        before: The schema version that it found. 0: there was no schema.
        after: The version that the schema has now.
    """

    where: str
    before: int
    after: int


async def version_of(connection: AnyConnection, schema: str) -> int:
    """The schema version of the database, or 0 where it has no schema of a ledger."""
    if await connection.fetchval("SELECT to_regclass($1)", f'"{schema}".schema_versions') is None:
        return 0
    found = await connection.fetchval(f'SELECT max(version) FROM "{schema}".schema_versions')  # noqa: S608  a checked name
    return int(found or 0)


async def check_version(connection: AnyConnection, schema: str, where: str) -> None:
    """Raises LedgerTooOld or LedgerTooNew unless the schema has the version of this pollwise."""
    found, supported = await version_of(connection, schema), len(MIGRATIONS)
    if found > supported:
        raise LedgerTooNew(where, found, supported)
    if found < supported:
        raise LedgerTooOld(where, found, supported)


async def migrate(
    dsn_or_pool: str | asyncpg.Pool, *, schema: str = "pollwise", timeout_s: float | None = 60.0
) -> Migrated:
    """Make the tables of a ledger, or bring them to the version of this pollwise.

    Everything happens in one transaction, or nothing. A schema that has the version already stays as it is. Of two calls at
    once the second waits for the first.

    Args:
        dsn_or_pool: As for `PostgresLedger`. Its role needs CREATE on the database, or owns the schema.
        schema: The name of the schema.
        timeout_s: Max seconds for all of it. None: no limit.

    Raises:
        LedgerTooNew: The tables are of a newer pollwise.
        LedgerError: The database cannot be reached, or refuses it. Nothing was changed.
        ConfigurationError: An argument cannot be right.
    """
    connections = Connections(dsn_or_pool, schema=checked_schema(schema), timeout_s=timeout_s, size=1)
    try:
        async with connections.use() as connection:
            await connections.check_server(connection, writes=True)
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", lock_key("migrate", schema))
                before = await version_of(connection, schema)
                if before > len(MIGRATIONS):
                    raise LedgerTooNew(connections.where, before, len(MIGRATIONS))
                await _apply(connection, schema, before)
        return Migrated(where=connections.where, before=before, after=len(MIGRATIONS))
    finally:
        await connections.aclose()


async def _apply(connection: AnyConnection, schema: str, before: int) -> None:
    quoted = f'"{schema}"'
    if before == len(MIGRATIONS):
        return
    # IF NOT EXISTS needs the right to create schemas even where the schema is there.
    if not await connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = $1", schema):
        await connection.execute(f"CREATE SCHEMA {quoted}")
    await connection.execute(_VERSIONS.format(schema=quoted))
    for version, migration in enumerate(MIGRATIONS[before:], before + 1):
        for statement in migration:
            await connection.execute(statement.format(schema=quoted))
        await connection.execute(f"INSERT INTO {quoted}.schema_versions (version) VALUES ($1)", version)  # noqa: S608
