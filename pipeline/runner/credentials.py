"""What goes along with a request because of where it goes: cookies and authorization.

Both are put on the copy that is sent, never on the request itself, so neither can travel along a redirect: each hop
gets what its own origin is due. A header that the user set by hand is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pipeline.crawl.cookies import CookieJar
from pipeline.model import Request, Response
from pipeline.url import Origin, origin_of


class Credentials:
    """The cookie jar of a run (None: cookies are off) and Authorization by origin; `wall` gives epoch seconds."""

    def __init__(self, *, jar: CookieJar | None, auth: Mapping[Origin, str], wall: Callable[[], float]) -> None:
        self.jar = jar
        self._auth = auth
        self._wall = wall

    def put_on(self, request: Request) -> None:
        """Add Cookie and Authorization to a request that is about to be sent."""
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


def _has(request: Request, name: str) -> bool:
    return any(given.lower() == name for given in request.headers)
