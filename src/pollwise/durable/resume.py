"""Taking up the watches that a ledger has open.

Rule 1: nothing stampedes. First polls are spread over the budget where its rate is known, and else over the pacing: as
many a second as can be in flight, or so that all are asked within its longest wait.
Rule 2: a watch that was resumed, or has ended, while the rows were read is not resumed again.
Rule 3: a watch of another origin is not resumed, unless the API has moved. That is checked before the first watch is
resumed: the cause is nearly always a wrong base URL, which concerns all of them.
Rule 4: a page that the ledger fails to give is asked for again, as `durable/patience.py` says.
Rule 5: a row that is not a job of the endpoint's stays in the ledger as it is, and is said to be there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable, Sequence
from typing import Any, Generic, TypeVar

from pollwise.core.forecast import Durations, Forecast
from pollwise.core.identity import Origins
from pollwise.core.pacing import Pacing
from pollwise.durable import Patience, Recorder
from pollwise.durable.codec import job_of
from pollwise.errors import OriginChanged, WatcherClosed
from pollwise.ledger import Ledger, OpenWatch, Relocation
from pollwise.runtime.watch import Watch

__all__ = ["Stagger", "check_origins", "learn_durations", "resume_all"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_FEW = 25  # durations learnt without giving way to the rest of the program: some milliseconds
_SEEN_LATE = 0.95  # an end was seen a little later than it came
_CHUNK = 100  # rows made into watches without giving way to the rest of the program: some milliseconds
_GOLDEN = 0.6180339887498949  # its multiples lie evenly between whole numbers, however many there are


async def learn_durations(
    ledger: Ledger, endpoint: str, account: str, durations: Durations, patience: Patience
) -> None:
    """How long the account's jobs took so far, by the ledger. Raises LedgerError if it cannot be read."""
    known = await patience.call(lambda: ledger.durations(endpoint, account))
    for n, elapsed_s in enumerate(reversed(known), 1):
        took_s = max(0.0, elapsed_s)
        durations.ran(0.0, _SEEN_LATE * took_s)
        durations.over(_SEEN_LATE * took_s, took_s)
        if n % _FEW == 0:
            await asyncio.sleep(0)


async def check_origins(ledger: Ledger, origins: Origins[Any]) -> None:
    """Find out whether all that the ledger has open may be asked about where the endpoint asks now.

    Raises:
        OriginChanged: It may not.
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
    """Places in time for any number of first polls.

    Args:
        spacing_s: Seconds between two requests at the budget's full rate; 0 where it is not known.
        pacing: Whose waits bound the spread otherwise.
        concurrency: Most requests in flight at once.
    """

    __slots__ = ("_given", "_longest_s", "_spacing_s")

    def __init__(self, spacing_s: float, pacing: Pacing, concurrency: int) -> None:
        self._longest_s = pacing.max_s if spacing_s == 0.0 else None
        self._spacing_s = spacing_s or pacing.min_s / concurrency
        self._given = 0

    def next_s(self) -> float:
        """Seconds until the next one's first poll."""
        place_s = self._given * self._spacing_s
        if self._longest_s is not None and place_s > self._longest_s:
            place_s = self._given * _GOLDEN % 1.0 * self._longest_s
        self._given += 1
        return place_s


async def resume_all(
    recorder: Recorder[J, S], *, watches: dict[J, Watch[J, S]], spread: Stagger, forecast: Forecast | None
) -> list[Watch[J, S]]:
    """All watches that the ledger has open, in the order recorded; those that are new are added to `watches`.

    `forecast` learns how long their jobs were seen going on. Pass None if it knows that already.

    Raises:
        LedgerError: It could not be read to the end. Watches that were resumed go on.
        OriginChanged: Some were asked at another origin. These are left as they are; if it is all that were asked there,
            nothing was resumed.
        WatcherClosed: The watcher was left meanwhile.
    """
    found: list[Watch[J, S]] = []
    refused: list[OriginChanged] = []
    ended: set[int] = set()
    recorder.readers.append(ended)
    try:
        await recorder.patience.call(lambda: check_origins(recorder.ledger, recorder.origins))
        pages = _Pages(recorder)
        while (chunk := await recorder.patience.call(pages.next)) is not None:
            for n, (job, known) in enumerate(await _admitted(recorder, chunk, watches, refused), 1):
                if n % _CHUNK == 0:
                    await asyncio.sleep(0)
                if recorder.closing:
                    raise WatcherClosed
                if known.id in ended:
                    continue
                watch = watches.get(job)
                if watch is None:
                    watch = watches[job] = recorder.take_up(job, known, after_s=spread.next_s())
                    if forecast is not None and (seen_s := watch.machine.seen_s) is not None:
                        forecast.ran(0.0, seen_s, None)
                found.append(watch)
    finally:
        recorder.readers.remove(ended)
    if refused:  # by an endpoint whose jobs are at several origins
        first = refused[0]
        raise OriginChanged(first.job, first.recorded, first.configured, len(refused))
    return found


class _Pages(Generic[J, S]):
    """What the ledger has open, page by page, each row once: after a failure it is read from the start again."""

    def __init__(self, recorder: Recorder[J, S]) -> None:
        self._recorder = recorder
        self._pages: AsyncIterator[Sequence[OpenWatch]] | None = None
        self._last = 0  # numbers rise

    async def next(self) -> Sequence[OpenWatch] | None:
        """The next page, which may be empty; None at the end."""
        if self._pages is None:
            endpoint = self._recorder.endpoint
            self._pages = aiter(self._recorder.ledger.open_watches(endpoint.name, endpoint.account))
        try:
            page = await anext(self._pages, None)
        except BaseException:
            self._pages = None
            raise
        if page is None:
            return None
        new = [known for known in page if known.id > self._last]
        self._last = page[-1].id if new else self._last
        return new


async def _admitted(
    recorder: Recorder[J, S], chunk: Sequence[OpenWatch], watches: dict[J, Watch[J, S]], refused: list[OriginChanged]
) -> list[tuple[J, OpenWatch]]:
    """Those that may be resumed. Where they are asked about from now on is written down first."""
    admitted: list[tuple[J, OpenWatch]] = []
    moved: list[Relocation] = []
    for n, known in enumerate(chunk, 1):
        if n % _CHUNK == 0:
            await asyncio.sleep(0)
        job = job_of(known, recorder.endpoint)
        if job is None:
            continue
        try:
            relocation = None if job in watches else recorder.relocation(job, known)
        except OriginChanged as exc:
            refused.append(exc.with_traceback(None))
            continue
        if relocation is not None:
            moved.append(relocation)
        admitted.append((job, known))
    if moved:
        await recorder.patience.call(lambda: recorder.ledger.relocate(moved))
    return admitted
