"""Delivers outcomes from the ledger: the iterators of `JobWatcher.outcomes`.

Rule 1: an outcome is delivered at least once, until it is acknowledged. If a process dies before it acknowledges an
outcome, the next run delivers that outcome again. The ledger counts each acknowledgement exactly once. An acknowledgement names one outcome, so it never counts
for a newer one of the same job.
Rule 2: outcomes that wait to be read are in the ledger. Memory has a bounded number of them, however slow the reader is.
Rule 3: an iterator delivers each outcome once. A second iterator begins with all outcomes that are not acknowledged.
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
from pollwise.ledger import Acknowledgement, Concluded
from pollwise.model.events import Outcome
from pollwise.model.log_fields import log_fields

__all__ = ["Deliveries", "Delivery"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_MAX_READY = 1_000

_log = logging.getLogger(__name__)


class Delivery(Generic[J, S]):
    """One outcome, to be acknowledged after it was processed.

    Attributes:
        outcome: `Succeeded`, `Failed`, `Cancelled` or `Abandoned`.
    """

    __slots__ = ("_ack", "outcome")

    def __init__(self, outcome: Outcome[J, S], ack: Callable[[], Any]) -> None:
        self.outcome = outcome
        self._ack = ack

    def __repr__(self) -> str:
        return f"<Delivery of {type(self.outcome).__name__} {self.outcome.job!r}>"

    async def ack(self) -> bool:
        """Acknowledge the outcome, so that it is not delivered again. On disk on return.

        Returns:
            Whether this call acknowledged it. Of all calls for one outcome, exactly one returns True. False also if the
            job was watched again since then: this outcome is no longer in the ledger, and the newer one is not
            acknowledged.

        Raises:
            LedgerError: The ledger failed for `ledger_patience_s`, so the outcome will be delivered again.
        """
        acknowledged: bool = await self._ack()
        return acknowledged


class _Inbox(Generic[J, S]):
    """The outcomes that one iterator will deliver: from notifications of the recorder, and from pages of the ledger.

    Attributes:
        ready: The outcomes to deliver, each with what acknowledges it.
        out: What acknowledges the outcomes that are ready or delivered, and not acknowledged.
        pages: The pages of the ledger, while they are read.
        behind: Whether the ledger may have outcomes that are not in `ready`.
        missed: Whether outcomes were concluded and not added to `ready` after reading began.
        changed: Set when there may be an outcome to deliver, or at the end.
        closed: Whether the iterator has ended.
    """

    def __init__(self) -> None:
        self.ready: deque[tuple[Acknowledgement, Outcome[J, S] | Concluded]] = deque()
        self.out: set[Acknowledgement] = set()
        self.pages: AsyncIterator[Sequence[Concluded]] | None = None
        self.behind = True
        self.missed = False
        self.changed = asyncio.Event()
        self.closed = False

    def add(self, acknowledgement: Acknowledgement, outcome: Outcome[J, S] | Concluded) -> None:
        """Add this outcome, unless it was added before."""
        if acknowledgement not in self.out:
            self.out.add(acknowledgement)
            self.ready.append((acknowledgement, outcome))

    def close(self) -> None:
        """Deliver nothing more."""
        self.closed = True
        self.on_close()

    def on_concluded(self, acknowledgement: Acknowledgement, outcome: Outcome[J, S], /) -> None:
        """This outcome is on disk."""
        if self.closed or (self.behind and self.pages is None):
            return  # it is not wanted, or it will be read
        if len(self.ready) < _MAX_READY:
            self.add(acknowledgement, outcome)
        else:
            self.behind = self.missed = True
        self.changed.set()

    def on_end(self) -> None:
        """A watch has ended, with an outcome in the ledger or without one."""
        self.changed.set()

    def on_close(self) -> None:
        """No more outcomes will follow."""
        self.ready.clear()
        self.changed.set()


class Deliveries(Generic[J, S]):
    """An async iterator over the outcomes that are not acknowledged, present and future.

    Any number of tasks may iterate: each outcome goes to one of them.

    Args:
        recorder: Writes the outcomes.
        watches: The open watches.
        follow: Wait for more outcomes also while no watch is open.
    """

    def __init__(self, recorder: Recorder[J, S], *, watches: Sized, follow: bool) -> None:
        self._recorder = recorder
        self._watches = watches
        self._follow = follow
        self._inbox: _Inbox[J, S] = _Inbox()
        self._reading = asyncio.Lock()
        recorder.subscribe(self._inbox)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery[J, S]:
        inbox = self._inbox
        while not inbox.closed:
            if inbox.ready:
                acknowledgement, found = inbox.ready.popleft()
                outcome = self._outcome(found) if isinstance(found, Concluded) else found
                if outcome is not None:
                    return Delivery(outcome, partial(self._acknowledge, acknowledgement))
            elif self._recorder.closing:
                inbox.closed = True
                if not self._follow:
                    raise self._recorder.closed()
            elif inbox.behind:
                await self._read()
            elif self._follow or len(self._watches):
                inbox.changed.clear()
                await inbox.changed.wait()
            else:
                break
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Deliver nothing more. Outcomes that were not acknowledged stay in the ledger."""
        self._inbox.close()

    async def _read(self) -> None:
        inbox = self._inbox
        async with self._reading:
            if inbox.ready or not inbox.behind:
                return  # another task has read
            page = await self._recorder.patience.call(self._next_page)
            if page is None:
                inbox.pages, inbox.behind = None, inbox.missed
            else:
                for known in page:
                    inbox.add(known.acknowledgement, known)

    async def _next_page(self) -> Sequence[Concluded] | None:
        """The ledger's next page, or None at the end. After a failure reading begins anew, and `out` prevents repetitions."""
        inbox = self._inbox
        if inbox.closed:
            return None
        if inbox.pages is None:
            inbox.missed = False
            endpoint = self._recorder.rows.endpoint
            inbox.pages = aiter(self._recorder.ledger.unacknowledged(endpoint.name, endpoint.account))
        try:
            return await anext(inbox.pages, None)
        except BaseException:
            inbox.pages = None
            raise

    def _outcome(self, known: Concluded) -> Outcome[J, S] | None:
        """The outcome of a row, or None if it cannot be read. Such a row is not delivered, so it is not acknowledged."""
        endpoint, limits = self._recorder.rows.endpoint, self._recorder.rows.limits
        job = job_of(known, endpoint)
        if job is None:
            return None
        try:
            return outcome_of(known, job, endpoint, limits)
        except Exception as exc:  # noqa: BLE001  # foreign code; its message may hold a part of the status
            _log.error(
                "%s: outcome %d cannot be read (%s) and stays",
                known.endpoint,
                known.id,
                type(exc).__name__,
                extra=log_fields(endpoint=known.endpoint, row=known.id, error_type=type(exc).__name__),
            )
            return None

    async def _acknowledge(self, acknowledgement: Acknowledgement) -> bool:
        recorder = self._recorder
        count = await recorder.patience.call(lambda: recorder.ledger.acknowledge([acknowledgement]))
        self._inbox.out.discard(acknowledgement)
        return count > 0
