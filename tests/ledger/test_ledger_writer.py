from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from ledger_values import ENDPOINT, every, folder_of, new, raw

from pollwise.ledger import LedgerInUse, SqliteLedger, work
from pollwise.ledger.work import Work


async def test_a_failed_commit_is_told_to_all(path: Path) -> None:
    """Each call of a transaction that fails raises an error of its own, and nothing is kept."""
    async with SqliteLedger(path, busy_timeout_s=0.0) as ledger:
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        answers = await asyncio.gather(*(ledger.record([new(n)]) for n in range(5)), return_exceptions=True)
        db.execute("ROLLBACK")
        db.close()
        assert {type(answer) for answer in answers} == {LedgerInUse}
        assert len({id(answer) for answer in answers}) == 5
        assert await every(ledger.open_watches(ENDPOINT)) == []
        assert len(await ledger.record([new(1)])) == 1


def failing(*_: Any) -> Any:
    raise ZeroDivisionError("a bug of ours")


async def test_the_writer_outlives_a_bug(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of any class reaches its caller, and the next call is carried out."""
    with monkeypatch.context() as patch:
        patch.setattr("pollwise.ledger.sqlite.OPEN", Work(failing))
        patch.setattr("pollwise.ledger.sqlite.RECORD", Work(failing, writes=True))
        with pytest.raises(ZeroDivisionError):
            await every(ledger.open_watches(ENDPOINT))
        with pytest.raises(ZeroDivisionError):
            await ledger.record([new(1)])
    assert len(await ledger.record([new(1)])) == 1


async def test_half_a_call_is_taken_back(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that fails half-way leaves nothing of its first half."""

    def half(db: sqlite3.Connection, watches: Any) -> Any:
        work.RECORD.run(db, watches)
        failing()

    with monkeypatch.context() as patch:
        patch.setattr("pollwise.ledger.sqlite.RECORD", Work(half, writes=True))
        with pytest.raises(ZeroDivisionError):
            await ledger.record([new(1)])
    assert await every(ledger.open_watches(ENDPOINT)) == []


async def test_an_opening_that_fails_unforeseen(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong while opening reaches the opener, and the lock is free again."""
    with monkeypatch.context() as patch:
        patch.setattr("pollwise.ledger.files.migrate", failing)
        with pytest.raises(ZeroDivisionError):
            await SqliteLedger(path).__aenter__()
    assert sorted(folder_of(path)) == [f"{path.name}-lock"]
    async with SqliteLedger(path, busy_timeout_s=0.0):
        pass


async def test_many_calls_at_once(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """More lots than one transaction takes are all carried out, reading calls in their place among the others."""
    monkeypatch.setattr("pollwise.ledger.writer._MAX_CALLS", 10)
    calls: list[asyncio.Task[Any]] = []
    for number in range(60):
        if number % 15 == 0:
            calls.append(asyncio.create_task(every_line(ledger)))
        calls.append(asyncio.create_task(ledger.record([new(number)])))
        if number % 4 == 0:
            await asyncio.sleep(0)
    answers = await asyncio.gather(*calls)
    assert [answer for answer in answers if isinstance(answer, int)] == [0, 15, 30, 45]
    assert raw(Path(ledger.path), "SELECT count(*) FROM watches") == [(60,)]


async def every_line(ledger: SqliteLedger) -> int:
    """How many watches there are, in one call."""
    return (await anext(ledger.export(include_open=True), b"")).count(b"\n")


async def test_closing_behind_a_full_inbox(path: Path) -> None:
    """What was handed over in several lots before the close is all done before it."""
    async with SqliteLedger(path, busy_timeout_s=60.0) as ledger:
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("BEGIN IMMEDIATE")  # so that the lots wait
        tasks = []
        for number in range(5):
            tasks.append(asyncio.create_task(ledger.record([new(number)])))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        closing = asyncio.create_task(ledger.aclose())
        await asyncio.sleep(0)
        db.execute("ROLLBACK")
        db.close()
        await closing
        assert [task.done() for task in tasks] == [True] * 5
    async with SqliteLedger(path) as ledger:
        assert len(await every(ledger.open_watches(ENDPOINT))) == 5
