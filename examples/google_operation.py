"""Await a long-running operation of a Google API, and get its response."""

from __future__ import annotations

import asyncio
import os

from pollwise import BearerAuth, JobWatcher, Progressed
from pollwise.endpoints.aip151 import GoogleOperation, GoogleOperationsEndpoint


async def main() -> None:
    endpoint = GoogleOperationsEndpoint(
        os.environ["GOOGLE_BASE_URL"],  # such as https://speech.googleapis.com
        auth=BearerAuth(os.environ["GOOGLE_TOKEN"]),
    )
    async with JobWatcher(endpoint, timeout_s=3600) as watcher:
        watch = watcher.watch(GoogleOperation("operations/7"))
        async for event in watch:
            if isinstance(event, Progressed) and event.fraction is not None:
                print(f"{event.fraction:.0%} done")
        print(await watch.result())


if __name__ == "__main__":
    asyncio.run(main())
