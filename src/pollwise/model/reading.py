"""The view of a job that all vendors share.

Rule 1: a phase is what pollwise needs to decide. The vendor's own status is kept whole beside it.
Rule 2: only a *final* reading ends a watch. A phase that looks over without being final is unconfirmed.
Rule 3: an end of unknown kind is no success. It is RUNNING with `unknown`, and final or unconfirmed.
Rule 4: a reading that contradicts itself is refused where it is made. Otherwise its watch would poll until the deadline.
Rule 5: the constructors (`Reading.running` and so on) cannot make a reading that contradicts itself.
"""

from __future__ import annotations

import enum
from typing import Generic, TypeVar

import attrs

from pollwise.errors import ConfigurationError
from pollwise.model.cursor import Cursor

__all__ = ["TERMINAL", "Phase", "Reading"]

S = TypeVar("S")
T = TypeVar("T")


class Phase(enum.Enum):
    """Where a job stands, in the words that every vendor's status can be put into."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING_FOR_INPUT = "waiting_for_input"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED})


@attrs.frozen(kw_only=True, weakref_slot=False)
class Reading(Generic[S]):
    """What an endpoint makes of one good reply.

        return Reading.running(status, fraction=0.4)

    The constructors are `queued`, `running`, `waiting_for_input`, `succeeded`, `failed`, `cancelled`, `unconfirmed_end` and
    `unknown_end`.

    Attributes:
        status: The vendor's own typed answer.
        phase: The common view. SUCCEEDED, FAILED and CANCELLED need `final` or `unconfirmed`.
        final: The vendor's rule says that the job is over.
        unconfirmed: The answer looks over, but the vendor's own rule does not call it final.
        fraction: Share of the work done, 0..1, or None where the vendor does not say. Anything else, such as nan or
            a percentage, is taken as None. The log says so once for each watcher.
        reason: The vendor's words for a failure or a cancellation, if it gave any. Untrusted text.
        unknown: An enum value that this version does not know, as `field=value`, or None. With `final` or `unconfirmed`
            and the phase RUNNING, it says that the job is over in a way that this version does not know.
        poll_after_s: Seconds that the reply's body asks to wait before the next poll, or None. It has the effect of
            `Retry-After`: the longer of both, and of the pacing, is the wait. A value that is negative or nan is ignored.
        cursor: A small JSON value for the next `request` and `read`, where they have a parameter `cursor`; such as the
            next URL. None is the start, so an endpoint that keeps its cursor returns it again. At most 4 KiB as JSON and
            8 levels deep; otherwise the poll counts as failed, with MalformedReply.

    Raises:
        ConfigurationError: The fields contradict each other.
    """

    status: S
    phase: Phase
    final: bool = False
    unconfirmed: bool = False
    fraction: float | None = None
    reason: str | None = None
    unknown: str | None = None
    poll_after_s: float | None = None
    cursor: Cursor = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        over = self.final or self.unconfirmed
        if self.final and self.unconfirmed:
            raise ConfigurationError("a reading is final or unconfirmed, not both")
        if over and self.phase not in TERMINAL and not (self.phase is Phase.RUNNING and self.unknown):
            raise ConfigurationError(
                f"a reading that is final or unconfirmed must show how the job ended, not {self.phase}; an end of"
                " unknown kind is Phase.RUNNING with unknown='field=value'"
            )
        if not over and self.phase in TERMINAL:
            raise ConfigurationError(
                f"a reading with {self.phase} needs final=True, or unconfirmed=True where the vendor's own rule does"
                " not call the job over; otherwise the watch would poll until its deadline"
            )

    @staticmethod
    def queued(
        status: T,
        *,
        fraction: float | None = None,
        unknown: str | None = None,
        poll_after_s: float | None = None,
        cursor: Cursor = None,
    ) -> Reading[T]:
        """The job waits for its turn."""
        return Reading(
            status=status,
            phase=Phase.QUEUED,
            fraction=fraction,
            unknown=unknown,
            poll_after_s=poll_after_s,
            cursor=cursor,
        )

    @staticmethod
    def running(
        status: T,
        *,
        fraction: float | None = None,
        unknown: str | None = None,
        poll_after_s: float | None = None,
        cursor: Cursor = None,
    ) -> Reading[T]:
        """The job is at work. A state that the endpoint does not know is one: `unknown="state=PAUSED"`."""
        return Reading(
            status=status,
            phase=Phase.RUNNING,
            fraction=fraction,
            unknown=unknown,
            poll_after_s=poll_after_s,
            cursor=cursor,
        )

    @staticmethod
    def waiting_for_input(
        status: T,
        *,
        fraction: float | None = None,
        poll_after_s: float | None = None,
        cursor: Cursor = None,
    ) -> Reading[T]:
        """A reading of a job that waits for an answer from a person, such as an approval."""
        return Reading(
            status=status,
            phase=Phase.WAITING_FOR_INPUT,
            fraction=fraction,
            poll_after_s=poll_after_s,
            cursor=cursor,
        )

    @staticmethod
    def succeeded(status: T) -> Reading[T]:
        """The job is over and succeeded, by the vendor's own rule."""
        return Reading(status=status, phase=Phase.SUCCEEDED, final=True)

    @staticmethod
    def failed(status: T, *, reason: str | None = None) -> Reading[T]:
        """The job is over and failed, by the vendor's own rule. `reason` is in the vendor's words."""
        return Reading(status=status, phase=Phase.FAILED, final=True, reason=reason)

    @staticmethod
    def cancelled(status: T, *, reason: str | None = None) -> Reading[T]:
        """The job was cancelled on the server's side, by the vendor's own rule."""
        return Reading(status=status, phase=Phase.CANCELLED, final=True, reason=reason)

    @staticmethod
    def unconfirmed_end(phase: Phase, status: T, *, reason: str | None = None, cursor: Cursor = None) -> Reading[T]:
        """The job looks over, but the vendor's own rule does not say so. Further polls confirm it.

        Args:
            phase: How the job seems to have ended: SUCCEEDED, FAILED or CANCELLED.
            status: The vendor's own typed answer.
            reason: The vendor's words for a failure or a cancellation.
            cursor: For the next request, as in the class.
        """
        return Reading(status=status, phase=phase, unconfirmed=True, reason=reason, cursor=cursor)

    @staticmethod
    def unknown_end(status: T, *, unknown: str, final: bool = True, reason: str | None = None) -> Reading[T]:
        """The job is over in a way that the endpoint does not know. The watch ends with `UnknownOutcome`.

        Args:
            status: The vendor's own typed answer.
            unknown: The value that the endpoint does not know, as `field=value`.
            final: Whether the vendor's own rule says that the job is over. If not, further polls confirm it.
            reason: The vendor's words for it.
        """
        return Reading(
            status=status, phase=Phase.RUNNING, final=final, unconfirmed=not final, unknown=unknown, reason=reason
        )
