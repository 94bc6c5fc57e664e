"""The processes that take shards, and what each of them owns.

Rule 1: a worker is live if its session exists and it has renewed in time, by the server's clock. A process that is frozen keeps its
session, so both are asked.
Rule 2: a shard without open watches and without requests needs no owner (`ShardState.is_busy`).
Rule 3: processes that wait for outcomes are notified by the owner, many outcomes at a time. A notification can be lost.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import attrs
import orjson

from pollwise.ledger.postgres.arrivals import Arrivals
from pollwise.ledger.postgres.leases import GONE, LIVE
from pollwise.ledger.shards import Shard

if TYPE_CHECKING:
    from pollwise.ledger.postgres.connections import Connections

__all__ = ["ShardState", "Survey", "WorkerRow", "Workers"]


@attrs.frozen(kw_only=True)
class ShardState:
    """A shard at one moment.

    Attributes:
        shard: The shard.
        session: The session of its owner, which may be gone. None without an owner.
        is_free: Whether it can be taken.
        is_busy: Whether it has open watches or requests.
    """

    shard: Shard
    session: int | None
    is_free: bool
    is_busy: bool


@attrs.frozen(kw_only=True)
class Survey:
    """All shards at one moment in their order, and the sessions of the live workers that take shards."""

    shards: Sequence[ShardState]
    workers: Collection[int]


@attrs.frozen(kw_only=True)
class WorkerRow:
    """A worker.

    Attributes:
        name: Its name, for people.
        session: Its session.
        started_at: When that began; aware.
        is_live: Whether its session exists and it has renewed in time.
        is_draining: Whether it gives all its shards away.
    """

    name: str
    session: int
    started_at: datetime
    is_live: bool
    is_draining: bool


class Workers:
    """The workers in one database.

    Args:
        connections: Its connections.
    """

    # S608 below: the statements are made of constants and a checked name.
    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._schema = f'"{connections.schema}"'
        self._channel = f"{connections.schema}_outcomes"

    async def now_s(self) -> float:
        """The server's clock, in epoch seconds."""
        return float((await self._connections.fetch("SELECT extract(epoch FROM clock_timestamp())::float8"))[0][0])

    async def report(self, session: int, *, name: str, ttl_s: float, draining: bool) -> None:
        """This worker is there. Repeat it with each renewal. Workers that are gone for an hour are forgotten."""
        await self._connections.fetch(
            f"WITH gone AS (DELETE FROM {self._schema}.workers"  # noqa: S608
            " WHERE expires_at < clock_timestamp() - interval '1 hour' AND session <> $1)"
            f" INSERT INTO {self._schema}.workers (session, name, started_at, expires_at, draining)"
            " VALUES ($1, $2, clock_timestamp(), clock_timestamp() + make_interval(secs => $3), $4)"
            " ON CONFLICT (session) DO UPDATE SET expires_at = EXCLUDED.expires_at, draining = EXCLUDED.draining",
            session,
            name,
            ttl_s,
            draining,
        )

    async def forget(self, session: int) -> None:
        """This worker has ended."""
        await self._connections.fetch(f"DELETE FROM {self._schema}.workers WHERE session = $1", session)  # noqa: S608

    async def survey(self) -> Survey:
        """All shards, and the live workers."""
        rows = await self._connections.fetch(
            f"WITH {LIVE} SELECT s.endpoint, s.account, s.session,"  # noqa: S608
            f" (s.owner IS NULL OR s.expires_at <= clock_timestamp() OR ({GONE})) AS is_free,"
            f" (EXISTS (SELECT FROM {self._schema}.watches w WHERE w.endpoint = s.endpoint AND w.account = s.account"
            f" AND w.outcome IS NULL) OR EXISTS (SELECT FROM {self._schema}.requests r WHERE r.endpoint = s.endpoint"
            " AND r.account = s.account)) AS is_busy"
            f" FROM {self._schema}.shards s"
            " UNION ALL SELECT NULL, NULL, w.session, false, false"
            f" FROM {self._schema}.workers w JOIN live l ON l.session = w.session"
            " WHERE w.expires_at > clock_timestamp() AND NOT w.draining"
        )
        return Survey(
            shards=[
                ShardState(shard=Shard(endpoint, account), session=session, is_free=is_free, is_busy=is_busy)
                for endpoint, account, session, is_free, is_busy in sorted(
                    (row for row in rows if row["endpoint"] is not None),
                    key=lambda row: (row["endpoint"], row["account"]),
                )
            ],
            workers=frozenset(row["session"] for row in rows if row["endpoint"] is None),
        )

    async def all(self) -> Sequence[WorkerRow]:
        """All workers that are not forgotten, in the order in which they began."""
        rows = await self._connections.fetch(
            f"WITH {LIVE} SELECT w.name, w.session, w.started_at, w.draining, w.expires_at > clock_timestamp()"  # noqa: S608
            " AND EXISTS (SELECT FROM live l WHERE l.session = w.session) AS is_live"
            f" FROM {self._schema}.workers w ORDER BY w.started_at, w.session"
        )
        return [
            WorkerRow(name=name, session=session, started_at=started_at, is_live=is_live, is_draining=draining)
            for name, session, started_at, draining, is_live in rows
        ]

    async def last_watch(self, shard: Shard, /) -> int:
        """The number of the newest open watch of this shard. 0 without one."""
        rows = await self._connections.fetch(
            f"SELECT coalesce(max(w.id), 0) FROM {self._schema}.watches w"  # noqa: S608
            " WHERE w.endpoint = $1 AND w.account = $2 AND w.outcome IS NULL",
            shard.endpoint,
            shard.account,
        )
        return int(rows[0][0])

    async def has_open(self, shards: Collection[Shard], /) -> bool:
        """Whether one of these shards has an open watch."""
        wanted = sorted(shards)
        rows = await self._connections.fetch(
            "SELECT EXISTS (SELECT FROM unnest($1::text[], $2::text[]) AS s(endpoint, account) WHERE EXISTS"  # noqa: S608
            f" (SELECT FROM {self._schema}.watches w WHERE w.endpoint = s.endpoint AND w.account = s.account"
            " AND w.outcome IS NULL))",
            [shard.endpoint for shard in wanted],
            [shard.account for shard in wanted],
        )
        return bool(rows[0][0])

    async def write_spent(self, spent: Sequence[tuple[Shard, int, str | None]], /) -> None:
        """What these shards have used of their rate limits, each with its epoch. Those of a former owner are left out."""
        await self._connections.fetch(
            f"UPDATE {self._schema}.shards s SET spent = h.spent, spent_at = clock_timestamp()"  # noqa: S608
            " FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS h(endpoint, account, epoch, spent)"
            " WHERE s.endpoint = h.endpoint AND s.account = h.account AND s.epoch = h.epoch",
            [shard.endpoint for shard, _, _ in spent],
            [shard.account for shard, _, _ in spent],
            [epoch for _, epoch, _ in spent],
            [text for _, _, text in spent],
        )

    async def spent(self, shards: Collection[Shard], /) -> Mapping[Shard, tuple[str, float]]:
        """What earlier owners have written, and how many seconds ago. Shards without it are left out."""
        wanted = sorted(shards)
        rows = await self._connections.fetch(
            "SELECT s.endpoint, s.account, s.spent, greatest(0, extract(epoch FROM clock_timestamp() - s.spent_at))::float8 AS age_s"  # noqa: S608
            f" FROM {self._schema}.shards s WHERE s.spent IS NOT NULL"
            " AND (s.endpoint, s.account) IN (SELECT * FROM unnest($1::text[], $2::text[]))",
            [shard.endpoint for shard in wanted],
            [shard.account for shard in wanted],
        )
        return {Shard(endpoint, account): (spent, age_s) for endpoint, account, spent, age_s in rows}

    async def notify(self, shards: Collection[Shard], /) -> None:
        """Outcomes were written in these shards."""
        await self._connections.fetch(
            f"SELECT pg_notify('{self._channel}', p) FROM unnest($1::text[]) p",  # noqa: S608
            [orjson.dumps([shard.endpoint, shard.account]).decode() for shard in sorted(shards)],
        )

    def outcomes(self) -> Arrivals:
        """The shards in which outcomes are written. Use it in its own `async with` block."""
        return Arrivals(self._connections, channel=self._channel)
