"""Programs that hold many waiting jobs in the `scale` benchmark: pollwise in three ways, and a task for each job.

All of them poll RATE times a second in total, over the same number of connections.
"""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any, Self

import aiohttp

from pollwise import JobWatcher, Limits, Pacing, RateBudget
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob
from pollwise.model.messages import Reply

__all__ = ["HOLDERS", "RATE", "Completed", "Frozen", "Holder"]

RATE = 1_000
_CONNECTIONS = 64


class Holder:
    """Holds jobs and polls each of them repeatedly; `polled` is the number of jobs with at least one poll."""

    def __init__(self, url: str, jobs: list[ExtractionJob]) -> None:
        self.endpoint = ExtractionEndpoint(url)
        self.jobs = jobs
        self.calls_s = 0.0  # time of adding all jobs, if it blocks the caller; else 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        pass

    async def add(self) -> None:
        """Add all jobs."""

    def polled(self) -> int:
        """The number of jobs that were polled."""
        raise NotImplementedError


class Watched(Holder):
    """By pollwise: `watch()` for each job."""

    async def __aenter__(self) -> Self:
        self._watcher: JobWatcher[Any, Any] = JobWatcher(
            self.endpoint,
            timeout_s=86_400,
            # short bounds, because otherwise few watches would not use the whole rate
            pacing=Pacing(min_s=0.1, max_s=max(0.2, len(self.jobs) / RATE)),
            budget=RateBudget(RATE, per_s=1),
            limits=Limits(concurrency=_CONNECTIONS, capacity=10**6),
        )
        await self._watcher.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._watcher.__aexit__(None, None, None)

    async def add(self) -> None:
        began = time.perf_counter()
        for job in self.jobs:
            self._watcher.watch(job)
        self.calls_s = time.perf_counter() - began

    def polled(self) -> int:
        return sum(watch.machine.phase is not None for watch in self._watcher._parts().watches.values())  # noqa: SLF001


class Completed(Watched):
    """By pollwise: `as_completed` over all jobs."""

    async def __aexit__(self, *exc: object) -> None:
        self._reader.cancel()
        await super().__aexit__(*exc)

    async def add(self) -> None:
        self._reader = asyncio.create_task(self._read())
        while self._watcher.open_count < len(self.jobs):  # no callback reports each new watch
            await asyncio.sleep(0)

    async def _read(self) -> None:
        async for _ in self._watcher.as_completed(self.jobs):
            pass


class Frozen(Completed):
    """The same in a program that calls `gc.freeze()` after it has added its jobs."""

    async def add(self) -> None:
        gc.collect()  # otherwise `gc.freeze()` would keep the garbage
        gc.disable()
        await super().add()
        gc.freeze()
        gc.enable()

    async def __aexit__(self, *exc: object) -> None:
        gc.unfreeze()
        await super().__aexit__(*exc)


class Tasks(Holder):
    """By a task for each job."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_CONNECTIONS))
        self._tasks: list[asyncio.Task[None]] = []
        self._polled = 0
        return self

    async def __aexit__(self, *_exc: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()

    async def add(self) -> None:
        began = time.perf_counter()
        between_s = len(self.jobs) / RATE
        loop = asyncio.get_running_loop()
        for n, job in enumerate(self.jobs):
            self._tasks.append(loop.create_task(self._follow(job, n / RATE, between_s)))
        self.calls_s = time.perf_counter() - began

    def polled(self) -> int:
        return self._polled

    async def _follow(self, job: ExtractionJob, first_s: float, between_s: float) -> None:
        status = None
        await asyncio.sleep(first_s)
        while status is None or not status.final:
            self._polled += status is None
            status = await self._ask(job)
            await asyncio.sleep(between_s)

    async def _ask(self, job: ExtractionJob) -> Any:
        async with self._session.get(self.endpoint.request(job).url) as response:
            return self.endpoint.read(Reply(response.status, response.headers, await response.read()))


HOLDERS: dict[str, type[Holder]] = {
    "pollwise": Watched,
    "pollwise, as_completed": Completed,
    "pollwise, gc.freeze()": Frozen,
    "task per job": Tasks,
}
