"""Undoing content codings: whatever comes, no more than the limit goes out."""

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

from pollwise.http.content_decoding import DecodedTooLarge, DecodingError, decode_body


def bare_deflate(data: bytes) -> bytes:
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
def test_what_was_compressed_comes_out_as_it_was(coding: str, data: bytes) -> None:
    """A body of exactly the limit passes, and one byte more does not."""
    body = CODINGS[coding](data)
    assert decode_body(body, coding, len(data) or 1) == data
    if data:
        with pytest.raises(DecodedTooLarge):
            decode_body(body, coding, len(data) - 1)


@given(data=st.binary(max_size=2_000))
def test_deflate_without_its_wrapping_is_understood(data: bytes) -> None:
    """Some servers send the bare stream for `deflate`."""
    assert decode_body(bare_deflate(data), "deflate", 2_000) == data


@given(parts=st.lists(st.binary(max_size=50), min_size=1, max_size=16))
def test_all_members_of_a_gzip_body_count(parts: list[bytes]) -> None:
    """RFC 1952, 2.2: a file may have several members, and padding at its end."""
    body = b"".join(map(gzip.compress, parts)) + bytes(7)
    assert decode_body(body, "gzip", 1_000) == b"".join(parts)


def test_the_limit_holds_for_all_members_together() -> None:
    """Several small members are no way round the limit."""
    with pytest.raises(DecodedTooLarge):
        decode_body(gzip.compress(bytes(60)) * 2, "gzip", 100)


def test_endless_members_are_refused() -> None:
    """The time that many empty members would cost is not spent."""
    with pytest.raises(DecodingError, match="more than 16"):
        decode_body(gzip.compress(b"") * 50_000, "gzip", 1 << 20)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_bomb_stays_small(coding: str) -> None:
    """A thousandfold body is given up at the limit."""
    with pytest.raises(DecodedTooLarge):
        decode_body(CODINGS[coding](bytes(20_000_000)), coding, 1_000)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_cut_short_is_no_body(coding: str) -> None:
    """Half a document is never taken for a whole one."""
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
        (gzip.compress(b"{}", mtime=0) + b"more", "gzip"),
        (zlib.compress(b"{}") + b"more", "deflate"),
        (gzip.compress(b"{}", mtime=0)[:-6] + b"\0\0\0\0\0\0", "gzip"),
    ],
)
def test_what_is_damaged_or_unknown_is_refused(body: bytes, coding: str) -> None:
    """Compressed data is never handed on as it is."""
    with pytest.raises(DecodingError):
        decode_body(body, coding, 1_000)


def test_an_unwanted_coding_is_named() -> None:
    """The reader learns what the server sends, and what it was asked for."""
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
def test_what_is_no_coding_is_ignored(coding: str, body: bytes) -> None:
    """Servers say that they did nothing, and put charsets and other words there."""
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
def test_json_text_is_what_it_is(document: Any, before: bytes, coding: str, ascii_only: bool) -> None:
    """A proxy may undo a coding and leave its name: JSON that was not coded is read as it came."""
    body = before + json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "replace")
    assert decode_body(body, coding, 10_000) == body


@given(data=st.binary(max_size=500), codings=st.lists(st.sampled_from(["gzip", "deflate"]), max_size=4))
def test_codings_are_undone_from_the_last_to_the_first(data: bytes, codings: list[str]) -> None:
    """RFC 9110, 8.4: they are listed in the order in which they were applied, and the limit holds for each."""
    body = data
    for coding in codings:
        body = CODINGS[coding](body)
    assert decode_body(body, ", ".join(codings), 2_000) == data


def test_a_bomb_within_a_coding_stays_small() -> None:
    """The limit holds between two codings, too."""
    with pytest.raises(DecodedTooLarge):
        decode_body(gzip.compress(gzip.compress(bytes(20_000_000))), "gzip, gzip", 1_000)


def test_many_codings_are_refused() -> None:
    """A header field of 64 KiB could name thousands."""
    with pytest.raises(DecodingError, match="more than 4 content codings"):
        decode_body(b"{}", ", ".join(["gzip"] * 10_000), 1_000)


def test_no_body_needs_no_decoding() -> None:
    """204 and HEAD may name the coding that a body would have had."""
    assert decode_body(b"", "gzip", 1_000) == b""


@given(
    body=st.binary(max_size=300),
    coding=st.sampled_from(["gzip", "deflate", "br", "", "utf-8", "gzip, br", "deflate, deflate"]),
)
def test_garbage_raises_nothing_else(body: bytes, coding: str) -> None:
    """Whatever a server sends, the answer is a body within the limit or one of two errors."""
    with contextlib.suppress(DecodingError, DecodedTooLarge):
        assert len(decode_body(body, coding, 300)) <= 300
