"""Document360 v2: deleting a file, and the status of the task that does it.

Rule 1: only `is_complete` ends a watch, and only `is_complete` is read strictly: a boolean, or exactly the text `true` or
`false`, because gateways re-encode. The vendor's own example of a finished deletion has `is_complete: true` with
`status: 2` (InProgress), so `status` never ends a watch.
Rule 2: if the task is complete, status 4 means failed, and 5 cancelled. `success` false, or any error, means failed. Else
0 to 3 mean succeeded. An undocumented status is an end of unknown kind, because a wrong success is the worst error.
Rule 3: a missing or null status is not an undocumented one. With `is_complete` and `success` true and no error, the task
succeeded. Without a status and without `success` true, the end is unknown.
Rule 4: if the task is not complete, status 0 means queued, and any other running. 4 and 5 look over, so they are
unconfirmed.
Rule 5: `status` may be a number, a text (`"3"`) or its documented name. Any other value is kept as sent.
Rule 6: `errors` counts by its presence: an error that cannot be read is still an error.
Rule 7: a reply with another task's `task_id` is malformed. It may be the reply to another request.

Rule 8: the reply to the deletion has `task_id`. With it the task is watched, whatever else the reply says.

Sources: https://apidocs.document360.com, "Get status of the delete file operation" (v2), and the vendor's OpenAPI document for
`DELETE /v2/Drive/Folders/{folderId}/{fileId}`. `task_status` is documented as nullable; null is malformed here, because it
says nothing about the task. The error has the vendor's description.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final

import attrs

from pollwise.endpoints._address import one_segment, segment
from pollwise.endpoints._left_out import left_out_of
from pollwise.endpoints._lenient import lenient_whole_number
from pollwise.endpoints._reader import Reader
from pollwise.endpoints._starting import started_id
from pollwise.endpoints._strict import shown, unknown
from pollwise.endpoints._vendor import JobEndpoint, Parts, check_same_job, make_reading
from pollwise.endpoints.document360._envelope import (
    LENIENT_HOOKS,
    MAIN_TEXT,
    STRICT_HOOKS,
    ErrorItem,
    InformationItem,
    StartedV2,
    WarningItem,
    check_started,
    problem_in,
    reason_of,
)
from pollwise.model.limits import RateLimit
from pollwise.model.messages import Reply, Request
from pollwise.model.reading import Phase, Reading

__all__ = ["DeleteFileEndpoint", "DeleteFileJob", "DeleteFileOrder", "DeleteFileStatus", "TaskState", "TaskStatus"]

_FOLDERS: Final = "/v2/Drive/Folders/"
_PATH: Final = f"{_FOLDERS}DeleteFile/Status/"


@attrs.frozen
class DeleteFileJob:
    """A delete-file task.

    Args:
        task_id: The ID in the reply to the call that deleted the file.

    Raises:
        ConfigurationError: The ID cannot be one segment of a path, as with `pollwise.endpoints.path_segment`: it is empty, `.`,
            `..`, longer than 1,024 characters, or has control characters. It is a ValueError.
    """

    task_id: str = attrs.field(validator=one_segment)


@attrs.frozen(kw_only=True)
class DeleteFileOrder:
    """What to delete: one file of the drive. It cannot be undone.

    Args:
        folder_id: The folder that holds it.
        file_id: The file.

    Raises:
        ConfigurationError: As `DeleteFileJob`.
    """

    folder_id: str = attrs.field(validator=one_segment)
    file_id: str = attrs.field(validator=one_segment)


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
    """The state of the task.

    Attributes:
        is_complete: Whether the task is over. No other field says so.
        status: A `TaskState`, or an undocumented number or text as sent. None if it is absent.
        task_id: The task's ID. A number if it was sent as one.
    """

    is_complete: bool
    status: TaskState | int | str | None = None
    task_id: str | int | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class DeleteFileStatus:
    """The vendor's status of a delete-file task.

    Attributes:
        task_status: The state of the task.
        success: Whether the *API call* succeeded. None if absent.
        extension_data: Any JSON value, as sent.
        errors: In the vendor's order. Empty if the list is null or absent. `left_out` says whether others followed.
        warnings: Likewise.
        information: Likewise.
    """

    task_status: TaskStatus
    success: bool | None = None
    extension_data: Any = None
    errors: tuple[ErrorItem, ...] = ()
    warnings: tuple[WarningItem, ...] = ()
    information: tuple[InformationItem, ...] = ()

    @property
    def left_out(self) -> Mapping[str, int]:
        """How many items were left out of lists that were too long, by the field's name: `{"errors": 348493}`."""
        return left_out_of(self)


@attrs.frozen(kw_only=True, weakref_slot=False)
class _Started(StartedV2):
    """The reply to the request that deletes a file."""

    task_id: str | int | None = None


_STATES: Final[Mapping[int, TaskState]] = {state.value: state for state in TaskState}
_NAMES: Final[Mapping[str, TaskState]] = {
    **{state.name.replace("_", "").lower(): state for state in TaskState},
    "canceled": TaskState.CANCELLED,
}


def _task_state(value: object, _type: object = None, /) -> TaskState | int | None:
    if type(value) is int:
        return _STATES.get(value, value)
    if value is None:
        return None
    raise ValueError(f"expected an integer, got {shown(value)}")


def _lenient_task_state(value: object) -> TaskState | int | str | None:
    """The state for a number or name in another form, else the value as text: unknown must not look absent."""
    try:
        number = lenient_whole_number(value)
    except ValueError:
        word = value if type(value) is str else shown(value)
        name = word.strip().replace("_", "").replace(" ", "").lower()
        return _NAMES.get(name, word) if name else None
    return _STATES.get(number, number)


_STATUS: Final = Reader(
    DeleteFileStatus,
    {**STRICT_HOOKS, TaskState | int | str | None: _task_state},
    lenient_hooks={**LENIENT_HOOKS, TaskState | int | str | None: _lenient_task_state},
    main_text=MAIN_TEXT,
)
_STARTED: Final = Reader(_Started, STRICT_HOOKS, lenient_hooks=LENIENT_HOOKS, main_text=MAIN_TEXT)

_ENDS: Final[Mapping[object, Phase]] = {TaskState.ERROR: Phase.FAILED, TaskState.CANCELLED: Phase.CANCELLED}
_GOOD: Final[frozenset[object]] = frozenset(state for state in TaskState if state not in _ENDS)


def _status_path(job: DeleteFileJob) -> str:
    return _PATH + segment(job.task_id)


def _phase(status: DeleteFileStatus) -> Phase:
    """The phase. RUNNING for a completed task whose end is unknown."""
    task = status.task_status
    end = _ENDS.get(task.status)
    if end is not None:
        return end
    if not task.is_complete:
        return Phase.QUEUED if task.status == TaskState.QUEUED else Phase.RUNNING
    if status.success is False or status.errors:
        return Phase.FAILED
    well = task.status in _GOOD or (task.status is None and status.success)
    return Phase.SUCCEEDED if well else Phase.RUNNING


class DeleteFileEndpoint(JobEndpoint[DeleteFileJob, DeleteFileStatus]):
    """The status call of Document360's delete-file task, `GET …/v2/Drive/Folders/DeleteFile/Status/{task_id}`.

    Args:
        base_url: The API's base URL, which differs by region, such as `https://apihub.document360.io`. May have a path.
        auth: Adds the `api_token` header field, such as `ApiKeyAuth(key)`.
        account: A name for these credentials, if one ledger has the jobs of several accounts.

    Raises:
        ConfigurationError: `base_url` is not an http or https URL with a host, or has credentials, a query or a fragment.
            Or `account` is not a valid name.
    """

    name = "document360"
    submit_advice = (
        "The file may be gone, or about to go, and no call finds the task's ID. A second deletion deletes nothing more, and"
        " may be refused."
    )
    documented_limit = RateLimit(60, per_s=60.0)  # of each token; Enterprise and Trial plans have 100, says the server

    _parts = Parts(job=DeleteFileJob, path=_status_path, reader=_STATUS, problem=problem_in)

    def read(self, reply: Reply, /) -> Reading[DeleteFileStatus]:
        """The reading, by the rules of this module. The vendor never says which fraction is done.

        Raises:
            MalformedReply: The body is not JSON, or has no valid `is_complete`.
        """
        status = self._replies.read(reply)
        state, complete = status.task_status.status, status.task_status.is_complete
        phase = _phase(status)
        unconfirmed = not complete and state in _ENDS
        reason = reason_of(status.errors) if phase is Phase.FAILED or phase is Phase.CANCELLED else None
        strange = None if isinstance(state, TaskState) else _strange(state, phase, complete)
        return make_reading(status, phase, complete, unconfirmed, None, reason, strange)

    def read_for(self, job: DeleteFileJob, reply: Reply, /) -> Reading[DeleteFileStatus]:
        """Like `read`, and checks the task ID in the reply, if there is one.

        Raises:
            MalformedReply: The reply is about another task, or as for `read`.
        """
        reading = self.read(reply)
        found = reading.status.task_status.task_id
        if found != job.task_id:
            check_same_job(reply, "task_status.task_id", found, job.task_id, "task")
        return reading

    def submit_request(self, order: DeleteFileOrder, _key: str, /) -> Request:
        """The DELETE request that starts the task. The API has no idempotency key.

        It is not sent again if its reply was lost. A second request deletes nothing more, but it may be refused, because the
        file is gone. Then no reply names the task that the first one has started.
        """
        path = f"{_FOLDERS}{segment(order.folder_id)}/{segment(order.file_id)}"
        return Request(self._root.url(path), method="DELETE", idempotent=False)

    def read_submitted(self, order: DeleteFileOrder, reply: Reply, /) -> DeleteFileJob:
        """The task in the reply.

        Raises:
            RequestRejected: The reply names no task, and has errors.
            MalformedReply: It names no task.
        """
        started = self._read_started(_STARTED, reply)
        check_started(f"the deletion of file {order.file_id}", reply, started, started.task_id)
        return DeleteFileJob(started_id(reply, "task_id", started.task_id))


def _strange(state: int | str | None, phase: Phase, complete: bool) -> str | None:  # noqa: FBT001
    if state is not None:
        return unknown("status", state)
    return "status=null" if complete and phase is Phase.RUNNING else None
