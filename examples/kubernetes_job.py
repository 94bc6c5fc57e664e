"""Await a Job of a Kubernetes cluster, from a pod in it."""

from __future__ import annotations

import asyncio
import os
import ssl

from pollwise import AiohttpTransport, JobWatcher
from pollwise.endpoints import kubernetes
from pollwise.endpoints.kubernetes import Resource, ServiceAccountToken

MOUNTED = os.environ.get("SERVICE_ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount")


async def main() -> None:
    base_url = os.environ.get("KUBERNETES_URL", "https://kubernetes.default.svc")
    endpoint = kubernetes.jobs(base_url, auth=ServiceAccountToken(f"{MOUNTED}/token"))
    trusted = ssl.create_default_context(cafile=f"{MOUNTED}/ca.crt")
    async with (
        AiohttpTransport(ssl=trusted) as transport,
        JobWatcher(endpoint, timeout_s=3600, transport=transport) as watcher,
    ):
        status = await watcher.watch(Resource("import-7", namespace="batch"))
        print(*(condition.type for condition in status.conditions))


if __name__ == "__main__":
    asyncio.run(main())
