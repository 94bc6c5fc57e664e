"""The leases of a worker can be seen as metrics."""

from __future__ import annotations

from fleet_toy import FleetToy, Vendor, until, working

from pollwise.fleet import Client, PostgresLedger, Shard
from pollwise.fleet.lease_counts import LeaseCounts
from pollwise.model.stats import Histogram
from pollwise.telemetry.series import Watchers
from real_postgres import needs_postgres
from toy import ToyJob

NORTH, SOUTH = Shard("toy", "north"), Shard("toy", "south")


def test_counts_stay_when_a_shard_is_left() -> None:
    """A counter never falls."""
    counts = LeaseCounts()
    for shard in (NORTH, SOUTH):
        counts.acquired(shard)
    counts.renewed([NORTH, SOUTH], 0.2)
    counts.renewed([], 3.0)
    counts.lost(NORTH)
    counts.over(NORTH, 50.0)
    counts.released(SOUTH)
    counts.over(SOUTH, 70.0)
    north, south = counts.stats([SOUTH])
    assert (north.account, north.held, north.acquired, north.lost, north.released) == ("north", 0, 1, 1, 0)
    assert (south.held, south.released, south.renewals.count, south.durations.sum_s) == (1, 1, 1, 70.0)
    assert [counts.total(name) for name in ("acquired", "lost", "released")] == [2, 1, 1]
    assert (counts.renewals.count, counts.durations.sum_s) == (2, 120.0)


@needs_postgres
async def test_a_worker_shows_its_leases_and_its_watchers(store: PostgresLedger) -> None:
    """One argument. What a worker has counted stays after its end."""
    vendor, shown = Vendor(), Watchers()
    client = Client(store, FleetToy())
    await client.submit(ToyJob("a"), timeout_s=60)
    async with working(store, vendor, metrics=shown) as worker:
        await until(lambda: vendor.asked, store=store)
        assert shown.series()["pollwise.lease.held"][0][1] == 1
        vendor.finish()
        await client.outcome(ToyJob("a"))
        assert [value for _, value in shown.series()["pollwise.outcomes"]] == [1]
        assert len(worker.lease_stats()) == 1
    found = shown.series()
    assert found["pollwise.lease.held"] == []
    assert [value for _, value in found["pollwise.outcomes"]] == [1]
    ((labels, acquired),) = found["pollwise.lease.acquired"]
    assert (dict(labels)["pollwise.endpoint"], acquired) == ("toy", 1)
    ((_, held),) = found["pollwise.lease.duration"]
    assert isinstance(held, Histogram)
    assert held.count == 1
