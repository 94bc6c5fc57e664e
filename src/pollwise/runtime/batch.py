"""Many watches, one stream of outcomes: the iterator that `JobWatcher.as_completed` returns.

Rule 1: jobs are taken as capacity allows: no more than `capacity` are open or waiting to be read, so neither a lazy
source nor a slow reader makes memory grow.
Rule 2: the feeding task ends with the iteration, also when the iteration is dropped without `aclose`, and with the
watcher.
Rule 3: a stream that ends has given an outcome for each job. An error that ends it early, such as one of the caller's
iterable, is raised from it after the outcomes of the jobs that were begun.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Callable, Coroutine, Hashable, Iterable
from contextlib import suppress
from inspect import isasyncgen
from typing import Any, Generic, Protocol, Self, TypeVar

from pollwise.errors import WatcherClosed
from pollwise.model.events import Outcome
from pollwise.runtime.fairness import Yielder
from pollwise.runtime.watch import Watch

__all__ = ["Batch"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")


class Start(Protocol):
    """Starts the feeding task, and will end it with the watcher."""

    def __call__(self, work: Coroutine[Any, Any, None], /, *, name: str) -> asyncio.Task[None]: ...


class Batch(Generic[J, S]):
    """An async iterator over the outcomes of many jobs, in the order in which they come.

    Any number of tasks may iterate: each outcome goes to one of them.

    Attributes:
        position: Of the job whose outcome was yielded last, in the order of the jobs.
    """

    def __init__(
        self, begin: Callable[[J], Watch[J, S, Any]], start: Start, jobs: Iterable[J] | AsyncIterable[J], capacity: int
    ) -> None:
        self.position = -1
        self._flow: _Flow[J, S] = _Flow(begin, capacity)
        self._start = start
        self._jobs = jobs
        self._feeder: asyncio.Task[None] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome[J, S]:
        if self._feeder is None and not self._flow.left:
            self._feeder = self._start(self._flow.feed(self._jobs), name="pollwise-feeder")
            self._feeder.add_done_callback(self._flow.fed)
        self.position, outcome = await self._flow.take()
        return outcome

    async def aclose(self) -> None:
        """Take no more jobs, give no more outcomes. The watches that were begun go on."""
        self._flow.leave()
        if self._feeder is not None:
            self._feeder.cancel()
            await asyncio.wait([self._feeder])

    def __del__(self) -> None:
        if self._feeder is not None and not self._feeder.done():
            self._flow.left = True
            with suppress(RuntimeError):  # the loop is closed, so the task cannot run
                self._feeder.get_loop().call_soon_threadsafe(self._feeder.cancel)  # garbage is collected in any thread


class _Flow(Generic[J, S]):
    """What the feeding task and the reader share. It refers to neither, so a reader that is dropped ends the feeding task."""

    def __init__(self, begin: Callable[[J], Watch[J, S, Any]], capacity: int) -> None:
        self.left = False  # there is no reader, or the reader has had the end
        self._begin = begin
        self._capacity = capacity
        self._ready: deque[tuple[int, Outcome[J, S]]] = deque()
        self._taken = 0
        self._given = 0
        self._fed = False
        self._failure: BaseException | None = None
        self._fair = Yielder()
        self._came = asyncio.Event()
        self._room = asyncio.Event()

    async def feed(self, jobs: Iterable[J] | AsyncIterable[J]) -> None:
        try:
            if isinstance(jobs, AsyncIterable):
                async for job in jobs:
                    await self._add(job)
            else:
                for job in jobs:
                    await self._add(job)
        except BaseException as exc:
            task = asyncio.current_task()
            ours = isinstance(exc, asyncio.CancelledError) and task is not None and task.cancelling() > 0
            self._failure = WatcherClosed() if ours else exc
            if ours or isinstance(exc, (KeyboardInterrupt, SystemExit)):
                raise
        finally:
            self._fed = True
            self._came.set()
            if isasyncgen(jobs):
                await jobs.aclose()  # now, not when it is collected

    def fed(self, _feeder: asyncio.Task[None]) -> None:
        """The feeding task is over. It may have been cancelled before its first step."""
        if not self._fed:
            self._fed = True
            self._failure = WatcherClosed()
            self._came.set()

    async def take(self) -> tuple[int, Outcome[J, S]]:
        while not self._ready:
            failure = self._failure
            complete = self._fed and self._given == self._taken
            urgent = isinstance(failure, (KeyboardInterrupt, SystemExit))
            if failure is not None and not self.left and (complete or urgent):
                self.leave()
                raise failure
            if self.left or complete:
                raise StopAsyncIteration
            self._came.clear()
            await self._came.wait()
        self._given += 1
        self._room.set()
        return self._ready.popleft()

    def leave(self) -> None:
        self.left = True
        self._failure = None
        self._ready.clear()
        self._came.set()

    def arrive(self, position: int, watch: Watch[J, S, Any]) -> None:
        outcome = watch.outcome
        if outcome is not None and not self.left:
            self._ready.append((position, outcome))
            self._came.set()

    async def _add(self, job: J) -> None:
        watch = self._begin(job)
        position, self._taken = self._taken, self._taken + 1
        watch.on_outcome(_Place(self, position))
        await self._fair.checkpoint()
        while self._taken - self._given >= self._capacity:
            self._room.clear()
            await self._room.wait()


class _Place(Generic[J, S]):
    """The position of a watch's outcome in its flow. Each open watch has one, and a closure would take more memory."""

    __slots__ = ("_flow", "_position")

    def __init__(self, flow: _Flow[J, S], position: int) -> None:
        self._flow = flow
        self._position = position

    def __call__(self, watch: Watch[J, S, Any]) -> None:
        self._flow.arrive(self._position, watch)
