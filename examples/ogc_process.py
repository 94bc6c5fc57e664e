"""Await a job of a server of OGC API - Processes, and get its results."""

from __future__ import annotations

import asyncio
import os

from pollwise import JobWatcher
from pollwise.endpoints.ogc_processes import ProcessesEndpoint, ProcessJob


async def main() -> None:
    endpoint = ProcessesEndpoint(os.environ["OGC_BASE_URL"])  # the URL of the landing page
    async with JobWatcher(endpoint, timeout_s=3600) as watcher:
        results = await watcher.watch(ProcessJob(os.environ["OGC_JOB"])).result()
        for name, output in results.outputs.items():
            print(name, output)


if __name__ == "__main__":
    asyncio.run(main())
