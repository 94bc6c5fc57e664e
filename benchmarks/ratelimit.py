"""429s and the use of the budget, with the simulator on real sockets in compressed time.

The limit is Document360's 60 requests a minute, with its header fields. Its minute is compressed to a few seconds. Every
reply says how many requests remain. Only a 429 states the limit and the time of the reset. The simulator is another
process. All runs are concurrent, each with its own server. The jobs outlast the run, so a request is always waiting.
The server's own counts are shown. 429s are counted from the first request on. The use of the budget is counted after
four windows: a new budget may send a whole window at once, and must learn an unknown limit. The first four windows have
their own column.

Before that, `unstated_limits.py` runs in virtual time: spurious 429s, and limits that only 429s reveal.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from itertools import product
from typing import Any, Literal

import aiohttp
import attrs

from benchmarks import report, unstated_limits
from pollwise import JobWatcher, Pacing, RateBudget
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.http.auth import ApiKeyAuth
from pollwise.simulator import RateLimit, Simulator

_LIMIT = 60
_MINUTE_S = 60.0
_STAGGER_S = 0.5
_TOKEN = "bench"
Window = Literal["fixed", "sliding"]


@attrs.frozen(kw_only=True)
class Run:
    """One case: a policy, the number of its jobs, and one kind of window."""

    policy: str
    window: Window
    watched: int


@attrs.frozen(kw_only=True)
class Scale:
    """The length of a compressed minute, and the number of such minutes in a run."""

    per_s: float
    windows: int
    warm_windows: int

    def seconds(self, real_s: float) -> float:
        """Compressed seconds for seconds of real use."""
        return real_s * self.per_s / _MINUTE_S


# --- the server's process -----------------------------------------------------------------------


async def _serve(cases: list[tuple[Window, int]], per_s: float) -> None:
    """A simulator for each case. Prints their URLs, then their counts for each line on standard input."""
    async with AsyncExitStack() as stack:
        simulators = []
        for window, watched in cases:
            limit = RateLimit(limit=_LIMIT, per_s=per_s, window=window, fractional=True)
            simulator = await stack.enter_async_context(Simulator(api_token=_TOKEN, rate_limit=limit, log_size=1))
            for n in range(watched):
                simulator.add_delete(_name(n), duration_s=math.inf, curve="linear")
            simulators.append(simulator)
        print(json.dumps([simulator.document360_url for simulator in simulators]), flush=True)
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(None, sys.stdin.readline):
            counts = [(simulator.requests.accepted, simulator.requests.refused) for simulator in simulators]
            print(json.dumps(counts), flush=True)


def _name(n: int) -> str:
    return f"task-{n:05}"


@attrs.frozen
class Servers:
    """The simulators in another process."""

    urls: list[str]
    process: Any

    def counts(self) -> list[tuple[int, int]]:
        """Requests accepted and refused so far, for each."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        found: list[tuple[int, int]] = json.loads(self.process.stdout.readline())
        return found


@contextmanager
def _servers(runs: list[Run], scale: Scale) -> Iterator[Servers]:
    cases = json.dumps([(run.window, run.watched) for run in runs])
    command = [sys.executable, "-m", "benchmarks.ratelimit", "--serve", cases, str(scale.per_s)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Servers(json.loads(process.stdout.readline()), process)
        finally:
            process.stdin.close()
            process.wait(5)


# --- the policies -------------------------------------------------------------------------------


async def _by_pollwise(url: str, run: Run, scale: Scale) -> None:
    known = run.policy.endswith("known")
    watcher = JobWatcher(
        DeleteFileEndpoint(url, auth=ApiKeyAuth(_TOKEN)),
        timeout_s=None,
        pacing=Pacing(min_s=scale.seconds(1), max_s=scale.seconds(10)),
        budget=RateBudget(_LIMIT, per_s=scale.per_s) if known else RateBudget(),
    )
    async with watcher:
        for n in range(run.watched):
            watcher.watch(DeleteFileJob(_name(n)))
        await asyncio.sleep(scale.per_s * scale.windows)


async def _by_tasks(url: str, run: Run, scale: Scale) -> None:
    """A task for each job: every 10 s, or backoff with full jitter up to 60 s."""
    dice = random.Random(1)

    async def follow(session: aiohttp.ClientSession, path: str) -> None:
        ceiling = scale.seconds(1)
        await asyncio.sleep(scale.seconds(10) * dice.random())
        while True:
            async with session.get(url + path, headers={"api_token": _TOKEN}) as response:
                await response.read()
            if run.policy.startswith("fixed"):
                await asyncio.sleep(scale.seconds(10))
            else:
                await asyncio.sleep(ceiling * dice.random())
                ceiling = min(2 * ceiling, scale.seconds(60))

    async with aiohttp.ClientSession() as session:
        paths = [f"/v2/Drive/Folders/DeleteFile/Status/{_name(n)}" for n in range(run.watched)]
        tasks = [asyncio.create_task(follow(session, path)) for path in paths]
        await asyncio.sleep(scale.per_s * scale.windows)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


_POLICIES = {
    "pollwise, limit known": _by_pollwise,
    "pollwise, limit unknown": _by_pollwise,
    "fixed interval, 10 s": _by_tasks,
    "backoff, full jitter to 60 s": _by_tasks,
}


async def _measure(servers: Servers, n: int, run: Run, scale: Scale) -> dict[str, Any]:
    await asyncio.sleep(n * _STAGGER_S)  # so that not all cases connect at the same moment
    began = time.perf_counter()
    polling = asyncio.create_task(_POLICIES[run.policy](servers.urls[n], run, scale))
    await asyncio.sleep(scale.per_s * scale.warm_windows)
    warm_s, (early, _) = time.perf_counter() - began, servers.counts()[n]
    await asyncio.sleep(scale.per_s * scale.windows - warm_s)
    steady_s, (late, refused) = time.perf_counter() - began - warm_s, servers.counts()[n]
    await polling
    return {
        **attrs.asdict(run),
        "requests": late + refused,
        "refused": refused,
        "refused_share": refused / (late + refused),
        "budget_used_at_first": early / (_LIMIT * scale.warm_windows),
        "budget_used": (late - early) / (_LIMIT * steady_s / scale.per_s),
    }


async def _measure_all(runs: list[Run], scale: Scale) -> list[dict[str, Any]]:
    with _servers(runs, scale) as servers:
        return list(await asyncio.gather(*[_measure(servers, n, run, scale) for n, run in enumerate(runs)]))


def _show(rows: list[dict[str, Any]]) -> None:
    headers = ("", "window", "watches", "requests", "429s", "share", "budget used", "first windows")
    cells = [
        (
            row["policy"],
            row["window"],
            row["watched"],
            row["requests"],
            row["refused"],
            f"{row['refused_share']:.2%}",
            f"{row['budget_used']:.1%}",
            f"{row['budget_used_at_first']:.1%}",
        )
        for row in rows
    ]
    report.table("60 requests a window", headers, cells)


def _measure_unstated(*, quick: bool) -> dict[str, Any]:
    spurious = unstated_limits.spurious((0, 1) if quick else (0, 1, 10, 64, 300))
    limited = unstated_limits.limited(settled_s=60.0 if quick else 1_800.0)
    headers = ("refused for no reason", "polls", "seconds", "requests", "abandoned")
    cells: list[report.Row] = [
        (row["which"], row["refused"], row["seconds"], row["requests"], row["abandoned"]) for row in spurious
    ]
    report.table("1,000 jobs, over at their third poll, asked each second; virtual time", headers, cells)
    headers = ("limit that no header states", "window", "429s at first", "requests then", "429s", "share", "limit used")
    cells = [
        (
            row["limit"],
            row["window"],
            row["refused_at_first"],
            row["requests"],
            row["refused"],
            f"{row['refused'] / row['requests']:.2%}",
            f"{row['used']:.1%}",
        )
        for row in limited
    ]
    report.table("limits found by refusals without header fields; virtual time", headers, cells)
    return {"spurious": spurious, "limited": limited}


def _draw(rows: list[dict[str, Any]]) -> None:
    def draw(axes: Any) -> None:
        for n, policy in enumerate(_POLICIES):
            mine = [row for row in rows if row["policy"] == policy and row["window"] == "fixed"]
            places = [place + 0.21 * (n - 1.5) for place in range(len(mine))]
            colour = report.COLOURS[n]
            bars = axes[0].bar(places, [100 * row["refused_share"] for row in mine], 0.2, label=policy, color=colour)
            axes[0].bar_label(bars, fmt="%.1f", padding=2, fontsize=8)
        sizes = [str(row["watched"]) for row in rows if row["policy"] == policy and row["window"] == "fixed"]
        axes[0].set_xticks(range(len(sizes)), [f"{size} jobs" for size in sizes])
        axes[0].set_ylabel("requests that were refused, %")
        axes[0].legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.02))

    report.plot("ratelimit", 1, draw, size=(8, 3.8))


def main() -> None:
    parser = report.arguments(__doc__ or "")
    parser.add_argument("--per-s", type=float, default=10.0, help="seconds that a minute is compressed to")
    parser.add_argument("--windows", type=int, default=16, help="such minutes for each case")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        cases, per_s = args.serve
        asyncio.run(_serve(json.loads(cases), float(per_s)))
        return
    scale = Scale(per_s=args.per_s, windows=args.windows, warm_windows=4)
    if args.quick:
        scale = Scale(per_s=0.4, windows=3, warm_windows=1)
    unstated = _measure_unstated(quick=args.quick)
    sizes = (60,) if args.quick else (60, 300, 1_000)
    windows: tuple[Window, ...] = ("fixed", "sliding")
    rows: list[dict[str, Any]] = []
    for policies in (
        [*_POLICIES][:2],
        [*_POLICIES][2:],
    ):  # policies that get 429s run apart from those that keep the limit
        cases = product(policies, windows, sizes)
        runs = [Run(policy=policy, window=window, watched=size) for policy, window, size in cases]
        rows += asyncio.run(_measure_all(runs, scale))
    _show(rows)
    found = {"limit": _LIMIT, "per_s": scale.per_s, "windows": scale.windows, "runs": rows, "unstated": unstated}
    report.save("ratelimit", found, quick=args.quick)
    if args.plot:
        _draw(rows)


if __name__ == "__main__":
    main()
