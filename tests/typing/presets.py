"""What a caller's type checker infers of the presets."""

from __future__ import annotations

from typing import Any, assert_type

from pollwise import JobWatcher
from pollwise.endpoints import kubernetes
from pollwise.endpoints.fhir_bulk_data import (
    BulkExport,
    BulkExportEndpoint,
    BulkExportStatus,
    BulkFileEndpoint,
    BulkFileJob,
    BulkManifest,
)
from pollwise.endpoints.kubernetes import Resource, ResourceStatus
from pollwise.endpoints.mcp_tasks import McpTask, McpTasksEndpoint, McpTaskStatus
from pollwise.endpoints.ogc_processes import ProcessesEndpoint, ProcessJob, ProcessResults, ProcessStatus


async def statuses_and_results_have_their_types() -> None:
    async with JobWatcher(kubernetes.jobs("https://a.example"), timeout_s=60) as objects:
        assert_type(await objects.watch(Resource("a", "b")), ResourceStatus)
    async with JobWatcher(ProcessesEndpoint("https://a.example"), timeout_s=60) as processes:
        assert_type(await processes.watch(ProcessJob("7")), ProcessStatus)
        assert_type(await processes.watch(ProcessJob("7")).result(), ProcessResults)
    async with JobWatcher(BulkExportEndpoint("https://a.example"), timeout_s=60) as exports:
        assert_type(await exports.watch(BulkExport("https://a.example/7")), BulkExportStatus)
        assert_type(await exports.watch(BulkExport("https://a.example/7")).result(), BulkManifest)
    async with JobWatcher(BulkFileEndpoint("https://a.example"), timeout_s=60) as files:
        assert_type(await files.watch(BulkFileJob(manifest_url="https://a.example/7")).result(), list[dict[str, Any]])
    async with JobWatcher(McpTasksEndpoint("https://a.example/mcp"), timeout_s=60) as tasks:
        assert_type(await tasks.watch(McpTask("7")), McpTaskStatus)
        assert_type(await tasks.watch(McpTask("7")).result(), dict[str, Any])
