"""A ledger in memory. It needs no thread, so it works under a virtual clock, and a test can make its calls fail."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
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
from pollwise.ledger.checksums import OLDER
from pollwise.ledger.claims import Claims, check_claim
from pollwise.ledger.rows import COLUMNS, json_of, key_text, line_of, microseconds, state_of, text_of

Row = OpenWatch | Concluded

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
        self._last_intent = 0
        self._claims = Claims()
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
        watches = tuple(watches)
        async with self._lock:
            await self._call("record", watches)
            for watch in watches:
                _check_new(watch)
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
            first_seen=_kept_time(watch.first_seen),
            deadline=_kept_time(watch.deadline),
            phase=None,
            polls=0,
            failures=0,
            status=None,
            cursor=watch.cursor,
        )
        if watch.outcome is not None:
            self._conclude(attrs.evolve(watch.outcome, id=number))
        return Recorded(id=number, known=None)

    async def update(self, changes: Sequence[Change], /) -> None:
        changes = tuple(changes)
        async with self._lock:
            await self._call("update", changes)
            for change in changes:
                _check_change(change)
            for change in changes:
                row = self.rows.get(change.id)
                if isinstance(row, OpenWatch):
                    self.rows[change.id] = attrs.evolve(row, **attrs.asdict(change, recurse=False))

    async def conclude(self, outcomes: Sequence[Conclusion], /) -> int:
        outcomes = tuple(outcomes)
        async with self._lock:
            await self._call("conclude", outcomes)
            for end in outcomes:
                _check_state(end)
            return sum(map(self._conclude, outcomes))

    def _conclude(self, end: Conclusion) -> bool:
        row = self.rows.get(end.id)
        if not isinstance(row, OpenWatch):
            return False
        words = {"error_type": text_of(end.error_type), "error_message": text_of(end.error_message)}
        known, given = attrs.asdict(row, recurse=False), attrs.asdict(end, recurse=False)
        self.rows[end.id] = Concluded(**{**known, **given, **words, "acknowledged": False})
        return True

    async def acknowledge(self, outcomes: Sequence[Acknowledgement], /) -> int:
        outcomes = tuple(outcomes)
        async with self._lock:
            await self._call("acknowledge", outcomes)
            for one in outcomes:
                _check_number(one.id)
            new = 0
            for one in outcomes:
                row = self.rows.get(one.id)
                if isinstance(row, Concluded) and not row.acknowledged and row.generation == one.generation:
                    self.rows[one.id] = attrs.evolve(row, acknowledged=True)
                    new += 1
            self._claims.drop(outcomes)
            return new

    async def claim(
        self, endpoint: str, account: str = "", /, *, limit: int = 1_000, lease_s: float = 60.0
    ) -> Sequence[Concluded]:
        check_claim(limit, lease_s)
        async with self._lock:
            await self._call("claim")
            now = asyncio.get_running_loop().time()
            held = self._claims.held(now)
            waiting = [row for row in self._of(endpoint, account) if isinstance(row, Concluded)]
            free = [row for row in waiting if not row.acknowledged and row.id not in held][:limit]
            self._claims.take(free, now + lease_s)
            return free

    async def release_claims(self, outcomes: Sequence[Acknowledgement], /) -> None:
        outcomes = tuple(outcomes)
        async with self._lock:
            await self._call("release_claims", outcomes)
            self._claims.drop(outcomes)

    async def reopen(self, renewals: Sequence[Renewal], /) -> int:
        renewals = tuple(renewals)
        async with self._lock:
            await self._call("reopen", renewals)
            new = 0
            for renewal in renewals:
                row = self.rows.get(renewal.id)
                if (
                    isinstance(row, Concluded)
                    and row.outcome is OutcomeKind.ABANDONED
                    and row.generation == renewal.generation
                ):
                    kept = {field.name: getattr(row, field.name) for field in attrs.fields(OpenWatch)}
                    new_ones = {
                        "deadline": _kept_time(renewal.deadline),
                        "failures": 0,
                        "origin": renewal.origin or row.origin,
                    }
                    new_ones["generation"] = row.generation + 1
                    self.rows[row.id] = OpenWatch(**{**kept, **new_ones})
                    new += 1
            self._claims.drop(renewals)
            return new

    async def relocate(self, relocations: Sequence[Relocation], /) -> None:
        relocations = tuple(relocations)
        async with self._lock:
            await self._call("relocate", relocations)
            for relocation in relocations:
                row = self.rows.get(relocation.id)
                if isinstance(row, OpenWatch):
                    self.rows[row.id] = attrs.evolve(row, origin=relocation.origin)

    async def intend_submits(self, intents: Sequence[NewIntent], /) -> Sequence[Intended]:
        intents = tuple(intents)
        async with self._lock:
            await self._call("intend_submits", intents)
            return [self._intend(intent) for intent in intents]

    def _intend(self, new: NewIntent) -> Intended:
        for known in self.intents.values():
            if (known.endpoint, known.account, known.key) == (new.endpoint, new.account, new.key):
                return Intended(id=known.id, known=known)
        self._last_intent = number = self._last_intent + 1
        self.intents[number] = Intent(id=number, **{**attrs.asdict(new, recurse=False), "began": _kept_time(new.began)})
        return Intended(id=number, known=None)

    async def unfinished_submits(self, endpoint: str | None = None, account: str | None = None, /) -> Sequence[Intent]:
        await self._call("unfinished_submits")
        return [
            intent
            for intent in self.intents.values()
            if intent.keys is None and endpoint in {None, intent.endpoint} and account in {None, intent.account}
        ]

    async def forget_submits(self, ids: Sequence[int], /) -> int:
        ids = tuple(ids)
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

    async def _pages(
        self, name: str, endpoint: str, account: str, kind: type[Any], after: int = 0
    ) -> AsyncIterator[Sequence[Any]]:
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

    def open_watches(
        self, endpoint: str, account: str = "", /, *, after: int = 0
    ) -> AsyncIterator[Sequence[OpenWatch]]:
        return self._pages("open_watches", endpoint, account, OpenWatch, after)

    def unacknowledged(self, endpoint: str, account: str = "", /) -> AsyncIterator[Sequence[Concluded]]:
        return self._pages("unacknowledged", endpoint, account, Concluded)

    async def durations(self, endpoint: str, account: str = "", /, *, newest: int = 1_000) -> Sequence[float]:
        await self._call("durations")
        rows = reversed(self._of(endpoint, account))
        ends = [row for row in rows if isinstance(row, Concluded) and row.outcome is OutcomeKind.SUCCEEDED]
        return [row.elapsed_s for row in ends[:newest]]

    async def export(self, *, include_open: bool = False) -> AsyncIterator[bytes]:
        rows = [row for _, row in sorted(self.rows.items()) if include_open or isinstance(row, Concluded)]
        for n in range(0, len(rows), self.chunk):
            yield b"".join(map(_line, rows[n : n + self.chunk]))


def _check_new(watch: NewWatch) -> None:
    key_text(watch.keys)
    key_text({watch.endpoint: watch.account})
    json_of(watch.cursor, "cursor")
    if watch.outcome is not None:
        _check_state(watch.outcome)


def _check_state(known: Conclusion) -> None:
    state_of(known)
    json_of(known.cursor, "cursor")


def _check_change(change: Change) -> None:
    """As `_check_state`, without a call into pollwise: `hops.py` counts those of a steady poll."""
    if change.seen_s is not None and not math.isfinite(change.seen_s):
        raise ConfigurationError(f"seen_s must be a finite number of seconds, got {change.seen_s!r}")
    for name in ("status", "cursor"):
        document = getattr(change, name)
        try:
            orjson.loads(b"null" if document is None else document)
        except ValueError as exc:
            raise ConfigurationError(f"the {name} is not one JSON document in bytes: {exc}") from exc


def _check_number(number: int) -> None:
    if not -(2**63) <= number < 2**63:
        raise ConfigurationError(f"the number {number} cannot be kept")


def _kept_time(time: datetime | None) -> Any:
    """The same time in UTC."""
    return None if time is None else _EPOCH + timedelta(microseconds=microseconds(time) or 0)


def _line(row: Row) -> bytes:
    """The row as a ledger in a file exports it."""
    columns = {
        **attrs.asdict(row, recurse=False),
        "job": key_text(row.keys),
        "first_seen_us": microseconds(row.first_seen),
        "deadline_us": microseconds(row.deadline),
        "phase": None if row.phase is None else row.phase.value,
        "outcome": row.outcome.value if isinstance(row, Concluded) else None,
        "acknowledged": int(isinstance(row, Concluded) and row.acknowledged),
        "job_checksum": OLDER,
        "state_checksum": OLDER,
    }
    return line_of(tuple(columns.get(name) for name in COLUMNS.split(", ")))
