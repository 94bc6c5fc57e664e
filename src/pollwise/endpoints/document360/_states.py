"""Document360's words for the state of an export, an import or a task of the drive, and what they mean.

Rule 1: the word of a call's own version ends a watch: Completed, and Error in v2 or Failed in v3.
Rule 2: the words for a bad end that the vendor documents for other calls look over. They are unconfirmed.
Rule 3: an undocumented word means running. With a time of completion it is an unconfirmed end of unknown kind.
Rule 4: a completion that also reports errors has failed, because a wrong success is the worst error.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, TypeVar

from pollwise.endpoints._strict import Hook, unknown
from pollwise.endpoints._vendor import make_reading
from pollwise.endpoints._words import words
from pollwise.model.reading import Phase, Reading

__all__ = ["V2", "V3", "JobState", "job_state", "state_reading"]

S = TypeVar("S")


class JobState(enum.StrEnum):
    """The documented words. v2 has Error, v3 has Failed. `Processing` is in an example of v3, and not in its list."""

    PENDING = "Pending"
    QUEUED = "Queued"
    INITIATED = "Initiated"
    IN_PROGRESS = "InProgress"
    PROCESSING = "Processing"
    COMPLETED = "Completed"
    ERROR = "Error"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


job_state: Final[Hook] = words(JobState, canceled=JobState.CANCELLED)

_Meaning = tuple[Phase, bool, bool]  # phase, final, unconfirmed
_RUNS: Final[_Meaning] = (Phase.RUNNING, False, False)
_WAITS: Final[_Meaning] = (Phase.QUEUED, False, False)
_UNKNOWN_END: Final[_Meaning] = (Phase.RUNNING, False, True)
_ALL: Final[Mapping[str, _Meaning]] = {
    JobState.PENDING: _WAITS,
    JobState.QUEUED: _WAITS,
    JobState.INITIATED: _RUNS,
    JobState.IN_PROGRESS: _RUNS,
    JobState.PROCESSING: _RUNS,
    JobState.COMPLETED: (Phase.SUCCEEDED, True, False),
    JobState.ERROR: (Phase.FAILED, False, True),
    JobState.FAILED: (Phase.FAILED, False, True),
    JobState.CANCELLED: (Phase.CANCELLED, False, True),
}
V2: Final[Mapping[str, _Meaning]] = {**_ALL, JobState.ERROR: (Phase.FAILED, True, False)}
V3: Final[Mapping[str, _Meaning]] = {**_ALL, JobState.FAILED: (Phase.FAILED, True, False)}


def state_reading(
    status: S,
    state: str,
    meanings: Mapping[str, _Meaning],
    *,
    looks_over: bool = False,
    reports_errors: bool = False,
    reason: str | None = None,
) -> Reading[S]:
    """The reading of a status.

    Args:
        status: The status.
        state: Its word.
        meanings: `V2` or `V3`.
        looks_over: Whether it says so in another field.
        reports_errors: Whether it has errors, or says that it was no success.
        reason: The vendor's words for a failure.
    """
    known = meanings.get(state)
    phase, final, unconfirmed = known or (_UNKNOWN_END if looks_over else _RUNS)
    if phase is Phase.SUCCEEDED and reports_errors:
        phase = Phase.FAILED
    ended_badly = phase is Phase.FAILED or phase is Phase.CANCELLED
    strange = None if known else unknown("status", state)
    return make_reading(status, phase, final, unconfirmed, None, reason if ended_badly else None, strange)
