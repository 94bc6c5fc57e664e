"""What a caller's type checker infers of ledgers, claims and leases."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, assert_type

import asyncpg

from pollwise import JobWatcher, RateBudget, SqliteLedger
from pollwise.ledger import Acknowledgement, Concluded, Ledger, Shard
from pollwise.ledger.postgres import FencedLedger, Lease, PostgresLedger, ShardOwner, migrate
from pollwise.model.hosts import HostOutage


async def consumers_claim_outcomes(ledger: Ledger, outcomes: Sequence[Acknowledgement]) -> None:
    claimed = await ledger.claim("exports", limit=10, lease_s=5.0)
    assert_type(claimed, Sequence[Concluded])
    assert_type(await ledger.acknowledge(outcomes), int)
    await ledger.release_claims(outcomes)


async def both_ledgers_are_ledgers(endpoint: Any, pool: asyncpg.Pool[asyncpg.Record]) -> None:
    ledgers: list[Ledger] = [SqliteLedger("jobs.ledger"), PostgresLedger("postgresql://db/jobs"), PostgresLedger(pool)]
    JobWatcher(endpoint, timeout_s=None, ledger=ledgers[0])
    assert_type((await migrate(pool)).after, int)


async def leases_fence_a_ledger(ledger: PostgresLedger) -> None:
    async with ledger.leases(owner="host-1") as leases, ledger.arrivals() as arrivals:
        for lease in await leases.acquire(4, of=[Shard("exports")]):
            assert_type(lease, Lease)
            assert_type(ledger.fenced(lease.shard, lease.epoch), FencedLedger)
        assert_type(await leases.renew(), Sequence[Lease])
        assert_type(await arrivals.wait(5), Collection[Shard])
    assert_type(await ledger.owners(), Sequence[ShardOwner])


async def effect_and_acknowledgement(
    ledger: PostgresLedger, connection: asyncpg.Connection[asyncpg.Record], outcomes: Sequence[Acknowledgement]
) -> None:
    async with connection.transaction():
        assert_type(await ledger.acknowledge(outcomes, connection=connection), int)


def a_budget_closes(budget: RateBudget, watcher: JobWatcher[Any, Any]) -> None:
    budget.close_at(None)
    assert_type(watcher.hosts_down, tuple[HostOutage, ...])
    assert_type(watcher.stats().hosts_down, tuple[HostOutage, ...])
