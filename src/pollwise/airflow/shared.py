"""The watchers that the triggers of one triggerer share.

Rule 1: triggers with the same reference have one endpoint, one rate budget and, as a rule, one watcher. So a thousand triggers
poll within one limit, over one connection pool.
Rule 2: a job with one token is polled once, also if two triggers have it, as after a triggerer that was taken for dead.
Rule 3: a watch keeps its own deadline. Two tokens of one job have two watches, in two watchers with one budget.
Rule 4: when its last trigger leaves, a watch is stopped; when the last trigger of a reference leaves, everything is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import attrs

from pollwise.airflow.reference import EndpointReference
from pollwise.core.rate_budget import RateBudget
from pollwise.durable.resume_token import read_token
from pollwise.model.protocols import Endpoint, Transport
from pollwise.runtime.watch import Watch
from pollwise.watcher import JobWatcher

__all__ = ["SharedWatch", "SharedWatchers"]


@attrs.frozen(kw_only=True)
class SharedWatch:
    """A watch that other triggers may share, and its endpoint."""

    watch: Watch[Any, Any, Any]
    endpoint: Endpoint[Any, Any]


class SharedWatchers:
    """The watchers of one event loop.

    Args:
        open_endpoint: Makes the endpoint of a reference. Called once for all triggers that are there at the same time.
        transport: What sends requests. By default each watcher opens its own.
    """

    def __init__(
        self,
        open_endpoint: Callable[[EndpointReference], Awaitable[Endpoint[Any, Any]]],
        *,
        transport: Transport | None = None,
    ) -> None:
        self._open = open_endpoint
        self._transport = transport
        self._groups: dict[str, _Group] = {}

    def __len__(self) -> int:
        """The number of references with a trigger."""
        return len(self._groups)

    @asynccontextmanager
    async def watch(self, reference: EndpointReference, token: str) -> AsyncIterator[SharedWatch]:
        """The watch of this token, while the block runs.

        Raises:
            ConfigurationError: The endpoint cannot be made.
            TokenError: The token cannot be read, or is of another endpoint or account.
            OriginChanged: The job was polled at another origin.
        """
        group = self._groups.get(reference.identity)
        if group is None:
            group = _Group(self._opened(reference), self._transport)
            self._groups[reference.identity] = group
        group.users += 1
        try:
            endpoint = await asyncio.shield(group.endpoint)
            job = read_token(endpoint, token).job
            slot = await group.slot_for(endpoint, job, token)
            watch = slot.enter(job, token)
            try:
                yield SharedWatch(watch=watch, endpoint=endpoint)
            finally:
                slot.leave(job, watch)
        finally:
            group.users -= 1
            if not group.users:
                if self._groups.get(reference.identity) is group:
                    del self._groups[reference.identity]
                await group.aclose()

    async def _opened(self, reference: EndpointReference) -> Endpoint[Any, Any]:
        return await self._open(reference)


class _Group:
    """What the triggers of one reference share."""

    def __init__(self, opening: Any, transport: Transport | None) -> None:
        self.endpoint: asyncio.Task[Endpoint[Any, Any]] = asyncio.create_task(opening, name="pollwise make endpoint")
        self.users = 0
        self._transport = transport
        self._budget: RateBudget | None = None
        self._slots: list[_Slot] = []
        self._opened = AsyncExitStack()

    async def slot_for(self, endpoint: Endpoint[Any, Any], job: Hashable, token: str) -> _Slot:
        """The first watcher that does not watch this job for another token."""
        for slot in self._slots:
            if slot.takes(job, token):
                return slot
        watcher: JobWatcher[Any, Any, Any] = JobWatcher(
            endpoint, timeout_s=None, budget=self._budget, transport=self._transport
        )
        self._budget = watcher.budget
        await self._opened.enter_async_context(watcher)
        slot = _Slot(watcher)
        self._slots.append(slot)
        return slot

    async def aclose(self) -> None:
        if not self.endpoint.done():
            self.endpoint.cancel()
            with suppress(asyncio.CancelledError):
                await self.endpoint
        elif not self.endpoint.cancelled():
            self.endpoint.exception()  # each trigger has raised it
        await self._opened.aclose()


class _Slot:
    """A watcher, and how many triggers each of its jobs has."""

    def __init__(self, watcher: JobWatcher[Any, Any, Any]) -> None:
        self._watcher = watcher
        self._uses: dict[Hashable, tuple[str, int]] = {}

    def takes(self, job: Hashable, token: str) -> bool:
        return job not in self._uses or self._uses[job][0] == token

    def enter(self, job: Hashable, token: str) -> Watch[Any, Any, Any]:
        watch = self._watcher.watch_from_token(token)
        _, count = self._uses.get(job, (token, 0))
        self._uses[job] = token, count + 1
        return watch

    def leave(self, job: Hashable, watch: Watch[Any, Any, Any]) -> None:
        token, count = self._uses.pop(job)
        if count > 1:
            self._uses[job] = token, count - 1
        else:
            watch.stop()
