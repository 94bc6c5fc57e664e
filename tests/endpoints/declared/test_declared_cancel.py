"""The word `cancel` of a declaration, on a real socket."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from pollwise import Cancelled, JobWatcher, Pacing
from pollwise.endpoints.declared import Call, Declaration, DeclarationErrors, DeclaredEndpoint
from pollwise.endpoints.declared.loading import declarations_of
from pollwise.errors import ConfigurationError
from raw_server import Line, raw_server, reply

TABLE: dict[str, Any] = {
    "base": "https://a.example",
    "job": {"id": "int", "name": "str"},
    "poll": "GET /{+name}/{id}",
    "headers": {"X-Version": "2"},
    "state": "state",
    "succeeded": ["done"],
    "cancelled": ["stopped"],
}


def declared(cancel: Any) -> Declaration:
    return declarations_of({"exports": {**TABLE, "cancel": cancel}})["exports"]


def problems_of(**words: Any) -> list[str]:
    with pytest.raises(DeclarationErrors) as caught:
        declarations_of({"exports": {**TABLE, **words}}, file="f.toml")
    return str(caught.value).splitlines()


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("cancel", "line", "body"),
    [
        ("POST /{+name}/{id}:cancel", b"POST /a/b/7:cancel HTTP/1.1\r\n", b""),
        ("DELETE /{name}/{id}?policy=Background", b"DELETE /a%2Fb/7?policy=Background HTTP/1.1\r\n", b""),
        ({"ask": "PATCH /{id}", "json": {"job": "{id}", "to": "x"}}, b"PATCH /7 HTTP/1.1\r\n", b'{"job":7,"to":"x"}'),
        ({"ask": "POST /stop", "headers": {"X-Job": "{id}"}}, b"POST /stop HTTP/1.1\r\n", b""),
    ],
)
async def test_a_declared_job_can_be_cancelled(cancel: Any, line: bytes, body: bytes) -> None:
    """One request, as declared. The outcome comes from the status."""

    def answer(connection: Line) -> None:
        polled = server.requests[-1].startswith(b"GET")
        over = any(not request.startswith(b"GET") for request in server.requests)
        connection.say(reply(b'{"state": "stopped"}' if polled and over else b'{"state": "busy"}'))

    async with raw_server(answer) as server:
        made: DeclaredEndpoint[Any] = DeclaredEndpoint(declared(cancel), base_url=server.url)
        async with JobWatcher(made, timeout_s=600.0, pacing=Pacing.fixed(1.0)) as watcher:
            watch = watcher.watch(made.job(id=7, name="a/b"))
            await server.received()
            assert await watch.cancel() is True
            events = [event async for event in watch]
    assert isinstance(events[-1], Cancelled)
    (sent,) = [request for request in server.requests if not request.startswith(b"GET")]
    assert sent.startswith(line)
    assert sent.endswith(b"\r\n\r\n" + body)
    assert b"X-Version: 2\r\n" in sent
    assert (b"X-Job: 7\r\n" in sent) is ("headers" in cancel)


@pytest.mark.looptime
async def test_without_the_word_a_declared_job_cannot_be_cancelled() -> None:
    """The endpoint does not have the ability at all."""
    (made,) = declarations_of({"exports": TABLE}).values()
    endpoint: DeclaredEndpoint[Any] = DeclaredEndpoint(made)
    assert not hasattr(endpoint, "cancel_request")
    async with JobWatcher(endpoint, timeout_s=600.0) as watcher:
        with pytest.raises(ConfigurationError, match="cannot cancel jobs"):
            await watcher.watch(endpoint.job(id=7, name="a")).cancel()


def test_a_text_is_short_for_a_call() -> None:
    """As for the poll, in a file and in Python."""
    assert declared("POST /{id}").cancel == Call(ask="POST /{id}")
    assert attrs.evolve(declared("POST /{id}"), cancel="DELETE /{id}").cancel == Call(ask="DELETE /{id}")


def test_everything_that_is_wrong_with_a_cancel_is_reported() -> None:
    """Beside what is wrong with the poll."""
    found = problems_of(poll="GET /{idd}/{name}/{id}", cancel={"ask": "POST /{i}", "headers": {"Authorization": "x"}})
    assert any(problem.startswith("f.toml: [exports] poll: the path has {idd}") for problem in found)
    assert any(problem.startswith("f.toml: [exports] cancel: the path has {i}, but the job has") for problem in found)
    assert any("cancel: the header field Authorization has credentials" in problem for problem in found)
    assert problems_of(cancel={"aks": "POST /"}) == [
        "f.toml: [exports] cancel.ask: it is missing",
        "f.toml: [exports] cancel.aks: there is no such word; did you mean ask?",
    ]
    (problem,) = problems_of(cancel=7)
    assert problem == "f.toml: [exports] cancel: it must be a text or a table, got int"
    (problem,) = problems_of(cancel="/stop")
    assert problem.startswith("f.toml: [exports] cancel: write a method and a path")


def test_a_key_must_fit_the_cancel_too() -> None:
    """What would change the meaning of its URL is refused when the job is made."""
    made: DeclaredEndpoint[Any] = DeclaredEndpoint(declared("POST /{+name}:stop"))
    poll: DeclaredEndpoint[Any] = DeclaredEndpoint(
        attrs.evolve(made.declaration, poll=Call(ask="GET /{name}/{id}"), cancel=None)
    )
    assert poll.job(id=7, name="a//b")["name"] == "a//b"
    both: DeclaredEndpoint[Any] = DeclaredEndpoint(attrs.evolve(made.declaration, poll=Call(ask="GET /{name}/{id}")))
    with pytest.raises(ConfigurationError, match="single slashes"):
        both.job(id=7, name="a//b")
