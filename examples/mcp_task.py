"""Await a task of an MCP server, tell when it waits for an answer, and get its result."""

from __future__ import annotations

import asyncio
import os

from pollwise import JobWatcher, Phase, Progressed
from pollwise.endpoints.mcp_tasks import McpSession, McpTask, McpTasksEndpoint


async def main() -> None:
    url = os.environ["MCP_URL"]  # such as https://example.com/mcp
    endpoint = McpTasksEndpoint(url, auth=McpSession(url))
    async with JobWatcher(endpoint, timeout_s=3600) as watcher:
        watch = watcher.watch(McpTask(os.environ["MCP_TASK"]))
        async for event in watch:
            if isinstance(event, Progressed) and event.phase is Phase.WAITING_FOR_INPUT:
                print("waits:", event.status.status_message)
        print((await watch.result())["content"])


if __name__ == "__main__":
    asyncio.run(main())
