"""What `Watch.result()` returns: an awaitable that any number of tasks may share.

Rule 1: the tasks that await it share one fetch. If all of them are cancelled, the fetch is stopped.
Rule 2: a fetched value is kept for as long as a caller holds the awaitable. A failed fetch is not kept: the next `await`
fetches again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Generic, Protocol, TypeVar

from pollwise.errors import PollwiseError, WatcherClosed
from pollwise.model.tracebacks import strip_tracebacks
from pollwise.runtime.driven_watch import copy_for_raise

__all__ = ["PendingResult", "StartTask"]

R = TypeVar("R")


class StartTask(Protocol):
    """Starts a task that ends with the watcher at the latest."""

    def __call__(self, work: Coroutine[Any, Any, None], /, *, name: str) -> asyncio.Task[None]:
        """Start it. Raises WatcherClosed if the watcher is not open any more."""
        ...


class _Fetch(Generic[R]):
    """One fetch, and the futures of the tasks that wait for it."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.waiters: set[asyncio.Future[None]] = set()
        self.error: PollwiseError | None = None
        self.value: R | None = None
        self.is_done = False

    async def run(self, fetch: Callable[[], Awaitable[R]], job: Any) -> None:
        """Fetch, and wake the tasks that wait."""
        self.error = WatcherClosed(job)  # if this task is cancelled
        try:
            self.value = await fetch()
            self.error = None
        except PollwiseError as exc:
            self.error = strip_tracebacks(exc)
        finally:
            self.is_done = True
            for waiter in self.waiters:
                if not waiter.done():
                    waiter.set_result(None)


class PendingResult(Awaitable[R]):
    """The result of one job, fetched when it is awaited.

    Args:
        job: The job.
        fetch: Waits for the outcome, and fetches the result.
        ended_badly: Returns the error of the outcome, if there is one by now.
        start: Starts a task.
        loop: The watcher's event loop.
    """

    __slots__ = ("__weakref__", "_ended_badly", "_fetch", "_job", "_loop", "_run", "_start")

    def __init__(
        self,
        job: Any,
        fetch: Callable[[], Awaitable[R]],
        *,
        ended_badly: Callable[[], PollwiseError | None],
        start: StartTask,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._job = job
        self._fetch = fetch
        self._ended_badly = ended_badly
        self._start = start
        self._loop = loop
        self._run: _Fetch[R] | None = None

    def __await__(self) -> Generator[Any, None, R]:
        """Wait for the outcome and fetch the result. Raises what `Watch.result` says."""
        return self._wait().__await__()

    async def _wait(self) -> R:
        run = self._run
        if run is None:
            error = self._ended_badly()  # also known after the watcher was closed
            if error is not None:
                raise copy_for_raise(error)
            run = _Fetch()
            work = run.run(self._fetch, self._job)
            try:
                run.task = self._start(work, name="pollwise-result")
            except BaseException:
                work.close()
                raise
            self._run = run
        if not run.is_done:
            await self._join(run)
        if run.error is not None:
            if self._run is run:
                self._run = None
            raise copy_for_raise(run.error)
        return run.value  # type: ignore[return-value]  # it was fetched

    async def _join(self, run: _Fetch[R]) -> None:
        waiter = self._loop.create_future()  # asyncio refuses to await it in another loop
        run.waiters.add(waiter)
        try:
            await waiter
        finally:
            run.waiters.discard(waiter)
            if not run.waiters and not run.is_done and run.task is not None:
                if self._run is run:
                    self._run = None
                run.task.cancel()
