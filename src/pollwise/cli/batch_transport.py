"""The transport of a batch: counts the requests, and ends the batch on an error that concerns all jobs.

Rule 1: refused credentials, or a URL that is not allowed, concern all jobs. Such a request never returns, so no job is
abandoned because of it. `fatal_error` ends the batch.
Rule 2: all other replies and errors pass unchanged.
"""

from __future__ import annotations

import asyncio

from pollwise.cli.batch_progress import RequestCounter
from pollwise.errors import AuthenticationError, ConfigurationError
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Transport

__all__ = ["BatchTransport"]


class BatchTransport(Transport):
    """Sends through `transport`. Create it in the running event loop.

    Attributes:
        fatal_error: Fails with the ConfigurationError or AuthenticationError that concerns all jobs.
    """

    def __init__(self, name: str, transport: Transport, counter: RequestCounter) -> None:
        self._name = name
        self._transport = transport
        self._counter = counter
        self._loop = asyncio.get_running_loop()
        self.fatal_error: asyncio.Future[None] = self._loop.create_future()

    async def send(self, request: Request, /) -> Reply:
        """Send the request. After an error that concerns all jobs, wait until the batch cancels this call."""
        self._counter.add(self._loop.time())
        try:
            reply = await self._transport.send(request)
        except ConfigurationError as error:
            return await self._hold(error)
        if reply.status == 401:
            return await self._hold(AuthenticationError(f"{self._name} refused the credentials (HTTP 401)."))
        return reply

    async def _hold(self, error: ConfigurationError | AuthenticationError) -> Reply:
        if not self.fatal_error.done():
            self.fatal_error.set_exception(error)
        never: asyncio.Future[Reply] = self._loop.create_future()
        return await never
