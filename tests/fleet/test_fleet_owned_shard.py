"""A shard is watched by an ordinary watcher while this process owns it, and no longer."""

from __future__ import annotations

import pytest
from fleet_toy import FleetToy, Vendor, make, until, working
from yarl import URL

from pollwise.fleet import Client, PostgresLedger, Shard
from pollwise.model.messages import Request
from real_postgres import needs_postgres, run
from toy import ToyJob

pytestmark = needs_postgres


async def test_a_shard_that_was_taken_is_left_at_once(store: PostgresLedger) -> None:
    """The epoch of another owner ends the watches here, without an outcome and without a further poll."""
    vendor = Vendor()
    client = Client(store, FleetToy())
    await client.submit(ToyJob("a"), timeout_s=60)
    async with working(store, vendor) as worker:
        await until(lambda: "a" in vendor.asked, store=store)
        async with store.leases(owner="thief", ttl_s=60) as thief:
            await run(f"UPDATE {store.schema}.shards SET expires_at = clock_timestamp()")  # noqa: S608
            assert len(await thief.acquire(1, of=[Shard("toy")])) == 1
            await until(lambda: worker.stats().lost == 1, store=store)
            asked = len(vendor.asked)
            assert not worker.shards
            await store.owners()
            assert len(vendor.asked) == asked
            (row,) = [one async for chunk in store.open_watches("toy") for one in chunk]
            assert row.keys == {"id": "a"}
        await until(lambda: len(vendor.asked) > asked, store=store)


async def test_jobs_of_another_server_are_not_asked_about(
    store: PostgresLedger, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker with a wrong base URL sends nothing for them. It says so once, and other jobs go on."""

    class Elsewhere(FleetToy):
        def request(self, job: ToyJob, /) -> Request:
            return Request(URL("https://elsewhere.example") / job.id)

    vendor = Vendor()
    await Client(store, Elsewhere()).submit(ToyJob("far"), timeout_s=60)
    client = Client(store, FleetToy())
    async with working(store, vendor, endpoint_for=make):
        await until(lambda: "elsewhere.example" in caplog.text, store=store)
        await client.submit(ToyJob("near"), timeout_s=60)
        await until(lambda: "near" in vendor.asked, store=store)
    assert "far" not in vendor.asked
    assert caplog.text.count("moved_from") == 1


async def test_a_shard_that_needs_no_owner_is_released(store: PostgresLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker does not keep a watcher for each account that ever had a job. A new job brings it back at once."""
    monkeypatch.setattr("pollwise.fleet.worker._IDLE_S", 0.1)
    vendor = Vendor()
    vendor.finish()
    client = Client(store, FleetToy())
    async with working(store, vendor) as worker:
        for name in ("a", "b"):
            await client.submit(ToyJob(name), timeout_s=60)
            await client.outcome(ToyJob(name))
            await until(lambda: not worker.shards, store=store)
        assert worker.stats().acquired == 2


async def test_replies_in_flight_are_awaited_when_a_shard_is_left(store: PostgresLedger) -> None:
    """An outcome that comes while the worker drains is on disk, and the next worker does not ask again."""
    vendor = Vendor()
    vendor.delay_s = 0.5
    vendor.finish()
    client = Client(store, FleetToy())
    await client.submit(ToyJob("a"), timeout_s=60)
    async with working(store, vendor) as worker:
        await until(lambda: vendor.asked, store=store)
        worker.drain()
    assert vendor.asked == ["a"]
    assert [one async for one in store.open_watches("toy")] == []


async def test_a_shard_that_was_left_leaves_nothing(store: PostgresLedger) -> None:
    """Shards come and go for months, and memory and tasks stay as they are."""
    vendor = Vendor()
    client = Client(store, FleetToy())
    await client.submit(ToyJob("a"), timeout_s=60)
    for _ in range(3):
        async with working(store, vendor) as worker:
            await until(lambda: worker.shards, store=store)
        assert not [one for one in store._fenced if one.is_open]
