"""Document360 v3: tasks of the drive, exports and imports.

Rule 1: `data.status` ends a watch, at Completed and at Failed, and is the only field that is read strictly. The vendor's list of
its words is open ("e.g."), and an example of the same page has another one, `Processing`.
Rule 2: a completion with errors, or with `success` false, has failed.
Rule 3: an undocumented word with a `completed_at` is an unconfirmed end of unknown kind. Without, it means running.
Rule 4: a reply about another ID is malformed. `request_id` differs in every reply, so it is no change of the status.
Rule 5: the result of an export is the bytes of the file at `data.download_url`. For projects that are not public, the link is
signed and valid for 30 minutes. A link that is refused is replaced by that of a fresh status, once.

**Rate limits count requests of a token *and project*.** So give the watchers of one project one `RateBudget`, and each project its
own: `JobWatcher(endpoint, budget=budgets[project_id], ...)`. The numbers depend on the plan, and are not documented. The replies
state them: `X-RateLimit-Limit`, `-Remaining`, `-Reset` (a Unix time), and `Retry-After` with 429.

Credentials are `BearerAuth(token)`, or any other `Authorization: Bearer`. The vendor's tokens belong to one project.

Sources: the vendor's pages "Get task status for an async operation", "Get the status of an export" and "Start a new export for a
project", and its OpenAPI document (v3), which alone has imports. What starts a task of the drive was not seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import attrs

from pollwise.endpoints._address import segment
from pollwise.endpoints._lenient import lenient_bool, lenient_id, lenient_text
from pollwise.endpoints._links import link_request
from pollwise.endpoints._reader import Reader, clipped, json_object_in
from pollwise.endpoints._starting import id_after, post_request, started_id
from pollwise.endpoints._strict import Hook, text_or_null, true_or_false_or_null
from pollwise.endpoints._vendor import JobEndpoint, Parts
from pollwise.endpoints.document360._states import V3, JobState, job_state, state_reading
from pollwise.endpoints.document360._values_v3 import (
    DriveTaskData,
    DriveTaskJob,
    DriveTaskStatus,
    EnvelopeV3,
    ErrorV3,
    ExportV3Data,
    ExportV3Job,
    ExportV3Order,
    ExportV3Status,
    ImportV3Data,
    ImportV3Job,
    ImportV3Order,
    ImportV3Status,
    WarningV3,
)
from pollwise.errors import Problem, RequestRejected
from pollwise.model.messages import Reply, Request
from pollwise.model.reading import Reading

__all__ = [
    "DriveTaskData",
    "DriveTaskEndpoint",
    "DriveTaskJob",
    "DriveTaskStatus",
    "ErrorV3",
    "ExportV3Data",
    "ExportV3Endpoint",
    "ExportV3Job",
    "ExportV3Order",
    "ExportV3Status",
    "ImportV3Data",
    "ImportV3Endpoint",
    "ImportV3Job",
    "ImportV3Order",
    "ImportV3Status",
    "JobState",
    "WarningV3",
]

_PROJECTS: Final = "/v3/projects/"


@attrs.frozen(kw_only=True, weakref_slot=False)
class _Refusal:
    """The parts of a refusal (RFC 9457) that say why."""

    errors: tuple[ErrorV3, ...] = ()
    detail: str | None = None
    title: str | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class _StartedData:
    id: str | int | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class _Started(EnvelopeV3):
    """The reply to the request that starts an export or an import."""

    data: _StartedData


_STRICT_HOOKS: Final[Mapping[Any, Hook]] = {
    bool | None: true_or_false_or_null,
    str | None: text_or_null,
    str | int | None: text_or_null,
    JobState | str: job_state,
}
_LENIENT_HOOKS: Final[Mapping[Any, Hook]] = {
    bool | None: lenient_bool,
    str | None: lenient_text,
    str | int | None: lenient_id,
}
_MAIN_TEXT: Final = {ErrorV3: "message", WarningV3: "message"}
S = TypeVar("S", bound=EnvelopeV3)
J = TypeVar("J", DriveTaskJob, ExportV3Job, ImportV3Job)


def _reader(made: type[S]) -> Reader[S]:
    return Reader(made, _STRICT_HOOKS, lenient_hooks=_LENIENT_HOOKS, main_text=_MAIN_TEXT)


_TASK: Final = _reader(DriveTaskStatus)
_EXPORT: Final = _reader(ExportV3Status)
_IMPORT: Final = _reader(ImportV3Status)
_STARTED: Final = _reader(_Started)
_REFUSAL: Final = Reader(_Refusal, _STRICT_HOOKS, lenient_hooks=_LENIENT_HOOKS, main_text=_MAIN_TEXT)


def _problem_of(errors: tuple[ErrorV3, ...]) -> Problem:
    return Problem(
        codes=clipped([error.code for error in errors]), descriptions=clipped([error.message for error in errors])
    )


def _problem_in(reply: Reply) -> Problem | None:
    body = json_object_in(reply)
    if body is None or {"success", "errors", "detail", "title"}.isdisjoint(map(str.lower, body)):
        return None
    refusal = _REFUSAL.structure(body)
    problem = _problem_of(refusal.errors)
    if problem.descriptions:
        return problem
    return attrs.evolve(problem, descriptions=clipped([refusal.detail or refusal.title]))


def _task_path(job: DriveTaskJob) -> str:
    return f"{_PROJECTS}{segment(job.project_id)}/drive/tasks/{segment(job.task_id)}"


def _export_path(job: ExportV3Job) -> str:
    return f"{_PROJECTS}{segment(job.project_id)}/exports/{segment(job.export_id)}"


def _import_path(job: ImportV3Job) -> str:
    return f"{_PROJECTS}{segment(job.project_id)}/imports/{segment(job.import_id)}"


class _EndpointV3(JobEndpoint[J, S]):
    """What the endpoints of v3 have in common."""

    def read(self, reply: Reply, /) -> Reading[S]:
        """The reading, by the rules of this module.

        Raises:
            MalformedReply: The body is not JSON, or has no valid `data.status`.
        """
        status = self._replies.read(reply)
        data: DriveTaskData | ExportV3Data | ImportV3Data = status.data  # type: ignore[attr-defined]  # each class has it
        problem = _problem_of(status.errors)
        return state_reading(
            status,
            data.status,
            V3,
            looks_over=bool(getattr(data, "completed_at", None)),
            reports_errors=status.success is False or bool(status.errors),
            reason=str(problem) if problem != Problem() else None,
        )

    def _started_id(self, project_id: str, reply: Reply, collection: str) -> str:
        """The ID in the reply to a start: `data.id`, or the last segment of `Operation-Location`."""
        started = self._read_started(_STARTED, reply)
        found = started.data.id or id_after(collection, reply.headers.get("Operation-Location"))
        if not found and (started.success is False or started.errors):
            subject = f"one of the {collection} of project {project_id}"
            raise RequestRejected(subject, reply.status, _problem_of(started.errors))
        return started_id(reply, "data.id", found)

    def _start(self, project_id: str, collection: str, body: Mapping[str, Any]) -> Request:
        url = self._root.url(f"{_PROJECTS}{segment(project_id)}/{collection}")
        return post_request(url, body)


class DriveTaskEndpoint(_EndpointV3[DriveTaskJob, DriveTaskStatus]):
    """Tasks of Document360's drive, `GET …/v3/projects/{project_id}/drive/tasks/{task_id}`.

    Args:
        base_url: The API's base URL, which differs by region, such as `https://apihub.document360.io`. May have a path.
        auth: Adds the `Authorization` header field, such as `BearerAuth(token)`.
        account: A name for these credentials, if one ledger has the jobs of several accounts.

    Raises:
        ConfigurationError: `base_url` is not an http or https URL with a host, or has credentials, a query or a fragment.
            Or `account` is not a valid name.
    """

    name = "document360-v3-drive-task"
    _parts = Parts(
        job=DriveTaskJob, path=_task_path, reader=_TASK, problem=_problem_in, id_field="data.task_id", what="task"
    )


class ExportV3Endpoint(_EndpointV3[ExportV3Job, ExportV3Status]):
    """Exports of a Document360 project, `GET …/v3/projects/{project_id}/exports/{export_id}`, with the file as their result.

    The arguments are those of `DriveTaskEndpoint`.
    """

    name = "document360-v3-export"
    submit_advice = "The export may be running, and no call finds its ID. Another one does no harm."
    _parts = Parts(
        job=ExportV3Job, path=_export_path, reader=_EXPORT, problem=_problem_in, id_field="data.id", what="export"
    )

    def result_request(self, _job: ExportV3Job, status: ExportV3Status, /) -> Request:
        """The request for the file. Raises ConfigurationError if the status has no link."""
        return link_request(status.data.download_url, "data.download_url")

    def read_result(self, reply: Reply, /) -> bytes:
        """The bytes of the file."""
        return reply.body

    def submit_request(self, order: ExportV3Order, _key: str, /) -> Request:
        """The POST request that starts an export. The API has no idempotency key, so it must not be sent twice."""
        wanted = {
            "workspace_id": order.workspace_id,
            "format": order.format,
            "lang_code": order.lang_code,
            **order.more,
        }
        body = {field: value for field, value in wanted.items() if value is not None}
        return self._start(order.project_id, "exports", body)

    def read_submitted(self, order: ExportV3Order, reply: Reply, /) -> ExportV3Job:
        """The export in the reply.

        Raises:
            RequestRejected: The reply names no export, and has errors.
            MalformedReply: It names no export.
        """
        return ExportV3Job(order.project_id, self._started_id(order.project_id, reply, "exports"))


class ImportV3Endpoint(_EndpointV3[ImportV3Job, ImportV3Status]):
    """Imports into a Document360 project, `GET …/v3/projects/{project_id}/imports/{import_id}`.

    The arguments are those of `DriveTaskEndpoint`.
    """

    name = "document360-v3-import"
    submit_advice = (
        "The import may be running, and no call finds its ID. Look into the project before you start it again."
    )
    _parts = Parts(
        job=ImportV3Job, path=_import_path, reader=_IMPORT, problem=_problem_in, id_field="data.id", what="import"
    )

    def submit_request(self, order: ImportV3Order, _key: str, /) -> Request:
        """The POST request that starts an import. The API has no idempotency key, so it must not be sent twice."""
        body = attrs.asdict(order)
        return self._start(body.pop("project_id"), "imports", body)

    def read_submitted(self, order: ImportV3Order, reply: Reply, /) -> ImportV3Job:
        """The import in the reply. Raises as `ExportV3Endpoint.read_submitted`."""
        return ImportV3Job(order.project_id, self._started_id(order.project_id, reply, "imports"))
