"""A worker serves the shards for which it can make an endpoint."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from fleet_toy import FleetToy, Vendor, make, until, working

from pollwise.fleet import Client, PostgresLedger, Shard
from pollwise.fleet.endpoint_making import EndpointMaker
from real_postgres import needs_postgres
from toy import ToyJob

pytestmark = needs_postgres


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


async def test_an_endpoint_may_be_made_by_a_coroutine(store: PostgresLedger) -> None:
    """Such as one that reads a secret from a vault."""

    async def slowly(shard: Shard) -> FleetToy:
        await store.owners()
        return make(shard)

    vendor = Vendor()
    await Client(store, FleetToy()).submit(ToyJob("a"), timeout_s=60)
    async with working(store, vendor, endpoint_for=slowly):
        await until(lambda: "a" in vendor.asked, store=store)


@pytest.mark.looptime
async def test_a_shard_that_was_refused_is_tried_again_less_and_less_often() -> None:
    """After 30 s at first, after ten minutes at last. A credential may be there later."""
    asked: list[float] = []
    now = asyncio.get_running_loop().time

    def fails(_: Shard) -> FleetToy:
        asked.append(now())
        raise LookupError

    making, shard = EndpointMaker(fails, "w"), Shard("toy")
    while len(asked) < 8:
        if shard not in making.refused_at(now()):
            assert await making.make(shard) is None
        await asyncio.sleep(10)
    pauses = [round(later - before) for before, later in pairwise(asked)]
    assert pauses == [30, 60, 120, 240, 480, 600, 600]
    making.served(shard)
    assert not making.refused


@pytest.mark.looptime
async def test_a_coroutine_that_hangs_is_a_refusal() -> None:
    """After ten seconds."""

    async def hangs(_: Shard) -> FleetToy:
        await asyncio.Event().wait()
        raise AssertionError

    making = EndpointMaker(hangs, "w")
    assert await making.make(Shard("toy")) is None
    assert list(making.refused) == [Shard("toy")]
