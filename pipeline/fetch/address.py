"""Which addresses and ports may be connected to at all.

Answers for one literal address or port; who asks, and which host:port is exempt because a config names it, is the
caller's. The check belongs between name lookup and `connect`, on the very address that is connected to: a name that is
checked and looked up again can change in between.

The tables are our own rather than `ipaddress.is_global`, which differs between Python releases and calls multicast
global. An IPv6 address that carries an IPv4 one is judged by that one too, because a gateway may send it there.

Sources: IANA special-purpose address registries (RFC 6890); RFC 6052 and 8215 (NAT64), 3056 (6to4), 4380 (Teredo),
5214 (ISATAP); the port list of the Fetch standard, section "port blocking".
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_LOCAL_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local: the metadata services of clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",  # documentation, as 198.51.100 and 203.0.113
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)

_GLOBAL_V6 = IPv6Network("2000::/3")  # all global unicast there is; so much for ::1, fc00::/7, fe80::/10, ff00::/8
_LOCAL_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_MAPPED = IPv6Network("::ffff:0:0/96")
_6TO4 = IPv6Network("2002::/16")
_ISATAP = (0x00005EFE, 0x02005EFE)  # the upper half of the interface identifier

# fmt: off
BAD_PORTS = frozenset((
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
    110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
    532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060,
    5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
))
# fmt: on


@lru_cache(maxsize=4096)
def allowed(ip: str, *, private: bool) -> bool:
    """Whether this literal address may be connected to. `private` allows local networks too, but not nonsense.

    Anything that is no address in its canonical spelling (a name, `0x7f.1`, `2130706433`) is refused; so is a zone
    (`fe80::1%eth0`) unless `private`, because only local addresses have one.
    """
    try:
        address = ip_address(ip)
    except ValueError:
        return False
    if private:
        return True
    if isinstance(address, IPv4Address):
        return _is_global_v4(address)
    return address.scope_id is None and _is_global_v6(address) and all(map(_is_global_v4, _embedded(address)))


def port_allowed(port: int) -> bool:
    """False for the ports of other protocols that browsers do not speak HTTP to, and for what is no port."""
    return 0 < port < 65536 and port not in BAD_PORTS


def _is_global_v4(address: IPv4Address) -> bool:
    return not any(address in network for network in _LOCAL_V4)


def _is_global_v6(address: IPv6Address) -> bool:
    """Global by itself; a mapped or NAT64 address is nothing by itself but the IPv4 address that it carries."""
    if address in _MAPPED or address in _NAT64:
        return True
    return address in _GLOBAL_V6 and not any(address in network for network in _LOCAL_V6)


def _embedded(address: IPv6Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses inside. Compatible, Teredo and local NAT64 addresses never come this far: none is global."""
    number = int(address)
    if address in _MAPPED or address in _NAT64:
        yield IPv4Address(number & 0xFFFFFFFF)
    if address in _6TO4:
        yield IPv4Address(number >> 80 & 0xFFFFFFFF)
    if number >> 32 & 0xFFFFFFFF in _ISATAP:
        yield IPv4Address(number & 0xFFFFFFFF)
