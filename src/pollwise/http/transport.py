"""The only file that sends an HTTP request.

Rule 1: a request goes to its own URL only. No redirect is followed and no cookie stored. No password is read from the
environment, and no proxy unless `trust_env` asks for it. Plain http goes to this machine only.
Rule 2: at most `max_body` bytes of a body are kept, compressed or decompressed.
Rule 3: a connection goes back to the pool when its reply is complete. In every other case it is closed, a cancelled
`send` included.
Rule 4: this file has no time-outs: the caller of `send` cancels it.
Rule 5: exceptions of aiohttp and of the operating system are mapped here, once.
Rule 6: nothing is sent twice. A retry must pass the rate budget, so the caller of `send` does it.
Rule 7: a request that a server has sent to another origin has connections of its own (foreign.py).
Rule 8: a reply outside 2xx is returned without its body if that body cannot be read, because its status code and header
fields are sufficient.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from http.cookies import SimpleCookie
from ssl import SSLContext
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from aiohttp import hdrs
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict
from yarl import URL

from pollwise.errors import (
    ConfigurationError,
    ConnectFailed,
    InsecureUrl,
    MalformedReply,
    PollError,
    PollwiseError,
    ReplyTooLarge,
    StaleConnection,
    TlsFailed,
    WatcherClosed,
)
from pollwise.http._header_fields import extra_headers, merged, own_headers, within
from pollwise.http.connections import Connector, disable_retries, no_retry
from pollwise.http.content_decoding import DecodedTooLarge, DecodingError, decode_body, decoding_body
from pollwise.http.exception_map import MAPPED, closed_before_reply, map_exception
from pollwise.http.foreign import ForeignRequests
from pollwise.http.proxies import Proxies, Proxy, is_this_machine
from pollwise.http.turns import Turns
from pollwise.model.construction import fast_constructor
from pollwise.model.masking import Mask, mask_of
from pollwise.model.messages import Reply, Request
from pollwise.model.misuse import wrong_with_body, wrong_with_request
from pollwise.model.secrets import secrets_in, secrets_named_in

__all__ = ["AiohttpTransport"]

_make_reply = fast_constructor(Reply)

_NO_TIMEOUTS: Final = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
# aiohttp's defaults are 8,190 bytes and 128 fields. Login gateways set larger cookies, so these limits are higher.
_HEADER_LIMITS: Final[dict[str, Any]] = {"max_field_size": 65_536, "max_headers": 500}
# Our own session has these as its defaults. Passing them with each request would cost 1 % of a poll.
_OPTIONS: Final[dict[str, Any]] = {
    "auto_decompress": False,
    "raise_for_status": False,
    "timeout": _NO_TIMEOUTS,
    **_HEADER_LIMITS,
}
_FEW_FIELDS: Final = 32  # whose values are not added up, because that would cost 1 % of a poll
_SHORT_CODED: Final = 512  # bytes that decode in a millisecond, whatever they are
_MAX_ORIGINS: Final = 1_000  # in the cache of checked origins
_MALLOC_HINT: Final = 1 << 20


class _NoCookies(aiohttp.DummyCookieJar):
    """Stores and sends no cookie. Returns one shared empty object, because aiohttp calls this for each request."""

    _EMPTY: Final = SimpleCookie()

    def filter_cookies(self, request_url: URL) -> SimpleCookie:  # noqa: ARG002  # no URL has cookies
        return self._EMPTY


class AiohttpTransport:
    """Sends requests with aiohttp.

    Opens connections on first use, or on entering `async with`. `aclose`, or leaving the `async with`, closes them.
    There is no time-out: call `send` inside `asyncio.timeout`, as the watcher does.

    Each call of `send` sends one request. A server may close a kept-alive connection at any moment (RFC 9112, 9.3.1).
    `send` then raises `StaleConnection`, and the watcher sends the poll again, as another request of the rate budget. A
    request that is not idempotent (`Request.is_idempotent`) never raises `StaleConnection`.

    A header field may have 65,536 bytes, and a reply may have 500 fields. Of more than 32 fields, 262,144 characters are kept.

    Args:
        session: Your own session. It is never closed here. Its connector, proxies, cookies, default headers,
            middlewares and tracing are used; its time-outs, decompression and `raise_for_status` are not. aiohttp does
            not say which of its connections are new, so any that breaks without a reply counts as `StaleConnection`.
            A request with a `first_host` uses nothing of it, its proxies included. None for a session of the transport.
        connections: Max number of connections of the transport's session, idle ones included.
        max_body: Max size of a body in bytes, compressed and decompressed.
        allow_plain_http: Whether to send unencrypted requests to other machines. The network can then read them.
        ssl: Which certificates the transport's session trusts. None for those that the system trusts.
        proxy: The URL of the proxy for the transport's session, such as "http://user:password@proxy.example:3128". None for
            no proxy. Requests to this machine go through none.
        trust_env: Whether to take the proxy from `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY`, and to heed `NO_PROXY`. They are
            looked up for each new connection, so a request costs nothing more. System settings and netrc are not read.
        connection_age_s: Max age of a connection of the transport's session, in seconds. None for no limit. A request
            in flight is finished first. The next connection resolves the name again, so a DNS change takes effect.

    Raises:
        ConfigurationError: An argument is invalid.
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
        proxy: str | URL | None = None,
        trust_env: bool = False,
    ) -> None:
        if connections < 1 or max_body < 1:
            raise ConfigurationError(
                f"connections and max_body must be at least 1, got {connections!r} and {max_body!r}"
            )
        if connection_age_s is not None and not 0.0 < connection_age_s < math.inf:
            raise ConfigurationError("connection_age_s must be a positive number of seconds, or None for no limit")
        if ssl is not None and (session is not None or not isinstance(ssl, SSLContext)):
            raise ConfigurationError(
                "ssl must be an SSLContext; with session=, pass ssl to that session's connector instead"
            )
        if session is not None and (proxy is not None or trust_env):
            raise ConfigurationError("proxy and trust_env are for the transport's own session; pass them to yours")
        self._proxies = Proxies(proxy, trust_env=trust_env) if proxy is not None or trust_env else None
        self._session = session
        self._owns_session = session is None
        self._extra_headers = None if session is None else extra_headers(session)
        self._options: dict[str, Any] = {} if session is None else _options_for(session)
        self._mask = None if session is None else _mask_for(session)
        self._connector: Connector | None = None  # of the transport's own session
        self._turns = Turns()
        self._age_s = connection_age_s
        self._connections = connections
        self._max_body = max_body
        self._allow_plain_http = allow_plain_http
        self._ssl = ssl
        self._resolver: AbstractResolver | None = None  # of the transport's own session; None for the system's
        self._foreign: ForeignRequests | None = None  # once there was a request of a `first_host`
        self._closed = False
        self._checked_origins: dict[tuple[str, str], dict[str, Any]] = {}  # the options of requests to them

    async def __aenter__(self) -> Self:
        if self._session is None:
            self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections of the transport's own session. Requests in flight raise `WatcherClosed`."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None and self._owns_session:
            await session.close()
        if self._foreign is not None:
            await self._foreign.aclose()

    def __del__(self) -> None:
        connector: Connector | None = getattr(self, "_connector", None)  # `__init__` may have raised
        if connector is None or connector.closed or self._session is None:
            return
        session, self._session = self._session, None
        session.detach()  # else aiohttp warns as well, of objects that the caller does not know
        connector.close_at_once()
        warnings.warn(
            "a JobWatcher or AiohttpTransport was not closed: use `async with`, or `await aclose()` of the transport",
            ResourceWarning,
            source=self,
            stacklevel=2,
        )

    async def send(self, request: Request, /) -> Reply:
        """Send the request once and return the complete reply, for any status code.

        Raises:
            StaleConnection: The server closed a kept-alive connection before the first byte of the reply. The request
                may be sent again at once.
            ConnectFailed: No connection could be opened, or no complete HTTP reply was received.
            TlsFailed: The certificate or the TLS handshake failed.
            ReplyTooLarge: The body of a 2xx reply, compressed or decompressed, has more than `max_body` bytes.
            MalformedReply: The body of a 2xx reply cannot be decompressed.
            InsecureUrl: Plain http to another machine. Nothing was sent.
            UnsafeUrl: The request has a `first_host`, and its own host is at a private address. Nothing was sent.
            ConfigurationError: The request's URL, method or a header field is invalid. Nothing was sent.
            WatcherClosed: The transport or its session is closed. A retry does not help.
        """
        if request.first_host is not None:
            return await self._send_foreign(request)
        session = self._session or self._open()
        url = request.url
        options = self._checked_origins.get((url.scheme, url.raw_authority))
        if options is None:
            options = self._check_origin(url)
        headers = request.headers if self._extra_headers is None else merged(request.headers, self._extra_headers)
        data = request.body
        if data is not None and not isinstance(data, bytes):
            raise ConfigurationError(wrong_with_body(data))
        connector = self._connector
        opened = 0 if connector is None else connector.opened
        response: aiohttp.ClientResponse | None = None
        try:
            response = await session.request(
                request.method, url, headers=headers, data=data, allow_redirects=False, **options
            )
            try:
                content = response.content
                # a small body usually arrives with the header, so this path needs no coroutine
                body = content.read_nowait() if content.is_eof() else await self._read_rest(response)
                fields = response.headers if len(response.headers) <= _FEW_FIELDS else within(response.headers)
                if hdrs.CONTENT_ENCODING in fields or len(body) > self._max_body:
                    body = await self._decode(response, body)
                reply = _make_reply(response.status, fields, body, request)
                return reply if self._mask is None else reply.masked(self._mask, with_headers=True)
            finally:
                if not response.closed:
                    response.close()
        except TypeError as exc:  # a header value is no text
            raise ConfigurationError(wrong_with_request(request) or type(exc).__name__) from None
        except MAPPED as exc:
            failure, cause = self._failure(exc, request, session, opened if response is None else None)
        try:
            raise failure from cause
        finally:
            del failure, cause  # else the error and this frame are a reference cycle until the next garbage collection

    async def stream(self, request: Request, sink: Callable[[bytes], object], /) -> Reply:
        """Send the request once, and pass the body of a 2xx reply to `sink`, piece by piece.

        The reply that is returned has an empty body. The bytes are those that the server sends: no content coding is asked
        for, and none is removed. `max_body` does not bound them. Any other reply is as `send` returns it.

        Raises:
            PollwiseError: As `send` does. The connection may break after some pieces.
            Exception: Whatever `sink` raises, unless aiohttp raises such an exception, too, such as OSError.
        """
        if request.first_host is not None:
            return await self._send_foreign(request, sink)
        session = self._session or self._open()
        options = self._check_origin(request.url)
        headers: CIMultiDict[str] = (
            CIMultiDict({hdrs.ACCEPT: "*/*"}) if self._extra_headers is None else self._extra_headers.copy()
        )
        headers[hdrs.ACCEPT_ENCODING] = "identity"
        headers.update(request.headers)
        connector = self._connector
        opened = 0 if connector is None else connector.opened
        response: aiohttp.ClientResponse | None = None
        try:
            response = await session.request(
                request.method, request.url, headers=headers, data=request.body, allow_redirects=False, **options
            )
            try:
                body = b""
                if 200 <= response.status < 300:
                    while piece := await response.content.readany():
                        sink(piece)
                else:
                    body = await self._decode(response, await self._read_rest(response))
                reply = Reply(response.status, within(response.headers), body, request)
                return reply if self._mask is None else reply.masked(self._mask, with_headers=True)
            finally:
                if not response.closed:
                    response.close()
        except TypeError:  # a header value is no text
            raise ConfigurationError(wrong_with_request(request) or "the request has a wrong type") from None
        except MAPPED as exc:
            failure, cause = self._failure(exc, request, session, opened if response is None else None)
        try:
            raise failure from cause
        finally:
            del failure, cause

    async def _send_foreign(self, request: Request, sink: Callable[[bytes], object] | None = None) -> Reply:
        if self._closed:
            raise WatcherClosed
        if self._foreign is None:
            self._foreign = ForeignRequests(
                self._beside, self._resolver, proxies=self._proxies, through=lambda proxy: self._beside(None, proxy)
            )
        return await self._foreign.send(request, sink)

    def _beside(self, resolver: AbstractResolver | None, proxy: Proxy | None = None) -> AiohttpTransport:
        """A transport with the same limits, and with sessions and connections of its own."""
        made = AiohttpTransport(
            connections=self._connections,
            max_body=self._max_body,
            allow_plain_http=self._allow_plain_http,
            ssl=self._ssl,
            connection_age_s=self._age_s,
            proxy=None if proxy is None else proxy.full_url,
        )
        made._resolver = resolver or self._resolver  # of the same class; the name of a proxy may have a private address
        return made

    def check(self, url: URL) -> None:
        """Raise InsecureUrl or ConfigurationError if `send` would refuse this URL. Sends nothing."""
        self._check_origin(url)

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise WatcherClosed
        # asyncio allocates a buffer of 256 KiB for each receive. glibc maps and unmaps such a block at every poll, until
        # a larger block was freed once.
        bytearray(_MALLOC_HINT)
        self._connector = Connector(
            age_s=self._age_s,
            connections=self._connections,
            ssl=self._ssl,
            resolver=self._resolver,
            proxies=self._proxies,
        )
        self._session = aiohttp.ClientSession(
            connector=self._connector, cookie_jar=_NoCookies(), headers=own_headers(), **_OPTIONS
        )
        if not disable_retries(self._session):
            self._options = {"middlewares": (no_retry,)}
        self._checked_origins.clear()  # with other options, if `check` was called before
        return self._session

    def _check_origin(self, url: URL) -> dict[str, Any]:
        """The options of requests to this origin. Raises if none are allowed. An allowed origin is checked once."""
        try:
            host = url.raw_host
        except ValueError:  # an invalid port
            host = None
        if url.scheme not in {"http", "https"} or not host:
            raise ConfigurationError(
                "a request needs an absolute http or https URL, such as https://api.example.com/jobs/7"
            )
        if "@" in url.raw_authority:
            raise ConfigurationError("a request's URL must not have credentials; pass them as auth=")
        if url.scheme == "http" and not self._allow_plain_http and not is_this_machine(host):
            raise InsecureUrl(str(url.origin()))
        if len(self._checked_origins) >= _MAX_ORIGINS:
            self._checked_origins.clear()
        options = self._checked_origins[url.scheme, url.raw_authority] = self._options_at(url)
        return options

    def _options_at(self, url: URL) -> dict[str, Any]:
        """The options of requests to this origin. A proxy for https is known to the connector alone."""
        proxy = None if self._proxies is None else self._proxies.of(url)
        if proxy is None or url.scheme != "http":
            return self._options
        if proxy.headers and self._mask is None:  # such a proxy sees the replies, and may repeat them
            self._mask = mask_of(secrets_in(proxy.headers))
        return {**self._options, "proxy": proxy.full_url}  # of which aiohttp makes a header field of each request

    def _failure(
        self, exc: Exception, request: Request, session: aiohttp.ClientSession, opened: int | None
    ) -> tuple[PollwiseError, OSError | None]:
        """The error for what a request raised, and its cause. `opened` is None once the reply has begun."""
        failure, cause = map_exception(exc, session)
        if opened is not None and isinstance(failure, (ConnectFailed, TlsFailed)) and closed_before_reply(exc):
            failure = self._without_reply(request, failure, opened)
        exc.with_traceback(None)  # break the reference cycle of the error and its frames
        return failure, cause

    def _without_reply(self, request: Request, failure: ConnectFailed | TlsFailed, opened: int) -> PollError:
        """The error for a request whose connection was closed before the first byte of the reply."""
        if not request.is_idempotent:
            return ConnectFailed(f"{failure.detail}; it may or may not have received the {request.method}")
        fresh = self._connector is not None and self._connector.opened_by_this_task(since=opened)
        return failure if fresh else StaleConnection(failure.detail)

    async def _read_rest(self, response: aiohttp.ClientResponse) -> bytes:
        """Read the part of the body that was not received together with the header."""
        length = response.content_length
        if length is not None and length > self._max_body:
            return self._without_body(response)
        body = bytearray()
        while chunk := await response.content.readany():
            body += chunk
            if len(body) > self._max_body:
                return self._without_body(response)
        return bytes(body)

    async def _decode(self, response: aiohttp.ClientResponse, body: bytes) -> bytes:
        if len(body) > self._max_body:
            return self._without_body(response)
        codings = ",".join(response.headers.getall(hdrs.CONTENT_ENCODING, ()))
        try:
            if len(body) <= _SHORT_CODED:
                return decode_body(body, codings, self._max_body)
            return await self._turns.take(decoding_body(body, codings, self._max_body))
        except DecodedTooLarge:
            return self._without_body(response)
        except DecodingError as exc:
            return self._without_body(response, exc)

    def _without_body(self, response: aiohttp.ClientResponse, exc: DecodingError | None = None) -> bytes:
        """Rule 8: an empty body for a reply outside 2xx. For a 2xx reply this raises."""
        status = response.status
        if not 200 <= status < 300:
            return b""
        content_type = Reply(status, response.headers, b"").content_type
        if self._mask is not None and content_type is not None:
            content_type = self._mask.text(content_type)
        if exc is not None:
            raise MalformedReply(str(exc), status, content_type) from exc
        raise ReplyTooLarge(f"the body has more than {self._max_body} bytes", status, content_type) from None


# --- origins and header fields ----------------------------------------------------------------


def _options_for(session: aiohttp.ClientSession) -> dict[str, Any]:
    """Options for each request over a caller's session. The session itself is not changed."""
    theirs = session._middlewares  # noqa: SLF001  # ours would replace them, and aiohttp has no public way to read them
    return {**_OPTIONS, "middlewares": (no_retry, *theirs)}


def _mask_for(session: aiohttp.ClientSession) -> Mask | None:
    """Masks the credentials that a caller's session adds to each request, or None if it adds none."""
    secrets = secrets_named_in(session.headers)
    if session.auth is not None:
        secrets |= secrets_in({hdrs.AUTHORIZATION: session.auth.encode()})
    return mask_of(secrets) if secrets else None
