"""Claims: which consumer processes an outcome that is not acknowledged yet.

Rule 1: an outcome is claimed by one consumer at a time, and until a moment. Then another consumer may claim it.
Rule 2: a claim decides who processes an outcome. It does not decide who may acknowledge it: the first one does.
Rule 3: `Claims` is for a ledger that one process writes. It is in memory, because all consumers end with that process, and
its moments are of a monotonic clock.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Protocol

from pollwise.errors import ConfigurationError

__all__ = ["Claims", "check_claim"]


def check_claim(limit: int, lease_s: float) -> None:
    """Check the arguments of `Ledger.claim`. Raises ConfigurationError for one that is invalid."""
    if type(limit) is not int or limit < 1:
        raise ConfigurationError(f"limit must be a whole number of outcomes, 1 or more; got {limit!r}")
    if type(lease_s) not in {int, float} or not 0 < lease_s < math.inf:
        raise ConfigurationError(f"lease_s must be a finite number of seconds above zero; got {lease_s!r}")


class Outcome(Protocol):
    """What names one outcome: the number of its watch, and the generation of that."""

    @property
    def id(self) -> int: ...

    @property
    def generation(self) -> int: ...


class Claims:
    """The claimed outcomes, and until when each is claimed."""

    def __init__(self) -> None:
        self._until: dict[tuple[int, int], float] = {}  # by number and generation

    def held(self, now: float) -> Collection[int]:
        """The watches whose outcomes are claimed at this moment, as a value that does not change."""
        for key in [key for key, until in self._until.items() if until <= now]:
            del self._until[key]
        return frozenset(number for number, _ in self._until)

    def take(self, outcomes: Iterable[Outcome], until: float) -> None:
        """Claim these outcomes until this moment."""
        self._until.update(((one.id, one.generation), until) for one in outcomes)

    def drop(self, outcomes: Iterable[Outcome]) -> None:
        """End the claims of these outcomes. An outcome without a claim is ignored, and so is one of an earlier generation."""
        for one in outcomes:
            self._until.pop((one.id, one.generation), None)
