"""Requests with holes for the keys of a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.endpoints.declared.problems import Problems
from pollwise.endpoints.declared.templates import Key, RequestTemplate
from pollwise.endpoints.declared.vocabulary import Call
from pollwise.errors import ConfigurationError

BASE = "https://api.example.com/api/"


def parsed(
    ask: str,
    *keys: str,
    base: str | None = BASE,
    headers: Mapping[str, Any] | None = None,
    json: Any = None,
) -> tuple[RequestTemplate | None, list[str]]:
    problems = Problems()
    call = Call(ask=ask, headers=headers or {}, json=json)
    template = RequestTemplate.parse("poll", call, {}, base, dict.fromkeys(keys, "str"), problems)
    return template, list(map(str, problems.found))


def url_of(ask: str, base: str | None = BASE, **keys: Key) -> str:
    template, problems = parsed(ask, *keys, base=base)
    assert template is not None, problems
    for name, value in keys.items():
        template.check(name, value)
    return str(template.request(keys).url)


@pytest.mark.parametrize(
    ("ask", "keys", "url"),
    [
        ("GET /jobs/{id}", {"id": "a/b c?d#e%2f"}, "/jobs/a%2Fb%20c%3Fd%23e%252f"),
        ("GET /jobs/{id}", {"id": 7}, "/jobs/7"),
        ("GET /v1/{+name}:cancel", {"name": "operations/a b?c"}, "/v1/operations/a%20b%3Fc:cancel"),
        ("GET /jobs?run={id}&full=1", {"id": "a&b=c d"}, "/jobs?run=a%26b%3Dc%20d&full=1"),
        ("GET /jobs/{id}?fields=a,b", {"id": "é"}, "/jobs/%C3%A9?fields=a,b"),
    ],
)
def test_a_key_keeps_its_place_in_the_url(ask: str, keys: dict[str, Key], url: str) -> None:
    """Whatever is in it, it is one segment, one value, or some segments."""
    assert url_of(ask, **keys) == f"https://api.example.com/api{url}"


@given(st.text(min_size=1, max_size=30))
def test_a_segment_comes_back_whole(value: str) -> None:
    """The server decodes the very text, or the text is refused when the job is made."""
    try:
        url = url_of("GET /jobs/{id}/status", id=value)
    except ConfigurationError:
        return
    path = url.removeprefix("https://api.example.com/api/")
    assert path.count("/") == 2
    assert unquote(path.split("/")[1]) == value


@pytest.mark.parametrize("value", ["", ".", "..", "a\nb", "a" * 2000, "\ud800"])
def test_a_value_that_is_no_segment_is_refused(value: str) -> None:
    """Before any request is made."""
    with pytest.raises(ConfigurationError, match="id must"):
        url_of("GET /jobs/{id}", id=value)


@pytest.mark.parametrize("value", ["/a", "a//b", "a/", "../a", "a/./b", "a/..", ""])
def test_slashes_cannot_leave_the_path(value: str) -> None:
    """`{+id}` keeps slashes, and no segment may be empty or mean another folder."""
    with pytest.raises(ConfigurationError, match="name must"):
        url_of("GET /v1/{+name}", name=value)


def test_a_job_may_be_a_url() -> None:
    """`GET {+url}` needs no base, and sends the URL as it is."""
    assert url_of("GET {+url}", None, url="https://a.example/x?y=%2F") == "https://a.example/x?y=%2F"


@pytest.mark.parametrize(
    "url",
    ["ftp://a.example/x", "/x", "https://u:p@a.example/", "https://a.example/\n", "https://a.example/é", "https:///x"],
)
def test_a_url_that_cannot_be_right_is_refused(url: str) -> None:
    """The error does not show it, because it may hold a credential."""
    with pytest.raises(ConfigurationError, match="absolute http or https URL") as caught:
        url_of("GET {+url}", None, url=url)
    assert "u:p" not in str(caught.value)


def test_only_a_whole_text_of_a_body_is_a_hole() -> None:
    """GraphQL has braces of its own. A number stays a number."""
    query = "query($id: ID!) { node(id: $id) { status } }"
    template, problems = parsed(
        "POST /graphql", "id", json={"query": query, "variables": {"id": "{id}"}, "more": ["{id}", 1]}
    )
    assert template is not None, problems
    request = template.request({"id": 7})
    assert orjson.loads(request.body or b"") == {"query": query, "variables": {"id": 7}, "more": [7, 1]}
    assert (request.method, request.headers["Content-Type"]) == ("POST", "application/json")


def test_a_header_takes_keys() -> None:
    """Its value stays printable ASCII."""
    template, problems = parsed("GET /job", "id", headers={"X-Job": "job {id}"})
    assert template is not None, problems
    assert template.request({"id": "a"}).headers == {"X-Job": "job a"}
    with pytest.raises(ConfigurationError, match="printable ASCII"):
        template.check("id", "é")


@pytest.mark.parametrize(
    ("ask", "options", "why"),
    [
        ("/jobs/{id}", {}, "write a method and a path"),
        ("FETCH /jobs/{id}", {}, "write a method and a path"),
        ("GET  /jobs/{id}", {}, "write a method and a path"),
        ("GET jobs/{id}", {}, "must begin with a slash"),
        ("GET /jobs/{other}", {}, r"the path has {other}, but the job has only the keys id"),
        ("GET /jobs/{id", {}, "write a hole as {id}"),
        ("GET /jobs/{i d}", {}, "spaces"),
        ("GET /jobs/{id}#top", {}, "fragment"),
        ("GET /jobs/{id}", {"base": None}, "base: write the base URL"),
        ("GET /jobs/{id}", {"base": "https://user:hunter2@a.example"}, "must not hold credentials"),
        ("GET {+id}", {}, "leave base out"),
        ("GET /jobs/{id}", {"headers": {"Authorization": "Bearer abc"}}, "name their environment variable in auth"),
        ("GET /jobs/{id}", {"headers": {"a b": "c"}}, "needs a name of letters"),
        ("GET /jobs/{id}", {"headers": {"X-A": "{other}"}}, "the header field X-A has {other}"),
        ("POST /jobs/{id}", {"json": {"a": "{other}"}}, "the body has {other}"),
    ],
)
def test_a_call_that_cannot_be_right_is_a_problem(ask: str, options: dict[str, Any], why: str) -> None:
    """Each problem names its word, and shows no credential."""
    template, problems = parsed(ask, "id", **options)
    assert template is None
    assert any(why in problem for problem in problems), problems
    assert not any("hunter2" in problem or "abc" in problem for problem in problems)
