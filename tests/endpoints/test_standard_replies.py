"""The presets for Kubernetes, OGC API - Processes, FHIR bulk data and MCP tasks, with replies of any kind."""

from __future__ import annotations

import contextlib
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from pollwise import Phase, PollwiseError, Reply, Request
from pollwise.endpoints import kubernetes
from pollwise.endpoints.fhir_bulk_data import (
    BulkExport,
    BulkExportEndpoint,
    BulkExportOrder,
    BulkFileEndpoint,
    BulkFileJob,
)
from pollwise.endpoints.kubernetes import Resource, ResourceEndpoint, ResourceOrder
from pollwise.endpoints.mcp_tasks import McpTask, McpTasksEndpoint, McpToolCall
from pollwise.endpoints.ogc_processes import ProcessesEndpoint, ProcessJob, ProcessOrder
from pollwise.errors import ConfigurationError, PollError, WatchError
from pollwise.model.submitting import Submitted

BASE = "https://api.example.com"
PRESETS: list[tuple[Any, Any, Any]] = [
    (kubernetes.deployments(BASE), Resource("a", "b"), ResourceOrder({"metadata": {"name": "a"}}, "b")),
    (ResourceEndpoint(BASE, "pods", until="delete"), Resource("a", "b", "u-1"), ResourceOrder({}, "b")),
    (ProcessesEndpoint(BASE), ProcessJob("a"), ProcessOrder(process_id="a")),
    (BulkExportEndpoint(BASE), BulkExport(f"{BASE}/a"), BulkExportOrder()),
    (BulkFileEndpoint(BASE), BulkFileJob(manifest_url=f"{BASE}/a"), None),
    (McpTasksEndpoint(BASE), McpTask("a"), McpToolCall(name="a")),
    (McpTasksEndpoint(BASE, revision="2026-07-28"), McpTask("a"), McpToolCall(name="a")),
]
KEYS = [
    *(
        "kind",
        "metadata",
        "name",
        "namespace",
        "uid",
        "generation",
        "status",
        "conditions",
        "type",
        "reason",
        "details",
    ),
    *("jobID", "id", "progress", "links", "href", "rel", "title", "detail", "exception", "message"),
    *("requiresAccessToken", "output", "url", "link", "relation", "resourceType", "issue", "code", "diagnostics"),
    *("jsonrpc", "result", "error", "task", "taskId", "pollInterval", "ttlMs", "resultType"),
]
WORDS = [
    *("a", "b", "u-1", "Status", "NotFound", "Expired", "True", "Available", "Progressing", "ProgressDeadlineExceeded"),
    *(
        "successful",
        "dismissed",
        "next",
        "http://x:99999999/",
        "OperationOutcome",
        "transient",
        "completed",
        "task",
        "",
    ),
]
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.sampled_from(WORDS)
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner), max_leaves=12
)
BODIES = (
    JSON.map(orjson.dumps) | JSON.map(lambda data: b"data: " + orjson.dumps(data) + b"\n\n") | st.binary(max_size=40)
)
FIELDS = {
    "Content-Type": ["application/json", "text/event-stream", "text/html"],
    "Location": [f"{BASE}/jobs/a", "http://x:99999999/", "/..", ""],
    "Content-Location": [f"{BASE}/a", "http://x:99999999/", "//", "\u00e9", ""],
    "Link": ['<a>; rel="monitor"', "<", "<a>;rel=next"],
    "X-Export-Status": ["202", "200 OK", "500", "x", "099"],
    "X-Progress": ["30%", "999999999%", "."],
    "Retry-After": ["7"],
}
REPLIES = st.builds(
    Reply,
    st.sampled_from([200, 201, 202, 204, 304, 400, 403, 404, 410, 500, 503]),
    st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in FIELDS.items()}),
    BODIES,
    st.sampled_from([None, Request(URL(f"{BASE}/a"), {}, "POST", b'{"id": 1, "params": {"taskId": "a"}}')]),
)


@given(
    preset=st.sampled_from(PRESETS),
    reply=REPLIES,
    cursor=st.sampled_from([None, "seen", {"uid": "u-1", "ttlSecondsAfterFinished": 7}, 7]),
)
def test_any_reply_is_read_or_has_a_typed_error(preset: tuple[Any, Any, Any], reply: Reply, cursor: Any) -> None:
    """No reply raises anything else, and what was read can be kept."""
    endpoint, job, order = preset
    given_cursor = {} if isinstance(endpoint, McpTasksEndpoint) else {"cursor": cursor}
    with contextlib.suppress(PollError, WatchError):
        reading = endpoint.read_for(job, reply, **given_cursor)
        kept = endpoint.codec.status_to_json(reading.status)
        assert endpoint.codec.status_from_json(orjson.loads(orjson.dumps(kept))) == reading.status
        if reading.phase is Phase.SUCCEEDED and not endpoint.name.endswith("delete"):
            assert 200 <= reply.status < 300
            with contextlib.suppress(ConfigurationError):  # such as a file at an origin without credentials
                getattr(endpoint, "result_request", lambda _job, _status: None)(job, reading.status)
    with contextlib.suppress(PollError, WatchError):
        getattr(endpoint, "read_result", lambda _reply: None)(reply)
    if order is not None:
        with contextlib.suppress(PollError, WatchError):
            started = endpoint.read_submitted(order, reply)
            started_job = started.job if isinstance(started, Submitted) else started
            assert endpoint.codec.job_from_keys(endpoint.codec.job_to_keys(started_job)) == started_job
    with contextlib.suppress(PollwiseError):
        getattr(endpoint, "read_cancelled", lambda _reply: None)(reply)
    endpoint.problem(reply)
