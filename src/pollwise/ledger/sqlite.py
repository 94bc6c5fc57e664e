"""`SqliteLedger`: the ledger in one SQLite file, on the side of the event loop.

Rule 1: this side never opens the file. It collects calls and puts them into the inbox of the writer's thread. The calls of
one pass of the loop go together, and updates wait up to `linger_s` for other calls.
Rule 2: the writer wakes the loop once for each of its transactions.
Rule 3: one event loop, one process. Calls from another loop or thread, or from a forked child, raise `LedgerClosed`.

Why the standard library's sqlite3 and a thread: aiosqlite also runs one thread for each connection, but changes threads
twice for each statement, and cannot put the calls of several callers into one transaction. Measured with 1,000 callers of
one statement each: 16 us CPU a call here, commits included, and 22 us with aiosqlite in one explicit transaction. With
batches of 1,000 rows both cost the same.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import threading
import warnings
from collections.abc import AsyncIterator, Sequence
from typing import Self, TypeVar

import attrs

from pollwise.errors import ConfigurationError
from pollwise.ledger.claims import Claims, check_claim
from pollwise.ledger.errors import LedgerClosed, LedgerCorrupt, LedgerUnwritable, row_names
from pollwise.ledger.file_safety import refuse_database
from pollwise.ledger.files import Opening, Synchronous
from pollwise.ledger.intent_rows import FORGET, INTEND, UNFINISHED
from pollwise.ledger.intents import Intended, Intent, NewIntent
from pollwise.ledger.reading import (
    COUNT_UNACKNOWLEDGED,
    DURATIONS,
    EXPORT,
    OPEN,
    ORIGINS,
    UNACKNOWLEDGED,
    UNCLAIMED,
    Page,
    Unclaimed,
)
from pollwise.ledger.records import (
    Acknowledgement,
    Change,
    Concluded,
    Conclusion,
    DamagedRow,
    Ledger,
    NewWatch,
    OpenWatch,
    OriginCount,
    Recorded,
    Relocation,
    Renewal,
)
from pollwise.ledger.statements import DamagedRows, Found, Work
from pollwise.ledger.work import ACKNOWLEDGE, CONCLUDE, RECORD, RELOCATE, REOPEN, UPDATE
from pollwise.ledger.writer import Call, Inbox, run_writer
from pollwise.model.log_fields import log_fields

__all__ = ["SqliteLedger"]

P = TypeVar("P")
R = TypeVar("R")

_log = logging.getLogger(__name__)

_CHUNK = 1_000  # rows: reading them takes a few milliseconds
_URGENT_ITEMS = 100  # a call with this many changes does not wait for others: its commit is a small part of its cost


class SqliteLedger(Ledger):
    """A ledger in one SQLite file, made when it is first opened.

    Use it as `async with SqliteLedger("jobs.ledger") as ledger:`. Beside the file stand `-wal` and `-shm` while it is
    open and after a crash, which are part of it: copy and move them together. An empty `-lock` stays there.

    The file must be on a disk of this machine: SQLite's WAL does not work over a network file system. In a container, mount
    its folder, never the file alone. A new ledger has the mode 0600. One process writes it at a time. The lock ends with
    the process, also after kill -9. Any number of processes can read with `read_only=True`. An object belongs to the event loop that opened it, and not to forked children: open it after a
    fork, or use another file.

    Args:
        path: The file. Its folder must exist.
        synchronous: With `"full"` a finished call survives power loss. With `"normal"` it survives the end of the process,
            but power loss may take the last calls; there are fewer fsyncs.
        busy_timeout_s: Seconds that opening, and each call, waits for another process's lock before `LedgerInUse`. A
            watcher then repeats the call for its `ledger_patience_s`.
        linger_s: Seconds that an update may wait for other calls, to share their transaction. Other calls do not wait.
        read_only: Read an existing ledger, also while another process writes it. Calls that write raise
            `LedgerUnwritable`.

    Raises:
        ConfigurationError: An argument cannot be right.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: Synchronous = "full",
        busy_timeout_s: float = 1.0,
        linger_s: float = 0.05,
        read_only: bool = False,
    ) -> None:
        self._pid = os.getpid()
        self._closed_because: str | None = "it was not opened yet"  # why calls are refused, or None while it is open
        if synchronous not in {"full", "normal"}:
            raise ConfigurationError(f"synchronous must be 'full' or 'normal', got {synchronous!r}")
        for name, seconds in (("busy_timeout_s", busy_timeout_s), ("linger_s", linger_s)):
            if not 0 <= seconds < float("inf"):
                raise ConfigurationError(f"{name} must be zero or more seconds, got {seconds!r}")
        refuse_database(path)
        self._opening = Opening(
            path=os.path.abspath(path),  # noqa: PTH100 - a text, and no look at the disk
            synchronous=synchronous,
            busy_timeout_s=busy_timeout_s,
            read_only=read_only,
        )
        self._linger_s = linger_s
        self._damaged: dict[int, DamagedRow] = {}
        self._claims = Claims()
        self._claiming = asyncio.Lock()
        self._inbox: Inbox = queue.SimpleQueue()
        self._waiting: list[Call] = []
        self._flush: asyncio.Handle | None = None
        self._flush_is_urgent = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: tuple[threading.Thread, asyncio.Future[None]] | None = None  # and its end

    @property
    def path(self) -> str:
        """The file, as an absolute path."""
        return self._opening.path

    @property
    def damaged(self) -> Sequence[DamagedRow]:
        """The damaged rows that this object has met so far, by their number. Reading leaves them out.

        `export(include_open=True)` reads all rows.
        """
        return [self._damaged[number] for number in sorted(self._damaged)]

    def __repr__(self) -> str:
        mode = ", read_only=True" if self._opening.read_only else ""
        return f"{type(self).__name__}({self.path!r}{mode})"

    # --- open and close -----------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Open the file, on its own thread.

        Raises:
            LedgerError: It cannot be opened, and is unchanged.
        """
        if self._loop is not None:
            raise LedgerClosed(self.path, "a ledger object is opened only once; make another one")
        loop = self._loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        opened: asyncio.Future[None] = loop.create_future()
        ended: asyncio.Future[None] = loop.create_future()
        thread = threading.Thread(
            target=run_writer,
            args=(self._opening, self._inbox, opened, ended, loop),
            name=f"pollwise-ledger-{os.path.basename(self.path)}",  # noqa: PTH119 - the path is a text
            daemon=True,  # a ledger that was not closed must not keep the interpreter from ending
        )
        thread.start()
        self._running = thread, ended
        try:
            await opened
        except BaseException:  # cancelled: the thread closes what it opens
            self._inbox.put(None)
            self._closed_because = "it could not be opened"
            raise
        self._closed_because = None
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Finish all accepted calls, then close the file. A second call does nothing.

        A cancelled close continues in the background.

        Raises:
            LedgerUnsafe: The -wal was deleted, and another process keeps its rows from being saved.
        """
        if self._running is None or os.getpid() != self._pid:
            return
        self._own_loop()
        if self._closed_because is None:
            self._closed_because = "it was closed"
            self._flush_waiting()
            self._inbox.put(None)
        thread, ended = self._running
        await asyncio.wait([ended])
        thread.join()  # it has reported its end
        self._running = None
        ended.result()

    def __del__(self) -> None:
        if self._closed_because is None and os.getpid() == self._pid:
            self._closed_because = "it was never closed"
            self._inbox.put(None)
            warnings.warn(f"{self!r} was never closed", ResourceWarning, source=self, stacklevel=2)

    # --- the calls ----------------------------------------------------------------------------

    async def record(self, watches: Sequence[NewWatch], /) -> Sequence[Recorded]:
        """See `Ledger.record`. More than about 10,000 watches in one call delay other calls."""
        return await self._write(RECORD, watches, [])

    async def update(self, changes: Sequence[Change], /) -> None:
        """See `Ledger.update`. A call of fewer than 100 changes waits up to `linger_s` for others before its commit."""
        await self._write(UPDATE, changes, None)

    async def conclude(self, outcomes: Sequence[Conclusion], /) -> int:
        """See `Ledger.conclude`."""
        return await self._write(CONCLUDE, outcomes, 0)

    async def acknowledge(self, outcomes: Sequence[Acknowledgement], /) -> int:
        """See `Ledger.acknowledge`."""
        outcomes = tuple(outcomes)  # the caller may change its list meanwhile
        count = await self._write(ACKNOWLEDGE, outcomes, 0)
        self._claims.drop(outcomes)
        return count

    async def claim(
        self, endpoint: str, account: str = "", /, *, limit: int = 1_000, lease_s: float = 60.0
    ) -> Sequence[Concluded]:
        """See `Ledger.claim`. Claims end with this object, because no other process could acknowledge them."""
        check_claim(limit, lease_s)
        loop = self._check_writable()
        async with self._claiming:  # one call after another, so that no two of them see an outcome as free
            held = self._claims.held(loop.time())
            found = await self._read(UNCLAIMED, Unclaimed(endpoint, account, limit, held))
            self._claims.take(found.rows, loop.time() + lease_s)
        return found.rows

    async def release_claims(self, outcomes: Sequence[Acknowledgement], /) -> None:
        """See `Ledger.release_claims`."""
        self._check_writable()
        self._claims.drop(outcomes)

    async def reopen(self, renewals: Sequence[Renewal], /) -> int:
        """See `Ledger.reopen`."""
        renewals = tuple(renewals)
        count = await self._write(REOPEN, renewals, 0)
        self._claims.drop(renewals)
        return count

    async def relocate(self, relocations: Sequence[Relocation], /) -> None:
        """See `Ledger.relocate`."""
        await self._write(RELOCATE, relocations, None)

    async def origins(self, endpoint: str, account: str = "", /) -> Sequence[OriginCount]:
        """See `Ledger.origins`."""
        return (await self._read(ORIGINS, (endpoint, account))).rows

    async def open_watches(
        self, endpoint: str, account: str = "", /, *, after: int = 0
    ) -> AsyncIterator[Sequence[OpenWatch]]:
        """See `Ledger.open_watches`."""
        async for chunk in self._pages(OPEN, Page(after, _CHUNK, endpoint, account)):
            yield chunk

    async def unacknowledged(self, endpoint: str, account: str = "", /) -> AsyncIterator[Sequence[Concluded]]:
        """See `Ledger.unacknowledged`."""
        async for chunk in self._pages(UNACKNOWLEDGED, Page(0, _CHUNK, endpoint, account)):
            yield chunk

    async def count_unacknowledged(self, endpoint: str, account: str = "", /) -> int:
        """How many outcomes of this endpoint and account are not acknowledged. Damaged rows may be among them."""
        return await self._call(COUNT_UNACKNOWLEDGED, (endpoint, account))

    async def durations(self, endpoint: str, account: str = "", /, *, newest: int = 1_000) -> Sequence[float]:
        """See `Ledger.durations`."""
        return (await self._read(DURATIONS, (endpoint, account, newest))).rows

    async def export(self, *, include_open: bool = False) -> AsyncIterator[bytes]:
        """See `Ledger.export`."""
        async for lines in self._pages(EXPORT, Page(0, _CHUNK, include_open=include_open)):
            yield b"".join(lines)

    # --- starts -------------------------------------------------------------------------------

    async def intend_submits(self, intents: Sequence[NewIntent], /) -> Sequence[Intended]:
        """See `KeepsIntents.intend_submits`."""
        return await self._write(INTEND, intents, [])

    async def unfinished_submits(self, endpoint: str | None = None, account: str | None = None, /) -> Sequence[Intent]:
        """See `KeepsIntents.unfinished_submits`."""
        return await self._call(UNFINISHED, (endpoint, account))

    async def forget_submits(self, ids: Sequence[int], /) -> int:
        """See `KeepsIntents.forget_submits`."""
        return await self._write(FORGET, ids, 0)

    # --- damaged rows -------------------------------------------------------------------------

    async def _pages(self, work: Work[Page, Found[R]], page: Page) -> AsyncIterator[Sequence[R]]:
        """The sound rows, in chunks that are not empty."""
        while (found := await self._read(work, page)).last:
            page = attrs.evolve(page, after=found.last)
            if found.rows:
                yield found.rows

    async def _read(self, work: Work[P, Found[R]], payload: P) -> Found[R]:
        found = await self._call(work, payload)
        self._note(found.damaged)
        return found

    def _note(self, damaged: Sequence[DamagedRow]) -> None:
        """Remember these rows, and log each of them once."""
        new = [row for row in damaged if row.id not in self._damaged]
        if new:
            self._damaged.update((row.id, row) for row in new)
            _log.warning(
                "%s is damaged in %s (%s): left out, all other rows are used; see `pollwise ledger check`",
                self.path,
                row_names([row.id for row in new]),
                new[0].reason,
                extra=log_fields(path=self.path, rows=len(new)),
            )

    # --- calls for the writer -------------------------------------------------------------

    async def _write(self, work: Work[Sequence[P], R], items: Sequence[P], nothing: R) -> R:
        self._check_writable()
        # A copy, because the caller may change its list while the call waits.
        urgent = work.urgent or len(items) >= _URGENT_ITEMS
        try:
            return await self._call(work, tuple(items), urgent=urgent) if items else nothing
        except LedgerCorrupt as exc:
            if isinstance(exc.__cause__, DamagedRows):
                self._note(exc.__cause__.damaged)
            raise

    async def _call(self, work: Work[P, R], payload: P, *, urgent: bool = True) -> R:
        loop = self._check_open()
        future: asyncio.Future[R] = loop.create_future()
        self._waiting.append(Call(work, payload, future))
        if self._flush is None or (urgent and not self._flush_is_urgent):
            self._schedule(loop, urgent=urgent)
        return await future

    def _schedule(self, loop: asyncio.AbstractEventLoop, *, urgent: bool) -> None:
        if self._flush is not None:
            self._flush.cancel()
        self._flush_is_urgent = urgent
        self._flush = (
            loop.call_soon(self._flush_waiting) if urgent else loop.call_later(self._linger_s, self._flush_waiting)
        )

    def _flush_waiting(self) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if self._waiting:
            self._inbox.put(self._waiting)
            self._waiting = []

    def _check_writable(self) -> asyncio.AbstractEventLoop:
        loop = self._check_open()
        if self._opening.read_only:
            raise LedgerUnwritable(self.path, "it was opened with read_only=True", read_only=True)
        return loop

    def _check_open(self) -> asyncio.AbstractEventLoop:
        if os.getpid() != self._pid:
            raise LedgerClosed(self.path, "it belongs to the process that this one was forked from")
        if self._closed_because is not None:
            raise LedgerClosed(self.path, self._closed_because)
        return self._own_loop()

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            raise LedgerClosed(self.path, "it belongs to another event loop")
        return loop
