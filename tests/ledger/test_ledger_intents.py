"""The ledger of starts: what is to be started, and which job it became."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from damaged_files import PAGE, overwritten, root_of
from ledger_values import ENDPOINT, NOON, every, intent, known_intent, new, raw, started

from pollwise.errors import ConfigurationError
from pollwise.ledger import LedgerCorrupt, LedgerUnwritable, SqliteLedger
from pollwise.ledger.recovery import check_ledger, recover_ledger


async def test_an_intent_is_unfinished_until_its_job_is_recorded(path: Path) -> None:
    """Then its key gives the keys of the job, also in the next process."""
    async with SqliteLedger(path) as ledger:
        (first,) = await ledger.intend_submits([intent()])
        assert (first.id, first.known) == (1, None)
        assert list(await ledger.unfinished_submits(ENDPOINT, "")) == [known_intent(1, intent())]
        (recorded,) = await ledger.record([started(7, by=1)])
        assert recorded.known is None
    async with SqliteLedger(path) as ledger:
        assert list(await ledger.unfinished_submits()) == []
        (again,) = await ledger.intend_submits([intent(digest="1234", began=NOON.replace(hour=1))])
        assert again.known == known_intent(1, intent(), keys=new(7).keys)


async def test_a_read_only_ledger_starts_nothing(path: Path) -> None:
    """It lists what is unfinished."""
    async with SqliteLedger(path) as ledger:
        await ledger.intend_submits([intent()])
    async with SqliteLedger(path, read_only=True) as ledger:
        assert [one.key for one in await ledger.unfinished_submits()] == ["a"]
        with pytest.raises(LedgerUnwritable):
            await ledger.intend_submits([intent("b")])
        with pytest.raises(LedgerUnwritable):
            await ledger.forget_submits([1])


def test_the_time_of_an_intent_has_a_zone() -> None:
    """As each time of a ledger."""
    with pytest.raises(ConfigurationError, match="began must be an aware datetime"):
        intent(began=datetime(2026, 3, 1))  # noqa: DTZ001 - the point of it


# --- damage -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "harm",
    [
        "digest = 'x'",
        "watch = 1",
        "submit_key = CAST(X'61FF' AS TEXT)",
        "began_us = 7",
        "checksum = 0",
        "digest = X'00'",
    ],
)
async def test_an_intent_that_is_not_as_it_was_written_is_an_error(path: Path, harm: str) -> None:
    """It is never taken for a new one, because a job could be started twice."""
    async with SqliteLedger(path) as ledger:
        await ledger.intend_submits([intent()])
    raw(path, f"UPDATE submits SET {harm}")  # noqa: S608
    async with SqliteLedger(path) as ledger:
        if "submit_key" not in harm:
            with pytest.raises(LedgerCorrupt, match="start with the number 1"):
                await ledger.intend_submits([intent()])
        if "watch" not in harm:
            with pytest.raises(LedgerCorrupt, match="start with the number 1"):
                await ledger.unfinished_submits()
        await ledger.record([new(1)])
        with pytest.raises(LedgerCorrupt, match="start with the number 1"):
            await ledger.record([started(2, by=1)])
        assert len(await every(ledger.open_watches(ENDPOINT))) == 1


async def test_an_intent_whose_job_is_damaged_names_its_row(path: Path) -> None:
    """Or says that it is not there."""
    async with SqliteLedger(path) as ledger:
        await ledger.intend_submits([intent()])
        await ledger.record([started(1, by=1)])
    raw(path, "UPDATE watches SET polls = 77")
    async with SqliteLedger(path) as ledger:
        with pytest.raises(LedgerCorrupt) as caught:
            await ledger.intend_submits([intent()])
        assert caught.value.rows == (1,)
    raw(path, "DELETE FROM watches")
    async with SqliteLedger(path) as ledger:
        with pytest.raises(LedgerCorrupt, match="row 1, which is not there"):
            await ledger.intend_submits([intent()])


async def test_an_index_that_lacks_an_intent_makes_the_file_unusable(path: Path) -> None:
    """It would allow a second start with the same key."""
    async with SqliteLedger(path) as ledger:
        await ledger.intend_submits([intent()])
        await ledger.record([new(1)])
    raw(path, "UPDATE watches SET polls = 77")  # damage of a single row, which alone would not matter
    empty = bytes([0x0A, 0, 0, 0, 0, 0x10, 0, 0])  # the header of a page of an index that has no entry
    overwritten(path, root_of(path, "submits_by_key"), empty.ljust(PAGE, b"\0"))
    with pytest.raises(LedgerCorrupt, match="submits_by_key"):
        await SqliteLedger(path).__aenter__()


async def test_a_recovery_keeps_what_was_to_be_started(path: Path) -> None:
    """An intent whose job is lost is unfinished again. A damaged one is told."""
    async with SqliteLedger(path) as ledger:
        await ledger.intend_submits([intent(key) for key in "abcd"])
        await ledger.record([started(1, by=1), started(2, by=2)])
    raw(path, "UPDATE watches SET polls = 77 WHERE id = 2", "UPDATE submits SET digest = 'x' WHERE id = 4")
    assert check_ledger(str(path)).faults == ["1 start of a job is damaged"]
    fresh = path.with_name("new.ledger")
    survey = recover_ledger(str(path), str(fresh))
    assert (survey.sound, [row.id for row in survey.damaged]) == (1, [2])
    async with SqliteLedger(fresh) as ledger:
        found = await ledger.intend_submits([intent(key) for key in "abcd"])
        assert [one.known and one.known.keys for one in found] == [new(1).keys, None, None, None]
        assert [one.id for one in await ledger.unfinished_submits()] == [2, 3, 4]


async def test_a_recovery_of_a_file_without_starts_tells_nothing_of_them(path: Path) -> None:
    """As one of an older version."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
    raw(path, "DROP TABLE submits")
    assert not any("starts" in fault for fault in check_ledger(str(path)).faults)
