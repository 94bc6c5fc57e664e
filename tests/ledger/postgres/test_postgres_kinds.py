"""Each call gets the result that it would have had alone, whatever is sent together, and whatever is lost on the way."""

from __future__ import annotations

import asyncio
from typing import Any

from ledger_values import ENDPOINT, every, new, success

from pollwise.ledger import Concluded, NewIntent, OpenWatch
from pollwise.ledger.postgres import PostgresLedger
from real_postgres import needs_postgres, url

pytestmark = needs_postgres


def intent(key: str) -> NewIntent:
    return NewIntent(endpoint=ENDPOINT, key=key, digest="d", began=new(1).first_seen)


async def test_a_job_that_is_there_twice_has_one_row(ledger: PostgresLedger) -> None:
    """In one call, and in several that are sent together: the first one is new, the others get its row."""
    ended = new(2, outcome=success(0))
    found = await asyncio.gather(*(ledger.record([new(1), new(1), ended, ended]) for _ in range(3)))
    first = found[0]
    assert [one.known is None for one in first] == [True, False, True, False]
    assert isinstance(first[1].known, OpenWatch)
    assert isinstance(first[3].known, Concluded)
    assert all(one.known is not None for some in found[1:] for one in some)
    assert len({one.id for some in found for one in some}) == 2
    (_, again) = await ledger.record([new(3, outcome=success(0)), new(3)])
    assert isinstance(again.known, Concluded)


async def test_what_another_process_records_meanwhile_is_known(ledger: PostgresLedger) -> None:
    """A statement cannot see rows that are committed after it began, so it is sent again for them."""
    async with PostgresLedger(url(), schema=ledger.schema) as other:
        for part in range(20):
            jobs = [new(100 * part + number) for number in range(20)]
            one, two = await asyncio.gather(ledger.record(jobs), other.record(list(reversed(jobs))))
            assert [row.id for row in one] == [row.id for row in reversed(two)]
            assert sum(row.known is None for row in (*one, *two)) == 20
            key = f"order-{part}"
            starts = await asyncio.gather(ledger.intend_submits([intent(key)]), other.intend_submits([intent(key)]))
            assert sum(row.known is None for (row,) in starts) == 1


async def test_a_start_whose_answer_was_lost_is_not_in_doubt(ledger: PostgresLedger) -> None:
    """The statement is sent again after it was committed: the call recognises its own row as new."""
    original = ledger._connections.fetch
    lost: list[str] = []

    async def fetch(sql: str, *values: object, rows: int = 0) -> Any:
        found = await original(sql, *values, rows=rows)
        if not lost:
            lost.append(sql)
            return await original(sql, *values, rows=rows)  # as after a lost connection: the same statement again
        return found

    ledger._connections.fetch = fetch  # type: ignore[method-assign]
    (start,) = await ledger.intend_submits([intent("a")])
    assert start.known is None
    (again,) = await ledger.intend_submits([intent("a")])
    assert again.known is not None
    assert len(await ledger.unfinished_submits()) == 1


async def test_results_keep_the_order_of_the_items(ledger: PostgresLedger) -> None:
    """The numbers rise in the order of the call, and each item gets its own."""
    jobs = [new(number) for number in (5, 3, 9, 1)]
    found = await ledger.record(jobs)
    assert [one.id for one in found] == sorted(one.id for one in found)
    rows = {one.id: one.keys for one in await every(ledger.open_watches(ENDPOINT))}
    assert [rows[one.id] for one in found] == [job.keys for job in jobs]
