"""Resumes the open watches of a ledger.

Rule 1: first polls are spread over the budget if its rate is known, otherwise over the pacing: as many a second as can
be in flight, or so that all jobs are polled within the pacing's longest wait.
Rule 2: a watch that was resumed, or has ended, while the rows were read is not resumed again.
Rule 3: a watch of another origin is not resumed, unless the API has moved. That is checked before the first watch is
resumed, because the cause is nearly always a wrong base URL, which is wrong for all watches.
Rule 4: if a page cannot be read, the call is repeated, as `durable/patience.py` decides.
Rule 5: while the watcher runs, it can look for watches that other processes have recorded since its last look (`Arrivals`).
Rule 6: a row whose keys are not those of a job of the endpoint stays as it is, and is logged.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

from pollwise.core.forecast import Durations, Forecast
from pollwise.core.identity import Origins
from pollwise.core.pacing import Pacing
from pollwise.durable import Patience, Recorder
from pollwise.durable.codec import job_of
from pollwise.errors import OriginChanged
from pollwise.ledger import Ledger, OpenWatch, Relocation
from pollwise.runtime.driven_watch import DrivenWatch
from pollwise.runtime.fairness import Yielder

__all__ = ["Arrivals", "Stagger", "check_origins", "learn_durations", "resume_all"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_MANY = 1_000  # durations learnt between two yields to the event loop: some milliseconds
_SEEN_LATE = 0.95  # an end was seen a little later than it came
_STEPS = 100  # rows made into watches between two checkpoints: some milliseconds
_GOLDEN = 0.6180339887498949  # its multiples lie evenly between whole numbers, however many there are


async def learn_durations(
    ledger: Ledger, endpoint: str, account: str, durations: Durations, patience: Patience
) -> None:
    """Learn how long the account's earlier jobs took. Raises LedgerError if the ledger cannot be read."""
    known = await patience.call(lambda: ledger.durations(endpoint, account))
    # a job that was over in the reply to its start took no time, and teaches nothing of those that take some
    took_s = [max(0.0, elapsed_s) for elapsed_s in reversed(known) if math.isfinite(elapsed_s) and elapsed_s != 0.0]
    for begin in range(0, len(took_s), _MANY):
        durations.learn((_SEEN_LATE * took, took) for took in took_s[begin : begin + _MANY])
        await asyncio.sleep(0)


async def check_origins(ledger: Ledger, origins: Origins[Any]) -> None:
    """Check that all open watches may be resumed at the endpoint's present origin.

    Raises:
        OriginChanged: Some watches may not be resumed there.
        LedgerError: The ledger cannot be read.
    """
    endpoint = origins.endpoint
    for found in await ledger.origins(endpoint.name, endpoint.account):
        try:
            job = endpoint.codec.job_from_keys(found.keys)
        except Exception:  # noqa: BLE001, S112  # foreign code; each row is checked when it is resumed
            continue
        origins.check(job, found.origin, watches=found.watches)


class Stagger:
    """Spreads any number of first polls over time.

    Args:
        spacing_s: Seconds between two requests at the budget's full rate; 0 if the rate is not known.
        pacing: Its waits bound the spread if the rate is not known.
        concurrency: Most requests in flight at once.
    """

    __slots__ = ("_given", "_longest_s", "_spacing_s")

    def __init__(self, spacing_s: float, pacing: Pacing, concurrency: int) -> None:
        self._longest_s = pacing.max_s if spacing_s == 0.0 else None
        self._spacing_s = spacing_s or pacing.min_s / concurrency
        self._given = 0

    def next_s(self) -> float:
        """Seconds until the first poll of the next watch."""
        place_s = self._given * self._spacing_s
        if self._longest_s is not None and place_s > self._longest_s:
            place_s = self._given * _GOLDEN % 1.0 * self._longest_s
        self._given += 1
        return place_s


async def resume_all(
    recorder: Recorder[J, S], *, watches: dict[J, DrivenWatch[J, S]], spread: Stagger, forecast: Forecast | None
) -> list[DrivenWatch[J, S]]:
    """Resume all open watches of the ledger, in the order recorded. New ones are added to `watches`.

    `forecast` learns how long their jobs have run. Pass None if it has learnt that already.

    Raises:
        LedgerError: The ledger could not be read to the end. The watches that were resumed continue.
        OriginChanged: Some jobs were polled at another origin. Their rows are left as they are. If the endpoint has only
            one origin, nothing was resumed.
        WatcherClosed: The watcher was left meanwhile.
    """
    found: list[DrivenWatch[J, S]] = []
    refused: list[OriginChanged] = []
    await recorder.patience.call(lambda: check_origins(recorder.ledger, recorder.rows.origins))
    async for watch, is_new in _resumed(recorder, _Pages(recorder), watches, spread, refused):
        if is_new and forecast is not None and (seen_s := watch.machine.seen_s) is not None:
            forecast.ran(0.0, seen_s, None)
        found.append(watch)
    _raise_first(refused)
    return found


class Arrivals(Generic[J, S]):
    """Finds the watches that other processes record while this one watches, and resumes each of them once.

    A look at the ledger costs one call if nothing is new. A row is not found here if another process wrote it with a lower
    number than a row that was found before, as transactions of a server may do. `resume_all` finds those.

    Args:
        recorder: Keeps the records of the watcher.
        watches: The open watches, to which new ones are added.
        spread: Makes what spreads the first polls of new watches.
        after: The number of a watch. Those that were recorded after it are found.
    """

    def __init__(
        self,
        recorder: Recorder[J, S],
        *,
        watches: dict[J, DrivenWatch[J, S]],
        spread: Callable[[], Stagger],
        after: int = 0,
    ) -> None:
        self._recorder = recorder
        self._watches = watches
        self._spread = spread
        self._pages = _Pages(recorder, after)
        self._taking = asyncio.Lock()

    @property
    def last_id(self) -> int:
        """The number of the last row that was found, or `after`."""
        return self._pages.last_id

    async def take(self) -> list[DrivenWatch[J, S]]:
        """Resume the watches that were recorded since the last call. Returns those that are new here, in the order recorded.

        Raises:
            LedgerError: The ledger could not be read to the end. The watches that were resumed continue, and the next call
                finds the others.
            OriginChanged: Some jobs were polled at another origin. Their rows are left as they are, and the others are
                resumed.
            WatcherClosed: The watcher was left, or has lost its lease.
        """
        refused: list[OriginChanged] = []
        async with self._taking:
            before = self._pages.last_id
            rows = _resumed(self._recorder, self._pages, self._watches, self._spread(), refused)
            try:
                found = [watch async for watch, is_new in rows if is_new]
            except BaseException:
                self._pages.go_back(before)  # what was resumed is in `watches`
                raise
        _raise_first(refused)
        return found


def _raise_first(refused: Sequence[OriginChanged]) -> None:
    if refused:  # the endpoint has jobs at several origins
        first = refused[0]
        raise OriginChanged(first.job, first.recorded, first.configured, len(refused))


async def _resumed(
    recorder: Recorder[J, S],
    pages: _Pages[J, S],
    watches: dict[J, DrivenWatch[J, S]],
    spread: Stagger,
    refused: list[OriginChanged],
) -> AsyncIterator[tuple[DrivenWatch[J, S], bool]]:
    """The watches of these rows, each with whether it is resumed now. Jobs of another origin are added to `refused`."""
    ended: set[int] = set()
    recorder.readers.append(ended)
    fair = Yielder(_STEPS)
    try:
        if recorder.closing:
            raise recorder.closed()
        while (chunk := await recorder.patience.call(pages.next)) is not None:
            for job, known in await _admitted(recorder, chunk, watches, refused):
                await fair.checkpoint()
                if recorder.closing:
                    raise recorder.closed()
                if known.id in ended:
                    continue
                watch = watches.get(job)
                if is_new := watch is None:
                    watch = watches[job] = recorder.resume(job, known, after_s=spread.next_s())
                yield watch, is_new
    finally:
        recorder.readers.remove(ended)


class _Pages(Generic[J, S]):
    """The ledger's open rows after a number, page by page and each row once.

    After a failure, and after the end, they are read on from the last row.
    """

    def __init__(self, recorder: Recorder[J, S], after: int = 0) -> None:
        self._recorder = recorder
        self._pages: AsyncIterator[Sequence[OpenWatch]] | None = None
        self.last_id = after  # IDs rise

    async def next(self) -> Sequence[OpenWatch] | None:
        """The next page; None at the end."""
        if self._pages is None:
            endpoint = self._recorder.rows.endpoint
            rows = self._recorder.ledger.open_watches(endpoint.name, endpoint.account, after=self.last_id)
            self._pages = aiter(rows)
        try:
            page = await anext(self._pages, None)
        except BaseException:
            self._pages = None
            raise
        if page is None:
            self._pages = None
            return None
        self.last_id = page[-1].id
        return page

    def go_back(self, last_id: int) -> None:
        """Read on from this row."""
        self._pages, self.last_id = None, last_id


async def _admitted(
    recorder: Recorder[J, S],
    chunk: Sequence[OpenWatch],
    watches: dict[J, DrivenWatch[J, S]],
    refused: list[OriginChanged],
) -> list[tuple[J, OpenWatch]]:
    """The rows that may be resumed. New origins of moved jobs are written first."""
    admitted: list[tuple[J, OpenWatch]] = []
    moved: list[Relocation] = []
    fair = Yielder(_STEPS)
    for known in chunk:
        await fair.checkpoint()
        job = job_of(known, recorder.rows.endpoint)
        if job is None:
            continue
        try:
            relocation = None if job in watches else recorder.rows.relocation(job, known)
        except OriginChanged as exc:
            refused.append(exc.with_traceback(None))
            continue
        if relocation is not None:
            moved.append(relocation)
        admitted.append((job, known))
    if moved:
        await recorder.patience.call(lambda: recorder.ledger.relocate(moved))
    return admitted
