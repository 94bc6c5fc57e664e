"""The time left that a batch shows holds the true end: whole batches on virtual time, observed as the command does."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import attrs
import pytest
from yarl import URL

from kept_toy import KeptToyEndpoint
from memory_ledger import MemoryLedger
from pollwise import JobWatcher, Pacing, RateBudget, Request
from pollwise.cli.batch_progress import BatchProgress
from pollwise.cli.batch_transport import BatchTransport
from pollwise.cli.observed_ledger import ObservedLedger
from pollwise.core.remaining_time import Remaining
from pollwise.testing import Answer, ScriptedTransport, Slow, controlled
from toy import RUNNING, SUCCEEDED, ToyJob

LATENCY_S = 0.15
PACING = Pacing(min_s=15.0)


class Vendor(KeptToyEndpoint):
    """A toy with a name and a host of its own."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def request(self, job: ToyJob, /) -> Request:
        return Request(URL(f"https://{self.name}.example/{job.id}"))


@attrs.define
class Shown:
    """The time left at one moment, in seconds since the batch began."""

    at: float
    remaining: Remaining | None

    def holds(self, end: float) -> bool:
        return self.remaining is not None and self.remaining.low_s <= end - self.at <= self.remaining.high_s


@attrs.define
class Fleet:
    """A batch of several vendors. Each has its budget, and the seconds that each of its jobs takes from the begin on."""

    vendors: Mapping[str, tuple[RateBudget, Sequence[float]]]
    ledger: MemoryLedger = attrs.field(factory=lambda: MemoryLedger(latency_s=0.0))
    began: float | None = None

    async def run(self, every_s: float, until_s: float | None = None) -> tuple[list[Shown], float]:
        """Run it; what was shown, and when it ended."""
        now = asyncio.get_running_loop().time
        began = now()
        self.began = began if self.began is None else self.began
        jobs = {name: len(durations) for name, (_, durations) in self.vendors.items()}
        budgets = {name: budget for name, (budget, _) in self.vendors.items()}
        progress = BatchProgress(sum(jobs.values()), jobs, began, jobs=jobs, budgets=budgets)
        shown: list[Shown] = []
        with reading(progress, began, every_s, shown):
            work = [asyncio.create_task(self._follow(name, progress)) for name in self.vendors]
            _, going_on = await asyncio.wait(work, timeout=until_s)
            for task in going_on:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=bool(going_on))
        return shown, now() - began

    async def _follow(self, name: str, progress: BatchProgress) -> None:
        now = asyncio.get_running_loop().time
        budget, durations = self.vendors[name]

        def answer(request: Request) -> Answer:
            age_s = now() - (self.began or 0.0)
            return Slow(SUCCEEDED if age_s >= durations[int(request.url.path[1:])] else RUNNING, LATENCY_S)

        transport = BatchTransport(name, ScriptedTransport(answer), progress.request_counters[name])
        watcher = JobWatcher(
            Vendor(name),
            timeout_s=None,
            pacing=PACING,
            transport=transport,
            budget=budget,
            ledger=ObservedLedger(self.ledger, progress, now, now),
        )
        async with controlled(watcher, dice=random.Random(1).random, clock=now):
            async for _ in watcher.as_completed(ToyJob(str(number)) for number in range(len(durations))):
                pass


@contextmanager
def reading(progress: BatchProgress, began: float, every_s: float, shown: list[Shown]) -> Iterator[None]:
    """Reads the time left at even times."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        nonlocal timer
        shown.append(Shown(loop.time() - began, progress.remaining(loop.time())))
        timer = loop.call_later(every_s, read)

    timer = loop.call_later(every_s, read)
    try:
        yield
    finally:
        timer.cancel()


def log_normal(jobs: int, median_s: float, spread: float, seed: int = 1) -> list[float]:
    dice = random.Random(seed)
    return [dice.lognormvariate(math.log(median_s), spread) for _ in range(jobs)]


def shares(shown: Sequence[Shown], end: float) -> tuple[float, float]:
    """Of the moments from 5 % of the time on: how many have a range that holds the end, and how many are unknown."""
    late = [moment for moment in shown if moment.at >= 0.05 * end]
    holding = sum(moment.holds(end) for moment in late)
    unknown = sum(moment.remaining is None for moment in late)
    return holding / len(late), unknown / len(late)


@pytest.mark.looptime(noop_cycles=0)
async def test_the_range_holds_the_true_end_of_two_thousand_jobs() -> None:
    """Two vendors, one under 60 requests a minute: from 5 % of the time on, nine of ten ranges hold the end."""
    fleet = Fleet(
        {
            "limited": (RateBudget(60, per_s=60.0), log_normal(1_600, 120.0, 0.6)),
            "free": (RateBudget(), log_normal(400, 20.0, 0.5, seed=2)),
        }
    )
    shown, end = await fleet.run(40.0)
    holding, unknown = shares(shown, end)
    assert 1_600 < end < 1_900
    assert holding >= 0.9
    assert unknown <= 0.05


@pytest.mark.looptime(noop_cycles=0)
async def test_a_restart_in_the_middle_goes_on_with_what_is_known() -> None:
    """A second run learns from the outcomes of the first one, so its first range already holds the end."""
    fleet = Fleet({"limited": (RateBudget(60, per_s=60.0), log_normal(800, 120.0, 0.6, seed=3))})
    await fleet.run(20.0, until_s=400.0)
    shown, end = await fleet.run(20.0)
    assert 400.0 < end < 600.0
    assert shares(shown, end) == (1.0, 0.0)
    first = shown[0].remaining
    assert first is not None
    assert first.high_s < 2.0 * first.low_s
