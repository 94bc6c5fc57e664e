"""`pollwise ledger migrate`, and a ledger in PostgreSQL in the other commands."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from test_cli_ledger_commands import fill

from pollwise.ledger.postgres import PostgresLedger
from pollwise.simulator import Simulator
from real_postgres import needs_postgres, own_database, run

Run = Callable[..., Any]

pytestmark = needs_postgres


@pytest.fixture
async def database() -> AsyncIterator[str]:
    """The URL of an empty database, with the password hunter2."""
    async with own_database() as url:
        yield url


def shown(url: str) -> str:
    """The URL as messages show it."""
    return PostgresLedger(url).where


async def test_a_database_is_migrated_once(database: str, command: Run) -> None:
    """The first call makes the tables, the second one says that they are there. No password is printed."""
    status, out, err = await command("ledger", "migrate", database)
    assert (status, err) == (0, "")
    assert out == f"{shown(database)} has schema version 1 now, with new tables in the schema pollwise\n"
    status, out, err = await command("ledger", "migrate", database, "--json")
    assert (status, err) == (0, "")
    assert json.loads(out) == {"ledger": shown(database), "before": 1, "after": 1}
    status, out, err = await command("ledger", "migrate", database)
    assert out == f"{shown(database)} has schema version 1 already\n"


async def test_a_file_is_not_migrated(command: Run) -> None:
    """A file is migrated when it is opened, and the message says how a database is named."""
    status, out, err = await command("ledger", "migrate", "jobs.ledger")
    assert (status, out) == (2, "")
    assert "postgresql://user@host:5432/database" in err


@pytest.mark.parametrize("name", ["show", "export", "check"])
async def test_a_database_without_tables_names_the_command(name: str, database: str, command: Run) -> None:
    """Looking at it makes no tables."""
    status, out, err = await command("ledger", name, database)
    assert status != 0
    assert out == ""
    assert "pollwise ledger migrate" in err
    assert "hunter2" not in err


async def test_a_ledger_in_a_database_is_shown_exported_and_checked(
    database: str, command: Run, tmp_path: Path
) -> None:
    """The commands that take the path of a ledger take a URL, too."""
    await command("ledger", "migrate", database)
    async with PostgresLedger(database) as ledger:
        await fill(ledger)
    page = tmp_path / "page.html"
    status, out, err = await command("ledger", "show", database, "--report", str(page))
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == shown(database)
    assert "6 watches" in out
    assert "hunter2" not in page.read_text()
    status, out, _ = await command("ledger", "show", database, "--json")
    assert json.loads(out)["ledger"] == shown(database)
    status, out, _ = await command("ledger", "export", database, "--include-open")
    assert (status, len(out.splitlines())) == (0, 6)
    assert await command("ledger", "check", database) == (0, "all 6 rows are sound\n", "")
    await run("UPDATE pollwise.watches SET phase = 'dancing' WHERE id = 2", dsn=database)
    status, out, _ = await command("ledger", "check", database)
    assert (status, "row 2" in out, "5 rows are sound" in out) == (1, True, True)
    status, out, err = await command("ledger", "export", database)
    assert (status, "row 2" in err, "hunter2" in err) == (1, True, False)


@pytest.mark.parametrize("arguments", [("{}", "new.ledger"), ("jobs.ledger", "{}")])
async def test_a_database_is_not_recovered(arguments: tuple[str, str], command: Run) -> None:
    """The message says what is done instead, and shows no password."""
    url = "postgresql://user:hunter2@localhost/jobs"
    status, _, err = await command("ledger", "recover", *(text.format(url) for text in arguments))
    assert status == 2
    assert "backup of its server" in err
    assert "hunter2" not in err


async def test_a_batch_is_recorded_in_a_database(
    database: str, command: Run, tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    """A batch that is run again continues from the database, and asks the server for nothing."""
    await command("ledger", "migrate", database)
    jobs, out_file = tmp_path / "jobs.jsonl", tmp_path / "results.jsonl"
    async with Simulator(seed=7) as simulator:
        rows = [{"endpoint": "document360", "task_id": f"t{number}"} for number in range(3)]
        for row in rows:
            simulator.add_delete(row["task_id"], duration_s=0.0)
        jobs.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        environment.setenv("DOCUMENT360_BASE_URL", str(simulator.document360_url))
        arguments = ("batch", str(jobs), "--ledger", database, "--out", str(out_file), "--allow-plain-http")
        status, _, err = await command(*arguments)
        assert (status, "hunter2" in err) == (0, False)
        first = out_file.read_text()
        status, _, err = await command(*arguments)
    assert status == 0
    assert out_file.read_text() == first
    assert not (tmp_path / "jobs.jsonl.ledger").exists()
    async with PostgresLedger(database) as ledger:
        assert await ledger.count_unacknowledged("document360") == 0
