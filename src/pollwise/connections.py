"""What we ask of aiohttp's connections.

Rule 1: a request goes out once. aiohttp repeats an idempotent request by itself when its connection breaks without a
reply. Such a request passes no budget, so that is switched off.
Rule 2: nothing here is called when a request goes out over an open connection of our own session.
"""

from __future__ import annotations

import asyncio
import weakref
from ssl import SSLContext
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.tracing import Trace

__all__ = ["Connector", "NotRepeated", "switch_off_repeats", "unrepeated"]

_KEEPALIVE_S: Final = 60.0  # longer than the usual pause between two polls, or each would shake hands anew
_REPEATS: Final = "_retry_connection"  # of a session; aiohttp's own test client switches it off, too


class Connector(aiohttp.TCPConnector):
    """A pool of connections that knows who opened them.

    Args:
        connections: Most connections at once.
        ssl: Which certificates to trust, or None for those that the system trusts.

    Attributes:
        opened: Number of connections opened so far.
    """

    def __init__(self, *, connections: int, ssl: SSLContext | None) -> None:
        super().__init__(limit=connections, keepalive_timeout=_KEEPALIVE_S, ssl=True if ssl is None else ssl)
        self.opened = 0
        self._openers: weakref.WeakKeyDictionary[asyncio.Task[Any], int] = weakref.WeakKeyDictionary()

    def opened_by_this_task(self, since: int) -> bool:
        """Whether the running task has opened a connection after `opened` was `since`."""
        task = asyncio.current_task()
        return task is not None and self._openers.get(task, 0) > since

    # aiohttp documents this one method for subclasses to override
    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # aiohttp's signature
    ) -> ResponseHandler:
        protocol = await super()._create_connection(req, traces, timeout)
        self.opened += 1
        task = asyncio.current_task()
        if task is not None:
            self._openers[task] = self.opened
        return protocol


# --- nothing is sent twice --------------------------------------------------------------------


class NotRepeated(aiohttp.ClientError):
    """An error after which aiohttp would have sent the request again."""

    def __init__(self, error: Exception) -> None:
        super().__init__(*error.args)
        self.error = error


async def unrepeated(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """A middleware that keeps aiohttp from sending this request again by itself."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise  # nothing was sent, and aiohttp repeats none of these
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as exc:
        raise NotRepeated(exc.with_traceback(None)) from None


def switch_off_repeats(session: aiohttp.ClientSession) -> bool:
    """Keep a session of our own from sending anything again by itself. False where this aiohttp has no such switch.

    There is no public switch. A middleware does the same, and costs a hundredth of a poll.
    """
    if not hasattr(session, _REPEATS):
        return False
    setattr(session, _REPEATS, False)
    return True
