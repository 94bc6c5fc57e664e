"""Sends requests whose URLs a server named, to other servers than the API's.

Rule 1: such a request goes over connections of its own: no session of the caller's, no cookie, no default header field, and
no connection that was opened for a request with credentials.
Rule 2: a name is resolved once for a connection, and the connection goes to the addresses that were looked at. So a name
that resolves to another address a moment later leads nowhere else.
Rule 3: an address that is not public is refused, unless the host of the job's own URL has an address of the same kind.
Rule 4: a proxy of the transport is used for these requests, too. The proxy resolves the name, and pollwise cannot see the
address. So a name is refused if it has a private address on this machine, no dot, or one of `_PRIVATE_DOMAINS`. If only the
resolver of the proxy leads to a private address, the proxy must refuse it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Collection
from typing import Final, Protocol

import attrs
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from pollwise.core.addresses import AddressKind, kind_of_address, kind_of_host
from pollwise.errors import UnsafeUrl
from pollwise.http.proxies import Proxies, Proxy
from pollwise.model.messages import Reply, Request

__all__ = ["ForeignRequests", "GuardedResolver"]

_KNOWN_S: Final = 60.0  # how long it is known where the host of a job's own URL is
_MOST_HOSTS: Final = 1_000
# RFC 6762 (local), RFC 8375 (home.arpa), RFC 6761 (localhost), and what ICANN reserved for private use in 2024 (internal)
_PRIVATE_DOMAINS: Final = (".local", ".home.arpa", ".localhost", ".internal")
_Kinds = frozenset[AddressKind]


class ClosableTransport(Protocol):
    """A transport with connections of its own."""

    async def send(self, request: Request, /) -> Reply:
        """Send the request once."""
        ...

    async def stream(self, request: Request, sink: Callable[[bytes], object], /) -> Reply:
        """Send the request once, and pass the body on."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class GuardedResolver(AbstractResolver):
    """Resolves names, and refuses those that lead to an address of another kind than public and `allowed`.

    Args:
        resolver: Resolves the names.
        allowed: The further kinds.
    """

    def __init__(self, resolver: AbstractResolver, allowed: Collection[AddressKind]) -> None:
        self._resolver = resolver
        self._allowed = frozenset(allowed) | {AddressKind.PUBLIC}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of the name. Raises UnsafeUrl if one of them is refused."""
        found = await self._resolver.resolve(host, port, family)
        for result in found:
            kind = kind_of_address(result["host"])
            if kind not in self._allowed:
                raise UnsafeUrl(host, f"it resolves to a {kind.value} address")
        return found

    async def close(self) -> None:
        """Nothing: the other resolver is not this one's."""


class ForeignRequests:
    """Sends the requests of one transport that have a `first_host`.

    Args:
        make: Makes a transport whose names are resolved by the given resolver.
        resolver: Resolves names; None for the system's.
        proxies: The proxies of the transport, or None for none.
        through: Makes a transport for requests through this proxy. Needed with `proxies`.
    """

    def __init__(
        self,
        make: Callable[[AbstractResolver], ClosableTransport],
        resolver: AbstractResolver | None = None,
        *,
        proxies: Proxies | None = None,
        through: Callable[[Proxy], ClosableTransport] | None = None,
    ) -> None:
        self._make = make
        self._proxies = proxies
        self._through = through
        self._resolver = ThreadedResolver() if resolver is None else resolver
        self._transports: dict[_Kinds | URL, ClosableTransport] = {}  # by what they allow, or by their proxy
        self._known: dict[str, tuple[float, _Kinds]] = {}

    async def send(self, request: Request, sink: Callable[[bytes], object] | None = None) -> Reply:
        """Send the request once. Raises what the transport raises. `sink` gets the body of a good reply.

        Raises:
            UnsafeUrl: Its host is at an address that is not public. Nothing was sent.
        """
        allowed = await self._kinds_at(request.first_host or "")
        host = request.url.raw_host or ""
        kind = kind_of_host(host)
        if kind is not None and kind not in allowed | {AddressKind.PUBLIC}:
            raise UnsafeUrl(host, f"it is at a {kind.value} address, and the job's own URL is not")
        proxy = None if self._proxies is None else self._proxies.of(request.url)
        if proxy is not None and self._through is not None:
            await self._check_name(host, request.first_host or "", allowed)
            transport = self._transports.get(proxy.full_url)
            if transport is None:
                transport = self._transports[proxy.full_url] = self._through(proxy)
        else:
            transport = self._transports.get(allowed)
            if transport is None:
                transport = self._transports[allowed] = self._make(GuardedResolver(self._resolver, allowed))
        sent = attrs.evolve(request, first_host=None)
        reply = await (transport.send(sent) if sink is None else transport.stream(sent, sink))
        return attrs.evolve(reply, request=request)

    async def _check_name(self, host: str, first_host: str, allowed: _Kinds) -> None:
        """Refuse a name that a proxy may resolve to a private address, by what this machine knows of it."""
        if _is_private_name(host) and not allowed and not _is_private_name(first_host):
            raise UnsafeUrl(host, "it is a name of a private network, and the job's own URL is not there")
        refused = await self._kinds_at(host) - allowed
        if refused:
            kind = min(kind.value for kind in refused)
            raise UnsafeUrl(host, f"it resolves to a {kind} address")

    async def aclose(self) -> None:
        """Close all connections."""
        transports, self._transports = self._transports, {}
        for transport in transports.values():
            await transport.aclose()

    async def _kinds_at(self, first_host: str) -> _Kinds:
        """The kinds of the addresses of this host that are not public. None if it cannot be resolved."""
        if not first_host:
            return frozenset()  # a system resolves an empty name to this machine
        kind = kind_of_host(first_host)
        if kind is not None:
            return frozenset({kind}) - {AddressKind.PUBLIC}
        now = asyncio.get_running_loop().time()
        until, kinds = self._known.get(first_host, (0.0, frozenset()))
        if now >= until:
            try:
                found = await self._resolver.resolve(first_host)
                kinds = frozenset(kind_of_address(result["host"]) for result in found) - {AddressKind.PUBLIC}
            except (OSError, ValueError):
                kinds = frozenset()
            if len(self._known) >= _MOST_HOSTS:
                self._known.clear()
            self._known[first_host] = (now + _KNOWN_S, kinds)
        return kinds


def _is_private_name(host: str) -> bool:
    """Whether only a private network can know this name. An address is no name."""
    name = host.lower().removesuffix(".")
    return kind_of_host(host) is None and ("." not in name or name.endswith(_PRIVATE_DOMAINS))
