"""Histograms through the reader and an exporter of OpenTelemetry's SDK."""

from __future__ import annotations

import math
from typing import Any

import pytest
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)

from pollwise.telemetry.otel import WatcherMetrics
from pollwise.telemetry.otel_sdk import WithHistograms
from toy import RUNNING, SUCCEEDED, ToyJob, watching

pytestmark = pytest.mark.looptime


class InMemoryExporter(MetricExporter):
    """Keeps what it is to export."""

    def __init__(self, temporality: AggregationTemporality) -> None:
        super().__init__(preferred_temporality={Histogram: temporality})
        self.batches: list[MetricsData] = []
        self.closed = False

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        self.batches.append(metrics_data)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self.closed = True

    def last(self, name: str) -> Any:
        """The data of this metric in the last batch."""
        (found,) = [
            metric.data
            for resource in self.batches[-1].resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
        ]
        return found


@pytest.mark.parametrize(
    ("temporality", "counts"),
    [(AggregationTemporality.CUMULATIVE, [1, 2, 2]), (AggregationTemporality.DELTA, [1, 1, 0])],
)
async def test_an_exporter_gets_real_histograms(temporality: AggregationTemporality, counts: list[int]) -> None:
    """With the buckets that the watcher counted, as the exporter prefers them: in all, or since the last export."""
    exporter = InMemoryExporter(temporality)
    metrics = WatcherMetrics()
    reader = PeriodicExportingMetricReader(WithHistograms(exporter, metrics), export_interval_millis=math.inf)
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    metrics.register(provider)
    found = []
    async with watching([RUNNING, SUCCEEDED, RUNNING, SUCCEEDED]) as (watcher, _):
        metrics.add(watcher)
        for watches in (1, 1, 0):
            if watches:
                await watcher.watch(ToyJob())
            assert provider.force_flush()
            data = exporter.last("pollwise.job.duration")
            assert data.aggregation_temporality is temporality
            (point,) = data.data_points
            found.append(point.count)
            assert point.count == sum(point.bucket_counts)
            assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
            assert point.sum == pytest.approx(point.count, rel=0.1)
            assert dict(point.attributes) == {"pollwise.endpoint": "toy", "pollwise.outcome": "succeeded"}
            assert point.start_time_unix_nano <= point.time_unix_nano
    provider.shutdown()
    assert found == counts
    assert exporter.closed


def test_an_exporter_with_nothing_to_export_gets_nothing() -> None:
    """The resource is the provider's, so there are no histograms without one."""
    exporter = InMemoryExporter(AggregationTemporality.CUMULATIVE)
    WithHistograms(exporter, WatcherMetrics()).export(MetricsData(resource_metrics=[]))
    assert exporter.batches == [MetricsData(resource_metrics=[])]
