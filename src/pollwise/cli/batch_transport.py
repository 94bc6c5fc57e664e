"""The transport of a batch: counts the requests, and ends the batch on an error that concerns all jobs.

Rule 1: refused credentials, or a URL that is not allowed, concern all jobs. The request is held, so that no job is
abandoned for it, until `fatal_error` has ended the batch.
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
    """Sends by `transport`. Make it inside the event loop that it is used in.

    Attributes:
        fatal_error: Fails with a ConfigurationError or an AuthenticationError once one concerns all jobs.
    """

    def __init__(self, name: str, transport: Transport, request_counters: RequestCounter) -> None:
        self._name = name
        self._transport = transport
        self._traffic = request_counters
        self._loop = asyncio.get_running_loop()
        self.fatal_error: asyncio.Future[None] = self._loop.create_future()

    async def send(self, request: Request, /) -> Reply:
        """Send the request, or hold it until it is cancelled."""
        self._traffic.add(self._loop.time())
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
