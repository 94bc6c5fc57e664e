"""A worker whose database is away: it polls nothing beyond its lease, drops nothing, and goes on by itself."""

from __future__ import annotations

import asyncio
import logging

import pytest
from fleet_toy import FleetToy, Vendor, jobs, until, working

from pollwise.fleet import Client, PostgresLedger
from pollwise.model.events import Succeeded
from real_postgres import host, needs_own_server, needs_postgres
from stalling_proxy import stalling_proxy
from toy import ToyJob

pytestmark = needs_postgres


@pytest.mark.parametrize("is_cut", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["stalled", "cut"])
async def test_nothing_is_polled_beyond_the_lease(
    store: PostgresLedger,
    caplog: pytest.LogCaptureFixture,
    is_cut: bool,  # a parameter of the test
) -> None:
    """The network to the database fails for twice the time to live. All watches go on after that, and the log has one warning."""
    caplog.set_level(logging.INFO, "pollwise.fleet")
    vendor = Vendor()
    client = Client(store, FleetToy())
    await client.submit_many(jobs("a", "b", "c"), timeout_s=60)
    now = asyncio.get_running_loop().time
    async with (
        stalling_proxy() as proxy,
        PostgresLedger(proxy.url, schema=store.schema, timeout_s=10.0) as far,
        working(far, vendor, ttl_s=1.0),
    ):
        await until(lambda: set(vendor.asked) == {"a", "b", "c"}, store=store)
        stalled = now()
        proxy.open.clear()
        if is_cut:
            proxy.cut()
        await until(lambda: now() > stalled + 2.0, store=store)
        assert max(vendor.transport.times) < stalled + 0.9 + 0.2
        asked = len(vendor.asked)
        vendor.finish()
        proxy.open.set()
        await until(lambda: len(vendor.asked) > asked, store=store)
        for job in jobs("a", "b", "c"):
            assert isinstance(await client.outcome(job), Succeeded)
    lines = [record.getMessage() for record in caplog.records if record.name == "pollwise.fleet.lease_keeper"]
    assert sum("the database fails" in line for line in lines) == 1
    assert sum("the database is back" in line for line in lines) == 1


@needs_own_server
async def test_a_restart_of_the_server_costs_nothing(store: PostgresLedger) -> None:
    """Workers, consumers and waiting callers go on by themselves."""
    vendor = Vendor()
    client = Client(store, FleetToy())
    await client.submit_many(jobs("a", "b"), timeout_s=60)
    async with working(store, vendor) as worker, client.outcomes(follow=True) as outcomes:
        await until(lambda: set(vendor.asked) == {"a", "b"}, store=store)
        waiting = asyncio.ensure_future(client.outcome(ToyJob("a")))
        vendor.finish("b")
        assert (await anext(outcomes)).outcome.job == ToyJob("b")
        await asyncio.to_thread(host().command, "restart")
        vendor.finish()
        assert isinstance(await waiting, Succeeded)
        assert [str(shard) for shard in worker.shards] == ["toy"]


async def test_a_worker_drains_without_its_database(store: PostgresLedger) -> None:
    """A process that is told to end does so in time. Its leases end by themselves."""
    vendor = Vendor()
    await Client(store, FleetToy()).submit(ToyJob("a"), timeout_s=60)
    async with (
        stalling_proxy() as proxy,
        PostgresLedger(proxy.url, schema=store.schema, timeout_s=0.5) as far,
        working(far, vendor, ttl_s=1.0, drain_s=0.1) as worker,
    ):
        await until(lambda: vendor.asked, store=store)
        proxy.open.clear()
        proxy.cut()
        worker.drain()
        async with asyncio.timeout(8):
            await until(lambda: not worker.shards, store=store)
