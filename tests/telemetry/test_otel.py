"""Instruments and spans, read by OpenTelemetry's own SDK in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from kept_toy import NOON_S, KeptToyEndpoint, MemoryLedger, keeping
from pollwise.telemetry.otel import WatcherMetrics, WatchSpans
from submitting import DONE, STARTED, Starting, Vendor
from toy import FAILED, RUNNING, SUCCEEDED, ToyJob, by_job, events_of, watching

pytestmark = pytest.mark.looptime


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def meters(reader: InMemoryMetricReader) -> Iterator[MeterProvider]:
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    yield provider
    provider.shutdown()


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracers(spans: InMemorySpanExporter) -> Iterator[TracerProvider]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    yield provider
    provider.shutdown()


def points(reader: InMemoryMetricReader) -> dict[str, list[tuple[dict[str, Any], Any]]]:
    """Attributes and values by name of metric, without the endpoint."""
    data: Any = reader.get_metrics_data()
    found: dict[str, list[tuple[dict[str, Any], Any]]] = {}
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            assert scope.scope.name == "pollwise"
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    attributes = dict(point.attributes)
                    assert attributes.pop("pollwise.endpoint") == "toy"
                    found.setdefault(metric.name, []).append((attributes, point.value))
    return found


# --- metrics ------------------------------------------------------------------------------------


async def test_instruments_have_the_numbers_of_the_watchers(
    reader: InMemoryMetricReader, meters: MeterProvider
) -> None:
    """By the names of the semantic conventions. An attribute without a value is left out."""
    metrics = WatcherMetrics()
    metrics.register(meters)
    script = by_job({"a": [RUNNING, 503, SUCCEEDED], "b": [RUNNING]})
    async with watching(script) as (watcher, _):
        metrics.add(watcher)
        await events_of(watcher.watch(ToyJob("a")))
        watcher.watch(ToyJob("b"))
        await asyncio.sleep(0.5)
        found = points(reader)
    refused = {"pollwise.poll.result": "refused_5xx", "error.type": "ServerUnavailable"}
    assert (refused, 1) in found["pollwise.polls"]
    assert ({"pollwise.poll.result": "read"}, 3) in found["pollwise.polls"]
    assert found["pollwise.watches"] == [({"pollwise.watch.state": "running"}, 1)]
    assert found["http.client.active_requests"] == [({}, 0)]
    assert "pollwise.budget.limit" not in found  # it is not known
    assert "pollwise.job.duration" not in found  # a histogram


async def test_each_collection_sees_what_is_new(reader: InMemoryMetricReader, meters: MeterProvider) -> None:
    """All instruments of one collection are of one moment, and the next one looks again."""
    async with watching([SUCCEEDED]) as (watcher, _):
        metrics = WatcherMetrics(watcher)
        metrics.register(meters)
        for count in (1, 2, 3):
            await watcher.watch(ToyJob())
            assert points(reader)["pollwise.outcomes"] == [({"pollwise.outcome": "succeeded"}, count)]
    metrics.remove(watcher)
    assert points(reader)["pollwise.outcomes"] == [({"pollwise.outcome": "succeeded"}, 3)]


# --- spans --------------------------------------------------------------------------------------


async def test_a_watch_is_one_span(spans: InMemorySpanExporter, tracers: TracerProvider) -> None:
    """From its beginning to its outcome, with a link to the span that began it."""
    observer = WatchSpans(tracers)
    async with watching([RUNNING, SUCCEEDED], observer=observer, clock=lambda: 2e9) as (watcher, _):
        with tracers.get_tracer("test").start_as_current_span("request") as parent:
            watch = watcher.watch(ToyJob())
        await watch
    _, span = spans.get_finished_spans()
    assert (span.name, span.parent, span.status.status_code) == ("watch toy", None, StatusCode.UNSET)
    assert [link.context.span_id for link in span.links] == [parent.get_span_context().span_id]
    assert dict(span.attributes or {}) == {
        "pollwise.endpoint": "toy",
        "pollwise.job": "ToyJob(id='a')",
        "pollwise.outcome": "succeeded",
        "pollwise.polls": 2,
    }
    assert span.end_time == 2_000_000_000 * 10**9
    assert span.end_time - (span.start_time or 0) == pytest.approx(10**9, rel=0.05)


async def test_a_failure_is_an_error(spans: InMemorySpanExporter, tracers: TracerProvider) -> None:
    """The span has the class of the error and its message. A watch that no span began has no link."""
    async with watching([FAILED], observer=WatchSpans(tracers)) as (watcher, _):
        await events_of(watcher.watch(ToyJob()))
    (span,) = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert "no disk" in (span.status.description or "")
    assert (span.attributes or {})["error.type"] == "JobFailed"
    assert span.links == ()


@pytest.mark.parametrize("by_token", [False, True])
async def test_a_watch_of_two_processes_is_one_span(
    spans: InMemorySpanExporter, tracers: TracerProvider, *, by_token: bool
) -> None:
    """Ledger and resume token carry the link. The span begins when the watch was begun in the first process."""
    ledger = None if by_token else MemoryLedger()
    with tracers.get_tracer("test").start_as_current_span("request") as parent:
        async with keeping(ledger, [RUNNING], observer=WatchSpans(tracers), endpoint=KeptToyEndpoint()) as (watcher, _):
            watch = watcher.watch(ToyJob())
            await asyncio.sleep(30.0)
            token = watch.resume_token
    spans.clear()
    options: dict[str, Any] = {"observer": WatchSpans(tracers), "endpoint": KeptToyEndpoint(), "shift_s": 600.0}
    async with keeping(ledger, [SUCCEEDED], **options) as (watcher, _):
        await (watcher.watch_from_token(token) if by_token else (await watcher.resume())[0])
    (span,) = spans.get_finished_spans()
    assert [link.context.span_id for link in span.links] == [parent.get_span_context().span_id]
    assert ((span.end_time or 0) - (span.start_time or 0)) / 1e9 == pytest.approx(630.0, abs=5.0)
    assert (span.start_time or 0) / 1e9 == pytest.approx(NOON_S, abs=60.0)


@pytest.mark.parametrize("with_ledger", [False, True])
async def test_a_started_job_is_linked_to_the_code_that_started_it(
    spans: InMemorySpanExporter, tracers: TracerProvider, *, with_ledger: bool
) -> None:
    """`submit` begins the watch, and its own request is counted apart from the polls."""
    ledger = MemoryLedger() if with_ledger else None
    vendor = Vendor(STARTED, status=DONE)
    async with Starting(vendor, ledger=ledger, observer=WatchSpans(tracers)) as watcher:
        with tracers.get_tracer("test").start_as_current_span("request") as parent:
            watch = await watcher.submit("print")
        if ledger is not None:
            assert b"traceparent" in (ledger.of(id="7").cursor or b"")
        await watch
        stats = watcher.stats()
    _, span = spans.get_finished_spans()
    assert [link.context.span_id for link in span.links] == [parent.get_span_context().span_id]
    assert (stats.started, stats.resumed, stats.calls["read"], stats.polls["read"]) == (1, 0, 1, 1)
