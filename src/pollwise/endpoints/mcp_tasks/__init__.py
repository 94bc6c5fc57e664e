"""Tasks of the Model Context Protocol (MCP): call a tool as a task, await it, fetch its result, cancel it.

    endpoint = McpTasksEndpoint(url, auth=McpSession(url))
    async with JobWatcher(endpoint, timeout_s=3600) as watcher:
        result = await watcher.watch(McpTask("786512e2-9e0d-44bd-8f29-789f320fe840")).result()

Supported are Streamable HTTP with POST, and two revisions:

- 2025-11-25, where tasks are experimental: `tasks/get`, `tasks/result` and `tasks/cancel`, with or without a session;
- 2026-07-28 with the extension `io.modelcontextprotocol/tasks`, whose results are in the task, and which has no sessions.

A reply may be JSON, or an event stream that ends: its one response is read, and requests and notifications before it are passed
over. Not supported are answers to `inputRequests`, notifications, streams that are resumed with `Last-Event-ID`, GET streams,
and stdio.

Source: modelcontextprotocol.io, specification 2025-11-25 (Tasks; Transports; Lifecycle) and 2026-07-28 (Streamable HTTP), and
github.com/modelcontextprotocol/ext-tasks (`specification/draft/tasks.md`). No server was asked.
"""

from __future__ import annotations

from pollwise.endpoints.mcp_tasks.endpoint import McpTasksEndpoint
from pollwise.endpoints.mcp_tasks.session import McpSession
from pollwise.endpoints.mcp_tasks.tasks import McpTask, McpTaskStatus, McpToolCall

__all__ = ["McpSession", "McpTask", "McpTaskStatus", "McpTasksEndpoint", "McpToolCall"]
