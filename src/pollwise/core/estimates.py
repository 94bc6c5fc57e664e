"""How reliable the ETA is that a job's own progress gives.

Rule 1: the chance that a job is over depends on the ratio of the silence to its ETA, and on nothing else.
Rule 2: one spread is learnt for all jobs of a watcher, from the ends of those that reported progress.
"""

from __future__ import annotations

import math
from bisect import bisect_left

__all__ = ["Estimates"]


class Estimates:
    """How reliable an ETA is: the chance that the job is over, and its integral, in units of the ETA.

    The remaining time has a log-logistic distribution around the ETA. Its tail is long, because a job may stall. Its
    spread is learnt from the ends of jobs.
    """

    __slots__ = ("_shape", "_spread", "_sums", "_tabled")

    _STEP = 1.1
    _FROM = 0.02

    def __init__(self) -> None:
        self._spread = 0.25  # mean absolute error of the logarithm of a remaining time
        self._shape = 4.0
        self._tabled = 0.0
        self._sums: list[float] = []

    def chance(self, ratio: float) -> float:
        """The chance that a job is over after `ratio` times its ETA."""
        return 1.0 / (1.0 + ratio**-self._shape) if ratio > 1e-3 else 0.0

    def summed(self, ratio: float) -> float:
        """The integral of `chance` from 0 to `ratio`."""
        if self._tabled != self._shape:
            self._tabulate()
        if ratio <= self._FROM:
            return 0.0
        place = math.log(ratio / self._FROM) / math.log(self._STEP)
        n = int(place)
        if n >= len(self._sums) - 1:
            return self._sums[-1] + ratio - self._FROM * self._STEP ** (len(self._sums) - 1)
        return self._sums[n] + (self._sums[n + 1] - self._sums[n]) * (place - n)

    def ratio(self, summed: float) -> float:
        """The ratio at which the integral has this value."""
        if self._tabled != self._shape:
            self._tabulate()
        last = len(self._sums) - 1
        beyond = max(0.0, summed - self._sums[last])
        return self._FROM * self._STEP ** min(bisect_left(self._sums, summed), last) + beyond

    def learn(self, eta_s: float, actual_s: float) -> None:
        """A job with an ETA of `eta_s` seconds took about `actual_s` seconds."""
        error = min(2.0, abs(math.log(max(actual_s, 1e-3) / max(eta_s, 1e-3))))
        self._spread += 0.05 * (error - self._spread)
        shape = 1.0 / max(0.05, self._spread)
        if abs(shape - self._shape) > 0.05 * self._shape:
            self._shape = shape

    def _tabulate(self) -> None:
        self._tabled = self._shape
        self._sums = [0.0]
        at = self._FROM
        while at < 20.0:
            after = at * self._STEP
            self._sums.append(self._sums[-1] + (self.chance(at) + self.chance(after)) / 2 * (after - at))
            at = after
