"""Workers share shards, and a shard has one worker at a time."""

from __future__ import annotations

import asyncio

from fleet_toy import FleetToy, Vendor, jobs, names, until, working

from pollwise.fleet import Client, PostgresLedger
from pollwise.model.events import Succeeded
from real_postgres import needs_postgres
from toy import ToyJob

pytestmark = needs_postgres


async def test_a_job_that_is_submitted_is_watched_to_its_outcome(store: PostgresLedger) -> None:
    """One process submits and waits, another one polls."""
    vendor = Vendor()
    client = Client(store, FleetToy())
    async with working(store, vendor) as worker:
        assert await client.submit(ToyJob("a"), timeout_s=60)
        waiting = asyncio.ensure_future(client.outcome(ToyJob("a")))
        await until(lambda: "a" in vendor.asked, store=store)
        vendor.finish("a")
        outcome = await waiting
        assert isinstance(outcome, Succeeded)
        assert outcome.job == ToyJob("a")
        assert [str(shard) for shard in worker.shards] == ["toy"]
        async with client.outcomes() as outcomes:
            delivered = [delivery async for delivery in outcomes]
            assert names(one.outcome for one in delivered) == ["a"]
            assert await delivered[0].ack()
            assert not await delivered[0].ack()


async def test_a_shard_goes_on_when_its_worker_drains(store: PostgresLedger) -> None:
    """The second worker takes over at once, and asks about the open jobs."""
    vendor, second = Vendor(), Vendor()
    client = Client(store, FleetToy())
    await client.submit_many(jobs("a", "b"), timeout_s=60)
    async with working(store, vendor, name="first") as first:
        await until(lambda: {"a", "b"} <= set(vendor.asked), store=store)
        async with working(store, second, name="second") as other:
            assert not second.asked
            first.drain()
            await until(lambda: other.shards, store=store)
            assert not first.shards
            asked = len(vendor.asked)
            second.finish()
            for job in jobs("a", "b"):
                assert isinstance(await client.outcome(job), Succeeded)
            assert len(vendor.asked) == asked
