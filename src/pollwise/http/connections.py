"""How aiohttp's connections are configured.

Rule 1: a request is sent once. By default aiohttp retries an idempotent request if its connection breaks without a
reply. Such a retry would bypass the rate budget, so this file disables it.
Rule 2: a connection is used for `age_s` seconds, because DNS may point to another address by then. A request that is in
flight at that moment is finished first.
Rule 3: connections that were opened together do not expire together.
Rule 4: a proxy for https is looked up when a connection is opened, and never at a request.
Rule 5: a request over an open connection of our own session calls nothing in this file.
"""

from __future__ import annotations

import asyncio
import weakref
from ssl import SSLContext
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from aiohttp.tracing import Trace
from multidict import CIMultiDict

from pollwise.http.proxies import Proxies

__all__ = ["Connector", "RetryDisabled", "disable_retries", "no_retry"]

_KEEPALIVE_S: Final = 60.0  # longer than the usual wait between two polls; else each poll needs a new handshake
_AGE_JITTER: Final = 0.2  # connections expire between 80 and 100 % of the age
_GOLDEN_RATIO: Final = 0.6180339887498949  # its multiples modulo 1 are spread evenly over 0..1, for any count
_RETRY_ATTRIBUTE: Final = "_retry_connection"  # of a session; aiohttp's own test client disables it, too


class Connector(aiohttp.TCPConnector):
    """A pool of connections with a bounded age.

    Args:
        age_s: Max age of a connection, in seconds. None for no limit.
        connections: Max number of open connections.
        ssl: Which certificates to trust. None for those that the system trusts.
        resolver: Resolves names. None for the system's.
        proxies: The proxies for https, or None for no proxy.

    Attributes:
        opened: Number of connections opened so far.
    """

    def __init__(
        self,
        *,
        age_s: float | None,
        connections: int,
        ssl: SSLContext | None,
        resolver: AbstractResolver | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        trusted = True if ssl is None else ssl
        super().__init__(limit=connections, keepalive_timeout=_KEEPALIVE_S, ssl=trusted, resolver=resolver)
        self.opened = 0
        self._proxies = proxies
        self._age_s = age_s
        self._openers: weakref.WeakKeyDictionary[asyncio.Task[Any], int] = weakref.WeakKeyDictionary()
        self._expires_at: weakref.WeakKeyDictionary[ResponseHandler, float] = weakref.WeakKeyDictionary()
        self._age_timer: asyncio.TimerHandle | None = None

    def opened_by_this_task(self, since: int) -> bool:
        """Whether the running task has opened a connection after `opened` was `since`."""
        task = asyncio.current_task()
        return task is not None and self._openers.get(task, 0) > since

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close all connections."""
        self._expires_at.clear()
        self._reschedule()
        await super().close(abort_ssl=abort_ssl)

    def close_at_once(self) -> None:
        """Close all connections without waiting for their ends. `__del__` calls it, which cannot await `close`."""
        self._close()  # aiohttp has no public method for this; its own `__del__` calls the same

    # aiohttp documents this one method for subclasses to override
    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # aiohttp's signature
    ) -> ResponseHandler:
        protocol = await self._connected(req, traces, timeout)
        self.opened += 1
        task = asyncio.current_task()
        if task is not None:
            self._openers[task] = self.opened
        if self._age_s is not None and not self.closed:
            age_s = self._age_s * (1.0 - _AGE_JITTER * (self.opened * _GOLDEN_RATIO % 1.0))
            self._expires_at[protocol] = expires_at = asyncio.get_running_loop().time() + age_s
            if self._age_timer is None or expires_at < self._age_timer.when():
                self._reschedule()
        return protocol

    async def _connected(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # aiohttp's signature
    ) -> ResponseHandler:
        """A new connection. For https through a proxy it is a tunnel, through which requests go as they are.

        With the proxy as an option of the request, aiohttp would make a second request object at each request.
        """
        proxy = None if self._proxies is None or not req.is_ssl() else self._proxies.of(req.url)
        if proxy is None and req.proxy is None:
            return await super()._create_connection(req, traces, timeout)
        if proxy is not None:
            req.update_proxy(proxy.url, None, CIMultiDict(proxy.headers))
        try:
            return await super()._create_connection(req, traces, timeout)
        except aiohttp.ClientConnectorDNSError as exc:  # of the proxy's name: that of the server is not looked up here
            raise aiohttp.ClientProxyConnectionError(exc._conn_key, exc.os_error) from exc.os_error  # noqa: SLF001
        finally:
            if proxy is not None:
                req.update_proxy(None, None, None)

    def _expire(self) -> None:
        """Keep expired connections from going back to the pool. An idle one serves one more request."""
        now = asyncio.get_running_loop().time()
        for protocol in [protocol for protocol, expires_at in self._expires_at.items() if expires_at <= now]:
            protocol.force_close()
            del self._expires_at[protocol]
        self._reschedule()

    def _reschedule(self) -> None:
        if self._age_timer is not None:
            self._age_timer.cancel()
            self._age_timer = None
        if self._expires_at:
            reference: weakref.ref[Connector] = weakref.ref(self)
            self._age_timer = asyncio.get_running_loop().call_at(min(self._expires_at.values()), _expire, reference)


def _expire(reference: weakref.ref[Connector]) -> None:
    connector = reference()  # a weak reference: else the timer keeps an unclosed connector alive
    if connector is not None:
        connector._expire()  # noqa: SLF001  # its own timer


# --- no retries by aiohttp --------------------------------------------------------------------


class RetryDisabled(aiohttp.ClientError):
    """The error after which aiohttp would have sent the request again."""

    def __init__(self, error: Exception) -> None:
        super().__init__(*error.args)
        self.error = error


async def no_retry(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """A middleware that keeps aiohttp from retrying the request."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise  # nothing was sent, and aiohttp does not retry these
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as exc:
        raise RetryDisabled(exc.with_traceback(None)) from None


def disable_retries(session: aiohttp.ClientSession) -> bool:
    """Disable the retries of our own session. Returns False if this version of aiohttp has no attribute for it.

    There is no public option. The middleware `no_retry` does the same, and costs about 2 % of a poll.
    """
    if not hasattr(session, _RETRY_ATTRIBUTE):
        return False
    setattr(session, _RETRY_ATTRIBUTE, False)
    return True
