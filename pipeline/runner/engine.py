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
from pipeline.errors import PluginError
from pipeline.fetch.fetcher import Fetcher
from pipeline.fetch.loop import Loop, Timer
from pipeline.model import Failure, NewRequest, PageJob, PageResult, Request, Response
from pipeline.runner.credentials import Credentials
from pipeline.runner.openrun import OpenRun
from pipeline.runner.outcome import Next, RetryPolicy, decide
from pipeline.runner.politeness import Advice, HostManners
from pipeline.runner.redirects import Redirector, identity
from pipeline.runner.robots_gate import MOST_TEXT, Refusal, RobotsGate, State
from pipeline.runner.summary import LinkCounts
from pipeline.workers.pool import InlinePool

GRACE = 8.0  # seconds that a stopping run lets its running requests finish; below Docker's ten
WAITING_BYTES = 64 * 1024 * 1024  # bodies fetched but not parsed, before fetching pauses

log = logging.getLogger("hookline.engine")


class Limits(NamedTuple):
    """Caps of a run: pages fetched, seconds, bytes received. None means no cap."""

    pages: int | None = None
    time: float | None = None
    bytes: int | None = None


class Flight(NamedTuple):
    """A request on its way: its entry, and a hash of the cookies that went with it."""

    entry: Entry
    cookies: bytes


class Engine:
    """One crawl. `run()` returns when nothing is left or the run was stopped; then read the counters."""

    def __init__(
        self,
        *,
        loop: Loop,
        fetcher: Fetcher,
        frontier: Frontier,
        robots: RobotsGate,
        manners: HostManners,
        credentials: Credentials,
        redirector: Redirector,
        pool: InlinePool,
        open_run: OpenRun,
        prepare: Callable[[Request], Request],
        retry: RetryPolicy,
        limits: Limits,
        strict: bool = False,
        random: Random | None = None,
    ) -> None:
        self.loop = loop
        self.fetcher = fetcher
        self.frontier = frontier
        self.robots = robots
        self.redirector = redirector
        self.pool = pool
        self.open_run = open_run
        self._manners = manners
        self._credentials = credentials
        self._prepare = prepare
        self._retry = retry
        self._limits = limits
        self._strict = strict
        self._random = random or Random()
        self._fetching: dict[int, Flight] = {}  # by the id of the request in flight
        self._wake: Timer | None = None
        self.links = LinkCounts()
        self.bad_links = 0
        self.seeds: list[Entry] = []
        self.new_seeds = 0  # distinct ones
        self.requests = 0  # attempts sent, those for robots.txt apart
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
        self.new_seeds += self.frontier.add(request, mark)
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
        if self._fetching or self.pool.busy or self.pool.done or self.fetcher.done:
            return False
        return self.stopped is not None or not (self.frontier.pending or self.frontier.active)

    def _take_fetched(self) -> None:
        done = self.fetcher.done
        while done:
            outcome = done.popleft()
            if not self.robots.take(outcome, self.loop.now):
                self._take_outcome(self._fetching.pop(id(outcome.request)), outcome)
        while self.robots.delays:
            self._manners.slow_down(*self.robots.delays.popleft())
        while self.robots.released:
            self.frontier.put_back(self.robots.released.popleft(), self.loop.now)

    def _take_outcome(self, flight: Flight, outcome: Response | Failure) -> None:
        """Decide what one attempt came to: again, elsewhere, over, or on to parse."""
        entry = flight.entry
        decision = decide(outcome)
        if isinstance(outcome, Response) and self._was_told_to_wait(entry, outcome):
            return
        if isinstance(outcome, Failure) and outcome.error.reason == "no_socket" and self.fetcher.concurrency > 1:
            # The system has no descriptor left, which says nothing about the site: fewer connections, no attempt used.
            self.fetcher.concurrency = max(1, self.fetcher.active)
            self.frontier.put_back(entry, self.loop.now + 1.0)
        elif self._retry.wants(decision, entry.attempts):
            self.frontier.retry(entry, self.loop.now + self._retry.wait(entry.attempts, self._random.random))
        elif isinstance(outcome, Failure):
            self.frontier.finish(entry, decision.fate, detail=decision.detail)
        elif decision.next is Next.END:
            self.frontier.finish(entry, decision.fate, detail=decision.detail, status=outcome.status)
        elif decision.next is Next.REDIRECT:
            location = outcome.header("location") or ""
            self.redirector.follow(entry, outcome.status, location, flight.cookies, self.loop.now)
        else:
            self._parse(flight, outcome)

    def _was_told_to_wait(self, entry: Entry, response: Response) -> bool:
        """Take what an answer says beside its body; True if the request waits or is left to the next run."""
        self._credentials.take(response)
        self.bytes += len(response.body)
        if self._limits.bytes is not None and self.bytes > self._limits.bytes:
            self.stop("bytes")
        advice = self._manners.answered(entry, response, self.loop.now)
        if advice is Advice.ASK_AGAIN:
            self.frontier.put_back(entry, self.loop.now)
        elif advice is Advice.DEFER:
            detail = f"HTTP {response.status}; the host asks to wait longer than fetch.retry_after.max"
            self.frontier.finish(entry, "deferred:retry_after", detail=detail, status=response.status)
            assert entry.host is not None
            self.frontier.end_host(entry.host.name, "deferred:retry_after", detail)
        return advice is not Advice.GO_ON

    # --- pages -------------------------------------------------------------------------------------------------------

    def _parse(self, flight: Flight, response: Response) -> None:
        request = flight.entry.request
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
        self.pool.submit((flight, response.status), job)

    def _take_parsed(self) -> None:
        done = self.pool.done
        while done:
            (flight, status), result = done.popleft()
            self._charge(result)
            fate, detail = page_fate(result)
            if fate == "fetched" and result.refresh is not None:
                self.redirector.follow(flight.entry, 302, result.refresh, flight.cookies, self.loop.now)
                continue
            self.frontier.finish(flight.entry, fate, detail=detail, status=status)
            if fate == "fetched":
                self._keep(flight.entry, status, result)

    def _keep(self, entry: Entry, status: int, result: PageResult) -> None:
        self.open_run.add(entry.request, status, result)
        self.missing.update(result.missing)
        for new in result.requests:
            self._add_link(entry, new)
        again = result.links_found - len(result.requests)  # equal links on one page came back once
        self.links.found += again
        self.links.duplicate += again
        self.bad_links += result.bad_links

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
        self.links.found += 1
        self.links.new += added
        self.links.duplicate += not added

    # --- starting ----------------------------------------------------------------------------------------------------

    def _start_fetches(self) -> None:
        frontier, now = self.frontier, self.loop.now
        while self.stopped is None and (request := self.robots.next(now)) is not None:
            self.fetcher.start(request, keep=MOST_TEXT + 1)
        if self._cap_reached() and not frontier.active:
            frontier.reject_pending("rejected:limit", f"limits.pages {self._limits.pages} is reached")
        while self._room() and (entry := frontier.next(now)) is not None:
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
        """Ask for a page, if robots.txt lets us; until that is known the entry keeps its place at its host."""
        url = entry.request.url
        allowed = self.robots.judge(url)
        if isinstance(allowed, Refusal):
            self.frontier.finish(entry, allowed.fate, detail=allowed.detail)
        elif allowed is State.UNKNOWN:
            self.robots.hold(entry, self.loop.now)
            if (request := self.robots.next(self.loop.now)) is not None:
                self.fetcher.start(request, keep=MOST_TEXT + 1)
        else:
            self._send(entry)

    def _send(self, entry: Entry) -> None:
        try:
            request = self._prepare(entry.request)
        except PluginError as error:
            self.frontier.finish(entry, "failed:plugin", detail=str(error))
            return
        self._credentials.put_on(request)
        self._fetching[id(request)] = Flight(entry, self._credentials.signature(request.url))
        self.requests += 1
        self.fetcher.start(request)

    def _set_timer(self) -> None:
        """One timer for the next moment at which something may start."""
        times = [self.robots.next_time()] if self.stopped is None else []
        if self._room():
            times.append(self.frontier.next_time())
        when = min((time for time in times if time is not None), default=None)
        if self._wake is not None:
            if when is not None and self._wake.when == when:
                return
            self._wake.cancel()
            self._wake = None
        if when is not None:
            self._wake = self.loop.call_at(when, _nothing)


def _nothing() -> None:
    """The frontier's timer only ends the poll; `tick` does the work."""


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
