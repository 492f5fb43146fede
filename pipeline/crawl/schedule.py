"""Which host may be asked next, and when the next one may.

Theory. A host with work is *scheduled*: one entry `(when, tie, host)` in the heap `_timed`, where `when` is the first
moment at which it may be asked again. So the next request costs O(log hosts), however many hosts wait. An entry
whose `when` is no longer the host's own is stale and skipped; the heap is never searched. Hosts without a delay, or
never asked, have the time 0 and would top the heap in the order in which they came: they stand in a plain queue
instead, `_ready`. A host that waits for an answer has no time; it is scheduled when the answer comes.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from itertools import count

from pipeline.crawl.hosts import HostQueue


class Schedule:
    """The hosts that have something to be asked for, by when they may be asked."""

    __slots__ = ("_ready", "_tie", "_timed")

    def __init__(self) -> None:
        self._tie = count(1)
        self._ready: deque[HostQueue] = deque()
        self._timed: list[tuple[float, int, HostQueue]] = []

    def add(self, host: HostQueue) -> None:
        """Take a host in, or let it come earlier, as it says itself."""
        when = host.may_start_at()
        if when is not None and (host.scheduled is None or when < host.scheduled):
            host.scheduled = when
            if when:
                heappush(self._timed, (when, next(self._tie), host))
            else:
                self._ready.append(host)

    def next(self, now: float) -> HostQueue | None:
        """Take out a host that may be asked now, or None."""
        while (host := self._pop(now)) is not None:
            host.scheduled = None
            at = host.may_start_at()
            if at is not None and at <= now:
                return host
            self.add(host)  # it was paused, or asked for something else, since it was scheduled
        return None

    def _pop(self, now: float) -> HostQueue | None:
        if self._ready:
            return self._ready.popleft()
        while self._timed and self._timed[0][0] <= now:
            when, _, host = heappop(self._timed)
            if when == host.scheduled:
                return host  # else stale: the host was scheduled anew meanwhile
        return None

    def next_time(self) -> float | None:
        """When `next` may have something again; None if nothing could start without an end or an answer first."""
        if self._ready:
            return 0.0
        while self._timed and self._timed[0][0] != self._timed[0][2].scheduled:
            heappop(self._timed)
        return self._timed[0][0] if self._timed else None
