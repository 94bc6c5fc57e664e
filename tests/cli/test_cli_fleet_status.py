from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from pollwise.cli.fleet_status import StatusFrame
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.fleet import Client, FleetStatus, PostgresLedger
from pollwise.ledger import Shard
from pollwise.ledger.postgres import migrate
from real_postgres import needs_postgres, own_database, run

Run = Callable[..., Any]

pytestmark = needs_postgres


@pytest.fixture
async def database() -> AsyncIterator[str]:
    """The URL of an empty database, with the password hunter2."""
    async with own_database() as url:
        yield url


async def test_the_status_changes_nothing(database: str, command: Run) -> None:
    """A shard with its owner, its lease and what waits; as lines, as JSON, and by a role that may only read."""
    await migrate(database)
    async with PostgresLedger(database) as store:
        client = Client(store, DeleteFileEndpoint("https://d.example"))
        await client.submit_many([DeleteFileJob("t-1"), DeleteFileJob("t-2")], timeout_s=None)
        async with store.leases(owner="w-1", ttl_s=60.0) as leases:
            await leases.acquire(1, of=[Shard("document360", "")])
            status, out, err = await command("fleet", "status", database, "--json")
            assert (status, err) == (0, "")
            document = json.loads(out)
            (shard,) = document["shards"]
            assert document["database"] == store.where
            assert (shard["owner"], shard["open"], shard["unseen"], shard["unacknowledged"]) == ("w-1", 2, 2, 0)
            assert 0 <= shard["owned_s"] < 60
            assert 0 < shard["lease_left_s"] <= 60
            assert shard["lag_s"] >= 0
            name = f"reader_{urlsplit(database).path.removeprefix('/')}"
            await run(
                f"CREATE ROLE {name} LOGIN",
                f"GRANT USAGE ON SCHEMA pollwise TO {name}",
                f"GRANT SELECT ON ALL TABLES IN SCHEMA pollwise TO {name}",
                dsn=database,
            )
            try:
                reader = database.replace("postgres:hunter2@", f"{name}@")
                status, out, err = await command("fleet", "status", reader)
                assert (status, err) == (0, "")
                assert "document360  w-1        2       2" in out
            finally:
                await run(f"DROP OWNED BY {name}", f"DROP ROLE {name}", dsn=database)


async def test_a_database_without_tables_names_the_command(database: str, command: Run) -> None:
    """The message has the command that makes them, and no password."""
    for name in ("status", "worker"):
        status, out, err = await command("fleet", name, database)
        assert (status, out) == (74, "")
        assert "Run `pollwise ledger migrate postgresql://" in err
        assert "hunter2" not in err


async def test_a_server_that_is_away_is_one_sentence(command: Run) -> None:
    """An unreachable database ends the command with 74."""
    for name in ("status", "worker"):
        status, out, err = await command("fleet", name, "postgresql://u:hunter2@127.0.0.1:1/jobs")
        assert (status, out) == (74, "")
        assert err.startswith("pollwise: postgresql://127.0.0.1:1/jobs cannot be reached: ")
        assert err.count("\n") == 1


async def test_a_malformed_url_is_not_shown(command: Run) -> None:
    """It may have a password in an unexpected place."""
    status, out, err = await command("fleet", "status", "postgresql://u:hunter2@h:x/jobs")
    assert (status, out) == (2, "")
    assert "hunter2" not in err


def test_an_error_is_above_the_last_status(capsys: pytest.CaptureFixture[str]) -> None:
    """While the database is away, the live rows stay, and say so."""
    frame = StatusFrame("a head")
    frame.show(FleetStatus(shards=[], workers=[]))
    frame.fail("the database is away")
    frame.print()
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "a head",
        "the database is away",
        "no worker is live",
        "0 shards, 0 open, 0 outcomes not acknowledged",
    ]
    frame.show(FleetStatus(shards=[], workers=[]))
    frame.print()
    assert "away" not in capsys.readouterr().out
