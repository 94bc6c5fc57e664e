"""Counts the leases of a worker, by shard. A count never falls, so a shard that was left keeps its counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

import attrs

from pollwise.core.counters import Row, add_to, histogram
from pollwise.ledger import Shard
from pollwise.model.stats import JOB_BOUNDS, REQUEST_BOUNDS, Histogram, LeaseStats

__all__ = ["LeaseCounts"]


def _row(bounds: Sequence[float]) -> Row:
    return [*[0] * (len(bounds) + 1), 0.0]


@attrs.define
class _Counts:
    acquired: int = 0
    lost: int = 0
    released: int = 0
    renewals: Row = attrs.Factory(lambda: _row(REQUEST_BOUNDS))
    durations: Row = attrs.Factory(lambda: _row(JOB_BOUNDS))


class LeaseCounts:
    """The counts of one worker.

    Attributes:
        failed_renewals: How many renewals failed.
    """

    def __init__(self) -> None:
        self._of: defaultdict[Shard, _Counts] = defaultdict(_Counts)
        self._renewals = _row(REQUEST_BOUNDS)
        self.failed_renewals = 0

    def acquired(self, shard: Shard) -> None:
        """A lease was got."""
        self._of[shard].acquired += 1

    def lost(self, shard: Shard) -> None:
        """Another worker has taken the shard."""
        self._of[shard].lost += 1

    def released(self, shard: Shard) -> None:
        """A lease was given back."""
        self._of[shard].released += 1

    def over(self, shard: Shard, held_s: float) -> None:
        """The shard is not served any more."""
        add_to(self._of[shard].durations, held_s, JOB_BOUNDS)

    def renewed(self, shards: Collection[Shard], took_s: float) -> None:
        """The leases of these shards were renewed at once. None of them: that failed."""
        add_to(self._renewals, took_s, REQUEST_BOUNDS)
        for shard in shards:
            add_to(self._of[shard].renewals, took_s, REQUEST_BOUNDS)

    def total(self, name: str) -> int:
        """The sum over all shards of `acquired`, `lost` or `released`."""
        return sum(getattr(counts, name) for counts in list(self._of.values()))

    @property
    def renewals(self) -> Histogram:
        """How long all renewals took, also those that failed."""
        return histogram(self._renewals, REQUEST_BOUNDS)

    @property
    def durations(self) -> Histogram:
        """How long leases were held that are over."""
        rows = [histogram(counts.durations, JOB_BOUNDS) for counts in list(self._of.values())]
        return sum(rows, histogram(_row(JOB_BOUNDS), JOB_BOUNDS))

    def stats(self, held: Collection[Shard]) -> Sequence[LeaseStats]:
        """The counts of each shard. Any thread may call it."""
        return [
            LeaseStats(
                endpoint=shard.endpoint,
                account=shard.account,
                held=int(shard in held),
                acquired=counts.acquired,
                lost=counts.lost,
                released=counts.released,
                renewals=histogram(counts.renewals, REQUEST_BOUNDS),
                durations=histogram(counts.durations, JOB_BOUNDS),
            )
            for shard, counts in list(self._of.items())
        ]
