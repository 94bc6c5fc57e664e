"""Contenders of the `overhead` benchmark: pollwise, its transport alone, and the plain loop. peers.py has the others.

Rule 1: all contenders do the same work: request the status of one of many jobs, parse the JSON, check if it is over.
Rule 2: each contender has a warm allocator (see `warm_allocator`) and a warm connection pool.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count, cycle
from typing import Any, Self

import aiohttp
import attrs
import orjson

from benchmarks.loopback import POLLS_A_JOB
from pollwise import JobWatcher, Limits, Pacing, RateBudget
from pollwise.endpoints import EndpointLike
from pollwise.endpoints.declared import Declaration, DeclaredEndpoint, Progress
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob
from pollwise.http.transport import AiohttpTransport

__all__ = [
    "Contender",
    "Pollwise",
    "PollwiseDeclared",
    "PollwiseJobs",
    "PollwiseLean",
    "Sending",
    "Slice",
    "Workers",
    "jobs",
    "warm_allocator",
]

_SETTLE_S = 0.15


def warm_allocator() -> None:
    """Free a block that is larger than asyncio's receive buffer. Otherwise glibc may map and unmap that at each poll."""
    bytearray(1 << 20)


def jobs(number: int, prefix: str = "") -> list[ExtractionJob]:
    """Jobs with IDs as long as the vendor's."""
    return [ExtractionJob(f"D{prefix}{n:042X}", f"ZX-{prefix}{n:040X}{n:013}") for n in range(number)]


@attrs.frozen
class Slice:
    """The measurement of one period of polling at full speed."""

    polls: int
    cpu_s: float
    wall_s: float

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU a poll."""
        return self.cpu_s / self.polls * 1e6

    @property
    def wall_us(self) -> float:
        """Microseconds a poll."""
        return self.wall_s / self.polls * 1e6


class Contender(ABC):
    """Polls at full speed inside `running`; `polls` counts the polls."""

    def __init__(self, url: str, connections: int, watched: int) -> None:
        self.url = url
        self.connections = connections
        self.jobs = jobs(watched)
        self.slowness = 1.0  # factor by which everything runs slower, as under callgrind
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self.open(self._stack)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._stack.aclose()

    @abstractmethod
    async def open(self, stack: AsyncExitStack) -> None:
        """Open the resources that are used until the contender is closed."""

    @abstractmethod
    def running(self) -> Any:
        """An async context manager in which it polls."""

    @property
    @abstractmethod
    def polls(self) -> int:
        """Polls so far."""

    @property
    def interval_s(self) -> float:
        """An interval so short that more polls are due than can be sent: 32,000 a second, divided by `slowness`."""
        return len(self.jobs) / 32_000 * self.slowness

    async def slice(self, for_s: float) -> Slice:
        """Measure one period, after everything is warm."""
        async with self.running():
            await self.settle()
            polls, cpu, wall = self.polls, time.process_time(), time.perf_counter()
            await asyncio.sleep(for_s)
            return Slice(self.polls - polls, time.process_time() - cpu, time.perf_counter() - wall)

    async def spend(self, polls: int) -> None:
        """Poll about this many times."""
        async with self.running():
            while self.polls < polls:  # a callback for each poll would change what is measured
                await asyncio.sleep(0.002)

    async def settle(self) -> None:
        await asyncio.sleep(_SETTLE_S)


class Pollwise(Contender):
    """A watcher with more polls due than it can send. Budget, adaptive pacing, time limits and typed statuses are on."""

    async def open(self, stack: AsyncExitStack) -> None:
        self.transport = await stack.enter_async_context(AiohttpTransport(connections=self.connections))
        self.watches: list[Any] = []

    @property
    def polls(self) -> int:
        return sum(watch.machine.polls for watch in self.watches)

    def watcher(self, endpoint: EndpointLike[Any, Any] | None = None) -> JobWatcher[Any, Any]:
        return JobWatcher(
            endpoint or ExtractionEndpoint(self.url),
            timeout_s=3600,
            pacing=Pacing(min_s=self.interval_s, max_s=1.5 * self.interval_s),
            budget=RateBudget(100_000, per_s=1),
            transport=self.transport,
            limits=Limits(concurrency=self.connections, capacity=len(self.jobs)),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self.watcher() as watcher:
            self.watches = [watcher.watch(job) for job in self.jobs]
            yield
        self.watches = []

    async def settle(self) -> None:
        while not all(watch.machine.polls for watch in self.watches):  # as in `spend`
            await asyncio.sleep(0.02)
        await super().settle()


class PollwiseLean(Pollwise):
    """The same with a fixed interval, no budget and no deadline."""

    def watcher(self, endpoint: EndpointLike[Any, Any] | None = None) -> JobWatcher[Any, Any]:
        return JobWatcher(
            endpoint or ExtractionEndpoint(self.url),
            timeout_s=None,
            pacing=Pacing.fixed(self.interval_s),
            transport=self.transport,
            limits=Limits(concurrency=self.connections),
        )


class PollwiseDeclared(Pollwise):
    """As `Pollwise`, with a declaration in place of the vendor's endpoint."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        endpoint: DeclaredEndpoint[Any] = DeclaredEndpoint(attrs.evolve(_EXTRACTIONS, base=self.url))
        async with self.watcher(endpoint) as watcher:
            jobs = [endpoint.job(file_id=job.file_id, job_id=job.job_id) for job in self.jobs]
            self.watches = [watcher.watch(job) for job in jobs]
            yield
        self.watches = []


_EXTRACTIONS = Declaration(
    name="extractions",
    base="https://api.example.com",
    poll="GET /documents/api/1.2/files/{file_id}/_extract/{job_id}",
    state="progress",
    queued=["PENDING"],
    running=["PROCESSING"],
    succeeded=["SUCCEEDED"],
    failed=["FAILED"],
    cancelled=["ABORTED"],
    unconfirmed=["ABORTED"],
    progress=Progress(done="completedPercentage", of=100),
    reason="message",
)


class PollwiseJobs(Pollwise):
    """Whole jobs as with the peers: each is started, polled until it is over, and reported."""

    def __init__(self, url: str, connections: int, watched: int) -> None:
        super().__init__(url, connections, watched)
        self._done = 0
        self._serial = count()

    @property
    def polls(self) -> int:
        return self._done * POLLS_A_JOB

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self._done = 0
        async with self.watcher() as watcher:
            self.reader = reader = asyncio.create_task(self._read(watcher))
            yield
            reader.cancel()
            with suppress(asyncio.CancelledError):
                await reader

    async def settle(self) -> None:
        while self._done < len(self.jobs) // POLLS_A_JOB:  # as in `spend`
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)

    async def _read(self, watcher: JobWatcher[Any, Any]) -> None:
        async for _ in watcher.as_completed(self._endless()):
            self._done += 1

    def _endless(self) -> Iterator[ExtractionJob]:
        while True:
            n = next(self._serial)
            yield ExtractionJob(f"D{n:042X}", f"ZX-{n:040X}{n:013}")


class Workers(Contender):
    """The plain loop, and the base class of contenders that poll one job in one coroutine."""

    async def open(self, stack: AsyncExitStack) -> None:
        connector = aiohttp.TCPConnector(limit=self.connections)
        self.session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        paths = [f"/documents/api/1.2/files/{job.file_id}/_extract/{job.job_id}" for job in self.jobs]
        self.urls = cycle([self.url + path for path in paths])
        self.done = 0
        self.stopping = False

    @property
    def polls(self) -> int:
        return self.done

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.stopping = False
        workers = [asyncio.create_task(self.work()) for _ in range(self.connections)]
        yield
        self.stopping = True
        await asyncio.gather(*workers)

    async def work(self) -> None:
        while not self.stopping:
            await self.follow(next(self.urls))

    async def follow(self, url: str) -> None:
        """Poll one job until it is over; in the plain loop only once, because its polls share nothing."""
        status = await self.fetch(url)
        assert status["progress"] in {"PROCESSING", "SUCCEEDED"}

    async def fetch(self, url: str) -> Any:
        async with self.session.get(url) as response:
            body = await response.read()
        self.done += 1
        return orjson.loads(body)


class Sending(Workers):
    """The transport of pollwise in the plain loop: the cost of a poll without deciding anything."""

    async def open(self, stack: AsyncExitStack) -> None:
        self.transport = await stack.enter_async_context(AiohttpTransport(connections=self.connections))
        endpoint = ExtractionEndpoint(self.url)
        self.requests = cycle([endpoint.request(job) for job in self.jobs])
        self.done = 0
        self.stopping = False

    async def work(self) -> None:
        while not self.stopping:
            reply = await self.transport.send(next(self.requests))
            self.done += 1
            assert orjson.loads(reply.body)["progress"] in {"PROCESSING", "SUCCEEDED"}
