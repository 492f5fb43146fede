"""Which host may be asked next, and when the next one may.

Theory: a calendar queue (Brown 1988). A host with work is *scheduled* for the first moment at which it may be asked
again. Hosts stand in the list of the second in which that is, `_by_second`, unsorted; only when the first of these
lists is needed its hosts are put in order, in the heap `_near`. So what the next request costs depends on how many
hosts fall due within one second, which is how many were asked in one, and not on how many there are; and a host that
waits costs one place in a list. Whatever lies up to the last second that was opened goes to the heap at once.

A host whose time is not the one it is scheduled for (any more) is stale and skipped; nothing is ever searched. Hosts
without a delay, or never asked, have the time 0 and would top the heap in the order in which they came: they stand in
a plain queue instead, `_ready`. A host that waits for an answer has no time; it is scheduled when the answer comes.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush

from pipeline.crawl.hosts import HostQueue


class Schedule:
    """The hosts that have something to be asked for, by when they may be asked."""

    __slots__ = ("_by_second", "_near", "_opened", "_ready", "_seconds")

    def __init__(self) -> None:
        self._ready: deque[HostQueue] = deque()
        self._near: list[tuple[float, HostQueue]] = []
        self._by_second: dict[int, list[HostQueue]] = {}  # second -> hosts
        self._seconds: list[int] = []  # the seconds in `_by_second`, a heap
        self._opened = -1  # seconds up to this one go to the heap

    def add(self, host: HostQueue) -> None:
        """Take a host in, or let it come earlier, as it says itself."""
        when = host.may_start_at()
        if when is not None and (host.scheduled is None or when < host.scheduled):
            host.scheduled = when
            self._enter(host, when)

    def _enter(self, host: HostQueue, when: float) -> None:
        second = int(when)
        if not when:
            self._ready.append(host)
        elif second <= self._opened:
            heappush(self._near, (when, host))
        elif second in self._by_second:
            self._by_second[second].append(host)
        else:
            self._by_second[second] = [host]
            heappush(self._seconds, second)

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
        first = self._first(now)
        return heappop(self._near)[1] if first is not None and first <= now else None

    def next_time(self) -> float | None:
        """When `next` may have something again; None if nothing could start without an end or an answer first."""
        return 0.0 if self._ready else self._first()

    def _first(self, until: float | None = None) -> float | None:
        """The first time for which a host is scheduled, looked for up to `until`; that host is then in the heap."""
        while True:
            while self._near and self._near[0][0] != self._near[0][1].scheduled:
                heappop(self._near)
            if self._near:
                return self._near[0][0]
            if not self._seconds or (until is not None and self._seconds[0] > until):
                return None
            self._open(heappop(self._seconds))

    def _open(self, second: int) -> None:
        self._opened = second
        due = [(host.scheduled, host) for host in self._by_second.pop(second)]
        self._near = [(when, host) for when, host in due if when is not None and int(when) == second]
        heapify(self._near)
