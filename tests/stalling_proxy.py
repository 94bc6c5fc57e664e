"""A TCP proxy in front of the PostgreSQL server of the tests. It can stop forwarding, and can cut its connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit

from real_postgres import url


class StallingProxy:
    """Forwards bytes while `open` is set. Attributes: `url`, the database through this proxy; `accepted`, its connections."""

    def __init__(self, port: int) -> None:
        parts = urlsplit(url())
        name = parts.netloc.rpartition("@")[0].rstrip(":")
        self.url = f"postgresql://{name}@127.0.0.1:{port}{parts.path}"
        self.open = asyncio.Event()
        self.open.set()
        self.accepted = 0
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Reset all connections."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection."""
        self.accepted += 1
        self._writers.add(writer)
        with suppress(OSError):
            await self.open.wait()
            server_reader, server_writer = await _connected()
            self._writers.add(server_writer)
            both = self._forward(reader, server_writer), self._forward(server_reader, writer)
            await asyncio.gather(*both)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                await self.open.wait()
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()
            self._writers.discard(writer)


async def _connected() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url())
    socket = parse_qs(parts.query).get("host", [""])[0]
    if socket.startswith("/"):
        return await asyncio.open_unix_connection(f"{socket}/.s.PGSQL.{parts.port or 5432}")
    return await asyncio.open_connection(parts.hostname or "localhost", parts.port or 5432)


@asynccontextmanager
async def stalling_proxy() -> AsyncIterator[StallingProxy]:
    """A proxy that listens on the loopback."""
    serving: list[StallingProxy] = []
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.get_running_loop().create_task(serving[0].serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    serving.append(StallingProxy(server.sockets[0].getsockname()[1]))
    try:
        yield serving[0]
    finally:
        server.close()
        serving[0].open.set()
        serving[0].cut()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        serving[0].cut()
        await server.wait_closed()
