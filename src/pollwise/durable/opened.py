"""What an open watcher consists of: it opens the parts, connects them, makes the watches, and closes the parts.

Rule 1: nothing here is decided. The parts decide.
Rule 2: a job that is watched twice while its watch is open is polled by one watch.
Rule 3: one object serves one `async with`. A call that outlasts it gets `WatcherClosed`, even if the watcher was opened again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

import attrs

from pollwise.core.callbacks import checked_dice
from pollwise.core.identity import Origins
from pollwise.core.machine import WatchMachine
from pollwise.core.policy import Policy
from pollwise.core.rate_budget import RateBudget, engine_of
from pollwise.durable.closing import Closable, close_watcher
from pollwise.durable.intents import WithLedger
from pollwise.durable.recorded_watch import on_machine_end
from pollwise.durable.recorder import Recorder
from pollwise.durable.resume import Arrivals, Stagger
from pollwise.durable.resume_token import read_token, write_token
from pollwise.durable.timed_ledger import LedgerCounts
from pollwise.durable.watch_rows import MachineFactory, WatchRows
from pollwise.errors import ConfigurationError, WatcherClosed
from pollwise.ledger import LeaseLost, Ledger
from pollwise.model.limits import Limits
from pollwise.model.observer import Observer
from pollwise.model.protocols import Endpoint, Transport
from pollwise.model.reading import Reading
from pollwise.model.stats import WatcherStats
from pollwise.runtime.dispatcher import Dispatcher
from pollwise.runtime.driven_watch import CancellingWatch, DrivenWatch, end_open, forget_open
from pollwise.runtime.fairness import Yielder
from pollwise.runtime.job_calls import JobCalls
from pollwise.runtime.observing import Observing
from pollwise.runtime.submits import Starts, Submits, WithoutLedger
from pollwise.runtime.suspension import SuspensionTimer
from pollwise.runtime.watcher_stats import stats_of

__all__ = ["OpenedParts", "Setup"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")


@attrs.frozen(kw_only=True)
class Setup(Generic[J, S]):
    """What a watcher was made with.

    Attributes:
        endpoint: As `with_defaults` returns it.
        origins: The origins of its jobs.
        policy: What all watches have in common.
        budget: The token's rate limit.
        limits: As in `JobWatcher`.
        cancels: Whether jobs are cancelled at the deadline of their watch.
        ledger: As in `JobWatcher`. Likewise `ledger_patience_s`.
        observer: As in `JobWatcher`.
        clock: Returns the time in epoch seconds.
        observing: Counts polls and watches, and tells the observer. It goes on when the watcher is opened again.
        ledger_counts: Counts the calls of the ledger, likewise.
    """

    endpoint: Endpoint[J, S]
    origins: Origins[J]
    policy: Policy
    budget: RateBudget
    limits: Limits
    cancels: bool
    ledger: Ledger | None
    ledger_patience_s: float
    observer: Observer | None
    clock: Callable[[], float]
    observing: Observing[J, S] = attrs.field(
        init=False,
        default=attrs.Factory(lambda setup: _observing(setup), takes_self=True),  # noqa: PLW0108  # below
    )
    ledger_counts: LedgerCounts = attrs.field(
        init=False,
        default=attrs.Factory(lambda setup: LedgerCounts(setup.endpoint.name, setup.endpoint.account), takes_self=True),
    )

    def stats(self, opened: OpenedParts[J, S] | None) -> WatcherStats:
        """As `JobWatcher.stats`. `opened` is None while the watcher is closed."""
        recorder = None if opened is None else opened.recorder
        backlog = {} if recorder is None else recorder.backlog
        ledger = None if self.ledger is None else self.ledger_counts.stats(backlog)
        dispatcher, watches = (None, ()) if opened is None else (opened.dispatcher, opened.watches.values())
        return stats_of(self.observing, dispatcher, watches, self.budget, ledger)


def _observing(setup: Setup[J, S]) -> Observing[J, S]:
    return Observing(setup.endpoint, setup.observer, durable=setup.ledger is not None, clock=setup.clock)


class OpenedParts(Generic[J, S]):
    """The parts of an open watcher.

    Args:
        setup: What the watcher was made with.
        transport: Sends.
        own_transport: The same, if it is to be closed with the watcher; else None.
        dice: Returns a random number in [0, 1).
        clock: Returns the time in epoch seconds.
        suspended_clock: Goes on while the computer is suspended, in seconds, if that time counts towards deadlines.

    Attributes:
        dispatcher: Drives the watches.
        lease_lost: Set when another process owns the shard of these watches. Then all of them end, without an outcome.
        recorder: Keeps their records. None without a ledger.
        kept_starts: The starts in the ledger. None without one.
        submits: Starts jobs.
        watches: The open watches by job.
        suspension: Counts the time in which the computer was suspended. None if that does not count.
    """

    def __init__(
        self,
        setup: Setup[J, S],
        transport: Transport,
        own_transport: Closable | None,
        dice: Callable[[], float],
        clock: Callable[[], float],
        suspended_clock: Callable[[], float] | None = None,
    ) -> None:
        endpoint, limits = setup.endpoint, setup.limits
        self._setup = setup
        self._own_transport = own_transport
        self._is_closed = False
        self.lease_lost = asyncio.Event()
        self._watch_class = CancellingWatch if setup.cancels else DrivenWatch
        self._clock = clock
        dice = dice if dice is random.random else checked_dice(dice)
        self.watches: dict[J, DrivenWatch[J, S]] = {}
        end: Callable[[DrivenWatch[J, S]], None] = (
            partial(setup.observing.ended, partial(end_open, self.watches)) if setup.ledger is None else on_machine_end
        )
        self._on_over: Callable[[DrivenWatch[J, S]], None] = end
        self.dispatcher: Dispatcher[J, S] = Dispatcher(
            endpoint=endpoint,
            transport=transport,
            budget=engine_of(setup.budget),
            forecast=setup.policy.forecast,
            concurrency=limits.concurrency,
            request_timeout_s=limits.request_timeout_s,
            reply_limits=limits.reply,
            dice=dice,
            clock=clock,
            on_over=(lambda watch: calls.over(watch)) if setup.cancels else end,  # noqa: PLW0108  # made below
            write_token=self._token_of,
            observing=setup.observing,
        )
        calls: JobCalls[J, S] = JobCalls(
            endpoint, self.dispatcher, setup.policy, limits, end, can_stream=hasattr(transport, "stream")
        )
        self.dispatcher.calls = calls
        self._machines = MachineFactory(
            policy=setup.policy,
            grace_s=limits.request_timeout_s,
            now=asyncio.get_running_loop().time,
            clock=clock,
            dice=dice,
        )
        self.recorder = None if setup.ledger is None else self._recorder(setup.ledger)
        self.kept_starts = None if self.recorder is None else WithLedger(self.recorder, self.watches, self.watch)
        starts: Starts[J] = self.kept_starts or WithoutLedger(self.watch)
        self.submits: Submits[J, S] = Submits(endpoint, self.dispatcher, calls.policy_for, starts)
        self.suspension: SuspensionTimer | None = None
        if suspended_clock is not None:
            count = partial(self.dispatcher.on_suspended, self.watches.values())
            self.suspension = SuspensionTimer(suspended_clock, count)

    def _recorder(self, ledger: Ledger) -> Recorder[J, S]:
        setup, observing = self._setup, self._setup.observing
        rows = WatchRows(
            endpoint=setup.endpoint,
            origins=setup.origins,
            machines=self._machines,
            limits=setup.limits.reply,
            traces=observing.traces,
        )
        return Recorder(
            ledger=ledger,
            counts=setup.ledger_counts,
            rows=rows,
            dispatcher=self.dispatcher,
            patience_s=setup.ledger_patience_s,
            on_end=partial(observing.ended, partial(forget_open, self.watches)),
            on_lost=partial(observing.ended, lambda _watch: None),
            on_start=observing.started,
            on_resume=partial(observing.started, resumed=True),
            on_lease_lost=self._on_lease_lost,
        )

    def _on_lease_lost(self, _error: LeaseLost) -> None:
        self._is_closed = True
        self.dispatcher.halt()
        with suppress(WatcherClosed):  # the watcher is being left, and ends its watches itself
            self.dispatcher.start(self._release(), name="pollwise-release")

    async def _release(self) -> None:
        """End all watches and calls in steps. Another process continues with the rows."""
        self.lease_lost.set()
        recorder, fair = self.recorder, Yielder()
        assert recorder is not None  # noqa: S101  # it has lost its lease
        recorder.detach(())
        await self.dispatcher.drain(())
        for watch in list(self.watches.values()):
            recorder.release(watch)
            await fair.checkpoint()

    def _token_of(self, machine: WatchMachine[J, S], /, *, now: float, wall_now: float) -> str:
        traceparent = self._setup.observing.traces.get(machine.job)
        return write_token(self._setup.endpoint, machine, now=now, wall_now=wall_now, traceparent=traceparent)

    async def aclose(self) -> None:
        """End the watches and the starts, and close what was opened."""
        self._is_closed = True
        if self.suspension is not None:
            self.suspension.close()
        watches, transport = self.watches.values(), self._own_transport
        await close_watcher(self.dispatcher, self.submits, self.recorder, transport, watches)

    def arrivals(self, after: int = 0) -> Arrivals[J, S]:
        """Finds the watches that other processes record, from those after this number of a watch on. Needs a ledger."""
        assert self.recorder is not None  # noqa: S101  # the caller has checked that
        return Arrivals(self.recorder, watches=self.watches, spread=self.spread, after=after)

    def spread(self) -> Stagger:
        """Spreads the first polls of watches that begin together."""
        setup = self._setup
        return Stagger(engine_of(setup.budget).spacing_s, setup.policy.pacing, setup.limits.concurrency)

    def watch(self, job: J, /, *, first_after_s: float = 0.0, reading: Reading[S] | None = None) -> DrivenWatch[J, S]:
        """The watch of this job, which is open or begins now.

        Args:
            job: The job.
            first_after_s: Seconds until the first poll of a watch that begins now.
            reading: What the reply to the start of the job says about it. A final one ends a watch that begins now. An
                open watch is polled soon. With a ledger, `WithLedger` uses it.

        Raises:
            WatcherClosed: The watcher was left.
            ConfigurationError: The job is not hashable, or the ledger cannot keep its keys.
            RuntimeError: The watcher was opened in another event loop.
        """
        if self._is_closed:
            raise WatcherClosed(job) if self.recorder is None else self.recorder.closed(job)
        try:
            watch = self.watches.get(job)
        except TypeError as exc:
            raise ConfigurationError(
                f"a job must be hashable, as attrs.frozen makes it; got {type(job).__name__}"
            ) from exc
        if watch is None:
            if self.recorder is None:
                watch = self._begin(self._machines.new(job, first_after_s, reading))
            else:
                self.dispatcher.check_loop()
                watch = self.watches[job] = self.recorder.admit(job, first_after_s)
        elif reading is not None:
            self.dispatcher.hasten(watch)
        return watch

    def watch_from_token(self, text: str) -> DrivenWatch[J, S]:
        """As `JobWatcher.watch_from_token`."""
        self.dispatcher.check_loop()
        setup = self._setup
        token = read_token(setup.endpoint, text)
        setup.origins.check(token.job, token.origin)
        watch = self.watches.get(token.job)
        if watch is None:
            moved = token.cursor is not None and setup.origins.moved(token.job, token.origin)
            state = token.resume_state(self._clock(), moved=moved).at_most(setup.policy.timeout_s)
            setup.observing.keep_trace(token.job, token.traceparent)
            if self.recorder is None:
                watch = self._begin(self._machines.resumed(token.job, state), resumed=True)
            else:
                watch = self.watches[token.job] = self.recorder.admit_resumed(token.job, state)
        return watch

    def _begin(self, machine: WatchMachine[J, Any], *, resumed: bool = False) -> DrivenWatch[J, S]:
        """The watch of this machine, without a ledger."""
        watch, job = self._watch_class(machine, self.dispatcher), machine.job
        is_over = machine.outcome is not None  # the reply to its start had the end
        if is_over:
            self.dispatcher.check_loop()
        else:
            self.dispatcher.add(watch)
        self.watches[job] = watch
        self._setup.observing.started(job, resumed=resumed)
        if is_over:
            self._on_over(watch)
        return watch
