"""The robots gate: no page of an origin is asked for before its robots.txt has been (RFC 9309).

It is pure: time comes in as `now`, requests go out by `next`, outcomes come in by `take`, and entries that were held
come out in `released`, to be queued again. What an outcome means:

    2xx                              its rules, of the first 512 KiB; they are kept for the runs to come
    304                              the rules that are kept
    4xx but 429, too many redirects  there are no rules: everything is allowed
    5xx, a broken answer             tried again as any request, then the rules that are kept, unless older than 30
                                     days; where there are none, nothing is allowed: `rejected:robots`
    429, 503 with Retry-After        the host is paused, as by a page. No attempt is used unless rules are kept; once
                                     it is left to the next run, its pages are `deferred:retry_after`
    dns, connect, tls                as before; where no rules are kept, the pages' fate is the same, since they cannot
                                     be had either, and nothing is asked
    refused by policy                the page's own request says why; where a redirect led to it, or to nothing that
                                     could be asked for: as a broken answer, but at once

Each run asks anew, with the validators of the copy that it has: so a copy is never used for more than a run while the
server answers (RFC 9309, 2.4: at most 24 hours), and a change counts from the next run on.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple, Protocol

from pipeline.crawl.frontier import Entry
from pipeline.crawl.redirect import REDIRECTS, redirect
from pipeline.crawl.robots import Robots
from pipeline.crawl.robots_shelf import Shelf
from pipeline.crawl.scope import Refusal
from pipeline.errors import FetchError, PolicyError
from pipeline.fetch.content import Decoder, content_codings
from pipeline.model import Failure, Request, Response
from pipeline.runner.outcome import Next, RetryPolicy, decide
from pipeline.runner.politeness import Advice
from pipeline.state.robots import Copy
from pipeline.url import Origin, host_of, origin_of

MOST_TEXT = 512 * 1024  # bytes of a robots.txt that are read; RFC 9309 asks for 500 KiB at least
MOST_DECODED = 32 * MOST_TEXT  # what one KiB of a packed file may swell to before it counts as broken
MOST_HOPS = 5  # redirects that are followed, RFC 9309, 2.3.1.2
MOST_AGE = 30 * 86400  # seconds for which a copy counts while the server gives no other (RFC 9309, 2.3.1.4)
MOST_NOTES = 10
UNREACHABLE = ("failed:dns", "failed:connect", "failed:tls")


class RobotsRules(NamedTuple):
    """`fetch.robots`: whether to obey, and up to which Crawl-delay (None: Crawl-delay is not kept to)."""

    obey: bool = True
    max_crawl_delay: float | None = 60.0


class State(Enum):
    """What is known of an origin's robots.txt."""

    UNKNOWN = "unknown"
    ALLOWED = "allowed"


class _Origin:
    """An origin of which nothing is known yet, and the entries that wait for that."""

    __slots__ = ("attempts", "copy", "has_turn", "held", "hops", "name")

    def __init__(self, origin: Origin) -> None:
        self.name = origin
        self.copy: Copy | None = None
        self.held: list[Entry] = []
        self.attempts = 0
        self.hops = 0
        self.has_turn = True  # the first request takes the turn of the page that was held for it

    @property
    def root(self) -> str:
        """Scheme, host and port as the beginning of a URL."""
        return self.name.root

    @property
    def url(self) -> str:
        """Of its robots.txt."""
        return f"{self.name.root}robots.txt"


class Memory(Protocol):
    """Where copies are kept between runs."""

    def recall(self, origin: str, then: Callable[[Copy | None], None]) -> None: ...
    def keep_robots(self, origin: str, copy: Copy | None) -> None: ...


class RobotsGate:
    """Decides for every page whether robots.txt allows it, fetching robots.txt first. `agent` is the User-Agent, `wall`
    a clock of seconds since 1970; without `memory` no copies are kept. `notes` say which copies had to be used.
    `free_at` says when a host may be asked next: what is asked again, or elsewhere, waits its turn as pages do. `heard`
    is told what a host answers, and says whether it is to be left alone, for now or for this run.
    """

    def __init__(
        self,
        rules: RobotsRules,
        *,
        agent: str,
        retry: RetryPolicy,
        rng: Callable[[], float],
        wall: Callable[[], float] = lambda: 0.0,
        memory: Memory | None = None,
        free_at: Callable[[str], float] = lambda host: 0.0,
        heard: Callable[[str, Response, float], Advice] = lambda host, response, now: Advice.GO_ON,
    ) -> None:
        self._rules = rules
        self._free_at = free_at
        self._heard = heard
        self._agent = agent
        self._shelf = Shelf(agent)
        self._retry = retry
        self._rng = rng
        self._wall = wall
        self._memory = memory
        self.notes: list[str] = []
        self._origins: dict[Origin, _Origin] = {}  # those that are asked
        self._asked: dict[int, tuple[_Origin, Request]] = {}  # id of a request in flight -> whose it is
        self._due: list[tuple[float, int, _Origin, Request]] = []
        self._tie = count()
        self.released: deque[Entry] = deque()
        self.delays: deque[tuple[str, float]] = deque()  # (host, its Crawl-delay in seconds) as they become known
        self.requests = 0

    @property
    def busy(self) -> bool:
        """True while a robots.txt is under way or due."""
        return bool(self._asked or self._due or self.released)

    def judge(self, url: str) -> Refusal | State:
        """May this page be asked for? UNKNOWN: hold the entry, and it comes back in `released`."""
        if not self._rules.obey:
            return State.ALLOWED
        origin = origin_of(url)
        if origin not in self._shelf:
            return State.UNKNOWN
        said = self._shelf[origin]
        if isinstance(said, Refusal):
            return said
        if said is None or said.allows(url, self._agent):
            return State.ALLOWED
        verdict = said.explain(url, self._agent)
        return Refusal("rejected:robots", f"{origin.root}robots.txt line {verdict.line}: {verdict.rule}")

    def hold(self, entry: Entry, now: float) -> None:
        """Keep an entry until the robots.txt of its origin is known; the first one has it asked for."""
        name = origin_of(entry.request.url)
        assert name not in self._shelf, "an entry is held though its robots.txt is known"
        origin = self._origins.get(name)
        if origin is None:
            if entry.host is not None:  # the same text once: there may be very many hosts
                name = name._replace(host=entry.host.name)
            origin = self._origins[name] = _Origin(name)
            if self._memory is None:
                self._ask(origin, Request(origin.url), now)
            else:
                self._memory.recall(origin.root, partial(self._remember, origin))
        origin.held.append(entry)

    def _remember(self, origin: _Origin, copy: Copy | None) -> None:
        """There is a copy, or none: now the server is asked."""
        request = Request(origin.url)
        origin.copy = copy
        if copy is not None and copy.etag:
            request.headers["If-None-Match"] = copy.etag
        if copy is not None and copy.last_modified:
            request.headers["If-Modified-Since"] = copy.last_modified
        self._ask(origin, request, 0.0)

    def next(self, now: float) -> Request | None:
        """A robots.txt to ask for now, or None."""
        while self._due and self._due[0][0] <= now:
            _, _, origin, request = heappop(self._due)
            free = 0.0 if origin.has_turn else self._free_at(host_of(request.url))
            if free > now:
                self._ask(origin, request, free)
                continue
            origin.has_turn = False
            origin.attempts += 1
            self.requests += 1
            self._asked[id(request)] = origin, request
            return request
        return None

    def next_time(self) -> float | None:
        """When `next` will have something; None if nothing is due."""
        return self._due[0][0] if self._due else None

    def take(self, outcome: Response | Failure, now: float) -> bool:
        """Take the outcome if it is that of a robots.txt."""
        found = self._asked.pop(id(outcome.request), None)
        if found is None:
            return False
        origin, request = found
        decision = decide(outcome)
        if isinstance(outcome, Failure):
            self._failed(origin, request, outcome.error, now)
        elif (advice := self._heard(host_of(request.url), outcome, now)) is not Advice.GO_ON:
            self._wait_or_leave(origin, request, outcome.status, advice, now)
        elif decision.next is Next.REDIRECT:
            self._redirected(origin, redirect(request, outcome.status, outcome.header("location") or ""), now)
        elif outcome.status in REDIRECTS:
            self._deny(origin, f"answered {decision.detail}")
        elif decision.next is Next.PARSE:
            self._learn(origin, outcome)
        elif outcome.status == 304 and origin.copy is not None:
            self._keep(origin, origin.copy._replace(checked=int(self._wall())))
            self._settle(origin, rules=Robots(origin.copy.text))
        elif outcome.status >= 500 or outcome.status == 429:
            self._deny_later(origin, request, outcome.status, now)
        else:
            self._keep(origin, None)
            self._settle(origin)
        return True

    def put_back(self, outcome: Response | Failure, due: float) -> bool:
        """Ask again, at no attempt, if the outcome is that of a robots.txt: neither it nor its host is to blame."""
        found = self._asked.pop(id(outcome.request), None)
        if found is None:
            return False
        origin, request = found
        origin.attempts -= 1
        self._ask(origin, request, due)
        return True

    # --- one robots.txt ----------------------------------------------------------------------------------------------

    def _ask(self, origin: _Origin, request: Request, due: float) -> None:
        heappush(self._due, (due, next(self._tie), origin, request))

    def _learn(self, origin: _Origin, response: Response) -> None:
        text = text_of(response)
        own = not origin.hops  # else the validators are those of another URL
        etag, modified = response.header("etag"), response.header("last-modified")
        self._keep(origin, Copy(int(self._wall()), etag if own else None, modified if own else None, text))
        self._settle(origin, rules=Robots(text))

    def _keep(self, origin: _Origin, copy: Copy | None) -> None:
        if self._memory is not None and (copy is not None or origin.copy is not None):
            self._memory.keep_robots(origin.root, copy)

    def _redirected(self, origin: _Origin, target: Request | None, now: float) -> None:
        origin.hops += 1
        if origin.hops > MOST_HOPS:
            self._settle(origin)
        elif target is None:
            self._deny(origin, "redirects to something that is no URL")
        else:
            origin.attempts = 0
            target.headers = {}
            self._ask(origin, target, now)

    def _failed(self, origin: _Origin, request: Request, error: FetchError, now: float) -> None:
        if isinstance(error, PolicyError):
            self.requests -= 1  # it was never sent
            if origin.hops:
                self._deny(origin, f"redirects to what may not be asked for ({error})")
            else:
                self._settle(origin)
        elif error.retry_word in self._retry.on and origin.attempts < self._retry.attempts:
            self._ask(origin, request, now + self._retry.wait(origin.attempts, self._rng))
        else:
            fate = error.fate if error.fate in UNREACHABLE else "rejected:robots"
            detail = f"{origin.url} could not be had: {error}"
            self._do_without(origin, Refusal(fate, detail, by_rule=False))

    def _wait_or_leave(self, origin: _Origin, request: Request, status: int, advice: Advice, now: float) -> None:
        """A host asked for quiet. To wait for it uses no attempt, except where there are rules to go by without it."""
        if advice is Advice.DEFER:
            detail = f"{origin.url} answered HTTP {status}; its host asks to wait longer than fetch.retry_after.max"
            self._do_without(origin, Refusal("deferred:retry_after", detail, by_rule=False))
        elif self._copy_of(origin) is None:
            origin.attempts -= 1
            self._ask(origin, request, now)
        else:
            self._deny_later(origin, request, status, now)

    def _deny_later(self, origin: _Origin, request: Request, status: int, now: float) -> None:
        """No rules, but perhaps later."""
        if origin.attempts < self._retry.attempts:
            self._ask(origin, request, now + self._retry.wait(origin.attempts, self._rng))
        else:
            self._deny(origin, f"answered HTTP {status}")

    def _deny(self, origin: _Origin, why: str) -> None:
        """No rules, and there will be none in this run."""
        detail = f"{origin.url} {why}, which forbids everything (RFC 9309, 2.3.1.4)"
        self._do_without(origin, Refusal("rejected:robots", detail, by_rule=False))

    def _copy_of(self, origin: _Origin) -> Copy | None:
        """The rules of before, if there are some and they are not too old."""
        copy = origin.copy
        return None if copy is None or self._wall() - copy.checked > MOST_AGE else copy

    def _do_without(self, origin: _Origin, refusal: Refusal) -> None:
        """The server gives no rules: those of before count."""
        copy = self._copy_of(origin)
        if copy is None:
            self._settle(origin, refusal=refusal)
            return
        if len(self.notes) < MOST_NOTES:
            date = datetime.fromtimestamp(copy.checked, UTC).isoformat(sep=" ", timespec="minutes")
            self.notes.append(f"{refusal.detail}; its copy of {date} is kept to")
        self._settle(origin, rules=Robots(copy.text))

    def _settle(self, origin: _Origin, *, rules: Robots | None = None, refusal: Refusal | None = None) -> None:
        if rules is not None:
            refusal = self._keep_delay(origin, rules)
        self._shelf.put(origin.name, refusal or rules)
        del self._origins[origin.name]
        self.released.extend(origin.held)

    def _keep_delay(self, origin: _Origin, rules: Robots) -> Refusal | None:
        """Tell of a Crawl-delay; one that is too long means: do not crawl."""
        most = self._rules.max_crawl_delay
        delay = rules.crawl_delay(self._agent)
        if delay is None or most is None:
            return None
        if delay <= most:
            self.delays.append((origin.name.host, delay))
            return None
        detail = f"{origin.url} asks for a Crawl-delay of {delay:g} s, more than fetch.robots.max_crawl_delay"
        return Refusal("rejected:robots", detail)


def text_of(response: Response) -> bytes:
    """The first `MOST_TEXT` bytes of a robots.txt, content coding undone; what cannot be decoded is left out."""
    text = bytearray()
    with contextlib.suppress(FetchError):  # broken from here on: what came before still counts
        decoder = Decoder(content_codings(response.headers), MOST_DECODED)
        for start in range(0, len(response.body), 1024):
            text += decoder.feed(response.body[start : start + 1024])
            if len(text) > MOST_TEXT:  # one byte more, by which the parser knows that the last line is cut
                break
    return bytes(text[: MOST_TEXT + 1])
