"""Await an Azure long-running operation that another program has started, and get its result."""

from __future__ import annotations

import asyncio
import os

from pollwise import BearerAuth, JobWatcher
from pollwise.endpoints.azure import AzureOperation, AzureOperationsEndpoint


async def main() -> None:
    base_url = os.environ["AZURE_BASE_URL"]  # such as https://management.azure.com
    endpoint = AzureOperationsEndpoint(base_url, auth=BearerAuth(os.environ["AZURE_TOKEN"]))
    operation = AzureOperation(
        url=os.environ["AZURE_OPERATION"],  # the Azure-AsyncOperation of the reply that started it
        method="PUT",
        request_url=f"{base_url}/subscriptions/s/vm-7?api-version=2024-07-01",
    )
    async with JobWatcher(endpoint, timeout_s=3600) as watcher:
        machine = await watcher.watch(operation).result()
        print(machine["name"])


if __name__ == "__main__":
    asyncio.run(main())
