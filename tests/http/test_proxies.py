"""Requests through proxies, on real sockets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator

import pytest
import trustme
from yarl import URL

from pollwise.errors import CertificateRejected, ConfigurationError, ProxyFailed, UnsafeUrl
from pollwise.http.proxies import Proxies
from pollwise.http.transport import AiohttpTransport
from pollwise.model.messages import Request
from raw_server import RawServer, raw_server, reply

PASSWORD = "pass/wörd-of-the-proxy"
SERVER = URL("https://api.example/jobs/7")


class Tunnels:
    """A proxy that connects every tunnel to one server.

    Attributes:
        url: Its URL, with credentials.
        heads: The heads of the requests that it got.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self.url = ""
        self.heads: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        far, near = await asyncio.open_connection("127.0.0.1", self._to)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(self._copy(reader, near), self._copy(far, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def tunnels_to(server: RawServer) -> AsyncIterator[Tunnels]:
    proxy = Tunnels(server.port)
    listener = await asyncio.start_server(proxy, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    proxy.url = f"http://me:{URL.build(path=PASSWORD).raw_path.replace('/', '%2F')}@127.0.0.1:{port}"
    try:
        yield proxy
    finally:
        listener.close()
        await listener.wait_closed()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.example").configure_cert(context)
    return context


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)
    return monkeypatch


@pytest.mark.parametrize("from_env", [False, True])
async def test_requests_share_one_tunnel(
    tls: ssl.SSLContext, trusting: ssl.SSLContext, variables: pytest.MonkeyPatch, *, from_env: bool
) -> None:
    """The proxy sees the server's name and its own credentials once, and nothing of the requests."""
    async with raw_server(tls=tls) as server, tunnels_to(server) as proxy:
        if from_env:
            variables.setenv("HTTPS_PROXY", proxy.url)
        options = {"trust_env": True} if from_env else {"proxy": proxy.url}
        async with AiohttpTransport(ssl=trusting, **options) as transport:  # type: ignore[arg-type]
            for _ in range(3):
                assert (await transport.send(Request(SERVER, {"api_token": "t0p-s3cret"}))).status == 200
        assert len(server.lines) == 1
        assert server.requests[2].startswith(b"GET /jobs/7 HTTP/1.1\r\n")
        assert not any(b"Proxy-Authorization" in request for request in server.requests)
    [head] = proxy.heads
    assert head.startswith("CONNECT api.example:443 HTTP/1.1\r\n")
    sent = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
    assert f"Proxy-Authorization: Basic {sent}\r\n" in head
    assert "t0p-s3cret" not in head


async def test_a_request_to_another_server_goes_through_the_proxy(
    tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """Over a tunnel of its own. The proxy's credentials stay with the proxy, and a private address is refused."""
    async with raw_server(tls=tls) as server, tunnels_to(server) as proxy:
        async with AiohttpTransport(ssl=trusting, proxy=proxy.url) as transport:
            await transport.send(Request(SERVER, {"api_token": "t0p-s3cret"}))
            for _ in range(2):
                assert (await transport.send(Request(SERVER, first_host="jobs.example"))).status == 200
            for host in ("10.0.0.1", "169.254.169.254", "[::1]", "metadata.google.internal", "wiki", "printer.local."):
                with pytest.raises(UnsafeUrl):
                    await transport.send(Request(URL(f"https://{host}/"), first_host="8.8.8.8"))
        assert [head.split("\r\n")[0] for head in proxy.heads] == ["CONNECT api.example:443 HTTP/1.1"] * 2
        assert all("Proxy-Authorization" in head for head in proxy.heads)
    assert len(server.requests) == 3
    assert not any(b"Proxy-Authorization" in request for request in server.requests)
    assert not any(b"t0p-s3cret" in request for request in server.requests[1:])


async def test_the_certificate_of_the_server_is_checked_through_a_proxy(tls: ssl.SSLContext) -> None:
    """An unknown issuer is refused as it is without one."""
    async with (
        raw_server(tls=tls) as server,
        tunnels_to(server) as proxy,
        AiohttpTransport(proxy=proxy.url) as transport,
    ):
        with pytest.raises(CertificateRejected):
            await transport.send(Request(SERVER))
        assert server.requests == []


async def test_plain_http_names_the_whole_url_to_the_proxy() -> None:
    """Each request has the proxy's credentials. A reply that repeats them is masked."""
    sent = base64.b64encode(b"me:pass/word of it")
    async with raw_server(reply(b'{"seen": "%s"}' % sent)) as proxy:
        url = URL(proxy.url).with_user("me").with_password("pass/word of it")
        async with AiohttpTransport(proxy=url, allow_plain_http=True) as transport:
            for _ in range(2):
                answer = await transport.send(Request(URL("http://api.example/jobs/7")))
    assert b"***" in answer.body
    assert sent not in answer.body
    for request in proxy.requests:
        assert request.startswith(b"GET http://api.example/jobs/7 HTTP/1.1\r\n")
        assert b"Proxy-Authorization: Basic " + sent in request


async def test_this_machine_is_asked_without_a_proxy(variables: pytest.MonkeyPatch) -> None:
    """Plain http to it stays on it, whatever the environment says."""
    variables.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with raw_server() as server:
        for options in ({"trust_env": True}, {"proxy": "http://127.0.0.1:1"}):
            async with AiohttpTransport(**options) as transport:  # type: ignore[arg-type]
                assert (await transport.send(Request(URL(server.url)))).status == 200


@pytest.mark.parametrize("status", [407, 403, 502])
async def test_a_proxy_that_refuses_is_told_as_such(status: int) -> None:
    """The error has the status code, and the password is in nothing that is shown."""
    async with raw_server(reply(b"no", status=f"{status} No")) as proxy:
        url = URL(proxy.url).with_user("me").with_password(PASSWORD)
        async with AiohttpTransport(proxy=url) as transport:
            with pytest.raises(ProxyFailed, match=f"the proxy answered with HTTP {status}") as caught:
                await transport.send(Request(SERVER))
    error = caught.value
    assert (error.http_status, error.sent) == (status, False)
    assert PASSWORD not in f"{error!r} {error.__cause__!r} {error.__context__!r}"


async def test_a_proxy_whose_name_is_unknown_is_named() -> None:
    """It is the proxy that cannot be found, and not the server."""
    async with AiohttpTransport(proxy="http://proxy.invalid:3128") as transport:
        with pytest.raises(ProxyFailed, match=r"the proxy proxy\.invalid:3128 is unreachable"):
            await transport.send(Request(SERVER))


@pytest.mark.parametrize(
    "proxy",
    ["socks5://proxy.example", "ftp://proxy.example", "http://", "http://proxy.example:x", f"socks5://me:{PASSWORD}@p"],
)
def test_what_is_no_proxy_is_refused(proxy: str) -> None:
    """Before any request, and without the text, which may have a password."""
    with pytest.raises(ConfigurationError, match="proxy must be the") as caught:
        AiohttpTransport(proxy=proxy)
    assert "me:" not in str(caught.value)


def test_a_variable_that_is_no_proxy_is_named(variables: pytest.MonkeyPatch) -> None:
    """The user learns which one to change."""
    variables.setenv("ALL_PROXY", "socks5://me:secret@proxy.example")
    with pytest.raises(ConfigurationError, match=r"ALL_PROXY must be the http or https URL.*its scheme is socks5"):
        Proxies(trust_env=True).of(SERVER)


@pytest.mark.parametrize(
    ("set_to", "url", "proxied"),
    [
        ({"https_proxy": "p:1"}, "https://api.example", True),
        ({"HTTPS_PROXY": "http://p:1"}, "http://api.example", False),
        ({"ALL_PROXY": "http://p:1"}, "http://api.example", True),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "*"}, "https://api.example", False),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "other.example, .example"}, "https://api.example", False),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "*.example"}, "https://API.example.", False),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "pi.example"}, "https://api.example", True),
        ({"ALL_PROXY": "http://p:1", "no_proxy": "api.example:443"}, "https://api.example", False),
        ({"ALL_PROXY": "http://p:1", "no_proxy": "api.example:8443"}, "https://api.example", True),
        ({"ALL_PROXY": "http://p:1", "no_proxy": "10.0.0.0/8"}, "https://10.9.8.7", False),
        ({"ALL_PROXY": "http://p:1", "no_proxy": "fd00::/8,[2001:db8::1]:443"}, "https://[2001:db8::1]", False),
        ({"ALL_PROXY": "http://p:1", "no_proxy": "10.0.0.0/x, a/b"}, "https://10.9.8.7", True),
        ({"ALL_PROXY": "http://p:1"}, "http://localhost:8080", False),
        ({}, "https://api.example", False),
    ],
)
def test_the_environment_says_which_proxy(
    set_to: dict[str, str], url: str, proxied: bool, variables: pytest.MonkeyPatch
) -> None:
    """In the usual variables, if that is asked for."""
    for name, value in set_to.items():
        variables.setenv(name, value)
    found = Proxies(trust_env=True).of(URL(url))
    assert (found is not None) is proxied
    assert found is None or found.url == URL("http://p:1")
    assert Proxies().of(URL(url)) is None


def test_a_given_proxy_wins_and_heeds_no_proxy(variables: pytest.MonkeyPatch) -> None:
    """As in other commands."""
    variables.setenv("HTTPS_PROXY", "http://p:1")
    variables.setenv("NO_PROXY", "left.example")
    given = Proxies("http://me:secret@given:2", trust_env=True)
    found = given.of(SERVER)
    assert found is not None
    assert (found.url, found.source) == (URL("http://given:2"), "proxy")
    assert "secret" not in repr(found)
    assert given.of(URL("https://left.example")) is None
