"""Any process submits jobs, gets outcomes and cancels, without polling."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fleet_toy import FleetToy, Vendor, jobs, names, until, working

from pollwise.core.pacing import Retry
from pollwise.errors import ConfigurationError
from pollwise.fleet import Client, JobNotRecorded, PostgresLedger, Shard
from pollwise.ledger import LedgerClosed
from pollwise.model.events import Abandoned, Cancelled, Failed, Succeeded
from pollwise.testing import ScriptedTransport
from real_postgres import connected, needs_postgres, run
from toy import FAILED, ToyEndpoint, ToyJob

pytestmark = needs_postgres


async def test_a_job_is_recorded_once(store: PostgresLedger) -> None:
    """Submitting it again changes nothing, from any client."""
    client = Client(store, FleetToy())
    assert await client.submit(ToyJob("a"), timeout_s=60)
    assert not await Client(store, FleetToy()).submit(ToyJob("a"), timeout_s=5)
    assert await client.submit_many([ToyJob("a"), *jobs("b", "c", "b")], timeout_s=None) == 2
    assert len([one async for chunk in store.open_watches("toy") for one in chunk]) == 3


async def test_jobs_come_from_an_async_iterable_of_any_length(store: PostgresLedger) -> None:
    """More than go into one statement."""

    async def many() -> AsyncIterator[ToyJob]:
        for n in range(1_100):
            yield ToyJob(str(n))

    assert await Client(store, FleetToy()).submit_many(many(), timeout_s=60) == 1_100


async def test_an_unknown_job_has_no_outcome(store: PostgresLedger) -> None:
    """The error says what to do, and nothing waits for ever."""
    client = Client(store, FleetToy())
    with pytest.raises(JobNotRecorded, match="Submit the job first"):
        await client.outcome(ToyJob("nobody"))
    with pytest.raises(JobNotRecorded):
        await client.cancel(ToyJob("nobody"))


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


async def test_failures_are_outcomes(store: PostgresLedger) -> None:
    """They have the vendor's reason, as those of a watcher have."""
    client = Client(store, FleetToy())
    await client.submit(ToyJob("a"), timeout_s=60)
    async with working(store, Vendor(), transport=ScriptedTransport([FAILED])):
        outcome = await client.outcome(ToyJob("a"))
    assert isinstance(outcome, Failed)
    assert "no disk" in str(outcome.error)


async def test_two_consumers_share_the_outcomes(store: PostgresLedger) -> None:
    """Each outcome goes to exactly one of them, and both end when all is done."""
    vendor = Vendor()
    vendor.finish()
    client, other = Client(store, FleetToy()), Client(store, FleetToy())
    some = jobs(*(str(n) for n in range(120)))
    await client.submit_many(some, timeout_s=60)
    taken: list[Any] = []

    async def consume(one: Client[Any, Any]) -> int:
        count = 0
        async with one.outcomes(limit=5) as outcomes:
            async for delivery in outcomes:
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


async def test_wrong_arguments_are_refused_at_once(store: PostgresLedger) -> None:
    """Each error says what to pass."""
    with pytest.raises(ConfigurationError, match="codec"):
        Client(store, ToyEndpoint())
    with pytest.raises(ConfigurationError, match="PostgresLedger"):
        Client("postgresql://x", FleetToy())  # type: ignore[arg-type]
    client = Client(store, FleetToy())
    with pytest.raises(ConfigurationError, match="timeout_s"):
        await client.submit(ToyJob("a"), timeout_s=-1)
    with pytest.raises(ConfigurationError, match="lease_s"):
        client.outcomes(lease_s=0)
    assert client.shard == Shard("toy")
    assert "Client of 'toy'" in repr(client)
    await store.aclose()
    with pytest.raises(LedgerClosed):
        Client(store, FleetToy())
