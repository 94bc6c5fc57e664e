"""The owner of a shard carries out what other processes ask."""

from __future__ import annotations

import pytest
from fleet_toy import FleetToy, Vendor, jobs, until, working

from pollwise.core.pacing import Retry
from pollwise.fleet import Client, PostgresLedger
from pollwise.model.events import Abandoned, Cancelled, Succeeded
from real_postgres import needs_postgres, run
from toy import ToyJob

pytestmark = needs_postgres


async def test_a_worker_cancels_for_a_client(store: PostgresLedger) -> None:
    """The server is asked once. The outcome comes from the job's status."""
    vendor = Vendor()
    client = Client(store, FleetToy())
    await client.submit_many(jobs("a", "b"), timeout_s=60)
    async with working(store, vendor):
        await until(lambda: "a" in vendor.asked, store=store)
        assert await client.cancel(ToyJob("a"))
        assert isinstance(await client.outcome(ToyJob("a")), Cancelled)
        assert not await client.cancel(ToyJob("a"))
        assert vendor.deleted == ["a"]


async def test_a_request_to_cancel_waits_for_a_worker(store: PostgresLedger) -> None:
    """It is on disk, so the next owner of the shard carries it out."""
    vendor = Vendor()
    client = Client(store, FleetToy())
    await client.submit(ToyJob("a"), timeout_s=60)
    assert await client.cancel(ToyJob("a"))
    assert await client.cancel(ToyJob("a"))
    async with working(store, vendor):
        assert isinstance(await client.outcome(ToyJob("a")), Cancelled)
    assert vendor.deleted == ["a"]
    assert await run(f"SELECT * FROM {store.schema}.requests") == []  # noqa: S608


async def test_an_abandoned_job_is_watched_again(store: PostgresLedger) -> None:
    """Also if its shard has an owner, who has seen its number long ago."""
    vendor = Vendor()
    client = Client(store, FleetToy())
    await client.submit(ToyJob("other"), timeout_s=60)
    await client.submit(ToyJob("a"), timeout_s=0.3)
    async with working(store, vendor, retry=Retry(outage_s=5)):
        assert isinstance(await client.outcome(ToyJob("a")), Abandoned)
        vendor.finish()
        assert await client.submit(ToyJob("a"), timeout_s=60)
        assert isinstance(await client.outcome(ToyJob("a")), Succeeded)
    assert await run(f"SELECT * FROM {store.schema}.requests") == []  # noqa: S608


async def test_a_refused_cancellation_is_logged_and_the_watch_goes_on(
    store: PostgresLedger, caplog: pytest.LogCaptureFixture
) -> None:
    """The server is not asked again and again."""
    vendor = Vendor()
    vendor.refuses = True
    client = Client(store, FleetToy())
    await client.submit(ToyJob("a"), timeout_s=60)
    assert await client.cancel(ToyJob("a"))
    async with working(store, vendor):
        await until(lambda: "the request to cancel" in caplog.text, store=store)
        asked = len(vendor.asked)
        await until(lambda: len(vendor.asked) > asked, store=store)
        vendor.finish()
        assert isinstance(await client.outcome(ToyJob("a")), Succeeded)
    assert vendor.deleted == []
    assert await run(f"SELECT * FROM {store.schema}.requests") == []  # noqa: S608
