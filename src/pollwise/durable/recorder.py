"""Recorder: writes the watches of one watcher down, and takes up those that were."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Hashable, Iterable
from typing import Any, Generic, Protocol, TypeVar
from weakref import ref

import attrs

from pollwise.core.identity import Origins
from pollwise.core.machine import WatchMachine
from pollwise.core.policy import Policy
from pollwise.core.resume_state import ResumeState
from pollwise.durable.admission import Admission
from pollwise.durable.checkpoints import Checkpoints
from pollwise.durable.codec import deadline_of, moment, new_watch, outcome_of, past_of, unreadable
from pollwise.durable.outbox import Outbox
from pollwise.durable.patience import Patience
from pollwise.durable.recorded_watch import RecordedWatch, is_left_open
from pollwise.errors import ConfigurationError, LedgerWriteFailed, WatcherClosed
from pollwise.ledger import Concluded, Ledger, LedgerError, NewWatch, OpenWatch, Relocation, Renewal
from pollwise.model.events import Abandoned, Outcome
from pollwise.model.protocols import Endpoint
from pollwise.runtime.watch import Owner, Watch, copy_for_raise

__all__ = ["Listener", "Outlook", "Recorder"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")


class Driver(Owner, Protocol):
    """Who asks about watches."""

    def add(self, watch: Watch[Any, Any], /) -> None:
        """Ask about this one from now on."""
        ...

    def start(
        self, work: Coroutine[Any, Any, None], /, *, name: str, context: contextvars.Context
    ) -> asyncio.Task[None]:
        """Start a task, and end it with the watcher."""
        ...


class Listener(Protocol):
    """Who wants to know what has been written down."""

    def concluded(self, number: int, outcome: Outcome[Any, Any], /) -> None:
        """This outcome is on disk."""
        ...

    def woken(self) -> None:
        """A watch has ended, with an outcome in the ledger or without one."""
        ...

    def closed(self) -> None:
        """Nothing more will come."""
        ...


@attrs.frozen(kw_only=True)
class Outlook:
    """How watches go on that were begun before.

    Attributes:
        rules: What all watches of the watcher have in common.
        grace_s: Seconds that an overdue watch has to get one answer.
        now: Returns monotonic seconds.
        clock: Returns epoch seconds.
    """

    rules: Policy
    grace_s: float
    now: Callable[[], float]
    clock: Callable[[], float]

    def machine(self, job: J, past: ResumeState[S], after_s: float = 0.0) -> WatchMachine[J, S]:
        """A watch that goes on; it is first asked about in so many seconds."""
        return WatchMachine.resumed(job, self.rules, past, now=self.now(), after_s=after_s, grace_s=self.grace_s)


class Recorder(Generic[J, S]):
    """Writes the watches of one watcher down.

    Args:
        ledger: Where to; open, and not ours to close.
        endpoint: Whose jobs they are of.
        origins: Where these are asked about.
        ended: Called with each watch that is over, before anybody else knows.
        outlook: How watches go on that were begun before.
        patience_s: How long the ledger is asked again for what it does not take, in seconds.

    Attributes:
        patience: Repeats calls of the ledger that fail.
        ledger: Where to.
        endpoint: Whose jobs they are of.
        origins: Where these are asked about.
        readers: For each who reads the open watches just now, the numbers of those that ended since.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        endpoint: Endpoint[J, S],
        origins: Origins[J],
        ended: Callable[[Watch[J, S]], None],
        outlook: Outlook,
        patience_s: float,
    ) -> None:
        self.ledger = ledger
        self.endpoint = endpoint
        self.origins = origins
        self._ended = ended
        self._context = contextvars.copy_context()  # what is written down is in no caller's name
        self._outlook = outlook
        self._closing = asyncio.Event()

        def patience(what: str) -> Patience:
            return Patience(what, patience_s=patience_s, now=outlook.now, closing=self._closing)

        self.patience = patience("calls")
        self._beginnings: Admission[J, S] = Admission(
            ledger=ledger, host=self, start=self._start, now=outlook.now, patience=patience("new watches")
        )
        self._changes: Checkpoints[J, S] = Checkpoints(
            ledger=ledger, endpoint=endpoint, start=self._start, closing=self._closing
        )
        self._endings: Outbox[J, S] = Outbox(
            ledger=ledger,
            endpoint=endpoint,
            kept=self._announce,
            tell=self.tell,
            start=self._start,
            now=outlook.now,
            patience=patience("outcomes"),
        )
        self._listeners: list[ref[Listener]] = []
        self.readers: list[set[int]] = []

    def drive_by(self, driver: Driver) -> None:
        """Who asks about the watches; told once, before anything else."""
        self._driver = driver

    def _start(self, work: Coroutine[Any, Any, None], /, *, name: str) -> asyncio.Task[None]:
        return self._driver.start(work, name=name, context=self._context)

    # --- for the watcher ----------------------------------------------------------------------

    def watch(self, job: J) -> RecordedWatch[J, S]:
        """Follow this job, once its row is on disk.

        Raises:
            ConfigurationError: The endpoint's keys for it cannot be kept.
        """
        outlook = self._outlook
        row = self._row(job, outlook.clock(), outlook.rules.timeout_s)
        machine: WatchMachine[J, S] = WatchMachine(job, outlook.rules, now=outlook.now())
        watch = RecordedWatch(machine, self._driver, self._changes)
        self._beginnings.add(watch, row)
        return watch

    def watch_from_token(self, job: J, past: ResumeState[S]) -> RecordedWatch[J, S]:
        """The same for a job with a past. What the ledger knows of it goes before that.

        Raises:
            ConfigurationError: The endpoint's keys for it cannot be kept.
        """
        first_seen_s = self._outlook.clock() - past.age_s
        allowed_s = None if past.left_s is None else past.age_s + past.left_s
        row = self._row(job, first_seen_s, allowed_s)
        watch = RecordedWatch(self._outlook.machine(job, past), self._driver, self._changes)
        self._beginnings.add(watch, row)
        return watch

    def _row(self, job: J, first_seen_s: float, timeout_s: float | None) -> NewWatch:
        origin = self.origins.of(job)
        return new_watch(self.endpoint, job, first_seen_s=first_seen_s, timeout_s=timeout_s, origin=origin)

    def take_up(self, job: J, known: OpenWatch, *, after_s: float) -> RecordedWatch[J, S]:
        """Go on with a watch that the ledger has open; it is first asked about in so many seconds."""
        past = past_of(known, self.endpoint, self._outlook.clock())
        watch = RecordedWatch(self._outlook.machine(job, past, after_s), self._driver, self._changes, known.id)
        self._driver.add(watch)
        return watch

    async def arrived(self, watch: Watch[J, S]) -> None:
        """Return when its row is on disk.

        Raises:
            LedgerError: The ledger did not take it.
            ConfigurationError: The ledger cannot keep it.
            WatchError: It ended before.
        """
        kept = await self.answered(watch)
        if kept.number:
            return
        error = kept.outcome.error if isinstance(kept.outcome, Abandoned) else WatcherClosed(kept.job)
        cause = error.__cause__
        if isinstance(error, LedgerWriteFailed) and isinstance(cause, (LedgerError, ConfigurationError)):
            raise copy_for_raise(cause)
        raise copy_for_raise(error)

    async def answered(self, watch: Watch[J, S]) -> RecordedWatch[J, S]:
        """Return it when its row is on disk, or will not be."""
        assert isinstance(watch, RecordedWatch)  # noqa: S101  # we made it
        await self._beginnings.arrived(watch)
        return watch

    @property
    def closing(self) -> bool:
        """Whether the watcher has been left."""
        return self._closing.is_set()

    def leave(self) -> None:
        """The watcher is left: nobody is taken up any more, and what the ledger did not take yet gets one last try."""
        self._closing.set()

    async def close(self) -> None:
        """Write down all that is known, once all watches have ended."""
        await self._beginnings.finished()
        await self._endings.finished()
        await self._changes.finished()

    def forsake(self, watches: Iterable[Watch[J, S]]) -> None:
        """Nothing more will come of these here; what the ledger has of them stays as it is."""
        self._beginnings.forsake()
        for watch in list(watches):
            assert isinstance(watch, RecordedWatch)  # noqa: S101  # we made it
            self.tell(watch, watch.machine.abandoned(WatcherClosed(watch.job), now=self._outlook.now()))
        for listener in self._hearing():
            listener.closed()

    def tell_too(self, listener: Listener) -> None:
        """Let this one know, for as long as somebody else holds it."""
        self._listeners.append(ref(listener, self._listeners.remove))

    def reopened(self, number: int) -> int:
        """How often this watch was opened again here after it had been abandoned."""
        return self._beginnings.reopened.get(number, 0)

    # --- for what is written down -------------------------------------------------------------

    def over(self, watch: Watch[J, S]) -> None:
        """Its machine has come to an end, of which nobody knows yet."""
        outcome = watch.machine.outcome
        assert isinstance(watch, RecordedWatch)  # noqa: S101  # we made it
        assert outcome is not None  # noqa: S101  # it is over
        if is_left_open(outcome):
            self.tell(watch, outcome)
        elif watch.number:
            self._endings.add(watch, outcome)
        else:  # its row is under way, and this is called again when that has arrived
            self._beginnings.over(watch)

    def begin(self, watch: RecordedWatch[J, S], known: OpenWatch | Concluded | None) -> None:
        """Its row is on disk: ask about it from now on. `known` is what the ledger knew of the job before."""
        outlook = self._outlook
        if known is not None:
            past = past_of(known, self.endpoint, outlook.clock())
            if isinstance(known, Concluded):  # it was abandoned, and is open again
                past = attrs.evolve(past, failures=0, left_s=outlook.rules.timeout_s)
            watch.take_up(outlook.machine(watch.job, past), outlook.now())
        self._driver.add(watch)

    def remembered(self, watch: RecordedWatch[J, S], known: Concluded) -> Outcome[J, S]:
        """The outcome that the ledger has for it."""
        try:
            return outcome_of(known, watch.job, self.endpoint)
        except Exception as exc:  # noqa: BLE001  # foreign code
            return unreadable(known, watch.job, exc)

    def renewal(self, number: int, job: J) -> Renewal:
        """How an abandoned one is to be opened again: with all of its time before it, wherever it is asked about now."""
        outlook = self._outlook
        deadline = deadline_of(moment(outlook.clock()), outlook.rules.timeout_s)
        return Renewal(id=number, deadline=deadline, origin=self.origins.of(job))

    def relocation(self, job: J, known: OpenWatch) -> Relocation | None:
        """Where an open one is asked about from now on, if not where it was.

        Raises:
            OriginChanged: It was asked at another origin, and nothing says that the API has moved.
        """
        origin = self.origins.check(job, known.origin)
        return None if origin is None or origin == known.origin else Relocation(id=known.id, origin=origin)

    def tell(self, watch: RecordedWatch[J, S], outcome: Outcome[J, S]) -> None:
        """This is how it ended, unless that was told before."""
        if watch.outcome is not None:
            return
        self._ended(watch)
        watch.conclude(outcome, self._outlook.now())
        for listener in self._hearing():
            listener.woken()

    def _announce(self, watch: RecordedWatch[J, S], outcome: Outcome[J, S]) -> None:
        for ended in self.readers:
            ended.add(watch.number)
        for listener in self._hearing():
            listener.concluded(watch.number, outcome)

    def _hearing(self) -> list[Listener]:
        return [listener for there in self._listeners if (listener := there()) is not None]
