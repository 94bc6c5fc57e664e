"""`pollwise demo`: watches a dozen jobs of both vendors on the simulator, with faults, to their outcomes.

Rule 1: only the server is simulated. The demo uses real HTTP, and the watcher and the screens of `pollwise watch`.
Rule 2: each job has a planned outcome. The demo succeeds if the watches report the planned outcomes.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

from rich.text import Text

from pollwise.cli.demo_jobs import DEMO_JOBS, DemoJob
from pollwise.cli.event_text import AnyEndpoint, counts_line, view_of
from pollwise.cli.exit_status import ExitStatus
from pollwise.cli.follow import WatchRecord, follow_all, outcome_text
from pollwise.cli.options import EventOptions
from pollwise.cli.safe_text import counted, duration
from pollwise.cli.screen import Screen, open_screen
from pollwise.cli.terminal import print_note
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.rate_budget import RateBudget
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob
from pollwise.simulator import Fault, Faults, Simulator
from pollwise.watcher import JobWatcher

__all__ = ["run_demo"]

_FAULT_RATE = 0.1
_FAULTS = (Fault.BAD_GATEWAY, Fault.BROKEN_JSON, Fault.CLOSED, Fault.RESET, Fault.SERVER_ERROR, Fault.TRUNCATED)


async def run_demo(*, seed: int, seconds: float, options: EventOptions) -> ExitStatus:
    """Run the demo in about `seconds`. Returns SUCCEEDED if every job ended as planned."""
    screen = open_screen(json=options.writes_documents, quiet=options.quiet, output=options.writer())
    faults = Faults(rate=_FAULT_RATE, kinds=_FAULTS, retry_after_s=seconds / 10)
    try:
        async with screen, Simulator(seed=seed, faults=faults) as simulator:
            if not options.quiet:
                await screen.print_text(Text(_introduction(simulator.document360_url, seconds)))
            began_at = asyncio.get_running_loop().time()
            for job in DEMO_JOBS:
                job.add_to(simulator, length_s=seconds)
            records = await _watch_all(simulator, screen, seconds)
            took_s = asyncio.get_running_loop().time() - began_at
    except asyncio.CancelledError:
        print_note("pollwise: stopped before the end of the demo. Run the same command to see it from the beginning.")
        raise
    for text in _summary(records, took_s)[-1 if options.quiet else 0 :]:
        await screen.print_text(text)
    return _compare(DEMO_JOBS, records)


async def _watch_all(simulator: Simulator, screen: Screen, seconds: float) -> list[WatchRecord]:
    deletions = DeleteFileEndpoint(simulator.document360_url)
    extractions = ExtractionEndpoint(simulator.oracle_content_url)
    watching: dict[str, Any] = {
        "timeout_s": 10 * seconds + 10,
        "pacing": Pacing(min_s=seconds / 40, max_s=seconds / 20),
        "retry": Retry(base_s=seconds / 20, max_s=seconds / 10),
        "not_found_grace_s": 10 * seconds + 10,
    }
    # The vendor's 60 requests a minute would slow down the demo, whose jobs take seconds instead of minutes.
    budget = RateBudget(1000, per_s=seconds)
    async with (
        JobWatcher(deletions, budget=budget, **watching) as delete_watcher,
        JobWatcher(extractions, **watching) as extract_watcher,
    ):
        watched: list[tuple[JobWatcher[Any, Any], AnyEndpoint, Hashable]] = []
        for planned in DEMO_JOBS:
            if len(planned.keys) == 1:
                watched.append((delete_watcher, deletions, DeleteFileJob(*planned.keys)))
            else:
                watched.append((extract_watcher, extractions, ExtractionJob(*planned.keys)))
        for _, endpoint, job in watched:
            screen.add_job(endpoint, job)
        return await follow_all(watched, screen)


def _introduction(url: str, seconds: float) -> str:
    return (
        f"{len(DEMO_JOBS)} jobs of two vendors on a simulator at {url}, which fails every tenth request on purpose;"
        f" about {duration(seconds)}."
    )


def _summary(records: Sequence[WatchRecord], took_s: float) -> list[Text]:
    """One line for each job, and one with the counts of the outcomes."""
    counts = Counter(view_of(record.outcome).state for record in records)
    polls = sum(record.outcome.polls for record in records)
    retries = sum(record.retries for record in records)
    total = Text(f"{counted(len(records), 'job')} in {duration(took_s)}: ") + counts_line(counts)
    total.append(f". {counted(polls, 'poll')}, {retries} failed and {'was' if retries == 1 else 'were'} repeated.")
    return [*(outcome_text(record) for record in records), total]


def _compare(demo_jobs: Sequence[DemoJob], records: Sequence[WatchRecord]) -> ExitStatus:
    """Compare the watched outcomes with the planned ones, and print each difference."""
    for job, record in zip(demo_jobs, records, strict=True):
        watched = view_of(record.outcome).state
        if watched != job.outcome:
            name = " / ".join(job.keys)
            print(f"pollwise: {name}: planned outcome {job.outcome}, watched outcome {watched}", file=sys.stderr)
    agreed = all(view_of(record.outcome).state == job.outcome for job, record in zip(demo_jobs, records, strict=True))
    return ExitStatus.SUCCEEDED if agreed else ExitStatus.FAILED
