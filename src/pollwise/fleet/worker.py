"""`Worker`: a process that takes shards and watches their jobs.

Rule 1: a shard is served while this process has its lease. The leases are renewed every sixth to third of `ttl_s`, and the budgets
are closed at 0.9 of it after the last renewal that succeeded, by the monotonic clock.
Rule 2: if the session in the database is lost, another process may take the shards at once. So nothing is sent until the next renewal.
Rule 3: a shard that this process cannot serve, because `endpoint_for` fails, is left to others. That is logged once, and tried again
later.
Rule 4: no fault of one shard ends another one, or the worker.
Rule 5: while the database is away, it is asked again about twice a second. One line is logged when that has taken a third of `ttl_s`,
and one at its end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeAlias, TypedDict, Unpack

from pollwise.core.counters import Row, add_to, histogram
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.rate_budget import RateBudget
from pollwise.durable.codec import check_codec
from pollwise.errors import ConfigurationError, PollwiseError
from pollwise.fleet.owned_shard import EVERY_S, OwnedShard
from pollwise.fleet.shares import plan
from pollwise.fleet.spending import spend
from pollwise.fleet.splitting import base_of, budget_of, endpoint_of
from pollwise.fleet.stats import WorkerStats
from pollwise.fleet.store_clock import StoreClock
from pollwise.fleet.tasks import cancelled, wait_first
from pollwise.ledger import LeaseLost, LedgerError, Shard
from pollwise.ledger.postgres import Lease, Leases, PostgresLedger
from pollwise.ledger.postgres.ledger import connections_of
from pollwise.ledger.postgres.requests import Requests
from pollwise.ledger.postgres.workers import Workers
from pollwise.model.abilities import with_defaults
from pollwise.model.limits import Limits, require_seconds
from pollwise.model.log_fields import log_fields
from pollwise.model.observer import Observer
from pollwise.model.protocols import Endpoint, EndpointLike, Transport
from pollwise.model.stats import JOB_BOUNDS, REQUEST_BOUNDS
from pollwise.watcher import JobWatcher, use_clock

__all__ = ["EndpointFor", "WatchingOptions", "Worker"]

AnyEndpoint: TypeAlias = EndpointLike[Any, Any]
EndpointFor: TypeAlias = Callable[[Shard], AnyEndpoint | Awaitable[AnyEndpoint]]

_FOREVER_S: Final = 1e9  # the patience of the watchers: until the lease is lost
_LOOK_S: Final = 0.4  # between two looks for free shards, with up to 4 workers
_AFTER_ARRIVAL_S: Final = 0.05  # least time between two looks
_NOTIFY_S: Final = 0.1  # least time between two notifications about outcomes
_SPENT_S: Final = 0.25  # least time between two writings of what was sent
_FIRST_REFUSAL_S: Final = 30.0  # until a shard that could not be served is tried again
_LONGEST_REFUSAL_S: Final = 600.0
_IDLE_S: Final = 60.0  # for which a shard without open watches is kept
_LONGEST_PAUSE_S: Final = 0.5  # between two tries while the database is away

_log = logging.getLogger(__name__)


class WatchingOptions(TypedDict, total=False):
    """The options of the watchers of a `Worker`. The docstring of `JobWatcher` explains them."""

    pacing: Pacing | None
    retry: Retry | None
    transport: Transport | None
    limits: Limits | None
    not_found_grace_s: float
    confirmations: int
    confirm_s: float | None
    longest_hint_s: float
    heartbeat_s: float | None
    cancel_on_deadline: bool
    moved_from: str | Sequence[str]
    observer: Observer | None


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
            raises, the shard is left to other workers.
        ttl_s: Seconds for which a lease lives without a renewal, at least 1.
        name: A name of this process, for people. By default the host and the number of the process.
        drain_s: How long `drain` waits for the replies to requests in flight, in seconds.
        budget_for: Makes the rate budget of a shard. By default, or for None, it is the endpoint's `documented_limit`, or what the
            replies teach. A split shard gets its part of it.
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
        self._endpoint_for = endpoint_for
        self._budget_for = budget_for
        self._ttl_s = ttl_s
        self._drain_s = drain_s
        self._options = options
        self._draining = asyncio.Event()
        self._look_now = asyncio.Event()
        self._renew_now = asyncio.Event()
        self._told = asyncio.Event()
        self._leases: Leases | None = None
        self._owned: dict[Shard, OwnedShard[Any, Any]] = {}
        self._tasks: dict[Shard, asyncio.Task[None]] = {}
        self._unreleased: list[Lease] = []
        self._refused: dict[Shard, tuple[float, float]] = {}  # until when, and the pause before that
        self._free_since: dict[Shard, float] = {}
        self._idle_since: dict[Shard, float] = {}
        self._returned: dict[Shard, float] = {}  # released for the sake of balance: when
        self._elsewhere: frozenset[Shard] = frozenset()
        self._with_outcomes: set[Shard] = set()
        self._away_since: float | None = None
        self._is_away_logged = False
        self._failure: Exception | None = None
        self._live_workers = 1
        self._acquired = self._lost = self._released = self._failed_renewals = 0
        self._renewals: Row = [*[0] * (len(REQUEST_BOUNDS) + 1), 0.0]
        self._held: Row = [*[0] * (len(JOB_BOUNDS) + 1), 0.0]

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
        self._leases = await self._store.leases(owner=self.name, ttl_s=self._ttl_s).__aenter__()
        try:
            await self._clock.read()
            await self._report()
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
            refused=sorted(self._refused),
            is_connected=self._leases is not None and self._leases.is_connected,
            is_draining=self._draining.is_set(),
            acquired=self._acquired,
            lost=self._lost,
            released=self._released,
            renewals=histogram(self._renewals, REQUEST_BOUNDS),
            failed_renewals=self._failed_renewals,
            held_s=histogram(self._held, JOB_BOUNDS),
        )

    @property
    def shards(self) -> Sequence[Shard]:
        """The shards that it owns now, in their order."""
        return sorted(self._owned)

    async def run(self) -> None:
        """Take shards and watch their jobs, until `drain`. If this call is cancelled, all shards are left at once.

        Raises:
            ConfigurationError: The worker is not open.
        """
        if self._leases is None:
            raise ConfigurationError("open the worker first: async with Worker(...) as worker")
        background = [
            asyncio.create_task(self._in_background(work), name=f"pollwise-fleet-{name}")
            for name, work in (
                ("renewals", self._renew_always(self._leases)),
                ("spending", self._write_much_spent()),
                ("session", self._watch_session(self._leases)),
                ("arrivals", self._listen()),
                ("outcomes", self._tell()),
            )
        ]
        try:
            await self._take_shards(self._leases)
            for owned in self._owned.values():
                owned.leave(self._drain_s)
            await asyncio.gather(*self._tasks.values())
            await self._retry_releases(self._leases)
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

    # --- leases -------------------------------------------------------------------------------

    async def _renew_always(self, leases: Leases) -> None:
        pause_s = self._ttl_s / 6.0
        while True:
            self._renew_now.clear()
            await wait_first(self._renew_now, timeout_s=pause_s * random.uniform(1.0, 2.0))
            began = self._now()
            try:
                async with asyncio.timeout(max(1.0, self._ttl_s / 2.0)):
                    await self._renew(leases)
            except (LedgerError, TimeoutError) as exc:
                self._failed_renewals += 1
                self._on_failure(exc)
                pause_s = min(_LONGEST_PAUSE_S, self._ttl_s / 6.0) / 2.0
            else:
                self._on_success()
                pause_s = self._ttl_s / 6.0
            finally:
                add_to(self._renewals, self._now() - began, REQUEST_BOUNDS)

    async def _renew(self, leases: Leases) -> None:
        before = {shard: owned.lease.epoch for shard, owned in self._owned.items()}
        kept = {lease.shard: lease for lease in await leases.renew()}
        for shard, epoch in before.items():
            owned = self._owned.get(shard)
            if owned is None or owned.lease.epoch != epoch:
                continue
            if shard in kept and kept[shard].epoch == epoch:
                owned.renewed(kept[shard])
            else:
                owned.lose(LeaseLost(self._store.where, shard, f"its epoch {epoch} is over"))
        await self._report()
        await self._clock.read()
        await self._write_spent(list(self._owned.values()))

    async def _write_spent(self, owned: Sequence[OwnedShard[Any, Any]]) -> None:
        if owned:
            await self._workers.write_spent([one.spent() for one in owned])

    async def _write_much_spent(self) -> None:
        """Write in between what a crash would hide."""
        while True:
            await asyncio.sleep(_SPENT_S)
            try:
                await self._write_spent([owned for owned in self._owned.values() if owned.spends_much])
            except LedgerError as exc:
                self._on_failure(exc)

    async def _report(self) -> None:
        assert self._leases is not None  # noqa: S101  # it is open
        session, draining = self._leases.session, self._draining.is_set()
        await self._workers.report(session, name=self.name, ttl_s=self._ttl_s, draining=draining)

    async def _watch_session(self, leases: Leases) -> None:
        while True:
            await leases.wait_disconnected()
            for owned in self._owned.values():
                owned.hold()
            while not leases.is_connected:
                self._renew_now.set()
                await asyncio.sleep(0.02)

    def _on_failure(self, exc: BaseException) -> None:
        """The database failed."""
        now = self._now()
        if self._away_since is None:
            self._away_since = now
        if not self._is_away_logged and now - self._away_since >= self._ttl_s / 3.0:
            self._is_away_logged = True
            _log.warning(
                "%s: the database fails (%s: %s); nothing is polled after %.1f s without it, and everything goes on when it is"
                " back",
                self.name,
                type(exc).__name__,
                str(exc) or "no answer in time",
                0.9 * self._ttl_s,
                extra=log_fields(error_type=type(exc).__name__),
            )

    def _on_success(self) -> None:
        """The leases were renewed."""
        if self._away_since is not None:
            away_s, self._away_since = self._now() - self._away_since, None
            self._look_now.set()
            if self._is_away_logged:
                self._is_away_logged = False
                _log.info("%s: the database is back after %.1f s", self.name, away_s)

    # --- shards -------------------------------------------------------------------------------

    async def _take_shards(self, leases: Leases) -> None:
        while not self._draining.is_set():
            self._look_now.clear()
            try:
                async with asyncio.timeout(max(1.0, self._ttl_s / 2.0)):
                    await self._retry_releases(leases)
                    await self._look(leases)
            except (LedgerError, TimeoutError) as exc:
                self._on_failure(exc)
                self._renew_now.set()
            await wait_first(self._draining, timeout_s=_AFTER_ARRIVAL_S)
            pause_s = min(_LOOK_S * max(1.0, self._live_workers / 4.0), self._ttl_s / 6.0)
            await wait_first(
                self._draining,
                self._look_now,
                timeout_s=pause_s * random.uniform(0.6, 1.0),
            )

    async def _look(self, leases: Leases) -> None:
        """Look at all shards, and take, keep and release what is due."""
        survey, now = await self._workers.survey(), self._now()
        self._live_workers = len({*survey.workers, leases.session})
        free = {state.shard for state in survey.shards if state.is_free and state.is_busy}
        self._free_since = {shard: self._free_since.get(shard, now) for shard in free}
        todo = plan(
            survey,
            session=leases.session,
            owned=self._owned,
            refused={shard for shard, (until, _) in self._refused.items() if until > now},
            given={shard for shard, at in self._returned.items() if now - at < 10.0 * self._ttl_s},
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
            endpoint = await self._endpoint(shard)
            if endpoint is not None:
                endpoints[shard] = endpoint
        if not endpoints or self._draining.is_set():
            return
        taken = await leases.acquire(len(endpoints), of=endpoints)
        self._acquired += len(taken)
        self._unreleased += taken  # until they are owned
        spent = await self._workers.spent([lease.shard for lease in taken])
        for lease in taken:
            if (
                lease.shard in endpoints and lease.shard not in self._owned
            ):  # else of an earlier call whose answer was lost
                self._unreleased.remove(lease)
                self._own(lease, endpoints[lease.shard], *spent.get(lease.shard, (None, 0.0)))

    async def _endpoint(self, shard: Shard) -> Endpoint[Any, Any] | None:
        """The endpoint of this shard, or None if it cannot be served here."""
        try:
            made = self._endpoint_for(base_of(shard))
            if isinstance(made, Awaitable):
                made = await made
            endpoint = endpoint_of(with_defaults(made), shard)
            check_codec(endpoint)
        except Exception as exc:  # noqa: BLE001  # foreign code
            self._refuse(shard, exc)
            return None
        return endpoint

    def _refuse(self, shard: Shard, exc: Exception) -> None:
        known = self._refused.get(shard)
        pause_s = _FIRST_REFUSAL_S if known is None else min(2.0 * known[1], _LONGEST_REFUSAL_S)
        self._refused[shard] = self._now() + pause_s, pause_s
        if known is None:
            _log.warning(
                "%s: the shard %s cannot be served here (%s%s); it is left to other workers, and tried again later",
                self.name,
                shard,
                type(exc).__name__,
                f": {exc}" if isinstance(exc, PollwiseError) else "",  # a foreign message may have a secret
                extra=log_fields(endpoint=shard.endpoint, error_type=type(exc).__name__),
            )

    def _own(self, lease: Lease, endpoint: Endpoint[Any, Any], spent: str | None, age_s: float) -> None:
        shard = lease.shard
        ledger = self._store.fenced(shard, lease.epoch)
        try:
            budget = None if self._budget_for is None else self._budget_for(base_of(shard))
            budget = budget_of(budget or RateBudget.documented(endpoint.documented_limit), shard)
            spend(budget, spent, age_s, self._now())
            watcher: JobWatcher[Any, Any, Any, Any] = JobWatcher(
                endpoint, timeout_s=None, budget=budget, ledger=ledger, ledger_patience_s=_FOREVER_S, **self._options
            )
            use_clock(watcher, self._clock)
        except Exception as exc:  # noqa: BLE001  # foreign code, or options that cannot be right
            self._refuse(shard, exc)
            self._unreleased.append(lease)
            return
        owned = self._owned[shard] = OwnedShard(
            lease,
            endpoint,
            watcher,
            budget,
            workers=self._workers,
            requests=self._requests,
            on_concluded=self._concluded,
        )
        task = self._tasks[shard] = asyncio.create_task(self._run(owned), name=f"pollwise-own-{shard}")
        task.add_done_callback(lambda _: self._tasks.pop(shard, None))
        _log.info("%s: takes the shard %s in epoch %d", self.name, shard, lease.epoch)

    async def _run(self, owned: OwnedShard[Any, Any]) -> None:
        """Watch the jobs of this shard, then give its lease back."""
        shard, lost = owned.shard, False
        try:
            await owned.run()
        except LeaseLost:
            lost = True
            self._lost += 1
            _log.info("%s: another worker has taken the shard %s", self.name, shard)
        except TimeoutError:
            _log.warning("%s: the last states of %s were not written in time", self.name, shard)
        except Exception as exc:  # noqa: BLE001  # rule 4
            _log.exception("%s: the shard %s failed", self.name, shard)
            self._refuse(shard, exc)
        finally:
            del self._owned[shard]
            self._idle_since.pop(shard, None)
            add_to(self._held, owned.held_s, JOB_BOUNDS)
            if not lost:
                self._unreleased.append(owned.lease)
        if not lost and self._leases is not None:
            try:
                await self._workers.write_spent([owned.spent()])
                await self._retry_releases(self._leases)
            except LedgerError as exc:
                self._on_failure(exc)
        else:
            self._refused.pop(shard, None)

    async def _retry_releases(self, leases: Leases) -> None:
        while self._unreleased:
            given = [lease for lease in self._unreleased if lease.shard not in self._owned]
            self._unreleased.clear()
            try:
                await leases.release(given)
            except BaseException:
                self._unreleased += given
                raise
            self._released += len(given)

    def _leave_idle(self, idle: Sequence[Shard] | Any, now: float) -> None:
        self._idle_since = {shard: self._idle_since.get(shard, now) for shard in idle}
        for shard, since in self._idle_since.items():
            if now - since > _IDLE_S:
                self._owned[shard].leave(self._drain_s)

    def _leave_some(self, count: int, now: float) -> None:
        """Give shards to workers that have less."""
        if not count:
            return
        rest_s = 10.0 * self._ttl_s
        movable = [
            shard
            for shard, owned in sorted(self._owned.items())
            if not owned.is_leaving and now - self._returned.get(shard, -rest_s) >= rest_s
        ]
        for shard in movable[-count:]:
            self._returned[shard] = now
            self._owned[shard].leave(self._drain_s)
            _log.info("%s: releases the shard %s to a worker that has less", self.name, shard)

    # --- edges --------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Look at once for what other processes have recorded or asked."""
        while True:
            try:
                async with self._store.arrivals() as arrivals:
                    while True:
                        shards = await arrivals.wait(EVERY_S)
                        for shard in shards or tuple(self._owned):
                            self._arrived(shard)
            except LedgerError as exc:
                _log.debug("%s: no notifications (%s)", self.name, type(exc).__name__)
            await asyncio.sleep(random.uniform(0.5, 1.0))

    def _arrived(self, shard: Shard) -> None:
        owned = self._owned.get(shard)
        if owned is not None:
            owned.look()
        elif shard not in self._elsewhere:
            self._look_now.set()

    def _concluded(self, shard: Shard) -> None:
        self._with_outcomes.add(shard)
        self._told.set()

    async def _tell(self) -> None:
        """Notify the processes that wait for outcomes."""
        while True:
            await self._told.wait()
            self._told.clear()
            shards, self._with_outcomes = self._with_outcomes, set()
            try:
                await self._workers.notify(shards)
            except LedgerError as exc:  # clients look from time to time anyway
                _log.debug("%s: no notification of outcomes (%s)", self.name, type(exc).__name__)
            await asyncio.sleep(_NOTIFY_S)
