"""A server on a real socket that answers each `METHOD path` from a script."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import orjson

from raw_server import Line, RawServer, raw_server, reply

__all__ = ["Asked", "ScriptedServer", "answer", "scripted_server"]


@attrs.frozen
class Asked:
    """One request that the server got. The names of the header fields are in lower case."""

    line: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


def answer(data: Any = None, *fields: str, status: str = "200 OK") -> bytes:
    """A whole reply: JSON, the bytes as they are, or nothing."""
    body = data if isinstance(data, bytes) else b"" if data is None else orjson.dumps(data)
    return reply(body, *fields, status=status)


class ScriptedServer:
    """Attributes: `url`, and `asked`, the requests in their order."""

    def __init__(self, script: Mapping[str, Sequence[bytes]]) -> None:
        self._left = {line: list(answers) for line, answers in script.items()}
        self.asked: list[Asked] = []
        self.server: RawServer

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def lines(self) -> list[str]:
        return [asked.line for asked in self.asked]

    def of(self, line: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.line == line]

    def __call__(self, line: Line) -> None:
        asked, _, sent = self.server.requests[-1].partition(b"\r\n\r\n")
        first, *fields = asked.decode().split("\r\n")
        named = (field.split(": ", 1) for field in fields)
        method, path, _ = first.split(" ")
        self.asked.append(Asked(f"{method} {path}", {name.lower(): value for name, value in named}, sent))
        answers = self._left.get(f"{method} {path}", [answer(status="404 Not Found")])
        head, _, body = (answers.pop(0) if len(answers) > 1 else answers[0]).partition(b"\r\n\r\n")
        body = body.replace(b"BASE", self.url.encode())
        head = re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % len(body), head)
        line.say(head.replace(b"BASE", self.url.encode()) + b"\r\n\r\n" + body)


@asynccontextmanager
async def scripted_server(script: Mapping[str, Sequence[bytes]]) -> AsyncIterator[ScriptedServer]:
    """The server. The last answer of a line repeats. `BASE` in an answer becomes the server's URL."""
    scripted = ScriptedServer(script)
    async with raw_server(scripted) as server:
        scripted.server = server
        yield scripted
