"""How many watches one process can hold: memory, loop lag and the time of adding, compared with a task for each job.

The watches of one run wait for a budget of 1,000 polls a second. So each of 100,000 watches is polled every 100 s.
Memory is measured after the first poll of every watch. Each watch keeps a typed status of 13 fields.
The peer does the same work with `asyncio` alone: a task for each job polls, keeps the typed status and sleeps. Its tasks
start one after another, because otherwise all of them would wait for its connection pool.

`watch()` in a plain loop blocks its caller while the calls last. The table shows the longest block after the calls.
`as_completed` takes jobs piece by piece. The table shows its longest block, without exception.
The longest blocks are those of the garbage collector, which visits every object of the program. One row is of a
program that disables the collector while it adds, and calls `gc.freeze()` afterwards. Another table shows one pass over
the jobs and their typed statuses alone, kept in two lists.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import cycle
from statistics import median
from typing import Any

from multidict import CIMultiDict

from benchmarks import contenders, loopback, report
from benchmarks.holders import HOLDERS, RATE, Completed, Frozen, Holder
from benchmarks.instruments import Collections, Ticker, objects, rss, timed
from pollwise import JobWatcher, Limits
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob
from pollwise.model.messages import Reply

_FINE_TICK_S = 0.001
_ROUNDS = 3
_PACKAGES = ("orjson", "attrs", "cattrs")


# --- in the child process -----------------------------------------------------------------------


async def _until(condition: Callable[[], bool], *, every_s: float, at_most_s: float) -> None:
    until = time.perf_counter() + at_most_s
    while not condition():
        if time.perf_counter() > until:
            raise TimeoutError(f"not within {at_most_s:g} s")
        await asyncio.sleep(every_s)


async def _warm(holder: type[Holder], url: str) -> None:
    """Import, compile and connect everything once before memory is measured."""
    async with holder(url, contenders.jobs(200, "A")) as few:
        await few.add()
        await _until(lambda: few.polled() == 200, every_s=0.05, at_most_s=20)
    gc.collect()


async def _hold(name: str, url: str, watched: int, for_s: float) -> dict[str, Any]:
    contenders.warm_allocator()
    await _warm(HOLDERS[name], url)
    empty, empty_objects = rss(), objects()
    jobs = contenders.jobs(watched)
    jobs_only, job_objects = rss(), objects()
    pauses = Collections()
    async with HOLDERS[name](url, jobs) as holder:
        began = time.perf_counter()
        async with Ticker(_FINE_TICK_S) as adding:
            await holder.add()
            added_s = time.perf_counter() - began
            if holder.calls_s:  # the block of the calls has its own column (`adding s`)
                adding.begin_now()
            await asyncio.sleep(0.5)
        async with Ticker() as ticker:
            cpu, began = time.process_time(), time.perf_counter()
            await _until(lambda: holder.polled() == watched, every_s=0.5, at_most_s=60 + 3 * watched / RATE)
            await asyncio.sleep(for_s)
            share = (time.process_time() - cpu) / (time.perf_counter() - began)
        full, grown = rss(), objects()
        return {
            "by": name,
            "watched": watched,
            "rss_b": (full - jobs_only) / watched,
            "rss_with_jobs_b": (full - empty) / watched,
            "rss_mb": full / 1e6,
            "gc_objects": (grown - job_objects) / watched,
            "gc_objects_with_jobs": (grown - empty_objects) / watched,
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
    contenders.warm_allocator()
    rows, began, done = [], time.perf_counter(), 0

    def endless() -> Iterator[ExtractionJob]:
        for n in range(total):
            yield ExtractionJob(f"D{n:042X}", f"ZX-{n:040X}{n:013}")

    async with JobWatcher(ExtractionEndpoint(url), timeout_s=600, limits=Limits(capacity=2_000)) as watcher:
        async for _ in watcher.as_completed(endless()):
            done += 1
            if done % (total // 10) == 0:
                gc.collect()
                row = {"completed": done, "rss_mb": rss() / 1e6, "gc_objects": objects()}
                rows.append({**row, "seconds": time.perf_counter() - began})
    return rows


async def _alone(url: str, number: int) -> list[dict[str, Any]]:
    """Jobs and their statuses in two lists: the time of one pass of the garbage collector over them."""
    endpoint, dice = ExtractionEndpoint(url), random.Random(1)
    headers = CIMultiDict({"Content-Type": "application/json"})
    replies = cycle([Reply(200, headers, body) for body in loopback.bodies("changing")])
    jobs, rows = contenders.jobs(number), []
    statuses: list[Any] = [None] * number
    for rounds in range(_ROUNDS + 1):
        if rounds:  # replace each status in random order, so that memory is laid out as with real polls
            for place in dice.sample(range(number), number):
                statuses[place] = endpoint.read(next(replies)).status
        passes = [timed(gc.collect) for _ in range(5)]
        rows.append({"held": len(jobs), "rounds": rounds, "gc_objects": objects(), "pass_ms": 1000 * median(passes)})
    return rows


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
    print(json.dumps(asyncio.run(work)))


# --- the parent process ----------------------------------------------------------------------------


def run(name: str, kind: str, number: int, for_s: float = 0.0) -> Any:
    """One run in its own process, with its own server."""
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
    report.table(f"waiting watches at {RATE:,} polls/s", headers, cells)


def _draw(rows: list[dict[str, Any]]) -> None:
    def draw(axes: Any) -> None:
        for name, holder in HOLDERS.items():
            mine = [row for row in rows if row["by"] == name]
            if issubclass(holder, Completed):
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
        for name, holder in HOLDERS.items()
        if holder is not Frozen or size == sizes[-1]  # with few watches it makes no difference
    ]
    _show(rows)
    alone = run("alone", "changing", sizes[-1])
    cells = [tuple(row.values()) for row in alone]
    headers = ("jobs", "statuses read for each", "GC objects", "one pass of the collector, ms")
    report.table("jobs and their typed statuses in two lists, without a watch", headers, cells)
    total = 500 if args.quick else args.flow
    flow = run("flow", "over", total) if total else []
    cells = [tuple(row.values()) for row in flow]
    report.table("short jobs through one watcher", ("completed", "RSS MB", "GC objects", "seconds"), cells)
    report.save(
        "scale", {"polls_a_s": RATE, "waiting": rows, "alone": alone, "flow": flow}, *_PACKAGES, quick=args.quick
    )
    if args.plot:
        _draw(rows)


if __name__ == "__main__":
    main()
