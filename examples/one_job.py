"""Watch one ZIP extraction to its end, and print its progress."""

from __future__ import annotations

import asyncio
import os

from pollwise import BearerAuth, JobFailed, JobWatcher, Progressed, Retrying, WatchError
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob


async def main() -> None:
    endpoint = ExtractionEndpoint(
        os.environ["ORACLE_CONTENT_BASE_URL"],
        auth=BearerAuth(os.environ["ORACLE_CONTENT_TOKEN"]),
    )
    job = ExtractionJob("DC765D5CD846E67B395AE676435D1DBF", "ZX-E83150A29A911D33")
    async with JobWatcher(endpoint, timeout_s=3600) as watcher:
        watch = watcher.watch(job)
        async for event in watch:  # the last event is the outcome; iterating never raises it
            match event:
                case Progressed(fraction=float(done), eta_s=eta):
                    print(f"{done:.0%} done, {eta or 0:.0f} s left")
                case Retrying(error=error):
                    print("retrying:", error)
        try:
            status = await watch  # the typed status, or a typed error
        except JobFailed as failed:
            print("the job failed:", failed.reason)
        except WatchError as abandoned:
            print("pollwise stopped watching; the job may still be running:", abandoned)
        else:
            print(status.summary())


if __name__ == "__main__":
    asyncio.run(main())
