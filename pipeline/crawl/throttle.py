"""How long to wait: between attempts, between requests to one host, and after a server said "slow down".

Answers in seconds. Pure: the time and the random numbers are handed in, so that a run can be replayed. `now` is any
clock that only goes forward; only `retry_after` needs the wall clock, because servers send dates. It keeps no queue:
who waits, and in which order, is the frontier's.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pipeline.crawl.cookies import parse_date

MAX_DELAY = 60.0  # seconds: autothrottle goes no further (spec, section 3)
FIRST_PAUSE = 30.0  # seconds after a first 429 that does not say how long
LEAST_PAUSE = 1.0  # seconds after a first one that says less; without it, waits of 0 s would never add up
MAX_PAUSE = 1800.0
_FOREVER = 1e9  # seconds: longer is not told apart

Rng = Callable[[], float]
"""Gives a number in [0, 1), as `random.random` does."""

_SECONDS = re.compile(r"[0-9]+(\.[0-9]*)?")


def backoff(attempt: int, rng: Rng, *, base: float = 1.0, cap: float = 60.0) -> float:
    """Seconds to wait after failed attempt number `attempt` (from 1): base * 2^(attempt-1), +/- 50 %, at most `cap`.

    The jitter keeps requests that failed together from coming back together.
    """
    exponent = min(max(attempt, 1) - 1, 62)
    return min(cap, base * 2.0**exponent * (0.5 + rng()))


def jittered(delay: float, jitter: float, rng: Rng) -> float:
    """The delay spread by +/- `jitter` (a share: 0.25 is a quarter)."""
    return delay * (1.0 + jitter * (2.0 * rng() - 1.0))


def retry_after(value: str | None, wall: float) -> float | None:
    """Seconds to wait by a Retry-After field (RFC 9110 10.2.3); None without one that can be read.

    It is a number of seconds or a date, `wall` being the present one in seconds since the epoch; a past date is 0.
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    date = parse_date(text)
    return None if date is None else max(0.0, date - wall)


def asks_for_quiet(status: int, asked: float | None) -> bool:
    """Whether an answer pauses its host: 429, and 503 that says until when (`asked` as of `retry_after`)."""
    return status == 429 or (status == 503 and asked is not None)


class HostPause:
    """A host that asked for quiet: nothing is sent to it before `until`.

    One host, one object. Waits add up until the host answers well again; once they would exceed `max_wait`, waiting is
    given up and the host's requests end as `deferred:retry_after`.
    """

    __slots__ = ("_max", "_row", "until", "waited")

    def __init__(self, max_wait: float) -> None:
        self._max = max_wait
        self._row = 0
        self.until = 0.0
        self.waited = 0.0

    def refuse(self, now: float, asked: float | None, rng: Rng) -> bool:
        """The host answered 429, or 503 with Retry-After; `asked` is `retry_after`'s answer.

        Gives True if the request shall wait for `until` (no attempt is used), False if it is to be deferred. Answers
        to requests that were under way before the pause began count once: they prolong it, they do not add to it.
        """
        fresh = now >= self.until
        self._row += fresh
        wait = backoff(self._row, rng, base=FIRST_PAUSE, cap=MAX_PAUSE) if asked is None else asked
        if wait < LEAST_PAUSE:  # "at once", or a time that is past: those who mean it do not say it twice
            wait = max(wait, backoff(self._row, rng, base=LEAST_PAUSE, cap=MAX_PAUSE))
        until = max(self.until, now + min(wait, _FOREVER))
        self.waited += until - max(now, self.until)
        self.until = until
        return not self.deferred

    @property
    def deferred(self) -> bool:
        """Whether the waits have grown beyond what a run waits: the host's requests are for the next run."""
        return self.waited > self._max

    def answered(self) -> None:
        """The host answered anything else: the waits start from nothing again. A pause in force stays in force."""
        self._row = 0
        self.waited = 0.0


class AutoThrottle:
    """The delay between requests to one host, moved towards what its answers take.

    One request at a time to a host that needs 3 s for an answer is asked every 3 s: a slow host is a loaded one.
    Starts at `delay`, never goes below it nor above `MAX_DELAY`; off where `delay` is 0.
    """

    __slots__ = ("_floor", "delay")

    def __init__(self, delay: float) -> None:
        self._floor = delay
        self.delay = delay

    def observe(self, latency: float, ok: bool) -> float:
        """Take the seconds that an answer took; gives the new delay.

        It moves half the way, so that one odd answer does not decide. Errors come fast: they never shorten the delay.
        """
        if self._floor <= 0:
            return self.delay
        moved = (self.delay + latency) / 2
        if ok or moved > self.delay:
            self.delay = max(self._floor, min(max(MAX_DELAY, self._floor), moved))
        return self.delay
