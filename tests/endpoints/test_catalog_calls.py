"""What the entries of the catalog can do beyond their status call: start a job, stop it, and fetch what it made.

The replies are written anew, with the fields that each vendor documents; the source is named in `catalog.toml`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest

from pollwise import Cancelled, JobWatcher, Pacing
from pollwise.endpoints.catalog import catalog, from_catalog
from pollwise.endpoints.declared import DeclaredEndpoint
from pollwise.errors import ConfigurationError, JobCancelled
from pollwise.http.auth import BearerAuth
from pollwise.model.messages import Reply, Request
from pollwise.model.results import ResultPage
from raw_server import Line, raw_server
from raw_server import reply as raw

SAMPLES = Path(__file__).parents[1] / "samples" / "catalog"
DECLARING = Path(__file__).parents[2] / "docs" / "declaring.md"
BASE = "https://api.example.com"


@attrs.frozen(kw_only=True)
class Calls:
    """The documented calls of one entry.

    Attributes:
        keys: A job.
        cancel: Method and path of the cancel request, and its JSON.
        order: An order.
        submit: Method and path of the start.
        body: The JSON of the start, if it is not the order.
        started: The reply to the start.
        result: Method and URL of the request for the result, with the sample `succeeded.json`; or the result itself.
    """

    keys: dict[str, Any]
    cancel: tuple[str, Any] | None = None
    order: dict[str, Any] = attrs.field(factory=dict)
    submit: str | None = None
    body: Any = None
    started: Any = None
    result: Any = None


BATCH = {"input_file_id": "file-1", "endpoint": "/v1/responses", "completion_window": "24h"}
DOCUMENTED: dict[str, Calls] = {
    "openai-batch": Calls(
        keys={"id": "batch_7"},
        cancel=("POST /v1/batches/batch_7/cancel", None),
        order=BATCH,
        submit="POST /v1/batches",
        started={"id": "batch_7", "object": "batch", "status": "validating", **BATCH},
        result=f"GET {BASE}/v1/files/file-2/content",
    ),
    "openai-fine-tune": Calls(
        keys={"id": "ftjob-7"},
        cancel=("POST /v1/fine_tuning/jobs/ftjob-7/cancel", None),
        order={"model": "gpt-4.1-mini", "training_file": "file-1"},
        submit="POST /v1/fine_tuning/jobs",
        started={"id": "ftjob-7", "object": "fine_tuning.job", "status": "validating_files"},
        result=["ft:gpt-4.1-mini:acme::7"],
    ),
    "anthropic-batch": Calls(
        keys={"id": "msgbatch_7"},
        cancel=("POST /v1/messages/batches/msgbatch_7/cancel", None),
        order={"requests": [{"custom_id": "1", "params": {"model": "claude", "max_tokens": 9, "messages": []}}]},
        submit="POST /v1/messages/batches",
        started={"id": "msgbatch_7", "type": "message_batch", "processing_status": "in_progress"},
        result="GET https://api.anthropic.com/v1/messages/batches/msgbatch_7/results",
    ),
    "replicate": Calls(
        keys={"id": "p7"},
        cancel=("POST /v1/predictions/p7/cancel", None),
        order={"version": "5c7d", "input": {"prompt": "a boat"}},
        submit="POST /v1/predictions",
        started={"id": "p7", "status": "starting"},
        result=[["https://replicate.delivery/p7.png"]],
    ),
    "github-run": Calls(
        keys={"owner": "acme", "repo": "site", "run_id": 30433642},
        cancel=("POST /repos/acme/site/actions/runs/30433642/cancel", None),
    ),
    "databricks-run": Calls(
        keys={"run_id": 455644833},
        cancel=("POST /api/2.2/jobs/runs/cancel", {"run_id": 455644833}),
        order={"job_id": 11, "job_parameters": {"day": "2026-11-29"}},
        submit="POST /api/2.2/jobs/run-now",
        body={"job_id": 11, "job_parameters": {"day": "2026-11-29"}, "idempotency_token": "k"},
        started={"run_id": 455644833, "number_in_job": 455644833},
        result=f"GET {BASE}/api/2.2/jobs/runs/get-output?run_id=455644833",
    ),
    "salesforce-query": Calls(
        keys={"id": "750R0000000zlh9IAA"},
        cancel=("PATCH /services/data/v61.0/jobs/query/750R0000000zlh9IAA", {"state": "Aborted"}),
        order={"operation": "query", "query": "SELECT Id FROM Account"},
        submit="POST /services/data/v61.0/jobs/query",
        started={"id": "750R0000000zlh9IAA", "operation": "query", "state": "UploadComplete"},
    ),
    "bigquery": Calls(
        keys={"project": "acme", "location": "EU", "id": "job_7"},
        cancel=("POST /bigquery/v2/projects/acme/jobs/job_7/cancel?location=EU", None),
        order={
            "jobReference": {"projectId": "acme", "location": "EU"},
            "configuration": {"query": {"query": "SELECT 1"}},
        },
        submit="POST /bigquery/v2/projects/acme/jobs",
        started={
            "kind": "bigquery#job",
            "jobReference": {"projectId": "acme", "location": "EU", "jobId": "job_7"},
            "status": {"state": "RUNNING"},
        },
        result=f"GET {BASE}/bigquery/v2/projects/acme/queries/job_7?location=EU",
    ),
    "apify": Calls(
        keys={"run_id": "HG7ML7M8z78YcAPEB"},
        cancel=("POST /v2/actor-runs/HG7ML7M8z78YcAPEB/abort", None),
        order={"actor": "acme~crawler", "input": {"startUrls": ["https://example.com"]}},
        submit="POST /v2/acts/acme~crawler/runs",
        body={"startUrls": ["https://example.com"]},
        started={"data": {"id": "HG7ML7M8z78YcAPEB", "status": "READY"}},
        result=f"GET {BASE}/v2/datasets/d1/items",
    ),
    "assemblyai": Calls(
        keys={"id": "t7"},
        order={"audio_url": "https://example.com/talk.mp3"},
        submit="POST /v2/transcript",
        started={"id": "t7", "status": "queued"},
        result=["Good morning."],
    ),
    "stripe-report": Calls(keys={"id": "frr_7"}, result="GET https://files.stripe.com/v1/files/file_7/contents"),
    "kubernetes-job": Calls(
        keys={"namespace": "etl", "name": "load"},
        cancel=("DELETE /apis/batch/v1/namespaces/etl/jobs/load?propagationPolicy=Background", None),
        order={
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"namespace": "etl", "name": "load"},
            "spec": {"template": {}},
        },
        submit="POST /apis/batch/v1/namespaces/etl/jobs",
        started={"kind": "Job", "metadata": {"namespace": "etl", "name": "load", "uid": "4"}, "spec": {}, "status": {}},
    ),
    "elasticsearch-task": Calls(
        keys={"task_id": "oTUltX4I:124"},
        cancel=("POST /_tasks/oTUltX4I%3A124/_cancel", None),
        order={"source": {"index": "old"}, "dest": {"index": "new"}},
        submit="POST /_reindex?wait_for_completion=false",
        started={"task": "oTUltX4I:124"},
        result=[{"took": 9, "total": 200, "created": 200, "failures": []}],
    ),
    "airbyte": Calls(
        keys={"job_id": 7},
        cancel=("DELETE /v1/jobs/7", None),
        order={"connectionId": "18dc", "jobType": "sync"},
        submit="POST /v1/jobs",
        started={"jobId": 7, "status": "pending", "jobType": "sync"},
    ),
}


def endpoint_of(name: str, base_url: str = BASE) -> DeclaredEndpoint[Any]:
    return from_catalog(name, auth=BearerAuth("s3cr3t-s3cr3t"), base_url=base_url)


def line_of(request: Request) -> str:
    return f"{request.method} {request.url.raw_path_qs}"


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_job_can_be_started(name: str) -> None:
    """By the documented request. The documented reply has the job. Entries without a start have no such method."""
    calls, endpoint = DOCUMENTED[name], endpoint_of(name)
    assert hasattr(endpoint, "submit_request") is (calls.submit is not None)
    if calls.submit is None:
        return
    request = endpoint.submit_request(calls.order, "k")
    assert line_of(request) == calls.submit
    assert orjson.loads(request.body or b"") == (calls.order if calls.body is None else calls.body)
    assert request.is_idempotent is (name == "databricks-run")  # it alone documents a key
    job = endpoint.read_submitted(calls.order, Reply(200, {}, orjson.dumps(calls.started), request))
    assert job == endpoint.job(**calls.keys)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_job_can_be_cancelled(name: str) -> None:
    """By the documented request, with the header fields of the status call."""
    calls, endpoint = DOCUMENTED[name], endpoint_of(name)
    assert hasattr(endpoint, "cancel_request") is (calls.cancel is not None)
    if calls.cancel is None:
        return
    line, body = calls.cancel
    job = endpoint.job(**calls.keys)
    request = endpoint.cancel_request(job, None)
    assert line_of(request) == line
    assert (None if request.body is None else orjson.loads(request.body)) == body
    assert request.headers.items() >= endpoint.request(job).headers.items()


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_result_is_where_the_vendor_has_it(name: str) -> None:
    """At the documented URL, or in the status."""
    calls, endpoint = DOCUMENTED[name], endpoint_of(name)
    assert hasattr(endpoint, "result_request") is (calls.result is not None)
    if calls.result is None:
        return
    status = json.loads((SAMPLES / name / "succeeded.json").read_text(encoding="utf-8"))
    made = endpoint.result_request(endpoint.job(**calls.keys), status)
    if isinstance(calls.result, list):
        assert made == ResultPage(*calls.result)
    else:
        assert f"{made.method} {made.url}" == calls.result


def test_every_entry_is_here() -> None:
    """And docs/declaring.md says what each can do."""
    assert list(DOCUMENTED) == list(catalog())
    page = DECLARING.read_text(encoding="utf-8").splitlines()
    for name, calls in DOCUMENTED.items():
        [row] = [line for line in page if line.startswith(f"| [{name}](")]
        can = {"submit": calls.submit, "cancel": calls.cancel, "result": calls.result}
        assert row.split(" | ")[-1].rstrip(" |") == ", ".join(word for word, there in can.items() if there is not None)


def test_a_batch_without_an_output_file_says_so() -> None:
    """OpenAI makes none if each request has failed."""
    endpoint = endpoint_of("openai-batch")
    with pytest.raises(ConfigurationError, match="no text or whole number at output_file_id"):
        endpoint.result_request(endpoint.job(id="batch_7"), {"id": "batch_7", "output_file_id": None})


def batch(label: str) -> bytes:
    return raw((SAMPLES / "openai-batch" / f"{label}.json").read_bytes())


@pytest.mark.looptime
async def test_a_batch_runs_to_its_result() -> None:
    """Two polls, then the file. Each request has the credentials."""
    left = [batch("running"), batch("succeeded"), raw(b'{"custom_id": "1"}\n')]
    async with raw_server(lambda line: line.say(left.pop(0))) as server:
        endpoint = endpoint_of("openai-batch", server.url)
        async with JobWatcher(endpoint, timeout_s=600.0, pacing=Pacing.fixed(30.0)) as watcher:
            watch = watcher.watch(endpoint.job(id="batch_7"))
            assert await watch.result() == b'{"custom_id": "1"}\n'
    assert [request.split(b" HTTP")[0] for request in server.requests] == [
        b"GET /v1/batches/batch_7",
        b"GET /v1/batches/batch_7",
        b"GET /v1/files/file-2/content",
    ]
    assert all(b"Authorization: Bearer s3cr3t-s3cr3t\r\n" in request for request in server.requests)


@pytest.mark.looptime
async def test_a_batch_is_cancelled() -> None:
    """OpenAI calls it cancelling first, which runs; then cancelled."""

    def answer(line: Line) -> None:
        asked = [request.split(b" ")[0] for request in server.requests]
        after = asked[::-1].index(b"POST") if b"POST" in asked else None
        line.say(batch("running" if after is None else "cancelled" if after > 1 else "running-cancelling"))

    async with raw_server(answer) as server:
        endpoint = endpoint_of("openai-batch", server.url)
        async with JobWatcher(endpoint, timeout_s=600.0, pacing=Pacing.fixed(30.0)) as watcher:
            watch = watcher.watch(endpoint.job(id="batch_7"))
            await server.received()
            assert await watch.cancel() is True
            with pytest.raises(JobCancelled):
                await watch
            assert isinstance(watch.outcome, Cancelled)
