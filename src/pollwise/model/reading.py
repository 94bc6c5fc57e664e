"""The view of a job that all vendors share.

Rule 1: a phase is what pollwise needs to decide; the vendor's own status is kept whole beside it.
Rule 2: only a *final* reading ends a watch. A phase that looks over without being final is unconfirmed.
Rule 3: an end of unknown kind is no success. It is RUNNING with `unknown`, and final or unconfirmed.
Rule 4: a reading that contradicts itself is refused where it is made; it would poll to the deadline in silence.
"""

from __future__ import annotations

import enum
from typing import Generic, TypeVar

import attrs

from pollwise.errors import ConfigurationError

__all__ = ["TERMINAL", "Phase", "Reading"]

S = TypeVar("S")


class Phase(enum.Enum):
    """Where a job stands, in the words that every vendor's status can be put into."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED})


@attrs.frozen(kw_only=True, weakref_slot=False)
class Reading(Generic[S]):
    """What an endpoint makes of one good reply.

    Attributes:
        status: The vendor's own typed answer.
        phase: The common view. SUCCEEDED, FAILED and CANCELLED need `final` or `unconfirmed`.
        final: The vendor's rule says that the job is over.
        unconfirmed: The answer looks over, but the vendor's own rule does not call it final.
        fraction: Share of the work done, 0..1, or None where the vendor does not say. Anything else, such as nan or
            a percentage, is taken as None.
        reason: The vendor's words for a failure or a cancellation, if it gave any. Untrusted text.
        unknown: An enum value that this version does not know, as `field=value`, or None. With `final` or `unconfirmed`
            and the phase RUNNING, it says that the job is over in a way that this version does not know.

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
