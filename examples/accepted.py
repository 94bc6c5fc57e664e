"""Await a job of any API that answers 202 and Location, and get its result."""

from __future__ import annotations

import asyncio
import os

from pollwise import BearerAuth, JobWatcher
from pollwise.endpoints.http_async import AcceptedJob, HttpAsyncEndpoint


async def main() -> None:
    endpoint = HttpAsyncEndpoint(os.environ["EXPORTS_BASE_URL"], auth=BearerAuth(os.environ["EXPORTS_TOKEN"]))
    async with JobWatcher(endpoint, timeout_s=3600) as watcher:
        rows = await watcher.watch(AcceptedJob(os.environ["EXPORT_LOCATION"])).result()
        print(rows)


if __name__ == "__main__":
    asyncio.run(main())
