from __future__ import annotations

from pathlib import Path

import pytest
from ledger_values import ENDPOINT, abandoned, every, new, raw, success

from pollwise.ledger import LedgerCorrupt, SqliteLedger


@pytest.mark.parametrize(
    "damage",
    [
        "job = 'no json'",
        "job = '[]'",
        "job = CAST(x'ff' AS TEXT)",
        "phase = 'resting'",
        "first_seen_us = 'x'",
        "deadline_us = 1e300",
    ],
)
async def test_a_row_that_no_ledger_wrote(path: Path, damage: str) -> None:
    """A row changed by hand into nonsense is reported as damage, not passed on."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
    raw(path, f"UPDATE watches SET {damage}")  # noqa: S608 - the point of it
    async with SqliteLedger(path) as ledger:
        with pytest.raises(LedgerCorrupt):
            await every(ledger.open_watches(ENDPOINT))


@pytest.mark.parametrize(
    "damage",
    [
        "outcome = 'won'",
        "status = 'no json'",
        "error_type = CAST(x'ff' AS TEXT)",
        "elapsed_s = 'x'",
        "elapsed_s = NULL",
    ],
)
async def test_an_outcome_that_no_ledger_wrote(path: Path, damage: str) -> None:
    """The same for outcomes and their export."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
        await ledger.conclude([success(1)])
    raw(path, f"UPDATE watches SET {damage}")  # noqa: S608 - the point of it
    async with SqliteLedger(path) as ledger:
        with pytest.raises(LedgerCorrupt):
            _ = [lines async for lines in ledger.export()]


@pytest.mark.parametrize(("data", "exported"), [("'{\"version\":1}'", b'"data":{"version":1}'), ("'no json'", None)])
async def test_an_exported_error_has_its_data(path: Path, data: str, exported: bytes | None) -> None:
    """Data that is not JSON is left out, and the export goes on."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
        await ledger.conclude([abandoned(1)])
    raw(path, f"UPDATE watches SET error_data = CAST({data} AS BLOB)")  # noqa: S608 - the point of it
    async with SqliteLedger(path) as ledger:
        [line] = [line async for line in ledger.export()]
    assert (b'"data":' in line) == (exported is not None)
    assert exported is None or exported in line
