"""Long works on replies, and the event loop between their steps."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest

from pollwise.http.turns import Turns


def work(name: str, steps: int, log: list[str], *, fails: bool = False) -> Generator[None, None, str]:
    for n in range(steps):
        log.append(f"{name}{n}")
        yield
    if fails:
        raise ValueError(name)
    return name


async def test_the_loop_runs_between_two_steps() -> None:
    """Other tasks go on while a long reply is worked on."""
    log: list[str] = []

    async def other() -> None:
        for _ in range(5):
            log.append("other")
            await asyncio.sleep(0)

    result, _ = await asyncio.gather(Turns().take(work("a", 3, log)), other())
    assert result == "a"
    assert log[:6] == ["a0", "other", "a1", "other", "a2", "other"]


async def test_one_work_goes_on_at_a_time() -> None:
    """Many long replies that come together take one step of the loop each, and not all of them one."""
    log: list[str] = []
    turns = Turns()
    results = await asyncio.gather(*(turns.take(work(name, 2, log)) for name in "abc"))
    assert results == ["a", "b", "c"]
    assert log == ["a0", "a1", "b0", "b1", "c0", "c1"]


async def test_the_next_work_has_its_turn_after_a_failure_and_a_cancellation() -> None:
    """A broken reply does not hold up the others."""
    log: list[str] = []
    turns = Turns()
    failing = asyncio.create_task(turns.take(work("a", 1, log, fails=True)))
    cancelled = asyncio.create_task(turns.take(work("b", 9, log)))
    last = asyncio.create_task(turns.take(work("c", 1, log)))
    with pytest.raises(ValueError, match="a"):
        await failing
    while "b1" not in log:
        await asyncio.sleep(0)
    cancelled.cancel()
    assert await last == "c"
    assert cancelled.cancelled()
