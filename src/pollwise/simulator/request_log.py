"""The requests that the simulator received: counts of all, and the latest in full."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping

import attrs

from pollwise.simulator.faults import Fault

__all__ = ["RequestLog", "SeenRequest"]


@attrs.frozen
class SeenRequest:
    """One request and its reply.

    Attributes:
        at: Time of the decision, in the clock's seconds.
        method: The HTTP method.
        path: The percent-encoded path, with its query.
        headers: All header fields, case-insensitive. They hold credentials, hence not in the `repr`.
        status: The status code of the reply; a socket fault may keep it from arriving.
        fault: The fault of the reply, if any.
    """

    at: float
    method: str
    path: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    status: int
    fault: Fault | None


@attrs.define(kw_only=True, eq=False)
class RequestLog:
    """Counts of all requests, in bounded memory. Only the simulator writes it.

    Attributes:
        size: Number of the latest requests that are kept in full.
        total: All received requests, also those whose connection was closed without a reply.
        accepted: Requests that a rate limit accepted.
        refused: Requests that a rate limit refused.
        starts: Jobs that clients started.
        tokens: Requests to the OAuth token endpoint.
        cached: Requests that the cache answered.
        unrouted: Requests to paths of neither vendor, such as the target of a redirect.
        in_flight: Requests without a complete reply.
        most_in_flight: Maximum of `in_flight`.
        by_status: Status codes of all replies, without those of broken connections.
        by_fault: Faults of the replies.
        latest: The latest requests, oldest first.
    """

    size: int = 1000
    total: int = 0
    accepted: int = 0
    refused: int = 0
    starts: int = 0
    tokens: int = 0
    cached: int = 0
    unrouted: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    by_status: Counter[int] = attrs.field(factory=Counter)
    by_fault: Counter[Fault] = attrs.field(factory=Counter)
    latest: deque[SeenRequest] = attrs.field(init=False, repr=False)
    _waiting: list[asyncio.Future[None]] = attrs.field(init=False, repr=False, factory=list)

    def __attrs_post_init__(self) -> None:
        self.latest = deque(maxlen=self.size)

    async def until(self, condition: Callable[[RequestLog], bool]) -> None:
        """Wait until the condition is true; checked whenever a request arrives, is decided or ends.

        The condition gets this log. It can also check other things that requests change, such as a job's `polls`.
        """
        while not condition(self):
            change = asyncio.get_running_loop().create_future()
            self._waiting.append(change)
            await change

    def arrived(self) -> None:
        """A request arrived."""
        self.total += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self._changed()

    def left(self) -> None:
        """A request ended, with or without a reply."""
        self.in_flight -= 1
        self._changed()

    def decided(self, seen: SeenRequest, *, whole: bool) -> None:
        """A request was decided; `whole` if its reply should arrive."""
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
