"""The handle of one watch: what a caller awaits, iterates, looks at and stops.

Rule 1: iterating reports, awaiting raises. `async for` ends after exactly one outcome and does not raise for what
happened to the job; `await` returns the typed status of a success and raises the outcome's error otherwise.
Rule 2: any number of tasks may do either, at once and after the end, and each may leave at any time. A view keeps
nothing but the number of the last event that it has seen, so leaving one leaks nothing.
Rule 3: a slow reader costs nothing: of unread events only the newest of each kind is kept, and the outcome always.
Rule 4: a watch that is over is freed as soon as nobody holds it: neither its error nor its audience leads back to it.
"""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import AsyncIterator, Callable, Generator, Hashable
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pollwise.core.machine import WatchMachine
from pollwise.core.watch_state import StepResult
from pollwise.errors import PollwiseError
from pollwise.model.events import Event, Outcome, Progressed, Retrying, Succeeded, Throttled

__all__ = ["Owner", "Watch", "copy_for_raise"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")
E = TypeVar("E", bound=PollwiseError)


class Owner(Protocol):
    """Who drives watches, as seen from a watch."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Where watches live."""
        ...

    def stop(self, watch: Watch[Any, Any], /) -> None:
        """End this watch now."""
        ...

    def resume_token(self, watch: Watch[Any, Any], /) -> str:
        """The watch as a text, to be taken up again."""
        ...


class _Subscribers:
    """Who waits for a watch: readers for any event, enders for the outcome. Each crowd is made when its first one comes."""

    __slots__ = ("callbacks", "enders", "readers")

    def __init__(self) -> None:
        self.readers: set[asyncio.Future[None]] | None = None
        self.enders: set[asyncio.Future[None]] | None = None
        self.callbacks: list[Callable[[Any], object]] = []


class Watch(Generic[J, S]):
    """Following one job to its outcome. Made by `JobWatcher.watch`.

    `await watch` gives the typed status of a success and raises `JobFailed`, `JobCancelled` or a `WatchError`
    otherwise. `async for event in watch` gives typed events, the last one the outcome.
    """

    __slots__ = ("_audience", "_events", "_owner", "_progressed", "_retried", "_throttled", "machine")

    notes_every_poll: ClassVar[bool] = False  # whether `tell` is to be called after a poll that changed nothing, too

    def __init__(self, machine: WatchMachine[J, S], owner: Owner) -> None:
        self.machine = machine
        self._owner = owner
        # numbers events; each kind below keeps the number of its newest. One taken up again begins with what is known
        self._events = self._progressed = 0 if machine.phase is None else 1
        self._retried: tuple[int, Retrying[J]] | None = None
        self._throttled = 0  # the event itself is made when it is read: under pressure it happens to all watches
        # a batch has one callback on every watch, and nobody else: that is kept as it is
        self._audience: _Subscribers | Callable[[Any], object] | None = None

    def __repr__(self) -> str:
        machine, outcome = self.machine, self.outcome
        state = "new" if machine.phase is None else machine.phase.value
        if outcome is not None:
            state = type(outcome).__name__
        return f"<Watch {machine.job!r} {state} polls={machine.polls}>"

    @property
    def job(self) -> J:
        """The job that is watched."""
        return self.machine.job

    @property
    def outcome(self) -> Outcome[J, S] | None:
        """The one terminal event, or None while the watch goes on."""
        return self.machine.outcome

    @property
    def last(self) -> Event[J, S] | None:
        """The last event, without polling; None before the first one."""
        found = self._next(self._events - 1) if self._events else None
        return None if found is None else found[1]

    @property
    def resume_token(self) -> str:
        """The watch as one short text, by which `JobWatcher.watch_from_token` takes it up again, in another process too.

        It says what is asked about, when the watch began and ends, and how far it got; no credential and no status.

        Raises:
            TokenError: The job's keys are too long for one.
        """
        return self._owner.resume_token(self)

    def stop(self) -> None:
        """End the watch: its outcome is `Abandoned` with `WatchStopped`. Does nothing after the end.

        Raises:
            RuntimeError: The watcher was opened in another event loop.
        """
        self._owner.stop(self)

    def __await__(self) -> Generator[Any, None, S]:
        """Wait for the outcome.

        Raises:
            JobError: The job failed or was cancelled.
            WatchError: We stopped looking.
        """
        return self._result().__await__()

    def __aiter__(self) -> AsyncIterator[Event[J, S]]:
        """Iterate from the newest event on."""
        return _View(self, max(0, self._events - 1))

    def on_outcome(self, callback: Callable[[Watch[J, S]], object]) -> None:
        """Call this with the watch at its end; at once if it has ended.

        It is called between two steps of the event loop, so it must be quick. What it raises goes to the loop's
        exception handler.
        """
        if self.outcome is not None:
            self._call(callback)
            return
        if self._audience is None:
            self._audience = callback
        else:
            self._listen().callbacks.append(callback)

    # --- told by whoever drives the watch -----------------------------------------------------

    def tell(self, news: StepResult, now: float) -> None:
        """Something happened: let everybody know who waits for it."""
        if news is StepResult.PROGRESSED:
            self._events = self._progressed = self._events + 1
        elif news is StepResult.RETRYING:
            self._events += 1
            self._retried = (self._events, self.machine.retrying(now))
        elif news is StepResult.OVER:
            self._events += 1
        else:
            return
        audience = self._audience
        if isinstance(audience, _Subscribers):
            _resolve(audience.readers)
        if news is StepResult.OVER and audience is not None:
            self._dismiss(audience)

    def tell_throttled(self, now: float, available_at: float) -> None:
        """The budget holds the next poll back."""
        self._events = self._throttled = self._events + 1
        if now < available_at < math.inf:
            self.machine.defer(available_at)
        if isinstance(self._audience, _Subscribers):
            _resolve(self._audience.readers)

    # --- reading ------------------------------------------------------------------------------

    def _next(self, seen: int) -> tuple[int, Event[J, S]] | None:
        """The oldest event kept that is newer than number `seen`, with its own number."""
        if seen >= self._events:
            return None
        found: list[tuple[int, Event[J, S]]] = [
            kept for kept in (self._retried,) if kept is not None and kept[0] > seen
        ]
        if self._throttled > seen:
            found.append((self._throttled, self.machine.throttled(self._owner.loop.time())))
        outcome = self.outcome
        if outcome is not None:
            found.append((self._events, outcome))
        if self._progressed > seen:
            found.append((self._progressed, self.machine.progressed()))
        return min(found, key=_number, default=None)

    async def _result(self) -> S:
        while (outcome := self.outcome) is None:
            audience = self._listen()
            if audience.enders is None:
                audience.enders = set()
            await self._hear(audience.enders)
        if isinstance(outcome, Succeeded):
            return outcome.status
        raise copy_for_raise(outcome.error)

    async def _changed(self) -> None:
        audience = self._listen()
        if audience.readers is None:
            audience.readers = set()
        await self._hear(audience.readers)

    async def _hear(self, crowd: set[asyncio.Future[None]]) -> None:
        future = self._owner.loop.create_future()  # in any other loop asyncio refuses to wait for it
        crowd.add(future)
        try:
            await future
        finally:
            crowd.discard(future)

    def _listen(self) -> _Subscribers:
        audience = self._audience
        if isinstance(audience, _Subscribers):
            return audience
        self._audience = made = _Subscribers()
        if audience is not None:
            made.callbacks.append(audience)
        return made

    def _dismiss(self, audience: _Subscribers | Callable[[Any], object]) -> None:
        """Nothing more will come."""
        self._audience = None
        if isinstance(audience, _Subscribers):
            _resolve(audience.enders)
            for callback in audience.callbacks:
                self._call(callback)
        else:
            self._call(audience)

    def _call(self, callback: Callable[[Watch[J, S]], object]) -> None:
        try:
            callback(self)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exc:  # noqa: BLE001  # a stranger's fault must stop neither the others nor the pool
            context = {"message": "a callback of Watch.on_outcome failed", "exception": exc, "watch": self}
            self._owner.loop.call_exception_handler(context)


class _View(Generic[J, S]):
    """One iteration over a watch's events."""

    __slots__ = ("_over", "_seen", "_watch")

    def __init__(self, watch: Watch[J, S], seen: int) -> None:
        self._watch = watch
        self._seen = seen
        self._over = False

    def __aiter__(self) -> _View[J, S]:
        return self

    async def __anext__(self) -> Event[J, S]:
        if self._over:
            raise StopAsyncIteration
        watch = self._watch
        while (found := watch._next(self._seen)) is None:  # noqa: SLF001  # a view is a part of its watch
            await watch._changed()  # noqa: SLF001
        self._seen, event = found
        self._over = not isinstance(event, (Progressed, Retrying, Throttled))
        return event


def _resolve(crowd: set[asyncio.Future[None]] | None) -> None:
    for future in crowd or ():
        if not future.done():
            future.set_result(None)


def copy_for_raise(error: E) -> E:
    """The same error once more, to be raised.

    Any number of tasks may raise it, each with a traceback and a context of its own. The one in the outcome has none:
    a traceback holds frames, and by them this watch and all that its awaiter had at hand.
    """
    try:
        copy_for_raise = copy.copy(error)
    except Exception:  # noqa: BLE001  # a class of an endpoint's own that cannot be copied
        return error.with_traceback(None)
    copy_for_raise.__cause__, copy_for_raise.__suppress_context__ = error.__cause__, error.__suppress_context__
    return copy_for_raise


def _number(kept: tuple[int, Event[Any, Any]]) -> int:
    return kept[0]
