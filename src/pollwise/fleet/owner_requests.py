"""Carries out what other processes ask of the owner of a shard.

Rule 1: a request is removed when it was carried out or can never be. Of a process that dies meanwhile it stays, and the next owner
carries it out.
Rule 2: the server is asked to cancel a job once for each request. What the server refuses is logged, and the watch goes on.
Rule 3: requests are carried out at the same time, because each may wait for the budget.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, Generic, TypeVar

from pollwise.errors import PollwiseError, WatcherClosed
from pollwise.fleet.tasks import cancelled
from pollwise.ledger import LedgerError, Shard
from pollwise.ledger.postgres.requests import OwnerRequest, RequestKind, Requests
from pollwise.model.log_fields import log_fields
from pollwise.model.protocols import Endpoint
from pollwise.watcher import JobWatcher

__all__ = ["OwnerRequests"]

J = TypeVar("J", bound=Hashable)

_log = logging.getLogger(__name__)


class OwnerRequests(Generic[J]):
    """Carries out the requests of one shard.

    Args:
        requests: Reads and removes them.
        shard: The shard.
        endpoint: Of its jobs.
        watcher: Watches them. It is open.
        on_failure: Called when the database failed, so that the requests are read again soon.
    """

    def __init__(
        self,
        requests: Requests,
        shard: Shard,
        endpoint: Endpoint[J, Any],
        watcher: JobWatcher[Any, Any, Any, Any],
        on_failure: Callable[[], object],
    ) -> None:
        self._requests = requests
        self._shard = shard
        self._endpoint = endpoint
        self._watcher = watcher
        self._on_failure = on_failure
        self._under_way: dict[int, asyncio.Task[None]] = {}

    async def take(self) -> None:
        """Begin with the requests that have come.

        Raises:
            LedgerError: They cannot be read.
        """
        for request in await self._requests.of(self._shard):
            if request.id not in self._under_way:
                task = asyncio.create_task(self._carry_out(request), name=f"pollwise-request-{request.id}")
                self._under_way[request.id] = task
                task.add_done_callback(partial(self._ended, request.id))

    def _ended(self, number: int, _: asyncio.Task[None]) -> None:
        self._under_way.pop(number, None)

    async def aclose(self) -> None:
        """Leave what is not carried out to the next owner."""
        await cancelled(*self._under_way.values())

    async def _carry_out(self, request: OwnerRequest) -> None:
        try:
            if request.is_open:
                await self._act(request)
        except (LedgerError, WatcherClosed):  # it stays
            self._on_failure()
            return
        except Exception as exc:  # noqa: BLE001  # of the endpoint, or the server's refusal
            _log.warning(
                "%s: the request to %s watch %d failed (%s: %s)",
                self._shard,
                request.kind.value,
                request.watch,
                type(exc).__name__,
                exc if isinstance(exc, PollwiseError) else "see the endpoint",
                extra=log_fields(endpoint=self._shard.endpoint, row=request.watch, error_type=type(exc).__name__),
            )
        try:
            await self._requests.remove([request.id])
        except LedgerError:
            self._on_failure()

    async def _act(self, request: OwnerRequest) -> None:
        watch = await self._watcher.record(self._endpoint.codec.job_from_keys(request.keys))
        if request.kind is RequestKind.CANCEL:
            await watch.cancel()
