"""Google AIP-151: `google.longrunning.Operation`, as the APIs of Google and many others have it over HTTP.

    endpoint = GoogleOperationsEndpoint("https://speech.googleapis.com", auth=BearerAuth(token))
    async with JobWatcher(endpoint, timeout_s=3600) as watcher:
        response = await watcher.watch(GoogleOperation("operations/7")).result()

Rule 1: `done` decides, and is missing while it is false. With it, `response` is a success, also `{}`, and `error` is not.
Rule 2: an error with code 1 is a cancellation, and any other a failure.
Rule 3: `done` with neither is an end of unknown kind, as for google-api-core. With both, the reply is malformed.
Rule 4: a reply about another name is malformed.
Rule 5: `metadata` informs. Only `progressPercent` of it is read, where it is.

Sources: AIP-151 and AIP-155 (google.aip.dev); google/longrunning/operations.proto and google/rpc/code.proto of
googleapis/googleapis, with their HTTP mapping; the operations of google-api-core for Python. No live service was seen.
`WaitOperation` is not used, because it has no HTTP mapping by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any, Final, Literal
from urllib.parse import quote

import attrs
from yarl import URL

from pollwise.core.identity import checked_account
from pollwise.endpoints._address import ApiRoot, checked_id, segment
from pollwise.endpoints._at_once import with_end
from pollwise.endpoints._lenient import lenient_number, lenient_whole_number
from pollwise.endpoints._order import Order
from pollwise.endpoints._reader import clipped, json_object_in
from pollwise.endpoints._server_values import is_surely_whole
from pollwise.endpoints._strict import shown
from pollwise.endpoints._vendor import KEPT_REQUESTS
from pollwise.endpoints.attrs_codec import AttrsCodec
from pollwise.errors import ConfigurationError, Problem
from pollwise.model.masked_values import masked_value
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Auth, Endpoint
from pollwise.model.reading import Reading
from pollwise.model.results import ResultPage
from pollwise.model.submitting import Submitted

__all__ = ["GoogleError", "GoogleOperation", "GoogleOperationsEndpoint", "GoogleOrder", "GoogleStatus"]

_CANCELLED: Final = 1
_CODES: Final = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
_REQUEST_ID: Final = "requestId"


def _check_name(_operation: object, field: attrs.Attribute[Any], name: object) -> None:
    _checked_path(field.name, name)


def _check_place(_order: object, _field: object, place: object) -> None:
    if place not in {None, "query", "body"}:
        raise ConfigurationError("request_id must be 'query', 'body' or None")


def _checked_path(what: str, path: object) -> str:
    if not isinstance(path, str):
        raise ConfigurationError(f"{what} must be a str, got {type(path).__name__}")
    for part in path.split("/"):
        checked_id(f"each part of {what}", part)
    return path


@attrs.frozen
class GoogleOperation:
    """A long-running operation.

    Args:
        name: Its name as the API returned it, such as `operations/7` or `projects/p/locations/l/operations/7`.

    Raises:
        ConfigurationError: A part between slashes is empty, `.`, `..`, longer than 1,024 characters, or has control
            characters. It is a ValueError.
    """

    name: str = attrs.field(validator=_check_name)


@attrs.frozen
class GoogleOrder(Order):
    """The request that starts an operation.

    Args:
        method: The HTTP method, such as `POST`.
        path: The path and the query below the base URL, with the version, percent-encoded: `/v1/projects/p/books`.
        json: The body as JSON values. None for no body.
        headers: Further header fields.
        request_id: Where the API takes its `request_id` (AIP-155), which makes the request idempotent: in the `query`, or in
            the `body`. None: it has none.
    """

    request_id: Literal["query", "body"] | None = attrs.field(default=None, kw_only=True, validator=_check_place)

    def with_key(self, key: str) -> Order:
        """The order with the key in its place."""
        if self.request_id == "query":
            return attrs.evolve(self, path=f"{self.path}{'&' if '?' in self.path else '?'}{_REQUEST_ID}={quote(key)}")
        if self.request_id == "body":
            if not (self.json is None or isinstance(self.json, Mapping)):
                raise ConfigurationError("json must be an object if request_id is in the body")
            return attrs.evolve(self, json={**(self.json or {}), _REQUEST_ID: key})
        return self


@attrs.frozen(kw_only=True)
class GoogleError:
    """The `google.rpc.Status` of an operation that did not succeed. Untrusted text.

    Attributes:
        code: A number of `google.rpc.Code`, or None if it cannot be read. 0 if the error has none.
        message: What went wrong, or None.
        details: Further messages, as JSON.
    """

    code: int | None = 0
    message: str | None = None
    details: Any = None

    def __str__(self) -> str:
        known = self.code is not None and 0 < self.code < len(_CODES)
        name = _CODES[self.code or 0] if known else f"code {self.code}"
        return f"{name}: {self.message}" if self.message else name


@attrs.frozen(kw_only=True)
class GoogleStatus:
    """An operation as its API describes it.

    Attributes:
        name: Its name, or None if the reply has none.
        done: Whether it is over.
        metadata: Progress and the like, as JSON with `@type`, or None.
        error: Why it did not succeed, or None.
        response: What it made, as JSON with `@type`, or None.
    """

    name: str | None = None
    done: bool = False
    metadata: Any = None
    error: GoogleError | None = None
    response: Any = None


class GoogleOperationsEndpoint(Endpoint[GoogleOperation, GoogleStatus]):
    """The operations of one API: `GET /v1/{name}`, and `POST /v1/{name}:cancel`.

    The result of `await watch.result()` is `response`. `await watch.cancel()` asks the API to cancel, which it may not do.

    Args:
        base_url: The API, such as `https://speech.googleapis.com`.
        auth: Adds the credentials, such as `BearerAuth`.
        account: A name for these credentials, if one ledger has the operations of several accounts.
        name: Its name in logs, ledgers and tokens. The operations of two APIs in one ledger need two names.
        version: The path before the names, such as `v1`, or `v1/operations` for an API whose names are bare.

    Raises:
        ConfigurationError: An argument is invalid.
    """

    heeded_headers = ()
    deciding_keys = ("name", "done", "error", "code", "message", "response", "progressPercent")
    codec = AttrsCodec(GoogleOperation, GoogleStatus)

    def __init__(
        self,
        base_url: str,
        *,
        auth: Auth | None = None,
        account: str = "",
        name: str = "google-operations",
        version: str = "v1",
    ) -> None:
        self._root = root = ApiRoot.parse(base_url)
        self._prefix = "/".join(map(segment, _checked_path("version", version).split("/")))
        self._request = lru_cache(KEPT_REQUESTS)(partial(_get, root, self._prefix))
        self.fixed_origin = str(root.origin)
        self.name = name
        self.auth = auth
        self.account = checked_account(account, auth)

    def __repr__(self) -> str:
        return f"GoogleOperationsEndpoint({str(self._root)!r})"

    def request(self, job: GoogleOperation, /) -> Request:
        """`GetOperation`."""
        return self._request(job)

    def read(self, reply: Reply, /) -> Reading[GoogleStatus]:
        """The reading, by the rules of this module. The fraction done is `metadata.progressPercent`.

        Raises:
            MalformedReply: What decides has another type, or contradicts itself.
        """
        return _reading(reply, _operation_in(reply))

    def read_for(self, job: GoogleOperation, reply: Reply, /) -> Reading[GoogleStatus]:
        """The same, and refuse a reply about another operation."""
        data = _operation_in(reply)
        name = data.get("name")
        if name is not None and name != job.name:
            raise reply.malformed(f"field name: the reply is about another operation, {shown(name)}")
        return _reading(reply, data)

    def problem(self, reply: Reply, /) -> Problem | None:
        """The code and the message of an error reply (AIP-193), or None."""
        error = (json_object_in(reply) or {}).get("error")
        if not isinstance(error, Mapping):
            return None
        code = error.get("status") or error.get("code")
        return masked_value(reply.mask, Problem(codes=clipped([code]), descriptions=clipped([error.get("message")])))

    def result_request(self, job: GoogleOperation, status: GoogleStatus, /) -> Request | ResultPage[Any]:
        """The result itself. The operation is asked for once more if its `response` is long, because it may be cut."""
        return ResultPage(status.response) if is_surely_whole(status.response) else self._request(job)

    def read_result(self, reply: Reply, /) -> Any:
        """The `response` in a reply. Raises MalformedReply if there is none."""
        data = _operation_in(reply)
        if data.get("response") is None:
            raise reply.malformed("field response: it is missing in an operation that had succeeded")
        return data["response"]

    def cancel_request(self, job: GoogleOperation, _status: GoogleStatus | None, /) -> Request:
        """`CancelOperation`. It is not idempotent by HTTP's rules, so it is sent once."""
        url = URL(f"{self._request(job).url}:cancel", encoded=True)
        return Request(url, {"Content-Type": "application/json"}, "POST", b"{}")

    def delete_request(self, job: GoogleOperation, /) -> Request:
        """`DeleteOperation`, for a client of yours: the result is of no interest any more. It cancels nothing."""
        return Request(self._request(job).url, method="DELETE")

    def submit_request(self, order: GoogleOrder, key: str, /) -> Request:
        """The request that starts an operation, with the key as its `request_id` (AIP-155) where the order says so."""
        request = order.with_key(key).request(self._root)
        return request if order.request_id is None else attrs.evolve(request, idempotent=True)

    def read_submitted(self, _order: GoogleOrder, reply: Reply, /) -> GoogleOperation | Submitted[GoogleOperation]:
        """The operation in the reply, with its end if it is done. Raises MalformedReply if it has no valid name."""
        data = _operation_in(reply)
        name = data.get("name")
        try:
            job = GoogleOperation(name)  # type: ignore[arg-type]  # its validator says what is wrong
        except ConfigurationError:
            why = f"field name: expected the name of an operation, got {shown(name)}"
        else:
            return with_end(job, lambda: _reading(reply, data))
        raise reply.malformed(why)


def _get(root: ApiRoot, prefix: str, job: GoogleOperation) -> Request:
    return Request(root.url(f"/{prefix}/{'/'.join(map(segment, job.name.split('/')))}"))


def _operation_in(reply: Reply) -> dict[str, Any]:
    data = reply.json()
    if not isinstance(data, dict) or not ("name" in data or "done" in data):
        raise reply.malformed(f"expected an operation, got {shown(data)}")
    return data


def _reading(reply: Reply, data: dict[str, Any]) -> Reading[GoogleStatus]:
    done = data.get("done")
    if done is not None and type(done) is not bool:
        raise reply.malformed(f"field done: expected true or false, got {shown(done)}")
    name, metadata = data.get("name"), data.get("metadata")
    error, response = _error_in(reply, data.get("error")), data.get("response")
    if response is not None and not isinstance(response, dict):
        raise reply.malformed(f"field response: expected an object, got {shown(response)}")
    status = GoogleStatus(
        name=name if isinstance(name, str) else None,
        done=bool(done),
        metadata=metadata,
        error=error,
        response=response,
    )
    if not done:
        return Reading.running(status, fraction=_fraction_in(metadata))
    if error is not None and response is not None:
        raise reply.malformed("it has both an error and a response")
    if response is not None:
        return Reading.succeeded(status)
    if error is None:
        return Reading.unknown_end(status, unknown="done=true without error and response")
    end = Reading.cancelled if error.code == _CANCELLED else Reading.failed
    return end(status, reason=str(error))


def _error_in(reply: Reply, error: object) -> GoogleError | None:
    if error is None:
        return None
    if not isinstance(error, Mapping):
        raise reply.malformed(f"field error: expected an object, got {shown(error)}")
    code: int | None
    try:
        code = lenient_whole_number(error.get("code", 0))
    except ValueError:
        code = None
    message = error.get("message")
    return GoogleError(code=code, message=message if isinstance(message, str) else None, details=error.get("details"))


def _fraction_in(metadata: object) -> float | None:
    """`progressPercent`, or that of `progress`, as a share of 1."""
    if not isinstance(metadata, Mapping):
        return None
    percent = metadata.get("progressPercent")
    if percent is None and isinstance(metadata.get("progress"), Mapping):
        percent = metadata["progress"].get("progressPercent")
    try:
        number = lenient_number(percent)
    except ValueError:
        return None
    return number / 100 if 0.0 <= number <= 100.0 else None
