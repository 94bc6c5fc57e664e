"""The calls of a ledger that write: their rows, and what their statement returned as the result of each call.

Rule 1: calls of one kind that wait together become one statement. Each call gets the result that it would have had alone, in
the order in which they were made.
Rule 2: a statement gets each row once. Of two states of a watch the later one is written, of two outcomes the first one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import attrs
import orjson

from pollwise.errors import ConfigurationError
from pollwise.ledger.errors import LeaseLost, LedgerCorrupt, LedgerFailed
from pollwise.ledger.intent_rows import intent_from
from pollwise.ledger.intents import Intended, Intent, NewIntent
from pollwise.ledger.postgres.columns import (
    change_row,
    columns_of,
    conclusion_row,
    intent_row,
    lock_key,
    plain_text,
    watch_of,
    watch_row,
)
from pollwise.ledger.postgres.connections import Connections
from pollwise.ledger.postgres.sql import Fence, Statements
from pollwise.ledger.records import Acknowledgement, NewWatch, Recorded, Relocation, Renewal
from pollwise.ledger.rows import Row, UnsoundRow, microseconds
from pollwise.ledger.shards import Shard

__all__ = [
    "ACKNOWLEDGE",
    "CONCLUDE",
    "FORGET",
    "INTEND",
    "RECORD",
    "RELEASE",
    "RELOCATE",
    "REOPEN",
    "UPDATE",
    "Kind",
    "Session",
    "intent_of",
]

_TRIES = 5  # of recording a job that another process records at the same time


class Fetch(Protocol):
    """Sends one statement."""

    async def __call__(self, sql: str, *values: object, rows: int = 0) -> Sequence[Any]: ...


@attrs.frozen(kw_only=True)
class Session:
    """What a statement needs besides its rows.

    Attributes:
        connections: The connections.
        statements: The statements for the schema, fenced if there is a fence.
        fence: The right to write, or None for a ledger that needs none.
        fetch: Sends a statement. By default by any connection.
    """

    connections: Connections
    statements: Statements
    fence: Fence | None = None
    fetch: Fetch = attrs.Factory(lambda self: self.connections.fetch, takes_self=True)

    async def write(self, sql: str, *values: object, rows: int) -> Sequence[Any]:
        """The rows of a statement that writes.

        Raises:
            LeaseLost: Another process owns the shard. Nothing was written.
        """
        first = () if self.fence is None else self.fence.values
        found = await self.fetch(sql, *first, *values, rows=rows)
        if self.fence is not None and not found[0]["held"]:
            shard = Shard(self.fence.endpoint, self.fence.account)
            raise LeaseLost(self.connections.where, shard, f"its epoch {self.fence.epoch} is over")
        return found


class Kind(Protocol):
    """One kind of call."""

    @property
    def urgent(self) -> bool:
        """Whether a call does not wait for others."""
        ...

    def rows_of(self, items: Sequence[Any], /) -> Sequence[Row]:
        """The rows of a call. Raises ConfigurationError for a value that cannot be kept."""
        ...

    async def carry_out(self, session: Session, calls: Sequence[Sequence[Row]], /) -> Sequence[Any]:
        """The result of each call, or its exception. Raises what made all of them fail."""
        ...


@attrs.frozen(kw_only=True)
class _Changes:
    """Calls that change rows by their number, and return how many they changed."""

    statement: Callable[[Statements], str]
    row: Callable[[Any], Row]
    width: int
    with_generation: bool = False
    last_wins: bool = False
    urgent: bool = True

    def rows_of(self, items: Sequence[Any], /) -> Sequence[Row]:
        return [self.row(item) for item in items]

    async def carry_out(self, session: Session, calls: Sequence[Sequence[Row]], /) -> Sequence[int]:
        rows: dict[Row, Row] = {}
        first: dict[Row, int] = {}
        for number, call in enumerate(calls):
            for row in call:
                key = row[:2] if self.with_generation else (row[0], 0)
                if self.last_wins or key not in rows:
                    rows[key] = row
                first.setdefault(key, number)
        values = columns_of((rows[key] for key in sorted(rows)), self.width)
        found = await session.write(self.statement(session.statements), *values, rows=len(rows))
        counts = [0] * len(calls)
        for _, number, generation in found:
            if number is not None:
                counts[first[number, generation]] += 1
        return counts


@attrs.frozen
class _Record:
    urgent: bool = True

    def rows_of(self, items: Sequence[NewWatch], /) -> Sequence[Row]:
        return [(watch_row(item), item.intent) for item in items]

    async def carry_out(self, session: Session, calls: Sequence[Sequence[Row]], /) -> Sequence[Any]:
        rows: dict[bytes, Row] = {}
        intents: dict[int, bytes] = {}
        for row, intent in (item for call in calls for item in call):
            rows.setdefault(row[0], row)
            if intent is not None:
                intents.setdefault(intent, row[0])
        new: dict[bytes, int] = {}
        known: dict[bytes, Row] = {}
        for _ in range(_TRIES):
            missing = [row for identity, row in rows.items() if identity not in new and identity not in known]
            if not missing:
                break
            await self._send(session, missing, intents, new, known)
        else:
            raise LedgerFailed(
                session.connections.where, "jobs are recorded and removed by another program meanwhile", "Call again"
            )
        fresh = set(new)
        for identity, number in new.items():
            _, *row = rows[identity]
            known[identity] = (number, *row[:6], 0, *row[6:-1], False, row[-1])  # as it is now
        return [_recorded(session.connections.where, [row[0] for row, _ in call], known, fresh) for call in calls]

    async def _send(
        self,
        session: Session,
        rows: Sequence[Row],
        intents: Mapping[int, bytes],
        new: dict[bytes, int],
        known: dict[bytes, Row],
    ) -> None:
        shards = sorted({(row[1], row[2]) for row in rows})
        if session.fence is not None and shards != [session.fence.values[:2]]:
            raise ConfigurationError(
                f"this ledger is fenced for {session.fence.endpoint!r} and records no watch of {shards[0][0]!r}; record it with"
                " the ledger that made it"
            )
        locks = sorted(lock_key("record", session.connections.schema, *shard) for shard in shards)
        found = await session.write(
            session.statements.record,
            *columns_of(rows, len(rows[0])),
            locks,
            list(intents),
            list(intents.values()),
            session.fence is None,  # the owner of the shard knows what it records
            rows=len(rows),
        )
        for _, _, is_new, identity, number, *rest in found:
            if is_new:
                new[identity] = number
            elif identity is not None:
                known.setdefault(identity, (number, *rest))


def _recorded(
    where: str, identities: Sequence[bytes], known: Mapping[bytes, Row], fresh: set[bytes]
) -> Sequence[Recorded] | Exception:
    """The result of one call, or its exception. `fresh` are the new rows that no earlier item has got."""
    found: list[Recorded] = []
    try:
        for identity in identities:
            row = known[identity]
            if identity in fresh:
                fresh.remove(identity)
                found.append(Recorded(id=row[0], known=None))
            else:
                found.append(Recorded(id=row[0], known=watch_of(row)))
    except UnsoundRow as exc:
        return LedgerCorrupt(where, exc.damaged.reason, (exc.damaged.id,))
    return found


@attrs.frozen
class _Intend:
    urgent: bool = True

    def rows_of(self, items: Sequence[NewIntent], /) -> Sequence[Row]:
        return [intent_row(item) for item in items]

    async def carry_out(self, session: Session, calls: Sequence[Sequence[Row]], /) -> Sequence[Any]:
        rows: dict[bytes, Row] = {}
        for row in (row for call in calls for row in call):
            rows.setdefault(row[0], row)
        call = os.urandom(12)  # says after a lost connection which rows this call has written
        known: dict[bytes, tuple[bool, Intent]] = {}
        for _ in range(_TRIES):
            missing = [row for identity, row in rows.items() if identity not in known]
            if not missing:
                break
            values = columns_of(missing, len(missing[0]))
            for _, is_new, identity, number, *rest in await session.write(
                session.statements.intend, *values, call, rows=len(missing)
            ):
                if identity is not None:
                    known[identity] = is_new, intent_of((number, *((*rows[identity][1:], None) if is_new else rest)))
        else:
            raise LedgerFailed(
                session.connections.where, "starts are removed by another program meanwhile", "Call again"
            )
        given: set[bytes] = set()
        return [[_intended(row[0], known, given) for row in items] for items in calls]


def _intended(identity: bytes, known: Mapping[bytes, tuple[bool, Intent]], given: set[bytes]) -> Intended:
    is_new, intent = known[identity]
    first = is_new and identity not in given
    given.add(identity)
    return Intended(id=intent.id, known=None if first else intent)


def intent_of(row: Iterable[Any]) -> Intent:
    """The intent of its number, endpoint, account, key, digest, time, and the keys of its job as JSON or None."""
    *columns, job = row
    return intent_from(columns, None if job is None else orjson.loads(job))


@attrs.frozen
class _Forget:
    urgent: bool = True

    def rows_of(self, items: Sequence[int], /) -> Sequence[Row]:
        return [(number,) for number in items]

    async def carry_out(self, session: Session, calls: Sequence[Sequence[Row]], /) -> Sequence[int]:
        first: dict[int, int] = {}
        for n, call in enumerate(calls):
            for (number,) in call:
                first.setdefault(number, n)
        counts = [0] * len(calls)
        for _, number in await session.write(session.statements.forget, sorted(first), rows=len(first)):
            if number is not None:
                counts[first[number]] += 1
        return counts


def _acknowledgement_row(one: Acknowledgement) -> Row:
    return (one.id, one.generation)


def _renewal_row(one: Renewal) -> Row:
    return (one.id, one.generation, microseconds(one.deadline), plain_text(one.origin, "origin"))


def _relocation_row(one: Relocation) -> Row:
    return (one.id, plain_text(one.origin, "origin"))


RECORD: Kind = _Record()
UPDATE: Kind = _Changes(statement=lambda all_: all_.update, row=change_row, width=7, last_wins=True, urgent=False)
CONCLUDE: Kind = _Changes(statement=lambda all_: all_.conclude, row=conclusion_row, width=12)
ACKNOWLEDGE: Kind = _Changes(
    statement=lambda all_: all_.acknowledge, row=_acknowledgement_row, width=2, with_generation=True
)
RELEASE: Kind = _Changes(statement=lambda all_: all_.release, row=_acknowledgement_row, width=2, with_generation=True)
REOPEN: Kind = _Changes(statement=lambda all_: all_.reopen, row=_renewal_row, width=4, with_generation=True)
RELOCATE: Kind = _Changes(statement=lambda all_: all_.relocate, row=_relocation_row, width=2, last_wins=True)
INTEND: Kind = _Intend()
FORGET: Kind = _Forget()
