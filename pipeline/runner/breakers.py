"""The breakers of a run: which outcomes count as whose failure, and what becomes of the requests that met them.

The logic is that of `crawl.breaker`; here it is kept per host, fed with outcomes, and told to the frontier, which does
the waiting. Whether DNS and the network work is checked by asking DNS for something (`Line`); a run that has not
resolved any name yet, that knows addresses only, or goes through a proxy, has nothing to check with and probes by a
request.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from pipeline.crawl.breaker import HostBreaker, HostRules, Outage, OutageRules, Verdict
from pipeline.crawl.frontier import Entry, Frontier
from pipeline.errors import FetchError, PolicyError, ResolveError
from pipeline.model import Failure, Response
from pipeline.url import host_of

COUNTED = ("failed:dns", "failed:connect", "failed:tls", "failed:timeout", "failed:truncated")
SLACK = 1.0  # seconds by which a failed probe comes after others, so that the next probe is another URL


class Blame(Enum):
    """Whose fault a failure is."""

    NOBODY = auto()  # it is the request's own, or there was none
    HOST = auto()  # the host is left alone; the request waits with the others
    GIVEN_UP = auto()  # the host is given up for this run
    OUTAGE = auto()  # ours: DNS or the network; the request waits


class Line(Protocol):
    """What can tell whether DNS, and with it the network, works. The resolver of a run is one."""

    checked: deque[bool]

    def check(self) -> bool:
        """Begin a check unless one is under way, its result comes in `checked`; False if there is nothing to ask."""

    def renew(self) -> None:
        """Read the system's settings again if they have changed."""


class Breakers:
    """Per-host breakers of a run, and that over hosts. `tell` is told what a person should know of a host, or of the
    run (host ""), in words.
    """

    def __init__(
        self, frontier: Frontier, line: Line, *, hosts: HostRules, outage: OutageRules, tell: Callable[[str, str], None]
    ) -> None:
        self._frontier = frontier
        self._line = line
        self._rules = hosts
        self._outage = Outage(outage)
        self._tell = tell
        self._hosts: dict[str, HostBreaker] = {}  # of hosts that have failed since they last answered
        self._suspects: dict[int, tuple[Entry, int]] = {}  # what failed while a check was under way, and how often

    # --- the outage --------------------------------------------------------------------------------------------------

    @property
    def is_out(self) -> bool:
        """Whether nothing but a probe may be sent."""
        return self._outage.since is not None

    def took_outage(self, outcome: Response | Failure, entry: Entry | None, now: float) -> bool:
        """Take note of an attempt's outcome; True if an outage is to blame for it: then its page waits, at no attempt.
        `entry` None: it was a robots.txt, whose owner has to do the same.
        """
        blamed = self.blames_outage(outcome, entry, now)
        if blamed and entry is not None:
            self._frontier.put_back(entry, now)
        return blamed

    def blames_outage(self, outcome: Response | Failure, entry: Entry | None, now: float) -> bool:
        """Take note of an attempt's outcome; True if an outage is to blame for it."""
        if isinstance(outcome, Response) or not may_be_ours(outcome.error):
            if self.is_out and not self._line.check():
                self._settle(now, well=True)
            return False
        if self.is_out:
            return True
        if entry is not None:
            self._suspects[entry.id] = entry, self._suspects.get(entry.id, (entry, 0))[1] + 1
        if not self._line.check() and self._outage.failed(host_of(outcome.request.url), now):
            self._begin()
        return self.is_out

    def tick(self, now: float) -> None:
        """Take the results of checks; begin one that is due."""
        while self._line.checked:
            self._settle(now, well=self._line.checked.popleft())
        if self._outage.may_probe(now):
            self._line.renew()
            if self._line.check():
                self._outage.probed(now)

    def _settle(self, now: float, *, well: bool) -> None:
        since = self._outage.since
        turned = self._outage.checked(now, well=well)
        if turned and since is None:
            self._begin()
        elif turned and since is not None:
            self._tell("", f"DNS or the network was out for {now - since:.0f} s; no attempts were used")
        if well:
            self._suspects.clear()

    def _begin(self) -> None:
        """What failed before the outage was seen to be one was not the requests' fault either."""
        self._tell("", "DNS or the network is out: only probes are sent")
        for entry, times in self._suspects.values():
            if entry.fate is None:
                self._frontier.forgive(entry, times)
        self._suspects.clear()

    def may_start(self, now: float) -> bool:
        """Whether anything may be sent: in an outage a probe, if DNS cannot be asked."""
        return not self.is_out or self._outage.may_probe(now)

    def started(self, now: float) -> None:
        """Something was sent; in an outage that is the probe."""
        if self.is_out:
            self._outage.probed(now)

    def next_time(self, now: float) -> float | None:
        """When the next probe is due; None if it is already, and waits for something to send."""
        when = self._outage.next_time()
        return when if when is not None and when > now else None

    def is_lasting(self, now: float) -> bool:
        """Whether the outage has lasted for longer than a run waits."""
        return self._outage.is_lasting(now)

    # --- one host ----------------------------------------------------------------------------------------------------

    def took_host(self, entry: Entry, outcome: Response | Failure, detail: str, now: float) -> bool:
        """Take note of what a page's attempt came to; True if its host is to blame: the page waits, or is deferred."""
        blame = self.blames_host(entry, outcome, now)
        if blame is Blame.HOST:
            assert entry.host is not None, "a request that was never queued"
            self._frontier.put_back(entry, self._hosts[entry.host.name].until + SLACK)
        elif blame is Blame.GIVEN_UP:
            self._frontier.leave(entry, "deferred:host_down", f"fails again and again: {detail}")
        return blame is not Blame.NOBODY

    def blames_host(self, entry: Entry, outcome: Response | Failure, now: float) -> Blame:
        """Take note of what a page's attempt came to."""
        host = entry.host
        assert host is not None, "an outcome of a request that was never queued"
        if not fails(outcome):
            self._well(host.name)
            return Blame.NOBODY
        breaker = self._hosts.get(host.name)
        if breaker is None:
            breaker = self._hosts[host.name] = HostBreaker(self._rules)
        was, verdict = breaker.pauses, breaker.failed(now)
        if verdict is Verdict.GIVE_UP:
            return Blame.GIVEN_UP
        if breaker.pauses > was:
            seconds = breaker.until - now
            self._frontier.pause(host.name, breaker.until)
            host.probing = True
            self._tell(host.name, f"failed {self._rules.failures} times in a row: left alone for {seconds:g} s")
        return Blame.HOST if verdict is Verdict.WAIT else Blame.NOBODY

    def _well(self, name: str) -> None:
        breaker = self._hosts.pop(name, None)
        if breaker is not None and breaker.answered():
            self._frontier.hosts[name].probing = False
            self._tell(name, "answers again")


def may_be_ours(error: FetchError) -> bool:
    """Whether an error may be due to our own DNS or network."""
    if isinstance(error, ResolveError):
        return error.reason in ("lookup_failed", "timeout")
    return error.reason in ("dns", "unreachable") or (error.reason == "connect" and error.fate == "failed:timeout")


def fails(outcome: Response | Failure) -> bool:
    """Whether an outcome says that the host may be down."""
    if isinstance(outcome, Response):
        return outcome.status >= 500
    return outcome.error.fate in COUNTED and not isinstance(outcome.error, PolicyError)
