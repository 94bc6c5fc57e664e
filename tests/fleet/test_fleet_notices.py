"""Workers and clients hear of each other at once."""

from __future__ import annotations

import asyncio

from fleet_toy import FleetToy, Vendor, until, working

from pollwise.fleet import Client, PostgresLedger
from real_postgres import needs_postgres
from toy import ToyJob

pytestmark = needs_postgres


async def test_jobs_that_are_submitted_during_work_are_found_at_once(store: PostgresLedger) -> None:
    """The owner of the shard is notified, and polls a new job long before its next look."""
    vendor = Vendor()
    client = Client(store, FleetToy())
    await client.submit(ToyJob("early"), timeout_s=60)
    async with working(store, vendor):
        await until(lambda: "early" in vendor.asked, store=store)
        began = asyncio.get_running_loop().time()
        await client.submit(ToyJob("late"), timeout_s=60)
        await until(lambda: "late" in vendor.asked, store=store)
        assert asyncio.get_running_loop().time() - began < 2.0
