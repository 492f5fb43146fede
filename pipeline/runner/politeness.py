"""How hosts are treated by what they answer: pauses when they ask for quiet, a delay that follows their speed.

The logic is that of `crawl.throttle`; here it is kept per host and told to the frontier, which does the waiting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum, auto

from pipeline.crawl.frontier import Entry, Frontier
from pipeline.crawl.throttle import AutoThrottle, HostPause, asks_for_quiet, retry_after
from pipeline.model import Response


class Advice(Enum):
    """What to do with the request that was answered."""

    GO_ON = auto()
    ASK_AGAIN = auto()  # the host is paused; no attempt was used
    DEFER = auto()  # the host has been waited for long enough: leave it to the next run


class HostManners:
    """Per-host pauses and delays of a run.

    `max_wait` is `retry_after.max` in seconds, None where Retry-After is not obeyed; `throttled(host)` says whether the
    delay of a host follows its speed. `wall` gives epoch seconds, `rng` numbers in [0, 1); `tell` is told what a person
    should know of a host, in words.
    """

    def __init__(
        self,
        frontier: Frontier,
        *,
        max_wait: float | None,
        throttled: Callable[[str], bool],
        wall: Callable[[], float],
        rng: Callable[[], float],
        tell: Callable[[str, str], None] = lambda host, words: None,
    ) -> None:
        self._frontier = frontier
        self._max_wait = max_wait
        self._throttled = throttled
        self._wall = wall
        self._rng = rng
        self._tell = tell
        self._pauses: dict[str, HostPause] = {}
        self._throttles: dict[str, AutoThrottle] = {}

    def took(self, entry: Entry, response: Response, now: float) -> bool:
        """Take note of an answer; True if its request waits for that, or is left to the next run with all its host."""
        advice = self.answered(entry, response, now)
        if advice is Advice.ASK_AGAIN:
            self._frontier.put_back(entry, now)
        elif advice is Advice.DEFER:
            self._frontier.leave(entry, "deferred:retry_after", _too_long(response), response.status)
        return advice is not Advice.GO_ON

    def answered(self, entry: Entry, response: Response, now: float) -> Advice:
        """Take note of an answer."""
        host = entry.host
        assert host is not None, "an answer to a request that was never queued"
        self._adapt(host.name, response)
        return self._heard(host.name, response, now)

    def answered_beside(self, name: str, response: Response, now: float) -> Advice:
        """Take note of an answer to what is no page (robots.txt). It pauses its host as any, by the same count of
        waits; DEFER: all of that host is left to the next run.
        """
        advice = self._heard(name, response, now, " for robots.txt")
        if advice is Advice.DEFER:
            self._frontier.host(name)  # it may be one that only robots.txt has led to
            self._frontier.end_host(name, "deferred:retry_after", _too_long(response, " for robots.txt"))
        return advice

    def _heard(self, name: str, response: Response, now: float, what: str = "") -> Advice:
        """Whether an answer asks for quiet, and whether that is waited for; `what` was asked for, if it is no page."""
        asked = retry_after(response.header("retry-after"), self._wall())
        pause = self._pauses.get(name)
        if self._max_wait is None or not asks_for_quiet(response.status, asked):
            if pause is not None:
                pause.answered()
            return Advice.GO_ON
        if pause is None:
            pause = self._pauses[name] = HostPause(self._max_wait)
        goes_on = pause.refuse(now, asked, self._rng)
        said = f"HTTP {response.status}" + ("" if asked is None else f" with Retry-After {asked:g} s")
        self._tell(name, f"{said}{what}: {'paused' if goes_on else 'left to the next run'}")
        if not goes_on:
            return Advice.DEFER
        self._frontier.pause(name, pause.until)
        return Advice.ASK_AGAIN

    def free_at(self, name: str) -> float:
        """The first moment at which a host may be asked, as far as its delay and its pauses go."""
        host = self._frontier.hosts.get(name)
        return 0.0 if host is None else host.not_before

    def asked_beside(self, name: str, now: float) -> None:
        """A host was asked for something that is no page (robots.txt): that counts in its rate as well, even if no page
        of it was ever met.
        """
        self._frontier.pause(name, now + self._frontier.host(name).politeness.delay)

    def took_robots(self, delays: deque[tuple[str, float]]) -> None:
        """Take what the gate has learnt: (host, its Crawl-delay)."""
        while delays:
            self.slow_down(*delays.popleft())

    def slow_down(self, name: str, delay: float) -> None:
        """A host asked for this delay between requests (Crawl-delay): never less from now on."""
        host = self._frontier.hosts.get(name)
        if host is not None and delay > host.politeness.delay:
            host.politeness = host.politeness._replace(delay=delay, jitter=0.0)  # jitter could undercut it
            self._throttles.pop(name, None)  # it starts again, from the longer delay
            self._tell(name, f"Crawl-delay of {delay:g} s")

    def _adapt(self, name: str, response: Response) -> None:
        host = self._frontier.hosts[name]
        throttle = self._throttles.get(name)
        if throttle is None:
            delay = host.politeness.delay
            if response.elapsed <= delay or delay <= 0 or not self._throttled(name):
                return  # of a host that never was slow there is nothing to remember
            throttle = self._throttles[name] = AutoThrottle(delay)
        delay = throttle.observe(response.elapsed, ok=response.status < 400)
        host.politeness = host.politeness._replace(delay=delay)


def _too_long(response: Response, what: str = "") -> str:
    return f"HTTP {response.status}{what}; the host asks to wait longer than fetch.retry_after.max"
