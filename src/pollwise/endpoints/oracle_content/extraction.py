"""Oracle Content Management: the status of a ZIP extraction job, and starting one.

Rule 1: `progress` ends a watch, at SUCCEEDED and at FAILED. `completed` informs; it never ends one.
Rule 2: ABORTED is documented, but not as an end. It counts as an unconfirmed cancellation.
Rule 3: an undocumented word is kept as text and means running. If `completed` is true as well, it is an unconfirmed end of
unknown kind. It is never a success, for any percentage.
Rule 4: only `progress` is read strictly: a text in any letter case, because the vendor's other APIs use lower case. The
other fields inform and never hide `progress`. They are read as documented (the examples have strings for all scalars, the
schema has booleans and integers), converted leniently, or None. An absent counter is 0. A percentage outside 0 to 100 is
None, because it does not say how much is done.
Rule 5: a success may have skipped every file in the ZIP. The status says so, and the phase is SUCCEEDED.
Rule 6: starting a job is not idempotent, so its request is sent again only if it certainly did nothing. The reply's `jobId`
decides. A reply about another file is malformed.

Sources: "Get Status of an Extraction Job" and "Extract ZIP File into a Folder" (API version 1.2) below
https://docs.oracle.com/en/cloud/paas/content-cloud/rest-api-documents/.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final

import attrs

from pollwise.endpoints._address import one_segment, segment
from pollwise.endpoints._reader import ReplyReader, json_object_in
from pollwise.endpoints._starting import post_request
from pollwise.endpoints._strict import shown, unknown
from pollwise.endpoints._vendor import VendorEndpoint, make_reading, same_id
from pollwise.endpoints.oracle_content._extraction_values import (
    STARTED,
    STATUS,
    ExtractionItem,
    ExtractionProgress,
    ExtractionStatus,
    Started,
)
from pollwise.endpoints.oracle_content._progress import problem_of
from pollwise.errors import ConfigurationError, Problem, RequestRejected
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Auth
from pollwise.model.reading import Phase, Reading

__all__ = [
    "DuplicateResolution",
    "ExtractionEndpoint",
    "ExtractionItem",
    "ExtractionJob",
    "ExtractionOrder",
    "ExtractionProgress",
    "ExtractionStatus",
]

_FILES: Final = "/documents/api/1.2/files/"
_MAYBE_STARTED: Final = (
    "The extraction may be running, and the API has no call that finds its job ID. Look into the destination folder: new"
    " files there come from the lost job. To have a job to watch, start it again with DuplicateResolution.SKIP, which skips"
    " the files that the lost job has extracted. RESOLVE and REVISE would make second files or second revisions."
)


@attrs.frozen
class ExtractionJob:
    """A ZIP extraction job.

    Args:
        file_id: The GUID of the ZIP file.
        job_id: The GUID of the job, as the reply to its start names it.

    Raises:
        ConfigurationError: An ID cannot be one segment of a path, as with `pollwise.endpoints.path_segment`: it is empty, `.`,
            `..`, longer than 1,024 characters, or has control characters. It is a ValueError.
    """

    file_id: str = attrs.field(validator=one_segment)
    job_id: str = attrs.field(validator=one_segment)


class DuplicateResolution(enum.StrEnum):
    """What an extraction does if the destination has a file with the same name."""

    RESOLVE = "ResolveDuplicates"
    """Give the new file another name, with a number."""
    REVISE = "ReviseDuplicates"
    """Make the new file a new revision of the old one."""
    SKIP = "SkipDuplicates"
    """Do not extract the new file."""


def _is_resolution(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    if value not in tuple(DuplicateResolution):
        raise ConfigurationError(f"{field.name} must be one of {', '.join(DuplicateResolution)}")


@attrs.frozen
class ExtractionOrder:
    """An extraction that is to be started: `await watcher.submit(ExtractionOrder(file_id))`.

    Args:
        file_id: The GUID of the ZIP file.
        destination_id: The GUID of the destination folder. None for the folder of the ZIP file.
        duplicate_resolution: What to do if a file with the same name exists.

    Raises:
        ConfigurationError: An ID is none, as with `ExtractionJob`, or the resolution is none.
    """

    file_id: str = attrs.field(validator=one_segment)
    destination_id: str | None = attrs.field(default=None, validator=attrs.validators.optional(one_segment))
    duplicate_resolution: DuplicateResolution = attrs.field(
        default=DuplicateResolution.RESOLVE, validator=_is_resolution
    )


_FRACTIONS: Final[Mapping[int | None, float | None]] = {  # all watches share these objects
    None: None,
    **{number: number / 100 for number in range(101)},
}
_MEANING: Final[Mapping[str, tuple[Phase, bool, bool]]] = {  # phase, final, unconfirmed
    ExtractionProgress.PENDING: (Phase.QUEUED, False, False),
    ExtractionProgress.PROCESSING: (Phase.RUNNING, False, False),
    ExtractionProgress.SUCCEEDED: (Phase.SUCCEEDED, True, False),
    ExtractionProgress.FAILED: (Phase.FAILED, True, False),
    ExtractionProgress.ABORTED: (Phase.CANCELLED, False, True),
}
_UNKNOWN_RUNS: Final = (Phase.RUNNING, False, False)
_UNKNOWN_END: Final = (Phase.RUNNING, False, True)


def _status_path(job: ExtractionJob) -> str:
    return f"{_FILES}{segment(job.file_id)}/_extract/{segment(job.job_id)}"


def _reason(status: ExtractionStatus) -> str | None:
    problem = problem_of({"errorCode": status.error_code or None}, status.message)
    return str(problem) if problem.codes or problem.descriptions else None


def _problem_in(reply: Reply) -> Problem | None:
    body = json_object_in(reply)
    return None if body is None or {"errorCode", "errorKey"}.isdisjoint(body) else problem_of(body)


class ExtractionEndpoint(VendorEndpoint[ExtractionJob, ExtractionStatus]):
    """The status call of Oracle Content Management's ZIP extraction, and the call that starts one.

    The status call is `GET …/documents/api/1.2/files/{file_id}/_extract/{job_id}`, and the start is a POST to `…/_extract`. It
    has no idempotency key. If its reply is lost, `JobWatcher.submit` raises `SubmitDoubtful`, which says what to do: the API has
    no list of jobs.

    Args:
        base_url: `https://host[:port]`. May have a path.
        auth: Adds the `Authorization` header field: Basic, Bearer, or OAuth 2 client credentials.
        account: A name for these credentials, if one ledger has the jobs of several accounts.

    Raises:
        ConfigurationError: `base_url` is not an http or https URL with a host, or has credentials, a query or a fragment.
            Or `account` is not a valid name.
    """

    name = "oracle-content"
    submit_advice = _MAYBE_STARTED

    def __init__(self, base_url: str, *, auth: Auth | None = None, account: str = "") -> None:
        super().__init__(
            base_url,
            auth=auth,
            account=account,
            job=ExtractionJob,
            path=_status_path,
            reader=STATUS,
            problem=_problem_in,
        )
        self._starts = ReplyReader(STARTED, self.name, _problem_in)

    def read(self, reply: Reply, /) -> Reading[ExtractionStatus]:
        """The reading, by the rules of this module. The fraction done is `completedPercentage`.

        Raises:
            MalformedReply: The body is not JSON, or has no valid `progress`.
        """
        status = self._replies.read(reply)
        known = _MEANING.get(status.progress)
        phase, final, unconfirmed = known or (_UNKNOWN_END if status.completed else _UNKNOWN_RUNS)
        fraction = _FRACTIONS[status.completed_percentage]
        reason = _reason(status) if (final or unconfirmed) and phase is not Phase.SUCCEEDED else None
        strange = None if known else unknown("progress", status.progress)
        return make_reading(status, phase, final, unconfirmed, fraction, reason, strange)

    def submit_request(self, order: ExtractionOrder, _key: str, /) -> Request:
        """The POST request that starts the extraction. The API has no place for a key."""
        url = self._root.url(f"{_FILES}{segment(order.file_id)}/_extract")
        wanted = {"duplicateResolution": str(order.duplicate_resolution)}
        if order.destination_id is not None:
            wanted["destinationID"] = order.destination_id
        return post_request(url, wanted)

    def read_submitted(self, order: ExtractionOrder, reply: Reply, /) -> ExtractionJob:
        """The job that was started.

        Raises:
            RequestRejected: The reply has an error code, so no job was started.
            MalformedReply: The reply has no job ID, or is about another file.
        """
        started = self._starts.read(reply)
        if _refuses(started):
            raise RequestRejected(f"the extraction of file {order.file_id}", reply.status, self.problem(reply))
        return _job_of(order.file_id, started, reply)


def _refuses(started: Started) -> bool:
    """Whether the reply refuses the start. With a job ID, only a numeric error code does: else that job is watched."""
    code = started.error_code
    return code not in {0, None} and (isinstance(code, int) or not started.job_id)


def _job_of(file_id: str, started: Started, reply: Reply) -> ExtractionJob:
    if not same_id(started.id, file_id):
        raise reply.malformed(f"field id: the reply is about another file, {shown(started.id)}")
    try:
        return ExtractionJob(file_id, str(started.job_id or ""))
    except ConfigurationError:
        why = f"field jobId: expected an ID, got {shown(started.job_id)}"
    raise reply.malformed(why)
