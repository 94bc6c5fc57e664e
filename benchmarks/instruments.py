"""Measuring instruments of `scale`: resident memory, objects and pauses of the garbage collector, and loop lag."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

__all__ = ["Collections", "Ticker", "objects", "rss", "timed"]

_TICK_S = 0.010


def rss() -> int:
    """Resident bytes of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def objects() -> int:
    """The number of objects that the garbage collector tracks."""
    return len(gc.get_objects()) + gc.get_freeze_count()


class Ticker:
    """Measures the loop lag: how late a sleep of one tick ends."""

    def __init__(self, tick_s: float = _TICK_S) -> None:
        self.lags: list[float] = []
        self._tick_s = tick_s
        self._began = 0.0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await asyncio.sleep(2 * self._tick_s)  # so that a block that is not over yet is measured
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            self._began = time.perf_counter()
            await asyncio.sleep(self._tick_s)
            self.lags.append(time.perf_counter() - self._began - self._tick_s)

    def begin_now(self) -> None:
        """Drop all earlier lags, and begin a tick that should end now."""
        self.lags.clear()
        self._began = time.perf_counter() - self._tick_s

    def quantile_ms(self, share: float) -> float:
        """That quantile of the lags in milliseconds; 1 for the longest."""
        ordered = sorted(self.lags)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Collections:
    """Measures the longest pass of the garbage collector."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._began = 0.0
        gc.callbacks.append(self._on)

    def _on(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self.longest_s = max(self.longest_s, time.perf_counter() - self._began)


def timed(work: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
