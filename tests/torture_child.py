"""A process that watches the simulator's jobs with a ledger, to be killed: `torture_child.py MODE PATH URL SHIFT_S`.

The jobs' keys come on stdin, a line each. It reports events on stdout, a line each.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Sequence

from pollwise import Abandoned, JobWatcher, Outcome, Pacing, RateBudget, Retry, SqliteLedger
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob, ExtractionStatus
from pollwise.errors import LedgerWriteFailed
from pollwise.ledger import LedgerError
from pollwise.testing import controlled

End = Outcome[ExtractionJob, ExtractionStatus]
DAYS_S = 3 * 86_400.0


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def words_of(outcome: End) -> tuple[str, str]:
    error = f"-{type(outcome.error).__name__}" if isinstance(outcome, Abandoned) else ""
    return outcome.job.job_id, type(outcome).__name__.lower() + error


def watcher_of(
    url: str, ledger: SqliteLedger, shift_s: float, patience_s: float = 60.0
) -> JobWatcher[ExtractionJob, ExtractionStatus]:
    watcher = JobWatcher(
        ExtractionEndpoint(url),
        timeout_s=DAYS_S,
        pacing=Pacing(min_s=0.1, max_s=0.5),
        retry=Retry(outage_s=60.0, base_s=0.05, max_s=0.2),
        budget=RateBudget(1_000, per_s=1.0),
        ledger=ledger,
        ledger_patience_s=patience_s,
    )
    return controlled(watcher, clock=lambda: time.time() + shift_s)


async def deliver(path: str, url: str, shift_s: float, jobs: Sequence[ExtractionJob]) -> None:
    """Go on with everything, begin what is new, and take and acknowledge every outcome."""
    async with SqliteLedger(path) as ledger, watcher_of(url, ledger, shift_s) as watcher:
        say("open")
        say("resumed", len(await watcher.resume()))
        say("recorded", len(await watcher.record_all(jobs)))
        async for delivery in watcher.outcomes():
            say("took", *words_of(delivery.outcome))
            if await delivery.ack():
                say("acknowledged", *words_of(delivery.outcome))
    say("over")


async def run_out_of_room(path: str, url: str, shift_s: float, jobs: Sequence[ExtractionJob]) -> None:
    """Have no room for outcomes until some watches have ended in trouble, then go on; no outcome may be wrong."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with SqliteLedger(path) as ledger, watcher_of(url, ledger, shift_s, patience_s=0.5) as watcher:
        await watcher.record_all(jobs)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, unlimited[1]))
        troubled = 0
        async for outcome in watcher.as_completed(jobs):
            say("reported", *words_of(outcome))
            troubled += isinstance(outcome, Abandoned) and isinstance(outcome.error, LedgerWriteFailed)
            if troubled == len(jobs) // 4:
                resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        say("troubled", troubled)
        for outcome in await watcher.gather(jobs):
            say("at last", *words_of(outcome))
    say("over")


async def main() -> int:
    mode, path, url, shift_s = sys.argv[1:]
    modes = {one.__name__: one for one in (deliver, run_out_of_room)}
    jobs = [ExtractionJob(*json.loads(line)) for line in sys.stdin]
    try:
        await modes[mode](path, url, float(shift_s), jobs)
    except LedgerError as exc:
        say("refused", type(exc).__name__)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
