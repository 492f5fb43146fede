"""The crawl: one `tick` per turn of the loop.

The engine joins rooms that do not know each other: frontier, fetcher, page pool and open run. It is told nothing of the
config: `run.build` hands it ready-made objects and numbers. Every layer below puts finished things into a queue, and
`tick`, run before each poll, drains the queues; so no callback ever starts a fetch in the middle of another's work.

`tick` in six sentences: take fetch outcomes; take page results; give the state what is ripe; start fetches while there
is room; set one timer for the next time at which something may start; when nothing is left, stop the loop.

*Room* is the only back-pressure: free connections, few enough body bytes waiting for parse, few enough results not yet
committed, and no cap reached. Because nothing upstream starts, nothing downstream can grow without bound.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from pipeline.crawl.frontier import Entry, Frontier
from pipeline.crawl.scope import Refusal
from pipeline.crawl.traps import Traps
from pipeline.errors import HooklineError, PluginError, WorkersError
from pipeline.failpoints import hit
from pipeline.fetch.fetcher import Fetcher
from pipeline.fetch.loop import Loop, Timer
from pipeline.model import Failure, PackedPage, PageJob, Request, Response
from pipeline.packing import MARK, unpack_some
from pipeline.runner.books import Books
from pipeline.runner.breakers import Breakers
from pipeline.runner.budget import Budget, Limits
from pipeline.runner.credentials import Credentials
from pipeline.runner.fetchers import OwnFetchers
from pipeline.runner.memory import resident
from pipeline.runner.outcome import Next, RetryPolicy, decide, page_fate
from pipeline.runner.politeness import HostManners
from pipeline.runner.recorder import Recorder
from pipeline.runner.redirects import Redirector
from pipeline.runner.revisits import Revisits
from pipeline.runner.robots_gate import MOST_TEXT, RobotsGate, State
from pipeline.runner.sources import KEEP, Sources
from pipeline.url import host_of, identity
from pipeline.workers.inline import Pool

GRACE = 7.5  # seconds that running requests are given when a run stops: eight with the last commit
WAITING_BYTES = 64 * 1024 * 1024  # bodies fetched but not parsed, before fetching pauses
NOT_MODIFIED = 304
UNCOMMITTED = 500  # pages that a kill may cost besides those under way (spec, section 3, contract 1)

log = logging.getLogger("hookline.engine")


class Flight(NamedTuple):
    """A request on its way: its entry, a hash of the cookies that went with it, and whether validators did."""

    entry: Entry
    cookies: bytes
    conditional: bool


class Engine:
    """One crawl. `run()` returns when nothing is left or the run was stopped; then read the counters."""

    def __init__(
        self,
        *,
        loop: Loop,
        fetcher: Fetcher,
        frontier: Frontier,
        robots: RobotsGate,
        sources: Sources,
        manners: HostManners,
        breakers: Breakers,
        credentials: Credentials,
        redirector: Redirector,
        traps: Traps,
        pool: Pool,
        recorder: Recorder,
        revisits: Revisits | None = None,
        prepare: Callable[[Request], Request],
        retry: RetryPolicy,
        limits: Limits,
        strict: bool = False,
        random: Random | None = None,
        own: OwnFetchers | None = None,
    ) -> None:
        self.loop = loop
        self.fetcher = fetcher
        self.frontier = frontier
        self.robots = robots
        self._sources = sources
        self.redirector = redirector
        self.pool = pool
        self.own = own  # fetchers of plugins, where page rules name some
        self.recorder = recorder
        self.revisits = revisits
        self.books: Books = recorder.books
        self._robots_before, self._bytes_before = self.books.robots_requests, self.books.bytes
        self._manners = manners
        self._breakers = breakers
        self._traps = traps
        self._credentials = credentials
        self._prepare = prepare
        self._retry = retry
        self._limits = limits
        self._budget = Budget(self.books, limits, strict=strict)
        self._random = random or Random()
        self._fetching: dict[int, Flight] = {}  # by the id of the request in flight
        self._wake: Timer | None = None
        self.stopped: str | None = None  # why the run stopped early
        self.error: HooklineError | None = None

    # --- the way in --------------------------------------------------------------------------------------------------

    def add_seed(self, request: Request) -> None:
        """Put a start request, its page rule resolved, into the frontier. `request.seed` marks a config's own seeds."""
        new = self.frontier.add(request, identity(request))
        if request.source is None:
            self.books.seeds += new
        else:
            self.books.sources.count(new)

    def run(self) -> None:
        """Drive the loop until the crawl is over."""
        if self._limits.time is not None:
            self.loop.call_later(self._limits.time, lambda: self.stop("time"))
        self.pool.start(at_once=self.revisits is None)  # else it may well be that nothing is to be parsed
        self.loop.run(self.tick)

    def watch_memory(self, most: int | None) -> None:
        """Stop the run, once a second, if the process and its workers have more than `most` bytes."""
        if most is None:
            return
        now = resident()
        if now is not None and (now := now + self.pool.memory()) > most:
            self.stop(f"memory: {now >> 20} MiB of {most >> 20} MiB are in use")
        else:
            self.loop.call_later(1.0, lambda: self.watch_memory(most))

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
        if self._sources.step():
            self.recorder.flush()  # else all that a sitemap names would be handed to the state in one turn
        self._record()
        self._start_fetches()
        self._set_timer()
        if self._idle():
            self.loop.stop()

    def _record(self) -> None:
        """Let the state take what is ripe; if it cannot, nothing that happens from now on could be kept."""
        self.books.robots_requests = self._robots_before + self.robots.requests
        unsettled = self.revisits.unsettled if self.revisits is not None else 0
        self.recorder.tick(self.loop.now, len(self._fetching) + self.pool.busy + self._sources.busy + unsettled)
        broken = self.recorder.error or self.pool.error or (self.own.pool.error if self.own else None)
        if broken is not None and self.error is None:
            self.error = broken
            self.stopped = self.stopped or ("no workers" if isinstance(broken, WorkersError) else "error")
            self._give_up()

    def _idle(self) -> bool:
        if self._fetching or self.pool.busy or self.pool.done or self.fetcher.done:
            return False
        if self.revisits is not None and self.revisits.reading:
            return False
        return self.stopped is not None or not (self.frontier.pending or self.frontier.active)

    def _take_fetched(self) -> None:
        done = self.fetcher.done
        if self.own is not None:
            for outcome, charge in self.own.take():
                self._charge(self._budget.charge(charge, outcome.request.url))
                done.append(outcome)
        while done:
            outcome = done.popleft()
            flight = self._fetching.pop(id(outcome.request), None)
            if self._breakers.took_outage(outcome, flight and flight.entry, self.loop.now):
                self.robots.put_back(outcome, self.loop.now)
            elif flight is None:
                self.robots.take(outcome, self.loop.now)
            else:
                self._take_outcome(flight, outcome)
        self._manners.took_robots(self.robots.delays)
        while self.robots.released:
            self.frontier.put_back(self.robots.released.popleft(), self.loop.now)

    def _take_outcome(self, flight: Flight, outcome: Response | Failure) -> None:
        """Decide what one attempt came to: again, elsewhere, over, or on to parse."""
        entry = flight.entry
        decision = decide(outcome)
        if isinstance(outcome, Response) and self._was_told_to_wait(entry, outcome):
            return
        if self._breakers.took_host(entry, outcome, decision.detail, self.loop.now):
            return
        if flight.conditional and isinstance(outcome, Response) and outcome.status == NOT_MODIFIED:
            assert self.revisits is not None
            self.revisits.is_unchanged(entry, outcome)
        elif isinstance(outcome, Failure) and outcome.error.reason == "no_socket" and self.fetcher.concurrency > 1:
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
        self.books.bytes += len(response.body)
        if self._limits.bytes is not None and self.books.bytes - self._bytes_before > self._limits.bytes:
            self.stop("bytes")
        return self._manners.took(entry, response, self.loop.now)

    # --- pages -------------------------------------------------------------------------------------------------------

    def _parse(self, flight: Flight, response: Response) -> None:
        request = flight.entry.request
        assert request.page is not None or request.source is not None, "a request without a page rule was fetched"
        job = PageJob(
            url=request.url,
            status=response.status,
            headers=response.headers,
            body=response.body,
            rule=request.page or "",
            carry=request.carry,
            source=request.source,
        )
        hit("before_parse")
        self.pool.submit((flight, response), job)

    def _take_parsed(self) -> None:
        done = self.pool.done
        while done:
            (flight, response), page = done.popleft()
            hit("after_parse")
            self._charge(self._budget.charge(page, flight.entry.request.url))
            fate, detail = page_fate(page)
            if fate == "fetched" and page.refresh is not None:
                self.redirector.follow(flight.entry, 302, page.refresh, flight.cookies, self.loop.now)
                continue
            if fate == "fetched" and flight.entry.request.source is not None:
                self._sources.take(flight.entry, response, page)
                continue
            self.frontier.finish(flight.entry, fate, detail=detail, status=response.status)
            if fate == "fetched":
                self.recorder.keep(flight.entry, response, page)
                self._follow(flight.entry, page, response.body)

    def _charge(self, error: PluginError | None) -> None:
        """End the run if a plugin may not go on."""
        if error is not None and self.error is None:
            self.error = error
            self.stop(self._budget.why)

    def _follow(self, entry: Entry, page: PackedPage, body: bytes) -> None:
        """Give the frontier the links of a page. Most are known, and those are never unpacked."""
        frontier = self.frontier
        wanted = range(len(page.marks) // MARK) if frontier.track_depth else frontier.unknown(page.marks)
        links = unpack_some(page, wanted) if wanted else []
        fresh = [request for request, mark in links if not frontier.track_depth or frontier.known(mark) is None]
        refusal = self._traps.read(entry.request, body, items=page.extracted > 0, links=fresh) if fresh else None
        new = lists = 0
        for request, mark in links:
            request.depth = entry.request.depth + 1  # as it is now: a shorter path may have been found meanwhile
            request.parent = entry.request.url
            is_new = frontier.add(request, mark, entry, refusal)
            if request.source is None:
                new += is_new
            else:
                lists += 1
                self.books.sources.count(is_new)
        self.books.take_links(page.links_found - lists, new, page.bad_links)

    # --- starting ----------------------------------------------------------------------------------------------------

    def _start_fetches(self) -> None:
        frontier, now, revisits = self.frontier, self.loop.now, self.revisits
        while self.stopped is None and revisits is not None and revisits.known:
            self._start(revisits.known.popleft())
        self._breakers.tick(now)
        if self._breakers.is_lasting(now):
            self.stop("DNS or the network is out")
        self._ask_robots()
        if self._cap_reached() and not frontier.active:
            frontier.reject_pending("rejected:limit", f"limits.pages {self._limits.pages} is reached")
        while self._room() and (entry := frontier.next(now)) is not None:
            self._start(entry)
        if revisits is not None:
            revisits.ask()

    def _may_start(self) -> bool:
        return self.stopped is None and self._breakers.may_start(self.loop.now)

    def _ask_robots(self) -> None:
        while self._may_start() and self.fetcher.room > 0 and (request := self.robots.next(self.loop.now)) is not None:
            self._manners.asked_beside(host_of(request.url), self.loop.now)
            self._breakers.started(self.loop.now)
            self.fetcher.start(request, keep=MOST_TEXT + 1)

    def _room(self) -> bool:
        connections = self.fetcher.room - (0 if self.own is None else self.own.pool.busy)
        return (
            self._may_start()
            and (connections > 0 if self.revisits is None else self.revisits.room(connections))
            and self.pool.waiting_bytes < WAITING_BYTES
            and self.recorder.uncommitted < self.fetcher.concurrency + UNCOMMITTED
            and not self._cap_reached()
        )

    def _cap_reached(self) -> bool:
        most, fates = self._limits.pages, self.frontier.fates
        if most is None:
            return False
        pages = fates["fetched"] + fates["not_modified"] - self.books.sources_fetched
        return pages + self.frontier.active >= max(most, self.books.owed)

    def _start(self, entry: Entry) -> None:
        """Ask for a page, if it is due and robots.txt lets us; until that is known the entry keeps its place at its
        host.
        """
        if self.revisits is not None and not self.revisits.judge(entry):
            return
        url = entry.request.url
        allowed = self.robots.judge(url)
        if isinstance(allowed, Refusal):
            self.frontier.set_aside(entry, asked=False)
            self.books.unseen += not allowed.by_rule
            self.frontier.finish(entry, allowed.fate, detail=allowed.detail)
        elif allowed is State.UNKNOWN:
            self.robots.hold(entry, self.loop.now)
            self._ask_robots()
        else:
            self._send(entry)

    def _send(self, entry: Entry) -> None:
        try:
            request = self._prepare(entry.request)
        except PluginError as error:
            self._charge(self._budget.charge_request(error))
            self.frontier.finish(entry, "failed:plugin", detail=str(error))
            return
        conditional = self.revisits is not None and self.revisits.ask_with(entry, request)
        self._credentials.put_on(request)
        self._fetching[id(request)] = Flight(entry, self._credentials.signature(request.url), conditional)
        self._breakers.started(self.loop.now)
        self.books.requests += 1
        self.books.source_requests += request.source is not None
        if self.own is not None and self.own.wants(request):
            self.own.start(request)
        else:
            self.fetcher.start(request, keep=KEEP if request.source is not None else None)

    def _set_timer(self) -> None:
        """One timer for the next moment at which something may start."""
        times = [self.recorder.next_time(), self._breakers.next_time(self.loop.now)]
        if self.own is not None and self.own.pool.done:  # brought at once, in this very process
            times.append(self.loop.now)
        if self._may_start() and self.fetcher.room > 0:  # else the end of another request gives room, and a turn
            times.append(self.robots.next_time())
        if self.stopped is None:
            times.append(self.loop.now if self._sources.busy else None)
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
