"""What the transport sends and returns, and what it must never do: on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import platform
import socket
import ssl
import subprocess
import sys
import weakref
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

import pollwise
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
from pollwise.http.auth import ApiKeyAuth
from pollwise.http.proxies import is_this_machine
from pollwise.http.transport import AiohttpTransport
from pollwise.model.messages import Request
from pollwise.model.protocols import Transport
from raw_server import Line, RawServer, raw_server, reply

SECRET = "s3cr3t-of-the-house"
STALE: list[Callable[[Line], None]] = [Line.hang_up, Line.reset]


class HouseResolver(AbstractResolver):
    """Resolves every name to this machine, or no name."""

    def __init__(self, *, knows: bool = True) -> None:
        self.knows = knows

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if not self.knows:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST
            )
        ]

    async def close(self) -> None:
        pass


def ask(server: RawServer, path: str = "/", **fields: str) -> Request:
    return Request(URL(f"{server.url}{path}"), fields)


def held(transport: AiohttpTransport) -> tuple[int, int]:
    """The numbers of connections in use and of idle ones."""
    assert transport._session is not None
    connector = transport._session.connector
    assert connector is not None
    return len(connector._acquired), sum(map(len, connector._conns.values()))


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    async with AiohttpTransport() as transport:
        yield transport


@contextlib.asynccontextmanager
async def over(session: aiohttp.ClientSession, **options: Any) -> AsyncIterator[AiohttpTransport]:
    """A transport over a session of the caller's."""
    async with session, AiohttpTransport(session, **options) as transport:
        yield transport


@pytest.fixture(params=["own", "given", "given, with middlewares", "a later aiohttp"])
async def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AiohttpTransport]:
    """A transport with its own session, or with one of the caller's."""

    async def passing(request: Any, send: Any) -> Any:
        return await send(request)

    if request.param == "a later aiohttp":  # one without the attribute for its retries
        monkeypatch.setattr("pollwise.http.connections._RETRY_ATTRIBUTE", "no such switch")
    if request.param.startswith("given"):
        middlewares = (passing, passing) if "middlewares" in request.param else ()
        async with over(aiohttp.ClientSession(middlewares=middlewares)) as transport:
            yield transport
    else:
        async with AiohttpTransport() as transport:
            yield transport


# --- requests and replies -----------------------------------------------------------------------


async def test_a_request_is_sent_as_it_is(transport: AiohttpTransport) -> None:
    """Only the header fields of the connection and of our defaults are added."""
    async with raw_server() as server:
        await transport.send(Request(URL(f"{server.url}/a%2Fb?c=%26", encoded=True), {"api_token": SECRET}))
        head, _, body = server.requests[0].decode().partition("\r\n\r\n")
        line, *fields = head.split("\r\n")
        assert line == "GET /a%2Fb?c=%26 HTTP/1.1"
        assert dict(field.split(": ") for field in fields) == {
            "Host": f"127.0.0.1:{server.port}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "Cache-Control": "no-cache",
            "User-Agent": f"pollwise/{pollwise.__version__} aiohttp/{aiohttp.__version__} Python/"
            + platform.python_version(),
            "api_token": SECRET,
        }
        assert body == ""


async def test_a_reply_is_complete(transport: AiohttpTransport) -> None:
    """It has the status, the header fields in any letter case, the body and its request."""
    async with raw_server(reply(b'{"a": 1}', "X-RateLimit-Remaining: 7", status="503 Busy")) as server:
        request = ask(server)
        answer = await transport.send(request)
        assert (answer.status, answer.body, answer.request) == (503, b'{"a": 1}', request)
        assert answer.headers["x-ratelimit-remaining"] == "7"
        assert answer.is_json


async def test_a_body_is_sent_and_awaited_in_pieces(transport: AiohttpTransport) -> None:
    """A request has its Content-Length. A reply may arrive in any number of pieces."""
    async with raw_server(lambda line: None) as server:
        request = Request(URL(server.url), {"Content-Type": "application/json"}, "POST", b'{"x": 1}')
        sending = asyncio.create_task(transport.send(request))
        await server.received()
        assert server.requests[0].startswith(b"POST / HTTP/1.1\r\n")
        assert server.requests[0].endswith(b'\r\n\r\n{"x": 1}')
        whole = reply(b"0123456789")
        for cut in range(0, len(whole), 7):
            server.lines[0].say(whole[cut : cut + 7])
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert (await sending).body == b"0123456789"
        assert held(transport) == (0, 1)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + reply(b"abc"), b"abc"),
        (reply(gzip.compress(b"abc"), "Content-Encoding: gzip"), b"abc"),
        (reply(zlib.compress(b"abc"), "Content-Encoding: deflate"), b"abc"),
        (reply(gzip.compress(gzip.compress(b"abc")), "Content-Encoding: gzip", "Content-Encoding: gzip"), b"abc"),
        (reply(gzip.compress(b"abc"), "Content-Encoding: identity", "Content-Encoding: gzip"), b"abc"),
        (reply(b"{}", "Content-Encoding: utf-8"), b"{}"),
        (reply(b"{}", "Content-Encoding: gzip"), b"{}"),
        (reply(b"{}", "Content-Encoding:"), b"{}"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + reply(b"abc"), b"abc"),
        (reply(b"abc", "Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0"), b"abc"),
        (reply(b"abc", status="205 Reset Content"), b"abc"),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 200\r\n\r\n", b""),
        (reply(b"abc", f"Set-Cookie: gateway={'x' * 65_000}"), b"abc"),
        (reply(b"abc", *(f"Set-Cookie: c{n}={'y' * 3_000}" for n in range(12))), b"abc"),
        (reply(b"abc", *(f"X-Field-{n}: v" for n in range(490))), b"abc"),
    ],
)
async def test_every_framing_is_read(transport: AiohttpTransport, answer: bytes, body: bytes) -> None:
    """Chunked, empty, after 1xx replies, compressed, with large headers. The connection is used again."""
    async with raw_server(answer) as server:
        for _ in range(2):
            assert (await transport.send(ask(server))).body == body
        assert len(server.lines) == 1
        async with over(aiohttp.ClientSession()) as given:
            assert (await given.send(ask(server))).body == body


@pytest.mark.parametrize("fields", [["Connection: close"], ["Connection: Close, TE"]])
async def test_a_connection_may_serve_one_request(transport: AiohttpTransport, fields: list[str]) -> None:
    """If a server closes each connection with `Connection: close`, no request fails."""

    def answer(line: Line) -> None:
        line.say(reply(b"{}", *fields))
        line.hang_up()

    async with raw_server(answer) as server:
        for count in (1, 2, 3):
            assert (await transport.send(ask(server))).body == b"{}"
            assert len(server.lines) == count
            assert held(transport) == (0, 0)


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (reply(b"{}", f"X: {'x' * 70_000}"), "header is larger than the limit: Got more than 65536 bytes"),
        (reply(b"{}", *(f"X-Field-{n}: v" for n in range(600))), "header is larger than the limit: Too many headers"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            "not valid HTTP",  # RFC 9112 6.3: it may be an attempt at reply smuggling
        ),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n{}", "not valid HTTP"),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n{}", "not valid HTTP"),
        (reply(b"{}", "Content-Length: 3"), "not valid HTTP"),
    ],
)
async def test_a_reply_that_cannot_be_read_says_why(either: AiohttpTransport, answer: bytes, detail: str) -> None:
    """Too large headers, and ambiguous framing."""
    async with raw_server(answer) as server:
        with pytest.raises(ConnectFailed, match=detail) as caught:
            await either.send(ask(server))
        assert not isinstance(caught.value, StaleConnection)
        assert held(either) == (0, 0)


@pytest.mark.parametrize(
    ("fields", "sent"),
    [({}, b"no-cache"), ({"Cache-Control": "max-age=0"}, b"max-age=0"), ({"cache-control": "no-store"}, b"no-store")],
)
async def test_a_cache_must_ask_the_server(either: AiohttpTransport, fields: dict[str, str], sent: bytes) -> None:
    """RFC 9111, 5.2.1.4: a stored status would be old. A request can have its own Cache-Control."""
    async with raw_server() as server:
        await either.send(ask(server, **fields))
        found = [line for line in server.requests[0].split(b"\r\n") if line.lower().startswith(b"cache-control:")]
        assert [line.partition(b": ")[2] for line in found] == [sent]


async def test_a_session_s_own_cache_control_is_kept() -> None:
    """A default header field of the caller's session is not replaced."""
    session = aiohttp.ClientSession(headers={"Cache-Control": "no-store"})
    async with raw_server() as server, over(session) as transport:
        await transport.send(ask(server))
        assert server.requests[0].lower().count(b"cache-control") == server.requests[0].count(b"no-store") == 1


async def test_a_body_may_end_with_the_connection(transport: AiohttpTransport) -> None:
    """HTTP/1.0 servers send no length. Such a connection is not used again."""

    def answer(line: Line) -> None:
        line.say(b"HTTP/1.0 200 OK\r\n\r\n{}")
        line.hang_up()

    async with raw_server(answer) as server:
        assert (await transport.send(ask(server))).body == b"{}"
        assert held(transport) == (0, 0)


async def test_it_is_a_transport_and_opens_by_itself() -> None:
    """Without `async with`, the caller calls `aclose`."""
    transport: Transport = AiohttpTransport()
    async with raw_server() as server:
        try:
            assert (await transport.send(ask(server))).status == 200
        finally:
            assert isinstance(transport, AiohttpTransport)
            await transport.aclose()


def test_it_can_be_constructed_before_there_is_a_loop() -> None:
    """No connection is opened before the first request."""
    AiohttpTransport()


async def test_connections_are_bounded() -> None:
    """There are at most `connections` of them for any number of requests."""
    async with raw_server(lambda line: None) as server, AiohttpTransport(connections=2) as transport:
        sending = [asyncio.create_task(transport.send(ask(server))) for _ in range(6)]
        for count in (2, 4, 6):
            await server.received(count)
            assert len(server.lines) == 2
            for line in server.lines:
                line.say(reply())
        assert len(await asyncio.gather(*sending)) == 6


# --- origins ------------------------------------------------------------------------------------


async def test_a_redirect_is_not_followed(transport: AiohttpTransport) -> None:
    """Credentials go to the URL of the request only."""
    async with raw_server() as other, raw_server(reply(b"", f"Location: {other.url}/", status="302 Found")) as server:
        assert (await transport.send(ask(server, api_token=SECRET))).status == 302
        assert other.requests == []
        assert other.lines == []


async def test_no_cookie_is_stored(transport: AiohttpTransport) -> None:
    """A status endpoint needs no session."""
    async with raw_server(reply(b"{}", "Set-Cookie: a=b; Path=/")) as server:
        for _ in range(2):
            await transport.send(ask(server))
        assert b"Cookie" not in server.requests[1]


async def test_the_environment_is_ignored(
    transport: AiohttpTransport, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """No proxy and no password is read from the environment."""
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with raw_server() as server:
        await transport.send(ask(server))
        assert b"Authorization" not in server.requests[0]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "localhost.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1"]
)
def test_names_of_this_machine(host: str) -> None:
    """Plain http to this machine does not cross a network."""
    assert is_this_machine(host)


@pytest.mark.parametrize(
    "host",
    [
        "example.com", "localhost.example.com", "127.0.0.1.example.com", "notlocalhost", "128.0.0.1", "0.0.0.0",  # noqa: S104
        "192.168.0.1", "::2", "::", "2130706433", "0x7f.1", "127.1", "",
    ],
)  # fmt: skip
def test_no_other_name_is_this_machine(host: str) -> None:
    """A name that only looks like this machine does not count."""
    assert not is_this_machine(host)


async def test_plain_http_to_another_machine_is_refused() -> None:
    """Nothing is sent, and the error shows the origin only."""
    async with raw_server() as server:
        connector = aiohttp.TCPConnector(resolver=HouseResolver())
        async with over(aiohttp.ClientSession(connector=connector)) as transport:
            for _ in range(2):
                with pytest.raises(InsecureUrl) as caught:
                    await transport.send(Request(URL(f"http://api.example:{server.port}/secret?token={SECRET}")))
                assert caught.value.origin == f"http://api.example:{server.port}"
            await transport.send(Request(URL(f"http://a.localhost:{server.port}/")))
        assert len(server.requests) == 1


async def test_plain_http_can_be_allowed() -> None:
    """`allow_plain_http` is the caller's decision."""
    async with raw_server() as server:
        connector = aiohttp.TCPConnector(resolver=HouseResolver())
        async with over(aiohttp.ClientSession(connector=connector), allow_plain_http=True) as transport:
            assert (await transport.send(Request(URL(f"http://api.example:{server.port}/")))).status == 200


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/", "ws://127.0.0.1/", "/only/a/path", "http:///no-host", f"http://me:{SECRET}@127.0.0.1/",
        f"https://{SECRET}@example.com/", "file:///etc/passwd", "https://127.0.0.1:99999/",
    ],
)  # fmt: skip
async def test_an_invalid_url_is_refused(transport: AiohttpTransport, url: str) -> None:
    """Only absolute http and https URLs without credentials are allowed."""
    with pytest.raises(ConfigurationError) as caught:
        await transport.send(Request(URL(url, encoded=True)))
    assert SECRET not in f"{caught.value} {caught.value.__context__!r}"


async def test_the_cache_of_origins_is_bounded(transport: AiohttpTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cleared when it is full."""
    monkeypatch.setattr("pollwise.http.transport._MAX_ORIGINS", 2)
    async with raw_server() as server:
        for number in range(1, 6):
            await transport.send(
                Request(URL(f"http://127.0.0.{number}:{server.port}/")) if number == 1 else ask(server)
            )
            transport._check_origin(URL(f"https://host-{number}.example/"))
            assert len(transport._checked_origins) <= 2


@pytest.mark.parametrize("value", [f"{SECRET}\r\nX: y", f"{SECRET}\n", f"{SECRET}\0"])
async def test_a_header_field_cannot_smuggle(transport: AiohttpTransport, value: str) -> None:
    """A line break in a value is not sent, and not shown."""
    async with raw_server() as server:
        with pytest.raises(ConfigurationError) as caught:
            await transport.send(ask(server, api_token=value))
        assert_no_secret(caught.value)
        assert server.requests == []
        assert held(transport) == (0, 0)


# --- size limits --------------------------------------------------------------------------------


async def test_a_body_of_the_limit_is_read_and_one_more_is_not() -> None:
    """The limit is the largest allowed size, for any framing."""
    async with AiohttpTransport(max_body=1_000) as transport:
        for size, fits in ((1_000, True), (1_001, False)):
            body = bytes(size)
            chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (size, body)
            for answer in (reply(body), chunked, reply(gzip.compress(body), "Content-Encoding: gzip")):
                async with raw_server(answer) as server:
                    if fits:
                        assert (await transport.send(ask(server))).body == body
                    else:
                        with pytest.raises(ReplyTooLarge) as caught:
                            await transport.send(ask(server))
                        assert caught.value.http_status == 200
                        assert "1000 bytes" in str(caught.value)


async def test_a_length_beyond_the_limit_is_not_waited_for(transport: AiohttpTransport) -> None:
    """Content-Length is sufficient, and the connection is closed."""
    async with raw_server(reply(b"x", length=1_048_577)) as server:
        with pytest.raises(ReplyTooLarge):
            await transport.send(ask(server))
        await server.lines[0].closed.wait()
        assert held(transport) == (0, 0)


async def test_an_endless_body_is_stopped(transport: AiohttpTransport) -> None:
    """The connection is closed at the limit."""

    def answer(line: Line) -> None:
        line.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

        def go_on() -> None:
            if not line.closed.is_set():
                if line.transport.get_write_buffer_size() < 1 << 20:
                    line.say(b"10000\r\n" + bytes(0x10000) + b"\r\n")
                asyncio.get_running_loop().call_soon(go_on)

        go_on()

    async with raw_server(answer) as server:
        with pytest.raises(ReplyTooLarge):
            await transport.send(ask(server))
        await server.lines[0].closed.wait()
        assert held(transport) == (0, 0)


async def test_a_gzip_bomb_is_refused(transport: AiohttpTransport) -> None:
    """A small compressed body of too large content raises `ReplyTooLarge`."""
    async with raw_server(reply(gzip.compress(bytes(50_000_000)), "Content-Encoding: gzip")) as server:
        with pytest.raises(ReplyTooLarge):
            await transport.send(ask(server))


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_a_body_that_cannot_be_decompressed_is_malformed(transport: AiohttpTransport, coding: str) -> None:
    """It is damaged, or in a coding that was not requested."""
    async with raw_server(reply(b"\x8b\x1f{}", f"Content-Encoding: {coding}")) as server:
        with pytest.raises(MalformedReply) as caught:
            await transport.send(ask(server))
        assert (caught.value.http_status, caught.value.content_type) == (200, "application/json")


@pytest.mark.parametrize(
    "answer",
    [
        reply(b"x", "Retry-After: 7", "Content-Encoding: br", status="429 Slow Down"),
        reply(b"x", "Retry-After: 7", "Content-Encoding: gzip", status="503 Busy"),
        reply(bytes(2_000), "Retry-After: 7", status="503 Busy"),
        reply(b"x", "Retry-After: 7", status="503 Busy", length=2_000),
        reply(gzip.compress(bytes(100_000)), "Retry-After: 7", "Content-Encoding: gzip", status="503 Busy"),
        reply(b"", "Retry-After: 7", "Transfer-Encoding: chunked", status="503 Busy").replace(
            b"Content-Length: 0\r\n", b""
        )
        + b"7d0\r\n"
        + bytes(2_000),
    ],
)
async def test_a_refusal_is_returned_without_an_unreadable_body(answer: bytes) -> None:
    """The status code and header fields of a refusal are sufficient."""
    async with raw_server(answer) as server, AiohttpTransport(max_body=1_000) as transport:
        found = await transport.send(ask(server))
        assert (found.status >= 400, found.body, found.headers["Retry-After"]) == (True, b"", "7")


# --- failures -------------------------------------------------------------------------------------


def assert_no_secret(error: BaseException) -> None:
    """Neither the error nor its cause and context show the secret."""
    seen: set[int] = set()
    chain: list[BaseException | None] = [error]
    while chain:
        link = chain.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            assert SECRET not in f"{link} {link!r} {vars(link)}"
            chain += [link.__cause__, link.__context__]


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("end", ["hang up", "reset"])
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Ty",
        reply(b"{}", length=100),
        CHUNKED + b"2\r\n{}\r\n",
        CHUNKED + b"20\r\n{}\r\n",
        CHUNKED + b"2\r\n{}\r\nzz\r\n",
        CHUNKED + b"-1\r\n{}\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        HEAD + b"Content-Length: abc\r\n\r\n{}",
        HEAD + b"Content-Length: -1\r\n\r\n{}",
        HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        HEAD + b"Content-Length: 99999999999999999999999999\r\n\r\n{}",
        HEAD + b"X: " + b"a" * 70_000 + b"\r\n\r\n{}",
        HEAD + b"X: a\r\n" * 1_000 + b"\r\n{}",
        HEAD + f"api_token : {SECRET}\r\n\r\n".encode(),
        f"HTTP/1.1 {SECRET}\r\n\r\n".encode(),
    ],
)
async def test_an_incomplete_reply_raises(transport: AiohttpTransport, answer: bytes, end: str) -> None:
    """Any break gives one of our errors, without a secret, and the connection is closed."""

    def misbehave(line: Line) -> None:
        line.say(answer)
        if end == "reset":
            line.reset()
        else:
            line.hang_up()

    async with raw_server(misbehave) as server:
        with pytest.raises(ConnectFailed) as caught:
            await transport.send(ask(server, api_token=SECRET))
        assert "\n" not in caught.value.detail
        assert 0 < len(caught.value.detail) < 200
        assert_no_secret(caught.value)
        assert held(transport) == (0, 0)
    async with raw_server() as server:
        assert (await transport.send(ask(server))).status == 200


async def test_a_connection_that_changes_its_protocol_is_closed(transport: AiohttpTransport) -> None:
    """101 was not requested, so the connection cannot be used again."""
    async with raw_server(b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nabc") as server:
        assert (await transport.send(ask(server))).status == 101
        assert held(transport) == (0, 0)


async def test_a_second_reply_is_not_the_reply_of_the_next_request(transport: AiohttpTransport) -> None:
    """After two replies to one request the connection is closed."""
    async with raw_server(reply(b"1") + reply(b"2")) as server:
        with contextlib.suppress(PollError):
            assert (await transport.send(ask(server))).body == b"1"
        server.answer = reply(b"3")
        assert (await transport.send(ask(server))).body == b"3"


async def test_a_refused_connection(transport: AiohttpTransport) -> None:
    """The error says where and why."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(ConnectFailed, match=f"cannot connect to 127.0.0.1:{port}: Connection refused") as caught:
        await transport.send(Request(URL(f"http://127.0.0.1:{port}/"), {"api_token": SECRET}))
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    assert_no_secret(caught.value)


async def test_an_unknown_name() -> None:
    """The error names the failed DNS lookup."""
    connector = aiohttp.TCPConnector(resolver=HouseResolver(knows=False))
    async with over(aiohttp.ClientSession(connector=connector)) as transport:
        with pytest.raises(ConnectFailed, match=r"api\.example:443: Name or service not known"):
            await transport.send(Request(URL("https://api.example/")))


async def test_an_invalid_host_name(transport: AiohttpTransport) -> None:
    """A too long label fails before the DNS lookup."""
    with pytest.raises(ConfigurationError):
        await transport.send(Request(URL(f"https://{'a' * 70}.example/")))


@pytest.mark.parametrize("end", STALE)
async def test_a_stale_connection_raises_and_nothing_is_sent_twice(
    either: AiohttpTransport, end: Callable[[Line], None]
) -> None:
    """A kept-alive connection that the server closed has its own error, and the caller retries."""
    async with raw_server() as server:
        await either.send(ask(server))
        server.answer = end
        with pytest.raises(StaleConnection) as caught:
            await either.send(ask(server, api_token=SECRET))
        assert_no_secret(caught.value)
        assert len(server.requests) == 2
        assert held(either) == (0, 0)
        server.answer = reply(b"again")
        assert (await either.send(ask(server))).body == b"again"
        assert len(server.requests) == 3


@pytest.mark.parametrize("end", STALE)
async def test_a_fresh_connection_is_never_stale(transport: AiohttpTransport, end: Callable[[Line], None]) -> None:
    """A new connection that is closed without a reply raises `ConnectFailed` each time."""
    async with raw_server(end) as server:
        for count in (1, 2, 3):
            with pytest.raises(ConnectFailed) as caught:
                await transport.send(ask(server))
            assert not isinstance(caught.value, StaleConnection)
            assert len(server.requests) == len(server.lines) == count


async def test_an_incomplete_reply_is_no_stale_connection(transport: AiohttpTransport) -> None:
    """The first byte of a reply shows that the server received the request."""

    def break_off(line: Line) -> None:
        line.say(b"HTTP/1.1 200 OK\r\nContent-Ty")
        line.hang_up()

    async with raw_server() as server:
        await transport.send(ask(server))
        server.answer = break_off
        with pytest.raises(ConnectFailed) as caught:
            await transport.send(ask(server))
        assert not isinstance(caught.value, StaleConnection)


async def test_each_task_knows_its_own_connections(transport: AiohttpTransport) -> None:
    """A connection that another task opens does not make a stale one fresh."""
    async with raw_server() as server, raw_server(lambda line: None) as silent:
        await transport.send(ask(server))
        server.answer = lambda line: None
        stale = asyncio.create_task(transport.send(ask(server)))
        await server.received(2)
        other = asyncio.create_task(transport.send(ask(silent)))
        await silent.received()
        server.lines[0].hang_up()
        silent.lines[0].hang_up()
        with pytest.raises(StaleConnection):
            await stale
        with pytest.raises(ConnectFailed) as caught:
            await other
        assert not isinstance(caught.value, StaleConnection)


@pytest.mark.parametrize("end", STALE)
async def test_a_post_is_sent_once(either: AiohttpTransport, end: Callable[[Line], None]) -> None:
    """A POST is never retried, and the error says that the server may have received it."""
    async with raw_server() as server:
        await either.send(ask(server))
        server.answer = end
        with pytest.raises(ConnectFailed, match="may or may not have received the POST") as caught:
            await either.send(Request(URL(server.url), {}, "POST", b"{}"))
        assert not isinstance(caught.value, StaleConnection)
        assert len(server.requests) == 2


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_no_method_is_retried(either: AiohttpTransport, method: str) -> None:
    """Each `send` is one request, although aiohttp would retry idempotent ones."""
    async with raw_server() as server:
        await either.send(ask(server))
        server.answer = Line.hang_up
        with pytest.raises(StaleConnection):
            await either.send(Request(URL(server.url), {}, method))
        assert len(server.requests) == 2


async def test_an_error_without_references_is_freed(either: AiohttpTransport) -> None:
    """Failed polls leave no reference cycles for the garbage collector, and no request in memory."""

    class Noted(dict[str, str]):
        """Header fields that can have weak references."""

    async with raw_server(Line.hang_up) as server:
        request = ask(server)
        request = Request(request.url, Noted())
        left = weakref.ref(request.headers)
        gc.disable()
        try:
            with contextlib.suppress(ConnectFailed):
                await either.send(request)
            del request
            assert left() is None
        finally:
            gc.enable()


# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def certified(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_a_trusted_certificate(authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    """`ssl` can trust a private certificate authority."""
    async with (
        raw_server(tls=certified(authority, "127.0.0.1")) as server,
        AiohttpTransport(ssl=trusting) as transport,
    ):
        for _ in range(2):
            assert (await transport.send(ask(server))).status == 200
        assert len(server.lines) == 1


async def test_an_unknown_authority(authority: trustme.CA, transport: AiohttpTransport) -> None:
    """A certificate of an unknown authority is refused, and nothing is sent."""
    async with raw_server(tls=certified(authority, "127.0.0.1")) as server:
        with pytest.raises(TlsFailed, match=r"unable to get local issuer|self-signed|self signed") as caught:
            await transport.send(ask(server, api_token=SECRET))
        assert server.requests == []
        assert_no_secret(caught.value)
        assert held(transport) == (0, 0)


async def test_another_host_s_certificate(authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    """A valid certificate for another host is refused."""
    async with (
        raw_server(tls=certified(authority, "other.example")) as server,
        AiohttpTransport(ssl=trusting) as transport,
    ):
        with pytest.raises(TlsFailed, match="IP address mismatch"):
            await transport.send(ask(server))
        assert server.requests == []


async def test_no_tls_at_all(transport: AiohttpTransport) -> None:
    """An https request to a server without TLS raises `TlsFailed`."""
    async with raw_server() as server:
        server.greeting = b"HTTP/1.1 400 Bad Request\r\n\r\n"
        with pytest.raises(TlsFailed):
            await transport.send(Request(URL(f"https://127.0.0.1:{server.port}/")))
        assert held(transport) == (0, 0)


async def test_a_stale_connection_under_tls(authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    """A kept-alive TLS connection that breaks is stale, not a TLS failure."""
    async with (
        raw_server(tls=certified(authority, "127.0.0.1")) as server,
        AiohttpTransport(ssl=trusting) as transport,
    ):
        for end in (Line.hang_up, lambda line: line.transport.abort()):
            server.answer = reply()
            await transport.send(ask(server))
            server.answer = end
            with pytest.raises(StaleConnection):
                await transport.send(ask(server))


async def test_a_pinned_certificate(authority: trustme.CA) -> None:
    """A caller's session may pin a certificate. Another one raises `TlsFailed`."""
    async with raw_server(tls=certified(authority, "127.0.0.1")) as server:
        connector = aiohttp.TCPConnector(ssl=aiohttp.Fingerprint(bytes(32)))
        async with over(aiohttp.ClientSession(connector=connector)) as transport:
            with pytest.raises(TlsFailed, match="pinned"):
                await transport.send(ask(server))


# --- cancelling and closing -----------------------------------------------------------------------


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n", reply(b"{", length=2), CHUNKED + b"2\r\n{}\r\n"])
async def test_a_cancelled_request_leaves_no_connection(transport: AiohttpTransport, said: bytes) -> None:
    """It may be cancelled before the header, in it, or in the body."""
    async with raw_server(said) as server:
        sending = asyncio.create_task(transport.send(ask(server)))
        await server.received()
        for _ in range(5):
            await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await server.lines[0].closed.wait()
        assert held(transport) == (0, 0)


async def test_a_cancel_at_every_step_leaves_nothing(transport: AiohttpTransport) -> None:
    """Cancelled after any number of loop iterations, no connection is in use."""
    async with raw_server() as server:
        for turns in range(25):
            sending = asyncio.create_task(transport.send(ask(server)))
            for _ in range(turns):
                await asyncio.sleep(0)
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending
            assert held(transport)[0] == 0


async def test_a_request_that_waits_for_a_connection_can_be_cancelled() -> None:
    """It leaves the queue of the connection pool."""
    async with raw_server(lambda line: None) as server, AiohttpTransport(connections=1) as transport:
        first = asyncio.create_task(transport.send(ask(server)))
        await server.received()
        second = asyncio.create_task(transport.send(ask(server)))
        third = asyncio.create_task(transport.send(ask(server)))
        await asyncio.sleep(0)
        second.cancel()
        server.lines[0].say(reply())
        await first
        await server.received(2)
        server.lines[0].say(reply())
        assert (await third).status == 200
        assert second.cancelled()


async def test_the_caller_s_time_limit_is_the_only_one(transport: AiohttpTransport) -> None:
    """`asyncio.timeout` around `send` cancels it, and raises TimeoutError in the caller."""
    async with raw_server(lambda line: None) as server:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.001):
                await transport.send(ask(server))
        assert not isinstance(caught.value, PollError)
        assert held(transport) == (0, 0)


async def test_closing_ends_requests_in_flight() -> None:
    """Requests in flight and later ones raise `WatcherClosed`."""
    transport = AiohttpTransport()
    async with raw_server(lambda line: None) as server:
        sending = asyncio.create_task(transport.send(ask(server)))
        await server.received()
        await transport.aclose()
        with pytest.raises(WatcherClosed):
            await sending
        with pytest.raises(WatcherClosed):
            await transport.send(ask(server))
        await transport.aclose()


# --- a session of the caller's ---------------------------------------------------------------------


async def test_a_caller_s_session_is_never_closed() -> None:
    """Only the transport is closed. The caller closes the session."""
    async with raw_server() as server, aiohttp.ClientSession() as session:
        async with AiohttpTransport(session) as transport:
            await transport.send(ask(server))
        with pytest.raises(WatcherClosed):
            await transport.send(ask(server))
        async with session.get(server.url) as response:
            assert response.status == 200


async def test_a_session_that_its_owner_closed_raises_watcher_closed() -> None:
    """A retry does not help, so it is not a failed poll."""
    session = aiohttp.ClientSession()
    transport = AiohttpTransport(session)
    await session.close()
    async with raw_server() as server:
        with pytest.raises(WatcherClosed):
            await transport.send(ask(server))


async def test_some_options_of_a_session_are_not_used() -> None:
    """`raise_for_status` and unlimited decompression are off, and Accept is ours."""
    session = aiohttp.ClientSession(
        raise_for_status=True, auto_decompress=True, headers={"User-Agent": "house/1", "Accept": "*/*", "X-Own": "1"}
    )
    async with over(session, max_body=1_000) as transport:
        async with raw_server(reply(b"{}", status="500 Oh")) as server:
            answer = await transport.send(ask(server, **ApiKeyAuth(SECRET).headers(0.0)))
            assert answer.status == 500
            received = server.requests[0]
            assert b"User-Agent: house/1\r\n" in received
            assert b"X-Own: 1\r\n" in received
            assert received.count(b"Accept: application/json\r\n") == received.count(b"Accept: ") == 1
            assert received.count(f"api_token: {SECRET}".encode()) == 1
        async with raw_server(reply(gzip.compress(bytes(100_000)), "Content-Encoding: gzip")) as server:
            with pytest.raises(ReplyTooLarge):
                await transport.send(ask(server))


@pytest.mark.looptime
async def test_a_session_s_time_out_is_not_used() -> None:
    """A session has a time-out of five minutes. The watcher decides how long a poll may take."""
    async with raw_server(lambda line: None) as server, over(aiohttp.ClientSession()) as transport:
        sending = asyncio.create_task(transport.send(ask(server)))
        await server.received()
        await asyncio.sleep(1_000)
        server.lines[0].say(reply())
        assert (await sending).status == 200


# --- invalid options ---------------------------------------------------------------------------------


async def test_invalid_options_are_refused(trusting: ssl.SSLContext) -> None:
    """The constructor refuses them, not the first request."""
    refused: list[dict[str, Any]] = [{"connections": 0}, {"max_body": 0}, {"ssl": False}]
    for options in refused:
        with pytest.raises(ConfigurationError):
            AiohttpTransport(**options)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ConfigurationError):
            AiohttpTransport(session, ssl=trusting)


def test_many_long_header_fields_are_left_out() -> None:
    """A short field behind them is kept."""
    from multidict import CIMultiDict  # noqa: PLC0415

    from pollwise.http._header_fields import within  # noqa: PLC0415

    fields = CIMultiDict([*((f"X-{n}", "x" * 60_000) for n in range(400)), ("Retry-After", "7")])
    kept = within(fields)
    assert kept["retry-after"] == "7"
    assert sum(map(len, kept.values())) <= 262_144


# --- not closed ---------------------------------------------------------------------------------


async def test_a_transport_that_was_not_closed() -> None:
    """It warns once, says what to do, and closes its connections. aiohttp reports nothing besides."""
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    async with raw_server() as server:
        transport = AiohttpTransport()
        await transport.send(ask(server))
        with pytest.warns(ResourceWarning, match="not closed: use `async with`, or `await aclose") as warned:  # noqa: PT031
            del transport
            gc.collect()
        await asyncio.sleep(0)
    assert len(warned) == 1
    assert reported == []


FORGETFUL = """
import asyncio
from pollwise import AiohttpTransport
async def main():
    transport = AiohttpTransport()
    transport._open()
    return transport
transport = asyncio.run(main())
del transport
"""


def test_a_transport_whose_loop_is_closed() -> None:
    """The warning comes also after the end of the event loop, and is the only line about it."""
    command = [sys.executable, "-W", "always::ResourceWarning", "-c", FORGETFUL]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 0
    assert done.stderr.count(": ResourceWarning: ") == 1
    assert "a JobWatcher or AiohttpTransport was not closed" in done.stderr
    assert "Unclosed" not in done.stderr
