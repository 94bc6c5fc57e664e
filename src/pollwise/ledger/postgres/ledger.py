"""`PostgresLedger`: the ledger in a PostgreSQL database, which many processes write.

Rule 1: opening checks the server, the version of the schema and the right to write. It makes and migrates nothing.
Rule 2: what one process may write and another may not is decided by a fence (`fenced`). Without one, every process may write
every row, and the first outcome of a watch stays.
"""

from __future__ import annotations

import asyncio
import math
import warnings
from collections.abc import Sequence
from typing import Self

import asyncpg

from pollwise.errors import ConfigurationError
from pollwise.ledger.errors import LedgerClosed
from pollwise.ledger.postgres.arrivals import Arrivals
from pollwise.ledger.postgres.calls import PostgresCalls
from pollwise.ledger.postgres.connections import Connections, checked_schema
from pollwise.ledger.postgres.leases import Leases, ShardOwner, owners
from pollwise.ledger.postgres.migrations import check_version
from pollwise.ledger.postgres.sql import Fence
from pollwise.ledger.shards import Shard

__all__ = ["FencedLedger", "PostgresLedger", "connections_of"]


class FencedLedger(PostgresCalls):
    """The ledger of the process that owns one shard, while it does. `PostgresLedger.fenced` makes it.

    Every call that writes raises `LeaseLost` once another process owns the shard, and nothing of it is kept. Rows of other shards
    stay as they are.

    Attributes:
        rest_s: Seconds between two states of one watch, unless its phase or cursor changes. Each state is a row for the database, and
            after a crash the job is polled again anyway.
    """

    rest_s = 30.0

    def __init__(self, connections: Connections, fence: Fence, *, linger_s: float) -> None:
        super().__init__(connections, fence=fence, linger_s=linger_s)
        self._begin()

    def __repr__(self) -> str:
        fence = self._session.fence
        shard = None if fence is None else str(Shard(fence.endpoint, fence.account))
        return f"<{type(self).__name__} of {shard!r} in {self.where}>"


class PostgresLedger(PostgresCalls):
    """A ledger in a PostgreSQL database.

    Use it as `async with PostgresLedger("postgresql://user@host/database") as ledger:`. Its tables are made by
    `pollwise ledger migrate URL`, once. Any number of processes may use it at a time. If several watch the same jobs, each of
    them polls. Leases (`leases`) and fences (`fenced`) limit that to one process.

    The password comes from the URL, PGPASSWORD, or the file of PGPASSFILE, as asyncpg reads them. It is never shown. An object
    belongs to the event loop that opened it, and not to forked children. PostgreSQL 14 or newer.

    Args:
        dsn_or_pool: The URL of the database, or a pool of asyncpg, which is used and not closed. Behind PgBouncer in transaction
            mode, pass a pool with `statement_cache_size=0`.
        schema: The name of the schema with the tables.
        timeout_s: Max seconds for one statement, with waiting for a connection, and a millisecond more for each row that it
            writes. None: no limit.
        connections: Max connections that this object opens.
        linger_s: Seconds that an update may wait for other calls, to share their commit. Other calls do not wait.
        read_only: Look only, also at a standby. Calls that write raise `LedgerUnwritable`.

    Raises:
        ConfigurationError: An argument cannot be right.
    """

    def __init__(
        self,
        dsn_or_pool: str | asyncpg.Pool,
        *,
        schema: str = "pollwise",
        timeout_s: float | None = 10.0,
        connections: int = 4,
        linger_s: float = 0.05,
        read_only: bool = False,
    ) -> None:
        self._closed_because = "it was not opened yet"
        if timeout_s is not None and not 0 < timeout_s < math.inf:
            raise ConfigurationError(f"timeout_s must be a number of seconds above zero, or None; got {timeout_s!r}")
        if not 0 <= linger_s < math.inf:
            raise ConfigurationError(f"linger_s must be zero or more seconds, got {linger_s!r}")
        if type(connections) is not int or connections < 1:
            raise ConfigurationError(f"connections must be a whole number, 1 or more; got {connections!r}")
        super().__init__(
            Connections(dsn_or_pool, schema=checked_schema(schema), timeout_s=timeout_s, size=connections),
            linger_s=linger_s,
            read_only=read_only,
        )
        self._fenced: list[FencedLedger] = []

    def __repr__(self) -> str:
        mode = ", read_only=True" if self._read_only else ""
        return f"{type(self).__name__}({self.where!r}, schema={self._connections.schema!r}{mode})"

    async def __aenter__(self) -> Self:
        """Connect, and check the server and the schema.

        Raises:
            LedgerTooOld: The tables are not there, or of an older version. The message names the command.
            LedgerTooNew: They are of a newer version.
            LedgerError: The server cannot be reached, or refuses.
        """
        if self._loop is not None:
            raise LedgerClosed(self.where, "a ledger object is opened only once; make another one")
        self._loop = asyncio.get_running_loop()
        try:
            async with self._connections.use() as connection:
                await self._connections.check_server(connection, writes=not self._read_only)
                await check_version(connection, self._connections.schema, self.where)
                statements = self._session.statements
                await connection.execute(statements.probe_reading if self._read_only else statements.probe_writing)
        except BaseException:
            self._closed_because = "it could not be opened"
            await self._connections.aclose()
            raise
        self._begin()
        return self

    async def aclose(self) -> None:
        """Finish all accepted calls, then close the connections. A second call does nothing."""
        for fenced in self._fenced:
            await fenced.aclose()
        await super().aclose()
        await self._connections.aclose()

    def __del__(self) -> None:
        if self._closed_because is None:
            self._closed_because = "it was never closed"
            warnings.warn(f"{self!r} was never closed", ResourceWarning, source=self, stacklevel=2)

    def fenced(self, shard: Shard, epoch: int, /) -> FencedLedger:
        """The same ledger for the process that owns this shard in this epoch. It is closed with this one, or by its `aclose`.

        Args:
            shard: The shard.
            epoch: The epoch of the lease: `Lease.epoch`.

        Raises:
            LedgerClosed: This ledger is not open.
        """
        self._check_writable()
        self._fenced = [one for one in self._fenced if one.is_open]
        fence = Fence(shard.endpoint, shard.account, epoch)
        ledger = FencedLedger(self._connections, fence, linger_s=self._linger_s)
        self._fenced.append(ledger)
        return ledger

    def leases(self, *, owner: str, ttl_s: float = 15.0) -> Leases:
        """The leases of this process. Use it as `async with ledger.leases(owner="host-1") as leases:`.

        Args:
            owner: A name of this process, for people who look at the table.
            ttl_s: Seconds until a lease expires without a renewal.

        Raises:
            ConfigurationError: An argument cannot be right.
            LedgerClosed: This ledger is not open.
        """
        self._check_writable()
        return Leases(self._connections, owner=owner, ttl_s=ttl_s)

    def arrivals(self) -> Arrivals:
        """The shards in which other processes record watches. Use it as `async with ledger.arrivals() as arrivals:`.

        Raises:
            LedgerClosed: This ledger is not open.
        """
        self._check_open()
        return Arrivals(self._connections)

    async def owners(self) -> Sequence[ShardOwner]:
        """All shards and their owners, in the order of the shards.

        Raises:
            LedgerError: The database failed.
        """
        self._check_open()
        return await owners(self._connections)


def connections_of(ledger: PostgresLedger, *, writes: bool = True) -> Connections:
    """The connections of an open ledger. Internal: for the packages of pollwise that send statements of their own.

    Raises:
        LedgerClosed: The ledger is not open.
        LedgerUnwritable: It is open with `read_only=True`, and the statements write.
    """
    (ledger._check_writable if writes else ledger._check_open)()  # noqa: SLF001  # the one way in
    return ledger._connections  # noqa: SLF001
