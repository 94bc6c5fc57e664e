"""A clock for tests that need no real time."""

from __future__ import annotations

import attrs

__all__ = ["HandClock"]


@attrs.define
class HandClock:
    """A clock whose time only the test changes."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now
