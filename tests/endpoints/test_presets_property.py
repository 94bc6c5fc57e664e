"""Whatever a server sends, a preset makes a reading of it or calls it malformed."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from yarl import URL

from pollwise import Phase, Reply, Request
from pollwise.endpoints.aip151 import GoogleOperation, GoogleOperationsEndpoint, GoogleOrder
from pollwise.endpoints.azure import AzureOperation, AzureOperationsEndpoint, FinalStateVia, Monitor
from pollwise.endpoints.http_async import AcceptedJob, HttpAsyncEndpoint, Order
from pollwise.errors import MalformedReply

BASE = "https://api.example.com"
AZURE, GOOGLE = AzureOperationsEndpoint(BASE), GoogleOperationsEndpoint(BASE)
ACCEPTED = [HttpAsyncEndpoint(BASE, gone="failed", failed={422}), HttpAsyncEndpoint(BASE, raw=True, gone="succeeded")]
KEYS = [
    "status",
    "properties",
    "provisioningState",
    "error",
    "code",
    "message",
    "percentComplete",
    "resourceLocation",
    "done",
    "name",
    "response",
    "metadata",
    "progressPercent",
    "title",
    "detail",
]
WORDS = st.sampled_from(
    ["Succeeded", "failed", "Running", "operations/7", "", "/x", "http://x:abc/", "SUCCEEDED", "a" * 2_000]
)
URLS = st.sampled_from(
    ["/a", f"{BASE}/1", "http://[", "http://x:abc/", "//", "?", "a b", "ftp://x/y", "mailto:a@b", "\x00", "ä"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 101) | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)
BODIES = st.sampled_from([b"", b"{", b"\xff", b"<p>"]) | VALUES.map(orjson.dumps)
FIELDS = st.dictionaries(
    st.sampled_from(["Operation-Location", "Azure-AsyncOperation", "location", "Retry-After"]), URLS
)
REQUESTS = st.builds(Request, st.just(URL(f"{BASE}/a/b?c=d")), method=st.sampled_from(["PUT", "POST", "DELETE"]))
CODES = st.sampled_from([200, 201, 202, 203, 204, 301, 303, 400, 404, 409, 410, 422])
REPLIES = st.builds(Reply, CODES, FIELDS.map(CIMultiDict), BODIES, st.none() | REQUESTS)


def _tried(call: Any, *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except MalformedReply:
        return None


@given(REPLIES, REQUESTS, st.sampled_from(Monitor), st.sampled_from(FinalStateVia))
def test_azure(reply: Reply, request: Request, monitor: Monitor, via: FinalStateVia) -> None:
    """A success is never made of a refusal, and what is kept comes back as it was."""
    job = _tried(lambda: AzureOperation.from_reply(request, reply, final_state_via=via))
    if job is None:
        job = AzureOperation(
            url=f"{BASE}/1", method="PUT", request_url=f"{BASE}/2", monitor=monitor, final_state_via=via
        )
    assert AZURE.codec.job_from_keys(AZURE.codec.job_to_keys(job)) == job
    AZURE.problem(reply)
    reading = _tried(AZURE.read_for, job, reply)
    if reading is None:
        return
    assert reply.status < 300 or reading.phase is Phase.FAILED
    data = orjson.loads(orjson.dumps(AZURE.codec.status_to_json(reading.status)))
    assert AZURE.codec.status_from_json(data) == reading.status
    if reading.phase is Phase.SUCCEEDED:
        AZURE.result_request(job, reading.status)


@given(REPLIES, st.sampled_from(ACCEPTED))
def test_http_async(reply: Reply, endpoint: HttpAsyncEndpoint) -> None:
    """202 is never an end, and a refusal is one only if the endpoint says so."""
    endpoint.problem(reply)
    if 200 <= reply.status < 300:
        _tried(endpoint.read_submitted, Order("POST", "/x"), reply)
        _tried(endpoint.read_result, reply)
    elif reply.status not in endpoint.answer_statuses:
        return
    reading = _tried(endpoint.read, reply)
    if reading is not None and reading.final:
        assert reply.status != 202
        endpoint.result_request(AcceptedJob(BASE), reading.status)


@given(REPLIES)
def test_aip151(reply: Reply) -> None:
    """A success has a response, and no error."""
    GOOGLE.problem(reply)
    _tried(GOOGLE.read_submitted, GoogleOrder("POST", "/x"), reply)
    _tried(GOOGLE.read_result, reply)
    reading = _tried(GOOGLE.read_for, GoogleOperation("operations/7"), reply)
    if reading is None:
        return
    data = orjson.loads(orjson.dumps(GOOGLE.codec.status_to_json(reading.status)))
    assert GOOGLE.codec.status_from_json(data) == reading.status
    if reading.phase is Phase.SUCCEEDED:
        assert reading.status.done
        assert isinstance(reading.status.response, dict)
        assert reading.status.error is None
