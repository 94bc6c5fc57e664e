"""One poll brought no reading of the job. The job is asked about again later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from pollwise.errors._root import PollwiseError, Problem, printable, server_said

__all__ = [
    "CertificateRejected",
    "ConnectFailed",
    "MalformedReply",
    "NotVisibleYet",
    "PollError",
    "PollTimeout",
    "ProxyFailed",
    "RateLimited",
    "ReplyTooLarge",
    "ServerUnavailable",
    "StaleConnection",
    "TlsFailed",
    "UnknownHost",
    "UnrestoredPollError",
]

# X509_V_ERR_* of OpenSSL, x509_vfy.h
_NOT_YET_VALID, _EXPIRED, _OTHER_NAMES = 9, 10, (62, 64)
# SSL_R_* of OpenSSL, sslerr.h. Versions from 3.2 may report the second one for the first one.
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"})
_PROXY_WANTS_CREDENTIALS = 407
_PAGES = ("text/html", "application/xhtml+xml")


class PollError(PollwiseError):
    """One poll brought no reading of the job. This is no failure of the job, which is asked about again later.

    Attributes:
        sent: Whether the request may have reached the server. False if there was certainly no connection. A transport
            sets it.
    """

    sent = True


@attrs.define
class ConnectFailed(PollError, ConnectionError):
    """There was no connection, or it broke before the reply was complete."""

    detail: str

    def __str__(self) -> str:
        return f"no reply from the server ({self.detail}). Check the base URL and the network."


@attrs.define
class StaleConnection(ConnectFailed):
    """The server closed a kept-alive connection before it replied, so the request can be sent again.

    The watcher sends the poll again at once. A second one in a row counts like any other `ConnectFailed`.
    """

    def __str__(self) -> str:
        return f"a kept-alive connection broke before the reply ({self.detail}). Send the request again."


@attrs.define
class UnknownHost(ConnectFailed):
    """The host name in the URL does not exist, as the resolver says for sure (`EAI_NONAME` or `EAI_NODATA`).

    Attributes:
        detail: The host, the port, and the resolver's words.
        host: The name.
    """

    host: str = ""

    def __str__(self) -> str:
        return (
            f"the host name {printable(self.host)!r} does not exist ({self.detail}). Check the host of the base URL, and"
            " whether this network needs a VPN or a proxy: AiohttpTransport(proxy=...)."
        )


@attrs.define
class ProxyFailed(ConnectFailed):
    """The proxy could not be reached, or it refused to connect to the server.

    Attributes:
        detail: The proxy's host and port, or its answer.
        http_status: The status code of the proxy's answer, or None if there was none.
    """

    http_status: int | None = None

    def __str__(self) -> str:
        if self.http_status is None:
            check = "Check the host and the port of the proxy."
        elif self.http_status == _PROXY_WANTS_CREDENTIALS:
            check = "Put the user name and the password for the proxy into its URL."
        else:
            check = "Check that the proxy may connect to this host, or that the host needs no proxy."
        return f"no reply from the server, because {self.detail}. {check}"


@attrs.define
class TlsFailed(PollError, ConnectionError):
    """The server's TLS certificate or handshake was not accepted.

    Attributes:
        detail: OpenSSL's name of the reason, such as `WRONG_VERSION_NUMBER`, or some words.
    """

    detail: str

    @property
    def is_no_tls(self) -> bool:
        """Whether the server answered the handshake with something other than TLS, such as plain HTTP."""
        return self.detail in _NO_TLS

    def __str__(self) -> str:
        if self.is_no_tls:
            return (
                f"the server did not answer with TLS ({self.detail})."
                " Check the port of the base URL, and whether it must begin with http://."
            )
        return f"no trusted TLS connection ({self.detail}). Check the host name and its certificate."


@attrs.define
class CertificateRejected(TlsFailed):
    """The server's certificate does not verify. That does not pass by itself.

    Attributes:
        detail: OpenSSL's words.
        verify_code: OpenSSL's code, `X509_V_ERR_*`, or None for a certificate that is not the pinned one.
    """

    verify_code: int | None = None

    @property
    def flaw(self) -> str:
        """What is wrong: `expired`, `not yet valid`, `other name`, `not pinned` or `unknown issuer`."""
        match self.verify_code:
            case None:
                return "not pinned"
            case code if code == _EXPIRED:
                return "expired"
            case code if code == _NOT_YET_VALID:
                return "not yet valid"
            case code if code in _OTHER_NAMES:
                return "other name"
        return "unknown issuer"

    def __str__(self) -> str:
        return f"the server's certificate was not accepted ({self.detail}). {_CERTIFICATE_CHECKS[self.flaw]}"


_CERTIFICATE_CHECKS: Mapping[str, str] = {
    "expired": "Check the clock of this machine. If it is right, the operator of the server must renew the certificate.",
    "not yet valid": "Check the clock of this machine.",
    "other name": "Check the host of the base URL.",
    "not pinned": "Check the pinned fingerprint.",
    "unknown issuer": "If you trust its issuer, pass AiohttpTransport(ssl=...) with the issuer's certificate.",
}


@attrs.define
class PollTimeout(PollError, TimeoutError):
    """The reply was not complete within `seconds`, the time that one request may take."""

    seconds: float

    def __str__(self) -> str:
        return f"no complete reply within {self.seconds:g} s. If the server is only slow, raise request_timeout_s."


@attrs.define
class ServerUnavailable(PollError):
    """HTTP 408, 425, 5xx or above: the server could not answer just now.

    Attributes:
        http_status: The status code of the reply.
        retry_after_s: Seconds to wait, where the server said so.
        problem: The vendor's codes and words, if it gave any.
    """

    http_status: int
    retry_after_s: float | None = None
    problem: Problem | None = None

    def __str__(self) -> str:
        if self.http_status in {501, 505}:  # RFC 9110, 15.6.2 and 15.6.6
            lacks = "this kind of request" if self.http_status == 501 else "this version of HTTP"
            return (
                f"the server does not support {lacks} (HTTP {self.http_status}). Check the base URL, and the version of"
                f" the API.{server_said(self.problem)}"
            )
        return (
            f"the server could not answer just now (HTTP {self.http_status}). Ask again later."
            f"{server_said(self.problem)}"
        )


@attrs.define
class RateLimited(PollError):
    """The server refused the poll because of its rate limit: HTTP 429, or another 4xx that says when to come back.

    An endpoint whose vendor throttles inside a 200 raises this from `read`.

    Attributes:
        retry_after_s: Seconds to wait, where the server said so.
        problem: The vendor's codes and words, if it gave any.
        http_status: The status code of the reply.
    """

    retry_after_s: float | None = None
    problem: Problem | None = None
    http_status: int = 429

    def __str__(self) -> str:
        wait = "" if self.retry_after_s is None else f" The server asked for a pause of {self.retry_after_s:g} s."
        return (
            f"the rate limit was hit (HTTP {self.http_status}).{wait} Share one budget between all users of this"
            f" token.{server_said(self.problem)}"
        )


@attrs.define
class NotVisibleYet(PollError):
    """HTTP 404 within the grace time: the job may not be visible yet.

    Attributes:
        problem: The vendor's codes and words, if it gave any.
        retry_after_s: Seconds to wait, where the server said so.
    """

    problem: Problem | None = None
    retry_after_s: float | None = None

    def __str__(self) -> str:
        return "the job is not visible yet (HTTP 404). Ask again within not_found_grace_s, or check the job's IDs."


@attrs.define
class MalformedReply(PollError):
    """The reply is not what the vendor documents: a proxy's page, broken JSON, a missing or mistyped field.

    Attributes:
        reason: What was wrong.
        http_status: The reply's status code.
        content_type: The reply's media type as sent, or None.
        excerpt: The first characters of the body, redacted and escaped.
    """

    reason: str
    http_status: int
    content_type: str | None = None
    excerpt: str = ""

    @property
    def is_web_page(self) -> bool:
        """Whether a successful reply is a page for people, such as a login page, where the API answers with data."""
        begins = self.excerpt.lstrip()[:20].lower()
        if not 200 <= self.http_status < 300 or not begins or begins.startswith(("{", "[")):
            return False
        return self.content_type in _PAGES or begins.startswith(("<!doctype html", "<html"))

    def __str__(self) -> str:
        seen = f" Body starts: {self.excerpt}" if self.excerpt else ""
        return (
            f"not a status document: {self.reason} (HTTP {self.http_status:03d}, {self.content_type or 'no content type'})."
            f" Check that the base URL is the API's.{seen}"
        )


@attrs.define
class ReplyTooLarge(MalformedReply):
    """The body, as sent or once decompressed, is larger than is allowed."""


@attrs.define
class UnrestoredPollError(PollError):
    """The error of a poll of an earlier run, of which this version does not know the class or a field.

    Attributes:
        kind: The class name of that error.
        message: What that error said. Empty where that was not kept.
        fields: What else the ledger has of that error, in JSON's types.
    """

    kind: str
    message: str
    fields: Mapping[str, Any] = attrs.Factory(dict)

    def __str__(self) -> str:
        said = f" It said: {self.message}" if self.message else ""
        return f"a poll of an earlier run failed with {self.kind}. Look at .fields for what was kept of it.{said}"
