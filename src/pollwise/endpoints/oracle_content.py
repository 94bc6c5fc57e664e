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
Rule 6: starting a job is not idempotent, so its request is sent once. The reply's `jobId` decides. A reply about another
file is malformed.

Sources: "Get Status of an Extraction Job" and "Extract ZIP File into a Folder" (API version 1.2) below
https://docs.oracle.com/en/cloud/paas/content-cloud/rest-api-documents/.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from typing import Final

import attrs
import orjson

from pollwise.endpoints._address import checked_id, one_segment, segment
from pollwise.endpoints._extraction import (
    STARTED,
    STATUS,
    ExtractionItem,
    ExtractionProgress,
    ExtractionStatus,
    Started,
)
from pollwise.endpoints._reader import ReplyReader, clipped, json_object_in
from pollwise.endpoints._send_once import refused, send_once
from pollwise.endpoints._strict import shown, unknown
from pollwise.endpoints._vendor import VendorEndpoint, make_reading, same_id
from pollwise.errors import ConfigurationError, MalformedReply, Problem, RequestRejected
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Auth, Transport
from pollwise.model.reading import Phase, Reading

__all__ = [
    "DuplicateResolution",
    "ExtractionEndpoint",
    "ExtractionItem",
    "ExtractionJob",
    "ExtractionProgress",
    "ExtractionStatus",
]

_FILES: Final = "/documents/api/1.2/files/"
_HEADERS: Final[Mapping[str, str]] = {
    "Accept": "application/json"
}  # the API also sends XML; the transport adds this field to polls
_JOB_UNKNOWN: Final = "!csCloudBulkExtractionRequestJobNotValid"  # no such job, or a job of another user
_MAYBE_STARTED: Final = (
    "The extraction may be running, and the API has no call that finds its job ID. Look at the destination folder before"
    " you start it again. With DuplicateResolution.SKIP a second start does no harm."
)


@attrs.frozen
class ExtractionJob:
    """A ZIP extraction job.

    Args:
        file_id: The GUID of the ZIP file.
        job_id: The GUID of the job, as `ExtractionEndpoint.start` returns it.

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
    problem = Problem(codes=clipped([status.error_code or None]), descriptions=clipped([status.message]))
    return str(problem) if problem.codes or problem.descriptions else None


def _problem_in(reply: Reply) -> Problem | None:
    body = json_object_in(reply)
    if body is None or not ("errorCode" in body or "errorKey" in body):
        return None
    key = next(iter(clipped([body.get("errorKey")])), None)
    return Problem(
        codes=clipped([body.get("errorCode")]),
        descriptions=tuple(dict.fromkeys(clipped([body.get("errorMessage"), body.get("title")]))),
        key=key,
        job_unknown=key == _JOB_UNKNOWN,
    )


class ExtractionEndpoint(VendorEndpoint[ExtractionJob, ExtractionStatus]):
    """The status call of Oracle Content Management's ZIP extraction, and the call that starts one.

    The status call is `GET …/documents/api/1.2/files/{file_id}/_extract/{job_id}`.

    Args:
        base_url: `https://host[:port]`. May have a path.
        auth: Adds the `Authorization` header field: Basic, Bearer, or OAuth 2 client credentials.
        account: A name for these credentials, if one ledger has the jobs of several accounts.

    Raises:
        ConfigurationError: `base_url` is not an http or https URL with a host, or has credentials, a query or a fragment.
            Or `account` is not a valid name.
    """

    name = "oracle-content"

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

    async def start(
        self,
        via: Transport,
        file_id: str,
        *,
        destination_id: str | None = None,
        duplicate_resolution: DuplicateResolution = DuplicateResolution.RESOLVE,
        timeout_s: float = 30.0,
    ) -> ExtractionJob:
        """Start the extraction of a ZIP file and return its job, which can then be watched.

        The request is sent once, because a second one would extract a second time. If the reply is lost (`PollTimeout`,
        `ConnectFailed`, `ServerUnavailable`, `MalformedReply`, or this call was cancelled), **the job may be running,
        and its ID cannot be found**: the API has no list of jobs. In this case:

        - Look into the destination folder. Files that appear there come from the lost job.
        - If you need a job to watch, start again with `DuplicateResolution.SKIP`. Files that the lost job extracted are
          skipped, so there are no duplicates. Both jobs may still write the same file while both run.
        - Do not start again with RESOLVE or REVISE: that creates second files, or second revisions.

        Such an error has a note that says so. Any other error means that no job was started.

        Args:
            via: The transport to send with, such as `JobWatcher.transport`.
            file_id: The GUID of the ZIP file.
            destination_id: The GUID of the destination folder. None for the folder of the ZIP file.
            duplicate_resolution: What to do if a file with the same name exists.
            timeout_s: Max duration in seconds, renewal of credentials included.

        Raises:
            ConfigurationError: An argument is invalid. Nothing was sent.
            AuthenticationError: The credentials were refused, or there are none.
            PermissionDenied: The credentials do not allow to extract this file.
            JobNotFound: There is no such file (HTTP 404 or 410).
            RequestRejected: The server refused the request. The vendor's codes are in `problem`.
            RateLimited: HTTP 429.
            PollError: The reply is lost, see above.
        """
        request = self._start_request(file_id, destination_id, duplicate_resolution)
        if not 0 < timeout_s < math.inf:
            raise ConfigurationError(f"timeout_s must be a positive number of seconds, got {timeout_s!r}")
        reply = await send_once(via, request, self.auth, timeout_s=timeout_s, maybe_done=_MAYBE_STARTED)
        subject = f"the extraction of file {file_id}"
        if not 200 <= reply.status < 300:
            raise refused(reply, self.problem(reply), subject, maybe_done=_MAYBE_STARTED)
        try:
            started = self._starts.read(reply)
            if _refuses(started):
                raise RequestRejected(subject, reply.status, self.problem(reply))
            return _job_of(file_id, started, reply)
        except MalformedReply as exc:
            exc.add_note(_MAYBE_STARTED)
            raise

    def _start_request(self, file_id: str, destination_id: str | None, duplicates: DuplicateResolution) -> Request:
        url = self._root.url(f"{_FILES}{segment(checked_id('file_id', file_id))}/_extract")
        if duplicates not in tuple(DuplicateResolution):
            raise ConfigurationError(f"duplicate_resolution must be one of {', '.join(DuplicateResolution)}")
        wanted = {"duplicateResolution": str(duplicates)}
        if destination_id is not None:
            wanted["destinationID"] = checked_id("destination_id", destination_id)
        headers = {**_HEADERS, "Content-Type": "application/json"}
        return Request(url, headers, method="POST", body=orjson.dumps(wanted))


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
