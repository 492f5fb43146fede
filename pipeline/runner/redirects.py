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
from pipeline.url import fingerprint, host_of, join, shown


def identity(request: Request) -> bytes:
    """The fingerprint of a request whose page rule is resolved."""
    return fingerprint(request.method, request.url, request.body, request.page, request.carry)


class Redirector:
    """Follows the redirects of a run. `cookies(url)` is a hash of the cookies that a request would be sent now."""

    def __init__(self, frontier: Frontier, scope: Scope, cookies: Callable[[str], bytes], *, most: int) -> None:
        self._frontier = frontier
        self._scope = scope
        self._cookies = cookies
        self._most = most
        self._sent: dict[bytes, bytes] = {}  # fingerprint of what redirected -> hash of the cookies it was sent
        self.counts = LinkCounts()
        self.target_of: dict[bytes, Entry] = {}

    def follow(self, entry: Entry, status: int, location: str, sent: bytes, now: float) -> None:
        """An active request was answered with a redirect; `sent` is the hash of the cookies that went with it."""
        request = entry.request
        target = redirect(request, status, location)
        self._sent[entry.fingerprint] = sent
        if target is None or len(target.hops) > self._most:
            self._fail(entry, status, self._why(request, location, target))
            return
        known = self._frontier.entries.get(identity(target))
        again = known is not None and self._was_asked_in_this_chain(known, entry, target)
        if known is not None and again and self._cookies(target.url) == self._sent[known.fingerprint]:
            self._fail(entry, status, f"redirect loop through {shown(target.url)}")
        elif known is entry:
            request.hops = target.hops
            self._frontier.put_back(entry, now)
        else:
            self._frontier.finish(entry, "redirected", detail=f"to {shown(target.url)}", status=status)
            self._enter(entry, target, known if again else None)

    def _was_asked_in_this_chain(self, known: Entry, entry: Entry, target: Request) -> bool:
        return known is entry or (known.fate == "redirected" and known.request.url in target.hops)

    def _enter(self, entry: Entry, target: Request, again: Entry | None) -> None:
        if entry.request.seed and not entry.request.hops:
            self._scope.adopt(host_of(target.url))
        if again is None:
            new = self._frontier.add(target, identity(target), parent=entry)
        else:
            again.request.hops = target.hops
            self._frontier.ask_again(again)
            new = False
        self.target_of[entry.fingerprint] = self._frontier.entries[identity(target)]
        self.counts.found += 1
        self.counts.new += new
        self.counts.duplicate += not new

    def _fail(self, entry: Entry, status: int, why: str) -> None:
        self._frontier.finish(entry, f"failed:http_{status}", detail=why, status=status)

    def _why(self, request: Request, location: str, target: Request | None) -> str:
        if target is not None:
            return f"more than {self._most} redirects"
        url = join(request.url, location)
        refused = downgrade(request, url) if url is not None else None
        return str(refused) if refused is not None else "redirect to something that is no URL"
