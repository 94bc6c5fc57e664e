"""A ledger that reports its successful writes to the progress of a batch.

Rule 1: the progress is updated only after a call has succeeded, so it never shows more than is on disk.
Rule 2: calls and results pass unchanged.

The progress comes from the ledger because a large batch has no task for each job that could read its events. Every change
of a job is written to the ledger.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Self

from pollwise.cli.batch_progress import BatchProgress
from pollwise.cli.ledger_entries import open_state
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
from pollwise.model.reading import Phase

__all__ = ["ObservedLedger"]


class ObservedLedger(Ledger):
    """Calls `ledger` and updates `progress`. `clock` returns monotonic seconds, and `wall_clock` epoch seconds."""

    def __init__(
        self,
        ledger: Ledger,
        progress: BatchProgress,
        clock: Callable[[], float],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._progress = progress
        self._clock = clock
        self._wall_clock = wall_clock
        self._abandoned: dict[int, Concluded] = {}  # abandoned in an earlier run, until `reopen`

    async def record(self, watches: Sequence[NewWatch], /) -> Sequence[Recorded]:
        """Call the ledger, then add the jobs to the progress."""
        recorded = await self._ledger.record(watches)
        for watch, found in zip(watches, recorded, strict=True):
            match found.known:
                case Concluded(outcome=OutcomeKind.ABANDONED) as known:
                    self._abandoned[found.id] = known
                case Concluded(outcome=outcome) as known:
                    self._progress.add_known(outcome.value, known)
                case OpenWatch() as known:
                    self._add_open(known, known.failures)
                case None:
                    self._progress.add_open(found.id, watch.endpoint, watch.keys, "waiting", self._clock(), 0)
        return recorded

    def _add_open(self, known: OpenWatch | Concluded, failures: int) -> None:
        age_s = max(0.0, self._wall_clock() - known.first_seen.timestamp())
        state, began_at = _word(known.phase, failures), self._clock() - age_s
        self._progress.add_open(known.id, known.endpoint, known.keys, state, began_at, known.polls, known.seen_s)

    async def update(self, changes: Sequence[Change], /) -> None:
        """Call the ledger, then update the progress."""
        await self._ledger.update(changes)
        now = self._clock()
        for change in changes:
            state = _word(change.phase, change.failures)
            self._progress.changed(change.id, state, change.polls, now, change.seen_s)

    async def conclude(self, outcomes: Sequence[Conclusion], /) -> int:
        """Call the ledger, then add the outcomes to the progress."""
        new = await self._ledger.conclude(outcomes)
        now = self._clock()
        for end in outcomes:
            self._progress.conclude_job(end.id, end.outcome.value, end.polls, end, now)
        return new

    async def acknowledge(self, outcomes: Sequence[Acknowledgement], /) -> int:
        """Call the ledger."""
        return await self._ledger.acknowledge(outcomes)

    async def claim(
        self, endpoint: str, account: str = "", /, *, limit: int = 1_000, lease_s: float = 60.0
    ) -> Sequence[Concluded]:
        """Call the ledger."""
        return await self._ledger.claim(endpoint, account, limit=limit, lease_s=lease_s)

    async def release_claims(self, outcomes: Sequence[Acknowledgement], /) -> None:
        """Call the ledger."""
        await self._ledger.release_claims(outcomes)

    async def reopen(self, renewals: Sequence[Renewal], /) -> int:
        """Call the ledger, then add the jobs to the progress."""
        renewed = await self._ledger.reopen(renewals)
        for renewal in renewals:
            known = self._abandoned.pop(renewal.id, None)
            if known is not None:
                self._add_open(known, failures=0)
        return renewed

    async def relocate(self, relocations: Sequence[Relocation], /) -> None:
        """Call the ledger."""
        await self._ledger.relocate(relocations)

    async def intend_submits(self, intents: Sequence[NewIntent], /) -> Sequence[Intended]:
        """Call the ledger."""
        return await self._ledger.intend_submits(intents)

    async def unfinished_submits(self, endpoint: str | None = None, account: str | None = None, /) -> Sequence[Intent]:
        """Call the ledger."""
        return await self._ledger.unfinished_submits(endpoint, account)

    async def forget_submits(self, ids: Sequence[int], /) -> int:
        """Call the ledger."""
        return await self._ledger.forget_submits(ids)

    async def origins(self, endpoint: str, account: str = "", /) -> Sequence[OriginCount]:
        """Call the ledger."""
        return await self._ledger.origins(endpoint, account)

    def open_watches(
        self, endpoint: str, account: str = "", /, *, after: int = 0
    ) -> AsyncIterator[Sequence[OpenWatch]]:
        """Call the ledger."""
        return self._ledger.open_watches(endpoint, account, after=after)

    def unacknowledged(self, endpoint: str, account: str = "", /) -> AsyncIterator[Sequence[Concluded]]:
        """Call the ledger."""
        return self._ledger.unacknowledged(endpoint, account)

    async def count_unacknowledged(self, endpoint: str, account: str = "", /) -> int | None:
        """Call the ledger, if it can count them."""
        count = getattr(self._ledger, "count_unacknowledged", None)
        return None if count is None else await count(endpoint, account)

    async def durations(self, endpoint: str, account: str = "", /, *, newest: int = 1_000) -> Sequence[float]:
        """Call the ledger."""
        return await self._ledger.durations(endpoint, account, newest=newest)

    def export(self, *, include_open: bool = False) -> AsyncIterator[bytes]:
        """Call the ledger."""
        return self._ledger.export(include_open=include_open)

    async def aclose(self) -> None:
        """Call the ledger."""
        await self._ledger.aclose()

    async def __aenter__(self) -> Self:
        await self._ledger.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._ledger.__aexit__(*exc_info)


def _word(phase: Phase | None, failures: int) -> str:
    return open_state(None if phase is None else phase.value, failures)
