from __future__ import annotations

import asyncio
import queue
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ledger_values import ENDPOINT, every, folder_of, new, raw

from pollwise.errors import ConfigurationError
from pollwise.ledger import LedgerCorrupt, LedgerInUse, LedgerUnsafe, SqliteLedger, work
from pollwise.ledger.files import Opening
from pollwise.ledger.open_file import OpenFile
from pollwise.ledger.records import DamagedRow
from pollwise.ledger.statements import DamagedRows
from pollwise.ledger.work import Work
from pollwise.ledger.writer import Call, Inbox, Settled, serve


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


# --- the writer alone, in the thread of the test --------------------------------------------------


class Writer:
    """Serves calls that are all in the inbox beforehand. `reports` are the results, one list for each wake-up of the loop."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        self.path, self._loop = path, loop
        self.inbox: Inbox = queue.SimpleQueue()
        self.reports: list[Sequence[Settled]] = []

    def call(self, run: Any, payload: object = None, *, writes: bool = True) -> Call:
        return Call(Work(run, writes=writes), payload, self._loop.create_future())

    def serve(self, *lots: Sequence[Call], read_only: bool = False) -> Exception | None:
        for lot in lots:
            self.inbox.put(lot)
        self.inbox.put(None)
        opening = Opening(path=str(self.path), synchronous="normal", busy_timeout_s=0.0, read_only=read_only)
        failed = serve(opening, self.inbox, self._loop.create_future(), self.reports.append)
        ((_, nothing, error),) = self.reports.pop(0)
        assert nothing is error is None
        return failed

    def errors(self) -> list[Any]:
        return [error for report in self.reports for _, _, error in report]


@pytest.fixture
async def writer(path: Path) -> Writer:
    return Writer(path, asyncio.get_running_loop())


def echo(_: object, payload: object) -> object:
    return payload


async def test_lots_that_wait_together_share_a_transaction(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction takes lots until it has `_MAX_CALLS` calls. A lot is never divided, and the order stays."""
    monkeypatch.setattr("pollwise.ledger.writer._MAX_CALLS", 4)
    calls = [writer.call(echo, number) for number in range(12)]
    lots = [calls[:3], calls[3:4], calls[4:5], calls[5:8], calls[8:11], calls[11:]]
    writer.serve(*lots)
    assert [len(report) for report in writer.reports] == [4, 4, 4]
    settled = [one for report in writer.reports for one in report]
    assert settled == [(call.future, number, None) for number, call in enumerate(calls)]


async def test_each_call_of_a_transaction_sees_those_before_it(writer: Writer) -> None:
    """All that write are in one transaction; one that reads comes after those before it are committed."""

    def open_transaction(db: sqlite3.Connection, _: object) -> bool:
        return db.in_transaction

    def count(db: sqlite3.Connection, _: object) -> int:
        with closing(sqlite3.connect(writer.path)) as other:  # sees what is committed
            return int(other.execute("SELECT count(*) FROM watches").fetchone()[0])

    calls = [
        writer.call(count, writes=False),
        writer.call(open_transaction, writes=False),
        writer.call(open_transaction),
        writer.call(work.RECORD.run, [new(1)]),
        writer.call(count),
        writer.call(count, writes=False),
        writer.call(work.RECORD.run, [new(2)]),
    ]
    writer.serve(calls)
    (settled,) = writer.reports
    assert [future for future, _, _ in settled] == [call.future for call in calls]
    assert writer.errors() == [None] * 7
    results = [result for _, result, _ in settled]
    assert [results[n] for n in (0, 1, 2, 4, 5)] == [0, False, True, 0, 1]
    assert raw(writer.path, "SELECT id FROM watches") == [(1,), (2,)]


async def test_which_failures_are_repeated_one_by_one(writer: Writer) -> None:
    """Those of one call's values: the others are written without it. A failure of the disk is that of all calls, at once."""
    runs: list[object] = []

    def run(_: object, error: Exception | None) -> object:
        runs.append(error)
        if error is not None:
            raise error
        return "written"

    wrong, broken = ConfigurationError("a value"), sqlite3.OperationalError("disk I/O error")
    broken.sqlite_errorcode = sqlite3.SQLITE_IOERR
    writer.serve([writer.call(run), writer.call(run, wrong), writer.call(run)])
    assert runs == [None, wrong, None, wrong, None]
    assert [result for _, result, _ in writer.reports[0]] == ["written", None, "written"]
    assert writer.errors() == [None, wrong, None]
    runs.clear()
    writer.reports.clear()
    writer.serve([writer.call(run), writer.call(run, broken), writer.call(run)])
    assert runs == [None, broken]
    errors = writer.errors()
    assert [str(error) for error in errors] == [
        f"{writer.path}: disk I/O error. Nothing of this call was kept. Check the disk, then call again."
    ] * 3
    assert len({id(error) for error in errors}) == 3


@pytest.mark.parametrize("writes", [False, True])
async def test_an_error_of_sqlite_is_the_cause_of_ours(writer: Writer, *, writes: bool) -> None:
    """So a log shows both. An error that is passed on as it is has no cause."""

    def wrong(db: sqlite3.Connection, _: object) -> None:
        db.execute("SELECT ?", [2**63])

    def ours(*_: object) -> None:
        raise ZeroDivisionError("a bug of ours")

    writer.serve([writer.call(wrong, writes=writes), writer.call(ours, writes=writes)])
    first, second = writer.errors()
    assert isinstance(first, ConfigurationError)
    assert isinstance(first.__cause__, OverflowError)
    assert isinstance(second, ZeroDivisionError)
    assert second.__cause__ is None


@pytest.mark.parametrize("writes", [False, True])
async def test_a_call_that_needs_damaged_rows_names_them(writer: Writer, *, writes: bool) -> None:
    """All of them, and what is wrong with the first."""

    def damaged(*_: object) -> None:
        raise DamagedRows([DamagedRow(id=5, reason="its job is wrong"), DamagedRow(id=7, reason="its state is wrong")])

    writer.serve([writer.call(damaged, writes=writes)])
    (error,) = writer.errors()
    assert isinstance(error, LedgerCorrupt)
    assert (error.where, error.detail, error.rows) == (str(writer.path), "its job is wrong", (5, 7))
    assert isinstance(error.__cause__, DamagedRows)


async def test_an_error_that_ends_the_transaction_itself(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller gets that error, and the next call has a transaction of its own."""

    def end(db: sqlite3.Connection, _: object) -> None:
        db.execute("ROLLBACK")  # as SQLite does after some errors
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr("pollwise.ledger.writer._MAX_CALLS", 1)
    writer.serve([writer.call(end)], [writer.call(work.RECORD.run, [new(1)])])
    assert [type(error) for error in writer.errors()] == [ZeroDivisionError, type(None)]
    assert raw(writer.path, "SELECT id FROM watches") == [(1,)]


async def test_another_tool_keeps_the_lock(writer: Writer) -> None:
    """A call that cannot begin its transaction is not carried out."""
    runs: list[object] = []
    writer.serve()
    with closing(sqlite3.connect(writer.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writer.serve([writer.call(lambda *_: runs.append(1))])
    assert runs == []
    (error,) = writer.errors()
    assert isinstance(error, LedgerInUse)
    assert error.where == str(writer.path)


async def test_an_idle_writer_looks_at_its_log(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Again and again, without a call, and once more before it closes."""
    looks: list[object] = []

    def look(_: OpenFile) -> None:
        looks.append(1)
        if len(looks) == 3:
            writer.inbox.put(None)

    monkeypatch.setattr("pollwise.ledger.writer._CHECK_S", 0.001)
    monkeypatch.setattr(OpenFile, "save_log", look)
    opening = Opening(path=str(writer.path), synchronous="normal", busy_timeout_s=0.0, read_only=False)
    assert serve(opening, writer.inbox, asyncio.get_running_loop().create_future(), writer.reports.append) is None
    assert len(looks) == 4


async def test_a_close_that_could_lose_rows_says_so(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error is the result of the writer, with its cause, and names the file."""

    def fail(_: OpenFile) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(OpenFile, "save_log", fail)
    failed = writer.serve()
    assert isinstance(failed, LedgerCorrupt)
    assert failed.where == str(writer.path)
    assert isinstance(failed.__cause__, sqlite3.OperationalError)
    refused = LedgerUnsafe(str(writer.path), "its -wal was deleted", "Do something")

    def refuse(_: OpenFile) -> None:
        raise refused

    monkeypatch.setattr(OpenFile, "save_log", refuse)
    assert writer.serve() is refused
    assert refused.__cause__ is None
