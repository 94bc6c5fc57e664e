"""Writes outcomes. An outcome is published after it is on disk.

Rule 1: outcomes that wait are written in one call.
Rule 2: a call that fails is repeated, as `patience.py` decides. Then the watch ends with `LedgerWriteFailed`, and its row
stays open, so the next run polls the job again.
Rule 3: if the endpoint's codec cannot write a status, the watch ends with `EndpointBug`.
Rule 4: the table in `core/record_states.py` decides what follows a write. This file makes the calls and reports events.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

import attrs

from pollwise.core.record_states import RecordEvent, RecordState
from pollwise.durable.admission import Apply
from pollwise.durable.background_job import BackgroundJob, StartTask
from pollwise.durable.codec import conclusion_of, unwritable_outcome
from pollwise.durable.patience import Patience, in_halves
from pollwise.durable.recorded_watch import RecordedWatch, row_id_of, state_of, write_failed
from pollwise.errors import ConfigurationError, EndpointBug
from pollwise.ledger import Conclusion, Ledger
from pollwise.ledger.errors import is_of_one
from pollwise.model.events import Abandoned, Outcome
from pollwise.model.limits import ReplyLimits
from pollwise.model.protocols import Endpoint

__all__ = ["Outbox"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_PAGE = 250  # rows in one call: some milliseconds of the loop


@attrs.define(eq=False)
class _Entry(Generic[J, S]):
    """An outcome to be written. It was known at `since`. `error` is the error of the last try."""

    watch: RecordedWatch[J, S]
    conclusion: Conclusion
    since: float
    error: Exception | None = None


class Outbox(Generic[J, S]):
    """The queue of outcomes, and the task that writes them.

    Args:
        ledger: Where to write.
        endpoint: The endpoint of their jobs.
        limits: How large a status and an error may be.
        apply: Takes the events.
        start: Starts tasks.
        now: Returns monotonic seconds.
        patience: Says what is tried again.
        trace: Returns the traceparent of a job's watch, or None.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        endpoint: Endpoint[J, S],
        limits: ReplyLimits,
        apply: Apply,
        start: StartTask,
        now: Callable[[], float],
        patience: Patience,
        trace: Callable[[J], str | None],
    ) -> None:
        self._ledger = ledger
        self._endpoint = endpoint
        self._limits = limits
        self._trace = trace
        self._apply = apply
        self._now = now
        self._patience = patience
        self._queue: deque[_Entry[J, S]] = deque()
        self._job = BackgroundJob(self._work, start, "pollwise-outbox")

    def add(self, watch: RecordedWatch[J, S]) -> None:
        """Write the outcome of this watch."""
        try:
            conclusion = self._conclusion(watch)
        except Exception as exc:  # noqa: BLE001  # foreign code
            conclusion = self._without_status(watch, exc)
        self._queue.append(_Entry(watch, conclusion, self._now()))
        self._job.wake()

    @property
    def backlog(self) -> int:
        """How many outcomes wait to be written."""
        return len(self._queue)

    def discard(self) -> None:
        """Write nothing more."""
        self._queue.clear()

    async def join(self) -> None:
        """Wait until all outcomes are published."""
        await self._job.join()

    def _conclusion(self, watch: RecordedWatch[J, S]) -> Conclusion:
        machine = watch.machine
        return conclusion_of(
            row_id_of(watch),
            _outcome(watch),
            self._endpoint,
            failures=machine.failures,
            seen_s=machine.seen_s,
            cursor=machine.kept_cursor,
            limits=self._limits,
            traceparent=self._trace(watch.job),
        )

    def _without_status(self, watch: RecordedWatch[J, S], exc: Exception) -> Conclusion:
        """The outcome cannot be written, so the watch is abandoned instead."""
        self._apply(watch, RecordEvent.OUTCOME_REPLACED, unwritable_outcome(_outcome(watch), exc))
        return self._conclusion(watch)

    async def _work(self) -> None:
        while self._queue:
            entries = [self._queue.popleft() for _ in range(min(_PAGE, len(self._queue)))]
            try:
                again = await self._write(entries)
            except asyncio.CancelledError:
                self._interrupt(entries)
                raise
            if again:
                self._queue.extendleft(reversed(again))
                await self._patience.pause()

    async def _write(self, entries: Sequence[_Entry[J, S]]) -> Sequence[_Entry[J, S]]:
        """Write these, and return those that are to be tried again."""
        try:
            await self._ledger.conclude([entry.conclusion for entry in entries])
        except Exception as exc:  # noqa: BLE001  # foreign code
            if len(entries) > 1 and is_of_one(exc):
                return await in_halves(self._write, entries)
            if isinstance(exc, ConfigurationError):
                return self._on_unkeepable(entries[0], exc)
            return self._put_off(entries, exc)
        self._patience.succeeded()
        for entry in entries:
            self._apply(entry.watch, RecordEvent.OUTCOME_WRITTEN)
        return ()

    def _on_unkeepable(self, entry: _Entry[J, S], exc: ConfigurationError) -> Sequence[_Entry[Any, Any]]:
        """The ledger refuses this outcome. Write an EndpointBug without a status instead, once."""
        watch, outcome = entry.watch, _outcome(entry.watch)
        if isinstance(outcome, Abandoned) and isinstance(outcome.error, EndpointBug):
            self._refuse(watch, exc)
            return ()
        entry.conclusion = self._without_status(watch, exc)
        return [entry]

    def _put_off(self, entries: Sequence[_Entry[J, S]], exc: Exception) -> Sequence[_Entry[J, S]]:
        """End the watches whose outcomes are not tried again, and return the other entries."""
        for entry in entries:
            entry.error = exc
        again, refused = self._patience.failed(entries)
        for entry in again:
            self._apply(entry.watch, RecordEvent.WRITE_FAILED)
        for entry in refused:
            self._refuse(entry.watch, exc)
        return again

    def _refuse(self, watch: RecordedWatch[J, S], exc: Exception) -> None:
        self._apply(watch, RecordEvent.WRITE_REFUSED, write_failed(watch, exc, self._now(), asked=True))

    def _interrupt(self, entries: Sequence[_Entry[J, S]]) -> None:
        """The task was cancelled. The next task writes the unfinished entries."""
        left = [entry for entry in entries if state_of(entry.watch) is RecordState.CONCLUDING]
        for entry in left:
            self._apply(entry.watch, RecordEvent.WRITE_INTERRUPTED)
        self._queue.extendleft(reversed(left))


def _outcome(watch: RecordedWatch[J, S]) -> Outcome[J, S]:
    outcome = watch.machine.outcome
    assert outcome is not None  # noqa: S101  # the record is CONCLUDING
    return outcome
