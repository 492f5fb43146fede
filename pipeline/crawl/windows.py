"""Which of the waiting requests are in memory: of every host those of the smallest ranks, the others on disk only.

It posts questions (`wants`) and takes answers; what answers, and when, it does not know.

Theory. A host has a *horizon*: whatever waits there with a rank up to it is in memory. A new request beyond the horizon
is not kept; where there are too many, the horizon is drawn in, and what lies beyond it is forgotten. When less than
half of a window is left, the next stretch is asked for: `Want(host, after=horizon, most)`. The answer moves the horizon
to its last row, or away altogether if it was the last stretch.

An answer shows the state as of some moment between the question and now, so four things may have happened since.
Requests met since and beyond the horizon may be missing from it: they are kept aside (up to a window; what lies
further, from `ceiling` on, is cut off the answer). Requests in it may be in memory (they are skipped), or may have
ended or got another rank (`overtaken` remembers). And the horizon may have been drawn in: then the answer is `void` and
asked for anew.

All this holds if what the frontier changed before the question is written before it is answered.

Bounds. Hosts with something waiting share `crowd` places, at most `most` and at least `least` a host; a host's share is
looked at when it gets a request. While the number of hosts grows the first ones keep more, so memory holds at most some
5 x crowd + least x hosts waiting requests (10,000 / k summed over the k-th host), whatever waits on disk; besides those
that wait for a retry (`RETRYING` a host) and, while a question is under way, a share kept aside.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import Final, NamedTuple, TypeAlias

from pipeline.crawl.hosts import ALL, NOTHING, Awaited, Entry, HostQueue
from pipeline.errors import BooksError
from pipeline.model import Request

WINDOW: Final = 256  # waiting requests of a host in memory, at most
SMALL_WINDOW: Final = 1  # and at least, however many hosts there are
CROWD: Final = 10_000  # waiting requests in memory, which the hosts share

WaitingRow: TypeAlias = tuple[int, bytes, int, Request, int]
"""A request that waits on disk: id, fingerprint, rank, the request, attempts so far."""

_rank = attrgetter("rank")


class Want(NamedTuple):
    """Asks for the first `most` waiting requests of a host, by rank, of those with a rank above `after` (None: all)."""

    host: str
    after: int | None
    most: int


class Windows:
    """Decides for every host what it has in memory."""

    def __init__(self, *, most: int, least: int, crowd: int) -> None:
        self._most = most
        self._least = least
        self._crowd = crowd
        self.busy = 0  # hosts with something waiting, on disk or here
        self.wants: deque[Want] = deque()

    @property
    def size(self) -> int:
        """How many waiting requests a host may have in memory."""
        return max(self._least, min(self._most, self._crowd // (self.busy or 1)))

    # --- in ----------------------------------------------------------------------------------------------------------

    def expect(self, host: HostQueue, count: int) -> None:
        """A host has so many waiting on disk, none in memory."""
        host.horizon = NOTHING
        self._count(host, count)

    def place(self, host: HostQueue, entry: Entry) -> None:
        """A request begins to wait."""
        self._count(host, 1)
        self._put(host, entry)
        self._fold(host)

    def _fold(self, host: HostQueue) -> None:
        """Where hosts are so many that each has a place or two, they keep little."""
        if self.busy > self._crowd:
            host.fold()

    def _put(self, host: HostQueue, entry: Entry) -> None:
        """Keep a waiting request, or leave it to the disk."""
        if entry.rank <= host.horizon:
            heappush(host.ready, (entry.rank, entry))
            if len(host.ready) > self._least and len(host.ready) > self.size:
                self._draw_in(host)
        elif host.awaited is not None and not host.awaited.void:
            self._keep_aside(host.awaited, entry)

    def hold_back(self, host: HostQueue, entry: Entry) -> None:
        """A request waits until `entry.due`."""
        self._count(host, 1)
        if entry.due <= host.not_before and not host.here and not host.active:  # its host waits longer, in any case
            heappush(host.ready, (entry.rank, entry))
            self._fold(host)
            return
        if host.later is None:
            host.later = []
        heappush(host.later, (entry.due, entry.rank, entry))

    def move(self, host: HostQueue, entry: Entry, rank: int) -> None:
        """A request that is held has another rank now."""
        pair = entry.rank, entry
        entry.rank = rank
        if pair in host.ready:
            host.ready.remove(pair)
            heapify(host.ready)
        elif host.awaited is not None and entry in host.awaited.fresh:
            host.awaited.fresh.remove(entry)
        else:
            return  # it waits for its time, and takes its place then
        self.move_on_disk(host, entry)
        self.ask(host)

    def move_on_disk(self, host: HostQueue, entry: Entry) -> None:
        """A request that waits and is not held has the rank of `entry` now."""
        self.overtake(host, entry.id)
        self._put(host, entry)

    def _keep_aside(self, awaited: Awaited, entry: Entry) -> None:
        if entry.rank >= awaited.ceiling:
            return
        fresh = awaited.fresh
        fresh.append(entry)
        if len(fresh) > self.size:
            fresh.sort(key=_rank)
            kept = self._kept()
            awaited.ceiling = fresh[kept].rank
            del fresh[kept:]

    def _draw_in(self, host: HostQueue) -> None:
        """Keep the smallest ranks in memory."""
        kept = self._kept()
        host.ready.sort()
        horizon = host.ready[kept - 1][0]
        del host.ready[kept:]
        if horizon < host.horizon:
            host.horizon = horizon
            if host.awaited is not None:
                host.awaited.fresh = []
                host.awaited.void = True

    def _kept(self) -> int:
        size = self.size
        return size - size // 8  # a few less than fit: not every new request should cost a sort

    def _count(self, host: HostQueue, change: int) -> None:
        if host.waiting == 0:
            self.busy += 1
        host.waiting += change
        if host.waiting == 0:
            self.busy -= 1

    # --- out ---------------------------------------------------------------------------------------------------------

    def pop(self, host: HostQueue, now: float) -> Entry:
        """Take the smallest rank of those that may go now."""
        while host.later and host.later[0][0] <= now:
            entry = heappop(host.later)[2]
            heappush(host.ready, (entry.rank, entry))
        if not host.later:
            host.later = None
        entry = heappop(host.ready)[1]
        self._count(host, -1)
        self._fold(host)
        if host.horizon != ALL:
            self.ask(host)
        return entry

    def clear(self, host: HostQueue) -> list[Entry]:
        """Nothing of a host waits any more; those that were in memory."""
        gone = host.held()
        host.ready.clear()
        host.later, host.awaited, host.horizon = None, None, ALL
        self._fold(host)
        if host.waiting:
            self._count(host, -host.waiting)
        return gone

    def overtake(self, host: HostQueue, number: int) -> None:
        """A request has ended or has another rank: what an answer under way says of it is no longer so."""
        if host.awaited is not None:
            if host.awaited.overtaken is None:
                host.awaited.overtaken = set()
            host.awaited.overtaken.add(number)

    # --- from the disk -----------------------------------------------------------------------------------------------

    def ask(self, host: HostQueue) -> None:
        """Ask for the next stretch if there is one, less than half a window is left, and it was not asked for."""
        if host.horizon == ALL or host.awaited is not None or host.closed is not None:
            return
        size, ready = self.size, len(host.ready)
        if ready * 2 >= size:
            return
        if host.waiting == host.here:
            host.horizon = ALL
            return
        host.awaited = Awaited(size - ready)
        self.wants.append(Want(host.name, None if host.horizon == NOTHING else host.horizon, size - ready))

    def refill(self, host: HostQueue, rows: Sequence[WaitingRow], active: Collection[int]) -> None:
        """Take the answer to the host's question; `active` has the ids that are handed out. Raises BooksError."""
        awaited = host.awaited
        if awaited is None:
            return  # nothing of the host waits any more
        skipped = {entry.id for entry in host.held()} | (awaited.overtaken or set())
        host.awaited = None
        if not awaited.void:
            self._merge(host, awaited, rows, skipped.union(active))
        if host.horizon == ALL and host.waiting != host.here:
            raise BooksError(f"{host.waiting} requests wait at {host.name}, but only {host.here} could be found")
        self.ask(host)
        self._fold(host)

    def _merge(self, host: HostQueue, awaited: Awaited, rows: Sequence[WaitingRow], skipped: set[int]) -> None:
        horizon = ALL if len(rows) < awaited.most else rows[-1][2]
        if awaited.ceiling != ALL:
            horizon = min(horizon, awaited.ceiling - 1)
        host.horizon = horizon
        for entry in awaited.fresh:
            if entry.rank <= horizon:
                heappush(host.ready, (entry.rank, entry))
        for number, mark, rank, request, attempts in rows:
            if rank > horizon:
                break
            if number in skipped:
                continue
            entry = Entry(number, request, mark, rank)
            entry.host, entry.attempts = host, attempts
            heappush(host.ready, (rank, entry))
        if len(host.ready) > self.size:
            self._draw_in(host)
