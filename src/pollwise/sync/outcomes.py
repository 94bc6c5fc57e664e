"""The outcomes of many watches for code without asyncio: the iterator that `SyncWatcher.as_completed` returns.

Rule 1: a lazy iterable of jobs is read in the thread that iterates, while it waits. A generator of jobs may block, and use
what belongs to its thread, such as a database connection. The background loop never waits for it.
Rule 2: any number of threads may iterate: each outcome goes to one of them.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Collection, Hashable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, Generic, Self, TypeVar

import attrs

from pollwise.errors import WatcherClosed
from pollwise.model.events import Outcome
from pollwise.runtime.batch import Batch
from pollwise.sync.background import BackgroundLoop, get_before

__all__ = ["SyncOutcomes"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")


@attrs.frozen
class _Raised:
    """What the iterable raised in place of a job."""

    error: Exception


_END = _Raised(StopAsyncIteration())


class _Source(Generic[J]):
    """The jobs, as an async iterator: each is asked of the thread that iterates."""

    def __init__(self, asked: queue.SimpleQueue[asyncio.Future[Any] | None]) -> None:
        self._asked = asked

    def __aiter__(self) -> AsyncIterator[J]:
        return self

    async def __anext__(self) -> J:
        given: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked.put(given)
        found = await given
        if isinstance(found, _Raised):
            raise found.error
        job: J = found
        return job


class SyncOutcomes(Generic[J, S]):
    """An iterator over the outcomes of many jobs, in the order in which they come.

    Attributes:
        position: Of the job whose outcome was yielded last, in the order of the jobs.
    """

    def __init__(
        self,
        begin: Callable[[Any], Batch[J, S]],
        jobs: Iterable[J],
        background: BackgroundLoop,
        keeps: object,
    ) -> None:
        self.position = -1
        self._background = background
        self._keeps = keeps  # the watcher, which is closed when it is collected
        self._turn = threading.Lock()
        self._messages: queue.SimpleQueue[asyncio.Future[Any] | None] = queue.SimpleQueue()
        self._jobs: Iterator[J] | None = None
        if isinstance(jobs, Collection):
            self._batch = background.call(lambda: begin(list(jobs)))
        else:
            self._jobs = iter(jobs)
            self._batch = background.call(lambda: begin(_Source(self._messages)))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Outcome[J, S]:
        """The next outcome.

        Raises:
            WatcherClosed: The watcher was closed before all jobs were read.
        """
        self._background.check()
        with self._turn:
            future = self._background.post(_take(self._batch))
            future.add_done_callback(lambda _done: self._messages.put(None))
            try:
                while (asked := get_before(self._messages)) is not None or not future.done():
                    self._answer(asked)
                taken = future.result()
            except CancelledError:
                raise WatcherClosed from None
            finally:
                future.cancel()  # does nothing once it is done
        if taken is None:
            raise StopIteration
        self.position, outcome = taken
        return outcome

    def close(self) -> None:
        """Read no more jobs, give no more outcomes. The watches that were begun go on."""
        with suppress(WatcherClosed):  # then there is nothing to read
            self._background.run(self._batch.aclose())

    def _answer(self, asked: asyncio.Future[Any] | None) -> None:
        """Read one job for the background loop."""
        if asked is None or self._jobs is None:
            return
        found: Any
        try:
            found = next(self._jobs)
        except StopIteration:
            found = _END
        except Exception as exc:  # noqa: BLE001  # raised after the outcomes of the jobs before it
            found = _Raised(exc)
        self._background.call_soon(_give, asked, found)


def _give(asked: asyncio.Future[Any], found: Any) -> None:
    if not asked.done():
        asked.set_result(found)


async def _take(batch: Batch[J, S]) -> tuple[int, Outcome[J, S]] | None:
    """The next outcome with its position, or None at the end: a future cannot raise StopAsyncIteration."""
    try:
        outcome = await batch.__anext__()
    except StopAsyncIteration:
        return None
    return batch.position, outcome
