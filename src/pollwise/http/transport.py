"""The only file that sends an HTTP request.

Rule 1: a request goes to where it is addressed and nowhere else: no redirect is followed, no cookie kept, no proxy or
password taken from the environment, and clear text goes to this machine only.
Rule 2: no more than `max_body` bytes of a body are kept, as sent or decompressed.
Rule 3: a connection is given back once its reply is whole, and closed in every other case, a cancelled one included.
Rule 4: nothing here limits time: whoever awaits `send` cancels it when its time is over.
Rule 5: a foreign error is wrapped here, once.
Rule 6: nothing is sent twice. A request that may be repeated passes the budget again, so its caller repeats it.
Rule 7: of a reply outside 2xx the status code and the header fields decide, so a body that cannot be had is left out.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from functools import cache
from http.cookies import SimpleCookie
from importlib.metadata import version
from ipaddress import ip_address
from ssl import SSLContext
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from aiohttp import hdrs
from multidict import CIMultiDict
from yarl import URL

from pollwise.errors import (
    ConfigurationError,
    ConnectFailed,
    InsecureUrl,
    MalformedReply,
    PollError,
    ReplyTooLarge,
    StaleConnection,
    TlsFailed,
    WatcherClosed,
)
from pollwise.http.connections import Connector, switch_off_repeats, unrepeated
from pollwise.http.content_decoding import BadCoding, TooMuch, inflated
from pollwise.http.exception_map import FOREIGN, is_unanswered, wrapped
from pollwise.model.construction import fast_constructor
from pollwise.model.messages import Reply, Request

__all__ = ["AiohttpTransport"]

_make_reply = fast_constructor(Reply)

_NO_TIMEOUTS: Final = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
# aiohttp stops at 8,190 bytes and 128 fields. Login gateways set larger cookies, which are not even kept.
_HEADER_LIMITS: Final[dict[str, Any]] = {"max_field_size": 65_536, "max_headers": 500}
# What our own session has as its defaults is not said again with each request: that would cost a hundredth of it.
_OPTIONS: Final[dict[str, Any]] = {
    "auto_decompress": False,
    "raise_for_status": False,
    "timeout": _NO_TIMEOUTS,
    **_HEADER_LIMITS,
}
_MANY_HOSTS: Final = 1_000
_MALLOC_HINT: Final = 1 << 20


class _NoCookies(aiohttp.DummyCookieJar):
    """Keeps none, and has none to send: always the same none, for aiohttp asks for each request."""

    _NONE: Final = SimpleCookie()

    def filter_cookies(self, request_url: URL) -> SimpleCookie:  # noqa: ARG002  # for no URL is there any
        return self._NONE


class AiohttpTransport:
    """Sends requests with aiohttp.

    Opens its connections on first use, or on entering `async with`; leaving that, or `close`, closes them. It does not
    limit time: put the `await` of `send` under `asyncio.timeout`, as the watcher does.

    Each call of `send` sends one request. A server may close a connection that was kept alive at any moment (RFC 9112,
    9.3.1). `send` then raises `StaleConnection`, and the watcher sends that poll once more, as a request of its own at
    the budget. A POST never raises `StaleConnection`.

    A header field may have 65,536 bytes, and a reply 500 of them.

    Args:
        session: A session of yours to send with, never closed here. Its connector, proxies, cookies, default
            headers, middlewares and tracing stay in force and are yours to answer for; its time-outs, decompression and
            `raise_for_status` are not used. Which of its connections are new cannot be told, so each that breaks without
            a reply counts as `StaleConnection`. By default the transport has one of its own.
        connections: Most connections at once, idle ones included; of its own session.
        max_body: Most bytes of a body, as sent and decompressed.
        allow_plain_http: Whether anything may be sent in clear text to a host other than this machine, for everybody
            on the way to read.
        ssl: Which certificates to trust, in its own session; by default those that the system trusts.
        connection_age_s: Longest use of a connection of its own session, in seconds, or None for no limit. A connection
            ends its last request first. The next one looks the name up again, so a server that DNS has moved is found.

    Raises:
        ConfigurationError: An argument cannot be right.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession | None = None,
        *,
        connections: int = 64,
        max_body: int = 1_048_576,
        allow_plain_http: bool = False,
        ssl: SSLContext | None = None,
        connection_age_s: float | None = 300.0,
    ) -> None:
        if connections < 1 or max_body < 1:
            raise ConfigurationError("connections and max_body must be at least 1")
        if connection_age_s is not None and not 0.0 < connection_age_s < math.inf:
            raise ConfigurationError("connection_age_s must be a positive number of seconds, or None for no limit")
        if ssl is not None and (session is not None or not isinstance(ssl, SSLContext)):
            raise ConfigurationError("ssl must be an SSLContext; for a session of yours, give it to its connector")
        self._session = session
        self._own = session is None
        self._extra = None if session is None else _missing(session)
        self._options: dict[str, Any] = {} if session is None else _options_for(session)
        self._connector: Connector | None = None  # of our own session
        self._age_s = connection_age_s
        self._connections = connections
        self._max_body = max_body
        self._allow_plain_http = allow_plain_http
        self._ssl = ssl
        self._closed = False
        self._admitted: set[tuple[str, str]] = set()

    async def __aenter__(self) -> Self:
        if self._session is None:
            self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections of the transport's own session. What is in flight ends with `WatcherClosed`."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None and self._own:
            await session.close()

    async def send(self, request: Request, /) -> Reply:
        """Send the request once and return the whole reply, whatever its status code.

        Raises:
            StaleConnection: A kept-alive connection was closed before a byte of the reply came. The request may be
                sent again at once.
            ConnectFailed: There was no connection, or what came over it was no whole HTTP reply.
            TlsFailed: The certificate or the handshake was not acceptable.
            ReplyTooLarge: The body of a 2xx reply, as sent or decompressed, has more than `max_body` bytes.
            MalformedReply: The body of a 2xx reply cannot be decompressed.
            InsecureUrl: Plain http to another machine. Nothing was sent.
            ConfigurationError: Such a request cannot be sent.
            WatcherClosed: The transport or its session is closed, which no repetition will mend.
        """
        session = self._session or self._open()
        url = request.url
        if (url.scheme, url.raw_authority) not in self._admitted:
            self._admit(url)
        headers = request.headers if self._extra is None else _completed(request.headers, self._extra)
        connector = self._connector
        opened = 0 if connector is None else connector.opened
        response: aiohttp.ClientResponse | None = None
        try:
            response = await session.request(
                request.method, url, headers=headers, data=request.body, allow_redirects=False, **self._options
            )
            try:
                content = response.content
                # a small body has mostly come along with the header: no need to wait, and no coroutine for it
                body = content.read_nowait() if content.is_eof() else await self._rest(response)
                fields = response.headers
                if hdrs.CONTENT_ENCODING in fields or len(body) > self._max_body:
                    body = self._decoded(response, body)
                return _make_reply(response.status, fields, body, request)
            finally:
                if not response.closed:
                    response.close()
        except FOREIGN as exc:
            failure, cause = wrapped(exc, session)
            if response is None and isinstance(failure, (ConnectFailed, TlsFailed)) and is_unanswered(exc):
                failure = self._unanswered(request, failure, opened)
            exc.with_traceback(None)  # aiohttp's errors go in circles through its frames, and through ours
        try:
            raise failure from cause
        finally:
            del failure, cause  # else this frame and its error would keep each other until the next collection

    def check(self, url: URL) -> None:
        """Raise what `send` would raise for this URL before anything is sent: InsecureUrl or ConfigurationError."""
        self._admit(url)

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise WatcherClosed
        # asyncio receives into a fresh buffer of 256 KiB each time. glibc maps such a block into memory and unmaps it
        # again, at every poll, until it has once seen a larger one freed.
        bytearray(_MALLOC_HINT)
        self._connector = Connector(age_s=self._age_s, connections=self._connections, ssl=self._ssl)
        self._session = aiohttp.ClientSession(
            connector=self._connector, cookie_jar=_NoCookies(), headers=_own_headers(), **_OPTIONS
        )
        if not switch_off_repeats(self._session):
            self._options = {"middlewares": (unrepeated,)}
        return self._session

    def _admit(self, url: URL) -> None:
        """Decide whether anything may be sent to this host; once for each."""
        try:
            host = url.raw_host
        except ValueError:  # a port that cannot be
            host = None
        if url.scheme not in {"http", "https"} or not host:
            raise ConfigurationError("a request needs an absolute http or https URL")
        if "@" in url.raw_authority:
            raise ConfigurationError("a request's URL must not hold credentials; pass them as auth")
        if url.scheme == "http" and not self._allow_plain_http and not _is_this_machine(host):
            raise InsecureUrl(str(url.origin()))
        if len(self._admitted) >= _MANY_HOSTS:
            self._admitted.clear()
        self._admitted.add((url.scheme, url.raw_authority))

    def _unanswered(self, request: Request, failure: ConnectFailed | TlsFailed, opened: int) -> PollError:
        """What a connection that was closed before a byte of the reply came means for its request."""
        if not request.is_idempotent:
            return ConnectFailed(f"{failure.detail}; it may or may not have received the {request.method}")
        fresh = self._connector is not None and self._connector.opened_by_this_task(since=opened)
        return failure if fresh else StaleConnection(failure.detail)

    async def _rest(self, response: aiohttp.ClientResponse) -> bytes:
        """The body of a reply that has not come yet, or not all of it."""
        length = response.content_length
        if length is not None and length > self._max_body:
            return self._without_body(response)
        body = bytearray()
        while chunk := await response.content.readany():
            body += chunk
            if len(body) > self._max_body:
                return self._without_body(response)
        return bytes(body)

    def _decoded(self, response: aiohttp.ClientResponse, body: bytes) -> bytes:
        if len(body) > self._max_body:
            return self._without_body(response)
        try:
            return inflated(body, ",".join(response.headers.getall(hdrs.CONTENT_ENCODING, ())), self._max_body)
        except TooMuch:
            return self._without_body(response)
        except BadCoding as exc:
            return self._without_body(response, exc)

    def _without_body(self, response: aiohttp.ClientResponse, exc: BadCoding | None = None) -> bytes:
        """Rule 7: no body for a reply outside 2xx; any other is refused."""
        status = response.status
        if not 200 <= status < 300:
            return b""
        content_type = Reply(status, response.headers, b"").content_type
        if exc is not None:
            raise MalformedReply(str(exc), status, content_type) from exc
        raise ReplyTooLarge(f"the body has more than {self._max_body} bytes", status, content_type) from None


# --- where to, and what goes along ------------------------------------------------------------


def _is_this_machine(host: str) -> bool:
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 6.3
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@cache
def _own_headers() -> CIMultiDict[str]:
    made: CIMultiDict[str] = CIMultiDict()
    made[hdrs.ACCEPT] = "application/json"
    made[hdrs.ACCEPT_ENCODING] = "gzip, deflate"
    made[hdrs.CACHE_CONTROL] = "no-cache"  # RFC 9111 5.2.1.4: else a cache answers with the status of before
    made[hdrs.USER_AGENT] = (
        f"pollwise/{version('pollwise')} aiohttp/{aiohttp.__version__} Python/{platform.python_version()}"
    )
    return made


def _missing(session: aiohttp.ClientSession) -> CIMultiDict[str]:
    """What a caller's session does not send: what we can read is ours to say, the rest is the session's."""
    made = _own_headers().copy()
    for name in (hdrs.USER_AGENT, hdrs.CACHE_CONTROL):
        if name in session.headers:
            del made[name]
    return made


def _options_for(session: aiohttp.ClientSession) -> dict[str, Any]:
    """What to say with each request over a caller's session, which goes on as it is for the caller's own requests."""
    theirs = session._middlewares  # noqa: SLF001  # ours would replace them, and there is no public way to read them
    return {**_OPTIONS, "middlewares": (unrepeated, *theirs)}


def _completed(headers: Mapping[str, str], extra: CIMultiDict[str]) -> CIMultiDict[str]:
    made = extra.copy()
    made.update(headers)
    return made
