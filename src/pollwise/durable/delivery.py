"""Outcomes from the ledger to whoever does something with them: what `JobWatcher.outcomes` gives out.

Rule 1: an outcome is delivered until it is acknowledged. Who takes one, does something with it and acknowledges it, and
dies anywhere in between, is given it again by the next run: at least once, and exactly once by the ledger's count.
Rule 2: what waits to be read is the ledger's to keep. In memory there is a bounded number, however slow the reader.
Rule 3: one iterator gives each outcome out once. Another one begins with all that nobody has acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable, Sequence, Sized
from functools import partial
from typing import Any, Generic, Self, TypeVar

from pollwise.durable import Recorder
from pollwise.durable.codec import job_of, outcome_of
from pollwise.errors import WatcherClosed
from pollwise.ledger import Concluded
from pollwise.model.events import Outcome

__all__ = ["Deliveries", "Delivery"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_MOST_READY = 1_000

_log = logging.getLogger(__name__)


class Delivery(Generic[J, S]):
    """One outcome, to be acknowledged once it is dealt with.

    Attributes:
        outcome: What became of the job: `Succeeded`, `Failed`, `Cancelled` or `Abandoned`.
    """

    __slots__ = ("_ack", "outcome")

    def __init__(self, outcome: Outcome[J, S], ack: Callable[[], Any]) -> None:
        self.outcome = outcome
        self._ack = ack

    def __repr__(self) -> str:
        return f"<Delivery of {type(self.outcome).__name__} {self.outcome.job!r}>"

    async def ack(self) -> bool:
        """Acknowledge: this outcome has been dealt with, and is not to be delivered again. On disk on return.

        Returns:
            Whether this call acknowledged it. Of all who ever do so for one outcome, exactly one is told True.

        Raises:
            LedgerError: It could not be written down for `ledger_patience_s`, so the outcome will be delivered again.
        """
        acknowledged: bool = await self._ack()
        return acknowledged


class Deliveries(Generic[J, S]):
    """An async iterator over the outcomes that nobody has acknowledged, and those that come.

    Any number of tasks may iterate: each outcome goes to one of them.

    Args:
        recorder: Who writes them down.
        watches: Those that are open.
        follow: Wait for more also while there are none.
    """

    def __init__(self, recorder: Recorder[J, S], *, watches: Sized, follow: bool) -> None:
        self._ledger = recorder.ledger
        self._endpoint = recorder.endpoint
        self._recorder = recorder
        self._watches = watches
        self._follow = follow
        self._ready: deque[tuple[int, int, Outcome[J, S] | Concluded]] = deque()
        # By number, and by how often it was opened again: those that are ready or given out, and not acknowledged
        self._out: set[tuple[int, int]] = set()
        self._behind = True  # the ledger may have some that are not ready
        self._missed = False  # and more came since we began to read them
        self._chunks: AsyncIterator[Sequence[Concluded]] | None = None
        self._reading = asyncio.Lock()
        self._news = asyncio.Event()
        self._left = False
        recorder.tell_too(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery[J, S]:
        while not self._left:
            if self._ready:
                number, opened, kept = self._ready.popleft()
                outcome = self._outcome(kept) if isinstance(kept, Concluded) else kept
                if outcome is not None:
                    return Delivery(outcome, partial(self._acknowledge, number, opened))
            elif self._recorder.closing:
                self._left = True
                if not self._follow:
                    raise WatcherClosed
            elif self._behind:
                await self._read()
            elif self._follow or len(self._watches):
                self._news.clear()
                await self._news.wait()
            else:
                break
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Give no more out. What was not acknowledged stays in the ledger."""
        self._left = True
        self._ready.clear()
        self._news.set()

    # --- told by the recorder -----------------------------------------------------------------

    def concluded(self, number: int, outcome: Outcome[J, S]) -> None:
        """This outcome is on disk."""
        if self._left or (self._behind and self._chunks is None):
            return  # nobody wants it, or it will be read
        if len(self._ready) < _MOST_READY:
            self._add(number, outcome)
        else:
            self._behind = self._missed = True
        self._news.set()

    def woken(self) -> None:
        """A watch has ended, with an outcome in the ledger or without one."""
        self._news.set()

    def closed(self) -> None:
        """Nothing more will come."""
        self._ready.clear()
        self._news.set()

    # --- reading and acknowledging ------------------------------------------------------------

    async def _read(self) -> None:
        async with self._reading:
            if self._ready or not self._behind:
                return  # another task has read
            chunk = await self._recorder.patience.call(self._next_chunk)
            if chunk is None:
                self._chunks, self._behind = None, self._missed
            else:
                for known in chunk:
                    self._add(known.id, known)

    async def _next_chunk(self) -> Sequence[Concluded] | None:
        """The ledger's next page, or None at the end. After a failure it begins anew; what is out is known by number."""
        if self._left:
            return None
        if self._chunks is None:
            self._missed = False
            self._chunks = aiter(self._ledger.unacknowledged(self._endpoint.name, self._endpoint.account))
        try:
            return await anext(self._chunks, None)
        except BaseException:
            self._chunks = None
            raise

    def _add(self, number: int, kept: Outcome[J, S] | Concluded) -> None:
        place = (number, self._recorder.reopened(number))
        if place not in self._out:
            self._out.add(place)
            self._ready.append((*place, kept))

    def _outcome(self, known: Concluded) -> Outcome[J, S] | None:
        """None for one that cannot be read: nobody shall acknowledge what they were not given."""
        job = job_of(known, self._endpoint)
        if job is None:
            return None
        try:
            return outcome_of(known, job, self._endpoint)
        except Exception as exc:  # noqa: BLE001  # foreign code; its words may hold a part of the status
            _log.error("%s: outcome %d cannot be read (%s) and stays", known.endpoint, known.id, type(exc).__name__)
            return None

    async def _acknowledge(self, number: int, opened: int) -> bool:
        if self._recorder.reopened(number) != opened:
            return False  # it was watched once more, so this is not its outcome any more
        count = await self._recorder.patience.call(lambda: self._ledger.acknowledge([number]))
        self._out.discard((number, opened))
        return count > 0
