"""Watch the jobs of any API without an endpoint of your own: declare its status call."""

from __future__ import annotations

import asyncio
import os

from pollwise import JobWatcher
from pollwise.endpoints.declared import DeclaredEndpoint


async def main() -> None:
    endpoint = DeclaredEndpoint.load("endpoints.toml", "exports", base_url=os.environ["EXPORTS_BASE_URL"])
    async with JobWatcher(endpoint, timeout_s=600) as watcher:
        status = await watcher.watch(endpoint.job(id=7))
        print(status["rows"])


if __name__ == "__main__":
    asyncio.run(main())
