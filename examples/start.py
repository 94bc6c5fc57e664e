"""Start a job and watch it. Started again with the same order number, the program starts no second job."""

from __future__ import annotations

import asyncio
import os
import sys

from pollwise import BearerAuth, JobWatcher, SqliteLedger
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionOrder
from pollwise.errors import SubmitDoubtful


async def main(order_number: str, file_id: str) -> None:
    endpoint = ExtractionEndpoint(
        os.environ["ORACLE_CONTENT_BASE_URL"],
        auth=BearerAuth(os.environ["ORACLE_CONTENT_TOKEN"]),
    )
    async with (
        SqliteLedger(os.environ.get("LEDGER", "jobs.ledger")) as ledger,
        JobWatcher(endpoint, timeout_s=3600, ledger=ledger) as watcher,
    ):
        try:
            watch = await watcher.submit(ExtractionOrder(file_id), key=order_number)
        except SubmitDoubtful as doubt:
            print(doubt)  # a reply was lost: the error says what to look at
            return
        print(watch.job.job_id, (await watch).summary())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
