"""Oracle Content Management: downloads of many files and folders as one ZIP file.

Rule 1: `progress` ends a watch, as for every job of the vendor; `_progress.py` has the rules.
Rule 2: the vendor's page has real booleans and numbers in one example and strings in the other, and `links` as an object and as a
list. All of them are read.
Rule 3: the status does not name its job. A link to the package of another job makes it malformed.
Rule 4: the result is the ZIP file at `…/package`. The URL is made from the job's IDs, not taken from the reply.
Rule 5: the reply to the start has no job ID of its own. It is the last segment of `Location`.

Sources: "Bulk Download Folders and Files", "Get Status of a Bulk Download Job" and "Download a Bulk Download Job File" (API version
1.2) below https://docs.oracle.com/en/cloud/paas/content-cloud/rest-api-documents/. Not seen: the field that lists files that are
not in the ZIP file, the values of `progress` besides SUCCEEDED (those of an extraction are taken), and the `errorKey` of an unknown
job (any that ends in `JobNotValid` is taken, as for an extraction).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final, cast

import attrs

from pollwise.endpoints._address import one_segment, segment, some_ids
from pollwise.endpoints._lenient import lenient_whole_number
from pollwise.endpoints._reader import Reader
from pollwise.endpoints._starting import id_after, post_request, started_id
from pollwise.endpoints._strict import Hook, shown, text, text_or_null, whole_number_or_null
from pollwise.endpoints._vendor import Parts, check_same_job
from pollwise.endpoints._words import camel_case, words
from pollwise.endpoints.oracle_content._progress import (
    FIELD_HOOKS,
    LENIENT_FIELD_HOOKS,
    LENIENT_HOOKS,
    STRICT_HOOKS,
    OracleContentEndpoint,
    problem_in,
)
from pollwise.errors import ConfigurationError, RequestRejected
from pollwise.model.messages import Reply, Request
from pollwise.model.reading import Reading

__all__ = [
    "DownloadEndpoint",
    "DownloadFile",
    "DownloadJob",
    "DownloadLink",
    "DownloadOrder",
    "DownloadProgress",
    "DownloadStatus",
]

_FOLDERS: Final = "/documents/api/1.2/folders/"
_DOWNLOAD: Final = "_download"


@attrs.frozen
class DownloadJob:
    """A job that makes a ZIP file of files and folders.

    Args:
        folder_id: The GUID of the folder that holds them, or `self` for the user's home folder.
        job_id: The GUID of the job, the last segment of the `Location` that the start replied.

    Raises:
        ConfigurationError: An ID cannot be one segment of a path, as with `pollwise.endpoints.path_segment`.
    """

    folder_id: str = attrs.field(validator=one_segment)
    job_id: str = attrs.field(validator=one_segment)


def _ids(instance: object, field: attrs.Attribute[Any], value: object) -> None:
    some_ids(instance, field, value)
    if any("," in one for one in cast("tuple[str, ...]", value)):
        raise ConfigurationError(f"{field.name} must not hold commas, which separate the IDs in the request")


@attrs.frozen(kw_only=True)
class DownloadOrder:
    """What to download.

    Args:
        folder_id: The GUID of the folder, or `self` for the user's home folder.
        ids: The GUIDs of files and folders that are children of this folder.

    Raises:
        ConfigurationError: There is no ID, or one has a comma or cannot be one segment of a path.
    """

    folder_id: str = attrs.field(validator=one_segment)
    ids: tuple[str, ...] = attrs.field(validator=_ids)


class DownloadProgress(enum.StrEnum):
    """The values of `progress`. They are documented for the extraction of the same API."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    ABORTED = "ABORTED"


@attrs.frozen(kw_only=True, weakref_slot=False)
class DownloadFile:
    """The ZIP file. `filename` is untrusted text, and `filesize` is in bytes."""

    filename: str | None = None
    filesize: int | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class DownloadLink:
    """A link of a completed job. Untrusted text."""

    href: str | None = None
    rel: str | None = None
    method: str | None = None
    media_type: str | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class DownloadStatus:
    """The vendor's status of a download. An unreadable field is None.

    Attributes:
        progress: A `DownloadProgress`, or an undocumented value as sent.
        completed: Whether the job is over. Informs only: `progress` decides.
        completed_percentage: 0..100.
        details: The ZIP file, or None before it is there.
        error_code: 0 without an error. A text if the code is not a number.
        links: The links of a completed job.
        message: Text for people. Untrusted.
        type: `folder`.
    """

    progress: DownloadProgress | str
    completed: bool | None = None
    completed_percentage: int | None = None
    details: DownloadFile | None = None
    error_code: int | str | None = 0
    links: tuple[DownloadLink, ...] = ()
    message: str | None = None
    type: str | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class _Started:
    """The reply to the request that starts a download. `location` has the key `Location`."""

    location: str | None = None
    id: str | int | None = None
    error_code: int | str | None = 0


def _file(value: object, _type: object = None, /) -> DownloadFile | None:
    if value is None:
        return None
    if type(value) is dict:
        return DownloadFile(
            filename=text_or_null(value.get("filename")), filesize=whole_number_or_null(value.get("filesize"))
        )
    raise ValueError(f"expected an object, got {shown(value)}")


def _lenient_code(value: object) -> int | str | None:
    try:
        return lenient_whole_number(value)
    except ValueError:
        return text(value) or None


_LINK: Final = Reader(DownloadLink, STRICT_HOOKS, wire_name=camel_case)


def _links(value: object, _type: object = None, /) -> tuple[DownloadLink, ...]:
    """A list of links, or one link. Both are documented."""
    found: list[Any] = value if type(value) is list else [] if value is None else [value]
    return tuple([_LINK.quick(link, DownloadLink) for link in found])


_STRICT: Final[Mapping[Any, Hook]] = {
    **STRICT_HOOKS,
    DownloadProgress | str: words(DownloadProgress),
    DownloadFile | None: _file,
}
_CODES: Final[Mapping[str, Hook]] = {"error_code": whole_number_or_null}
_LENIENT_CODES: Final[Mapping[str, Hook]] = {**LENIENT_FIELD_HOOKS, "error_code": _lenient_code}
_STATUS: Final = Reader(
    DownloadStatus,
    _STRICT,
    lenient_hooks=LENIENT_HOOKS,
    field_hooks={**FIELD_HOOKS, **_CODES, "links": _links},
    lenient_field_hooks=_LENIENT_CODES,
    main_text={DownloadLink: "href"},
    often_absent={"details", "links", "message"},
    wire_name=camel_case,
)
_STARTED: Final = Reader(
    _Started,
    STRICT_HOOKS,
    lenient_hooks=LENIENT_HOOKS,
    field_hooks=_CODES,
    lenient_field_hooks=_LENIENT_CODES,
    wire_name=lambda name: "Location" if name == "location" else camel_case(name),
)


def _jobs_path(folder_id: str) -> str:
    return f"{_FOLDERS}{segment(folder_id)}/{_DOWNLOAD}"


def _status_path(job: DownloadJob) -> str:
    return f"{_jobs_path(job.folder_id)}/{segment(job.job_id)}"


class DownloadEndpoint(OracleContentEndpoint[DownloadJob, DownloadStatus]):
    """Downloads of many files as one ZIP file, `GET …/documents/api/1.2/folders/{folder_id}/_download/{job_id}`.

    The ZIP file is the result.

    Args:
        base_url: `https://host[:port]`. May have a path.
        auth: Adds the `Authorization` header field: Basic, Bearer, or OAuth 2 client credentials.
        account: A name for these credentials, if one ledger has the jobs of several accounts.

    Raises:
        ConfigurationError: `base_url` is not an http or https URL with a host, or has credentials, a query or a fragment.
            Or `account` is not a valid name.
    """

    name = "oracle-content-download"
    submit_advice = "The download may be running, and no call finds its job ID. Another one does no harm."
    _parts = Parts(job=DownloadJob, path=_status_path, reader=_STATUS, problem=problem_in)

    def read_for(self, job: DownloadJob, reply: Reply, /) -> Reading[DownloadStatus]:
        """Like `read`, and checks the job ID in the link to the package, if there is one. Raises MalformedReply."""
        reading = self.read(reply)
        for link in reading.status.links:
            found = id_after(_DOWNLOAD, (link.href or "").removesuffix("/package"))
            check_same_job(reply, "links.href", found, job.job_id, "job")
        return reading

    def result_request(self, job: DownloadJob, _status: DownloadStatus, /) -> Request:
        """The request for the ZIP file."""
        return Request(self._root.url(f"{_status_path(job)}/package"))

    def read_result(self, reply: Reply, /) -> bytes:
        """The bytes of the ZIP file."""
        return reply.body

    def submit_request(self, order: DownloadOrder, _key: str, /) -> Request:
        """The POST request that starts a download. The API has no idempotency key. A second job does no harm."""
        return post_request(self._root.url(_jobs_path(order.folder_id)), {"idList": ",".join(order.ids)})

    def read_submitted(self, order: DownloadOrder, reply: Reply, /) -> DownloadJob:
        """The job in the reply.

        Raises:
            RequestRejected: The reply names no job, and has an error code.
            MalformedReply: It names no job, or is about another folder.
        """
        started = self._read_started(_STARTED, reply)
        found = id_after(_DOWNLOAD, started.location) or id_after(_DOWNLOAD, reply.headers.get("Location"))
        if found is None and started.error_code not in {0, None}:
            subject = f"the download from folder {order.folder_id}"
            raise RequestRejected(subject, reply.status, self.problem(reply))
        if order.folder_id != "self":
            folder = str(started.id or "").removeprefix("fFolderGUID:")
            check_same_job(reply, "id", folder, order.folder_id, "folder")
        return DownloadJob(order.folder_id, started_id(reply, "Location", found))
