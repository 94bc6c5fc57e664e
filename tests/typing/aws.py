"""What a caller's type checker infers of the waiters of AWS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_type

from pollwise import JobWatcher
from pollwise.endpoints.aws import WaiterEndpoint, WaiterJob, waiter_endpoint


async def statuses_are_parsed_replies() -> None:
    endpoint = waiter_endpoint("ec2", "instance_running", region="eu-central-1")
    assert_type(endpoint, WaiterEndpoint)
    assert_type(endpoint.job(InstanceIds=["i-1"]), WaiterJob)
    assert_type(endpoint.suggested_timeout_s, float)
    async with JobWatcher(endpoint, timeout_s=endpoint.suggested_timeout_s) as watcher:
        assert_type(await watcher.watch(endpoint.job(InstanceIds=["i-1"])), Mapping[str, Any])
