"""Oracle Content Management as its vendor documents it: the extraction of a ZIP file, and its status.

Source: REST API for Content Management, `POST .../files/{fileId}/_extract` and `GET .../_extract/{jobId}`.
Every scalar is a string. The 400 of a job that is not valid is documented; other refusals have its shape, with
invented codes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote, unquote

import attrs

from pollwise.simulator.jobs import Plan, PlanOptions, Stage
from pollwise.simulator.replies import SimulatedReply
from pollwise.simulator.vendor import Asked, StartedJob, Vendor, VendorName

__all__ = ["ORACLE_CONTENT", "ExtractionOptions", "ExtractionPlan", "OracleContent", "documents_error", "in_strings"]

_FILES_PATH = "/documents/api/1.2/files/"
_UNKNOWN_FROM, _UNKNOWN_UNTIL = 0.4, 0.7
_NAMES = ("exif-xmp.jpg", "Mugs.jpg", "Mugs.png")
_DUPLICATE_RESOLUTIONS = ("ResolveDuplicates", "ReviseDuplicates", "SkipDuplicates")
_RFC2616 = "https://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html"
_REASONS = {
    400: ("-33", "!csInvalidRequest", "The request is not valid."),
    401: ("-20", "!csUserNotAuthenticated", "Authentication is required."),
    403: ("-18", "!csUserInsufficientAccess", "No read permission."),
    404: ("-16", "!csResourceNotFound", "Resource not found."),
    429: ("-29", "!csTooManyRequests", "Too many requests."),
    500: ("-1", "!csInternalError", "Internal error."),
    503: ("-3", "!csServiceUnavailable", "Service unavailable."),
}


class ExtractionOptions(PlanOptions, total=False):
    """The arguments of an `ExtractionPlan`, as keyword arguments of other functions."""

    files: int | None
    skipped: int
    ignored: int
    overwritten: int
    versioned: int
    name_adjusted: int
    unknown_progress: str | None
    error_code: int
    message: str | None
    native_types: bool


_COUNT = attrs.validators.ge(0)


@attrs.frozen(kw_only=True)
class ExtractionPlan(Plan):
    """The plan of a ZIP extraction; see `Plan` for the arguments of all jobs.

    Unconfirmed means that `completed` is "true" while `progress` has a value that is not documented.

    Attributes:
        files: Entries of the ZIP file that are not ignored. None is at least 3, and the sum of `skipped`, `overwritten`
            and `versioned`.
        skipped: How many of them are skipped, because a file of that name exists.
        overwritten: How many of them overwrite a file.
        versioned: How many of them become a new version of a file.
        name_adjusted: How many of the created files get another name.
        ignored: Further entries, which are ignored.
        unknown_progress: A `progress` that the vendor does not document. It replaces `PROCESSING` for a part of the time.
            It is also sent while unconfirmed or while the job only looks failed (None sends `COMPLETED`), and at an
            unknown end (None sends `TIMED_OUT`).
        error_code: `errorCode` of a failure.
        message: `message` of every reply, for texts that are hard to show; None sends the vendor's own texts.
        native_types: Booleans and numbers instead of strings, as a gateway that re-encodes JSON would send them.
    """

    files: int | None = None
    skipped: int = attrs.field(default=0, validator=_COUNT)
    ignored: int = attrs.field(default=0, validator=_COUNT)
    overwritten: int = attrs.field(default=0, validator=_COUNT)
    versioned: int = attrs.field(default=0, validator=_COUNT)
    name_adjusted: int = attrs.field(default=0, validator=_COUNT)
    unknown_progress: str | None = None
    error_code: int = -16
    message: str | None = None
    native_types: bool = False

    def __attrs_post_init__(self) -> None:
        if self.outcome == "cancelled":
            raise ValueError("Oracle Content Management does not document cancelled extractions")
        if self._total() < self._not_created():
            raise ValueError(f"{self.files} files cannot hold {self._not_created()} skipped and replacing ones")

    def status(self, keys: tuple[str, ...], stage: Stage) -> dict[str, Any]:
        """The documented fields in the documented order."""
        del keys  # this vendor's status does not name its job
        whole = stage.over and self.outcome in {"succeeded", "unknown"}
        percentage = 100 if whole else min(99, int(stage.share * 100))
        counts = self._counts(percentage)
        status: dict[str, Any] = {
            "completed": stage.over or stage.looks_failed,
            "completedPercentage": percentage,
            "errorCode": self.error_code if stage.looks_failed or (stage.over and self.outcome == "failed") else 0,
            **counts,
            "message": self._message(stage, counts["filesProcessed"]),
            "progress": self._progress(stage),
        }
        if stage.over:
            status |= self._left_out()
        status["type"] = "file"
        return status if self.native_types else in_strings(status)

    def _total(self) -> int:
        return max(3, self._not_created()) if self.files is None else self.files

    def _not_created(self) -> int:
        return self.skipped + self.overwritten + self.versioned

    def _is_good_end(self, stage: Stage) -> bool:
        return stage.over and self.outcome == "succeeded"

    def _counts(self, percentage: int) -> dict[str, int]:
        total = self._total()
        return {
            "filesCreated": (total - self._not_created()) * percentage // 100,
            "filesIgnored": self.ignored,
            "filesNameAdjusted": self.name_adjusted * percentage // 100,
            "filesOverwritten": self.overwritten * percentage // 100,
            "filesProcessed": (total - self.skipped) * percentage // 100,
            "filesSkipped": self.skipped * percentage // 100,
            "filesVersioned": self.versioned * percentage // 100,
        }

    def _message(self, stage: Stage, processed: int) -> str:
        if self.message is not None:
            return self.message
        if self._is_good_end(stage):
            return "Zip processing completed"
        return (
            f"Processing failed at entry {_name(processed)}" if stage.over else f"Processing entry {_name(processed)}"
        )

    def _progress(self, stage: Stage) -> str:
        if stage.final:
            return self.outcome.upper() if self.outcome != "unknown" else self.unknown_progress or "TIMED_OUT"
        if stage.over or stage.looks_failed:
            return self.unknown_progress or "COMPLETED"
        if self.unknown_progress is not None and _UNKNOWN_FROM <= stage.share < _UNKNOWN_UNTIL:
            return self.unknown_progress
        return "PROCESSING"

    def _left_out(self) -> dict[str, list[dict[str, str]]]:
        lists = {
            "skippedItems": _items(0, self.skipped, "Entry skipped - existing file with same name in folder"),
            "ignoredItems": _items(self._total(), self.ignored, "Entry ignored - file type is not allowed"),
        }
        return {name: items for name, items in lists.items() if items}


def _name(index: int) -> str:
    return _NAMES[index] if index < len(_NAMES) else f"image-{index}.jpg"


def _items(first: int, count: int, error: str) -> list[dict[str, str]]:
    return [{"id": _name(index), "type": "file", "error": error} for index in range(first, first + count)]


def in_strings(status: dict[str, Any]) -> dict[str, Any]:
    """The status with every scalar as a string."""
    return {field: _in_string(value) for field, value in status.items()}


def _in_string(value: Any) -> Any:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
    return value


def _parse_start(body: bytes) -> str | None:
    """The destination in a start request, empty if it has none; None if the request is not valid."""
    try:
        requested = json.loads(body or b"{}")
    except ValueError:
        return None
    if (
        not isinstance(requested, dict)
        or requested.get("duplicateResolution", _DUPLICATE_RESOLUTIONS[0]) not in _DUPLICATE_RESOLUTIONS
    ):
        return None
    destination = requested.get("destinationID", "")
    return destination if isinstance(destination, str) else None


def _start_reply(*, origin: str, keys: tuple[str, ...], destination: str) -> SimulatedReply:
    """The documented reply to the start request that created the job with these keys."""
    file_id, job_id = keys
    own_folder = "F" + hashlib.blake2b(file_id.encode(), digest_size=16).hexdigest().upper()
    return SimulatedReply.of_json(
        {
            "Location": origin + ORACLE_CONTENT.path_of(keys),
            "destinationID": destination or own_folder,
            "errorCode": "0",
            "id": file_id,
            "jobId": job_id,
            "type": "file",
        }
    )


class OracleContent(Vendor):
    """Oracle Content Management's paths, credentials and refusals."""

    name: ClassVar[VendorName] = "oracle-content"
    call = "oracle-content"
    nullable_field = ("progress",)
    required_field = ("progress",)

    def path_of(self, keys: tuple[str, ...]) -> str:
        """`/documents/api/1.2/files/{fileId}/_extract/{jobId}`."""
        file_id, *job_id = (quote(key, safe="") for key in keys)
        return "/".join([_FILES_PATH + file_id, "_extract", *job_id])

    def asked(self, path: str) -> Asked | None:
        """The status of `(file_id, job_id)`, or an extraction of `(file_id,)`."""
        if not path.startswith(_FILES_PATH):
            return None
        match path[len(_FILES_PATH) :].split("/"):
            case [file_id, "_extract"] if file_id:
                return Asked("start", (unquote(file_id),))
            case [file_id, "_extract", job_id] if file_id and job_id:
                return Asked("status", (unquote(file_id), unquote(job_id)))
        return None

    def start(self, body: bytes, keys: tuple[str, ...], nth: int, digest: str, origin: str) -> StartedJob | None:
        """The extraction of the file."""
        destination = _parse_start(body)
        if destination is None:
            return None
        job_keys = (keys[0], f"ZX-{digest}{nth:013}")
        return StartedJob(job_keys, _start_reply(origin=origin, keys=job_keys, destination=destination))

    def token_in(self, headers: Mapping[str, str]) -> str:
        """The header field `Authorization`."""
        return headers.get("Authorization", "")

    def refusal(self, status: int, *, like: int | None = None) -> SimulatedReply:
        """An error of the documented shape."""
        code, key, message = _REASONS.get(like or status, ("-1", "!csError", "The request failed."))
        more = {"WWW-Authenticate": 'Bearer realm="simulator", Basic realm="simulator"'} if status == 401 else {}
        return documents_error(status, code, key, message).with_headers(more)

    def unknown_job(self) -> SimulatedReply:
        """The documented 400, the same for a job that does not exist and for a job of another user."""
        return documents_error(400, "-96", "!csCloudBulkExtractionRequestJobNotValid", "Extraction job ID not valid.")


def documents_error(status: int, code: str, key: str, message: str) -> SimulatedReply:
    """An error as the API for documents sends it."""
    error = {"errorCode": code, "errorKey": key, "errorMessage": message, "errorType": "file", "title": message}
    return SimulatedReply.of_json({**error, "type": _RFC2616}, status=status)


ORACLE_CONTENT = OracleContent()
