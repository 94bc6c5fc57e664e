"""The word `next` of a declaration, on a real socket."""

from __future__ import annotations

import copy
import inspect
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from pollwise import BearerAuth, JobWatcher, Pacing, Progressed, SqliteLedger, Succeeded
from pollwise.endpoints.declared import DeclarationErrors, DeclaredEndpoint
from pollwise.endpoints.declared.loading import declarations_of
from pollwise.errors import ConfigurationError, MalformedReply
from pollwise.model.messages import Reply, Request
from raw_server import Line, raw_server
from raw_server import reply as raw

TABLE: dict[str, Any] = {
    "base": "https://a.example",
    "job": ["id"],
    "poll": {"ask": "GET /jobs/{id}", "headers": {"X-Version": "2"}},
    "state": "state",
    "succeeded": ["done"],
    "failed": ["error"],
    "unconfirmed": ["error"],
}
DONE = raw(b'{"state": "done"}')


def endpoint(url: str | None = None, auth: Any = None, **words: Any) -> DeclaredEndpoint[Any]:
    return DeclaredEndpoint(declarations_of({"jobs": {**TABLE, **words}})["jobs"], base_url=url, auth=auth)


def problems_of(**words: Any) -> list[str]:
    with pytest.raises(DeclarationErrors) as caught:
        declarations_of({"jobs": {**TABLE, **words}}, file="f.toml")
    return str(caught.value).splitlines()


async def lines_of(replies: list[bytes], **words: Any) -> list[str]:
    """The request lines of one watch."""
    left = list(replies)
    async with raw_server(lambda line: line.say(left.pop(0))) as server:
        made = endpoint(server.url, **words)
        async with JobWatcher(made, timeout_s=600.0, pacing=Pacing.fixed(1.0)) as watcher:
            events = [event async for event in watcher.watch(made.job(id="7"))]
        assert isinstance(events[-1], Succeeded)
        assert all(b"\r\nX-Version: 2\r\n" in request for request in server.requests)
        return [request.partition(b" HTTP/")[0].decode() for request in server.requests]


@pytest.mark.looptime
async def test_a_location_that_moves_is_followed() -> None:
    """A relative URL is resolved against the request's, and a reply without one changes nothing."""
    lines = await lines_of(
        [
            raw(b"", "Location: ../moved/8?a=%2F", status="202 Accepted"),
            raw(b"", status="202 Accepted"),
            raw(b"", "Location: ?a=2", status="202 Accepted"),
            raw(b'{"url": "x"}', status="200 OK"),
        ],
        next="$Location",
        http={"running": [202], "succeeded": [200]},
    )
    assert lines == ["GET /jobs/7", "GET /moved/8?a=%2F", "GET /moved/8?a=%2F", "GET /moved/8?a=2"]


@pytest.mark.looptime
async def test_a_url_in_the_body_is_followed() -> None:
    """Also while an end is unconfirmed. null and an empty text are none."""
    lines = await lines_of(
        [
            raw(b'{"state": "busy", "urls": {"get": "/second"}}'),
            raw(b'{"state": "busy", "urls": {"get": null}}'),
            raw(b'{"state": "busy", "urls": {"get": ""}}'),
            raw(b'{"state": "error", "urls": {"get": "/third"}}'),
            DONE,
        ],
        next="urls.get",
    )
    assert lines == ["GET /jobs/7", "GET /second", "GET /second", "GET /second", "GET /third"]


@pytest.mark.looptime
async def test_another_origin_gets_no_credentials() -> None:
    """A server cannot have them sent elsewhere."""
    async with (
        raw_server(DONE) as other,
        raw_server(raw(b"", f"Location: {other.url}/x", status="202 Accepted")) as own,
    ):
        made = endpoint(own.url, BearerAuth("s3cr3t-s3cr3t"), next="$Location", http={"running": [202]})
        async with JobWatcher(made, timeout_s=600.0, pacing=Pacing.fixed(1.0)) as watcher:
            await watcher.watch(made.job(id="7"))
    assert b"s3cr3t-s3cr3t" in own.requests[0]
    assert other.requests
    assert b"s3cr3t-s3cr3t" not in other.requests[0]


@pytest.mark.looptime
async def test_a_ledger_keeps_the_next_url(tmp_path: Path) -> None:
    """A later run goes on there."""

    def answer(line: Line) -> None:
        line.say(DONE if len(server.requests) > 1 else raw(b'{"state": "busy"}', "Location: /moved"))

    async with raw_server(answer) as server, SqliteLedger(tmp_path / "l") as ledger:
        made = endpoint(server.url, next="$Location")
        async with JobWatcher(made, timeout_s=600.0, pacing=Pacing.fixed(30.0), ledger=ledger) as watcher:
            async for event in await watcher.record(made.job(id="7")):
                assert isinstance(event, Progressed)
                break
        async with JobWatcher(made, timeout_s=600.0, ledger=ledger) as watcher:
            (watch,) = await watcher.resume()
            assert await watch == {"state": "done"}
    assert [request.partition(b" HTTP/")[0] for request in server.requests] == [b"GET /jobs/7", b"GET /moved"]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://b.example/x?sig=a%2Fb", "http://b.example/x?sig=a%2Fb"),
        ("//b.example/x", "https://b.example/x"),
        ("/x", "https://a.example/x"),
        ("x", "https://a.example/jobs/x"),
        ("../x/./y", "https://a.example/x/y"),
        ("?page=2", "https://a.example/jobs/7?page=2"),
        ("/é", "https://a.example/%C3%A9"),
    ],
)
def test_a_relative_url_is_resolved(text: str, url: str) -> None:
    """By RFC 3986. What is encoded stays as it is."""
    made: Any = endpoint(next="url")
    asked = Request(URL("https://a.example/jobs/7?page=1"))
    reading = made.read(Reply(200, {}, f'{{"state": "busy", "url": "{text}"}}'.encode(), asked))
    assert reading.cursor == url
    assert str(made.request(made.job(id="7"), reading.cursor).url) == url
    assert made.request(made.job(id="7")).url == URL("https://a.example/jobs/7")


@pytest.mark.parametrize(
    "value", ["7", '["x"]', "true", '"a b"', '"http://[x/"', '"http://x:abc/"', '"\\u0000"', '"a\\\\b"']
)
def test_what_is_no_url_is_malformed(value: str) -> None:
    """It is not ignored, unless the job is over."""
    made = endpoint(next="url")
    with pytest.raises(MalformedReply, match="next is no URL"):
        made.read(Reply(200, {}, f'{{"state": "busy", "url": {value}}}'.encode()))
    assert made.read(Reply(200, {}, f'{{"state": "done", "url": {value}}}'.encode())).final


def test_without_the_word_an_endpoint_takes_no_cursor() -> None:
    """So its watches are as small and as fast as before."""
    assert type(endpoint()) is type(copy.copy(endpoint())) is DeclaredEndpoint
    assert endpoint().heeded_headers == ()
    assert "cursor" not in inspect.signature(endpoint().read).parameters
    assert "cursor" in inspect.signature(endpoint(next="url").read).parameters
    assert endpoint(next="url").heeded_headers == ()
    assert endpoint(next="$Location").heeded_headers == ("Location",)


def test_a_long_reply_keeps_the_next_url() -> None:
    """As it keeps what decides."""
    assert {"urls", "get"} <= set(endpoint(next="urls.get").deciding_keys)


def test_everything_that_is_wrong_with_next_is_reported() -> None:
    """With what to write."""
    (problem,) = problems_of(next="$a b")
    assert problem == "f.toml: [jobs] next: write a header field as '$Location', not '$a b'"
    found = problems_of(next="a[", poll={"ask": "POST /{id}", "json": {}})
    assert found[0].startswith("f.toml: [jobs] next: the expression 'a[' is not valid JMESPath")
    assert found[1].startswith("f.toml: [jobs] next: the next URL is asked with GET")
    assert problems_of(next=7) == ["f.toml: [jobs] next: it must be a text, got int"]


def test_a_subclass_that_could_not_follow_is_refused() -> None:
    """Its own `read` would have no cursor."""

    class Own(DeclaredEndpoint[Any]):
        pass

    (declared,) = declarations_of({"jobs": {**TABLE, "next": "url"}}).values()
    with pytest.raises(ConfigurationError, match="Own cannot follow next"):
        Own(declared)
