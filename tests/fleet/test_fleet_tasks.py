"""Waiting for the first of several events."""

from __future__ import annotations

import asyncio

import pytest

from pollwise.fleet.tasks import cancelled, wait_first

pytestmark = pytest.mark.looptime


async def test_the_first_event_ends_the_wait() -> None:
    """Nothing is left of the other waits."""
    now, one, two = asyncio.get_running_loop().time, asyncio.Event(), asyncio.Event()
    began = now()
    asyncio.get_running_loop().call_later(3, two.set)
    assert await wait_first(one, two, timeout_s=10)
    assert now() - began == pytest.approx(3)
    assert await wait_first(one, two)
    assert not await wait_first(one, timeout_s=5)
    assert now() - began == pytest.approx(8)
    assert len(asyncio.all_tasks()) == 1


async def test_cancelling_waits_for_the_end() -> None:
    """A task that cleans up is awaited, and what it raises is not reported."""
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)
            ended.append(name)
            raise ValueError

    tasks = [asyncio.create_task(work(name)) for name in ("a", "b")]
    await asyncio.sleep(1)
    await cancelled(*tasks)
    assert sorted(ended) == ["a", "b"]
    await cancelled()
