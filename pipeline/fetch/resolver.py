"""Host names to addresses, without blocking the loop.

Answers for: `getaddrinfo` in a few daemon threads (it has no non-blocking form and releases the GIL), one lookup for
equal questions asked at the same time, and a cache for answers and for "no such host". IP literals need no lookup.
Must not know: connections, deadlines (a caller that gave up ignores the answer), which addresses are allowed.

These are the only threads of the parent process. They share nothing with it but a queue and `call_soon_threadsafe`.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeAlias

from pipeline.errors import ResolveError
from pipeline.fetch.loop import Loop


class Address(NamedTuple):
    """What a socket connects to: address family and numeric IP."""

    family: int
    ip: str


Answer: TypeAlias = tuple[Address, ...] | ResolveError
Lookup: TypeAlias = Callable[..., list[tuple[Any, ...]]]

_UNKNOWN = {getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA") if hasattr(socket, name)}
_MAX_CACHED = 10_000


class Resolver:
    """See the module's head. Times in seconds; `lookup` has the signature of `socket.getaddrinfo`."""

    def __init__(
        self,
        loop: Loop,
        *,
        lifetime: float = 60.0,
        negative_lifetime: float = 10.0,
        threads: int = 4,
        lookup: Lookup = socket.getaddrinfo,
    ) -> None:
        self._loop = loop
        self._lifetime = lifetime
        self._negative_lifetime = negative_lifetime
        self._lookup = lookup
        self._cache: dict[str, tuple[float, Answer]] = {}  # host -> (valid until, answer), oldest first
        self._waiting: dict[str, list[Callable[[Answer], object]]] = {}
        self._questions: SimpleQueue[str | None] = SimpleQueue()
        self._idle_slots = threads  # threads that may still be started
        self._threads: list[threading.Thread] = []

    def resolve(self, host: str, callback: Callable[[Answer], object]) -> Answer | None:
        """The answer if it is known now, else None; then `callback(answer)` is called in a later turn of the loop.

        `host` is a name or an IP literal without brackets. An answer has at least one address, best first.
        """
        known = self._known(host)
        if known is None:
            waiting = self._waiting.setdefault(host, [])
            waiting.append(callback)
            if len(waiting) == 1:
                self._ask(host)
        return known

    def close(self) -> None:
        """Let the threads end after what they are doing; nobody waits for them, and nobody is called back."""
        self._waiting.clear()
        for _ in self._threads:
            self._questions.put(None)
        self._threads.clear()

    def _known(self, host: str) -> Answer | None:
        entry = self._cache.get(host)
        if entry is not None:
            if entry[0] > self._loop.now:
                return entry[1]
            del self._cache[host]
        literal = _literal(host)
        return (literal,) if literal else None

    def _ask(self, host: str) -> None:
        self._questions.put(host)
        if self._idle_slots and len(self._waiting) > len(self._threads):
            self._idle_slots -= 1
            thread = threading.Thread(target=self._work, name="hookline-dns", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while (host := self._questions.get()) is not None:
            self._loop.call_soon_threadsafe(partial(self._answered, host, _look_up(self._lookup, host)))

    def _answered(self, host: str, answer: Answer) -> None:
        self._remember(host, answer)
        for callback in self._waiting.pop(host, ()):
            callback(answer)

    def _remember(self, host: str, answer: Answer) -> None:
        if isinstance(answer, ResolveError):
            if answer.reason != "no_such_host":  # anything else may work when it is tried again
                return
            lifetime = self._negative_lifetime
        else:
            lifetime = self._lifetime
        self._cache.pop(host, None)
        self._cache[host] = self._loop.now + lifetime, answer
        if len(self._cache) > _MAX_CACHED:
            del self._cache[next(iter(self._cache))]


def _literal(host: str) -> Address | None:
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return None
    return Address(socket.AF_INET if ip.version == 4 else socket.AF_INET6, host)


def _look_up(lookup: Lookup, host: str) -> Answer:
    """Runs in a thread. Every ending is an answer: a request that waits for none would never end."""
    try:
        found = lookup(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        reason = "no_such_host" if error.errno in _UNKNOWN else "lookup_failed"
        return ResolveError(f"{host}: {error.strerror or error}", reason=reason)
    except Exception as error:  # a name that IDNA refuses, or a fault of the system's resolver
        return ResolveError(f"{host}: {type(error).__name__}: {error}", reason="lookup_failed")
    addresses = dict.fromkeys(
        Address(family, str(sockaddr[0]))
        for family, _, _, _, sockaddr in found
        if family in (socket.AF_INET, socket.AF_INET6)
    )
    return tuple(addresses) or ResolveError(f"{host}: has no IP address", reason="no_such_host")
