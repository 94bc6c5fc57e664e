"""The metrics of watchers for Prometheus: a collector for the package prometheus-client (the extra `prometheus`).

    from prometheus_client import start_http_server

    collector = WatcherCollector(watcher)
    REGISTRY.register(collector)
    start_http_server(9464, addr="127.0.0.1")

Names are those of OpenTelemetry as Prometheus spells them: `pollwise.job.duration` in seconds is
`pollwise_job_duration_seconds`, and a counter ends in `_total`.
Source: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from pollwise.errors import ConfigurationError
from pollwise.model.stats import Histogram
from pollwise.telemetry.series import METRICS, Kind, Labels, Metric, Source, Watchers

try:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
    from prometheus_client.registry import Collector
except ImportError as exc:
    raise ConfigurationError(
        "pollwise.telemetry.prometheus needs prometheus-client; run: pip install 'pollwise[prometheus]'"
    ) from exc

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family

__all__ = ["WatcherCollector", "prometheus_name"]

_UNITS: Final = {"s": "_seconds"}


class WatcherCollector(Collector):
    """Reads the metrics of watchers at each scrape, on the thread of the scrape.

    Args:
        watchers: The watchers, and workers of a fleet. They are kept alive until they are removed.
    """

    def __init__(self, *watchers: Source) -> None:
        self._watchers = Watchers(watchers)

    def add(self, watcher: Source) -> None:
        """Show this watcher, too."""
        self._watchers.add(watcher)

    def remove(self, watcher: Source) -> None:
        """Show the counts of this watcher as they are now, and forget it."""
        self._watchers.remove(watcher)

    def describe(self) -> Iterator[Family]:
        """All metrics, without values: a registry looks for names that are used twice."""
        return map(_family, METRICS.values())

    def collect(self) -> Iterator[Family]:
        """All metrics, as they are now."""
        for name, series in self._watchers.series().items():
            family: Any = _family(METRICS[name])
            for labels, value in series:
                texts = _texts(labels)
                if isinstance(value, Histogram):
                    family.add_metric(texts, _buckets(value), value.sum_s)
                else:
                    family.add_metric(texts, value)
            yield family


def prometheus_name(metric: Metric) -> str:
    """The name in Prometheus, without the suffixes of counters and histograms."""
    return metric.name.replace(".", "_") + _UNITS.get(metric.unit, "")


def _family(metric: Metric) -> Family:
    name, labels = prometheus_name(metric), [label.replace(".", "_") for label in metric.labels]
    match metric.kind:
        case Kind.COUNTER | Kind.SHARED_COUNTER:
            return CounterMetricFamily(name, metric.help, labels=labels)
        case Kind.HISTOGRAM:
            return HistogramMetricFamily(name, metric.help, labels=labels)
        case Kind.SUM | Kind.GAUGE:
            return GaugeMetricFamily(name, metric.help, labels=labels)


def _texts(labels: Labels) -> list[str]:
    return [str(value) for _, value in labels]


def _buckets(durations: Histogram) -> list[tuple[str, float]]:
    """The buckets as Prometheus has them: each with all durations up to its bound."""
    found, total = [], 0
    for bound, count in zip((*map(str, durations.bounds), "+Inf"), durations.counts, strict=True):
        total += count
        found.append((bound, float(total)))
    return found
