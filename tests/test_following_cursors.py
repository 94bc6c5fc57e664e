"""Endpoints whose replies say where or how to ask next, on a real socket."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from yarl import URL

from pollwise import (
    Abandoned,
    BearerAuth,
    Failed,
    JobWatcher,
    Pacing,
    Progressed,
    Reading,
    Reply,
    Request,
    Retrying,
    Succeeded,
)
from pollwise.endpoints import Cursor, Endpoint
from pollwise.errors import EndpointBug, MalformedReply, RetriesExhausted
from raw_server import Line, raw_server, reply

pytestmark = pytest.mark.looptime


@attrs.frozen
class Order:
    number: int = 7


class Exports(Endpoint[Order, str]):
    """`202 Accepted` names the next URL in `Location`, 303 names the result, 404 is gone, 422 is failed."""

    name = "exports"
    heeded_headers = ("Location",)
    answer_statuses = frozenset({303, 404, 422})

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self.read_with: list[Cursor] = []

    def request(self, job: Order, /, cursor: Cursor = None) -> Request:
        return Request(URL(cursor) if isinstance(cursor, str) else URL(f"{self._base_url}/orders/{job.number}"))

    def read(self, reply: Reply, /, cursor: Cursor = None) -> Reading[str]:
        self.read_with.append(cursor)
        match reply.status:
            case 202 | 303:
                location = reply.headers.get("Location")
                assert reply.request is not None
                moved = cursor if location is None else str(reply.request.url.join(URL(location)))
                return Reading.running("made" if reply.status == 303 else "in the making", cursor=moved)
            case 404:
                return Reading.succeeded("gone")
            case 422:
                return Reading.failed("invalid")
        return Reading.succeeded(str(reply.json()["name"]))


@attrs.frozen
class Seen:
    """What came of a watch: its events, and the path and the second of each request."""

    events: list[Any]
    paths: list[str]
    times: list[float]
    endpoint: Any


async def _seen(*replies: bytes, endpoint: Any = Exports, timeout_s: float = 600.0) -> Seen:
    """Watch one job of a server that sends these replies, the last one again and again."""
    left, times = list(replies), []
    now = asyncio.get_running_loop().time

    def answer(line: Line) -> None:
        times.append(now())
        line.say(left.pop(0) if len(left) > 1 else left[0])

    async with raw_server(answer) as server:
        asked = endpoint(server.url)
        async with JobWatcher(asked, timeout_s=timeout_s, pacing=Pacing.fixed(5.0)) as watcher:
            events = [event async for event in watcher.watch(Order())]
        paths = [request.split(b" ")[1].decode() for request in server.requests]
    return Seen(events, paths, [at - times[0] for at in times], asked)


def _accepted(location: str, *more: str) -> bytes:
    return reply(b"", f"Location: {location}", *more, status="202 Accepted")


RESULT = reply(b'{"name": "orders.zip"}')


async def test_a_location_that_moves_is_followed_to_the_result() -> None:
    """202 + Location, 202 + another Location, 303 + Location, 200: each request goes where the reply before it said."""
    seen = await _seen(
        _accepted("/monitor/1"), _accepted("2"), reply(b"", "Location: /results/9", status="303 See Other"), RESULT
    )
    assert seen.paths == ["/orders/7", "/monitor/1", "/monitor/2", "/results/9"]
    assert isinstance(seen.events[-1], Succeeded)
    assert seen.events[-1].status == "orders.zip"


async def test_a_location_that_moves_alone_is_no_event() -> None:
    """Only a status that changed is one."""
    seen = await _seen(_accepted("/monitor/1"), _accepted("/monitor/2"), _accepted("/monitor/3"), RESULT)
    assert [type(event) for event in seen.events] == [Progressed, Succeeded]


async def test_an_endpoint_that_says_nothing_of_header_fields_follows_them_too() -> None:
    """Without `heeded_headers` each reply is read."""

    class Unstated(Exports):
        heeded_headers = None

    seen = await _seen(_accepted("/monitor/1"), _accepted("/monitor/2"), RESULT, endpoint=Unstated)
    assert seen.paths == ["/orders/7", "/monitor/1", "/monitor/2"]


async def test_the_same_reply_at_the_same_place_is_not_read_again() -> None:
    """At another place it is, because there it may mean something else."""
    seen = await _seen(*[_accepted("/monitor/1")] * 5, RESULT)
    assert seen.paths == ["/orders/7", *["/monitor/1"] * 5]
    base = seen.endpoint._base_url
    assert seen.endpoint.read_with == [None, f"{base}/monitor/1", f"{base}/monitor/1"]


async def test_a_reading_without_a_cursor_goes_back_to_the_start() -> None:
    """An endpoint that wants to keep a cursor returns it again."""

    class Forgetful(Exports):
        def read(self, reply: Reply, /, cursor: Cursor = None) -> Reading[str]:
            reading = super().read(reply, cursor)
            return attrs.evolve(reading, cursor=None) if cursor else reading

    seen = await _seen(
        _accepted("/monitor/1"), _accepted("/monitor/2"), _accepted("/monitor/3"), RESULT, endpoint=Forgetful
    )
    assert seen.paths == ["/orders/7", "/monitor/1", "/orders/7", "/monitor/3"]


@pytest.mark.parametrize(
    ("last", "outcome", "status"),
    [
        (reply(b"", status="404 Not Found"), Succeeded, "gone"),
        (reply(b"", status="422 Unprocessable Entity"), Failed, "invalid"),
    ],
)
async def test_a_refusal_may_be_an_answer_at_a_moved_place_too(last: bytes, outcome: type, status: str) -> None:
    """404 is gone, which is a success, and 422 is failed."""
    seen = await _seen(_accepted("/monitor/1"), last)
    assert isinstance(seen.events[-1], outcome)
    assert seen.events[-1].status == status
    assert len(seen.paths) == 2


async def test_a_failed_poll_is_repeated_at_the_same_place() -> None:
    """An outage moves no cursor."""
    seen = await _seen(_accepted("/monitor/1"), reply(b"", status="503 Service Unavailable"), RESULT)
    assert seen.paths == ["/orders/7", "/monitor/1", "/monitor/1"]
    assert [type(event) for event in seen.events] == [Progressed, Retrying, Succeeded]


async def test_retry_after_on_a_202_is_a_floor() -> None:
    """The server's 60 seconds count, and not the 5 of the pacing."""
    seen = await _seen(_accepted("/monitor/1", "Retry-After: 60"), _accepted("/monitor/2", "Retry-After: 60"), RESULT)
    assert all(60.0 <= later - at <= 75.0 for at, later in itertools.pairwise(seen.times))


async def test_a_retry_after_of_zero_on_a_202_is_no_hot_loop() -> None:
    """The pacing is the minimum, however often the cursor moves."""
    seen = await _seen(*[_accepted(f"/monitor/{n}", "Retry-After: 0") for n in range(5)], RESULT)
    assert all(later - at >= 4.5 for at, later in itertools.pairwise(seen.times))


@pytest.mark.parametrize("auth", [None, BearerAuth("s3cr3t-s3cr3t-s3cr3t")], ids=["bare", "with credentials"])
async def test_a_signed_url_is_followed_again_and_again(auth: Any) -> None:
    """The signature is the server's own, so it is not masked where the reply names the same URL again."""

    class Signed(Exports):
        def __init__(self, base_url: str) -> None:
            super().__init__(base_url)
            self.auth = auth

    signed = [_accepted(f"/monitor/{n}?token=abcdefgh12345678&sig=0123456789abcdef") for n in (1, 2, 2, 3)]
    seen = await _seen(*signed, RESULT, endpoint=Signed)
    assert seen.paths == [
        "/orders/7",
        *(f"/monitor/{n}?token=abcdefgh12345678&sig=0123456789abcdef" for n in (1, 2, 2, 3)),
    ]


async def test_a_secret_in_a_header_field_of_a_cursors_request_is_masked() -> None:
    """An endpoint that puts its own key into its requests gets no echo of it."""

    class Keyed(Exports):
        def request(self, job: Order, /, cursor: Cursor = None) -> Request:
            return attrs.evolve(super().request(job, cursor), headers={"X-Api-Key": "k3y-k3y-k3y-k3y"})

    seen = await _seen(_accepted("/monitor/1"), reply(b'{"name": "k3y-k3y-k3y-k3y"}'), endpoint=Keyed)
    assert seen.events[-1].status == "***"


class Tagged(Exports):
    """Asks only for what has changed since: the cursor is the entity tag."""

    heeded_headers = ("ETag",)

    def request(self, job: Order, /, cursor: Cursor = None) -> Request:
        url = URL(f"{self._base_url}/orders/{job.number}")
        return Request(url, {"If-None-Match": cursor} if isinstance(cursor, str) else {})

    def read(self, reply: Reply, /) -> Reading[str]:
        state = str(reply.json()["state"])
        return Reading.succeeded(state) if state == "done" else Reading.running(state, cursor=reply.headers["ETag"])


async def test_a_304_is_unchanged_and_keeps_the_cursor() -> None:
    """`If-None-Match` has the tag of the last body until there is another."""
    sent: list[bytes] = []
    replies = [
        reply(b'{"state": "a"}', 'ETag: "1"'),
        reply(b"", status="304 Not Modified"),
        reply(b"", status="304 Not Modified"),
        reply(b'{"state": "b"}', 'ETag: "2"'),
        reply(b'{"state": "done"}', 'ETag: "3"'),
    ]
    async with raw_server(lambda line: line.say(replies.pop(0))) as server:
        async with JobWatcher(Tagged(server.url), timeout_s=600.0, pacing=Pacing.fixed(5.0)) as watcher:
            events = [event async for event in watcher.watch(Order())]
        sent = [request.lower().partition(b"if-none-match: ")[2].partition(b"\r\n")[0] for request in server.requests]
    assert sent == [b"", b'"1"', b'"1"', b'"1"', b'"2"']
    assert [event.status for event in events] == ["a", "b", "done"]


@attrs.frozen
class Structured:
    """An object of no class of pollwise's, with a cursor that is more than a text."""

    base_url: str
    name = "structured"
    heeded_headers = ()
    pages = ({"page": 1, "of": [1, None, True, 2.5]}, {"page": 2, "of": []})

    def request(self, job: Order, *, cursor: Cursor = None) -> Request:
        page = cursor["page"] if isinstance(cursor, dict) else 0
        return Request(URL(f"{self.base_url}/{page}"))

    def read_for(self, job: Order, reply: Reply, cursor: Cursor = None) -> Reading[int]:
        page = cursor["page"] if isinstance(cursor, dict) else 0
        assert cursor is None or cursor in self.pages
        return Reading.succeeded(page) if page == 2 else Reading.running(page, cursor=self.pages[page])

    def read(self, reply: Reply) -> Reading[int]:
        raise AssertionError


async def test_any_object_can_follow_a_cursor_and_the_cursor_can_be_any_json() -> None:
    """`request` and `read_for` get it by name, if they ask for it; also where every reply has the same body."""
    seen = await _seen(reply(), endpoint=Structured)
    assert seen.paths == ["/0", "/1", "/2"]
    assert seen.events[-1].status == 2


def _deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    "cursor",
    ["x" * 1_048_576, _deep(100_000), {"a": "\ud800"}, [10**30], float("inf"), list(range(100_000))],
    ids=["1 MB", "deep", "surrogate", "big number", "infinite", "long list"],
)
async def test_a_server_cannot_fill_memory_with_a_cursor(cursor: Any) -> None:
    """A cursor that is too large, too deep or no JSON makes the poll a failed one, which says why. Nothing of it is kept."""

    class Fed(Exports):
        def read(self, reply: Reply, /, cursor: Cursor = None) -> Reading[str]:
            self.read_with.append(cursor)
            return Reading.running("x", cursor=given)

    given = cursor
    seen = await _seen(RESULT, endpoint=Fed, timeout_s=5_000.0)
    outcome = seen.events[-1]
    assert isinstance(outcome, Abandoned)
    assert isinstance(outcome.error, RetriesExhausted)
    assert isinstance(outcome.error.last_error, MalformedReply)
    assert "cursor" in outcome.error.last_error.reason
    assert len(str(outcome.error)) < 1_000
    assert set(seen.endpoint.read_with) == {None}


@pytest.mark.parametrize(
    "cursor", [URL("https://a.example"), ("a",), {1: 2}, b"a"], ids=["url", "tuple", "key", "bytes"]
)
async def test_a_cursor_that_is_no_json_is_a_bug_of_the_endpoint(cursor: Any) -> None:
    """No poll repeats that: the error says what to write."""

    class Wrong(Exports):
        def read(self, reply: Reply, /, cursor: Cursor = None) -> Reading[str]:
            return Reading.running("x", cursor=given)

    given = cursor
    seen = await _seen(RESULT, endpoint=Wrong)
    error = seen.events[-1].error
    assert isinstance(error, EndpointBug)
    assert "the cursor of a Reading must be JSON" in str(error)
    assert len(seen.paths) == 1


def _paths_by_watch(requests: Sequence[bytes]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for request in requests:
        path = request.split(b" ")[1].decode()
        found.setdefault(path.rsplit("/", 1)[0], []).append(path)
    return found


async def test_each_watch_has_its_own_cursor() -> None:
    """Of many watches of one watcher, each is asked where its own last reply said."""

    class Counting(Exports):
        def request(self, job: Order, /, cursor: Cursor = None) -> Request:
            return Request(URL(f"{self._base_url}/{job.number}/{cursor or 0}"))

        def read(self, reply: Reply, /, cursor: Cursor = None) -> Reading[str]:
            step = cursor if isinstance(cursor, int) else 0
            return Reading.succeeded("x") if step == 4 else Reading.running("x", cursor=step + 1)

    async with (
        raw_server() as server,
        JobWatcher(Counting(server.url), timeout_s=600.0, pacing=Pacing.fixed(5.0)) as watcher,
    ):
        outcomes = await watcher.gather(Order(n) for n in range(30))
    assert all(isinstance(outcome, Succeeded) for outcome in outcomes)
    assert _paths_by_watch(server.requests) == {f"/{n}": [f"/{n}/{step}" for step in range(5)] for n in range(30)}
