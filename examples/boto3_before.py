"""Before: a waiter of botocore, which blocks its thread. `boto3.client("ec2")` has the same waiters."""

from __future__ import annotations

import contextlib
import sys

import botocore.exceptions
import botocore.session


def main(*instance_ids: str) -> None:
    client = botocore.session.get_session().create_client("ec2")
    with contextlib.closing(client):
        waiter = client.get_waiter("instance_running")
        try:
            waiter.wait(InstanceIds=list(instance_ids), WaiterConfig={"Delay": 5, "MaxAttempts": 60})
        except botocore.exceptions.WaiterError as exc:
            print("not running:", exc)
        else:
            print("running:", *instance_ids)


if __name__ == "__main__":
    main(*sys.argv[1:])
