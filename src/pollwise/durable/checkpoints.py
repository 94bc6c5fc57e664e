"""Writes the state of open watches, twice a second.

Rule 1: each watch that changed is written once every half second, with its newest state.
Rule 2: some hundred rows are written in one call, so that the event loop is not blocked. A slow ledger gets fewer rows,
not a queue of them.
Rule 3: if a call fails, its rows wait for the next half second. No watch ends because of it. A lost lease is reported, and its
rows are written by another process.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Generic, TypeVar

from pollwise.durable.background_job import BackgroundJob, StartTask
from pollwise.durable.codec import change_of
from pollwise.durable.recorded_watch import RecordedWatch, rows_to_update, safe_message
from pollwise.durable.timed_ledger import LedgerCounts
from pollwise.ledger import LeaseLost, Ledger
from pollwise.model.limits import ReplyLimits
from pollwise.model.log_fields import log_fields
from pollwise.model.protocols import Endpoint
from pollwise.model.stats import REQUEST_BOUNDS

__all__ = ["Checkpoints"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_EVERY_S = 0.5
_PAGE = 200  # rows in one call: some milliseconds of the loop

_log = logging.getLogger(__name__)


class Checkpoints(Generic[J, S]):
    """Writes the state of open watches.

    Args:
        ledger: Where to write.
        endpoint: The endpoint of their jobs.
        limits: How large a status may be.
        start: Starts tasks.
        counts: Counts the calls of the ledger.
        now: Returns monotonic seconds.
        on_lease_lost: Called if a call finds that another process owns the shard.
        traces: The traceparent of each watch that has one.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        endpoint: Endpoint[J, S],
        limits: ReplyLimits,
        start: StartTask,
        counts: LedgerCounts,
        now: Callable[[], float],
        traces: Mapping[J, str],
        on_lease_lost: Callable[[LeaseLost], object] = lambda _: None,
    ) -> None:
        self._ledger = ledger
        self._counts = counts
        self._now = now
        self._traces = traces
        self._on_lease_lost = on_lease_lost
        self._limits = limits
        self._endpoint = endpoint
        self._changed: dict[RecordedWatch[J, S], None] = {}
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._running = False  # the task was started; from then on it waits for `_due`
        self._draining = self._discarded = False
        self._failing = False
        self._job = BackgroundJob(self._work, start, "pollwise-checkpoints")

    @property
    def backlog(self) -> int:
        """How many states wait to be written."""
        return len(self._changed)

    def add(self, watch: RecordedWatch[Any, Any]) -> None:
        """The state of this watch has changed."""
        if not self._changed:
            self._schedule()
        self._changed[watch] = None

    async def drain(self) -> None:
        """Write the remaining states, once. No watch may be added after that."""
        self._draining = True
        self._due.set()
        if self._changed:
            self._job.wake()
        await self._job.join()

    def discard(self) -> None:
        """Write nothing more."""
        self._discarded = True
        self._changed.clear()

    def _schedule(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_EVERY_S, self._due.set)
        if not self._running:
            self._running = True
            self._job.wake()

    async def _work(self) -> None:
        while self._changed or not self._draining:
            await self._due.wait()
            self._due.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            changed, self._changed = [] if self._discarded else list(self._changed), {}
            try:
                changed = await self._write(changed)
            finally:
                self._changed = {**dict.fromkeys(changed), **self._changed}
                if self._changed and not self._draining:
                    self._schedule()
            if changed and self._draining:
                return
            changed = []  # the task waits now, and must not keep watches alive

    async def _write(self, changed: list[RecordedWatch[J, S]]) -> list[RecordedWatch[J, S]]:
        """Write these, and return those that could not be written."""
        for begin in range(0, len(changed), _PAGE):
            rows = rows_to_update(changed[begin : begin + _PAGE])
            traces, row, began = self._traces, self._counts.rows["update"], self._now()
            try:
                await self._ledger.update(
                    [
                        change_of(n, machine, self._endpoint, self._limits, traces.get(machine.job) if traces else None)
                        for n, machine in rows
                    ]
                )
            except Exception as exc:  # noqa: BLE001  # foreign code
                self._counts.errors["update", type(exc).__name__] += 1
                if isinstance(exc, LeaseLost):
                    self._on_lease_lost(exc)
                    return []
                if not self._failing:  # logged once, until a write succeeds
                    _log.warning(
                        "the ledger does not take how far watches got (%s: %s)",
                        type(exc).__name__,
                        safe_message(exc),
                        extra=log_fields(endpoint=self._endpoint.name, error_type=type(exc).__name__),
                    )
                self._failing = True
                return changed[begin:]
            finally:  # here and not in `timed_ledger.py`: a steady poll leads to this call
                took_s = self._now() - began
                row[bisect_left(REQUEST_BOUNDS, took_s)] += 1
                row[-1] += took_s
            self._failing = False
        return []
