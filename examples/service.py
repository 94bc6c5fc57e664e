"""Watch jobs as a service. SIGTERM stops it at any moment, and its next start resumes."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from pollwise import BearerAuth, JobWatcher, Outcome, SqliteLedger
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob


def jobs() -> Iterator[ExtractionJob]:
    """The jobs to watch, known ones included. Here a file with two IDs on each line."""
    for line in Path(os.environ["JOBS"]).read_text(encoding="utf-8").splitlines():
        yield ExtractionJob(*line.split())


def save(results: sqlite3.Connection, outcome: Outcome[ExtractionJob, Any]) -> None:
    """Save an outcome. Saving is idempotent, because an outcome may be delivered twice."""
    with results:
        results.execute(
            "INSERT OR REPLACE INTO results VALUES (?, ?, ?)",
            (outcome.job.file_id, outcome.job.job_id, type(outcome).__name__),
        )


async def serve() -> None:
    endpoint = ExtractionEndpoint(
        os.environ["ORACLE_CONTENT_BASE_URL"],
        auth=BearerAuth(os.environ["ORACLE_CONTENT_TOKEN"]),
    )
    with closing(sqlite3.connect(os.environ["RESULTS"])) as results:
        results.execute(
            "CREATE TABLE IF NOT EXISTS results (file_id TEXT, job_id TEXT, outcome TEXT, PRIMARY KEY (file_id, job_id))"
        )
        async with (
            SqliteLedger(os.environ["LEDGER"]) as ledger,
            JobWatcher(endpoint, timeout_s=3600, ledger=ledger) as watcher,
        ):
            await watcher.resume()
            await watcher.record_all(jobs())
            async for delivery in watcher.outcomes():
                save(results, delivery.outcome)
                if await delivery.ack():
                    print(delivery.outcome.job.job_id, type(delivery.outcome).__name__, flush=True)


async def serve_until_sigterm() -> None:
    serving = asyncio.create_task(serve())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, serving.cancel)
    await serving


def main() -> int:
    with asyncio.Runner() as runner:
        try:
            runner.run(serve_until_sigterm())
        except asyncio.CancelledError:
            print("stopped; the next start resumes")
        except KeyboardInterrupt:
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
