"""Discrete events in virtual time over the real core: what the scheduling benchmark and its policies stand on.

The pollwise policy here is `Turns`, `RateBudget`, `Pacing` and `WatchMachine` themselves; only time, replies and the
dice are this file's. Peers get the same jobs, the same budget and the same first-come queue in front of it.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Iterator

import attrs

from pollwise.core.budget import RateBudget
from pollwise.core.machine import News, Rules, WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.phase import Phase, Reading
from pollwise.core.turns import Turns


@attrs.define
class Job:
    begins_at: float
    duration_s: float
    curve: float
    noise: int

    @property
    def ends_at(self) -> float:
        return self.begins_at + self.duration_s

    def percent(self, now: float) -> float:
        """Noisy and not linear, as percentages are."""
        share = min(1.0, (now - self.begins_at) / self.duration_s) ** self.curve
        share += random.Random(self.noise ^ int(now * 10)).gauss(0.0, 0.03)
        return max(0.0, min(0.99, round(share, 2)))


WORKLOADS: dict[str, Callable[[random.Random], float]] = {
    "lognormal": lambda dice: dice.lognormvariate(math.log(300), 0.5),
    "mixed": lambda dice: (30 if dice.random() < 0.5 else 1800) * dice.lognormvariate(0, 0.2),
    "near-fixed": lambda dice: 600 * dice.lognormvariate(0, 0.1),
    "heavy tail": lambda dice: dice.lognormvariate(math.log(120), 1.5),
}


def jobs_of(workload: str, load: float | None, seed: int, *, until_s: float = 12_000) -> list[Job]:
    """Jobs that arrive at `load` a second, or a thousand at once."""
    dice = random.Random(seed)
    times = [0.0] * 1000
    if load is not None:
        times, now = [], 0.0
        while now < until_s:
            now += dice.expovariate(load)
            times.append(now)
    draw = WORKLOADS[workload]
    return [Job(at, draw(dice), dice.choice((0.6, 1.0, 1.6)), dice.getrandbits(30)) for at in times]


@attrs.frozen
class Result:
    delays: list[float]
    requests: int
    refused: int = 0

    @property
    def mean(self) -> float:
        return sum(self.delays) / len(self.delays)

    def quantile(self, share: float) -> float:
        return sorted(self.delays)[min(len(self.delays) - 1, int(share * len(self.delays)))]

    @property
    def per_job(self) -> float:
        return self.requests / len(self.delays)


class _Watching:
    __slots__ = ("job", "machine")

    def __init__(self, job: Job, machine: WatchMachine[int, float]) -> None:
        self.job = job
        self.machine = machine


def pollwise(
    jobs: list[Job],
    *,
    progress: bool,
    limit: tuple[int, float] | None,
    pacing: Pacing | None = None,
    seed: int = 0,
) -> Result:
    """The real core, asked at the times it names."""
    dice = random.Random(seed).random
    rules = Rules(pacing=pacing or Pacing(), retry=Retry(), timeout_s=None)
    lane = None if limit is None else RateBudget(limit[0], per_s=limit[1]).lane()
    turns: Turns[_Watching] = Turns(rules.forecast, lane, lambda _watch, _now, _at: None)
    coming = deque(sorted(jobs, key=lambda job: job.begins_at))
    delays: list[float] = []
    requests, now = 0, 0.0
    while len(delays) < len(jobs):
        while coming and coming[0].begins_at <= now:
            job = coming.popleft()
            turns.put(_Watching(job, WatchMachine(len(coming), rules, now=now)), now)
        turn = turns.next(now)
        if isinstance(turn, float):
            arrival = coming[0].begins_at if coming else math.inf
            now = max(math.nextafter(now, math.inf), min(turn, arrival, turns.next_at))
            continue
        watch, serial = turn
        requests += 1
        watch.machine.asked()
        job = watch.job
        reading = Reading(status=now, phase=Phase.RUNNING, fraction=job.percent(now) if progress else None)
        if job.ends_at <= now:
            reading = Reading(status=now, phase=Phase.SUCCEEDED, final=True)
        if lane is not None:
            lane.settle(serial, now)
        if watch.machine.on_reading(reading, now=now, dice=dice()) is News.OVER:
            delays.append(now - job.ends_at)
        else:
            turns.put(watch, now)
    return Result(delays, requests)


def by_schedule(
    jobs: list[Job],
    delays_of: Callable[[random.Random], Iterator[float]],
    *,
    limit: tuple[int, float] | None,
    seed: int = 0,
) -> Result:
    """Each job has its own delays; what the budget does not let go waits in line, first come, first served."""
    dice = random.Random(seed)
    due: list[tuple[float, int]] = [(job.begins_at, n) for n, job in enumerate(jobs)]
    heapq.heapify(due)
    waits = [delays_of(dice) for _ in jobs]
    spacing = 0.0 if limit is None else limit[1] / limit[0]
    delays: list[float] = []
    requests, free_at = 0, 0.0
    while due:
        at, n = heapq.heappop(due)
        now = max(at, free_at)
        free_at = now + spacing
        requests += 1
        if jobs[n].ends_at <= now:
            delays.append(now - jobs[n].ends_at)
        else:
            heapq.heappush(due, (now + next(waits[n]), n))
    return Result(delays, requests)


def round_robin(jobs: list[Job], *, limit: tuple[int, float]) -> Result:
    """Everybody in turn at the full rate."""
    line: deque[Job] = deque()
    coming = deque(sorted(jobs, key=lambda job: job.begins_at))
    delays: list[float] = []
    requests, now, spacing = 0, 0.0, limit[1] / limit[0]
    while coming or line:
        while coming and coming[0].begins_at <= now:
            line.append(coming.popleft())
        if not line:
            now = max(now + spacing, coming[0].begins_at)
            continue
        job = line.popleft()
        requests += 1
        if job.ends_at <= now:
            delays.append(now - job.ends_at)
        else:
            line.append(job)
        now += spacing
    return Result(delays, requests)


def clairvoyant(jobs: list[Job], *, limit: tuple[int, float]) -> Result:
    """Each job is asked once, as soon after its end as the budget allows."""
    now, spacing = 0.0, limit[1] / limit[0]
    delays = []
    for end in sorted(job.ends_at for job in jobs):
        now = max(now, end)
        delays.append(now - end)
        now += spacing
    return Result(delays, len(jobs))
