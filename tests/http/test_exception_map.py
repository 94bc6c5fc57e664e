"""How rare errors of aiohttp and the operating system are mapped, on real sessions."""

from __future__ import annotations

import socket
import ssl
from typing import Any, cast

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from pollwise.errors import ConfigurationError, ConnectFailed, PollError, ProxyFailed, UnknownHost
from pollwise.http.exception_map import map_exception
from pollwise.http.transport import AiohttpTransport
from pollwise.model.messages import Request
from raw_server import raw_server

SECRET = "s3cr3t-of-the-house"


class BrokenResolver(AbstractResolver):
    def __init__(self, error: OSError) -> None:
        self.error = error

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        raise self.error

    async def close(self) -> None:
        pass


async def send(session: aiohttp.ClientSession, url: str) -> None:
    async with session, AiohttpTransport(session) as transport:
        await transport.send(Request(URL(url)))


async def test_a_proxy_that_refuses_keeps_its_password() -> None:
    """The error names the proxy of the caller's session, and does not show its credentials."""
    async with raw_server(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n") as server:
        session = aiohttp.ClientSession(proxy=server.url.replace("//", f"//me:{SECRET}@"))
        with pytest.raises(ConnectFailed, match="the proxy answered with HTTP 407") as caught:
            await send(session, "https://api.example/")
    assert server.requests[0].startswith(b"CONNECT api.example:443 ")
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (TimeoutError(), "timed out"),
        (OSError(113, "as the system says it"), "cannot connect to api.example:443: No route to host"),
        (socket.gaierror(-3, "Try again"), "cannot connect to api.example:443: Try again"),
        (OSError("nothing more is known"), "cannot connect to api.example:443: OSError"),
    ],
)
async def test_the_system_s_message_is_kept(error: OSError, detail: str) -> None:
    """The detail is one line, with the system's text for its error number."""
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=BrokenResolver(error)))
    with pytest.raises(ConnectFailed, match=detail) as caught:
        await send(session, "https://api.example/")
    assert isinstance(caught.value.__cause__, OSError)
    assert not isinstance(caught.value.__cause__, aiohttp.ClientError)


@pytest.mark.parametrize(
    ("raised", "mapped"),
    [
        (aiohttp.ClientError(SECRET), ConnectFailed),
        (aiohttp.ClientConnectionError(SECRET), ConnectFailed),
        (ConnectionAbortedError(103, "x"), ConnectFailed),
        (ValueError(SECRET), ConfigurationError),
        (aiohttp.InvalidURL(SECRET), ConfigurationError),
    ],
)
async def test_whatever_a_session_raises_is_mapped(raised: Exception, mapped: type[Exception]) -> None:
    """A caller's session may have middlewares that raise."""

    async def in_the_way(_request: Any, _send: Any) -> Any:
        raise raised

    with pytest.raises(mapped) as caught:
        await send(aiohttp.ClientSession(middlewares=(in_the_way,)), "https://api.example/")
    assert SECRET not in f"{caught.value!r} {caught.value}"


async def test_a_bug_is_not_taken_for_a_failed_poll() -> None:
    """A RuntimeError of an open session is raised unchanged."""

    async def in_the_way(_request: Any, _send: Any) -> Any:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        await send(aiohttp.ClientSession(middlewares=(in_the_way,)), "https://api.example/")


_HOST: Any = aiohttp.client_reqrep.ConnectionKey("api.example", 443, True, True, None, None, None)


def _tls(kind: type[ssl.SSLError]) -> Any:
    """An error as OpenSSL's, which sets these attributes."""
    error: Any = kind(1, "x")
    error.reason = error.verify_message = "x"
    return error


@pytest.mark.parametrize(
    ("raised", "sent"),
    [
        (aiohttp.ClientConnectorError(_HOST, OSError(111, "Connection refused")), False),
        (aiohttp.ClientConnectorDNSError(_HOST, OSError(-2, "Name or service not known")), False),
        (aiohttp.ClientConnectorSSLError(_HOST, _tls(ssl.SSLError)), False),
        (aiohttp.ClientConnectorCertificateError(_HOST, _tls(ssl.SSLCertVerificationError)), False),
        (aiohttp.ServerFingerprintMismatch(b"a", b"b", "api.example", 443), False),
        (aiohttp.ClientHttpProxyError(cast("Any", None), (), status=502), False),  # of the proxy, before there is TLS
        (aiohttp.ServerDisconnectedError(), True),
        (aiohttp.ClientPayloadError(), True),
        (aiohttp.ClientOSError(104, "Connection reset by peer"), True),
        (ConnectionResetError(104, "Connection reset by peer"), True),
        (_tls(ssl.SSLError), True),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_only_what_was_never_connected_was_certainly_not_sent(raised: Exception, sent: bool) -> None:
    """A request that starts a job is sent again after that, and after nothing else."""
    async with aiohttp.ClientSession() as session:
        error, _ = map_exception(raised, session)
    assert isinstance(error, PollError)
    assert error.sent is sent


@pytest.mark.parametrize("code", [socket.EAI_NONAME, socket.EAI_AGAIN])
async def test_a_name_that_does_not_exist_is_told_from_a_resolver_that_fails(code: int) -> None:
    """Only the first cannot pass. Its error has the name."""
    connector = aiohttp.TCPConnector(resolver=BrokenResolver(socket.gaierror(code, "no such name")))
    with pytest.raises(ConnectFailed, match=r"cannot connect to api\.example:443: no such name") as caught:
        await send(aiohttp.ClientSession(connector=connector), "https://api.example/")
    unknown = isinstance(caught.value, UnknownHost)
    assert unknown is (code == socket.EAI_NONAME)
    assert not unknown or caught.value.host == "api.example"  # type: ignore[attr-defined]
    assert caught.value.sent is False


async def test_a_proxy_that_is_down_is_named() -> None:
    """The proxy is unreachable, and not the server."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        session = aiohttp.ClientSession(proxy=f"http://me:{SECRET}@127.0.0.1:{port}")
        with pytest.raises(ProxyFailed, match=rf"the proxy 127\.0\.0\.1:{port} is unreachable: Connection refused"):
            await send(session, "https://api.example/")
