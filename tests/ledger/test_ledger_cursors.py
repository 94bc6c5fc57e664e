"""A ledger keeps the cursor of a watch: with its state, under its checksum, through every call."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_values import ENDPOINT, abandoned, change, every, new, raw

from pollwise.ledger import Change, SqliteLedger
from pollwise.ledger.checksums import checksum, state_checksum
from pollwise.ledger.recovery import check_ledger, recover_ledger

SAMPLES = Path(__file__).parents[1] / "samples" / "ledger"
URL = b'"https://a.example/monitor/2"'
VALUES = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text() | st.binary()


async def test_a_cursor_is_in_no_repr() -> None:
    """It may be a URL that the server has signed."""
    for value in (change(1, cursor=URL), abandoned(1, cursor=URL)):
        assert "monitor" not in repr(value)


@pytest.mark.parametrize("harm", ["X'22'", "NULL", "'text'", "7"])
async def test_a_cursor_that_is_not_as_it_was_written_is_damage(path: Path, harm: str) -> None:
    """As any other column: the row is left out, and found by the check."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1), new(2)])
        await ledger.update([change(1, cursor=URL), change(2, cursor=URL)])
    raw(path, f"UPDATE watches SET cursor = {harm} WHERE id = 1")  # noqa: S608
    assert [row.id for row in check_ledger(str(path)).damaged] == [1]
    async with SqliteLedger(path) as ledger:
        assert [watch.id for watch in await every(ledger.open_watches(ENDPOINT))] == [2]
        assert [row.id for row in ledger.damaged] == [1]


async def test_a_cursor_that_comes_from_nowhere_is_damage(path: Path) -> None:
    """A row without one is under its checksum, too."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
    raw(path, "UPDATE watches SET cursor = X'3137'")
    assert [row.id for row in check_ledger(str(path)).damaged] == [1]


async def test_recovery_saves_the_cursor(path: Path, tmp_path: Path) -> None:
    """With all that the row has."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
        await ledger.update([change(1, cursor=URL)])
    assert recover_ledger(str(path), str(tmp_path / "saved.ledger")).sound == 1
    async with SqliteLedger(tmp_path / "saved.ledger") as ledger:
        assert [watch.cursor for watch in await every(ledger.open_watches(ENDPOINT))] == [URL]


@given(VALUES, VALUES, VALUES)
def test_the_checksum_of_a_row_without_a_cursor_is_that_of_version_4(one: object, two: object, cursor: object) -> None:
    """So no migration touches it. A cursor of any kind makes another one."""
    assert state_checksum(7, (one, two), None) == checksum((7, one, two))
    if cursor is not None:
        assert state_checksum(7, (one, two), cursor) not in {checksum((7, one, two)), checksum((7, one, two, None))}


@pytest.mark.parametrize("read_only", [True, False])
async def test_damage_in_a_file_of_version_4_is_seen_as_before(path: Path, *, read_only: bool) -> None:
    """Before and after its migration, which gives no damaged row a right checksum."""
    shutil.copy(SAMPLES / "version_4.sqlite", path)
    numbers = [number for (number,) in raw(path, "SELECT id FROM watches WHERE status IS NOT NULL ORDER BY id LIMIT 2")]
    raw(path, f"UPDATE watches SET polls = polls + 1 WHERE id = {numbers[0]}")  # noqa: S608
    assert [row.id for row in check_ledger(str(path)).damaged] == numbers[:1]
    async with SqliteLedger(path, read_only=read_only) as ledger:
        lines = b"".join([part async for part in ledger.export(include_open=True)]).splitlines()
        assert [row.id for row in ledger.damaged] == numbers[:1]
    assert len(lines) == len((SAMPLES / "version_4.jsonl").read_bytes().splitlines()) - 1


async def test_a_row_of_version_4_takes_a_cursor(path: Path) -> None:
    """After its migration."""
    shutil.copy(SAMPLES / "version_4.sqlite", path)
    async with SqliteLedger(path) as ledger:
        opened: Any = (await every(ledger.open_watches(ENDPOINT)))[0]
        fields = {name: getattr(opened, name) for name in ("id", "phase", "polls", "failures", "status", "seen_s")}
        await ledger.update([Change(**fields, cursor=URL)])
        assert (await every(ledger.open_watches(ENDPOINT)))[0].cursor == URL
