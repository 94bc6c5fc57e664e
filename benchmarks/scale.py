"""How many watches one process bears: memory, a calm loop, and adding them, against a task for each job.

The watches of one run wait behind a budget of 1,000 polls a second, so at 100,000 of them each is asked every 100
seconds. Every watch has had its first poll, and keeps a typed status of 13 fields with a message of its own, before its
memory is measured. The peer is the same work with `asyncio` alone: a task for each job that asks, keeps the typed status
and sleeps; its tasks start spread out, for it would choke on its connection pool otherwise.

`watch()` in a plain loop blocks whoever calls it for as long as the calls take, by its nature; what is shown for it is the
longest block after the calls. `as_completed` takes jobs piece by piece, and what is shown is the longest block at all.
What is left of blocks then is the garbage collector, which looks at every object of the program now and again; so one row
is of a program that keeps it from that while it adds, and calls `gc.freeze()` afterwards. How long it would take over the
jobs and their typed statuses alone, kept in two lists and followed by nobody, is a table of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any, Self

import aiohttp
from multidict import CIMultiDict

from benchmarks import loopback, peers, report
from pollwise import JobWatcher, Pacing, RateBudget
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob
from pollwise.model.messages import Reply

_RATE = 1_000
_TICK_S = 0.010
_FINE_TICK_S = 0.001
_CONNECTIONS = 64
_ROUNDS = 3
_PACKAGES = ("orjson", "attrs", "cattrs")


# --- instruments --------------------------------------------------------------------------------


def rss() -> int:
    """Resident bytes of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _objects() -> int:
    """How many objects the garbage collector knows."""
    return len(gc.get_objects()) + gc.get_freeze_count()


class Ticker:
    """How late the loop is for a sleep of one tick."""

    def __init__(self, tick_s: float = _TICK_S) -> None:
        self.lags: list[float] = []
        self._tick_s = tick_s
        self._began = 0.0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await asyncio.sleep(2 * self._tick_s)  # a block that is not over yet shall be seen
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            self._began = time.perf_counter()
            await asyncio.sleep(self._tick_s)
            self.lags.append(time.perf_counter() - self._began - self._tick_s)

    def begin_now(self) -> None:
        """Forget all before this moment, at which a tick is over."""
        self.lags.clear()
        self._began = time.perf_counter() - self._tick_s

    def quantile_ms(self, share: float) -> float:
        """That quantile of the lags in milliseconds; 1 for the longest."""
        ordered = sorted(self.lags)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Collections:
    """How long the garbage collector stops everything."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._began = 0.0
        gc.callbacks.append(self._on)

    def _on(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self.longest_s = max(self.longest_s, time.perf_counter() - self._began)


# --- who holds the jobs -------------------------------------------------------------------------


class ConcurrencyLimiter:
    """Holds jobs, each polled again and again; `polled` of them at least once."""

    def __init__(self, url: str, jobs: list[ExtractionJob]) -> None:
        self.endpoint = ExtractionEndpoint(url)
        self.jobs = jobs
        self.calls_s = 0.0  # what adding took of the caller's time, where it is one piece

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        pass

    async def add(self) -> None:
        """Add all jobs."""

    def polled(self) -> int:
        """How many have been polled."""
        raise NotImplementedError


class Watched(ConcurrencyLimiter):
    """By pollwise: `watch()` for each."""

    async def __aenter__(self) -> Self:
        self._watcher: JobWatcher[Any, Any] = JobWatcher(
            self.endpoint,
            timeout_s=86_400,
            pacing=Pacing(min_s=0.1, max_s=max(0.2, len(self.jobs) / _RATE)),  # few would not fill the rate otherwise
            budget=RateBudget(_RATE, per_s=1),
            concurrency=_CONNECTIONS,
            capacity=10**6,
        )
        await self._watcher.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._watcher.__aexit__(None, None, None)

    async def add(self) -> None:
        began = time.perf_counter()
        for job in self.jobs:
            self._watcher.watch(job)
        self.calls_s = time.perf_counter() - began

    def polled(self) -> int:
        return sum(watch.machine.phase is not None for watch in self._watcher._open.values())  # noqa: SLF001


class Completed(Watched):
    """By pollwise: `as_completed` over all."""

    async def __aexit__(self, *exc: object) -> None:
        self._reader.cancel()
        await super().__aexit__(*exc)

    async def add(self) -> None:
        self._reader = asyncio.create_task(self._read())
        while self._watcher.open_count < len(self.jobs):  # no callback reports each new watch
            await asyncio.sleep(0)

    async def _read(self) -> None:
        async for _ in self._watcher.as_completed(self.jobs):
            pass


class Frozen(Completed):
    """The same in a program that tells the garbage collector that these are to stay."""

    async def add(self) -> None:
        gc.collect()  # else what is garbage by now would be kept for ever
        gc.disable()
        await super().add()
        gc.freeze()
        gc.enable()

    async def __aexit__(self, *exc: object) -> None:
        gc.unfreeze()
        await super().__aexit__(*exc)


class Tasks(ConcurrencyLimiter):
    """By a task for each."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_CONNECTIONS))
        self._tasks: list[asyncio.Task[None]] = []
        self._polled = 0
        return self

    async def __aexit__(self, *_exc: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()

    async def add(self) -> None:
        began = time.perf_counter()
        between_s = len(self.jobs) / _RATE
        loop = asyncio.get_running_loop()
        for n, job in enumerate(self.jobs):
            self._tasks.append(loop.create_task(self._follow(job, n / _RATE, between_s)))
        self.calls_s = time.perf_counter() - began

    def polled(self) -> int:
        return self._polled

    async def _follow(self, job: ExtractionJob, first_s: float, between_s: float) -> None:
        status = None
        await asyncio.sleep(first_s)
        while status is None or not status.final:
            self._polled += status is None
            status = await self._ask(job)
            await asyncio.sleep(between_s)

    async def _ask(self, job: ExtractionJob) -> Any:
        async with self._session.get(self.endpoint.request(job).url) as response:
            return self.endpoint.read(Reply(response.status, response.headers, await response.read()))


_CROWDS: dict[str, type[ConcurrencyLimiter]] = {
    "pollwise": Watched,
    "pollwise, as_completed": Completed,
    "pollwise, gc.freeze()": Frozen,
    "task per job": Tasks,
}


# --- in a process of its own --------------------------------------------------------------------


async def _until(condition: Callable[[], bool], *, every_s: float, at_most_s: float) -> None:
    until = time.perf_counter() + at_most_s
    while not condition():
        if time.perf_counter() > until:
            raise TimeoutError(f"not within {at_most_s:g} s")
        await asyncio.sleep(every_s)


async def _warm(crowd: type[ConcurrencyLimiter], url: str) -> None:
    """Everything is imported, compiled and connected once before memory is looked at."""
    async with crowd(url, peers.jobs(200, "A")) as few:
        await few.add()
        await _until(lambda: few.polled() == 200, every_s=0.05, at_most_s=20)
    gc.collect()


async def _hold(name: str, url: str, watched: int, for_s: float) -> dict[str, Any]:
    peers.warm_allocator()
    await _warm(_CROWDS[name], url)
    empty, objects = rss(), _objects()
    jobs = peers.jobs(watched)
    jobs_only, job_objects = rss(), _objects()
    pauses = Collections()
    async with _CROWDS[name](url, jobs) as crowd:
        began = time.perf_counter()
        async with Ticker(_FINE_TICK_S) as adding:
            await crowd.add()
            added_s = time.perf_counter() - began
            if crowd.calls_s:  # the caller's own block is told as such
                adding.begin_now()
            await asyncio.sleep(0.5)
        async with Ticker() as ticker:
            cpu, began = time.process_time(), time.perf_counter()
            await _until(lambda: crowd.polled() == watched, every_s=0.5, at_most_s=60 + 3 * watched / _RATE)
            await asyncio.sleep(for_s)
            share = (time.process_time() - cpu) / (time.perf_counter() - began)
        full, grown = rss(), _objects()
        return {
            "by": name,
            "watched": watched,
            "rss_b": (full - jobs_only) / watched,
            "rss_with_jobs_b": (full - empty) / watched,
            "rss_mb": full / 1e6,
            "gc_objects": (grown - job_objects) / watched,
            "gc_objects_with_jobs": (grown - objects) / watched,
            "adding_s": added_s,
            "adding_block_ms": adding.quantile_ms(1),
            "lag_p50_ms": ticker.quantile_ms(0.5),
            "lag_p99_ms": ticker.quantile_ms(0.99),
            "lag_max_ms": ticker.quantile_ms(1),
            "longest_collection_ms": 1000 * pauses.longest_s,
            "cpu_share": share,
        }


async def _flow(url: str, total: int) -> list[dict[str, Any]]:
    """Short jobs, each over at its first poll, through one watcher; memory at every tenth of them."""
    peers.warm_allocator()
    rows, began, done = [], time.perf_counter(), 0

    def endless() -> Iterator[ExtractionJob]:
        for n in range(total):
            yield ExtractionJob(f"D{n:042X}", f"ZX-{n:040X}{n:013}")

    async with JobWatcher(ExtractionEndpoint(url), timeout_s=600, capacity=2_000) as watcher:
        async for _ in watcher.as_completed(endless()):
            done += 1
            if done % (total // 10) == 0:
                gc.collect()
                row = {"completed": done, "rss_mb": rss() / 1e6, "gc_objects": _objects()}
                rows.append({**row, "seconds": time.perf_counter() - began})
    return rows


async def _alone(url: str, number: int) -> list[dict[str, Any]]:
    """Jobs and their statuses in two lists: what one pass of the garbage collector takes over them."""
    endpoint, dice = ExtractionEndpoint(url), random.Random(1)
    headers = CIMultiDict({"Content-Type": "application/json"})
    replies = cycle([Reply(200, headers, body) for body in loopback.bodies("changing")])
    jobs, rows = peers.jobs(number), []
    statuses: list[Any] = [None] * number
    for rounds in range(_ROUNDS + 1):
        if rounds:  # each is replaced, in whatever order they are due: that is how they lie in memory then
            for place in dice.sample(range(number), number):
                statuses[place] = endpoint.read(next(replies)).status
        passes = [_timed(gc.collect) for _ in range(5)]
        rows.append({"held": len(jobs), "rounds": rounds, "gc_objects": _objects(), "pass_ms": 1000 * median(passes)})
    return rows


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _child(args: argparse.Namespace) -> None:
    loopback.pin(0)
    name, url, number, for_s = args.child
    work: Awaitable[Any]
    match name:
        case "flow":
            work = _flow(url, int(number))
        case "alone":
            work = _alone(url, int(number))
        case _:
            work = _hold(name, url, int(number), float(for_s))
    print(json.dumps(asyncio.run(work)))  # type: ignore[arg-type]  # all are coroutines


# --- who starts them ----------------------------------------------------------------------------


def run(name: str, kind: str, number: int, for_s: float = 0.0) -> Any:
    """One run in a process of its own, with a server of its own."""
    with loopback.serve(kind) as server:
        command = [sys.executable, "-m", "benchmarks.scale", "--child", name, server.url, str(number), str(for_s)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def _show(rows: list[dict[str, Any]]) -> None:
    headers = (
        "",
        "watches",
        "B a watch",
        "with its job",
        "GC objects",
        "lag ms p50",
        "p99",
        "max",
        "adding s",
        "longest block ms",
        "longest GC ms",
        "CPU",
    )
    cells = [
        (
            row["by"],
            row["watched"],
            row["rss_b"],
            row["rss_with_jobs_b"],
            row["gc_objects"],
            row["lag_p50_ms"],
            row["lag_p99_ms"],
            row["lag_max_ms"],
            row["adding_s"],
            row["adding_block_ms"],
            row["longest_collection_ms"],
            f"{row['cpu_share']:.0%}",
        )
        for row in rows
    ]
    report.table(f"waiting watches at {_RATE:,} polls/s", headers, cells)


def _draw(rows: list[dict[str, Any]]) -> None:
    def draw(axes: Any) -> None:
        for name, crowd in _CROWDS.items():
            mine = [row for row in rows if row["by"] == name]
            if issubclass(crowd, Completed):
                continue
            sizes = [row["watched"] for row in mine]
            axes[0].plot(sizes, [row["rss_b"] * row["watched"] / 1e6 for row in mine], marker="o", label=name)
            axes[1].plot(sizes, [row["lag_p99_ms"] for row in mine], marker="o", label=f"{name}, p99")
            axes[1].plot(sizes, [row["lag_max_ms"] for row in mine], marker="s", linestyle=":", label=f"{name}, max")
        for axis, label in zip(axes, ("memory for all watches, MB", "loop lag, ms"), strict=True):
            axis.set(xscale="log", yscale="log", xlabel="watches", ylabel=label)
            axis.legend(frameon=False)
            axis.xaxis.set_major_formatter("{x:,g}")
            axis.yaxis.set_major_formatter("{x:,g}")

    report.plot("scale", 2, draw, size=(9, 3.8))


def main() -> None:
    parser = report.arguments(__doc__ or "")
    parser.add_argument("--sizes", default="1000,10000,25000,50000,100000", help="how many watches, one run for each")
    parser.add_argument(
        "--flow", type=int, default=1_000_000, help="how many short jobs for the memory run; 0 for none"
    )
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        _child(args)
        return
    sizes = [300] if args.quick else [int(size) for size in args.sizes.split(",")]
    rows = [
        run(name, "changing", size, 0.5 if args.quick else 10.0)
        for size in sizes
        for name, crowd in _CROWDS.items()
        if crowd is not Frozen or size == sizes[-1]  # few are not worth the trouble
    ]
    _show(rows)
    alone = run("alone", "changing", sizes[-1])
    cells = [tuple(row.values()) for row in alone]
    headers = ("jobs", "statuses read for each", "GC objects", "one pass of the collector, ms")
    report.table("jobs and their typed statuses in two lists, followed by nobody", headers, cells)
    total = 500 if args.quick else args.flow
    flow = run("flow", "over", total) if total else []
    cells = [tuple(row.values()) for row in flow]
    report.table("short jobs through one watcher", ("completed", "RSS MB", "GC objects", "seconds"), cells)
    report.save(
        "scale", {"polls_a_s": _RATE, "waiting": rows, "alone": alone, "flow": flow}, *_PACKAGES, quick=args.quick
    )
    if args.plot:
        _draw(rows)


if __name__ == "__main__":
    main()
