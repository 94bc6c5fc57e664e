"""A server on a real socket that sends exactly the bytes that a test gives it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

__all__ = ["Line", "RawServer", "raw_server", "reply"]

Answer: TypeAlias = "bytes | Callable[[Line], None]"


def reply(body: bytes = b"{}", *fields: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """A whole reply of JSON. `fields` are further header fields."""
    head = [
        f"HTTP/1.1 {status}",
        "Content-Type: application/json",
        f"Content-Length: {len(body) if length is None else length}",
        *fields,
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


class Line(asyncio.Protocol):
    """One connection to the server."""

    transport: asyncio.Transport

    def __init__(self, server: RawServer) -> None:
        self.server = server
        self.closed = asyncio.Event()
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.lines.append(self)
        transport.write(self.server.greeting)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        while (end := self._heard.find(b"\r\n\r\n")) >= 0:
            length = re.search(rb"(?i)content-length: *(\d+)", self._heard[:end])
            end += 4 + (int(length[1]) if length else 0)
            if len(self._heard) < end:
                return
            request, self._heard = self._heard[:end], self._heard[end:]
            self.server.hear(request, self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()

    def say(self, data: bytes) -> None:
        self.transport.write(data)

    def hang_up(self) -> None:
        self.transport.close()

    def reset(self) -> None:
        sock: socket.socket = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class RawServer:
    """What was heard, and what is said to it.

    Attributes:
        answer: Said to every request; a function is called with the connection instead.
        greeting: Sent to each new connection.
        requests: What was heard, whole requests in order.
        lines: The connections, in order.
        url: Where it is.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.greeting = b""
        self.requests: list[bytes] = []
        self.lines: list[Line] = []
        self.url = ""
        self.port = 0
        self._heard = asyncio.Event()

    def hear(self, request: bytes, line: Line) -> None:
        self.requests.append(request)
        self._heard.set()
        if callable(self.answer):
            self.answer(line)
        else:
            line.say(self.answer)

    async def heard(self, count: int = 1) -> None:
        """Wait until this number of requests was received."""
        while len(self.requests) < count:
            self._heard.clear()
            await self._heard.wait()


@contextlib.asynccontextmanager
async def raw_server(
    answer: Answer | None = None, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[RawServer]:
    """A server on a free port of this machine; by default it answers everything with an empty JSON object."""
    server = RawServer(reply() if answer is None else answer)
    loop = asyncio.get_running_loop()
    listener: Any = await loop.create_server(lambda: Line(server), host, 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    named = f"[{host}]" if ":" in host else host
    server.url = f"{'http' if tls is None else 'https'}://{named}:{server.port}"
    try:
        yield server
    finally:
        listener.close()
        for line in server.lines:
            line.transport.abort()
        for line in server.lines:
            await line.closed.wait()
        await listener.wait_closed()
