"""The vendors' further jobs, as a caller's type checker sees them. Checked by mypy --strict and pyright; never run."""

from __future__ import annotations

from typing import assert_type

from pollwise import BearerAuth, JobWatcher
from pollwise.endpoints.document360.v3 import ExportV3Endpoint, ExportV3Job, ExportV3Order, ExportV3Status
from pollwise.endpoints.oracle_content.downloads import DownloadEndpoint, DownloadJob, DownloadStatus
from pollwise.endpoints.oracle_content.management import BulkOperationEndpoint, BulkOperationJob, ManagementJobStatus
from pollwise.model.messages import Reply


async def results_are_bytes() -> None:
    export = JobWatcher(ExportV3Endpoint("https://example.com", auth=BearerAuth("token")), timeout_s=600)
    assert_type(await export.watch(ExportV3Job("p", "e")), ExportV3Status)
    assert_type(await export.watch(ExportV3Job("p", "e")).result(), bytes)
    download = JobWatcher(DownloadEndpoint("https://example.com"), timeout_s=600)
    assert_type(await download.watch(DownloadJob("f", "j")), DownloadStatus)
    assert_type(await download.watch(DownloadJob("f", "j")).result(), bytes)


async def a_bulk_operation_has_no_result() -> None:
    watcher = JobWatcher(BulkOperationEndpoint("https://example.com"), timeout_s=600)
    assert_type(await watcher.watch(BulkOperationJob("j")), ManagementJobStatus)


def a_start_gives_the_job(endpoint: ExportV3Endpoint, order: ExportV3Order, reply: Reply) -> None:
    assert_type(endpoint.read_submitted(order, reply), ExportV3Job)
