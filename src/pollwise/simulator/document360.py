"""Document360 as its vendor documents it: the deletion of a file, and the status of the task that does it.

Sources: Document360's API reference, `GET /v2/Drive/Folders/DeleteFile/Status/{taskId}`, and its OpenAPI document for
`DELETE /v2/Drive/Folders/{folderId}/{fileId}`.
The API documents the envelope of a refusal, not its codes; the codes here are invented.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar
from urllib.parse import quote, unquote

import attrs

from pollwise.simulator.jobs import Plan, PlanOptions, Stage
from pollwise.simulator.replies import SimulatedReply
from pollwise.simulator.vendor import Asked, StartedJob, Vendor, VendorName

__all__ = ["DOCUMENT360", "DeleteOptions", "DeletePlan", "Document360", "envelope", "error_item"]

_FOLDERS_PATH = "/v2/Drive/Folders/"
_STATUS_PATH = f"{_FOLDERS_PATH}DeleteFile/Status/"
_QUEUED, _INITIATED, _IN_PROGRESS, _COMPLETED, _ERROR, _CANCELLED = range(6)
_UNKNOWN = 6
_QUEUED_UNTIL, _INITIATED_UNTIL = 0.1, 0.3
_UNKNOWN_FROM, _UNKNOWN_UNTIL = 0.4, 0.7
_REASONS = {
    401: ("API_TOKEN_INVALID", "The API token is missing or not valid."),
    403: ("PERMISSION_DENIED", "The API token has no permission for this operation."),
    404: ("TASK_NOT_FOUND", "The task was not found."),
    429: ("RATE_LIMIT_EXCEEDED", "The number of API calls exceeds the limit."),
    500: ("INTERNAL_ERROR", "Something went wrong."),
    503: ("MAINTENANCE", "The service is under maintenance."),
}


class DeleteOptions(PlanOptions, total=False):
    """The arguments of a `DeletePlan`, as keyword arguments of other functions."""

    complete_status: int | None
    unknown_status: int | None
    error_code: str | None
    error: str | None
    warnings: Iterable[str]
    information: Iterable[str]
    null_lists: bool


def _texts(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(texts)


@attrs.frozen(kw_only=True)
class DeletePlan(Plan):
    """The plan of a delete-file task; see `Plan` for the arguments of all jobs.

    `status` goes from 0 (Queued) over 1 (Initiated) to 2 (InProgress). Unconfirmed means that `status` shows the end
    while `is_complete` is still false.

    Attributes:
        complete_status: `status` once `is_complete` is true. None follows the outcome: 2 for a success, as in the vendor's
            own example, 4 (Error) for a failure, 5 for a cancellation, 6 for an unknown end. The vendor does not
            document 6. A failure always has `errors`.
        unknown_status: A value that the vendor does not document, sent for a part of the time instead of 2.
        error_code: `error_code` of a failure.
        error: `description` of a failure's error.
        warnings: Descriptions of the warnings, present from the start.
        information: Descriptions of the information, present from the start.
        null_lists: Empty lists are sent as null, which the vendor's schema allows.
    """

    complete_status: int | None = None
    unknown_status: int | None = None
    error_code: str | None = "FILE_IN_USE"
    error: str | None = "A file of the folder could not be deleted."
    warnings: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    information: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    null_lists: bool = False

    def status(self, keys: tuple[str, ...], stage: Stage) -> dict[str, Any]:
        """The documented envelope around `task_status`."""
        (task_id,) = keys
        failed = stage.over and self.outcome == "failed"
        none: list[Any] | None = None if self.null_lists else []
        return {
            "task_status": {"task_id": task_id, "is_complete": stage.final, "status": self._status_number(stage)},
            "extension_data": None,
            "success": True,
            "errors": [error_item(self.error_code, self.error)] if failed else none,
            "warnings": [_notice(text, warning_code=None) for text in self.warnings] or none,
            "information": [_notice(text) for text in self.information] or none,
        }

    def _status_number(self, stage: Stage) -> int:
        if stage.final and self.complete_status is not None:
            return self.complete_status
        if stage.over:
            succeeded = _IN_PROGRESS if stage.final else _COMPLETED
            return {"succeeded": succeeded, "failed": _ERROR, "cancelled": _CANCELLED, "unknown": _UNKNOWN}[
                self.outcome
            ]
        if stage.looks_failed:
            return _ERROR
        if self.unknown_status is not None and _UNKNOWN_FROM <= stage.share < _UNKNOWN_UNTIL:
            return self.unknown_status
        if stage.share < _QUEUED_UNTIL:
            return _QUEUED
        return _INITIATED if stage.share < _INITIATED_UNTIL else _IN_PROGRESS


def envelope(*, success: bool = True, errors: Iterable[dict[str, Any]] = ()) -> dict[str, Any]:
    """The fields around every reply."""
    return {"extension_data": None, "success": success, "errors": list(errors), "warnings": [], "information": []}


def error_item(code: str | None, description: str | None) -> dict[str, Any]:
    """One error of the envelope."""
    return {
        "extension_data": None,
        "stack_trace": None,
        "description": description,
        "error_code": code,
        "custom_data": None,
    }


def _notice(description: str, **more: Any) -> dict[str, Any]:
    return {"extension_data": None, "description": description, **more}


class Document360(Vendor):
    """Document360's paths, credentials and refusals."""

    name: ClassVar[VendorName] = "document360"
    call = "document360"
    nullable_field: tuple[str, ...] = ("task_status",)
    required_field: tuple[str, ...] = ("task_status", "is_complete")
    start_method = "DELETE"

    def path_of(self, keys: tuple[str, ...]) -> str:
        """`/v2/Drive/Folders/DeleteFile/Status/{taskId}`."""
        (task_id,) = keys
        return _STATUS_PATH + quote(task_id, safe="")

    def asked(self, path: str) -> Asked | None:
        """The status of `(task_id,)`, or the deletion of `(folder_id, file_id)`."""
        if not path.startswith(_FOLDERS_PATH):
            return None
        match path[len(_FOLDERS_PATH) :].split("/"):
            case ["DeleteFile", "Status", task_id] if task_id:
                return Asked("status", (unquote(task_id),))
            case [folder_id, file_id] if folder_id and file_id:
                return Asked("start", (unquote(folder_id), unquote(file_id)))
        return None

    def start(self, body: bytes, keys: tuple[str, ...], nth: int, digest: str, origin: str) -> StartedJob | None:
        """The task that deletes the file."""
        del body, keys, origin
        task_id = f"{digest[:20]}{nth:04x}"
        return StartedJob((task_id,), SimulatedReply.of_json({"task_id": task_id, **envelope()}))

    def token_in(self, headers: Mapping[str, str]) -> str:
        """The header field `api_token`."""
        return headers.get("api_token", "")

    def refusal(self, status: int, *, like: int | None = None) -> SimulatedReply:
        """The envelope with `success` false; its 400 is the vendor's example verbatim."""
        reason = _REASONS.get(like or status)
        errors = [] if reason is None else [error_item(*reason)]
        return SimulatedReply.of_json(envelope(success=False, errors=errors), status=status)

    def unknown_job(self) -> SimulatedReply:
        """404, as the vendor lists it."""
        return self.refusal(404)


DOCUMENT360 = Document360()
