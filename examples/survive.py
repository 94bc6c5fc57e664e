"""Watch jobs in a process that may be killed at any moment. Its next start resumes them."""

from __future__ import annotations

import asyncio
import os
import sys

from pollwise import ApiKeyAuth, JobWatcher, SqliteLedger
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob


async def main(*task_ids: str) -> None:
    endpoint = DeleteFileEndpoint(
        os.environ["DOCUMENT360_BASE_URL"],
        auth=ApiKeyAuth(os.environ["DOCUMENT360_API_TOKEN"]),
    )
    async with (
        SqliteLedger(os.environ.get("LEDGER", "jobs.ledger")) as ledger,
        JobWatcher(endpoint, timeout_s=3600, ledger=ledger) as watcher,
    ):
        await watcher.resume()  # the open watches of earlier processes
        await watcher.record_all(map(DeleteFileJob, task_ids))  # on disk once this returns
        async for delivery in watcher.outcomes():  # each is delivered until it is acknowledged
            print(delivery.outcome.job.task_id, type(delivery.outcome).__name__.lower())
            await delivery.ack()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
