"""Watch a job of any API to its result, through restarts, without an endpoint of your own: declare its calls."""

from __future__ import annotations

import asyncio
import os

from pollwise import JobWatcher, SqliteLedger
from pollwise.endpoints.declared import DeclaredEndpoint


async def main() -> None:
    exports = DeclaredEndpoint.load("endpoints.toml", "exports", base_url=os.environ["EXPORTS_BASE_URL"])
    async with SqliteLedger("exports.ledger") as ledger, JobWatcher(exports, timeout_s=600, ledger=ledger) as watcher:
        watch = await watcher.record(exports.job(id="7"))
        print(await watch.result())


if __name__ == "__main__":
    asyncio.run(main())
