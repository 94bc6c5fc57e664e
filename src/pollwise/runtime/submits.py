"""Starts jobs: `JobWatcher.submit`.

Rule 1: a start is a single call, driven by the pool as a watch is. Its time limit is its own.
Rule 2: the callers with one key share one start. If all of them are cancelled, the start is stopped, unless the job is known
by then.
Rule 3: what may have been started and is not known is raised as `SubmitDoubtful`. A caller that is cancelled gets it as
the `__cause__` and a note of its CancelledError, and the log has it.
Rule 4: a started job must be at the origin of its start, or at one that the endpoint lists.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Hashable
from typing import Any, Generic, Protocol, TypeVar

from pollwise.core.call_machine import SubmitMachine
from pollwise.core.policy import Policy
from pollwise.core.url_rules import UrlRules
from pollwise.errors import (
    ConfigurationError,
    DeadlineExceeded,
    PollwiseError,
    RetriesExhausted,
    UnsafeUrl,
    WatcherClosed,
    WatchStopped,
)
from pollwise.model.events import Succeeded
from pollwise.model.limits import require_seconds
from pollwise.model.log_fields import log_fields
from pollwise.model.protocols import Endpoint
from pollwise.model.reading import Reading
from pollwise.model.submitting import SubmitCall, check_can_submit, checked_key, subject_of
from pollwise.model.tracebacks import strip_tracebacks
from pollwise.runtime.dispatcher import Dispatcher
from pollwise.runtime.driven_watch import DrivenWatch, copy_for_raise
from pollwise.runtime.single_call import outcome_of_call

__all__ = ["StartWatch", "Starts", "Submits", "WithoutLedger", "other_order", "started_note"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")
J_contra = TypeVar("J_contra", bound=Hashable, contravariant=True)

_log = logging.getLogger(__name__)


class Starts(Protocol[J_contra]):
    """What is done before and after the request of a start."""

    async def begin(self, call: SubmitCall[Any], /) -> DrivenWatch[Any, Any] | bool:
        """Before the request. Returns the watch if the job is known, and else whether an earlier run may have sent it.

        Raises:
            PollwiseError: It must not be sent.
        """
        ...

    async def watch(
        self, call: SubmitCall[Any], job: J_contra, after_s: float, reading: Reading[Any] | None = None, /
    ) -> DrivenWatch[Any, Any]:
        """The job was started: watch it. Its first poll is due in `after_s` seconds. `reading` is its first one, if any."""
        ...

    async def give_up(self, call: SubmitCall[Any], /) -> None:
        """No job was started."""
        ...


class StartWatch(Protocol[J_contra]):
    """Watches a job."""

    def __call__(
        self, job: J_contra, /, *, first_after_s: float = 0.0, reading: Reading[Any] | None = None
    ) -> DrivenWatch[Any, Any]:
        """As `JobWatcher.watch`. `reading` is the first one of the job, if the reply to its start has one."""
        ...


class WithoutLedger(Starts[J]):
    """The starts of a watcher without a ledger.

    Args:
        watch: Watches a job.
    """

    def __init__(self, watch: StartWatch[J]) -> None:
        self._watch = watch

    async def begin(self, _call: SubmitCall[Any], /) -> bool:
        """Nothing is known of earlier runs."""
        return False

    async def watch(
        self, _call: SubmitCall[Any], job: J, after_s: float, reading: Reading[Any] | None = None, /
    ) -> DrivenWatch[Any, Any]:
        """Watch the job."""
        try:
            return self._watch(job, first_after_s=after_s, reading=reading)
        except PollwiseError as exc:
            exc.add_note(started_note(job))
            raise

    async def give_up(self, _call: SubmitCall[Any], /) -> None:
        """Nothing was kept."""


class _Start(Generic[J]):
    """One start under way, and the futures of the callers that wait for it."""

    def __init__(self, call: SubmitCall[J]) -> None:
        self.call = call
        self.machine: SubmitMachine | None = None  # while the request is under way, and after that
        self.task: asyncio.Task[None] | None = None
        self.waiters: set[asyncio.Future[None]] = set()
        self.watch: DrivenWatch[J, Any] | None = None
        self.error: Exception | None = None
        self.is_done = False
        self.is_left = False  # no caller waits any more
        self.is_stopped = False  # its request is cancelled

    def done(self) -> None:
        """Wake the callers."""
        self.is_done = True
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)

    @property
    def can_be_stopped(self) -> bool:
        """Whether a request is under way."""
        return self.machine is not None and self.machine.outcome is None


class Submits(Generic[J, S]):
    """Starts the jobs of one watcher.

    Args:
        endpoint: The endpoint, as `with_defaults` returns it.
        dispatcher: Drives the calls.
        policy_for: The policy of a call with this time limit in seconds; None for that of the watches.
        starts: What is done before and after the request.
    """

    def __init__(
        self,
        endpoint: Endpoint[J, S],
        dispatcher: Dispatcher[J, S],
        policy_for: Callable[[Any, float | None], Policy],
        starts: Starts[J],
    ) -> None:
        self._endpoint = endpoint
        self._dispatcher = dispatcher
        self._policy_for = policy_for
        self._starts = starts
        self._under_way: dict[str, _Start[J]] = {}
        self._url_rules: UrlRules[J] = UrlRules(endpoint)

    async def submit(self, order: Any, key: str | None, timeout_s: float | None) -> DrivenWatch[J, S]:
        """As `JobWatcher.submit`."""
        check_can_submit(self._endpoint)
        if timeout_s is not None:
            require_seconds("timeout_s", timeout_s)
        key = str(uuid.uuid4()) if key is None else checked_key(key)
        call: SubmitCall[J] = SubmitCall(self._endpoint, order, key)
        while (start := self._under_way.get(key)) is not None and start.is_stopped and start.task is not None:
            await asyncio.wait([start.task])  # so that it does not remove the intent of the next one
        if start is None:
            start = _Start(call)
            start.task = self._dispatcher.start(self._run(start, timeout_s), name="pollwise-submit")
            self._under_way[key] = start
        elif start.call.digest != call.digest:
            raise other_order(key)
        if not start.is_done:
            await self._join(start)
        if start.watch is not None:
            return start.watch
        assert start.error is not None  # noqa: S101  # a start that is done has one of the two
        raise copy_for_raise(start.error) if isinstance(start.error, PollwiseError) else start.error

    @property
    def keys(self) -> frozenset[str]:
        """The keys of the starts under way."""
        return frozenset(self._under_way)

    async def join(self) -> None:
        """Wait until no start is under way. All calls must have ended."""
        while tasks := [start.task for start in self._under_way.values() if start.task is not None]:
            await asyncio.wait(tasks)

    async def _join(self, start: _Start[J]) -> None:
        waiter = self._dispatcher.loop.create_future()
        start.waiters.add(waiter)
        start.is_left = False
        try:
            await waiter
        except asyncio.CancelledError as exc:
            if start.waiters == {waiter} and not start.is_done:
                self._leave(start, exc)
            raise
        finally:
            start.waiters.discard(waiter)

    def _leave(self, start: _Start[J], exc: asyncio.CancelledError) -> None:
        """The last caller is cancelled."""
        start.is_left = True
        machine = start.machine
        if start.can_be_stopped and start.task is not None:
            if machine is not None and machine.in_doubt:
                doubt = start.call.doubtful(WatchStopped(machine.job))
                exc.__cause__ = doubt
                exc.add_note(str(doubt))
                _log.warning("%s: %s", self._endpoint.name, doubt, extra=log_fields(endpoint=self._endpoint.name))
            start.is_stopped = True  # the next call with this key is a new start
            start.task.cancel()
        elif machine is not None and isinstance(machine.outcome, Succeeded):
            exc.add_note(started_note(start.call.job))

    async def _run(self, start: _Start[J], timeout_s: float | None) -> None:
        """The task of one start."""
        closed: PollwiseError = WatcherClosed(subject_of(start.call.key))
        try:
            start.watch = await self._started(start, timeout_s)
        except Exception as exc:  # noqa: BLE001  # a ledger may be foreign code
            start.error = strip_tracebacks(exc)
        except asyncio.CancelledError:
            doubtful = start.machine is not None and start.machine.in_doubt
            start.error = start.call.doubtful(closed) if doubtful else closed
            if start.call.job is not None:
                closed.add_note(started_note(start.call.job))
            raise
        finally:
            if start.watch is None and start.error is None:
                start.error = closed
            if self._under_way.get(start.call.key) is start:
                del self._under_way[start.call.key]
            start.done()

    async def _started(self, start: _Start[J], timeout_s: float | None) -> DrivenWatch[J, S]:
        call, starts = start.call, self._starts
        known = await starts.begin(call)
        if isinstance(known, DrivenWatch):
            return known
        policy = self._policy_for(call, timeout_s)
        now = self._dispatcher.loop.time()
        machine = SubmitMachine(subject_of(call.key), policy, now=now, in_doubt=known)
        if start.is_left:
            start.is_stopped = True
            machine.on_stop(WatchStopped(machine.job), now=now)
        start.machine = machine
        try:
            outcome = machine.outcome or await outcome_of_call(self._dispatcher, machine)
        except BaseException:
            if not machine.in_doubt:
                await starts.give_up(call)
            raise
        if not isinstance(outcome, Succeeded):
            raise await self._ended_badly(machine, outcome.error)
        job = call.job
        assert job is not None  # noqa: S101  # the reading of a job is the success
        try:
            self._url_rules.check_started(job, call.made.url)
        except UnsafeUrl as exc:
            exc.add_note(started_note(job))
            raise
        hint_s = min(machine.hint_s or 0.0, policy.longest_hint_s)
        reading = call.first_reading(outcome.status)
        return await starts.watch(call, job, max(self._endpoint.first_after_s, hint_s), reading)

    async def _ended_badly(self, machine: SubmitMachine, error: PollwiseError) -> PollwiseError:
        if machine.in_doubt:
            return error
        await self._starts.give_up(machine.call)
        told = copy_for_raise(error)
        if isinstance(told, (DeadlineExceeded, RetriesExhausted)):
            told.not_started = True
        told.add_note("No job was started: no request was sent, or the server refused it.")
        return told


def started_note(job: object) -> str:
    """The note of an error after a start."""
    return f"The job was started: {job}"


def other_order(key: str) -> ConfigurationError:
    """The error if a key is used for two orders."""
    return ConfigurationError(f"the key {key!r} was used for another order; give each order a key of its own")
