"""Which addresses and ports may be connected to at all.

Answers for one literal address or port, and for the answers of a resolver (`Gate`). Which host:port is exempt because
a config names it, the caller says. The check stands between name lookup and `connect`, on the very address that is
connected to: a name that is checked and looked up again can change in between.

The tables are our own rather than `ipaddress.is_global`, which differs between Python releases and calls multicast
global. An IPv6 address that carries an IPv4 one is judged by that one too, because a gateway may send it there.

Sources: IANA special-purpose address registries (RFC 6890); RFC 6052 and 8215 (NAT64), 3056 (6to4), 4380 (Teredo),
5214 (ISATAP); the port list of the Fetch standard, section "port blocking".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from pipeline.errors import PolicyError
from pipeline.fetch.resolver import Address

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


class Gate:
    """What may be connected to for a URL's host and port. `private`: local networks too.

    `exempt` holds (host, port) pairs for which nothing is refused; it is the caller's and may grow. Every method raises
    PolicyError: private_network for an address, scheme for a port that belongs to another protocol.
    """

    __slots__ = ("_exempt", "_private")

    def __init__(self, *, private: bool, exempt: Set[tuple[str, int]]) -> None:
        self._private = private
        self._exempt = exempt

    def check_port(self, host: str, port: int) -> None:
        """Refuse the ports of other protocols."""
        if not port_allowed(port) and (host, port) not in self._exempt:
            raise PolicyError(
                f"{host}:{port}: this port belongs to another protocol than HTTP and is not asked; "
                "write the URL among the seeds if it must be",
                reason="scheme",
            )

    def check_literal(self, host: str, port: int) -> None:
        """Refuse a host that is an address by itself; to be asked where names are resolved by somebody else."""
        try:
            ip_address(host)
        except ValueError:
            return
        self.check(host, port, host)

    def check(self, host: str, port: int, ip: str) -> None:
        """Refuse this address."""
        if not self._lets_through(host, port, ip):
            raise _refused(host, port, ip)

    def admitted(self, host: str, port: int, addresses: Iterable[Address]) -> list[Address]:
        """The addresses that may be connected to, in their order; refused if that leaves none of some."""
        found = list(addresses)
        kept = [address for address in found if self._lets_through(host, port, address.ip)]
        if found and not kept:
            raise _refused(host, port, found[0].ip)
        return kept

    def _lets_through(self, host: str, port: int, ip: str) -> bool:
        return allowed(ip, private=self._private) or ((host, port) in self._exempt and allowed(ip, private=True))


def _refused(host: str, port: int, ip: str) -> PolicyError:
    what = f"{host} is" if ip == host else f"{host} has the address {ip},"
    return PolicyError(
        f"{what} in a private or reserved network; what may be asked there are URLs with {host}:{port} "
        "among the seeds, or all with fetch.private_networks: allow",
        reason="private_network",
    )


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
