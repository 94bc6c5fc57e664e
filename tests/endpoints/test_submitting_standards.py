"""Jobs of the presets are started and watched: `await watcher.submit(order)`, on real sockets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mcp_server import McpServer, serving
from pollwise import JobFailed, JobWatcher, SqliteLedger
from pollwise.endpoints import kubernetes
from pollwise.endpoints.fhir_bulk_data import BulkExportEndpoint, BulkExportOrder
from pollwise.endpoints.kubernetes import ResourceEndpoint, ResourceOrder
from pollwise.endpoints.mcp_tasks import McpTasksEndpoint, McpToolCall
from pollwise.endpoints.ogc_processes import ProcessesEndpoint, ProcessOrder
from scripted_server import answer, scripted_server

pytestmark = pytest.mark.looptime


async def test_an_object_of_kubernetes_is_created_and_awaited() -> None:
    """It is known by its UID."""
    path = "/apis/batch/v1/namespaces/default/jobs"
    metadata = {"name": "pi-x7", "namespace": "default", "uid": "u-1"}
    done = {"metadata": metadata, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    script = {
        f"POST {path}": [answer({"metadata": metadata}, status="201 Created")],
        f"GET {path}/pi-x7": [answer(done)],
    }
    async with scripted_server(script) as server, JobWatcher(kubernetes.jobs(server.url), timeout_s=600) as watcher:
        watch = await watcher.submit(ResourceOrder({"metadata": {"generateName": "pi-"}}, "default"))
        assert (await watch).uid == watch.job.uid == "u-1"


async def test_a_process_is_executed_and_its_results_are_fetched() -> None:
    """201 with a job."""
    script = {
        "POST /processes/echo/execution": [answer({"jobID": "7", "status": "accepted"}, status="201 Created")],
        "GET /jobs/7": [answer({"jobID": "7", "status": "successful"})],
        "GET /jobs/7/results": [answer({"echo": 1})],
    }
    async with scripted_server(script) as server, JobWatcher(ProcessesEndpoint(server.url), timeout_s=600) as watcher:
        watch = await watcher.submit(ProcessOrder(process_id="echo"))
        assert (await watch.result()).outputs == {"echo": 1}


async def test_a_process_that_ran_at_once_is_over(tmp_path: Path) -> None:
    """Its outputs are the result, also in a later run."""
    script = {"POST /processes/echo/execution": [answer({"echo": 1}, "Link: <http://x.example/1>; rel=echo")]}
    async with scripted_server(script) as server, SqliteLedger(tmp_path / "ledger") as ledger:
        for _ in range(2):
            endpoint = ProcessesEndpoint(server.url)
            async with JobWatcher(endpoint, timeout_s=600, ledger=ledger) as watcher:
                watch = await watcher.submit(ProcessOrder(process_id="echo"), key="key-1")
                results = await watch.result()
            assert results.outputs == {"echo": 1}
            assert results.links == {"echo": "http://x.example/1"}
    assert len(server.lines) == 1


async def test_an_object_that_is_as_awaited_when_it_is_created_is_over() -> None:
    """As for `kubectl wait --for=create`."""
    path = "/apis/batch/v1/namespaces/default/jobs"
    metadata = {"name": "pi-x7", "namespace": "default", "uid": "u-1"}
    script = {f"POST {path}": [answer({"metadata": metadata}, status="201 Created")]}
    async with scripted_server(script) as server:
        endpoint = ResourceEndpoint(server.url, "jobs", until="create", group="batch")
        async with JobWatcher(endpoint, timeout_s=600) as watcher:
            watch = await watcher.submit(ResourceOrder({"metadata": {"name": "pi-x7"}}, "default"))
            assert (await watch).uid == "u-1"
    assert len(server.lines) == 1


async def test_an_export_is_started_once_and_awaited(tmp_path: Path) -> None:
    """With a ledger. `Retry-After` of the start is the first delay."""
    script = {
        "GET /$export": [answer(None, "Content-Location: BASE/status/7", "Retry-After: 9", status="202 Accepted")],
        "GET /status/7": [answer({"requiresAccessToken": False, "output": [{"url": "BASE/1"}]})],
    }
    async with (
        scripted_server(script) as server,
        SqliteLedger(tmp_path / "ledger") as ledger,
        JobWatcher(BulkExportEndpoint(server.url), timeout_s=600, ledger=ledger) as watcher,
    ):
        watch = await watcher.submit(BulkExportOrder(method="GET"))
        assert len((await watch.result()).output) == 1
    assert server.lines[0] == "GET /$export"
    assert len(server.of("GET /$export")) == 1


class OneTool(McpServer):
    """A server whose tool runs at once."""

    failed = False

    def answer(self, data: dict[str, Any], headers: dict[str, str]) -> bytes:
        return self.response(data, {"result": {"content": [{"type": "text", "text": "5 C"}], "isError": self.failed}})


@pytest.mark.parametrize(("revision", "failed"), [("2025-11-25", False), ("2026-07-28", False), ("2026-07-28", True)])
async def test_a_tool_that_ran_at_once_is_over(revision: str, failed: bool) -> None:
    """What it returned is the result."""
    tools = OneTool()
    tools.failed = failed
    async with (
        serving(tools) as server,
        JobWatcher(McpTasksEndpoint(server.url, revision=revision), timeout_s=600) as watcher,
    ):
        watch = await watcher.submit(McpToolCall(name="get_weather"))
        assert (await watch.result())["content"] == [{"type": "text", "text": "5 C"}]
    assert server.methods == ["tools/call"]


async def test_a_tool_that_failed_at_once_is_a_failed_job() -> None:
    """In the older revision, as its task would be. The reason is the tool's."""
    tools = OneTool()
    tools.failed = True
    async with serving(tools) as server, JobWatcher(McpTasksEndpoint(server.url), timeout_s=600) as watcher:
        watch = await watcher.submit(McpToolCall(name="get_weather"))
        with pytest.raises(JobFailed) as caught:
            await watch
    assert caught.value.reason == "5 C"


class Tools(McpServer):
    def answer(self, data: dict[str, Any], headers: dict[str, str]) -> bytes:
        task = {"taskId": "7", "status": "completed"}
        found = {
            "tools/call": {"task": {**task, "status": "working"}},
            "tasks/get": task,
            "tasks/result": {"content": []},
        }
        return self.response(data, {"result": found[data["method"]]})


async def test_a_tool_is_called_as_a_task_and_its_result_is_fetched() -> None:
    """Three methods of MCP."""
    async with serving(Tools()) as server, JobWatcher(McpTasksEndpoint(server.url), timeout_s=600) as watcher:
        watch = await watcher.submit(McpToolCall(name="get_weather"))
        assert await watch.result() == {"content": []}
    assert server.methods == ["tools/call", "tasks/get", "tasks/result"]
