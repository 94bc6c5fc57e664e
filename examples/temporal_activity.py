"""A Temporal activity that starts a job and waits for it. Its heartbeat is the resume token of the watch."""

from __future__ import annotations

import asyncio
import os
import uuid
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from pollwise import BearerAuth, ConfigurationError, JobWatcher
from pollwise.endpoints.declared import DeclaredEndpoint
from pollwise.errors import JobError

BEAT_S = 10.0  # shorter than the activity's `heartbeat_timeout`


class Exports:
    """The activities of a worker. They share the watcher, and with it connections and rate budget."""

    def __init__(self, watcher: JobWatcher[Any, Any, Any, Any]) -> None:
        self._watcher = watcher

    @activity.defn
    async def export(self, table: str) -> Any:
        """Start the export of a table, and return the status of its end."""
        info = activity.info()
        try:
            if info.heartbeat_details:  # an earlier attempt has started the job
                watch = self._watcher.watch_from_token(info.heartbeat_details[0])
            else:
                names = f"{info.namespace}/{info.workflow_run_id}/{info.activity_id}"  # the same for each attempt
                watch = await self._watcher.submit({"table": table}, key=str(uuid.uuid5(uuid.NAMESPACE_OID, names)))
        except ConfigurationError as error:
            raise ApplicationError(str(error), type=type(error).__name__, non_retryable=True) from error
        activity.heartbeat(watch.resume_token)
        beating = asyncio.create_task(beat(watch), name="heartbeat")
        try:
            return await watch
        except JobError as ended:  # the job's end, which a retry would not change
            raise ApplicationError(str(ended), type=type(ended).__name__, non_retryable=True) from ended
        except asyncio.CancelledError:
            details = activity.cancellation_details()
            if details is not None and details.cancel_requested:  # not if the worker shuts down
                await watch.cancel(timeout_s=10)
            watch.stop()
            raise
        finally:
            beating.cancel()


async def beat(watch: Any) -> None:
    while True:
        await asyncio.sleep(BEAT_S)
        activity.heartbeat(watch.resume_token)


def make_endpoint() -> Any:
    return DeclaredEndpoint.load(
        Path(__file__).with_name("acme_exports.toml"),
        "acme-exports",
        base_url=os.environ["ACME_URL"],
        auth=BearerAuth(os.environ["ACME_TOKEN"]),
    )


async def main() -> None:
    client = await Client.connect(os.environ.get("TEMPORAL_ADDRESS", "localhost:7233"))
    async with JobWatcher(make_endpoint(), timeout_s=86_400) as watcher:
        await Worker(client, task_queue="exports", activities=[Exports(watcher).export]).run()


if __name__ == "__main__":
    asyncio.run(main())
