"""Long work on a reply, as a generator: it yields between two steps of some milliseconds.

Rule: the work does not know who drives it. A poller lets the event loop run between the steps; other code does not.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

__all__ = ["in_one_go"]

T = TypeVar("T")


def in_one_go(steps: Generator[None, None, T]) -> T:
    """The result of these steps, for code that has no event loop to let run between them."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: T = done.value
            return result
