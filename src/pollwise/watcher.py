"""JobWatcher: watches jobs of one endpoint, one or a hundred thousand, by the same road.

Rule 1: it owns what it opens: the transport that was not handed in, the pollers, the watches. Leaving its
`async with` ends all of them, however it is left.
Rule 2: the same job watched twice while it is open is asked once.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterable, Callable, Hashable, Iterable
from contextlib import aclosing
from operator import itemgetter
from types import TracebackType
from typing import Generic, Self, TypeVar

from pollwise.batch import Batch
from pollwise.core.budget import RateBudget
from pollwise.core.events import Outcome
from pollwise.core.machine import Rules, WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.wire import Endpoint, Transport
from pollwise.errors import ConfigurationError, WatcherClosed
from pollwise.pollers import Pollers
from pollwise.transport import AiohttpTransport
from pollwise.watch import Watch

__all__ = ["JobWatcher"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_LAST_POLL_S = 1.0
_LAST_POLL_SHARE = 0.1


class JobWatcher(Generic[J, S]):
    """Asks a status endpoint, politely and cleverly, until jobs are over.

    Use it as an async context manager; watches live inside its block.

        async with JobWatcher(endpoint, timeout_s=600) as watcher:
            status = await watcher.watch(job)

    Args:
        endpoint: The status call: how to ask and how to read.
        timeout_s: Longest duration of each watch in seconds. None waits for ever: a decision, never a default.
        pacing: When to ask again after a good poll.
        retry: When to ask again after a poll that taught nothing, and when to give up.
        transport: What sends; yours to close. By default an `AiohttpTransport` that the watcher opens and closes.
        budget: The token's rate limit; share one between all watchers that use the same token. By default what
            the endpoint's vendor documents until the server says otherwise, or what the server's replies teach.
        concurrency: Most requests in flight at once.
        capacity: Most watches that `as_completed` and `gather` keep open at once.
        request_timeout_s: Longest time for one request, in seconds.
        not_found_grace_s: How long a 404 may only mean "not visible yet", in seconds.
        confirmations: How many more polls confirm an answer that looks over but is not final.
        heartbeat_s: Report an unchanged status, too, when nothing was reported for this long. None for never.
        dice: Returns a random number in [0, 1), for jitter.

    Raises:
        ConfigurationError: An argument cannot be right.
    """

    def __init__(
        self,
        endpoint: Endpoint[J, S],
        *,
        timeout_s: float | None,
        pacing: Pacing | None = None,
        retry: Retry | None = None,
        transport: Transport | None = None,
        budget: RateBudget | None = None,
        concurrency: int = 64,
        capacity: int = 100_000,
        request_timeout_s: float = 30.0,
        not_found_grace_s: float = 30.0,
        confirmations: int = 2,
        heartbeat_s: float | None = None,
        dice: Callable[[], float] = random.random,
    ) -> None:
        _check(timeout_s=timeout_s, request_timeout_s=request_timeout_s, heartbeat_s=heartbeat_s)
        if concurrency < 1 or capacity < 1 or confirmations < 0 or not not_found_grace_s >= 0:
            raise ConfigurationError(
                "concurrency and capacity must be at least 1, confirmations and not_found_grace_s at least 0"
            )
        if budget is None:
            allowed = endpoint.allowance
            budget = RateBudget() if allowed is None else RateBudget.guessed(allowed[0], per_s=allowed[1])
        self.endpoint = endpoint
        self.budget = budget
        self.capacity = capacity
        self._rules = Rules(
            pacing=pacing or Pacing(),
            retry=retry or Retry(),
            timeout_s=timeout_s,
            last_poll_s=0.0 if timeout_s is None else min(_LAST_POLL_S, _LAST_POLL_SHARE * timeout_s),
            not_found_grace_s=not_found_grace_s,
            confirmations=confirmations,
            heartbeat_s=heartbeat_s,
            renewable=endpoint.auth is not None,
        )
        self._concurrency = concurrency
        self._request_timeout_s = request_timeout_s
        self._dice = dice
        self._given_transport = transport
        self._own_transport: AiohttpTransport | None = None
        self._pollers: Pollers[J, S] | None = None
        self._open: dict[J, Watch[J, S]] = {}
        self._now: Callable[[], float] = _never

    def __repr__(self) -> str:
        state = "closed" if self._pollers is None else f"{len(self._open)} watches"
        return f"<JobWatcher {self.endpoint.name} {state}>"

    async def __aenter__(self) -> Self:
        if self._pollers is not None:
            raise ConfigurationError("this watcher is open already; make another one")
        self._now = asyncio.get_running_loop().time
        if self._given_transport is None:
            self._own_transport = AiohttpTransport(connections=self._concurrency)
        self._pollers = Pollers(
            endpoint=self.endpoint,
            transport=self.transport,
            budget=self.budget,
            forecast=self._rules.forecast,
            concurrency=self._concurrency,
            request_timeout_s=self._request_timeout_s,
            dice=self._dice,
            on_over=self._forget,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pollers, self._pollers = self._pollers, None
        transport, self._own_transport = self._own_transport, None
        if pollers is None:
            return
        try:
            for watch in list(self._open.values()):
                pollers.end(watch, WatcherClosed(watch.job))
            await pollers.close()
        finally:
            if transport is not None:
                await transport.close()

    @property
    def transport(self) -> Transport:
        """What sends, for calls of your own such as `ExtractionEndpoint.start`.

        Raises:
            WatcherClosed: The watcher is not open.
        """
        transport = self._own_transport if self._given_transport is None else self._given_transport
        if transport is None:
            raise WatcherClosed
        return transport

    @property
    def watches(self) -> int:
        """How many watches are open now."""
        return len(self._open)

    def watch(self, job: J) -> Watch[J, S]:
        """Follow this job to its outcome. The first poll goes at once; the same open job is asked once.

        Raises:
            WatcherClosed: The watcher is not open.
            RuntimeError: It was opened in another event loop.
        """
        if self._pollers is None:
            raise WatcherClosed(job)
        watch = self._open.get(job)
        if watch is None:
            machine: WatchMachine[J, S] = WatchMachine(job, self._rules, now=self._now())
            watch = Watch(machine, self._pollers)
            self._pollers.add(watch)
            self._open[job] = watch
        return watch

    def as_completed(self, jobs: Iterable[J] | AsyncIterable[J]) -> Batch[J, S]:
        """Watch all of them and yield each one's outcome as it comes; as many outcomes as jobs.

        Jobs are taken from the iterable as the watcher's `capacity` allows. What the iterable raises comes out
        here, after the outcomes that came before. Leaving the loop early takes no more jobs, and closes an async
        generator that they came from; the watches that it has begun go on until the watcher is left. To wait until
        that is done use `async with contextlib.aclosing(watcher.as_completed(jobs)) as outcomes`.

        Raises:
            WatcherClosed: The watcher is not open, or was left before the jobs were all taken.
        """
        if self._pollers is None:
            raise WatcherClosed
        return Batch(self.watch, self._pollers.start, jobs, self.capacity)

    async def gather(self, jobs: Iterable[J] | AsyncIterable[J]) -> list[Outcome[J, S]]:
        """Watch all of them; their outcomes in the order of the jobs. Does not raise for what happened to a job.

        Raises:
            WatcherClosed: The watcher is not open, or was left before the jobs were all taken.
        """
        async with aclosing(self.as_completed(jobs)) as batch:
            found = [(batch.position, outcome) async for outcome in batch]
        return [outcome for _, outcome in sorted(found, key=itemgetter(0))]

    def _forget(self, watch: Watch[J, S]) -> None:
        del self._open[watch.job]


def _never() -> float:
    return math.nan


def _check(**durations: float | None) -> None:
    for name, value in durations.items():
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise ConfigurationError(f"{name} must be a positive number of seconds, got {value!r}")
