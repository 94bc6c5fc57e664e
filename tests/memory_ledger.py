"""A ledger in memory. It needs no thread, so it works under a virtual clock, and a test can make its calls fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

import attrs
import orjson

from pollwise.errors import ConfigurationError
from pollwise.ledger import (
    Acknowledgement,
    Change,
    Concluded,
    Conclusion,
    Intended,
    Intent,
    Ledger,
    NewIntent,
    NewWatch,
    OpenWatch,
    OriginCount,
    OutcomeKind,
    Recorded,
    Relocation,
    Renewal,
)

Row = OpenWatch | Concluded


class MemoryLedger(Ledger):
    """Keeps the promises of `Ledger` for as long as the process lives.

    Attributes:
        rows: By number.
        intents: By number.
        calls: The name of each call that was made, with how many items it brought.
        latency_s: How long each call takes.
        failures: What the next calls of a name raise, in order; None lets one through.
        broken: What every call of a name raises.
        chunk: How many rows a page has.
    """

    def __init__(self, *, latency_s: float = 0.001, chunk: int = 1_000) -> None:
        self.rows: dict[int, Row] = {}
        self.intents: dict[int, Intent] = {}
        self.calls: list[tuple[str, int]] = []
        self.latency_s = latency_s
        self.failures: dict[str, list[Exception | None]] = {}
        self.broken: dict[str, Exception] = {}
        self.chunk = chunk
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        pass

    async def aclose(self) -> None:
        pass

    def named(self, name: str) -> list[int]:
        """How many items each call of this name brought."""
        return [items for called, items in self.calls if called == name]

    def of(self, **keys: str) -> Row:
        """The row of a job."""
        return next(row for row in self.rows.values() if row.keys == keys)

    async def _call(self, name: str, items: Sequence[Any] = ()) -> None:
        self.calls.append((name, len(items)))
        await asyncio.sleep(self.latency_s)
        planned = self.failures.get(name)
        failure = planned.pop(0) if planned else self.broken.get(name)
        if failure is not None:
            raise failure.with_traceback(None)

    async def record(self, watches: Sequence[NewWatch], /) -> Sequence[Recorded]:
        async with self._lock:
            await self._call("record", watches)
            for watch in watches:
                _check_text(*watch.keys.values())
            found = [self._record(watch) for watch in watches]
            for watch in watches:
                intent = self.intents.get(watch.intent or 0)
                if intent is not None and intent.keys is None:
                    self.intents[intent.id] = attrs.evolve(intent, keys=watch.keys)
            return found

    def _record(self, watch: NewWatch) -> Recorded:
        identity = (watch.endpoint, watch.account, *sorted(watch.keys.items()))
        if identity in self._numbers:
            number = self._numbers[identity]
            return Recorded(id=number, known=self.rows[number])
        number = self._numbers[identity] = len(self.rows) + 1
        self.rows[number] = OpenWatch(
            id=number,
            endpoint=watch.endpoint,
            account=watch.account,
            keys=watch.keys,
            origin=watch.origin,
            first_seen=watch.first_seen,
            deadline=watch.deadline,
            phase=None,
            polls=0,
            failures=0,
            status=None,
            cursor=watch.cursor,
        )
        if watch.outcome is not None:
            known = attrs.asdict(self.rows[number], recurse=False)
            end = attrs.asdict(attrs.evolve(watch.outcome, id=number), recurse=False)
            self.rows[number] = Concluded(**{**known, **end, "acknowledged": False})
        return Recorded(id=number, known=None)

    async def update(self, changes: Sequence[Change], /) -> None:
        async with self._lock:
            await self._call("update", changes)
            for change in changes:
                row = self.rows[change.id]
                if isinstance(row, OpenWatch):
                    self.rows[change.id] = attrs.evolve(row, **attrs.asdict(change, recurse=False))

    async def conclude(self, outcomes: Sequence[Conclusion], /) -> int:
        async with self._lock:
            await self._call("conclude", outcomes)
            for end in outcomes:
                if end.status is not None:
                    orjson.loads(end.status)
            new = [end for end in outcomes if isinstance(self.rows[end.id], OpenWatch)]
            for end in new:
                known = attrs.asdict(self.rows[end.id], recurse=False)
                self.rows[end.id] = Concluded(**{**known, **attrs.asdict(end, recurse=False), "acknowledged": False})
            return len(new)

    async def acknowledge(self, outcomes: Sequence[Acknowledgement], /) -> int:
        async with self._lock:
            await self._call("acknowledge", outcomes)
            new = 0
            for one in outcomes:
                row = self.rows[one.id]
                if isinstance(row, Concluded) and not row.acknowledged and row.generation == one.generation:
                    self.rows[one.id] = attrs.evolve(row, acknowledged=True)
                    new += 1
            return new

    async def reopen(self, renewals: Sequence[Renewal], /) -> int:
        async with self._lock:
            await self._call("reopen", renewals)
            new = 0
            for renewal in renewals:
                row = self.rows[renewal.id]
                if (
                    isinstance(row, Concluded)
                    and row.outcome is OutcomeKind.ABANDONED
                    and row.generation == renewal.generation
                ):
                    kept = {field.name: getattr(row, field.name) for field in attrs.fields(OpenWatch)}
                    new_ones = {"deadline": renewal.deadline, "failures": 0, "origin": renewal.origin or row.origin}
                    new_ones["generation"] = row.generation + 1
                    self.rows[row.id] = OpenWatch(**{**kept, **new_ones})
                    new += 1
            return new

    async def relocate(self, relocations: Sequence[Relocation], /) -> None:
        async with self._lock:
            await self._call("relocate", relocations)
            for relocation in relocations:
                row = self.rows[relocation.id]
                if isinstance(row, OpenWatch):
                    self.rows[row.id] = attrs.evolve(row, origin=relocation.origin)

    async def intend_submits(self, intents: Sequence[NewIntent], /) -> Sequence[Intended]:
        async with self._lock:
            await self._call("intend_submits", intents)
            return [self._intend(intent) for intent in intents]

    def _intend(self, new: NewIntent) -> Intended:
        for known in self.intents.values():
            if (known.endpoint, known.account, known.key) == (new.endpoint, new.account, new.key):
                return Intended(id=known.id, known=known)
        number = 1 + max(self.intents, default=0)
        self.intents[number] = Intent(id=number, **attrs.asdict(new, recurse=False))
        return Intended(id=number, known=None)

    async def unfinished_submits(self, endpoint: str | None = None, account: str | None = None, /) -> Sequence[Intent]:
        await self._call("unfinished_submits")
        return [
            intent
            for intent in self.intents.values()
            if intent.keys is None and endpoint in {None, intent.endpoint} and account in {None, intent.account}
        ]

    async def forget_submits(self, ids: Sequence[int], /) -> int:
        async with self._lock:
            await self._call("forget_submits", ids)
            gone = [number for number in ids if number in self.intents and self.intents[number].keys is None]
            for number in gone:
                del self.intents[number]
            return len(gone)

    async def origins(self, endpoint: str, account: str = "", /) -> Sequence[OriginCount]:
        await self._call("origins")
        rows = [row for row in self._of(endpoint, account) if isinstance(row, OpenWatch)]
        found = dict.fromkeys(row.origin for row in rows)
        by_origin = {origin: [row for row in rows if row.origin == origin] for origin in found}
        return [OriginCount(origin=at, watches=len(some), keys=some[0].keys) for at, some in by_origin.items()]

    def _of(self, endpoint: str, account: str) -> list[Row]:
        return [row for _, row in sorted(self.rows.items()) if (row.endpoint, row.account) == (endpoint, account)]

    async def _pages(self, name: str, endpoint: str, account: str, kind: type[Any]) -> AsyncIterator[Sequence[Any]]:
        after = 0
        while True:
            async with self._lock:
                await self._call(name)
                page = [
                    row
                    for row in self._of(endpoint, account)
                    if row.id > after and isinstance(row, kind)
                    if not getattr(row, "acknowledged", False)
                ][: self.chunk]
            if not page:
                return
            yield page
            after = page[-1].id

    def open_watches(self, endpoint: str, account: str = "", /) -> AsyncIterator[Sequence[OpenWatch]]:
        return self._pages("open_watches", endpoint, account, OpenWatch)

    def unacknowledged(self, endpoint: str, account: str = "", /) -> AsyncIterator[Sequence[Concluded]]:
        return self._pages("unacknowledged", endpoint, account, Concluded)

    async def durations(self, endpoint: str, account: str = "", /, *, newest: int = 1_000) -> Sequence[float]:
        await self._call("durations")
        rows = reversed(self._of(endpoint, account))
        ends = [row for row in rows if isinstance(row, Concluded) and row.outcome is OutcomeKind.SUCCEEDED]
        return [row.elapsed_s for row in ends[:newest]]

    async def export(self, *, include_open: bool = False) -> AsyncIterator[bytes]:
        raise NotImplementedError
        yield b""


def _check_text(*texts: str) -> None:
    for text in texts:
        if not text.isprintable():
            raise ConfigurationError(f"{text!a} cannot be kept")
