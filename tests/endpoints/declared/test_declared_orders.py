"""The word `submit` of a declaration: the request that starts a job, and the job in its reply."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from pollwise import BearerAuth, JobWatcher, Pacing, SqliteLedger
from pollwise.endpoints.declared import DeclarationErrors, DeclaredEndpoint, DeclaredJob, Submit
from pollwise.endpoints.declared.loading import declarations_of
from pollwise.errors import ConfigurationError, MalformedReply, RateLimited, SubmitDoubtful, UnsafeUrl
from pollwise.model.messages import Reply, Request
from raw_server import raw_server
from raw_server import reply as raw

TABLE: dict[str, Any] = {
    "base": "https://a.example/api",
    "job": {"id": "int"},
    "poll": "GET /jobs/{id}",
    "headers": {"X-Version": "2"},
    "state": "state",
    "succeeded": ["done"],
}
START = Request(URL("https://a.example/api/jobs"), method="POST")


def endpoint(submit: Any, **words: Any) -> DeclaredEndpoint[Any]:
    return DeclaredEndpoint(declarations_of({"jobs": {**TABLE, "submit": submit, **words}})["jobs"])


def request_of(order: Any, submit: dict[str, Any], key: str = "k-1", **words: Any) -> Request:
    return endpoint({"id": "id", **submit}, **words).submit_request(order, key)


def job_in(reply: Any, place: Any, order: Any = None, *, url: str | None = None, **words: Any) -> dict[str, Any]:
    """The keys of the job in a reply: a body, or header fields with the body `{}`."""
    asked = START if url is None else Request(URL(url), method="POST")
    headers, body = (reply, b"{}") if isinstance(reply, dict) and "_" not in reply else ({}, orjson.dumps(reply))
    made = endpoint({"ask": "POST /jobs", "id": place}, **words)
    started = made.read_submitted(order or {}, Reply(202, headers, body, asked))
    assert isinstance(started, DeclaredJob)
    return dict(started.keys)


def test_the_whole_order_is_sent() -> None:
    """As JSON, with the header fields of every request. The method and the path are those of the declaration."""
    request = request_of({"file": "a", "n": [1, None]}, {"ask": "POST /jobs", "json": "{order}"})
    assert (request.method, str(request.url)) == ("POST", "https://a.example/api/jobs")
    assert request.body == b'{"file":"a","n":[1,null]}'
    assert request.headers == {"X-Version": "2", "Content-Type": "application/json"}


def test_fields_of_the_order_fill_the_holes() -> None:
    """In the path and the query, in header fields, and in the body, where they keep their types."""
    order = {"file": "a b/c", "in": {"n": 7, "rows": [1, {"a": True}]}, "key": "own"}
    request = request_of(
        order,
        {
            "ask": "PUT /{file}/jobs?n={in.n}",
            "headers": {"Idempotency-Key": '"{key}"', "X-Own": "{order.key}"},
            "json": {"rows": "{in.rows}", "text": "no {file}", "key": "{key}"},
        },
    )
    assert str(request.url) == "https://a.example/api/a%20b%2Fc/jobs?n=7"
    assert (request.headers["Idempotency-Key"], request.headers["X-Own"]) == ('"k-1"', "own")
    assert orjson.loads(request.body or b"") == {"rows": [1, {"a": True}], "text": "no {file}", "key": "k-1"}


def test_a_body_may_have_the_order_and_more() -> None:
    """The members of the declaration win. In a nested object, too."""
    json = {"*": "{order}", "token": "{key}", "in": {"*": "{in}", "n": 7}, "not": {"*": "text"}}
    request = request_of({"file": "a", "token": "own", "in": {"m": 1, "n": 2}}, {"ask": "POST /jobs", "json": json})
    assert orjson.loads(request.body or b"") == {
        "file": "a",
        "token": "k-1",
        "in": {"m": 1, "n": 7},
        "not": {"*": "text"},
    }


@pytest.mark.parametrize(
    ("order", "why"),
    [
        ("a.csv", "an order of a declared endpoint is a mapping, such as .*, got str"),
        ({}, "the order has no file, which the declaration sends"),
        ({"file": {"id": "x"}}, "file of the order must be a text or a whole number, got dict"),
        ({"file": True}, "file of the order must be a text or a whole number, got bool"),
        ({"file": ".."}, "file must not be '..'"),
        ({"file": "x", "more": {1, 2}}, "more of the order is no JSON, got set"),
        ({"file": "x", "more": [float("nan")]}, "an item of more of the order is no JSON, got float"),
        ({"file": "x", "more": {1: 2}}, "more of the order is no JSON, got dict"),
        ({"file": "x", "more": 1 << 70}, "the order cannot be written as JSON"),
    ],
)
def test_an_order_that_cannot_be_right_is_refused(order: Any, why: str) -> None:
    """Before a request is sent. The error says where."""
    with pytest.raises(ConfigurationError, match=why):
        request_of(order, {"ask": "POST /{file}/jobs", "json": "{order}"})


def test_a_key_may_stand_twice_in_a_url() -> None:
    """If both are equal."""
    words: dict[str, Any] = {"poll": "GET /jobs/{id}/parts/{id}"}
    assert job_in({"Location": "/api/jobs/7/parts/7"}, "$Location", **words) == {"id": 7}
    with pytest.raises(MalformedReply):
        job_in({"Location": "/api/jobs/7/parts/8"}, "$Location", **words)


@pytest.mark.parametrize("wrap", [lambda inner: {"a": inner}, lambda inner: [inner]])
def test_a_hundred_levels_are_allowed(wrap: Any) -> None:
    """The order itself is the first."""
    inner: Any = 7
    for _ in range(98):
        inner = wrap(inner)
    assert request_of({"a": [inner]}, {"ask": "POST /jobs", "json": "{order}"}).body
    with pytest.raises(ConfigurationError, match="at most 100 levels"):
        request_of({"a": [wrap(inner)]}, {"ask": "POST /jobs", "json": "{order}"})


def test_a_long_place_is_left_out() -> None:
    """So that an error stays short."""
    with pytest.raises(ConfigurationError, match=r"^a value of the order is no JSON"):
        request_of({"a" * 200: {1}}, {"ask": "POST /jobs", "json": "{order}"})


def test_an_order_is_at_most_a_hundred_levels_deep() -> None:
    """A deeper one is refused, and is no RecursionError."""
    order: dict[str, Any] = {}
    for _ in range(5_000):
        order = {"a": order}
    with pytest.raises(ConfigurationError, match="at most 100 levels"):
        request_of(order, {"ask": "POST /jobs", "json": "{order}"})


@pytest.mark.parametrize(
    ("reply", "place", "found"),
    [
        ({"_": 0, "id": 7}, "id", 7),
        ({"_": 0, "data": {"ids": ["7"]}}, "data.ids[0]", 7),
        ({"X-Job": "7"}, "$X-Job", 7),
        ({"Location": "https://other.example/v2/api/jobs/7?x=1"}, "$Location", 7),
        ({"Location": "jobs/7/"}, "$Location", 7),
    ],
)
def test_the_key_of_the_job_is_found(reply: Any, place: str, found: int) -> None:
    """In the body or in a header field. A key whose type is int may be a text there."""
    assert job_in(reply, place) == {"id": found}


@pytest.mark.parametrize(
    ("reply", "place"),
    [
        ({"_": 0}, "id"),
        ({"_": 0, "id": None}, "id"),
        ({"_": 0, "id": True}, "id"),
        ({"_": 0, "id": "seven"}, "id"),
        ({"_": 0, "id": [7]}, "id"),
        ({}, "$Location"),
        ({"Location": "/api/queue/7"}, "$Location"),
        ({"Location": "/jobs/7/x"}, "$Location"),
        ({"Location": "/jobs/" + "7" * 4_000}, "$Location"),
        ({"Location": "http://["}, "$Location"),
        ({"Location": "/jobs/%ff"}, "$Location"),
    ],
)
def test_a_reply_without_the_key_is_malformed(reply: Any, place: str) -> None:
    """No key is guessed, and the error says where one was looked for."""
    with pytest.raises(MalformedReply) as caught:
        job_in(reply, place)
    assert f"it has no int at {place}, where the declaration has the key id of the job" in str(caught.value)


def test_a_key_that_cannot_stand_in_the_poll_is_malformed() -> None:
    """The job cannot be asked for."""
    with pytest.raises(MalformedReply, match=r"id must not be '\.\.'"):
        job_in({"_": 0, "id": ".."}, "id", job=["id"])


def test_a_job_may_have_several_keys() -> None:
    """From the body, from a field of the order, or from a URL like that of the poll."""
    words: dict[str, Any] = {"job": {"owner": "str", "id": "int"}, "poll": "GET /{+owner}/jobs/{id}"}
    place = {"owner": "{repo.owner}", "id": "id"}
    assert job_in({"_": 0, "id": 7}, place, {"repo": {"owner": "a/b"}}, **words) == {"owner": "a/b", "id": 7}
    for path in ("/api/a%20x/b/jobs/7", "/a%20x/b/jobs/7"):
        assert job_in({"Location": path}, "$Location", **words) == {"owner": "a x/b", "id": 7}
    made = endpoint({"ask": "POST /jobs", "id": place}, **words)
    for wrong, why in ((5.5, "the order has no str at repo.owner"), ("a//b", "single slashes")):
        with pytest.raises(ConfigurationError, match=why):
            made.submit_request({"repo": {"owner": wrong}}, "k")
    assert made.submit_request({"repo": {"owner": 5}}, "k").body is None


URL_WORDS: dict[str, Any] = {"job": ["url"], "poll": "GET {+url}"}


@pytest.mark.parametrize(
    ("place", "value"),
    [("$Location", "/status/7?a=b%20c"), ("links.self", "https://a.example:443/status/7?a=b%20c")],
)
def test_the_job_may_be_a_url(place: str, value: str) -> None:
    """Of the origin of the start. A relative one is resolved. The base URL is that of the start."""
    reply = {"Location": value} if place[0] == "$" else {"_": 0, "links": {"self": value}}
    found = job_in(reply, place, **URL_WORDS)["url"]
    assert URL(found) == URL("https://a.example/status/7?a=b%20c")


@pytest.mark.parametrize(
    "value", ["file:///etc/passwd", "https://me:pw@a.example/", "ftp://a.example/", "a b", "http://["]
)
def test_what_is_no_url_is_no_job(value: str) -> None:
    """The reply is malformed."""
    with pytest.raises(MalformedReply):
        job_in({"Location": value}, "$Location", **URL_WORDS)


def test_a_throttled_start_is_one() -> None:
    """Inside a 200, too, with the wait of the body."""
    with pytest.raises(RateLimited) as caught:
        job_in({"_": 0, "busy": True, "wait": 7}, "id", limited="busy", after={"s": "wait"})
    assert caught.value.retry_after_s == 7.0


@given(value=st.text(max_size=40))
def test_any_header_field_is_a_key_or_malformed(value: str) -> None:
    """No text of a server's makes another error."""
    made = endpoint({"ask": "POST /jobs", "id": "$Location"}, job=["id"])
    try:
        job = made.read_submitted({}, Reply(202, {"Location": value}, b"", START))
    except MalformedReply:
        return
    assert isinstance(job, DeclaredJob)
    assert made.request(job).url.raw_path.startswith("/api/jobs/")


def test_without_the_word_an_endpoint_starts_no_jobs() -> None:
    """The watcher then says so."""
    made = DeclaredEndpoint(declarations_of({"jobs": TABLE})["jobs"])
    assert not hasattr(made, "submit_request")
    assert not hasattr(made, "read_submitted")
    assert (made.first_after_s, made.origins) == (0.0, ())
    made = endpoint({"ask": "POST /jobs", "id": "id"}, first_after_s=5)
    assert made.first_after_s == 5
    assert made.declaration.submit == Submit(ask="POST /jobs", id="id")


@pytest.mark.parametrize(
    ("words", "problems"),
    [
        ({"submit": "POST /jobs"}, ["submit: it must be a table, got str"]),
        ({"submit": {"ask": "POST /jobs"}}, ["submit.id: it is missing"]),
        ({"submit": {"id": "id"}}, ["submit.ask: it is missing"]),
        ({"submit": {"ask": "POST /jobs", "id": 7}}, ["submit.id: it must be a table, got int"]),
        ({"submit": {"ask": "/jobs", "id": "id"}}, ["submit: write a method and a path"]),
        ({"submit": {"ask": "POST /{order}", "id": "id"}}, ["submit: {order} is the whole order, so it can stand in"]),
        ({"submit": {"ask": "POST /jobs", "id": "a["}}, ["submit.id.id: the expression 'a['"]),
        ({"submit": {"ask": "POST /jobs", "id": "$a b"}}, ["submit.id.id: write a header field as '$Location'"]),
        ({"submit": {"ask": "POST /jobs", "id": "$ a"}}, ["submit.id.id: write a header field as '$Location'"]),
        ({"submit": {"ask": "POST /jobs", "id": "{key}"}}, ["submit.id.id: write a field of the order"]),
        (
            {"submit": {"ask": "POST /jobs", "id": {}}},
            ["submit.id: write where id of the job is, such as id = 'data.id'"],
        ),
        (
            {"submit": {"ask": "POST /jobs", "id": {"id": "id", "no": "id"}}},
            ["submit.id.no: the job has no such key; it has id"],
        ),
        (
            {"submit": {"ask": "POST /jobs", "id": "id"}, "job": ["id", "b"], "poll": "GET /{id}/{b}"},
            ["submit.id: the job has several keys; write a table, such as"],
        ),
        (
            {"submit": {"ask": "POST /jobs", "id": "id", "headers": {"Authorization": "x"}}},
            ["submit: the header field Authorization has credentials"],
        ),
        ({"submit": {"ask": "POST {+url}", "id": "id"}, "base": None}, ["base: write the base URL"]),
        ({"first_after_s": -1}, ["first_after_s: write a number of seconds, such as 5, not -1"]),
        ({"first_after_s": True}, ["first_after_s: it must be a number, got bool"]),
        ({"origins": "https://b.example"}, ["origins: it must be a list of texts, got str"]),
        ({"origins": ["https://b.example/x", "b"]}, ["origins: write origins, such as"] * 2),
        ({"origins": ["https://me:pw@b.example"]}, ["origins: write origins, such as"]),
        ({**URL_WORDS}, ["base: poll takes its whole URL from {+url}; leave base out"]),
    ],
)
def test_everything_that_is_wrong_with_a_start_is_reported(words: dict[str, Any], problems: list[str]) -> None:
    """With file, table and word."""
    table = {name: value for name, value in {**TABLE, **words}.items() if value is not None}
    with pytest.raises(DeclarationErrors) as caught:
        declarations_of({"jobs": table}, file="f.toml")
    found = str(caught.value).splitlines()
    assert len(found) == len(problems)
    for line, problem in zip(found, problems, strict=True):
        assert line.startswith(f"f.toml: [jobs] {problem}")


def test_a_request_with_the_key_may_be_sent_again() -> None:
    """Wherever the key is: it is what an API with idempotency keys looks at."""
    for call in ({"headers": {"X-Request": "{key}"}}, {"json": {"token": "{key}"}}, {"ask": "POST /jobs?k={key}"}):
        assert request_of({}, {"ask": "POST /jobs", **call}).is_idempotent
    assert not request_of({"key": "x"}, {"ask": "POST /jobs", "json": "{order}"}).is_idempotent
    assert request_of({}, {"ask": "PUT /jobs"}).is_idempotent


WORDS: dict[str, Any] = {"after": {"s": "wait"}, "first_after_s": 5}


async def started(submit: dict[str, Any], *answers: bytes, **words: Any) -> tuple[Any, list[bytes], float]:
    """The status of a job that was started at a server with these answers, the requests, and the duration."""
    left = list(answers)
    loop = asyncio.get_running_loop()
    async with raw_server(lambda line: line.say(left.pop(0))) as server:
        (declared,) = declarations_of({"jobs": {**TABLE, **words, "submit": {"ask": "POST /jobs", **submit}}}).values()
        made: DeclaredEndpoint[Any] = DeclaredEndpoint(
            declared, base_url=f"{server.url}/api", auth=BearerAuth("s3cr3t-x")
        )
        async with JobWatcher(made, timeout_s=600.0) as watcher:
            began = loop.time()
            status = await (await watcher.submit({"file": "a"}, key="order-17"))
            return status, server.requests, loop.time() - began


@pytest.mark.looptime
async def test_a_job_is_started_and_watched() -> None:
    """One request with the order, the key and the credentials. The first poll comes when the reply's body says."""
    submit = {"json": "{order}", "id": "id", "headers": {"Idempotency-Key": "{key}"}}
    status, requests, took_s = await started(submit, raw(b'{"id": 7, "wait": 30}'), raw(b'{"state": "done"}'), **WORDS)
    assert status == {"state": "done"}
    assert [request.split(b" HTTP")[0] for request in requests] == [b"POST /api/jobs", b"GET /api/jobs/7"]
    assert requests[0].endswith(b'\r\n\r\n{"file":"a"}')
    assert b"\r\nIdempotency-Key: order-17\r\n" in requests[0]
    assert all(b"\r\nAuthorization: Bearer s3cr3t-x\r\n" in request for request in requests)
    assert 30 <= took_s < 31


@pytest.mark.looptime
async def test_the_first_delay_may_be_declared() -> None:
    """With `first_after_s`, if the reply does not ask for longer."""
    _, _, took_s = await started({"id": "id"}, raw(b'{"id": 7}'), raw(b'{"state": "done"}'), **WORDS)
    assert 5 <= took_s < 6


@pytest.mark.looptime
@pytest.mark.parametrize("code", ["202 Accepted", "201 Created", "303 See Other"])
async def test_the_job_may_be_in_a_location(code: str) -> None:
    """Of an accepted, created or redirected start. A URL of the server's own is polled with the credentials."""
    words: dict[str, Any] = {"job": ["url"], "poll": "GET {+url}"}
    reply = raw(b"", "Location: /api/status/7", status=code)
    _, requests, _ = await started({"id": "$Location"}, reply, raw(b'{"state": "done"}'), **words)
    assert requests[1].startswith(b"GET /api/status/7 HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer s3cr3t-x\r\n" in requests[1]


@pytest.mark.looptime
async def test_a_start_that_cannot_be_read_is_in_doubt() -> None:
    """It is told, and not repeated."""
    with pytest.raises(SubmitDoubtful, match="it has no int at id"):
        await started({"id": "id"}, raw(b"{}"))


@pytest.mark.looptime
async def test_a_job_at_another_origin_is_refused() -> None:
    """Credentials would go there. `origins` allows it."""
    words: dict[str, Any] = {"job": ["url"], "poll": "GET {+url}"}
    async with raw_server(raw(b'{"state": "done"}')) as other:
        answer = raw(b"", f"Location: {other.url}/status/7", status="202 Accepted")
        with pytest.raises(UnsafeUrl):
            await started({"id": "$Location"}, answer, **words)
        assert other.requests == []
        status, _, _ = await started({"id": "$Location"}, answer, **words, origins=[other.url])
    assert status == {"state": "done"}
    assert b"Bearer s3cr3t-x" in other.requests[0]


@pytest.mark.looptime
async def test_a_ledger_knows_what_was_started(tmp_path: Path) -> None:
    """The same key again gives the watch of the same job, after a restart, too. No second request starts one."""
    submit = {"ask": "POST /jobs", "json": "{order}", "id": "id"}
    left = [raw(b'{"id": 7}'), raw(b'{"state": "busy"}'), raw(b'{"state": "done"}')]
    async with raw_server(lambda line: line.say(left.pop(0))) as server, SqliteLedger(tmp_path / "l") as ledger:
        (declared,) = declarations_of({"jobs": {**TABLE, "submit": submit}}).values()
        made: DeclaredEndpoint[Any] = DeclaredEndpoint(declared, base_url=f"{server.url}/api")
        async with JobWatcher(made, timeout_s=600.0, pacing=Pacing.fixed(60.0), ledger=ledger) as watcher:
            watch = await watcher.submit({"file": "a"}, key="order-17")
            await server.received(2)
        async with JobWatcher(made, timeout_s=600.0, ledger=ledger) as watcher:
            again = await watcher.submit({"file": "a"}, key="order-17")
            assert (again.job, await again) == (watch.job, {"state": "done"})
            with pytest.raises(ConfigurationError, match="order-17"):
                await watcher.submit({"file": "b"}, key="order-17")
    assert [request.split(b" ")[0] for request in server.requests] == [b"POST", b"GET", b"GET"]
