"""The command's sentence for an error that a ledger keeps.

Rule 1: the error is restored from the row, and `error_text` makes its sentence, as for an error of this run.
Rule 2: the error of any endpoint is restored. No declaration and no package is needed for that, because the sentences use
neither the job nor the status.
Rule 3: the stored message is shown if the error cannot be restored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import orjson

from pollwise.cli.error_text import error_text
from pollwise.cli.job_forms import JOB_TYPES
from pollwise.cli.safe_text import safe
from pollwise.durable.codec import watch_error_of
from pollwise.durable.error_codec import ErrorCodec
from pollwise.durable.legacy_errors import is_job_sentence, legacy_job_error
from pollwise.durable.row_limits import read_status
from pollwise.endpoints.declared import Declaration, DeclaredEndpoint, DeclaredJob
from pollwise.endpoints.document360 import DeleteFileEndpoint
from pollwise.endpoints.oracle_content import ExtractionEndpoint
from pollwise.errors import JobCancelled, JobFailed, WatchError
from pollwise.http.auth import ApiKeyAuth
from pollwise.ledger import Concluded, Conclusion
from pollwise.model.limits import ReplyLimits
from pollwise.model.protocols import Endpoint

__all__ = ["NO_REASON", "StoredError"]

NO_REASON = "no reason given"

# These endpoints send no request. Only their codecs are used, to restore errors.
_URL, _AUTH = "https://unused.invalid", ApiKeyAuth("unused")
_ENDPOINTS: Mapping[str, Endpoint[Any, Any]] = {
    "document360": DeleteFileEndpoint(_URL, auth=_AUTH),
    "oracle-content": ExtractionEndpoint(_URL, auth=_AUTH),
}
# Stands for every other endpoint: a status is the JSON that the row has.
_OTHER: Endpoint[Any, Any] = DeclaredEndpoint(
    Declaration(name="other", base=_URL, job=["id"], poll="GET /{id}", state="state", succeeded=["over"])
)
_JOB_ERRORS: Mapping[str, type[JobFailed | JobCancelled]] = {"failed": JobFailed, "cancelled": JobCancelled}


@attrs.frozen(kw_only=True)
class StoredError:
    """The error of one row.

    Attributes:
        endpoint: The endpoint's name.
        keys: The values of the job's keys, by name.
        outcome: `failed`, `cancelled` or `abandoned`.
        kind: The error's class name.
        message: The message in the row.
        data: The error as one JSON document, or None in a row of schema version 1 or 2.
        status: The row's status as JSON, or None.
    """

    endpoint: str
    keys: Mapping[str, str]
    outcome: str
    kind: str
    message: str
    data: bytes | None = None
    status: bytes | None = None

    @classmethod
    def of_row(cls, endpoint: str, keys: Mapping[str, str], row: Concluded | Conclusion) -> StoredError | None:
        """The error of this row, or None for a success."""
        if row.error_type is None:
            return None
        return cls(
            endpoint=endpoint,
            keys=keys,
            outcome=row.outcome.value,
            kind=row.error_type,
            message=row.error_message or "",
            data=row.error_data,
            status=row.status,
        )

    @classmethod
    def of_export(cls, exported: Mapping[str, Any]) -> StoredError | None:
        """The error of one exported object, or None if it has none."""
        error, status = exported["error"], exported.get("status")
        if error is None:
            return None
        data = error.get("data")
        return cls(
            endpoint=exported["endpoint"],
            keys=exported["job"],
            outcome=exported["outcome"],
            kind=error["type"],
            message=error["message"] or "",
            data=None if data is None else orjson.dumps(data),
            status=None if status is None else orjson.dumps(status),
        )

    def text(self) -> str:
        """The sentence for the error. Not yet safe to print."""
        error = self._restored()
        return self.message if error is None else error_text(error)

    def reason(self) -> str:
        """The reason alone, without the job and its outcome; safe to print."""
        error = self._restored()
        match error:
            case None:
                text = self.message
            case JobFailed() | JobCancelled():
                text = error.reason or ""
            case _:
                text = error_text(error)
        return safe(text) or NO_REASON

    def _restored(self) -> WatchError | JobFailed | JobCancelled | None:
        endpoint = _ENDPOINTS.get(self.endpoint, _OTHER)
        if (
            endpoint is _OTHER and self.data is None
        ):  # no schema version without data had other endpoints of the command
            return None
        try:
            job = self._job()
        except (TypeError, ValueError):  # recorded by another version
            return None
        codec = ErrorCodec(job, self._status(endpoint), endpoint)
        kind = _JOB_ERRORS.get(self.outcome)
        if kind is not None:
            return self._job_error(kind, codec)
        return watch_error_of(self.kind, self.message, self.data, codec)

    def _job(self) -> Any:
        kind = JOB_TYPES.get(self.endpoint)
        return DeclaredJob(self.endpoint, tuple(self.keys.items())) if kind is None else kind(**self.keys)

    def _job_error(self, kind: type[Any], codec: ErrorCodec[Any]) -> JobFailed | JobCancelled | None:
        error: JobFailed | JobCancelled | None = None
        if kind.__name__ != self.kind:
            return None
        if self.data is not None:
            error = codec.read_job_error(kind, self.data)
        elif is_job_sentence(kind, self.message, codec.job):
            error = legacy_job_error(kind, self.message, codec.job, codec.status)
        return error

    def _status(self, endpoint: Endpoint[Any, Any]) -> Any:
        try:
            return None if self.status is None else read_status(self.status, endpoint, ReplyLimits())
        except Exception:  # noqa: BLE001  # perhaps written by another version; the sentence needs no status
            return None
