"""Outcomes, before anybody is told.

Rule 1: an outcome is told when it is on disk, and not before. Those that come together are written down together.
Rule 2: what the ledger does not take is tried again, as `patience.py` says. Then the watch ends with `LedgerWriteFailed`,
and the ledger still has it as open: the next run finds out once more.
Rule 3: a status that the endpoint cannot put in JSON is that endpoint's bug, as it is when it cannot read one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

import attrs

from pollwise.durable.background_job import BackgroundJob, Start
from pollwise.durable.codec import conclusion_of, unkeepable
from pollwise.durable.patience import Patience
from pollwise.durable.recorded_watch import RecordedWatch, trouble
from pollwise.errors import ConfigurationError, EndpointBug
from pollwise.ledger import Conclusion, Ledger
from pollwise.model.events import Abandoned, Outcome
from pollwise.model.protocols import Endpoint

__all__ = ["Outbox"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_PAGE = 250  # rows in one call: some milliseconds of the loop


@attrs.define(eq=False)
class _Ending(Generic[J, S]):
    """An outcome on its way to the disk, decided at `since`."""

    watch: RecordedWatch[J, S]
    outcome: Outcome[J, S]
    conclusion: Conclusion
    since: float
    error: Exception | None = None


class Outbox(Generic[J, S]):
    """Writes outcomes down, and has them told.

    Args:
        ledger: Where to.
        endpoint: Whose jobs they are of.
        kept: Called with each watch whose outcome has just been written down, before any of them is told.
        tell: Tells a watch's outcome to everybody.
        start: Starts tasks.
        now: Returns monotonic seconds.
        patience: Says what is tried again.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        endpoint: Endpoint[J, S],
        kept: Callable[[RecordedWatch[J, S], Outcome[J, S]], None],
        tell: Callable[[RecordedWatch[J, S], Outcome[J, S]], None],
        start: Start,
        now: Callable[[], float],
        patience: Patience,
    ) -> None:
        self._ledger = ledger
        self._endpoint = endpoint
        self._kept = kept
        self._tell = tell
        self._now = now
        self._patience = patience
        self._over: deque[_Ending[J, S]] = deque()
        self._duty = BackgroundJob(self._work, start, "pollwise-outbox")

    def add(self, watch: RecordedWatch[J, S], outcome: Outcome[J, S]) -> None:
        """This is how it ended, of which nobody knows yet."""
        self._over.append(self._ending(watch, outcome))
        self._duty.wake()

    async def finished(self) -> None:
        """Wait until all are told."""
        await self._duty.finished()

    def _ending(self, watch: RecordedWatch[J, S], outcome: Outcome[J, S]) -> _Ending[J, S]:
        try:
            conclusion = self._conclusion(watch, outcome)
        except Exception as exc:  # noqa: BLE001  # foreign code
            outcome = unkeepable(outcome, exc)
            conclusion = self._conclusion(watch, outcome)
        return _Ending(watch, outcome, conclusion, self._now())

    def _conclusion(self, watch: RecordedWatch[J, S], outcome: Outcome[J, S]) -> Conclusion:
        machine = watch.machine
        return conclusion_of(watch.number, outcome, self._endpoint, failures=machine.failures, seen_s=machine.seen_s)

    async def _work(self) -> None:
        while self._over:
            endings = [self._over.popleft() for _ in range(min(_PAGE, len(self._over)))]
            try:
                again = await self._conclude(endings)
            except asyncio.CancelledError:  # to conclude once more what was concluded does no harm
                self._over.extendleft(reversed(endings))
                raise
            if again:
                self._over.extendleft(reversed(again))
                await self._patience.pause()

    async def _conclude(self, endings: Sequence[_Ending[J, S]]) -> Sequence[_Ending[J, S]]:
        """Those that are to be tried again."""
        try:
            await self._ledger.conclude([ending.conclusion for ending in endings])
        except ConfigurationError as exc:
            if len(endings) == 1:
                return self._spoiled(endings[0], exc)
            middle = len(endings) // 2  # the fault lies in one of them
            return [*await self._conclude(endings[:middle]), *await self._conclude(endings[middle:])]
        except Exception as exc:  # noqa: BLE001  # foreign code
            return self._put_off(endings, exc)
        self._patience.succeeded()
        for ending in endings:
            self._kept(ending.watch, ending.outcome)
        for ending in endings:
            self._tell(ending.watch, ending.outcome)
        return ()

    def _spoiled(self, ending: _Ending[J, S], exc: ConfigurationError) -> Sequence[_Ending[Any, Any]]:
        """The ledger cannot keep this one as it is; without its status, perhaps."""
        watch, outcome = ending.watch, ending.outcome
        if isinstance(outcome, Abandoned) and isinstance(outcome.error, EndpointBug):
            self._tell(watch, trouble(watch, exc, self._now()))
            return ()
        return [self._ending(watch, unkeepable(outcome, exc))]

    def _put_off(self, endings: Sequence[_Ending[J, S]], exc: Exception) -> Sequence[_Ending[J, S]]:
        for ending in endings:
            ending.error = exc
        again, over = self._patience.failed(endings)
        for ending in over:
            self._tell(ending.watch, trouble(ending.watch, exc, self._now()))
        return again
