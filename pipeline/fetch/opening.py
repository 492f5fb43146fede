"""The way to a peer: which address to connect to, and what has to be said before the first request.

Answers for: whose name is looked up (the origin's, or the proxy's), the gate between lookup and `connect`, the order of
addresses, and the layers on top of TCP:

  to an origin      http       nothing
                    https      TLS with the origin
  by an http proxy  http       nothing: the request itself is in absolute form
                    https      CONNECT, TLS with the origin
  by an https proxy            TLS with the proxy, then as above
  by a SOCKS proxy             the SOCKS prologue, then as without a proxy

Must not know: states, deadlines, exchanges, the loop. A connection drops its opening as soon as it is open.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from pipeline.errors import ConnectError, FetchError, ResolveError
from pipeline.fetch import faults
from pipeline.fetch.exchange import Route, Shared
from pipeline.fetch.proxy import ConnectPrologue, Prologue, SocksPrologue
from pipeline.fetch.resolver import Address, Answer
from pipeline.fetch.tls import Peer

Layer: TypeAlias = Peer | Prologue

_UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN})


class Opening:
    """See the module's head. In this order: `resolve`, `take`, `connect_next`, `check_peer`, `next_layer`."""

    __slots__ = ("_addresses", "_ip", "_layers", "_route", "_shared", "host", "port")

    def __init__(self, shared: Shared, route: Route) -> None:
        self._shared = shared
        self._route = route
        end = route.proxy or route.origin
        self.host, self.port = end.host, end.port
        self._addresses: deque[Address] = deque()  # not tried yet
        self._ip = ""  # the one that is connected to
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
        while self._addresses:
            address = self._addresses.popleft()
            self._ip = address.ip
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

    def failed(self, code: int) -> ConnectError:
        """The error of the address that is being tried; `code` is an errno."""
        return faults.connect_failed(self.host, self.port, self._ip, code, self._route.proxy)

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
