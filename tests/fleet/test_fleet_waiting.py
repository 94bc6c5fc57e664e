"""Any number of callers wait for the outcomes of single jobs."""

from __future__ import annotations

import asyncio

import pytest
from fleet_toy import FleetToy, Vendor, jobs, until, working

from pollwise.fleet import Client, PostgresLedger
from pollwise.ledger import LedgerClosed
from real_postgres import needs_postgres
from toy import ToyJob

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


async def test_a_database_that_is_closed_ends_the_wait(store: PostgresLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each caller gets the error, and nothing waits for ever."""
    monkeypatch.setattr("pollwise.fleet.waiting._EVERY_S", 0.1)
    client = Client(store, FleetToy())
    await client.submit(ToyJob("a"), timeout_s=60)
    waiting = [asyncio.ensure_future(client.outcome(ToyJob("a"))) for _ in range(2)]
    await until(lambda: client._waiting._futures, store=store)
    await store.aclose()
    for one in waiting:
        with pytest.raises(LedgerClosed):
            await one


async def test_an_outcome_that_is_known_comes_at_once(store: PostgresLedger) -> None:
    """Also while another job is waited for."""
    vendor = Vendor()
    vendor.finish("done")
    client = Client(store, FleetToy())
    await client.submit_many(jobs("done", "long"), timeout_s=60)
    async with working(store, vendor):
        long = asyncio.ensure_future(client.outcome(ToyJob("long")))
        await client.outcome(ToyJob("done"))
        began = asyncio.get_running_loop().time()
        for _ in range(5):
            await client.outcome(ToyJob("done"))
        assert asyncio.get_running_loop().time() - began < 2.0
        long.cancel()
