"""The watches of one watcher that wait for one host.

Rule 1: a watch waits for a time of its own: for its next try, its deadline or the next probe. It is taken then, or before
that as a probe.
Rule 2: such a watch is in no other queue, so it waits for no permit and is not reported as throttled.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from pollwise.core.host_health import HostHealth
from pollwise.core.ready_queue import TimerQueue

__all__ = ["HostQueue"]

T = TypeVar("T", bound=Hashable)

_SLOT_S = 1 / 16  # as in `ready_queue.py`


class HostQueue(Generic[T]):
    """The watches that wait for one host.

    Args:
        host: The health of the host, which counts them.

    Attributes:
        host: The health of the host.
        size: How many watches wait here.
    """

    __slots__ = ("_due", "_timers", "host", "size")

    def __init__(self, host: HostHealth) -> None:
        self.host = host
        self.size = 0
        self._timers: TimerQueue[T] = TimerQueue()
        self._due: deque[T] = deque()

    @property
    def next_at(self) -> float:
        """When the next watch is to be taken; infinite when none waits."""
        return -math.inf if self._due else self._timers.next_at

    def put(self, item: T, at: float, now: float, *, latest: float) -> None:
        """Wait until this time, which is rounded up a little, but not beyond `latest`."""
        if at <= now:
            self._due.append(item)
        else:
            rounded = math.ceil(at / _SLOT_S) * _SLOT_S
            self._timers.put(item, rounded if rounded <= latest else min(at, latest))
        self.size += 1
        self.host.waiting += 1

    def take(self, now: float) -> T | None:
        """Take a watch whose time has come; None if there is none. Infinite `now`: the next one, whatever its time is."""
        while not self._due:
            if self._timers.next_at > now or self._timers.next_at == math.inf:
                return None
            at = self._timers.next_at
            items = self._timers.due(at)
            if now < math.inf:
                self._due.extend(items)
                continue
            for item in items[1:]:
                self._timers.put(item, at)
            if items:
                self._due.append(items[0])
        self.size -= 1
        self.host.waiting -= 1
        return self._due.popleft()

    def items(self) -> list[T]:
        """Every watch that waits here, in no order."""
        return [*self._due, *self._timers]

    def clear(self) -> None:
        """Forget every watch."""
        self.host.waiting -= self.size
        self.size = 0
        self._due.clear()
        self._timers = TimerQueue()
