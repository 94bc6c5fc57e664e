"""What a worker hears from other processes, and tells them: new watches, requests and outcomes.

Rule: a notification can be lost. So workers and clients look every few seconds anyway, and nothing here has to succeed.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from pollwise.fleet.owned_shard import EVERY_S, OwnedShard
from pollwise.ledger import LedgerError, Shard
from pollwise.ledger.postgres import PostgresLedger
from pollwise.ledger.postgres.workers import Workers

__all__ = ["Notices"]

_NOTIFY_S: Final = 0.1  # least time between two notifications about outcomes

_log = logging.getLogger(__name__)


class Notices:
    """The notifications of one worker.

    Args:
        store: Has the notifications of clients.
        workers: Notifies clients.
        owned: The shards that are served now.
        on_other: Called with another shard that has new watches or requests.
    """

    def __init__(
        self,
        store: PostgresLedger,
        workers: Workers,
        owned: Mapping[Shard, OwnedShard[Any, Any]],
        on_other: Callable[[Shard], object],
    ) -> None:
        self._store = store
        self._workers = workers
        self._owned = owned
        self._on_other = on_other
        self._with_outcomes: set[Shard] = set()
        self._told = asyncio.Event()

    async def listen(self) -> None:
        """Look at once for what other processes have recorded or asked, until this is cancelled."""
        while True:
            try:
                async with self._store.arrivals() as arrivals:
                    while True:
                        shards = await arrivals.wait(EVERY_S)
                        for shard in shards or tuple(self._owned):
                            self._arrived(shard)
            except LedgerError as exc:
                _log.debug("no notifications (%s)", type(exc).__name__)
            await asyncio.sleep(random.uniform(0.5, 1.0))

    def _arrived(self, shard: Shard) -> None:
        owned = self._owned.get(shard)
        if owned is None:
            self._on_other(shard)
        else:
            owned.look()

    def concluded(self, shard: Shard) -> None:
        """An outcome of this shard is on disk."""
        self._with_outcomes.add(shard)
        self._told.set()

    async def tell(self) -> None:
        """Notify the processes that wait for outcomes, until this is cancelled."""
        while True:
            await self._told.wait()
            self._told.clear()
            shards, self._with_outcomes = self._with_outcomes, set()
            try:
                await self._workers.notify(shards)
            except LedgerError as exc:
                _log.debug("no notification of outcomes (%s)", type(exc).__name__)
            await asyncio.sleep(_NOTIFY_S)
