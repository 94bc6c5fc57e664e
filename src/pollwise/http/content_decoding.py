"""Decoding the content codings that our requests accept: gzip and deflate.

Rule 1: a body never decodes to more than `limit` bytes, and decoding stops there.
Rule 2: a body that is truncated, damaged, or in a coding that was not requested raises `DecodingError`.
Rule 3: a body that is JSON text is returned as it is, whatever Content-Encoding says. Some proxies decode a body and
leave the header field, and some servers put a charset or another word into it.
Rule 4: the work is done in steps of a millisecond at most, so that an event loop can run between them.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Generator
from typing import Final, TypeAlias, TypeVar

from pollwise.model.steps import in_one_go

__all__ = ["DecodedTooLarge", "DecodingError", "decode_body", "decoding_body"]

T = TypeVar("T")

_Steps: TypeAlias = Generator[None, None, T]

_GZIP: Final = 16 + zlib.MAX_WBITS
_ZLIB: Final = zlib.MAX_WBITS
_RAW: Final = -zlib.MAX_WBITS
# Each gzip member needs a decompressor and a copy of the rest; 50,000 empty members in 1 MiB would take minutes.
_MAX_MEMBERS: Final = 16
_MAX_CODINGS: Final = 4
_STEP: Final = 262_144  # bytes of a result: half a millisecond
# The codings that IANA registers, and other common ones. Any other word is ignored, because it names no coding.
_NOT_REQUESTED: Final = frozenset(
    {
        "aes128gcm", "br", "bzip2", "compress", "dcb", "dcz", "exi", "lz4", "lzma", "pack200-gzip", "sdch", "snappy",
        "x-bzip2", "x-compress", "xz", "zstd",
    }
)  # fmt: skip
_COMPRESSED: Final = re.compile(rb"\x1f\x8b|\x78[\x01\x5e\x9c\xda]|\x28\xb5\x2f\xfd")  # gzip, zlib, zstd
_JSON: Final = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*[\[{]")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")


class DecodingError(ValueError):
    """The body is not what its Content-Encoding says."""


class DecodedTooLarge(ValueError):
    """The body would be larger than allowed."""


def decode_body(body: bytes, codings: str, limit: int) -> bytes:
    """The same as `decoding_body` in one go."""
    return in_one_go(decoding_body(body, codings, limit))


def decoding_body(body: bytes, codings: str, limit: int) -> _Steps[bytes]:
    """Decode the content codings of a body (RFC 9110, 8.4). Yields between two steps, and returns the result.

    Args:
        body: The body as it was received.
        codings: The values of all Content-Encoding fields, joined with commas.
        limit: Max size of the result, in bytes.

    Raises:
        DecodingError: The body cannot be decoded.
        DecodedTooLarge: The result, or the body between two codings, would be larger than `limit`.
    """
    if not body:
        return body  # a reply without a body (204, or to HEAD) may still have the header field
    names = [name for name in (word.strip().lower() for word in codings.split(",")) if name not in {"", "identity"}]
    if len(names) > _MAX_CODINGS:
        raise DecodingError(f"it has more than {_MAX_CODINGS} content codings")
    for name in reversed(names):
        body = yield from _decode_or_keep(body, name, limit)
    if len(body) > limit:
        raise DecodedTooLarge
    return body


def _decode_or_keep(body: bytes, name: str, limit: int) -> _Steps[bytes]:
    """Decode one coding. JSON text that fails to decode is returned as it is (rule 3)."""
    try:
        return (yield from _decode(body, name, limit))
    except DecodingError:
        if not _is_json_text(body):
            raise
    return body


def _decode(body: bytes, name: str, limit: int) -> _Steps[bytes]:
    match name:
        case "gzip" | "x-gzip":
            return (yield from _gunzip(body, limit))
        case "deflate":
            return (yield from _inflate(body, limit))
        case _ if name in _NOT_REQUESTED:
            raise DecodingError(f"its content coding {name} was not requested: only gzip and deflate are")
        case _ if _COMPRESSED.match(body):
            raise DecodingError("it is compressed, but its Content-Encoding names no compression")
    return body


def _is_json_text(body: bytes) -> bool:
    """Whether the body begins like a JSON document and is UTF-8 text. Compressed data never is both."""
    if _JSON.match(body) is None or _CONTROL.search(body) is not None:
        return False
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _gunzip(body: bytes, limit: int) -> _Steps[bytes]:
    """All gzip members of the body, joined (RFC 1952, 2.2)."""
    whole, rest = b"", body
    for _ in range(_MAX_MEMBERS):
        member, rest = yield from _stream(rest, _GZIP, limit - len(whole))
        whole += member
        if not rest.strip(b"\0"):  # some servers pad with zeros
            return whole
    raise DecodingError(f"it has more than {_MAX_MEMBERS} gzip members")


def _inflate(body: bytes, limit: int) -> _Steps[bytes]:
    """The zlib format (RFC 9110, 8.4.1.2), or the raw deflate stream that some servers send instead."""
    if not body:  # by an earlier coding
        raise DecodingError("its compressed data is truncated")
    has_zlib_header = body[0] & 0x0F == zlib.DEFLATED and int.from_bytes(body[:2], "big") % 31 == 0
    whole, rest = yield from _stream(body, _ZLIB if has_zlib_header else _RAW, limit)
    if rest:
        raise DecodingError("there is data after its deflate stream")
    return whole


def _stream(body: bytes, wbits: int, limit: int) -> _Steps[tuple[bytes, bytes]]:
    """Decompress one stream. Returns its data, and the bytes after it."""
    stream = zlib.decompressobj(wbits)
    parts, left = [], limit + 1
    while True:
        try:
            part = stream.decompress(body, min(left, _STEP))
        except zlib.error as exc:
            raise DecodingError("its compressed data is damaged") from exc
        parts.append(part)
        left -= len(part)
        if not left:
            raise DecodedTooLarge
        if stream.eof:
            return b"".join(parts), stream.unused_data
        body = stream.unconsumed_tail
        if not (body or part):
            raise DecodingError("its compressed data is truncated")
        yield
