"""What is known of one watch, and the events that report it.

Rule 1: only `machine.py` writes here. Everything else reads.
Rule 2: an event is made when it is read. A hundred thousand watches need not keep theirs.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Hashable
from typing import Any, Generic, TypeVar

from pollwise.core.failure_streak import FailureStreak
from pollwise.core.policy import Policy
from pollwise.errors import JobCancelled, JobFailed, PollError, UnknownOutcome, WatchError
from pollwise.model.calls import Call
from pollwise.model.cursor import Cursor
from pollwise.model.events import Abandoned, Cancelled, Failed, Outcome, Retrying, Succeeded, Throttled
from pollwise.model.reading import Phase, Reading

__all__ = ["DueReason", "StepResult", "WatchState"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_LONGEST_REASON = 32_768  # characters of a vendor's words; a message is made of them one by one


class StepResult(enum.Enum):
    """What one step of a watch came to."""

    QUIET = enum.auto()
    PROGRESSED = enum.auto()
    RETRYING = enum.auto()
    RENEW = enum.auto()
    OVER = enum.auto()


class DueReason(enum.Enum):
    """Why a watch is due when it is."""

    GIVEN = enum.auto()
    """A retry, a server or a deadline has set the time. It stands."""
    BLIND = enum.auto()
    """The pacing has set it, by the number of polls. Pressure may defer it."""
    FORESEEN = enum.auto()
    """The pacing has set it, by when the job may be over. Pressure may defer it."""
    HELD = enum.auto()
    """The budget holds the watch back, and that was reported. It stays so until the poll is sent."""


class WatchState(Generic[J, S]):
    """The facts of one watch. Times are monotonic seconds.

    Attributes:
        call: What asks about the job in place of the endpoint, or None. No watch has a slot for it but a `CallMachine`.
        cursor: What the last reading handed on, or None. As `call`.
        deadline: When the watch ends at the latest, in monotonic seconds; infinite for never.
        due_at: When to ask next, in monotonic seconds.
        fraction: Share of the work done, 0..1, or None.
        job: What is watched.
        outcome: The one terminal event, once there is one.
        due_reason: Why `due_at` is that time.
        phase: The phase last seen, or None before the first good reading.
        polls: Status exchanges so far, good and bad.
        seen_at: When the last good reading came, in monotonic seconds; the start before the first one.
        started_at: When the watch began, in monotonic seconds.
        status: The vendor's status last seen, or None.
    """

    __slots__ = (
        "_begun_at",
        "_begun_with",
        "_good",
        "_policy",
        "_reply_hash",
        "_reported_at",
        "_streak",
        "deadline",
        "due_at",
        "due_reason",
        "fraction",
        "job",
        "outcome",
        "phase",
        "polls",
        "seen_at",
        "started_at",
        "status",
    )

    call: Call[Any, Any] | None = None
    cursor: Cursor = None

    @property
    def kept_cursor(self) -> Cursor:
        """The cursor as it may be written down."""
        return self.cursor

    def __init__(self, job: J, policy: Policy, *, now: float) -> None:
        self.job = job
        self._policy = policy
        self.started_at = self.seen_at = self.due_at = self._reported_at = now
        self.deadline = math.inf if policy.timeout_s is None else now + policy.timeout_s
        self.polls = 0
        self.status: S | None = None
        self.phase: Phase | None = None
        self.fraction: float | None = None
        self.outcome: Outcome[J, S] | None = None
        self._good = 0  # good readings, by which the pacing counts
        self._reply_hash = 0  # of the reply that the last reading came from; 0 for none
        self._streak: FailureStreak | None = None
        self._begun_at: float | None = None  # when the fraction was `_begun_with`, for the ETA
        self._begun_with = 0.0
        self.due_reason = DueReason.GIVEN

    # --- events -------------------------------------------------------------------------------

    def retrying(self, now: float) -> Retrying[J]:
        """The event for the last bad poll. Only after `StepResult.RETRYING`."""
        streak = self._streak
        assert streak is not None  # noqa: S101  # the driver asks after RETRYING only
        assert streak.last_error is not None  # noqa: S101
        return Retrying(
            job=self.job,
            error=streak.last_error,
            failures=streak.failures,
            delay_s=max(0.0, self.due_at - now),
            elapsed_s=now - self.started_at,
            polls=self.polls,
        )

    def throttled(self, now: float) -> Throttled[J]:
        """The event for being held back by the budget, until `due_at` at least."""
        delay_s = max(0.0, self.due_at - now) if self.due_at < math.inf else 0.0
        return Throttled(job=self.job, delay_s=delay_s, elapsed_s=now - self.started_at, polls=self.polls)

    @property
    def failures(self) -> int:
        """Failed polls in a row that count towards `Retry.min_failures`."""
        return 0 if self._streak is None else self._streak.failures

    @property
    def last_error(self) -> PollError | None:
        """The error of the last failed poll since the last good reading, or None."""
        return None if self._streak is None else self._streak.last_error

    @property
    def is_new(self) -> bool:
        """Whether the watch was never polled, and began in this process with its whole timeout."""
        began_here = self.polls == 0 and self.started_at == self._reported_at
        timeout_s = self._policy.timeout_s
        return began_here and self.deadline == (math.inf if timeout_s is None else self.started_at + timeout_s)

    @property
    def seen_s(self) -> float | None:
        """How old the watch was when the job was last seen going on, in seconds, or None if it never was."""
        streak = self._streak
        if streak is not None and streak.unconfirmed:
            return streak.seen_s
        return None if self.phase is None else self.seen_at - self.started_at

    @property
    def agreed_deadline(self) -> float:
        """The deadline without the grace of an overdue watch, in monotonic seconds."""
        overdue = None if self._streak is None else self._streak.overdue
        return self.deadline if overdue is None else overdue

    def outcome_of(self, reading: Reading[S], now: float) -> Outcome[J, S]:
        """The outcome that a final or confirmed reading means."""
        took, seen_s = now - self.started_at, self.seen_s
        job, status, polls = self.job, reading.status, self.polls
        within_s = None if seen_s is None else took - seen_s
        reason = None if reading.reason is None else reading.reason[:_LONGEST_REASON]
        match reading.phase:
            case Phase.FAILED:
                failed = JobFailed(job, status, reason)
                return Failed(
                    job=job, status=status, error=failed, elapsed_s=took, polls=polls, detected_within_s=within_s
                )
            case Phase.CANCELLED:
                gone = JobCancelled(job, status, reason)
                return Cancelled(
                    job=job, status=status, error=gone, elapsed_s=took, polls=polls, detected_within_s=within_s
                )
            case Phase.SUCCEEDED:
                return Succeeded(job=job, status=status, elapsed_s=took, polls=polls, detected_within_s=within_s)
            case phase:
                error = UnknownOutcome(job, status, (reading.unknown or phase.value)[:_LONGEST_REASON])
                return Abandoned(job=job, error=error, status=status, phase=phase, elapsed_s=took, polls=polls)

    def abandoned(self, error: WatchError, *, now: float) -> Abandoned[J, S]:
        """The outcome if the watch ended now with this error. It ends nothing by itself."""
        return Abandoned(
            job=self.job,
            error=error,
            status=self.status,
            phase=self.phase,
            elapsed_s=now - self.started_at,
            polls=self.polls,
        )
