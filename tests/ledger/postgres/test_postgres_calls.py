"""What the calls do that only PostgreSQL has."""

from __future__ import annotations

import asyncio
import logging

import asyncpg
import pytest
from ledger_values import ENDPOINT, acks, every, new, success

from pollwise.ledger import LedgerCorrupt, LedgerError
from pollwise.ledger.postgres import PostgresLedger
from real_postgres import connected, needs_postgres, run

pytestmark = needs_postgres


async def test_an_effect_and_its_acknowledgement_are_one_transaction(ledger: PostgresLedger) -> None:
    """An application commits what it made of an outcome together with the acknowledgement, or neither."""
    await ledger.record([new(1)])
    await ledger.conclude([success(1)])
    async with connected() as connection:
        await connection.execute(f"CREATE TABLE {ledger.schema}.effects (job bigint)")
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(f"INSERT INTO {ledger.schema}.effects VALUES (1)")
        assert await ledger.acknowledge(acks(1), connection=connection) == 1
        await transaction.rollback()
        assert len(await every(ledger.unacknowledged(ENDPOINT))) == 1
        async with connection.transaction():
            await connection.execute(f"INSERT INTO {ledger.schema}.effects VALUES (1)")
            assert await ledger.acknowledge(acks(1), connection=connection) == 1
            assert await ledger.acknowledge([], connection=connection) == 0
        assert await every(ledger.unacknowledged(ENDPOINT)) == []
        assert len(await run(f"SELECT * FROM {ledger.schema}.effects")) == 1


async def test_a_closed_connection_of_the_caller_is_a_ledger_error(ledger: PostgresLedger) -> None:
    """What goes wrong on the caller's connection is an error of the ledger, as on its own ones."""
    async with connected() as connection:
        await connection.close()
        with pytest.raises(LedgerError):
            await ledger.acknowledge(acks(1), connection=connection)


async def test_a_transaction_that_failed_keeps_failing(ledger: PostgresLedger) -> None:
    """In a transaction that has already failed, nothing is acknowledged."""
    async with connected() as connection:
        with pytest.raises(asyncpg.UndefinedTableError):
            async with connection.transaction():
                try:
                    await connection.execute("SELECT * FROM no_such_table")
                except asyncpg.UndefinedTableError as exc:
                    with pytest.raises(LedgerError, match="aborted"):
                        await ledger.acknowledge(acks(1), connection=connection)
                    raise exc from None


async def test_a_row_that_another_program_changed_is_left_out(
    ledger: PostgresLedger, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once, listed, and ends no reading. Recording its job again is an error."""
    await ledger.record([new(number) for number in range(3)])
    await run(f"UPDATE {ledger.schema}.watches SET phase = 'dancing' WHERE id = 2")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert [one.id for one in await every(ledger.open_watches(ENDPOINT))] == [1, 3]
    assert [row.id for row in ledger.damaged] == [2]
    assert len(caplog.records) == 1
    with pytest.raises(LedgerCorrupt) as caught:
        await ledger.record([new(1)])
    assert caught.value.rows == (2,)


async def test_a_claim_outlives_its_process(ledger: PostgresLedger) -> None:
    """Claims are in the database, so every process regards them."""
    await ledger.record([new(1)])
    await ledger.conclude([success(1)])
    assert len(await ledger.claim(ENDPOINT, lease_s=1e300)) == 1
    rows = await run(f"SELECT claimed_until > now() + interval '50 years' FROM {ledger.schema}.watches")
    assert rows[0][0]
    assert await ledger.count_unacknowledged(ENDPOINT) == 1


async def test_grouped_calls_count_what_is_theirs(ledger: PostgresLedger) -> None:
    """Calls at the same time share statements. Of those about one watch, exactly one counts it."""
    await ledger.record([new(number) for number in range(10)])
    ended = await asyncio.gather(
        *(ledger.conclude([success(n, elapsed_s=float(call)) for n in range(1, 11)]) for call in range(5))
    )
    assert ended == [10, 0, 0, 0, 0]
    assert {one.elapsed_s for one in await every(ledger.unacknowledged(ENDPOINT))} == {0.0}
    assert sum(await asyncio.gather(*(ledger.acknowledge(acks(*range(1, 11))) for _ in range(5)))) == 10
