"""A loop over many items lets the event loop run after each so many steps, and not more often."""

from __future__ import annotations

import asyncio

from pollwise.runtime.fairness import Yielder


async def test_the_event_loop_runs_once_after_so_many_steps() -> None:
    """What was scheduled before the loop runs in its tenth step, and what that schedules in the twentieth."""
    ran: list[int] = []
    loop, fair = asyncio.get_running_loop(), Yielder(10)
    loop.call_soon(ran.append, 0)
    for step in range(1, 31):
        await fair.checkpoint()
        assert len(ran) == step // 10
        if step % 10 == 0:
            loop.call_soon(ran.append, step)
