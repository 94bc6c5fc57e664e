"""Which addresses are not public."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.core.addresses import AddressKind, kind_of_address, kind_of_host

KINDS = {
    AddressKind.PUBLIC: [
        "8.8.8.8",
        "93.184.216.34",
        "2606:4700::1111",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::",
    ],
    AddressKind.LOOPBACK: ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1"],
    AddressKind.PRIVATE: [
        *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "192.0.2.1", "198.18.0.1"),
        *("fc00::1", "fd00:ec2::254", "fec0::1", "2001:db8::1", "::ffff:10.0.0.1", "2002:a00:1::", "64:ff9b:1::a00:1"),
        "::2",
    ],
    AddressKind.LINK_LOCAL: ["169.254.169.254", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254"],
    AddressKind.MULTICAST: ["224.0.0.1", "239.255.255.255", "ff02::1"],
    AddressKind.UNSPECIFIED: ["0.0.0.0", "::", "::ffff:0.0.0.0"],  # noqa: S104  # nothing is bound
    AddressKind.RESERVED: ["240.0.0.1", "255.255.255.255"],
}


@pytest.mark.parametrize(("text", "kind"), [(text, kind) for kind, texts in KINDS.items() for text in texts])
def test_each_address_has_its_kind(text: str, kind: AddressKind) -> None:
    """By the registries of IANA; an address that stands for one of IPv4 has the kind of that one."""
    assert kind_of_address(text) is kind
    assert kind_of_host(text) is kind


@given(st.integers(0, 2**32 - 1))
def test_no_form_of_an_ipv4_address_hides_its_kind(number: int) -> None:
    """Mapped, of 6to4 or of NAT64."""
    kind = kind_of_address(str(IPv4Address(number)))
    assert kind_of_address(str(IPv6Address((0xFFFF << 32) | number))) is kind
    assert kind_of_address(str(IPv6Address((0x2002 << 112) | (number << 80)))) is kind
    assert kind_of_address(str(IPv6Address((0x64FF9B << 96) | number))) is kind


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "a.b.localhost", "127.0.0.1."])
def test_a_host_that_is_this_machine_without_a_resolver(host: str) -> None:
    """RFC 6761 keeps these names for it."""
    assert kind_of_host(host) is AddressKind.LOOPBACK


@pytest.mark.parametrize("host", ["a.example", "localhost.example", "2130706433", "0x7f000001", "127.1", "", "[::1]"])
def test_a_name_has_to_be_resolved(host: str) -> None:
    """Also a number that a system's resolver takes as an address."""
    assert kind_of_host(host) is None
    with pytest.raises(ValueError, match="does not appear to be"):
        kind_of_address(host)
