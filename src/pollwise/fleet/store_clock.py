"""The clock of the database's server.

Rule: it is read when a connection is there, and goes on with the monotonic clock of this process. The wall clock of this machine is
never read, so it may be wrong by a day.
"""

from __future__ import annotations

import asyncio
import math

from pollwise.ledger.postgres.workers import Workers

__all__ = ["StoreClock"]


class StoreClock:
    """Epoch seconds of the server.

    Args:
        workers: Asks the server.
        for_s: Seconds for which a reading is used.
    """

    def __init__(self, workers: Workers, *, for_s: float = 60.0) -> None:
        self._workers = workers
        self._for_s = for_s
        self._offset_s = math.nan
        self._read_at = -math.inf

    def __call__(self) -> float:
        """The time. Call `read` before."""
        return asyncio.get_running_loop().time() + self._offset_s

    async def read(self) -> float:
        """The time, from the server if the last reading is too old.

        Raises:
            LedgerError: The database failed.
        """
        now = asyncio.get_running_loop().time
        if now() - self._read_at > self._for_s:
            before = now()
            server_s = await self._workers.now_s()
            self._read_at = now()
            self._offset_s = server_s - (before + self._read_at) / 2.0
        return self()
