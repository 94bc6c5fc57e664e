"""Tables are made and changed by one call that an operator makes, and never by opening a ledger."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import pytest
from ledger_values import every, new

from pollwise.errors import ConfigurationError
from pollwise.ledger import LedgerTooNew, LedgerTooOld
from pollwise.ledger.postgres import Migrated, PostgresLedger, migrate, migrations
from real_postgres import needs_postgres, run, schema_of, url

pytestmark = needs_postgres


async def test_opening_makes_no_tables(tmp_path: Path) -> None:
    """A database without tables is an error that names the command, and stays without tables."""
    with pytest.raises(LedgerTooOld, match="pollwise ledger migrate") as caught:
        await PostgresLedger(url(), schema=schema_of(tmp_path)).__aenter__()
    assert caught.value.found == 0
    assert await run(f"SELECT FROM pg_namespace WHERE nspname = '{schema_of(tmp_path)}'") == []


async def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    """The second call finds the version that it wants, and every row stays."""
    schema = schema_of(tmp_path)
    first = await migrate(url(), schema=schema)
    assert (first.before, first.after) == (0, 1)
    async with PostgresLedger(url(), schema=schema) as ledger:
        await ledger.record([new(1)])
        assert await migrate(url(), schema=schema) == Migrated(where=first.where, before=1, after=1)
        assert len(await every(ledger.open_watches("oracle-content"))) == 1


async def test_two_migrations_at_once_are_one(tmp_path: Path) -> None:
    """Of several processes that migrate at the same time, one makes the tables and the others wait for it."""
    done = await asyncio.gather(*(migrate(url(), schema=schema_of(tmp_path)) for _ in range(4)))
    assert sorted(one.before for one in done) == [0, 1, 1, 1]


async def test_an_empty_schema_is_used(tmp_path: Path) -> None:
    """An empty schema of an administrator gets the tables, so the role needs no right to make schemas."""
    await run(f"CREATE SCHEMA {schema_of(tmp_path)}")
    assert (await migrate(url(), schema=schema_of(tmp_path))).after == 1


async def test_a_migration_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """All statements are one transaction."""
    schema = schema_of(tmp_path)
    await run(f"CREATE SCHEMA {schema}", f"CREATE TABLE {schema}.submits ()")
    with pytest.raises(Exception, match="already exists"):
        await migrate(url(), schema=schema)
    assert [row["relname"] for row in await run(_tables(schema))] == ["submits"]


def _tables(schema: str) -> str:
    return f"SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = '{schema}'::regnamespace ORDER BY 1"


async def test_newer_tables_are_left_alone(ledger: PostgresLedger) -> None:
    """A ledger of a newer pollwise is neither opened nor migrated."""
    await run(f"INSERT INTO {ledger.schema}.schema_versions VALUES (99)")
    with pytest.raises(LedgerTooNew, match="99"):
        await PostgresLedger(url(), schema=ledger.schema).__aenter__()
    with pytest.raises(LedgerTooNew, match="Upgrade pollwise"):
        await migrate(url(), schema=ledger.schema)


async def test_older_tables_are_migrated_one_version_at_a_time(
    ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later pollwise opens older tables only after the command, which keeps their rows."""
    await ledger.record([new(1)])
    later = (*migrations.MIGRATIONS, ("ALTER TABLE {schema}.watches ADD COLUMN later text",))
    monkeypatch.setattr(migrations, "MIGRATIONS", later)
    with pytest.raises(LedgerTooOld, match="version 1, and this pollwise needs version 2"):
        await PostgresLedger(url(), schema=ledger.schema).__aenter__()
    done = await migrate(url(), schema=ledger.schema)
    assert (done.before, done.after) == (1, 2)
    async with PostgresLedger(url(), schema=ledger.schema) as newer:
        assert len(await every(newer.open_watches("oracle-content"))) == 1


@pytest.mark.parametrize("name", ["", "Jobs", "a b", 'x"; DROP SCHEMA public', "pg_jobs", "x" * 49, None])
async def test_a_schema_has_a_plain_name(name: str) -> None:
    """A name that needs quotes is refused before anything is sent."""
    with pytest.raises(ConfigurationError, match="schema"):
        PostgresLedger("postgresql://localhost/jobs", schema=name)
    with pytest.raises(ConfigurationError, match="schema"):
        await migrate("postgresql://localhost/jobs", schema=name)


def test_every_name_in_a_migration_is_qualified() -> None:
    """A migration works whatever the search_path of the role is."""
    assert "search_path" not in inspect.getsource(migrations).split('"""', 2)[2]
    for statement in (one for migration in migrations.MIGRATIONS for one in migration):
        assert "{schema}." in statement
