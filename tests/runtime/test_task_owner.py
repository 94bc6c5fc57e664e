"""Every task that is started is ended, in the event loop where it was started."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pollwise.errors import WatcherClosed
from pollwise.runtime.task_owner import TaskOwner


async def _for_ever() -> None:
    await asyncio.Event().wait()


async def test_closing_ends_the_tasks_and_starts_no_more() -> None:
    """It returns when they are over."""
    owner = TaskOwner()
    tasks = [owner.start(_for_ever(), name=f"task {n}") for n in range(3)]
    await owner.aclose()
    assert all(task.cancelled() for task in tasks)
    with pytest.raises(WatcherClosed):
        owner.start(_for_ever(), name="late")


async def test_a_cancelled_close_ends_the_tasks_all_the_same() -> None:
    """A task that ignores the first cancellation is cancelled again."""

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    owner = TaskOwner()
    task = owner.start(stubborn(), name="stubborn")
    await asyncio.sleep(0)
    closing = asyncio.create_task(owner.aclose())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not task.done()
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert task.cancelled()


def test_another_event_loop_is_refused() -> None:
    """The work is closed, so that it does not warn."""

    async def make() -> TaskOwner:
        return TaskOwner()

    async def start(owner: TaskOwner) -> None:
        with pytest.raises(RuntimeError, match="event loop"):
            owner.start(_for_ever(), name="foreign")

    asyncio.run(start(asyncio.run(make())))


async def test_a_task_factory_of_the_loop_is_used() -> None:
    """Tasks of a tracing factory work as others do: cancelled before their first step, and to their end."""
    made: list[asyncio.Task[Any]] = []

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=loop, **options)
        made.append(task)
        return task

    async def short() -> None:
        await asyncio.sleep(0)

    loop = asyncio.get_running_loop()
    loop.set_task_factory(factory)
    try:
        owner = TaskOwner()
        never = owner.start(short(), name="never")
        never.cancel()
        await owner.start(short(), name="short")
    finally:
        loop.set_task_factory(None)
    assert never.cancelled()
    assert [task.get_name() for task in made] == ["never", "short"]
    await owner.aclose()
