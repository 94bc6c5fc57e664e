"""After: azure-core starts a long-running operation, and pollwise awaits it."""

from __future__ import annotations

import asyncio
import os

from azure.core import AsyncPipelineClient
from azure.core.pipeline.policies import HeadersPolicy
from azure.core.rest import HttpRequest
from yarl import URL

from pollwise import BearerAuth, JobWatcher, Reply, Request
from pollwise.endpoints.azure import AzureOperation, AzureOperationsEndpoint


async def main() -> None:
    base_url, token = os.environ["AZURE_BASE_URL"], os.environ["AZURE_TOKEN"]
    policies = [HeadersPolicy({"Authorization": f"Bearer {token}"})]
    async with AsyncPipelineClient(base_url, policies=policies) as client:
        sent = HttpRequest("PUT", f"{base_url}/things/7?api-version=1", json={"size": 3})
        got = await client.send_request(sent)
        got.raise_for_status()
    operation = AzureOperation.from_reply(
        Request(URL(sent.url, encoded=True), method=sent.method),
        Reply(got.status_code, got.headers, got.content),
        final_state_via="location",
    )
    async with JobWatcher(AzureOperationsEndpoint(base_url, auth=BearerAuth(token)), timeout_s=3600) as watcher:
        print(await watcher.watch(operation).result())


if __name__ == "__main__":
    asyncio.run(main())
