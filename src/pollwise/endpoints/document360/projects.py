"""Document360 v2: exports and imports of a project.

Rule 1: `status` ends a watch, at Completed and at Error, and is the only field that is read strictly. Null says nothing, and
is malformed.
Rule 2: a completed export with errors, or with `success` false, has failed.
Rule 3: a completed import has succeeded, whatever `success` and `errors` say. The vendor's own example of a completed import has
`success: false` and the error that its log was not found.
Rule 4: the documented status names no job. If it has an `id`, that is checked.
Rule 5: the result of an export is the bytes of the ZIP file at `download_url`.

Sources: https://apidocs.document360.com, "Get the status of export", "Start a new export" and "Import documentation" (v2); and the
vendor's OpenAPI document, which alone has the status of an import. How long a `download_url` of v2 is valid was not seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import attrs

from pollwise.endpoints._address import id_tuple, one_segment, segment
from pollwise.endpoints._left_out import left_out_of
from pollwise.endpoints._links import link_request
from pollwise.endpoints._reader import Reader
from pollwise.endpoints._starting import post_request, started_id
from pollwise.endpoints._vendor import JobEndpoint, Parts
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
from pollwise.endpoints.document360._states import V2, JobState, job_state, state_reading
from pollwise.model.limits import RateLimit
from pollwise.model.messages import Reply, Request
from pollwise.model.reading import Reading

__all__ = [
    "ExportV2Endpoint",
    "ExportV2Job",
    "ExportV2Order",
    "ExportV2Status",
    "ImportV2Endpoint",
    "ImportV2Job",
    "ImportV2Order",
    "ImportV2Status",
    "JobState",
]

_EXPORTS: Final = "/v2/Project/Export"
_IMPORTS: Final = "/v2/Project/Import"


@attrs.frozen
class ExportV2Job:
    """An export of a project.

    Args:
        export_id: The `id` in the reply to the request that started it.

    Raises:
        ConfigurationError: The ID cannot be one segment of a path, as with `pollwise.endpoints.path_segment`.
    """

    export_id: str = attrs.field(validator=one_segment)


@attrs.frozen
class ImportV2Job:
    """An import into a project.

    Args:
        import_id: The `id` in the reply to the request that started it.

    Raises:
        ConfigurationError: As `ExportV2Job`.
    """

    import_id: str = attrs.field(validator=one_segment)


@attrs.frozen(kw_only=True)
class ExportV2Order:
    """What to export. The vendor's examples show a limit of two exports a day.

    Args:
        entity: `Project`, `Version`, `Category` or `Article`.
        version_ids: The versions. Empty for the whole project.
        exclude_media_files: Whether images and other files are left out.
        more: Further fields of the body, such as `selected_languages`, `selected_categories` and
            `filter_by_article_modified_at`. They take precedence.
    """

    entity: str = "Project"
    version_ids: tuple[str, ...] = attrs.field(default=(), validator=id_tuple)
    exclude_media_files: bool = False
    more: Mapping[str, Any] = attrs.field(factory=dict, hash=False)


@attrs.frozen(kw_only=True)
class ImportV2Order:
    """What to import.

    Args:
        source_documentation_url: The URL of a ZIP file of less than 1 GB, in the form of an export.
        import_by: The ID of the user whose import it is.
        publish_article: Whether the articles are published.
    """

    source_documentation_url: str = attrs.field(repr=False)  # it may be signed
    import_by: str
    publish_article: bool = False


@attrs.frozen(kw_only=True, weakref_slot=False)
class _StatusV2:
    """The vendor's status.

    Attributes:
        status: A `JobState`, or an undocumented word as sent.
        id: The job's ID. Not documented; None if absent.
        success: Whether the *API call* succeeded. None if absent.
        extension_data: Any JSON value, as sent.
        errors: In the vendor's order. Empty if the list is null or absent. `left_out` says whether others followed.
        warnings: Likewise.
        information: Likewise.
    """

    status: JobState | str
    id: str | int | None = None
    success: bool | None = None
    extension_data: Any = None
    errors: tuple[ErrorItem, ...] = ()
    warnings: tuple[WarningItem, ...] = ()
    information: tuple[InformationItem, ...] = ()

    @property
    def left_out(self) -> Mapping[str, int]:
        """How many items were left out of lists that were too long, by the field's name."""
        return left_out_of(self)


@attrs.frozen(kw_only=True, weakref_slot=False)
class ExportV2Status(_StatusV2):
    """The vendor's status of an export: the fields of every status of v2, and the link.

    Attributes:
        download_url: The URL of the ZIP file, once the export is complete. Not in the `repr`, because it may be signed.
    """

    download_url: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True, weakref_slot=False)
class ImportV2Status(_StatusV2):
    """The vendor's status of an import: the fields of every status of v2, and the log.

    Attributes:
        import_documentation_log: `new_versions`, `categories` and `articles` (numbers), `languages` (a text), and `messages`,
            each with `message_type` (0 error, 1 warning, 2 information), `message` and `cancel_operation`. As sent. Often null.
    """

    import_documentation_log: Mapping[str, Any] | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class _Started(StartedV2):
    """The reply to the request that starts an export or an import."""

    id: str | int | None = None


J = TypeVar("J", ExportV2Job, ImportV2Job)
S = TypeVar("S", ExportV2Status, ImportV2Status)
_STRICT: Final = {**STRICT_HOOKS, JobState | str: job_state}
_EXPORT: Final = Reader(ExportV2Status, _STRICT, lenient_hooks=LENIENT_HOOKS, main_text=MAIN_TEXT, often_absent={"id"})
_IMPORT: Final = Reader(ImportV2Status, _STRICT, lenient_hooks=LENIENT_HOOKS, main_text=MAIN_TEXT, often_absent={"id"})
_STARTED: Final = Reader(_Started, STRICT_HOOKS, lenient_hooks=LENIENT_HOOKS, main_text=MAIN_TEXT)


def _export_path(job: ExportV2Job) -> str:
    return f"{_EXPORTS}/{segment(job.export_id)}"


def _import_path(job: ImportV2Job) -> str:
    return f"{_IMPORTS}/{segment(job.import_id)}"


class _EndpointV2(JobEndpoint[J, S]):
    """What exports and imports have in common."""

    documented_limit = RateLimit(60, per_s=60.0)  # of each token; Enterprise and Trial plans have 100, says the server

    def _started_id(self, subject: str, reply: Reply) -> str:
        started = self._read_started(_STARTED, reply)
        check_started(subject, reply, started, started.id)
        return started_id(reply, "id", started.id)


class ExportV2Endpoint(_EndpointV2[ExportV2Job, ExportV2Status]):
    """Exports of a Document360 project, `GET …/v2/Project/Export/{export_id}`, with the ZIP file as their result.

    Args:
        base_url: The API's base URL, which differs by region, such as `https://apihub.document360.io`. May have a path.
        auth: Adds the `api_token` header field, such as `ApiKeyAuth(key)`.
        account: A name for these credentials, if one ledger has the jobs of several accounts.

    Raises:
        ConfigurationError: `base_url` is not an http or https URL with a host, or has credentials, a query or a fragment.
            Or `account` is not a valid name.
    """

    name = "document360-export"
    submit_advice = (
        "The export may be running, and no call finds its ID. Another one counts towards the exports of the day."
    )
    _parts = Parts(job=ExportV2Job, path=_export_path, reader=_EXPORT, problem=problem_in, id_field="id", what="export")

    def read(self, reply: Reply, /) -> Reading[ExportV2Status]:
        """The reading, by the rules of this module.

        Raises:
            MalformedReply: The body is not JSON, or has no valid `status`.
        """
        status = self._replies.read(reply)
        failed = status.success is False or bool(status.errors)
        return state_reading(status, status.status, V2, reports_errors=failed, reason=reason_of(status.errors))

    def result_request(self, _job: ExportV2Job, status: ExportV2Status, /) -> Request:
        """The request for the ZIP file. Raises ConfigurationError if the status has no link."""
        return link_request(status.download_url, "download_url")

    def read_result(self, reply: Reply, /) -> bytes:
        """The bytes of the ZIP file."""
        return reply.body

    def submit_request(self, order: ExportV2Order, _key: str, /) -> Request:
        """The POST request that starts an export. The API has no idempotency key, so it must not be sent twice."""
        body = {
            "entity": order.entity,
            "version_id": order.version_ids,
            "exclude_media_files": order.exclude_media_files,
            **order.more,
        }
        return post_request(self._root.url(_EXPORTS), body)

    def read_submitted(self, _order: ExportV2Order, reply: Reply, /) -> ExportV2Job:
        """The export in the reply.

        Raises:
            RequestRejected: The reply names no export, and has errors.
            MalformedReply: It names no export.
        """
        return ExportV2Job(self._started_id("the export", reply))


class ImportV2Endpoint(_EndpointV2[ImportV2Job, ImportV2Status]):
    """Imports into a Document360 project, `GET …/v2/Project/Import/{import_id}`. The arguments are those of `ExportV2Endpoint`."""

    name = "document360-import"
    submit_advice = (
        "The import may be running, and no call finds its ID. Look into the project before you start it again."
    )
    _parts = Parts(job=ImportV2Job, path=_import_path, reader=_IMPORT, problem=problem_in, id_field="id", what="import")

    def read(self, reply: Reply, /) -> Reading[ImportV2Status]:
        """The reading, by the rules of this module.

        Raises:
            MalformedReply: The body is not JSON, or has no valid `status`.
        """
        status = self._replies.read(reply)
        return state_reading(status, status.status, V2, reason=reason_of(status.errors))

    def submit_request(self, order: ImportV2Order, _key: str, /) -> Request:
        """The POST request that starts an import. The API has no idempotency key, so it must not be sent twice."""
        return post_request(self._root.url(_IMPORTS), attrs.asdict(order))

    def read_submitted(self, _order: ImportV2Order, reply: Reply, /) -> ImportV2Job:
        """The import in the reply. Raises as `ExportV2Endpoint.read_submitted`."""
        return ImportV2Job(self._started_id("the import", reply))
