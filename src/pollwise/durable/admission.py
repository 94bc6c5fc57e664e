"""New rows, before anything is asked about their jobs.

Rule 1: watches that come together are written down together: what is added while one call is under way goes with the
next, some pages of rows at most. What comes back is taken in page by page, so that the loop is not held up.
Rule 2: what the ledger does not take is tried again, as `patience.py` says. Then its watch ends with `LedgerWriteFailed`.
Rule 3: while the ledger fails, a watch that is stopped or whose deadline passes ends without a row. A call that is
under way is awaited first, so that it leaves no open row of a watch that has ended.
Rule 4: a job that the ledger knows is not begun anew. An open one goes on; how one has ended is said again, without
asking; an abandoned one is opened again, for that is what watching it once more asks for.
Rule 5: an open watch that was asked at another origin is refused, and its row stays as it is. Where it goes on at another
one by the caller's word, that is on disk first.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

import attrs

from pollwise.durable.background_job import BackgroundJob, Start
from pollwise.durable.patience import Patience
from pollwise.durable.recorded_watch import RecordedWatch, is_left_open, trouble
from pollwise.errors import ConfigurationError, DeadlineExceeded, OriginChanged
from pollwise.ledger import Concluded, Ledger, NewWatch, OpenWatch, OutcomeKind, Recorded, Relocation, Renewal
from pollwise.model.events import Abandoned, Outcome
from pollwise.model.tracebacks import strip_tracebacks

__all__ = ["Admission", "Host"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_PAGE = 250  # rows that are taken in at a time: some milliseconds of the loop
_MOST = 8 * _PAGE  # in one call: a commit costs as much for thousands of rows as for one
_SWEEP_S = 0.05  # deadlines of rows that the ledger does not take are looked at no oftener
_EARLY_S = 0.001  # more than a timer can come too early


class Host(Protocol[J, S]):
    """Who knows what to do with watches whose rows have arrived."""

    def begin(self, watch: RecordedWatch[J, S], known: OpenWatch | Concluded | None, /) -> None:
        """Ask about it from now on. `known` is what the ledger knew of the job before."""
        ...

    def remembered(self, watch: RecordedWatch[J, S], known: Concluded, /) -> Outcome[J, S]:
        """The outcome that the ledger has for it."""
        ...

    def renewal(self, number: int, job: J, /) -> Renewal:
        """How the abandoned one of this number is to be opened again."""
        ...

    def relocation(self, job: J, known: OpenWatch, /) -> Relocation | None:
        """Where an open one is asked about from now on, if not where it was. Raises OriginChanged if it may not be."""
        ...

    def tell(self, watch: RecordedWatch[J, S], outcome: Outcome[J, S], /) -> None:
        """This is how it ended, unless that was told before."""
        ...

    def over(self, watch: RecordedWatch[J, S], /) -> None:
        """Its machine came to an end while its row was under way."""
        ...


@attrs.define(eq=False)
class _Beginning(Generic[J, S]):
    """A row on its way to the disk.

    Attributes:
        since: When it was first due, in monotonic seconds.
        error: Of its last try.
        settled: Done once the row has arrived, or will not. Made for the first caller that waits for it.
    """

    watch: RecordedWatch[J, S]
    row: NewWatch
    since: float
    error: Exception | None = None
    settled: asyncio.Future[None] | None = None


class Admission(Generic[J, S]):
    """Writes new watches down, and lets them begin.

    Args:
        ledger: Where to.
        host: What to do with them then.
        start: Starts tasks.
        now: Returns the event loop's seconds.
        patience: Says what is tried again.

    Attributes:
        reopened: How often abandoned watches were opened again here, by number.
    """

    def __init__(
        self, *, ledger: Ledger, host: Host[J, S], start: Start, now: Callable[[], float], patience: Patience
    ) -> None:
        self._ledger = ledger
        self._host = host
        self._now = now
        self._patience = patience
        self._waiting: deque[_Beginning[J, S]] = deque()
        self._under_way: dict[RecordedWatch[J, S], _Beginning[J, S]] = {}  # what waits but is not in here has ended
        self._calling = False
        self._alarm: asyncio.TimerHandle | None = None  # for the deadlines of what the ledger does not take
        self._context = contextvars.copy_context()
        self._duty = BackgroundJob(self._work, start, "pollwise-admission")
        self.reopened: dict[int, int] = {}

    def add(self, watch: RecordedWatch[J, S], row: NewWatch) -> None:
        """Write this one down."""
        entry = self._under_way[watch] = _Beginning(watch, row, self._now())
        self._waiting.append(entry)
        if self._patience.failing and not self._calling:
            self._sweep_at(watch.machine.deadline)
        self._duty.wake()

    async def arrived(self, watch: RecordedWatch[J, S]) -> None:
        """Wait until its row has arrived, or will not."""
        entry = self._under_way.get(watch)
        if entry is not None:
            if entry.settled is None:
                entry.settled = asyncio.get_running_loop().create_future()
            await asyncio.shield(entry.settled)

    def over(self, watch: RecordedWatch[J, S]) -> None:
        """This watch has ended while its row was under way."""
        entry = self._under_way.get(watch)
        if entry is not None and self._patience.failing and not self._calling:
            self._end([entry])

    async def finished(self) -> None:
        """Wait until all have arrived, or will not."""
        await self._duty.finished()

    def forsake(self) -> None:
        """Let go of all that are still under way."""
        self._waiting.clear()
        self._no_alarm()
        self._settle(list(self._under_way.values()))

    async def _work(self) -> None:
        while self._waiting:
            taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST))]
            entries = [entry for entry in taken if entry.watch in self._under_way]
            self._calling = True
            try:
                # a watch that has a number has begun, and the task was cancelled after that
                failed = await self._record([entry for entry in entries if not entry.watch.number])
            except asyncio.CancelledError:  # to record once more what was recorded does no harm
                self._waiting.extendleft(reversed(entries))
                raise
            finally:
                self._calling = False
            again = self._put_off(failed)
            self._settle_but(again, entries)
            if again:
                self._waiting.extendleft(reversed(again))
                self._sweep()
                await self._patience.pause()

    # --- what the ledger takes ------------------------------------------------------------------

    async def _record(self, entries: Sequence[_Beginning[J, S]]) -> Sequence[_Beginning[J, S]]:
        """Those that failed."""
        if not entries:
            return ()
        try:
            found = await self._ledger.record([entry.row for entry in entries])
            pairs = list(zip(entries, found, strict=True))
        except Exception as exc:  # noqa: BLE001  # foreign code
            if isinstance(exc, ConfigurationError) and len(entries) > 1:  # the fault lies in one of them
                middle = len(entries) // 2
                return [*await self._record(entries[:middle]), *await self._record(entries[middle:])]
            return _failed(entries, exc)
        failed: list[_Beginning[J, S]] = []
        for n in range(0, len(pairs), _PAGE):
            if n:
                await asyncio.sleep(0)
            page = pairs[n : n + _PAGE]
            later = [(entry, found) for entry, found in page if not self._arrive(entry.watch, found, entry.row.origin)]
            abandoned = [pair for pair in later if isinstance(pair[1].known, Concluded)]
            if abandoned:
                failed += await self._reopen(abandoned)
            if len(abandoned) < len(later):
                failed += await self._relocate([pair for pair in later if isinstance(pair[1].known, OpenWatch)])
        if not failed:
            self._patience.succeeded()
            self._no_alarm()
        return failed

    def _arrive(self, watch: RecordedWatch[J, S], recorded: Recorded, origin: str | None) -> bool:
        """Its row is on disk. False where that has to be changed first. `origin` is where it is asked about now."""
        known = recorded.known
        if isinstance(known, OpenWatch) and known.origin != origin:
            try:
                if self._host.relocation(watch.job, known) is not None:
                    return False
            except OriginChanged as exc:
                error = exc.with_traceback(None)
                self._host.tell(watch, watch.machine.outcome or watch.machine.abandoned(error, now=self._now()))
                return True
        abandoned = isinstance(known, Concluded) and known.outcome is OutcomeKind.ABANDONED
        if abandoned and watch.machine.outcome is None:
            return False
        watch.number = recorded.id
        if isinstance(known, Concluded):
            self._host.tell(watch, self._host.remembered(watch, known))
        else:
            self._begin(watch, known)
        return True

    async def _reopen(self, abandoned: Sequence[tuple[_Beginning[J, S], Recorded]]) -> Sequence[_Beginning[J, S]]:
        """Those that failed."""
        for _, recorded in abandoned:  # first: a cancelled call does not tell whether it was carried out
            self.reopened[recorded.id] = self.reopened.get(recorded.id, 0) + 1
        try:
            await self._ledger.reopen(
                [self._host.renewal(recorded.id, entry.watch.job) for entry, recorded in abandoned]
            )
        except Exception as exc:  # noqa: BLE001  # foreign code
            for _, recorded in abandoned:
                self.reopened[recorded.id] -= 1
            return _failed([entry for entry, _ in abandoned], exc)
        for entry, recorded in abandoned:
            entry.watch.number = recorded.id
            self._begin(entry.watch, recorded.known)
        return ()

    async def _relocate(self, moved: Sequence[tuple[_Beginning[J, S], Recorded]]) -> Sequence[_Beginning[J, S]]:
        """Those that failed."""
        try:
            changed = [
                self._host.relocation(entry.watch.job, recorded.known)
                for entry, recorded in moved
                if isinstance(recorded.known, OpenWatch)
            ]
            await self._ledger.relocate([relocation for relocation in changed if relocation is not None])
        except Exception as exc:  # noqa: BLE001  # foreign code
            return _failed([entry for entry, _ in moved], exc)
        for entry, recorded in moved:
            entry.watch.number = recorded.id
            self._begin(entry.watch, recorded.known)
        return ()

    def _begin(self, watch: RecordedWatch[J, S], known: OpenWatch | Concluded | None) -> None:
        if watch.outcome is not None:
            return
        if watch.machine.outcome is None:
            self._host.begin(watch, known)
        else:
            self._host.over(watch)

    # --- what the ledger does not take ----------------------------------------------------------

    def _put_off(self, failed: Sequence[_Beginning[J, S]]) -> Sequence[_Beginning[J, S]]:
        """Those that are tried again. The watches of the others end."""
        if not failed:
            return ()
        now = self._now()
        again, over = self._patience.failed([entry for entry in failed if entry.watch.machine.outcome is None])
        for entry in failed:
            if entry.watch.machine.outcome is not None:  # it was stopped, or the watcher was left
                self._host.tell(entry.watch, entry.watch.machine.outcome)
        for entry in over:
            assert entry.error is not None  # noqa: S101  # it failed
            self._host.tell(entry.watch, trouble(entry.watch, entry.error, now, asked=False))
        return again

    def _sweep(self) -> None:
        """End what was stopped or is past its deadline, and do so again at the next deadline."""
        self._no_alarm()
        if self._calling or not self._patience.failing:
            return
        now = self._now()
        ended: list[_Beginning[J, S]] = []
        next_at = math.inf
        for entry in self._under_way.values():
            outcome = _ended(entry, now)
            if outcome is None:
                next_at = min(next_at, entry.watch.machine.deadline)
            elif not is_left_open(outcome):  # else its row is wanted
                ended.append(entry)
        self._end(ended)
        self._sweep_at(max(next_at, now + (_SWEEP_S if ended else _EARLY_S)))

    def _sweep_at(self, at: float) -> None:
        if at < math.inf and (self._alarm is None or at < self._alarm.when()):
            self._no_alarm()
            self._alarm = asyncio.get_running_loop().call_at(at, self._sweep, context=self._context)

    def _no_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _end(self, entries: Sequence[_Beginning[J, S]]) -> None:
        """These ended without a row."""
        for entry in entries:
            outcome = entry.watch.machine.outcome
            assert outcome is not None  # noqa: S101  # it has ended
            self._host.tell(entry.watch, outcome)
        self._settle(entries)

    def _settle_but(self, again: Sequence[_Beginning[J, S]], entries: Sequence[_Beginning[J, S]]) -> None:
        kept = set(again)
        self._settle([entry for entry in entries if entry not in kept] if kept else entries)

    def _settle(self, entries: Iterable[_Beginning[J, S]]) -> None:
        for entry in entries:
            del self._under_way[entry.watch]
            if entry.settled is not None:
                entry.settled.set_result(None)


def _failed(entries: Sequence[_Beginning[J, S]], exc: Exception) -> Sequence[_Beginning[J, S]]:
    for entry in entries:
        entry.error = exc
    return entries


def _ended(entry: _Beginning[J, S], now: float) -> Outcome[J, S] | None:
    """How its watch ended, perhaps only now, because its deadline has passed."""
    machine = entry.watch.machine
    if machine.deadline <= now:
        machine.on_deadline(now=now)  # which does nothing after the end
        outcome = machine.outcome
        if isinstance(outcome, Abandoned) and isinstance(outcome.error, DeadlineExceeded) and entry.error is not None:
            outcome.error.__cause__ = strip_tracebacks(entry.error)
    return machine.outcome
