"""Fairness to the rest of the program: a loop over many items gives way to the event loop again and again."""

from __future__ import annotations

import asyncio

__all__ = ["STEPS", "Yielder"]

STEPS = 200  # cheap steps between two checkpoints: about a millisecond of work


class Yielder:
    """Lets the event loop run once after `every` steps.

    Args:
        every: Steps between two times.
    """

    __slots__ = ("_every", "_left")

    def __init__(self, every: int = STEPS) -> None:
        self._every = self._left = every

    async def checkpoint(self) -> None:
        """One step is done. After the last one of `every`, the event loop runs once."""
        self._left -= 1
        if self._left <= 0:
            self._left = self._every
            await asyncio.sleep(0)
