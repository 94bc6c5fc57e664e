"""Keeps the outcomes of a worker that is set up wrongly out of the ledger.

Rule 1: credentials that the API refuses, and a set-up with which no poll worked, are facts about this worker and not about the jobs.
So no job is abandoned because of them. Its watch stays open, for a worker with other credentials.
Rule 2: outcomes of the same call that are about jobs are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pollwise.ledger import Conclusion, LeaseLost, Shard
from pollwise.ledger.postgres import FencedLedger

__all__ = ["GuardedLedger"]

_OF_THE_WORKER: Final = frozenset({"AuthenticationError", "SetupError"})


class GuardedLedger:
    """A fenced ledger that takes no such outcome. It raises `LeaseLost` instead, so that the watcher leaves the shard at once.

    Args:
        ledger: The fenced ledger.
        shard: Its shard.

    Attributes:
        fault: The first outcome that was refused, or None.
    """

    def __init__(self, ledger: FencedLedger, shard: Shard) -> None:
        self._ledger = ledger
        self._shard = shard
        self.fault: Conclusion | None = None

    def __getattr__(self, name: str) -> Any:
        """All else is that of the ledger."""
        return getattr(self._ledger, name)

    async def conclude(self, outcomes: Sequence[Conclusion], /) -> int:
        """See `Ledger.conclude`.

        Raises:
            LeaseLost: As the fenced ledger; or an outcome is about this worker.
        """
        faults = [one for one in outcomes if one.error_type in _OF_THE_WORKER]
        if not faults:
            return await self._ledger.conclude(outcomes)
        self.fault = self.fault or faults[0]
        await self._ledger.conclude([one for one in outcomes if one.error_type not in _OF_THE_WORKER])
        raise LeaseLost(self._ledger.where, self._shard, "this worker is not set up to serve it")
