"""The face of the fetch stage: requests in by `start`, outcomes out in `done`.

Answers for: what every request has in common on the wire, and one attempt per `start`. Must not know: retries,
redirects, robots, politeness, cookies, config: a caller that wants another attempt starts another.

`done` is a queue on purpose: nothing here calls up. The caller drains it once a turn of the loop.
"""

from __future__ import annotations

import socket
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import cycle
from typing import Literal, NamedTuple

from pipeline.errors import FetchError, PolicyError, ProtocolError
from pipeline.fetch import exchange
from pipeline.fetch.address import Gate
from pipeline.fetch.connection import Connection
from pipeline.fetch.exchange import Exchange, Route, Shared, Timeouts
from pipeline.fetch.http1 import ResponseReader, build_request, merge_fields, render_fields
from pipeline.fetch.loop import Loop
from pipeline.fetch.pool import Pool
from pipeline.fetch.proxy import Proxy, absolute_form
from pipeline.fetch.resolver import CachedResolver
from pipeline.fetch.resolvers import make_resolver
from pipeline.fetch.tls import Tls, TlsOptions
from pipeline.model import Failure, Request, Response
from pipeline.url import origin_of, split_userinfo

__all__ = ["Fetcher", "Timeouts", "TlsOptions"]

_BUFFER_SIZE = 256 * 1024
_MAX_ENDPOINTS = 4096
_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


class Fetcher:
    """Fetches up to `concurrency` requests at a time over `loop`; keeps up to `max_idle` connections for reuse.

    `headers` are sent with every request, those of the request itself over them. Sizes in bytes. `accept_encoding` is
    what the one who decodes can decode. `max_idle` defaults to `concurrency`, so there are never more sockets than
    `concurrency + max_idle`.

    `tls` says whose certificates must be good. `proxies` are URLs (http, https, socks5) of which each request takes the
    next; the environment is not asked for any. With `private_networks="deny"` addresses of local networks are refused
    (PolicyError private_network), except for the (host, port) pairs in `exempt`; ports of other protocols always are.
    `exempt` is a set that may be added to at any time. Raises ValueError for a CA file or proxy URL that is none.
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
        tls: TlsOptions | None = None,
        proxies: Sequence[str] = (),
        private_networks: Literal["deny", "allow"] = "allow",
        exempt: Iterable[tuple[str, int]] = (),
        make_socket: Callable[[int, int], socket.socket] = socket.socket,
    ) -> None:
        self.done: deque[Response | Failure] = deque()
        self.concurrency = concurrency
        self._loop = loop
        self._own_resolver: CachedResolver | None = None
        if resolver is None:
            resolver = self._own_resolver = make_resolver(loop, timeout=(timeouts or Timeouts()).dns)
        common = {"User-Agent": user_agent, "Accept": _ACCEPT, "Accept-Encoding": accept_encoding}
        self._headers = merge_fields(common, headers or {})
        self._common = _Fields.of(self._headers)
        self.exempt = set(exempt)
        self._gate = Gate(private=private_networks == "allow", exempt=self.exempt)
        self._tls = Tls(tls or TlsOptions())
        self._proxies = cycle([Proxy.parse(url) for url in proxies]) if proxies else None
        self._endpoints: dict[str, _Endpoint] = {}  # by what stands before the path
        shared = Shared(
            loop=loop,
            resolver=resolver,
            timeouts=timeouts or Timeouts(),
            done=self.done,
            make_reader=partial(ResponseReader, max_body=max_body, max_head=max_head, max_headers=max_headers),
            make_socket=make_socket,
            buffer=memoryview(bytearray(_BUFFER_SIZE)),
            tls=self._tls,
            gate=self._gate,
        )
        self._pool = Pool(
            lambda route: Connection(shared, self._pool, route),
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

    def start(self, request: Request, *, keep: int | None = None) -> None:
        """Begin one attempt; its outcome will be appended to `done`, possibly before this returns.

        `request.url` is absolute and normalised. Redirects are not followed: they are outcomes like any other. With
        `keep` a longer body is not read to its end: the response has its beginning, and the flag `cut`.
        """
        try:
            attempt = self._prepare(request, keep)
        except FetchError as error:
            self.done.append(Failure(request, error, "NEW", 0.0))
        else:
            self._pool.dispatch(attempt)
        if self.done:  # ended already: the loop must not go to sleep over it
            self._loop.call_soon(_turn)

    def abort(self) -> None:
        """End all attempts under way without an outcome, and close every connection."""
        self._pool.abort()

    def close(self) -> None:
        """Abort, and let go of the resolver's threads."""
        self.abort()
        if self._own_resolver is not None:
            self._own_resolver.close()

    def _prepare(self, request: Request, keep: int | None) -> Exchange:
        base, target = _cut(request.url)
        endpoint = self._endpoints.get(base) or self._endpoint(base)
        fields = self._common
        if request.headers:
            fields = _Fields.of(merge_fields(self._headers, request.headers))
        if endpoint.authorization is not None:
            merged = merge_fields(self._headers, {"Authorization": endpoint.authorization})
            fields = _Fields.of(merge_fields(merged, request.headers))
        authority = "" if fields.has_host else endpoint.authority
        payload = build_request(request.method, authority, target, fields.rendered, request.body)
        route = endpoint.route
        if not endpoint.usual_port:
            self._gate.check_port(route.origin.host, route.origin.port)
        if self._proxies is not None:
            route = route._replace(proxy=next(self._proxies))
            payload = self._for_proxy(payload, route, endpoint)
        return Exchange(request, route, payload, self._loop.now, keep)

    def _for_proxy(self, payload: bytes, route: Route, endpoint: _Endpoint) -> bytes:
        """The request as this proxy gets it. It resolves names, so only hosts that are addresses can be checked."""
        origin, proxy = route.origin, route.proxy
        self._gate.check_literal(origin.host, origin.port)
        if proxy is None or proxy.scheme == "socks5" or origin.scheme == "https":
            return payload
        return absolute_form(payload, endpoint.authority, proxy)

    def _endpoint(self, base: str) -> _Endpoint:
        """What is the same for all URLs that begin with `scheme://authority`; worked out once."""
        origin = origin_of(base)
        if origin.scheme not in ("http", "https"):
            raise PolicyError(f"scheme {origin.scheme!r} cannot be fetched", reason="scheme")
        bare, credentials = split_userinfo(base)
        endpoint = _Endpoint(
            route=Route(origin, origin.scheme == "http" or self._tls.verifies(origin.host)),
            authority=bare.partition("://")[2],
            authorization=None if credentials is None else f"Basic {b64encode(credentials.encode()).decode()}",
            usual_port=origin.port in (80, 443),
        )
        if len(self._endpoints) >= _MAX_ENDPOINTS:
            del self._endpoints[next(iter(self._endpoints))]
        self._endpoints[base] = endpoint
        return endpoint


def _turn() -> None:
    """Queued so that the loop takes one more turn without a sleep."""


class _Endpoint(NamedTuple):
    route: Route
    authority: str  # as Host says it
    authorization: str | None  # from user info
    usual_port: bool


class _Fields(NamedTuple):
    """Header fields as they go on the wire, and whether Host is among them."""

    rendered: bytes
    has_host: bool

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> _Fields:
        names = {name.lower() for name in headers}
        if "proxy-authorization" in names:
            raise ProtocolError(
                "request not sent: Proxy-Authorization would reach the origin; "
                "user and password of a proxy belong in its URL",
                reason="bad_request",
            )
        return cls(render_fields(headers.items()), "host" in names)


def _cut(url: str) -> tuple[str, str]:
    """A normalised http(s) URL before and from its path."""
    slash = url.find("/", 8)
    return (url[:slash], url[slash:]) if slash > 0 else (url, "/")
