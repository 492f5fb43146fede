"""What to fetch next, and when.

The frontier knows every request that the run has met, each with one fate at most. It is pure: time comes in as `now`
(seconds of any monotonic clock), scope and politeness come in as callables, and the disk is only a queue of changes
(`take_changes`) and of questions (`wants`, `shorter`) whose answers come back some time later (`refill`, `relaxed`).

What memory holds: of every request its fingerprint and id (`seen`), of every host the first stretch of what waits there
(`windows`), what is handed out, and what the state has still to hear of. An entry that has ended is forgotten.

Invariants
1. A request is pending (waits, in memory or on disk), active (handed out) or ended (has a fate):
   pending + active + fates = discovered.
2. A host has at most `concurrency` active requests, and starts at least `delay` (with jitter) apart.
3. Order: a request is handed out for the first time only if nothing that waits at its host, in memory or on disk, has a
   smaller rank, but for what waits for a retry. What went back goes by rank among what is in memory.
4. `depth` is that of the shortest path found; a shorter one found later re-opens what depth alone had refused.

The caller writes the changes before it puts a question, and has the answers in the order of the questions of a host.
"""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from random import Random

from pipeline.crawl.changes import Changes, Edge, EndedHost, Journal
from pipeline.crawl.depths import Depths, RelaxedRow
from pipeline.crawl.hosts import Entry, HostQueue, Politeness, rank_of
from pipeline.crawl.schedule import Schedule
from pipeline.crawl.scope import Refusal
from pipeline.crawl.seen import Seen
from pipeline.crawl.windows import CROWD, SMALL_WINDOW, WINDOW, WaitingRow, Want, Windows
from pipeline.model import Request
from pipeline.url import host_of

__all__ = ["Changes", "Edge", "EndedHost", "Entry", "Frontier", "HostQueue", "Politeness", "Want"]


class Frontier:
    """All requests of a run. `refusal` says why a request may not be made, once per new request; `politeness` is asked
    once per new host.

    `order` breadth fetches near pages first, depth far ones; `track_depth` keeps the links that invariant 4 needs and
    is wanted only where depth is limited. `window`, `small_window` and `crowd`: see `windows`.
    """

    def __init__(
        self,
        *,
        refusal: Callable[[Request], Refusal | None],
        politeness: Callable[[str], Politeness],
        order: str = "breadth",
        track_depth: bool = False,
        random: Random | None = None,
        window: int = WINDOW,
        small_window: int = SMALL_WINDOW,
        crowd: int = CROWD,
    ) -> None:
        self._refusal = refusal
        self._politeness = politeness
        self._rank = partial(rank_of, deepest_first=order == "depth")
        self._depths = Depths() if track_depth else None
        self._random = random or Random()
        self._schedule = Schedule()
        self._seen = Seen()
        self._windows = Windows(most=window, least=min(window, small_window), crowd=crowd)
        self._active: dict[int, Entry] = {}
        self._last_id = 0
        self._closed: tuple[str, str] | None = None  # (fate, why) of all that still comes
        self._journal = Journal()
        self.known: Callable[[bytes], int | None] = self._seen.get  # id of a fingerprint, None if it is new
        self.unknown: Callable[[bytes], list[int]] = self._seen.unknown
        self.wants = self._windows.wants  # to be answered by `refill`
        self.shorter = self._depths.shorter if self._depths else deque[tuple[int, int]]()  # by `relaxed`
        self.track_depth = track_depth
        self.hosts: dict[str, HostQueue] = {}
        self.fates: Counter[str] = Counter()
        self.per_limit: Counter[str] = Counter()  # follow rule with a limit -> requests it has brought
        self.pending = 0
        self.ended = 0  # requests that were handed out and have ended since

    @property
    def active(self) -> int:
        """Requests that are handed out."""
        return len(self._active)

    @property
    def discovered(self) -> int:
        """Distinct requests met so far."""
        return len(self._seen)

    @property
    def busy_hosts(self) -> int:
        """Hosts at which something waits."""
        return self._windows.busy

    def waiting_on(self, name: str) -> int:
        """How many requests wait at a host, in memory or on disk."""
        return self.hosts[name].waiting if name in self.hosts else 0

    # --- in ----------------------------------------------------------------------------------------------------------

    def add(self, request: Request, mark: bytes, parent: Entry | None = None, refusal: Refusal | None = None) -> bool:
        """Meet a request: queue it, or record why not. False if it was known already.

        `refusal` is why it may not be made if nothing that the frontier asks has an objection.
        """
        if (number := self.known(mark)) is not None:
            if self._depths is not None:
                self._depths.offer(number, self._link(number, request, parent, self._depths))
            return False
        number = self._last_id + 1
        if self._depths is not None:
            request.depth = self._link(number, request, parent, self._depths)
            self._depths.enter(request.depth)
        self._meet(Entry(number, request, mark, self._rank(request, number)), parent, refusal)
        return True

    def _link(self, number: int, request: Request, parent: Entry | None, depths: Depths) -> int:
        """Note how a request was met; its depth by this path."""
        if parent is None:
            return request.depth
        hops = request.depth - parent.request.depth
        self._journal.edges.append((parent.id, number, hops))
        return min(request.depth, depths[parent.id] + hops)

    def _meet(self, entry: Entry, parent: Entry | None, refusal: Refusal | None) -> None:
        self._last_id = entry.id
        self._seen.add(entry.fingerprint, entry.id)
        entry.parent = parent.id if parent is not None else None
        self._journal.fresh.append(entry)
        refused = self._refusal(entry.request) or refusal
        if refused is None:
            self._admit(entry)
        else:
            entry.detail = refused.detail
            self._end(entry, refused.fate)

    def _admit(self, entry: Entry) -> None:
        if entry.request.rule_limit is not None:
            key, most = entry.request.rule_limit
            self.per_limit[key] += 1
            if self.per_limit[key] > most:
                entry.detail = f"{key}: {most}"
                self._end(entry, "rejected:limit")
                return
        self._queue(entry)

    def _queue(self, entry: Entry) -> None:
        host = entry.host = self.host(host_of(entry.request.url))
        if host.closed is not None:
            fate, entry.detail = host.closed
            self._end(entry, fate)
            return
        self.pending += 1
        self._windows.place(host, entry)
        self._schedule.add(host)

    def host(self, name: str) -> HostQueue:
        """The queue of a host, made when it is first heard of."""
        host = self.hosts.get(name)
        if host is None:
            host = self.hosts[name] = HostQueue(name, self._politeness(name))
            host.closed = self._closed
        return host

    # --- out ---------------------------------------------------------------------------------------------------------

    def next(self, now: float) -> Entry | None:
        """The next request that may start now, or None: then `next_time()` says when to ask again."""
        host = self._schedule.next(now)
        return None if host is None else self._start(host, now)

    def next_time(self) -> float | None:
        """When `next` may have something again; None if nothing could start without an end or an answer first."""
        return self._schedule.next_time()

    def _start(self, host: HostQueue, now: float) -> Entry:
        entry = self._windows.pop(host, now)
        host.start(entry, now, self._random)
        self._active[entry.id] = entry
        self.pending -= 1
        self._schedule.add(host)
        return entry

    # --- back --------------------------------------------------------------------------------------------------------

    def finish(
        self, entry: Entry, fate: str, *, detail: str = "", status: int | None = None, target: int | None = None
    ) -> None:
        """An active request has ended with its one fate; `target` is the id of the request it redirected to."""
        entry.detail, entry.status, entry.target = detail, status, target
        self._windows.overtake(self._release(entry), entry.id)
        self.ended += 1
        self._end(entry, fate)
        self._journal.touch(entry)

    def retry(self, entry: Entry, due: float) -> None:
        """An active request goes back to its host's queue, to be asked again no earlier than `due`."""
        host = self._release(entry)
        self._journal.touch(entry)
        if host.closed is not None:
            fate, entry.detail = host.closed
            self.ended += 1
            self._end(entry, fate)
            return
        entry.due = due
        self.pending += 1
        self._windows.hold_back(host, entry)
        self._schedule.add(host)

    def set_aside(self, entry: Entry, *, asked: bool = True) -> None:
        """An active request wants nothing more of its host, and ends later. `asked`: see `HostQueue.let_go`."""
        assert entry.host is not None, "a request is set aside that was never started"
        entry.host.let_go(entry, asked=asked)
        self._schedule.add(entry.host)

    def put_back(self, entry: Entry, due: float) -> None:
        """An active request was not asked, or may be asked again without that counting: as `retry`, at no attempt."""
        entry.attempts -= 1
        self.retry(entry, due)

    def forgive(self, entry: Entry, attempts: int) -> None:
        """Attempts of a request that has not ended are taken back: nothing that they met was the request's own."""
        if entry.host is not None:  # it may have been dropped from memory since, and be another object now
            entry = self._active.get(entry.id) or entry.host.find(entry.id) or entry
        entry.attempts = max(0, entry.attempts - attempts)
        self._journal.touch(entry)

    def ask_again(self, request: Request, mark: bytes, was: str) -> int:
        """A request that has ended as `was` is asked once more, as `request` says; its id. Its one fate will be that of
        the last answer.
        """
        number = self.known(mark)
        assert number is not None, f"{request.url} was never met"
        assert number not in self._active, f"{request.url} has not ended"
        self.fates[was] -= 1
        if self._depths is not None:
            request.depth = min(request.depth, self._depths[number])
            self._depths.open(number)
        entry = Entry(number, request, mark, self._rank(request, number))
        self._journal.touch(entry)
        self._queue(entry)
        return number

    def pause(self, name: str, until: float) -> None:
        """Ask nothing of a host before `until`."""
        host = self.hosts.get(name)
        if host is not None:
            host.not_before = max(host.not_before, until)

    def end_host(self, name: str, fate: str, detail: str) -> None:
        """End everything that waits at a host, and all that still comes, with one fate."""
        host = self.hosts[name]
        if host.waiting:
            excluded = tuple(entry.id for entry in self._active.values() if entry.host is host)
            self._journal.ended_hosts.append(EndedHost(name, fate, detail, excluded))
        self._close(host, fate, detail)

    def leave(self, entry: Entry, fate: str, detail: str, status: int | None = None) -> None:
        """End an active request, and with it all of its host."""
        self.finish(entry, fate, detail=detail, status=status)
        assert entry.host is not None, "a request is left that was never started"
        self.end_host(entry.host.name, fate, detail)

    def reject_pending(self, fate: str, detail: str) -> int:
        """End everything that waits, and all that still comes, with one fate (a cap is reached); the number ended."""
        ended = self.pending
        if ended:
            self._journal.ended_hosts.append(EndedHost(None, fate, detail, tuple(self._active)))
        if self._closed is None:
            self._closed = fate, detail
            for host in self.hosts.values():
                self._close(host, fate, detail)
        return ended

    def _close(self, host: HostQueue, fate: str, detail: str) -> None:
        host.closed = fate, detail
        self.pending -= host.waiting
        on_disk = host.waiting
        for entry in self._windows.clear(host):
            on_disk -= 1
            entry.detail = detail
            self._end(entry, fate)
        if on_disk:
            self.fates[fate] += on_disk

    def _release(self, entry: Entry) -> HostQueue:
        host = entry.host
        assert host is not None, "a request is released that was never started"
        del self._active[entry.id]
        host.release(entry)
        self._schedule.add(host)
        return host

    def _end(self, entry: Entry, fate: str) -> None:
        assert entry.fate is None, f"{entry!r} ends a second time, as {fate}"
        entry.fate = fate
        self.fates[fate] += 1
        if self._depths is not None and fate != "rejected:depth":
            self._depths.end(entry.id)

    # --- the state ---------------------------------------------------------------------------------------------------

    @property
    def changed(self) -> bool:
        """Whether `take_changes` would have anything."""
        return bool(self._journal)

    def take_changes(self) -> Changes:
        """What happened since the last call: each new entry once, and each known one that changed, as they are now."""
        return self._journal.take()

    def refill(self, name: str, waiting: Sequence[WaitingRow]) -> None:
        """Take the answer to a `Want`. Raises BooksError if fewer requests wait on disk than were left there."""
        host = self.hosts[name]
        self._windows.refill(host, waiting, self._active)
        self._schedule.add(host)

    def relaxed(self, rows: Iterable[RelaxedRow]) -> None:
        """Take the answer to `shorter`: all requests that got nearer by it, however far below."""
        assert self._depths is not None, "depth is not tracked"
        for number, shorter, fate, mark, name, request, attempts in rows:
            self._depths.lower(number, shorter)
            request.depth = depth = self._depths[number]
            self._depths.shorter.append((number, depth))  # for the links met since the question
            held = self._active.get(number) or self.host(name).find(number)
            if held is not None:
                self._come_nearer(held, depth)
            elif not self._depths.is_over(number):
                entry = Entry(number, request, mark, self._rank(request, number))
                if fate is None or self._depths.waits_again(number):
                    self._move_on_disk(self.host(name), entry, attempts)
                elif fate == "rejected:depth":
                    self._reopen(entry)

    def _come_nearer(self, entry: Entry, depth: int) -> None:
        entry.request.depth = depth
        rank = self._rank(entry.request, entry.id)
        self._journal.touch(entry)
        if entry.id in self._active:
            entry.rank = rank
        elif entry.host is not None:
            self._windows.move(entry.host, entry, rank)
            self._schedule.add(entry.host)

    def _reopen(self, entry: Entry) -> None:
        if self._depths is not None and self._refusal(entry.request) is None:
            self._depths.open(entry.id)
            self.fates["rejected:depth"] -= 1
            self._journal.touch(entry)
            self._admit(entry)

    def _move_on_disk(self, host: HostQueue, entry: Entry, attempts: int) -> None:
        if host.closed is None:
            entry.host, entry.attempts = host, attempts
            self._journal.touch(entry)
            self._windows.move_on_disk(host, entry)
            self._schedule.add(host)

    def restore(  # noqa: PLR0917 - in the order in which they are read
        self,
        last_id: int,
        marks: Iterable[bytes],
        waiting: Iterable[tuple[str, int]],
        fates: Mapping[str, int],
        per_limit: Mapping[str, int],
        depths: Iterable[array[int]] = (),
    ) -> None:
        """Go on with the run of an earlier process: ids up to `last_id` are taken, each piece of `marks` is as
        `Seen.load` wants it, `waiting` has (host, number of requests), the pieces of `depths` those of id 1, 2, ...
        """
        self._last_id = self._journal.told = last_id
        self._seen.expect(last_id)
        for packed in marks:
            self._seen.load(packed)
        if self._depths is not None:
            self._depths.restore(last_id, depths)
        self.fates.update(fates)
        self.per_limit.update(per_limit)
        hosts = [(self.host(name), number) for name, number in waiting if number]
        for host, number in hosts:
            self.pending += number
            self._windows.expect(host, number)
        for host, _ in hosts:
            self._windows.ask(host)
