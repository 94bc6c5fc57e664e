"""The presets start their own jobs: `watcher.submit(order)`, on real sockets."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from pollwise import BearerAuth, ConfigurationError, JobWatcher, Pacing, SqliteLedger, Succeeded, WatchError
from pollwise.endpoints.aip151 import GoogleOperationsEndpoint, GoogleOrder
from pollwise.endpoints.azure import AzureOperationsEndpoint, AzureOrder
from pollwise.endpoints.http_async import HttpAsyncEndpoint, Order
from pollwise.errors import SubmitDoubtful
from raw_server import Line, RawServer, raw_server, reply

pytestmark = pytest.mark.looptime

DONE_AT_ONCE = reply(b'{"name": "operations/7", "done": true, "response": {"a": 1}}')
OPTIONS: dict[str, Any] = {"timeout_s": 600.0, "pacing": Pacing.fixed(5.0)}


class Script:
    """Answers each request with the next of these replies. `lost`: the first request gets none."""

    server: RawServer

    def __init__(self, *answers: bytes, lost: bool = False) -> None:
        self._answers = list(answers)
        self._lost = lost

    def __call__(self, line: Line) -> None:
        if self._lost:
            self._lost = False
            line.reset()
        else:
            line.say(self._answers.pop(0))

    @property
    def asked(self) -> list[str]:
        return [" ".join(request.decode().split(" ")[:2]) for request in self.server.requests]


async def test_an_azure_operation_is_started_and_its_result_fetched() -> None:
    """One PUT, its `Azure-AsyncOperation`, and the resource."""
    script = Script(
        reply(b'{"a":1}', "Azure-AsyncOperation: /operations/7", "Retry-After: 20", status="201 Created"),
        reply(b'{"status": "Running"}'),
        reply(b'{"status": "Succeeded"}'),
        reply(b'{"name": "vm-7"}'),
    )
    async with raw_server(script) as script.server:
        endpoint = AzureOperationsEndpoint(script.server.url, auth=BearerAuth("t0ken-t0ken"))
        async with JobWatcher(endpoint, **OPTIONS) as watcher:
            watch = await watcher.submit(AzureOrder("PUT", "/vm/7?api-version=1", {"size": 3}))
            assert await watch.result() == {"name": "vm-7"}
    url = "/vm/7?api-version=1"
    assert script.asked == [f"PUT {url}", "GET /operations/7", "GET /operations/7", f"GET {url}"]


AT_ONCE: list[tuple[Any, Any, bytes, Any]] = [
    (AzureOperationsEndpoint, AzureOrder("POST", "/vm/7/start"), reply(b'{"value": 1}'), {"value": 1}),
    (AzureOperationsEndpoint, AzureOrder("DELETE", "/vm/7"), reply(b"", status="204 No Content"), None),
    (AzureOperationsEndpoint, AzureOrder("PUT", "/vm/7"), reply(b'{"name": "vm-7"}'), {"name": "vm-7"}),
    (HttpAsyncEndpoint, Order("POST", "/exports"), reply(b'{"rows": 3}'), {"rows": 3}),
    (partial(HttpAsyncEndpoint, raw=True), Order("POST", "/exports"), reply(b"a,b\n\xff"), b"a,b\n\xff"),
    (GoogleOperationsEndpoint, GoogleOrder("POST", "/v1/books"), DONE_AT_ONCE, {"a": 1}),
]


@pytest.mark.parametrize(("make", "order", "answer", "result"), AT_ONCE)
async def test_work_that_is_done_at_once_is_a_watch_that_is_over(
    make: Any, order: Any, answer: bytes, result: Any, tmp_path: Path
) -> None:
    """Nothing more is sent, the result is there, and the ledger delivers the outcome once, and settles the intent."""
    script = Script(answer)
    async with raw_server(script) as script.server, SqliteLedger(tmp_path / "l") as ledger:
        endpoint = make(script.server.url)
        async with JobWatcher(endpoint, ledger=ledger, **OPTIONS) as watcher:
            watch = await watcher.submit(order, key="key-1")
            assert isinstance(watch.outcome, Succeeded)
            assert [event async for event in watch] == [watch.outcome]
            assert await watch.result() == result
            assert await watcher.unfinished_submits() == []
        async with JobWatcher(endpoint, ledger=ledger, **OPTIONS) as watcher:
            again = await watcher.submit(order, key="key-1")
            assert await again.result() == result
            assert [(one.outcome.job, await one.ack()) async for one in watcher.outcomes()] == [(watch.job, True)]
            assert [one async for one in watcher.outcomes()] == []
    assert len(script.asked) == 1


async def test_a_long_result_is_whole_in_its_run_and_refused_in_a_later_one(tmp_path: Path) -> None:
    """A ledger keeps only a part of a long status, and no part is taken for the result."""
    rows = [{"id": number, "name": "x" * 50} for number in range(4_000)]
    script = Script(reply(orjson.dumps(rows)))
    async with raw_server(script) as script.server, SqliteLedger(tmp_path / "l") as ledger:
        async with JobWatcher(HttpAsyncEndpoint(script.server.url), ledger=ledger, **OPTIONS) as watcher:
            watch = await watcher.submit(Order("POST", "/exports"), key="key-1")
            assert await watch.result() == rows
        async with JobWatcher(HttpAsyncEndpoint(script.server.url), ledger=ledger, **OPTIONS) as watcher:
            again = await watcher.submit(Order("POST", "/exports"), key="key-1")
            with pytest.raises(ConfigurationError, match=r"ReplyLimits\(row="):
                await again.result()
    assert len(script.asked) == 1


@pytest.mark.parametrize(("make", "order", "answer"), [AT_ONCE[0][:3], AT_ONCE[3][:3]])
async def test_work_that_was_done_at_once_is_never_asked_about(make: Any, order: Any, answer: bytes) -> None:
    """The URL of the start says nothing about it. Two such starts are two jobs."""
    script = Script(answer, answer)
    async with raw_server(script) as script.server, JobWatcher(make(script.server.url), **OPTIONS) as watcher:
        first, second = await watcher.submit(order), await watcher.submit(order)
        assert first.job != second.job
        with pytest.raises(WatchError, match="has no status of it"):
            await watcher.watch(first.job)
    assert len(script.asked) == 2


async def test_an_accepted_job_is_started_and_its_result_fetched() -> None:
    """202 with a signed URL, the same URL again, 303, and the result."""
    accepted = reply(b"", "Location: /queue/7?code=s1gnature", status="202 Accepted")
    script = Script(accepted, accepted, reply(b"", "Location: /rows", status="303 See Other"), reply(b"[1]"))
    async with (
        raw_server(script) as script.server,
        JobWatcher(HttpAsyncEndpoint(script.server.url), **OPTIONS) as watcher,
    ):
        watch = await watcher.submit(Order("POST", "/exports", {"a": 1}))
        assert await watch.result() == [1]
    assert script.asked == ["POST /exports", *["GET /queue/7?code=s1gnature"] * 2, "GET /rows"]


async def test_an_operation_of_google_is_started_and_its_response_fetched() -> None:
    """Its name is in the reply to the start."""
    script = Script(
        reply(b'{"name": "operations/7"}'), reply(b'{"name": "operations/7", "done": true, "response": {"a": 1}}')
    )
    async with (
        raw_server(script) as script.server,
        JobWatcher(GoogleOperationsEndpoint(script.server.url), **OPTIONS) as watcher,
    ):
        watch = await watcher.submit(GoogleOrder("POST", "/v1/books", {"a": 1}))
        assert await watch.result() == {"a": 1}
    assert script.asked == ["POST /v1/books", "GET /v1/operations/7"]


@pytest.mark.parametrize(
    ("make", "order", "answer"),
    [
        (
            GoogleOperationsEndpoint,
            GoogleOrder("POST", "/v1/books", request_id="query"),
            reply(b'{"name": "operations/7"}'),
        ),
        (
            lambda url: HttpAsyncEndpoint(url, key_field="X-Request-Id"),
            Order("POST", "/exports"),
            reply(b"", "Location: /queue/7", status="202 Accepted"),
        ),
    ],
)
async def test_a_start_with_a_key_is_sent_again(make: Any, order: Any, answer: bytes) -> None:
    """The API starts no second job for one key. The second request is the same as the first."""
    script = Script(answer, lost=True)
    async with raw_server(script) as script.server, JobWatcher(make(script.server.url), **OPTIONS) as watcher:
        await watcher.submit(order, key="key-1")
        assert script.server.requests[0] == script.server.requests[1]


async def test_a_start_without_a_key_is_not_sent_again() -> None:
    """Its loss is told."""
    script = Script(lost=True)
    async with (
        raw_server(script) as script.server,
        JobWatcher(HttpAsyncEndpoint(script.server.url), **OPTIONS) as watcher,
    ):
        with pytest.raises(SubmitDoubtful):
            await watcher.submit(Order("POST", "/exports"))
    assert len(script.server.requests) == 1
