"""Small simulations in virtual time, each of which shows the effect of some constants of the core.

Rule 1: a simulation is seeded, runs the real core, and returns named figures. It takes at most about ten seconds.
Rule 2: `constants.py` runs each simulation in its own process, in which one constant has another value.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import TypeAlias

from benchmarks import lab, unstated_limits
from benchmarks.unstated_limits import Server, drive
from pollwise.core.header_hints import RateHints
from pollwise.core.token_budget import TokenBudget

__all__ = ["SIMULATIONS", "Figures"]

Figures: TypeAlias = dict[str, float]

_LIMIT: lab.Limit = (60, 60.0)


# --- delays under a shared limit ----------------------------------------------------------------


def shared() -> Figures:
    """The jobs of `benchmarks.scheduling` at 0.3 a second, for 2,000 s; delays as shares of round-robin's."""
    found: Figures = {}
    for progress in (False, True):
        means, longest = [], []
        for workload in lab.WORKLOADS:
            jobs = lab.jobs_of(workload, 0.3, 1, until_s=2_000)
            ours = lab.pollwise(jobs, progress=progress, limit=_LIMIT)
            turns = lab.round_robin(jobs, limit=_LIMIT)
            means.append(ours.mean / turns.mean)
            longest.append(ours.quantile(1) / turns.quantile(1))
        suffix = ", progress" if progress else ""
        found[f"mean ÷ RR{suffix}"] = math.prod(means) ** (1 / len(means))
        found[f"longest ÷ RR{suffix}"] = max(longest)
    return found


def few() -> Figures:
    """2, 8, 20 and 40 jobs at once under the limit, without any known durations; delays in seconds."""
    found: Figures = {}
    for number in (2, 8, 20, 40):
        dice = random.Random(number)
        jobs = [lab.Job(0.0, dice.uniform(5, 120), 1.0, 0) for _ in range(number)]
        result = lab.pollwise(jobs, progress=False, limit=_LIMIT)
        found[f"mean s, {number}"], found[f"longest s, {number}"] = result.mean, result.quantile(1)
        if number == 2:
            found["requests a job, 2"] = result.per_job
    return found


def alone() -> Figures:
    """One job alone with progress and without a limit, for 100 jobs of each workload one after another."""
    jobs = [job for workload in lab.WORKLOADS for job in lab.jobs_of(workload, None, 7)[:100]]
    result = lab.alone(jobs, lambda one: lab.pollwise(one, progress=True, limit=None))
    return {"requests a job": result.per_job, "mean delay s": result.mean, "p95 s": result.quantile(0.95)}


# --- limits that no header states ---------------------------------------------------------------


def unstated() -> Figures:
    """2, 5 and 50 requests a second and 60 a minute, as fixed and sliding windows and token buckets; 1,800 s of each."""
    rows = unstated_limits.limited(settled_s=1_800.0)
    return {
        "least used %": 100 * min(row["used"] for row in rows),
        "mean used %": 100 * sum(row["used"] for row in rows) / len(rows),
        "most refused %": 100 * max(row["refused"] / row["requests"] for row in rows),
        "429s at first": sum(row["refused_at_first"] for row in rows),
    }


def spurious() -> Figures:
    """1,000 jobs that take 2 s; 1, 64 or 300 polls are refused for no reason. Seconds until the last job is over."""
    rows = unstated_limits.spurious((1, 64, 300))
    kinds = {"first poll of the first jobs": "first polls", "any of the first 1,000 polls": "any polls"}
    return {f"s, {row['refused']} {kinds[row['which']]}": row["seconds"] for row in rows}


def moved() -> Figures:
    """A limit of 5 a second that becomes 20 after half an hour, and 5 again after two hours more."""
    tokens, filled_at = 5.0, 0.0
    parts = (("5/s", 5.0, 0.0, 1_800.0), ("20/s", 20.0, 1_800.0, 9_000.0), ("5/s again", 5.0, 9_000.0, 10_800.0))

    def server(now: float) -> tuple[bool, RateHints | None]:
        nonlocal tokens, filled_at
        rate = next(rate for _, rate, begin, end in parts if begin <= now < end + 1)
        tokens, filled_at = min(rate, tokens + (now - filled_at) * rate), now
        served = tokens >= 1.0
        tokens -= served
        return served, None

    sent = drive(TokenBudget(), server, 10_800.0)
    found: Figures = {}
    for name, rate, begin, end in parts:
        part = [one.served for one in sent if begin <= one.at < end]
        found[f"used % {name}"] = 100 * sum(part) / (rate * (end - begin))
        found[f"429s {name}"] = len(part) - sum(part)
    return found


# --- pauses, windows, starts --------------------------------------------------------------------


def outage() -> Figures:
    """A server that refuses everything for 1, 10 and 60 s from the tenth second on, without `Retry-After`."""
    found: Figures = {}
    for refused_s in (1.0, 10.0, 60.0):
        sent = drive(TokenBudget(), _refusing(10.0, 10.0 + refused_s), 100.0, every_s=0.05)
        over = 10.0 + refused_s
        found[f"429s, {refused_s:g} s"] = sum(not one.served for one in sent)
        found[f"late s, {refused_s:g} s"] = min((one.at for one in sent if one.at >= over), default=math.inf) - over
    return found


def windows() -> Figures:
    """Fixed windows of 2, 5, 10 and 60 s that start with their first request; each reply states the rest and the reset."""
    found: Figures = {}
    for per_s, others in ((2.0, 0), (5.0, 0), (10.0, 0), (60.0, 0), (10.0, 6)):
        sent = drive(TokenBudget(), _stated(30, per_s, others), 60 * per_s)
        served = sum(one.served for one in sent)
        name = f"{per_s:g} s" + (f", {others} by others" if others else "")
        found[f"used % {name}"] = 100 * served / (60 * (30 - others))
        found[f"429s {name}"] = len(sent) - served
    return found


def start() -> Figures:
    """The first seconds of 1,000 polls: a limit of 10 a minute, stated or not; no limit; and replies that take 2 s."""
    stated = drive(TokenBudget(), _stated(10, 60.0, 0), 50.0, most=1_000)
    hidden = drive(TokenBudget(), _unstated(10), 50.0, most=1_000)
    free = drive(TokenBudget(), lambda _now: (True, None), 1_000.0, most=1_000)
    slow = drive(TokenBudget(), lambda _now: (True, None), 1_000.0, most=1_000, latency_s=2.0)
    return {
        "429s, stated": sum(not one.served for one in stated),
        "429s, not stated": sum(not one.served for one in hidden),
        "s for 1,000, no limit": free[-1].at,
        "s for 1,000, slow": slow[-1].at,
    }


def lapse() -> Figures:
    """Of replies without rate fields only the fortieth says that a limit of 5 a minute remains: a stray statement."""
    count = 0

    def server(_now: float) -> tuple[bool, RateHints | None]:
        nonlocal count
        count += 1
        return True, RateHints(limit=5, remaining=5, window_s=60.0) if count == 40 else None

    sent = drive(TokenBudget(), server, 600.0, most=300)
    return {"s for 300 polls": sent[-1].at}


def _refusing(begin_s: float, end_s: float) -> Server:
    """A server that refuses all requests in this time, and serves all others."""
    return lambda now: (not begin_s <= now < end_s, None)


def _unstated(limit: int) -> Server:
    """A server with a fixed window of a minute, which no header field states."""
    sent: list[float] = []

    def server(now: float) -> tuple[bool, RateHints | None]:
        sent.append(now)
        return len(sent) <= limit, None

    return server


def _stated(limit: int, per_s: float, others: int) -> Server:
    """A server with a fixed window that starts with its first request. Other clients use `others` of its requests first."""
    begun, count = -math.inf, 0

    def server(now: float) -> tuple[bool, RateHints | None]:
        nonlocal begun, count
        if now >= begun + per_s:
            begun, count = now, others
        served = count < limit
        count += served
        # whole seconds, rounded up, as servers print them
        return served, RateHints(limit=limit, remaining=limit - count, reset_s=float(math.ceil(begun + per_s - now)))

    return server


SIMULATIONS: dict[str, Callable[[], Figures]] = {
    simulation.__name__: simulation
    for simulation in (shared, few, alone, unstated, spurious, moved, outage, windows, start, lapse)
}
