"""Host names to addresses, without blocking the loop: what all resolvers share, and the one that uses threads.

Answers for: refusing what cannot be a host name before anybody is asked, one lookup for equal questions asked at the
same time, a deadline for each lookup, at most 16 addresses, and a cache for answers and for "no such host".
IP literals need no lookup. Must not know: connections, which addresses are allowed.

Two resolvers, one face (`CachedResolver`); `make_resolver` chooses:
  cares     `cares.py`: DNS on the loop itself, any number of lookups at a time, the records' own lifetimes
  threads   here: `getaddrinfo` of the C library, which has no non-blocking form, in a few daemon threads. It knows all
            that nsswitch.conf may name (LDAP, mDNS, winbind), where c-ares knows files and DNS.

Addresses are cached for their lifetime, not less than 30 s (an answer of lifetime 0 would be a lookup a request, and
an open door to DNS rebinding) and not more than an hour. "No such host" (NXDOMAIN, or a name without addresses) is
cached for 60 s and not worth another attempt; a lookup that failed in any other way may work the next time, so it is
neither cached nor final.
"""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, ClassVar, NamedTuple, TypeAlias

from pipeline.errors import ResolveError
from pipeline.fetch.loop import Loop, Timer


class Address(NamedTuple):
    """What a socket connects to: address family and numeric IP."""

    family: int
    ip: str


class UnknownHostError(ResolveError):
    """The name does not exist or cannot: another attempt is not worth it."""

    retry_word = None  # type: ignore[assignment]  # an error of its family that is not to be retried

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="no_such_host")


Answer: TypeAlias = tuple[Address, ...] | ResolveError
Lookup: TypeAlias = Callable[..., list[tuple[Any, ...]]]

MAX_ADDRESSES = 16
NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
_MAX_CACHED = 10_000
_CHECK = "hookline-check-"
_MAX_HOST = 253  # bytes, without the dot at the end (RFC 1035, 2.3.4)
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")  # a name that ends in one is an IPv4 address or nothing (WHATWG URL)


class _Lookup:
    """A question under way: who waits for it, and when they are told that it takes too long."""

    __slots__ = ("callbacks", "timer")

    def __init__(self, callback: Callable[[Answer], object], timer: Timer) -> None:
        self.callbacks = [callback]
        self.timer = timer


class CachedResolver(ABC):
    """See the module's head. All times in seconds; a lookup is given up after `timeout`."""

    kind: ClassVar[str]

    def __init__(
        self,
        loop: Loop,
        *,
        timeout: float = 10.0,
        min_lifetime: float = 30.0,
        max_lifetime: float = 3600.0,
        negative_lifetime: float = 60.0,
    ) -> None:
        self._loop = loop
        # A little less than what a connection gives its resolver: the answer then says who was slow.
        self._timeout = timeout * 0.95
        self._min_lifetime = min_lifetime
        self._max_lifetime = max_lifetime
        self._negative_lifetime = negative_lifetime
        self._cache: dict[str, tuple[float, Answer]] = {}  # host -> (valid until, answer), oldest first
        self._lookups: dict[str, _Lookup] = {}
        self._found = ""  # the last name that had an address
        self._checking = False
        self.checked: deque[bool] = deque()  # results of `check`

    def check(self) -> bool:
        """Begin to find out whether DNS answers at all: True or False will come in `checked`.

        A name is asked for that nobody can have in a cache, below the last one that was found; that there is no such
        name is an answer. False if there is none to begin with. While a check is under way there is no second one.
        """
        if self._found and not self._checking:
            name = f"{_CHECK}{int(self._loop.now * 1000):x}.{self._found.removesuffix('.')}."
            self._checking = self.resolve(name, self._on_checked) is None
        return self._checking

    def _on_checked(self, answer: Answer) -> None:
        self._checking = False
        self.checked.append(isinstance(answer, UnknownHostError) or not isinstance(answer, ResolveError))

    def renew(self) -> None:  # noqa: B027 - most have nothing to do
        """Read the system's settings again if they have changed; the C library's own resolver does so by itself."""

    def resolve(self, host: str, callback: Callable[[Answer], object]) -> Answer | None:
        """The answer if it is known now, else None; then `callback(answer)` is called in a later turn of the loop.

        `host` is a name or an IP literal without brackets. An answer has at least one address, best first, or is a
        ResolveError with `reason` no_such_host (final), lookup_failed, timeout, or no_socket (out of descriptors).
        """
        known = self._known(host) or _known_without_lookup(host)
        if known is None:
            lookup = self._lookups.get(host)
            if lookup is None:
                timer = self._loop.call_later(self._timeout, partial(self._too_slow, host))
                self._lookups[host] = _Lookup(callback, timer)
                self._ask(host)
            else:
                lookup.callbacks.append(callback)
        return known

    def cancel(self, host: str, callback: Callable[[Answer], object]) -> None:
        """Call this one back no more. The lookup goes on: its answer will be cached."""
        lookup = self._lookups.get(host)
        if lookup is not None and callback in lookup.callbacks:
            lookup.callbacks.remove(callback)

    def close(self) -> None:
        """Nobody is called back any more. To be called in the loop's thread; a second time does nothing."""
        for lookup in self._lookups.values():
            lookup.timer.cancel()
        self._lookups.clear()

    @abstractmethod
    def _ask(self, host: str) -> None:
        """Look up; every ending calls `_answered` in a later turn of the loop."""

    def _answered(self, host: str, answer: Answer, lifetime: float) -> None:
        """An answer, good for so many seconds as far as the one who gave it says."""
        if not isinstance(answer, ResolveError):
            answer = answer[:MAX_ADDRESSES]
            if "." in host and not host.startswith(_CHECK):
                self._found = host
        self._remember(host, answer, lifetime)
        self._tell(host, answer)

    def _too_slow(self, host: str) -> None:
        self._tell(host, ResolveError(f"{host}: no answer from DNS within {self._timeout:.3g} s", reason="timeout"))

    def _tell(self, host: str, answer: Answer) -> None:
        lookup = self._lookups.pop(host, None)
        if lookup is not None:  # it is not there if the deadline was faster
            lookup.timer.cancel()
            for callback in lookup.callbacks:
                callback(answer)

    def _known(self, host: str) -> Answer | None:
        entry = self._cache.get(host)
        if entry is None:
            return None
        if entry[0] > self._loop.now:
            return entry[1]
        del self._cache[host]
        return None

    def _remember(self, host: str, answer: Answer, lifetime: float) -> None:
        if isinstance(answer, UnknownHostError):
            lifetime = self._negative_lifetime
        elif isinstance(answer, ResolveError):
            return
        else:
            lifetime = min(max(lifetime, self._min_lifetime), self._max_lifetime)
        self._cache.pop(host, None)
        self._cache[host] = self._loop.now + lifetime, answer
        if len(self._cache) > _MAX_CACHED:
            del self._cache[next(iter(self._cache))]


class ThreadResolver(CachedResolver):
    """`lookup` has the signature of `socket.getaddrinfo`, which tells no lifetimes: `lifetime` is taken.

    The threads share nothing with the loop's but a queue and `call_soon_threadsafe`.
    """

    kind = "threads"

    def __init__(
        self,
        loop: Loop,
        *,
        lifetime: float = 60.0,
        threads: int = 4,
        lookup: Lookup = socket.getaddrinfo,
        **options: float,
    ) -> None:
        super().__init__(loop, **options)
        self._lifetime = lifetime
        self._look_up = partial(_look_up, lookup)
        self._questions: SimpleQueue[str | None] = SimpleQueue()
        self._idle_slots = threads  # threads that may still be started
        self._threads: list[threading.Thread] = []

    def close(self) -> None:
        """Also let the threads end after what they are doing; nobody waits for them."""
        super().close()
        for _ in self._threads:
            self._questions.put(None)
        self._threads.clear()

    def _ask(self, host: str) -> None:
        self._questions.put(host)
        if self._idle_slots and len(self._lookups) > len(self._threads):
            self._idle_slots -= 1
            thread = threading.Thread(target=self._work, name="hookline-dns", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while (host := self._questions.get()) is not None:
            answer = self._look_up(host)
            self._loop.call_soon_threadsafe(partial(self._answered, host, answer, self._lifetime))


def _known_without_lookup(host: str) -> Answer | None:
    """The answer for an IP literal and for what is no host name; checked in time that its length does not move."""
    if len(host) > _MAX_HOST + 1:
        return UnknownHostError(f"{host[:40]}...: a host name has at most {_MAX_HOST} bytes, this one {len(host)}")
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        wrong = _wrong_with(host)
        return UnknownHostError(f"{host[:80]!r} {wrong}") if wrong else None
    return (Address(socket.AF_INET if ip.version == 4 else socket.AF_INET6, host),)


def _wrong_with(host: str) -> str:
    """Why this is no host name, or nothing. The C libraries read NUL and backslash in their own ways: refused."""
    name = host.removesuffix(".")
    if len(name) > _MAX_HOST:
        return f"is no host name: it has over {_MAX_HOST} bytes"
    labels = name.split(".")
    for label in labels:
        if not _LABEL.fullmatch(label):
            return f"is no host name: {label!r} is no label (1 to 63 of a-z, 0-9, '-' and '_')"
    return "is neither a host name nor an IP address" if _NUMBER.fullmatch(labels[-1]) else ""


_UNKNOWN = {getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA") if hasattr(socket, name)}


def _look_up(lookup: Lookup, host: str) -> Answer:
    """Runs in a thread. Every ending is an answer: a request that waits for none would never end."""
    try:
        found = lookup(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        message = f"{host}: {error.strerror or error}"
        return UnknownHostError(message) if error.errno in _UNKNOWN else ResolveError(message, reason="lookup_failed")
    except Exception as error:  # out of descriptors, or a fault of the system's resolver
        reason = "no_socket" if isinstance(error, OSError) and error.errno in NO_DESCRIPTORS else "lookup_failed"
        return ResolveError(f"{host}: {type(error).__name__}: {error}", reason=reason)
    addresses = dict.fromkeys(
        Address(family, str(sockaddr[0]))
        for family, _, _, _, sockaddr in found
        if family in (socket.AF_INET, socket.AF_INET6)
    )
    return tuple(addresses) or UnknownHostError(f"{host}: has no IP address")
