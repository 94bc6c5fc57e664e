"""What the readers leave out."""

from __future__ import annotations

from pathlib import Path

from ledger_values import ENDPOINT, every, new, raw, success

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


async def test_origins_read_one_sound_row_of_each(path: Path) -> None:
    """A start with many watches costs little. The damage of other rows is found when they are read."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(number, origin="https://a.example") for number in range(3)])
    raw(path, "UPDATE watches SET polls = 99 WHERE id = 2")
    async with SqliteLedger(path) as ledger:
        (found,) = await ledger.origins(ENDPOINT)
        assert (found.watches, found.keys["job_id"]) == (3, "ZX-0")
        assert ledger.damaged == []
        assert len(await every(ledger.open_watches(ENDPOINT))) == 2
        assert [row.id for row in ledger.damaged] == [2]
