"""A queue of work with one task, which runs only while there is work.

Rule: foreign code that cancels the task does not end the work. The program is probably exiting then, so the task starts
again after a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

from pollwise.errors import WatcherClosed

__all__ = ["BackgroundJob", "StartTask", "pause"]

_RESPAWN_S = 1.0


class StartTask(Protocol):
    """Starts a task that ends with the watcher at the latest."""

    def __call__(self, work: Coroutine[Any, Any, None], /, *, name: str) -> asyncio.Task[None]:
        """Start it."""
        ...


class BackgroundJob:
    """Runs `work` in a task whenever it is woken and not running.

    Args:
        work: Does all that there is to do. When nothing is left it returns, without awaiting after it has looked.
            If it is cancelled, unfinished work must be left for the next task.
        start: Starts the task.
        name: The task's name.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]], start: StartTask, name: str) -> None:
        self._work = work
        self._start = start
        self._name = name
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """There is work. Start the task, unless it is running."""
        if self._task is None or self._task.done():
            self._task = self._start(self._work(), name=self._name)
            self._task.add_done_callback(self._on_done)

    async def join(self) -> None:
        """Wait until no work is left."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    def _on_done(self, task: asyncio.Task[None]) -> None:
        if self._task is task:
            self._task = None
        if task.cancelled():
            task.get_loop().call_later(_RESPAWN_S, self._respawn)

    def _respawn(self) -> None:
        with suppress(WatcherClosed):  # the watcher itself has cancelled the task
            self.wake()


async def pause(seconds: float, closing: asyncio.Event) -> None:
    """Wait this long, or until `closing` is set."""
    try:
        async with asyncio.timeout(seconds):
            await closing.wait()
    except TimeoutError:
        pass
