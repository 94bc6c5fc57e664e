"""Waits for AWS, with the waiters of botocore: `pip install 'pollwise[aws]'`.

    endpoint = waiter_endpoint("ec2", "instance_running", region="eu-central-1")
    async with JobWatcher(endpoint, timeout_s=endpoint.suggested_timeout_s) as watcher:
        reply = await watcher.watch(endpoint.job(InstanceIds=["i-0123456789abcdef0"]))

`waiters.py` has the endpoint, `jobs.py` its jobs, `acceptors.py` the rules that decide, `operation.py` makes requests and reads
replies, `credentials.py` signs. `smithy.py` has the rules of Smithy's own waiters.

Rule: botocore makes, signs and parses messages, and resolves endpoints and credentials. It sends nothing about a job.
"""

from __future__ import annotations

try:
    import botocore as _botocore
    import jmespath as _jmespath
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError(
        f"pollwise.endpoints.aws needs {exc.name}, which is not installed: pip install 'pollwise[aws]'", name=exc.name
    ) from exc

from pollwise.endpoints.aws.credentials import AwsAuth
from pollwise.endpoints.aws.jobs import WaiterJob
from pollwise.endpoints.aws.waiters import WaiterEndpoint, waiter_endpoint, waiter_names

__all__ = ["AwsAuth", "WaiterEndpoint", "WaiterJob", "waiter_endpoint", "waiter_names"]

del _botocore, _jmespath
