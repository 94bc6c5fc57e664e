"""Undoing content codings: whatever comes, no more than the limit goes out."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.inflate import BadCoding, TooMuch, inflated


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
    assert inflated(body, coding, len(data) or 1) == data
    if data:
        with pytest.raises(TooMuch):
            inflated(body, coding, len(data) - 1)


@given(data=st.binary(max_size=2_000))
def test_deflate_without_its_wrapping_is_understood(data: bytes) -> None:
    """Some servers send the bare stream for `deflate`."""
    assert inflated(bare_deflate(data), "deflate", 2_000) == data


@given(parts=st.lists(st.binary(max_size=50), min_size=1, max_size=16))
def test_all_members_of_a_gzip_body_count(parts: list[bytes]) -> None:
    """RFC 1952, 2.2: a file may have several members, and padding at its end."""
    body = b"".join(map(gzip.compress, parts)) + bytes(7)
    assert inflated(body, "gzip", 1_000) == b"".join(parts)


def test_the_limit_holds_for_all_members_together() -> None:
    """Several small members are no way round the limit."""
    with pytest.raises(TooMuch):
        inflated(gzip.compress(bytes(60)) * 2, "gzip", 100)


def test_endless_members_are_refused() -> None:
    """The time that many empty members would cost is not spent."""
    with pytest.raises(BadCoding, match="more than 16"):
        inflated(gzip.compress(b"") * 50_000, "gzip", 1 << 20)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_bomb_stays_small(coding: str) -> None:
    """A thousandfold body is given up at the limit."""
    with pytest.raises(TooMuch):
        inflated(CODINGS[coding](bytes(20_000_000)), coding, 1_000)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_cut_short_is_no_body(coding: str) -> None:
    """Half a document is never taken for a whole one."""
    body = CODINGS[coding](b"some text that is compressed")
    for end in range(1, len(body)):
        with pytest.raises(BadCoding):
            inflated(body[:end], coding, 1_000)


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (b"{}", "gzip"),
        (b"{}", "deflate"),
        (b"{}", "br"),
        (b"{}", "zstd"),
        (b"{}", "gzip, gzip"),
        (gzip.compress(b"{}", mtime=0) + b"more", "gzip"),
        (zlib.compress(b"{}") + b"more", "deflate"),
        (gzip.compress(b"{}", mtime=0)[:-6] + b"\0\0\0\0\0\0", "gzip"),
    ],
)
def test_what_is_damaged_or_unknown_is_refused(body: bytes, coding: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(BadCoding):
        inflated(body, coding, 1_000)


@pytest.mark.parametrize("coding", ["", "identity", "Identity "])
def test_identity_is_no_coding(coding: str) -> None:
    """A server may say that it did nothing."""
    assert inflated(b"{}", coding, 1_000) == b"{}"


def test_no_body_needs_no_decoding() -> None:
    """204 and HEAD may name the coding that a body would have had."""
    assert inflated(b"", "gzip", 1_000) == b""


@given(body=st.binary(max_size=300), coding=st.sampled_from(["gzip", "deflate", "br", ""]))
def test_garbage_raises_nothing_else(body: bytes, coding: str) -> None:
    """Whatever a server sends, the answer is a body within the limit or one of two errors."""
    with contextlib.suppress(BadCoding, TooMuch):
        assert len(inflated(body, coding, 300)) <= 300
