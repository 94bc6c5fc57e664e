"""Runs the `JobWatcher` of one shard that this process owns.

Rule 1: it is an ordinary `JobWatcher` over a fenced ledger. Nothing is polled in another way.
Rule 2: its budget is closed at `Lease.until`. Each renewal moves that moment.
Rule 3: new watches are found by their number: when another process has recorded some, and every few seconds anyway. All open watches
are read when the shard is taken, and every ten minutes.
Rule 4: leaving sends no new poll, waits for the replies to those in flight, within a limit, and writes what is known. The watches stay
open in the database.
Rule 5: while the database is away, nothing is dropped. The budget closes, and writes are repeated until the lease is lost.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Hashable
from typing import Any, Final, Generic, TypeVar

import attrs

from pollwise.core.rate_budget import RateBudget
from pollwise.durable.opened import OpenedParts
from pollwise.durable.resume import Arrivals
from pollwise.errors import OriginChanged, WatcherClosed
from pollwise.fleet.owner_requests import OwnerRequests
from pollwise.fleet.setup_guard import GuardedLedger
from pollwise.fleet.spending import Spending
from pollwise.fleet.stats import OwnedShardStats
from pollwise.fleet.tasks import cancelled, wait_first
from pollwise.ledger import Acknowledgement, Conclusion, LeaseLost, LedgerError, Shard
from pollwise.ledger.postgres import Lease
from pollwise.ledger.postgres.requests import Requests
from pollwise.ledger.postgres.workers import Workers
from pollwise.model.events import Outcome
from pollwise.model.log_fields import log_fields
from pollwise.model.protocols import Endpoint
from pollwise.watcher import JobWatcher, parts_of

__all__ = ["EVERY_S", "OwnedShard"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

EVERY_S: Final = 5.0
"""Seconds between two looks for new watches, if no notification comes."""
_SWEEP_S: Final = 600.0
_REPLY_CHECK_S: Final = 0.02
_CLOSE_S: Final = 5.0  # for the last writes, where the database hangs

_log = logging.getLogger(__name__)


@attrs.define
class _Concluded:
    """Hears of outcomes that are on disk, and calls `told`."""

    told: Callable[[], object]

    def on_concluded(self, _acknowledgement: Acknowledgement, _outcome: Outcome[Any, Any], /) -> None:
        self.told()

    def on_end(self) -> None:
        """A watch has ended."""

    def on_close(self) -> None:
        """No more outcomes follow."""


class OwnedShard(Generic[J, S]):
    """A shard that this process owns.

    Args:
        lease: The lease.
        endpoint: Of its jobs.
        watcher: Watches them, with a fenced ledger. It is not open.
        budget: Of the watcher.
        ledger: Of the watcher, which is closed after it.
        workers: Asks the database about the shard.
        requests: What other processes ask of the owner.
        on_concluded: Called with the shard when an outcome is on disk.

    Attributes:
        shard: The shard.
        lease: The lease, as last renewed.
        watcher: Watches its jobs.
    """

    def __init__(
        self,
        lease: Lease,
        endpoint: Endpoint[J, S],
        watcher: JobWatcher[J, S, Any, Any],
        budget: RateBudget,
        ledger: GuardedLedger,
        *,
        workers: Workers,
        requests: Requests,
        on_concluded: Callable[[Shard], object],
    ) -> None:
        self.shard = lease.shard
        self.lease = lease
        self._endpoint = endpoint
        self.watcher = watcher
        self._budget = budget
        self._ledger = ledger
        self._workers = workers
        self._requests = requests
        self._concluded = _Concluded(lambda: on_concluded(lease.shard))
        self._loop = asyncio.get_running_loop()
        self._since = self._looked_at = self._loop.time()
        self._wake = asyncio.Event()
        self._leaving = asyncio.Event()
        self._lost = asyncio.Event()
        self._drain_s = 0.0
        self._has_ended = False
        self._lost_error: LeaseLost | None = None
        self._complained: set[str] = set()
        self._spending = Spending(budget)
        budget.close_at(lease.until)

    # --- from the worker ----------------------------------------------------------------------

    def look(self) -> None:
        """Look for new watches and requests now."""
        self._wake.set()

    def renewed(self, lease: Lease) -> None:
        """The lease was renewed."""
        self.lease = lease
        if not self._leaving.is_set():
            self._budget.close_at(lease.until)

    def hold(self) -> None:
        """Send nothing until the next renewal, because another process may take the shard at any moment."""
        self._budget.close_at(self._loop.time())

    def lose(self, error: LeaseLost) -> None:
        """Another process owns the shard."""
        self.hold()
        self._lost_error = error
        self._lost.set()
        try:
            parts = parts_of(self.watcher)
        except WatcherClosed:
            return
        assert parts.recorder is not None  # noqa: S101  # there is a ledger
        parts.recorder.lose_lease(error)

    def leave(self, drain_s: float) -> None:
        """Send no new poll, wait up to this many seconds for those in flight, and end."""
        if not self._leaving.is_set():
            self.hold()
            self._drain_s = drain_s
            self._leaving.set()

    @property
    def fault(self) -> Conclusion | None:
        """The outcome that shows that this worker cannot serve the shard, or None."""
        return self._ledger.fault

    @property
    def spends_much(self) -> bool:
        """Whether so much was sent since `spent` that it is to be written."""
        return self._spending.is_due()

    def spent(self) -> tuple[Shard, int, str | None]:
        """The shard, its epoch, and what it has used of its rate limit."""
        is_over = self._leaving.is_set() and self._has_ended
        return self.shard, self.lease.epoch, self._spending.text(self._loop.time(), is_whole=is_over)

    @property
    def is_leaving(self) -> bool:
        """Whether `leave` was called."""
        return self._leaving.is_set()

    @property
    def held_s(self) -> float:
        """Seconds since the shard was taken."""
        return self._loop.time() - self._since

    def stats(self) -> OwnedShardStats:
        """What the shard has now."""
        found = self.watcher.stats()
        ledger = found.ledger
        return OwnedShardStats(
            shard=self.shard,
            epoch=self.lease.epoch,
            held_s=self.held_s,
            watches=self.watcher.open_count,
            waiting=found.budget.waiting,
            refused=found.budget.refused,
            backlog=0 if ledger is None else sum(ledger.backlog.values()),
            unacknowledged=None if ledger is None else ledger.unacknowledged,
            lag_s=max(0.0, self._loop.time() - self._looked_at),
        )

    # --- its task -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Watch the jobs of the shard until `leave`.

        Raises:
            LeaseLost: Another process owns it now.
            LedgerError: The database refuses what will not change.
        """
        try:
            await self._watch()
        finally:
            await self._ledger.aclose()

    async def _watch(self) -> None:
        async with asyncio.timeout(None) as limit, self.watcher:
            parts = parts_of(self.watcher)
            assert parts.recorder is not None  # noqa: S101  # there is a ledger
            parts.recorder.subscribe(self._concluded)
            work = asyncio.create_task(self._work(parts), name=f"pollwise-shard-{self.shard}")
            ended = asyncio.Event()
            work.add_done_callback(lambda _: ended.set())
            try:
                await wait_first(self._leaving, self._lost, parts.lease_lost, ended)
            finally:
                await cancelled(work)
            lost = parts.lease_lost.is_set()  # then leaving the watcher raises it
            if not lost and not work.cancelled() and (exc := work.exception()) is not None:
                raise exc
            if self._leaving.is_set():
                await self._finish_polls(parts)
            limit.reschedule(self._loop.time() + _CLOSE_S)
        self._has_ended = True
        if self._lost_error is not None:  # before the watcher was open
            raise self._lost_error

    async def _finish_polls(self, parts: OpenedParts[J, S]) -> None:
        ends = self._loop.time() + self._drain_s
        while parts.dispatcher.in_flight and self._loop.time() < ends and not parts.lease_lost.is_set():  # noqa: ASYNC110  # no event says that
            await asyncio.sleep(_REPLY_CHECK_S)

    async def _work(self, parts: OpenedParts[J, S]) -> None:
        after = await self._repeated(lambda: self._workers.last_watch(self.shard))
        await self._resume()
        arrivals = parts.arrivals(after)
        requests = OwnerRequests(self._requests, self.shard, self._endpoint, self.watcher, self._wake.set)
        swept_at = self._loop.time()
        try:
            while True:
                self._wake.clear()
                await self._take(arrivals, requests)
                if self._loop.time() - swept_at > _SWEEP_S:
                    await self._resume()
                    swept_at = self._loop.time()
                await wait_first(self._wake, timeout_s=EVERY_S * (0.8 + 0.2 * random.random()))
        finally:
            await requests.aclose()

    async def _take(self, arrivals: Arrivals[J, S], requests: OwnerRequests[J]) -> None:
        try:
            await arrivals.take()
        except OriginChanged as exc:
            self._complain(exc)
        await self._repeated(requests.take)
        self._looked_at = self._loop.time()

    async def _resume(self) -> None:
        try:
            await self.watcher.resume()
        except OriginChanged as exc:
            self._complain(exc)

    async def _repeated(self, call: Callable[[], Any]) -> Any:
        """The result of this call to the database, which is repeated while it is away."""
        pause_s = 0.25
        while True:
            try:
                return await call()
            except LedgerError as exc:
                _log.debug("%s: the database failed (%s); the call is repeated", self.shard, type(exc).__name__)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, EVERY_S)

    def _complain(self, exc: OriginChanged) -> None:
        if str(exc) not in self._complained:
            self._complained.add(str(exc))
            _log.error("%s: %s", self.shard, exc, extra=log_fields(endpoint=self.shard.endpoint))
