"""A session of MCP is opened before the first request, and again when the server has ended it. On real sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mcp_server import McpServer, serving
from pollwise import BearerAuth, ConfigurationError, JobWatcher, Pacing
from pollwise.endpoints.mcp_tasks import McpSession, McpTask, McpTasksEndpoint
from pollwise.errors import AuthenticationError, PollwiseError
from raw_server import reply as raw_reply
from toy import ToyAuth

pytestmark = pytest.mark.looptime

INITIALIZED: dict[str, Any] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tasks": {"cancel": {}, "requests": {"tools": {"call": {}}}}},
    "serverInfo": {"name": "ExampleServer", "version": "1.0.0"},
}


class Server(McpServer):
    """Opens sessions, and knows the tasks of the newest one."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions = 0
        self.polls = 0
        self.initialized: dict[str, Any] = INITIALIZED

    def answer(self, data: dict[str, Any], headers: dict[str, str]) -> bytes:
        if data["method"] == "initialize":
            self.sessions += 1
            return self.response(data, {"result": self.initialized}, f"MCP-Session-Id: session-{self.sessions:04}")
        if headers.get("mcp-session-id") != f"session-{self.sessions:04}":
            return raw_reply(b'{"error": {"code": -32001, "message": "Session not found"}}', status="404 Not Found")
        if "id" not in data:
            return self.accepted()
        self.polls += 1
        status = "completed" if self.polls >= 3 else "working"
        return self.response(data, {"result": {"taskId": "7", "status": status, "createdAt": "2025-11-25T10:30:00Z"}})


def watcher_of(server: Server, auth: Any = None) -> Any:
    endpoint = McpTasksEndpoint(server.url, auth=McpSession(server.url, auth=auth))
    return JobWatcher(endpoint, timeout_s=600, pacing=Pacing.fixed(5))


HANDSHAKE = ["initialize", "notifications/initialized"]


async def test_a_session_is_opened_once_and_named_in_each_request() -> None:
    """`initialize`, `notifications/initialized`, and then the task."""
    async with serving(Server()) as server, watcher_of(server, BearerAuth("t0ken-of-a-test")) as watcher:
        status = await watcher.watch(McpTask("7"))
    assert server.methods == [*HANDSHAKE, *["tasks/get"] * 3]
    assert {headers.get("mcp-session-id") for _, headers in server.asked[1:]} == {"session-0001"}
    assert {headers.get("mcp-protocol-version") for _, headers in server.asked[1:]} == {"2025-11-25"}
    assert {headers.get("authorization") for _, headers in server.asked} == {"Bearer t0ken-of-a-test"}
    assert status.created_at == "2025-11-25T10:30:00Z"  # which begins with the revision


async def test_a_session_that_has_ended_is_opened_again() -> None:
    """404 costs one handshake, also for two tasks at once."""
    async with serving(Server()) as server, watcher_of(server) as watcher:
        watches = [watcher.watch(McpTask("7"))]
        async for _ in watches[0]:
            server.sessions += 1  # the server has forgotten the one it gave
            break
        await asyncio.gather(*watches)
    assert server.methods == [*HANDSHAKE, "tasks/get", "tasks/get", *HANDSHAKE, "tasks/get", "tasks/get"]


async def test_a_session_that_ends_between_two_calls_costs_one_handshake_each() -> None:
    """Before a result is fetched, and before a cancellation is sent."""
    async with serving(Server()) as server, watcher_of(server) as watcher:
        watch = watcher.watch(McpTask("7"))
        async for _ in watch:
            server.sessions += 1
            break
        assert await watch.cancel()
        await watch
        server.sessions += 1
        assert (await watch.result())["taskId"] == "7"
    first = [*HANDSHAKE, "tasks/get", "tasks/cancel", *HANDSHAKE, "tasks/cancel"]
    assert server.methods[: len(first)] == first
    assert server.methods[-4:] == ["tasks/result", *HANDSHAKE, "tasks/result"]


async def test_refused_credentials_are_renewed_within_the_handshake() -> None:
    """401 at `initialize`, or at a poll later."""

    def refuse(_method: str, headers: dict[str, str]) -> bytes | None:
        return raw_reply(b"", status="401 Unauthorized") if headers["authorization"] == "0" else None

    async with serving(Server()) as server, watcher_of(server, ToyAuth()) as watcher:
        server.refuse = refuse
        await watcher.watch(McpTask("7"))
    assert server.methods[:3] == ["initialize", *HANDSHAKE]
    assert {headers["authorization"] for _, headers in server.asked[1:]} == {"1"}


@pytest.mark.parametrize(
    ("initialized", "why"),
    [({**INITIALIZED, "protocolVersion": "2025-03-26"}, "speaks revision '2025-03-26'"), ({}, "speaks revision null")],
)
async def test_another_revision_is_told(initialized: dict[str, Any], why: str) -> None:
    """Its tasks would mean something else."""
    async with serving(Server()) as server, watcher_of(server) as watcher:
        server.initialized = initialized
        with pytest.raises(AuthenticationError, match=why):
            await watcher.watch(McpTask("7"))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (raw_reply(b"", status="404 Not Found"), "HTTP 404"),
        (raw_reply(b"", status="401 Unauthorized"), "HTTP 401"),
        (raw_reply(b'{"error": {"code": -32602, "message": "Unsupported"}}', status="400 Bad Request"), "Unsupported"),
        (raw_reply(b'{"error": {"code": -32602, "message": "Unsupported"}}'), "Unsupported"),
        (raw_reply(b'{"id": 0, "result": {"protocolVersion": "2025-11-25"}}'), "no sessions"),
    ],
)
async def test_a_session_that_cannot_be_opened_is_told(answer: bytes, why: str) -> None:
    """In the server's words."""
    async with serving(Server()) as server, watcher_of(server) as watcher:
        accepted = raw_reply(b"", status="202 Accepted")
        server.refuse = lambda method, _headers: answer if method == "initialize" else accepted
        with pytest.raises(AuthenticationError, match=why):
            await watcher.watch(McpTask("7"))


async def test_a_server_that_is_down_is_asked_again() -> None:
    """503 at the handshake is no refusal."""
    left = [raw_reply(b"", status="503 Service Unavailable")]
    async with serving(Server()) as server, watcher_of(server) as watcher:
        server.refuse = lambda _method, _headers: left.pop() if left else None
        assert (await watcher.watch(McpTask("7"))).status == "completed"


async def test_a_refused_notification_opens_no_session() -> None:
    """The handshake has two steps."""
    async with serving(Server()) as server, watcher_of(server) as watcher:
        server.refuse = lambda method, _headers: (
            raw_reply(b"", status="400 Bad Request") if method.startswith("notif") else None
        )
        with pytest.raises(PollwiseError, match="HTTP 400"):
            await watcher.watch(McpTask("7"))


def test_the_url_is_checked_and_shown_without_secrets() -> None:
    """When the session is made."""
    with pytest.raises(ConfigurationError):
        McpSession("mcp.example.com")
    assert "***" in repr(McpSession("https://mcp.example.com/mcp", auth=BearerAuth("t0ken-of-a-test")))
