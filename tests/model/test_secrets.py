"""Which texts of a request are secrets, and for how long they are known."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping

import pytest

from pollwise.model.secrets import KnownSecrets, secrets_in, secrets_named_in


def basic(user: str, password: str, charset: str = "utf-8") -> str:
    return base64.b64encode(f"{user}:{password}".encode(charset)).decode()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"api_token": "abc"}, {"abc"}),
        ({"Authorization": "Bearer abc"}, {"Bearer abc", "abc"}),
        ({"X-One": "1", "X-Two": "2"}, {"1", "2"}),
        ({"Cookie": "session=abc; theme=dark"}, {"session=abc; theme=dark", "theme=dark", "abc", "dark"}),
        (
            {"Authorization": 'OAuth oauth_token="abc", oauth_nonce="7"'},
            {'OAuth oauth_token="abc", oauth_nonce="7"', 'oauth_nonce="7"', "abc", "7"},
        ),
        ({"Authorization": "Basic no-base64!"}, {"Basic no-base64!", "no-base64!"}),
    ],
)
def test_each_field_of_an_auth_is_a_secret(fields: Mapping[str, str], expected: set[str]) -> None:
    """Its whole value, its last word, and the parameters that are named like credentials."""
    assert secrets_in(fields) == expected


@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
def test_basic_credentials_are_decoded(charset: str) -> None:
    """RFC 7617: the pair and the password. The user name is no secret."""
    sent = basic("bob", "pässwort:1", charset)
    assert secrets_in({"Authorization": f"Basic {sent}"}) == {f"Basic {sent}", sent, "bob:pässwort:1", "pässwort:1"}


@pytest.mark.parametrize("password", ["", "x", "abc"])
def test_a_user_name_that_may_be_a_key_is_a_secret(password: str) -> None:
    """Some APIs take a key as the user name, with no password or with any."""
    assert "sk_live_1234" in secrets_in({"Authorization": "Basic " + basic("sk_live_1234", password)})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("api_key=a%2Fb&job=7", {"a/b"}),
        ("access_token=abc&sig=def&page_token=7", {"abc", "def"}),
        ("X-Amz-Signature=abc&X-Amz-SignedHeaders=host", {"abc"}),
        ("author=me&key=abc", {"abc"}),
        ("token=", set()),
        ("id=7", set()),
    ],
)
def test_a_query_parameter_is_a_secret_by_its_name(query: str, expected: set[str]) -> None:
    """A job's ID is none, and a page is none."""
    assert secrets_named_in({}, query) == expected


def test_a_header_field_of_an_endpoint_is_a_secret_by_its_name() -> None:
    """What is not named like one must not be masked in a reply."""
    fields = {"Accept": "application/json", "X-Api-Key": "abc", "Idempotency-Key": "7", "If-None-Match": "8"}
    assert secrets_named_in(fields) == {"abc"}


@pytest.mark.parametrize(
    "body", [b"client_secret=abc&job=7", b'{"password": "abc", "job": "7", "token": null, "key": [1]}']
)
def test_a_field_of_a_body_is_a_secret_by_its_name(body: bytes) -> None:
    """In a form and in a JSON object."""
    assert secrets_named_in({}, "", body) == {"abc"}


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff\0", b"token=" + b"x" * 70_000])
def test_a_body_of_another_kind_has_no_secret(body: bytes) -> None:
    """Nor a very long one, because each poll is searched."""
    assert secrets_named_in({}, "", body) == set()


def test_earlier_credentials_are_known_for_ten_minutes() -> None:
    """A reply on the way may repeat them. After that they cost nothing any more."""
    known = KnownSecrets()
    old, new = {"Authorization": "Bearer old-token-1"}, {"Authorization": "Bearer new-token-2"}
    known.learn(old, 0.0)
    assert (known.forget_at, known.mask.text("old-token-1 new-token-2")) == (math.inf, "*** new-token-2")
    known.learn(new, 100.0)
    assert known.mask.text("old-token-1 new-token-2") == "*** ***"
    known.learn(new, 699.0)
    assert known.mask.text("old-token-1 new-token-2") == "*** ***"
    known.learn(new, 700.0)
    assert (known.forget_at, known.mask.text("old-token-1 new-token-2")) == (math.inf, "old-token-1 ***")


def test_the_same_credentials_are_compiled_once() -> None:
    """Also if an auth makes a new mapping for each request."""
    known = KnownSecrets()
    known.learn({"api_token": "s3cr3t-t0ken"}, 0.0)
    mask = known.mask
    known.learn({"api_token": "s3cr3t-t0ken"}, 1.0)
    assert known.mask is mask
    assert known.forget_at == math.inf
