"""After: the same waiter, awaited. Needs `pip install 'pollwise[aws]'`."""

from __future__ import annotations

import asyncio
import sys

from pollwise import JobFailed, JobWatcher
from pollwise.endpoints.aws import waiter_endpoint


async def main(*instance_ids: str) -> None:
    endpoint = waiter_endpoint("ec2", "instance_running", delay_s=5.0)
    async with JobWatcher(endpoint, timeout_s=300.0) as watcher:
        try:
            await watcher.watch(endpoint.job(InstanceIds=instance_ids))
        except JobFailed as exc:
            print("not running:", exc)
        else:
            print("running:", *instance_ids)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
