"""A client, not a crawl: ask for a few URLs, follow redirects, decode; no robots, no delay, no retries, no scope.

`hookline fetch` and `hookline try` are this. What an answer means is decided where the crawl decides it (`outcome`,
`crawl.redirect`), so both say the same of one server.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from pipeline.crawl.redirect import redirect
from pipeline.errors import FetchError
from pipeline.fetch.content import decode
from pipeline.fetch.faults import BODY_LOST
from pipeline.fetch.fetcher import Fetcher
from pipeline.fetch.loop import Loop
from pipeline.model import Failure, Headers, Request, Response
from pipeline.runner.credentials import Credentials
from pipeline.runner.outcome import Next, decide


class Fetched(msgspec.Struct):
    """How one request ended. `body` is decoded and None unless whole; `elapsed` is in seconds, redirects included."""

    url: str
    final_url: str
    outcome: str
    status: int | None = None
    headers: Headers = []
    body: bytes | None = None
    error: str | None = None
    elapsed: float = 0.0


class Asked(NamedTuple):
    """A request on its way: its place in the list, what was asked, and a hash of the cookies that went with it."""

    place: int
    request: Request
    cookies: bytes


class Client:
    """Fetches a list of requests at the fetcher's concurrency. `max_body` bounds the decoded body in bytes."""

    def __init__(
        self, loop: Loop, fetcher: Fetcher, credentials: Credentials, *, max_redirects: int, max_body: int
    ) -> None:
        self._loop = loop
        self._fetcher = fetcher
        self._credentials = credentials
        self._max_redirects = max_redirects
        self._max_body = max_body
        self._waiting: deque[tuple[int, Request]] = deque()
        self._running: dict[int, Asked] = {}  # by the id of the request in flight
        self._sent: dict[tuple[int, str, str], bytes] = {}  # (place, method, URL) in a chain -> hash of its cookies
        self._elapsed: dict[int, float] = {}
        self._results: dict[int, Fetched] = {}

    def fetch(self, requests: Iterable[Request]) -> list[Fetched]:
        """One result per request, in the order asked."""
        asked = list(requests)
        self._waiting.extend(enumerate(asked))
        self._loop.run(self._tick)
        results = [self._results[place] for place in range(len(asked))]
        return [msgspec.structs.replace(done, url=request.url) for done, request in zip(results, asked, strict=True)]

    def _tick(self) -> None:
        while self._fetcher.done:
            self._take(self._fetcher.done.popleft())
        while self._waiting and self._fetcher.room > 0:
            self._send(*self._waiting.popleft())
        if not self._waiting and not self._running:
            self._loop.stop()

    def _send(self, place: int, request: Request) -> None:
        sent = msgspec.structs.replace(request, headers=dict(request.headers))
        self._credentials.put_on(sent)
        self._running[id(sent)] = Asked(place, request, self._credentials.signature(request.url))
        self._fetcher.start(sent)

    def _take(self, outcome: Response | Failure) -> None:
        asked = self._running.pop(id(outcome.request))
        elapsed = self._elapsed[asked.place] = self._elapsed.get(asked.place, 0.0) + outcome.elapsed
        decision = decide(outcome)
        if isinstance(outcome, Failure):
            url = asked.request.url
            done = Fetched(url, url, decision.fate, outcome.status, outcome.headers, error=decision.detail)
        else:
            self._credentials.take(outcome)
            target = self._target(asked, outcome) if decision.next is Next.REDIRECT else None
            if target is not None:
                self._waiting.appendleft((asked.place, target))
                return
            done = self._answer(asked.request, outcome)
        done.elapsed = elapsed
        self._results[asked.place] = done

    def _target(self, asked: Asked, response: Response) -> Request | None:
        """Where a redirect leads; None for one too many, and for a loop: the same request with the same cookies."""
        request = asked.request
        self._sent[asked.place, request.method, request.url] = asked.cookies
        target = redirect(request, response.status, response.header("location") or "")
        if target is None or len(target.hops) > self._max_redirects:
            return None
        before = self._sent.get((asked.place, target.method, target.url))
        return None if before is not None and before == self._credentials.signature(target.url) else target

    def _answer(self, request: Request, response: Response) -> Fetched:
        decision = decide(response)
        done = Fetched(request.url, request.url, decision.fate, response.status, response.headers)
        done.error = decision.detail or None
        if decision.next is Next.REDIRECT:
            done.outcome = f"failed:http_{response.status}"
            done.error = f"redirect loop, or more than {self._max_redirects} redirects"
            return done  # of a redirect's body only the beginning was read
        if BODY_LOST in response.flags:
            return done
        try:
            done.body = decode(response.body, response.headers, self._max_body)
        except FetchError as error:
            if done.outcome != "gone":  # that it is, whatever its body is
                done.outcome, done.error = error.fate, str(error)
        return done
