"""Work that one task does at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from pollwise.durable.background_job import BackgroundJob, pause
from pollwise.errors import WatcherClosed

pytestmark = pytest.mark.looptime


def start(work: Coroutine[Any, Any, None], /, *, name: str) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(work, name=name)


async def test_one_task_does_what_comes_meanwhile() -> None:
    """Waking it while it works starts no second one, and nothing is left undone."""
    todo: list[int] = []
    done: list[tuple[int, str]] = []

    async def work() -> None:
        while todo:
            item = todo.pop(0)
            await asyncio.sleep(1)
            task = asyncio.current_task()
            assert task is not None
            done.append((item, task.get_name()))

    job = BackgroundJob(work, start, "job")
    await job.join()
    for item in range(3):
        todo.append(item)
        job.wake()
        await asyncio.sleep(0.4)
        assert [task.get_name() for task in asyncio.all_tasks()].count("job") == 1
    await job.join()
    assert done == [(item, "job") for item in range(3)]
    assert asyncio.all_tasks() == {asyncio.current_task()}
    todo.append(3)
    job.wake()
    await job.join()
    assert done[-1] == (3, "job")


async def test_a_pause_ends_early_when_it_is_closing() -> None:
    """And at its time otherwise."""
    loop, closing = asyncio.get_running_loop(), asyncio.Event()
    await pause(5.0, closing)
    assert loop.time() == pytest.approx(5.0)
    loop.call_later(1.0, closing.set)
    await pause(5.0, closing)
    assert loop.time() == pytest.approx(6.0)


async def test_foreign_code_that_cancels_does_not_end_the_work() -> None:
    """What was left is done a little later, unless the watcher is gone by then."""
    todo, done = [1, 2], []

    async def work() -> None:
        while todo:
            await asyncio.sleep(1)
            done.append(todo.pop(0))

    job = BackgroundJob(work, start, "job")
    job.wake()
    await asyncio.sleep(0.5)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await job.join()
    assert done == []
    await asyncio.sleep(5)
    assert done == [1, 2]

    todo.append(3)
    job.wake()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()  # before its first step
    await job.join()
    assert done == [1, 2]
    await asyncio.sleep(5)
    assert done == [1, 2, 3]

    def closed(work: Coroutine[Any, Any, None], /, *, name: str) -> asyncio.Task[None]:
        work.close()
        raise WatcherClosed

    todo.append(4)
    job.wake()
    await asyncio.sleep(0)
    (task,) = asyncio.all_tasks() - {asyncio.current_task()}
    job._start = closed
    task.cancel()
    await asyncio.sleep(5)
    assert todo == [4]
