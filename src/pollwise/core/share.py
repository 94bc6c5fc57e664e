"""Turns at one budget: watchers that share a token take turns while more than one of them is waiting."""

from __future__ import annotations

import math
from typing import Final, Protocol
from weakref import WeakSet

from pollwise.core.header_hints import RateHints

__all__ = ["Share", "Shares"]


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

    def available_at(self, now: float, *, waiting: int = 1) -> float:
        """When the next request may go."""
        ...

    def acquire(self, now: float) -> int:
        """One request goes now."""
        ...

    def release(self, permit: int, now: float, hints: RateHints | None = None) -> None:
        """A request is over."""
        ...

    def on_429(self, permit: int, now: float, retry_after_s: float | None, hints: RateHints | None) -> None:
        """A request was refused."""
        ...

    def on_unavailable(self, permit: int, now: float, wait_s: float) -> None:
        """A request met a server that is out of service."""
        ...


class Shares:
    """The lanes of one budget.

    Attributes:
        all: Every lane whose watcher still exists.
        waiters: Lanes that wait, with the time until which their turn is kept.
    """

    __slots__ = ("all", "waiters")

    def __init__(self) -> None:
        self.all: WeakSet[Share] = WeakSet()
        self.waiters: dict[Share, float] = {}


class Share:
    """One watcher's place at a budget. While several are waiting, they take turns.

    Attributes:
        left: As `RateBudget.left`.
        ration_s: As `RateBudget.ration_s`.
        on_429: As `RateBudget.on_429`.
        served: Turns taken; a lane that was away starts level with the others.
        release: As `RateBudget.release`.
        size: How many watches stand in it, as the watcher said last; without those in flight.
        on_unavailable: As `RateBudget.on_unavailable`.
    """

    __slots__ = (
        "__weakref__",
        "_budget",
        "_shares",
        "_waiters",
        "left",
        "on_429",
        "on_unavailable",
        "ration_s",
        "release",
        "served",
        "size",
    )

    def __init__(self, budget: Permits, shares: Shares) -> None:
        self._budget = budget
        self._shares = shares.all
        self._waiters = shares.waiters
        self.left: Final = budget.left
        self.ration_s: Final = budget.ration_s
        self.release: Final = budget.release
        self.on_429: Final = budget.on_429
        self.on_unavailable: Final = budget.on_unavailable
        self.served = 0.0
        self.size = 0
        shares.all.add(self)

    def leave(self) -> None:
        """No watch stands in this lane any more, and no other lane waits for its turn."""
        self.size = 0
        self._waiters.pop(self, None)

    @property
    def others(self) -> int:
        """How many watches stand in the other lanes of this budget."""
        shares = self._shares
        return 0 if len(shares) == 1 else sum(share.size for share in shares) - self.size

    def available_at(self, now: float, *, waiting: int = 1) -> float:
        """As `RateBudget.available_at`, but after the others' turns."""
        waiters = self._waiters
        at = self._budget.available_at(now, waiting=waiting)
        if at > now:
            if self not in waiters:
                self.served = max([self.served, *(share.served for share in waiters)])
            waiters[self] = (at if at < math.inf else now) + self._patience_s()
            return at
        return self._turn_at(now) if waiters else now

    def _turn_at(self, now: float) -> float:
        """When it is this lane's turn, as far as others want theirs first."""
        waiters = self._waiters
        for share, until in list(waiters.items()):
            if until < now:
                del waiters[share]
            elif share is not self and share.served < self.served:
                waiters[self] = now + self._patience_s()
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

    def acquire(self, now: float) -> int:
        """As `RateBudget.acquire`."""
        if self._waiters:
            self._waiters.pop(self, None)
        self.served += 1
        return self._budget.acquire(now)
