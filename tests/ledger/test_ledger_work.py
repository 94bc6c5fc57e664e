"""What the calls of a ledger's file do beyond its contract, which tests/ledger/contract has."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger_values import ENDPOINT, acks, new, raw, success

from pollwise.ledger import LedgerCorrupt, SqliteLedger


async def test_many_watches_come_in_chunks_of_a_thousand(ledger: SqliteLedger) -> None:
    """Open watches and outcomes, and the lines of an export."""
    recorded = await ledger.record([new(n) for n in range(2_500)])
    assert [len(chunk) async for chunk in ledger.open_watches(ENDPOINT)] == [1_000, 1_000, 500]
    assert [piece.count(b"\n") async for piece in ledger.export(include_open=True)] == [1_000, 1_000, 500]
    await ledger.conclude([success(one.id) for one in recorded])
    assert [len(chunk) async for chunk in ledger.unacknowledged(ENDPOINT)] == [1_000, 1_000, 500]


async def test_claims_leave_damaged_rows_out(path: Path) -> None:
    """However many there are before the sound ones. They are remembered as damaged."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(n) for n in range(250)])
        await ledger.conclude([success(n + 1) for n in range(250)])
    raw(path, "UPDATE watches SET polls = 99 WHERE id <= 240")
    async with SqliteLedger(path) as ledger:
        assert [one.id for one in await ledger.claim(ENDPOINT, limit=3)] == [241, 242, 243]
        assert len(ledger.damaged) == 240
        assert [one.id for one in await ledger.claim(ENDPOINT)] == [*range(244, 251)]


async def test_claims_end_with_their_process(path: Path) -> None:
    """What a consumer did not acknowledge can be claimed as soon as the file is open again."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
        await ledger.conclude([success(1)])
        assert len(await ledger.claim(ENDPOINT, lease_s=3_600.0)) == 1
    async with SqliteLedger(path) as ledger:
        assert len(await ledger.claim(ENDPOINT)) == 1


async def test_a_failed_acknowledgement_leaves_the_claim(path: Path) -> None:
    """So no other consumer gets the outcome while its consumer repeats the call."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
        await ledger.conclude([success(1)])
        assert len(await ledger.claim(ENDPOINT)) == 1
        raw(path, "UPDATE watches SET polls = 99")
        with pytest.raises(LedgerCorrupt):
            await ledger.acknowledge(acks(1))
        raw(path, "UPDATE watches SET polls = 4")
        assert await ledger.claim(ENDPOINT) == []
        assert await ledger.acknowledge(acks(1)) == 1
