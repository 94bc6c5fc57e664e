"""Leases: which process owns a shard, and in which epoch.

Rule 1: only the server's clock decides when a lease is over. A process compares its own monotonic clock with nothing but its
own earlier readings (`Lease.until`).
Rule 2: a shard is free if it was released, if its lease is over, or if the session of its owner is gone. A session is an
advisory lock on a connection of its own, so the server ends it as soon as the process is gone.
Rule 3: each change of the owner raises the epoch. What an earlier owner still writes through its fence is refused.
Rule 4: taking shards is one statement, and steps over what another process is taking.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import attrs

from pollwise.errors import ConfigurationError
from pollwise.ledger.errors import LedgerClosed, LedgerError
from pollwise.ledger.postgres.columns import plain_text
from pollwise.ledger.shards import Shard

if TYPE_CHECKING:
    from pollwise.ledger.postgres.connections import AnyConnection, Connections

__all__ = ["GONE", "LIVE", "Lease", "Leases", "ShardOwner", "owners"]

_SAFE = 0.9  # of the time to live

# S608 below: the statements are made of constants and a checked name.
LIVE = (
    "live AS MATERIALIZED (SELECT (l.classid::bigint << 32) | l.objid::bigint AS session FROM pg_locks l"
    " WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted"
    " AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))"
)
"""The sessions that exist, as `live` in a WITH clause."""
# The session of an owner that came after this statement began is not in `live`.
GONE = "s.acquired_at < statement_timestamp() AND NOT EXISTS (SELECT FROM live l WHERE l.session = s.session)"


@attrs.frozen(kw_only=True)
class Lease:
    """The right to watch the jobs of a shard, and to write its rows through `PostgresLedger.fenced`.

    Attributes:
        shard: The shard.
        epoch: How often its owner has changed. It rises with each owner.
        until: When the owner must have stopped polling unless it has renewed the lease, in seconds of `loop.time()`. It is 0.9 of
            the time to live, counted from before the last renewal was sent. So the lease expires later on the server.
    """

    shard: Shard
    epoch: int
    until: float


@attrs.frozen(kw_only=True)
class ShardOwner:
    """Which process owns a shard.

    Attributes:
        shard: The shard.
        epoch: How often its owner has changed.
        owner: The name of its owner, or None if it was released or never taken.
        expires_in_s: Seconds until its lease is over, negative if it is. None without an owner.
        is_live: Whether the owner's session exists. Without it, the shard can be taken before its lease is over.
    """

    shard: Shard
    epoch: int
    owner: str | None
    expires_in_s: float | None
    is_live: bool


class Leases:
    """The leases of one process, made by `PostgresLedger.leases`. Leaving its `async with` block releases all of them.

    Args:
        connections: The connections.
        owner: A name of this process, for people.
        ttl_s: Seconds until a lease expires without a renewal. Renew every sixth to third of it.
    """

    def __init__(self, connections: Connections, *, owner: str, ttl_s: float) -> None:
        if not 0 < ttl_s < math.inf:
            raise ConfigurationError(f"ttl_s must be a finite number of seconds above zero, got {ttl_s!r}")
        plain_text(owner, "owner")
        self._connections = connections
        self._owner = owner
        self._ttl_s = ttl_s
        self._shards = f'"{connections.schema}".shards'
        self._session = 0
        self._connection: AnyConnection | None = None
        self._gone = asyncio.Event()
        self._held: dict[Shard, int] = {}  # and their epochs
        self._opening = asyncio.Lock()
        self._closed = False

    async def __aenter__(self) -> Self:
        await self._open_session()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Release all leases, and end the session. What cannot be released is free, because the session is gone."""
        if self._closed:
            return
        try:
            if self._held:
                with suppress(LedgerError):
                    await self._release(list(self._held.items()))
        finally:
            self._closed = True
            self._held.clear()
            connection, self._connection = self._connection, None
            if connection is not None:
                await self._connections.give_back(connection)

    @property
    def session(self) -> int:
        """The number of the session, which is that of its advisory lock. 0 before the first one."""
        return self._session

    @property
    def is_connected(self) -> bool:
        """Whether the session exists, as far as this process knows."""
        return self._connection is not None and not self._connection.is_closed()

    async def wait_disconnected(self) -> None:
        """Return once the session is lost. Another process may take all shards from then on, so poll nothing until `renew`."""
        await self._gone.wait()

    async def acquire(self, limit: int, /, *, of: Collection[Shard] | None = None) -> Sequence[Lease]:
        """Take shards that are free.

        Args:
            limit: How many at most.
            of: The shards to choose from, which are made known if they are not. None: all that have had a watch.

        Returns:
            The new leases.

        Raises:
            LedgerError: The database failed. It may be repeated.
        """
        await self._open_session()
        wanted = None if of is None else sorted(set(of))
        if wanted:
            await self._connections.fetch(
                f"INSERT INTO {self._shards} (endpoint, account) SELECT * FROM unnest($1::text[], $2::text[])"  # noqa: S608
                " ON CONFLICT DO NOTHING",
                *_names(wanted),
            )
        sent = asyncio.get_running_loop().time()
        rows = await self._connections.fetch(
            f"WITH {LIVE}, free AS MATERIALIZED (SELECT s.endpoint, s.account FROM {self._shards} s"  # noqa: S608
            f" WHERE (s.owner IS NULL OR s.expires_at <= clock_timestamp() OR ({GONE}))"
            " AND ($5 OR (s.endpoint, s.account) IN (SELECT * FROM unnest($6::text[], $7::text[])))"
            " ORDER BY s.expires_at NULLS FIRST, s.endpoint, s.account LIMIT $4 FOR UPDATE SKIP LOCKED),"
            f" taken AS (UPDATE {self._shards} s SET epoch = s.epoch + 1, owner = $1, session = $2,"
            " acquired_at = clock_timestamp(), expires_at = clock_timestamp() + make_interval(secs => $3)"
            " FROM free f WHERE s.endpoint = f.endpoint AND s.account = f.account"
            " RETURNING s.endpoint, s.account, s.epoch)"
            " SELECT endpoint, account, epoch FROM taken"
            # The shards that an earlier call took, if its answer was lost.
            f" UNION SELECT s.endpoint, s.account, s.epoch FROM {self._shards} s WHERE s.session = $2"
            " AND NOT EXISTS (SELECT FROM taken t WHERE t.endpoint = s.endpoint AND t.account = s.account)",
            self._owner,
            self._session,
            self._ttl_s,
            limit,
            of is None,
            *_names(wanted or ()),
        )
        found = {Shard(endpoint, account): epoch for endpoint, account, epoch in rows}
        new = {shard: epoch for shard, epoch in found.items() if self._held.get(shard) != epoch}
        self._held.update(new)
        return self._leases(new.items(), sent)

    async def renew(self) -> Sequence[Lease]:
        """Renew all leases. After the session was lost, this starts another one.

        Returns:
            Those that this process still has. Another process owns every other one: stop watching its jobs.

        Raises:
            LedgerError: The database failed. The leases are as before. It may be repeated.
        """
        await self._open_session()
        sent = asyncio.get_running_loop().time()
        held = list(self._held.items())
        rows = await self._connections.fetch(
            f"UPDATE {self._shards} s SET expires_at = clock_timestamp() + make_interval(secs => $1),"  # noqa: S608
            " acquired_at = CASE WHEN s.session = $2 THEN s.acquired_at ELSE clock_timestamp() END, session = $2"
            " FROM unnest($3::text[], $4::text[], $5::bigint[]) AS h(endpoint, account, epoch)"
            " WHERE s.endpoint = h.endpoint AND s.account = h.account AND s.epoch = h.epoch AND s.owner IS NOT NULL"
            " RETURNING s.endpoint, s.account, s.epoch",
            self._ttl_s,
            self._session,
            *_names(shard for shard, _ in held),
            [epoch for _, epoch in held],
        )
        kept = {(Shard(endpoint, account), epoch) for endpoint, account, epoch in rows}
        for shard, epoch in held:
            if (shard, epoch) not in kept and self._held.get(shard) == epoch:
                del self._held[shard]
        return self._leases(sorted(kept), sent)

    async def release(self, leases: Iterable[Lease], /) -> None:
        """Give these leases back, so that another process can take their shards at once. Stop watching their jobs before.

        Raises:
            LedgerError: The database failed. It may be repeated.
        """
        self._check_open()
        await self._release([(lease.shard, lease.epoch) for lease in leases])

    async def _release(self, held: Sequence[tuple[Shard, int]]) -> None:
        await self._connections.fetch(
            f"UPDATE {self._shards} s SET owner = NULL, session = NULL, expires_at = NULL"  # noqa: S608
            " FROM unnest($1::text[], $2::text[], $3::bigint[]) AS h(endpoint, account, epoch)"
            " WHERE s.endpoint = h.endpoint AND s.account = h.account AND s.epoch = h.epoch",
            *_names(shard for shard, _ in held),
            [epoch for _, epoch in held],
        )
        for shard, epoch in held:
            if self._held.get(shard) == epoch:
                del self._held[shard]

    def _leases(self, held: Iterable[tuple[Shard, int]], sent: float) -> Sequence[Lease]:
        until = sent + _SAFE * self._ttl_s
        return [Lease(shard=shard, epoch=epoch, until=until) for shard, epoch in held]

    def _check_open(self) -> None:
        if self._closed:
            raise LedgerClosed(self._connections.where, "these leases were released")

    async def _open_session(self) -> None:
        """Take an advisory lock that no other process has, on a connection that is kept."""
        self._check_open()
        async with self._opening:
            if self.is_connected:
                return
            old, self._connection = self._connection, None
            if old is not None:
                await self._connections.give_back(old)
            session = secrets.randbits(63)
            connection = await self._connections.keep(
                lambda connection: connection.execute("SELECT pg_advisory_lock($1)", session)
            )
            gone = self._gone = asyncio.Event()
            connection.add_termination_listener(lambda _connection: gone.set())
            self._connection, self._session = connection, session


async def owners(connections: Connections) -> Sequence[ShardOwner]:
    """All shards and their owners, in the order of the shards."""
    rows = await connections.fetch(
        f"WITH {LIVE} SELECT s.endpoint, s.account, s.epoch, s.owner,"  # noqa: S608
        " extract(epoch FROM s.expires_at - clock_timestamp())::double precision AS expires_in_s,"
        " EXISTS (SELECT FROM live l WHERE l.session = s.session) AS is_live"
        f' FROM "{connections.schema}".shards s ORDER BY s.endpoint COLLATE "C", s.account COLLATE "C"'
    )
    return [
        ShardOwner(shard=Shard(endpoint, account), epoch=epoch, owner=owner, expires_in_s=expires, is_live=is_live)
        for endpoint, account, epoch, owner, expires, is_live in rows
    ]


def _names(shards: Iterable[Shard]) -> tuple[list[str], list[str]]:
    both = [(shard.endpoint, shard.account) for shard in shards]
    return [endpoint for endpoint, _ in both], [account for _, account in both]
