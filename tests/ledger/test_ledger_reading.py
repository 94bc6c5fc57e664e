"""What the readers leave out."""

from __future__ import annotations

from pathlib import Path

from ledger_values import ENDPOINT, new, raw, success

from pollwise.ledger import SqliteLedger


async def test_durations_without_the_damaged_rows(path: Path) -> None:
    """What was not as it was written teaches nothing."""
    async with SqliteLedger(path, linger_s=0.0) as ledger:
        await ledger.record([new(number) for number in range(3)])
        await ledger.conclude([success(number, elapsed_s=float(number)) for number in (1, 2, 3)])
    raw(path, "UPDATE watches SET elapsed_s = 'abc' WHERE id = 1", "UPDATE watches SET elapsed_s = 9e999 WHERE id = 2")
    async with SqliteLedger(path) as ledger:
        assert await ledger.durations(ENDPOINT) == [3.0]
        assert [row.id for row in ledger.damaged] == [1, 2]
