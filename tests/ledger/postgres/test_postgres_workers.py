"""Which workers are live, and which shards need an owner."""

from __future__ import annotations

from ledger_values import ENDPOINT, new, success

from pollwise.ledger import Shard
from pollwise.ledger.postgres import PostgresLedger
from pollwise.ledger.postgres.ledger import connections_of
from pollwise.ledger.postgres.requests import Requests
from pollwise.ledger.postgres.workers import Workers
from real_postgres import needs_postgres, run

pytestmark = needs_postgres


async def test_a_live_worker_has_a_session_and_renews(ledger: PostgresLedger) -> None:
    """One that is frozen keeps its session, and one that was killed has none. A draining one takes no shards."""
    workers = Workers(connections_of(ledger))
    async with ledger.leases(owner="a") as a, ledger.leases(owner="b") as b:
        for leases in (a, b):
            await workers.report(leases.session, name="w", ttl_s=60, draining=False)
        await workers.report(1, name="killed", ttl_s=60, draining=False)
        assert (await workers.survey()).workers == {a.session, b.session}
        await run(f"UPDATE {ledger.schema}.workers SET expires_at = clock_timestamp() WHERE session = {a.session}")
        assert (await workers.survey()).workers == {b.session}
        await workers.report(a.session, name="w", ttl_s=60, draining=True)
        assert (await workers.survey()).workers == {b.session}
        rows = {row.session: row for row in await workers.all()}
        assert (rows[a.session].is_live, rows[a.session].is_draining) == (True, True)
        assert not rows[1].is_live
        await workers.forget(1)
        await run(f"UPDATE {ledger.schema}.workers SET expires_at = expires_at - interval '2 hours'")
        await workers.report(b.session, name="w", ttl_s=60, draining=False)
        assert [row.session for row in await workers.all()] == [b.session]


async def test_a_shard_with_open_watches_or_requests_needs_an_owner(ledger: PostgresLedger) -> None:
    """One whose jobs are all over needs none."""
    workers, requests = Workers(connections_of(ledger)), Requests(connections_of(ledger))
    shard = Shard(ENDPOINT)
    await ledger.record([new(1), new(2, account="north")])
    await ledger.conclude([success(2)])
    (mine, north) = (await workers.survey()).shards
    assert (mine.shard, mine.is_free, mine.is_busy) == (shard, True, True)
    assert not north.is_busy
    assert await workers.last_watch(shard) == 1
    assert await workers.last_watch(north.shard) == 0
    assert await workers.has_open([shard, north.shard])
    assert not await workers.has_open([north.shard])
    await requests.cancel(shard, new(1).keys)
    await ledger.conclude([success(1)])
    assert (await workers.survey()).shards[0].is_busy
    async with ledger.leases(owner="a") as leases:
        await leases.acquire(1, of=[shard])
        (mine, north) = (await workers.survey()).shards
        assert (mine.session, mine.is_free, north.is_free) == (leases.session, False, True)


async def test_outcomes_are_notified_many_at_a_time(ledger: PostgresLedger) -> None:
    """On a channel of their own, so that workers do not wake up."""
    workers = Workers(connections_of(ledger))
    shards = {Shard(ENDPOINT), Shard(ENDPOINT, "north")}
    async with workers.outcomes() as outcomes, ledger.arrivals() as arrivals:
        await workers.notify(shards)
        assert await outcomes.wait(30) == shards
        assert await arrivals.wait(0.0) == set()
    assert await workers.now_s() > 1.7e9
