"""What the errors of aiohttp, TLS and the operating system mean to us.

Rule 1: a request that was sent and brought no whole reply may be sent again, whatever the reason. One that can never
be sent is the caller's mistake, and with a closed session nothing more will come.
Rule 2: aiohttp's errors hold the header fields of the request and the password of a proxy, so they are not chained.
The error of the operating system under them is.
Rule 3: a detail is one line in our words or the system's: what a server sent is not in it.
"""

from __future__ import annotations

import os
import re
from ssl import SSLCertVerificationError, SSLError
from typing import Final

import aiohttp
from aiohttp.http import HttpProcessingError

from pollwise.errors import ConfigurationError, ConnectFailed, PollwiseError, TlsFailed, WatcherClosed
from pollwise.http.connections import NotRepeated

__all__ = ["FOREIGN", "is_unanswered", "wrapped"]

# The last is how aiohttp finds that its session was closed while it was about to send.
FOREIGN: Final = (aiohttp.ClientError, HttpProcessingError, OSError, RuntimeError, ValueError, AssertionError)

_TOO_MUCH = re.compile(r"Got more than|Too many headers")
_PLAIN_WORDS = re.compile(r"(?:[A-Za-z0-9 -]|'t)+")


def wrapped(  # noqa: C901, PLR0911, PLR0912  # a table: one return a row
    exc: Exception, session: aiohttp.ClientSession
) -> tuple[PollwiseError, OSError | None]:
    """Our error for a foreign one, and the operating system's that lies under it, if one does."""
    if isinstance(exc, NotRepeated):
        exc = exc.error
    if session.closed:
        return WatcherClosed(), None
    cause = _cause(exc)
    match exc:
        case aiohttp.ServerFingerprintMismatch():
            return TlsFailed("the certificate is not the one that was pinned"), None
        case _ if isinstance(cause, SSLError):
            return TlsFailed(_tls_reason(cause)), cause
        case ValueError():  # not chained: an encoding error holds the header fields
            return ConfigurationError("the request's URL, method or a header field cannot be sent"), None
        case aiohttp.ClientConnectorError():
            return ConnectFailed(f"cannot connect to {exc.host}:{exc.port}: {_reason(exc.os_error)}"), cause
        case aiohttp.ServerDisconnectedError():
            return ConnectFailed("the server closed the connection instead of replying"), None
        case aiohttp.ClientPayloadError():
            return ConnectFailed("the reply broke off in its body"), cause
        case aiohttp.ClientHttpProxyError():
            return ConnectFailed(f"the proxy answered with HTTP {exc.status}"), None
        case aiohttp.ClientResponseError() | HttpProcessingError() if _TOO_MUCH.match(exc.message):
            return ConnectFailed(f"the reply's header is larger than we read: {_plain(exc.message)}"), None
        case aiohttp.ClientResponseError() | HttpProcessingError():
            return ConnectFailed(f"the reply is not valid HTTP: {_plain(exc.message)}"), None
        case OSError():
            return ConnectFailed(_reason(exc)), cause
        case aiohttp.ClientError():
            return ConnectFailed(type(exc).__name__), cause
    raise exc


def is_unanswered(exc: Exception) -> bool:
    """Whether a connection was closed after it was made, and before a byte of the reply came.

    A reset connection does not tell whether a part of the header had come.
    """
    match exc.error if isinstance(exc, NotRepeated) else exc:
        case aiohttp.ClientConnectorError():
            return False
        case aiohttp.ServerDisconnectedError(message=message):
            return isinstance(message, str)  # else it is what had come of the header
        case aiohttp.ClientOSError() | aiohttp.ClientConnectionResetError():
            return True
    return False


def _cause(exc: Exception) -> OSError | None:
    """The operating system's error under aiohttp's, without its frames: an error may be kept for long, by many."""
    for found in (getattr(exc, "certificate_error", None), getattr(exc, "os_error", None), exc.__cause__, exc):
        if isinstance(found, OSError) and not isinstance(found, aiohttp.ClientError):
            return found.with_traceback(None)
    return None


def _reason(exc: OSError) -> str:
    if isinstance(exc, TimeoutError):
        return "timed out"
    if exc.errno is not None and exc.errno > 0:
        return os.strerror(exc.errno)
    return exc.strerror or type(exc).__name__  # a failed look-up of a name has a number of its own


def _tls_reason(exc: SSLError) -> str:
    return exc.verify_message if isinstance(exc, SSLCertVerificationError) else exc.reason or "handshake failed"


def _plain(message: str) -> str:
    """The parser's words, up to where it quotes what the server sent."""
    words = _PLAIN_WORDS.match(message)
    return "no details" if words is None else words.group().strip()
