"""Oracle Content Management: the status of a ZIP extraction job, and starting one.

Rule 1: `progress` ends a watch, at SUCCEEDED and at FAILED. `completed` informs; it never ends one.
Rule 2: ABORTED is documented, but not as an end: it looks like a cancellation, which wants confirming.
Rule 3: a word that is not documented is kept as the text that it is, and runs. With `completed` true beside it the job
looks over, which wants confirming: it then succeeded only if all else says so too (no error code, 100 percent), for
an unknown word must not become a success on thin evidence.
Rule 4: the examples have a string for every scalar (`"false"`, `"25"`), the schema has booleans and integers, and
gateways re-encode: both are taken, and nothing else. `progress`, `completed` and `completedPercentage` decide something
and are required. The rest informs: a counter that is not sent has counted nothing, hence 0.
Rule 5: a success can have skipped every file in the ZIP. The status says so; the phase stays SUCCEEDED.
Rule 6: starting a job is not idempotent, so its request is sent once, whatever becomes of it.

Sources: "Get Status of an Extraction Job" and "Extract ZIP File into a Folder" (API version 1.2) below
https://docs.oracle.com/en/cloud/paas/content-cloud/rest-api-documents/. This file is long because a vendor is one file.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from typing import Final

import attrs
import orjson

from pollwise.core.phase import Phase, Reading
from pollwise.core.wire import Auth, Reply, Request, Transport
from pollwise.endpoints._address import checked_id, one_segment, segment
from pollwise.endpoints._once import refused, send_once
from pollwise.endpoints._reader import Reader, clipped, json_object_in
from pollwise.endpoints._strict import (
    shown,
    text,
    text_or_null,
    unknown,
    whole_number,
    yes_or_no,
)
from pollwise.endpoints._vendor import VendorEndpoint, make_reading
from pollwise.errors import ConfigurationError, MalformedReply, Problem, RequestRejected

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


class ExtractionProgress(enum.StrEnum):
    """The documented values of `progress`."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    ABORTED = "ABORTED"


class DuplicateResolution(enum.StrEnum):
    """What an extraction does where the destination has a file of that name already."""

    RESOLVE = "ResolveDuplicates"
    """Give the new file another name, with a number."""
    REVISE = "ReviseDuplicates"
    """Make the new file a new revision of the old one."""
    SKIP = "SkipDuplicates"
    """Leave the new file out."""


@attrs.frozen(kw_only=True, weakref_slot=False)
class ExtractionItem:
    """A file of the ZIP that was not extracted, and why. Untrusted text, all of it.

    Attributes:
        id: The file's name in the ZIP.
        type: `file`.
        error: Why it was left out.
    """

    id: str
    type: str | None = None
    error: str | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class ExtractionStatus:
    """All that the vendor said about an extraction job.

    Attributes:
        progress: An `ExtractionProgress`, or the word as sent where it is none of them.
        completed: Whether the job is over, it says; `progress` is what counts.
        completed_percentage: How much is done, 0..100.
        error_code: 0 where there was no error.
        files_created: Files that are new in the destination.
        files_ignored: Entries of the ZIP that were no candidates at all.
        files_name_adjusted: Files that got another name.
        files_overwritten: Existing files that were replaced.
        files_processed: Files that were dealt with.
        files_skipped: Files that were not extracted.
        files_versioned: Existing files that got a new revision.
        message: For people. May name a path in the ZIP: untrusted, never render it as markup.
        type: `file`.
        skipped_items: The files that were skipped, and why; often not sent.
        ignored_items: The files that were ignored, and why; often not sent.
    """

    progress: ExtractionProgress | str
    completed: bool
    completed_percentage: int
    error_code: int = 0
    files_created: int = 0
    files_ignored: int = 0
    files_name_adjusted: int = 0
    files_overwritten: int = 0
    files_processed: int = 0
    files_skipped: int = 0
    files_versioned: int = 0
    message: str | None = None
    type: str | None = None
    skipped_items: tuple[ExtractionItem, ...] = ()
    ignored_items: tuple[ExtractionItem, ...] = ()

    @property
    def skipped_any(self) -> bool:
        """Whether files were not extracted, for instance because the destination has files of their names."""
        return self.files_skipped > 0 or bool(self.skipped_items)

    @property
    def ignored_any(self) -> bool:
        """Whether entries of the ZIP were ignored."""
        return self.files_ignored > 0 or bool(self.ignored_items)

    @property
    def extracted_all(self) -> bool:
        """Whether the job succeeded and left nothing out. A success alone does not say so."""
        return self.progress == ExtractionProgress.SUCCEEDED and not self.skipped_any and not self.ignored_any

    def summary(self) -> str:
        """The counts in one line, such as `3 skipped` or `5 processed, 4 created, 1 ignored`; nothing untrusted."""
        counts = {
            "processed": self.files_processed,
            "created": self.files_created,
            "overwritten": self.files_overwritten,
            "versioned": self.files_versioned,
            "renamed": self.files_name_adjusted,
            "skipped": max(self.files_skipped, len(self.skipped_items)),
            "ignored": max(self.files_ignored, len(self.ignored_items)),
        }
        return ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "no files"


@attrs.frozen(kw_only=True, weakref_slot=False)
class _Started:
    job_id: str | None = None
    error_code: int = 0


_WORDS: Final[Mapping[object, ExtractionProgress]] = {word.value: word for word in ExtractionProgress}
_PERCENTAGES: Final[Mapping[object, int]] = {str(number): number for number in range(101)}
_FRACTIONS: Final = tuple(number / 100 for number in range(101))  # a hundred thousand watches keep one each
_TYPES: Final[Mapping[object, str]] = {"file": "file"}  # one string for a hundred thousand statuses


def _progress(value: object, _type: object = None, /) -> ExtractionProgress | str:
    try:
        return _WORDS[value]
    except (KeyError, TypeError):
        return text(value)


def _percentage(value: object, _type: object = None, /) -> int:
    try:
        return _PERCENTAGES[value]
    except (KeyError, TypeError):
        number = whole_number(value)
    if 0 <= number <= 100:
        return number
    raise ValueError(f"expected 0 to 100, got {shown(value)}")


def _type_name(value: object, _type: object = None, /) -> str | None:
    try:
        return _TYPES[value]
    except (KeyError, TypeError):
        return text_or_null(value)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


_HOOKS: Final = {
    bool: yes_or_no,
    int: whole_number,
    str: text,
    str | None: text_or_null,
    ExtractionProgress | str: _progress,
}
_STATUS: Final = Reader(
    ExtractionStatus,
    _HOOKS,
    field_hooks={"completed_percentage": _percentage, "type": _type_name},
    wire_name=_camel,
)
_STARTED: Final = Reader(_Started, _HOOKS, wire_name=_camel)

_MEANING: Final[Mapping[str, tuple[Phase, bool, bool]]] = {  # phase, final, unconfirmed
    ExtractionProgress.PENDING: (Phase.QUEUED, False, False),
    ExtractionProgress.PROCESSING: (Phase.RUNNING, False, False),
    ExtractionProgress.SUCCEEDED: (Phase.SUCCEEDED, True, False),
    ExtractionProgress.FAILED: (Phase.FAILED, True, False),
    ExtractionProgress.ABORTED: (Phase.CANCELLED, False, True),
}


def _status_path(job: ExtractionJob) -> str:
    return f"{_FILES}{segment(job.file_id)}/_extract/{segment(job.job_id)}"


def _meaning_of_unknown(status: ExtractionStatus) -> tuple[Phase, bool, bool]:
    if not status.completed:
        return Phase.RUNNING, False, False
    done = status.error_code == 0 and status.completed_percentage == 100
    return Phase.SUCCEEDED if done else Phase.FAILED, False, True


def _reason(status: ExtractionStatus) -> str | None:
    problem = Problem(codes=clipped([status.error_code or None]), descriptions=clipped([status.message]))
    return str(problem) if problem.codes or problem.descriptions else None


class ExtractionEndpoint(VendorEndpoint[ExtractionJob, ExtractionStatus]):
    """The status call of Oracle Content Management's ZIP extraction, and the call that starts one.

    The former is `GET …/documents/api/1.2/files/{file_id}/_extract/{job_id}`.

    Args:
        base_url: `https://host[:port]`; may have a path.
        auth: What puts the `Authorization` header on: Basic, Bearer, or OAuth 2 client credentials.

    Raises:
        ConfigurationError: `base_url` is no http or https URL with a host, or holds credentials, a query or a fragment.
    """

    name = "oracle-content"

    def __init__(self, base_url: str, *, auth: Auth | None = None) -> None:
        super().__init__(base_url, auth=auth, job=ExtractionJob, path=_status_path, reader=_STATUS)

    def read(self, reply: Reply, /) -> Reading[ExtractionStatus]:
        """What the reply says, by the rules of this module. The fraction done is `completedPercentage`.

        Raises:
            MalformedReply: It is no JSON of the documented shape.
        """
        status = _STATUS.read(reply)
        known = _MEANING.get(status.progress)
        phase, final, unconfirmed = known or _meaning_of_unknown(status)
        fraction = _FRACTIONS[status.completed_percentage]
        reason = _reason(status) if (final or unconfirmed) and phase is not Phase.SUCCEEDED else None
        strange = None if known else unknown("progress", status.progress)
        return make_reading(status, phase, final, unconfirmed, fraction, reason, strange)

    def problem(self, reply: Reply, /) -> Problem | None:
        """The code, the message and the key in an error body; None where the body is none."""
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
        So when the reply is lost (`PollTimeout`, `ConnectFailed`, `ServerTrouble`, `MalformedReply`, or this call
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
        reply = await send_once(via, request, self._auth, timeout_s=timeout_s, maybe_done=_MAYBE_STARTED)
        subject = f"the extraction of file {file_id}"
        if not 200 <= reply.status < 300:
            raise refused(reply, self.problem(reply), subject, maybe_done=_MAYBE_STARTED)
        try:
            started = _STARTED.read(reply)
            if started.error_code != 0:
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


def _job_of(file_id: str, started: _Started, reply: Reply) -> ExtractionJob:
    try:
        return ExtractionJob(file_id, started.job_id or "")
    except ConfigurationError:
        why = f"field jobId: expected an ID, got {shown(started.job_id)}"
    raise reply.malformed(why)
