"""The cost of a ledger: to record new watches, to poll 1,000 times a second, and to resume the recorded watches.

`record` records new watches. `hold` polls 1,000 times a second over all watches, as `scale` does, without a ledger and
with one, in processes that take turns. `resume` resumes the watches that `record` left open. The ledger is a file in
`--folder` that survives a power loss (`synchronous` full). CPU time is that of the whole process with the ledger's thread.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks import contenders, loopback, report
from benchmarks.instruments import Ticker, rss
from pollwise import JobWatcher, Limits, Pacing, RateBudget, SqliteLedger
from pollwise.core.rate_budget import engine_of
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob

_RATE = 1_000
_CONNECTIONS = 64
_PACKAGES = ("orjson", "attrs", "cattrs")

Watcher = JobWatcher[ExtractionJob, Any]


def _watcher(url: str, watched: int, ledger: SqliteLedger | None) -> Watcher:
    return JobWatcher(
        ExtractionEndpoint(url),
        timeout_s=86_400,
        pacing=Pacing(min_s=0.1, max_s=max(0.2, watched / _RATE)),
        budget=RateBudget(_RATE, per_s=1),
        limits=Limits(concurrency=_CONNECTIONS, capacity=10**6),
        ledger=ledger,
    )


def _polls(watcher: Watcher) -> int:
    return sum(watch.machine.polls for watch in watcher._parts().watches.values())  # noqa: SLF001


class Cpu:
    """The share of a core that this process has used since the last call of `share`."""

    def __init__(self) -> None:
        self._cpu, self._at = time.process_time(), time.perf_counter()

    def share(self) -> float:
        cpu, at = time.process_time(), time.perf_counter()
        found = (cpu - self._cpu) / (at - self._at)
        self._cpu, self._at = cpu, at
        return found


# --- in the child process -----------------------------------------------------------------------


async def _record(url: str, path: str, watched: int, _for_s: float) -> dict[str, Any]:
    jobs = contenders.jobs(watched)
    gc.collect()
    async with SqliteLedger(path) as ledger, _watcher(url, watched, ledger) as watcher:
        async with Ticker(0.001) as ticker:
            cpu, began = time.process_time(), time.perf_counter()
            await watcher.record_all(jobs)
            took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
        return {
            "watched": watched,
            "seconds": took_s,
            "recorded_a_s": watched / took_s,
            "cpu_us": 1e6 * cpu_s / watched,
            "block_p99_ms": ticker.quantile_ms(0.99),
            "block_max_ms": ticker.quantile_ms(1),
        }


async def _resume(url: str, path: str, watched: int, for_s: float) -> dict[str, Any]:
    gc.collect()
    async with SqliteLedger(path) as ledger, _watcher(url, watched, ledger) as watcher:
        before = {}
        first_s = float("nan")

        async def first_poll() -> None:
            nonlocal first_s
            while engine_of(watcher.budget).left(loop.time()) == _RATE:
                await asyncio.sleep(0.001)
            first_s = loop.time() - began

        loop = asyncio.get_running_loop()
        async with Ticker(0.001) as ticker:
            began = loop.time()
            polling = asyncio.create_task(first_poll())
            watches = await watcher.resume()
            took_s = loop.time() - began
            before = {watch.job: watch.machine.polls for watch in watches}
            await polling
        await asyncio.sleep(max(0.0, for_s - took_s))
        polled = sum(watch.machine.polls > before[watch.job] for watch in watches)
        return {
            "watched": len(watches),
            "first_poll_s": first_s,
            "all_resumed_s": took_s,
            "polled_after_s": loop.time() - began,
            "polled": polled,
            "block_p99_ms": ticker.quantile_ms(0.99),
            "block_max_ms": ticker.quantile_ms(1),
        }


async def _hold(url: str, path: str, watched: int, for_s: float) -> dict[str, Any]:
    contenders.warm_allocator()
    jobs = contenders.jobs(watched)
    async with AsyncExitStack() as stack:
        ledger = await stack.enter_async_context(SqliteLedger(path)) if path else None
        watcher = await stack.enter_async_context(_watcher(url, watched, ledger))
        for job in jobs:
            watcher.watch(job)
        while _polls(watcher) < watched:
            await asyncio.sleep(0.5)
        gc.collect()
        polls, began = _polls(watcher), time.perf_counter()
        async with Ticker() as ticker:
            cpu = Cpu()
            await asyncio.sleep(for_s)
            share = cpu.share()
        rate = (_polls(watcher) - polls) / (time.perf_counter() - began)
        return {
            "ledger": bool(path),
            "watched": watched,
            "polls_a_s": rate,
            "cpu_share": share,
            "lag_p50_ms": ticker.quantile_ms(0.5),
            "lag_p99_ms": ticker.quantile_ms(0.99),
            "lag_max_ms": ticker.quantile_ms(1),
            "rss_mb": rss() / 1e6,
        }


_WORKS = {"record": _record, "resume": _resume, "hold": _hold}


def _child(args: argparse.Namespace) -> None:
    loopback.pin(0)
    work, url, path, watched, for_s = args.child
    print(json.dumps(asyncio.run(_WORKS[work](url, path, int(watched), float(for_s)))))


# --- start ----------------------------------------------------------------------------------------


def _run(url: str, work: str, path: Path | None, watched: int, for_s: float = 0.0) -> dict[str, Any]:
    """One run in its own process."""
    child = [work, url, "" if path is None else str(path), str(watched), str(for_s)]
    command = [sys.executable, "-m", "benchmarks.ledger", "--child", *child]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def _file(folder: str | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=folder) as found:
        yield Path(found) / "jobs.ledger"


def _show(title: str, rows: list[dict[str, Any]]) -> None:
    report.table(title, [name.replace("_", " ") for name in rows[0]], [list(row.values()) for row in rows])


def main() -> None:
    parser = report.arguments(__doc__ or "")
    parser.add_argument("--watched", type=int, default=100_000, help="how many watches")
    parser.add_argument("--for", type=float, default=30.0, dest="for_s", help="how long each `hold` is measured")
    parser.add_argument("--pairs", type=int, default=2, help="how many times `hold` runs without and with a ledger")
    parser.add_argument("--folder", help="where the ledgers are; by default where temporary files are")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        _child(args)
        return
    watched, for_s, pairs = (300, 1.0, 1) if args.quick else (args.watched, args.for_s, args.pairs)
    with _file(args.folder) as path, loopback.serve("changing") as server:  # watches resume at their own origin
        recorded = _run(server.url, "record", path, watched)
        resumed = _run(server.url, "resume", path, watched, 0.5 if args.quick else 10.0)
    _show("recording new watches", [recorded])
    _show("resuming them", [resumed])
    held = []
    for n in range(pairs):
        for with_ledger in (False, True) if n % 2 == 0 else (True, False):
            with _file(args.folder) as path, loopback.serve("changing") as server:
                held.append(_run(server.url, "hold", path if with_ledger else None, watched, for_s))
    _show(f"{_RATE:,} polls a second", sorted(held, key=lambda row: bool(row["ledger"])))
    shares = {
        kept: statistics.median(row["cpu_share"] for row in held if row["ledger"] is kept) for kept in (False, True)
    }
    print(f"\nthe ledger takes {shares[True] - shares[False]:.1%} of a core")
    found = {"polls_a_s": _RATE, "recorded": recorded, "resumed": resumed, "held": held}
    report.save("ledger", found, *_PACKAGES, quick=args.quick)


if __name__ == "__main__":
    main()
