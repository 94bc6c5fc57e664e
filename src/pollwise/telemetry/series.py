"""The metrics of watchers: names, units, labels and values.

Rule 1: names are those of OpenTelemetry's semantic conventions where these have one, and begin with `pollwise.` otherwise.
Rule 2: watchers with the same endpoint and account are one. Their counts are added. A budget or a ledger that several of
them share is not counted twice: its numbers are the largest ones.
Rule 3: the counts of a watcher that was removed stay, because a counter never falls.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

import attrs
from yarl import URL

from pollwise.model.stats import Histogram, LeaseStats, WatcherStats
from pollwise.watcher import JobWatcher

__all__ = ["METRICS", "HasLeases", "Kind", "Labels", "Metric", "Series", "Source", "Watchers", "series_of"]

Labels: TypeAlias = tuple[tuple[str, str | int], ...]
Value: TypeAlias = "float | Histogram"
Series: TypeAlias = "tuple[str, Labels, float | Histogram]"
Source: TypeAlias = "JobWatcher[Any, Any, Any] | HasLeases"
_Found: TypeAlias = "tuple[str, tuple[str | int, ...], float | Histogram]"


class Kind(enum.Enum):
    """What a metric is."""

    COUNTER = enum.auto()
    """It only grows, and is added over watchers."""
    SUM = enum.auto()
    """It goes up and down, and is added over watchers."""
    GAUGE = enum.auto()
    """It goes up and down. Watchers share it, so the largest value is taken."""
    SHARED_COUNTER = enum.auto()
    """It only grows. Watchers share it, so the largest value is taken."""
    HISTOGRAM = enum.auto()
    """Durations in seconds."""


@attrs.frozen(kw_only=True)
class Metric:
    """One metric.

    Attributes:
        name: With dots, as OpenTelemetry has it.
        kind: What it is.
        unit: In the UCUM, such as `s` or `{poll}`.
        help: One sentence.
        labels: The names of its attributes, with dots. Each series has all of them.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...] = ()


_OF: Final = ("pollwise.endpoint", "pollwise.account")
_HTTP: Final = (  # without the method, at which no poll looks
    "http.response.status_code",
    "error.type",
    "server.address",
    "server.port",
)


def _metrics() -> Iterator[Metric]:
    polls = "pollwise.poll.result", "error.type"
    yield Metric(
        name="http.client.request.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="Duration of requests, with the wait for the event loop and without the wait for the budget.",
        labels=_HTTP,
    )
    yield Metric(
        name="http.client.active_requests",
        kind=Kind.SUM,
        unit="{request}",
        help="Requests that are sent and not answered.",
        labels=("server.address", "server.port"),
    )
    yield Metric(name="pollwise.polls", kind=Kind.COUNTER, unit="{poll}", help="Polls by result.", labels=polls)
    yield Metric(
        name="pollwise.calls",
        kind=Kind.COUNTER,
        unit="{request}",
        help="Requests that are no polls, such as for results, by result.",
        labels=polls,
    )
    yield Metric(
        name="pollwise.watches",
        kind=Kind.SUM,
        unit="{watch}",
        help="Open watches by state.",
        labels=("pollwise.watch.state",),
    )
    yield Metric(
        name="pollwise.watches.started",
        kind=Kind.COUNTER,
        unit="{watch}",
        help="Watches that began, or were resumed.",
        labels=("pollwise.watch.resumed",),
    )
    yield Metric(
        name="pollwise.outcomes",
        kind=Kind.COUNTER,
        unit="{outcome}",
        help="Outcomes by kind.",
        labels=("pollwise.outcome", "error.type"),
    )
    yield Metric(
        name="pollwise.job.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="Time from the beginning of a watch until the end of its job was seen.",
        labels=("pollwise.outcome",),
    )
    yield Metric(
        name="pollwise.detection.delay",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="Longest possible time between the end of a job and the reply that showed it.",
    )
    yield Metric(
        name="pollwise.budget.limit",
        kind=Kind.GAUGE,
        unit="{request}",
        help="Requests that the rate limit allows in one window.",
    )
    yield Metric(name="pollwise.budget.window", kind=Kind.GAUGE, unit="s", help="The window of the rate limit.")
    yield Metric(
        name="pollwise.budget.remaining",
        kind=Kind.GAUGE,
        unit="{request}",
        help="Requests that may go at once now.",
    )
    yield Metric(
        name="pollwise.budget.refused",
        kind=Kind.SHARED_COUNTER,
        unit="{request}",
        help="Requests that the server refused with 429.",
    )
    yield Metric(
        name="pollwise.budget.waiting",
        kind=Kind.SUM,
        unit="{watch}",
        help="Watches that are due, and wait for a permit or for a free place in flight.",
    )
    yield Metric(
        name="pollwise.hosts.down",
        kind=Kind.GAUGE,
        unit="{host}",
        help="1 for a host that fails for every watch, so that it is only probed. 0 if it does not.",
        labels=("server.address", "server.port"),
    )
    yield Metric(
        name="pollwise.ledger.operation.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="Duration of calls of the ledger.",
        labels=("pollwise.ledger.operation",),
    )
    yield Metric(
        name="pollwise.ledger.errors",
        kind=Kind.COUNTER,
        unit="{call}",
        help="Calls of the ledger that failed.",
        labels=("pollwise.ledger.operation", "error.type"),
    )
    yield Metric(
        name="pollwise.ledger.backlog",
        kind=Kind.SUM,
        unit="{row}",
        help="Rows that wait to be written.",
        labels=("pollwise.ledger.rows",),
    )
    yield Metric(
        name="pollwise.outcomes.unacknowledged",
        kind=Kind.GAUGE,
        unit="{outcome}",
        help="Outcomes in the ledger that were not acknowledged.",
    )
    yield Metric(
        name="pollwise.lease.held",
        kind=Kind.SUM,
        unit="{lease}",
        help="Leases that workers have now.",
    )
    for name, what in (
        ("acquired", "Leases that workers have got."),
        ("lost", "Leases that another worker has taken."),
        ("released", "Leases that workers have given back."),
    ):
        yield Metric(name=f"pollwise.lease.{name}", kind=Kind.COUNTER, unit="{lease}", help=what)
    yield Metric(
        name="pollwise.lease.renewal.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="Duration of renewals of a lease.",
    )
    yield Metric(
        name="pollwise.lease.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="How long leases were held that are over.",
    )


METRICS: Final[Mapping[str, Metric]] = {
    metric.name: attrs.evolve(metric, labels=(*_OF, *metric.labels)) for metric in _metrics()
}
"""All metrics by name, in the order in which they are shown."""


def series_of(stats: WatcherStats) -> Iterator[Series]:
    """The series of one watcher: the name of the metric, its labels in the order of the metric, and the value."""
    of: Labels = (("pollwise.endpoint", stats.endpoint), ("pollwise.account", stats.account))
    for part in (_of_requests, _of_polls, _of_watches, _of_budget, _of_hosts, _of_ledger):
        for name, labels, value in part(stats):
            yield name, (*of, *zip(METRICS[name].labels[len(of) :], labels, strict=True)), value


@runtime_checkable
class HasLeases(Protocol):
    """A worker of a fleet."""

    def lease_stats(self) -> Sequence[LeaseStats]:
        """The leases of each shard."""
        ...


def _of_leases(stats: Iterable[LeaseStats]) -> Iterator[Series]:
    for one in stats:
        of: Labels = (("pollwise.endpoint", one.endpoint), ("pollwise.account", one.account))
        yield "pollwise.lease.held", of, one.held
        yield "pollwise.lease.acquired", of, one.acquired
        yield "pollwise.lease.lost", of, one.lost
        yield "pollwise.lease.released", of, one.released
        yield "pollwise.lease.renewal.duration", of, one.renewals
        yield "pollwise.lease.duration", of, one.durations


def _of_source(source: Source) -> Iterator[Series]:
    return _of_leases(source.lease_stats()) if isinstance(source, HasLeases) else series_of(source.stats())


def _of_requests(stats: WatcherStats) -> Iterator[_Found]:
    server = ("", "") if stats.server is None else _server(stats.server)
    for key, durations in stats.requests.items():
        code, error = (key, str(key) if key >= 400 else "") if isinstance(key, int) else ("", key)
        yield "http.client.request.duration", (code, error, *server), durations
    yield "http.client.active_requests", server, stats.in_flight


def _of_polls(stats: WatcherStats) -> Iterator[_Found]:
    for name, results, errors in (
        ("pollwise.polls", stats.polls, stats.errors),
        ("pollwise.calls", stats.calls, stats.call_errors),
    ):
        for result in ("read", "unchanged"):
            yield name, (result, ""), results[result]
        for failed, count in errors.items():
            yield name, failed, count


def _of_watches(stats: WatcherStats) -> Iterator[_Found]:
    for state, count in stats.watches.items():
        yield "pollwise.watches", (state,), count
    yield "pollwise.watches.started", ("false",), stats.started
    yield "pollwise.watches.started", ("true",), stats.resumed
    for (kind, why), count in stats.outcomes.items():
        yield "pollwise.outcomes", (kind, why or ""), count
    for kind, durations in stats.jobs.items():
        yield "pollwise.job.duration", (kind,), durations
    yield "pollwise.detection.delay", (), stats.detection_delay


def _of_budget(stats: WatcherStats) -> Iterator[_Found]:
    budget = stats.budget
    for name, number in (("limit", budget.limit), ("window", budget.per_s), ("remaining", budget.remaining)):
        if number is not None:
            yield f"pollwise.budget.{name}", (), number
    yield "pollwise.budget.refused", (), budget.refused
    yield "pollwise.budget.waiting", (), budget.waiting


def _of_hosts(stats: WatcherStats) -> Iterator[_Found]:
    down = {_server(outage.origin) for outage in stats.hosts_down}
    known = set() if stats.server is None else {_server(stats.server)}
    for server in sorted(down | known, key=str):
        yield "pollwise.hosts.down", server, int(server in down)


def _server(origin: str) -> tuple[str | int, ...]:
    """The attributes `server.address` and `server.port` of an origin."""
    url = URL(origin)
    return url.host or "", url.port or ""


def _of_ledger(stats: WatcherStats) -> Iterator[_Found]:
    ledger = stats.ledger
    if ledger is None:
        return
    for operation, durations in ledger.operations.items():
        yield "pollwise.ledger.operation.duration", (operation,), durations
    for failed, count in ledger.errors.items():
        yield "pollwise.ledger.errors", failed, count
    for rows, count in ledger.backlog.items():
        yield "pollwise.ledger.backlog", (rows,), count
    if ledger.unacknowledged is not None:
        yield "pollwise.outcomes.unacknowledged", (), ledger.unacknowledged


class Watchers:
    """The watchers and workers whose metrics are shown.

    Args:
        watchers: The first ones.
    """

    def __init__(self, watchers: Iterable[Source] = ()) -> None:
        self._watchers: list[Source] = list(watchers)
        self._kept: dict[tuple[str, Labels], Value] = {}  # the counts of watchers that were removed

    def add(self, watcher: Source) -> None:
        """Show this one, too. It is kept alive until it is removed."""
        if watcher not in self._watchers:
            self._watchers.append(watcher)

    def remove(self, watcher: Source) -> None:
        """Show its counts as they are now, and forget it. Does nothing for one that was not added."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)
            counts = (found for found in _of_source(watcher) if METRICS[found[0]].kind not in _OF_NOW)
            _merge(self._kept, counts)

    def series(self) -> dict[str, list[tuple[Labels, Value]]]:
        """All series by the name of their metric, in the order of `METRICS`. Any thread may call it."""
        merged = dict(self._kept)
        for watcher in list(self._watchers):
            _merge(merged, _of_source(watcher))
        found: dict[str, list[tuple[Labels, Value]]] = {name: [] for name in METRICS}
        for (name, labels), value in merged.items():
            found[name].append((labels, value))
        return found


_OF_NOW: Final = frozenset({Kind.GAUGE, Kind.SUM})


def _merge(into: dict[tuple[str, Labels], Value], series: Iterable[Series]) -> None:
    for name, labels, value in series:
        before = into.get((name, labels))
        if isinstance(before, Histogram) and isinstance(value, Histogram):
            into[name, labels] = before + value
        elif isinstance(before, float | int) and isinstance(value, float | int):
            shared = METRICS[name].kind in {Kind.GAUGE, Kind.SHARED_COUNTER}
            into[name, labels] = max(before, value) if shared else before + value
        else:
            into[name, labels] = value
