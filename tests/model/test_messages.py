"""What crosses the seams: content types, excerpts without secrets, and an endpoint's defaults."""

from __future__ import annotations

import re

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from yarl import URL

from pollwise.errors import ConfigurationError, MalformedReply
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Endpoint
from pollwise.model.reading import Phase, Reading


def reply(body: bytes, *, request: Request | None = None, **fields: str) -> Reply:
    return Reply(200, CIMultiDict({name.replace("_", "-"): value for name, value in fields.items()}), body, request)


@pytest.mark.parametrize(
    ("value", "kind", "is_json"),
    [
        ("application/json", "application/json", True),
        ("Application/JSON; charset=utf-8", "application/json", True),
        ("application/problem+json", "application/problem+json", True),
        ("text/html", "text/html", False),
        ("text/json", "text/json", False),
        ("", "", False),
        ("application/\udcff\x1b[2J", "application/\\udcff\\x1b[2j", False),
        ("a" * 70_000, "a" * 60, False),
    ],
)
def test_a_content_type_is_read_without_its_parameters(value: str, kind: str, is_json: bool) -> None:
    """JSON is said by application/json and every application/*+json (RFC 6839)."""
    made = reply(b"", Content_Type=value)
    assert (made.content_type, made.is_json) == (kind, is_json)


def test_no_content_type_is_none() -> None:
    """A reply that does not say does not say JSON."""
    assert reply(b"").content_type is None
    assert not reply(b"").is_json


@pytest.mark.parametrize("secret", ["hushhush", "s3cr3t-t0ken", "dXNlcjpwYXNz"])
def test_an_excerpt_masks_the_credentials_that_were_sent(secret: str) -> None:
    """With their scheme and without it, wherever the server repeats them."""
    request = Request(URL("https://example.com"), {"Authorization": f"Bearer {secret}", "api_token": secret})
    text = reply(f"you sent Bearer {secret} and {secret}".encode(), request=request).excerpt()
    assert secret not in text
    assert "***" in text


@pytest.mark.parametrize(
    "echo",
    ["Bearer s3cr3t/t0ken+", "s3cr3t/t0ken+", r"s3cr3t\/t0ken+", r"s3cr3t\u002Ft0ken\u002B", r"s3cr3t\/t0ken\u002b"],
)
def test_a_reply_is_read_without_the_credentials_that_it_echoes(echo: str) -> None:
    """With their scheme and without it, also as JSON may escape them; and the rest is as it was."""
    made = reply(f'{{"why": "bad {echo}!", "n": 1}}'.encode(), Content_Type="application/json")
    masked = made.masking({"Authorization": "Bearer s3cr3t/t0ken+"})
    assert b"t0ken" not in masked.body
    assert masked.body.endswith(b'***!", "n": 1}')
    assert (masked.status, masked.headers) == (made.status, made.headers)


def test_a_reply_without_an_echo_is_left_alone() -> None:
    """Nothing is copied for it; and a credential so short that it may be a word of the reply's masks nothing."""
    made = reply(b'{"status": 2}')
    assert made.masking({"Authorization": "Bearer s3cr3t-t0ken", "api_token": "status"}) is made


@given(st.binary(max_size=4000))
def test_an_excerpt_is_short_and_printable(body: bytes) -> None:
    """Any bytes: no control characters, and no long run of the characters that credentials are made of."""
    text = reply(body).excerpt()
    assert len(text) <= 160 * 10
    assert text.isprintable()
    assert not re.search(r"[A-Za-z0-9+/_.~=-]{24,}", text)


def test_a_malformed_reply_says_what_and_where() -> None:
    """The error for a reply carries its status, media type and excerpt."""
    error = reply(b"<html>oops</html>", Content_Type="text/html; charset=x").malformed("expected JSON")
    assert isinstance(error, MalformedReply)
    assert (error.reason, error.http_status, error.content_type) == ("expected JSON", 200, "text/html")
    assert "<html>oops" in str(error)


@pytest.mark.parametrize(
    ("method", "idempotent"),
    [("GET", True), ("get", True), ("HEAD", True), ("PUT", True), ("POST", False), ("PATCH", False)],
)
def test_an_idempotent_request_is_known(method: str, idempotent: bool) -> None:
    """RFC 9110, 9.2.2: only such a request may be sent again where it is not known whether it arrived."""
    assert Request(URL("https://example.com"), method=method).is_idempotent is idempotent


def test_a_requests_repr_shows_no_secret() -> None:
    """Headers and body may hold credentials."""
    request = Request(URL("https://example.com"), {"api_token": "hushhush"}, "POST", b"hushhush")
    assert "hushhush" not in repr(request)


@attrs.frozen
class Job:
    number: int


class Bare(Endpoint[Job, Job]):
    name = "bare"

    def request(self, job: Job, /) -> Request:
        return Request(URL("https://example.com"))

    def read(self, reply: Reply, /) -> Reading[Job]:
        return Reading(status=Job(1), phase=Phase.RUNNING)


def test_an_endpoint_of_three_members_has_sensible_defaults() -> None:
    """No credentials, no known limit and no codes."""
    endpoint = Bare()
    assert endpoint.auth is None
    assert endpoint.documented_limit is None
    assert endpoint.problem(reply(b"")) is None
    assert endpoint.read_for(Job(7), reply(b"")) == endpoint.read(reply(b""))


def test_what_an_endpoint_does_not_define_is_said_clearly() -> None:
    """Each use of the missing codec says how to get one."""
    codec = Bare().codec
    for use in (codec.job_to_keys, codec.job_from_keys, codec.status_to_json, codec.status_from_json):
        with pytest.raises(ConfigurationError, match=r"codec = AttrsCodec\(MyJob, MyStatus\)"):
            use({})  # type: ignore[arg-type]
