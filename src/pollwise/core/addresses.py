"""Which addresses are not on the public internet.

Rule: an IPv6 address that stands for an IPv4 address has the kind of that one.
"""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

__all__ = ["AddressKind", "kind_of_address", "kind_of_host"]


class AddressKind(enum.Enum):
    """Where an address leads. The value is the word for it in a message."""

    PUBLIC = "public"
    LOOPBACK = "loopback"
    PRIVATE = "private"
    LINK_LOCAL = "link-local"
    MULTICAST = "multicast"
    UNSPECIFIED = "unspecified"
    RESERVED = "reserved"


# NAT64 (RFC 6052 and 8215), and the deprecated form of RFC 4291 2.5.5.1: the last four bytes are the IPv4 address
_EMBEDDING: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"), IPv6Network("::/96"))


def kind_of_address(text: str) -> AddressKind:
    """The kind of an address. Raises ValueError for a text that is none."""
    address = ip_address(text)
    inner = address if isinstance(address, IPv4Address) else _inner(address)
    return _kind(address if inner is None else inner)


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address to which packets for this address may go. Teredo is private as a whole."""
    found = address.ipv4_mapped or address.sixtofour
    if found is None and int(address) > 1 and any(address in network for network in _EMBEDDING):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return found


def _kind(address: IPv4Address | IPv6Address) -> AddressKind:  # noqa: PLR0911  # a table: one return a row
    if address.is_unspecified:
        return AddressKind.UNSPECIFIED
    if address.is_loopback:
        return AddressKind.LOOPBACK
    if address.is_link_local:
        return AddressKind.LINK_LOCAL
    if address.is_multicast:
        return AddressKind.MULTICAST
    if address.is_reserved:
        return AddressKind.RESERVED
    if address.is_private or not address.is_global or (isinstance(address, IPv6Address) and address.is_site_local):
        return AddressKind.PRIVATE
    return AddressKind.PUBLIC


def kind_of_host(host: str) -> AddressKind | None:
    """The kind of a URL's host, or None for a name, which has to be resolved first."""
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 6.3
        return AddressKind.LOOPBACK
    try:
        return kind_of_address(name)
    except ValueError:
        return None
