"""Lets the event loop run while long replies are worked on.

Rule: one work goes on at a time. Many long replies that come together hold the loop no longer than one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import TypeVar

__all__ = ["Turns"]

T = TypeVar("T")


class Turns:
    """The order of the long works of one event loop."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def take(self, steps: Generator[None, None, T]) -> T:
        """Wait for the turn of this work, and take its steps. The event loop runs between them."""
        async with self._lock:
            while True:
                try:
                    next(steps)
                except StopIteration as done:
                    result: T = done.value
                    return result
                await asyncio.sleep(0)
