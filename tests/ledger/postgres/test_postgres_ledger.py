"""Opening, closing and sharing a ledger in PostgreSQL. What every ledger promises is in tests/ledger/contract."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest
from ledger_values import ENDPOINT, change, every, new, of_a_child, success

from pollwise.errors import ConfigurationError
from pollwise.ledger import LedgerClosed, LedgerReadOnly, LedgerUnreachable, Shard
from pollwise.ledger.postgres import PostgresLedger, migrate
from real_postgres import Host, needs_own_server, needs_postgres, schema_of, url

pytestmark = needs_postgres


def test_the_ledger_in_a_file_needs_no_asyncpg() -> None:
    """`import pollwise.ledger` works without the extra, and does not look for it."""
    code = "import sys, pollwise.ledger, pollwise.watcher; assert 'asyncpg' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env=of_a_child())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": float("nan")}, "timeout_s"),
        ({"timeout_s": float("inf")}, "timeout_s"),
        ({"linger_s": -1}, "linger_s"),
        ({"connections": 0}, "connections"),
        ({"connections": True}, "connections"),
    ],
)
def test_an_argument_that_cannot_be_right_is_named(options: dict[str, Any], named: str) -> None:
    """Mistakes are found before anything is opened."""
    with pytest.raises(ConfigurationError, match=named):
        PostgresLedger("postgresql://localhost/jobs", **options)


async def test_a_ledger_is_used_inside_its_block(ledger: PostgresLedger) -> None:
    """Before and after it every call raises LedgerClosed. A second opening, too."""
    other = PostgresLedger(url(), schema=ledger.schema)
    with pytest.raises(LedgerClosed, match="not opened yet"):
        await other.record([new(1)])
    async with other:
        with pytest.raises(LedgerClosed, match="only once"):
            await other.__aenter__()
        fenced = other.fenced(Shard(ENDPOINT), 1)
        assert ENDPOINT in repr(fenced)
    for closed in (other, fenced):
        assert not closed.is_open
        with pytest.raises(LedgerClosed, match="it was closed"):
            await closed.origins(ENDPOINT)
    with pytest.raises(LedgerClosed):
        other.fenced(Shard(ENDPOINT), 1)
    with pytest.raises(LedgerClosed):
        other.arrivals()
    await other.aclose()


async def test_a_close_finishes_all_accepted_calls(ledger: PostgresLedger) -> None:
    """What was called before the close is on disk after it."""
    async with PostgresLedger(url(), schema=ledger.schema, linger_s=60) as other:
        (recorded,) = await other.record([new(1)])
        waiting = asyncio.ensure_future(other.update([change(recorded.id, polls=7)]))
        await asyncio.sleep(0)
    await waiting
    assert [one.polls for one in await every(ledger.open_watches(ENDPOINT))] == [7]


async def test_a_ledger_belongs_to_one_event_loop(ledger: PostgresLedger) -> None:
    """A call from another loop says so at once."""
    with pytest.raises(LedgerClosed, match="another event loop"):
        await asyncio.to_thread(asyncio.run, ledger.record([new(1)]))


async def test_a_ledger_does_not_belong_to_a_forked_child(
    ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child would write into the connection of its parent."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(LedgerClosed, match="forked"):
            await ledger.record([new(1)])
        await ledger.aclose()
    assert ledger.is_open


async def test_a_forgotten_ledger_is_reported(ledger: PostgresLedger) -> None:
    """A ledger that was never closed says so, without its password."""
    dsn = url().replace("postgres:@", "postgres:hunter2@")
    other = await PostgresLedger(dsn, schema=ledger.schema).__aenter__()
    writer, connections = other._writer, other._connections
    other._writer = None
    with pytest.warns(ResourceWarning, match="was never closed") as caught:  # noqa: PT031 - both say when
        del other
        gc.collect()
    assert "hunter2" not in str(caught[0].message)
    assert writer is not None
    await writer.aclose()
    await connections.aclose()


async def test_several_processes_share_one_record(ledger: PostgresLedger) -> None:
    """Several writers at once: each job has one row, each outcome is the first one, and each acknowledgement counts once."""
    others = [PostgresLedger(url(), schema=ledger.schema) for _ in range(3)]
    for other in others:
        await other.__aenter__()
    jobs = [new(number) for number in range(200)]
    recorded = await asyncio.gather(*(other.record(jobs) for other in others))
    assert len({tuple(one.id for one in found) for found in recorded}) == 1
    assert sum(one.known is None for found in recorded for one in found) == 200
    ids = [one.id for one in recorded[0]]
    assert ids == sorted(ids)
    ended = await asyncio.gather(*(other.conclude([success(n) for n in ids]) for other in others))
    assert sum(ended) == 200
    claimed = await asyncio.gather(*(other.claim(ENDPOINT, limit=80) for other in others))
    assert len({one.id for some in claimed for one in some}) == sum(map(len, claimed))
    done = [one.acknowledgement for some in claimed for one in some]
    assert sum(await asyncio.gather(*(other.acknowledge(done) for other in others))) == len(done)
    for other in others:
        await other.aclose()


async def test_watches_after_a_number_are_never_missed(ledger: PostgresLedger) -> None:
    """A reader that goes on after the last number it saw meets every watch, whatever commits first."""
    seen: list[int] = []
    done = asyncio.Event()

    async def read() -> None:
        after = 0
        while True:
            over = done.is_set()
            for one in await every(ledger.open_watches(ENDPOINT, after=after)):
                seen.append(one.id)
                after = one.id
            if over:
                return

    others = [PostgresLedger(url(), schema=ledger.schema) for _ in range(3)]
    for other in others:
        await other.__aenter__()
    reading = asyncio.ensure_future(read())
    for part in range(8):
        await asyncio.gather(
            *(
                other.record([new(1_000 * part + 100 * place + number) for number in range(60 - 25 * place)])
                for place, other in enumerate(others)
            )
        )
    done.set()
    await reading
    assert seen == sorted(seen)
    assert len(seen) == 8 * (60 + 35 + 10)
    for other in others:
        await other.aclose()


@needs_own_server
async def test_a_restarted_server_costs_nothing(tmp_path: Path) -> None:
    """A server that crashes in the middle of writes, and comes back as a standby, loses and doubles nothing.

    Every call that returned is kept, the others can be repeated, and writing goes on once it is a primary again.
    """
    host = await asyncio.to_thread(Host)
    try:
        schema = schema_of(tmp_path)
        await migrate(host.url, schema=schema)
        async with PostgresLedger(host.url, schema=schema, linger_s=0.0) as ledger:
            run = _Restarts(ledger)
            async with asyncio.TaskGroup() as group:
                for place in range(4):
                    group.create_task(run.write(10_000 * place))
                for command in ("restart", "standby", "promote"):
                    await run.until(len(run.kept) + (0 if command == "promote" else 20))
                    await run.down(asyncio.to_thread(host.command, command))
                    if command == "standby":
                        with pytest.raises(LedgerReadOnly, match="recovery"):
                            await PostgresLedger(host.url, schema=schema).__aenter__()
                        async with PostgresLedger(host.url, schema=schema, read_only=True) as seen:
                            assert len(await every(seen.unacknowledged(ENDPOINT))) >= 40
                await run.until(len(run.kept) + 20)
                run.over = True
            ended = await every(ledger.unacknowledged(ENDPOINT))
            assert sorted(int(one.elapsed_s) for one in ended) == sorted(run.kept)
    finally:
        await asyncio.to_thread(host.close)


class _Restarts:
    """Writers that go on while their server is away. Attribute `kept`: the jobs whose outcome is on disk."""

    def __init__(self, ledger: PostgresLedger) -> None:
        self._ledger = ledger
        self._moved = asyncio.Condition()
        self._is_away = False
        self.kept: list[int] = []
        self.over = False

    async def until(self, count: int) -> None:
        """Wait until so many outcomes are on disk."""
        async with self._moved:
            await self._moved.wait_for(lambda: len(self.kept) >= count)

    async def down(self, command: Awaitable[None]) -> None:
        """Carry out a command, after which writers try again."""
        self._is_away = True
        await command
        async with self._moved:
            self._is_away = False
            self._moved.notify_all()

    async def write(self, number: int) -> None:
        """Write jobs and their outcomes, each until it is accepted."""
        while not self.over:
            number += 1
            while True:
                try:
                    (recorded,) = await self._ledger.record([new(number)])
                    await self._ledger.conclude([success(recorded.id, elapsed_s=float(number))])
                    break
                except (LedgerUnreachable, LedgerReadOnly):
                    async with self._moved:
                        await self._moved.wait_for(lambda: not self._is_away)
            async with self._moved:
                self.kept.append(number)
                self._moved.notify_all()
