"""The internals of one watch, behind its handle: the machine, the newest events, and the subscribers.

Rule 1: an iterator keeps the number of the last event that it has seen, and nothing else. So leaving one leaks nothing.
Rule 2: of unread events only the newest of each kind is kept, and always the outcome.
Rule 3: a watch that is over is freed when no caller holds it. Neither its error nor a subscriber refers back to it.
"""

from __future__ import annotations

import asyncio
import copy
import math
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Hashable
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pollwise.core.machine import WatchMachine
from pollwise.core.watch_state import StepResult
from pollwise.errors import PollwiseError
from pollwise.model.events import Event, Outcome, Progressed, Retrying, Succeeded, Throttled
from pollwise.runtime.watch import Watch

__all__ = [
    "Calls",
    "CancellingWatch",
    "DrivenWatch",
    "Owner",
    "WriteToken",
    "copy_for_raise",
    "end_open",
    "forget_open",
]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")
E = TypeVar("E", bound=PollwiseError)


class Calls(Protocol):
    """What a watch does beside its polls."""

    def result(self, watch: DrivenWatch[Any, Any], timeout_s: float | None, /) -> Awaitable[Any]:
        """The result of its job."""
        ...

    async def cancel(self, watch: DrivenWatch[Any, Any], timeout_s: float | None, /) -> bool:
        """Ask the server to stop its job."""
        ...

    async def save(
        self, watch: DrivenWatch[Any, Any], path: str | os.PathLike[str], max_bytes: int, timeout_s: float | None, /
    ) -> int:
        """Write the result of its job to a file."""
        ...

    def is_held(self, watch: DrivenWatch[Any, Any], /) -> bool:
        """Whether its outcome waits for the reply to a cancel request."""
        ...


class Owner(Protocol):
    """What drives a watch, as the watch sees it."""

    @property
    def calls(self) -> Calls:
        """What the watch does beside its polls."""
        ...

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that the watcher was opened in."""
        ...

    def stop(self, watch: DrivenWatch[Any, Any], /) -> None:
        """End this watch now."""
        ...

    def resume_token(self, watch: DrivenWatch[Any, Any], /) -> str:
        """The watch as a text from which it can be resumed."""
        ...


class WriteToken(Protocol):
    """Writes the resume token of a watch."""

    def __call__(self, machine: WatchMachine[Any, Any], /, *, now: float, wall_now: float) -> str:
        """The token; `now` is in monotonic seconds, `wall_now` the same moment in epoch seconds."""
        ...


class _Subscribers:
    """What waits for a watch: futures for any event, futures for the outcome, callbacks. A set is made when it is needed."""

    __slots__ = ("callbacks", "event_waiters", "outcome_waiters")

    def __init__(self) -> None:
        self.event_waiters: set[asyncio.Future[None]] | None = None
        self.outcome_waiters: set[asyncio.Future[None]] | None = None
        self.callbacks: list[Callable[[Any], object]] = []


class DrivenWatch(Watch[J, S, Any]):
    """The implementation of `Watch`: its machine, its events and its subscribers.

    Attributes:
        machine: What is known of the watch, and what comes next.
    """

    __slots__ = ("_events", "_last_progress", "_last_retry", "_last_throttle", "_owner", "_subscribers", "machine")

    notes_every_poll: ClassVar[bool] = False  # whether `notify` is to be called after a poll that changed nothing, too

    def __init__(self, machine: WatchMachine[J, S], owner: Owner) -> None:
        self.machine = machine
        self._owner = owner
        # The number of the newest event; each kind below keeps the number of its own newest. A resumed watch begins
        # with one event: what is known.
        self._events = self._last_progress = 0 if machine.phase is None else 1
        self._last_retry: tuple[int, Retrying[J]] | None = None
        self._last_throttle = 0  # the event is made when it is read, because under pressure every watch has one
        # a batch sets one callback on each watch and nothing else, so a single callback is kept as it is
        self._subscribers: _Subscribers | Callable[[Any], object] | None = None

    def __repr__(self) -> str:
        machine, outcome = self.machine, self.outcome
        state = "new" if machine.phase is None else machine.phase.value
        if outcome is not None:
            state = type(outcome).__name__
        return f"<Watch {machine.job!r} {state} polls={machine.polls}>"

    def __dir__(self) -> list[str]:
        return dir(Watch)  # completion offers what is meant for callers

    @property
    def job(self) -> J:
        return self.machine.job

    @property
    def outcome(self) -> Outcome[J, S] | None:
        return self.machine.outcome

    @property
    def last(self) -> Event[J, S] | None:
        found = self._next(self._events - 1) if self._events else None
        return None if found is None else found[1]

    @property
    def resume_token(self) -> str:
        return self._owner.resume_token(self)

    def result(self, *, timeout_s: float | None = None) -> Awaitable[Any]:
        return self._owner.calls.result(self, timeout_s)

    async def save_result(self, path: str | os.PathLike[str], *, max_bytes: int, timeout_s: float | None = None) -> int:
        return await self._owner.calls.save(self, path, max_bytes, timeout_s)

    async def cancel(self, *, timeout_s: float | None = None) -> bool:
        return await self._owner.calls.cancel(self, timeout_s)

    def stop(self) -> None:
        self._owner.stop(self)

    async def wait(self) -> S:
        while (outcome := self.outcome) is None:
            subscribers = self._need_subscribers()
            if subscribers.outcome_waiters is None:
                subscribers.outcome_waiters = set()
            await self._wait_on(subscribers.outcome_waiters)
        if isinstance(outcome, Succeeded):
            return outcome.status
        raise copy_for_raise(outcome.error)

    def __await__(self) -> Generator[Any, None, S]:
        return self.wait().__await__()

    def __aiter__(self) -> AsyncIterator[Event[J, S]]:
        return _View(self, max(0, self._events - 1))

    def on_outcome(self, callback: Callable[[Watch[J, S, Any]], object]) -> None:
        if self.outcome is not None:
            self._call(callback)
            return
        if self._subscribers is None:
            self._subscribers = callback
        else:
            self._need_subscribers().callbacks.append(callback)

    # --- for what drives the watch ------------------------------------------------------------

    def notify(self, step: StepResult, now: float) -> None:
        """A step of the machine came to this: notify the subscribers that wait for it."""
        if step is StepResult.PROGRESSED:
            self._events = self._last_progress = self._events + 1
        elif step is StepResult.RETRYING:
            self._events += 1
            self._last_retry = (self._events, self.machine.retrying(now))
        elif step is StepResult.OVER:
            self._events += 1
        else:
            return
        subscribers = self._subscribers
        if isinstance(subscribers, _Subscribers):
            _resolve(subscribers.event_waiters)
        if step is StepResult.OVER and subscribers is not None:
            self._notify_outcome(subscribers)

    def notify_throttled(self, now: float, available_at: float) -> None:
        """The budget holds the next poll back."""
        self._events = self._last_throttle = self._events + 1
        if now < available_at < math.inf:
            self.machine.defer(available_at)
        if isinstance(self._subscribers, _Subscribers):
            _resolve(self._subscribers.event_waiters)

    # --- reading ------------------------------------------------------------------------------

    def _next(self, seen: int) -> tuple[int, Event[J, S]] | None:
        """The oldest kept event that is newer than number `seen`, with its own number."""
        if seen >= self._events:
            return None
        found: list[tuple[int, Event[J, S]]] = [
            kept for kept in (self._last_retry,) if kept is not None and kept[0] > seen
        ]
        if self._last_throttle > seen:
            found.append((self._last_throttle, self.machine.throttled(self._owner.loop.time())))
        outcome = self.outcome
        if outcome is not None:
            found.append((self._events, outcome))
        if self._last_progress > seen:
            found.append((self._last_progress, self.machine.progressed()))
        return min(found, key=_number, default=None)

    async def _wait_for_event(self) -> None:
        subscribers = self._need_subscribers()
        if subscribers.event_waiters is None:
            subscribers.event_waiters = set()
        await self._wait_on(subscribers.event_waiters)

    async def _wait_on(self, waiters: set[asyncio.Future[None]]) -> None:
        future = self._owner.loop.create_future()  # asyncio refuses to await it in another loop
        waiters.add(future)
        try:
            await future
        finally:
            waiters.discard(future)

    def _need_subscribers(self) -> _Subscribers:
        subscribers = self._subscribers
        if isinstance(subscribers, _Subscribers):
            return subscribers
        self._subscribers = made = _Subscribers()
        if subscribers is not None:
            made.callbacks.append(subscribers)
        return made

    def _notify_outcome(self, subscribers: _Subscribers | Callable[[Any], object]) -> None:
        """Notify the subscribers of the outcome, which is the last event."""
        self._subscribers = None
        if isinstance(subscribers, _Subscribers):
            _resolve(subscribers.outcome_waiters)
            for callback in subscribers.callbacks:
                self._call(callback)
        else:
            self._call(subscribers)

    def _call(self, callback: Callable[[Watch[J, S, Any]], object]) -> None:
        try:
            callback(self)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exc:  # noqa: BLE001  # the caller's callback; the other callbacks and the dispatcher go on
            context = {"message": "a callback of Watch.on_outcome failed", "exception": exc, "watch": self}
            self._owner.loop.call_exception_handler(context)


class CancellingWatch(DrivenWatch[J, S]):
    """A watch of a watcher with `cancel_on_deadline`, without a ledger. Its outcome may wait for a cancel request."""

    __slots__ = ()

    @property
    def outcome(self) -> Outcome[J, S] | None:
        """The one terminal event, or None until the cancel request is answered."""
        return None if self._owner.calls.is_held(self) else self.machine.outcome


class _View(Generic[J, S]):
    """One iteration over a watch's events."""

    __slots__ = ("_over", "_seen", "_watch")

    def __init__(self, watch: DrivenWatch[J, S], seen: int) -> None:
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
            await watch._wait_for_event()  # noqa: SLF001
        self._seen, event = found
        self._over = not isinstance(event, (Progressed, Retrying, Throttled))
        return event


def _resolve(waiters: set[asyncio.Future[None]] | None) -> None:
    for future in waiters or ():
        if not future.done():
            future.set_result(None)


def copy_for_raise(error: E) -> E:
    """A copy of the error, to be raised.

    Any number of tasks may raise it, each with its own traceback and context. The error in the outcome has none, because
    a traceback holds frames, and so this watch and the local variables of its awaiter.
    """
    try:
        copied = copy.copy(error)
    except Exception:  # noqa: BLE001  # an endpoint's own class that cannot be copied
        return error.with_traceback(None)
    copied.__cause__, copied.__suppress_context__ = error.__cause__, error.__suppress_context__
    return copied


def forget_open(watches: dict[J, DrivenWatch[J, S]], watch: DrivenWatch[J, S]) -> None:
    """The watch is open no more."""
    del watches[watch.job]


def end_open(watches: dict[J, DrivenWatch[J, S]], watch: DrivenWatch[J, S]) -> None:
    """The watch is open no more: publish its outcome."""
    del watches[watch.job]
    watch.notify(StepResult.OVER, math.nan)


def _number(kept: tuple[int, Event[Any, Any]]) -> int:
    return kept[0]
