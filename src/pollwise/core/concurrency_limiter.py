"""How many polls are in flight at once.

Rule 1: as many as the caller allows while the processor has time to spare, because a slow server then replies to all of
them sooner.
Rule 2: fewer, down to a few, while the processor has no time to spare. Most replies then wait in a socket to be read, and
their data pushes the data of the next poll out of the caches. Dozens of polls at a time also start the garbage collector
often.
Rule 3: the limit falls only while watches wait for it. Otherwise a lower limit gains nothing.
"""

from __future__ import annotations

import math

__all__ = ["LOOK_S", "ConcurrencyLimiter"]

LOOK_S = 0.01  # between two looks at how busy the processor is, in seconds
_FEW = 16  # the lowest limit: with it, a server on the same machine still keeps the processor busy
_BUSY = 0.9  # share of the time above which the processor has none to spare
_SPARE = 0.8  # share of the time below which it has some
_IDLE = 0.1  # share of the time below which the limit is lifted at once


class ConcurrencyLimiter:
    """The limit, and how it follows the load.

    Args:
        most: As many as the caller allows.

    Attributes:
        limit: As many as may be in flight now.
        look_at: When to look again, in monotonic seconds.
        most: As many as the caller allows.
    """

    __slots__ = ("_cpu_s", "_looked_at", "_spared", "limit", "look_at", "most")

    def __init__(self, most: int) -> None:
        self.limit = self.most = most
        self.look_at = self._looked_at = -math.inf
        self._cpu_s = 0.0
        self._spared = False

    def look(self, now: float, cpu_s: float, *, waiting: bool) -> None:
        """See how busy the processor was since the last look.

        Args:
            now: Monotonic seconds.
            cpu_s: Seconds of processor time that the event loop's thread has had so far.
            waiting: Whether watches wait because of the limit.
        """
        span = now - self._looked_at
        busy = (cpu_s - self._cpu_s) / span if span > 0.0 else 0.0
        if busy < _IDLE:
            self.limit = self.most
        elif waiting and busy > _BUSY and self.limit > _FEW:
            self.limit = max(_FEW, self.limit - self.limit // 4)
        # a single look may fall into a gap between two groups of polls
        elif waiting and busy < _SPARE and self._spared:
            self.limit = min(self.most, 2 * self.limit)
        self._spared = waiting and busy < _SPARE
        self._looked_at, self._cpu_s = now, cpu_s
        self.look_at = now + LOOK_S
