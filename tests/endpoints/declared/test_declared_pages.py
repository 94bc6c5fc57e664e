"""The words `next`, `query` and `items` of a declared result, on a real socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from pollwise import BearerAuth, JobWatcher
from pollwise.endpoints.declared import DeclarationErrors, DeclaredEndpoint
from pollwise.endpoints.declared.loading import declarations_of
from pollwise.errors import ConfigurationError, MalformedReply
from pollwise.model.messages import Reply, Request
from raw_server import raw_server
from raw_server import reply as raw

TABLE: dict[str, Any] = {"base": "https://a.example", "poll": "GET /jobs/{id}", "state": "state", "succeeded": ["done"]}
ROWS: dict[str, Any] = {"ask": "GET /jobs/{id}/rows?size=2", "items": "rows", "next": "more"}
STATUS = b'{"state": "done"}'


def endpoint(url: str | None = None, **words: Any) -> DeclaredEndpoint[Any]:
    result = {name: value for name, value in {**ROWS, **words}.items() if value is not None}
    declared = declarations_of({"jobs": {**TABLE, "result": result}})["jobs"]
    return DeclaredEndpoint(declared, base_url=url, auth=BearerAuth("s3cr3t-s3cr3t"))


async def result_of(*pages: bytes, **words: Any) -> tuple[Any, list[str]]:
    """The result in these pages, and the targets of their requests."""
    left = [raw(STATUS), *pages]
    async with raw_server(lambda line: line.say(left.pop(0))) as server:
        made = endpoint(server.url, **words)
        async with JobWatcher(made, timeout_s=600.0) as watcher:
            found = await watcher.watch(made.job(id="7")).result()
        assert all(b"Bearer s3cr3t-s3cr3t" in request for request in server.requests)
        return found, [request.split(b" ")[1].decode() for request in server.requests[1:]]


@pytest.mark.looptime
async def test_a_page_names_the_url_of_the_next() -> None:
    """The lists of all pages are joined. A page without a next one is the last, and one without items is empty."""
    pages = [b'{"rows": [1, 2], "more": "/p?c=a%2Fb"}', b'{"more": "p3", "rows": null}', b'{"rows": [3]}']
    found, targets = await result_of(*map(raw, pages))
    assert (found, targets) == ([1, 2, 3], ["/jobs/7/rows?size=2", "/p?c=a%2Fb", "/p3"])


@pytest.mark.looptime
@pytest.mark.parametrize("cursor", [b'"a/b&c"', b"17"])
async def test_a_query_parameter_may_take_the_next(cursor: bytes) -> None:
    """Each request has it once, and keeps the others."""
    pages = [b'{"rows": [1], "more": %b}' % cursor, b'{"rows": [2], "more": "z"}', b'{"rows": [3], "more": ""}']
    found, targets = await result_of(*map(raw, pages), query="page token")
    assert found == [1, 2, 3]
    first = "a%2Fb%26c" if cursor[:1] == b'"' else "17"
    assert targets[1:] == [f"/jobs/7/rows?size=2&page%20token={value}" for value in (first, "z")]


def test_the_next_takes_the_place_of_a_value() -> None:
    """A first page may have the parameter already. Parts without a value stay."""
    made = endpoint(ask="GET /jobs/{id}/rows?at=first&plain&x=at", query="at")
    request = made.result_request(made.job(id="7"), {}, cursor="two")  # type: ignore[call-arg]  # it takes one then
    assert request.url.raw_path_qs == "/jobs/7/rows?plain&x=at&at=two"


@pytest.mark.looptime
async def test_a_link_may_name_the_next() -> None:
    """As GitHub's (RFC 8288), in any letter case. The JSON of a page is the list then."""
    links = 'Link: </p?n=1>; rel="first", </p?n=2>; title="a, b"; rel="last Next"'
    others = "Link: </p?n=1>; rel=prev, </p?n=9>; rel=nextpage"
    found, targets = await result_of(raw(b"[1]", links), raw(b"[2]", others), items=None, next="$Link")
    assert (found, targets[1:]) == ([1, 2], ["/p?n=2"])


@pytest.mark.looptime
async def test_raw_pages_are_joined() -> None:
    """As bytes."""
    pages = [raw(b"a\n", "X-Next: two"), raw(b"b\n")]
    found, targets = await result_of(*pages, items=None, raw=True, next="$X-Next", query="at")
    assert (found, targets[1:]) == (b"a\nb\n", ["/jobs/7/rows?size=2&at=two"])


@pytest.mark.parametrize(
    ("body", "words", "why"),
    [
        (b'{"rows": 7}', {}, "the items of the page are no list"),
        (b'{"rows": []}', {"items": None}, "the items of the page are no list"),
        (b'{"rows": [], "more": 7}', {}, "what the declaration calls next is no URL"),
        (b'{"rows": [], "more": "a b"}', {}, "what the declaration calls next is no URL"),
        (b'{"rows": [], "more": true}', {"query": "at"}, "no text and no whole number"),
        (b"<html>", {}, "JSON"),
    ],
)
def test_a_page_that_cannot_be_read_is_malformed(body: bytes, words: dict[str, Any], why: str) -> None:
    """To stop there would take a part for the whole."""
    with pytest.raises(MalformedReply, match=why):
        endpoint(**words).read_result(Reply(200, {}, body, Request(URL("https://a.example/p"))))


@pytest.mark.looptime
async def test_pages_are_no_file(tmp_path: Path) -> None:
    """A file would have the first page only."""
    async with raw_server(raw(STATUS)) as server:
        made = endpoint(server.url)
        async with JobWatcher(made, timeout_s=600.0) as watcher:
            with pytest.raises(ConfigurationError, match="may have several pages"):
                await watcher.watch(made.job(id="7")).save_result(tmp_path / "rows", max_bytes=100)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ({"next": None}, "result.items: write next, too"),
        ({"next": None, "items": None, "query": "at"}, "result.query: write next, too"),
        ({"next": "a["}, "result.next: the expression 'a['"),
        ({"next": "$a b"}, "result.next: write a header field"),
        ({"items": "a["}, "result.items: the expression 'a['"),
        ({"raw": True}, "result.items: raw pages are bytes"),
        ({"ask": "POST /rows"}, "result.next: the next URL is asked with GET and without a body"),
        ({"json": {}}, "result.next: the next URL is asked with GET and without a body"),
    ],
)
def test_pages_that_cannot_be_right_are_problems(words: dict[str, Any], problem: str) -> None:
    """Each names its word."""
    result = {name: value for name, value in {**ROWS, **words}.items() if value is not None}
    with pytest.raises(DeclarationErrors) as caught:
        declarations_of({"jobs": {**TABLE, "result": result}})
    assert str(caught.value).startswith(f"[jobs] {problem}")
