"""Shares of one budget: watchers with the same token take turns while more than one of them waits.

Rule 1: a watcher that waits keeps its turn for a short time only, so a watcher that does not come back holds up no other.
Rule 2: a share decides whose turn it is; whether a request may go at all is the budget's to decide.
"""

from __future__ import annotations

import math
from typing import Protocol
from weakref import WeakSet

__all__ = ["Share", "Shares"]

_SHORTEST_TURN_S = 0.01
_LONGEST_TURN_S = 0.1


class Paced(Protocol):
    """What a share needs of its budget."""

    @property
    def spacing_s(self) -> float:
        """Seconds between two requests at the full rate; 0 while the rate is not known."""
        ...


class Shares:
    """The shares of one budget.

    Attributes:
        all: Every share whose watcher still exists.
        waiters: Shares that wait, with the time until which their turn is kept.
    """

    __slots__ = ("all", "waiters")

    def __init__(self) -> None:
        self.all: WeakSet[Share] = WeakSet()
        self.waiters: dict[Share, float] = {}


class Share:
    """One watcher's share of a budget.

    Attributes:
        all: Every share of the budget.
        served: Permits so far. A share that begins to wait starts level with the shares that wait already.
        size: How many watches the watcher has in its queues; it sets this itself.
        waiters: The shares that wait. While there are none, a permit that is available may be acquired at once.
    """

    __slots__ = ("__weakref__", "_budget", "all", "served", "size", "waiters")

    def __init__(self, budget: Paced, shares: Shares) -> None:
        self._budget = budget
        self.all = shares.all
        self.waiters = shares.waiters
        self.served = 0.0
        self.size = 0
        shares.all.add(self)

    @property
    def others(self) -> int:
        """How many watches are in the queues of the other shares."""
        return sum(share.size for share in self.all) - self.size

    def wait(self, at: float, now: float) -> float:
        """Wait for the permit that the budget has available at `at`, which may be now.

        Returns the time at which to ask again, or `now` if it is this share's turn.
        """
        waiters = self.waiters
        if at <= now:
            return self._turn_at(now)
        if self not in waiters:
            self.served = max([self.served, *(share.served for share in waiters)])
        waiters[self] = (at if at < math.inf else now) + self._turn_s()
        return at

    def stop_waiting(self) -> None:
        """It acquired a permit, or wants none."""
        self.waiters.pop(self, None)

    def leave(self) -> None:
        """The watcher has no watches any more, and no other share waits for its turn."""
        self.size = 0
        self.stop_waiting()

    def _turn_at(self, now: float) -> float:
        """`now`, unless a share with fewer permits waits."""
        waiters = self.waiters
        for share, until in list(waiters.items()):
            if until < now:
                del waiters[share]
            elif share is not self and share.served < self.served:
                waiters[self] = now + self._turn_s()
                return now + self._turn_s() / 4
        return now

    def _turn_s(self) -> float:
        """How long a turn is kept."""
        return min(_LONGEST_TURN_S, max(_SHORTEST_TURN_S, self._budget.spacing_s))
