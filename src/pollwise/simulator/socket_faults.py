"""Faults of the connection: what the socket does instead of sending a whole reply.

Rule 1: every fault ends when its connection ends, because the client disconnects or the simulator closes.
Rule 2: a fault that breaks the connection still returns a response, because aiohttp requires one; it is never sent.
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
from pollwise.simulator.replies import SimulatedReply

__all__ = ["SOCKET_FAULTS", "SocketFaultContext", "to_response"]

_CHUNK_BYTES = 64 * 1024


@attrs.frozen(kw_only=True)
class SocketFaultContext:
    """The input of a socket fault.

    Attributes:
        closing: Set when the simulator closes.
        stale: Connections to close at their next request.
    """

    request: web.BaseRequest
    reply: SimulatedReply
    faults: Faults
    closing: asyncio.Event
    stale: MutableSet[asyncio.Transport]

    async def idle(self, seconds: float | None) -> bool:
        """Wait `seconds`, or without limit if None. False if the simulator closes first."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.closing.wait()
                return False
        return True


SocketFault: TypeAlias = Callable[[SocketFaultContext], Awaitable[web.StreamResponse]]


def to_response(reply: SimulatedReply) -> web.Response:
    """The reply as an aiohttp response, without a socket fault."""
    return web.Response(status=reply.status, body=reply.body, headers=reply.headers)


async def _begin(context: SocketFaultContext, *, length: int | None) -> web.StreamResponse:
    response = web.StreamResponse(status=context.reply.status, headers=context.reply.headers)
    response.content_length = length
    if length is None:
        response.enable_chunked_encoding()
    await response.prepare(context.request)
    return response


def _transport(context: SocketFaultContext) -> asyncio.Transport:
    transport = context.request.transport
    if transport is None:
        raise ConnectionResetError("the client has disconnected")
    return transport


def _close_transport(context: SocketFaultContext) -> web.StreamResponse:
    """Close after the written bytes are sent."""
    _transport(context).close()
    return web.Response()


async def _hang(context: SocketFaultContext) -> web.StreamResponse:
    await context.idle(context.faults.hang_s)
    return _close_transport(context)


async def _close(context: SocketFaultContext) -> web.StreamResponse:
    return _close_transport(context)


async def _reset(context: SocketFaultContext) -> web.StreamResponse:
    body = context.reply.body
    response = await _begin(context, length=len(body) + 1)
    await response.write(body[: len(body) // 2])
    _abort(context)
    return response


async def _reset_at_once(context: SocketFaultContext) -> web.StreamResponse:
    _abort(context)
    return web.Response()


def _abort(context: SocketFaultContext) -> None:
    transport = _transport(context)
    sock = cast("socket.socket", transport.get_extra_info("socket"))
    # With a linger time of 0 the kernel sends RST instead of FIN.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def _whole(context: SocketFaultContext) -> web.StreamResponse:
    response = to_response(context.reply)
    await response.prepare(context.request)
    await response.write_eof()
    return response


async def _close_after(context: SocketFaultContext) -> web.StreamResponse:
    response = await _whole(context)
    _close_transport(context)
    return response


async def _close_at_next(context: SocketFaultContext) -> web.StreamResponse:
    transport = _transport(context)
    response = await _whole(context)
    context.stale.add(transport)
    return response


async def _without_content_type(context: SocketFaultContext) -> web.StreamResponse:
    # Written by hand because aiohttp adds a content type to every body.
    reply = context.reply
    fields = {name: value for name, value in reply.headers.items() if name.lower() != "content-type"}
    fields |= {"Content-Length": str(len(reply.body)), "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    line = f"HTTP/1.1 {reply.status} {http.HTTPStatus(reply.status).phrase}\r\n"
    _transport(context).write(f"{line}{head}\r\n".encode() + reply.body)
    return _close_transport(context)


def _truncate(*, chunked: bool) -> SocketFault:
    async def fault(context: SocketFaultContext) -> web.StreamResponse:
        body = context.reply.body
        response = await _begin(context, length=None if chunked else len(body) + 1)
        await response.write(body)
        _close_transport(context)
        return response

    return fault


async def _slow_drip(context: SocketFaultContext) -> web.StreamResponse:
    body = context.reply.body
    response = await _begin(context, length=len(body))
    for index in range(len(body)):
        await response.write(body[index : index + 1])
        if not await context.idle(context.faults.drip_every_s):
            _close_transport(context)
            break
    return response


async def _huge_chunked(context: SocketFaultContext) -> web.StreamResponse:
    response = await _begin(context, length=None)
    body = padded(context.reply.body, context.faults.huge_bytes)
    for start in range(0, len(body), _CHUNK_BYTES):
        await response.write(body[start : start + _CHUNK_BYTES])
    return response


async def _not_http(context: SocketFaultContext) -> web.StreamResponse:
    _transport(context).write(b"\x15\x03\x03\x00\x02\x02\x46 this is no HTTP\r\n\r\n")
    return _close_transport(context)


SOCKET_FAULTS: Mapping[Fault, SocketFault] = {
    Fault.HUGE_CHUNKED: _huge_chunked,
    Fault.HANG: _hang,
    Fault.SLOW_DRIP: _slow_drip,
    Fault.CLOSED: _close,
    Fault.RESET: _reset,
    Fault.RESET_AT_ONCE: _reset_at_once,
    Fault.NO_CONTENT_TYPE: _without_content_type,
    Fault.CLOSED_AFTER: _close_after,
    Fault.CLOSED_AT_NEXT: _close_at_next,
    Fault.TRUNCATED: _truncate(chunked=False),
    Fault.TRUNCATED_CHUNKED: _truncate(chunked=True),
    Fault.NOT_HTTP: _not_http,
}
