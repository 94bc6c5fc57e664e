"""Worker processes that are killed, frozen, drained and cut off from the database."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fleet_child import ChildToy
from fleet_toy import jobs

from pollwise.fleet import Client, PostgresLedger
from pollwise.model.events import Succeeded
from raw_server import Line, raw_server, reply
from real_postgres import needs_postgres, url

pytestmark = needs_postgres

LIMIT, PER_S = 20, 0.25


class Api:
    """The vendor's API: `GET /JOB?by=NAME`. It refuses more than `LIMIT` requests in `PER_S`, as a sliding window."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, str, str]] = []  # when, about which job, and the name of the process
        self.refused = 0
        self.over: set[str] = set()
        self._window: deque[float] = deque()
        self._changed = asyncio.Event()

    def __call__(self, line: Line) -> None:
        now = asyncio.get_running_loop().time()
        path = line.server.requests.pop().split(b" ", 2)[1].decode()
        job, _, name = path[1:].partition("?by=")
        while self._window and self._window[0] <= now - PER_S:
            self._window.popleft()
        if len(self._window) >= LIMIT:
            self.refused += 1
            line.say(reply(status="429 Too Many Requests"))
            return
        self._window.append(now)
        self.asked.append((now, job, name))
        state = "succeeded" if job in self.over else "running"
        line.say(reply(f'{{"state": "{state}"}}'.encode()))
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Return when the condition holds after a poll."""
        async with asyncio.timeout(30):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def names(self, since: float) -> set[str]:
        """The processes that have asked since then."""
        return {name for at, _, name in self.asked if at >= since}


class Child:
    """A worker process."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self.process = process
        self.name = name
        self.lines: list[str] = []

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    async def says(self, text: str) -> str:
        """The next line that has this text."""
        async with asyncio.timeout(30):
            while True:
                line = (await self._out.readline()).decode().strip()
                assert line or not self._out.at_eof(), f"the worker has ended; it said {self.lines}"
                self.lines.append(line)
                if text in line:
                    return line

    @property
    def _out(self) -> asyncio.StreamReader:
        assert self.process.stdout is not None
        return self.process.stdout


@asynccontextmanager
async def children(store: PostgresLedger, api_url: str, ttl_s: float, *names: str) -> AsyncIterator[list[Child]]:
    """Worker processes of these names."""
    script = Path(__file__).with_name("fleet_child.py")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    started = [
        Child(
            await asyncio.create_subprocess_exec(
                *(sys.executable, script, url(), store.schema, api_url, name, str(ttl_s)),
                stdout=asyncio.subprocess.PIPE,
                env=env,
            ),
            name,
        )
        for name in names
    ]
    try:
        yield started
    finally:
        for child in started:
            if child.process.returncode is None:
                child.process.kill()
            await child.process.communicate()


async def collect(client: Client[Any, Any], count: int, *, within_s: float = 60) -> Counter[str]:
    """How often each outcome was delivered and acknowledged."""
    found: Counter[str] = Counter()
    async with asyncio.timeout(within_s), client.outcomes(follow=True, lease_s=5) as outcomes:
        async for delivery in outcomes:
            assert isinstance(delivery.outcome, Succeeded)
            found[delivery.outcome.job.id] += await delivery.ack()
            if len(found) == count:
                return found
    raise AssertionError


async def test_a_fleet_survives_frozen_and_killed_workers(store: PostgresLedger) -> None:
    """One worker is frozen beyond its lease and thaws, the other one is killed, and the first one is drained.

    No request is refused, no outcome is lost or delivered twice, and the worker that thaws sends nothing for what it has lost.
    """
    api = Api()
    some = jobs(*(f"job-{n}" for n in range(10)))
    async with raw_server(api) as server, children(store, server.url, 1.5, "first") as (first,):
        now = asyncio.get_running_loop().time
        client = Client(store, ChildToy(server.url, "client", ""))
        await client.submit_many(some, timeout_s=600)
        await first.says("toy")
        await api.until(lambda: {job for _, job, _ in api.asked} == {job.id for job in some})
        async with children(store, server.url, 1.5, "second") as (second,):
            consumer = asyncio.create_task(collect(client, len(some)))
            await second.says("lost 0")
            first.signal(signal.SIGSTOP)
            await second.says("toy")
            api.over.update(job.id for job in some[:5])
            thawed = now()
            first.signal(signal.SIGCONT)
            await first.says("lost 1")
            await api.until(lambda: sum(at >= thawed for at, _, _ in api.asked) > 12)
            assert api.names(thawed) == {"second"}
            second.signal(signal.SIGKILL)
            await first.says("toy")
            killed = now()
            api.over.update(job.id for job in some)
            assert await consumer == Counter({job.id: 1 for job in some})
            assert api.names(killed) <= {"first"}
        first.signal(signal.SIGTERM)
        assert await first.process.wait() == 0
        assert api.refused == 0
        assert {row.owner for row in await store.owners()} == {None}


@pytest.mark.slow
async def test_a_fleet_survives_many_kills(store: PostgresLedger) -> None:
    """50 workers are killed one after the other, and each is replaced. None of 1,200 jobs is lost, delivered twice or refused."""
    api = Api()
    dice = random.Random(7)
    some = jobs(*(f"job-{n}" for n in range(1_200)))
    async with raw_server(api) as server, AsyncExitStack() as stack:
        client = Client(store, ChildToy(server.url, "client", ""))
        await client.submit_many(some, timeout_s=3600)
        fleet = [(await stack.enter_async_context(children(store, server.url, 3.0, f"first-{n}")))[0] for n in range(3)]
        consumer = asyncio.create_task(collect(client, len(some), within_s=600))
        for kill in range(50):
            seen = len(api.asked)
            await api.until(lambda seen=seen: len(api.asked) >= seen + 10)
            api.over.update(job.id for job in some[kill * 24 : kill * 24 + 24])
            owner = (await store.owners())[0].owner
            for n, child in enumerate(fleet):
                name = f"{kill}-{n}"
                if child.name == owner or dice.random() < 0.1:
                    child.signal(signal.SIGKILL)
                    fleet[n] = (await stack.enter_async_context(children(store, server.url, 3.0, name)))[0]
        assert await consumer == Counter({job.id: 1 for job in some})
        assert api.refused == 0
