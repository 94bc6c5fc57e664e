"""Arrivals: which shards have watches that another process has recorded.

Rule 1: PostgreSQL delivers a notification to the connections that listen at that moment, and keeps none for later. So a reader
asks for `open_watches(after=...)` from time to time anyway: every 5 s is enough.
Rule 2: several notifications about a shard are one arrival.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import orjson

from pollwise.ledger.errors import LedgerClosed
from pollwise.ledger.shards import Shard

if TYPE_CHECKING:
    from pollwise.ledger.postgres.connections import AnyConnection, Connections

__all__ = ["Arrivals"]


class Arrivals:
    """The shards in which watches were recorded. `PostgresLedger.arrivals` makes it; use it in its own `async with` block.

    Args:
        connections: The connections.
        channel: The channel of the notifications. By default that of new watches.
    """

    def __init__(self, connections: Connections, *, channel: str | None = None) -> None:
        self._connections = connections
        self._channel = channel or connections.schema
        self._connection: AnyConnection | None = None
        self._shards: set[Shard] = set()
        self._wake = asyncio.Event()
        self._closed = False

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it is closed anyway
                await connection.remove_listener(self._channel, self._arrived)
            await self._connections.give_back(connection)

    async def wait(self, timeout_s: float | None = None) -> Collection[Shard]:
        """The shards in which watches were recorded since the last call.

        A connection that was lost is opened again. What was recorded meanwhile is not reported.

        Args:
            timeout_s: Max seconds to wait. None: no limit.

        Returns:
            The shards. Empty after the time-out, and where the connection was lost: look into all shards then.

        Raises:
            LedgerError: The connection was lost, and there is no other one. It may be repeated.
        """
        if self._closed:
            raise LedgerClosed(self._connections.where, "these arrivals are not listened for")
        if self._connection is None or self._connection.is_closed():
            await self._listen()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        self._wake.clear()
        shards, self._shards = self._shards, set()
        return shards

    def wake(self) -> None:
        """Let `wait` return now, or the next time."""
        self._wake.set()

    async def _listen(self) -> None:
        old, self._connection = self._connection, None
        if old is not None:
            await self._connections.give_back(old)
        connection = await self._connections.keep(
            lambda connection: connection.add_listener(self._channel, self._arrived)
        )
        connection.add_termination_listener(lambda _connection: self._wake.set())
        self._connection = connection

    def _arrived(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        with suppress(ValueError, TypeError):  # another program may notify on the same channel
            endpoint, account = orjson.loads(str(payload))
            self._shards.add(Shard(endpoint, account))
        self._wake.set()
