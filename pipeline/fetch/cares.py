"""Host names to addresses with c-ares: its sockets and its clock run in our loop, without a thread of its own.

Answers for: one c-ares channel for the life of the resolver, its sockets at the selector, its retransmissions as one
timer, what its endings mean for a request, and the order of the addresses. Must not know: connections.

c-ares calls back from inside its own calls, where it may not be called again and where an exception would be lost. So
what it reports is only queued here, and a later turn of the loop hands it on.

What it reads by itself: resolv.conf (servers, search list, options), the "hosts" line of nsswitch.conf as far as it
names files and dns, /etc/hosts (again when it has changed), and every name under "localhost" is loopback (RFC 6761).
It repeats truncated answers over TCP and keeps answers for their lifetime. What it cannot do: other sources of names;
that is what the thread resolver is for.

Lifetime hazard (CVE-2025-48945): a channel that dies while a query runs is a use after free in older versions. Ours is
closed in `close` after all queries were cancelled; pycares >= 5 also keeps a channel alive as long as a query runs.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import pycares

from pipeline.errors import ResolveError
from pipeline.fetch.loop import NEVER, READ, WRITE, Loop
from pipeline.fetch.resolver import NO_DESCRIPTORS, Address, Answer, CachedResolver, UnknownHostError

RESOLV_CONF = Path("/etc/resolv.conf")
_TRIES = 4  # each waits twice as long as the one before it
# Names asked for at a time; others wait. All their questions (two each) go through one UDP socket of a name server, and
# what overflows its buffer is lost: it would be waited for and asked again.
_MAX_OPEN = 128
_LONGEST_SLEEP = 10.0
_SHORTEST_SLEEP = 0.001
_FLAGS = 1 << 7  # ARES_AI_NOSORT: sorting opens one socket an address, and an answer may have thousands


class CaresResolver(CachedResolver):
    """See the module's head. `servers` ("ip" or "ip:port") take the place of those of resolv.conf.

    Raises RuntimeError if c-ares does not start.
    """

    kind = "cares"

    def __init__(
        self, loop: Loop, *, servers: Sequence[str] | None = None, timeout: float = 10.0, **options: float
    ) -> None:
        super().__init__(loop, timeout=timeout, **options)
        self._sockets: dict[int, int] = {}  # descriptor -> events that the selector has
        self._open = 0  # lookups that c-ares has not ended
        self._slots: set[str] = set()  # hosts asked for whose time is not over
        self._queue: deque[str] = deque()  # hosts that are not asked for yet
        self._timer = loop.timer(self._on_time)
        self._settings = _settings()
        first_try = self._timeout / (2**_TRIES - 1)  # so that a single server that is silent fills the time exactly
        try:
            self._channel = pycares.Channel(
                sock_state_cb=self._on_socket_state, timeout=first_try, tries=_TRIES, servers=servers
            )
        except pycares.AresError as error:
            raise RuntimeError(f"c-ares: {error}") from error
        self._closed = False

    def close(self) -> None:
        """Also end all queries and the channel. What pycares still does in its own thread touches nothing of ours."""
        super().close()
        if self._closed:
            return
        self._queue.clear()
        self._channel.cancel()
        self._closed = True
        self._timer.cancel()
        for fd in self._sockets:
            self._loop.unregister(fd)
        self._sockets.clear()
        self._channel.close()

    def renew(self) -> None:
        """Read resolv.conf again if it is another one now: a laptop has woken in another network."""
        found = _settings()
        if found != self._settings:
            self._settings = found
            self._channel.reinit()

    def _ask(self, host: str) -> None:
        self._queue.append(host)
        self._ask_next()

    def _ask_next(self) -> None:
        while self._queue and len(self._slots) < _MAX_OPEN:
            host = self._queue.popleft()
            if host in self._lookups:  # else its time was over while it stood here
                self._begin(host)

    def _begin(self, host: str) -> None:
        # With a dot at its end c-ares takes "localhost." for any name.
        name = host.removesuffix(".") if host.lower().removesuffix(".").endswith("localhost") else host
        self._open += 1
        self._slots.add(host)
        self._channel.getaddrinfo(
            name, None, type=socket.SOCK_STREAM, flags=_FLAGS, callback=partial(self._on_result, host)
        )
        self._set_timer()

    def _too_slow(self, host: str) -> None:
        self._slots.discard(host)  # c-ares may go on for a while, but nobody waits for it
        super()._too_slow(host)
        self._ask_next()

    # --- called by c-ares, from within one of our calls to it

    def _on_result(self, host: str, result: pycares.AddrInfoResult | None, status: int | None) -> None:
        self._loop.call_soon(partial(self._finish, host, result, status))

    def _on_socket_state(self, fd: int, readable: bool, writable: bool) -> None:
        if self._closed:
            return
        events = READ * bool(readable) | WRITE * bool(writable)
        known = self._sockets.pop(fd, 0)
        if known and events:
            self._loop.modify(fd, events, partial(self._on_ready, fd))
        elif events:
            self._loop.register(fd, events, partial(self._on_ready, fd))
        elif known:
            self._loop.unregister(fd)
        if events:
            self._sockets[fd] = events

    # --- called by the loop

    def _on_ready(self, fd: int, mask: int) -> None:
        if self._closed:
            return  # an event of the batch in which the resolver was closed
        none = pycares.ARES_SOCKET_BAD
        self._channel.process_fd(fd if mask & READ else none, fd if mask & WRITE else none)
        self._set_timer()

    def _on_time(self) -> None:
        self._channel.process_fd(pycares.ARES_SOCKET_BAD, pycares.ARES_SOCKET_BAD)
        self._set_timer()

    def _finish(self, host: str, result: pycares.AddrInfoResult | None, status: int | None) -> None:
        self._open -= 1
        self._slots.discard(host)
        if self._closed:
            return
        if result is None:
            self._answered(host, _explain(host, status or 0), 0)
        else:
            self._answered(host, *_read(host, result))
        self._ask_next()

    def _set_timer(self) -> None:
        """c-ares has its own deadlines; it says how long it can sleep, here not longer than asked for."""
        if self._open or self._sockets:
            pause: float = self._channel.timeout(_LONGEST_SLEEP)  # type: ignore[no-untyped-call]
            self._timer.move(self._loop.now + max(pause, _SHORTEST_SLEEP))
        else:
            self._timer.move(NEVER)


def _explain(host: str, status: int) -> ResolveError:
    """What a failed lookup means for the request that asked for it."""
    said = str(pycares.errno.strerror(status))
    if status in (pycares.errno.ARES_ENOTFOUND, pycares.errno.ARES_EBADNAME):
        return UnknownHostError(f"{host}: no such host ({said})")
    if status == pycares.errno.ARES_ENODATA:  # a CNAME that leads back to itself ends so too
        return UnknownHostError(f"{host}: has no IP address ({said})")
    if status == pycares.errno.ARES_ETIMEOUT:
        return ResolveError(f"{host}: no answer from DNS in {_TRIES} tries", reason="timeout")
    if status == pycares.errno.ARES_ECONNREFUSED and _out_of_descriptors():
        return ResolveError(f"{host}: not looked up, too many open files", reason="no_socket")
    return ResolveError(f"{host}: lookup failed ({said})", reason="lookup_failed")


def _out_of_descriptors() -> bool:
    """c-ares says "could not contact DNS servers" for this too."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
    except OSError as error:
        return error.errno in NO_DESCRIPTORS
    return False


def _read(host: str, result: pycares.AddrInfoResult) -> tuple[Answer, float]:
    """(addresses, seconds that they are good for)."""
    found = dict.fromkeys(
        Address(node.family, node.addr[0].decode())
        for node in result.nodes
        if node.family in (socket.AF_INET, socket.AF_INET6)
    )
    if not found:
        return UnknownHostError(f"{host}: has no IP address"), 0
    records: Iterable[Any] = chain(result.nodes, result.cnames)
    return in_order(found), min(record.ttl for record in records)


def in_order(found: Iterable[Address]) -> tuple[Address, ...]:
    """Families that have a route first, IPv6 before IPv4 (RFC 6724), taking turns (RFC 8305, 4)."""
    by_family: dict[int, list[Address]] = {socket.AF_INET6: [], socket.AF_INET: []}
    for address in found:
        by_family[address.family].append(address)
    both = all(by_family.values())
    families = sorted(by_family, key=lambda family: both and not _has_route(family, by_family[family][0].ip))
    mixed = chain.from_iterable(zip_longest(*(by_family[family] for family in families)))
    return tuple(address for address in mixed if address is not None)


def _has_route(family: int, ip: str) -> bool:
    """Whether the kernel would send to this address. Connecting a UDP socket asks that, and sends nothing."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((ip, 9))
    except OSError:
        return False
    return True


def _settings() -> bytes:
    """What resolv.conf says now; nothing where there is none."""
    try:
        return RESOLV_CONF.read_bytes()
    except OSError:
        return b""
