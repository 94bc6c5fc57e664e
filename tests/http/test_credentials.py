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
BAD_TEXTS = ["", f"{SECRET}\n", f"{SECRET}\r\nX: y", f"{SECRET}\0", f"{SECRET}\x7f", f"{SECRET}\ud800", None, 7, b"x"]
BAD_FIELDS = [*BAD_TEXTS, f"{SECRET}é", f" {SECRET}", f"{SECRET} ", f"{SECRET}\t", " "]


@pytest.mark.parametrize(
    ("made", "bad"),
    [
        *((ApiKeyAuth, bad) for bad in BAD_FIELDS),
        *((BearerAuth, bad) for bad in [*BAD_FIELDS, f"Bearer {SECRET}"]),
        *((lambda user: BasicAuth(user, "p"), bad) for bad in [*BAD_TEXTS, f"a:{SECRET}"]),
        *((lambda password: BasicAuth("u", password), bad) for bad in BAD_TEXTS if bad != ""),
        *((lambda name: ApiKeyAuth("k", header=name), bad) for bad in ["", "a b", "a:b", "é", "a\r\nb"]),
        *((lambda value: Credential({"X": value}), bad) for bad in BAD_FIELDS),
    ],
)
def test_what_cannot_be_sent_is_refused_at_once(made: Callable[[Any], Any], bad: Any) -> None:
    """The constructor refuses it. The error says what is wrong and does not show the value."""
    with pytest.raises(ConfigurationError) as caught:
        made(bad)
    error = caught.value
    assert SECRET not in f"{error!r} {error} {error.__cause__!r} {error.__context__!r}"


@pytest.mark.parametrize("life_s", [0, -1, math.nan, math.inf])
def test_a_lifetime_is_a_positive_number_or_none(life_s: float) -> None:
    """Other lifetimes are refused, and the fields are not shown."""
    with pytest.raises(ConfigurationError):
        Credential({"X": SECRET}, life_s)
    with pytest.raises(ConfigurationError):
        Credential({})
    assert SECRET not in repr(Credential({"X": SECRET}))


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
