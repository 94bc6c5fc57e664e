"""Credentials as header fields: which are refused, and what the error shows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDictProxy

from pollwise.errors import ConfigurationError
from pollwise.http.auth import ApiKeyAuth, BasicAuth, BearerAuth
from pollwise.http.credentials import Credential, header_fields

SECRET = "s3cr3t-of-the-house"
EMPTY = "is empty; pass the value, and check the variable or file that it comes from$"
CONTROL = r"has a control character, perhaps a line break at its end; call \.strip\(\) on it$"
UNSENDABLE = (
    r"must be printable ASCII without surrounding spaces; a secret read from a file often ends in a line break,"
    r" so call \.strip\(\) on it$"
)
CONTROLS = "\n\r\0\x1f\x7f\x80\x9f\ud800\udfff"
NO_TEXTS: list[tuple[Any, str]] = [
    ("", EMPTY),
    *((bad, f"must be a str, not {kind}$") for bad, kind in ((None, "NoneType"), (7, "int"), (b"x", "bytes"))),
]
BAD_TEXTS = [*NO_TEXTS, *((f"{SECRET}{char}", CONTROL) for char in CONTROLS), (f"{SECRET}\r\nX: y", CONTROL)]
BAD_VALUES = [f"{SECRET}{char}" for char in f"{CONTROLS} \té"]
BAD_FIELDS = [*NO_TEXTS, *((bad, UNSENDABLE) for bad in [*BAD_VALUES, f" {SECRET}", " ", f"{SECRET}\r\nX: y"])]
BAD_NAMES = ["", "a b", "a:b", "é", "a\r\nb"]


def named(name: str, bad: list[tuple[Any, str]]) -> list[tuple[Any, str]]:
    return [(value, f"^{name} {why}") for value, why in bad]


def cases(made: Callable[[Any], Any], bad: list[tuple[Any, str]]) -> list[tuple[Callable[[Any], Any], Any, str]]:
    return [(made, value, why) for value, why in bad]


@pytest.mark.parametrize(
    ("made", "bad", "why"),
    [
        *cases(ApiKeyAuth, named("api_token", BAD_FIELDS)),
        *cases(BearerAuth, named("the bearer token", NO_TEXTS)),
        *cases(BearerAuth, named("Authorization", [(f"{SECRET}{char}", UNSENDABLE) for char in f"{CONTROLS}\té"])),
        *cases(BearerAuth, [
            (bad, "^the bearer token has a space; pass it without the word Bearer$")
            for bad in (f" {SECRET}", f"{SECRET} ", " ", f"{SECRET}\r\nX: y", f"Bearer {SECRET}")
        ]),
        *cases(lambda user: BasicAuth(user, "p"), named("the user", BAD_TEXTS)),
        (lambda user: BasicAuth(user, "p"), f"a:{SECRET}", "^the user has a colon, which HTTP Basic authentication does not"),
        *cases(lambda password: BasicAuth("u", password), named("the password", BAD_TEXTS[1:])),
        *cases(lambda name: ApiKeyAuth("k", header=name), [
            (bad, "is not a valid header field name: pass letters, digits and hyphens$") for bad in BAD_NAMES
        ]),
        *cases(lambda value: Credential({"X": value}), named("X", BAD_FIELDS)),
        *cases(Credential, [({}, "^headers is empty: a Credential needs at least one header field$")]),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_refused_at_once(made: Callable[[Any], Any], bad: Any, why: str) -> None:
    """The constructor refuses it. The error names what is wrong and what to do, and does not show the value."""
    with pytest.raises(ConfigurationError, match=why) as caught:
        made(bad)
    error = caught.value
    assert SECRET not in f"{error!r} {error} {error.__cause__!r} {error.__context__!r}"


@pytest.mark.parametrize("life_s", [0, -1, math.nan, math.inf])
def test_a_lifetime_is_a_positive_number_or_none(life_s: float) -> None:
    """Other lifetimes are refused, and the fields are not shown."""
    why = f"^expires_in_s must be a number of seconds above 0, or None, not {life_s!r}$"
    with pytest.raises(ConfigurationError, match=why) as caught:
        Credential({"X": SECRET}, life_s)
    assert SECRET not in str(caught.value)
    assert [Credential({"X": "a"}, good).expires_in_s for good in (None, 0.5, 1)] == [None, 0.5, 1]
    assert SECRET not in repr(Credential({"X": SECRET}))


def test_credentials_may_be_in_no_header_field() -> None:
    """A method `sign` uses them. Each has a mapping of its own, which shows that they were renewed."""
    one, other = Credential(None), Credential(None)
    assert one.headers == {}
    assert one.headers is not other.headers


def test_fields_cannot_be_changed() -> None:
    """The fields that are sent are the ones that were checked."""
    given_fields = {"X-Key": SECRET}
    fields = header_fields(given_fields)
    given_fields["X-Key"] = "other"
    assert isinstance(fields, CIMultiDictProxy)
    assert fields["x-key"] == SECRET


@given(name=st.text(), value=st.text())
def test_an_accepted_field_is_one_line_of_ascii(name: str, value: str) -> None:
    """A field is refused, or it cannot end the header field or begin another."""
    try:
        fields = header_fields({name: value})
    except ConfigurationError:
        return
    for part in (*fields.keys(), *fields.values()):
        assert part.isascii()
        assert part.isprintable()
        assert part == part.strip()
    assert not set(name) & set(" :")
