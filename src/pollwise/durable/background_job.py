"""Work that one task does at a time, and only while there is some.

Rule: a stranger who cancels the task does not end the work. As a rule that is somebody who ends the program, so what is
left waits a little for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

from pollwise.errors import WatcherClosed

__all__ = ["BackgroundJob", "Start", "pause"]

_REVIVAL_S = 1.0


class Start(Protocol):
    """Starts a task, and will end it with the watcher."""

    def __call__(self, work: Coroutine[Any, Any, None], /, *, name: str) -> asyncio.Task[None]:
        """Start it."""
        ...


class BackgroundJob:
    """Runs `work` in a task whenever it is woken and not running.

    Args:
        work: Does all that there is to do. It must find nothing left to do and return in one step, without awaiting.
            Cancelled, it must leave to be done again what it has not finished.
        start: Starts the task.
        name: The task's.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]], start: Start, name: str) -> None:
        self._work = work
        self._start = start
        self._name = name
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """There is something to do."""
        if self._task is None:
            self._task = self._start(self._run(), name=self._name)
            self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._task is task:  # it was cancelled before its first step
            self._rest()

    def _rest(self) -> None:
        self._task = None
        asyncio.get_running_loop().call_later(_REVIVAL_S, self._revive)

    def _revive(self) -> None:
        with suppress(WatcherClosed):  # it was the watcher who cancelled it
            self.wake()

    async def finished(self) -> None:
        """Wait until there is nothing left to do."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            await self._work()
        except asyncio.CancelledError:
            self._rest()
            raise
        finally:
            self._task = None


async def pause(seconds: float, closing: asyncio.Event) -> None:
    """Wait so long, or until that is set."""
    try:
        async with asyncio.timeout(seconds):
            await closing.wait()
    except TimeoutError:
        pass
