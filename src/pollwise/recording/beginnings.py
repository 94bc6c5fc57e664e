"""New rows, before anything is asked about their jobs.

Rule 1: watches that come together are written down together: what is added while one call is under way goes with the
next, some pages of rows at most. What comes back is taken in page by page, so that the loop is not held up.
Rule 2: what the ledger does not take ends its watch at once: nothing is known yet that could be lost.
Rule 3: a job that the ledger knows is not begun anew. An open one goes on; how one has ended is said again, without
asking; an abandoned one is opened again, for that is what watching it once more asks for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from pollwise.core.events import Outcome
from pollwise.errors import ConfigurationError
from pollwise.ledger import Concluded, Ledger, NewWatch, OpenWatch, OutcomeKind, Recorded, Renewal
from pollwise.recording.duty import Duty, Start
from pollwise.recording.kept import KeptWatch, trouble

__all__ = ["Beginnings", "Host"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_PAGE = 250  # rows that are taken in at a time: some milliseconds of the loop
_PAGES = 8  # in one call: a commit costs as much for thousands of rows as for one


class Host(Protocol[J, S]):
    """Who knows what to do with watches whose rows have arrived."""

    def begin(self, watch: KeptWatch[J, S], known: OpenWatch | Concluded | None, /) -> None:
        """Ask about it from now on. `known` is what the ledger knew of the job before."""
        ...

    def remembered(self, watch: KeptWatch[J, S], known: Concluded, /) -> Outcome[J, S]:
        """The outcome that the ledger has for it."""
        ...

    def renewal(self, number: int, /) -> Renewal:
        """How the abandoned one of this number is to be opened again."""
        ...

    def tell(self, watch: KeptWatch[J, S], outcome: Outcome[J, S], /) -> None:
        """This is how it ended, unless that was told before."""
        ...

    def over(self, watch: KeptWatch[J, S], /) -> None:
        """Its machine came to an end while its row was under way."""
        ...


class _Page(Generic[J, S]):
    """Rows that travel together."""

    __slots__ = ("arrived", "entries")

    def __init__(self) -> None:
        self.entries: list[tuple[KeptWatch[J, S], NewWatch]] = []
        self.arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Beginnings(Generic[J, S]):
    """Writes new watches down, and lets them begin.

    Args:
        ledger: Where to.
        host: What to do with them then.
        start: Starts tasks.
        now: Returns monotonic seconds.

    Attributes:
        reopened: How often abandoned watches were opened again here, by number.
    """

    def __init__(self, *, ledger: Ledger, host: Host[J, S], start: Start, now: Callable[[], float]) -> None:
        self._ledger = ledger
        self._host = host
        self._now = now
        self._pages: deque[_Page[J, S]] = deque()
        self._under_way: dict[KeptWatch[J, S], _Page[J, S]] = {}
        self._duty = Duty(self._work, start, "pollwise-beginnings")
        self.reopened: dict[int, int] = {}

    def add(self, watch: KeptWatch[J, S], row: NewWatch) -> None:
        """Write this one down."""
        if not self._pages or len(self._pages[-1].entries) >= _PAGE:
            self._pages.append(_Page())
        page = self._pages[-1]
        page.entries.append((watch, row))
        self._under_way[watch] = page
        self._duty.wake()

    async def arrived(self, watch: KeptWatch[J, S]) -> None:
        """Wait until its row has arrived, or will not."""
        page = self._under_way.get(watch)
        if page is not None:
            await asyncio.shield(page.arrived)

    async def finished(self) -> None:
        """Wait until all have arrived, or will not."""
        await self._duty.finished()

    def forsake(self) -> None:
        """Let go of all that are still under way."""
        while self._pages:
            self._close(self._pages.popleft())

    async def _work(self) -> None:
        while self._pages:
            pages = [self._pages.popleft() for _ in range(min(len(self._pages), _PAGES))]
            try:
                # who has a number has begun, and was interrupted after that
                await self._record([entry for page in pages for entry in page.entries if not entry[0].number])
            except asyncio.CancelledError:  # to record once more what was recorded does no harm
                self._pages.extendleft(reversed(pages))
                raise
            for page in pages:
                self._close(page)

    def _close(self, page: _Page[J, S]) -> None:
        for watch, _ in page.entries:
            del self._under_way[watch]
        page.arrived.set_result(None)

    async def _record(self, entries: Sequence[tuple[KeptWatch[J, S], NewWatch]]) -> None:
        if not entries:
            return
        try:
            found = await self._ledger.record([row for _, row in entries])
            pairs = [(watch, known) for (watch, _), known in zip(entries, found, strict=True)]
        except Exception as exc:  # noqa: BLE001  # a ledger may be anybody's
            if isinstance(exc, ConfigurationError) and len(entries) > 1:  # the fault lies in one of them
                middle = len(entries) // 2
                await self._record(entries[:middle])
                await self._record(entries[middle:])
            else:
                self._refuse([watch for watch, _ in entries], exc)
            return
        for n in range(0, len(pairs), _PAGE):
            if n:
                await asyncio.sleep(0)
            page = pairs[n : n + _PAGE]
            abandoned = [(watch, recorded) for watch, recorded in page if not self._arrive(watch, recorded)]
            if abandoned:
                await self._reopen(abandoned)

    def _arrive(self, watch: KeptWatch[J, S], recorded: Recorded) -> bool:
        """Its row is on disk. False where it has to be opened again first."""
        known = recorded.known
        abandoned = isinstance(known, Concluded) and known.outcome is OutcomeKind.ABANDONED
        if abandoned and watch.machine.outcome is None:
            return False
        watch.number = recorded.id
        if isinstance(known, Concluded):
            self._host.tell(watch, self._host.remembered(watch, known))
        else:
            self._begin(watch, known)
        return True

    async def _reopen(self, abandoned: Sequence[tuple[KeptWatch[J, S], Recorded]]) -> None:
        for _, recorded in abandoned:  # first: who cancels us does not tell whether it was done
            self.reopened[recorded.id] = self.reopened.get(recorded.id, 0) + 1
        try:
            await self._ledger.reopen([self._host.renewal(recorded.id) for _, recorded in abandoned])
        except Exception as exc:  # noqa: BLE001  # a ledger may be anybody's
            for _, recorded in abandoned:
                self.reopened[recorded.id] -= 1
            self._refuse([watch for watch, _ in abandoned], exc)
            return
        for watch, recorded in abandoned:
            watch.number = recorded.id
            self._begin(watch, recorded.known)

    def _begin(self, watch: KeptWatch[J, S], known: OpenWatch | Concluded | None) -> None:
        if watch.outcome is not None:
            return
        if watch.machine.outcome is None:
            self._host.begin(watch, known)
        else:
            self._host.over(watch)

    def _refuse(self, watches: Sequence[KeptWatch[Any, Any]], exc: Exception) -> None:
        for watch in watches:
            self._host.tell(watch, watch.machine.outcome or trouble(watch, exc, self._now()))
