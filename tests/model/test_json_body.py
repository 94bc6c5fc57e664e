"""JSON in a body, whatever it is wrapped in."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from yarl import URL

from pollwise.errors import MalformedReply
from pollwise.model.json_body import body_text, decoded
from pollwise.model.messages import Reply, Request

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
DOCUMENTS = st.lists(JSON) | st.dictionaries(st.text(), JSON)


def reply(body: bytes, kind: str | None = "application/json", request: Request | None = None) -> Reply:
    return Reply(200, CIMultiDict({} if kind is None else {"Content-Type": kind}), body, request)


def nested(depth: int, inside: str = "1") -> bytes:
    return b'{"end": 1, "deep": ' + b"[" * depth + inside.encode() + b"]" * depth + b', "after": "x"}'


@given(
    DOCUMENTS,
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]),
    st.sampled_from(["", "\r\n", ")]}'\n", ")]}',\n", "while(1);", "while (true);", "for (;;);", "{}&& "]),
    st.sampled_from(["", "\n", "\0", "\r\n\0\0\0"]),
    st.sampled_from([None, "", "text/plain", "text/html", "application/json; charset=utf-8", "application/xml"]),
)
def test_json_is_read_in_every_wrapping(
    document: Any, encoding: str, prefix: str, suffix: str, kind: str | None
) -> None:
    """Whatever the media type is; with a byte order mark, in UTF-16 and UTF-32, between known wrappings."""
    body = (prefix + orjson.dumps(document).decode() + suffix).encode(encoding)
    assert reply(body, kind).json() == document


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("iso-8859-1", "Größe"),
        ("ISO-8859-15", "5 €"),
        ("Windows-1252", "“Größe”"),
        ("shift_jis", "ファイル"),
        ("gbk", "文件"),
        ("koi8-r", "файл"),
    ],
)
def test_a_declared_charset_is_heard_where_the_body_is_no_utf_8(charset: str, text: str) -> None:
    """RFC 8259 demands UTF-8; some servers declare another."""
    body = json.dumps({"message": text}, ensure_ascii=False).encode(charset)
    assert reply(body, f'application/json; charset="{charset}"').json() == {"message": text}


@pytest.mark.parametrize("charset", ["iso-8859-1", "idna", "rot13", "unknown", "iso-8859-99", "utf-7", ""])
def test_utf_8_wins_over_what_is_declared(charset: str) -> None:
    """UTF-8 cannot be mistaken for another charset. An unknown or unsafe charset is not used."""
    kind = f"application/json; charset={charset}"
    assert reply('{"message": "Größe"}'.encode(), kind).json() == {"message": "Größe"}
    if charset != "iso-8859-1":
        assert reply(b'{"message": "Gr\xf6\xdfe"}', kind).json() == {"message": "Gr\ufffd\ufffde"}


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (b"NaN", None),
        (b"-Infinity", None),
        (b"1e999", None),
        (b"1" + b"0" * 6_000, None),
        (b'"\xff"', "\ufffd"),
        (b'"a\tb\nc"', "a\tb\nc"),
        (b'"\\ud83d"', "?"),
        (b'"\\ud83d\\ude00 \\udc00"', "\U0001f600 ?"),
    ],
)
def test_one_value_never_hides_another(value: bytes, read: object) -> None:
    """What no value can be made of is None or a replacement character; the rest of the document is read."""
    found = reply(b'{"a": %b, "b": [1.5, 7, NaN], "end": true}' % value).json()
    assert found == {"a": read, "b": [1.5, 7, None], "end": True}
    orjson.dumps(found)


@pytest.mark.parametrize("depth", [1, 99, 101, 1_023, 1_024, 5_000, 200_000])
@pytest.mark.parametrize("inside", ['"]]]["', '{"a": "\\"]"}', ""])
def test_what_is_nested_too_deep_hides_nothing(depth: int, inside: str) -> None:
    """Too deep to be decoded it becomes None, and what stands beside it is read."""
    found = reply(nested(depth, inside)).json()
    assert (found["end"], found["after"]) == (1, "x")
    if depth < 1_000:
        assert found == orjson.loads(nested(depth, inside))


@given(st.lists(st.sampled_from(["[", "]", "{", "}", '"', "\\", "a", ",", ":", "1", "NaN"]), max_size=60).map("".join))
def test_a_broken_text_is_a_value_error(text: str) -> None:
    """Or JSON; never another error, nested as deep as it may be."""
    for wrapped in (text, "[" * 1_500 + text + "]" * 1_500):
        try:
            orjson.dumps(decoded(wrapped))
        except ValueError as exc:
            assert str(exc).startswith("broken JSON, ")  # noqa: PT017  # most texts raise none


@pytest.mark.parametrize(
    "body", [b"{'a': 1}", b'{"a": 1,}', b'{"a": 1} {"a": 2}', b'{"a": 1} // done', b'{"a": 1', b"callback({})", b"["]
)
def test_what_is_no_json_stays_malformed(body: bytes) -> None:
    """Nothing is guessed: quotes, commas, comments and ends are as they are."""
    with pytest.raises(MalformedReply, match="broken JSON, ") as caught:
        reply(body).json()
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("kind", "body", "why"),
    [
        ("text/html; charset=utf-8", b"<html>", "expected JSON, got text/html"),
        ("application/xml", b"<a/>", "expected JSON, got application/xml"),
        ("text/plain", b"OK, fine", "expected JSON, got text/plain"),
        (None, b"<html>", "expected JSON, got no content type"),
        ("", b"no", "expected JSON, got no content type"),
        ("x/" + "\x1b" + "y" * 99, b"no", "expected JSON, got x/\\x1b" + "y" * 57),
        ("text/html", b"", "expected JSON, got an empty body"),
        (None, b" \r\n", "expected JSON, got an empty body"),
        ("text/plain", b'{"a": ', "broken JSON, "),
        ("application/json", b"<html>", "broken JSON, "),
    ],
)
def test_a_body_that_is_no_json_is_called_what_it_is(kind: str | None, body: bytes, why: str) -> None:
    """By its media type, escaped and short."""
    with pytest.raises(MalformedReply) as caught:
        reply(body, kind).json()
    assert caught.value.reason.startswith(why)
    assert len(caught.value.reason) < 120


@given(st.binary(), st.sampled_from([None, "text/html", "application/json; charset=shift_jis"]))
def test_any_bytes_are_json_or_malformed(body: bytes, kind: str | None) -> None:
    """Nothing but MalformedReply comes out."""
    try:
        orjson.dumps(reply(body, kind).json())
    except MalformedReply as exc:
        assert exc.reason.isascii()  # noqa: PT017  # most bodies raise it


@given(st.binary(), st.none() | st.text())
def test_any_bytes_have_a_text(body: bytes, kind: str | None) -> None:
    """Whatever the charset is said to be."""
    body_text(body, kind)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_a_credential_that_is_echoed_in_another_encoding_is_masked(encoding: str) -> None:
    """In what is read, and in the excerpt of an error."""
    request = Request(URL("https://example.com"), {"Authorization": "Bearer hush-hush-9"})
    body = '{"message": "you sent Bearer hush-hush-9"}'
    assert "hush" not in str(reply(body.encode(encoding), request=request).json())
    with pytest.raises(MalformedReply) as caught:
        reply(body[:-1].encode(encoding), request=request).json()
    assert "you sent" in str(caught.value)
    assert "hush" not in str(caught.value)
