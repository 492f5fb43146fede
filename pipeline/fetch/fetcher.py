"""The face of the fetch stage: requests in by `start`, outcomes out in `done`.

Answers for: what every request has in common on the wire, and one attempt per `start`. Must not know: retries,
redirects, robots, politeness, cookies, config: a caller that wants another attempt starts another.

`done` is a queue on purpose: nothing here calls up. The caller drains it once a turn of the loop.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import NamedTuple

from pipeline.errors import FetchError, PolicyError
from pipeline.fetch import exchange
from pipeline.fetch.connection import Connection
from pipeline.fetch.exchange import Exchange, Shared, Timeouts
from pipeline.fetch.http1 import ResponseReader, build_request, merge_fields, render_fields
from pipeline.fetch.loop import Loop
from pipeline.fetch.pool import Pool
from pipeline.fetch.resolver import Resolver
from pipeline.model import Failure, Request, Response
from pipeline.url import Origin, origin_of

__all__ = ["Fetcher", "Timeouts"]

_BUFFER_SIZE = 256 * 1024
_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


class Fetcher:
    """Fetches up to `concurrency` requests at a time over `loop`; keeps up to `max_idle` connections for reuse.

    `headers` are sent with every request, those of the request itself over them. Sizes in bytes. `accept_encoding` is
    what the one who decodes can decode. `max_idle` defaults to `concurrency`, so there are never more sockets than
    `concurrency + max_idle`.
    """

    def __init__(
        self,
        loop: Loop,
        *,
        resolver: exchange.Resolver | None = None,
        concurrency: int = 64,
        timeouts: Timeouts | None = None,
        user_agent: str = "hookline",
        headers: Mapping[str, str] | None = None,
        accept_encoding: str = "identity",
        max_body: int = 16 * 2**20,
        max_head: int = 64 * 2**10,
        max_headers: int = 256,
        max_idle: int | None = None,
        make_socket: Callable[[int, int], socket.socket] = socket.socket,
    ) -> None:
        self.done: deque[Response | Failure] = deque()
        self.concurrency = concurrency
        self._loop = loop
        self._own_resolver: Resolver | None = None
        if resolver is None:
            resolver = self._own_resolver = Resolver(loop)
        common = {"User-Agent": user_agent, "Accept": _ACCEPT, "Accept-Encoding": accept_encoding}
        self._headers = merge_fields(common, headers or {})
        self._rendered = render_fields(self._headers.items())
        self._has_host = _names_host(self._headers)
        shared = Shared(
            loop=loop,
            resolver=resolver,
            timeouts=timeouts or Timeouts(),
            done=self.done,
            make_reader=partial(ResponseReader, max_body=max_body, max_head=max_head, max_headers=max_headers),
            make_socket=make_socket,
            buffer=memoryview(bytearray(_BUFFER_SIZE)),
        )
        self._pool = Pool(
            lambda origin: Connection(shared, self._pool, origin),
            max_idle=concurrency if max_idle is None else max_idle,
        )

    @property
    def active(self) -> int:
        """Attempts under way."""
        return self._pool.busy

    @property
    def room(self) -> int:
        """Attempts that may be started now."""
        return self.concurrency - self._pool.busy

    def start(self, request: Request) -> None:
        """Begin one attempt; its outcome will be appended to `done`, possibly before this returns.

        `request.url` is absolute and normalised. Redirects are not followed: they are outcomes like any other.
        """
        try:
            attempt = self._prepare(request)
        except FetchError as error:
            self.done.append(Failure(request, error, "NEW", 0.0))
            return
        self._pool.dispatch(attempt)

    def abort(self) -> None:
        """End all attempts under way without an outcome, and close every connection."""
        self._pool.abort()

    def close(self) -> None:
        """Abort, and let go of the resolver's threads."""
        self.abort()
        if self._own_resolver is not None:
            self._own_resolver.close()

    def _prepare(self, request: Request) -> Exchange:
        base, target = _cut(request.url)
        endpoint = _endpoint(base)
        fields, authority = self._rendered, "" if self._has_host else endpoint.authority
        if request.headers:
            merged = merge_fields(self._headers, request.headers)
            fields = render_fields(merged.items())
            authority = "" if _names_host(merged) else endpoint.authority
        payload = build_request(request.method, authority, target, fields, request.body)
        return Exchange(request, endpoint.origin, payload, self._loop.now)


class _Endpoint(NamedTuple):
    origin: Origin
    authority: str


def _cut(url: str) -> tuple[str, str]:
    """A normalised http(s) URL before and from its path."""
    slash = url.find("/", 8)
    return (url[:slash], url[slash:]) if slash > 0 else (url, "/")


@lru_cache(maxsize=4096)
def _endpoint(base: str) -> _Endpoint:
    """Origin and Host value of `scheme://authority`; cut once per origin, not per request."""
    origin = origin_of(base)
    if origin.scheme != "http":
        raise PolicyError(f"scheme {origin.scheme!r} cannot be fetched", reason="scheme")
    return _Endpoint(origin, base.partition("://")[2].rpartition("@")[2])


def _names_host(headers: Mapping[str, str]) -> bool:
    return any(name.lower() == "host" for name in headers)
