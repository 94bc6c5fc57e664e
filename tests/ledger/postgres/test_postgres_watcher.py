"""A watcher whose ledger is in PostgreSQL."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from ledger_values import every

from pollwise import JobWatcher, Pacing, RateBudget
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.http.auth import ApiKeyAuth
from pollwise.ledger import Shard
from pollwise.ledger.postgres import PostgresLedger
from pollwise.ledger.postgres.calls import PostgresCalls
from pollwise.simulator import Simulator
from real_postgres import needs_postgres, run

pytestmark = needs_postgres

JOBS = [DeleteFileJob(f"T{number}") for number in range(40)]


def watcher_of(simulator: Simulator, ledger: PostgresCalls) -> JobWatcher[DeleteFileJob, Any]:
    """A watcher of the simulator's jobs that polls as often as it likes."""
    endpoint = DeleteFileEndpoint(simulator.document360_url, auth=ApiKeyAuth("any"))
    pacing, budget = Pacing(min_s=0.05, max_s=0.1), RateBudget(10_000, per_s=1)
    return JobWatcher(endpoint, timeout_s=60, pacing=pacing, budget=budget, ledger=ledger)


async def test_connections_that_end_lose_no_watch(ledger: PostgresLedger) -> None:
    """While an administrator ends every connection again and again, each outcome is delivered once."""
    delivered: Counter[str] = Counter()
    async with Simulator(seed=1) as simulator:
        for job in JOBS:
            simulator.add_delete(job.task_id, duration_s=0.3)
        async with watcher_of(simulator, ledger) as watcher:
            await watcher.record_all(JOBS)
            async for delivery in watcher.outcomes():
                delivered[delivery.outcome.job.task_id] += 1
                if len(delivered) % 10 == 1:
                    await run(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE application_name = 'pollwise' AND pid <> pg_backend_pid()"
                    )
                await delivery.ack()
    assert delivered == Counter(job.task_id for job in JOBS)
    assert await every(ledger.unacknowledged("document360")) == []


async def test_the_next_owner_of_a_shard_goes_on(ledger: PostgresLedger) -> None:
    """A watcher over the fenced ledger of a lease resumes what another process has recorded."""
    shard = Shard("document360")
    async with Simulator(seed=1) as simulator:
        for job in JOBS:
            simulator.add_delete(job.task_id, duration_s=0.0)
        async with watcher_of(simulator, ledger) as first:
            await first.record_all(JOBS)
        async with ledger.leases(owner="second") as leases:
            (lease,) = await leases.acquire(1, of=[shard])
            ours = ledger.fenced(shard, lease.epoch)
            async with watcher_of(simulator, ours) as second:
                await second.resume()
                async with asyncio.timeout(60):
                    found = [delivery.outcome.job async for delivery in second.outcomes()]
    assert sorted(job.task_id for job in found) == sorted(job.task_id for job in JOBS)
