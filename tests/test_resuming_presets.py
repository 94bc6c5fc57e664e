"""A job of a preset goes on in another process, with what was seen of it before. On real sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pollwise import Cancelled, JobWatcher, Pacing, Succeeded
from pollwise.endpoints import kubernetes
from pollwise.endpoints.fhir_bulk_data import BulkExport, BulkExportEndpoint
from pollwise.endpoints.kubernetes import Resource, ResourceEndpoint
from pollwise.endpoints.ogc_processes import ProcessesEndpoint, ProcessJob
from scripted_server import answer, scripted_server


def pod(uid: str) -> bytes:
    return answer({"metadata": {"name": "a", "namespace": "b", "uid": uid}, "status": {"phase": "Running"}})


GONE = {"kind": "Status", "reason": "NotFound", "details": {"name": "a"}}
NO_SUCH_JOB = {"type": "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/no-such-job"}
DELETED = {"resourceType": "OperationOutcome", "issue": [{"code": "deleted"}]}
NOT_FOUND = "404 Not Found"


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("endpoint_at", "job_at", "path", "before", "after", "outcome"),
    [
        (
            lambda url: ResourceEndpoint(url, "pods", until="delete"),
            lambda _url: Resource("a", "b"),
            "/api/v1/namespaces/b/pods/a",
            pod("u-1"),
            pod("u-2"),
            Succeeded,
        ),
        (
            kubernetes.pods,
            lambda _url: Resource("a", "b"),
            "/api/v1/namespaces/b/pods/a",
            pod("u-1"),
            answer(GONE, status=NOT_FOUND),
            Cancelled,
        ),
        (
            ProcessesEndpoint,
            lambda _url: ProcessJob("a"),
            "/jobs/a",
            answer({"jobID": "a", "status": "running"}),
            answer(NO_SUCH_JOB, status=NOT_FOUND),
            Cancelled,
        ),
        (
            BulkExportEndpoint,
            lambda url: BulkExport(f"{url}/a"),
            "/a",
            answer(None, status="202 Accepted"),
            answer(DELETED, status=NOT_FOUND),
            Cancelled,
        ),
    ],
)
async def test_what_was_seen_of_a_job_goes_along_in_its_token(
    endpoint_at: Callable[[str], Any],
    job_at: Callable[[str], Any],
    path: str,
    before: bytes,
    after: bytes,
    outcome: type[object],
) -> None:
    """So a job that is gone is told from one that was never there."""
    async with scripted_server({f"GET {path}": [before, after]}) as server:
        async with JobWatcher(endpoint_at(server.url), timeout_s=600) as first:
            watch = first.watch(job_at(server.url))
            async for _ in watch:
                break
            token = watch.resume_token
        async with JobWatcher(endpoint_at(server.url), timeout_s=600, pacing=Pacing.fixed(5)) as second:
            events = [event async for event in second.watch_from_token(token)]
    assert isinstance(events[-1], outcome)
