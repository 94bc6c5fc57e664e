"""Decoding content codings: no body decodes to more than the limit."""

from __future__ import annotations

import contextlib
import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.http.content_decoding import DecodedTooLarge, DecodingError, decode_body, decoding_body


def raw_deflate(data: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-15)
    return squeeze.compress(data) + squeeze.flush()


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    " GZip ": gzip.compress,
}


@pytest.mark.parametrize("coding", CODINGS)
@given(data=st.binary(max_size=2_000))
def test_a_compressed_body_is_decoded(coding: str, data: bytes) -> None:
    """A body of exactly the limit is decoded, and one byte more raises."""
    body = CODINGS[coding](data)
    assert decode_body(body, coding, len(data) or 1) == data
    if data:
        with pytest.raises(DecodedTooLarge):
            decode_body(body, coding, len(data) - 1)


@given(data=st.binary(max_size=2_000))
def test_raw_deflate_is_decoded(data: bytes) -> None:
    """Some servers send the raw stream as `deflate`."""
    assert decode_body(raw_deflate(data), "deflate", 2_000) == data


@given(parts=st.lists(st.binary(max_size=50), min_size=1, max_size=16))
def test_all_members_of_a_gzip_body_count(parts: list[bytes]) -> None:
    """RFC 1952, 2.2: a file may have several members, and padding at its end."""
    body = b"".join(map(gzip.compress, parts)) + bytes(7)
    assert decode_body(body, "gzip", 1_000) == b"".join(parts)


def test_the_limit_holds_for_all_members_together() -> None:
    """Several small members do not bypass the limit."""
    with pytest.raises(DecodedTooLarge):
        decode_body(gzip.compress(bytes(60)) * 2, "gzip", 100)


def test_many_members_are_refused() -> None:
    """Many empty members would take minutes."""
    with pytest.raises(DecodingError, match="more than 16"):
        decode_body(gzip.compress(b"") * 50_000, "gzip", 1 << 20)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_bomb_stays_small(coding: str) -> None:
    """Decoding a gzip bomb stops at the limit."""
    with pytest.raises(DecodedTooLarge):
        decode_body(CODINGS[coding](bytes(20_000_000)), coding, 1_000)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_large_body_is_decoded_in_steps(coding: str) -> None:
    """An event loop can run after each quarter of a MiB, however small the body was before."""
    steps = sum(1 for _ in decoding_body(CODINGS[coding](bytes(1 << 20)), coding, 1 << 20))
    assert steps >= 3
    assert decode_body(CODINGS[coding](bytes(1 << 20)), coding, 1 << 20) == bytes(1 << 20)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_truncated_body_is_refused(coding: str) -> None:
    """A part of a document is never returned as a whole one."""
    body = CODINGS[coding](b"some text that is compressed")
    for end in range(1, len(body)):
        with pytest.raises(DecodingError):
            decode_body(body[:end], coding, 1_000)


ZSTD = b"\x28\xb5\x2f\xfd\x20\x02\x11\x00\x00\x7b\x7d"  # "{}"
BROTLI = b"\x8f\x00\x80\x7b\x7d\x03"  # "{}"


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (b"no JSON", "gzip"),
        (b"no JSON", "deflate"),
        (b"{\0}", "gzip"),
        (b"{\xff}", "gzip"),
        (BROTLI, "br"),
        (ZSTD, "zstd"),
        (ZSTD, "utf-8"),
        (gzip.compress(b"{}", mtime=0), "utf-8"),
        (zlib.compress(b"{}"), "none"),
        (gzip.compress(BROTLI, mtime=0), "br, gzip"),
        (gzip.compress(b"{}", mtime=0), "gzip, deflate"),
        (b"{}", "gzip, gzip, gzip, gzip, gzip"),
        (b"\x03\x00", "deflate, deflate"),
        (gzip.compress(b"{}", mtime=0) + b"more", "gzip"),
        (zlib.compress(b"{}") + b"more", "deflate"),
        (gzip.compress(b"{}", mtime=0)[:-6] + b"\0\0\0\0\0\0", "gzip"),
    ],
)
def test_damaged_or_unknown_codings_are_refused(body: bytes, coding: str) -> None:
    """Compressed data is never returned as it is."""
    with pytest.raises(DecodingError):
        decode_body(body, coding, 1_000)


def test_a_coding_that_was_not_requested_is_named() -> None:
    """The error names the server's coding and the requested ones."""
    with pytest.raises(DecodingError, match="content coding br was not requested: only gzip and deflate are"):
        decode_body(BROTLI, "Br", 1_000)


@pytest.mark.parametrize(
    "coding",
    [
        "",
        "identity",
        "Identity ",
        ",",
        " , identity",
        "utf-8",
        "UTF8",
        "none",
        "iso-8859-1",
        "application/json",
        "8bit",
    ],
)
@pytest.mark.parametrize("body", [b"{}", b"text", b'{"a": "\xfc"}'])
def test_other_words_than_codings_are_ignored(coding: str, body: bytes) -> None:
    """Some servers put `identity`, charsets and other words into the field."""
    assert decode_body(body, coding, 1_000) == body
    assert decode_body(gzip.compress(body), f"{coding}, gzip", 1_000) == body
    with pytest.raises(DecodedTooLarge):
        decode_body(body, coding, len(body) - 1)


@given(
    document=st.recursive(
        st.none() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
        max_leaves=20,
    ).filter(lambda document: isinstance(document, (list, dict))),
    before=st.sampled_from([b"", b"\r\n ", b"\xef\xbb\xbf"]),
    coding=st.sampled_from(["gzip", "deflate", "br", "zstd", "compress", "utf-8", "gzip, gzip", "br, gzip"]),
    ascii_only=st.booleans(),
)
def test_json_text_is_not_decoded(document: Any, before: bytes, coding: str, ascii_only: bool) -> None:
    """A proxy may decode a body and leave the header field, so JSON text is returned as it is."""
    body = before + json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "replace")
    assert decode_body(body, coding, 10_000) == body


@given(data=st.binary(max_size=500), codings=st.lists(st.sampled_from(["gzip", "deflate"]), max_size=4))
def test_codings_are_decoded_from_the_last_to_the_first(data: bytes, codings: list[str]) -> None:
    """RFC 9110, 8.4 lists them in the order of encoding. The limit holds for each step."""
    body = data
    for coding in codings:
        body = CODINGS[coding](body)
    assert decode_body(body, ", ".join(codings), 2_000) == data


def test_a_bomb_within_a_coding_stays_small() -> None:
    """The limit holds between two codings."""
    with pytest.raises(DecodedTooLarge):
        decode_body(gzip.compress(gzip.compress(bytes(20_000_000))), "gzip, gzip", 1_000)


def test_many_codings_are_refused() -> None:
    """A header field of 64 KiB could name thousands."""
    with pytest.raises(DecodingError, match="more than 4 content codings"):
        decode_body(b"{}", ", ".join(["gzip"] * 10_000), 1_000)


def test_no_body_needs_no_decoding() -> None:
    """A reply to HEAD or with 204 may have the header field without a body."""
    assert decode_body(b"", "gzip", 1_000) == b""


@given(
    body=st.binary(max_size=300),
    coding=st.sampled_from(["gzip", "deflate", "br", "", "utf-8", "gzip, br", "deflate, deflate"]),
)
def test_garbage_raises_nothing_else(body: bytes, coding: str) -> None:
    """Any body gives a result within the limit, or one of two errors."""
    with contextlib.suppress(DecodingError, DecodedTooLarge):
        assert len(decode_body(body, coding, 300)) <= 300
