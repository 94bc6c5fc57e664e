"""Any process sees who owns what, and how much waits."""

from __future__ import annotations

from fleet_toy import FleetToy, Vendor, jobs, until, working

from pollwise.fleet import Client, PostgresLedger, fleet_status
from real_postgres import needs_postgres
from toy import ToyJob

pytestmark = needs_postgres


async def test_a_fleet_without_workers_has_a_backlog(store: PostgresLedger) -> None:
    """What was submitted is open and was not seen yet, and its lag grows."""
    assert (await fleet_status(store)).shards == []
    client = Client(store, FleetToy("north"))
    await client.submit_many(jobs("a", "b"), timeout_s=60)
    await client.cancel(ToyJob("a"))
    found = await fleet_status(store)
    (row,) = found.shards
    assert (str(row.shard), row.owner, row.epoch) == ("toy/north", None, 0)
    assert (row.open, row.unseen, row.unacknowledged, row.requests) == (2, 2, 0, 1)
    assert 0 <= row.lag_s < 30
    assert found.workers == []


async def test_owners_and_outcomes_are_shown(store: PostgresLedger) -> None:
    """The owner's name, what is open, and what no consumer has acknowledged."""
    vendor = Vendor()
    client = Client(store, FleetToy())
    await client.submit_many(jobs("a", "b"), timeout_s=60)
    async with working(store, vendor, name="host-1") as worker:
        await until(lambda: {"a", "b"} <= set(vendor.asked), store=store)
        vendor.finish("a")
        await client.outcome(ToyJob("a"))
        found = await fleet_status(store)
        (row,) = found.shards
        assert (row.owner, row.epoch, row.open, row.unacknowledged) == ("host-1", 1, 1, 1)
        (one,) = found.workers
        assert (one.name, one.is_live, one.is_draining) == ("host-1", True, False)
        assert one.started_at.utcoffset() is not None
        stats = worker.stats()
        (owned,) = stats.shards
        assert (stats.name, stats.live_workers, stats.acquired, stats.lost) == ("host-1", 1, 1, 0)
        assert (owned.watches, owned.epoch, owned.unacknowledged) == (1, 1, 1)
        assert owned.held_s > 0
        assert "host-1 1 shards" in repr(worker)
    found = await fleet_status(store)
    assert found.shards[0].owner is None
    assert found.workers == []
