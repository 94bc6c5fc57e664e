from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from pollwise.cli import fleet_worker
from pollwise.cli.exit_status import UsageError
from pollwise.cli.fleet_options import FleetNames, WorkerOptions
from pollwise.cli.fleet_worker import endpoint_maker
from pollwise.cli.ledger_place import DatabaseUrl
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.errors import ConfigurationError
from pollwise.fleet import Client, PostgresLedger, Shard
from pollwise.ledger.postgres import migrate
from pollwise.model.events import Succeeded
from pollwise.simulator import Simulator
from real_postgres import needs_postgres, own_database

Run = Callable[..., Any]
Start = Callable[..., Any]


@pytest.fixture
async def database() -> AsyncIterator[str]:
    """The URL of a database with tables."""
    async with own_database() as url:
        await migrate(url)
        yield url


async def line_with(child: Any, text: str) -> str:
    """The next line of its stderr with this text."""
    while text not in (line := (await child.process.stderr.readline()).decode()):
        assert line, f"it has ended without {text!r}"
    return line


@needs_postgres
async def test_a_worker_watches_until_a_signal(
    database: str, start: Start, command: Run, environment: pytest.MonkeyPatch, simulator: Simulator, tmp_path: Path
) -> None:
    """Jobs of known endpoints get outcomes, others are left and named once. SIGTERM gives the shards away, with status 0."""
    environment.setenv("DOCUMENT360_BASE_URL", simulator.document360_url)
    environment.delenv("ORACLE_CONTENT_TOKEN")
    simulator.add_delete("t-1", duration_s=0.0)
    simulator.add_delete("t-2", duration_s=0.0, outcome="failed")
    file = tmp_path / "jobs.jsonl"
    rows = [
        '{"endpoint":"document360","task_id":"t-1"}',
        '{"endpoint":"document360","task_id":"t-2"}',
        '{"endpoint":"document360","task_id":"t-1"}',
    ]
    file.write_text("\n".join(rows))
    foreign = tmp_path / "foreign.csv"
    foreign.write_text("endpoint,file_id,job_id\noracle-content,F,J\n")
    await command("fleet", "submit", database, str(foreign), "--oracle-content-url", "https://o.example")

    child = await start("fleet", "worker", database, "--name", "w-1", "--ttl", "3", "--interval", "0.05")
    assert "hunter2" not in await line_with(child, "worker w-1 watches the jobs in postgresql://")
    await line_with(child, "the shard oracle-content cannot be served here")
    status, out, err = await command("fleet", "submit", database, str(file), "--wait")
    assert (status, err) == (1, "")
    head, *outcomes, total = out.splitlines()
    assert head.startswith("2 jobs: 2 new, 0 known; in postgresql://")
    assert [line.split()[:3] for line in outcomes] == [
        ["document360", "t-1", "succeeded"],
        ["document360", "t-2", "failed"],
    ]
    assert total == "1 succeeded, 1 failed"
    await line_with(child, "takes the shard document360")

    child.process.send_signal(signal.SIGTERM)
    status, _, err = await child.end()
    assert status == 0
    assert "draining" in err
    assert "has released the shard document360" in err
    status, out, _ = await command("fleet", "status", database)
    assert out.startswith("no worker is live\n2 shards, 1 open, 2 outcomes not acknowledged, 1 without a worker\n")


@needs_postgres
async def test_a_worker_can_end_with_its_parent(
    database: str, start: Start, environment: pytest.MonkeyPatch, simulator: Simulator
) -> None:
    """When the pipe to its stdin is closed, the worker ends at once, and keeps no shard."""
    environment.setenv("DOCUMENT360_BASE_URL", simulator.document360_url)
    async with PostgresLedger(database) as store:
        client = Client(store, DeleteFileEndpoint(simulator.document360_url))
        simulator.add_delete("t-1", duration_s=0.0)
        await client.submit(DeleteFileJob("t-1"), timeout_s=60.0)
        child = await start(
            *("fleet", "worker", database, "--ttl", "600", "--end-with-stdin", "--quiet"), stdin=asyncio.subprocess.PIPE
        )
        assert isinstance(await client.outcome(DeleteFileJob("t-1")), Succeeded)
        child.process.stdin.close()
        status, out, err = await child.end()
        assert (status, out, err) == (1, "", "")


async def test_stdin_must_be_a_pipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file has no end to wait for, so the option is refused."""
    with (tmp_path / "input").open("w+b") as file:
        monkeypatch.setattr(fleet_worker, "_STDIN", file.fileno())
        with pytest.raises(UsageError, match="--end-with-stdin needs a pipe as stdin"):
            await fleet_worker.run_worker(
                DatabaseUrl("postgresql://h/d"), FleetNames(), WorkerOptions(end_with_stdin=True)
            )


def test_a_shard_of_another_account_is_left_to_others(environment: pytest.MonkeyPatch) -> None:
    """The credentials of one account are never sent for the jobs of another one."""
    names = FleetNames(document360_url="https://d.example", account_of=("oracle-content=acme",))
    make = endpoint_maker(names.names("", quiet=True, credentials=True))
    endpoint = make(Shard("document360", ""))
    assert (endpoint.name, endpoint.account) == ("document360", "")
    assert make(Shard("document360", "")) is endpoint
    with pytest.raises(ConfigurationError, match="the account without a name; name another one with --account"):
        make(Shard("document360", "other"))


def test_what_cannot_be_served_says_why(environment: pytest.MonkeyPatch) -> None:
    """An unknown endpoint, a missing base URL and missing credentials are all errors that the worker's log shows."""
    environment.delenv("DOCUMENT360_API_TOKEN")
    make = endpoint_maker(FleetNames(document360_url="https://d.example").names("", quiet=True, credentials=True))
    for name, why in (
        ("document360", "DOCUMENT360_API_TOKEN"),
        ("oracle-content", "--oracle-content-url is missing"),
        ("nothing-of-this-name", "no endpoint nothing-of-this-name"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            make(Shard(name, ""))
