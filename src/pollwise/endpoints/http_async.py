"""`202 Accepted` and `Location`: the asynchronous exchange that HTTP itself defines, for any API.

    endpoint = HttpAsyncEndpoint("https://api.example.com", auth=BearerAuth(token))
    async with JobWatcher(endpoint, timeout_s=3600) as watcher:
        rows = await watcher.watch(AcceptedJob("https://api.example.com/queue/7")).result()

Rule 1: 202 is running (RFC 9110, 15.3.3). If it names a URL, that one is asked next. Any other 2xx is the end, and is the
result. But a web page is none, as of a proxy or a sign-in, unless results are bytes (`raw`).
Rule 2: 303 is the end, and its `Location` has the result (15.4.4). 301, 302, 307 and 308 say where the status is now (15.4).
Rule 3: any other status code is a refusal and says nothing about the job, but for what `gone` and `failed` say.
Rule 4: a start that is not answered with 202 was done at once (RFC 7240, 4.1). Its job has the URL of the start, with a
fragment that names it, and is not asked about.
Rule 5: `Retry-After` is obeyed as everywhere (10.2.3). A relative URL is relative to that of the request (10.2.2).

Sources: RFC 9110, RFC 7240 (`Prefer: respond-async`), RFC 9457 (problem details). How a 202 names its status monitor is not
standardised; a `Location` is the usual way, and `monitor_field` names another header field.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Final, Literal

import attrs
from yarl import URL

from pollwise.core.identity import checked_account
from pollwise.endpoints._address import ApiRoot
from pollwise.endpoints._at_once import check_asked, content_of, is_at_once, named_at_once
from pollwise.endpoints._order import Order
from pollwise.endpoints._reader import clipped, json_object_in
from pollwise.endpoints._server_values import (
    checked_url,
    field_of,
    is_surely_whole,
    is_web_page,
    json_or_none,
    located_at,
    of_reply,
    shown_url,
    whole_body,
    without_query,
)
from pollwise.endpoints.attrs_codec import AttrsCodec
from pollwise.errors import ConfigurationError, Problem
from pollwise.http.credentials import is_field_name
from pollwise.model.abilities import NEVER_ANSWERS
from pollwise.model.cursor import Cursor
from pollwise.model.masked_values import masked_value
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Auth, Endpoint
from pollwise.model.reading import Reading
from pollwise.model.results import ResultPage
from pollwise.model.submitting import Submitted

__all__ = ["AcceptedJob", "AcceptedStatus", "HttpAsyncEndpoint", "Order"]

_MOVED: Final = frozenset({301, 302, 307, 308})
_SEE_OTHER: Final = 303
_GONE: Final = frozenset({404, 410})
_ACCEPTED: Final = frozenset({202})
_ENDS: Final = ("refused", "succeeded", "failed")


@attrs.frozen(repr=False)
class AcceptedJob:
    """A job that a server has accepted.

    Args:
        url: The URL of its status. Ledgers and resume tokens keep it whole. The text of the job has no query. The job of work
            that was done at once has the URL of its start, with a fragment.

    Raises:
        ConfigurationError: It is no absolute http or https URL, or has a user name.
    """

    url: str = attrs.field(validator=checked_url)

    def __repr__(self) -> str:
        return f"AcceptedJob({shown_url(self.url)})"


@attrs.frozen(kw_only=True)
class AcceptedStatus:
    """A reply about a job.

    Attributes:
        http_status: Its status code.
        result_url: Where the result is. None if `body` is the result, or if there is none yet. The `repr` has no query of it.
        body: The JSON of the reply, or None if it has none. Of work that was done at once, bytes are a base64 text.
    """

    http_status: int
    result_url: str | None = attrs.field(default=None, repr=without_query)
    body: Any = None


class HttpAsyncEndpoint(Endpoint[AcceptedJob, AcceptedStatus]):
    """An API that answers 202, and says with header fields and status codes how the job goes on.

    The result of `await watch.result()` is the JSON of the last reply, or of the place that a 303 names. It is None for an
    empty reply. With `raw`, it is the bytes.

    Args:
        base_url: The API. Credentials go to its origin and to `origins`. A URL at another origin that a reply names is
            asked without them, or refused with `UnsafeUrl`.
        auth: Adds the credentials.
        account: A name for these credentials, if one ledger has the jobs of several accounts.
        origins: Further origins of the API.
        name: Its name in logs, ledgers and tokens. Two such APIs in one ledger need two names.
        gone: What 404 and 410 mean. `refused`: as for any endpoint, a 404 may be a job that is not visible yet, and a 410
            is `JobNotFound`. `succeeded`: the job was a deletion. `failed`: the server forgets jobs that failed.
        failed: Status codes that say that the job failed, such as `{422}`; from 400 to 599, without 401 and 429.
        raw: Whether the result is the bytes, for an API whose results are not JSON.
        cancel: The method that cancels a job at its URL, such as `DELETE`. None: jobs cannot be cancelled.
        monitor_field: The header field of a 202 with the URL of the status.
        started: Status codes of a start that accept a job.
        wait_s: Whole seconds that a start may take before the server answers 202, sent as `wait` (RFC 7240, 4.3). None: it is
            not sent.
        key_field: The header field that takes the idempotency key of a start, such as `Idempotency-Key`. None: it is not
            sent.

    Raises:
        ConfigurationError: An argument is invalid.
    """

    server_named_urls = True
    codec = AttrsCodec(AcceptedJob, AcceptedStatus)

    def __init__(
        self,
        base_url: str,
        *,
        auth: Auth | None = None,
        account: str = "",
        origins: tuple[str, ...] = (),
        name: str = "http-async",
        gone: Literal["refused", "succeeded", "failed"] = "refused",
        failed: Collection[int] = (),
        raw: bool = False,
        cancel: str | None = None,
        monitor_field: str = "Location",
        started: Collection[int] = _ACCEPTED,
        wait_s: int | None = None,
        key_field: str | None = None,
    ) -> None:
        self._root = ApiRoot.parse(base_url)
        self.fixed_origin = str(self._root.origin)
        self.name = name
        self.auth = auth
        self.account = checked_account(account, auth)
        self.origins = origins
        self._failed = _codes("failed", failed, 400)
        self._gone = _checked_gone(gone)
        self.answer_statuses = frozenset({*_MOVED, _SEE_OTHER, *self._failed, *(() if gone == "refused" else _GONE)})
        self._raw = raw
        self._monitor_field = _field_name("monitor_field", monitor_field)
        self.heeded_headers = tuple(dict.fromkeys(("Location", self._monitor_field)))
        self._started = _codes("started", started, 200)
        self._prefer = _prefer(wait_s)
        self._key_field = None if key_field is None else _field_name("key_field", key_field)
        if cancel is not None:  # a watcher asks whether the attribute is there
            checked = Order(cancel, "/").method
            self.cancel_request: Callable[[AcceptedJob, AcceptedStatus | None], Request] = partial(_cancel, checked)

    def __repr__(self) -> str:
        return f"HttpAsyncEndpoint({str(self._root)!r})"

    def request(self, job: AcceptedJob, /, cursor: Cursor = None) -> Request:
        """The GET request for the status, at the URL that the newest reply named.

        Raises:
            ConfigurationError: The work was done at once, so there is no status.
        """
        check_asked(_fragment(job))
        return Request(URL(cursor if isinstance(cursor, str) else job.url, encoded=True))

    def read(self, reply: Reply, /, cursor: Cursor = None) -> Reading[AcceptedStatus]:
        """The reading, by the rules of this module.

        Raises:
            MalformedReply: A redirect names no URL, or what stands in its place is none. Or the last reply is a web page.
        """
        code = reply.status
        status = AcceptedStatus(http_status=code, body=json_or_none(reply))
        if code == 202:
            return Reading.running(status, cursor=located_at(reply, self._monitor_field) or cursor)
        if code in _MOVED:
            return Reading.running(status, cursor=_target(reply))
        if code in self._failed:
            return Reading.failed(status, reason=_reason(reply))
        if code in _GONE:
            return Reading.succeeded(status) if self._gone == "succeeded" else Reading.failed(status, reason="gone")
        if code != _SEE_OTHER and not self._raw and status.body is None and is_web_page(reply):
            raise reply.malformed("it is a web page, as of a proxy or a sign-in; if that is the result, pass raw=True")
        url = _target(reply) if code == _SEE_OTHER else self._own_url(reply, status.body)
        return Reading.succeeded(attrs.evolve(status, result_url=url))

    def problem(self, reply: Reply, /) -> Problem | None:
        """The problem details in a refusal (RFC 9457), or None."""
        data = json_object_in(reply)
        if data is None or not ("title" in data or "detail" in data):
            return None
        problem = Problem(
            codes=clipped([data.get("type")]), descriptions=clipped([data.get("title"), data.get("detail")])
        )
        return masked_value(reply.mask, problem)

    def result_request(self, job: AcceptedJob, status: AcceptedStatus, /) -> Request | ResultPage[Any]:
        """The GET request for the result, or the result itself if the last status has it.

        Raises:
            ConfigurationError: The result was in the reply to the start, and a ledger has cut it.
        """
        if is_at_once(_fragment(job)):
            return ResultPage(content_of(_fragment(job), status.body))
        if status.result_url is None:
            return ResultPage(b"" if self._raw else status.body)
        return Request(URL(status.result_url, encoded=True))

    def read_result(self, reply: Reply, /) -> Any:
        """The result. Raises MalformedReply for a 202, which is none yet, and for a body that is no JSON without `raw`."""
        if reply.status == 202:
            raise reply.malformed("it is accepted and not done, so this is no result yet")
        if self._raw:
            return reply.body
        return reply.json() if reply.body else None

    def submit_request(self, order: Order, key: str, /) -> Request:
        """The request that starts a job, with `Prefer: respond-async` (RFC 7240, 4.1).

        Raises:
            ConfigurationError: The order sets the header field of the key, or its `json` is none.
        """
        if self._key_field is None:
            return order.request(self._root, {"Prefer": self._prefer})
        if field_of(order.headers, self._key_field) is not None:
            raise ConfigurationError(
                f"the order sets {self._key_field}, and key_field says that the key goes there; leave it out of the order,"
                " and pass a key of your own to submit(order, key=...)"
            )
        request = order.request(self._root, {"Prefer": self._prefer, self._key_field: key})
        return attrs.evolve(request, idempotent=True)

    def read_submitted(self, order: Order, reply: Reply, /) -> AcceptedJob | Submitted[AcceptedJob]:
        """The job that a reply has accepted. If the server did the work at once, its end is there, too, with the result.

        Raises:
            MalformedReply: It accepts the job and does not say where its status is.
        """
        request = order.request(self._root)
        if reply.status != 202 and reply.status not in self._started:
            name, body = named_at_once(reply.body if self._raw else whole_body(reply))
            job = of_reply(reply, AcceptedJob, url=str(request.url.with_query(None).with_fragment(name)))
            return Submitted(job, reading=Reading.succeeded(AcceptedStatus(http_status=reply.status, body=body)))
        url = located_at(reply, self._monitor_field, request.url)
        if url is None:
            raise reply.malformed(f"it has no {self._monitor_field}, so it does not say where the job can be followed")
        return of_reply(reply, AcceptedJob, url=url)

    def _own_url(self, reply: Reply, body: Any) -> str | None:
        """The URL of a last reply that is to be asked once more for its result: it may be cut, or is no JSON."""
        if reply.request is None or not reply.body:
            return None
        kept = not self._raw and body is not None and is_surely_whole(body)
        return None if kept else str(reply.request.url)


def _fragment(job: AcceptedJob) -> str:
    return job.url.partition("#")[2]


def _target(reply: Reply) -> str:
    """Where a redirect leads."""
    found = located_at(reply, "Location")
    if found is None:
        raise reply.malformed(f"HTTP {reply.status} without a Location leads nowhere")
    return found


def _reason(reply: Reply) -> str | None:
    """The words of a failure: its problem details, or None."""
    data = json_object_in(reply) or {}
    return ": ".join(clipped([data.get("title"), data.get("detail")])) or None


def _cancel(method: str, job: AcceptedJob, _status: AcceptedStatus | None, /) -> Request:
    return Request(URL(job.url, encoded=True), method=method)


def _codes(name: str, codes: Collection[int], least: int) -> frozenset[int]:
    made = frozenset(codes)
    if not all(type(code) is int and least <= code <= 599 and code not in NEVER_ANSWERS for code in made):
        raise ConfigurationError(f"{name} must hold status codes from {least} to 599, without 401 and 429")
    return made


def _checked_gone(gone: str) -> str:
    if gone not in _ENDS:
        raise ConfigurationError(f"gone must be one of {', '.join(_ENDS)}")
    return gone


def _field_name(name: str, value: object) -> str:
    if not isinstance(value, str) or not is_field_name(value):
        raise ConfigurationError(f"{name} must be the name of a header field, such as 'Location'")
    return value


def _prefer(wait_s: int | None) -> str:
    if wait_s is None:
        return "respond-async"
    if type(wait_s) is not int or wait_s < 0:
        raise ConfigurationError(f"wait_s must be whole seconds, such as 10, got {wait_s!r}")
    return f"respond-async, wait={wait_s}"
