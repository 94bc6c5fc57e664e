"""Outcomes for several consumers, in any processes: each outcome goes to one of them at a time.

Rule 1: an outcome is claimed before it is delivered. The claim is in the database, so it outlives the process that made it.
Rule 2: an outcome that is not acknowledged is delivered again when its claim is over. So each is delivered at least once, and
acknowledged exactly once.
Rule 3: a consumer has some outcomes ready, and not more. One that has waited here for half of its claim is given back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from pollwise.durable.delivery import Delivery
from pollwise.fleet.rows import ClientRows
from pollwise.fleet.waiting import OutcomeFeed
from pollwise.ledger import Concluded
from pollwise.ledger.postgres import PostgresLedger
from pollwise.ledger.postgres.workers import Workers
from pollwise.model.events import Outcome

if TYPE_CHECKING:
    from pollwise.ledger.postgres.connections import AnyConnection

__all__ = ["ClaimedDelivery", "ClaimedOutcomes"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")


class ClaimedDelivery(Delivery[J, S]):
    """One outcome that this consumer has claimed, to be acknowledged after it was processed.

    Attributes:
        outcome: `Succeeded`, `Failed`, `Cancelled` or `Abandoned`.
    """

    __slots__ = ("_acknowledge", "_give_back")

    def __init__(
        self,
        outcome: Outcome[J, S],
        acknowledge: Callable[[AnyConnection | None], Awaitable[int]],
        give_back: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(outcome, lambda: None)
        self._acknowledge = acknowledge
        self._give_back = give_back

    async def ack(self, connection: AnyConnection | None = None) -> bool:
        """Acknowledge the outcome, so that it is not delivered again. On disk on return.

        Args:
            connection: A connection of asyncpg to the same database, in a transaction of yours. Then the outcome is acknowledged
                when that is committed, together with what else it does.

        Returns:
            Whether this call acknowledged it. Of all calls for one outcome, in any process, exactly one returns True. False also if
            the job was submitted again since then.

        Raises:
            LedgerError: The database failed. It may be repeated.
        """
        return await self._acknowledge(connection) > 0

    async def give_back(self) -> None:
        """Let another consumer have the outcome at once. Call it only while the claim lasts.

        Raises:
            LedgerError: The database failed.
        """
        await self._give_back()


class ClaimedOutcomes(Generic[J, S]):
    """An async iterator over the outcomes that are not acknowledged and not claimed. `Client.outcomes` makes it.

    Any number of tasks may iterate: each outcome goes to one of them. Use it as `async with client.outcomes() as outcomes`, or call
    `aclose`, so that other consumers get at once what was claimed and not delivered.

    Args:
        store: The database.
        workers: Listens for new outcomes.
        rows: Translates.
        follow: Whether to wait for more when no watch is open.
        limit: How many outcomes are claimed at a time.
        lease_s: For how many seconds.
    """

    def __init__(
        self,
        store: PostgresLedger,
        workers: Workers,
        rows: ClientRows[J, S],
        *,
        follow: bool,
        limit: int,
        lease_s: float,
    ) -> None:
        self._store = store
        self._workers = workers
        self._rows = rows
        self._follow = follow
        self._limit = limit
        self._lease_s = lease_s
        self._ready: deque[tuple[float, Concluded]] = deque()  # until when it may be delivered
        self._next_shard = 0
        self._feed: OutcomeFeed | None = None
        self._reading = asyncio.Lock()
        self._now = asyncio.get_running_loop().time
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def __anext__(self) -> ClaimedDelivery[J, S]:
        while not self._closed:
            if self._ready:
                until, known = self._ready.popleft()
                late_s = self._now() - until
                if late_s >= 0.0:
                    if late_s < 0.4 * self._lease_s:  # later, the claim may be another consumer's
                        await self._store.release_claims([known.acknowledgement])
                    continue
                outcome = self._rows.outcome(known)
                if outcome is not None:
                    acknowledge = partial(_acknowledge, self._store, known)
                    give_back = partial(self._store.release_claims, [known.acknowledgement])
                    return ClaimedDelivery(outcome, acknowledge, give_back)
            elif not await self._more():
                break
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Deliver nothing more, and give back what was not delivered."""
        self._closed = True
        async with self._reading:
            ready, self._ready = list(self._ready), deque()
            feed, self._feed = self._feed, None
            if feed is not None:
                await feed.aclose()
            fresh = [known.acknowledgement for until, known in ready if self._now() < until]
            if fresh:
                await self._store.release_claims(fresh)

    async def _more(self) -> bool:
        """Claim some, and wait if there are none. False at the end."""
        async with self._reading:
            if self._ready or self._closed:
                return True
            shards = self._rows.shards
            # asked first: a watch that ends meanwhile has its outcome before it is no longer open
            goes_on = self._follow or await self._workers.has_open(shards)
            began = self._now()
            for n in range(len(shards)):
                shard = shards[(self._next_shard + n) % len(shards)]
                found = await self._store.claim(shard.endpoint, shard.account, limit=self._limit, lease_s=self._lease_s)
                if found:
                    self._next_shard = (self._next_shard + n + 1) % len(shards)
                    self._ready.extend((began + self._lease_s / 2.0, known) for known in found)
                    return True
            if not goes_on:
                return False
            if self._feed is None:
                self._feed = OutcomeFeed(self._workers, frozenset(shards))
            await self._feed.wait()
            return True


async def _acknowledge(store: PostgresLedger, known: Concluded, connection: AnyConnection | None) -> int:
    return await store.acknowledge([known.acknowledgement], connection=connection)
