"""`Client`: submits jobs to a fleet and gets their outcomes, from any process. It polls no API.

Rule 1: a job is on disk when `submit` returns. From then on no crash loses it.
Rule 2: a job that is known is not recorded a second time. One that was abandoned is opened again.
Rule 3: deadlines are set by the clock of the database's server.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Hashable, Iterable
from typing import Generic, TypeVar

from pollwise.durable.bulk_recording import each_of
from pollwise.errors import ConfigurationError
from pollwise.fleet.deliveries import ClaimedOutcomes
from pollwise.fleet.errors import JobNotRecorded
from pollwise.fleet.rows import ClientRows
from pollwise.fleet.store_clock import StoreClock
from pollwise.fleet.waiting import Waiting
from pollwise.ledger import Concluded, OutcomeKind, Shard
from pollwise.ledger.claims import check_claim
from pollwise.ledger.postgres import PostgresLedger
from pollwise.ledger.postgres.ledger import connections_of
from pollwise.ledger.postgres.requests import Requests
from pollwise.ledger.postgres.workers import Workers
from pollwise.model.events import Outcome
from pollwise.model.limits import require_seconds
from pollwise.model.protocols import EndpointLike
from pollwise.runtime.job_calls import check_can_cancel

__all__ = ["Client"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_BATCH = 1_000  # jobs in one statement


class Client(Generic[J, S]):
    """Submits the jobs of one endpoint and account to a fleet, and gets their outcomes.

        async with PostgresLedger(url) as store:
            client = Client(store, endpoint)
            await client.submit(job, timeout_s=3600)
            outcome = await client.outcome(job)

    Args:
        store: The database, open. The caller closes it.
        endpoint: The endpoint of the jobs. Nothing is sent to it, so it needs no credentials.
        split: In how many parts the jobs are divided, for a token whose jobs are too many for one process. Each part is a shard, which
            has that part of the token's limit. All clients of this endpoint and account must have the same number.

    Raises:
        ConfigurationError: An argument cannot be right, or the endpoint has no codec.
        LedgerClosed: The database is not open.
    """

    def __init__(self, store: PostgresLedger, endpoint: EndpointLike[J, S], *, split: int = 1) -> None:
        if not isinstance(store, PostgresLedger):
            raise ConfigurationError(f"store must be an open PostgresLedger, got {type(store).__name__}")
        self._rows: ClientRows[J, S] = ClientRows(endpoint, split)
        connections = connections_of(store)
        self._store = store
        self._workers, self._requests = Workers(connections), Requests(connections)
        self._clock = StoreClock(self._workers)
        self._waiting = Waiting(self._workers, self._requests, frozenset(self._rows.shards))

    def __repr__(self) -> str:
        return f"<Client of {str(self.shard)!r} in {self._store.where}>"

    @property
    def shard(self) -> Shard:
        """The endpoint and account."""
        return Shard(self._rows.endpoint.name, self._rows.endpoint.account)

    async def submit(self, job: J, *, timeout_s: float | None) -> bool:
        """Have the fleet watch this job. It is on disk on return.

        A job that the fleet watches already, or whose end is known, stays as it is. One that was abandoned is watched again.

        Args:
            job: The job.
            timeout_s: Longest duration of its watch in seconds. None sets no limit.

        Returns:
            Whether a watch began with this call, or was opened again.

        Raises:
            LedgerError: The database failed. It may be repeated.
            ConfigurationError: The job's keys cannot be kept, or `timeout_s` cannot be right.
        """
        return await self.submit_many([job], timeout_s=timeout_s) > 0

    async def submit_many(self, jobs: Iterable[J] | AsyncIterable[J], *, timeout_s: float | None) -> int:
        """Have the fleet watch all of these jobs, as `submit` does. They are read and written a thousand at a time.

        Returns:
            How many watches began with this call, or were opened again.

        Raises:
            LedgerError: The database failed. The jobs of earlier thousands are on disk. It may be repeated with all jobs.
            ConfigurationError: As `submit`.
        """
        if timeout_s is not None:
            require_seconds("timeout_s", timeout_s)
        begun = 0
        batch: list[J] = []
        async for job in each_of(jobs):
            batch.append(job)
            if len(batch) == _BATCH:
                begun += await self._record(batch, timeout_s)
                batch = []
        return begun + await self._record(batch, timeout_s)

    async def _record(self, jobs: list[J], timeout_s: float | None) -> int:
        if not jobs:
            return 0
        now_s = await self._clock.read()
        rows = [self._rows.new(job, now_s, timeout_s) for job in jobs]
        found = await self._store.record(rows)
        renewals = {
            one.id: self._rows.renewal(job, one.known, now_s, timeout_s)
            for job, one in zip(jobs, found, strict=True)
            if isinstance(one.known, Concluded) and one.known.outcome is OutcomeKind.ABANDONED
        }
        return sum(one.known is None for one in found) + await self._requests.reopen(list(renewals.values()))

    async def outcome(self, job: J) -> Outcome[J, S]:
        """Wait for the outcome of this job: `Succeeded`, `Failed`, `Cancelled` or `Abandoned`.

        The outcome is not acknowledged, and not claimed. While the database is away, this waits for its return. Any number of jobs may be
        waited for at a time: they share one connection and one statement.

        Raises:
            JobNotRecorded: The job was not submitted.
            ConfigurationError: The job's keys cannot be kept.
        """
        known = await self._waiting.wait(self._rows.place(job))
        found = None if known is None else self._rows.outcome(known, job)
        if found is None:
            raise JobNotRecorded(self._store.where, str(self.shard), job)
        return found

    def outcomes(self, *, follow: bool = False, limit: int = 100, lease_s: float = 60.0) -> ClaimedOutcomes[J, S]:
        """The outcomes that no consumer has acknowledged. Several consumers share them: each outcome goes to one of them at a time.

            async with client.outcomes(follow=True) as outcomes:
                async for delivery in outcomes:
                    save(delivery.outcome)
                    await delivery.ack()

        Args:
            follow: Wait for further outcomes for ever. By default the iteration ends when no watch of this client's endpoint and account
                is open, and no outcome is left that other consumers have not claimed.
            limit: How many outcomes this consumer claims at a time.
            lease_s: Seconds for which it claims them. An outcome that is not acknowledged by then goes to another consumer.

        Returns:
            An async iterator. It raises LedgerError when the database fails, and may be used again after that.

        Raises:
            ConfigurationError: An argument cannot be right.
        """
        check_claim(limit, lease_s)
        return ClaimedOutcomes(self._store, self._workers, self._rows, follow=follow, limit=limit, lease_s=lease_s)

    async def cancel(self, job: J) -> bool:
        """Have the owner of the job's shard ask the server to stop it. That request is on disk on return.

        The watch goes on until the job's status says that it is over. So the outcome may be `Cancelled`, or another one. If the server
        refuses, the worker logs that.

        Returns:
            False if the job is over.

        Raises:
            JobNotRecorded: The job was not submitted.
            ConfigurationError: The endpoint cannot cancel jobs, or the job's keys cannot be kept.
            LedgerError: The database failed. It may be repeated.
        """
        check_can_cancel(self._rows.endpoint)
        asked = await self._requests.cancel(*self._rows.place(job))
        if asked is None:
            raise JobNotRecorded(self._store.where, str(self.shard), job)
        return asked
