"""Requests to other servers than the API's: their connections, and the addresses that they may go to. On real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from pollwise.core.addresses import AddressKind
from pollwise.errors import ConfigurationError, ConnectFailed, InsecureUrl, UnsafeUrl, WatcherClosed
from pollwise.http.foreign import ForeignRequests, GuardedResolver
from pollwise.http.proxies import Proxies, Proxy
from pollwise.http.transport import AiohttpTransport
from pollwise.model.messages import Reply, Request
from raw_server import RawServer, raw_server, reply

PUBLIC = "93.184.216.34"


class Names(AbstractResolver):
    """Resolves the names that a test gives it, and notes which were asked for."""

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        self.names = dict(names)
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked.append(host)
        if host not in self.names:
            raise OSError(None, "no such name")
        family = socket.AF_INET
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self.names[host]
        ]

    async def close(self) -> None:
        pass


def _transport(names: Mapping[str, Sequence[str]], session: aiohttp.ClientSession | None = None) -> AiohttpTransport:
    transport = AiohttpTransport(session, allow_plain_http=True)
    transport._resolver = Names(names)
    return transport


def _request(url: str, first_host: str, **headers: str) -> Request:
    return Request(URL(url), headers, first_host=first_host)


def _fields(request: bytes) -> set[str]:
    return {line.split(b":")[0].decode().lower() for line in request.split(b"\r\n")[1:] if line}


async def test_a_name_that_leads_to_a_private_address_is_refused() -> None:
    """Before a connection is opened. The error has the name and the kind of the address."""
    async with raw_server() as server, _transport({"evil.example": ["127.0.0.1"]}) as transport:
        with pytest.raises(UnsafeUrl, match="it resolves to a loopback address") as caught:
            await transport.send(_request(f"http://evil.example:{server.port}/?q=s3cr3t", PUBLIC))
        assert caught.value.host == "evil.example"
        assert "s3cr3t" not in str(caught.value)
        assert server.lines == []


async def test_one_private_address_among_public_ones_is_enough() -> None:
    """No connection is tried to any of them."""
    async with raw_server() as server, _transport({"evil.example": [PUBLIC, "127.0.0.1"]}) as transport:
        with pytest.raises(UnsafeUrl):
            await transport.send(_request(f"http://evil.example:{server.port}/", PUBLIC))
        assert server.lines == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_literal_address_is_looked_at_too(host: str) -> None:
    """Where the job's own URL has a name that is at public addresses."""
    async with raw_server() as server, _transport({"api.example": [PUBLIC]}) as transport:
        with pytest.raises(UnsafeUrl, match="it is at a loopback address, and the job's own URL is not"):
            await transport.send(_request(f"http://{host}:{server.port}/", "api.example"))
        assert server.lines == []


@pytest.mark.parametrize("number", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1"])
async def test_a_number_that_the_system_takes_as_an_address_is_no_way_round(number: str) -> None:
    """Aiohttp refuses it, or the system's own resolver is asked and its answer is looked at."""
    async with raw_server() as server, AiohttpTransport(allow_plain_http=True) as transport:
        with pytest.raises((UnsafeUrl, ConnectFailed, ConfigurationError)):
            await transport.send(_request(f"http://{number}:{server.port}/", PUBLIC))
        assert server.lines == []


@pytest.mark.parametrize("first", ["127.0.0.1", "localhost", "api.example"])
async def test_a_private_job_may_lead_to_its_own_kind_by_name(first: str) -> None:
    """The host of its own URL is resolved to know its kind."""
    names = {"api.example": ["127.0.0.9"], "other.example": ["127.0.0.1"], "corp.example": ["10.0.0.1"]}
    async with raw_server() as server, _transport(names) as transport:
        found = await transport.send(_request(f"http://other.example:{server.port}/", first))
        assert found.status == 200
        with pytest.raises(UnsafeUrl, match="it resolves to a private address"):
            await transport.send(_request("http://corp.example/", first))


async def test_a_host_that_cannot_be_resolved_allows_public_addresses_alone() -> None:
    """Nothing is known of it."""
    async with raw_server() as server, _transport({"other.example": ["127.0.0.1"]}) as transport:
        with pytest.raises(UnsafeUrl):
            await transport.send(_request(f"http://other.example:{server.port}/", "gone.example"))


async def test_a_job_without_a_host_allows_public_addresses_alone() -> None:
    """The system's resolver takes an empty name as this machine."""
    async with raw_server() as server, AiohttpTransport() as transport:
        with pytest.raises(UnsafeUrl, match="a loopback address"):
            await transport.send(_request(server.url, ""))
        assert server.lines == []


@pytest.mark.looptime
async def test_where_a_job_is_is_known_for_a_minute() -> None:
    """Its name is not resolved for each request."""
    async with raw_server() as server, _transport({"api.example": ["127.0.0.1"]}) as transport:
        names = transport._resolver
        assert isinstance(names, Names)
        for _ in range(5):
            await transport.send(_request(server.url, "api.example"))
        assert names.asked == ["api.example"]
        await asyncio.sleep(61.0)
        await transport.send(_request(server.url, "api.example"))
        assert names.asked == ["api.example"] * 2


class Sent:
    """A transport that answers each request at once."""

    def __init__(self, resolver: AbstractResolver) -> None:
        self.resolver = resolver
        self.requests: list[Request] = []
        self.closed = 0

    async def send(self, request: Request, /) -> Reply:
        self.requests.append(request)
        return Reply(200, {}, b"", request)

    async def aclose(self) -> None:
        self.closed += 1


@pytest.mark.looptime
@pytest.mark.parametrize("at_s", [0.0, 0.5, 7.0])
async def test_a_name_is_resolved_again_after_exactly_a_minute(at_s: float) -> None:
    """Whenever it was resolved first, and also if it could not be."""
    for names in ({"api.example": ["127.0.0.1"]}, {}):
        resolver = Names(names)
        requests = ForeignRequests(Sent, resolver)
        for wait_s, asked in ((at_s, 1), (59.75, 1), (0.25, 2), (59.75, 2), (0.25, 3)):
            await asyncio.sleep(wait_s)
            await requests.send(_request("https://8.8.8.8/", "api.example"))
            assert len(resolver.asked) == asked


@pytest.mark.looptime
async def test_a_thousand_hosts_of_jobs_are_known_at_once() -> None:
    """One more, and all are forgotten, so the memory has a bound."""
    resolver = Names({})
    requests = ForeignRequests(Sent, resolver)
    hosts = [f"{n}.example" for n in range(1_000)]
    for host in [*hosts, *hosts]:
        await requests.send(_request("https://8.8.8.8/", host))
    assert resolver.asked == hosts
    await requests.send(_request("https://8.8.8.8/", "more.example"))
    await requests.send(_request("https://8.8.8.8/", "more.example"))
    await requests.send(_request("https://8.8.8.8/", "0.example"))
    assert resolver.asked == [*hosts, "more.example", "0.example"]


async def test_no_name_is_resolved_for_a_job_without_a_host() -> None:
    """There is none to ask about."""
    resolver = Names({})
    await ForeignRequests(Sent, resolver).send(_request("https://8.8.8.8/", ""))
    assert resolver.asked == []


async def test_jobs_at_the_same_kind_of_address_share_connections() -> None:
    """Each kind has its own, and all are closed at the end, once."""
    made: list[Sent] = []

    def make(resolver: AbstractResolver) -> Sent:
        made.append(Sent(resolver))
        return made[-1]

    requests = ForeignRequests(make, Names({"api.example": ["10.0.0.1"]}))
    for first in ("10.0.0.2", "api.example", "8.8.8.8", "127.0.0.1", "gone.example", "10.0.0.3"):
        sent = _request("https://9.9.9.9/a", first, Accept="text/html")
        assert (await requests.send(sent)).request == sent
    assert [len(one.requests) for one in made] == [3, 2, 1]
    assert all(request.first_host is None for one in made for request in one.requests)
    for _ in range(2):
        await requests.aclose()
    assert [one.closed for one in made] == [1, 1, 1]


@pytest.mark.parametrize(
    ("host", "kind"), [("10.0.0.1", "private"), ("169.254.169.254", "link-local"), ("[::1]", "loopback")]
)
async def test_the_error_names_the_host_and_the_kind_of_its_address(host: str, kind: str) -> None:
    """Nothing is sent."""
    requests = ForeignRequests(Sent, Names({}))
    with pytest.raises(UnsafeUrl, match=f"it is at a {kind} address, and the job's own URL is not") as caught:
        await requests.send(_request(f"https://{host}/", "api.example"))
    assert caught.value.host == host.strip("[]")


class Never(Sent):
    """A transport that must not be used."""

    async def send(self, request: Request, /) -> Reply:
        raise AssertionError(request)


@pytest.mark.parametrize(
    ("host", "first", "why"),
    [
        ("files.example", "8.8.8.8", None),
        ("inner.example", "8.8.8.8", "resolves to a private address"),
        ("gone.example", "8.8.8.8", None),
        ("inner.example", "10.0.0.1", None),
        ("wiki", "8.8.8.8", "a name of a private network"),
        ("wiki", "api", None),
        ("a.internal", "10.0.0.1", None),
        ("a.internal.", "api.example", "a name of a private network"),
        ("10.0.0.1", "8.8.8.8", "is at a private address"),
    ],
)
async def test_what_a_proxy_may_be_asked_for(host: str, first: str, why: str | None) -> None:
    """It resolves the name, so what is private here, or can be known in a private network alone, is refused."""
    names = Names({"files.example": [PUBLIC], "inner.example": ["10.0.0.1"]})
    through: list[Sent] = []

    def made(proxy: Proxy) -> Sent:
        assert proxy.url == URL("http://p:1")
        through.append(Sent(names))
        return through[-1]

    requests = ForeignRequests(Never, names, proxies=Proxies("http://p:1"), through=made)
    if why is not None:
        with pytest.raises(UnsafeUrl, match=why):
            await requests.send(_request(f"https://{host}/", first))
        assert through == []
        return
    for _ in range(2):
        await requests.send(_request(f"https://{host}/", first))
    assert [len(one.requests) for one in through] == [2]
    await requests.aclose()
    assert through[0].closed == 1


async def test_what_needs_no_proxy_is_looked_at_as_before() -> None:
    """This machine, and what the environment leaves out, is asked without one: the address decides."""
    requests = ForeignRequests(Sent, Names({}), proxies=Proxies("http://p:1"), through=Never)  # type: ignore[arg-type]
    await requests.send(_request("https://127.0.0.1/", "127.0.0.2"))
    with pytest.raises(UnsafeUrl, match="is at a loopback address"):
        await requests.send(_request("https://127.0.0.1/", "8.8.8.8"))


async def test_a_connection_resolves_for_its_own_port_and_family() -> None:
    """What is asked for is passed on, and so is the answer."""
    asked: list[tuple[str, int, socket.AddressFamily]] = []

    class Noting(Names):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            asked.append((host, port, family))
            return await super().resolve(host, port, family)

    guarded = GuardedResolver(Noting({"a.example": [PUBLIC, "8.8.8.8"]}), ())
    found = await guarded.resolve("a.example", 443, socket.AF_INET6)
    assert [(one["host"], one["port"]) for one in found] == [(PUBLIC, 443), ("8.8.8.8", 443)]
    await guarded.resolve("a.example")
    assert asked == [("a.example", 443, socket.AF_INET6), ("a.example", 0, socket.AF_UNSPEC)]


async def test_a_connection_of_one_job_does_not_serve_another() -> None:
    """A connection to a private address that a private job may use is closed to a public one."""
    async with raw_server() as server, _transport({"other.example": ["127.0.0.1"]}) as transport:
        await transport.send(Request(URL(server.url)))
        await transport.send(_request(f"http://other.example:{server.port}/", "127.0.0.1"))
        with pytest.raises(UnsafeUrl):
            await transport.send(_request(f"http://other.example:{server.port}/", PUBLIC))
        with pytest.raises(UnsafeUrl):
            await transport.send(_request(server.url, PUBLIC))
        assert len(server.requests) == 2


async def test_nothing_of_the_callers_session_goes_to_another_server() -> None:
    """Neither its header fields and its cookies nor its connections."""
    session = aiohttp.ClientSession(
        headers={"X-Api-Key": "s3cr3t", "X-Team": "a", "Authorization": "Basic bWU6cHc="}, cookies={"sid": "s3cr3t"}
    )
    async with session, raw_server() as api, raw_server() as other, AiohttpTransport(session) as transport:
        session.cookie_jar.update_cookies({"sid": "s3cr3t"}, URL(other.url))
        await transport.send(Request(URL(api.url)))
        await transport.send(_request(other.url, "127.0.0.1"))
        await transport.send(_request(other.url, "127.0.0.1"))
    assert {"x-api-key", "authorization"} <= _fields(api.requests[0])
    for request in other.requests:
        assert _fields(request) == {"host", "accept", "accept-encoding", "cache-control", "user-agent"}
    assert len(other.lines) == 1  # it is kept alive


async def test_a_cookie_of_another_server_is_not_sent_back() -> None:
    """As everywhere."""
    async with raw_server(reply(b"{}", "Set-Cookie: a=b")) as server, AiohttpTransport() as transport:
        for _ in range(2):
            await transport.send(_request(server.url, "127.0.0.1"))
        assert "cookie" not in _fields(server.requests[1])


async def test_the_reply_of_another_server_has_the_same_limits() -> None:
    """The size of its body, and no redirect is followed."""
    redirect = reply(b"", "Location: /elsewhere", status="302 Found")
    async with raw_server(redirect) as server, AiohttpTransport(max_body=100) as transport:
        found = await transport.send(_request(server.url, "127.0.0.1"))
        assert (found.status, len(server.requests)) == (302, 1)
        assert found.request is not None
        assert found.request.first_host == "127.0.0.1"
        server.answer = reply(b"x" * 101)
        with pytest.raises(Exception, match="more than 100 bytes"):
            await transport.send(_request(server.url, "127.0.0.1"))


async def test_plain_http_to_another_machine_needs_its_option_here_too() -> None:
    """Nothing is sent, and no name is resolved."""
    async with AiohttpTransport() as transport:
        transport._resolver = names = Names({"other.example": [PUBLIC]})
        with pytest.raises(InsecureUrl):
            await transport.send(_request("http://other.example/", "127.0.0.1"))
        assert names.asked == []


async def test_closing_the_transport_closes_these_connections() -> None:
    """And later requests are refused."""

    async def gone(server: RawServer) -> None:
        await asyncio.wait_for(server.lines[0].closed.wait(), 10.0)

    async with raw_server() as server:
        transport = AiohttpTransport()
        await transport.send(_request(server.url, "127.0.0.1"))
        await transport.aclose()
        await gone(server)
        with pytest.raises(WatcherClosed):
            await transport.send(_request(server.url, "127.0.0.1"))


async def test_a_resolver_that_guards_leaves_the_other_open() -> None:
    """It is shared."""
    names = Names({"a.example": [PUBLIC]})
    guarded = GuardedResolver(names, {AddressKind.LOOPBACK})
    await guarded.close()
    assert [found["host"] for found in await guarded.resolve("a.example", 443)] == [PUBLIC]
