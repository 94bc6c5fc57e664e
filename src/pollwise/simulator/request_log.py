"""What the simulator has been asked, for assertions: counts of everything, the last requests in full."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping

import attrs

from pollwise.simulator.faults import Fault

__all__ = ["RequestLog", "SeenRequest"]


@attrs.frozen
class SeenRequest:
    """One request and what it got.

    Attributes:
        at: When it was decided, in the clock's seconds.
        method: The HTTP method.
        path: The percent-encoded path, with its query.
        headers: All header fields, case-insensitive. They hold credentials, hence not in the `repr`.
        status: The status code of the reply; a fault of the connection may keep it from arriving.
        fault: What was done to the reply, if anything.
    """

    at: float
    method: str
    path: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    status: int
    fault: Fault | None


@attrs.define(kw_only=True, eq=False)
class RequestLog:
    """Counts of all requests; bounded memory however many there are. Read it; only the simulator writes.

    Attributes:
        size: How many of the latest requests are kept in full.
        total: All requests that reached this machine, also those whose connection was closed without a reply.
        accepted: Those that a rate limit let pass.
        refused: Those that a rate limit answered with 429.
        starts: Extractions started by POST.
        tokens: Requests to the OAuth token endpoint.
        cached: Requests that a cache answered, so that no vendor saw them.
        strays: Requests to paths that neither vendor has, such as where a redirect leads.
        in_flight: Requests that are being answered now.
        most_in_flight: The most that there ever were at once.
        by_status: Status codes of the replies, undisturbed or spoilt, without those of broken connections.
        by_fault: Faults that happened.
        latest: The latest requests, oldest first.
    """

    size: int = 1000
    total: int = 0
    accepted: int = 0
    refused: int = 0
    starts: int = 0
    tokens: int = 0
    cached: int = 0
    strays: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    by_status: Counter[int] = attrs.field(factory=Counter)
    by_fault: Counter[Fault] = attrs.field(factory=Counter)
    latest: deque[SeenRequest] = attrs.field(init=False, repr=False)
    _waiting: list[asyncio.Future[None]] = attrs.field(init=False, repr=False, factory=list)

    def __attrs_post_init__(self) -> None:
        self.latest = deque(maxlen=self.size)

    async def until(self, condition: Callable[[RequestLog], bool]) -> None:
        """Wait until the counts are so; looked at whenever a request comes, is decided or leaves.

        The condition is given this log, and may look at anything else that requests change, such as a job's `polls`.
        """
        while not condition(self):
            change = asyncio.get_running_loop().create_future()
            self._waiting.append(change)
            await change

    def arrived(self) -> None:
        """A request came in."""
        self.total += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self._changed()

    def left(self) -> None:
        """A request is done with, answered or not."""
        self.in_flight -= 1
        self._changed()

    def decided(self, seen: SeenRequest, *, whole: bool) -> None:
        """It is settled what a request gets; `whole` if a reply with that status code is meant to arrive."""
        if whole:
            self.by_status[seen.status] += 1
        if seen.fault is not None:
            self.by_fault[seen.fault] += 1
        self.latest.append(seen)
        self._changed()

    def _changed(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for change in waiting:
                if not change.done():
                    change.set_result(None)
