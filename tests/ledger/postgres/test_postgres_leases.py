"""One process at a time owns a shard, and what an earlier owner still writes is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ledger_values import ENDPOINT, acks, change, every, new, success
from ledger_values import abandoned as abandoned_one

from pollwise.errors import ConfigurationError
from pollwise.ledger import (
    Acknowledgement,
    LeaseLost,
    LedgerClosed,
    NewIntent,
    Relocation,
    Renewal,
    Shard,
)
from pollwise.ledger.postgres import Leases, PostgresLedger
from pollwise.ledger.postgres.leases import owners
from real_postgres import connected, needs_postgres, run

pytestmark = needs_postgres

SHARDS = [Shard(ENDPOINT, account) for account in ("", "north", "south")]


async def kill_sessions(schema: str) -> None:
    """End the sessions of all owners, as the kernel does for a process that was killed."""
    await run(
        f"SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN (SELECT DISTINCT session FROM {schema}.shards) s"
        " ON s.session = ((l.classid::bigint << 32) | l.objid::bigint) WHERE l.locktype = 'advisory'"
    )


async def test_a_shard_has_one_owner(ledger: PostgresLedger) -> None:
    """Several processes that take shards at once share them: each shard goes to one."""
    async with ledger.leases(owner="a") as a, ledger.leases(owner="b") as b, ledger.leases(owner="c") as c:
        taken = await asyncio.gather(*(leases.acquire(2, of=SHARDS) for leases in (a, b, c)))
        rest = await a.acquire(5)
        shards = [lease.shard for some in (*taken, rest) for lease in some]
        assert sorted(shards) == SHARDS
        assert {one.owner for one in await ledger.owners()} <= {"a", "b", "c"}
        assert all(one.is_live and one.expires_in_s and one.expires_in_s > 10 for one in await ledger.owners())


async def test_recording_makes_a_shard_known(ledger: PostgresLedger) -> None:
    """A worker finds the shards of jobs that other processes have submitted, and takes those that it can serve."""
    await ledger.record([new(1), new(1, account="north"), new(1, endpoint="other")])
    async with ledger.leases(owner="a") as leases:
        assert [lease.shard for lease in await leases.acquire(9, of=[SHARDS[1]])] == [SHARDS[1]]
        assert sorted(lease.shard for lease in await leases.acquire(9)) == [SHARDS[0], Shard("other")]
        assert await leases.acquire(9) == []


async def test_leaving_releases_everything(ledger: PostgresLedger) -> None:
    """The next owner need not wait, and has a higher epoch."""
    async with ledger.leases(owner="a") as leases:
        first = await leases.acquire(3, of=SHARDS)
    assert {one.owner for one in await ledger.owners()} == {None}
    async with ledger.leases(owner="b") as leases:
        second = await leases.acquire(3)
        assert {lease.epoch for lease in first} == {1}
        assert {lease.epoch for lease in second} == {2}


async def test_a_renewed_lease_is_kept(ledger: PostgresLedger) -> None:
    """Renewing moves the moment at which the owner must stop, and nothing else."""
    async with ledger.leases(owner="a", ttl_s=60) as leases:
        (lease,) = await leases.acquire(1, of=SHARDS)
        assert 0 < lease.until - asyncio.get_running_loop().time() <= 54
        (renewed,) = await leases.renew()
        assert (renewed.shard, renewed.epoch) == (lease.shard, lease.epoch)
        assert renewed.until >= lease.until


async def test_a_lease_that_is_over_can_be_taken(ledger: PostgresLedger) -> None:
    """A process that is frozen loses its shards after the time to live, by the server's clock. Its next renewal says so."""
    async with ledger.leases(owner="frozen") as frozen, ledger.leases(owner="b") as b:
        await frozen.acquire(2, of=SHARDS[:2])
        assert await b.acquire(2) == []
        await run(f"UPDATE {ledger.schema}.shards SET expires_at = clock_timestamp() WHERE account = ''")
        assert [(lease.shard, lease.epoch) for lease in await b.acquire(2)] == [(SHARDS[0], 2)]
        assert [lease.shard for lease in await frozen.renew()] == [SHARDS[1]]


async def test_a_lease_that_is_over_and_not_taken_can_be_renewed(ledger: PostgresLedger) -> None:
    """After a pause of the store the owners go on as before."""
    async with ledger.leases(owner="a") as leases:
        (lease,) = await leases.acquire(1, of=SHARDS)
        await run(f"UPDATE {ledger.schema}.shards SET expires_at = clock_timestamp() - interval '1 hour'")
        (renewed,) = await leases.renew()
        assert renewed.epoch == lease.epoch


async def test_the_shards_of_a_dead_process_are_free_at_once(ledger: PostgresLedger) -> None:
    """The session of a killed process is gone, so another process need not wait for the end of its leases."""
    async with ledger.leases(owner="dead", ttl_s=3600) as dead, ledger.leases(owner="b") as b:
        await dead.acquire(3, of=SHARDS)
        assert await b.acquire(3) == []
        gone = asyncio.ensure_future(dead.wait_disconnected())
        await kill_sessions(ledger.schema)
        await gone
        assert not dead.is_connected
        taken: list[Any] = []
        while len(taken) < 3:  # the server releases the lock a moment after the connection ended
            taken += await b.acquire(3)
        assert await dead.renew() == []
        assert dead.is_connected


async def test_a_session_that_was_lost_is_opened_again(ledger: PostgresLedger) -> None:
    """A renewal in time keeps all shards, with another session."""
    async with ledger.leases(owner="a") as leases:
        await leases.acquire(3, of=SHARDS)
        gone = asyncio.ensure_future(leases.wait_disconnected())
        await kill_sessions(ledger.schema)
        await gone
        assert len(await leases.renew()) == 3
        assert all(one.is_live for one in await ledger.owners())


async def test_released_shards_are_free(ledger: PostgresLedger) -> None:
    """A process that drains gives away what it names, and keeps the rest."""
    async with ledger.leases(owner="a") as a, ledger.leases(owner="b") as b:
        held = await a.acquire(3, of=SHARDS)
        await a.release(held[:1])
        assert [lease.shard for lease in await b.acquire(3)] == [held[0].shard]
        assert len(await a.renew()) == 2
        await a.release(held[:1])  # of an epoch that is over: the other owner keeps it
        assert len(await b.renew()) == 1


async def test_an_answer_that_was_lost_loses_no_shard(ledger: PostgresLedger) -> None:
    """Shards that were taken by a call whose answer never came are reported by the next call."""
    async with ledger.leases(owner="a") as leases:
        await leases.acquire(3, of=SHARDS)
        leases._held.clear()
        assert len(await leases.acquire(3)) == 3


async def test_all_writes_of_an_earlier_owner_are_refused(ledger: PostgresLedger) -> None:
    """Each call that writes raises LeaseLost, and not one row changes."""
    await ledger.record([new(1), new(2), new(3)])
    await ledger.conclude([success(2), abandoned_one(3)])
    (intended,) = await ledger.intend_submits([_intent("a")])
    async with ledger.leases(owner="old") as old, ledger.leases(owner="new") as other:
        (lease,) = await old.acquire(1)
        stale = ledger.fenced(lease.shard, lease.epoch)
        await stale.update([change(1)])
        await old.release([lease])
        before = await _rows(ledger)
        for taken in (False, True):
            if taken:
                assert len(await other.acquire(1)) == 1
            for call in (
                stale.record([new(9)]),
                stale.update([change(1, polls=99)]),
                stale.conclude([success(1)]),
                stale.acknowledge(acks(2)),
                stale.claim(ENDPOINT),
                stale.release_claims(acks(2)),
                stale.reopen([Renewal(id=3, generation=0, deadline=None)]),
                stale.relocate([Relocation(id=1, origin="https://elsewhere")]),
                stale.intend_submits([_intent("b")]),
                stale.forget_submits([intended.id]),
            ):
                with pytest.raises(LeaseLost) as caught:
                    await call
                assert caught.value.shard == Shard(ENDPOINT)
            assert await _rows(ledger) == before


def _intent(key: str) -> NewIntent:
    return NewIntent(endpoint=ENDPOINT, key=key, digest="d", began=new(1).first_seen)


async def _rows(ledger: PostgresLedger) -> list[Any]:
    return [
        *await run(f"SELECT * FROM {ledger.schema}.watches ORDER BY id"),
        *await run(f"SELECT * FROM {ledger.schema}.submits ORDER BY id"),
    ]


async def test_the_owner_writes_its_own_shard_alone(ledger: PostgresLedger) -> None:
    """A fence of one shard changes no row of another one."""
    await ledger.record([new(1), new(1, account="north")])
    async with ledger.leases(owner="a") as leases:
        (lease,) = await leases.acquire(1, of=[SHARDS[1]])
        ours = ledger.fenced(lease.shard, lease.epoch)
        assert await ours.conclude([success(1), success(2)]) == 1
        (ended,) = await every(ours.unacknowledged(ENDPOINT, "north"))
        assert await ours.acknowledge([ended.acknowledgement]) == 1
        with pytest.raises(ConfigurationError, match="fenced for"):
            await ours.record([new(5)])
        assert [one.id for one in await every(ledger.open_watches(ENDPOINT))] == [1]
        await ours.aclose()
        with pytest.raises(LedgerClosed):
            await ours.update([change(2)])


async def test_a_takeover_waits_for_a_write_that_has_begun(ledger: PostgresLedger) -> None:
    """Writes and takeovers at the same time: what was accepted belongs to the epoch of its time, so no outcome is doubled."""
    await ledger.record([new(number) for number in range(60)])
    accepted: list[int] = []

    async def own(name: str) -> None:
        async with ledger.leases(owner=name) as leases:
            for _ in range(8):
                for lease in await leases.acquire(1):
                    ours = ledger.fenced(lease.shard, lease.epoch)
                    await run(
                        f"UPDATE {ledger.schema}.shards SET expires_at = clock_timestamp()"
                    )  # every process may take it
                    try:
                        for number in range(1, 61, 10):
                            some = [success(n, elapsed_s=float(lease.epoch)) for n in range(number, number + 10)]
                            accepted.append(await ours.conclude(some))
                    except LeaseLost:
                        pass
                    await ours.aclose()

    await asyncio.gather(*(own(name) for name in ("a", "b", "c")))
    assert sum(accepted) == 60
    assert len(await every(ledger.unacknowledged(ENDPOINT))) == 60


async def test_an_acknowledgement_in_the_callers_transaction_is_fenced_too(ledger: PostgresLedger) -> None:
    """A connection of the caller changes nothing about who may write."""
    await ledger.record([new(1)])
    await ledger.conclude([success(1)])
    async with connected() as connection:
        stale = ledger.fenced(Shard(ENDPOINT), 7)
        with pytest.raises(LeaseLost):
            await stale.acknowledge([Acknowledgement(id=1, generation=0)], connection=connection)


async def test_closed_leases_take_nothing(ledger: PostgresLedger) -> None:
    """After the block every call says that the leases were released. Closing twice is harmless."""
    async with ledger.leases(owner="a") as leases:
        pass
    await leases.aclose()
    with pytest.raises(LedgerClosed):
        await leases.acquire(1)
    with pytest.raises(LedgerClosed):
        await leases.renew()
    with pytest.raises(LedgerClosed):
        await leases.release([])


@pytest.mark.parametrize("ttl_s", [0, -1, float("inf"), float("nan")])
async def test_a_time_to_live_is_a_number_of_seconds(ledger: PostgresLedger, ttl_s: float) -> None:
    """A lease that never ends would never be taken over."""
    with pytest.raises(ConfigurationError, match="ttl_s"):
        ledger.leases(owner="a", ttl_s=ttl_s)


async def test_owners_are_listed_without_a_lease(ledger: PostgresLedger) -> None:
    """A process that owns nothing can look."""
    await ledger.record([new(1)])
    (row,) = await owners(ledger._connections)
    assert (row.shard, row.owner, row.epoch, row.expires_in_s, row.is_live) == (Shard(ENDPOINT), None, 0, None, False)


def test_leases_are_made_by_the_ledger() -> None:
    """The class has no public constructor of its own to learn."""
    assert "PostgresLedger.leases" in (Leases.__doc__ or "")
