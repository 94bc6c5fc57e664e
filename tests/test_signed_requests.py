"""Requests that are signed, against a server on a real socket that verifies each signature."""

from __future__ import annotations

import asyncio
import hmac
import re
import time
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any

import attrs
import pytest
from yarl import URL

from pollwise import Abandoned, ConfigurationError, JobWatcher, Pacing, Reading, Reply, Request
from pollwise.endpoints import Cursor, Endpoint, ResultPage
from pollwise.errors import AuthenticationError, ClockSkewed, EndpointBug, PermissionDenied, SubmitDoubtful
from pollwise.http import SigningAuth, Transport
from raw_server import Line, RawServer, raw_server, reply

pytestmark = pytest.mark.looptime

KEY = b"k3y-k3y-k3y-k3y"


def signature_of(method: str, target: str, body: bytes, number: str) -> str:
    return hmac.new(KEY, f"{method} {target} {number} ".encode() + body, "sha256").hexdigest()


class HmacAuth(SigningAuth):
    """Signs method, target, body, and a number that no request may have twice."""

    def __init__(self) -> None:
        self.count = 0

    def sign(self, request: Request, /) -> Request:
        self.count += 1
        number = f"n-{self.count}"
        signature = signature_of(request.method, request.url.raw_path_qs, request.body or b"", number)
        return attrs.evolve(request, headers={**request.headers, "X-Number": number, "X-Signature": signature})


@attrs.frozen
class Export:
    id: str = "7"


class Exports(Endpoint[Export, str]):
    """`POST /poll` with the ID, `GET /rows?page=` for the result, `DELETE /ID` to cancel."""

    name = "exports"

    def __init__(self, base_url: str, auth: Any, *, rows: str | None = None) -> None:
        self._base = URL(base_url)
        self.auth = auth
        self._rows = self._base / "rows" if rows is None else URL(rows)

    def request(self, job: Export, /) -> Request:
        return Request(self._base / "poll", {"Content-Type": "text/plain"}, "POST", job.id.encode())

    def read(self, reply: Reply, /) -> Reading[str]:
        state = str(reply.json()["state"])
        return Reading.succeeded(state) if state == "done" else Reading.running(state)

    def result_request(self, job: Export, status: str, /, cursor: Cursor = None) -> Request:
        return Request(self._rows.with_query(page=str(cursor or 1)))

    def read_result(self, reply: Reply, /, cursor: Cursor = None) -> ResultPage[list[str]]:
        data = reply.json()
        return ResultPage([str(data["row"])], data["next"])

    def cancel_request(self, job: Export, status: str | None, /) -> Request:
        return Request(self._base / job.id, method="DELETE")


class OneFile(Exports):
    """Its result is one file."""

    def result_request(self, _job: Export, _status: str, /) -> Request:  # type: ignore[override]
        return Request(self._rows)


class Verifier:
    """Refuses a request whose signature is wrong or was used before, with 403 and what it got."""

    def __init__(self, *states: bytes, skew_s: float = 0.0) -> None:
        self.states = list(states) or [b"running", b"done"]
        self.skew_s = skew_s
        self.server: RawServer
        self.numbers: list[str] = []
        self.refused = 0

    def __call__(self, line: Line) -> None:
        head, _, body = self.server.requests[-1].partition(b"\r\n\r\n")
        method, target, _ = head.decode().split("\r\n")[0].split(" ")
        given = dict(re.findall(r"(?im)^(x-[a-z]+): (.*?)\r?$", head.decode()))
        number, signature = given.get("X-Number", ""), given.get("X-Signature", "")
        if signature != signature_of(method, target, body, number) or number in self.numbers or self.skew_s:
            self.refused += 1
            date = formatdate(time.time() + self.skew_s, usegmt=True)
            line.say(reply(b'{"got": "%s"}' % signature.encode(), f"Date: {date}", status="403 Forbidden"))
            return
        self.numbers.append(number)
        if method == "POST":
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            line.say(reply(b'{"state": "%s", "got": "%s"}' % (state, signature.encode())))
        else:
            line.say(reply(b'{"row": "%s", "next": %s}' % (target.encode(), b"2" if "page=1" in target else b"null")))


class _Running:
    def __init__(self, verifier: Verifier, auth: Any = None, **options: Any) -> None:
        self._verifier, self._auth, self._rows = verifier, auth or HmacAuth(), options.pop("rows", None)
        self._options: dict[str, Any] = {"timeout_s": 600.0, "pacing": Pacing.fixed(5.0), **options}

    async def __aenter__(self) -> JobWatcher[Export, str, list[str]]:
        self._serving = raw_server(self._verifier)
        self._verifier.server = server = await self._serving.__aenter__()
        self._watcher = JobWatcher(Exports(server.url, self._auth, rows=self._rows), **self._options)
        return await self._watcher.__aenter__()

    async def __aexit__(self, *exc_info: object) -> None:
        await self._watcher.__aexit__(*exc_info)
        await self._serving.__aexit__(*exc_info)


async def test_each_poll_is_signed_anew() -> None:
    """The server takes no signature twice."""
    verifier = Verifier(b"running", b"working", b"done")
    async with _Running(verifier) as watcher:
        assert await watcher.watch(Export()) == "done"
    assert verifier.numbers == ["n-1", "n-2", "n-3"]
    assert verifier.refused == 0


async def test_a_retry_is_signed_anew() -> None:
    """Also the poll that is sent again because its connection was closed."""
    verifier = Verifier(b"done")
    calls = 0

    def first_hangs_up(line: Line) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            line.hang_up()
        else:
            verifier(line)

    async with raw_server(first_hangs_up) as server:
        verifier.server = server
        async with JobWatcher(Exports(server.url, HmacAuth()), timeout_s=600.0) as watcher:
            assert await watcher.watch(Export()) == "done"
    assert verifier.numbers == ["n-2"]


async def test_results_and_cancels_are_signed() -> None:
    """Each page of a result has its own signature."""
    verifier = Verifier()
    async with _Running(verifier) as watcher:
        watch = watcher.watch(Export())
        assert await watch.cancel() is True
        assert await watch.result() == ["/rows?page=1", "/rows?page=2"]
    assert verifier.refused == 0
    assert len(verifier.numbers) == 5


async def test_a_saved_result_is_signed(tmp_path: Path) -> None:
    """The stream to a file goes the same road."""
    verifier = Verifier(b"done")
    async with (
        raw_server(verifier) as verifier.server,
        JobWatcher(OneFile(verifier.server.url, HmacAuth()), timeout_s=600.0) as watcher,
    ):
        await watcher.watch(Export()).save_result(tmp_path / "rows", max_bytes=1_000)
    assert b'"/rows"' in (tmp_path / "rows").read_bytes()
    assert verifier.refused == 0


async def test_a_result_at_another_origin_gets_no_signature() -> None:
    """The link came from a server."""
    async with raw_server(reply(b'{"row": "r", "next": null}')) as other:
        async with _Running(Verifier(b"done"), rows=f"{other.url}/rows") as watcher:
            assert await watcher.watch(Export()).result() == ["r"]
        assert b"x-signature" not in other.requests[0].lower()


async def test_a_refusal_of_another_server_says_nothing_of_the_clock() -> None:
    """Its request had no signature, whatever its `Date` is."""
    refused = reply(b"", "Date: Mon, 01 Jan 2024 00:00:00 GMT", status="403 Forbidden")
    async with raw_server(refused) as other, _Running(Verifier(b"done"), rows=f"{other.url}/rows") as watcher:
        with pytest.raises(PermissionDenied):
            await watcher.watch(Export()).result()


async def test_a_refused_signature_is_shown_nowhere() -> None:
    """The server repeats it in its refusal."""
    verifier = Verifier()
    verifier.numbers.append("n-1")
    async with _Running(verifier) as watcher:
        outcome = [event async for event in watcher.watch(Export())][-1]
    assert isinstance(outcome, Abandoned)
    assert isinstance(outcome.error, PermissionDenied)
    assert signature_of("POST", "/poll", b"7", "n-1") not in f"{outcome!r} {outcome.error}"


@pytest.mark.parametrize(("skew_s", "side"), [(3_600.0, "behind"), (-3_600.0, "ahead of")])
async def test_a_wrong_clock_is_named(skew_s: float, side: str) -> None:
    """The error says how far, and to which side."""
    async with _Running(Verifier(skew_s=skew_s)) as watcher:
        outcome = [event async for event in watcher.watch(Export())][-1]
    assert isinstance(outcome, Abandoned)
    assert isinstance(outcome.error, ClockSkewed)
    assert abs(outcome.error.ahead_s + skew_s) < 5.0
    assert f"s {side} the server's. Set the clock." in str(outcome.error)


async def test_a_small_difference_of_clocks_is_no_reason() -> None:
    """Vendors allow five minutes."""
    async with _Running(Verifier(skew_s=100.0)) as watcher:
        outcome = [event async for event in watcher.watch(Export())][-1]
    assert isinstance(outcome, Abandoned)
    assert isinstance(outcome.error, PermissionDenied)


class Renewed(HmacAuth):
    """Asks another server for the ID of its key."""

    def __init__(self, keys: str, *, fresh: bool) -> None:
        super().__init__()
        self._keys = URL(keys)
        self._known: Mapping[str, str] | None = {"X-Key": "1"} if fresh else None

    def headers(self, _now: float, /) -> Mapping[str, str] | None:  # type: ignore[override]  # None: to be renewed first
        return self._known

    async def renew(self, via: Transport, _now: float, _stale: Mapping[str, str] | None, /) -> None:
        await via.send(Request(self._keys))
        self._known = {"X-Key": "2"}


@pytest.mark.parametrize("fresh", [False, True], ids=["before the first poll", "after a 401"])
async def test_a_renewal_is_not_signed(fresh: bool) -> None:
    """Its request goes to a server that is not the API's, and that could use the signature."""
    answers = [reply(b"", status="401 Unauthorized")] * fresh + [reply(b'{"state": "done"}')]
    async with raw_server(reply(b"{}")) as other, raw_server(lambda line: line.say(answers.pop(0))) as server:
        auth = Renewed(other.url, fresh=fresh)
        async with JobWatcher(Exports(server.url, auth), timeout_s=600.0) as watcher:
            assert await watcher.watch(Export()) == "done"
        assert len(other.requests) == 1
        assert b"x-signature" not in other.requests[0].lower()
        assert all(b"x-signature" in request.lower() for request in server.requests)


class Startable(Exports):
    """`POST /start`, whose reply names no job here."""

    def submit_request(self, order: str, key: str, /) -> Request:
        return Request(self._base / "start", method="POST", body=order.encode())

    def read_submitted(self, order: str, reply: Reply, /) -> Export:
        raise reply.malformed("no job")


async def test_a_wrong_clock_hides_no_job_that_was_started() -> None:
    """A 303 says that the start was done, so the signature was right."""
    done = reply(b"", "Date: Mon, 01 Jan 2024 00:00:00 GMT", "Location: /7", status="303 See Other")
    async with (
        raw_server(done) as server,
        JobWatcher(Startable(server.url, HmacAuth()), timeout_s=600.0) as watcher,
    ):
        with pytest.raises(SubmitDoubtful):
            await watcher.submit("print")


class Failing(HmacAuth):
    """Signs only the first request."""

    def sign(self, request: Request, /) -> Request:
        if self.count:
            raise KeyError("no key")
        return super().sign(request)


async def test_a_signature_that_fails_ends_the_watch_as_abandoned() -> None:
    """Nothing is sent without a signature."""
    verifier = Verifier(b"running")
    async with _Running(verifier, Failing()) as watcher:
        outcome = [event async for event in watcher.watch(Export())][-1]
    assert isinstance(outcome, Abandoned)
    assert isinstance(outcome.error, AuthenticationError)
    assert "sign of Failing raised KeyError" in str(outcome.error)
    assert len(verifier.server.requests) == 1


class Wrong(HmacAuth):
    """Forgets to return the request."""

    def sign(self, request: Request, /) -> Any:
        super().sign(request)


async def test_a_signature_that_returns_nothing_is_named() -> None:
    """The class is in the error."""
    async with _Running(Verifier(), Wrong()) as watcher:
        outcome = [event async for event in watcher.watch(Export())][-1]
    assert isinstance(outcome, Abandoned)
    assert isinstance(outcome.error, EndpointBug)
    assert "sign of Wrong: it must return a Request" in str(outcome.error)


class Late(HmacAuth):
    async def sign(self, request: Request, /) -> Any:
        await asyncio.sleep(0)


class NoMethod(HmacAuth):
    sign: Any = "hmac"


@pytest.mark.parametrize(("kind", "wrong"), [(Late, "without `async`"), (NoMethod, "must be a method")])
async def test_a_sign_that_cannot_be_called_is_refused_before_the_first_poll(kind: type[Any], wrong: str) -> None:
    """When the watcher is made."""
    with pytest.raises(ConfigurationError, match=f"sign of {kind.__name__} must be .*{wrong}|{wrong}"):
        JobWatcher(Exports("https://api.example", kind()), timeout_s=1.0)


async def test_an_auth_may_switch_its_signature_off() -> None:
    """`sign = None` is an auth without signature."""
    auth = HmacAuth()
    auth.sign = None  # type: ignore[method-assign,assignment]
    verifier = Verifier()
    async with _Running(verifier, auth) as watcher:
        outcome = [event async for event in watcher.watch(Export())][-1]
    assert isinstance(outcome, Abandoned)
    assert b"x-signature" not in verifier.server.requests[0].lower()
