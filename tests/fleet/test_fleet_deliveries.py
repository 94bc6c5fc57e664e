"""Several consumers share outcomes, and each outcome goes to one of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fleet_toy import FleetToy, Vendor, jobs, names, until, working

from pollwise.fleet import Client, PostgresLedger
from real_postgres import connected, needs_postgres, run
from toy import ToyJob

pytestmark = needs_postgres


async def test_two_consumers_share_the_outcomes(store: PostgresLedger) -> None:
    """Each outcome goes to exactly one of them, and both end when all is done."""
    vendor = Vendor()
    vendor.finish()
    client, other = Client(store, FleetToy()), Client(store, FleetToy())
    some = jobs(*(str(n) for n in range(120)))
    await client.submit_many(some, timeout_s=60)
    taken: list[Any] = []
    both_have_one = asyncio.Barrier(2)  # otherwise a fast consumer could take all

    async def consume(one: Client[Any, Any]) -> int:
        count = 0
        async with one.outcomes(limit=5) as outcomes:
            async for delivery in outcomes:
                if count == 0:
                    await both_have_one.wait()
                taken.append(delivery.outcome)
                assert await delivery.ack()
                count += 1
        return count

    async with working(store, vendor):
        counts = await asyncio.gather(consume(client), consume(other))
    assert names(taken) == sorted(job.id for job in some)
    assert min(counts) > 0


async def test_effect_and_acknowledgement_are_one_transaction(store: PostgresLedger) -> None:
    """A consumer that fails has neither, and the outcome is delivered again."""
    vendor = Vendor()
    vendor.finish()
    client = Client(store, FleetToy())
    await client.submit(ToyJob("a"), timeout_s=60)
    async with working(store, vendor), connected() as connection:
        await client.outcome(ToyJob("a"))
        await run(f"CREATE TABLE {store.schema}.reports (job text)")
        for fails in (True, False):
            async with client.outcomes() as outcomes:
                delivery = await anext(outcomes)
                transaction = connection.transaction()
                await transaction.start()
                await connection.execute(f"INSERT INTO {store.schema}.reports VALUES ('a')")  # noqa: S608
                assert await delivery.ack(connection)
                if fails:
                    await transaction.rollback()
                    await delivery.give_back()
                else:
                    await transaction.commit()
        assert len(await run(f"SELECT * FROM {store.schema}.reports")) == 1  # noqa: S608
        async with client.outcomes() as outcomes:
            assert [one async for one in outcomes] == []


async def test_what_was_not_delivered_is_given_back(store: PostgresLedger) -> None:
    """A consumer that leaves early keeps nothing from the others."""
    vendor = Vendor()
    vendor.finish()
    client = Client(store, FleetToy())
    await client.submit_many(jobs("a", "b", "c"), timeout_s=60)
    async with working(store, vendor):
        for job in jobs("a", "b", "c"):
            await client.outcome(job)
    async with client.outcomes(lease_s=600) as first:
        await (await anext(first)).ack()
    async with client.outcomes() as second:
        assert len([delivery async for delivery in second]) == 2


async def test_a_consumer_that_follows_gets_what_comes_later(store: PostgresLedger) -> None:
    """It is notified, also if there was nothing when it began."""
    vendor = Vendor()
    vendor.finish()
    client = Client(store, FleetToy())
    async with working(store, vendor), client.outcomes(follow=True) as outcomes:
        first = asyncio.ensure_future(anext(outcomes))
        await until(lambda: outcomes._feed is not None, store=store)
        await client.submit(ToyJob("a"), timeout_s=60)
        assert (await first).outcome.job == ToyJob("a")
        await outcomes.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(outcomes)


async def test_an_outcome_that_waited_too_long_is_given_back(store: PostgresLedger) -> None:
    """A slow consumer does not begin with an outcome that another one may get meanwhile."""
    vendor = Vendor()
    vendor.finish()
    client = Client(store, FleetToy())
    await client.submit_many(jobs("a", "b"), timeout_s=60)
    async with working(store, vendor):
        for job in jobs("a", "b"):
            await client.outcome(job)
    slow, other = client.outcomes(lease_s=600), client.outcomes()
    async with slow, other:
        await (await anext(slow)).ack()
        slow._ready = type(slow._ready)((slow._now() - 1.0, known) for _, known in slow._ready)
        again = await anext(slow)
        assert again.outcome.job == ToyJob("b")
        await again.give_back()
        assert (await anext(other)).outcome.job == ToyJob("b")


async def test_a_row_of_another_program_is_left(store: PostgresLedger) -> None:
    """Its keys are not those of a job, so nobody can process it."""
    vendor = Vendor()
    vendor.finish()
    client = Client(store, FleetToy())
    await client.submit_many(jobs("a", "b"), timeout_s=60)
    async with working(store, vendor):
        for job in jobs("a", "b"):
            await client.outcome(job)
    await run(f"UPDATE {store.schema}.watches SET job = '{{}}' WHERE id = 1")  # noqa: S608
    async with client.outcomes() as outcomes:
        assert names([delivery.outcome async for delivery in outcomes]) == ["b"]


async def test_a_claim_that_is_over_is_left_to_its_new_owner(store: PostgresLedger) -> None:
    """A consumer that slept for longer than its claims ends no claim of another one."""
    vendor = Vendor()
    vendor.finish()
    client = Client(store, FleetToy())
    await client.submit_many(jobs("a", "b"), timeout_s=60)
    async with working(store, vendor):
        for job in jobs("a", "b"):
            await client.outcome(job)
    slow, other = client.outcomes(lease_s=600), client.outcomes(lease_s=600)
    async with slow, other:
        await (await anext(slow)).ack()
        slow._ready = type(slow._ready)((slow._now() - 400.0, known) for _, known in slow._ready)
        with pytest.raises(StopAsyncIteration):
            await anext(slow)
        with pytest.raises(StopAsyncIteration):
            await anext(other)
