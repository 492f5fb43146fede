"""What goes along with a request because of where it goes: cookies, authorization, secret headers.

All are put on the copy that is sent, never on the request itself, so none can travel along a redirect: each hop gets
what its own origin is due, and robots.txt, which does not pass here, gets nothing. A header that the user set by hand
is left as it is. Headers of `fetch.headers` that are credentials say nothing of where they belong; they go to the
origins that the user wrote down, and nowhere else.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping

import msgspec

from pipeline.crawl.cookies import CookieJar
from pipeline.crawl.redirect import SECRET_HEADERS
from pipeline.model import Request, Response
from pipeline.url import Origin, origin_of, split_userinfo


class Credentials:
    """The cookie jar of a run (None: cookies are off), Authorization by origin, and secret headers for `origins`.

    `origins` is a set that may be added to at any time. `wall` gives epoch seconds.
    """

    def __init__(
        self,
        *,
        jar: CookieJar | None,
        auth: Mapping[Origin, str],
        wall: Callable[[], float],
        secret_headers: Mapping[str, str] | None = None,
    ) -> None:
        self.jar = jar
        self.origins: set[Origin] = set()
        self._auth = dict(auth)
        self._secret = secret_headers or {}
        self._wall = wall

    def without_userinfo(self, url: str) -> str:
        """A start URL as it may be stored and told; its user and password go to its origin from now on (RFC 7617)."""
        bare, userinfo = split_userinfo(url) if "@" in url else (url, None)
        if userinfo is not None:
            self._auth.setdefault(origin_of(bare), f"Basic {b64encode(userinfo.encode()).decode()}")
        return bare

    def put_on(self, request: Request) -> None:
        """Add Cookie, Authorization and secret headers to a request that is about to be sent."""
        if self._secret and origin_of(request.url) in self.origins:
            request.headers.update((name, value) for name, value in self._secret.items() if not _has(request, name))
        if self._auth and not _has(request, "authorization"):
            value = self._auth.get(origin_of(request.url))
            if value is not None:
                request.headers["Authorization"] = value
        if self.jar is not None and len(self.jar) and not _has(request, "cookie"):
            value = self.jar.header(request.url, self._wall())
            if value is not None:
                request.headers["Cookie"] = value

    def take(self, response: Response) -> None:
        """Keep the cookies that an answer sets."""
        if self.jar is not None:
            values = [value for name, value in response.headers if name.lower() == "set-cookie"]
            if values:
                self.jar.store(response.request.url, values, self._wall())

    def signature(self, url: str) -> bytes:
        """A hash of the cookies that a request for `url` would be sent now."""
        return self.jar.signature(url, self._wall()) if self.jar is not None else b""


class CookieKeeper:
    """`fetch.cookies.persist`: the jar as bytes when it has changed since it was last asked for."""

    def __init__(self, jar: CookieJar) -> None:
        self._jar = jar
        self._last = b""

    def __call__(self) -> bytes | None:
        cookies = msgspec.json.encode(self._jar.dump())
        if cookies == self._last:
            return None
        self._last = cookies
        return cookies

    def restore(self, cookies: bytes) -> None:
        """Take the cookies that were kept."""
        self._jar.load(msgspec.json.decode(cookies))
        self._last = cookies


def _has(request: Request, name: str) -> bool:
    wanted = name.lower()
    return any(given.lower() == wanted for given in request.headers)


def is_secret(name: str) -> bool:
    """Whether a header of this name is a credential."""
    return name.lower() in SECRET_HEADERS
