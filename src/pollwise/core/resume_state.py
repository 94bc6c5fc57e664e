"""How far a watch of an earlier process had got, by the clock of this process.

Rule 1: a ledger keeps wall-clock times, and a watch uses monotonic times. This file alone converts them, and it reads
neither clock.
Rule 2: the wall clock may have jumped in between, by any amount, and a jump cannot be detected. So no age is negative,
and no deadline is farther away than it was at the watch's beginning.
Rule 3: a deadline that has passed meanwhile makes the watch overdue. An overdue watch is polled once more, because its
job may have ended in time while no process looked.
"""

from __future__ import annotations

from typing import Generic, Self, TypeVar

import attrs

from pollwise.model.cursor import Cursor
from pollwise.model.reading import Phase

__all__ = ["ResumeState"]

S = TypeVar("S")


@attrs.frozen(kw_only=True)
class ResumeState(Generic[S]):
    """How far a watch had got, and how old it is now.

    Attributes:
        age_s: Seconds since it began, at least 0.
        left_s: Seconds until its deadline; 0 or less if that has passed, None if there is none.
        polls: Status exchanges so far, good and bad.
        failures: Failed polls in a row.
        phase: The phase last seen, or None.
        status: The status last seen, or None.
        seen_s: How old it was when the job was last seen going on, in seconds; at most `age_s`. None if it never was.
        visible: Whether a poll has seen the job, even if its status is not known any more.
        cursor: What the last reading handed on, or None.
    """

    age_s: float
    left_s: float | None
    polls: int = 0
    failures: int = 0
    phase: Phase | None = None
    status: S | None = None
    seen_s: float | None = None
    visible: bool = False
    cursor: Cursor = None

    @classmethod
    def between(  # noqa: D417  # the rest is as in the class
        cls,
        first_seen_s: float,
        deadline_s: float | None,
        wall_now: float,
        *,
        polls: int = 0,
        failures: int = 0,
        phase: Phase | None = None,
        status: S | None = None,
        seen_s: float | None = None,
        visible: bool = False,
        cursor: Cursor = None,
    ) -> Self:
        """The state of a watch that began at `first_seen_s` and ends at `deadline_s`, as seen from now.

        Args:
            first_seen_s: When it began, in epoch seconds.
            deadline_s: When it ends, in epoch seconds; None for never.
            wall_now: The time now, in epoch seconds.
        """
        left_s = None if deadline_s is None else min(deadline_s - wall_now, deadline_s - first_seen_s)
        age_s = max(0.0, wall_now - first_seen_s)
        return cls(
            age_s=age_s,
            left_s=left_s,
            polls=polls,
            failures=failures,
            phase=phase,
            status=status,
            seen_s=None if seen_s is None else min(max(0.0, seen_s), age_s),
            visible=visible or phase is not None or seen_s is not None,
            cursor=cursor,
        )

    @property
    def overdue(self) -> bool:
        """Whether the deadline has passed."""
        return self.left_s is not None and self.left_s <= 0.0

    def at_most(self, timeout_s: float | None) -> Self:
        """The same, with no more time left than this."""
        if timeout_s is None or (self.left_s is not None and self.left_s <= timeout_s):
            return self
        return attrs.evolve(self, left_s=timeout_s)
