"""Claims: which consumer processes an outcome that is not acknowledged yet.

Rule 1: an outcome is claimed by one consumer at a time, and until a moment. Then another consumer may claim it.
Rule 2: a claim decides who processes an outcome. It does not decide who may acknowledge it: the first one does.
Rule 3: `Claims` is for a ledger that one process writes. It is in memory, because all consumers end with that process, and
its moments are of a monotonic clock.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from pollwise.errors import ConfigurationError

__all__ = ["Claims", "check_claim"]


def check_claim(limit: int, lease_s: float) -> None:
    """Check the arguments of `Ledger.claim`. Raises ConfigurationError for those that cannot be right."""
    if type(limit) is not int or limit < 1:
        raise ConfigurationError(f"limit must be a whole number of outcomes, 1 or more; got {limit!r}")
    if type(lease_s) not in {int, float} or not 0 < lease_s < math.inf:
        raise ConfigurationError(f"lease_s must be a finite number of seconds above zero; got {lease_s!r}")


class Claims:
    """The claimed outcomes by the number of their watch, and until when each is claimed."""

    def __init__(self) -> None:
        self._until: dict[int, float] = {}

    def held(self, now: float) -> Collection[int]:
        """The watches whose outcomes are claimed at this moment, as a value that does not change."""
        over = [number for number, until in self._until.items() if until <= now]
        self.drop(over)
        return frozenset(self._until)

    def take(self, numbers: Iterable[int], until: float) -> None:
        """Claim the outcomes of these watches until this moment."""
        self._until.update(dict.fromkeys(numbers, until))

    def drop(self, numbers: Iterable[int]) -> None:
        """End the claims of these outcomes, as far as there are any."""
        for number in numbers:
            self._until.pop(number, None)
