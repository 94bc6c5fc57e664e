"""Undoing the content codings that we ask for: gzip and deflate.

Rule 1: no input makes more than `limit` bytes out of itself, in memory or in time.
Rule 2: what is cut short, damaged, or in a coding that was not asked for is `BadCoding`.
Rule 3: a body that is JSON text as it came was not coded, whatever Content-Encoding says. Proxies undo a coding and
leave its name, and servers put charsets and other words there.
"""

from __future__ import annotations

import re
import zlib
from typing import Final

__all__ = ["BadCoding", "TooMuch", "inflated"]

_GZIP: Final = 16 + zlib.MAX_WBITS
_ZLIB: Final = zlib.MAX_WBITS
_RAW: Final = -zlib.MAX_WBITS
# Each member costs a decompressor and a copy of what follows it; 50,000 empty ones in 1 MiB would take minutes.
_MAX_MEMBERS: Final = 16
_MAX_CODINGS: Final = 4
# What IANA registers, and what is common beside: none of these is a charset or another word that means nothing here.
_NOT_ASKED_FOR: Final = frozenset(
    {
        "aes128gcm", "br", "bzip2", "compress", "dcb", "dcz", "exi", "lz4", "lzma", "pack200-gzip", "sdch", "snappy",
        "x-bzip2", "x-compress", "xz", "zstd",
    }
)  # fmt: skip
_COMPRESSED: Final = re.compile(rb"\x1f\x8b|\x78[\x01\x5e\x9c\xda]|\x28\xb5\x2f\xfd")  # gzip, zlib, zstd
_JSON: Final = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*[\[{]")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")


class BadCoding(ValueError):
    """The body is not what its Content-Encoding says."""


class TooMuch(ValueError):
    """The body would be larger than allowed."""


def inflated(body: bytes, codings: str, limit: int) -> bytes:
    """The body without its content codings (RFC 9110, 8.4).

    Args:
        body: The body as it was sent.
        codings: The value of Content-Encoding, of all its fields joined with commas.
        limit: Most bytes that the result may have.

    Raises:
        BadCoding: They cannot be undone.
        TooMuch: The result, or the body between two codings, would be larger than `limit`.
    """
    if not body:
        return body  # a reply without a body, 204 or to HEAD, may tell the coding all the same
    names = [name for name in (word.strip().lower() for word in codings.split(",")) if name not in {"", "identity"}]
    if len(names) > _MAX_CODINGS:
        raise BadCoding(f"it has more than {_MAX_CODINGS} content codings")
    for name in reversed(names):
        body = _undone(body, name, limit)
    if len(body) > limit:
        raise TooMuch
    return body


def _undone(body: bytes, name: str, limit: int) -> bytes:
    """The body without its last coding."""
    try:
        return _decoded(body, name, limit)
    except BadCoding:
        if not _is_json_text(body):
            raise
    return body


def _decoded(body: bytes, name: str, limit: int) -> bytes:
    match name:
        case "gzip" | "x-gzip":
            return _gunzipped(body, limit)
        case "deflate":
            return _undeflated(body, limit)
        case _ if name in _NOT_ASKED_FOR:
            raise BadCoding(f"its content coding {name} was not asked for: only gzip and deflate are")
        case _ if _COMPRESSED.match(body):
            raise BadCoding("it is compressed, and its Content-Encoding does not say how")
    return body


def _is_json_text(body: bytes) -> bool:
    """Whether it begins as a JSON document, and is text to its end. Compressed data never is both."""
    if _JSON.match(body) is None or _CONTROL.search(body) is not None:
        return False
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


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
