"""Watch many jobs under one rate-limited token."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

from pollwise import Abandoned, ApiKeyAuth, Cancelled, Failed, JobWatcher, RateBudget, Succeeded
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob


def jobs() -> Iterator[DeleteFileJob]:
    """Any iterable or async iterable. A lazy one is read as capacity becomes free."""
    for number in range(1, 101):
        yield DeleteFileJob(f"task-{number}")


async def main() -> None:
    endpoint = DeleteFileEndpoint(
        os.environ["DOCUMENT360_BASE_URL"],
        auth=ApiKeyAuth(os.environ["DOCUMENT360_API_TOKEN"]),
    )
    budget = RateBudget(6000, per_s=60)  # your plan's limit; by default the limit that the vendor documents
    async with JobWatcher(endpoint, timeout_s=3600, budget=budget) as watcher:
        async for outcome in watcher.as_completed(jobs()):
            match outcome:
                case Succeeded(job=job):
                    print(job.task_id, "done")
                case Failed(job=job, error=error) | Cancelled(job=job, error=error):
                    print(job.task_id, "did not succeed:", error.reason)
                case Abandoned(job=job, error=error):
                    print(job.task_id, "unknown:", error)


if __name__ == "__main__":
    asyncio.run(main())
