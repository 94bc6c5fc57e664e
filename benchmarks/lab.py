"""Simulations in virtual time over the real core, for the `scheduling` benchmark.

Rule 1: the policy `pollwise` is the real `Scheduler`, `TokenBudget`, `Pacing` and `WatchMachine`. Only time, replies and
random numbers come from this file. A request takes no time.
Rule 2: every policy gets the same jobs and the same limit. A meter with a server's sliding window counts the requests
that a server would refuse. A policy that keeps the limit itself must have none.
Rule 3: a delay is from a job's end to the poll that sees it.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeAlias

import attrs

from pollwise.core.concurrency_limiter import ConcurrencyLimiter
from pollwise.core.machine import WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.core.scheduler import Scheduler, Send, SleepUntil
from pollwise.core.token_budget import TokenBudget
from pollwise.core.watch_state import StepResult
from pollwise.model.reading import Phase, Reading

__all__ = [
    "WORKLOADS",
    "Job",
    "Limit",
    "Result",
    "Schedule",
    "alone",
    "capped_exponential",
    "clairvoyant",
    "fixed",
    "full_jitter",
    "jobs_of",
    "pollwise",
    "round_robin",
    "uncoordinated",
]

Limit: TypeAlias = tuple[int, float]
"""Requests in one window, and the length of the window in seconds."""

Schedule: TypeAlias = Callable[[random.Random], Iterator[float]]
"""Yields the waits of one job, in seconds."""

_BURST = 1_000


@attrs.define
class Job:
    """A simulated job: its begin, its duration, and how it reports progress."""

    begins_at: float
    duration_s: float
    curve: float
    noise: int

    @property
    def ends_at(self) -> float:
        return self.begins_at + self.duration_s

    def percent(self, now: float) -> float:
        """The reported progress: noisy and not linear, as with real servers."""
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
    times = [0.0] * _BURST
    if load is not None:
        times, now = [], 0.0
        while now < until_s:
            now += dice.expovariate(load)
            times.append(now)
    draw = WORKLOADS[workload]
    return [Job(at, draw(dice), dice.choice((0.6, 1.0, 1.6)), dice.getrandbits(30)) for at in times]


@attrs.frozen
class Result:
    """The delays and requests of one policy; `refused` requests got 429."""

    delays: list[float]
    requests: int
    refused: int = 0

    @property
    def mean(self) -> float:
        return sum(self.delays) / len(self.delays)

    def quantile(self, share: float) -> float:
        """That quantile of the delays in seconds; 1 for the longest."""
        return sorted(self.delays)[min(len(self.delays) - 1, int(share * len(self.delays)))]

    @property
    def per_job(self) -> float:
        return self.requests / len(self.delays)

    def __add__(self, other: Result) -> Result:
        return Result(self.delays + other.delays, self.requests + other.requests, self.refused + other.refused)


class _Meter:
    """The server's sliding window."""

    def __init__(self, limit: Limit | None) -> None:
        self._limit = limit
        self._accepted: deque[float] = deque()
        self.requests = self.refused = 0

    def accepts(self, now: float) -> bool:
        self.requests += 1
        if self._limit is None:
            return True
        limit, per_s = self._limit
        # 1 ns of tolerance for rounding
        while self._accepted and self._accepted[0] <= now - per_s + 1e-9:
            self._accepted.popleft()
        if len(self._accepted) >= limit:
            self.refused += 1
            return False
        self._accepted.append(now)
        return True


# --- pollwise -----------------------------------------------------------------------------------


class _Watching:
    __slots__ = ("job", "machine")

    def __init__(self, job: Job, machine: WatchMachine[int, float]) -> None:
        self.job = job
        self.machine = machine


def _reading(job: Job, now: float, *, progress: bool) -> Reading[float]:
    if job.ends_at <= now:
        return Reading(status=now, phase=Phase.SUCCEEDED, final=True)
    return Reading(status=now, phase=Phase.RUNNING, fraction=job.percent(now) if progress else None)


def pollwise(
    jobs: list[Job], *, progress: bool, limit: Limit | None, pacing: Pacing | None = None, seed: int = 0
) -> Result:
    """Run the real core, which is called at the times that it returns."""
    dice = random.Random(seed).random
    rules = Policy(pacing=pacing or Pacing(), retry=Retry(), timeout_s=None)
    budget = None if limit is None else TokenBudget(limit[0], per_s=limit[1])
    turns: Scheduler[_Watching] = Scheduler(
        rules.forecast,
        budget,
        ConcurrencyLimiter(len(jobs)),
        cpu_s=lambda: 0.0,
        on_throttled=lambda _watch, _now, _at: None,
    )
    coming = deque(sorted(jobs, key=lambda job: job.begins_at))
    meter, delays, now = _Meter(limit), list[float](), 0.0
    while len(delays) < len(jobs):
        while coming and coming[0].begins_at <= now:
            job = coming.popleft()
            turns.put(_Watching(job, WatchMachine(len(coming), rules, now=now)), now)
        action = turns.next_action(now)
        if isinstance(action, SleepUntil):
            arrival = coming[0].begins_at if coming else math.inf
            now = max(math.nextafter(now, math.inf), min(action.at, arrival))
            continue
        assert isinstance(action, Send), "a watch without a deadline expires"
        turns.in_flight -= 1
        watch = action.watch
        machine, job = watch.machine, watch.job
        machine.asked(now)
        assert meter.accepts(now), "the budget sent a request that the server refuses"
        if budget is not None:
            budget.release(action.permit, now)
        if machine.on_reading(_reading(job, now, progress=progress), now=now, dice=dice()) is StepResult.OVER:
            delays.append(now - job.ends_at)
        else:
            turns.put(watch, now)
    return Result(delays, meter.requests)


# --- peers --------------------------------------------------------------------------------------


def fixed(interval_s: float) -> Schedule:
    """Every `interval_s` seconds. The first poll comes at a random moment of the first interval."""

    def waits(dice: random.Random) -> Iterator[float]:
        yield dice.random() * interval_s
        while True:
            yield interval_s

    return waits


def full_jitter(base_s: float, cap_s: float) -> Schedule:
    """Exponential backoff with full jitter, as in the AWS builders' library."""

    def waits(dice: random.Random) -> Iterator[float]:
        ceiling = base_s
        while True:
            yield dice.random() * ceiling
            ceiling = min(cap_s, 2 * ceiling)

    return waits


def capped_exponential(base_s: float, cap_s: float) -> Schedule:
    """Exponential backoff without jitter."""

    def waits(_dice: random.Random) -> Iterator[float]:
        wait = base_s
        while True:
            yield wait
            wait = min(cap_s, 2 * wait)

    return waits


def uncoordinated(jobs: list[Job], schedule: Schedule, *, limit: Limit | None, seed: int = 0) -> Result:
    """Each job polls by its own schedule. A poll that gets 429 does not see the end of its job."""
    dice = random.Random(seed)
    due = [(job.begins_at, n) for n, job in enumerate(jobs)]
    heapq.heapify(due)
    waits = [schedule(dice) for _ in jobs]
    meter, delays = _Meter(limit), []
    while due:
        now, n = heapq.heappop(due)
        if meter.accepts(now) and jobs[n].ends_at <= now:
            delays.append(now - jobs[n].ends_at)
        else:
            heapq.heappush(due, (now + next(waits[n]), n))
    return Result(delays, meter.requests, meter.refused)


def round_robin(jobs: list[Job], *, limit: Limit) -> Result:
    """All jobs in turn at the full rate, evenly spread."""
    queue: deque[Job] = deque()
    coming = deque(sorted(jobs, key=lambda job: job.begins_at))
    delays: list[float] = []
    requests, now, spacing = 0, 0.0, limit[1] / limit[0]
    while coming or queue:
        while coming and coming[0].begins_at <= now:
            queue.append(coming.popleft())
        if not queue:
            now = max(now + spacing, coming[0].begins_at)
            continue
        job = queue.popleft()
        requests += 1
        if job.ends_at <= now:
            delays.append(now - job.ends_at)
        else:
            queue.append(job)
        now += spacing
    return Result(delays, requests)


def clairvoyant(jobs: list[Job], *, limit: Limit) -> Result:
    """Each job is polled once, as soon after its end as the limit allows. No policy can be better."""
    sent: deque[float] = deque(maxlen=limit[0])
    delays = []
    for end in sorted(job.ends_at for job in jobs):
        now = end if len(sent) < limit[0] else max(end, sent[0] + limit[1])
        sent.append(now)
        delays.append(now - end)
    return Result(delays, len(jobs))


def alone(jobs: list[Job], run: Callable[[list[Job]], Result]) -> Result:
    """Run the policy for each job alone, and add the results."""
    found = Result([], 0)
    for job in jobs:
        found += run([job])
    return found
