"""What a connection is handed: where it leads, a request under way, its deadlines, what all of a fetcher share."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec

from pipeline.fetch.address import Gate
from pipeline.fetch.http1 import ResponseReader
from pipeline.fetch.loop import Loop
from pipeline.fetch.proxy import Proxy
from pipeline.fetch.resolver import Answer
from pipeline.fetch.tls import Tls
from pipeline.model import Failure, Request, Response
from pipeline.url import Origin


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds. `connect` holds for each address that is tried; `first_byte` until the head of the answer is whole."""

    dns: float = 10.0
    connect: float = 10.0
    tls: float = 10.0
    first_byte: float = 30.0
    idle: float = 20.0
    total: float = 120.0
    keepalive: float = 60.0


class Route(NamedTuple):
    """Where a connection leads, and how: requests share connections only if all of this is equal.

    `verify` says whether the origin's certificate must be good; a proxy is itself and its credentials.
    """

    origin: Origin
    verify: bool = True
    proxy: Proxy | None = None


class Exchange:
    """A request under way: its bytes, when it began, whether it was handed back before.

    `keep` is how many bytes of the body are wanted; the rest is not read. None: all of it.
    """

    __slots__ = ("keep", "payload", "replayed", "request", "route", "started")

    def __init__(self, request: Request, route: Route, payload: bytes, started: float, keep: int | None = None) -> None:
        self.request = request
        self.route = route
        self.payload = payload
        self.started = started
        self.keep = keep
        self.replayed = False


class Resolver(Protocol):
    """What a connection asks of a resolver."""

    def resolve(self, host: str, callback: Callable[[Answer], object]) -> Answer | None:
        """The answer if it is known, else None and `callback(answer)` later."""


class Shared(msgspec.Struct, frozen=True):
    """What all connections of a fetcher have in common. `buffer` is read into by whichever is ready."""

    loop: Loop
    resolver: Resolver
    timeouts: Timeouts
    done: deque[Response | Failure]
    make_reader: Callable[[], ResponseReader]
    make_socket: Callable[[int, int], socket.socket]
    buffer: memoryview
    tls: Tls
    gate: Gate
