"""An awaitable that many tasks share."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pollwise.errors import PollwiseError, WatcherClosed, WatchStopped
from pollwise.runtime.pending_result import PendingResult
from toy import settle

pytestmark = pytest.mark.looptime


class _Fetches:
    """A fetch that takes a second, and what came of each."""

    def __init__(self, *results: Any) -> None:
        self.begun = 0
        self.cancelled = 0
        self.error: PollwiseError | None = None
        self._results = list(results)
        self.task: asyncio.Task[None] | None = None

    def pending(self) -> PendingResult[Any]:
        return PendingResult(
            "job",
            self._fetch,
            ended_badly=lambda: self.error,
            start=self._start,
            loop=asyncio.get_running_loop(),
        )

    def _start(self, work: Any, /, *, name: str) -> asyncio.Task[None]:
        self.task = asyncio.create_task(work, name=name)
        return self.task

    async def _fetch(self) -> Any:
        self.begun += 1
        try:
            await asyncio.sleep(1.0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        result = self._results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


async def test_all_tasks_get_the_same_value() -> None:
    """From one fetch, and later from none."""
    fetches = _Fetches(["value"])
    pending = fetches.pending()
    one, two = await asyncio.gather(*[asyncio.ensure_future(pending) for _ in range(2)])
    assert one is two is await pending
    assert fetches.begun == 1


async def test_nothing_is_fetched_before_it_is_awaited() -> None:
    """Making it costs nothing."""
    fetches = _Fetches("value")
    fetches.pending()
    await settle()
    assert fetches.begun == 0


async def test_each_task_raises_an_error_of_its_own() -> None:
    """And the next one fetches again."""
    fetches = _Fetches(WatchStopped("job"), "value")
    pending = fetches.pending()
    tasks = [asyncio.ensure_future(pending) for _ in range(2)]  # `gather` would await it once
    one, two = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(one, WatchStopped)
    assert isinstance(two, WatchStopped)
    assert one is not two
    assert await pending == "value"


async def test_the_last_task_that_leaves_stops_the_fetch() -> None:
    """A task that comes in the same moment begins another one."""
    fetches = _Fetches("value")
    pending = fetches.pending()
    tasks = [asyncio.ensure_future(pending) for _ in range(2)]
    await settle()
    tasks[0].cancel()
    await settle()
    assert fetches.cancelled == 0
    tasks[1].cancel()
    await asyncio.sleep(0)
    assert await pending == "value"
    assert (fetches.begun, fetches.cancelled) == (2, 1)


async def test_a_fetch_that_is_cancelled_from_outside_says_so() -> None:
    """As when the watcher closes."""
    fetches = _Fetches("value")
    waiting = asyncio.ensure_future(fetches.pending())
    await settle()
    assert fetches.task is not None
    fetches.task.cancel()
    with pytest.raises(WatcherClosed):
        await waiting


async def test_a_job_that_ended_badly_is_not_fetched() -> None:
    """Its error is raised."""
    fetches = _Fetches("value")
    fetches.error = WatchStopped("job")
    with pytest.raises(WatchStopped):
        await fetches.pending()
    assert fetches.begun == 0


async def test_a_watcher_that_is_closed_starts_no_fetch() -> None:
    """Its error is raised, and nothing is left unawaited."""

    def start(work: Any, /, *, name: str) -> asyncio.Task[None]:
        raise WatcherClosed

    fetches = _Fetches("value")
    pending = PendingResult(
        "job", fetches._fetch, ended_badly=lambda: None, start=start, loop=asyncio.get_running_loop()
    )
    with pytest.raises(WatcherClosed):
        await pending
