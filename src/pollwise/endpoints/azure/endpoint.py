"""The status call of Azure long-running operations.

Rule 1: `Succeeded`, `Failed` and `Canceled` end an operation, in any letter case, and so does `Cancelled`. Each other word runs,
because a resource provider chooses its own. `NotStarted` is queued.
Rule 2: of a status monitor, `status` decides, and a reply without it is malformed; but an empty 202 is running. A reply
outside 2xx is a failure to read the status, and not of the operation.
Rule 3: at a `Location`, the status code decides: 202 is running. The end is the reply that the operation would have had if
it had been synchronous. So 400, 409, 412 and 422 with an error object are a failed operation. If a resource is there, with a
`provisioningState`, rule 4 decides, as azcore for Go and azure_core for Rust have it. Otherwise a failure would be a success.
Rule 4: of a resource, `provisioningState` decides. A resource without one has succeeded.
Rule 5: a URL in the newest reply wins: `Operation-Location` or `Azure-AsyncOperation` for a monitor, `Location` for the other.
Rule 6: no reply names its operation dependably, so none is compared with the job's.
Rule 7: what informs, such as `percentComplete` and `error`, never hides what decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
from yarl import URL

from pollwise.core.identity import checked_account
from pollwise.endpoints._address import ApiRoot
from pollwise.endpoints._at_once import check_asked, content_of, is_at_once, named_at_once, with_end
from pollwise.endpoints._lenient import lenient_number
from pollwise.endpoints._order import Order
from pollwise.endpoints._reader import clipped, json_object_in
from pollwise.endpoints._server_values import (
    absolute_url,
    field_of,
    is_surely_whole,
    is_web_page,
    json_or_none,
    located_at,
    whole_body,
    without_query,
)
from pollwise.endpoints._strict import shown
from pollwise.endpoints.attrs_codec import AttrsCodec
from pollwise.endpoints.azure.operation import (
    OPERATION_FIELDS,
    STARTED,
    AzureOperation,
    FinalStateVia,
    Monitor,
    as_final_state_via,
    as_monitor,
    operation_url,
)
from pollwise.errors import Problem
from pollwise.model.cursor import Cursor
from pollwise.model.masked_values import masked_value
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Auth, Endpoint
from pollwise.model.reading import Reading
from pollwise.model.results import ResultPage
from pollwise.model.submitting import Submitted

__all__ = ["AzureError", "AzureOperationsEndpoint", "AzureOrder", "AzureStatus"]

_MAY_BE_FAILURES: Final = frozenset({400, 409, 412, 422})  # rule 3
_HINTS: Final = ("Retry-After", "retry-after-ms", "x-ms-retry-after-ms")
_CANCELLED: Final = frozenset({"canceled", "cancelled"})
_QUEUED: Final = "notstarted"


@attrs.frozen
class AzureOrder(Order):
    """The request that starts an operation.

    Args:
        method: `PUT`, `PATCH`, `POST` or `DELETE`.
        path: The path and the query below the base URL, percent-encoded, with `api-version`.
        json: The body as JSON values. None for no body.
        headers: Further header fields, such as `Operation-Id`.
        final_state_via: `final-state-via` in the description of the API.
        monitor: As in `AzureOperation.from_reply`.
    """

    final_state_via: FinalStateVia = attrs.field(
        default=FinalStateVia.DEFAULT, converter=as_final_state_via, kw_only=True
    )
    monitor: Monitor | None = attrs.field(default=None, converter=attrs.converters.optional(as_monitor), kw_only=True)


@attrs.frozen(kw_only=True)
class AzureError:
    """The error object of a failed or cancelled operation. Untrusted text.

    Attributes:
        code: The code, such as `SkuNotAvailable`, or None.
        message: What went wrong, or None.
    """

    code: str | None = None
    message: str | None = None

    def __str__(self) -> str:
        return ": ".join(part for part in (self.code, self.message) if part)


@attrs.frozen(kw_only=True)
class AzureStatus:
    """A reply about an operation.

    Attributes:
        state: `status` or `provisioningState` as the server spelled it. `InProgress`, `Succeeded` or `Failed` if only the
            status code says so.
        percent_complete: `percentComplete`, 0 to 100, or None.
        error: The error object, or None.
        result_url: Where the result of an operation that succeeded is. None if `body` is the result. The `repr` has no query of
            it.
        body: The JSON of the reply, or None if it has none. Of an operation whose start was its end, bytes are a base64 text.
    """

    state: str
    percent_complete: float | None = None
    error: AzureError | None = None
    result_url: str | None = attrs.field(default=None, repr=without_query)
    body: Any = None


class AzureOperationsEndpoint(Endpoint[AzureOperation, AzureStatus]):
    """Azure long-running operations, of Azure Resource Manager and of other Azure services.

    The result of `await watch.result()` is the JSON at the place that `FinalStateVia` says, or None if the reply is empty.
    Azure has no common call that cancels an operation, so `watch.cancel()` is not there.

    Args:
        base_url: The API, such as `https://management.azure.com`. Credentials go to its origin and to `origins`. A URL
            at another origin that a reply names is asked without them, or refused with `UnsafeUrl`.
        auth: Adds the credentials, such as `BearerAuth` or `OAuthAuth`.
        account: A name for these credentials, if one ledger has the operations of several accounts.
        origins: Further origins of the API, such as those of its regions.
        name: Its name in logs, ledgers and tokens. Two APIs in one ledger need two names.

    Raises:
        ConfigurationError: An argument is invalid.
    """

    server_named_urls = True
    heeded_headers = (*OPERATION_FIELDS, "Location")
    answer_statuses = _MAY_BE_FAILURES
    deciding_keys = ("status", "provisioningState", "error", "code", "message", "resourceLocation", "percentComplete")
    codec = AttrsCodec(AzureOperation, AzureStatus)

    def __init__(
        self,
        base_url: str,
        *,
        auth: Auth | None = None,
        account: str = "",
        origins: tuple[str, ...] = (),
        name: str = "azure-operations",
    ) -> None:
        self._root = ApiRoot.parse(base_url)
        self.name = name
        self.fixed_origin = str(self._root.origin)
        self.auth = auth
        self.account = checked_account(account, auth)
        self.origins = origins

    def __repr__(self) -> str:
        return f"AzureOperationsEndpoint({str(self._root)!r})"

    def request(self, job: AzureOperation, /, cursor: Cursor = None) -> Request:
        """The GET request for the status, at the URL that the newest reply named.

        Raises:
            ConfigurationError: The start of the operation was its end, so there is no status.
        """
        check_asked(job.name_at_once)
        return Request(URL(cursor if isinstance(cursor, str) else job.url, encoded=True))

    def read(self, reply: Reply, /, cursor: Cursor = None) -> Reading[AzureStatus]:
        """As `read_for`, of an operation with a status monitor and without a final GET."""
        return _of_monitor(None, reply, cursor)

    def read_for(self, job: AzureOperation, reply: Reply, /, cursor: Cursor = None) -> Reading[AzureStatus]:
        """The reading, by the rules of this module. The fraction done is `percentComplete`.

        Raises:
            MalformedReply: What decides is missing or has another type, or the reply names a URL that is none.
        """
        if reply.status in _MAY_BE_FAILURES:
            return _of_refusal(job, reply)
        if reply.status not in STARTED:
            raise reply.malformed(f"HTTP {reply.status} is not the status code of an operation")
        match job.monitor:
            case Monitor.STATUS:
                return _of_monitor(job, reply, cursor)
            case Monitor.LOCATION:
                return _of_location(job, reply, cursor)
        return _of_resource(job, reply, cursor)

    def problem(self, reply: Reply, /) -> Problem | None:
        """The code and the message of the error object in a reply outside 2xx, or None."""
        error = _error_in(json_object_in(reply))
        if error is None:
            return None
        return masked_value(reply.mask, Problem(codes=clipped([error.code]), descriptions=clipped([error.message])))

    def result_request(self, job: AzureOperation, status: AzureStatus, /) -> Request | ResultPage[Any]:
        """The GET request for the result, or the result itself if the last status has it.

        Raises:
            ConfigurationError: The result was in the reply to the start, and a ledger has cut it.
        """
        if is_at_once(job.name_at_once):
            return ResultPage(content_of(job.name_at_once, status.body))
        if status.result_url is None:
            return ResultPage(status.body)
        return Request(URL(status.result_url, encoded=True))

    def read_result(self, reply: Reply, /) -> Any:
        """The JSON of the result, or None for an empty reply. Raises MalformedReply for another body."""
        return reply.json() if reply.body else None

    def submit_request(self, order: AzureOrder, _key: str, /) -> Request:
        """The request that starts an operation. Azure has no common idempotency key, so the key is not sent."""
        return order.request(self._root)

    def read_submitted(self, order: AzureOrder, reply: Reply, /) -> AzureOperation | Submitted[AzureOperation]:
        """The operation that a reply has started. Its end is there, too, if the reply is the end.

        A resource says so with its `provisioningState`, or with 200 and without one.

        Raises:
            MalformedReply: As `AzureOperation.from_reply`.
        """
        request = order.request(self._root)
        job = AzureOperation.from_reply(request, reply, final_state_via=order.final_state_via, monitor=order.monitor)
        if job.monitor is Monitor.NOTHING:
            _, body = named_at_once(whole_body(reply))
            return Submitted(job, reading=Reading.succeeded(AzureStatus(state="Succeeded", body=body)))
        if job.monitor is Monitor.RESOURCE and job.url == job.request_url:
            return with_end(job, lambda: _of_new_resource(job, reply))
        return job


def _of_monitor(job: AzureOperation | None, reply: Reply, cursor: Cursor) -> Reading[AzureStatus]:
    def following() -> Cursor:
        return operation_url(reply) or cursor

    if reply.status == 202 and not reply.body:
        return _reading(job, reply, None, "InProgress", "status", following)
    data = reply.json()
    if not isinstance(data, dict):
        raise reply.malformed(f"expected an object with a status, got {shown(data)}")
    return _reading(job, reply, data, data.get("status"), "status", following)


def _of_location(job: AzureOperation, reply: Reply, cursor: Cursor) -> Reading[AzureStatus]:
    data = json_or_none(reply)
    if reply.status != 202 and data is None and is_web_page(reply):
        raise reply.malformed("it is a web page, as of a proxy or a sign-in")
    state: object = "InProgress" if reply.status == 202 else _state_in_properties(data) or "Succeeded"
    return _reading(job, reply, data, state, "provisioningState", lambda: located_at(reply, "Location") or cursor)


def _of_resource(job: AzureOperation, reply: Reply, cursor: Cursor) -> Reading[AzureStatus]:
    data = reply.json()
    if not isinstance(data, dict) or not data:
        raise reply.malformed(f"expected a resource, got {shown(data)}")
    state = _state_in_properties(data)
    if state is None:
        state = data.get("provisioningState")
    if state is None:
        state = "InProgress" if reply.status == 202 else "Succeeded"
    return _reading(job, reply, data, state, "provisioningState", lambda: cursor)


def _state_in_properties(data: object) -> object:
    """`properties.provisioningState` of a resource, as sent, or None."""
    inner = data.get("properties") if isinstance(data, dict) else None
    return inner.get("provisioningState") if isinstance(inner, dict) else None


def _of_new_resource(job: AzureOperation, reply: Reply) -> Reading[AzureStatus]:
    """The reading of the reply to a PUT or PATCH. A 202, and a 201 without a state, is a beginning, as for azure-mgmt-core."""
    reading = _of_resource(job, reply, None)
    data = reading.status.body
    inner = data.get("properties")
    named = data.get("provisioningState") or (isinstance(inner, dict) and inner.get("provisioningState"))
    if reply.status == 202 or (reply.status == 201 and not named):
        raise reply.malformed("it says nothing about an end")
    return reading


def _of_refusal(job: AzureOperation, reply: Reply) -> Reading[AzureStatus]:
    """The reading of a failed operation, or MalformedReply: then the reply is a refusal of the request."""
    data = json_or_none(reply)
    error = _error_in(data)
    if (
        job.monitor is not Monitor.LOCATION
        or error is None
        or error.code is None
        or "apiversion" in error.code.lower()  # it refuses the request: MissingApiVersionParameter and its like
        or any(field_of(reply.headers, name) for name in _HINTS)
    ):
        raise reply.malformed("it says nothing about the operation")
    return Reading.failed(AzureStatus(state="Failed", error=error, body=data), reason=str(error))


def _reading(
    job: AzureOperation | None, reply: Reply, data: Any, state: object, field: str, following: Callable[[], Cursor]
) -> Reading[AzureStatus]:
    """The reading of a state. What `following` returns, or raises, counts only if the operation runs."""
    if not isinstance(state, str) or not state:
        raise reply.malformed(f"field {field}: expected a text, got {shown(state)}")
    word = state.lower()
    error = _error_in(data)
    percent = _percent_in(data)
    status = AzureStatus(state=state, percent_complete=percent, error=error, body=data)
    if word == "succeeded":
        return Reading.succeeded(attrs.evolve(status, result_url=_result_url(job, reply, data)))
    reason = str(error) if error is not None else None
    if word == "failed":
        return Reading.failed(status, reason=reason)
    if word in _CANCELLED:
        return Reading.cancelled(status, reason=reason)
    make = Reading.queued if word == _QUEUED else Reading.running
    return make(status, fraction=None if percent is None else percent / 100, cursor=following())


def _result_url(job: AzureOperation | None, reply: Reply, data: Any) -> str | None:
    """Where the result is. A long last reply may have been cut, so it is asked for once more."""
    asked = None if reply.request is None else reply.request.url
    named = absolute_url(data.get("resourceLocation") or None, reply) if isinstance(data, dict) else None
    found = None if job is None else job.final_url(named)
    if found is not None or asked is None or not reply.body:
        return found
    return None if data is not None and is_surely_whole(data) else str(asked)


def _error_in(data: object) -> AzureError | None:
    """The error object in a status, a resource or a refusal, or None."""
    if not isinstance(data, Mapping):
        return None
    inner = data.get("properties")
    found = data.get("error") or (inner.get("error") if isinstance(inner, Mapping) else None)
    if isinstance(found, str):
        return AzureError(message=found)
    if not isinstance(found, Mapping):
        return None
    code, message = found.get("code"), found.get("message")
    return AzureError(
        code=code if isinstance(code, str) else None, message=message if isinstance(message, str) else None
    )


def _percent_in(data: object) -> float | None:
    try:
        percent = float(lenient_number(data.get("percentComplete"))) if isinstance(data, Mapping) else None
    except ValueError:
        return None
    return percent if percent is not None and 0.0 <= percent <= 100.0 else None
