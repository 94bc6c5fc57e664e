"""A server that names URLs of its own choice: in a `Location` that a cursor follows. On real sockets."""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import Any

import attrs
import pytest
import trustme
from yarl import URL

from pollwise import Abandoned, BearerAuth, JobWatcher, Pacing, Reading, Reply, Request, Retry, Succeeded
from pollwise.endpoints import Cursor, Endpoint
from pollwise.errors import PermissionDenied, UnsafeUrl
from pollwise.http import AiohttpTransport
from raw_server import RawServer, raw_server, reply
from toy import ToyAuth

pytestmark = pytest.mark.looptime

SECRET = "s3cr3t-s3cr3t-s3cr3t"
RESULT = reply(b'{"name": "orders.zip"}')


@attrs.frozen
class _Numbers:
    def job_to_keys(self, job: int, /) -> dict[str, str]:
        return {"id": str(job)}

    def job_from_keys(self, keys: Any, /) -> int:
        return int(keys["id"])

    def status_to_json(self, status: str, /) -> Any:
        return status

    def status_from_json(self, data: Any, /) -> str:
        return str(data)


class Exports(Endpoint[int, str]):
    """Follows whatever `Location` a 202 has, and has a key of its own in each request."""

    name = "exports"
    codec = _Numbers()

    def __init__(self, base_url: str, *, origins: tuple[str, ...] = (), auth: Any = None) -> None:
        self._base_url = base_url
        self.origins = origins
        self.auth = BearerAuth(SECRET) if auth is None else auth

    def request(self, job: int, /, cursor: Cursor = None) -> Request:
        url = URL(cursor) if isinstance(cursor, str) else URL(f"{self._base_url}/orders/{job}")
        return Request(url, {"X-Api-Key": "k3y-k3y-k3y", "Accept": "application/json"})

    def read(self, reply: Reply, /) -> Reading[str]:
        if reply.status == 202:
            return Reading.running("accepted", cursor=reply.headers["Location"])
        return Reading.succeeded(str(reply.json()["name"]))


def _accepted(location: str) -> bytes:
    return reply(b"", f"Location: {location}", status="202 Accepted")


def _sent(server: RawServer) -> list[str]:
    return [request.decode().lower() for request in server.requests]


async def _outcome(server: RawServer, **options: Any) -> Any:
    transport = options.pop("transport", None)
    watching: dict[str, Any] = {"timeout_s": 600.0, "pacing": Pacing.fixed(5.0), "retry": Retry(outage_s=30.0)}
    async with JobWatcher(Exports(server.url, **options), transport=transport, **watching) as watcher:
        return (await watcher.gather([7]))[0]


async def test_no_credential_goes_to_another_origin() -> None:
    """Neither that of the auth nor a field that is named like one. Another port is another origin."""
    async with raw_server(RESULT) as other, raw_server(_accepted(f"{other.url}/result?sig=abc")) as api:
        outcome = await _outcome(api)
        assert isinstance(outcome, Succeeded)
        assert "bearer" in _sent(api)[0]
        assert "x-api-key" in _sent(api)[0]
        (request,) = _sent(other)
        assert request.startswith("get /result?sig=abc ")
        assert "authorization" not in request
        assert "k3y" not in request
        assert "accept: application/json" in request


async def test_credentials_go_to_the_origins_that_the_endpoint_lists() -> None:
    """The author of the endpoint trusts them."""
    async with raw_server(RESULT) as other, raw_server(_accepted(f"{other.url}/result")) as api:
        assert isinstance(await _outcome(api, origins=(other.url,)), Succeeded)
        assert f"authorization: bearer {SECRET}" in _sent(other)[0]
        assert "x-api-key" in _sent(other)[0]


async def test_credentials_go_to_another_path_of_the_same_origin() -> None:
    """Its server gets them anyhow."""
    async with raw_server() as api:
        answers = [_accepted(f"{api.url}/monitor"), RESULT]
        api.answer = lambda line: line.say(answers.pop(0))
        assert isinstance(await _outcome(api), Succeeded)
        assert "authorization" in _sent(api)[1]


async def test_a_bare_request_is_followed_by_full_ones_again() -> None:
    """Back at its own origin, the job is asked with the credentials."""
    async with raw_server() as other, raw_server() as api:
        answers = [_accepted(f"{other.url}/a"), RESULT]
        api.answer = lambda line: line.say(answers.pop(0))
        other.answer = _accepted(f"{api.url}/b")
        assert isinstance(await _outcome(api), Succeeded)
        assert ["authorization" in request for request in _sent(api)] == [True, True]
        assert ["authorization" in request for request in _sent(other)] == [False]


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("file:///etc/passwd", "no absolute http or https URL"),
        ("ftp://127.0.0.1/x", "no absolute http or https URL"),
        ("/relative", "no absolute http or https URL"),
        ("http://169.254.169.254/latest/meta-data", "a link-local address"),
        ("http://10.0.0.1/admin", "a private address"),
        ("http://[fd00::1]/", "a private address"),
        ("http://0.0.0.0:{port}/", "an? unspecified address"),
        ("http://[::ffff:10.0.0.1]/", "a private address"),
        ("http://me:pw@127.0.0.1:{port}/", "a user name or a password"),
        ("http://127.0.0.1:{port}/\x00", "control characters"),
        ("http://127.0.0.1:{port}/\r\nX-Api-Key: 1", "control characters"),
    ],
    ids=range(11),
)
async def test_a_url_that_must_not_be_asked_ends_the_watch(location: str, reason: str) -> None:
    """With a typed error that says why; nothing is sent, and the server is asked no more."""
    async with raw_server() as other, raw_server() as api:

        class Told(Exports):
            def read(self, reply: Reply, /) -> Reading[str]:
                return Reading.running("x", cursor=location.format(port=other.port))

        async with JobWatcher(Told(api.url), timeout_s=600.0) as watcher:
            outcome = (await watcher.gather([7]))[0]
        assert isinstance(outcome, Abandoned)
        assert isinstance(outcome.error, UnsafeUrl)
        assert re.search(reason, str(outcome.error))
        assert "meta-data" not in str(outcome.error)
        assert (len(api.requests), other.requests) == (1, [])


async def test_https_does_not_lead_to_http() -> None:
    """Whoever is on the way would see what the server hid from them."""
    ca = trustme.CA()
    server_tls, client_tls = _contexts(ca)
    async with raw_server(RESULT) as other, raw_server(_accepted(f"{other.url}/x"), tls=server_tls) as api:
        async with AiohttpTransport(ssl=client_tls) as transport:
            outcome = await _outcome(api, transport=transport)
        assert isinstance(outcome, Abandoned)
        assert isinstance(outcome.error, UnsafeUrl)
        assert "plain http" in str(outcome.error)
        assert other.requests == []


def _contexts(ca: trustme.CA) -> tuple[Any, Any]:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    ca.configure_trust(client)
    return server, client


async def test_a_redirect_that_repeats_the_credential_leaks_nothing() -> None:
    """It is masked in the cursor, so the other server does not get it back."""
    async with raw_server(RESULT) as other, raw_server(_accepted(f"{other.url}/r?token={SECRET}")) as api:
        outcome = await _outcome(api)
        assert isinstance(outcome, Succeeded)
        assert SECRET not in _sent(other)[0]
        assert "/r?token=***" in _sent(other)[0]


async def test_another_server_that_asks_for_credentials_gets_none() -> None:
    """Its 401 renews nothing: those credentials were not sent to it."""
    auth = ToyAuth()
    refused = reply(b"{}", "WWW-Authenticate: Bearer", status="401 Unauthorized")
    async with raw_server(refused) as other, raw_server(_accepted(f"{other.url}/result")) as api:
        outcome = await _outcome(api, auth=auth)
        assert isinstance(outcome, Abandoned)
        assert isinstance(outcome.error, PermissionDenied)
        assert auth.renewals == 0
        assert len(other.requests) == 1


async def test_a_token_from_outside_cannot_send_credentials_elsewhere() -> None:
    """A cursor in a token is a URL from outside as well."""
    async with raw_server() as api, raw_server(RESULT) as other:
        endpoint = Exports(api.url)
        api.answer = _accepted(f"{other.url}/stolen")
        async with JobWatcher(endpoint, timeout_s=600.0, pacing=Pacing.fixed(60.0)) as watcher:
            watch = watcher.watch(7)
            await asyncio.sleep(1.0)
            token = watch.resume_token
        async with JobWatcher(endpoint, timeout_s=600.0) as watcher:
            assert await watcher.watch_from_token(token) == "orders.zip"
        assert "authorization" not in _sent(other)[0]


class Named(Exports):
    """A server named the URL of the job itself."""

    server_named_urls = True

    def __init__(self, base_url: str, *, url: str, **options: Any) -> None:
        super().__init__(base_url, **options)
        self.fixed_origin = base_url
        self._url = url

    def request(self, job: int, /, cursor: Cursor = None) -> Request:
        return Request(URL(cursor if isinstance(cursor, str) else self._url), {"X-Api-Key": "k3y-k3y-k3y"})


async def test_a_first_url_that_a_server_named_has_the_same_rules() -> None:
    """At another origin it gets no credentials, not even with its first request."""
    async with raw_server() as api, raw_server(RESULT) as other:
        for origins in ((), (other.url,)):
            endpoint = Named(api.url, url=f"{other.url}/jobs/7", origins=origins)
            async with JobWatcher(endpoint, timeout_s=60.0) as watcher:
                assert await watcher.watch(7) == "orders.zip"
        assert ["authorization" in sent for sent in _sent(other)] == [False, True]
        assert ["x-api-key" in sent for sent in _sent(other)] == [False, True]


async def test_a_signature_in_a_first_url_is_the_servers_own() -> None:
    """A reply that names that URL again is followed as it is. Masked, it would lead nowhere."""
    async with raw_server() as api:
        url = f"{api.url}/jobs/7?code=s1gnature-of-the-url"
        left = [_accepted(url), RESULT]
        api.answer = lambda line: line.say(left.pop(0))
        endpoint = Named(api.url, url=url)
        async with JobWatcher(endpoint, timeout_s=60.0, pacing=Pacing.fixed(5.0)) as watcher:
            assert await watcher.watch(7) == "orders.zip"
        assert ["?code=s1gnature-of-the-url" in sent for sent in _sent(api)] == [True, True]
