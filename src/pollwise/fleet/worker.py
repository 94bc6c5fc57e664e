"""`Worker`: a process that takes shards and watches their jobs.

Rule 1: a shard is served while this process has its lease (`lease_keeper.py`).
Rule 2: how many shards are taken and released is decided in `shares.py`.
Rule 3: the endpoint of a shard is made before the shard is taken. If that fails, or if the API refuses its credentials, the shard is left
to others.
Rule 4: no fault of one shard ends another one, or the worker. A lease without a watcher is given back, repeatedly if that fails.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
from collections.abc import Callable, Collection, Coroutine, Sequence
from types import TracebackType
from typing import Any, Final, Self, Unpack, cast

from pollwise.core.rate_budget import RateBudget
from pollwise.errors import ConfigurationError
from pollwise.fleet.endpoint_making import EndpointFor, EndpointMaker
from pollwise.fleet.lease_counts import LeaseCounts
from pollwise.fleet.lease_keeper import LeaseKeeper
from pollwise.fleet.notices import Notices
from pollwise.fleet.options import ShowsMetrics, WatchingOptions
from pollwise.fleet.owned_shard import OwnedShard
from pollwise.fleet.setup_guard import GuardedLedger
from pollwise.fleet.shares import plan
from pollwise.fleet.spending import spend
from pollwise.fleet.splitting import base_of, budget_of
from pollwise.fleet.stats import WorkerStats
from pollwise.fleet.store_clock import StoreClock
from pollwise.fleet.tasks import cancelled, wait_first
from pollwise.ledger import LeaseLost, Ledger, LedgerError, Shard
from pollwise.ledger.postgres import Lease, Leases, PostgresLedger
from pollwise.ledger.postgres.ledger import connections_of
from pollwise.ledger.postgres.requests import Requests
from pollwise.ledger.postgres.workers import Workers
from pollwise.model.limits import require_seconds
from pollwise.model.protocols import Endpoint
from pollwise.model.stats import LeaseStats
from pollwise.watcher import JobWatcher, use_clock

__all__ = ["Worker"]

_FOREVER_S: Final = 1e9  # the patience of the watchers: until the lease is lost
_LOOK_S: Final = 0.4  # between two looks for free shards, with up to 4 workers
_AFTER_ARRIVAL_S: Final = 0.05  # least time between two looks
_CLOSE_S: Final = 10.0  # for the last writes of all shards, and their releases
_RESTS: Final = 10.0  # times `ttl_s`: for which a shard that was released is not released again
_IDLE_S: Final = 60.0  # for which a shard without open watches is kept


_log = logging.getLogger(__name__)


class Worker:
    """Takes shards of a fleet, and watches their jobs.

        async with PostgresLedger(url) as store, Worker(store, endpoint_for=make, ttl_s=15) as worker:
            await worker.run()  # until `worker.drain()`

    Any number of processes may do so, and each shard has one of them at a time. A process that is killed is replaced within a second,
    one that is frozen after `ttl_s`.

    Args:
        store: The database, open. The caller closes it after the worker.
        endpoint_for: Makes the endpoint of a shard, with its credentials: a function, which may be `async`. Its result has the name
            `shard.endpoint` and the account `shard.account`. For a part of a shard that is split, it gets the whole one. If it
            raises, or takes 10 s, the shard is left to other workers.
        ttl_s: Seconds for which a lease lives without a renewal, at least 1.
        name: A name of this process, for people. By default the host and the number of the process.
        drain_s: How long `drain` waits for the replies to requests in flight, in seconds.
        budget_for: Makes the rate budget of a shard. By default, or for None, it is the endpoint's `documented_limit`, or what the
            replies teach. A split shard gets its part of it.
        metrics: Shows the leases of this worker and the metrics of its watchers, such as `pollwise.telemetry.otel.WatcherMetrics()`.
        options: The other options of the watchers, as in `JobWatcher`: `pacing`, `retry`, `limits`, `transport`, `observer` and
            more. Deadlines are those with which the jobs were submitted.

    Raises:
        ConfigurationError: An argument cannot be right.
    """

    def __init__(
        self,
        store: PostgresLedger,
        *,
        endpoint_for: EndpointFor,
        ttl_s: float = 15.0,
        name: str | None = None,
        drain_s: float = 5.0,
        budget_for: Callable[[Shard], RateBudget | None] | None = None,
        metrics: ShowsMetrics | None = None,
        **options: Unpack[WatchingOptions],
    ) -> None:
        if not isinstance(store, PostgresLedger):
            raise ConfigurationError(f"store must be an open PostgresLedger, got {type(store).__name__}")
        if not callable(endpoint_for):
            raise ConfigurationError("endpoint_for must be a function that takes a Shard and returns an endpoint")
        require_seconds("ttl_s", ttl_s)
        require_seconds("drain_s", drain_s)
        if ttl_s < 1.0:
            raise ConfigurationError(f"ttl_s must be at least 1 second, got {ttl_s!r}")
        self.name = name if name is not None else f"{socket.gethostname()}-{os.getpid()}"
        self._store = store
        self._making = EndpointMaker(endpoint_for, self.name)
        self._budget_for = budget_for
        self._ttl_s = ttl_s
        self._drain_s = drain_s
        self._options = options
        self._metrics = metrics
        self._draining = asyncio.Event()
        self._look_now = asyncio.Event()
        self._leases: Leases | None = None
        self._keeper: LeaseKeeper | None = None
        self._owned: dict[Shard, OwnedShard[Any, Any]] = {}
        self._tasks: dict[Shard, asyncio.Task[None]] = {}
        self._unreleased: list[Lease] = []
        self._free_since: dict[Shard, float] = {}
        self._idle_since: dict[Shard, float] = {}
        self._returned: dict[Shard, float] = {}  # released for the sake of balance: when
        self._elsewhere: frozenset[Shard] = frozenset()
        self._failure: Exception | None = None
        self._live_workers = 1
        self._counts = LeaseCounts()

    def __repr__(self) -> str:
        return f"<Worker {self.name} {len(self._owned)} shards>"

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            LedgerError: The database failed.
            ConfigurationError: The worker is open already.
        """
        if self._leases is not None:
            raise ConfigurationError("a worker is opened only once; make another one")
        connections = connections_of(self._store)
        self._workers, self._requests = Workers(connections), Requests(connections)
        self._clock = StoreClock(self._workers)
        self._now = asyncio.get_running_loop().time
        self._notices = Notices(self._store, self._workers, self._owned, self._arrived_elsewhere)
        self._leases = await self._store.leases(owner=self.name, ttl_s=self._ttl_s).__aenter__()
        try:
            await self._clock.read()
            self._keeper = LeaseKeeper(
                self._leases,
                self._workers,
                self._clock,
                self._owned,
                self._counts,
                name=self.name,
                where=self._store.where,
                ttl_s=self._ttl_s,
                is_draining=self._draining.is_set,
                on_back=self._look_now.set,
            )
            await self._keeper.report()
            if self._metrics is not None:
                self._metrics.add(self)
        except BaseException:
            await self._leases.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        leases = self._leases
        assert leases is not None  # noqa: S101  # it was entered
        self._draining.set()
        if self._metrics is not None:
            self._metrics.remove(self)
        try:
            await cancelled(*self._tasks.values())
        finally:
            try:
                if leases.is_connected:
                    await self._workers.forget(leases.session)
                await leases.aclose()
            except LedgerError as error:
                _log.warning("%s: its leases could not be released, and expire by themselves: %s", self.name, error)

    # --- from outside -------------------------------------------------------------------------

    def drain(self) -> None:
        """Take no more shards, and give away those that there are, so that `run` returns. Call it on SIGTERM.

        No new poll is sent. Replies to requests in flight are waited for, up to `drain_s`. Then other workers go on at once.
        """
        self._draining.set()

    def stats(self) -> WorkerStats:
        """What the worker has done so far, and what it does now. It takes as long as `JobWatcher.stats` of each shard."""
        return WorkerStats(
            name=self.name,
            shards=[self._owned[shard].stats() for shard in sorted(self._owned)],
            live_workers=self._live_workers,
            refused=sorted(self._making.refused),
            is_connected=self._leases is not None and self._leases.is_connected,
            is_draining=self._draining.is_set(),
            acquired=self._counts.total("acquired"),
            lost=self._counts.total("lost"),
            released=self._counts.total("released"),
            renewals=self._counts.renewals,
            failed_renewals=self._counts.failed_renewals,
            held_s=self._counts.durations,
        )

    def lease_stats(self) -> Sequence[LeaseStats]:
        """The leases of each shard that it has ever had. Any thread may call it."""
        return self._counts.stats(self._owned)

    @property
    def shards(self) -> Sequence[Shard]:
        """The shards that it owns now, in their order."""
        return sorted(self._owned)

    async def run(self) -> None:
        """Take shards and watch their jobs, until `drain`. If this call is cancelled, all shards are left at once.

        Raises:
            ConfigurationError: The worker is not open.
        """
        keeper = self._keeper
        if self._leases is None or keeper is None:
            raise ConfigurationError("open the worker first: async with Worker(...) as worker")
        background = [
            asyncio.create_task(self._in_background(work), name=f"pollwise-fleet-{name}")
            for name, work in (
                ("renewals", keeper.renew_always()),
                ("spending", keeper.write_much_spent()),
                ("session", keeper.watch_session()),
                ("arrivals", self._notices.listen()),
                ("outcomes", self._notices.tell()),
            )
        ]
        try:
            await self._take_shards(self._leases)
            for owned in self._owned.values():
                owned.leave(self._drain_s)
            if self._tasks:  # one that hangs in a call to the database is cancelled below
                await asyncio.wait(self._tasks.values(), timeout=self._drain_s + _CLOSE_S)
            await self._retry_releases(self._leases)
        except LedgerError as exc:  # leaving the worker ends its session, which releases them, too
            keeper.on_failure(exc)
        finally:
            await cancelled(*background, *self._tasks.values())
        if self._failure is not None:
            raise self._failure

    async def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as exc:  # noqa: BLE001  # `run` raises it when all shards are left
            self._failure = exc
            self._draining.set()

    def _arrived_elsewhere(self, shard: Shard) -> None:
        if shard not in self._elsewhere:
            self._look_now.set()

    def _failed(self, exc: LedgerError) -> None:
        if self._keeper is not None:
            self._keeper.on_failure(exc)

    # --- shards -------------------------------------------------------------------------------

    async def _take_shards(self, leases: Leases) -> None:
        while not self._draining.is_set():
            self._look_now.clear()
            await self._unless_draining(self._look_once(leases))
            await wait_first(self._draining, timeout_s=_AFTER_ARRIVAL_S)
            pause_s = min(_LOOK_S * max(1.0, self._live_workers / 4.0), self._ttl_s / 6.0)
            await wait_first(self._draining, self._look_now, timeout_s=pause_s * random.uniform(0.6, 1.0))

    async def _unless_draining(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this, and leave it undone if the worker drains meanwhile."""
        task, ended = asyncio.create_task(work, name="pollwise-fleet-look"), asyncio.Event()
        task.add_done_callback(lambda _: ended.set())
        try:
            await wait_first(self._draining, ended)
        finally:
            await cancelled(task)
        if not task.cancelled():
            task.result()

    async def _look_once(self, leases: Leases) -> None:
        try:
            await self._retry_releases(leases)
            await self._look(leases)
        except LedgerError as exc:
            self._failed(exc)

    async def _look(self, leases: Leases) -> None:
        """Look at all shards, and take, keep and release what is due."""
        survey, now = await self._workers.survey(), self._now()
        self._live_workers = len({*survey.workers, leases.session})
        free = {state.shard for state in survey.shards if state.is_free and state.is_busy}
        self._free_since = {shard: self._free_since.get(shard, now) for shard in free}
        self._returned = {shard: at for shard, at in self._returned.items() if now - at < _RESTS * self._ttl_s}
        todo = plan(
            survey,
            session=leases.session,
            owned=self._owned,
            refused=self._making.refused_at(now),
            given=self._returned,
            free_since=self._free_since,
            now=now,
            patience_s=min(2.0, self._ttl_s / 3.0),
        )
        self._elsewhere = frozenset(todo.elsewhere)
        await self._acquire(leases, todo.chosen())
        self._leave_idle(todo.idle, now)
        self._leave_some(todo.release, now)

    async def _acquire(self, leases: Leases, wanted: Sequence[Shard]) -> None:
        endpoints: dict[Shard, Endpoint[Any, Any]] = {}
        for shard in wanted:
            endpoint = await self._making.make(shard)
            if endpoint is not None:
                endpoints[shard] = endpoint
        if not endpoints or self._draining.is_set():
            return
        taken = await leases.acquire(len(endpoints), of=endpoints)
        for lease in taken:
            self._counts.acquired(lease.shard)
        try:
            spent = await self._workers.spent([lease.shard for lease in taken])
        except BaseException:
            self._unreleased += taken
            raise
        for lease in taken:
            if lease.shard in endpoints and lease.shard not in self._owned:
                self._own(lease, endpoints[lease.shard], *spent.get(lease.shard, (None, 0.0)))
            else:  # of an earlier call whose answer was lost
                self._unreleased.append(lease)

    def _own(self, lease: Lease, endpoint: Endpoint[Any, Any], spent: str | None, age_s: float) -> None:
        shard = lease.shard
        guarded = GuardedLedger(self._store.fenced(shard, lease.epoch), shard)
        try:
            budget = None if self._budget_for is None else self._budget_for(base_of(shard))
            budget = budget_of(budget or RateBudget.documented(endpoint.documented_limit), shard)
            spend(budget, spent, age_s, self._now())
            watcher: JobWatcher[Any, Any, Any, Any] = JobWatcher(
                endpoint,
                timeout_s=None,
                budget=budget,
                ledger=cast("Ledger", guarded),
                ledger_patience_s=_FOREVER_S,
                **self._options,
            )
            use_clock(watcher, self._clock)
        except Exception as exc:  # noqa: BLE001  # foreign code, or options that cannot be right
            self._making.refuse(shard, exc)
            self._unreleased.append(lease)
            return
        owned = self._owned[shard] = OwnedShard(
            lease,
            endpoint,
            watcher,
            budget,
            guarded,
            workers=self._workers,
            requests=self._requests,
            on_concluded=self._notices.concluded,
        )
        self._making.served(shard)
        task = self._tasks[shard] = asyncio.create_task(self._run(owned), name=f"pollwise-own-{shard}")
        task.add_done_callback(lambda _: self._tasks.pop(shard, None))
        _log.info("%s: takes the shard %s in epoch %d", self.name, shard, lease.epoch)

    async def _run(self, owned: OwnedShard[Any, Any]) -> None:
        """Watch the jobs of this shard, then give its lease back."""
        shard, lost, metrics = owned.shard, False, self._metrics
        if metrics is not None:
            metrics.add(owned.watcher)
        try:
            await owned.run()
        except LeaseLost:
            if (fault := owned.fault) is not None:
                self._making.refuse_because(shard, fault.error_type or "", fault.error_message or "")
            else:
                lost = True
                self._counts.lost(shard)
                _log.info("%s: another worker has taken the shard %s", self.name, shard)
        except TimeoutError:
            _log.warning("%s: the last states of %s were not written in time", self.name, shard)
        except Exception as exc:  # noqa: BLE001  # rule 4
            _log.exception("%s: the shard %s failed", self.name, shard)
            self._making.refuse(shard, exc)
        finally:
            if metrics is not None:
                metrics.remove(owned.watcher)
            del self._owned[shard]
            self._idle_since.pop(shard, None)
            self._counts.over(shard, owned.held_s)
            if not lost:
                self._unreleased.append(owned.lease)
        if not lost and self._leases is not None:
            try:
                await self._workers.write_spent([owned.spent()])
                await self._retry_releases(self._leases)
            except LedgerError as exc:
                self._failed(exc)

    async def _retry_releases(self, leases: Leases) -> None:
        while self._unreleased:
            given = [lease for lease in self._unreleased if lease.shard not in self._owned]
            self._unreleased.clear()
            try:
                await leases.release(given)
            except BaseException:
                self._unreleased += given
                raise
            for lease in given:
                self._counts.released(lease.shard)
                _log.info("%s: has released the shard %s", self.name, lease.shard)

    def _leave_idle(self, idle: Collection[Shard], now: float) -> None:
        self._idle_since = {shard: self._idle_since.get(shard, now) for shard in idle}
        for shard, since in self._idle_since.items():
            if now - since > _IDLE_S:
                self._owned[shard].leave(self._drain_s)

    def _leave_some(self, count: int, now: float) -> None:
        """Give shards to workers that have less."""
        if not count:
            return
        movable = [
            shard
            for shard, owned in sorted(self._owned.items())
            if not owned.is_leaving and shard not in self._returned
        ]
        for shard in movable[-count:]:
            self._returned[shard] = now
            self._owned[shard].leave(self._drain_s)
            _log.info("%s: releases the shard %s to a worker that has less", self.name, shard)
