"""An MCP server on a real socket: it decodes each message of JSON-RPC, and a subclass answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import orjson

from raw_server import Line, RawServer, raw_server, reply

__all__ = ["McpServer", "serving"]

T = TypeVar("T", bound="McpServer")


class McpServer:
    """Attributes: `asked`, the methods with their header fields, and `refuse`, which may answer in place of `answer`."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.refuse: Callable[[str, dict[str, str]], bytes | None] = lambda _method, _headers: None
        self.server: RawServer

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def methods(self) -> list[str]:
        return [method for method, _ in self.asked]

    def __call__(self, line: Line) -> None:
        head, _, body = self.server.requests[-1].partition(b"\r\n\r\n")
        fields = (field.split(": ", 1) for field in head.decode().split("\r\n")[1:])
        headers = {name.lower(): value for name, value in fields}
        data = orjson.loads(body)
        self.asked.append((data["method"], headers))
        line.say(self.refuse(data["method"], headers) or self.answer(data, headers))

    def answer(self, data: dict[str, Any], headers: dict[str, str]) -> bytes:
        """The whole reply to a message."""
        raise NotImplementedError

    @staticmethod
    def accepted() -> bytes:
        """The reply to a notification."""
        return reply(b"", status="202 Accepted")

    @staticmethod
    def response(data: dict[str, Any], found: dict[str, Any], *fields: str) -> bytes:
        """The reply to a request: its result, or its error."""
        return reply(orjson.dumps({"jsonrpc": "2.0", "id": data["id"], **found}), *fields)


@asynccontextmanager
async def serving(scripted: T) -> AsyncIterator[T]:
    """The server on a socket."""
    async with raw_server(scripted) as server:
        scripted.server = server
        yield scripted
