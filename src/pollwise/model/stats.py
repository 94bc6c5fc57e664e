"""What a watcher has done and does, as one value: `JobWatcher.stats()`.

Rule 1: counts and histograms only grow while the watcher exists, also over its closing and opening. The other numbers are
those of this moment.
Rule 2: every number says what it counts, and None says that it is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from pollwise.model.hosts import HostOutage

__all__ = [
    "DELAY_BOUNDS",
    "JOB_BOUNDS",
    "REQUEST_BOUNDS",
    "BudgetStats",
    "Histogram",
    "LeaseStats",
    "LedgerStats",
    "WatcherStats",
]

REQUEST_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""In seconds. OpenTelemetry's semantic conventions advise them for `http.client.request.duration`."""
JOB_BOUNDS: Final = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21600.0, 86400.0)
"""In seconds: from a job that takes a moment to one that takes a day."""
DELAY_BOUNDS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""In seconds."""


@attrs.frozen(kw_only=True)
class Histogram:
    """How many durations were how long.

    Attributes:
        bounds: The upper bounds of the buckets in seconds, rising. A duration that equals a bound is in its bucket.
        counts: How many durations are in each bucket. One more than bounds: the last bucket has no upper bound.
        sum_s: The sum of all durations, in seconds.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum_s: float

    @property
    def count(self) -> int:
        """The number of all durations."""
        return sum(self.counts)

    def __add__(self, other: Histogram) -> Histogram:
        """Both together. They must have the same bounds."""
        if self.bounds != other.bounds:
            raise ValueError("two histograms with other bounds cannot be added")
        counts = tuple(one + more for one, more in zip(self.counts, other.counts, strict=True))
        return Histogram(bounds=self.bounds, counts=counts, sum_s=self.sum_s + other.sum_s)


@attrs.frozen(kw_only=True)
class BudgetStats:
    """The rate budget of the watcher's token. Watchers with one budget have the same numbers, but for `waiting`.

    Attributes:
        limit: Requests in one window, configured or learnt. None if it is not known.
        per_s: The length of the window in seconds. None if it is not known.
        remaining: How many requests may go at once now. None if no limit is known.
        refused: How many requests the server has refused with 429.
        waiting: Watches of this watcher that are due, and wait for a permit or for a free place in flight.
    """

    limit: int | None
    per_s: float | None
    remaining: int | None
    refused: int
    waiting: int


@attrs.frozen(kw_only=True)
class LedgerStats:
    """The ledger as this watcher uses it.

    Attributes:
        operations: How long its calls took, by the name of the method, such as `record`. Calls that failed are included.
        errors: How many calls failed, by the name of the method and the class name of the error.
        backlog: Rows that wait to be written: `watches`, `states` and `outcomes`.
        unacknowledged: Outcomes of the endpoint and account that were not acknowledged, in the whole ledger. None if the
            watcher is closed, or if the ledger has no `count_unacknowledged`.
    """

    operations: Mapping[str, Histogram]
    errors: Mapping[tuple[str, str], int]
    backlog: Mapping[str, int]
    unacknowledged: int | None


@attrs.frozen(kw_only=True)
class LeaseStats:
    """The leases of one shard, as one worker had and has them.

    Attributes:
        endpoint: The endpoint's name.
        account: The account, or an empty text.
        held: 1 while the worker has the lease, else 0.
        acquired: How often it has got the lease.
        lost: How often another worker has taken the shard from it.
        released: How often it has given the lease back.
        renewals: How long the renewals of the lease took that succeeded.
        durations: How long leases were held that are over.
    """

    endpoint: str
    account: str
    held: int
    acquired: int
    lost: int
    released: int
    renewals: Histogram
    durations: Histogram


@attrs.frozen(kw_only=True)
class WatcherStats:
    """What a watcher has done so far, and what it does now.

    Attributes:
        endpoint: The endpoint's name.
        account: The account, or an empty text.
        server: Scheme, host and port of all jobs' URLs. None if the endpoint does not say (`fixed_origin`).
        polls: Polls by result. `read`: the reply was read. `unchanged`: it equals the one before. `throttled`: a rate
            limit. `not_visible`: a 404 within the grace time. `refused_3xx`, `refused_4xx`, `refused_5xx`: another refusal, by the class of its status code.
            `malformed`: no status could be read. `timed_out`. `connection_failed`: no connection, or it broke, TLS
            included. `cancelled`: the watch ended meanwhile, such as at its deadline. `failed`: anything else, such as a bug in the endpoint, or credentials that cannot be renewed.
        errors: The polls with an error, by result and by the class name of the error in `pollwise.errors`.
        calls: The same as `polls` for other requests, such as those that start a job, fetch its result or cancel it.
        call_errors: The same as `errors` for other requests.
        requests: How long all these requests took, by status code, or by the class name of the error if there was no
            reply. From the moment at which the request could go until the event loop had its reply. So waiting for the
            event loop or for new credentials is included, and waiting for the budget is not.
        in_flight: Requests that are sent and not answered.
        started: Watches that began with `watch` and the calls that use it. The ledger may have known their jobs.
        resumed: Watches that went on with `resume` or `watch_from_token`.
        watches: Open watches by state: `unseen`, a phase such as `running`, or `failing` if the last poll failed. An end
            that is not confirmed yet has its own phase.
        outcomes: The outcomes of watches by kind (`succeeded`, `failed`, `cancelled`, `abandoned`) and by the class name
            of the error, which is None for a success. An outcome that a ledger had from before is not counted.
        jobs: How long jobs took, from the beginning of the watch until its outcome, by kind of outcome without `abandoned`.
        detection_delay: Max time from the job's end to the reply that showed it: the time since the last reply that
            showed the job going on. Jobs that were over at the first reply are not in it.
        budget: The rate budget.
        ledger: The ledger, or None without one.
        hosts_down: The hosts that fail for every watch of this token now, as `JobWatcher.hosts_down` has them. Watchers with
            one budget share them. Empty while the watcher is closed.
    """

    endpoint: str
    account: str
    server: str | None
    polls: Mapping[str, int]
    errors: Mapping[tuple[str, str], int]
    calls: Mapping[str, int]
    call_errors: Mapping[tuple[str, str], int]
    requests: Mapping[int | str, Histogram]
    in_flight: int
    started: int
    resumed: int
    watches: Mapping[str, int]
    outcomes: Mapping[tuple[str, str | None], int]
    jobs: Mapping[str, Histogram]
    detection_delay: Histogram
    budget: BudgetStats
    ledger: LedgerStats | None
    hosts_down: tuple[HostOutage, ...] = ()
