"""The delay from a job's end to the poll that sees it: for jobs that share 60 requests a minute, and for one job alone.

The real core runs in virtual time (see lab.py), so the benchmark takes minutes, not days. The tables show the delays and
the requests that they cost. Policies to compare with:
- round-robin polls all jobs in turn at the full rate;
- the clairvoyant bound polls each job once, as it ends;
- the bound without progress (see bounds.py): the best mean of any policy that knows only how long such jobs take;
- fixed intervals and per-job backoff: the jobs are not coordinated, so the server refuses some requests.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import product, starmap
from typing import Any

from benchmarks import bounds, lab, report
from pollwise import Pacing

_LIMIT: lab.Limit = (60, 60.0)
_LOADS: tuple[float | None, ...] = (0.25, 0.3, 0.4, None)
_PATIENCES_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
_CEILINGS_S = (5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
_TARGETS = {  # mean delay ÷ round-robin's
    ("lognormal", False): 0.80,
    ("lognormal", True): 0.80,
    ("mixed", False): 0.75,
    ("mixed", True): 0.40,
    ("near-fixed", False): 0.25,
    ("near-fixed", True): 0.25,
    ("heavy tail", False): 1.0,
    ("heavy tail", True): 1.0,
}

_POLICIES: dict[str, Callable[[list[lab.Job]], lab.Result]] = {
    "clairvoyant": lambda jobs: lab.clairvoyant(jobs, limit=_LIMIT),
    "pollwise, with progress": lambda jobs: lab.pollwise(jobs, progress=True, limit=_LIMIT),
    "pollwise": lambda jobs: lab.pollwise(jobs, progress=False, limit=_LIMIT),
    "round-robin": lambda jobs: lab.round_robin(jobs, limit=_LIMIT),
    "fixed interval, 10 s": lambda jobs: lab.uncoordinated(jobs, lab.fixed(10), limit=_LIMIT),
    "backoff, full jitter to 60 s": lambda jobs: lab.uncoordinated(jobs, lab.full_jitter(1, 60), limit=_LIMIT),
}


def shared(workload: str, load: float | None, seeds: int, until_s: float) -> list[dict[str, Any]]:
    """All policies on the same jobs, under the limit."""
    batches = [lab.jobs_of(workload, load, seed, until_s=until_s) for seed in range(1, seeds + 1)]
    found = {name: sum(map(policy, batches), lab.Result([], 0)) for name, policy in _POLICIES.items()}
    turns = found["round-robin"]
    bound_s = bounds.informed_mean_s(workload, batches, _LIMIT)
    bound = {"policy": "bound without progress", "mean_s": bound_s, "mean_to_round_robin": bound_s / turns.mean}
    rows = [
        {
            "workload": workload,
            "load": load,
            "policy": name,
            "jobs": len(result.delays),
            "mean_s": result.mean,
            "p50_s": result.quantile(0.5),
            "p95_s": result.quantile(0.95),
            "max_s": result.quantile(1),
            "requests_a_job": result.per_job,
            "refused_share": result.refused / result.requests,
            "mean_to_round_robin": result.mean / turns.mean,
            "max_to_round_robin": result.quantile(1) / turns.quantile(1),
        }
        for name, result in found.items()
    ]
    rows.insert(1, {**dict.fromkeys(rows[0]), "workload": workload, "load": load, **bound})
    return rows


def single(policy: str, setting: float, jobs: int) -> dict[str, Any]:
    """One job alone and without a limit, for many jobs one after another."""
    batch = [job for workload in lab.WORKLOADS for job in lab.jobs_of(workload, None, 7)[: jobs // 4]]
    run: dict[str, Callable[[list[lab.Job]], lab.Result]] = {
        "pollwise, with progress": lambda one: lab.pollwise(
            one, progress=True, limit=None, pacing=Pacing(patience_s=setting)
        ),
        "pollwise": lambda one: lab.pollwise(one, progress=False, limit=None, pacing=Pacing(max_s=setting)),
        "exponential, 1 s to a cap": lambda one: lab.uncoordinated(one, lab.capped_exponential(1, setting), limit=None),
        "fixed interval": lambda one: lab.uncoordinated(one, lab.fixed(setting), limit=None),
    }
    result = lab.alone(batch, run[policy])
    return {"policy": policy, "setting_s": setting, "requests_a_job": result.per_job, "mean_s": result.mean}


def _at(curve: list[tuple[float, float]], x: float) -> float | None:
    """The curve's y at x, interpolated logarithmically; None if x is outside the curve."""
    curve = sorted(curve)
    n = bisect.bisect_left(curve, (x, -math.inf))
    if n == 0 or n == len(curve):
        return None
    (x0, y0), (x1, y1) = curve[n - 1], curve[n]
    share = math.log(x / x0) / math.log(x1 / x0)
    return math.exp(math.log(y0) + share * math.log(y1 / y0))


def verdict(curves: list[dict[str, Any]]) -> dict[str, Any]:
    """Compare with backoff from 1 s to 30 s: the delay at equal requests, and the requests at equal delay."""
    ours = [row for row in curves if row["policy"] == "pollwise, with progress"]
    theirs = next(row for row in curves if row["policy"].startswith("exponential") and row["setting_s"] == 30)
    by_requests = [(row["requests_a_job"], row["mean_s"]) for row in ours]
    delay = _at(by_requests, theirs["requests_a_job"])
    if delay is None:  # no setting of ours needs that many requests: compare with the least patient one
        delay = min(mean for requests, mean in by_requests if requests <= theirs["requests_a_job"])
    requests = _at([(mean, requests) for requests, mean in by_requests], theirs["mean_s"])
    return {
        "delay_ratio_at_equal_requests": delay / theirs["mean_s"],
        "requests_ratio_at_equal_delay": None if requests is None else requests / theirs["requests_a_job"],
    }


def _show(rows: list[dict[str, Any]]) -> None:
    headers = ("", "mean s", "p50", "p95", "max", "requests/job", "429s", "mean ÷ RR", "target", "max ÷ RR")
    for workload, load in dict.fromkeys((row["workload"], row["load"]) for row in rows):
        cells = [
            (
                row["policy"],
                *(row[key] for key in ("mean_s", "p50_s", "p95_s", "max_s", "requests_a_job")),
                None if row["refused_share"] is None else f"{row['refused_share']:.0%}",
                row["mean_to_round_robin"],
                _target(row),
                row["max_to_round_robin"],
            )
            for row in rows
            if (row["workload"], row["load"]) == (workload, load)
        ]
        report.table(f"{workload}, " + ("1,000 at once" if load is None else f"{load} jobs/s"), headers, cells)


def _target(row: dict[str, Any]) -> float | None:
    if not row["policy"].startswith("pollwise") or row["load"] is None:
        return None
    return _TARGETS[row["workload"], row["policy"].endswith("progress")]


def _draw(rows: list[dict[str, Any]], curves: list[dict[str, Any]]) -> None:
    shown = ["round-robin", "pollwise", "pollwise, with progress"]
    colours = [report.GREY, report.COLOURS[1], report.COLOURS[0]]

    def draw(axes: Any) -> None:
        for n, policy in enumerate(shown):
            mine = [row for row in rows if row["policy"] == policy and row["load"] == 0.25]
            places = [place + 0.27 * (n - 1) for place in range(len(mine))]
            axes[0].bar(places, [row["mean_s"] for row in mine], width=0.25, label=policy, color=colours[n])
        axes[0].set_xticks(range(len(lab.WORKLOADS)), list(lab.WORKLOADS))
        axes[0].set(ylabel="mean delay, s", title="60 requests a minute, 0.25 jobs/s")
        axes[0].legend(frameon=False)
        for policy in dict.fromkeys(row["policy"] for row in curves):
            line = sorted((row["requests_a_job"], row["mean_s"]) for row in curves if row["policy"] == policy)
            axes[1].plot(*zip(*line, strict=True), marker="o", label=policy)
        axes[1].set(
            xscale="log", yscale="log", xlabel="requests a job", ylabel="mean delay, s", title="one job alone, no limit"
        )
        for scale in (axes[1].xaxis, axes[1].yaxis):
            scale.set_major_formatter("{x:g}")
            scale.set_minor_formatter("")
        axes[1].legend(frameon=False)

    report.plot("scheduling", 2, draw, size=(10, 4))


def main() -> None:
    parser = report.arguments(__doc__ or "")
    parser.add_argument("--seeds", type=int, default=2, help="sets of jobs for each workload and load")
    args = parser.parse_args()
    seeds, until_s, loads, few = (1, 600.0, (0.3,), 8) if args.quick else (args.seeds, 12_000.0, _LOADS, 400)
    settings = [
        *product(["pollwise, with progress"], _PATIENCES_S),
        *product(["pollwise", "exponential, 1 s to a cap", "fixed interval"], _CEILINGS_S),
    ]
    with ProcessPoolExecutor() as pool:
        batches = [pool.submit(shared, workload, load, seeds, until_s) for load in loads for workload in lab.WORKLOADS]
        singles = list(starmap(lambda policy, setting: pool.submit(single, policy, setting, few), settings))
        rows = [row for batch in batches for row in batch.result()]
        curves = [one.result() for one in singles]
    _show(rows)
    cells = [(row["policy"], row["setting_s"], row["requests_a_job"], row["mean_s"]) for row in curves]
    headers = ("", "patience, cap or interval s", "requests a job", "mean delay s")
    report.table("one job alone, no limit", headers, cells)
    judged = verdict(curves)
    report.table("with progress ÷ exponential backoff from 1 s to 30 s", tuple(judged), [tuple(judged.values())])
    report.save("scheduling", {"limit": _LIMIT, "shared": rows, "alone": curves, "verdict": judged}, quick=args.quick)
    if args.plot:
        _draw(rows, curves)


if __name__ == "__main__":
    main()
