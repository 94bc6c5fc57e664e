"""The scenarios of azure-core's and azure-mgmt-core's own polling tests, with a watcher of ours. Only the facts are theirs.

Sources: sdk/core/azure-core/tests/async_tests/test_base_polling_async.py, and the same for Azure Resource Manager in
sdk/core/azure-mgmt-core/tests/asynctests/test_async_arm_polling.py, of Azure/azure-sdk-for-python.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from yarl import URL

from azure_core_script import BASE, RESOURCE, Answer
from pollwise import Abandoned, JobWatcher, Pacing, Retry, Succeeded
from pollwise.endpoints.azure import AzureOperation, AzureOperationsEndpoint, Monitor
from pollwise.errors import ConfigurationError, ConnectFailed, MalformedReply, PollwiseError
from pollwise.model.messages import Reply, Request
from pollwise.testing import ScriptedTransport, reply

pytestmark = pytest.mark.looptime

LOCATION, MONITOR, NAMED = f"{BASE}/location", f"{BASE}/async_monitor", f"{BASE}/resource_location"
BOTH = {"location": LOCATION, "operation-location": MONITOR}
SUCCEEDED = {"properties": {"provisioningState": "Succeeded"}}
FOO = {"name": "foo"}


def started(
    method: str, status: int, headers: Mapping[str, str] | None = None, body: Any = None, via: str = "default"
) -> AzureOperation:
    answer = Answer(status, body, headers or {})
    request = Request(URL(RESOURCE, encoded=True), method=method)
    return AzureOperation.from_reply(
        request, Reply(answer.status, answer.headers, answer.content, request), final_state_via=via
    )


async def watched(job: AzureOperation, **answers: Any) -> tuple[Any, list[str]]:
    """The result, or the outcome if there is none, and the last segment of the path of each request."""

    def answer(request: Request) -> Any:
        found = answers[request.url.name]
        if isinstance(found, Answer):
            return Reply(found.status, reply().headers, found.content)
        return found if isinstance(found, PollwiseError) else reply(found)

    transport = ScriptedTransport(answer)
    options: dict[str, Any] = {"timeout_s": 600.0, "pacing": Pacing.fixed(5.0), "retry": Retry(outage_s=30.0)}
    async with JobWatcher(AzureOperationsEndpoint(BASE), transport=transport, **options) as watcher:
        watch = watcher.watch(job)
        events = [event async for event in watch]
        made = await watch.result() if isinstance(events[-1], Succeeded) else events[-1]
    return made, [request.url.name for _, request in transport.requests]


@pytest.mark.parametrize("body", [{"location_result": True}, None])
async def test_post(body: Any) -> None:
    """POST with both header fields: the monitor is polled, and the result is at `Location`; an empty one is None."""
    made = await watched(started("POST", 202, BOTH), async_monitor={"status": "Succeeded"}, location=Answer(body=body))
    assert made == (body, ["async_monitor", "location"])


async def test_post_resource_location() -> None:
    """`resourceLocation` in the last status says where the result is."""
    last = {"status": "Succeeded", "resourceLocation": NAMED}
    job = started("POST", 202, {"operation-location": MONITOR})
    made = await watched(job, async_monitor=last, resource_location={"location_result": True})
    assert made == ({"location_result": True}, ["async_monitor", "resource_location"])


async def test_post_direct_success() -> None:
    """A start whose body says `succeeded` is believed when the monitor says so, too."""
    job = started("POST", 202, {"operation-location": MONITOR}, {"status": "succeeded"})
    assert await watched(job, async_monitor={"status": "succeeded"}) == ({"status": "succeeded"}, ["async_monitor"])


@pytest.mark.parametrize(("method", "status"), [("POST", 500), ("PUT", 1000)])
def test_a_start_that_failed(method: str, status: int) -> None:
    """A reply with another status code starts nothing."""
    with pytest.raises(MalformedReply, match=f"HTTP {status} starts no operation"):
        started(method, status, {"status": "failed"})


async def test_put_without_polling() -> None:
    """PUT that is provisioned at once: the resource itself says so when it is asked."""
    made = await watched(started("PUT", 201, {}, {**SUCCEEDED, **FOO}), **{"1": {**SUCCEEDED, **FOO}})
    assert made == ({**SUCCEEDED, **FOO}, ["1"])


@pytest.mark.parametrize("field", ["operation-location", "azure-asyncoperation"])
@pytest.mark.parametrize(("method", "status"), [("PUT", 201), ("PATCH", 202), ("PATCH", 200)])
async def test_put_and_patch_with_a_monitor(method: str, status: int, field: str) -> None:
    """The result is the resource."""
    job = started(method, status, {field: MONITOR}, SUCCEEDED)
    assert await watched(job, async_monitor={"status": "Succeeded"}, **{"1": FOO}) == (FOO, ["async_monitor", "1"])


@pytest.mark.parametrize("body", [None, {}, SUCCEEDED])
@pytest.mark.parametrize(("method", "status"), [("PUT", 201), ("PATCH", 202), ("PATCH", 200), ("POST", 202)])
async def test_a_location(method: str, status: int, body: Any) -> None:
    """The result is the reply at the `Location`, whatever the body of the start."""
    assert await watched(started(method, status, {"location": LOCATION}, body), location=FOO) == (FOO, ["location"])


@pytest.mark.parametrize("field", ["operation-location", "azure-asyncoperation"])
@pytest.mark.parametrize(("method", "status"), [("DELETE", 202), ("POST", 201), ("POST", 202)])
async def test_a_monitor_without_a_final_get(method: str, status: int, field: str) -> None:
    """A DELETE, or a POST without `Location`: the last status is the result."""
    job = started(method, status, {field: MONITOR}, SUCCEEDED)
    assert await watched(job, async_monitor={"status": "Succeeded"}) == ({"status": "Succeeded"}, ["async_monitor"])


@pytest.mark.parametrize("field", ["operation-location", "azure-asyncoperation", "location"])
@pytest.mark.parametrize(("method", "status"), [("PUT", 201), ("PATCH", 202), ("POST", 202)])
async def test_a_url_that_cannot_be_reached(method: str, status: int, field: str) -> None:
    """It is asked again for `outage_s`. The error of the last poll is in the outcome."""
    made, _ = await watched(started(method, status, {field: MONITOR}), async_monitor=ConnectFailed("boom"))
    assert isinstance(made, Abandoned)
    assert isinstance(made.error.last_error, ConnectFailed)  # type: ignore[union-attr]  # RetriesExhausted


@pytest.mark.parametrize("body", [b"{", b"{'\"}"])
async def test_a_result_that_is_no_json(body: bytes) -> None:
    """The operation has succeeded. Its result is asked for again, and never made up."""
    with pytest.raises(PollwiseError) as caught:
        await watched(started("POST", 202, {"location": LOCATION}), location=Answer(body=body))
    assert isinstance(caught.value.last_error, MalformedReply)  # type: ignore[attr-defined]  # RetriesExhausted
    assert "The job succeeded. Its result could not be fetched." in caught.value.__notes__


async def test_203_ends_nothing() -> None:
    """Another 2xx than 200, 201, 202 and 204 is a failed poll."""
    made, _ = await watched(started("POST", 202, {"location": LOCATION}), location=Answer(203, body=b"{"))
    assert isinstance(made, Abandoned)
    assert "HTTP 203 is not the status code of an operation" in str(made.error.last_error)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("via", "result", "asked"),
    [
        ("location", {"location_result": True}, ["async_monitor", "location"]),
        ("operation-location", {"status": "Succeeded"}, ["async_monitor"]),
        ("azure-async-operation", {"status": "Succeeded"}, ["async_monitor"]),
        ("default", {"location_result": True}, ["async_monitor", "location"]),
        ("original-uri", FOO, ["async_monitor", "1"]),
    ],
)
async def test_post_final_state_via(via: str, result: Any, asked: list[str]) -> None:
    """The option of the API's description says where the result is."""
    job = started("POST", 202, BOTH, via=via)
    made = await watched(job, async_monitor={"status": "Succeeded"}, location={"location_result": True}, **{"1": FOO})
    assert made == (result, asked)


async def test_final_get_via_location_of_a_put() -> None:
    """With the option `location`, the result of a PUT is there, too, and not at the resource."""
    job = started("PUT", 200, BOTH, {"properties": {"provisioningState": "InProgress"}}, via="location")
    made = await watched(job, async_monitor={"status": "Succeeded"}, location={"returnedFrom": "locationHeaderUrl"})
    assert made == ({"returnedFrom": "locationHeaderUrl"}, ["async_monitor", "location"])


def test_a_start_without_anything_to_poll() -> None:
    """A POST with 200 and no header field is over, and its operation is not polled."""
    job = started("POST", 200, {}, FOO)
    assert job.monitor is Monitor.NOTHING
    with pytest.raises(ConfigurationError, match="has no status of it"):
        AzureOperationsEndpoint(BASE).request(job)


async def test_a_continuation_token() -> None:
    """An operation can be written down, and polled by another process."""
    job = started("PUT", 201, BOTH, via="location")
    endpoint = AzureOperationsEndpoint(BASE)
    transport = ScriptedTransport([{"status": "Running"}])
    async with JobWatcher(endpoint, timeout_s=600.0, transport=transport) as watcher:
        watch = watcher.watch(job)
        await anext(aiter(watch))
        token = watch.resume_token
    transport = ScriptedTransport([{"status": "Succeeded"}, FOO])
    async with JobWatcher(AzureOperationsEndpoint(BASE), timeout_s=600.0, transport=transport) as watcher:
        again = watcher.watch_from_token(token)
        assert again.job == job
        assert await again.result() == FOO
    assert [request.url.name for _, request in transport.requests] == ["async_monitor", "location"]
