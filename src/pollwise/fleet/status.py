"""Who owns which shard, and how much waits there: `fleet_status(store)`, from any process.

Rule: it reads one statement each for shards and workers, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from pollwise.ledger.postgres.leases import LIVE
from pollwise.ledger.postgres.ledger import PostgresLedger, connections_of
from pollwise.ledger.postgres.workers import WorkerRow, Workers
from pollwise.ledger.shards import Shard

__all__ = ["FleetStatus", "ShardStatus", "fleet_status"]


@attrs.frozen(kw_only=True)
class ShardStatus:
    """A shard.

    Attributes:
        shard: The shard.
        owner: The name of the worker that owns it. None if no live worker does.
        epoch: How often its owner has changed.
        owned_s: Seconds since the owner took it, or since its session began, after it lost its connection. None without an owner.
        lease_left_s: Seconds until the lease is over, unless it is renewed. None without an owner.
        open: Its open watches.
        unseen: Those of them that were not polled yet.
        lag_s: Seconds since the oldest of these was submitted. 0 without one.
        unacknowledged: Outcomes that no consumer has acknowledged.
        requests: Requests to its owner that were not carried out yet, such as to cancel a job.
    """

    shard: Shard
    owner: str | None
    epoch: int
    owned_s: float | None
    lease_left_s: float | None
    open: int
    unseen: int
    lag_s: float
    unacknowledged: int
    requests: int


@attrs.frozen(kw_only=True)
class FleetStatus:
    """A fleet at one moment: its shards in their order, and its workers, the oldest first."""

    shards: Sequence[ShardStatus]
    workers: Sequence[WorkerRow]


async def fleet_status(store: PostgresLedger) -> FleetStatus:
    """The status of the fleet that shares this database. It counts rows, so call it a few times a second at most.

    The database may be open with `read_only=True`. A standby does not know the sessions, so it shows no owner.

    Raises:
        LedgerError: The database failed.
    """
    connections = connections_of(store, writes=False)
    schema = f'"{connections.schema}"'
    rows = await connections.fetch(
        f"WITH {LIVE} SELECT s.endpoint, s.account, s.epoch,"  # noqa: S608  # constants and a checked name
        " CASE WHEN s.expires_at > clock_timestamp() AND EXISTS (SELECT FROM live l WHERE l.session = s.session)"
        " THEN s.owner END AS owner, extract(epoch FROM clock_timestamp() - s.acquired_at)::float8 AS owned_s,"
        " extract(epoch FROM s.expires_at - clock_timestamp())::float8 AS lease_left_s, o.open, o.unseen,"
        " greatest(0, extract(epoch FROM clock_timestamp())::float8 - o.oldest_us / 1e6)::float8 AS lag_s,"
        f" (SELECT count(*) FROM {schema}.watches w WHERE w.endpoint = s.endpoint AND w.account = s.account"
        " AND w.outcome IS NOT NULL AND NOT w.acknowledged) AS unacknowledged,"
        f" (SELECT count(*) FROM {schema}.requests r WHERE r.endpoint = s.endpoint AND r.account = s.account) AS requests"
        f" FROM {schema}.shards s CROSS JOIN LATERAL (SELECT count(*) AS open, count(*) FILTER (WHERE w.polls = 0) AS unseen,"
        f" min(w.first_seen_us) FILTER (WHERE w.polls = 0) AS oldest_us FROM {schema}.watches w"
        " WHERE w.endpoint = s.endpoint AND w.account = s.account AND w.outcome IS NULL) o"
        ' ORDER BY s.endpoint COLLATE "C", s.account COLLATE "C"'
    )
    return FleetStatus(
        shards=[
            ShardStatus(
                shard=Shard(row["endpoint"], row["account"]),
                owner=row["owner"],
                epoch=row["epoch"],
                owned_s=None if row["owner"] is None else row["owned_s"],
                lease_left_s=None if row["owner"] is None else row["lease_left_s"],
                open=row["open"],
                unseen=row["unseen"],
                lag_s=row["lag_s"] or 0.0,
                unacknowledged=row["unacknowledged"],
                requests=row["requests"],
            )
            for row in rows
        ],
        workers=await Workers(connections).all(),
    )
