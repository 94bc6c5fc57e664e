"""Delete files and wait for it, without asyncio: in a script, a notebook, or a thread of a web framework."""

from __future__ import annotations

import os
import sys

from pollwise import Abandoned, ApiKeyAuth, Cancelled, Failed, Succeeded
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.sync import SyncWatcher


def main(*task_ids: str) -> None:
    endpoint = DeleteFileEndpoint(
        os.environ["DOCUMENT360_BASE_URL"],
        auth=ApiKeyAuth(os.environ["DOCUMENT360_API_TOKEN"]),
    )
    with SyncWatcher(endpoint, timeout_s=3600) as watcher:
        for outcome in watcher.as_completed(map(DeleteFileJob, task_ids)):
            match outcome:
                case Succeeded(job=job):
                    print(job.task_id, "done")
                case Failed(job=job, error=error) | Cancelled(job=job, error=error):
                    print(job.task_id, "did not succeed:", error.reason)
                case Abandoned(job=job, error=error):
                    print(job.task_id, "unknown:", error)


if __name__ == "__main__":
    main(*sys.argv[1:])
