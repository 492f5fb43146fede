"""Redirects go through the frontier (spec, section 3): the asked request ends, the target is a request of its own.

Within one chain a target that was asked before is a loop, unless the cookies that it would be sent have changed since:
that is how sites set a cookie and come back. Then it is asked again, and its one fate is that of the last answer.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.crawl.frontier import Entry, Frontier
from pipeline.crawl.redirect import downgrade, redirect
from pipeline.crawl.scope import Scope
from pipeline.model import Request
from pipeline.runner.summary import LinkCounts
from pipeline.url import host_of, identity, join, shown


class Redirector:
    """Follows the redirects of a run. `cookies(url)` is a hash of the cookies that a request would be sent now."""

    def __init__(
        self,
        frontier: Frontier,
        scope: Scope,
        cookies: Callable[[str], bytes],
        *,
        most: int,
        counts: LinkCounts,
        sources: LinkCounts,
        adopted: list[str],
    ) -> None:
        self._frontier = frontier
        self._scope = scope
        self._cookies = cookies
        self._most = most
        self._counts = counts
        self._sources = sources
        self._adopted = adopted

    def follow(self, entry: Entry, status: int, location: str, sent: bytes, now: float) -> None:
        """An active request was answered with a redirect; `sent` is the hash of the cookies that went with it."""
        request = entry.request
        target = redirect(request, status, location)
        if target is None or len(target.hops) > self._most:
            self._fail(entry, status, self._why(request, location, target))
            return
        target.trail = (*request.trail, (entry.fingerprint, sent))
        mark = identity(target)
        before = next((cookies for hop, cookies in reversed(target.trail) if hop == mark), None)
        if before is not None and before == self._cookies(target.url):
            self._fail(entry, status, f"redirect loop through {shown(target.url)}")
        elif mark == entry.fingerprint:
            request.hops, request.trail = target.hops, target.trail
            self._frontier.put_back(entry, now)
        else:
            self._adopt(request, target)
            self._enter(entry, target, mark, status, again=before is not None)

    def _adopt(self, request: Request, target: Request) -> None:
        """The first hop of a seed off its host joins the scope, however many there were on it."""
        host = host_of(target.url)
        if (request.seed or request.at_seed) and not target.at_seed and self._scope.adopt(host):
            self._adopted.append(host)

    def _enter(self, entry: Entry, target: Request, mark: bytes, status: int, *, again: bool) -> None:
        found: int | None
        if again:
            new = False
            found = self._frontier.ask_again(target, mark, was="redirected")
        else:
            new = self._frontier.add(target, mark, parent=entry)
            found = self._frontier.known(mark)
        self._frontier.finish(entry, "redirected", detail=f"to {shown(target.url)}", status=status, target=found)
        (self._counts if target.source is None else self._sources).count(new)

    def _fail(self, entry: Entry, status: int, why: str) -> None:
        self._frontier.finish(entry, f"failed:http_{status}", detail=why, status=status)

    def _why(self, request: Request, location: str, target: Request | None) -> str:
        if target is not None:
            return f"more than {self._most} redirects"
        url = join(request.url, location)
        refused = downgrade(request, url) if url is not None else None
        return str(refused) if refused is not None else "redirect to something that is no URL"
