"""Metrics for Prometheus, scraped over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.parser import text_string_to_metric_families

from kept_toy import MemoryLedger, keeping
from pollwise.telemetry.prometheus import WatcherCollector, prometheus_name
from pollwise.telemetry.series import METRICS
from toy import FAILED, RUNNING, SUCCEEDED, ToyJob, by_job, events_of

pytestmark = pytest.mark.looptime

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def samples_of(text: str) -> Samples:
    """The samples of a scrape, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@asynccontextmanager
async def scraped(collector: WatcherCollector) -> AsyncIterator[str]:
    """The URL at which a server serves this collector."""
    registry = CollectorRegistry()
    registry.register(collector)
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()


def fetched(url: str) -> str:
    with urlopen(url, timeout=10) as answer:  # noqa: S310  # of this test's own server
        text: str = answer.read().decode()
    return text


def of(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset({"pollwise_endpoint": "toy", "pollwise_account": "", **labels}.items())


async def test_a_scrape_has_the_numbers_of_the_watchers() -> None:
    """Counters, gauges and histograms, in the names that Prometheus gives to OpenTelemetry's."""
    script = by_job({"a": [RUNNING, 503, SUCCEEDED], "b": [FAILED], "c": [RUNNING]})
    async with keeping(MemoryLedger(), script) as (watcher, _):
        for name in "ab":
            await events_of(watcher.watch(ToyJob(name)))
        watcher.watch(ToyJob("c"))
        await asyncio.sleep(0.5)
        async with scraped(WatcherCollector(watcher)) as url:
            found = samples_of(await asyncio.to_thread(fetched, url))
    assert found[of("pollwise_polls_total", pollwise_poll_result="read", error_type="")] == 4
    refused = of("pollwise_polls_total", pollwise_poll_result="refused_5xx", error_type="ServerUnavailable")
    assert found[refused] == 1
    assert found[of("pollwise_watches", pollwise_watch_state="running")] == 1
    assert found[of("pollwise_outcomes_total", pollwise_outcome="failed", error_type="JobFailed")] == 1
    succeeded = {"pollwise_outcome": "succeeded"}
    assert found[of("pollwise_job_duration_seconds_count", **succeeded)] == 1
    assert found[of("pollwise_job_duration_seconds_bucket", **succeeded, le="1.0")] == 0
    assert found[of("pollwise_job_duration_seconds_bucket", **succeeded, le="+Inf")] == 1
    assert found[of("pollwise_job_duration_seconds_sum", **succeeded)] == pytest.approx(1.5, abs=0.1)
    request = {"http_response_status_code": "503", "error_type": "503", "server_address": "", "server_port": ""}
    assert found[of("http_client_request_duration_seconds_count", **request)] == 1
    assert found[of("pollwise_ledger_operation_duration_seconds_count", pollwise_ledger_operation="record")] == 3


async def test_a_scrape_after_the_end_has_the_counts() -> None:
    """Prometheus comes when it likes."""
    async with keeping(None, [SUCCEEDED]) as (watcher, _):
        await watcher.watch(ToyJob())
    async with scraped(WatcherCollector(watcher)) as url:
        found = samples_of(await asyncio.to_thread(fetched, url))
    assert found[of("pollwise_outcomes_total", pollwise_outcome="succeeded", error_type="")] == 1


def test_all_names_are_announced() -> None:
    """A registry finds a name that is used twice before the first scrape. A watcher may come and go."""
    registry, collector = CollectorRegistry(), WatcherCollector()
    registry.register(collector)
    assert {family.name for family in collector.collect()} == {prometheus_name(metric) for metric in METRICS.values()}
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(WatcherCollector())
