"""Notices that the computer was suspended, for deadlines that count that time.

The clock of the event loop stops while a laptop sleeps: it is CLOCK_MONOTONIC on Linux (clock_gettime(2)), and
mach_absolute_time on macOS. Another clock goes on. The difference between the two grows by the time of each suspension.

Rule 1: this costs a poll nothing. One timer for each watcher compares the clocks once a second.
Rule 2: a difference of less than half a second is no suspension, because the clocks are read one after the other. It is not
lost: the differences add up.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Final

from pollwise.errors import ConfigurationError

__all__ = ["SuspensionTimer", "suspended_clock"]

_EVERY_S: Final = 1.0
_LEAST_S: Final = 0.5


def suspended_clock() -> Callable[[], float] | None:
    """A clock in seconds that goes on while the computer is suspended. None where the loop's own clock does.

    Raises:
        ConfigurationError: This system has none.
    """
    if sys.platform == "win32":  # both clocks that time.monotonic has used there count the time of standby
        return None
    if sys.platform == "darwin":
        clock = time.CLOCK_MONOTONIC_RAW  # it goes on while the system is asleep: clock_gettime(3) of macOS
    elif hasattr(time, "CLOCK_BOOTTIME"):
        clock = time.CLOCK_BOOTTIME
    else:
        raise ConfigurationError(
            "count_suspended needs a clock such as CLOCK_BOOTTIME, which this system has not; leave it out"
        )
    return lambda: time.clock_gettime(clock)


class SuspensionTimer:
    """Calls `on_suspended` with the seconds of each suspension, soon after its end.

    Args:
        clock: Goes on during a suspension, in seconds.
        on_suspended: Called in the running event loop.
    """

    def __init__(self, clock: Callable[[], float], on_suspended: Callable[[float], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._on_suspended = on_suspended
        self._ahead_s = clock() - self._loop.time()
        self._timer = self._loop.call_later(_EVERY_S, self._look)

    def close(self) -> None:
        """Call no more."""
        self._timer.cancel()

    def _look(self) -> None:
        self._timer = self._loop.call_later(_EVERY_S, self._look)
        suspended_s = self._clock() - self._loop.time() - self._ahead_s
        if suspended_s >= _LEAST_S:
            self._ahead_s += suspended_s
            self._on_suspended(suspended_s)
