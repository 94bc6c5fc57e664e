"""What we ask of aiohttp's connections.

Rule 1: a request goes out once. aiohttp repeats an idempotent request by itself when its connection breaks without a
reply. Such a request passes no budget, so that is switched off.
Rule 2: a connection is used for `age_s` seconds, because DNS may since have moved the name to another address. Its last
request may end later.
Rule 3: connections that were opened together are not replaced together.
Rule 4: nothing here is called when a request goes out over an open connection of our own session.
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
_SPREAD: Final = 0.2  # the share of the age over which connections are replaced
_GOLDEN: Final = 0.6180339887498949  # its multiples spread evenly over 0..1, however many there are
_REPEATS: Final = "_retry_connection"  # of a session; aiohttp's own test client switches it off, too


class Connector(aiohttp.TCPConnector):
    """A pool of connections with a bounded age.

    Args:
        age_s: Longest use of a connection, in seconds; None for no limit.
        connections: Most connections at once.
        ssl: Which certificates to trust, or None for those that the system trusts.

    Attributes:
        opened: Number of connections opened so far.
    """

    def __init__(self, *, age_s: float | None, connections: int, ssl: SSLContext | None) -> None:
        super().__init__(limit=connections, keepalive_timeout=_KEEPALIVE_S, ssl=True if ssl is None else ssl)
        self.opened = 0
        self._age_s = age_s
        self._openers: weakref.WeakKeyDictionary[asyncio.Task[Any], int] = weakref.WeakKeyDictionary()
        self._old_at: weakref.WeakKeyDictionary[ResponseHandler, float] = weakref.WeakKeyDictionary()
        self._aging: asyncio.TimerHandle | None = None

    def opened_by_this_task(self, since: int) -> bool:
        """Whether the running task has opened a connection after `opened` was `since`."""
        task = asyncio.current_task()
        return task is not None and self._openers.get(task, 0) > since

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close all connections."""
        self._old_at.clear()
        self._wake_at_next()
        await super().close(abort_ssl=abort_ssl)

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
        if self._age_s is not None and not self.closed:
            age_s = self._age_s * (1.0 - _SPREAD * (self.opened * _GOLDEN % 1.0))
            self._old_at[protocol] = old_at = asyncio.get_running_loop().time() + age_s
            if self._aging is None or old_at < self._aging.when():
                self._wake_at_next()
        return protocol

    def _retire_old(self) -> None:
        """Let no old connection back into the pool. One that is idle in it serves one more request."""
        now = asyncio.get_running_loop().time()
        for protocol in [protocol for protocol, old_at in self._old_at.items() if old_at <= now]:
            protocol.force_close()
            del self._old_at[protocol]
        self._wake_at_next()

    def _wake_at_next(self) -> None:
        if self._aging is not None:
            self._aging.cancel()
            self._aging = None
        if self._old_at:
            found: weakref.ref[Connector] = weakref.ref(self)
            self._aging = asyncio.get_running_loop().call_at(min(self._old_at.values()), _retire_old, found)


def _retire_old(found: weakref.ref[Connector]) -> None:
    connector = found()  # a timer keeps no connector alive, so that aiohttp can warn of one that was not closed
    if connector is not None:
        connector._retire_old()  # noqa: SLF001  # its own timer


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

    There is no public switch. A middleware does the same, and costs about 2 % of a poll.
    """
    if not hasattr(session, _REPEATS):
        return False
    setattr(session, _REPEATS, False)
    return True
