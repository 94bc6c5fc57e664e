"""Faults of the connection: what happens on the socket instead of a whole reply.

Rule 1: every actor ends when the client has gone or the simulator closes; none outlives its connection.
Rule 2: an actor that breaks the connection hands back a response all the same, since aiohttp wants one; it goes nowhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping, MutableSet
from typing import TypeAlias, cast

import attrs
from aiohttp import web

from pollwise.simulator.body_faults import padded
from pollwise.simulator.faults import Fault, Faults
from pollwise.simulator.replies import Answer

__all__ = ["ACTORS", "Acting", "plain"]

_PIECE = 64 * 1024


@attrs.frozen(kw_only=True)
class Acting:
    """What an actor has to go by.

    Attributes:
        closing: Set when the simulator closes.
        stale: Connections that are closed at their next request.
    """

    request: web.BaseRequest
    answer: Answer
    faults: Faults
    closing: asyncio.Event
    stale: MutableSet[asyncio.Transport]

    async def idle(self, seconds: float | None) -> bool:
        """Wait so long, or for ever if None. False if the simulator closes first."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.closing.wait()
                return False
        return True


Actor: TypeAlias = Callable[[Acting], Awaitable[web.StreamResponse]]


def plain(answer: Answer) -> web.Response:
    """The reply when nothing is wrong with the connection."""
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


async def _begin(acting: Acting, *, length: int | None) -> web.StreamResponse:
    response = web.StreamResponse(status=acting.answer.status, headers=acting.answer.headers)
    response.content_length = length
    if length is None:
        response.enable_chunked_encoding()
    await response.prepare(acting.request)
    return response


def _transport(acting: Acting) -> asyncio.Transport:
    transport = acting.request.transport
    if transport is None:
        raise ConnectionResetError("the client has gone")
    return transport


def _hang_up(acting: Acting) -> web.StreamResponse:
    """Close once what has been written is sent."""
    _transport(acting).close()
    return web.Response()


async def _hang(acting: Acting) -> web.StreamResponse:
    await acting.idle(acting.faults.hang_s)
    return _hang_up(acting)


async def _close(acting: Acting) -> web.StreamResponse:
    return _hang_up(acting)


async def _reset(acting: Acting) -> web.StreamResponse:
    body = acting.answer.body
    response = await _begin(acting, length=len(body) + 1)
    await response.write(body[: len(body) // 2])
    _abort(acting)
    return response


async def _reset_at_once(acting: Acting) -> web.StreamResponse:
    _abort(acting)
    return web.Response()


def _abort(acting: Acting) -> None:
    transport = _transport(acting)
    sock = cast("socket.socket", transport.get_extra_info("socket"))
    # With no time to linger the kernel sends RST instead of FIN.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def _whole(acting: Acting) -> web.StreamResponse:
    response = plain(acting.answer)
    await response.prepare(acting.request)
    await response.write_eof()
    return response


async def _close_after(acting: Acting) -> web.StreamResponse:
    response = await _whole(acting)
    _hang_up(acting)
    return response


async def _close_at_next(acting: Acting) -> web.StreamResponse:
    transport = _transport(acting)
    response = await _whole(acting)
    acting.stale.add(transport)
    return response


async def _untyped(acting: Acting) -> web.StreamResponse:
    # By hand: aiohttp puts a content type on every body.
    answer = acting.answer
    fields = {name: value for name, value in answer.headers.items() if name.lower() != "content-type"}
    fields |= {"Content-Length": str(len(answer.body)), "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    line = f"HTTP/1.1 {answer.status} {http.HTTPStatus(answer.status).phrase}\r\n"
    _transport(acting).write(f"{line}{head}\r\n".encode() + answer.body)
    return _hang_up(acting)


def _truncate(*, chunked: bool) -> Actor:
    async def act(acting: Acting) -> web.StreamResponse:
        body = acting.answer.body
        response = await _begin(acting, length=None if chunked else len(body) + 1)
        await response.write(body)
        _hang_up(acting)
        return response

    return act


async def _drip(acting: Acting) -> web.StreamResponse:
    body = acting.answer.body
    response = await _begin(acting, length=len(body))
    for index in range(len(body)):
        await response.write(body[index : index + 1])
        if not await acting.idle(acting.faults.drip_every_s):
            _hang_up(acting)
            break
    return response


async def _overflow(acting: Acting) -> web.StreamResponse:
    response = await _begin(acting, length=None)
    body = padded(acting.answer.body, acting.faults.huge_bytes)
    for start in range(0, len(body), _PIECE):
        await response.write(body[start : start + _PIECE])
    return response


async def _babble(acting: Acting) -> web.StreamResponse:
    _transport(acting).write(b"\x15\x03\x03\x00\x02\x02\x46 this is no HTTP\r\n\r\n")
    return _hang_up(acting)


ACTORS: Mapping[Fault, Actor] = {
    Fault.HUGE_CHUNKED: _overflow,
    Fault.HANG: _hang,
    Fault.SLOW_DRIP: _drip,
    Fault.CLOSED: _close,
    Fault.RESET: _reset,
    Fault.RESET_AT_ONCE: _reset_at_once,
    Fault.NO_CONTENT_TYPE: _untyped,
    Fault.CLOSED_AFTER: _close_after,
    Fault.CLOSED_AT_NEXT: _close_at_next,
    Fault.TRUNCATED: _truncate(chunked=False),
    Fault.TRUNCATED_CHUNKED: _truncate(chunked=True),
    Fault.NOT_HTTP: _babble,
}
