"""Histograms for OpenTelemetry's SDK.

    metrics = WatcherMetrics()
    reader = PeriodicExportingMetricReader(WithHistograms(OTLPMetricExporter(), metrics))
    metrics.register(MeterProvider(metric_readers=[reader]))

Why: pollwise counts durations in buckets. The API takes single durations only, and has no observable histogram. The SDK's
specification has a MetricProducer for data that was aggregated elsewhere, which the SDK of Python does not have (1.45). So the
histograms are added to what the reader passes to the exporter. They are the SDK's own values, so every exporter knows them.
Source: https://opentelemetry.io/docs/specs/otel/metrics/sdk/#metricproducer

Rule 1: counts and sums are exact. The smallest and the largest duration are not known, so they are left out.
Rule 2: they are cumulative, or the difference since the last export if the exporter prefers that. The start that they state is
when this object was made; what a watcher had counted before is included.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

from pollwise.errors import ConfigurationError
from pollwise.model.stats import Histogram as Durations
from pollwise.telemetry.otel import SCOPE, WatcherMetrics, attributes_of
from pollwise.telemetry.series import Labels, Metric

try:
    from opentelemetry.sdk.metrics import Histogram as HistogramInstrument
    from opentelemetry.sdk.metrics.export import (
        AggregationTemporality,
        Histogram,
        HistogramDataPoint,
        MetricExporter,
        MetricExportResult,
        MetricsData,
        ResourceMetrics,
        ScopeMetrics,
    )
    from opentelemetry.sdk.metrics.export import Metric as SdkMetric
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
except ImportError as exc:
    raise ConfigurationError(
        "pollwise.telemetry.otel_sdk needs opentelemetry-sdk; run: pip install opentelemetry-sdk"
    ) from exc

__all__ = ["WithHistograms"]

_UNKNOWN: Final[Any] = None  # the smallest and the largest value, which OTLP may leave out


class WithHistograms(MetricExporter):
    """An exporter that adds the histograms of watchers to what another exporter exports.

    Args:
        exporter: The other exporter, such as `OTLPMetricExporter()`.
        metrics: The watchers' metrics. They must be registered with the provider that has this exporter's reader, because
            the SDK exports nothing if no instrument has a value.
    """

    def __init__(self, exporter: MetricExporter, metrics: WatcherMetrics) -> None:
        temporality: Mapping[type, AggregationTemporality] = getattr(exporter, "_preferred_temporality", None) or {}
        aggregation: Any = getattr(exporter, "_preferred_aggregation", None)
        super().__init__(preferred_temporality=dict(temporality), preferred_aggregation=aggregation)
        self._exporter = exporter
        self._metrics = metrics
        self._temporality = temporality.get(HistogramInstrument, AggregationTemporality.CUMULATIVE)
        self._since_ns = time.time_ns()
        self._exported: dict[tuple[str, Labels], Durations] = {}

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Add the histograms, and export all."""
        found = list(metrics_data.resource_metrics)
        if found:
            first = found[0]
            scopes = [*first.scope_metrics, self._scope()]
            found[0] = ResourceMetrics(resource=first.resource, scope_metrics=scopes, schema_url=first.schema_url)
        return self._exporter.export(MetricsData(resource_metrics=found), timeout_millis=timeout_millis, **kwargs)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """As the other exporter."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """As the other exporter."""
        self._exporter.shutdown(timeout_millis, **kwargs)

    def _scope(self) -> ScopeMetrics:
        now_ns, is_delta = time.time_ns(), self._temporality is AggregationTemporality.DELTA
        metrics = [
            SdkMetric(
                name=metric.name,
                description=metric.help,
                unit=metric.unit,
                data=Histogram(
                    data_points=[
                        _point(labels, self._new(metric, labels, value) if is_delta else value, self._since_ns, now_ns)
                        for labels, value in series
                    ],
                    aggregation_temporality=self._temporality,
                ),
            )
            for metric, series in self._metrics.histograms()
        ]
        if is_delta:
            self._since_ns = now_ns
        return ScopeMetrics(scope=InstrumentationScope(SCOPE, version("pollwise")), metrics=metrics, schema_url="")

    def _new(self, metric: Metric, labels: Labels, value: Durations) -> Durations:
        """The durations since the last export."""
        key = metric.name, labels
        before, self._exported[key] = self._exported.get(key), value
        if before is None:
            return value
        counts = tuple(now - then for now, then in zip(value.counts, before.counts, strict=True))
        return Durations(bounds=value.bounds, counts=counts, sum_s=max(0.0, value.sum_s - before.sum_s))


def _point(labels: Labels, value: Durations, since_ns: int, now_ns: int) -> HistogramDataPoint:
    return HistogramDataPoint(
        attributes=attributes_of(labels),
        start_time_unix_nano=since_ns,
        time_unix_nano=now_ns,
        count=value.count,
        sum=value.sum_s,
        bucket_counts=value.counts,
        explicit_bounds=value.bounds,
        min=_UNKNOWN,
        max=_UNKNOWN,
    )
