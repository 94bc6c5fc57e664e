"""Requests to the owner of a shard are rows, so they outlive the processes."""

from __future__ import annotations

import asyncio

from ledger_values import ENDPOINT, abandoned, every, new, success

from pollwise.ledger import Concluded, OpenWatch, Renewal, Shard
from pollwise.ledger.postgres import PostgresLedger
from pollwise.ledger.postgres.ledger import connections_of
from pollwise.ledger.postgres.requests import RequestKind, Requests
from real_postgres import needs_postgres, run

pytestmark = needs_postgres

SHARD = Shard(ENDPOINT)


async def test_a_request_is_kept_once_until_it_is_removed(ledger: PostgresLedger) -> None:
    """Asking twice before the owner has looked is one request."""
    requests = Requests(connections_of(ledger))
    one, two = new(1), new(2)
    await ledger.record([one, two])
    await ledger.conclude([success(2)])
    assert await requests.cancel(SHARD, one.keys)
    assert await requests.cancel(SHARD, one.keys)
    assert await requests.cancel(SHARD, two.keys) is False
    assert await requests.cancel(SHARD, {"id": "nobody"}) is None
    (found,) = await requests.of(SHARD)
    assert (found.kind, found.watch, found.keys, found.is_open) == (RequestKind.CANCEL, 1, one.keys, True)
    assert await requests.of(Shard(ENDPOINT, "north")) == []
    await requests.remove([found.id])
    assert await requests.of(SHARD) == []


async def test_the_owner_is_notified(ledger: PostgresLedger) -> None:
    """As it is of new watches."""
    requests = Requests(connections_of(ledger))
    await ledger.record([new(1), new(2)])
    await ledger.conclude([abandoned(2)])
    async with ledger.arrivals() as arrivals:
        await requests.cancel(SHARD, new(1).keys)
        assert await arrivals.wait(30) == {SHARD}
        await requests.reopen([Renewal(id=2, generation=0, deadline=None)])
        assert await arrivals.wait(30) == {SHARD}


async def test_reopening_asks_the_owner_to_go_on(ledger: PostgresLedger) -> None:
    """Of two processes that do so at once, one opens the watch. A watch that succeeded stays as it is."""
    requests = Requests(connections_of(ledger))
    await ledger.record([new(1), new(2)])
    await ledger.conclude([abandoned(1), success(2)])
    renewals = [Renewal(id=number, generation=0, deadline=None) for number in (1, 2)]
    assert sum(await asyncio.gather(*(requests.reopen(renewals) for _ in range(3)))) == 1
    (found,) = await requests.of(SHARD)
    assert (found.kind, found.watch) == (RequestKind.WATCH, 1)
    ((row,),) = [chunk async for chunk in ledger.open_watches(ENDPOINT)]
    assert (row.id, row.generation, row.failures) == (1, 1, 0)
    assert await requests.reopen([]) == 0


async def test_jobs_are_found_in_their_order(ledger: PostgresLedger) -> None:
    """Open, concluded, unknown, and one whose row another program has damaged."""
    requests = Requests(connections_of(ledger))
    await ledger.record([new(1), new(2), new(3)])
    await ledger.conclude([success(2)])
    await run(f"UPDATE {ledger.schema}.watches SET job = '[' WHERE id = 3")
    wanted = [(SHARD, new(number).keys) for number in (2, 9, 1, 3)]
    two, nine, one, three = await requests.find(wanted)
    assert isinstance(two, Concluded)
    assert isinstance(one, OpenWatch)
    assert (two.id, nine, one.id, three) == (2, None, 1, None)
    assert await every(ledger.unacknowledged(ENDPOINT)) == [two]
