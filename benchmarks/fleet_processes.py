"""The processes of the `fleet` benchmark: workers of a fleet, and ordinary watchers without a ledger.

Rule 1: both kinds have the same endpoint, pacing and limits. A watcher has the whole budget of each token, as a process does that
knows no other one.
Rule 2: a line on standard input asks for one line of numbers. A process ends on SIGTERM, and when its input is closed.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

import attrs

from benchmarks import contenders, loopback
from pollwise import JobWatcher, Limits, Pacing, RateBudget
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob
from pollwise.fleet import PostgresLedger, Shard, Worker
from pollwise.http.auth import ApiKeyAuth
from pollwise.watcher import parts_of

__all__ = ["Process", "Setting", "accounts", "jobs_of", "settings"]

AnyWatcher = JobWatcher[Any, Any, Any, Any]


@attrs.frozen(kw_only=True)
class Setting:
    """What a process does.

    Attributes:
        url: The vendor.
        tokens: How many tokens there are. Each job belongs to one.
        jobs: How many jobs there are.
        limit: Requests of each token in `per_s`.
        per_s: Seconds.
        min_s: Of the pacing.
        max_s: Of the pacing.
        database: The URL of the database. Empty for a watcher.
        schema: Its schema.
        ttl_s: Of the leases.
        part: Which part of the jobs a watcher has.
        parts: Of how many.
        name: Of the process.
        core: The core to which the process is pinned. None for any.
    """

    url: str
    tokens: int = 1
    jobs: int = 0
    limit: int = 60
    per_s: float = 0.25
    min_s: float = 0.5
    max_s: float = 5.0
    database: str = ""
    schema: str = ""
    ttl_s: float = 3.0
    part: int = 0
    parts: int = 1
    name: str = "w0"
    core: int | None = None

    @property
    def budget(self) -> RateBudget:
        return RateBudget(self.limit, per_s=self.per_s)

    def endpoint(self, account: str) -> ExtractionEndpoint:
        return ExtractionEndpoint(self.url, auth=ApiKeyAuth(f"{account}.{self.name}"), account=account)

    @property
    def options(self) -> dict[str, Any]:
        limits = Limits(concurrency=64, capacity=10**6)
        return {"pacing": Pacing(min_s=self.min_s, max_s=self.max_s), "limits": limits}


def accounts(setting: Setting) -> Sequence[str]:
    """The account of each token."""
    return [f"a{token}" for token in range(setting.tokens)]


def jobs_of(setting: Setting, token: int) -> Sequence[ExtractionJob]:
    """The jobs of this token."""
    return contenders.jobs(setting.jobs)[token :: setting.tokens]


# --- in the child process -----------------------------------------------------------------------


@asynccontextmanager
async def _fleet(setting: Setting) -> AsyncIterator[Any]:
    def make(shard: Shard) -> ExtractionEndpoint:
        return setting.endpoint(shard.account)

    async with (
        PostgresLedger(setting.database, schema=setting.schema, timeout_s=10.0) as store,
        Worker(
            store,
            endpoint_for=make,
            ttl_s=setting.ttl_s,
            name=setting.name,
            budget_for=lambda _: setting.budget,
            **setting.options,
        ) as worker,
    ):
        running = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.drain()
            await running


@asynccontextmanager
async def _watchers(setting: Setting) -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:
        found = []
        for token, account in enumerate(accounts(setting)):
            watcher = JobWatcher(setting.endpoint(account), timeout_s=86_400, budget=setting.budget, **setting.options)
            await stack.enter_async_context(watcher)
            for job in jobs_of(setting, token)[setting.part :: setting.parts]:
                watcher.watch(job)
            found.append(watcher)
        yield found


def _watchers_of(found: Any) -> Sequence[AnyWatcher]:
    if isinstance(found, Worker):
        return [owned.watcher for owned in found._owned.values()]  # noqa: SLF001
    return list(found)


def _numbers(found: Any) -> dict[str, Any]:
    polls = watches = 0
    for watcher in _watchers_of(found):
        if watcher.open_count:
            open_watches = parts_of(watcher).watches.values()
            watches += len(open_watches)
            polls += sum(watch.machine.polls for watch in open_watches)
    lost = found.stats().lost if isinstance(found, Worker) else 0
    return {"cpu_s": time.process_time(), "polls": polls, "watches": watches, "lost": lost}


async def _run(setting: Setting) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with (_fleet if setting.database else _watchers)(setting) as found:

        async def answer() -> None:
            print("{}", flush=True)
            while line := await reader.readline():  # the number of watches to wait for
                while sum(watcher.open_count for watcher in _watchers_of(found)) < int(line):
                    await asyncio.sleep(0.01)
                print(json.dumps(_numbers(found)), flush=True)
            ended.set()

        answering = asyncio.create_task(answer())
        ending = asyncio.create_task(ended.wait())
        await asyncio.wait([answering, ending], return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            answering.result()
        answering.cancel()
        ending.cancel()


# --- in the parent process ----------------------------------------------------------------------


class Process:
    """A process with this setting, in an `async with` block. Leaving it kills the process.

    Attributes:
        name: Its name.
    """

    def __init__(self, setting: Setting) -> None:
        self.name = setting.name
        self._setting = setting
        self._process: Any = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.fleet_processes", json.dumps(attrs.asdict(self._setting))),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        await self._line()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.kill()
        await self._process.wait()
        self._process._transport.close()  # noqa: SLF001  # else its pipes are closed by the garbage collector

    async def ask(self, watches: int = 0) -> dict[str, Any]:
        """`cpu_s`, `polls` and `watches`, once it has this number of watches."""
        self._process.stdin.write(f"{watches}\n".encode())
        return await self._line()

    async def _line(self) -> dict[str, Any]:
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process {self.name} has ended")
        found: dict[str, Any] = json.loads(line)
        return found

    def kill(self) -> None:
        """End it without a farewell."""
        if self._process.returncode is None:
            self._process.kill()

    def signal(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)


def settings(of: Setting, count: int) -> Iterator[Setting]:
    """That setting for each of this number of processes."""
    for number in range(count):
        yield attrs.evolve(of, name=f"w{number}", part=number, parts=count)


def main() -> None:
    given: Mapping[str, Any] = json.loads(sys.argv[1])
    setting = Setting(**given)
    if setting.core is not None:
        loopback.pin(setting.core)
    contenders.warm_allocator()
    asyncio.run(_run(setting))


if __name__ == "__main__":
    main()
