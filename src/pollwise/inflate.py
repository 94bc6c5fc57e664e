"""Undoing the content codings that we ask for: gzip and deflate.

Rule 1: no input makes more than `limit` bytes out of itself, in memory or in time.
Rule 2: what is cut short, damaged, or in a coding that was not asked for is `BadCoding`; nothing is guessed.
"""

from __future__ import annotations

import zlib
from typing import Final

__all__ = ["BadCoding", "TooMuch", "inflated"]

_GZIP: Final = 16 + zlib.MAX_WBITS
_ZLIB: Final = zlib.MAX_WBITS
_RAW: Final = -zlib.MAX_WBITS
# Each member costs a decompressor and a copy of what follows it; 50,000 empty ones in 1 MiB would take minutes.
_MAX_MEMBERS: Final = 16


class BadCoding(ValueError):
    """The body is not what its Content-Encoding says."""


class TooMuch(ValueError):
    """The body would be larger than allowed."""


def inflated(body: bytes, coding: str, limit: int) -> bytes:
    """The body without its content coding (RFC 9110, 8.4.1).

    Args:
        body: The body as it was sent.
        coding: The value of Content-Encoding.
        limit: Most bytes that the result may have.

    Raises:
        BadCoding: It cannot be undone.
        TooMuch: The result would be larger than `limit`.
    """
    match coding.strip().lower():
        case "" | "identity":
            return body
        case _ if not body:
            return body  # a reply without a body, 204 or to HEAD, may tell the coding all the same
        case "gzip" | "x-gzip":
            return _gunzipped(body, limit)
        case "deflate":
            return _undeflated(body, limit)
    raise BadCoding("it has a content coding that was not asked for")


def _gunzipped(body: bytes, limit: int) -> bytes:
    """Every member of the body, one after another (RFC 1952, 2.2)."""
    whole, rest = b"", body
    for _ in range(_MAX_MEMBERS):
        member, rest = _stream(rest, _GZIP, limit - len(whole))
        whole += member
        if not rest.strip(b"\0"):  # some servers fill up with zeros, as tapes did
            return whole
    raise BadCoding(f"it has more than {_MAX_MEMBERS} gzip members")


def _undeflated(body: bytes, limit: int) -> bytes:
    """The zlib format that RFC 9110, 8.4.1.2 means, or the bare stream that some servers send instead."""
    has_zlib_header = body[0] & 0x0F == zlib.DEFLATED and int.from_bytes(body[:2], "big") % 31 == 0
    whole, rest = _stream(body, _ZLIB if has_zlib_header else _RAW, limit)
    if rest:
        raise BadCoding("something follows its deflate stream")
    return whole


def _stream(body: bytes, wbits: int, limit: int) -> tuple[bytes, bytes]:
    """One compressed stream, and what follows it."""
    stream = zlib.decompressobj(wbits)
    try:
        whole = stream.decompress(body, limit + 1)
    except zlib.error as exc:
        raise BadCoding("its compression is damaged") from exc
    if len(whole) > limit:
        raise TooMuch
    if not stream.eof:
        raise BadCoding("its compressed stream is cut short")
    return whole, stream.unused_data
