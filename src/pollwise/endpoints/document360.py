"""Document360: the status of a delete-file task.

Rule 1: `is_complete` is the only thing that ends a watch. The vendor's own example of a finished deletion has
`is_complete: true` with `status: 2` (InProgress), so `status` never does.
Rule 2: once it is complete: status 4 failed, 5 was cancelled, `success` false or any error failed, all else succeeded.
Rule 3: while it is not complete: status 0 is queued, everything else runs. 4 and 5 look over, which wants confirming.
Rule 4: a status that is not documented is kept as the number that it is.

Source: https://apidocs.document360.com, "Get status of the delete file operation" (v2). `task_status` is documented
as nullable; null is malformed here, for it says nothing about the task.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from pollwise.core.phase import Phase, Reading
from pollwise.core.wire import Auth, Reply
from pollwise.endpoints._address import one_segment, segment
from pollwise.endpoints._reader import Reader, clipped, json_object_in
from pollwise.endpoints._strict import (
    integer,
    json_object_or_null,
    json_value,
    text_or_null,
    true_or_false,
    unknown,
)
from pollwise.endpoints._vendor import VendorEndpoint, make_reading
from pollwise.errors import Problem

__all__ = [
    "DeleteFileEndpoint",
    "DeleteFileJob",
    "DeleteFileStatus",
    "ErrorItem",
    "InformationItem",
    "TaskState",
    "TaskStatus",
    "WarningItem",
]

_PATH: Final = "/v2/Drive/Folders/DeleteFile/Status/"
_ALLOWANCE: Final = (60, 60.0)  # per token; the Enterprise and Trial plans have 100, which the server's headers tell


@attrs.frozen
class DeleteFileJob:
    """A delete-file task.

    Args:
        task_id: What the call that deleted the file answered with.

    Raises:
        ConfigurationError: The ID cannot be one segment of a path. It is a ValueError.
    """

    task_id: str = attrs.field(validator=one_segment)


class TaskState(enum.IntEnum):
    """The documented values of `task_status.status`."""

    QUEUED = 0
    INITIATED = 1
    IN_PROGRESS = 2
    COMPLETED = 3
    ERROR = 4
    CANCELLED = 5


@attrs.frozen(kw_only=True, weakref_slot=False)
class TaskStatus:
    """Where the task stands.

    Attributes:
        is_complete: Whether the task is over. Nothing else says so.
        status: A `TaskState`, or the number as sent where it is none of them.
        task_id: The task's ID.
    """

    is_complete: bool
    status: TaskState | int
    task_id: str | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class ErrorItem:
    """An error, in the vendor's words. Untrusted text; `stack_trace` is the server's."""

    extension_data: Any = None
    stack_trace: str | None = None
    description: str | None = None
    error_code: str | None = None
    custom_data: Mapping[str, Any] | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class WarningItem:
    """A warning, in the vendor's words. Untrusted text."""

    extension_data: Any = None
    description: str | None = None
    warning_code: str | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class InformationItem:
    """A piece of information, in the vendor's words. Untrusted text."""

    extension_data: Any = None
    description: str | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class DeleteFileStatus:
    """All that the vendor said about a delete-file task.

    Attributes:
        task_status: Where the task stands.
        success: Whether the *API call* succeeded.
        extension_data: Any JSON value, as sent.
        errors: In the vendor's order; none where the list is null or absent.
        warnings: The same of warnings.
        information: The same of information.
    """

    task_status: TaskStatus
    success: bool
    extension_data: Any = None
    errors: tuple[ErrorItem, ...] = ()
    warnings: tuple[WarningItem, ...] = ()
    information: tuple[InformationItem, ...] = ()


_STATES: Final[Mapping[int, TaskState]] = {state.value: state for state in TaskState}


def _task_state(value: object, _type: object = None, /) -> TaskState | int:
    number = integer(value)
    return _STATES.get(number, number)


_STATUS: Final = Reader(
    DeleteFileStatus,
    {
        bool: true_or_false,
        TaskState | int: _task_state,
        str | None: text_or_null,
        Mapping[str, Any] | None: json_object_or_null,
        Any: json_value,
    },
)

_ENDS: Final[Mapping[int, Phase]] = {TaskState.ERROR: Phase.FAILED, TaskState.CANCELLED: Phase.CANCELLED}


def _status_path(job: DeleteFileJob) -> str:
    return _PATH + segment(job.task_id)


def _phase(status: DeleteFileStatus) -> Phase:
    task = status.task_status
    end = _ENDS.get(task.status)
    if end is not None:
        return end
    if not task.is_complete:
        return Phase.QUEUED if task.status == TaskState.QUEUED else Phase.RUNNING
    return Phase.SUCCEEDED if status.success and not status.errors else Phase.FAILED


def _reason(errors: tuple[ErrorItem, ...]) -> str | None:
    problem = _problem([error.error_code for error in errors], [error.description for error in errors])
    return str(problem) if problem.codes or problem.descriptions else None


def _problem(codes: Iterable[object], descriptions: Iterable[object]) -> Problem:
    return Problem(codes=clipped(codes), descriptions=clipped(descriptions))


class DeleteFileEndpoint(VendorEndpoint[DeleteFileJob, DeleteFileStatus]):
    """The status call of Document360's delete-file task, `GET …/v2/Drive/Folders/DeleteFile/Status/{task_id}`.

    Args:
        base_url: The API's root, which differs by region, such as `https://apihub.document360.io`; may have a path.
        auth: What puts the `api_token` header on, such as `ApiKeyAuth(key)`.

    Raises:
        ConfigurationError: `base_url` is no http or https URL with a host, or holds credentials, a query or a fragment.
    """

    name = "document360"

    def __init__(self, base_url: str, *, auth: Auth | None = None) -> None:
        super().__init__(base_url, auth=auth, job=DeleteFileJob, path=_status_path, reader=_STATUS)

    @property
    def allowance(self) -> tuple[int, float]:
        """60 requests in 60 seconds: what the vendor allows every token, on its smaller plans too."""
        return _ALLOWANCE

    def read(self, reply: Reply, /) -> Reading[DeleteFileStatus]:
        """What the reply says, by the rules of this module. The fraction done is never known.

        Raises:
            MalformedReply: It is no JSON of the documented shape.
        """
        status = _STATUS.read(reply)
        state, complete = status.task_status.status, status.task_status.is_complete
        phase = _phase(status)
        unconfirmed = not complete and state in _ENDS
        reason = _reason(status.errors) if phase is Phase.FAILED or phase is Phase.CANCELLED else None
        strange = None if isinstance(state, TaskState) else unknown("status", state)
        return make_reading(status, phase, complete, unconfirmed, None, reason, strange)

    def problem(self, reply: Reply, /) -> Problem | None:
        """The codes and descriptions of the envelope's errors; None where the body is no such envelope."""
        body = json_object_in(reply)
        if body is None or not ("success" in body or "errors" in body):
            return None
        errors = body.get("errors")
        items = [item for item in errors if isinstance(item, dict)] if isinstance(errors, list) else []
        return _problem([item.get("error_code") for item in items], [item.get("description") for item in items])
