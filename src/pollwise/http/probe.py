"""Connects to a server step by step, to find out which step fails. Sends no request to the server.

Rule 1: each step raises a `PollError`, as a poll would, and none of a library.
Rule 2: a proxy gets the same CONNECT as from the transport, with its credentials. No error has them.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Sequence
from typing import Any, Final

import attrs
from yarl import URL

from pollwise.errors import ConnectFailed, PollError, ProxyFailed
from pollwise.http.exception_map import os_error, tls_error
from pollwise.http.proxies import Proxy

__all__ = ["Certificate", "Line", "addresses_of", "connect", "encrypt"]

_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r\n]").match


@attrs.frozen(kw_only=True)
class Certificate:
    """The certificate of a server, which was accepted. All of it but the times is untrusted text.

    Attributes:
        issuer: The organisation that has signed it, or its common name.
        expires_at: When it expires, in epoch seconds.
        protocol: The version of TLS, such as `TLSv1.3`.
    """

    issuer: str
    expires_at: float
    protocol: str


@attrs.frozen
class Line:
    """An open connection. `peer` is the address at its other end."""

    peer: str
    _writer: asyncio.StreamWriter = attrs.field(repr=False)

    async def close(self) -> None:
        """Close it, without waiting for the other end."""
        self._writer.transport.abort()


async def addresses_of(host: str, port: int) -> Sequence[str]:
    """The addresses of a host, each once, in the order in which they are tried. Raises UnknownHost or ConnectFailed."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as exc:
        raise os_error(exc, host, port) from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def connect(url: URL, proxy: Proxy | None) -> Line:
    """Connect to the server, or through the proxy to it.

    Raises:
        PollError: There is no connection.
    """
    host, port = _host(url)
    near, near_port = (host, port) if proxy is None else _host(proxy.url)
    tls = ssl.create_default_context() if proxy is not None and proxy.url.scheme == "https" else None
    try:
        reader, writer = await asyncio.open_connection(near, near_port, ssl=tls)
    except ssl.SSLError as exc:
        raise tls_error(exc) from None
    except OSError as exc:
        failed = os_error(exc, near, near_port)
        raise failed if proxy is None else _unreachable(proxy, failed) from None
    line = Line(str(writer.get_extra_info("peername")[0]), writer)
    if proxy is not None and url.scheme == "https":
        try:
            await _open_tunnel(reader, writer, f"{_named(host)}:{port}", proxy)
        except BaseException:
            await line.close()
            raise
    return line


async def encrypt(line: Line, url: URL, trusted: ssl.SSLContext | None) -> Certificate:
    """Make the TLS handshake with the server, and return its certificate.

    Raises:
        CertificateRejected: The certificate does not verify.
        TlsFailed: The handshake failed.
        ConnectFailed: The connection broke.
    """
    host, port = _host(url)
    writer = line._writer  # noqa: SLF001  # of the same module
    try:
        await writer.start_tls(trusted or ssl.create_default_context(), server_hostname=host)
    except ssl.SSLError as exc:
        raise tls_error(exc) from None
    except OSError as exc:
        raise os_error(exc, host, port) from None
    found: Any = writer.get_extra_info("ssl_object")
    certificate: dict[str, Any] = found.getpeercert() or {}
    issuer = {key: value for part in certificate.get("issuer", ()) for key, value in part}
    expires_at = ssl.cert_time_to_seconds(certificate["notAfter"]) if "notAfter" in certificate else 0.0
    return Certificate(
        issuer=str(issuer.get("organizationName") or issuer.get("commonName") or "an unnamed issuer"),
        expires_at=expires_at,
        protocol=str(found.version()),
    )


async def _open_tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str, proxy: Proxy) -> None:
    fields = "".join(f"{name}: {value}\r\n" for name, value in proxy.headers.items())
    writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{fields}\r\n".encode("ascii"))
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
        raise ProxyFailed("the proxy closed the connection instead of answering") from None
    found = _STATUS(head)
    if found is None or int(found[1]) != 200:
        status = None if found is None else int(found[1])
        answer = "something that is not HTTP" if status is None else f"HTTP {status}"
        raise ProxyFailed(f"the proxy answered with {answer}", status)


def _unreachable(proxy: Proxy, failed: PollError) -> ProxyFailed:
    reason = failed.detail.rpartition(": ")[2] if isinstance(failed, ConnectFailed) else str(failed)
    return ProxyFailed(f"the proxy {proxy.url.host}:{proxy.url.port} is unreachable: {reason}")


def _host(url: URL) -> tuple[str, int]:
    return url.raw_host or "", url.port or 0


def _named(host: str) -> str:
    return f"[{host}]" if ":" in host else host
