"""The cost of a poll: pollwise and its peers against a plain aiohttp + orjson loop.

Each contender and the plain loop take turns in one process, slice by slice, so other load on the machine affects both.
The result is the median of the ratios of the pairs. The server is another process on another core. callgrind counts
instructions in two runs of different length, so the cost of starting cancels out.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product
from typing import Any

import attrs

from benchmarks import contenders, loopback, peers, report

_PACKAGES = ("orjson", "backoff", "tenacity", "stamina", "google-api-core", "azure-core", "aiobotocore", "uvloop")
_CALLGRIND_SLOWNESS = 40.0  # approximate; without it timers would fire for every poll, and count as its cost
_OURS: dict[str, type[contenders.Contender]] = {
    "everything on": contenders.Pollwise,
    "lean": contenders.PollwiseLean,
    "transport alone": contenders.Sending,
}
_CONTENDERS: dict[str, type[contenders.Contender]] = {
    **_OURS,
    "declared": contenders.PollwiseDeclared,
    "plain": contenders.Workers,
    **{name: peer.contender for name, peer in peers.PEERS.items()},
}
_PLAIN: dict[str, type[contenders.Contender]] = {name: peer.plain for name, peer in peers.PEERS.items()}


@attrs.frozen(kw_only=True)
class Plan:
    """The amount of measurement."""

    pairs: int
    slice_s: float
    peer_pairs: int
    watched: int
    bodies: tuple[str, ...]
    connections: tuple[int, ...]
    peer_connections: tuple[int, ...]
    instructions: tuple[int, int] | None  # polls in the short and in the long run

    @classmethod
    def of(cls, args: argparse.Namespace) -> Plan:
        """The plan for these arguments. A quick one only shows that everything works."""
        if args.quick:
            return cls(
                pairs=1,
                slice_s=0.2,
                bodies=("changing",),
                peer_pairs=1,
                watched=100,
                connections=(8,),
                peer_connections=(8,),
                instructions=None,
            )
        counted = (400, 2400) if shutil.which("valgrind") and not args.no_instructions else None
        return cls(
            pairs=args.pairs,
            slice_s=0.8,
            bodies=("changing", "unchanged"),
            peer_pairs=max(3, args.pairs // 3),
            watched=2_000,
            connections=(64, 256),
            peer_connections=(64, 256),
            instructions=counted,
        )


# --- in the child process -----------------------------------------------------------------------


async def _pairs(
    name: str, server: loopback.Loopback, connections: int, watched: int, pairs: int, slice_s: float
) -> dict[str, Any]:
    """Slices of the plain loop and of the contender in turns, as [plain, contender] pairs, and the server's CPU share."""
    contenders.warm_allocator()
    found, url = [], server.url
    plain_class = _PLAIN.get(name, contenders.Workers)
    async with plain_class(url, connections, watched) as plain, _CONTENDERS[name](url, connections, watched) as other:
        for contender in (plain, other):
            await contender.slice(slice_s / 2)
        began, before = time.perf_counter(), server.usage()
        for n in range(pairs):
            slices = {}
            for contender in (plain, other) if n % 2 == 0 else (other, plain):
                gc.collect()
                slices[contender] = await contender.slice(slice_s)
            found.append([attrs.asdict(slices[plain]), attrs.asdict(slices[other])])
        share = (server.usage().cpu_s - before.cpu_s) / (time.perf_counter() - began)
    return {"pairs": found, "server_share": share}


def _child(args: argparse.Namespace) -> None:
    loopback.pin(0)
    run: Callable[[Any], Any] = asyncio.run
    if args.uvloop:
        from uvloop import run  # noqa: PLC0415
    name = args.child[0]
    port, connections, watched = map(int, args.child[1:])
    server = loopback.Loopback(port)
    if args.polls:
        contenders.warm_allocator()
        run(_spend(name, server.url, connections, watched, args.polls))
        return
    found = run(_pairs(name, server, connections, watched, args.pairs, args.slice_s))
    print(json.dumps(found))


async def _spend(name: str, url: str, connections: int, watched: int, polls: int) -> None:
    async with _CONTENDERS[name](url, connections, watched) as contender:
        contender.slowness = _CALLGRIND_SLOWNESS
        await contender.spend(polls)


# --- start ----------------------------------------------------------------------------------------


def _command(name: str, server: loopback.Loopback, connections: int, watched: int, *more: str) -> list[str]:
    numbers = map(str, (server.port, connections, watched))
    return [sys.executable, "-m", "benchmarks.overhead", "--child", name, *numbers, *more]


def compare(name: str, kind: str, connections: int, plan: Plan, pairs: int, *, uvloop: bool = False) -> dict[str, Any]:
    """The contender against the plain loop: medians of the pairs, and how busy the server was."""
    with loopback.serve(kind) as server:
        more = ["--pairs", str(pairs), "--slice-s", str(plan.slice_s), *(["--uvloop"] if uvloop else [])]
        command = _command(name, server, connections, plan.watched, *more)
        output = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    found = [[contenders.Slice(**part) for part in pair] for pair in output["pairs"]]
    middle = statistics.median
    ratios = [other.cpu_us / plain.cpu_us for plain, other in found]
    return {
        "contender": name,
        "bodies": kind,
        "connections": connections,
        "pairs": len(found),
        "cpu_ratio": middle(ratios),
        "cpu_ratio_quartiles": _quartiles(ratios),
        "wall_ratio": middle([other.wall_us / plain.wall_us for plain, other in found]),
        "plain_cpu_us": middle([plain.cpu_us for plain, _ in found]),
        "cpu_us": middle([other.cpu_us for _, other in found]),
        "plain_polls_a_s": middle([plain.polls / plain.wall_s for plain, _ in found]),
        "polls_a_s": middle([other.polls / other.wall_s for _, other in found]),
        "server_share": output["server_share"],
    }


def _quartiles(values: list[float]) -> list[float]:
    if len(values) < 4:
        return [min(values), max(values)]
    low, _, high = statistics.quantiles(values, n=4)
    return [low, high]


def instructions(name: str, kind: str, connections: int, watched: int, lengths: tuple[int, int]) -> float:
    """User-space instructions a poll: the difference of two runs."""
    counts = []
    for polls in lengths:
        with loopback.serve(kind) as server:
            tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
            command = [*tool, *_command(name, server, connections, watched, "--polls", str(polls))]
            env = {**os.environ, "PYTHONHASHSEED": "0"}
            before = server.usage().requests
            output = subprocess.run(command, check=True, capture_output=True, text=True, env=env).stderr
            requests = server.usage().requests - before
        found = re.search(r"Collected : (\d+)", output)
        assert found is not None
        counts.append((requests, int(found[1])))
    (few, short), (many, long) = counts
    return (long - short) / (many - few)


# --- tables and plot ----------------------------------------------------------------------------


def _against_plain(plan: Plan) -> list[dict[str, Any]]:
    cases = product(plan.connections, _OURS, plan.bodies)
    return [compare(name, kind, connections, plan, plan.pairs) for connections, name, kind in cases]


def _against_peers(plan: Plan, *, quick: bool) -> list[dict[str, Any]]:
    rows = []
    for connections in plan.peer_connections:
        for name, peer in peers.PEERS.items():
            if report.installed(peer.package):
                rows.append(compare(name, peer.kind, connections, plan, plan.peer_pairs))
            elif quick:
                print(f"{name}: {peer.package} is not installed")
    return rows


def _counted(plan: Plan) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    if plan.instructions is None:
        return rows
    for connections in plan.connections:
        for kind in plan.bodies:
            names = ("plain", *_OURS, "declared")
            found = {name: instructions(name, kind, connections, 300, plan.instructions) for name in names}
            rows += [
                {
                    "contender": name,
                    "bodies": kind,
                    "connections": connections,
                    "thousands": found[name] / 1000,
                    "ratio": found[name] / found["plain"],
                }
                for name in names
            ]
    return rows


def _show(title: str, rows: list[dict[str, Any]]) -> None:
    headers = (
        "",
        "bodies",
        "connections",
        "CPU ÷ plain",
        "quartiles",
        "wall ÷ plain",
        "µs CPU",
        "plain µs",
        "polls/s",
        "server busy",
    )
    cells = [
        (
            row["contender"],
            row["bodies"],
            row["connections"],
            row["cpu_ratio"],
            " … ".join(f"{value:.3f}" for value in row["cpu_ratio_quartiles"]),
            row["wall_ratio"],
            row["cpu_us"],
            row["plain_cpu_us"],
            row["polls_a_s"],
            f"{row['server_share']:.0%}",
        )
        for row in rows
    ]
    report.table(title, headers, cells)


def _draw(rows: list[dict[str, Any]], counted: int) -> None:
    shown = [
        row
        for row in rows
        if row["connections"] == counted
        and row["bodies"] != "unchanged"
        and row["contender"] not in {"lean", "transport alone"}
    ]
    shown.sort(key=lambda row: -row["cpu_ratio"])

    def draw(axes: Any) -> None:
        names = [row["contender"].replace("everything on", "pollwise, everything on") for row in shown]
        ours = [report.COLOURS[0] if name.startswith("pollwise") else report.GREY for name in names]
        bars = axes[0].barh(names, [row["cpu_ratio"] for row in shown], color=ours)
        axes[0].bar_label(bars, fmt="%.2f", padding=3)
        axes[0].axvline(1.0, color=report.COLOURS[1], linewidth=1)
        axes[0].set_xlabel(f"CPU time a poll ÷ plain aiohttp + orjson loop ({counted} connections)")

    report.plot("overhead", 1, draw, size=(8, 3.6))


def main() -> None:
    parser = report.arguments(__doc__ or "")
    parser.add_argument("--pairs", type=int, default=15, help="pairs of slices for each comparison")
    parser.add_argument("--no-instructions", action="store_true", help="skip callgrind, which takes minutes")
    parser.add_argument("--uvloop", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--polls", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--slice-s", type=float, default=0.8, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        _child(args)
        return
    plan = Plan.of(args)
    with loopback.serve("changing") as server:
        peak, share = asyncio.run(loopback.peak_rate(server, for_s=4 * plan.slice_s))
    print(f"the server alone: {peak:,.0f} answers/s to a trivial client, at {share:.0%} of its core")
    ours = _against_plain(plan)
    _show("pollwise against the plain loop, jobs that never end", ours)
    others = _against_peers(plan, quick=args.quick)
    _show(f"peers against the plain loop, jobs of {loopback.POLLS_A_JOB} polls", others)
    counted = _counted(plan)
    if counted:
        headers = ("", "bodies", "connections", "thousand instructions a poll", "÷ plain")
        report.table("instructions (callgrind)", headers, [tuple(row.values()) for row in counted])
    found = {
        "server_peak": {"answers_a_s": peak, "share": share},
        "plain": ours,
        "peers": others,
        "instructions": counted,
    }
    report.save("overhead", found, *_PACKAGES, quick=args.quick)
    if args.plot:
        _draw(ours + others, plan.connections[0])


if __name__ == "__main__":
    main()
