"""Workers share shards, and a shard has one worker at a time."""

from __future__ import annotations

import asyncio
from unittest.mock import patch

import pytest
from fleet_toy import FleetToy, Vendor, jobs, kill_sessions, make, names, until, working

from pollwise.fleet import Client, PostgresLedger, Shard
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


async def test_a_shard_that_cannot_be_served_is_left_to_others(
    store: PostgresLedger, caplog: pytest.LogCaptureFixture
) -> None:
    """`endpoint_for` raises: one line in the log without the foreign text, and the other shards are served."""

    def only_north(shard: Shard) -> FleetToy:
        if shard.account != "north":
            raise LookupError("hunter2 is no password")
        return make(shard)

    vendor, other = Vendor(), Vendor()
    await Client(store, FleetToy("north")).submit(ToyJob("n"), timeout_s=60)
    await Client(store, FleetToy("south")).submit(ToyJob("s"), timeout_s=60)
    async with working(store, vendor, endpoint_for=only_north, name="picky") as picky:
        await until(lambda: "n" in vendor.asked, store=store)
        async with working(store, other, name="able") as able:
            await until(lambda: "s" in other.asked, store=store)
            assert [shard.account for shard in picky.shards] == ["north"]
            assert [shard.account for shard in able.shards] == ["south"]
            assert picky.stats().refused == [Shard("toy", "south")]
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(lines) == 1
    assert "toy/south" in lines[0]
    assert "hunter2" not in caplog.text


async def test_an_endpoint_of_another_account_is_refused(store: PostgresLedger) -> None:
    """A worker never asks with the credentials of another account."""
    vendor = Vendor()
    await Client(store, FleetToy("north")).submit(ToyJob("n"), timeout_s=60)
    async with working(store, vendor, endpoint_for=lambda _: FleetToy("south")) as worker:
        await until(lambda: worker.stats().refused, store=store)
        assert not worker.shards
    assert not vendor.asked


async def test_workers_share_shards_evenly(store: PostgresLedger) -> None:
    """A worker that joins gets its part, and no job is watched twice at a time."""
    first, second = Vendor(), Vendor()
    accounts = [f"account-{n}" for n in range(5)]
    for account in accounts:
        await Client(store, FleetToy(account)).submit(ToyJob(account), timeout_s=60)
    async with working(store, first, name="first") as one:
        await until(lambda: len(one.shards) == 5, store=store)
        async with working(store, second, name="second") as two:
            await until(lambda: len(two.shards) == 2, store=store)
            assert len(one.shards) == 3
            assert not set(one.shards) & set(two.shards)
            moved = {shard.account for shard in two.shards}
            await until(lambda: moved <= set(second.asked), store=store)
        await until(lambda: len(one.shards) == 5, store=store)


async def test_a_lost_session_stops_polling_until_the_renewal(store: PostgresLedger) -> None:
    """Another worker may take the shard then. The worker keeps it if none did."""
    vendor = Vendor()
    client = Client(store, FleetToy())
    await client.submit(ToyJob("a"), timeout_s=60)
    async with working(store, vendor) as worker:
        await until(lambda: "a" in vendor.asked, store=store)
        await kill_sessions(store)
        await until(lambda: not worker.stats().is_connected, store=store)
        await until(lambda: worker.stats().is_connected, store=store)
        asked = len(vendor.asked)
        await until(lambda: len(vendor.asked) > asked, store=store)
        vendor.finish()
        assert isinstance(await client.outcome(ToyJob("a")), Succeeded)
        assert worker.stats().lost + worker.stats().released <= 1
        assert worker.stats().shards[0].watches == 0


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
