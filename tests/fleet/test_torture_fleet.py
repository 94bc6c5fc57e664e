"""Nothing is lost and nothing is delivered twice: a fleet whose workers, network, clocks and database fail, one after another.

The part that runs with the suite is short. All of it:  ./dev test --slow -k torture_fleet
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import attrs
import pytest
from fleet_child import ChildToy
from fleet_toy import jobs
from test_fleet_chaos import Api

from pollwise.fleet import Client, PostgresLedger
from pollwise.ledger import LedgerError
from pollwise.model.events import Succeeded
from raw_server import Line, RawServer, raw_server
from real_postgres import host, needs_own_server, needs_postgres
from stalling_proxy import StallingProxy, stalling_proxy
from toy import ToyJob, ToyStatus

pytestmark = [needs_postgres, needs_own_server]

ACCOUNTS = ("red", "green", "blue")
DAY_S = 86_400.0
TTL_S = 1.5


class Tokens:
    """The vendor's API with a limit for each account. The ID of a job begins with its account."""

    def __init__(self) -> None:
        self.apis = {account: Api() for account in ACCOUNTS}

    def __call__(self, line: Line) -> None:
        job = line.server.requests[-1].split(b" ", 2)[1].decode()[1:]
        self.apis[job.partition("-")[0]](line)

    def finish(self, some: list[ToyJob]) -> None:
        for job in some:
            self.apis[job.id.partition("-")[0]].over.add(job.id)

    @property
    def refused(self) -> int:
        return sum(api.refused for api in self.apis.values())

    @property
    def polls(self) -> Counter[str]:
        return Counter({account: len(api.asked) for account, api in self.apis.items()})


@asynccontextmanager
async def worker(
    store: PostgresLedger, api_url: str, name: str, *, database: str, shift_s: float
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker process whose wall clock is wrong by `shift_s`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, Path(__file__).with_name("fleet_child.py"), database, store.schema, api_url, name),
        *(str(TTL_S), str(shift_s)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline()  # the database is open
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@attrs.define
class Scene:
    """Workers that reach the database through a proxy, and what may befall them.

    Attributes:
        delivered: How often each outcome was acknowledged.
    """

    store: PostgresLedger
    tokens: Tokens
    server: RawServer
    proxy: StallingProxy
    stack: AsyncExitStack
    dice: random.Random
    workers: list[asyncio.subprocess.Process] = attrs.field(factory=list)
    delivered: Counter[str] = attrs.field(factory=Counter)
    _started: int = 0

    async def start(self, shift_s: float = 0.0) -> None:
        """Start one more worker."""
        self._started += 1
        name = f"worker-{self._started}"
        opened = worker(self.store, self.server.url, name, database=self.proxy.url, shift_s=shift_s)
        self.workers.append(await self.stack.enter_async_context(opened))

    async def kill(self) -> None:
        """SIGKILL, and another worker with a wrong clock in its place."""
        self.workers.pop(self.dice.randrange(len(self.workers))).kill()
        await self.start(self.dice.choice((0.0, DAY_S, -DAY_S)))

    async def freeze(self) -> None:
        """SIGSTOP beyond the lease, then SIGCONT."""
        one = self.dice.choice(self.workers)
        one.send_signal(signal.SIGSTOP)
        await self.pause(1.5 * TTL_S)
        one.send_signal(signal.SIGCONT)

    async def cut(self) -> None:
        """End all connections to the database without a farewell."""
        self.proxy.cut()

    async def stall(self) -> None:
        """Let the network drop everything for longer than the lease."""
        self.proxy.open.clear()
        await self.pause(1.5 * TTL_S)
        self.proxy.open.set()

    async def restart(self) -> None:
        """Crash the database's server, and start it again."""
        await asyncio.to_thread(host().command, "restart")

    async def pause(self, seconds: float) -> None:
        """Let all of them work meanwhile."""
        ended = asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, ended.set)
        await ended.wait()

    async def polled(self, count: int) -> None:
        """Return when each account was polled this many times more."""
        before = self.tokens.polls
        async with asyncio.timeout(60):
            for account, api in self.tokens.apis.items():
                await api.until(lambda api=api, account=account: len(api.asked) >= before[account] + count)

    async def consume(self, client: Client[ToyJob, ToyStatus]) -> None:
        """Acknowledge outcomes until there are no more. A consumer repeats what the database fails to do."""
        while True:
            try:
                async with client.outcomes(follow=True, lease_s=3) as outcomes:
                    async for delivery in outcomes:
                        assert isinstance(delivery.outcome, Succeeded)
                        self.delivered[delivery.outcome.job.id] += await delivery.ack()
            except LedgerError:
                await self.pause(0.2)


@asynccontextmanager
async def scene(
    store: PostgresLedger, some: list[ToyJob], seed: int, shifts_s: tuple[float, ...]
) -> AsyncIterator[Scene]:
    """Workers that watch these jobs, whose wall clocks are wrong by these seconds."""
    tokens = Tokens()
    async with raw_server(tokens) as server, stalling_proxy() as proxy, AsyncExitStack() as stack:
        stage = Scene(store, tokens, server, proxy, stack, random.Random(seed))
        consumers = []
        for account in ACCOUNTS:
            client = Client(store, ChildToy(server.url, "client", account))
            mine = [job for job in some if job.id.startswith(account)]
            assert await client.submit_many(mine, timeout_s=600) == len(mine)
            consumers.append(asyncio.create_task(stage.consume(client)))
        try:
            for shift_s in shifts_s:
                await stage.start(shift_s)
            await stage.polled(5)
            yield stage
        finally:
            for task in consumers:
                task.cancel()
            await asyncio.gather(*consumers, return_exceptions=True)


async def torture(
    store: PostgresLedger,
    count: int,
    faults: Callable[[Scene], Sequence[Callable[[], Awaitable[None]]]],
    *,
    seed: int,
    shifts_s: tuple[float, ...],
    late: int = 0,
) -> None:
    """`late`: so many requests may be refused, because they were frozen between their permit and the socket."""
    some = jobs(*(f"{ACCOUNTS[n % 3]}-{n}" for n in range(count)))
    async with scene(store, list(some), seed, shifts_s) as stage:
        following = faults(stage)
        for number, fault in enumerate(following):
            await fault()
            await stage.polled(5)
            stage.tokens.finish(list(some[number * count // len(following) : (number + 1) * count // len(following)]))
        async with asyncio.timeout(120):
            while len(stage.delivered) < count:
                await stage.pause(0.1)
        assert stage.delivered == Counter({job.id: 1 for job in some})
        assert stage.tokens.refused <= late


async def test_torture_fleet_with_one_fault_of_each_kind(store: PostgresLedger) -> None:
    """A worker is killed, the network is cut and the server restarts, while all wall clocks are wrong by a day.

    Each outcome is delivered once, and no request is refused.
    """
    await torture(store, 30, lambda stage: [stage.kill, stage.cut, stage.restart], seed=1, shifts_s=(DAY_S, -DAY_S))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
async def test_torture_fleet_with_fifty_faults(store: PostgresLedger, seed: int) -> None:
    """The same with frozen workers and a network that hangs beyond the leases, in any order."""

    def faults(stage: Scene) -> Sequence[Callable[[], Awaitable[None]]]:
        kinds = [stage.kill, stage.freeze, stage.cut, stage.stall, stage.restart]
        found = kinds * 10
        stage.dice.shuffle(found)
        return found

    await torture(store, 600, faults, seed=seed, shifts_s=(0.0, DAY_S, -DAY_S), late=3)
