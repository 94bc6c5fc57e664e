"""The thread that owns a ledger's file. It groups calls into transactions, and returns their results.

Rule 1: calls are carried out in the order in which they were made. All waiting calls that write become one transaction,
hence one fsync (a group commit), and their results reach the loop in one wake-up.
Rule 2: a transaction that fails is rolled back, and each of its calls raises an error of its own. If the values of a call
are wrong, each call is repeated alone, so only that call fails.
Rule 3: no error ends this thread. A None in the inbox ends it, after all earlier calls.
Rule 4: a file that was moved or deleted is an error, because SQLite would go on writing a deleted file.
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

from pollwise.errors import ConfigurationError
from pollwise.ledger.errors import LedgerFailed
from pollwise.ledger.files import FileId, Opening, file_id, ledger_error_of, open_ledger
from pollwise.ledger.work import Work

__all__ = ["Call", "Inbox", "Settled", "serve"]

_MAX_CALLS = 1_000  # calls in one transaction


@attrs.frozen(eq=False)
class Call:
    """One call of one caller."""

    work: Work[Any, Any]
    payload: Any
    future: asyncio.Future[Any]


Settled: TypeAlias = tuple[asyncio.Future[Any], Any, Exception | None]
Inbox: TypeAlias = "queue.SimpleQueue[Sequence[Call] | None]"
Report: TypeAlias = Callable[[Sequence[Settled]], None]


def serve(opening: Opening, inbox: Inbox, opened: asyncio.Future[None], report: Report) -> None:
    """Open the ledger, carry out calls until a None comes, and close the ledger. The body of the thread."""
    with ExitStack() as held:
        try:
            db = open_ledger(opening, held)
        except Exception as exc:  # noqa: BLE001 - the opener gets every error
            held.close()  # before the opener can try again
            report([(opened, None, exc)])
            return
        report([(opened, None, None)])
        writer = _Writer(db, opening.path, file_id(opening.path))
        for calls in _batches(inbox):
            report(writer.carry_out(calls))


def _batches(inbox: Inbox) -> Iterator[Sequence[Call]]:
    """All waiting calls, repeatedly, until a None."""
    while (first := inbox.get()) is not None:
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
    db: sqlite3.Connection
    path: str
    file: FileId | None

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
            return (call.future, call.work.run(self.db, call.payload), None)
        except Exception as exc:  # noqa: BLE001 - rule 3
            return (call.future, None, _caused(ledger_error_of(exc, self.path), exc))

    def _write(self, calls: Sequence[Call]) -> Sequence[Settled]:
        if not calls:
            return ()
        try:
            results = self._transact(calls)
        except Exception as exc:  # noqa: BLE001 - rule 3
            if len(calls) > 1 and isinstance(ledger_error_of(exc, self.path), ConfigurationError):
                return [settled for call in calls for settled in self._write([call])]
            return [(call.future, None, _caused(ledger_error_of(exc, self.path), exc)) for call in calls]
        return [(call.future, result, None) for call, result in zip(calls, results, strict=True)]

    def _transact(self, calls: Sequence[Call]) -> Sequence[Any]:
        try:
            self.db.execute("BEGIN IMMEDIATE")
            results = [call.work.run(self.db, call.payload) for call in calls]
            self._check_file()
            self.db.execute("COMMIT")
        except BaseException:
            if self.db.in_transaction:  # after some errors SQLite has already ended it
                with suppress(sqlite3.Error):  # the first error says more
                    self.db.execute("ROLLBACK")
            raise
        return results

    def _check_file(self) -> None:
        if file_id(self.path) != self.file:
            raise LedgerFailed(self.path, "it was deleted, moved or replaced while it was in use")


def _caused(error: Exception, by: Exception) -> Exception:
    if error is not by:
        error.__cause__ = by
    return error
