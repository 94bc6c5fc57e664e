"""Oracle Content Management: the status of a ZIP extraction job, and starting one.

Rule 1: `progress` ends a watch, at SUCCEEDED and at FAILED. `completed` informs; it never ends one.
Rule 2: ABORTED is documented, but not as an end: it looks like a cancellation, which wants confirming.
Rule 3: a word that is not documented is kept as the text that it is, and runs. With `completed` true beside it the job
looks over, which wants confirming, and is then an end of unknown kind. It is never a success, whatever the percentage.
Rule 4: only `progress` is read strictly: a text, in any letter case, because the vendor's other APIs have it in lower
case. Everything else informs and never hides `progress`: it is taken as documented (the examples have a string for every
scalar, the schema has booleans and integers), or as what can be kept of it, or it is None. A counter that is not sent
has counted nothing, hence 0. A percentage beyond 0 to 100 is None, because it does not say how much is done.
Rule 5: a success can have skipped every file in the ZIP. The status says so; the phase stays SUCCEEDED.
Rule 6: starting a job is not idempotent, so its request is sent once, whatever becomes of it. The reply's `jobId` decides;
a reply about another file is malformed.

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
from pollwise.endpoints._once import refused, send_once
from pollwise.endpoints._reader import ReplyReader, clipped, json_object_in
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
_HEADERS: Final[Mapping[str, str]] = {"Accept": "application/json"}  # the vendor has XML as well; a poll says so anyway
_JOB_UNKNOWN: Final = "!csCloudBulkExtractionRequestJobNotValid"  # no such job, or somebody else's
_MAYBE_STARTED: Final = (
    "The extraction may be running all the same, and the API has no way to find its job ID. Look at the destination"
    " folder before starting it again; with DuplicateResolution.SKIP a second start does no harm."
)


@attrs.frozen
class ExtractionJob:
    """A ZIP extraction job.

    Args:
        file_id: The GUID of the ZIP file.
        job_id: The GUID of the job, as `ExtractionEndpoint.start` returns it.

    Raises:
        ConfigurationError: An ID cannot be one segment of a path. It is a ValueError.
    """

    file_id: str = attrs.field(validator=one_segment)
    job_id: str = attrs.field(validator=one_segment)


class DuplicateResolution(enum.StrEnum):
    """What an extraction does where the destination has a file of that name already."""

    RESOLVE = "ResolveDuplicates"
    """Give the new file another name, with a number."""
    REVISE = "ReviseDuplicates"
    """Make the new file a new revision of the old one."""
    SKIP = "SkipDuplicates"
    """Leave the new file out."""


_FRACTIONS: Final[Mapping[int | None, float | None]] = {  # a hundred thousand watches keep one each
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

    The former is `GET …/documents/api/1.2/files/{file_id}/_extract/{job_id}`.

    Args:
        base_url: `https://host[:port]`; may have a path.
        auth: What puts the `Authorization` header on: Basic, Bearer, or OAuth 2 client credentials.
        account: A name for these credentials, where one ledger has the jobs of several accounts.

    Raises:
        ConfigurationError: `base_url` is no http or https URL with a host, or holds credentials, a query or a fragment;
            or `account` cannot be a name.
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
        """What the reply says, by the rules of this module. The fraction done is `completedPercentage`.

        Raises:
            MalformedReply: It is no JSON, or `progress` is not in it.
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

        The request is sent once and never again, for starting is not idempotent: a second one extracts a second time.
        So when the reply is lost (`PollTimeout`, `ConnectFailed`, `ServerUnavailable`, `MalformedReply`, or this call
        was cancelled) **the job may be running, and its ID cannot be had**: the API documents no list of jobs. Then

        - look into the destination folder: files that appear there are the lost job's;
        - start again with `DuplicateResolution.SKIP` if there must be a job to watch: what the lost one extracted is
          skipped, so nothing is there twice. The two may still meet at the same file while both run;
        - do not start again with RESOLVE or REVISE: that makes second files, or second revisions.

        An error that leaves it open carries a note that says so; every other one means that nothing was started.

        Args:
            via: What to send with, such as `JobWatcher.transport`.
            file_id: The GUID of the ZIP file.
            destination_id: The GUID of the folder to extract into; None for the folder that the ZIP file is in.
            duplicate_resolution: What to do where a file of that name exists.
            timeout_s: Seconds for all of it, renewing credentials included.

        Raises:
            ConfigurationError: An argument cannot be right. Nothing was sent.
            AuthenticationError: The credentials were refused, or there are none to be had.
            PermissionDenied: They may not extract this file.
            JobNotFound: There is no such file (HTTP 404 or 410).
            RequestRejected: The server called the request wrong; the vendor's codes are in `problem`.
            RateLimited: HTTP 429.
            PollError: Another of its kinds: see above.
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
    """Whether the reply says that nothing was started. Beside a job ID only a number says so: that job can be watched."""
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
