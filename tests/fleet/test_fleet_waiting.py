"""Any number of callers wait for the outcomes of single jobs."""

from __future__ import annotations

import asyncio

from fleet_toy import FleetToy, Vendor, jobs, until, working

from pollwise.fleet import Client, PostgresLedger
from real_postgres import needs_postgres

pytestmark = needs_postgres


async def test_many_wait_at_a_time(store: PostgresLedger) -> None:
    """Each gets the outcome of its own job, and the task that asks for them ends with the last one."""
    vendor = Vendor()
    client = Client(store, FleetToy())
    some = jobs(*(str(n) for n in range(50)))
    await client.submit_many(some, timeout_s=60)
    waiting = asyncio.gather(*(client.outcome(job) for job in some))
    given_up = asyncio.ensure_future(client.outcome(some[0]))
    async with working(store, vendor):
        await until(lambda: vendor.asked, store=store)
        given_up.cancel()
        vendor.finish()
        assert [outcome.job for outcome in await waiting] == some
