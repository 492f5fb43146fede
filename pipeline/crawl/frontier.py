"""What to fetch next, and when.

The frontier knows every request that the run has met, each with one fate at most, and keeps one queue per host. It is
pure: time comes in as `now` (seconds of any monotonic clock), scope and politeness come in as callables.

Theory. A host with work is *scheduled*: one entry `(when, tie, host)` in the heap `_ready`, where `when` is the first
moment at which it may be asked again. So the next request costs O(log hosts), however many hosts wait. An entry
whose `when` is no longer the host's own is stale and skipped; the heap is never searched.

Invariants
1. A request is pending (queued), active (handed out) or ended (has a fate): pending + active + fates = discovered.
2. A host has at most `concurrency` active requests, and starts at least `delay` (with jitter) apart.
3. `depth` is that of the shortest path found; a shorter one found later re-opens what depth alone had refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import NamedTuple

from pipeline.model import Request
from pipeline.url import host_of


class Politeness(NamedTuple):
    """How one host may be asked: requests at a time, seconds between starts, jitter as a share of the delay."""

    concurrency: int
    delay: float
    jitter: float = 0.0


class Entry:
    """One request and what became of it."""

    __slots__ = ("attempts", "children", "detail", "due", "fate", "fingerprint", "host", "request", "status")

    def __init__(self, request: Request, fingerprint: bytes) -> None:
        self.request = request
        self.fingerprint = fingerprint
        self.host: HostQueue | None = None
        self.attempts = 0
        self.due = 0.0
        self.fate: str | None = None
        self.detail = ""  # why, in words, where the fate alone does not say it
        self.status: int | None = None
        self.children: list[tuple[Entry, int]] | None = None  # (entry, hops in depth), kept only under max_depth

    def __repr__(self) -> str:
        return f"<Entry {self.request.method} {self.request.url} {self.fate or 'open'}>"


class HostQueue:
    """The requests of one host: `ready` by priority and depth, `later` by due time."""

    __slots__ = ("active", "closed", "later", "name", "next_at", "paused_until", "politeness", "ready", "scheduled")

    def __init__(self, name: str, politeness: Politeness) -> None:
        self.name = name
        self.politeness = politeness
        self.active = 0
        self.next_at = 0.0
        self.paused_until = 0.0
        self.ready: list[tuple[int, int, int, Entry]] = []
        self.later: list[tuple[float, int, Entry]] = []
        self.scheduled: float | None = None
        self.closed: tuple[str, str] | None = None  # (fate, why) of all that still comes

    def may_start_at(self) -> float | None:
        """The first moment at which a request of this host may start, or None if none may until one ends."""
        if self.active >= self.politeness.concurrency or not (self.ready or self.later):
            return None
        waits = 0.0 if self.ready else self.later[0][0]
        return max(self.next_at, self.paused_until, waits)


class Frontier:
    """All requests of a run. `refusal` answers with the fate of a request that may not be made, once per new request;
    `politeness` is asked once per new host.

    `order` breadth fetches near pages first, depth far ones; `track_depth` keeps the links that invariant 3 needs and
    is wanted only where depth is limited.
    """

    def __init__(
        self,
        *,
        refusal: Callable[[Request], str | None],
        politeness: Callable[[str], Politeness],
        order: str = "breadth",
        track_depth: bool = False,
        random: Random | None = None,
    ) -> None:
        self._refusal = refusal
        self._politeness = politeness
        self._sign = -1 if order == "depth" else 1
        self._track_depth = track_depth
        self._random = random or Random()
        self._tie = count(1)
        self._ready: list[tuple[float, int, HostQueue]] = []
        self._per_limit: Counter[str] = Counter()
        self.entries: dict[bytes, Entry] = {}
        self.hosts: dict[str, HostQueue] = {}
        self.fates: Counter[str] = Counter()
        self.pending = 0
        self.active = 0

    @property
    def discovered(self) -> int:
        """Distinct requests met so far."""
        return len(self.entries)

    def open(self) -> Iterator[Entry]:
        """The entries without a fate."""
        return (entry for entry in self.entries.values() if entry.fate is None)

    # --- in ----------------------------------------------------------------------------------------------------------

    def add(self, request: Request, fingerprint: bytes, *, parent: Entry | None = None) -> bool:
        """Meet a request: queue it, or record why not. False if it was known already."""
        entry = self.entries.get(fingerprint)
        new = entry is None
        if entry is None:
            entry = self.entries[fingerprint] = Entry(request, fingerprint)
            self._admit(entry)
        if self._track_depth:
            self._link(parent, entry, request.depth)
        return new

    def _admit(self, entry: Entry) -> None:
        request = entry.request
        fate = self._refusal(request)
        if fate is None and request.rule_limit is not None:
            key, most = request.rule_limit
            self._per_limit[key] += 1
            if self._per_limit[key] > most:
                fate, entry.detail = "rejected:limit", f"{key} has limit {most}"
        if fate is None:
            self._queue(entry)
        else:
            self._end(entry, fate)

    def _queue(self, entry: Entry) -> None:
        name = host_of(entry.request.url)
        host = self.hosts.get(name)
        if host is None:
            host = self.hosts[name] = HostQueue(name, self._politeness(name))
        entry.host = host
        if host.closed is not None:
            fate, entry.detail = host.closed
            self._end(entry, fate)
            return
        self.pending += 1
        self._push_ready(host, entry)
        self._schedule(host)

    def _push_ready(self, host: HostQueue, entry: Entry) -> None:
        request = entry.request
        heappush(host.ready, (-request.priority, self._sign * request.depth, self._sign * next(self._tie), entry))

    def _link(self, parent: Entry | None, child: Entry, depth: int) -> None:
        if parent is not None:
            if parent.children is None:
                parent.children = []
            parent.children.append((child, depth - parent.request.depth))
        shorter = [(child, depth)]
        while shorter:
            entry, depth = shorter.pop()
            if depth < entry.request.depth:
                entry.request.depth = depth
                self._reopen(entry)
                shorter.extend((below, depth + hops) for below, hops in entry.children or ())

    def _reopen(self, entry: Entry) -> None:
        if entry.fate == "rejected:depth" and self._refusal(entry.request) is None:
            self.fates["rejected:depth"] -= 1
            entry.fate = None
            self._admit(entry)

    # --- out ---------------------------------------------------------------------------------------------------------

    def next(self, now: float) -> Entry | None:
        """The next request that may start now, or None: then `next_time()` says when to ask again."""
        while self._ready and self._ready[0][0] <= now:
            when, _, host = heappop(self._ready)
            if when != host.scheduled:
                continue  # stale: the host was scheduled anew meanwhile
            host.scheduled = None
            at = host.may_start_at()
            if at is not None and at <= now:
                return self._start(host, now)
            self._schedule(host)
        return None

    def next_time(self) -> float | None:
        """When `next` may have something again; None if nothing is queued that could start without an end first."""
        while self._ready and self._ready[0][0] != self._ready[0][2].scheduled:
            heappop(self._ready)
        return self._ready[0][0] if self._ready else None

    def _start(self, host: HostQueue, now: float) -> Entry:
        while host.later and host.later[0][0] <= now:
            self._push_ready(host, heappop(host.later)[2])
        entry = heappop(host.ready)[3]
        _, delay, jitter = host.politeness
        if delay:
            host.next_at = now + delay * (1 + jitter * (2 * self._random.random() - 1))
        host.active += 1
        self.active += 1
        self.pending -= 1
        entry.attempts += 1
        self._schedule(host)
        return entry

    def _schedule(self, host: HostQueue) -> None:
        when = host.may_start_at()
        if when is not None and (host.scheduled is None or when < host.scheduled):
            host.scheduled = when
            heappush(self._ready, (when, next(self._tie), host))

    # --- back --------------------------------------------------------------------------------------------------------

    def finish(self, entry: Entry, fate: str, *, detail: str = "", status: int | None = None) -> None:
        """An active request has ended with its one fate."""
        entry.detail, entry.status = detail, status
        self._release(entry)
        self._end(entry, fate)

    def retry(self, entry: Entry, due: float) -> None:
        """An active request goes back to its host's queue, to be asked again no earlier than `due`."""
        host = self._release(entry)
        if host.closed is not None:
            fate, entry.detail = host.closed
            self._end(entry, fate)
            return
        entry.due = due
        heappush(host.later, (due, next(self._tie), entry))
        self.pending += 1
        self._schedule(host)

    def put_back(self, entry: Entry, due: float) -> None:
        """An active request was not asked, or may be asked again without that counting: as `retry`, at no attempt."""
        entry.attempts -= 1
        self.retry(entry, due)

    def ask_again(self, entry: Entry) -> None:
        """A request that has ended is asked once more; its one fate will be that of the last answer."""
        assert entry.fate is not None, f"{entry!r} has not ended"
        self.fates[entry.fate] -= 1
        entry.fate = None
        self._queue(entry)

    def end_host(self, name: str, fate: str, detail: str) -> None:
        """End everything that is queued for a host, and all that still comes, with one fate."""
        host = self.hosts[name]
        host.closed = fate, detail
        queued = [*(entry[-1] for entry in host.ready), *(entry[-1] for entry in host.later)]
        host.ready.clear()
        host.later.clear()
        self.pending -= len(queued)
        for entry in queued:
            entry.detail = detail
            self._end(entry, fate)

    def pause(self, name: str, until: float) -> None:
        """Ask nothing of a host before `until`."""
        host = self.hosts.get(name)
        if host is not None:
            host.paused_until = max(host.paused_until, until)

    def reject_pending(self, fate: str, detail: str) -> int:
        """End everything that is queued with one fate (a cap is reached); the number of requests ended."""
        ended = self.pending
        for name in self.hosts:
            self.end_host(name, fate, detail)
        return ended

    def _release(self, entry: Entry) -> HostQueue:
        host = entry.host
        assert host is not None, "a request is released that was never started"
        host.active -= 1
        self.active -= 1
        self._schedule(host)
        return host

    def _end(self, entry: Entry, fate: str) -> None:
        assert entry.fate is None, f"{entry!r} ends a second time, as {fate}"
        entry.fate = fate
        self.fates[fate] += 1
