"""Which step of a connection fails, on real sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

import pytest
import trustme
from yarl import URL

from pollwise.errors import CertificateRejected, ConnectFailed, ProxyFailed, TlsFailed, UnknownHost
from pollwise.http.probe import addresses_of, connect, encrypt
from pollwise.http.proxies import Proxies
from raw_server import raw_server, reply

SERVER = URL("https://api.example/jobs/7")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(autouse=True)
async def quiet() -> None:
    """The loop reports handshakes that a client breaks off."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)


async def test_a_handshake_gives_the_certificate(authority: trustme.CA, tls: ssl.SSLContext) -> None:
    """Its issuer, its end, and the version of TLS. No request is sent."""
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    async with raw_server(tls=tls) as server:
        line = await connect(URL(server.url), None)
        assert line.peer == "127.0.0.1"
        certificate = await encrypt(line, URL(server.url), trusted)
        await line.close()
        assert server.requests == []
    assert certificate.protocol == "TLSv1.3"
    assert certificate.issuer.startswith("trustme")
    assert certificate.expires_at > 1.7e9


async def test_an_unknown_issuer_and_a_server_without_tls_are_told_apart(tls: ssl.SSLContext) -> None:
    """As in a poll."""
    async with raw_server(tls=tls) as server, raw_server() as plain:
        plain.greeting = b"HTTP/1.1 400 Bad Request\r\n\r\n"
        for port, kind in ((server.port, CertificateRejected), (plain.port, TlsFailed)):
            url = URL(f"https://127.0.0.1:{port}")
            line = await connect(url, None)
            with pytest.raises(kind) as caught:
                await encrypt(line, url, None)
            await line.close()
            assert type(caught.value) is kind


async def test_a_port_that_is_closed() -> None:
    """The server is there, and does not listen."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectFailed, match="Connection refused"):
            await connect(URL(f"https://127.0.0.1:{unused.getsockname()[1]}"), None)


async def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each address is given once. A name that does not exist has an error of its own."""
    assert await addresses_of("127.0.0.1", 80) == ["127.0.0.1"]

    def unknown(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(UnknownHost):
        await addresses_of("api.example", 443)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (reply(status="407 Who"), "the proxy answered with HTTP 407"),
        (b"SSH-2.0-x\r\n\r\n", "the proxy answered with something that is not HTTP"),
        (lambda line: line.hang_up(), "the proxy closed the connection instead of answering"),
    ],
)
async def test_a_proxy_that_opens_no_tunnel(answer: Any, said: str) -> None:
    """It gets its credentials, and no error shows them."""
    async with raw_server(answer) as server:
        proxy = Proxies(server.url.replace("//", "//me:s3cret@")).of(SERVER)
        with pytest.raises(ProxyFailed, match=said) as caught:
            await connect(SERVER, proxy)
        assert b"CONNECT api.example:443 HTTP/1.1\r\n" in server.requests[0]
        assert b"Proxy-Authorization: Basic bWU6czNjcmV0\r\n" in server.requests[0]
    assert "s3cret" not in repr(caught.value)


async def test_a_proxy_that_is_down_is_no_server_that_is_down() -> None:
    """The error names the proxy."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        proxy = Proxies(f"http://127.0.0.1:{unused.getsockname()[1]}").of(SERVER)
        with pytest.raises(ProxyFailed, match=r"the proxy 127\.0\.0\.1:\d+ is unreachable: Connection refused"):
            await connect(SERVER, proxy)
