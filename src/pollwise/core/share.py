"""Turns at one budget: watchers that share a token take turns while more than one of them is waiting."""

from __future__ import annotations

import math
from typing import Final, Protocol
from weakref import WeakSet

from pollwise.core.header_hints import RateHints

__all__ = ["Lanes", "Share"]


class Permits(Protocol):
    """What a lane needs of its budget."""

    starting: bool

    @property
    def spacing_s(self) -> float:
        """Seconds between two requests at the full rate; 0 while the rate is not known."""
        ...

    def left(self, now: float) -> int | None:
        """How many requests may go at once now."""
        ...

    def ration_s(self, now: float, among: int) -> float:
        """How soon each of `among` watches may ask again."""
        ...

    def free_at(self, now: float, *, waiting: int = 1) -> float:
        """When the next request may go."""
        ...

    def take(self, now: float) -> int:
        """One request goes now."""
        ...

    def settle(self, serial: int, now: float, hints: RateHints | None = None) -> None:
        """A request is over."""
        ...

    def refuse(self, serial: int, now: float, retry_after_s: float | None, hints: RateHints | None) -> None:
        """A request was refused."""
        ...

    def suspend(self, serial: int, now: float, wait_s: float) -> None:
        """A request met a server that is out of service."""
        ...


class Lanes:
    """The lanes of one budget.

    Attributes:
        all: Every lane whose watcher still exists.
        hungry: Lanes that wait, with the time until which their turn is kept.
    """

    __slots__ = ("all", "hungry")

    def __init__(self) -> None:
        self.all: WeakSet[Share] = WeakSet()
        self.hungry: dict[Share, float] = {}


class Share:
    """One watcher's place at a budget. While several are waiting, they take turns.

    Attributes:
        left: As `RateBudget.left`.
        ration_s: As `RateBudget.ration_s`.
        refuse: As `RateBudget.refuse`.
        served: Turns taken; a lane that was away starts level with the others.
        settle: As `RateBudget.settle`.
        size: How many watches stand in it, as the watcher said last; without those in flight.
        suspend: As `RateBudget.suspend`.
    """

    __slots__ = (
        "__weakref__",
        "_budget",
        "_hungry",
        "_shares",
        "left",
        "ration_s",
        "refuse",
        "served",
        "settle",
        "size",
        "suspend",
    )

    def __init__(self, budget: Permits, lanes: Lanes) -> None:
        self._budget = budget
        self._shares = lanes.all
        self._hungry = lanes.hungry
        self.left: Final = budget.left
        self.ration_s: Final = budget.ration_s
        self.settle: Final = budget.settle
        self.refuse: Final = budget.refuse
        self.suspend: Final = budget.suspend
        self.served = 0.0
        self.size = 0
        lanes.all.add(self)

    def leave(self) -> None:
        """No watch stands in this lane any more, and no other lane waits for its turn."""
        self.size = 0
        self._hungry.pop(self, None)

    @property
    def others(self) -> int:
        """How many watches stand in the other lanes of this budget."""
        lanes = self._shares
        return 0 if len(lanes) == 1 else sum(lane.size for lane in lanes) - self.size

    def free_at(self, now: float, *, waiting: int = 1) -> float:
        """As `RateBudget.free_at`, but after the others' turns."""
        hungry = self._hungry
        at = self._budget.free_at(now, waiting=waiting)
        if at > now:
            if self not in hungry:
                self.served = max([self.served, *(lane.served for lane in hungry)])
            hungry[self] = (at if at < math.inf else now) + self._patience_s()
            return at
        return self._turn_at(now) if hungry else now

    def _turn_at(self, now: float) -> float:
        """When it is this lane's turn, as far as others want theirs first."""
        hungry = self._hungry
        for lane, until in list(hungry.items()):
            if until < now:
                del hungry[lane]
            elif lane is not self and lane.served < self.served:
                hungry[self] = now + self._patience_s()
                return now + self._patience_s() / 4
        return now

    def _patience_s(self) -> float:
        """How long a turn is kept for a lane that is slow to take it, in seconds."""
        return min(0.1, max(0.01, self._budget.spacing_s))

    @property
    def spacing_s(self) -> float:
        """As `RateBudget.spacing_s`."""
        return self._budget.spacing_s

    @property
    def starting(self) -> bool:
        """As `RateBudget.starting`."""
        return self._budget.starting

    def take(self, now: float) -> int:
        """As `RateBudget.take`."""
        if self._hungry:
            self._hungry.pop(self, None)
        self.served += 1
        return self._budget.take(now)
