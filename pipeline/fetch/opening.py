"""The way to a peer: which address to connect to, and what has to be said before the first request.

Answers for: whose name is looked up (the origin's, or the proxy's), the gate between lookup and `connect`, the order of
addresses, and the layers on top of TCP:

  to an origin      http       nothing
                    https      TLS with the origin
  by an http proxy  http       nothing: the request itself is in absolute form
                    https      CONNECT, TLS with the origin
  by an https proxy            TLS with the proxy, then as above
  by a SOCKS proxy             the SOCKS prologue, then as without a proxy

Of several addresses each has a quarter of a second at first (RFC 8305, section 5, without the race): a network that
swallows what goes to IPv6 does not hold up what IPv4 could bring. The last one has its full time, and if it fails those
that were left have theirs.

Must not know: states, deadlines, exchanges, the loop. A connection drops its opening as soon as it is open.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Final, TypeAlias

from pipeline.errors import ConnectError, FetchError, PhaseTimeoutError, ResolveError
from pipeline.fetch import faults
from pipeline.fetch.exchange import Route, Shared
from pipeline.fetch.proxy import ConnectPrologue, Prologue, SocksPrologue
from pipeline.fetch.resolver import Address, Answer
from pipeline.fetch.tls import Peer

Layer: TypeAlias = Peer | Prologue

PATIENCE: Final = 0.25  # seconds for an address while others wait

_UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN})


class Opening:
    """See the module's head. In this order: `resolve`, `take`, `connect_next`, `check_peer`, `next_layer`."""

    __slots__ = ("_addresses", "_layers", "_left", "_route", "_shared", "_trying", "host", "port")

    def __init__(self, shared: Shared, route: Route) -> None:
        self._shared = shared
        self._route = route
        end = route.proxy or route.origin
        self.host, self.port = end.host, end.port
        self._addresses: deque[Address] = deque()  # not tried yet
        self._left: list[Address] | None = []  # those that were given up early; None: each has its full time
        self._trying: Address | None = None  # the one that is connected to
        self._layers: deque[Layer] | None = None

    def resolve(self, callback: Callable[[Answer], object]) -> Answer | None:
        """As of a resolver."""
        return self._shared.resolver.resolve(self.host, callback)

    def take(self, answer: Answer) -> None:
        """Keep the addresses that may be connected to; raises FetchError if that is none."""
        proxy = self._route.proxy
        if isinstance(answer, ResolveError):
            raise answer if proxy is None else proxy.failed(str(answer))
        if proxy is None:
            self._addresses.extend(self._shared.gate.admitted(self.host, self.port, answer))
        else:  # its URL stands in the config
            self._addresses.extend(answer)
        if not self._addresses:
            raise ConnectError(f"{self.host} has no address", reason="no_address")

    def connect_next(self, failed: FetchError | None) -> socket.socket:
        """A socket on its way to the next address. If none is left, what the last one `failed` with is raised."""
        if self._left is not None and self._addresses and isinstance(failed, PhaseTimeoutError):
            assert self._trying is not None, "a deadline without an address"
            self._left.append(self._trying)
        while self._addresses or self._left:
            if not self._addresses:
                self._addresses.extend(self._left or ())
                self._left = None
            self._trying = address = self._addresses.popleft()
            try:
                sock = self._shared.make_socket(address.family, socket.SOCK_STREAM)
            except OSError as error:  # such as: no IPv6 in this kernel, no descriptor left
                failed = self.failed(error.errno or 0)
                continue
            code = _begin(sock, address.ip, self.port)
            if code == 0 or code in _UNDER_WAY:
                return sock
            sock.close()
            failed = self.failed(code)
        assert failed is not None
        raise failed

    @property
    def patience(self) -> float:
        """Seconds for which the address that is being tried may keep others waiting."""
        return PATIENCE if self._left is not None and self._addresses else inf

    def failed(self, code: int) -> ConnectError:
        """The error of the address that is being tried; `code` is an errno."""
        ip = "" if self._trying is None else self._trying.ip
        return faults.connect_failed(self.host, self.port, ip, code, self._route.proxy)

    def check_peer(self, ip: str) -> None:
        """Ask the gate once more, about the address that the system says we are connected to."""
        if self._route.proxy is None:
            self._shared.gate.check(self.host, self.port, ip)

    def next_layer(self) -> Layer | None:
        """What comes next on top of what is there; None: the connection is open."""
        if self._layers is None:
            self._layers = self._plan()
        return self._layers.popleft() if self._layers else None

    def _plan(self) -> deque[Layer]:
        shared, proxy, origin = self._shared, self._route.proxy, self._route.origin
        layers: deque[Layer] = deque()
        if proxy is not None and proxy.scheme == "https":
            layers.append(Peer(proxy.host, proxy.port, shared.tls.verifies(proxy.host), proxy))
        if proxy is not None and proxy.scheme == "socks5":
            layers.append(SocksPrologue(proxy, origin.host, origin.port))
        elif proxy is not None and origin.scheme == "https":
            layers.append(ConnectPrologue(proxy, origin.host, origin.port, shared.make_reader()))
        if origin.scheme == "https":
            layers.append(Peer(origin.host, origin.port, self._route.verify, self._route))
        return layers


def _begin(sock: socket.socket, ip: str, port: int) -> int:
    """Begin to connect; the errno."""
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock.connect_ex((ip, port))
    except OSError as error:
        return error.errno or errno.EINVAL
