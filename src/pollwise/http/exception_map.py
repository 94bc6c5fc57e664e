"""Maps the exceptions of aiohttp, TLS and the operating system to those of `pollwise.errors`.

Rule 1: a request without a complete reply becomes a `PollError`, which may be retried. A request that can never be sent
becomes a `ConfigurationError`. Any error of a closed session becomes `WatcherClosed`.
Rule 2: an aiohttp error is not chained, because it holds the request's header fields and a proxy's password. The
operating system's error under it is chained.
Rule 3: an error says that nothing was sent (`PollError.sent`) if no connection was made, its TLS included.
Rule 4: a detail is one line of our text or of the system's. It never contains what a server sent.
"""

from __future__ import annotations

import os
import re
import socket
from ssl import SSLCertVerificationError, SSLError
from typing import Final, TypeVar

import aiohttp
from aiohttp.http import HttpProcessingError

from pollwise.errors import (
    CertificateRejected,
    ConfigurationError,
    ConnectFailed,
    PollError,
    PollwiseError,
    ProxyFailed,
    TlsFailed,
    UnknownHost,
    WatcherClosed,
)
from pollwise.http.connections import RetryDisabled

__all__ = ["MAPPED", "closed_before_reply", "map_exception", "os_error", "tls_error"]

# aiohttp raises AssertionError or RuntimeError if its session is closed while it sends.
MAPPED: Final = (aiohttp.ClientError, HttpProcessingError, OSError, RuntimeError, ValueError, AssertionError)

E = TypeVar("E", bound=PollError)

# EAI_NODATA is a name without addresses. glibc and the BSDs have it, and not every system.
_UNKNOWN_NAME: Final = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
_TOO_MUCH = re.compile(r"Got more than|Too many headers")
_PLAIN_WORDS = re.compile(r"(?:[A-Za-z0-9 -]|'t)+")


def map_exception(  # noqa: C901, PLR0911, PLR0912  # a table: one return a row
    exc: Exception, session: aiohttp.ClientSession
) -> tuple[PollwiseError, OSError | None]:
    """Returns our error, and the operating system's error to chain it to, if there is one."""
    if isinstance(exc, RetryDisabled):
        exc = exc.error
    if session.closed:
        return WatcherClosed(), None
    cause = _cause(exc)
    match exc:
        case aiohttp.ServerFingerprintMismatch():
            return _unsent(CertificateRejected("the certificate does not match the pinned fingerprint")), None
        case aiohttp.ClientConnectorError() if isinstance(cause, SSLError):
            return _unsent(tls_error(cause)), cause
        case _ if isinstance(cause, SSLError):
            return tls_error(cause), cause
        case ValueError():  # not chained: an encoding error holds the header fields
            return ConfigurationError("the request's URL, method or a header field cannot be sent"), None
        case aiohttp.ClientProxyConnectionError():
            return _unsent(
                ProxyFailed(f"the proxy {exc.host}:{exc.port} is unreachable: {_reason(exc.os_error)}")
            ), cause
        case aiohttp.ClientConnectorError():
            return os_error(exc.os_error, exc.host, exc.port), cause
        case aiohttp.ServerDisconnectedError():
            return ConnectFailed("the server closed the connection instead of replying"), None
        case aiohttp.ClientPayloadError():
            return ConnectFailed("the connection was closed before the end of the reply's body"), cause
        case aiohttp.ClientHttpProxyError():
            return _unsent(ProxyFailed(f"the proxy answered with HTTP {exc.status}", exc.status)), None
        case aiohttp.ClientResponseError() | HttpProcessingError() if _TOO_MUCH.match(exc.message):
            return ConnectFailed(f"the reply's header is larger than the limit: {_plain(exc.message)}"), None
        case aiohttp.ClientResponseError() | HttpProcessingError():
            return ConnectFailed(f"the reply is not valid HTTP: {_plain(exc.message)}"), None
        case OSError():
            return ConnectFailed(_reason(exc)), cause
        case aiohttp.ClientError():
            return ConnectFailed(type(exc).__name__), cause
    raise exc


def _unsent(error: E) -> E:
    error.sent = False
    return error


def closed_before_reply(exc: Exception) -> bool:
    """Whether the connection was open, and was closed before the first byte of the reply.

    A reset connection counts, although a part of the header may have been received: aiohttp does not say.
    """
    match exc.error if isinstance(exc, RetryDisabled) else exc:
        case aiohttp.ClientConnectorError():
            return False
        case aiohttp.ServerDisconnectedError(message=message):
            return isinstance(message, str)  # else it is the part of the header that was received
        case aiohttp.ClientOSError() | aiohttp.ClientConnectionResetError():
            return True
    return False


def _cause(exc: Exception) -> OSError | None:
    """The operating system's error under aiohttp's. Its traceback is dropped, because errors are kept for long."""
    for found in (getattr(exc, "certificate_error", None), getattr(exc, "os_error", None), exc.__cause__, exc):
        if isinstance(found, OSError) and not isinstance(found, aiohttp.ClientError):
            return found.with_traceback(None)
    return None


def _reason(exc: OSError) -> str:
    if isinstance(exc, TimeoutError):
        return "timed out"
    if exc.errno is not None and exc.errno > 0:
        return os.strerror(exc.errno)
    return (
        exc.strerror or type(exc).__name__
    )  # the errno of a failed DNS lookup is negative, and strerror() does not know it


def _is_unknown_name(exc: OSError) -> bool:
    """Whether the resolver is sure that there is no such name. The resolver of aiodns does not say so in this form."""
    return isinstance(exc, socket.gaierror) and exc.errno in _UNKNOWN_NAME


def os_error(exc: OSError, host: str | None, port: int | None) -> ConnectFailed:
    """The error for a connection that could not be made."""
    detail = f"cannot connect to {host}:{port}: {_reason(exc)}"
    return _unsent(UnknownHost(detail, host or "") if _is_unknown_name(exc) else ConnectFailed(detail))


def tls_error(exc: SSLError) -> TlsFailed:
    """The error for a handshake that failed."""
    if isinstance(exc, SSLCertVerificationError):
        words = getattr(exc, "verify_message", "") or "it does not verify"  # a handshake sets it
        return CertificateRejected(words, getattr(exc, "verify_code", 0))
    return TlsFailed(exc.reason or "handshake failed")


def _plain(message: str) -> str:
    """The parser's message up to the first quotation of what the server sent."""
    words = _PLAIN_WORDS.match(message)
    return "no details" if words is None else words.group().strip()
