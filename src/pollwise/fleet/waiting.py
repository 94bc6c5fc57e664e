"""Waits for the outcomes of single jobs.

Rule 1: any number of jobs are asked about with one statement.
Rule 2: the database is asked when a worker has written outcomes, and every two seconds anyway, because a notification can be lost. It is
asked about a new job at once, and for at most half of the time.
Rule 3: there is a task and a connection only while something waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from copy import copy
from typing import TypeAlias

from pollwise.fleet.tasks import cancelled
from pollwise.ledger import Concluded, LedgerClosed, LedgerError, OpenWatch, Shard
from pollwise.ledger.postgres.requests import Requests
from pollwise.ledger.postgres.workers import Workers

__all__ = ["OutcomeFeed", "Waiting"]

Place: TypeAlias = tuple[Shard, Mapping[str, str]]

_EVERY_S = 2.0
_PAUSE_S = 0.5  # while the database is away
_MOST = 10_000  # jobs in one statement

_log = logging.getLogger(__name__)


class OutcomeFeed:
    """Says when there may be new outcomes. Close it with `aclose`.

    Args:
        workers: Listens for the notifications of workers.
        shards: Only outcomes in these.
    """

    def __init__(self, workers: Workers, shards: frozenset[Shard]) -> None:
        self._workers = workers
        self._shards = shards
        self._stack = AsyncExitStack()
        self._arrivals = workers.outcomes()
        self._entered = False
        self._woken = False

    async def aclose(self) -> None:
        """Stop listening."""
        await self._stack.aclose()

    def wake(self) -> None:
        """Let `wait` return False now."""
        self._woken = True
        self._arrivals.wake()

    async def wait(self) -> bool:
        """Return True when there may be new outcomes, in two seconds at the latest, and False after `wake`.

        Raises:
            LedgerError: The database failed. It may be repeated.
        """
        if not self._entered:
            await self._stack.enter_async_context(self._arrivals)
            self._entered = True
            return True  # what was written before is not notified
        loop = asyncio.get_running_loop()
        ends = loop.time() + _EVERY_S
        while (left_s := ends - loop.time()) > 0:
            found = await self._arrivals.wait(left_s)
            woken, self._woken = self._woken, False
            if not self._shards.isdisjoint(found):
                return True
            if woken:
                return False
            if not found:
                break
        return True


@asynccontextmanager
async def listening(workers: Workers, shards: frozenset[Shard]) -> AsyncIterator[OutcomeFeed]:
    """A feed that is closed at the end."""
    feed = OutcomeFeed(workers, shards)
    try:
        yield feed
    finally:
        await feed.aclose()


class Waiting:
    """The jobs of one client whose outcomes are waited for.

    Args:
        workers: Listens.
        requests: Finds rows.
        shards: The shards of the client.
    """

    def __init__(self, workers: Workers, requests: Requests, shards: frozenset[Shard]) -> None:
        self._workers = workers
        self._requests = requests
        self._shards = shards
        self._futures: dict[asyncio.Future[Concluded | None], Place] = {}
        self._fresh: dict[asyncio.Future[Concluded | None], Place] = {}  # not asked about yet
        self._feed: OutcomeFeed | None = None
        self._task: asyncio.Task[None] | None = None

    async def wait(self, place: Place) -> Concluded | None:
        """The row of this job when it has an outcome. None if the job has no row."""
        future: asyncio.Future[Concluded | None] = asyncio.get_running_loop().create_future()
        self._futures[future] = self._fresh[future] = place
        if self._feed is not None:
            self._feed.wake()
        if self._task is None:
            self._task = asyncio.create_task(self._serve(), name="pollwise-fleet-outcomes")
        try:
            return await future
        finally:
            self._futures.pop(future, None)
            self._fresh.pop(future, None)
            if not self._futures and self._task is not None:
                task, self._task, self._feed = self._task, None, None
                await cancelled(task)

    async def _serve(self) -> None:
        try:
            await self._serve_all()
        except Exception as exc:  # noqa: BLE001  # each caller gets it
            for future in list(self._futures):
                if not future.done():
                    future.set_exception(copy(exc))

    async def _serve_all(self) -> None:
        loop = asyncio.get_running_loop()
        async with listening(self._workers, self._shards) as self._feed:
            while True:
                try:
                    of_all = await self._feed.wait()
                    began = loop.time()
                    fresh, self._fresh = self._fresh, {}
                    await self._look(self._futures if of_all else fresh)
                    await asyncio.sleep(loop.time() - began)
                except LedgerClosed:
                    raise
                except LedgerError as exc:
                    _log.debug("the database fails (%s); it is asked again", type(exc).__name__)
                    await asyncio.sleep(_PAUSE_S)

    async def _look(self, wanted: Mapping[asyncio.Future[Concluded | None], Place]) -> None:
        waiting = [item for item in wanted.items() if not item[0].done()]
        for begin in range(0, len(waiting), _MOST):
            some = waiting[begin : begin + _MOST]
            found = await self._requests.find([place for _, place in some])
            for (future, _), known in zip(some, found, strict=True):
                if not isinstance(known, OpenWatch) and not future.done():
                    future.set_result(known)
