"""Every task that is started is ended, in the event loop where it was started."""

from __future__ import annotations

import asyncio

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
