"""The thread that owns a ledger's file: which calls become one transaction, and who is told what.

Rule 1: calls are carried out in the order in which they were made. All writing ones that wait at one moment become
one transaction, hence one fsync (a group commit), and their callers are told in one wake-up of the loop.
Rule 2: a transaction that fails keeps nothing, and every one of its callers is told, each with an error of its own.
Where the fault lies in a call's values, each call is tried alone, so only its own caller suffers for it.
Rule 3: this thread outlives every error. It ends when it is told to, having done all that came before.
Rule 4: nothing is promised of a file that is not where it was: SQLite would go on writing one that was deleted.
Rule 5: the connection is a local of this thread. After a fork the child has neither, so it cannot close what the
parent goes on using (sqlite.org/howtocorrupt.html, 2.6).
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
from pollwise.ledger.files import Opening, Place, open_ledger, our_error, place_of
from pollwise.ledger.work import Work

__all__ = ["Call", "Inbox", "Settled", "serve"]

_ENOUGH = 1_000  # calls for one transaction: no more are collected then


@attrs.frozen(eq=False)
class Call:
    """One call of one caller."""

    work: Work[Any, Any]
    payload: Any
    future: asyncio.Future[Any]


Settled: TypeAlias = tuple[asyncio.Future[Any], Any, Exception | None]
Inbox: TypeAlias = "queue.SimpleQueue[Sequence[Call] | None]"
Tell: TypeAlias = Callable[[Sequence[Settled]], None]


def serve(opening: Opening, inbox: Inbox, opened: asyncio.Future[None], tell: Tell) -> None:
    """Open the ledger, do what comes in until None comes, and close it. The body of the thread."""
    with ExitStack() as held:
        try:
            db = open_ledger(opening, held)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the opener must hear it
            held.close()  # before anybody tries again
            tell([(opened, None, exc)])
            return
        tell([(opened, None, None)])
        writer = _Writer(db, opening.path, place_of(opening.path))
        for calls in _batches(inbox):
            tell(writer.carry_out(calls))


def _batches(inbox: Inbox) -> Iterator[Sequence[Call]]:
    """All calls that wait, again and again, until a None."""
    while (first := inbox.get()) is not None:
        calls = [*first]
        with suppress(queue.Empty):
            while len(calls) < _ENOUGH:
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
    place: Place | None

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
            return (call.future, None, _caused(our_error(exc, self.path), exc))

    def _write(self, calls: Sequence[Call]) -> Sequence[Settled]:
        if not calls:
            return ()
        try:
            results = self._transact(calls)
        except Exception as exc:  # noqa: BLE001 - rule 3
            if len(calls) > 1 and isinstance(our_error(exc, self.path), ConfigurationError):
                return [told for call in calls for told in self._write([call])]
            return [(call.future, None, _caused(our_error(exc, self.path), exc)) for call in calls]
        return [(call.future, result, None) for call, result in zip(calls, results, strict=True)]

    def _transact(self, calls: Sequence[Call]) -> Sequence[Any]:
        try:
            self.db.execute("BEGIN IMMEDIATE")
            results = [call.work.run(self.db, call.payload) for call in calls]
            self._check_place()
            self.db.execute("COMMIT")
        except BaseException:
            if self.db.in_transaction:  # SQLite has ended it by itself after some errors
                with suppress(sqlite3.Error):  # the first error says more
                    self.db.execute("ROLLBACK")
            raise
        return results

    def _check_place(self) -> None:
        if place_of(self.path) != self.place:
            raise LedgerFailed(self.path, "it was deleted, moved or replaced while it was in use")


def _caused(error: Exception, by: Exception) -> Exception:
    if error is not by:
        error.__cause__ = by
    return error
