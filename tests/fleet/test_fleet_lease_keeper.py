"""The leases of a worker are renewed, and say when it may poll."""

from __future__ import annotations

from fleet_toy import FleetToy, Vendor, kill_sessions, until, working

from pollwise.fleet import Client, PostgresLedger
from pollwise.model.events import Succeeded
from real_postgres import needs_postgres
from toy import ToyJob

pytestmark = needs_postgres


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


async def test_renewals_are_counted(store: PostgresLedger) -> None:
    """How long they took, and how many failed."""
    vendor = Vendor()
    async with working(store, vendor, ttl_s=1.0) as worker:
        await until(lambda: worker.stats().renewals.count >= 2, store=store)
        assert worker.stats().failed_renewals == 0
