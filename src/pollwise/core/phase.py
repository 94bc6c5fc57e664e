"""The view of a job that all vendors share.

Rule 1: a phase is what pollwise needs to decide; the vendor's own status is kept whole beside it.
Rule 2: only a *final* reading ends a watch. A phase that looks over without being final is unconfirmed.
"""

from __future__ import annotations

import enum
from typing import Generic, TypeVar

import attrs

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
        phase: The common view. Terminal exactly when `final` or `unconfirmed` is true.
        final: The vendor's rule says that the job is over.
        unconfirmed: The answer looks over, but the vendor's own rule does not call it final.
        fraction: Share of the work done, 0..1, or None where the vendor does not say. Anything else, such as nan or
            a percentage, is taken as None.
        reason: The vendor's words for a failure or a cancellation, if it gave any. Untrusted text.
        unknown: An enum value that this version does not know, as `field=value`, or None.
    """

    status: S
    phase: Phase
    final: bool = False
    unconfirmed: bool = False
    fraction: float | None = None
    reason: str | None = None
    unknown: str | None = None
