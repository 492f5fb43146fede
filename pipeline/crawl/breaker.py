"""When a host, or the network, is no longer asked because it fails: two breakers, pure, told the time.

`HostBreaker` is one host's. It opens after so many failures in a row; then the host is left alone for a while, one
request goes out as a probe, and if that fails as well the host is left alone again. After so many pauses it is given
up for this run.

`Outage` is over all hosts: DNS or the network does not work, so whatever fails is nobody's fault. It begins when a
check of the line failed that such a failure had given rise to; where there is nothing to check with, when many hosts
failed within a short time without one answer. While it lasts the line is checked now and then, and nothing else asked.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple

FIRST_PROBE: Final = 1.0  # seconds: most outages are hiccups, so the first probes come sooner than the later ones


class HostRules(NamedTuple):
    """So many failures in a row open a host's breaker, for `pause` seconds each time, at most `pauses` times."""

    failures: int = 10
    pause: float = 300.0
    pauses: int = 3


class OutageRules(NamedTuple):
    """`hosts` that fail within `within` seconds are an outage; it is probed every `probe` seconds, `max` long."""

    hosts: int = 20
    within: float = 30.0
    probe: float = 15.0
    max: float = 900.0


class Verdict(Enum):
    """What a failure means for the request that met it."""

    COUNTS = auto()  # the request's own business
    WAIT = auto()  # the host is left alone until `until`; the request was a probe, or under way: no attempt is used
    GIVE_UP = auto()


class HostBreaker:
    """One host; made at its first failure. `until` is when it may be asked again, `open` whether it waits for that."""

    __slots__ = ("_failures", "_rules", "open", "pauses", "until")

    def __init__(self, rules: HostRules) -> None:
        self._rules = rules
        self._failures = 0
        self.open = False
        self.pauses = 0
        self.until = 0.0

    def failed(self, now: float) -> Verdict:
        """A request failed in a way that may be the host's."""
        if not self.open:
            self._failures += 1
            if self._failures >= self._rules.failures:
                self._pause(now)
            return Verdict.COUNTS
        if now >= self.until:
            if self.pauses >= self._rules.pauses:
                return Verdict.GIVE_UP
            self._pause(now)
        return Verdict.WAIT

    def answered(self) -> bool:
        """The host answered well; True if it had been given a pause."""
        was_open, self.open = self.open, False
        self._failures = self.pauses = 0
        return was_open

    def _pause(self, now: float) -> None:
        self.open = True
        self.pauses += 1
        self.until = now + self._rules.pause


class Outage:
    """DNS or the network. `since` is when the outage began, None while there is none."""

    __slots__ = ("_failing", "_next", "_probes", "_rules", "since")

    def __init__(self, rules: OutageRules) -> None:
        self._rules = rules
        self._failing: dict[str, float] = {}  # host -> when it failed, since the last success
        self._next = 0.0
        self._probes = 0
        self.since: float | None = None

    def failed(self, host: str, now: float) -> bool:
        """A host failed, of which nothing can be checked; True if the outage begins with it."""
        failing = self._failing
        failing.pop(host, None)
        failing[host] = now
        while (first := next(iter(failing))) != host and failing[first] < now - self._rules.within:
            del failing[first]
        return len(failing) >= self._rules.hosts and self.checked(now, well=False)

    def checked(self, now: float, *, well: bool) -> bool:
        """The line was checked, or something was answered; True if an outage begins or ends with that."""
        if not well and self.since is None:
            self.since, self._probes = now, 0
            self.probed(now)
            return True
        if not well:
            return False
        self._failing.clear()
        was_out, self.since = self.since is not None, None
        return was_out

    def may_probe(self, now: float) -> bool:
        """Whether a probe is due."""
        return self.since is not None and now >= self._next

    def probed(self, now: float) -> None:
        """A probe went out: the next one is due in a while."""
        self._next = now + min(self._rules.probe, FIRST_PROBE * 2.0**self._probes)
        self._probes = min(self._probes + 1, 30)

    def next_time(self) -> float | None:
        """When the next probe is due."""
        return None if self.since is None else self._next

    def is_lasting(self, now: float) -> bool:
        """Whether the outage has lasted for longer than a run waits."""
        return self.since is not None and now - self.since > self._rules.max
