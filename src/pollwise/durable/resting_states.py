"""Writes the states of watches less often, for a ledger that costs more than a file.

Rule 1: after a state was written, the next one of that watch waits for the ledger's `rest_s`. What then is written is the newest.
Rule 2: another phase or cursor does not wait. The rest of a state only informs: after a crash the job is polled again anyway.
Rule 3: leaving the watcher writes all states that wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
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
        if self._rest_timer is None:
            self._wake_at(rest[0])

    async def drain(self) -> None:
        """Write the remaining states, once. No watch may be added after that."""
        self._end_rests(float("inf"))
        await super().drain()

    def discard(self) -> None:
        """Write nothing more."""
        self._waiting.clear()
        self._resting.clear()
        self._cancel_timer()
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
        return left

    def _wake_at(self, at: float) -> None:
        delay_s = max(0.0, at - self._now())
        self._rest_timer = asyncio.get_running_loop().call_later(delay_s, self._on_rest_end)

    def _on_rest_end(self) -> None:
        self._rest_timer = None
        self._end_rests(self._now())
        if self._waiting and self._resting:
            self._wake_at(next(iter(self._resting.values()))[0])

    def _end_rests(self, until: float) -> None:
        """End the rests that are over at this time, and write the states that waited for it."""
        ended = []
        for row, (ends, _, _) in self._resting.items():
            if ends > until:
                break
            ended.append(row)
        for row in ended:
            del self._resting[row]
            watch = self._waiting.pop(row, None)
            if watch is not None:
                super().add(watch)
        if not self._resting:
            self._cancel_timer()

    def _cancel_timer(self) -> None:
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None


def _decisive(machine: WatchMachine[Any, Any]) -> tuple[Phase | None, Cursor]:
    """What of a state may not be lost for long."""
    return machine.phase, machine.cursor
