"""What a worker has done so far, and what it does now, as one value: `Worker.stats()`."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from pollwise.ledger.shards import Shard
from pollwise.model.stats import Histogram

__all__ = ["OwnedShardStats", "WorkerStats"]


@attrs.frozen(kw_only=True)
class OwnedShardStats:
    """A shard that the worker owns.

    Attributes:
        shard: The shard.
        epoch: How often its owner has changed.
        held_s: Seconds since this worker has taken it.
        watches: Its open watches.
        waiting: Watches that are due, and wait for the budget.
        refused: Requests that the server has refused with 429.
        backlog: Rows that wait to be written.
        unacknowledged: Outcomes that no consumer has acknowledged, as counted when the shard was taken and counted on since.
            None if it is not known.
        lag_s: Seconds since the database was last asked for new watches and requests.
    """

    shard: Shard
    epoch: int
    held_s: float
    watches: int
    waiting: int
    refused: int
    backlog: int
    unacknowledged: int | None
    lag_s: float


@attrs.frozen(kw_only=True)
class WorkerStats:
    """A worker.

    Attributes:
        name: Its name.
        shards: The shards that it owns, in their order.
        live_workers: How many workers take shards, itself included, as last seen.
        refused: Shards that it cannot serve, because `endpoint_for` failed.
        is_connected: Whether its session in the database exists, as far as it knows.
        is_draining: Whether it gives all its shards away.
        acquired: Leases that it has got so far.
        lost: Leases that another worker has taken from it.
        released: Leases that it has given back.
        renewals: How long renewals took, also those that failed.
        failed_renewals: How many of them failed.
        held_s: How long leases were held that are over.
    """

    name: str
    shards: Sequence[OwnedShardStats]
    live_workers: int
    refused: Sequence[Shard]
    is_connected: bool
    is_draining: bool
    acquired: int
    lost: int
    released: int
    renewals: Histogram
    failed_renewals: int
    held_s: Histogram
