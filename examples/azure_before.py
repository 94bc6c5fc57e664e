"""Before: azure-core starts a long-running operation, and its LROPoller awaits it."""

from __future__ import annotations

import asyncio
import os

from azure.core import AsyncPipelineClient
from azure.core.pipeline.policies import HeadersPolicy, RequestIdPolicy
from azure.core.polling import AsyncLROPoller
from azure.core.polling.async_base_polling import AsyncLROBasePolling
from azure.core.rest import HttpRequest


async def main() -> None:
    base_url, token = os.environ["AZURE_BASE_URL"], os.environ["AZURE_TOKEN"]
    policies = [RequestIdPolicy(), HeadersPolicy({"Authorization": f"Bearer {token}"})]
    async with AsyncPipelineClient(base_url, policies=policies) as client:
        sent = HttpRequest("PUT", f"{base_url}/things/7?api-version=1", json={"size": 3})
        started = await client.send_request(sent, _return_pipeline_response=True)
        poller = AsyncLROPoller(
            client,
            started,
            lambda response: response.http_response.json(),
            AsyncLROBasePolling(timeout=30, lro_options={"final-state-via": "location"}),
        )
        print(await poller.result())


if __name__ == "__main__":
    asyncio.run(main())
