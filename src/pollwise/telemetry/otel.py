"""Metrics and spans for OpenTelemetry. The extra `otel` has the API alone; the program brings the SDK.

    metrics = WatcherMetrics()
    metrics.register()
    async with JobWatcher(endpoint, timeout_s=600, observer=WatchSpans()) as watcher:
        metrics.add(watcher)

Rule 1: a metric is an observable instrument, which is read from `JobWatcher.stats()` when the SDK collects. An instrument that
is called for each poll would cost more than all of pollwise's work on it.
Rule 2: the API has no observable histogram (https://github.com/open-telemetry/opentelemetry-specification/issues/2713), so the
histograms need the SDK: `otel_sdk.py`.
Rule 3: a watch is one span, made at its outcome, because it may outlast its process. It is a root span, linked to the span
in whose context the watch was begun. Only `traceparent` is kept for that, and no `tracestate`.

Names and attributes: https://opentelemetry.io/docs/specs/semconv/http/http-metrics/
Trace context: https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any, Final

from pollwise.errors import ConfigurationError
from pollwise.model.events import Succeeded
from pollwise.model.observer import Observer, WatchEnd, WatchStart
from pollwise.model.stats import Histogram
from pollwise.telemetry.series import METRICS, Kind, Labels, Metric, Source, Watchers

try:
    from opentelemetry.context import Context
    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation, get_meter
    from opentelemetry.trace import Link, SpanKind, Status, StatusCode, TracerProvider, get_current_span, get_tracer
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as exc:
    raise ConfigurationError(
        "pollwise.telemetry.otel needs opentelemetry-api; run: pip install 'pollwise[otel]'"
    ) from exc

__all__ = ["SCOPE", "WatchSpans", "WatcherMetrics", "attributes_of"]

SCOPE: Final = "pollwise"
"""The name of the instrumentation scope."""

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_NS: Final = 1_000_000_000


class WatcherMetrics:
    """The metrics of watchers as observable instruments. Histograms need `otel_sdk.WithHistograms`, too.

    Args:
        watchers: The watchers, and workers of a fleet. They are kept alive until they are removed.
    """

    def __init__(self, *watchers: Source) -> None:
        self._watchers = Watchers(watchers)
        self._series: dict[str, list[tuple[Labels, float | Histogram]]] = {}
        self._served: set[str] = set(METRICS)  # the instruments that have read `_series`

    def register(self, meter_provider: MeterProvider | None = None) -> None:
        """Make the instruments, once. By default they are made at the global provider."""
        meter = get_meter(SCOPE, version("pollwise"), meter_provider)
        for metric in METRICS.values():
            if metric.kind is not Kind.HISTOGRAM:
                _make(meter, metric, [partial(self._observe, metric.name)])

    def add(self, watcher: Source) -> None:
        """Show this watcher, too."""
        self._watchers.add(watcher)

    def remove(self, watcher: Source) -> None:
        """Show the counts of this watcher as they are now, and forget it."""
        self._watchers.remove(watcher)

    def histograms(self) -> Iterator[tuple[Metric, list[tuple[Labels, Histogram]]]]:
        """The histograms as they are now. Any thread may call it."""
        for name, series in self._watchers.series().items():
            found = [(labels, value) for labels, value in series if isinstance(value, Histogram)]
            if found:
                yield METRICS[name], found

    def _observe(self, name: str, _options: CallbackOptions, /) -> Iterable[Observation]:
        if name in self._served:  # a new collection: the instruments of one collection share one look at the watchers
            self._series, self._served = self._watchers.series(), set()
        self._served.add(name)
        for labels, value in self._series[name]:
            if not isinstance(value, Histogram):
                yield Observation(value, attributes_of(labels))


def _make(
    meter: Meter, metric: Metric, callbacks: Sequence[Callable[[CallbackOptions], Iterable[Observation]]]
) -> None:
    make: Any = {
        Kind.COUNTER: meter.create_observable_counter,
        Kind.SHARED_COUNTER: meter.create_observable_counter,
        Kind.SUM: meter.create_observable_up_down_counter,
        Kind.GAUGE: meter.create_observable_gauge,
    }[metric.kind]
    make(metric.name, callbacks, metric.unit, metric.help)


def attributes_of(labels: Labels) -> dict[str, str | int]:
    """The labels as attributes. An attribute without a value is left out."""
    return {name: value for name, value in labels if value != ""}


class WatchSpans(Observer):
    """One span for each watch, from its beginning to its outcome: `JobWatcher(observer=WatchSpans())`.

    It is named `watch ENDPOINT` and has the attributes `pollwise.endpoint`, `pollwise.account`, `pollwise.job`,
    `pollwise.outcome`, `pollwise.polls` and, unless the job succeeded, `error.type`. A watch that stays open in a ledger has
    no span yet: the process that ends it makes it.

    Args:
        tracer_provider: Where spans are made. By default the global provider.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        self._tracer = get_tracer(SCOPE, version("pollwise"), tracer_provider)

    def on_start(self, watch: WatchStart, /) -> str | None:  # noqa: ARG002
        """The traceparent of the span in whose context the watch begins, or None."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return carrier.get("traceparent")

    def on_outcome(self, watch: WatchEnd, /) -> None:
        """Make the span."""
        if watch.goes_on:
            return
        outcome, end_ns = watch.outcome, int(watch.ended_at * _NS)
        error = None if isinstance(outcome, Succeeded) else outcome.error
        attributes: dict[str, str | int] = {
            "pollwise.endpoint": watch.endpoint,
            "pollwise.job": str(outcome.job),
            "pollwise.outcome": type(outcome).__name__.lower(),
            "pollwise.polls": outcome.polls,
        }
        if watch.account:
            attributes["pollwise.account"] = watch.account
        if error is not None:
            attributes["error.type"] = type(error).__name__
        span = self._tracer.start_span(
            f"watch {watch.endpoint}",
            context=Context(),
            kind=SpanKind.INTERNAL,
            links=_links(watch.traceparent),
            start_time=end_ns - int(outcome.elapsed_s * _NS),
            attributes=attributes,
        )
        if error is not None:
            span.set_status(Status(StatusCode.ERROR, str(error)))
        span.end(end_ns)


def _links(traceparent: str | None) -> list[Link]:
    if traceparent is None:
        return []
    context = _PROPAGATOR.extract({"traceparent": traceparent}, Context())
    found = get_current_span(context).get_span_context()
    return [Link(found)] if found.is_valid else []
