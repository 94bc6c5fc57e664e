"""What watchers count, and whom they tell: values, observers, and metrics and spans for OpenTelemetry and Prometheus.

The values of `JobWatcher.stats()` and the protocol of observers can be imported from here. The other files:

    series.py      the metrics of `JobWatcher.stats()`, with names and labels
    prometheus.py  a collector for prometheus-client; the extra `prometheus`
    otel.py        instruments, histograms and spans for OpenTelemetry; the extra `otel`

Rule 1: numbers are read from `JobWatcher.stats()` when they are asked for. Nothing here is on the way of a poll.
Rule 2: nothing here is imported by pollwise itself, so no package of an extra is loaded unless the caller does that.
Rule 3: a label has few values: names of endpoints, codes, classes of errors. Jobs are in spans, never in metrics.
"""

from __future__ import annotations

from pollwise.model.observer import Observer, RequestEnd, WatchEnd, WatchStart
from pollwise.model.stats import BudgetStats, Histogram, LeaseStats, LedgerStats, WatcherStats

__all__ = [
    "BudgetStats",
    "Histogram",
    "LeaseStats",
    "LedgerStats",
    "Observer",
    "RequestEnd",
    "WatchEnd",
    "WatchStart",
    "WatcherStats",
]
