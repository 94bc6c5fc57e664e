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
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.lines.append(self)
        transport.write(self.server.greeting)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            length = re.search(rb"(?i)content-length: *(\d+)", self._received[:end])
            end += 4 + (int(length[1]) if length else 0)
            if len(self._received) < end:
                return
            request, self._received = self._received[:end], self._received[end:]
            self.server.receive(request, self)

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
    """Records requests, and sends given bytes.

    Attributes:
        answer: Sent in reply to every request. A function is called with the connection instead.
        greeting: Sent to each new connection.
        requests: The received requests, whole and in order.
        lines: The connections, in order.
        url: The base URL.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.greeting = b""
        self.requests: list[bytes] = []
        self.lines: list[Line] = []
        self.url = ""
        self.port = 0
        self._received = asyncio.Event()

    def receive(self, request: bytes, line: Line) -> None:
        self.requests.append(request)
        self._received.set()
        if callable(self.answer):
            self.answer(line)
        else:
            line.say(self.answer)

    async def received(self, count: int = 1) -> None:
        """Wait until this number of requests was received."""
        while len(self.requests) < count:
            self._received.clear()
            await self._received.wait()


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
