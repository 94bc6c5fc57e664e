"""Times of a fleet are those of the database's server."""

from __future__ import annotations

import asyncio

import pytest

from pollwise.fleet.store_clock import StoreClock

pytestmark = pytest.mark.looptime


class Server:
    """A server whose clock began at 1,000 s, which answers after half a second."""

    def __init__(self) -> None:
        self.reads = 0
        self.ahead_s = 1_000.0

    async def now_s(self) -> float:
        self.reads += 1
        await asyncio.sleep(0.25)
        found = asyncio.get_running_loop().time() + self.ahead_s
        await asyncio.sleep(0.25)
        return found


async def test_the_clock_goes_on_between_two_readings() -> None:
    """It is asked once a minute, and the time of the answer is the middle of the wait."""
    server = Server()
    clock = StoreClock(server)  # type: ignore[arg-type]
    now = asyncio.get_running_loop().time
    assert await clock.read() == pytest.approx(now() + 1_000)
    await asyncio.sleep(50)
    assert await clock.read() == pytest.approx(now() + 1_000)
    assert server.reads == 1
    server.ahead_s = 1_010.0
    await asyncio.sleep(20)
    assert clock() == pytest.approx(now() + 1_000)
    assert await clock.read() == pytest.approx(now() + 1_010)
    assert server.reads == 2
