"""Starts and ends every task of a watcher.

Rule 1: a task runs in the context of the code that opened the watcher, unless it is given another.
Rule 2: a task takes its first step in the next turn of the event loop, also with `asyncio.eager_task_factory`. Else it would
begin within the call that starts it, before the caller has noted what the task needs.
Rule 3: `aclose` returns when every task is over, also if it is cancelled meanwhile.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine, Generator
from typing import Any

from pollwise.errors import WatcherClosed

__all__ = ["TaskOwner"]


class TaskOwner:
    """Owns the tasks of one watcher in the running event loop.

    Attributes:
        closed: Whether `aclose` was called: no task is started any more.
        context: A copy of the context in which the owner was made.
        loop: The event loop.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.context = contextvars.copy_context()
        self.closed = False
        self._tasks: set[asyncio.Task[Any]] = set()

    def check_loop(self) -> None:
        """Raise RuntimeError if another event loop than the owner's is running, or none."""
        try:
            running: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is not self.loop:
            raise RuntimeError(
                "a watcher belongs to the event loop that it was opened in;"
                " from elsewhere go through that loop's call_soon_threadsafe"
            )

    def start(
        self, work: Coroutine[Any, Any, None], *, name: str, context: contextvars.Context | None = None
    ) -> asyncio.Task[None]:
        """Start a task, which `aclose` ends if it is not over before.

        Raises:
            WatcherClosed: The owner has been closed.
            RuntimeError: This is not the owner's event loop.
        """
        try:
            self.check_loop()
        except RuntimeError:
            work.close()
            raise
        if self.closed:
            work.close()
            raise WatcherClosed
        if self.loop.get_task_factory() is not None:  # it may be an eager one, which enters the context at once
            work, context = _Deferred(work), None if context is None else context.copy()
        task = self.loop.create_task(work, name=name, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def aclose(self) -> None:
        """Cancel all tasks and wait for their ends. If it is cancelled, it cancels them again, and passes that on."""
        self.closed = True
        pending = set(self._tasks)
        cancelled: asyncio.CancelledError | None = None
        while pending:
            for task in pending:
                task.cancel()
            try:
                await asyncio.wait(pending)
            except asyncio.CancelledError as exc:
                cancelled = exc
            pending = {task for task in pending if not task.done()}
        if cancelled is not None:
            raise cancelled


class _Deferred(Coroutine[Any, Any, None]):
    """The same work, which begins in the next turn of the event loop."""

    def __init__(self, work: Coroutine[Any, Any, None]) -> None:
        self._work = work
        self._is_begun = False
        self.__qualname__ = getattr(work, "__qualname__", type(work).__name__)  # for the repr of its task

    def __await__(self) -> Generator[Any, None, None]:
        yield
        return (yield from self._work.__await__())

    def send(self, value: Any, /) -> Any:
        """Take a step. The first one only lets the loop run, as `asyncio.sleep(0)` does."""
        if self._is_begun:
            return self._work.send(value)
        self._is_begun = True
        return None

    def throw(self, *exc_info: Any) -> Any:
        """Raise this in the work. A step was taken, whichever it was."""
        self._is_begun = True
        return self._work.throw(*exc_info)

    def close(self) -> None:
        """End the work."""
        self._work.close()
