"""Workers share shards, and a shard has one worker at a time."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import patch

import pytest
from fleet_toy import FleetToy, Vendor, jobs, make, names, until, working

from pollwise.errors import ConfigurationError
from pollwise.fleet import Client, PostgresLedger, Shard, Worker
from pollwise.ledger.postgres.workers import Workers
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


async def test_workers_share_shards_evenly(store: PostgresLedger) -> None:
    """A worker that joins gets its part, and no job is watched twice at a time."""
    first, second = Vendor(), Vendor()
    accounts = [f"account-{n}" for n in range(5)]
    for account in accounts:
        await Client(store, FleetToy(account)).submit(ToyJob(account), timeout_s=60)
    async with working(store, first, name="first", ttl_s=1.5) as one:
        await until(lambda: len(one.shards) == 5, store=store)
        async with working(store, second, name="second", ttl_s=1.5) as two:
            await until(lambda: len(two.shards) == 2, store=store)
            assert len(one.shards) == 3
            assert not set(one.shards) & set(two.shards)
            moved = {shard.account for shard in two.shards}
            await until(lambda: moved <= set(second.asked), store=store)
        await until(lambda: len(one.shards) == 5, store=store)


async def test_deadlines_are_on_the_servers_clock(store: PostgresLedger) -> None:
    """A machine whose wall clock is a day ahead ends no watch too early."""
    vendor = Vendor()
    client = Client(store, FleetToy())
    with patch("time.time", lambda: 1e9):
        await client.submit(ToyJob("a"), timeout_s=60)
        async with working(store, vendor):
            await until(lambda: len(vendor.asked) > 3, store=store)
            vendor.finish()
            outcome = await client.outcome(ToyJob("a"))
            assert isinstance(outcome, Succeeded)
            assert outcome.elapsed_s < 20


async def test_wrong_arguments_are_refused_at_once(store: PostgresLedger) -> None:
    """Each error says what to pass."""
    for options, wanted in (
        ({"endpoint_for": None}, "endpoint_for must be a function"),
        ({"ttl_s": 0.5}, "ttl_s must be at least 1 second"),
        ({"ttl_s": float("nan")}, "ttl_s"),
        ({"drain_s": 0}, "drain_s"),
    ):
        given: dict[str, Any] = {"endpoint_for": make, **options}
        with pytest.raises(ConfigurationError, match=wanted):
            Worker(store, **given)
    with pytest.raises(ConfigurationError, match="an open PostgresLedger"):
        Worker("postgresql://x", endpoint_for=make)  # type: ignore[arg-type]
    worker = Worker(store, endpoint_for=make)
    with pytest.raises(ConfigurationError, match="open the worker first"):
        await worker.run()
    async with worker:
        with pytest.raises(ConfigurationError, match="opened only once"):
            await worker.__aenter__()
        assert worker.stats().shards == []


async def test_a_worker_that_is_cancelled_leaves_its_shards(store: PostgresLedger) -> None:
    """The next worker need not wait, and the watches stay open."""
    vendor, second = Vendor(), Vendor()
    await Client(store, FleetToy()).submit(ToyJob("a"), timeout_s=60)
    async with Worker(store, endpoint_for=make, transport=vendor.transport) as worker:
        running = asyncio.create_task(worker.run())
        await until(lambda: vendor.asked, store=store)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    async with working(store, second):
        await until(lambda: second.asked, store=store)


async def test_a_shard_is_left_while_another_one_is_taken(
    store: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker goes on with the one that it takes."""
    vendor, reading, left = Vendor(), asyncio.Event(), asyncio.Event()
    spent = Workers.spent

    async def read_late(workers: Workers, shards: Any) -> Any:
        found = await spent(workers, shards)
        if Shard("toy", "b") in shards:
            reading.set()
            await left.wait()
        return found

    monkeypatch.setattr(Workers, "spent", read_late)
    await Client(store, FleetToy("a")).submit_many(jobs("a-1"), timeout_s=60)
    async with working(store, vendor) as worker:
        await until(lambda: "a-1" in vendor.asked, store=store)
        await Client(store, FleetToy("b")).submit_many(jobs("b-1"), timeout_s=60)
        await reading.wait()
        worker._owned[Shard("toy", "a")].leave(0.0)
        await until(lambda: Shard("toy", "a") not in worker.shards, store=store)
        await until(lambda: worker.stats().released == 1, store=store)
        left.set()
        await until(lambda: "b-1" in vendor.asked, store=store)
        assert worker.stats().lost == 0
