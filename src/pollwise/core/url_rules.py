"""Where a request may go whose URL came from a server, and whether with credentials.

Rule 1: credentials go to the origin of the job's own URL, which is that of `request(job)` without a cursor, and to the
origins that the endpoint lists. A request to any other origin is bare: no credentials, no field that is named like one.
Rule 2: no URL is asked that is not http or https, has a user name, a password or control characters, is too long, or leads
from https to http.
Rule 3: no private address is asked, unless the job's own URL is at one of the same kind. A literal address is looked at
here. A name is looked at by the transport, when it is resolved.
Rule 4: a refusal names the host and the reason, and no part of the path or the query.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any, Final, Generic, NoReturn, TypeAlias, TypeVar
from urllib.parse import unquote_plus

import orjson
from yarl import URL

from pollwise.core.addresses import AddressKind, kind_of_host
from pollwise.errors import UnsafeUrl
from pollwise.model.cursor import Cursor
from pollwise.model.messages import Request
from pollwise.model.protocols import Endpoint
from pollwise.model.secrets import is_secret_name, secrets_named_in

__all__ = ["UrlRules"]

J = TypeVar("J", bound=Hashable)

_LONGEST: Final = 8_192  # characters
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]").search
_LIKE_A_URL: Final = re.compile(r"[\x00-\x20]*(?:[a-z][a-z0-9+.-]*:)?/", re.IGNORECASE).match
_LIKE_AN_ADDRESS: Final = re.compile(r"(?:.*\.)?(?:0x[0-9a-f]*|[0-9]+)\.?", re.IGNORECASE).fullmatch
_Origin: TypeAlias = tuple[str, str | None, int | None]


class UrlRules(Generic[J]):
    """The rules of one endpoint.

    Args:
        endpoint: Makes the job's own request, and lists further origins.
    """

    __slots__ = ("_endpoint", "_listed")

    def __init__(self, endpoint: Endpoint[J, Any]) -> None:
        self._endpoint = endpoint
        self._listed = frozenset(_origin(URL(origin)) for origin in endpoint.origins)

    def checked(self, job: J, request: Request, cursor: Cursor) -> Request:
        """The request as it may be sent. It has a `first_host` if it must go without credentials.

        Args:
            job: The job that it is about.
            request: As a call has made it.
            cursor: The cursor that it was made with.

        Raises:
            UnsafeUrl: It must not be sent at all.
        """
        url = request.url
        host = _checked_host(url, cursor)
        fixed = self._endpoint.fixed_origin
        first = URL(fixed) if fixed is not None else self._endpoint.request(job).url
        if _origin(url) == _origin(first) or _origin(url) in self._listed:
            return request
        if first.scheme == "https" and url.scheme != "https":
            _refuse(host, "it is plain http, and the job's own URL is https")
        first_host = first.raw_host or ""  # never None, which would mean that the request may have credentials
        _check_address(host, first_host)
        if request.body is not None and secrets_named_in({}, body=request.body):
            _refuse(host, "the body of the request has a credential, which is not for that server")
        if cursor is not None and not _named_in(cursor, secrets_named_in({}, url.raw_query_string)):
            _refuse(host, "its query has a credential that the server did not name, which is not for that server")
        headers = {name: value for name, value in request.headers.items() if not is_secret_name(name)}
        return Request(url, headers, request.method, request.body, first_host, request.idempotent)

    def check_started(self, job: J, first: URL) -> None:
        """Check that the job, as a server named it, has its own URL at the origin of the request that started it.

        Args:
            job: The job.
            first: The URL of that request.

        Raises:
            UnsafeUrl: It is at another origin, which the endpoint does not list. So it would get the credentials.
        """
        if self._endpoint.fixed_origin is not None:
            return
        try:
            url = self._endpoint.request(job).url
            origin, host = _origin(url), url.raw_host or ""
        except Exception:  # noqa: BLE001  # foreign code; the first poll reports the error
            return
        if origin != _origin(first) and origin not in self._listed:
            _refuse(host, "the status of the started job is there, and the start was at another origin")


def _checked_host(url: URL, cursor: Cursor) -> str:
    """The host of a URL that may be asked, as far as its form is concerned."""
    try:
        host = url.raw_host or ""
        url.port  # noqa: B018  # it raises for an invalid one
    except ValueError:
        _refuse("", "its host or port is invalid")
    if url.scheme not in {"http", "https"} or not host:
        _refuse(host, "it is no absolute http or https URL")
    if "@" in url.raw_authority:
        _refuse(host, "it has a user name or a password")
    text = str(url)
    if len(text) > _LONGEST:
        _refuse(host, f"it has more than {_LONGEST:,} characters")
    if _CONTROL(text) or (isinstance(cursor, str) and _LIKE_A_URL(cursor) and _CONTROL(cursor)):
        _refuse(host, "it has control characters")
    return host


def _named_in(cursor: Cursor, secrets: frozenset[str]) -> bool:
    """Whether all of these are in the cursor, as it is or decoded. What the endpoint adds to a server's URL is not."""
    text = cursor if isinstance(cursor, str) else orjson.dumps(cursor).decode()
    return all(secret in text or secret in unquote_plus(text) for secret in secrets)


def _check_address(host: str, first_host: str) -> None:
    kind, first = kind_of_host(host), kind_of_host(first_host)
    if kind is None and _LIKE_AN_ADDRESS(host):
        _refuse(host, "its host is a number, which some systems take as an address")
    if kind is None or kind is AddressKind.PUBLIC or kind is first:
        return
    if first is not None:  # else the transport resolves the first host, and compares
        _refuse(host, f"it is at a {kind.value} address, and the job's own URL is not")


def _origin(url: URL) -> _Origin:
    return url.scheme, url.raw_host, url.port


def _refuse(host: str, reason: str) -> NoReturn:
    raise UnsafeUrl(host, reason)
