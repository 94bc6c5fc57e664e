"""A process learns at once that another one has recorded watches."""

from __future__ import annotations

import asyncio

import pytest
from ledger_values import ENDPOINT, every, new

from pollwise.ledger import LedgerClosed, Shard
from pollwise.ledger.postgres import PostgresLedger
from real_postgres import needs_postgres, run

pytestmark = needs_postgres


async def test_new_watches_are_announced_once_a_batch(ledger: PostgresLedger) -> None:
    """A batch announces each of its shards, and a repeated batch announces nothing."""
    async with ledger.arrivals() as arrivals:
        batch = [*(new(number) for number in range(5)), new(1, account="north")]
        await ledger.record(batch)
        assert set(await arrivals.wait(10)) == {Shard(ENDPOINT), Shard(ENDPOINT, "north")}
        await ledger.record(batch)
        assert await arrivals.wait(0.05) == set()


async def test_waiting_ends_with_the_first_arrival(ledger: PostgresLedger) -> None:
    """A waiting process wakes up, and finds the new watches after the last one that it knows."""
    (known,) = await ledger.record([new(1)])
    async with ledger.arrivals() as arrivals:
        waiting = asyncio.ensure_future(arrivals.wait())
        await ledger.record([new(2)])
        assert await waiting == {Shard(ENDPOINT)}
        found = await every(ledger.open_watches(ENDPOINT, after=known.id))
        assert [one.keys for one in found] == [new(2).keys]


async def test_the_owner_of_a_shard_announces_nothing(ledger: PostgresLedger) -> None:
    """A process knows what it has recorded itself."""
    async with ledger.leases(owner="a") as leases, ledger.arrivals() as arrivals:
        (lease,) = await leases.acquire(1, of=[Shard(ENDPOINT)])
        await ledger.fenced(lease.shard, lease.epoch).record([new(1)])
        assert await arrivals.wait(0.05) == set()


async def test_a_lost_connection_ends_the_wait_and_is_opened_again(ledger: PostgresLedger) -> None:
    """What arrived meanwhile is not known, so the wait ends empty: look into all shards then."""
    async with ledger.arrivals() as arrivals:
        waiting = asyncio.ensure_future(arrivals.wait())
        await run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        assert await waiting == set()
        assert await arrivals.wait(0) == set()
        await ledger.record([new(1)])
        assert await arrivals.wait(10) == {Shard(ENDPOINT)}


async def test_a_foreign_notification_is_no_shard(ledger: PostgresLedger) -> None:
    """Another program on the same channel wakes the wait, and breaks nothing."""
    async with ledger.arrivals() as arrivals:
        await run(f"SELECT pg_notify('{ledger.schema}', 'no JSON')", f"SELECT pg_notify('{ledger.schema}', '[1]')")
        assert await arrivals.wait(10) == set()


async def test_nothing_arrives_after_the_block(ledger: PostgresLedger) -> None:
    """Waiting outside of the block is a mistake that is named."""
    async with ledger.arrivals() as arrivals:
        pass
    with pytest.raises(LedgerClosed):
        await arrivals.wait(0)
