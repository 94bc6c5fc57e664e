"""Which proxy a connection goes through.

Rule 1: a proxy is looked up once for each connection, and for plain http once for each origin. No request pays for it.
Rule 2: a request to this machine goes through no proxy. Otherwise it would leave this machine in clear text.
Rule 3: the environment is read only if that is asked for: `HTTPS_PROXY` or `HTTP_PROXY` by the scheme of the request, else
`ALL_PROXY`, and `NO_PROXY`; each also in lower case, which wins. System settings of macOS and Windows are not read, because
that may resolve names.
Rule 4: the password of a proxy is in no `repr` and in no error. It is sent to the proxy alone.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.request import getproxies_environment

import attrs
from aiohttp import hdrs
from yarl import URL

from pollwise.errors import ConfigurationError

__all__ = ["Proxies", "Proxy", "is_this_machine"]

_EXAMPLE: Final = "such as http://proxy.example:3128"
_NONE: Final[Mapping[str, str]] = {}


@attrs.frozen
class Proxy:
    """One proxy.

    Attributes:
        url: Where it is, without credentials.
        headers: Header fields for the proxy alone, with its credentials.
        full_url: The same with credentials.
        source: Where it was found: an argument or a variable.
    """

    url: URL
    headers: Mapping[str, str] = attrs.field(repr=False)
    full_url: URL = attrs.field(repr=False)
    source: str


class Proxies:
    """The proxies of one transport.

    Args:
        proxy: The URL of the proxy for all requests, or None.
        trust_env: Whether to read the environment: the proxies if `proxy` is None, and `NO_PROXY` in any case.

    Raises:
        ConfigurationError: `proxy` is no URL of a proxy.
    """

    def __init__(self, proxy: str | URL | None = None, *, trust_env: bool = False) -> None:
        self._given = None if proxy is None else _proxy_at(proxy, "proxy")
        self._trust_env = trust_env

    def of(self, url: URL) -> Proxy | None:
        """The proxy for requests to this absolute URL, or None.

        Raises:
            ConfigurationError: A variable has no URL of a proxy.
        """
        host = url.raw_host or ""
        if is_this_machine(host):
            return None
        if not self._trust_env:
            return self._given
        found = getproxies_environment()
        if "no" in found and _is_left_out(host, url.port, found["no"]):
            return None
        if self._given is not None:
            return self._given
        for kind in (url.scheme, "all"):
            if found.get(kind):
                return _proxy_at(found[kind], f"{kind.upper()}_PROXY")
        return None


def is_this_machine(host: str) -> bool:
    """Whether this is a name or an address of this machine, which no resolver decides."""
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 6.3
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_left_out(host: str, port: int | None, no_proxy: str) -> bool:
    """Whether `NO_PROXY` names this host: as it is, by a domain above it, with a port, as a network, or with `*`."""
    host = host.lower().removesuffix(".")
    parts = [part.strip().lower() for part in no_proxy.split(",")]
    return "*" in parts or any(_is_named(host, port, part) for part in parts)


def _is_named(host: str, port: int | None, name: str) -> bool:
    if "/" in name:
        try:
            return ip_address(host) in ip_network(name, strict=False)
        except ValueError:
            return False
    bare, _, digits = name.rpartition(":")
    if digits.isdigit() and (":" not in bare or bare.endswith("]")):
        if digits != str(port):
            return False
        name = bare
    name = name.strip("[]").removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _proxy_at(url: str | URL, source: str) -> Proxy:
    """The proxy. An error names its source and not its text, which may have a password."""
    text = str(url)
    try:
        found = URL(text if "://" in text else f"http://{text}")
        host, _ = found.host, found.port
    except ValueError:
        raise ConfigurationError(f"{source} must be the URL of a proxy, {_EXAMPLE}") from None
    if found.scheme not in {"http", "https"} or not host:
        kind = (
            f"; its scheme is {found.scheme[:20]}, which is not supported" if found.scheme.startswith("socks") else ""
        )
        raise ConfigurationError(f"{source} must be the http or https URL of a proxy, {_EXAMPLE}{kind}")
    headers: Mapping[str, str] = _NONE
    if found.user is not None or found.password is not None:
        pair = f"{found.user or ''}:{found.password or ''}".encode()
        headers = {hdrs.PROXY_AUTHORIZATION: f"Basic {base64.b64encode(pair).decode()}"}  # RFC 7617
    return Proxy(found.origin(), headers, found, source)
