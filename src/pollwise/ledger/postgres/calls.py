"""The calls of the `Ledger` protocol on PostgreSQL, with or without a fence.

Rule 1: this file opens and closes nothing. `ledger.py` does.
Rule 2: one event loop, one process. Calls from another one raise `LedgerClosed`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Self, TypeVar

import orjson

from pollwise.ledger.claims import check_claim
from pollwise.ledger.errors import LedgerClosed, LedgerUnwritable, row_names
from pollwise.ledger.intents import Intended, Intent, NewIntent
from pollwise.ledger.postgres.columns import unchecked, watch_of
from pollwise.ledger.postgres.connections import AnyConnection, Connections
from pollwise.ledger.postgres.faults import error_of
from pollwise.ledger.postgres.kinds import (
    ACKNOWLEDGE,
    CONCLUDE,
    FORGET,
    INTEND,
    RECORD,
    RELEASE,
    RELOCATE,
    REOPEN,
    UPDATE,
    Kind,
    Session,
    intent_of,
)
from pollwise.ledger.postgres.sql import Fence, statements_of
from pollwise.ledger.postgres.writer import Writer
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
from pollwise.ledger.rows import UnsoundRow, damaged_row, line_of
from pollwise.ledger.statements import sound_rows
from pollwise.model.log_fields import log_fields

__all__ = ["PostgresCalls"]

R = TypeVar("R")

_log = logging.getLogger(__name__)

_CHUNK = 1_000  # rows
_LONGEST_LEASE_S = 3.2e9  # a hundred years: PostgreSQL's intervals end later


class PostgresCalls(Ledger):
    """The calls of a ledger in PostgreSQL.

    Args:
        connections: The connections.
        fence: The right to write, or None for a ledger that needs none.
        linger_s: Seconds that an update may wait for other calls.
        read_only: Whether calls that write are refused.
    """

    def __init__(
        self, connections: Connections, *, fence: Fence | None = None, linger_s: float, read_only: bool = False
    ) -> None:
        self._connections = connections
        self._linger_s = linger_s
        self._read_only = read_only
        self._session = Session(
            connections=connections,
            statements=statements_of(connections.schema, fenced=fence is not None),
            fence=fence,
        )
        self._writer: Writer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._closed_because: str | None = "it was not opened yet"
        self._damaged: dict[int, DamagedRow] = {}

    @property
    def where(self) -> str:
        """The database, as a URL without credentials."""
        return self._connections.where

    @property
    def schema(self) -> str:
        """The name of the schema with the tables."""
        return self._connections.schema

    @property
    def damaged(self) -> Sequence[DamagedRow]:
        """The rows that this object could not read so far, by their number: another program has changed them."""
        return [self._damaged[number] for number in sorted(self._damaged)]

    @property
    def is_open(self) -> bool:
        """Whether calls are accepted."""
        return self._closed_because is None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Finish all accepted calls, then close the ledger. A second call does nothing."""
        if os.getpid() != self._pid:
            return
        if self._closed_because is None:
            self._closed_because = "it was closed"
        if self._writer is not None:
            await self._writer.aclose()
            self._writer = None

    def _begin(self) -> None:
        self._loop, self._pid = asyncio.get_running_loop(), os.getpid()
        self._writer = Writer(
            self._session, linger_s=self._linger_s, name=f"pollwise-ledger-{self._session.connections.schema}"
        )
        self._closed_because = None

    # --- the calls ----------------------------------------------------------------------------

    async def record(self, watches: Sequence[NewWatch], /) -> Sequence[Recorded]:
        """See `Ledger.record`."""
        found: Sequence[Recorded] = await self._write(RECORD, watches, [])
        return found

    async def update(self, changes: Sequence[Change], /) -> None:
        """See `Ledger.update`. A call of fewer than 100 changes waits up to `linger_s` for others before its commit."""
        await self._write(UPDATE, changes, None)

    async def conclude(self, outcomes: Sequence[Conclusion], /) -> int:
        """See `Ledger.conclude`."""
        return int(await self._write(CONCLUDE, outcomes, 0))

    async def acknowledge(
        self, outcomes: Sequence[Acknowledgement], /, *, connection: AnyConnection | None = None
    ) -> int:
        """See `Ledger.acknowledge`.

        Args:
            outcomes: The outcomes.
            connection: A connection of asyncpg to the same database, in a transaction of the caller's own. Then the outcomes
                are acknowledged if that transaction is committed, together with what else it does, and on disk after that.
        """
        if connection is None:
            return int(await self._write(ACKNOWLEDGE, outcomes, 0))
        self._check_open()
        rows = ACKNOWLEDGE.rows_of(outcomes)
        if not rows:
            return 0

        async def fetch(sql: str, *values: object, rows: int = 0) -> Sequence[Any]:
            del rows
            try:
                return await connection.fetch(sql, *values)
            except Exception as exc:
                raise error_of(exc, self.where, self.schema) from exc

        session = Session(
            connections=self._connections,
            statements=self._session.statements,
            fence=self._session.fence,
            fetch=fetch,
        )
        (count,) = await ACKNOWLEDGE.carry_out(session, [rows])
        return int(count)

    async def claim(
        self, endpoint: str, account: str = "", /, *, limit: int = 1_000, lease_s: float = 60.0
    ) -> Sequence[Concluded]:
        """See `Ledger.claim`. The time is that of the server. A claim outlives the process that made it."""
        check_claim(limit, lease_s)
        self._check_writable()
        found = await self._session.write(
            self._session.statements.claim,
            endpoint,
            account,
            min(limit, 2**63 - 1),
            min(lease_s, _LONGEST_LEASE_S),
            rows=min(limit, _CHUNK),
        )
        return self._sound([row[1:] for row in found if row["id"] is not None], _concluded)

    async def release_claims(self, outcomes: Sequence[Acknowledgement], /) -> None:
        """See `Ledger.release_claims`."""
        await self._write(RELEASE, outcomes, None)

    async def reopen(self, renewals: Sequence[Renewal], /) -> int:
        """See `Ledger.reopen`."""
        return int(await self._write(REOPEN, renewals, 0))

    async def relocate(self, relocations: Sequence[Relocation], /) -> None:
        """See `Ledger.relocate`."""
        await self._write(RELOCATE, relocations, None)

    async def origins(self, endpoint: str, account: str = "", /) -> Sequence[OriginCount]:
        """See `Ledger.origins`."""
        rows = await self._read(self._session.statements.origins, endpoint, account)
        return [OriginCount(origin=origin, watches=count, keys=orjson.loads(job)) for origin, count, job in rows]

    async def open_watches(
        self, endpoint: str, account: str = "", /, *, after: int = 0
    ) -> AsyncIterator[Sequence[OpenWatch]]:
        """See `Ledger.open_watches`."""
        async for chunk in self._pages(self._session.statements.open, (endpoint, account), after, _open):
            yield chunk

    async def unacknowledged(self, endpoint: str, account: str = "", /) -> AsyncIterator[Sequence[Concluded]]:
        """See `Ledger.unacknowledged`."""
        async for chunk in self._pages(self._session.statements.unacknowledged, (endpoint, account), 0, _concluded):
            yield chunk

    async def count_unacknowledged(self, endpoint: str, account: str = "", /) -> int:
        """How many outcomes of this endpoint and account are not acknowledged."""
        return int((await self._read(self._session.statements.count_unacknowledged, endpoint, account))[0][0])

    async def durations(self, endpoint: str, account: str = "", /, *, newest: int = 1_000) -> Sequence[float]:
        """See `Ledger.durations`."""
        rows = await self._read(self._session.statements.durations, endpoint, account, max(0, newest))
        return [row[0] for row in rows]

    async def export(self, *, include_open: bool = False) -> AsyncIterator[bytes]:
        """See `Ledger.export`."""
        after = 0
        while rows := await self._read(self._session.statements.export, after, include_open, _CHUNK):
            after = rows[-1][0]
            if lines := self._sound(rows, lambda row: line_of(unchecked(row))):
                yield b"".join(lines)

    # --- starts -------------------------------------------------------------------------------

    async def intend_submits(self, intents: Sequence[NewIntent], /) -> Sequence[Intended]:
        """See `KeepsIntents.intend_submits`."""
        found: Sequence[Intended] = await self._write(INTEND, intents, [])
        return found

    async def unfinished_submits(self, endpoint: str | None = None, account: str | None = None, /) -> Sequence[Intent]:
        """See `KeepsIntents.unfinished_submits`."""
        return [intent_of(row) for row in await self._read(self._session.statements.unfinished, endpoint, account)]

    async def forget_submits(self, ids: Sequence[int], /) -> int:
        """See `KeepsIntents.forget_submits`."""
        return int(await self._write(FORGET, ids, 0))

    # --- reading and writing ------------------------------------------------------------------

    async def _pages(
        self, sql: str, wanted: tuple[str, str], after: int, read: Callable[[Any], R]
    ) -> AsyncIterator[Sequence[R]]:
        """The rows that can be read, in chunks that are not empty."""
        while rows := await self._read(sql, *wanted, after, _CHUNK):
            after = rows[-1][0]
            if sound := self._sound(rows, read):
                yield sound

    def _sound(self, rows: Sequence[Any], read: Callable[[Any], R]) -> Sequence[R]:
        sound, damaged = sound_rows(rows, read)
        new = [row for row in damaged if row.id not in self._damaged]
        if new:
            self._damaged.update((row.id, row) for row in new)
            _log.warning(
                "%s has %s that another program has changed (%s): left out, all other rows are used",
                self.where,
                row_names([row.id for row in new]),
                new[0].reason,
                extra=log_fields(path=self.where, rows=len(new)),
            )
        return sound

    async def _read(self, sql: str, *values: object) -> Sequence[Any]:
        self._check_open()
        return await self._connections.fetch(sql, *values)

    async def _write(self, kind: Kind, items: Sequence[Any], nothing: Any) -> Any:
        writer = self._check_writable()
        return await writer.call(kind, tuple(items)) if items else nothing

    def _check_writable(self) -> Writer:
        writer = self._check_open()
        if self._read_only:
            raise LedgerUnwritable(self.where, "it was opened with read_only=True", read_only=True)
        return writer

    def _check_open(self) -> Writer:
        if os.getpid() != self._pid:
            raise LedgerClosed(self.where, "it belongs to the process that this one was forked from")
        if self._closed_because is not None or self._writer is None:
            raise LedgerClosed(self.where, self._closed_because or "it was closed")
        if asyncio.get_running_loop() is not self._loop:
            raise LedgerClosed(self.where, "it belongs to another event loop")
        return self._writer


def _open(row: Any) -> OpenWatch:
    known = watch_of(row)
    if isinstance(known, OpenWatch):
        return known
    raise UnsoundRow(damaged_row(unchecked(row), "it has an outcome"))


def _concluded(row: Any) -> Concluded:
    known = watch_of(row)
    if isinstance(known, Concluded):
        return known
    raise UnsoundRow(damaged_row(unchecked(row), "it has no outcome"))
