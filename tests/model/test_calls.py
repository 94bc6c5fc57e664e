"""How the cursor gets to the methods of an endpoint."""

from __future__ import annotations

from typing import Any

import pytest
from yarl import URL

from pollwise.errors import ConfigurationError, Problem
from pollwise.model.abilities import with_defaults
from pollwise.model.calls import status_call
from pollwise.model.cursor import Cursor
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Endpoint
from pollwise.model.reading import Reading
from pollwise.watcher import JobWatcher

REPLY = Reply(200, {}, b"{}")


class Plain:
    name = "plain"

    def request(self, job: str) -> Request:
        return Request(URL(f"https://a.example/{job}"))

    def read(self, reply: Reply) -> Reading[Any]:
        return Reading.running("read")


class AsksWithIt(Plain):
    def request(self, job: str, cursor: Cursor = None) -> Request:
        return Request(URL(f"https://a.example/{job}/{cursor}"))


class ReadsWithIt(Plain):
    def read(self, reply: Reply, *, cursor: Cursor = None) -> Reading[Any]:
        return Reading.running(cursor)


class ReadsForAJobWithIt(Plain):
    def read_for(self, job: str, reply: Reply, cursor: Cursor = None, /) -> Reading[Any]:
        return Reading.running((job, cursor))


class ReadsForAJobByName(Plain):
    def read_for(self, job: str, reply: Reply, *, cursor: Cursor = None) -> Reading[Any]:
        return Reading.running((job, reply.status, cursor))


class AsksWithItAndReadsForAJob(AsksWithIt):
    def read_for(self, job: str, reply: Reply) -> Reading[Any]:
        return Reading.running((job, reply.status))


class Assigned(Plain):
    def __init__(self) -> None:
        self.read_for = lambda job, reply, cursor=None: Reading.running((job, reply.status, cursor))


class Sub(Endpoint[str, Any]):
    name = "sub"
    answer_statuses = frozenset({404})
    deciding_keys = ("state",)

    def request(self, job: str, /, cursor: Cursor = None) -> Request:
        return Request(URL(f"https://a.example/{job}/{cursor}"))

    def read(self, reply: Reply, /) -> Reading[Any]:
        return Reading.running("read")

    def problem(self, reply: Reply, /) -> Problem | None:
        return Problem(codes=("X",))


@pytest.mark.parametrize(
    ("endpoint", "path", "status"),
    [
        (AsksWithIt(), "/j/7", "read"),
        (ReadsWithIt(), "/j", 7),
        (ReadsForAJobWithIt(), "/j", ("j", 7)),
        (ReadsForAJobByName(), "/j", ("j", 200, 7)),
        (AsksWithItAndReadsForAJob(), "/j/7", ("j", 200)),
        (Assigned(), "/j", ("j", 200, 7)),
        (Sub(), "/j/7", "read"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_method_gets_the_cursor_if_it_asks_for_it(endpoint: Any, path: str, status: object) -> None:
    """By the name of a parameter: one that can be passed by name, by position, or either. The others are called as ever."""
    call = status_call(with_defaults(endpoint))
    assert call is not None
    assert call.request("j", 7).url.path == path
    assert call.read("j", REPLY, 7).status == status


def test_an_endpoint_that_takes_no_cursor_has_no_call() -> None:
    """Its own methods are called, without anything in between."""
    assert status_call(with_defaults(Plain())) is None


def test_a_call_has_what_its_endpoint_says_of_replies() -> None:
    """Refusals that are answers, deciding keys and problems."""
    call = status_call(Sub())
    assert call is not None
    assert call.answer_statuses == {404}
    assert call.deciding_keys == ("state",)
    assert call.problem(REPLY) == Problem(codes=("X",))
    assert (call.limits, call.compares, call.at_once) == (None, True, False)


@pytest.mark.parametrize("name", ["request", "read", "read_for"])
def test_a_cursor_needs_a_default(name: str) -> None:
    """The first request has none; the error says so when the watcher is made."""
    endpoint = Plain()
    setattr(endpoint, name, lambda *args, cursor: None)
    with pytest.raises(
        ConfigurationError, match=rf"cursor of {name} of the endpoint plain .* cursor=None, which is the start"
    ):
        JobWatcher(endpoint, timeout_s=1)


def test_a_method_without_a_signature_takes_no_cursor() -> None:
    """Such as one of C code."""
    endpoint: Any = Plain()
    endpoint.read = dict
    assert status_call(with_defaults(endpoint)) is None


def test_a_parameter_for_anything_is_not_a_cursor() -> None:
    """`**options` asks for nothing by name."""
    endpoint: Any = Plain()
    endpoint.read = lambda reply, **options: Reading.running(options)
    assert status_call(with_defaults(endpoint)) is None


@pytest.mark.parametrize(("made", "origin"), [(AsksWithIt, None), (Plain, "https://a.example"), (Plain, None)])
def test_urls_that_a_server_named_need_an_origin_and_a_cursor(made: type[Plain], origin: str | None) -> None:
    """Without them, their rules could not be applied. The error says what is missing."""
    endpoint: Any = made()
    endpoint.server_named_urls, endpoint.fixed_origin = True, origin
    with pytest.raises(
        ConfigurationError, match=r"plain has server_named_urls, so it needs a fixed_origin, .* cursor=None"
    ):
        JobWatcher(endpoint, timeout_s=1)


def test_server_named_urls_is_a_bool() -> None:
    """Another value is refused where the watcher is made."""
    endpoint: Any = AsksWithIt()
    endpoint.server_named_urls = "https://a.example"
    with pytest.raises(ConfigurationError, match="server_named_urls of the endpoint AsksWithIt must be True or False"):
        JobWatcher(endpoint, timeout_s=1)
