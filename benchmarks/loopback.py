"""A status server that needs little CPU, in its own process and on its own core.

Rule 1: it answers prebuilt bytes and parses only the end of a request. So a benchmark measures the client.
Rule 2: it reports its CPU time, so a benchmark can show that the server was not the bottleneck.
Rule 3: it ends when its standard input closes, so it ends with its parent process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import cycle
from typing import Any

import attrs

__all__ = ["KINDS", "Loopback", "bodies", "peak_rate", "pin", "serve"]

_BODIES = 1009  # prime, so that a job never gets the same body twice in a row, for any number of jobs
POLLS_A_JOB = 50
_END = b"\r\n\r\n"


def _extraction(n: int, progress: str = "PROCESSING") -> dict[str, Any]:
    counts = ("Created", "Ignored", "NameAdjusted", "Overwritten", "Processed", "Skipped", "Versioned")
    return {
        "completed": "false" if progress == "PROCESSING" else "true",
        "completedPercentage": str(n % 97),
        "errorCode": "0",
        **{f"files{what}": str(n % 89 if what in {"Created", "Processed"} else 0) for what in counts},
        "message": f"Processing entry {n:04} image/holiday-{n * 7919 % 100_000:05}.jpg",
        "progress": progress,
        "type": "file",
    }


def _azure(n: int, status: str = "InProgress") -> dict[str, Any]:
    return {"id": f"operation-{n:04}", "status": status, "percentComplete": n % 97, "startTime": "2026-01-01T00:00:00Z"}


def _dynamodb(n: int, status: str = "CREATING") -> dict[str, Any]:
    return {"Table": {"TableName": f"table-{n:04}", "TableStatus": status, "ItemCount": n, "TableSizeBytes": 0}}


def _reply(body: dict[str, Any], *fields: str) -> bytes:
    data = json.dumps(body, separators=(",", ":")).encode()
    lines = [
        "HTTP/1.1 200 OK",
        "Date: Thu, 01 Jan 2026 00:00:00 GMT",
        "Content-Type: application/json; charset=utf-8",
        f"Content-Length: {len(data)}",
        "Cache-Control: no-store",
        *fields,
    ]
    return "\r\n".join(lines).encode() + _END + data


def _ending(make: Callable[..., dict[str, Any]], last: str, *fields: str) -> list[bytes]:
    """Replies of which every 50th has the job over, for any job."""
    numbers = range(POLLS_A_JOB * 20)
    return [_reply(make(n, *([last] if n % POLLS_A_JOB == POLLS_A_JOB - 1 else [])), *fields) for n in numbers]


KINDS: dict[str, Callable[[], list[bytes]]] = {
    "changing": lambda: [_reply(_extraction(n)) for n in range(_BODIES)],
    "unchanged": lambda: [_reply(_extraction(1))],
    "over": lambda: [_reply(_extraction(n, "SUCCEEDED")) for n in range(_BODIES)],
    "ending": lambda: _ending(_extraction, "SUCCEEDED"),
    "azure": lambda: _ending(_azure, "Succeeded", "Operation-Location: http://127.0.0.1/operations/1"),
    "dynamodb": lambda: _ending(_dynamodb, "ACTIVE"),
}


def bodies(kind: str) -> list[bytes]:
    """The bodies of a server of this kind."""
    return [reply.partition(_END)[2] for reply in KINDS[kind]()]


class _ServerProtocol(asyncio.Protocol):
    def __init__(self, replies: Iterator[bytes], received: list[int]) -> None:
        self._replies = replies
        self._received = received
        self._tail = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        data = self._tail + data
        requests = data.count(_END)
        self._tail = data[-3:] if not data.endswith(_END) else b""
        if data.startswith(b"GET /usage "):
            self._transport.write(_reply({"requests": self._received[0], "cpu_s": time.process_time()}))
            return
        self._received[0] += requests
        for _ in range(requests):
            self._transport.write(next(self._replies))


@attrs.frozen
class Usage:
    """Requests answered and CPU seconds used, since the server began."""

    requests: int
    cpu_s: float


@attrs.frozen
class Loopback:
    """A running server."""

    port: int

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}"

    def usage(self) -> Usage:
        """Its requests and CPU time so far. Blocks for about a millisecond."""
        with socket.create_connection(("127.0.0.1", self.port)) as link:
            link.sendall(b"GET /usage HTTP/1.1" + _END)
            found = json.loads(link.recv(65536).partition(_END)[2])
        return Usage(**found)


def pin(core: int) -> None:
    """Pin this process to one core, if there are several."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            os.sched_setaffinity(0, {cores[core % len(cores)]})


@contextmanager
def serve(kind: str, *, core: int = 1) -> Iterator[Loopback]:
    """A server of this kind in another process, until the block is left."""
    command = [sys.executable, "-m", "benchmarks.loopback", kind, "--core", str(core)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Loopback(int(process.stdout.readline()))
        finally:
            process.stdin.close()
            process.wait(5)


class _ClientProtocol(asyncio.Protocol):
    """A client with little CPU: one connection that sends the next request after each reply."""

    def __init__(self, answers: list[int]) -> None:
        self._answers = answers
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:  # noqa: ARG002  # on the loopback a reply arrives in one piece
        self._answers[0] += 1
        self._send()

    def _send(self) -> None:
        self._transport.write(b"GET /documents/api/1.2/files/F/_extract/J HTTP/1.1\r\nHost: 127.0.0.1" + _END)


async def peak_rate(server: Loopback, *, connections: int = 64, for_s: float = 1.0) -> tuple[float, float]:
    """Replies a second to a trivial client, and the server's share of its core meanwhile."""
    loop = asyncio.get_running_loop()
    answers = [0]
    links = [
        (await loop.create_connection(lambda: _ClientProtocol(answers), "127.0.0.1", server.port))[0]
        for _ in range(connections)
    ]
    await asyncio.sleep(for_s / 4)
    before, answers[0], began = server.usage(), 0, time.perf_counter()
    await asyncio.sleep(for_s)
    took, rate = time.perf_counter() - began, answers[0]
    after = server.usage()
    for link in links:
        link.abort()
    return rate / took, (after.cpu_s - before.cpu_s) / took


async def _run(kind: str) -> None:
    loop = asyncio.get_running_loop()
    replies, received = cycle(KINDS[kind]()), [0]
    server = await loop.create_server(lambda: _ServerProtocol(replies, received), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # returns when it is closed
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("--core", type=int, default=1)
    args = parser.parse_args()
    pin(args.core)
    with suppress(KeyboardInterrupt):
        try:
            from uvloop import run  # noqa: PLC0415  # makes the server twice as fast, if it is installed
        except ImportError:
            run = asyncio.run
        run(_run(args.kind))


if __name__ == "__main__":
    main()
