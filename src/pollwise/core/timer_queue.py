"""Times, with the things that fall due then.

Rule: things with one due time share a slot, so that one wake-up serves many of them.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["TimerQueue"]

T = TypeVar("T", bound=Hashable)


class TimerQueue(Generic[T]):
    """Times with the things that fall due then: a heap of slots, each holding many.

    Attributes:
        next_at: When the first slot falls due; infinite when there is none.
    """

    __slots__ = ("_at", "_slots", "next_at")

    def __init__(self) -> None:
        self._slots: dict[float, tuple[float, list[T]]] = {}
        self._at: list[float] = []
        self.next_at = math.inf

    def put(self, item: T, at: float) -> float:
        """Add one thing at this very time. Returns it: the same object for all of a slot, for each keeps it."""
        slot = self._slots.get(at)
        if slot is None:
            self._slots[at] = (at, [item])
            heapq.heappush(self._at, at)
            self.next_at = self._at[0]
            return at
        slot[1].append(item)
        return slot[0]

    def due(self, now: float) -> list[T]:
        """Take out the first slot that is due by now; empty when there is none."""
        if self.next_at > now:
            return []
        _, due = self._slots.pop(heapq.heappop(self._at))
        self.next_at = self._at[0] if self._at else math.inf
        return due
