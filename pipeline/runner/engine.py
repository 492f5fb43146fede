"""The crawl: one `tick` per turn of the loop.

The engine joins rooms that do not know each other: frontier, fetcher, page pool and open run. It is told nothing of the
config: `run.build` hands it ready-made objects and numbers. Every layer below puts finished things into a queue, and
`tick`, run before each poll, drains the queues; so no callback ever starts a fetch in the middle of another's work.

`tick` in six sentences: take fetch outcomes; take page results; commit them; start fetches while there is room; set one
timer for the frontier's next time; when nothing is left, stop the loop.

*Room* is the only back-pressure: free connections, few enough body bytes waiting for parse, and no cap reached.
Because nothing upstream starts, nothing downstream can grow without bound.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from pipeline.crawl.frontier import Entry, Frontier
from pipeline.crawl.redirect import redirect
from pipeline.crawl.scope import Scope
from pipeline.errors import PluginError
from pipeline.fetch.fetcher import Fetcher
from pipeline.fetch.loop import Loop, Timer
from pipeline.model import Failure, NewRequest, PageJob, PageResult, Request, Response
from pipeline.runner.openrun import OpenRun
from pipeline.runner.outcome import Decision, Next, RetryPolicy, decide
from pipeline.url import fingerprint, host_of
from pipeline.workers.pool import InlinePool

GRACE = 8.0  # seconds that a stopping run lets its running requests finish; below Docker's ten
WAITING_BYTES = 64 * 1024 * 1024  # bodies fetched but not parsed, before fetching pauses

log = logging.getLogger("hookline.engine")


class Limits(NamedTuple):
    """Caps of a run: pages fetched, seconds, bytes received. None means no cap."""

    pages: int | None = None
    time: float | None = None
    bytes: int | None = None


class Links(NamedTuple):
    """How links and redirects turned out: found = new + duplicate."""

    found: int = 0
    new: int = 0
    duplicate: int = 0


class Engine:
    """One crawl. `run()` returns when nothing is left or the run was stopped; then read the counters."""

    def __init__(
        self,
        *,
        loop: Loop,
        fetcher: Fetcher,
        frontier: Frontier,
        scope: Scope,
        pool: InlinePool,
        open_run: OpenRun,
        prepare: Callable[[Request], Request],
        retry: RetryPolicy,
        limits: Limits,
        max_redirects: int = 10,
        strict: bool = False,
        random: Random | None = None,
    ) -> None:
        self.loop = loop
        self.fetcher = fetcher
        self.frontier = frontier
        self.scope = scope
        self.pool = pool
        self.open_run = open_run
        self._prepare = prepare
        self._retry = retry
        self._limits = limits
        self._max_redirects = max_redirects
        self._strict = strict
        self._random = random or Random()
        self._fetching: dict[int, Entry] = {}  # id of the request in flight -> its entry
        self._wake: Timer | None = None
        self.links = self.redirects = Links()
        self.bad_links = 0
        self.seeds: list[Entry] = []
        self.redirected_to: dict[bytes, Entry] = {}
        self.requests = 0  # attempts sent
        self.bytes = 0
        self.faults: Counter[tuple[str, str]] = Counter()  # (plugin, "hook: message") -> pages or items
        self.plugin_seconds: Counter[str] = Counter()
        self.missing: Counter[str] = Counter()
        self.stopped: str | None = None  # why the run stopped early
        self.error: PluginError | None = None

    # --- the way in --------------------------------------------------------------------------------------------------

    def add_seed(self, request: Request) -> None:
        """Put a start request, its page rule resolved, into the frontier. `request.seed` marks a config's own seeds."""
        mark = identity(request)
        self.frontier.add(request, mark)
        self.seeds.append(self.frontier.entries[mark])

    def run(self) -> None:
        """Drive the loop until the crawl is over."""
        if self._limits.time is not None:
            self.loop.call_later(self._limits.time, lambda: self.stop("time"))
        self.loop.run(self.tick)

    def stop(self, why: str) -> None:
        """Start nothing more, let running requests finish for `GRACE` seconds, then end; `why` goes into the report."""
        if self.stopped is None:
            self.stopped = why
            self.loop.call_later(GRACE, self._give_up)

    def _give_up(self) -> None:
        self.fetcher.abort()
        self.loop.stop()

    # --- one turn ----------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """The whole crawler, once per turn of the loop, before it polls."""
        self._take_fetched()
        self._take_parsed()
        self._start_fetches()
        self._set_timer()
        if self._idle():
            self.loop.stop()

    def _idle(self) -> bool:
        if self._fetching or self.pool.busy or self.pool.done:
            return False
        return self.stopped is not None or not self.frontier.pending

    def _take_fetched(self) -> None:
        done = self.fetcher.done
        while done:
            outcome = done.popleft()
            entry = self._fetching.pop(id(outcome.request))
            decision = decide(outcome)
            if isinstance(outcome, Response):
                self._count_bytes(outcome)
            if self._retry.wants(decision, entry.attempts):
                wait = self._retry.wait(entry.attempts, self._random.random)
                self.frontier.retry(entry, self.loop.now + wait)
            elif isinstance(outcome, Failure) or decision.next is Next.END:
                self._finish(entry, decision.fate, decision.detail, outcome)
            elif decision.next is Next.REDIRECT:
                self._follow_redirect(entry, outcome, decision)
            else:
                self._parse(entry, outcome)

    def _count_bytes(self, response: Response) -> None:
        self.bytes += len(response.body)
        if self._limits.bytes is not None and self.bytes > self._limits.bytes:
            self.stop("bytes")

    def _finish(self, entry: Entry, fate: str, detail: str, outcome: Response | Failure) -> None:
        status = outcome.status if isinstance(outcome, Response) else None
        self.frontier.finish(entry, fate, detail=detail, status=status)
        log.debug("%s %s %s", fate, entry.request.url, detail)

    # --- pages -------------------------------------------------------------------------------------------------------

    def _parse(self, entry: Entry, response: Response) -> None:
        request = entry.request
        assert request.page is not None, "a request without a page rule was fetched"
        job = PageJob(
            url=request.url,
            status=response.status,
            headers=response.headers,
            body=response.body,
            rule=request.page,
            carry=request.carry,
            depth=request.depth,
        )
        self.pool.submit((entry, response.status), job)

    def _take_parsed(self) -> None:
        done = self.pool.done
        while done:
            (entry, status), result = done.popleft()
            self._charge(result)
            fate, detail = page_fate(result)
            self.frontier.finish(entry, fate, detail=detail, status=status)
            if fate != "fetched":
                continue
            self.open_run.add(entry.request, status, result)
            self.missing.update(result.missing)
            for new in result.requests:
                self._add_link(entry, new)
            self._count_links(result)

    def _charge(self, result: PageResult) -> None:
        self.plugin_seconds.update(result.seconds)
        faults = [*(letter.fault for letter in result.dead), *([result.fault] if result.fault else [])]
        for fault in faults:
            if fault.fate != "failed:plugin":
                continue  # the page is to blame, not the plugin
            self.faults[fault.plugin, f"{fault.hook}: {fault.message}"] += 1
            log.warning("plugin %s, hook %s: %s", fault.plugin, fault.hook, fault.message)
            if self._strict and self.error is None:
                self.error = PluginError(fault.plugin, fault.hook, fault.message)
                self.stop("plugin error (--strict)")

    def _add_link(self, parent: Entry, new: NewRequest) -> None:
        new.request.depth = parent.request.depth + 1  # as it is now: a shorter path may have been found meanwhile
        added = self.frontier.add(new.request, new.fingerprint, parent=parent)
        found, fresh, duplicate = self.links
        self.links = Links(found + 1, fresh + added, duplicate + (not added))

    def _count_links(self, result: PageResult) -> None:
        again = result.links_found - len(result.requests)  # equal links on one page came back once
        found, fresh, duplicate = self.links
        self.links = Links(found + again, fresh, duplicate + again)
        self.bad_links += result.bad_links

    # --- redirects ---------------------------------------------------------------------------------------------------

    def _follow_redirect(self, entry: Entry, response: Response, decision: Decision) -> None:
        request = entry.request
        target = redirect(request, response.status, response.header("location") or "")
        problem = self._redirect_problem(request, target)
        if target is None or problem:
            self._finish(entry, f"failed:http_{response.status}", problem, response)
            return
        self._finish(entry, decision.fate, f"to {target.url}", response)
        if request.seed and not request.hops:
            self.scope.adopt(host_of(target.url))
        mark = identity(target)
        added = self.frontier.add(target, mark, parent=entry)
        self.redirected_to[entry.fingerprint] = self.frontier.entries[mark]
        found, fresh, duplicate = self.redirects
        self.redirects = Links(found + 1, fresh + added, duplicate + (not added))

    def _redirect_problem(self, request: Request, target: Request | None) -> str:
        if target is None:
            return "redirect to something that is no URL"
        if len(target.hops) > self._max_redirects:
            return f"more than {self._max_redirects} redirects"
        if target.url in target.hops and target.method == request.method:
            return f"redirect loop through {target.url}"
        return ""

    # --- starting ----------------------------------------------------------------------------------------------------

    def _start_fetches(self) -> None:
        frontier = self.frontier
        if self._cap_reached():
            if not frontier.active:
                frontier.reject_pending("rejected:limit", f"limits.pages {self._limits.pages} is reached")
            return
        now = self.loop.now
        while self._room():
            entry = frontier.next(now)
            if entry is None:
                return
            self._start(entry)

    def _room(self) -> bool:
        return (
            self.stopped is None
            and self.fetcher.room > 0
            and self.pool.waiting_bytes < WAITING_BYTES
            and not self._cap_reached()
        )

    def _cap_reached(self) -> bool:
        most = self._limits.pages
        return most is not None and self.frontier.fates["fetched"] + self.frontier.active >= most

    def _start(self, entry: Entry) -> None:
        try:
            request = self._prepare(entry.request)
        except PluginError as error:
            self.frontier.finish(entry, "failed:plugin", detail=str(error))
            return
        self._fetching[id(request)] = entry
        self.requests += 1
        self.fetcher.start(request)

    def _set_timer(self) -> None:
        when = self.frontier.next_time() if self._room() else None
        if self._wake is not None:
            if when is not None and self._wake.when == when:
                return
            self._wake.cancel()
            self._wake = None
        if when is not None:
            self._wake = self.loop.call_at(when, _nothing)


def _nothing() -> None:
    """The frontier's timer only ends the poll; `tick` does the work."""


def identity(request: Request) -> bytes:
    """The fingerprint of a request whose page rule is resolved."""
    return fingerprint(request.method, request.url, request.body, request.page, request.carry)


def page_fate(result: PageResult) -> tuple[str, str]:
    """(fate, detail) of a page that was fetched and parsed (spec, sections 3 and 4)."""
    if result.fault is not None:
        fault = result.fault
        return fault.fate, f"{fault.plugin}.{fault.hook}: {fault.message}".lstrip(".")
    if result.verdict == "soft_404":
        return "gone", "soft 404"
    if result.verdict in ("blocked", "login"):
        return "failed:blocked", result.verdict
    return "fetched", ""
