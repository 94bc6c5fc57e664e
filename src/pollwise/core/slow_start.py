"""How many requests are in flight while no reply has stated a limit.

Rule 1: few requests go at first. Each reply lets as many more go, because replies without rate headers show no limit.
Rule 2: a server that does not reply must not stop the start: the number doubles each time that `_SLOW_REPLY_S` passes.
Rule 3: the start is over with the first rate headers, or after `_FIRST_REPLIES` replies without them.
"""

from __future__ import annotations

import math

__all__ = ["FIRST_IN_FLIGHT", "SlowStart"]

FIRST_IN_FLIGHT = 4  # requests before the first reply
_SLOW_REPLY_S = 0.25  # a reply that takes longer than this is slow
_FIRST_REPLIES = 16  # replies without rate headers, after which the server is taken to state no limit


class SlowStart:
    """The start of one token. The budget counts the replies."""

    __slots__ = ("_began_at", "_replies_before", "_width")

    def __init__(self) -> None:
        self._began_at = math.nan
        self._replies_before = 0
        self._width = FIRST_IN_FLIGHT

    def begin(self, now: float, replies: int, width: int = FIRST_IN_FLIGHT) -> None:
        """The first request goes now. `width` requests may go before the next reply."""
        self._began_at, self._replies_before, self._width = now, replies, width

    def most_in_flight(self, now: float, replies: int) -> int:
        """How many requests may be in flight now. `replies` is how many replies the token has had."""
        waited_s = 0.0 if math.isnan(self._began_at) else now - self._began_at
        return self._width * (max(0, replies - self._replies_before) + (1 << int(min(waited_s / _SLOW_REPLY_S, 20.0))))

    def is_over(self, replies: int) -> bool:
        """Whether enough replies have come, all without rate headers."""
        return replies - self._replies_before >= _FIRST_REPLIES
