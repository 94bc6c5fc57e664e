from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from pollwise.ledger.postgres import migrate
from real_postgres import needs_postgres, own_database, run

Run = Callable[..., Any]

pytestmark = needs_postgres

ROWS = '{"endpoint":"document360","task_id":"t-1"}\n{"endpoint":"oracle-content","file_id":"F","job_id":"J","more":1}\n'
URLS = ("--document360-url", "https://d.example", "--oracle-content-url", "https://o.example")


@pytest.fixture
async def database() -> AsyncIterator[str]:
    """The URL of a database with tables."""
    async with own_database() as url:
        await migrate(url)
        yield url


async def test_jobs_are_submitted_once(database: str, command: Run, environment: Any, tmp_path: Path) -> None:
    """New jobs are counted apart from known ones. No credentials are needed, and a missing worker is named."""
    environment.delenv("DOCUMENT360_API_TOKEN")
    environment.delenv("ORACLE_CONTENT_TOKEN")
    file = tmp_path / "jobs.jsonl"
    file.write_text(ROWS)
    status, out, err = await command(
        "fleet", "submit", database, str(file), *URLS, "--timeout", "none", "--account", "acme"
    )
    assert status == 0
    assert out.startswith("2 jobs: 2 new, 0 known; in postgresql://")
    assert "hunter2" not in out + err
    assert "no worker is there to watch them" in err
    file.write_text('{"endpoint":"document360","task_id":"t-2"}\n' + ROWS)
    environment.setenv("POLLWISE_POSTGRES", database)
    status, out, err = await command("fleet", "submit", str(file), *URLS, "--json", "--quiet", "--account", "acme")
    assert (status, err) == (0, "")
    document = json.loads(out)
    assert (document["jobs"], document["new"], document["known"]) == (3, 1, 2)
    assert document["endpoints"][0] == {"endpoint": "document360", "account": "acme", "jobs": 2, "new": 1, "known": 1}
    rows = await run("SELECT DISTINCT account, origin FROM pollwise.watches ORDER BY origin", dsn=database)
    assert [tuple(row) for row in rows] == [("acme", "https://d.example"), ("acme", "https://o.example")]


async def test_a_bad_row_submits_nothing(database: str, command: Run, environment: Any, tmp_path: Path) -> None:
    """All rows are checked before the first job is recorded."""
    file = tmp_path / "jobs.jsonl"
    file.write_text(ROWS + '{"endpoint":"document360"}\n')
    status, out, err = await command("fleet", "submit", database, str(file), *URLS)
    assert (status, out) == (2, "")
    assert "jobs.jsonl:3: it has no task_id" in err
    assert await run("SELECT FROM pollwise.watches", dsn=database) == []


async def test_a_token_can_be_split(database: str, command: Run, environment: Any, tmp_path: Path) -> None:
    """With --split the jobs of an endpoint are in several shards."""
    file = tmp_path / "jobs.csv"
    file.write_text("task_id\n" + "".join(f"t-{number}\n" for number in range(40)))
    arguments = (database, str(file), "--endpoint", "document360", *URLS)
    status, out, _ = await command("fleet", "submit", *arguments, "--split", "2")
    assert status == 0
    assert out.startswith("40 jobs: 40 new")
    rows = await run(
        "SELECT account, count(*) AS n FROM pollwise.watches GROUP BY account ORDER BY account", dsn=database
    )
    assert [row["account"] for row in rows] == ["#0/2", "#1/2"]
    assert sum(row["n"] for row in rows) == 40
