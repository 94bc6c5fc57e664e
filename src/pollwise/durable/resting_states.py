"""Writes the states of watches less often, for a ledger that costs more than a file.

Rule 1: after a state was written, the next one of that watch waits for the ledger's `rest_s`. What then is written is the newest.
Rule 2: another phase or cursor does not wait. The rest of a state only informs: after a crash the job is polled again anyway.
Rule 3: leaving the watcher writes all states that wait.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Hashable
from itertools import takewhile
from typing import Any, TypeVar

from pollwise.core.machine import WatchMachine
from pollwise.durable.checkpoints import Checkpoints
from pollwise.durable.recorded_watch import RecordedWatch, row_id_of, rows_to_update
from pollwise.ledger import Ledger
from pollwise.model.cursor import Cursor
from pollwise.model.reading import Phase

__all__ = ["RestingStates", "checkpoints_of"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")


def checkpoints_of(*, ledger: Ledger, **arguments: Any) -> Checkpoints[Any, Any]:
    """The checkpoints that suit this ledger. The arguments are those of `Checkpoints`."""
    rest_s = getattr(ledger, "rest_s", 0.0)
    if rest_s > 0:
        return RestingStates(rest_s=rest_s, ledger=ledger, **arguments)
    return Checkpoints(ledger=ledger, **arguments)


class RestingStates(Checkpoints[J, S]):
    """Checkpoints whose states rest. The arguments are those of `Checkpoints`, and `rest_s` in seconds."""

    def __init__(self, *, rest_s: float, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._rest_s = rest_s
        # By row, in the order in which they end. A row is no reference to its watch.
        self._resting: dict[int, tuple[float, Phase | None, Cursor]] = {}
        self._waiting: dict[int, RecordedWatch[J, S]] = {}
        self._rest_timer: asyncio.TimerHandle | None = None

    @property
    def backlog(self) -> int:
        """How many states wait to be written."""
        return super().backlog + len(self._waiting)

    def add(self, watch: RecordedWatch[Any, Any]) -> None:
        """The state of this watch has changed."""
        row = row_id_of(watch)
        rest = self._resting.get(row)
        if rest is None or rest[1:] != _decisive(watch.machine):
            self._waiting.pop(row, None)
            super().add(watch)
            return
        self._waiting[row] = watch

    async def drain(self) -> None:
        """Write the remaining states, once. No watch may be added after that."""
        self._end_rests(math.inf)
        await super().drain()
        self._forget()

    def discard(self) -> None:
        """Write nothing more."""
        self._forget()
        super().discard()

    async def _write(self, changed: list[RecordedWatch[J, S]]) -> list[RecordedWatch[J, S]]:
        written = {row: _decisive(machine) for row, machine in rows_to_update(changed)}
        left = await super()._write(changed)
        for watch in left:
            written.pop(row_id_of(watch), None)
        ends = self._now() + self._rest_s
        for row, decisive in written.items():
            self._resting.pop(row, None)  # so that it is the last one now
            self._resting[row] = (ends, *decisive)
        self._await_end()
        return left

    def _await_end(self) -> None:
        """Wake up when the first rest is over."""
        if self._resting and self._rest_timer is None:
            first, *_ = next(iter(self._resting.values()))
            self._rest_timer = asyncio.get_running_loop().call_later(max(0.0, first - self._now()), self._on_end)

    def _on_end(self) -> None:
        self._rest_timer = None
        self._end_rests(self._now())
        self._await_end()

    def _end_rests(self, until: float) -> None:
        """End the rests that are over at this time, and write the states that waited for it."""
        for row in [*takewhile(lambda row: self._resting[row][0] <= until, self._resting)]:
            del self._resting[row]
            watch = self._waiting.pop(row, None)
            if watch is not None:
                super().add(watch)

    def _forget(self) -> None:
        self._waiting.clear()
        self._resting.clear()
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None


def _decisive(machine: WatchMachine[Any, Any]) -> tuple[Phase | None, Cursor]:
    """What of a state may not be lost for long."""
    return machine.phase, machine.cursor
