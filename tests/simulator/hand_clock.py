"""A clock for tests in which nothing has to wait."""

from __future__ import annotations

import attrs

__all__ = ["HandClock"]


@attrs.define
class HandClock:
    """A clock that goes when it is told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now
