"""A toy vendor whose jobs end when the test says so, and workers that watch them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from kept_toy import KeptToyEndpoint
from pollwise.core.pacing import Pacing
from pollwise.fleet import Client, PostgresLedger, Shard, Worker
from pollwise.model.messages import Request
from pollwise.testing import Answer, ScriptedTransport, Slow
from real_postgres import run
from toy import CANCELLED, RUNNING, SUCCEEDED, ToyJob, ToyStatus, job_of

ToyClient = Client[ToyJob, ToyStatus]


class FleetToy(KeptToyEndpoint):
    """The toy of one account, whose jobs can be cancelled with `DELETE /ID`."""

    def __init__(self, account: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.account = account

    def cancel_request(self, job: ToyJob, _status: ToyStatus | None, /) -> Request:
        return Request(self.request(job).url, method="DELETE")


class Vendor:
    """Says `running` about each job until `finish`, or until the job was cancelled.

    Attributes:
        transport: Sends to it.
        asked: The jobs of all polls, in their order.
        deleted: The jobs that were cancelled.
    """

    def __init__(self) -> None:
        self.transport = ScriptedTransport(self._answer)
        self.asked: list[str] = []
        self.deleted: list[str] = []
        self._done: set[str] = set()
        self.all_done = False
        self.refuses = False  # to cancel
        self.delay_s = 0.0  # of replies

    def finish(self, *jobs: str) -> None:
        """These jobs are over. Without any: all are."""
        self._done.update(jobs)
        self.all_done = self.all_done or not jobs

    def _answer(self, request: Request) -> Answer:
        job = job_of(request)
        if request.method == "DELETE":
            if self.refuses:
                return 403
            self.deleted.append(job)
            return {}
        self.asked.append(job)
        if job in self.deleted:
            return CANCELLED
        answer = SUCCEEDED if self.all_done or job in self._done else RUNNING
        return Slow(answer, self.delay_s) if self.delay_s else answer


def make(shard: Shard) -> FleetToy:
    return FleetToy(shard.account)


@asynccontextmanager
async def working(store: PostgresLedger, vendor: Vendor, **options: Any) -> AsyncIterator[Worker]:
    """A worker that runs in this process. It is drained at the end."""
    given = {
        "endpoint_for": make,
        "ttl_s": 3.0,
        "transport": vendor.transport,
        "pacing": Pacing.fixed(0.05),
        **options,
    }
    # what the worker raises ends the test
    async with Worker(store, **given) as worker, asyncio.TaskGroup() as group:
        group.create_task(worker.run(), name="test-worker")
        yield worker
        worker.drain()


async def until(condition: Callable[[], object], *, store: PostgresLedger) -> None:
    """Return when the condition holds. Each check asks the database in between, as a client would."""
    async with asyncio.timeout(20):
        while not condition():
            await store.owners()


def jobs(*names: str) -> Sequence[ToyJob]:
    return [ToyJob(name) for name in names]


def names(found: Iterable[Any]) -> list[str]:
    """The IDs of the jobs of these outcomes, sorted."""
    return sorted(one.job.id for one in found)


async def kill_sessions(store: PostgresLedger) -> None:
    """End the sessions of all owners, as the kernel does for a process that was killed."""
    await run(
        f"SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN (SELECT DISTINCT session FROM {store.schema}.shards) s"  # noqa: S608
        " ON s.session = ((l.classid::bigint << 32) | l.objid::bigint) WHERE l.locktype = 'advisory'"
    )
