"""Faults of the message: the connection works, and carries something else than it should.

Rule: a spoiler is a pure function from the answer that would have been sent to the one that is.
"""

from __future__ import annotations

import functools
import json
import math
import zlib
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import attrs

from pollwise.simulator.faults import Fault, Faults
from pollwise.simulator.replies import Answer, http_date, to_json
from pollwise.simulator.vendor import Vendor

__all__ = ["SPOILERS", "Spoiling", "padded"]

_HTML = {"Content-Type": "text/html; charset=utf-8"}
_PAGE = b"""<!DOCTYPE html>
<html><head><title>%s</title></head><body><center><h1>%s</h1></center><hr><center>gateway</center></body></html>
"""
_BLOCK = b" " * (1 << 20)
_DEPTH = 100_000
_FIELDS = 150
_COOKIE = "session=" + "0123456789abcdef" * 576 + "; Path=/; HttpOnly"  # 9 kB
_PLAIN = "text/plain; charset=utf-8"


@attrs.frozen(kw_only=True)
class Spoiling:
    """What a spoiler has to go by: the good answer, whose it is, how large or long faults are, and our address."""

    answer: Answer
    vendor: Vendor
    faults: Faults
    origin: str


Spoiler: TypeAlias = Callable[[Spoiling], Answer]


def _refuse(status: int) -> Spoiler:
    return lambda spoiling: spoiling.vendor.refusal(status)


def _refuse_for_a_while(status: int, *, as_date: bool = False) -> Spoiler:
    def spoil(spoiling: Spoiling) -> Answer:
        after_s, after = spoiling.faults.retry_after_s, spoiling.faults.retry_after
        if after is None:
            after = http_date(after_s) if as_date else f"{after_s:g}"
        return spoiling.vendor.refusal(status).with_headers({"Retry-After": after})

    return spoil


def _page(status: int, title: bytes) -> Spoiler:
    return lambda _: Answer(status, _PAGE % (title, title), _HTML)


def _send_away(spoiling: Spoiling) -> Answer:
    _, _, port = spoiling.origin.rpartition(":")
    return Answer(302, headers={"Location": f"http://localhost:{port}/elsewhere"})


def _body(change: Callable[[bytes], bytes], **headers: str) -> Spoiler:
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda it: attrs.evolve(it.answer, body=change(it.answer.body)).with_headers(more)


def _field(change: Callable[[dict[str, Any], str], None], path_of: Callable[[Vendor], tuple[str, ...]]) -> Spoiler:
    def spoil(spoiling: Spoiling) -> Answer:
        document = json.loads(spoiling.answer.body)
        *above, field = path_of(spoiling.vendor)
        parent = functools.reduce(lambda part, name: part.get(name, {}), above, document)
        if field in parent:  # a refusal has no such field, and stays what it is
            change(parent, field)
        return attrs.evolve(spoiling.answer, body=to_json(document))

    return spoil


def padded(body: bytes, size: int) -> bytes:
    """The same JSON with blanks behind it, `size` bytes long."""
    return body.ljust(size)


@functools.lru_cache(maxsize=4)
def _bomb(document: bytes, size: int) -> bytes:
    """`padded`, as gzip, without ever holding it: one compressed block of blanks is repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = packer.compress(document) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(_BLOCK) + packer.flush(zlib.Z_FULL_FLUSH)  # a full flush makes a block self-contained
    blocks = math.ceil(max(0, size - len(document)) / len(_BLOCK))
    crc = zlib.crc32(document)
    for _ in range(blocks):
        crc = zlib.crc32(_BLOCK, crc)
    length = len(document) + blocks * len(_BLOCK)
    last = b"\x03\x00"  # an empty final block
    trailer = crc.to_bytes(4, "little") + (length % 2**32).to_bytes(4, "little")
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff" + head + block * blocks + last + trailer


def _explode(spoiling: Spoiling) -> Answer:
    # The document is a fixed one, so that one bomb serves all jobs.
    body = _bomb(b'{"comment":"nothing but blanks follows"}', spoiling.faults.bomb_bytes)
    return attrs.evolve(spoiling.answer, body=body).with_headers({"Content-Encoding": "gzip"})


def _answer_of_another(spoiling: Spoiling) -> Answer:
    document = json.loads(spoiling.answer.body)
    task = document.get("task_status")
    if not isinstance(task, dict):
        return spoiling.answer
    document["task_status"] = {**task, "task_id": f"not-{task.get('task_id')}", "is_complete": True, "status": 3}
    return attrs.evolve(spoiling.answer, body=to_json(document))


def _labelled(name: str, value: str) -> Spoiler:
    return lambda spoiling: spoiling.answer.with_headers({name: value})


def _with_many_fields(spoiling: Spoiling) -> Answer:
    return spoiling.answer.with_headers({f"X-Proxy-{n}": f"hop {n}" for n in range(_FIELDS)})


SPOILERS: Mapping[Fault, Spoiler] = {
    Fault.BAD_REQUEST: _refuse(400),
    Fault.UNAUTHORIZED: _refuse(401),
    Fault.FORBIDDEN: _refuse(403),
    Fault.NOT_FOUND: _refuse(404),
    Fault.REQUEST_TIMEOUT: _refuse(408),
    Fault.TOO_EARLY: _refuse(425),
    Fault.TOO_MANY_REQUESTS: _refuse_for_a_while(429),
    Fault.BARE_TOO_MANY_REQUESTS: _refuse(429),
    Fault.THROTTLED_IN_200: lambda it: it.vendor.refusal(200, like=429),
    Fault.NOT_MODIFIED: lambda _: Answer(304),
    Fault.SERVER_ERROR: _refuse(500),
    Fault.BAD_GATEWAY: _page(502, b"502 Bad Gateway"),
    Fault.UNAVAILABLE: _refuse_for_a_while(503),
    Fault.UNAVAILABLE_UNTIL: _refuse_for_a_while(503, as_date=True),
    Fault.GATEWAY_TIMEOUT: lambda _: Answer(504),
    Fault.REDIRECT: lambda _: Answer(302, headers={"Location": "/elsewhere"}),
    Fault.REDIRECT_AWAY: _send_away,
    Fault.LOGIN_REDIRECT: lambda _: Answer(302, headers={"Location": "/login"}),
    Fault.FIREWALL_PAGE: _page(403, b"Request blocked"),
    Fault.MAINTENANCE_PAGE: _page(200, b"Scheduled maintenance"),
    Fault.ANOTHER_JOB: _answer_of_another,
    Fault.HTML_PAGE: _page(200, b"Please sign in"),
    Fault.JSON_AS_HTML: _body(lambda body: body, Content_Type="text/html"),
    Fault.BROKEN_JSON: _body(lambda body: body[: len(body) // 2]),
    Fault.INVALID_UTF8: _body(lambda body: body.replace(b'"', b'"\xff\xfe', 1)),
    Fault.NULL_FIELD: _field(lambda parent, field: parent.update({field: None}), lambda vendor: vendor.nullable),
    Fault.MISSING_FIELD: _field(lambda parent, field: parent.pop(field), lambda vendor: vendor.vital),
    Fault.MISTYPED_FIELD: _field(lambda parent, field: parent.update({field: ["?"]}), lambda vendor: vendor.vital),
    Fault.NOT_AN_OBJECT: _body(lambda body: b"[" + body + b"]"),
    Fault.DEEP_JSON: _body(lambda _: b"[" * _DEPTH + b"]" * _DEPTH),
    Fault.EMPTY_BODY: _body(lambda _: b""),
    Fault.NO_CONTENT: lambda _: Answer(204),
    Fault.BROKEN_GZIP: _body(lambda body: body, Content_Encoding="gzip"),
    Fault.GZIP_BOMB: _explode,
    Fault.HUGE_BODY: lambda it: attrs.evolve(it.answer, body=padded(it.answer.body, it.faults.huge_bytes)),
    Fault.TEXT_JSON: _labelled("Content-Type", "text/json"),
    Fault.PLAIN_TEXT: _labelled("Content-Type", _PLAIN),
    Fault.OCTET_STREAM: _labelled("Content-Type", "application/octet-stream"),
    Fault.BYTE_ORDER_MARK: _body(lambda body: b"\xef\xbb\xbf" + body),
    Fault.ENCODED_UTF8: _labelled("Content-Encoding", "utf-8"),
    Fault.ENCODED_NONE: _labelled("Content-Encoding", "none"),
    Fault.LARGE_COOKIE: _labelled("Set-Cookie", _COOKIE),
    Fault.MANY_FIELDS: _with_many_fields,
}
