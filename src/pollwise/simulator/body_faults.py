"""Faults of the message: the connection works, but the reply is wrong.

Rule: a body fault is a pure function from the correct reply to the one that is sent.
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
from pollwise.simulator.replies import SimulatedReply, http_date, to_json
from pollwise.simulator.vendor import Vendor

__all__ = ["BODY_FAULTS", "BodyFaultContext", "padded"]

_HTML = {"Content-Type": "text/html; charset=utf-8"}
_PAGE = b"""<!DOCTYPE html>
<html><head><title>%s</title></head><body><center><h1>%s</h1></center><hr><center>gateway</center></body></html>
"""
_MIB_OF_BLANKS = b" " * (1 << 20)
_NESTING = 100_000
_EXTRA_FIELDS = 150
_LARGE_COOKIE = "session=" + "0123456789abcdef" * 576 + "; Path=/; HttpOnly"  # 9 kB
_PLAIN = "text/plain; charset=utf-8"


@attrs.frozen(kw_only=True)
class BodyFaultContext:
    """The input of a body fault: the correct reply, its vendor, the sizes of faults, and the simulator's origin."""

    reply: SimulatedReply
    vendor: Vendor
    faults: Faults
    origin: str


BodyFault: TypeAlias = Callable[[BodyFaultContext], SimulatedReply]


def _refuse(status: int) -> BodyFault:
    return lambda context: context.vendor.refusal(status)


def _refuse_for_a_while(status: int, *, as_date: bool = False) -> BodyFault:
    def fault(context: BodyFaultContext) -> SimulatedReply:
        after_s, after = context.faults.retry_after_s, context.faults.retry_after
        if after is None:
            after = http_date(after_s) if as_date else f"{after_s:g}"
        return context.vendor.refusal(status).with_headers({"Retry-After": after})

    return fault


def _html_page(status: int, title: bytes) -> BodyFault:
    return lambda _: SimulatedReply(status, _PAGE % (title, title), _HTML)


def _redirect_to_other_host(context: BodyFaultContext) -> SimulatedReply:
    _, _, port = context.origin.rpartition(":")
    return SimulatedReply(302, headers={"Location": f"http://localhost:{port}/elsewhere"})


def _body(change: Callable[[bytes], bytes], **headers: str) -> BodyFault:
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda context: attrs.evolve(context.reply, body=change(context.reply.body)).with_headers(more)


def _field(change: Callable[[dict[str, Any], str], None], path_of: Callable[[Vendor], tuple[str, ...]]) -> BodyFault:
    def fault(context: BodyFaultContext) -> SimulatedReply:
        document = json.loads(context.reply.body)
        *above, field = path_of(context.vendor)
        parent = functools.reduce(lambda part, name: part.get(name, {}), above, document)
        if field in parent:  # a refusal has no such field and stays unchanged
            change(parent, field)
        return attrs.evolve(context.reply, body=to_json(document))

    return fault


def padded(body: bytes, size: int) -> bytes:
    """The same JSON, padded with blanks to `size` bytes."""
    return body.ljust(size)


@functools.lru_cache(maxsize=4)
def _gzip_bomb_body(document: bytes, size: int) -> bytes:
    """`padded` as gzip, in little memory: one compressed block of blanks is repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = packer.compress(document) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(_MIB_OF_BLANKS) + packer.flush(
        zlib.Z_FULL_FLUSH
    )  # a full flush makes a block self-contained
    blocks = math.ceil(max(0, size - len(document)) / len(_MIB_OF_BLANKS))
    crc = zlib.crc32(document)
    for _ in range(blocks):
        crc = zlib.crc32(_MIB_OF_BLANKS, crc)
    length = len(document) + blocks * len(_MIB_OF_BLANKS)
    last = b"\x03\x00"  # an empty final block
    trailer = crc.to_bytes(4, "little") + (length % 2**32).to_bytes(4, "little")
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff" + head + block * blocks + last + trailer


def _gzip_bomb(context: BodyFaultContext) -> SimulatedReply:
    # The document is constant, so that all jobs share one cached bomb.
    body = _gzip_bomb_body(b'{"comment":"nothing but blanks follows"}', context.faults.bomb_bytes)
    return attrs.evolve(context.reply, body=body).with_headers({"Content-Encoding": "gzip"})


def _status_of_another_job(context: BodyFaultContext) -> SimulatedReply:
    document = json.loads(context.reply.body)
    task = document.get("task_status")
    if isinstance(task, dict):
        document["task_status"] = {**task, "task_id": f"not-{task.get('task_id')}", "is_complete": True, "status": 3}
    elif context.vendor.id_field is not None:
        *above, field = context.vendor.id_field
        parent = functools.reduce(lambda part, name: part.get(name, {}), above, document)
        parent[field] = f"not-{parent.get(field)}"
    else:
        return context.reply
    return attrs.evolve(context.reply, body=to_json(document))


def _labelled(name: str, value: str) -> BodyFault:
    return lambda context: context.reply.with_headers({name: value})


def _with_many_fields(context: BodyFaultContext) -> SimulatedReply:
    return context.reply.with_headers({f"X-Proxy-{n}": f"hop {n}" for n in range(_EXTRA_FIELDS)})


BODY_FAULTS: Mapping[Fault, BodyFault] = {
    Fault.BAD_REQUEST: _refuse(400),
    Fault.UNAUTHORIZED: _refuse(401),
    Fault.FORBIDDEN: _refuse(403),
    Fault.NOT_FOUND: _refuse(404),
    Fault.REQUEST_TIMEOUT: _refuse(408),
    Fault.TOO_EARLY: _refuse(425),
    Fault.TOO_MANY_REQUESTS: _refuse_for_a_while(429),
    Fault.BARE_TOO_MANY_REQUESTS: _refuse(429),
    Fault.THROTTLED_IN_200: lambda context: context.vendor.refusal(200, like=429),
    Fault.NOT_MODIFIED: lambda _: SimulatedReply(304),
    Fault.SERVER_ERROR: _refuse(500),
    Fault.BAD_GATEWAY: _html_page(502, b"502 Bad Gateway"),
    Fault.UNAVAILABLE: _refuse_for_a_while(503),
    Fault.UNAVAILABLE_UNTIL: _refuse_for_a_while(503, as_date=True),
    Fault.GATEWAY_TIMEOUT: lambda _: SimulatedReply(504),
    Fault.REDIRECT: lambda _: SimulatedReply(302, headers={"Location": "/elsewhere"}),
    Fault.REDIRECT_AWAY: _redirect_to_other_host,
    Fault.LOGIN_REDIRECT: lambda _: SimulatedReply(302, headers={"Location": "/login"}),
    Fault.FIREWALL_PAGE: _html_page(403, b"Request blocked"),
    Fault.MAINTENANCE_PAGE: _html_page(200, b"Scheduled maintenance"),
    Fault.ANOTHER_JOB: _status_of_another_job,
    Fault.HTML_PAGE: _html_page(200, b"Please sign in"),
    Fault.JSON_AS_HTML: _body(lambda body: body, Content_Type="text/html"),
    Fault.BROKEN_JSON: _body(lambda body: body[: len(body) // 2]),
    Fault.INVALID_UTF8: _body(lambda body: body.replace(b'"', b'"\xff\xfe', 1)),
    Fault.NULL_FIELD: _field(lambda parent, field: parent.update({field: None}), lambda vendor: vendor.nullable_field),
    Fault.MISSING_FIELD: _field(lambda parent, field: parent.pop(field), lambda vendor: vendor.required_field),
    Fault.MISTYPED_FIELD: _field(
        lambda parent, field: parent.update({field: ["?"]}), lambda vendor: vendor.required_field
    ),
    Fault.NOT_AN_OBJECT: _body(lambda body: b"[" + body + b"]"),
    Fault.DEEP_JSON: _body(lambda _: b"[" * _NESTING + b"]" * _NESTING),
    Fault.EMPTY_BODY: _body(lambda _: b""),
    Fault.NO_CONTENT: lambda _: SimulatedReply(204),
    Fault.BROKEN_GZIP: _body(lambda body: body, Content_Encoding="gzip"),
    Fault.GZIP_BOMB: _gzip_bomb,
    Fault.HUGE_BODY: lambda context: attrs.evolve(
        context.reply, body=padded(context.reply.body, context.faults.huge_bytes)
    ),
    Fault.TEXT_JSON: _labelled("Content-Type", "text/json"),
    Fault.PLAIN_TEXT: _labelled("Content-Type", _PLAIN),
    Fault.OCTET_STREAM: _labelled("Content-Type", "application/octet-stream"),
    Fault.BYTE_ORDER_MARK: _body(lambda body: b"\xef\xbb\xbf" + body),
    Fault.ENCODED_UTF8: _labelled("Content-Encoding", "utf-8"),
    Fault.ENCODED_NONE: _labelled("Content-Encoding", "none"),
    Fault.LARGE_COOKIE: _labelled("Set-Cookie", _LARGE_COOKIE),
    Fault.MANY_FIELDS: _with_many_fields,
}
