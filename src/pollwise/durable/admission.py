"""Writes new rows. A job is polled after its row is on disk.

Rule 1: rows that wait are written in one call, up to some pages. The results are processed page by page, so that the
event loop is not blocked.
Rule 2: a call that fails is repeated, as `patience.py` decides. Then its watches end with `LedgerWriteFailed`.
Rule 3: while the ledger fails, a watch that is stopped or whose deadline passes ends without a row. A pending call is
awaited first, so that an ended watch leaves no open row.
Rule 4: the table in `core/record_states.py` decides what follows a result. This file makes the calls and reports events.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import attrs

from pollwise.core.record_states import RecordEvent, RecordState, Write, continues_row, next_state
from pollwise.durable.background_job import BackgroundJob, StartTask
from pollwise.durable.patience import Patience, in_halves
from pollwise.durable.recorded_watch import (
    RecordedWatch,
    continue_from,
    end_from,
    facts_of,
    set_row_id,
    state_of,
    write_failed,
)
from pollwise.durable.watch_rows import WatchRows
from pollwise.errors import CallbackFailed, DeadlineExceeded, OriginChanged
from pollwise.ledger import Concluded, Ledger, NewWatch, OpenWatch, OutcomeKind, Recorded, Relocation
from pollwise.ledger.errors import is_of_one
from pollwise.model.events import Abandoned, Outcome
from pollwise.model.tracebacks import strip_tracebacks

__all__ = ["Admission", "Apply"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_PAGE = 250  # rows that are processed at a time: some milliseconds of the loop
_MAX_ROWS = 8 * _PAGE  # in one call: a commit costs as much for thousands of rows as for one
_SWEEP_S = 0.05  # min seconds between two checks of the deadlines of unwritten rows
_EARLY_S = 0.001  # more than a timer can come too early

_ENDED = frozenset({RecordState.ENDING, RecordState.LEAVING})
_ROW_WRITES = frozenset({Write.RECORD, Write.RELOCATE, Write.REOPEN})


class Apply(Protocol):
    """Takes an event of a watch's record, and does what the table says."""

    def __call__(
        self, watch: RecordedWatch[Any, Any], event: RecordEvent, outcome: Outcome[Any, Any] | None = None, /
    ) -> None:
        """`outcome` is the event's outcome, if it has one."""
        ...


@attrs.define(eq=False)
class _Entry(Generic[J, S]):
    """A row to be written.

    Attributes:
        since: When the write was first due, in monotonic seconds.
        error: Of the last try.
        recorded: The ledger's result.
        relocation: The new origin, if the ledger knew the job at an earlier one.
        settled: Done when the row is written, or when it is certain that it will not be. Created for the first caller that waits.
    """

    watch: RecordedWatch[J, S]
    row: NewWatch
    since: float
    error: Exception | None = None
    recorded: Recorded | None = None
    relocation: Relocation | None = None
    settled: asyncio.Future[None] | None = None


_ChangeRows: TypeAlias = Callable[[Sequence[_Entry[J, S]]], Awaitable[Sequence[_Entry[J, S]]]]


class Admission(Generic[J, S]):
    """The queue of new rows, and the task that writes them.

    Args:
        ledger: Where to write.
        rows: Says what the ledger's rows mean.
        apply: Takes the events.
        start: Starts tasks.
        now: Returns monotonic seconds.
        patience: Says what is tried again.
        generations: Gets the generation of each open row that was ever opened again, by ID.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        rows: WatchRows[J, S],
        apply: Apply,
        start: StartTask,
        now: Callable[[], float],
        patience: Patience,
        generations: dict[int, int],
    ) -> None:
        self._ledger = ledger
        self._rows = rows
        self._apply = apply
        self._now = now
        self._patience = patience
        self._queue: deque[_Entry[J, S]] = deque()
        self._entries: dict[RecordedWatch[J, S], _Entry[J, S]] = {}  # what is queued and not in here has ended
        self._busy = False  # a call is under way, or its answer is processed
        self._timer: asyncio.TimerHandle | None = None  # for the deadlines of what the ledger does not take
        self._context = contextvars.copy_context()
        self._job = BackgroundJob(self._work, start, "pollwise-admission")
        self._generations = generations

    def add(self, watch: RecordedWatch[J, S], row: NewWatch) -> None:
        """Write this row."""
        entry = self._entries[watch] = _Entry(watch, row, self._now())
        self._queue.append(entry)
        if self._patience.failing and not self._busy:
            self._sweep_at(watch.machine.deadline)
        self._job.wake()

    @property
    def backlog(self) -> int:
        """How many new rows wait to be written."""
        return len(self._entries)

    async def wait_settled(self, watch: RecordedWatch[J, S]) -> None:
        """Wait until its row is written, or will certainly not be."""
        entry = self._entries.get(watch)
        if entry is not None:
            if entry.settled is None:
                entry.settled = asyncio.get_running_loop().create_future()
            await asyncio.shield(entry.settled)

    def on_ending(self, watch: RecordedWatch[J, S]) -> None:
        """This watch has ended before its row was written."""
        entry = self._entries.get(watch)
        if entry is not None and self._patience.failing and not self._busy:
            self._drop([entry])

    async def join(self) -> None:
        """Wait until each row is written, or will certainly not be."""
        await self._job.join()

    def discard(self) -> None:
        """Write nothing more."""
        self._queue.clear()
        self._cancel_timer()
        entries = list(self._entries.values())
        for entry in entries:
            if state_of(entry.watch) is RecordState.LEAVING:
                self._apply(entry.watch, RecordEvent.DETACHED)
        self._settle(entries)

    async def _work(self) -> None:
        while self._queue:
            taken = [self._queue.popleft() for _ in range(min(len(self._queue), _MAX_ROWS))]
            entries = [entry for entry in taken if entry.watch in self._entries]
            self._busy = True
            try:
                again = self._put_off(await self._write(entries))
            except asyncio.CancelledError:
                self._interrupt(entries)
                raise
            finally:
                self._busy = False
            self._settle_except(again, entries)
            if again:
                self._queue.extendleft(reversed(again))
                self._sweep()
                await self._patience.pause()

    # --- what the ledger takes ------------------------------------------------------------------

    async def _write(self, entries: Sequence[_Entry[J, S]]) -> Sequence[_Entry[J, S]]:
        """Record these, and return those that failed."""
        if not entries:
            return ()
        try:
            found = await self._ledger.record([entry.row for entry in entries])
            pairs = list(zip(entries, found, strict=True))
        except Exception as exc:  # noqa: BLE001  # foreign code
            return await self._in_halves(self._write, entries, exc)
        failed: list[_Entry[J, S]] = []
        for n in range(0, len(pairs), _PAGE):
            if n:
                await asyncio.sleep(0)
            failed += await self._on_page(pairs[n : n + _PAGE])
        if not failed:
            self._patience.succeeded()
            self._cancel_timer()
        return failed

    async def _on_page(self, page: Sequence[tuple[_Entry[J, S], Recorded]]) -> Sequence[_Entry[J, S]]:
        """Process these results, and return the entries whose rows could not be changed."""
        failed: list[_Entry[J, S]] = []
        for entry, recorded in page:
            self._on_recorded(entry, recorded)
        for state, change in ((RecordState.REOPENING, self._reopen), (RecordState.RELOCATING, self._relocate)):
            if due := [entry for entry, _ in page if state_of(entry.watch) is state]:
                failed += await change(due)
        for entry, recorded in page:
            if state_of(entry.watch) in _ENDED and entry not in failed:
                self._on_recorded(entry, recorded)  # it ended before its row was changed, so the row stays as it was
        return failed

    def _on_recorded(self, entry: _Entry[J, S], recorded: Recorded) -> None:
        watch, known = entry.watch, recorded.known
        entry.recorded = recorded
        set_row_id(watch, recorded.id)
        if known is None:
            self._apply(watch, RecordEvent.ROW_WRITTEN)
        elif isinstance(known, OpenWatch):
            self._on_open_row(entry, known)
        else:
            abandoned = known.outcome is OutcomeKind.ABANDONED
            event = RecordEvent.FOUND_ABANDONED if abandoned else RecordEvent.FOUND_CONCLUDED
            publishes = next_state(state_of(watch), event) is RecordState.CONCLUDED
            self._apply(watch, event, self._rows.outcome(watch.job, known) if publishes else None)

    def _on_open_row(self, entry: _Entry[J, S], known: OpenWatch) -> None:
        watch = entry.watch
        if known.origin != entry.row.origin:
            try:
                entry.relocation = self._rows.relocation(watch.job, known)
            except OriginChanged as exc:
                machine, error = watch.machine, exc.with_traceback(None)
                outcome = machine.outcome or machine.abandoned(error, now=self._now())
                self._apply(watch, RecordEvent.FOUND_FOREIGN, outcome)
                return
            if entry.relocation is not None:
                self._go_on(watch, known, RecordEvent.FOUND_ELSEWHERE)
                return
        self._go_on(watch, known, RecordEvent.FOUND_OPEN)

    async def _reopen(self, entries: Sequence[_Entry[J, S]]) -> Sequence[_Entry[J, S]]:
        """Open these again, and return those that failed."""
        try:
            count = await self._ledger.reopen(
                [self._rows.renewal(entry.watch.job, known) for entry in entries if (known := _outcome_found(entry))]
            )
        except Exception as exc:  # noqa: BLE001  # foreign code
            return await self._in_halves(self._reopen, entries, exc)
        if count < len(entries):  # another watcher was first with some of them, so the ledger says what is there now
            for entry in entries:
                self._apply(entry.watch, RecordEvent.WRITE_INTERRUPTED)
            return await self._write(entries)
        for entry in entries:
            self._go_on(entry.watch, _outcome_found(entry), RecordEvent.REOPENED)
        return ()

    async def _relocate(self, entries: Sequence[_Entry[J, S]]) -> Sequence[_Entry[J, S]]:
        """Write the new origins of these, and return those that failed."""
        try:
            await self._ledger.relocate([entry.relocation for entry in entries if entry.relocation is not None])
        except Exception as exc:  # noqa: BLE001  # foreign code
            return await self._in_halves(self._relocate, entries, exc)
        for entry in entries:
            assert entry.recorded is not None  # noqa: S101  # it was found in the ledger
            self._go_on(entry.watch, entry.recorded.known, RecordEvent.RELOCATED)
        return ()

    def _go_on(self, watch: RecordedWatch[J, S], known: OpenWatch | Concluded | None, event: RecordEvent) -> None:
        """The row of an earlier run is open. The watch continues from it, also if the watch has ended meanwhile."""
        failed: CallbackFailed | None = None
        if known is not None:
            generation = known.generation + (event is RecordEvent.REOPENED)
            if generation:
                self._generations[known.id] = generation
        if known is not None and continues_row(state_of(watch), event):
            has_ended = watch.machine.outcome is not None
            go_on = end_from if has_ended else continue_from
            try:
                go_on(watch, self._rows.machine(watch.job, known), self._now())
            except CallbackFailed as exc:  # of the clock
                if not has_ended:
                    failed = exc.with_traceback(None)
                    failed.job = watch.job
        self._apply(watch, event)
        if failed is not None:
            watch.machine.on_stop(failed, now=self._now())
            self._apply(watch, RecordEvent.OUTCOME_KNOWN)

    # --- what the ledger does not take ----------------------------------------------------------

    async def _in_halves(
        self, change: _ChangeRows[J, S], entries: Sequence[_Entry[J, S]], exc: Exception
    ) -> Sequence[_Entry[J, S]]:
        """This call failed. If the fault lies in one entry, make it for each half. Returns the entries that failed."""
        if len(entries) == 1 or not is_of_one(exc):
            return _failed(entries, exc)
        return await in_halves(change, entries)

    def _put_off(self, failed: Sequence[_Entry[J, S]]) -> Sequence[_Entry[J, S]]:
        """End the watches whose rows are not tried again, and return the other entries."""
        if not failed:
            return ()
        ended: list[_Entry[J, S]] = []
        left: list[_Entry[J, S]] = []
        for entry in failed:
            (ended if state_of(entry.watch) in _ENDED else left).append(entry)
        again, refused = self._patience.failed(left)
        for entry in (*again, *ended):
            self._apply(entry.watch, RecordEvent.WRITE_FAILED)
        for entry in refused:
            self._refuse(entry)
        return again

    def _refuse(self, entry: _Entry[J, S]) -> None:
        assert entry.error is not None  # noqa: S101  # it failed
        if state_of(entry.watch) is RecordState.ENDING:  # a subscriber of another watch has stopped this one just now
            self._apply(entry.watch, RecordEvent.WRITE_FAILED)
        else:
            outcome = write_failed(entry.watch, entry.error, self._now(), asked=False)
            self._apply(entry.watch, RecordEvent.WRITE_REFUSED, outcome)

    def _interrupt(self, entries: Sequence[_Entry[J, S]]) -> None:
        """The task was cancelled. The next task writes the unfinished entries."""
        left = [entry for entry in entries if facts_of(entry.watch).write in _ROW_WRITES]
        for entry in left:
            self._apply(entry.watch, RecordEvent.WRITE_INTERRUPTED)
        self._settle_except(left, entries)
        self._queue.extendleft(reversed(left))

    def _sweep(self) -> None:
        """End the watches that were stopped or have passed their deadline. Repeat at the next deadline."""
        self._cancel_timer()
        if self._busy or not self._patience.failing:
            return
        now = self._now()
        ended: list[_Entry[J, S]] = []
        next_at = math.inf
        for entry in self._entries.values():
            state = state_of(entry.watch)
            if state is RecordState.LEAVING:
                continue  # its row is wanted by the next run
            deadline = entry.watch.machine.deadline
            if state is not RecordState.ENDING and deadline > now:
                next_at = min(next_at, deadline)
                continue
            if state is not RecordState.ENDING:
                self._expire(entry, now)
            ended.append(entry)
        self._drop(ended)
        self._sweep_at(max(next_at, now + (_SWEEP_S if ended else _EARLY_S)))

    def _expire(self, entry: _Entry[J, S], now: float) -> None:
        machine = entry.watch.machine
        machine.on_deadline(now=now)
        outcome = machine.outcome
        if isinstance(outcome, Abandoned) and isinstance(outcome.error, DeadlineExceeded) and entry.error is not None:
            outcome.error.__cause__ = strip_tracebacks(entry.error)
        self._apply(entry.watch, RecordEvent.OUTCOME_KNOWN)

    def _sweep_at(self, at: float) -> None:
        if at < math.inf and (self._timer is None or at < self._timer.when()):
            self._cancel_timer()
            self._timer = asyncio.get_running_loop().call_at(at, self._sweep, context=self._context)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _drop(self, entries: Sequence[_Entry[J, S]]) -> None:
        """These watches have ended without a row."""
        for entry in entries:
            self._apply(entry.watch, RecordEvent.WRITE_FAILED)
        self._settle(entries)

    def _settle_except(self, again: Sequence[_Entry[J, S]], entries: Sequence[_Entry[J, S]]) -> None:
        left = set(again)
        self._settle([entry for entry in entries if entry not in left] if left else entries)

    def _settle(self, entries: Iterable[_Entry[J, S]]) -> None:
        for entry in entries:
            if self._entries.pop(entry.watch, None) is None:
                continue  # discarded while its call was under way
            if entry.settled is not None:
                entry.settled.set_result(None)


def _outcome_found(entry: _Entry[J, S]) -> Concluded | None:
    """The outcome that the ledger had of the job."""
    known = None if entry.recorded is None else entry.recorded.known
    return known if isinstance(known, Concluded) else None


def _failed(entries: Sequence[_Entry[J, S]], exc: Exception) -> Sequence[_Entry[J, S]]:
    for entry in entries:
        entry.error = exc
    return entries
