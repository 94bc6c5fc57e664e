"""A worker process, to be killed and stopped: `fleet_child.py DATABASE SCHEMA API NAME TTL_S [SHIFT_S]`. SIGTERM drains it.

Its wall clock is wrong by SHIFT_S.

It prints what it owns when that changes, a line each, and at the end what it has lost.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time

from yarl import URL

from kept_toy import KeptToyEndpoint
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.rate_budget import RateBudget
from pollwise.fleet import PostgresLedger, Shard, Worker
from pollwise.model.messages import Request
from toy import ToyJob


class ChildToy(KeptToyEndpoint):
    """Says in the URL which process asks."""

    def __init__(self, url: str, name: str, account: str) -> None:
        super().__init__()
        self._url = URL(url)
        self._name = name
        self.account = account

    def request(self, job: ToyJob, /) -> Request:
        return Request((self._url / job.id).with_query(by=self._name))


async def main(database: str, schema: str, api: str, name: str, ttl_s: float) -> None:
    def make(shard: Shard) -> ChildToy:
        return ChildToy(api, name, shard.account)

    async with (
        PostgresLedger(database, schema=schema, timeout_s=10.0) as store,
        Worker(
            store,
            endpoint_for=make,
            ttl_s=ttl_s,
            name=name,
            pacing=Pacing.fixed(0.1),
            retry=Retry(outage_s=60.0, base_s=0.05, max_s=0.2),
            budget_for=lambda _: RateBudget(20, per_s=0.25),
        ) as worker,
    ):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.drain)
        running = asyncio.create_task(worker.run())
        owned: object = None
        while not running.done():
            if owned != (owned := (worker.shards, worker.stats().lost)):
                print(*worker.shards, "lost", worker.stats().lost, flush=True)  # noqa: T201 - to the parent
            await asyncio.wait([running], timeout=0.02)
        await running


def move_clock(shift_s: float) -> None:
    """Let the wall clock be wrong."""
    right = time.time
    time.time = lambda: right() + shift_s


if __name__ == "__main__":
    move_clock(float(sys.argv[6]) if len(sys.argv) > 6 else 0.0)
    asyncio.run(main(*sys.argv[1:5], float(sys.argv[5])))
