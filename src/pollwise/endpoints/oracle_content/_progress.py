"""What Oracle Content Management's jobs have in common: words of progress, percentages, errors, and one way to read them.

Rule 1: `progress` ends a watch, at succeeded and at failed, in any letter case. `completed` informs; it never ends one. A failed
job of the sites API has `completed: false` in the vendor's own example.
Rule 2: aborted is documented, but not as an end. It counts as an unconfirmed cancellation, for all calls alike. The vendor's own
command-line tool takes it for a bad end.
Rule 3: blocked means that the job needs an approval, so its phase is WAITING_FOR_INPUT. paused means running.
Rule 4: an undocumented word means running. If `completed` is true as well, it is an unconfirmed end of unknown kind.
Rule 5: a success that also reports an error has failed, because a wrong success is the worst error.
"""

from __future__ import annotations

import enum
from collections.abc import Container, Hashable, Mapping
from typing import Any, Final, Protocol, TypeVar

import attrs

from pollwise.endpoints._lenient import (
    lenient_bool,
    lenient_id,
    lenient_number,
    lenient_number_or_null,
    lenient_text,
    lenient_whole_number,
)
from pollwise.endpoints._reader import Reader, clipped, json_object_in
from pollwise.endpoints._strict import (
    Hook,
    json_object_or_null,
    json_value,
    shown,
    text_or_null,
    unknown,
    whole_number_or_null,
    yes_or_no_or_null,
)
from pollwise.endpoints._vendor import JobEndpoint, make_reading
from pollwise.endpoints._words import camel_case, words
from pollwise.errors import Problem
from pollwise.model.messages import Reply
from pollwise.model.reading import Phase, Reading

__all__ = [
    "FIELD_HOOKS",
    "LENIENT_FIELD_HOOKS",
    "LENIENT_HOOKS",
    "STRICT_HOOKS",
    "JobProgress",
    "OracleContentEndpoint",
    "OracleTime",
    "lenient_percentage",
    "percentage",
    "problem_in",
    "problem_of",
    "status_reader",
]


class JobProgress(enum.StrEnum):
    """The documented values of `progress` in the APIs for sites and for content. Those for documents are in upper case."""

    PENDING = "pending"
    PROCESSING = "processing"
    PAUSED = "paused"
    BLOCKED = "blocked"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABORTED = "aborted"


class _Status(Protocol):
    """What all of these statuses have."""

    @property
    def progress(self) -> str: ...
    @property
    def completed(self) -> bool | None: ...
    @property
    def completed_percentage(self) -> int | None: ...
    @property
    def message(self) -> str | None: ...


J = TypeVar("J", bound=Hashable)
S = TypeVar("S", bound=_Status)
T = TypeVar("T")

_Meaning = tuple[Phase, bool, bool]  # phase, final, unconfirmed
_RUNS: Final[_Meaning] = (Phase.RUNNING, False, False)
_UNKNOWN_END: Final[_Meaning] = (Phase.RUNNING, False, True)
_MEANING: Final[Mapping[str, _Meaning]] = {
    JobProgress.PENDING: (Phase.QUEUED, False, False),
    JobProgress.PROCESSING: _RUNS,
    JobProgress.PAUSED: _RUNS,
    JobProgress.BLOCKED: (Phase.WAITING_FOR_INPUT, False, False),
    JobProgress.SUCCEEDED: (Phase.SUCCEEDED, True, False),
    JobProgress.FAILED: (Phase.FAILED, True, False),
    JobProgress.ABORTED: (Phase.CANCELLED, False, True),
}
_UNKNOWN_JOB: Final = "JobNotValid"  # ends the key of the documents API: no such job, or a job of another user


# --- values ---------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True, weakref_slot=False)
class OracleTime:
    """A time as the vendor writes it.

    Attributes:
        value: ISO 8601, such as `2019-02-06T01:11:35.304Z`.
        timezone: Such as `UTC`. None if the time was sent as a text alone.
    """

    value: str | None = None
    timezone: str | None = None


_PERCENTAGES: Final[Mapping[object, int]] = {str(number): number for number in range(101)}


def percentage(value: object, _type: object = None, /) -> int | None:
    """A whole number from 0 to 100, also in a string, or null."""
    try:
        return _PERCENTAGES[value]
    except (KeyError, TypeError):
        number = whole_number_or_null(value)
    if number is None or 0 <= number <= 100:
        return number
    raise ValueError(f"expected 0 to 100, got {shown(value)}")


def lenient_percentage(value: object) -> int:
    """Rounded down, so that 99.9 does not become 100."""
    number = lenient_number(value.strip().removesuffix("%") if isinstance(value, str) else value)
    if 0 <= number <= 100:
        return int(number)
    raise ValueError(f"expected 0 to 100, got {shown(value)}")


def _time(value: object, _type: object = None, /) -> OracleTime | None:
    if value is None:
        return None
    if type(value) is str:
        return OracleTime(value=value)
    if type(value) is dict:
        return OracleTime(value=text_or_null(value.get("value")), timezone=text_or_null(value.get("timezone")))
    raise ValueError(f"expected a time, got {shown(value)}")


def _lenient_error(value: object) -> Mapping[str, Any] | None:
    """An error in another form is an error all the same."""
    if value is None or value is False or value in ("", 0):
        return None
    return {"detail": value if type(value) is str else shown(value)}


STRICT_HOOKS: Final[Mapping[Any, Hook]] = {
    bool | None: yes_or_no_or_null,
    int | None: whole_number_or_null,
    str | None: text_or_null,
    str | int | None: text_or_null,  # IDs
    JobProgress | str: words(JobProgress),
    OracleTime | None: _time,
    Mapping[str, Any] | None: json_object_or_null,
    Any: json_value,
}
LENIENT_HOOKS: Final[Mapping[Any, Hook]] = {
    bool | None: lenient_bool,
    int | None: lenient_whole_number,
    str | None: lenient_text,
    str | int | None: lenient_id,
}
FIELD_HOOKS: Final[Mapping[str, Hook]] = {"completed_percentage": percentage}
LENIENT_FIELD_HOOKS: Final[Mapping[str, Hook]] = {
    "completed_percentage": lenient_percentage,
    "error": _lenient_error,
}


def status_reader(made: type[T], *, often_absent: Container[str]) -> Reader[T]:
    """The reader of a class of statuses, for calls with the words of `JobProgress`."""
    return Reader(
        made,
        {**STRICT_HOOKS, float | None: lenient_number_or_null},
        lenient_hooks=LENIENT_HOOKS,
        field_hooks=FIELD_HOOKS,
        lenient_field_hooks=LENIENT_FIELD_HOOKS,
        often_absent=often_absent,
        wire_name=camel_case,
    )


# --- reading --------------------------------------------------------------------------------------


def problem_of(error: Mapping[str, Any], *more: object) -> Problem:
    """The codes and descriptions of an error, or of the body of a refusal, of any of the vendor's APIs."""
    key = next(iter(clipped([error.get("errorKey")])), None)
    said = [error.get(name) for name in ("errorMessage", "detail", "title")]
    return Problem(
        codes=clipped([error.get("errorCode"), error.get("o:errorCode")]),
        descriptions=tuple(dict.fromkeys(clipped([*said, *more]))),
        key=key,
        job_unknown=key is not None and key.endswith(_UNKNOWN_JOB),
    )


def problem_in(reply: Reply) -> Problem | None:
    """The vendor's codes and descriptions in a refusal, or None if its body is none of the vendor's."""
    body = json_object_in(reply)
    if body is None or {"errorCode", "errorKey", "o:errorCode", "detail", "title"}.isdisjoint(body):
        return None
    return problem_of(body)


class OracleContentEndpoint(JobEndpoint[J, S]):
    """An endpoint whose statuses have `progress`, `completed` and `completed_percentage`."""

    def read(self, reply: Reply, /) -> Reading[S]:
        """The reading, by the rules of this module. The fraction done is `completedPercentage`.

        Raises:
            MalformedReply: The body is not JSON, or has no valid `progress`.
        """
        status = self._replies.read(reply)
        known = _MEANING.get(status.progress.lower())
        phase, final, unconfirmed = known or (_UNKNOWN_END if status.completed else _RUNS)
        if phase is Phase.SUCCEEDED and _reports_error(status):
            phase = Phase.FAILED
        percent = status.completed_percentage
        over = final or unconfirmed
        return make_reading(
            status,
            phase,
            final,
            unconfirmed,
            None if percent is None else percent / 100,
            _reason(status) if over and phase is not Phase.SUCCEEDED else None,
            None if known else unknown("progress", status.progress),
            poll_after_s=None if over else self._poll_after_s(status),
        )

    def _poll_after_s(self, _status: S, /) -> float | None:
        """The wait in seconds that the status asks for."""
        return None


def _reports_error(status: _Status) -> bool:
    """Whether a success is none. Not every call has these fields."""
    return bool(getattr(status, "error", None)) or (getattr(status, "request_status", None) or 0) >= 400


def _reason(status: _Status) -> str | None:
    """The vendor's words for an end that is no success."""
    error = getattr(status, "error", None) or {"errorCode": getattr(status, "error_code", None) or None}
    problem = problem_of(error, status.message)
    return str(problem) if problem.codes or problem.descriptions else None
