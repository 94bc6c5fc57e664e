"""A fleet against one process, and against processes that know nothing of each other.

`delays` has 2,000 jobs. The limits of all tokens together are 240 requests a second: 60 for each 0.25 s of one token, or an eighth of
that for each of eight. The vendor notes when a job ended, and when a poll first said so. One process and uncoordinated processes are
ordinary watchers without a ledger, with the whole budget. Uncoordinated processes have equal parts of the jobs. Cases take turns. After
60 s a case ends: `not told` is the number of jobs whose end no poll has seen, and their delays count up to then.
`costs` polls 1,000 times a second over 10,000 jobs without a ledger and in a fleet, in processes that take turns, pinned to a core.
`takeover`, `kills`, `freeze` and `away` are faults. `--only` runs some of these parts, and keeps the results of the others.

The server is one that this program starts with its defaults, hence with fsync. The leases live for 3 s.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from benchmarks import fleet_faults, loopback, report
from benchmarks.fleet_faults import submit
from benchmarks.fleet_processes import Process, Setting, accounts, jobs_of, settings
from benchmarks.fleet_server import Server, serving
from benchmarks.fleet_vendor import vendor
from pollwise.fleet import Client, PostgresLedger
from pollwise.ledger import Conclusion, OutcomeKind, Shard
from pollwise.model.reading import Phase

Rows: TypeAlias = list[dict[str, Any]]
Part: TypeAlias = Callable[[Server, argparse.Namespace], Coroutine[Any, Any, Rows]]

_LIMIT, _PER_S = 480, 2.0  # of all tokens together
_RATE = 1_000
_PATIENCE_S = 60.0
_KEPT = Path(__file__).with_name("results") / "fleet.json"


# --- delays ---------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Case:
    """Who polls: `one process`, `uncoordinated`, or `fleet`."""

    who: str
    processes: int
    tokens: int
    split: int = 1

    @property
    def setting(self) -> dict[str, Any]:
        return {"tokens": self.tokens, "limit": 60, "per_s": 0.25 * self.tokens}


_CASES = [
    Case(who="one process", processes=1, tokens=1),
    Case(who="fleet", processes=1, tokens=1),
    Case(who="fleet", processes=2, tokens=1),
    Case(who="fleet", processes=4, tokens=1),
    Case(who="fleet", processes=4, tokens=1, split=4),
    Case(who="uncoordinated", processes=2, tokens=1),
    Case(who="uncoordinated", processes=4, tokens=1),
    Case(who="one process", processes=1, tokens=8),
    Case(who="fleet", processes=1, tokens=8),
    Case(who="fleet", processes=2, tokens=8),
    Case(who="fleet", processes=4, tokens=8),
    Case(who="uncoordinated", processes=4, tokens=8),
]


async def _delays_of(server: Server, case: Case, args: argparse.Namespace, round_: int) -> dict[str, Any]:
    limit, per_s = case.setting["limit"], case.setting["per_s"]
    async with vendor(limit, per_s) as api, server.store() as store, AsyncExitStack() as stack:
        setting = Setting(url=api.url, jobs=args.jobs, **case.setting)
        if case.who == "fleet":
            setting = attrs.evolve(setting, database=server.url, schema=store.schema)
            for token, account in enumerate(accounts(setting)):
                client = Client(store, setting.endpoint(account), split=case.split)
                await client.submit_many(jobs_of(setting, token), timeout_s=86_400)
        names = [job.job_id for token in range(case.tokens) for job in jobs_of(setting, token)]
        workers = [await stack.enter_async_context(Process(one)) for one in settings(setting, case.processes)]
        await _all_watched(workers, args.jobs)
        polls, refused, began = api.polls, api.refused, time.monotonic()
        api.plan(names, *args.durations_s, seed=round_)
        with suppress(TimeoutError):
            await api.until(lambda: len(api.told) == args.jobs, for_s=_PATIENCE_S)
        took_s = time.monotonic() - began
        delays = api.delays()
        return {
            **attrs.asdict(case),
            "delay_mean_s": statistics.fmean(delays),
            "delay_p99_s": delays[int(0.99 * len(delays))],
            "not_told": args.jobs - len(api.told),
            "polls": api.polls - polls,
            "refused": api.refused - refused,
            "seconds": took_s,
        }


async def _all_watched(workers: Sequence[Process], jobs: int) -> None:
    """Return when the workers watch all jobs, and their shares have not changed for a second."""
    before: list[int] = []
    async with asyncio.timeout(60):
        while True:
            now = [(await worker.ask())["watches"] for worker in workers]
            if sum(now) == jobs and now == before:
                return
            before = now
            await asyncio.sleep(1.0)


async def _delays(server: Server, args: argparse.Namespace) -> Rows:
    rounds: list[Rows] = []
    cases = [case for case in _CASES if case.tokens in args.tokens]
    for number in range(args.rounds):
        found = []
        for case in cases if number % 2 == 0 else reversed(cases):
            found.append(await _delays_of(server, case, args, number + 1))
            print(json.dumps(found[-1]), flush=True)
        rounds.append(found if number % 2 == 0 else found[::-1])
    alone = {row["tokens"]: [] for row in rounds[0]}
    for found in rounds:
        for row in found:
            if row["who"] == "one process":
                alone[row["tokens"]].append(row["delay_mean_s"])
    rows = []
    for repeated in zip(*rounds, strict=True):
        ratios = [one["delay_mean_s"] / base for one, base in zip(repeated, alone[repeated[0]["tokens"]], strict=True)]
        refused, polls = (sum(one[name] for one in repeated) for name in ("refused", "polls"))
        rows.append(
            {
                **{name: repeated[0][name] for name in ("who", "processes", "tokens", "split")},
                "delay_mean_s": statistics.median(one["delay_mean_s"] for one in repeated),
                "delay_p99_s": statistics.median(one["delay_p99_s"] for one in repeated),
                "delay_ratio": statistics.median(ratios),
                "not_told": max(one["not_told"] for one in repeated),
                "refused": refused,
                "refused_share": refused / (refused + polls),
            }
        )
    return rows


# --- costs ----------------------------------------------------------------------------------------


async def _cost_of(server: Server, kind: str, args: argparse.Namespace, *, in_fleet: bool) -> dict[str, float]:
    with loopback.serve(kind) as api:
        async with server.store() as store:
            setting = Setting(
                url=api.url,
                jobs=args.watched,
                limit=_RATE,
                per_s=1.0,
                min_s=0.1,
                max_s=args.watched / _RATE,
                core=0,
                ttl_s=15.0,
            )
            if in_fleet:
                setting = attrs.evolve(setting, database=server.url, schema=store.schema)
                await submit(store, setting)
            async with Process(setting) as process:
                await process.ask(args.watched)
                while (before := await process.ask())["polls"] < args.watched:
                    await asyncio.sleep(0.5)
                store_s, began = server.cpu_s(), time.monotonic()
                await asyncio.sleep(args.for_s)
                after, store_s = await process.ask(), server.cpu_s() - store_s
                polls = after["polls"] - before["polls"]
                return {
                    "polls_a_s": polls / (time.monotonic() - began),
                    "cpu_us": (after["cpu_s"] - before["cpu_s"]) / polls * 1e6,
                    "store_cpu_us": store_s / polls * 1e6,
                }


async def _costs(server: Server, args: argparse.Namespace) -> Rows:
    rows = []
    for kind in ("changing", "unchanged"):
        pairs = []
        for number in range(args.pairs):
            order = (False, True) if number % 2 == 0 else (True, False)
            found = {in_fleet: await _cost_of(server, kind, args, in_fleet=in_fleet) for in_fleet in order}
            pairs.append((found[False], found[True]))
            print(kind, json.dumps(pairs[-1]), flush=True)
        rows.append(
            {
                "replies": kind,
                "pairs": args.pairs,
                "polls_a_s": statistics.median(mine["polls_a_s"] for _, mine in pairs),
                "watcher_cpu_us": statistics.median(plain["cpu_us"] for plain, _ in pairs),
                "worker_cpu_us": statistics.median(mine["cpu_us"] for _, mine in pairs),
                "ratio": statistics.median(mine["cpu_us"] / plain["cpu_us"] for plain, mine in pairs),
                "store_cpu_us": statistics.median(mine["store_cpu_us"] for _, mine in pairs),
            }
        )
    return rows


async def _conclude(server: Server, args: argparse.Namespace) -> Rows:
    found = []
    for _ in range(args.pairs):
        async with server.store() as store:
            await submit(store, Setting(url="http://127.0.0.1:9", jobs=args.concluded))
            async with store.leases(owner="bench", ttl_s=60.0) as leases:
                (lease,) = await leases.acquire(1)
                found.append(await _concluded(server, store, lease.shard, lease.epoch))
    rates = [one["rows_a_s"] for one in found]
    return [
        {
            "rows": args.concluded,
            "rows_a_s": statistics.median(rates),
            "slowest": min(rates),
            "fastest": max(rates),
            "cpu_us": statistics.median(one["cpu_us"] for one in found),
            "store_cpu_us": statistics.median(one["store_cpu_us"] for one in found),
        }
    ]


async def _concluded(server: Server, store: PostgresLedger, shard: Shard, epoch: int) -> dict[str, float]:
    fenced = store.fenced(shard, epoch)
    ids = [row.id async for page in fenced.open_watches(shard.endpoint, shard.account) for row in page]
    store_s, cpu_s, began = server.cpu_s(), time.process_time(), time.perf_counter()
    for first in range(0, len(ids), 1_000):
        await fenced.conclude([_success(number) for number in ids[first : first + 1_000]])
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_s
    found = {
        "rows_a_s": len(ids) / took_s,
        "cpu_us": cpu_s / len(ids) * 1e6,
        "store_cpu_us": (server.cpu_s() - store_s) / len(ids) * 1e6,
    }
    await fenced.aclose()
    return found


def _success(number: int) -> Conclusion:
    status = b'{"completed": "true", "completedPercentage": "100", "progress": "SUCCEEDED"}'
    return Conclusion(
        id=number, outcome=OutcomeKind.SUCCEEDED, phase=Phase.SUCCEEDED, polls=3, status=status, elapsed_s=9.5
    )


# --- faults ---------------------------------------------------------------------------------------


async def _takeover(server: Server, args: argparse.Namespace) -> Rows:
    return [await fleet_faults.take_over(server, jobs=jobs, rounds=args.takeovers) for jobs in args.watches]


async def _kills(server: Server, args: argparse.Namespace) -> Rows:
    return [await fleet_faults.deliver_through_kills(server, jobs=args.killed_jobs, kills=args.kills)]


async def _freeze(server: Server, args: argparse.Namespace) -> Rows:
    return [
        await fleet_faults.freeze_a_worker(server, jobs=args.frozen_jobs, for_s=args.away_s) for _ in range(args.rounds)
    ]


async def _away(server: Server, args: argparse.Namespace) -> Rows:
    return [
        await fleet_faults.lose_the_database(server, jobs=400, for_s=args.away_s, stopped=stopped)
        for stopped in (False, True)
    ]


# --- start ----------------------------------------------------------------------------------------

_PARTS: dict[str, tuple[str, Part]] = {
    "delays": ("detection delay and 429s, the same budget", _delays),
    "costs": (f"CPU a poll at {_RATE:,} polls a second", _costs),
    "conclude": ("outcomes written through a fence, a thousand a call", _conclude),
    "takeover": ("kill -9 of the owner of one token, leases of 3 s", _takeover),
    "kills": ("three workers of eight tokens, one of them killed again and again", _kills),
    "freeze": ("the owner of one token is frozen beyond its lease, and goes on", _freeze),
    "away": ("the database is away, three workers of eight tokens, leases of 3 s", _away),
}


def _draw(rows: Rows) -> None:
    def draw(axes: Any) -> None:
        for axis, (name, label, by) in zip(
            axes,
            (("delay_mean_s", "mean detection delay, s", 1.0), ("refused_share", "requests refused, %", 100.0)),
            strict=True,
        ):
            for place, tokens in enumerate((1, 8)):
                mine = [row for row in rows if row["tokens"] == tokens]
                places = [number + 8 * place for number in range(len(mine))]
                bars = axis.barh(places, [by * row[name] for row in mine], color=[_colour(row) for row in mine])
                axis.bar_label(bars, fmt="%.2f" if by == 1.0 else "%.1f", padding=2, fontsize=8)
            axis.set_yticks(
                [number + 8 * place for place, tokens in enumerate((1, 8)) for number in range(_count(rows, tokens))],
                [_named(row) for tokens in (1, 8) for row in rows if row["tokens"] == tokens],
            )
            axis.invert_yaxis()
            axis.set_xlabel(label)
        axes[1].set_yticklabels([])

    report.plot("fleet", 2, draw, size=(9, 4.8))


def _count(rows: Rows, tokens: int) -> int:
    return sum(row["tokens"] == tokens for row in rows)


def _colour(row: dict[str, Any]) -> str:
    return report.COLOURS[("fleet", "uncoordinated", "one process").index(row["who"])]


def _named(row: dict[str, Any]) -> str:
    tokens = "1 token" if row["tokens"] == 1 else f"{row['tokens']} tokens"
    split = ", split" if row["split"] > 1 else ""
    who = row["who"] if row["who"] == "one process" else f"{row['who']}, {row['processes']}"
    return f"{who}{split}, {tokens}"


def main() -> None:
    parser = report.arguments(__doc__ or "")
    parser.add_argument("--only", nargs="+", choices=[*_PARTS], default=[*_PARTS], help="run these parts alone")
    parser.add_argument("--rounds", type=int, default=3, help="how many times each case of `delays` and `freeze` runs")
    parser.add_argument("--tokens", type=int, nargs="+", choices=(1, 8), default=(1, 8), help="of `delays`")
    parser.add_argument("--pairs", type=int, default=3, help="how many times `costs` and `conclude` run")
    parser.add_argument("--kills", type=int, default=50, help="of `kills`")
    parser.add_argument("--takeovers", type=int, default=10, help="how many kills each row of `takeover` has")
    args = parser.parse_args()
    args.jobs, args.durations_s, args.watched, args.for_s = 2_000, (2.0, 20.0), 10_000, 10.0
    args.concluded, args.watches = 20_000, (1_000, 10_000)
    args.killed_jobs, args.frozen_jobs, args.away_s = 1_200, 500, 10.0
    if args.quick:
        args.rounds, args.pairs, args.jobs, args.durations_s = 1, 1, 40, (0.0, 0.3)
        args.concluded, args.only = 1_000, ["conclude", "takeover"]
        args.takeovers, args.watches = 1, (20,)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server is removed
    found: dict[str, Any] = {}
    with serving() as server:
        for name in args.only:
            title, part = _PARTS[name]
            load = os.getloadavg()[0]
            rows = asyncio.run(part(server, args))
            report.table(title, [column.replace("_", " ") for column in rows[0]], [[*row.values()] for row in rows])
            print(f"load: {load:.1f} before, {os.getloadavg()[0]:.1f} after")
            found[name] = {"load": [load, os.getloadavg()[0]], "rows": rows}
    kept = json.loads(_KEPT.read_text()) if _KEPT.exists() else {}
    if "delays" in kept and "delays" in found:
        found["delays"]["rows"] += [row for row in kept["delays"]["rows"] if row["tokens"] not in args.tokens]
    both = {name: (kept | found)[name] for name in _PARTS if name in kept | found}
    report.save("fleet", {"ttl_s": 3.0, **both}, "asyncpg", quick=args.quick)
    if args.plot:
        _draw(both["delays"]["rows"])


if __name__ == "__main__":
    main()
