"""Recorder: the one driver of records. It takes their events, and does what the table says.

Rule 1: `core/record_states.py` decides. After each event the recorder hands the watch to the dispatcher if its job is to
be polled, to the outbox if its outcome is to be written, and to its subscribers if its outcome may be published.
Rule 2: three queues make the ledger's calls and report events: `admission.py` for new rows, `checkpoints.py` for states,
`outbox.py` for outcomes.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Generic, Protocol, TypeVar
from weakref import ref

from pollwise.core.machine import WatchMachine
from pollwise.core.record_states import RecordEvent, RecordState, Write
from pollwise.core.resume_state import ResumeState
from pollwise.durable.admission import Admission
from pollwise.durable.checkpoints import Checkpoints
from pollwise.durable.outbox import Outbox
from pollwise.durable.patience import Patience
from pollwise.durable.recorded_watch import (
    RecordedWatch,
    advance,
    facts_of,
    is_left_open,
    publish_outcome,
    row_id_of,
    state_of,
    write_failed,
)
from pollwise.durable.resting_states import checkpoints_of
from pollwise.durable.timed_ledger import LedgerCounts, timed_ledger
from pollwise.durable.watch_rows import WatchRows
from pollwise.errors import ConfigurationError, LedgerWriteFailed, WatcherClosed
from pollwise.ledger import Acknowledgement, LeaseLost, Ledger, LedgerError, NewWatch, OpenWatch
from pollwise.model.events import Abandoned, Outcome
from pollwise.model.tracebacks import strip_tracebacks
from pollwise.runtime.driven_watch import DrivenWatch, Owner, copy_for_raise
from pollwise.runtime.watch import Watch

__all__ = ["Recorder", "Subscriber"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")


class PollDriver(Owner, Protocol):
    """Polls the jobs of watches, and owns tasks."""

    def add(self, watch: DrivenWatch[Any, Any], /) -> None:
        """Poll the job of this watch from now on."""
        ...

    def start(
        self, work: Coroutine[Any, Any, None], /, *, name: str, context: contextvars.Context
    ) -> asyncio.Task[None]:
        """Start a task that ends with the watcher at the latest."""
        ...


class Subscriber(Protocol):
    """Is notified of what was written."""

    def on_concluded(self, acknowledgement: Acknowledgement, outcome: Outcome[Any, Any], /) -> None:
        """This outcome is on disk, and is acknowledged with `acknowledgement`."""
        ...

    def on_end(self) -> None:
        """A watch has ended, with an outcome in the ledger or without one."""
        ...

    def on_close(self) -> None:
        """No more outcomes will follow."""
        ...


class Recorder(Generic[J, S]):
    """Keeps the records of one watcher's watches.

    Args:
        ledger: Where to write. It is open, and is not closed here.
        counts: Counts the calls of the ledger.
        rows: Translates between watches and rows.
        dispatcher: Polls the jobs.
        patience_s: How long a call that fails in the ledger is repeated, in seconds.
        on_end: Called with each watch whose outcome may be published, before its subscribers are notified.
        on_lost: Called with a watch that could not begin, although `on_start` was called with its job.
        on_start: Called with each job whose watch begins. Afterwards `rows` knows its traceparent.
        on_resume: The same for each job whose watch is resumed.
        on_lease_lost: Called once, if another process owns the shard of these watches now. Nothing is written any more.

    Attributes:
        checkpoints: Notes which watches got further.
        ledger: Where to write. Its calls are counted.
        lost: That another process owns the shard, or None.
        patience: Repeats calls of the ledger that fail.
        readers: For each reader of the open rows, the IDs of the rows that were concluded since it began.
        rows: Translates between watches and rows.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        counts: LedgerCounts,
        rows: WatchRows[J, S],
        dispatcher: PollDriver,
        patience_s: float,
        on_end: Callable[[DrivenWatch[J, S]], None],
        on_lost: Callable[[DrivenWatch[J, S]], None],
        on_start: Callable[[J], object],
        on_resume: Callable[[J], object],
        on_lease_lost: Callable[[LeaseLost], object] = lambda _: None,
    ) -> None:
        self._on_lost = on_lost
        self._on_start = on_start
        self._announced: set[J] = set()  # jobs that the observer was told of, and whose watch is to begin
        self.lost: LeaseLost | None = None
        self._on_lease_lost = on_lease_lost
        self.ledger = timed = timed_ledger(ledger, counts, rows.machines.now, self.lose_lease)
        self._on_resume = on_resume
        self.rows = rows
        self.readers: list[set[int]] = []
        self._dispatcher = dispatcher
        self._on_end = on_end
        self._now = rows.machines.now
        self._closing = asyncio.Event()
        self._subscribers: list[ref[Subscriber]] = []
        self._generations: dict[int, int] = {}  # of the open rows that were ever opened again, by ID
        # tasks run in the context of the code that opened the watcher, not in the context of the first call
        start = partial(dispatcher.start, context=contextvars.copy_context())
        patience = partial(Patience, patience_s=patience_s, now=self._now, closing=self._closing)
        self.patience = patience("calls")
        self.checkpoints: Checkpoints[J, S] = checkpoints_of(
            ledger=ledger,
            counts=counts,
            endpoint=rows.endpoint,
            limits=rows.limits,
            start=start,
            now=self._now,
            traces=rows.traces,
            on_lease_lost=self.lose_lease,
        )
        self._admission: Admission[J, S] = Admission(
            ledger=timed,
            rows=rows,
            apply=self.apply,
            start=start,
            now=self._now,
            patience=patience("new watches"),
            generations=self._generations,
        )
        self._outbox: Outbox[J, S] = Outbox(
            ledger=timed,
            endpoint=rows.endpoint,
            limits=rows.limits,
            apply=self.apply,
            start=start,
            now=self._now,
            patience=patience("outcomes"),
            trace=rows.trace,
        )

    # --- for the watcher ----------------------------------------------------------------------

    def admit(self, job: J, after_s: float = 0.0) -> RecordedWatch[J, S]:
        """Watch this job, once its row is on disk. If the row is new, the first poll is due in `after_s` seconds.

        Raises:
            ConfigurationError: The endpoint's keys for it cannot be kept.
        """
        return self._admit(partial(self.rows.new, job), self._begins, self.rows.machines.new(job, after_s))

    def admit_resumed(self, job: J, state: ResumeState[S]) -> RecordedWatch[J, S]:
        """Continue the watch of a resume token, once its row is on disk. If the ledger has the job, its row takes precedence.

        Raises:
            ConfigurationError: The endpoint's keys for it cannot be kept.
        """
        machine = self.rows.machines.resumed(job, state)
        return self._admit(partial(self.rows.resumed, job, state), self._on_resume, machine)

    def _admit(
        self, new_row: Callable[[], NewWatch], tell: Callable[[J], object], machine: WatchMachine[J, S]
    ) -> RecordedWatch[J, S]:
        row = new_row()
        tell(machine.job)  # only if the row can be written
        if self.rows.trace(machine.job) is not None:
            row = new_row()  # with the traceparent
        watch = RecordedWatch(machine, self._dispatcher, self)
        self._admission.add(watch, row)
        return watch

    def resume(self, job: J, known: OpenWatch, *, after_s: float) -> RecordedWatch[J, S]:
        """Continue an open watch of the ledger. Its first poll is due in `after_s` seconds."""
        if known.generation:
            self._generations[known.id] = known.generation
        watch = RecordedWatch(self.rows.machine(job, known, after_s), self._dispatcher, self, known.id)
        self._on_resume(job)
        self._dispatcher.add(watch)
        return watch

    @contextmanager
    def announced(self, job: J, *, is_open: bool) -> Iterator[NewWatch]:
        """The row of a job that was started. The observer is told of its watch, because the row has the traceparent.

        If the block raises, the observer is told that there is no watch. Otherwise call `begin` or `admit`. With `is_open`
        the job has a watch already. Raises ConfigurationError as `admit` does.
        """
        row = self.rows.new(job)
        if not is_open and job not in self._announced:
            self._on_start(job)
            self._announced.add(job)
            row = self.rows.new(job)
        try:
            yield row
        except BaseException as exc:
            if job in self._announced:
                self._announced.remove(job)
                self._on_unwritten(job, exc)
            raise

    def _begins(self, job: J) -> None:
        if job in self._announced:
            self._announced.remove(job)
        else:
            self._on_start(job)

    def _on_unwritten(self, job: J, exc: BaseException) -> None:
        machine: WatchMachine[J, S] = self.rows.machines.new(job)
        watch, now = RecordedWatch(machine, self._dispatcher, self), self._now()
        if isinstance(exc, Exception) and not self.closing:
            machine.replace_outcome(write_failed(watch, exc, now, asked=False))
        else:
            machine.replace_outcome(machine.abandoned(WatcherClosed(job), now=now))
        self._on_lost(watch)

    def begin(self, machine: WatchMachine[J, S], row_id: int) -> RecordedWatch[J, S]:
        """The watch of a job that was started, and whose row was written just now.

        If its machine has an outcome, call `end_begun` after the watch was added to the open ones.
        """
        watch = RecordedWatch(machine, self._dispatcher, self, row_id)
        if machine.outcome is None:
            self._dispatcher.add(watch)
            if machine.polls:
                self.checkpoints.add(watch)  # its row has no reading yet
        self._begins(machine.job)
        return watch

    def end_begun(self, watch: RecordedWatch[J, S], *, is_written: bool) -> None:
        """The job of this watch was over in the reply to its start. `is_written` says that its row has the outcome."""
        if is_written:
            advance(watch, RecordEvent.OUTCOME_KNOWN)
            self.apply(watch, RecordEvent.OUTCOME_WRITTEN)
        else:
            self.on_machine_end(watch)

    async def wait_recorded(self, watch: Watch[J, S]) -> None:
        """Return when the watch's row is on disk.

        Raises:
            LedgerError: The row could not be written.
            ConfigurationError: The ledger cannot keep it.
            WatchError: The watch ended before.
        """
        settled = await self.wait_settled(watch)
        if facts_of(settled).has_row:
            return
        error = settled.outcome.error if isinstance(settled.outcome, Abandoned) else self.closed(settled.job)
        cause = error.__cause__
        if isinstance(error, LedgerWriteFailed) and isinstance(cause, (LedgerError, ConfigurationError)):
            raise copy_for_raise(cause)
        raise copy_for_raise(error)

    async def wait_settled(self, watch: Watch[J, S]) -> RecordedWatch[J, S]:
        """Return the watch when its row is on disk, or will certainly not be."""
        assert isinstance(watch, RecordedWatch)  # noqa: S101  # a watcher with a ledger makes no others
        await self._admission.wait_settled(watch)
        return watch

    @property
    def closing(self) -> bool:
        """Whether the watcher has been left."""
        return self._closing.is_set()

    @property
    def backlog(self) -> Mapping[str, int]:
        """How many rows wait to be written, by what they are."""
        return {
            "watches": self._admission.backlog,
            "states": self.checkpoints.backlog,
            "outcomes": self._outbox.backlog,
        }

    def begin_closing(self) -> None:
        """The watcher is left. No watch is resumed any more, and a write that fails gets one last try."""
        self._closing.set()

    async def aclose(self) -> None:
        """Write all remaining states and outcomes. All watches must have ended."""
        await self._admission.join()
        await self._outbox.join()
        await self.checkpoints.drain()

    def detach(self, watches: Iterable[DrivenWatch[J, S]]) -> None:
        """End these, and write nothing more. Their rows stay as they are."""
        self._admission.discard()
        for watch in list(watches):
            self.release(watch)
        for subscriber in self._notified():
            subscriber.on_close()

    def release(self, watch: DrivenWatch[J, S]) -> None:
        """End this watch, and write nothing more of it. Its row stays as it is."""
        assert isinstance(watch, RecordedWatch)  # noqa: S101  # a watcher with a ledger makes no others
        outcome = watch.machine.abandoned(self.closed(watch.job), now=self._now())
        self.apply(watch, RecordEvent.DETACHED, outcome)

    def lose_lease(self, error: LeaseLost) -> None:
        """Another process owns the shard of these watches now: write nothing more. `release` ends each watch."""
        if self.lost is None:
            self.lost = error
            self._closing.set()
            self.checkpoints.discard()
            self._outbox.discard()
            self._on_lease_lost(error)

    def closed(self, job: J | None = None) -> WatcherClosed:
        """The error of a watch that ends with the watcher. Its cause is a lost lease, if there was one."""
        error = WatcherClosed(job)
        error.__cause__ = None if self.lost is None else strip_tracebacks(self.lost)
        return error

    def subscribe(self, subscriber: Subscriber) -> None:
        """Notify this subscriber, as long as other code has a reference to it."""
        self._subscribers.append(ref(subscriber, self._subscribers.remove))

    # --- events -------------------------------------------------------------------------------

    def on_machine_end(self, watch: RecordedWatch[J, S]) -> None:
        """The machine of this watch has come to an outcome."""
        outcome = watch.machine.outcome
        assert outcome is not None  # noqa: S101  # that is what the call says
        if is_left_open(outcome):
            self.apply(watch, RecordEvent.LEFT)
            return
        self.apply(watch, RecordEvent.OUTCOME_KNOWN)
        if state_of(watch) is RecordState.ENDING:
            self._admission.on_ending(watch)

    def apply(self, watch: RecordedWatch[J, S], event: RecordEvent, outcome: Outcome[J, S] | None = None, /) -> None:
        """Take an event of this watch's record, and do what the table says.

        `outcome` is the event's outcome. It becomes the watch's outcome, unless one was published before.
        """
        if self.lost is not None and event is not RecordEvent.DETACHED:
            return  # another process continues with the row
        before = facts_of(watch)
        if outcome is not None and not before.published:
            watch.machine.replace_outcome(outcome)
        after = advance(watch, event)
        if after.polled and not before.polled:
            self._dispatcher.add(watch)
        elif after.write is Write.CONCLUDE and before.write is not Write.CONCLUDE:
            self._outbox.add(watch)
        elif after.published and not before.published:
            if event is RecordEvent.OUTCOME_WRITTEN:
                self._announce(watch)
            self._publish(watch)

    def _announce(self, watch: RecordedWatch[J, S]) -> None:
        """An outcome of this run is on disk."""
        row_id, outcome = row_id_of(watch), watch.outcome
        assert outcome is not None  # noqa: S101  # it may be published
        for concluded in self.readers:
            concluded.add(row_id)
        # an entry for each row that was ever opened again, instead of a field in each watch
        acknowledgement = Acknowledgement(id=row_id, generation=self._generations.pop(row_id, 0))
        for subscriber in self._notified():
            subscriber.on_concluded(acknowledgement, outcome)

    def _publish(self, watch: RecordedWatch[J, S]) -> None:
        self._on_end(watch)
        publish_outcome(watch, self._now())
        for subscriber in self._notified():
            subscriber.on_end()

    def _notified(self) -> list[Subscriber]:
        return [subscriber for there in self._subscribers if (subscriber := there()) is not None]
