"""Addresses and ports: every spelling of a local network that reached somebody's metadata service."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fetch.address import BAD_PORTS, allowed, port_allowed

GLOBAL = [
    "8.8.8.8",
    "1.1.1.1",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.0",
    "172.32.0.1",
    "192.0.1.1",
    "198.20.0.1",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001:801::200e",
    "2001:4860:4860::8888",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
    "2a00:1450::5efe:8.8.8.8",
]

LOCAL = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "ff0e::1",
    "100::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "2001:2::1",
    "2001:10::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:7f00:1",
    "::127.0.0.1",
    "::8.8.8.8",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::8.8.8.8",
    "64:ff9b:1::10.0.0.1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:0:808:808::1",
    "2a00:1450::5efe:10.0.0.1",
    "2a00:1450::200:5efe:192.168.0.1",
    "2606:4700:4700::1111%eth0",
]

NO_ADDRESS = [
    "",
    "localhost",
    "0",
    "2130706433",
    "0x7f.1",
    "0x7f000001",
    "0177.0.0.1",
    "127.1",
    "127.0.0.1 ",
    "1.2.3.4.5",
    "[::1]",
    "::g",
]


@pytest.mark.parametrize("ip", GLOBAL)
def test_global_addresses_are_allowed(ip: str) -> None:
    assert allowed(ip, private=False)
    assert allowed(ip, private=True)


@pytest.mark.parametrize("ip", LOCAL)
def test_local_addresses_only_with_private(ip: str) -> None:
    assert not allowed(ip, private=False)
    assert allowed(ip, private=True)


@pytest.mark.parametrize("ip", NO_ADDRESS)
def test_no_address_is_never_allowed(ip: str) -> None:
    assert not allowed(ip, private=False)
    assert not allowed(ip, private=True)


@given(st.ip_addresses(v=4))
def test_never_more_lenient_than_the_library_on_ipv4(address: IPv4Address) -> None:
    if allowed(str(address), private=False):
        assert address.is_global
        assert not address.is_multicast
        for carrier in (f"::ffff:{address}", f"64:ff9b::{address}"):
            assert allowed(carrier, private=False)
    else:
        embedded = int(address)
        for carrier in (f"::ffff:{address}", f"64:ff9b::{address}", f"::{address}", f"2a00::5efe:{address}"):
            assert not allowed(carrier, private=False)
        assert not allowed(f"2002:{embedded >> 16:x}:{embedded & 0xFFFF:x}::1", private=False)


@given(st.ip_addresses(v=6))
def test_never_more_lenient_than_the_library_on_ipv6(address: IPv6Address) -> None:
    if allowed(str(address), private=False) and address.ipv4_mapped is None:
        assert address.is_global
        assert not address.is_multicast


def test_any_text_is_answered() -> None:
    assert not allowed("\ud800%\x00", private=False)


@pytest.mark.parametrize("port", [80, 443, 8080, 8443, 3000, 65535, 8888, 6379])
def test_ports_that_web_servers_use(port: int) -> None:
    assert port_allowed(port)


@pytest.mark.parametrize("port", [0, 1, 22, 25, 53, 110, 143, 465, 587, 993, 2049, 6000, 6667, 10080, -1, 65536])
def test_ports_of_other_protocols(port: int) -> None:
    assert not port_allowed(port)


def test_the_list_is_the_one_of_the_fetch_standard() -> None:
    assert len(BAD_PORTS) == 83
    assert BAD_PORTS.isdisjoint({80, 443})
