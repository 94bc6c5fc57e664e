"""Oracle Content's bulk operations and publications of taxonomies, and the traps of the vendor's pages."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from pollwise import JobWatcher, Phase, Reading, Reply
from pollwise.endpoints.oracle_content.management import (
    BulkOperationEndpoint,
    BulkOperationJob,
    BulkOperationOrder,
    OracleTime,
    TaxonomyPublishEndpoint,
    TaxonomyPublishJob,
    TaxonomyPublishOrder,
)
from pollwise.errors import ConfigurationError, JobNotFound, MalformedReply
from pollwise.testing import ScriptedTransport
from vendor_cases import document

BASE = "https://api.example.com"
BULK, PUBLISH = BulkOperationEndpoint(BASE), TaxonomyPublishEndpoint(BASE)
JOB = TaxonomyPublishJob("D7", "OPC7FC2C6D7A8944689E775CCB24313DE3")
ORDER = BulkOperationOrder(operation="publish", item_ids=("CORE1", "CONT2"), options={"channels": [{"id": "C"}]})
PUBLICATION = TaxonomyPublishOrder(taxonomy_id="D7", channel_ids=("C1", "C2"))


def reply(body: object, status: int = 200, **headers: str) -> Reply:
    return Reply(status, headers, orjson.dumps(body))


def read(**fields: object) -> Reading[Any]:
    return PUBLISH.read(reply({**document("oracle_content/publish_succeeded"), **fields}))


def test_the_documented_example_has_succeeded() -> None:
    """Lower-case words; times with their zone; the result as sent."""
    reading = read()
    assert (reading.phase, reading.final, reading.fraction) == (Phase.SUCCEEDED, True, 1.0)
    assert reading.status.start_time == OracleTime(value="2019-02-06T01:11:35.304Z", timezone="UTC")
    assert reading.status.result["status"] == {"code": 200, "reason": ""}


@pytest.mark.parametrize("time", ["2019-02-06T01:11:35Z", {"value": "2019-02-06T01:11:35Z"}, None, 7, {"value": 7}, []])
def test_a_time_in_another_form_hides_nothing(time: object) -> None:
    """It is read, or None."""
    reading = read(startTime=time)
    readable = type(time) is str or time == {"value": "2019-02-06T01:11:35Z"}
    assert reading.status.start_time == (OracleTime(value="2019-02-06T01:11:35Z") if readable else None)
    assert reading.phase is Phase.SUCCEEDED


@pytest.mark.parametrize(
    ("fields", "phase"),
    [
        ({"requestStatus": 200}, Phase.SUCCEEDED),
        ({"requestStatus": "500"}, Phase.FAILED),
        ({"error": {"title": "no"}}, Phase.FAILED),
        ({"progress": "processing", "requestStatus": 500}, Phase.RUNNING),
        ({"progress": "aborted"}, Phase.CANCELLED),
    ],
)
def test_a_success_whose_request_failed_has_failed(fields: dict[str, Any], phase: Phase) -> None:
    """`requestStatus` is the status code of the request that started the job."""
    assert read(**fields).phase is phase


@pytest.mark.looptime
async def test_not_modified_means_unchanged() -> None:
    """304 is documented. The watch goes on to the end."""
    running = {**document("oracle_content/publish_succeeded"), "progress": "processing", "completed": False}
    done = reply(document("oracle_content/publish_succeeded"))
    transport = ScriptedTransport([reply(running), Reply(304, {}, b""), Reply(304, {}, b""), done])
    async with JobWatcher(PUBLISH, timeout_s=600, transport=transport) as watcher:
        events = [type(event).__name__ async for event in watcher.watch(JOB)]
    assert events == ["Progressed", "Succeeded"]
    assert len(transport.requests) == 4


@pytest.mark.looptime
async def test_404_means_that_there_is_no_such_job() -> None:
    """After a while, because a job that was just started may not be visible yet."""
    running = {**document("oracle_content/publish_succeeded"), "progress": "pending"}
    missing, late = reply({"title": "Not Found"}, 404), reply(running)
    done = reply(document("oracle_content/publish_succeeded"))
    async with JobWatcher(PUBLISH, timeout_s=600, transport=ScriptedTransport([missing, late, done])) as watcher:
        await watcher.watch(JOB)
    async with JobWatcher(PUBLISH, timeout_s=600, transport=ScriptedTransport([missing])) as watcher:
        with pytest.raises(JobNotFound, match="Not Found"):
            await watcher.watch(JOB)


def test_a_bulk_operation_is_started_as_documented() -> None:
    """One asynchronous POST, with the items as a query. `Location` names the job."""
    request = BULK.submit_request(ORDER, "key")
    assert (request.method, str(request.url)) == ("POST", f"{BASE}/content/management/api/v1.1/bulkItemsOperations")
    assert orjson.loads(request.body or b"") == {
        "q": 'id eq "CORE1" or id eq "CONT2"',
        "operations": {"publish": {"channels": [{"id": "C"}]}},
    }
    assert (request.headers["Prefer"], request.headers["X-Requested-With"]) == ("respond-async", "XMLHttpRequest")
    located = Reply(202, {"Location": f"{BASE}/content/management/api/v1.1/bulkItemsOperations/OPC1"}, b"")
    assert BULK.read_submitted(ORDER, located) == BulkOperationJob("OPC1")


def test_a_publication_is_started_as_documented() -> None:
    """Likewise."""
    request = PUBLISH.submit_request(PUBLICATION, "key")
    assert str(request.url) == f"{BASE}/content/management/api/v1.1/taxonomies/D7/publish"
    assert orjson.loads(request.body or b"") == {"channels": [{"id": "C1"}, {"id": "C2"}]}
    located = Reply(202, {"Location": "/content/management/api/v1.1/taxonomies/D7/publish/OPC2?links=none"}, b"")
    assert PUBLISH.read_submitted(PUBLICATION, located) == TaxonomyPublishJob("D7", "OPC2")


@pytest.mark.parametrize(
    "location", [None, "", "/login", "/content/management/api/v1.1/bulkItemsOperations", "a/b/" * 9000]
)
def test_a_start_without_a_job_is_malformed(location: str | None) -> None:
    """A server that works at once names none."""
    headers = {} if location is None else {"Location": location}
    with pytest.raises(MalformedReply, match="field Location"):
        BULK.read_submitted(ORDER, Reply(200, headers, b"{}"))
    with pytest.raises(MalformedReply, match="field Location"):
        PUBLISH.read_submitted(PUBLICATION, Reply(202, headers, b""))


@pytest.mark.parametrize("ids", [(), ('a" or id ne "',), ("a\\",), ("",)])
def test_an_order_has_ids_that_cannot_change_the_query(ids: tuple[str, ...]) -> None:
    """It is refused where it is made."""
    with pytest.raises(ConfigurationError, match="item_ids"):
        BulkOperationOrder(operation="deleteItems", item_ids=ids)


def test_an_order_that_is_no_json_is_told() -> None:
    """Where its request is made."""
    order = BulkOperationOrder(operation="addTags", item_ids=("A",), options={"tags": {1, 2}})
    with pytest.raises(ConfigurationError, match="JSON does not have"):
        BULK.submit_request(order, "key")
    with pytest.raises(ConfigurationError, match="channel_ids must be a tuple"):
        TaxonomyPublishOrder(taxonomy_id="T", channel_ids="C1")  # type: ignore[arg-type]
