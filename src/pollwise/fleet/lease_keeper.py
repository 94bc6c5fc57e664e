"""Keeps the leases of a worker, and says when the database is away.

Rule 1: the leases are renewed every sixth to third of the time to live. Each renewal moves the moment at which the budgets close.
Rule 2: if the session is lost, another process may take the shards at once. So nothing is sent until the next renewal.
Rule 3: what a crash would hide of the use of a rate limit is written in between.
Rule 4: while the database is away, it is asked again about twice a second. One line is logged when that has taken a third of the time to
live, and one at its end.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from pollwise.fleet.lease_counts import LeaseCounts
from pollwise.fleet.owned_shard import OwnedShard
from pollwise.fleet.store_clock import StoreClock
from pollwise.fleet.tasks import wait_first
from pollwise.ledger import LeaseLost, LedgerError, Shard
from pollwise.ledger.postgres import Leases
from pollwise.ledger.postgres.workers import Workers
from pollwise.model.log_fields import log_fields

__all__ = ["LeaseKeeper"]

_SPENT_S: Final = 0.25  # least time between two writings of what was sent
_LONGEST_PAUSE_S: Final = 0.5  # between two tries while the database is away
_SESSION_CHECK_S: Final = 0.02

_log = logging.getLogger(__name__)


class LeaseKeeper:
    """Renews the leases of one worker.

    Args:
        leases: The leases.
        workers: Tells the other workers of this one.
        clock: The clock of the server, which is read with each renewal.
        owned: The shards that are served now.
        counts: Counts the renewals.
        name: Of the worker.
        where: The database, for errors.
        ttl_s: Seconds for which a lease lives.
        is_draining: Whether the worker takes no more shards.
        on_back: Called when the database is back.
    """

    def __init__(
        self,
        leases: Leases,
        workers: Workers,
        clock: StoreClock,
        owned: Mapping[Shard, OwnedShard[Any, Any]],
        counts: LeaseCounts,
        *,
        name: str,
        where: str,
        ttl_s: float,
        is_draining: Callable[[], bool],
        on_back: Callable[[], object],
    ) -> None:
        self._leases = leases
        self._workers = workers
        self._clock = clock
        self._owned = owned
        self._name = name
        self._where = where
        self._ttl_s = ttl_s
        self._is_draining = is_draining
        self._on_back = on_back
        self._now = asyncio.get_running_loop().time
        self._soon = asyncio.Event()
        self._away_since: float | None = None
        self._is_logged = False
        self._counts = counts

    async def report(self) -> None:
        """Tell the other workers that this one is there. Raises LedgerError."""
        await self._workers.report(
            self._leases.session, name=self._name, ttl_s=self._ttl_s, draining=self._is_draining()
        )

    async def renew_always(self) -> None:
        """Renew until this is cancelled."""
        pause_s = self._ttl_s / 6.0
        while True:
            await wait_first(self._soon, timeout_s=pause_s * random.uniform(1.0, 2.0))
            self._soon.clear()
            began = self._now()
            kept: Collection[Shard] = ()
            try:
                async with asyncio.timeout(max(1.0, self._ttl_s / 2.0)):
                    kept = await self._renew()
            except (LedgerError, TimeoutError) as exc:
                self._counts.failed_renewals += 1
                self.on_failure(exc, began)
                pause_s = min(_LONGEST_PAUSE_S, self._ttl_s / 6.0) / 2.0
            else:
                self._on_success()
                pause_s = self._ttl_s / 6.0
            finally:
                self._counts.renewed(kept, self._now() - began)

    async def _renew(self) -> Collection[Shard]:
        before = {shard: owned.lease.epoch for shard, owned in self._owned.items()}
        kept = {lease.shard: lease for lease in await self._leases.renew()}
        for shard, epoch in before.items():
            owned = self._owned.get(shard)
            if owned is None or owned.lease.epoch != epoch:
                continue
            if shard in kept and kept[shard].epoch == epoch:
                owned.renewed(kept[shard])
            else:
                owned.lose(LeaseLost(self._where, shard, f"its epoch {epoch} is over"))
        await self.report()
        await self._clock.read()
        await self.write_spent(list(self._owned.values()))
        return kept

    async def watch_session(self) -> None:
        """Hold all shards whenever the session is lost, until this is cancelled."""
        while True:
            await self._leases.wait_disconnected()
            for owned in self._owned.values():
                owned.hold()
            self._soon.set()
            while not self._leases.is_connected:  # noqa: ASYNC110  # a renewal or an acquisition opens another one
                await asyncio.sleep(_SESSION_CHECK_S)
            self._soon.set()  # it may have been an acquisition

    async def write_spent(self, owned: Sequence[OwnedShard[Any, Any]]) -> None:
        """Write what these shards have used of their rate limits. Raises LedgerError."""
        if owned:
            await self._workers.write_spent([one.spent() for one in owned])

    async def write_much_spent(self) -> None:
        """Write in between what a crash would hide, until this is cancelled."""
        while True:
            await asyncio.sleep(_SPENT_S)
            try:
                await self.write_spent([owned for owned in self._owned.values() if owned.spends_much])
            except LedgerError as exc:
                self.on_failure(exc)

    def on_failure(self, exc: BaseException, since: float | None = None) -> None:
        """The database failed. Renew soon. `since` is when the call began that failed, if it took a while."""
        now = self._now()
        if self._away_since is None:
            self._away_since = now if since is None else since
            self._soon.set()
        if not self._is_logged and now - self._away_since >= self._ttl_s / 3.0:
            self._is_logged = True
            _log.warning(
                "%s: the database fails (%s: %s); nothing is polled after %.1f s without it, and everything goes on when it is"
                " back",
                self._name,
                type(exc).__name__,
                str(exc) or "no answer in time",
                0.9 * self._ttl_s,
                extra=log_fields(error_type=type(exc).__name__),
            )

    def _on_success(self) -> None:
        if self._away_since is not None:
            away_s, self._away_since = self._now() - self._away_since, None
            self._on_back()
            if self._is_logged:
                self._is_logged = False
                _log.info("%s: the database is back after %.1f s", self._name, away_s)
