"""The thread that owns a ledger's file. It groups calls into transactions, and returns their results.

Rule 1: calls are carried out in the order in which they were made. All waiting calls that write become one transaction,
hence one fsync (a group commit), and their results reach the loop in one wake-up.
Rule 2: a transaction that fails is rolled back, and each of its calls raises an error of its own. If the values of a call
are wrong, or its rows are damaged, each call is repeated alone, so only that call fails.
Rule 3: no error ends this thread. A None in the inbox ends it, after all earlier calls.
Rule 4: a call returns only if a later process finds its rows: the files are checked before and after each commit, and every
second without a call (open_file.py).
Rule 5: the connection is a local variable of this thread. A forked child has neither, so it cannot close the connection of its
parent (sqlite.org/howtocorrupt.html, 2.6).
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any, TypeAlias

import attrs

from pollwise.ledger.errors import LedgerCorrupt, is_of_one
from pollwise.ledger.files import Opening, ledger_error_of, open_ledger
from pollwise.ledger.open_file import OpenFile
from pollwise.ledger.statements import DamagedIntents, DamagedRows, Work

__all__ = ["Call", "Inbox", "Settled", "run_writer", "serve"]

_MAX_CALLS = 1_000  # calls in one transaction
_CHECK_S = 1.0  # an idle writer looks this often whether its log was deleted


@attrs.frozen(eq=False)
class Call:
    """One call of one caller."""

    work: Work[Any, Any]
    payload: Any
    future: asyncio.Future[Any]


Settled: TypeAlias = tuple[asyncio.Future[Any], Any, Exception | None]
Inbox: TypeAlias = "queue.SimpleQueue[Sequence[Call] | None]"
Report: TypeAlias = Callable[[Sequence[Settled]], None]


def run_writer(
    opening: Opening,
    inbox: Inbox,
    opened: asyncio.Future[None],
    ended: asyncio.Future[None],
    loop: asyncio.AbstractEventLoop,
) -> None:
    """The thread's target. It has no reference to the ledger object, so that object can be freed."""

    def report(settled: Sequence[Settled]) -> None:
        with suppress(RuntimeError):  # the loop is closed, so no caller is waiting
            loop.call_soon_threadsafe(_settle, settled)

    error: Exception | None = None
    try:
        error = serve(opening, inbox, opened, report)
    except Exception as exc:  # noqa: BLE001 - a bug of ours, and the opener must not wait for ever
        error = exc
        report([(opened, None, exc)])
    finally:
        report([(ended, None, error)])


def _settle(settled: Sequence[Settled]) -> None:
    for future, result, error in settled:
        if future.done():  # the caller was cancelled
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


def serve(opening: Opening, inbox: Inbox, opened: asyncio.Future[None], report: Report) -> Exception | None:
    """Open the ledger, carry out calls until a None comes, and close the ledger. The body of the thread.

    Returns:
        The error of the close, if rows could be lost.
    """
    with ExitStack() as held:
        try:
            file = _open(opening, held)
        except Exception as exc:  # noqa: BLE001 - the opener gets every error
            report([(opened, None, exc)])
            return None
        report([(opened, None, None)])
        writer = _Writer(file)
        for calls in _batches(inbox, writer.save_log):
            report(writer.carry_out(calls))
        return writer.save_log()


def _open(opening: Opening, held: ExitStack) -> OpenFile:
    with ExitStack() as ours:  # closed before the opener can try again
        file = open_ledger(opening, ours)
        held.enter_context(ours.pop_all())
    return file


def _next(inbox: Inbox, idle: Callable[[], object]) -> Sequence[Call] | None:
    while True:
        try:
            return inbox.get(timeout=_CHECK_S)
        except queue.Empty:
            idle()


def _batches(inbox: Inbox, idle: Callable[[], object]) -> Iterator[Sequence[Call]]:
    """All waiting calls, repeatedly, until a None."""
    while (first := _next(inbox, idle)) is not None:
        calls = [*first]
        with suppress(queue.Empty):
            while len(calls) < _MAX_CALLS:
                more = inbox.get_nowait()
                if more is None:
                    inbox.put(None)
                    break
                calls += more
        yield calls


@attrs.frozen
class _Writer:
    file: OpenFile

    def carry_out(self, calls: Sequence[Call]) -> Sequence[Settled]:
        settled: list[Settled] = []
        waiting: list[Call] = []
        for call in calls:
            if call.work.writes:
                waiting.append(call)
                continue
            settled += self._write(waiting)
            waiting = []
            settled.append(self._read(call))
        settled += self._write(waiting)
        return settled

    def _read(self, call: Call) -> Settled:
        try:
            self.file.check_to_read()
            return (call.future, call.work.run(self.file.db, call.payload), None)
        except Exception as exc:  # noqa: BLE001 - rule 3
            return (call.future, None, _caused(_error_of(exc, self.file.path), exc))

    def _write(self, calls: Sequence[Call]) -> Sequence[Settled]:
        if not calls:
            return ()
        try:
            return self._transact(calls)
        except Exception as exc:  # noqa: BLE001 - rule 3
            if len(calls) > 1 and is_of_one(_error_of(exc, self.file.path)):
                return [settled for call in calls for settled in self._write([call])]
            return [(call.future, None, _caused(_error_of(exc, self.file.path), exc)) for call in calls]

    def _transact(self, calls: Sequence[Call]) -> Sequence[Settled]:
        self.file.check()
        db = self.file.db
        try:
            db.execute("BEGIN IMMEDIATE")
            settled = [(call.future, call.work.run(db, call.payload), None) for call in calls]
            self.file.check_main()
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:  # after some errors SQLite has already ended it
                with suppress(sqlite3.Error):  # the first error says more
                    db.execute("ROLLBACK")
            raise
        self.file.check()
        return settled

    def save_log(self) -> Exception | None:
        """Save what a deleted log has. Returns the error if that failed."""
        try:
            self.file.save_log()
        except Exception as exc:  # noqa: BLE001 - rule 3
            return _caused(ledger_error_of(exc, self.file.path), exc)
        return None


def _error_of(exc: Exception, path: str) -> Exception:
    if isinstance(exc, DamagedRows):
        return LedgerCorrupt(path, exc.damaged[0].reason, tuple(row.id for row in exc.damaged))
    if isinstance(exc, DamagedIntents):
        return LedgerCorrupt(path, str(exc))
    return ledger_error_of(exc, path)


def _caused(error: Exception, by: Exception) -> Exception:
    if error is not by:
        error.__cause__ = by
    return error
