"""Which damage ends the use of a file, and which only that of a row."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger_values import ENDPOINT, every, new, raw

from pollwise.ledger import LedgerCorrupt, SqliteLedger


async def flipped(path: Path, *, in_table: bool) -> None:
    """A ledger of three jobs, with one bit of one job's key flipped, in the table or in the index."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1), new(2), new(3)])
    raw(path, "PRAGMA journal_mode = DELETE")
    data = bytearray(path.read_bytes())
    places = [place for place in range(len(data)) if data.startswith(b"ZX-2", place)]
    pages = dict(raw(path, "SELECT name, rootpage FROM sqlite_schema"))
    page = pages["watches" if in_table else "watches_by_job"]
    (place,) = [place for place in places if place // 4096 + 1 == page]
    data[place + 3] ^= 4
    path.write_bytes(data)


async def test_a_flipped_key_in_the_table_is_one_damaged_row(path: Path) -> None:
    """The other rows are used, and its job gets no second row."""
    await flipped(path, in_table=True)
    async with SqliteLedger(path) as ledger:
        assert [watch.id for watch in await every(ledger.open_watches(ENDPOINT))] == [1, 3]
        with pytest.raises(LedgerCorrupt) as caught:
            await ledger.record([new(2)])
        assert caught.value.rows == (2,)


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_flipped_key_in_an_index_is_a_damaged_file(path: Path, *, read_only: bool) -> None:
    """Else the job, which the index does not find, would get a second row."""
    await flipped(path, in_table=False)
    with pytest.raises(LedgerCorrupt, match="missing from index watches_by_job") as caught:
        await SqliteLedger(path, read_only=read_only).__aenter__()
    assert caught.value.rows == ()
