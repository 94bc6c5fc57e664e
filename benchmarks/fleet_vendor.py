"""The vendor of the `fleet` benchmark: jobs that end at times it knows, and a limit for each token.

Rule 1: each token has a sliding window. A request beyond it is refused with a 429, and is not answered.
Rule 2: an API key is `ACCOUNT.NAME`, so it says which process asks. The limit is that of the account.
Rule 3: it runs in the process that reads its counts, so all times are readings of one clock.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

__all__ = ["Vendor", "vendor"]

_END = b"\r\n\r\n"


def _reply(status: str, body: dict[str, str]) -> bytes:
    data = json.dumps(body).encode()
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(data)}".encode() + _END + data


_OVER = _reply("200 OK", {"completed": "true", "completedPercentage": "100", "progress": "SUCCEEDED"})
_RUNNING = _reply("200 OK", {"completed": "false", "completedPercentage": "50", "progress": "PROCESSING"})
_REFUSED = _reply("429 Too Many Requests", {})


class Vendor:
    """Answers polls, and counts them.

    Attributes:
        ends: When each job ends, in seconds of `time.monotonic()`. A job that is not in it runs for ever.
        told: When each end was said for the first time.
        again: Polls about jobs whose end was said before.
        polls: Polls that were answered.
        refused: Polls that were refused.
        last: When each process asked last.
        first: When each process, and each account, asked for the first time since `forget`.
    """

    def __init__(self, limit: int, per_s: float) -> None:
        self.url = ""
        self.ends: dict[str, float] = {}
        self.told: dict[str, float] = {}
        self.again = self.polls = self.refused = 0
        self.last: dict[str, float] = {}
        self.first: dict[str, float] = {}
        self._limit, self._per_s = limit, per_s
        self._windows: dict[str, deque[float]] = {}

    def plan(self, jobs: Sequence[str], shortest_s: float, longest_s: float, seed: int = 1) -> None:
        """From now on these jobs take times that are uniformly distributed."""
        now, dice = time.monotonic(), random.Random(seed)
        self.ends = {job: now + dice.uniform(shortest_s, longest_s) for job in jobs}

    def forget(self) -> None:
        """Note first polls anew."""
        self.first.clear()

    def delays(self) -> list[float]:
        """Seconds from the end of each job until it was said, or until now."""
        now = time.monotonic()
        return sorted(self.told.get(job, now) - end for job, end in self.ends.items())

    async def until(self, condition: Callable[[], object], *, for_s: float = 180.0) -> None:
        """Return when the condition holds."""
        async with asyncio.timeout(for_s):
            while not condition():
                await asyncio.sleep(0.005)

    def answer(self, request: bytes) -> bytes:
        """The reply to this request."""
        now = time.monotonic()
        job = request.split(b" ", 2)[1].rpartition(b"/")[2].decode()
        account, _, name = request.partition(b"api_token: ")[2].partition(b"\r\n")[0].decode().partition(".")
        window = self._windows.setdefault(account, deque())
        while window and window[0] <= now - self._per_s:
            window.popleft()
        if len(window) >= self._limit:
            self.refused += 1
            return _REFUSED
        window.append(now)
        self.polls += 1
        self.last[name] = now
        self.first.setdefault(name, now)
        self.first.setdefault(account, now)
        if now < self.ends.get(job, now + 1.0):
            return _RUNNING
        self.again += job in self.told
        self.told.setdefault(job, now)
        return _OVER


class _Connection(asyncio.Protocol):
    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor
        self._received = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *requests, self._received = (self._received + data).split(_END)
        for request in requests:
            self._transport.write(self._vendor.answer(request + b"\r\n"))


@asynccontextmanager
async def vendor(limit: int, per_s: float) -> AsyncIterator[Vendor]:
    """A vendor that listens on the loopback, with this limit for each token."""
    found = Vendor(limit, per_s)
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(found), "127.0.0.1", 0, backlog=1024)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield found
    finally:
        server.close()
