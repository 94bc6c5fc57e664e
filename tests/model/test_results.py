"""The call that fetches a result."""

from __future__ import annotations

from typing import Any

import pytest
from yarl import URL

from pollwise.errors import ConfigurationError, MalformedReply, ResultTooLarge
from pollwise.model.abilities import with_defaults
from pollwise.model.messages import Reply, Request
from pollwise.model.reading import Phase
from pollwise.model.results import ResultCall, ResultPage, check_result_methods
from toy import ToyEndpoint, ToyJob, ToyStatus

JOB, STATUS = ToyJob(), ToyStatus("succeeded")
REPLY = Reply(200, {}, b"{}")


def _call(*results: Any, most_bytes: int = 100_000) -> ResultCall[ToyJob, ToyStatus]:
    left = list(results)

    class Made(ToyEndpoint):
        def result_request(self, job: ToyJob, status: ToyStatus, /, cursor: Any = None) -> Request:
            return Request(URL(f"https://toy.example/{job.id}/{status.state}/{cursor}"))

        def read_result(self, reply: Reply, /) -> Any:
            return left.pop(0)

    return ResultCall(with_defaults(Made()), STATUS, most_bytes=most_bytes)


def test_a_request_has_the_status_and_the_cursor() -> None:
    """The endpoint gets both."""
    assert str(_call().request(JOB, 3).url) == "https://toy.example/a/succeeded/3"


@pytest.mark.parametrize("value", [b"bytes", {"any": "value"}, None, ResultPage({"one": "page"})])
def test_one_page_is_the_result_as_it_is(value: Any) -> None:
    """Of whatever type."""
    reading = _call(value).read(JOB, REPLY, None)
    assert reading.final
    assert reading.phase is Phase.SUCCEEDED
    assert reading.status == (value.value if isinstance(value, ResultPage) else value)


@pytest.mark.parametrize(
    ("pages", "joined"),
    [
        ([[1], [2, 3], []], [1, 2, 3]),
        ([(1,), (2,)], (1, 2)),
        (["a", "b", "c"], "abc"),
        ([b"a", b"b"], b"ab"),
        ([1, 2], 3),
    ],
)
def test_pages_are_joined(pages: list[Any], joined: Any) -> None:
    """As `+` joins them."""
    *first, last = pages
    call = _call(*[ResultPage(page, next=number) for number, page in enumerate(first, 1)], ResultPage(last))
    for number in range(len(first)):
        assert call.read(JOB, REPLY, number or None).cursor == number + 1
    assert call.read(JOB, REPLY, len(first)).status == joined


@pytest.mark.parametrize("pages", [({"a": 1}, {"b": 2}), ("text", b"bytes")])
def test_pages_that_cannot_be_joined_are_refused(pages: Any) -> None:
    """The error says what can be."""
    call = _call(ResultPage(pages[0], next=1), ResultPage(pages[1]))
    call.read(JOB, REPLY, None)
    with pytest.raises(ConfigurationError, match="list, a tuple, a text or bytes"):
        call.read(JOB, REPLY, 1)


def test_all_pages_together_are_bounded() -> None:
    """A large page counts its bytes."""
    large = Reply(200, {}, b"x" * 6_000)
    call = _call(ResultPage([], next=1), ResultPage([]), most_bytes=10_000)
    call.read(JOB, large, None)
    with pytest.raises(ResultTooLarge):
        call.read(JOB, large, 1)


@pytest.mark.parametrize("following", [7, "x" * 5_000])
def test_a_cursor_that_leads_nowhere_is_a_malformed_reply(following: Any) -> None:
    """The page is not counted."""
    call = _call(ResultPage([1], next=following), ResultPage([2]))
    with pytest.raises(MalformedReply):
        call.read(JOB, REPLY, 7)
    assert call.read(JOB, REPLY, 7).status == [2]


def test_an_endpoint_has_both_methods_or_none() -> None:
    """One of them alone is a mistake."""
    endpoint = ToyEndpoint()
    assert not check_result_methods(endpoint)
    endpoint.read_result = lambda reply: None  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match="no result_request"):
        check_result_methods(endpoint)
    endpoint.result_request = lambda job, status: None  # type: ignore[attr-defined]
    assert check_result_methods(endpoint)
