"""An outcome's error as data in a ledger, and back.

    {"version": 1, "type": "DeadlineExceeded", "fields": {"job": true, "timeout_s": 60.0, "last_error": {...}}, "cause": {...}}

Rule 1: what is kept of an error is its class name and its fields. No sentence is read back, so sentences may change.
Rule 2: `true` in the field `job` or `status` stands for the row's own job or status, which the row has already.
Rule 3: what is read is untrusted. An unknown class or field, a wrong type and a missing field give an `UnrestoredError`
(in the place of a poll's error an `UnrestoredPollError`), which has all that is known. A missing field that has a default
gets its default, because an older version did not know that field.
Rule 4: of another package's exception only the class name is kept. Its message may hold a part of a reply.
Rule 5: errors within errors (`last_error`, `__cause__`) are kept 8 deep, and what is deeper by class name and message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

import attrs
import orjson

from pollwise import errors
from pollwise.durable.error_fields import arguments, from_json, is_shallow, to_json
from pollwise.durable.row_limits import bounded_error, bounded_message, json_text, known_error
from pollwise.errors import (
    JobCancelled,
    JobFailed,
    PollError,
    PollwiseError,
    UnrestoredError,
    UnrestoredPollError,
    WatchError,
)
from pollwise.model.limits import ReplyLimits
from pollwise.model.protocols import Endpoint

__all__ = ["ErrorCodec"]

E = TypeVar("E", JobFailed, JobCancelled)
S = TypeVar("S")

_LIMITS: Final = ReplyLimits()
_VERSION: Final = 1
_DEEPEST: Final = 8  # errors within errors
_DEEPEST_JSON: Final = 40  # lists and objects within lists and objects; orjson itself reads 1,024

_KINDS: Final[Mapping[str, type[PollwiseError]]] = {
    name: kind
    for name in errors.__all__
    if isinstance(kind := getattr(errors, name), type) and issubclass(kind, PollwiseError)
}
for _kind in filter(attrs.has, _KINDS.values()):
    attrs.resolve_types(_kind, localns={"Any": Any, "Mapping": Mapping})


@attrs.frozen
class ErrorCodec(Generic[S]):
    """Writes and reads the error of one row.

    Attributes:
        job: The row's job.
        status: The row's status, or None where it has none.
        endpoint: The endpoint that the job and the status are of.
    """

    job: Any
    status: S | None
    endpoint: Endpoint[Any, S]

    # --- into a ledger ------------------------------------------------------------------------

    def write(self, error: PollwiseError, limits: ReplyLimits = _LIMITS) -> bytes:
        """The error as one JSON document. Raises what the endpoint raises for a status that it cannot put in JSON."""
        document = {"version": _VERSION, **self._document(error, _DEEPEST)}
        return bounded_error(json_text(document, limits.depth), limits)

    def _document(self, error: BaseException, deepest: int) -> dict[str, Any]:
        kind = type(error)
        document: dict[str, Any] = {"type": f"{kind.__module__}.{kind.__qualname__}"}
        if _KINDS.get(kind.__name__) is kind:
            document["type"] = kind.__name__
            if deepest:
                document["fields"] = self._fields(error, deepest - 1)
        cause = error.__cause__
        if cause is not None and deepest:
            document["cause"] = self._nested(cause, deepest - 1)
        return document

    def _nested(self, error: BaseException, deepest: int) -> dict[str, Any]:
        document = self._document(error, deepest)
        if isinstance(error, PollwiseError):
            document["message"] = to_json(bounded_message(str(error)))
        return document

    def _fields(self, error: BaseException, deepest: int) -> dict[str, Any]:
        kind = type(error)
        if not attrs.has(kind):
            return {"args": to_json(error.args)}
        fields = {field.name: getattr(error, field.name) for field in attrs.fields(kind)}
        return {name: self._field(name, value, deepest) for name, value in fields.items()}

    def _field(self, name: str, value: Any, deepest: int) -> Any:
        match name:
            case "job":
                return value if value is None else value == self.job or to_json(str(value))
            case "status":
                return self._status_in_json(value)
        return self._nested(value, deepest) if isinstance(value, BaseException) else to_json(value)

    def _status_in_json(self, status: S | None) -> Any:
        if status is None or status is self.status:
            return None if status is None else True
        return {"json": self.endpoint.codec.status_to_json(status)}

    # --- out of a ledger ----------------------------------------------------------------------

    def read_watch_error(self, data: bytes, kind: str, message: str) -> WatchError:
        """The error of a watch that was abandoned; never raises.

        Args:
            data: What `write` gave.
            kind: The class name that stands beside it in the row.
            message: The message that stands beside it in the row.
        """
        document = _loaded(data)
        try:
            error = self._restored(document, _DEEPEST)
        except Exception:  # noqa: BLE001  # rule 3: whatever the row has brought about
            error = None
        if isinstance(error, WatchError):
            return error
        return UnrestoredError(self.job, kind, bounded_message(message), _known(document))

    def read_job_error(self, kind: type[E], data: bytes) -> E:
        """The error of a job that failed or was cancelled; never raises. `reason` is None where it cannot be read."""
        try:
            error = self._restored(_loaded(data), _DEEPEST)
        except Exception:  # noqa: BLE001  # rule 3: whatever the row has brought about
            error = None
        return error if isinstance(error, kind) else kind(self.job, self.status)

    def _restored(self, document: Mapping[str, Any], deepest: int) -> PollwiseError:
        """Raises any exception for what this version does not know."""
        if document.get("version", _VERSION) != _VERSION:
            raise ValueError("an unknown version")
        kind, fields = _KINDS[document["type"]], document["fields"]
        error = self._structured(kind, fields, deepest) if attrs.has(kind) else kind(*arguments(fields))
        if "cause" in document and deepest:
            error.__cause__ = self._restored_or_known(document["cause"], deepest - 1, self._unrestored)
        return error

    def _structured(self, kind: type[Any], fields: dict[str, Any], deepest: int) -> PollwiseError:
        known = {field.name: field for field in attrs.fields(kind)}
        values = {name: self._value(known[name], value, deepest) for name, value in fields.items()}
        error: PollwiseError = kind(**values)
        return error

    def _value(self, field: attrs.Attribute[Any], value: Any, deepest: int) -> Any:
        match field.name:
            case "job":
                return self.job if value is True else from_json(value, str | None)
            case "status":
                return self._status_of(value)
        if field.type in (PollError, PollError | None):
            if value is None and field.type is not PollError:
                return None
            error = self._restored_or_known(value, deepest - 1, _unrestored_poll)
            return error if isinstance(error, PollError) else _unrestored_poll(value)
        return from_json(value, field.type or Any)

    def _status_of(self, value: Any) -> S | None:
        if value is None or value is True:
            return self.status if value else None
        return self.endpoint.codec.status_from_json(value["json"])

    def _restored_or_known(
        self, document: Any, deepest: int, unrestored: Callable[[Any], PollwiseError]
    ) -> PollwiseError:
        if deepest <= 0:
            return unrestored(document)
        try:
            return self._restored(document, deepest)
        except Exception:  # noqa: BLE001  # rule 3: whatever the row has brought about
            return unrestored(document)

    def _unrestored(self, document: Any) -> UnrestoredError:
        return UnrestoredError(self.job, _text_in(document, "type"), _text_in(document, "message"), _known(document))


def _unrestored_poll(document: Any) -> UnrestoredPollError:
    return UnrestoredPollError(_text_in(document, "type"), _text_in(document, "message"), _known(document))


def _loaded(data: bytes) -> Mapping[str, Any]:
    """The document, or an empty one where there is none or it is nested too deep."""
    try:
        document = orjson.loads(known_error(data))
    except (ValueError, TypeError):
        return {}
    return document if isinstance(document, dict) and is_shallow(document, _DEEPEST_JSON) else {}


def _text_in(document: Any, name: str) -> str:
    """A text of the document; of a class name what follows its module."""
    text = document.get(name) if isinstance(document, dict) else None
    if not isinstance(text, str):
        return ""
    return text.rpartition(".")[2] if name == "type" else text


def _known(document: Any) -> dict[str, Any]:
    """The fields of an error that is not restored, without what only points to the row."""
    fields = document.get("fields") if isinstance(document, dict) else None
    if not isinstance(fields, dict):
        return {}
    return {name: value for name, value in fields.items() if not (name in {"job", "status"} and value is True)}
