"""The state as the frontier knows it, in memory: takes changes, answers questions, as late as a test wants."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from pipeline.crawl.depths import RelaxedRow
from pipeline.crawl.frontier import Edge, EndedHost, Entry, Frontier, Politeness, Want
from pipeline.crawl.scope import Refusal
from pipeline.crawl.windows import WaitingRow
from pipeline.model import Request
from pipeline.url import fingerprint, host_of


@dataclass
class Row:
    """A request on disk, by value."""

    mark: bytes
    request: Request
    rank: int
    fate: str | None
    attempts: int

    @classmethod
    def of(cls, entry: Entry) -> Row:
        request = entry.request
        copy = Request(request.url, page=request.page, priority=request.priority, depth=request.depth)
        copy.rule_limit = request.rule_limit
        return cls(entry.fingerprint, copy, entry.rank, entry.fate, entry.attempts)

    def read(self) -> Request:
        request = self.request
        copy = Request(request.url, page=request.page, priority=request.priority, depth=request.depth)
        copy.rule_limit = request.rule_limit
        return copy


class Written(NamedTuple):
    """Changes by value: the entries themselves go on changing."""

    fresh: list[tuple[int, Row]]
    touched: list[tuple[int, Row]]
    edges: list[Edge]
    ended_hosts: list[EndedHost]


class Disk:
    """Rows by id, links, and what the real one does with them."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.links: dict[tuple[int, int], int] = {}

    def apply(self, changes: Written) -> None:
        for number, row in changes.fresh:
            assert number not in self.rows, "a new request is told twice"
            self.rows[number] = row
        for number, row in changes.touched:
            assert number in self.rows, "a request changes that was never told"
            self.rows[number] = row
        for parent, child, hops in changes.edges:
            self.links[parent, child] = min(hops, self.links.get((parent, child), hops))
        for host, fate, _, excluded in changes.ended_hosts:
            for number, row in self.rows.items():
                if row.fate is None and host in (None, host_of(row.request.url)) and number not in excluded:
                    row.fate = fate

    def refill(self, want: Want) -> list[WaitingRow]:
        found = [
            (number, row.mark, row.rank, row.read(), row.attempts)
            for number, row in self.rows.items()
            if row.fate is None
            and host_of(row.request.url) == want.host
            and (want.after is None or row.rank > want.after)
        ]
        return sorted(found, key=lambda row: row[2])[: want.most]

    def relax(self, asked: list[tuple[int, int]]) -> list[RelaxedRow]:
        below: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for (parent, child), hops in self.links.items():
            below[parent].append((child, hops))
        improved: set[int] = set()
        edge = deque(pair for pair in asked if pair[1] <= self.rows[pair[0]].request.depth)
        while edge:
            number, depth = edge.popleft()
            request = self.rows[number].request
            if depth < request.depth:
                request.depth = depth
                improved.add(number)
            if depth == request.depth:
                edge.extend((c, depth + h) for c, h in below[number] if depth + h < self.rows[c].request.depth)
        return [
            (number, row.request.depth, row.fate, row.mark, host_of(row.request.url), row.read(), row.attempts)
            for number, row in ((number, self.rows[number]) for number in improved)
        ]

    def restored(self, **arguments: Any) -> Frontier:
        """A frontier that goes on from what is written; what was handed out waits again."""
        frontier = Frontier(**arguments)
        last = max(self.rows, default=0)
        marks = [row.mark[:12] + number.to_bytes(4, "big") for number, row in self.rows.items()]
        waiting = Counter(host_of(row.request.url) for row in self.rows.values() if row.fate is None)
        fates = Counter(row.fate for row in self.rows.values() if row.fate is not None)
        frontier.restore(last, [b"".join(marks)], sorted(waiting.items()), fates, {})
        return frontier


class Crawl:
    """A frontier and its disk. With `random`, jobs are done late and answers come in any order of hosts; without, at
    once.
    """

    def __init__(self, frontier: Frontier, disk: Disk | None = None, random: Random | None = None) -> None:
        self.frontier = frontier
        self.disk = disk or Disk()
        self._random = random
        self._haste = random.choice([0.05, 0.2, 0.5]) if random is not None else 1.0
        self._jobs: deque[Callable[[], None]] = deque()
        self._refills: list[tuple[str, list[WaitingRow]]] = []
        self._relaxes: deque[list[RelaxedRow]] = deque()

    # --- the frontier, its disk always up to date ------------------------------------------------------------

    def add(
        self,
        url: str,
        *,
        parent: Entry | None = None,
        depth: int = 0,
        priority: int = 0,
        rule_limit: tuple[str, int] | None = None,
    ) -> bool:
        request = Request(url, page="p", depth=depth, priority=priority, rule_limit=rule_limit)
        new = self.frontier.add(request, mark_of(url), parent)
        self.step()
        return new

    def next(self, now: float = 0.0) -> Entry | None:
        entry = self.frontier.next(now)
        self.step()
        return entry

    def finish(self, entry: Entry, fate: str = "fetched") -> None:
        self.frontier.finish(entry, fate)
        self.step()

    def retry(self, entry: Entry, due: float) -> None:
        self.frontier.retry(entry, due)
        self.step()

    def drain(self, now: float = 0.0) -> list[str]:
        urls = []
        while entry := self.next(now):
            urls.append(entry.request.url)
            self.finish(entry)
        return urls

    def row(self, url: str) -> Row:
        number = self.frontier.known(mark_of(url))
        assert number is not None
        return self.disk.rows[number]

    # --- what the engine does between two turns ------------------------------------------------------------------

    def step(self) -> None:
        """Everything at once, or a little of it."""
        if self._random is None:
            self.settle()
            return
        if self._random.random() < self._haste:
            self.post()
        while self._jobs and self._random.random() < self._haste:
            self.work()
        while (self._refills or self._relaxes) and self._random.random() < self._haste:
            self.deliver(self._random)

    def settle(self) -> None:
        """Until nothing is to be written, asked or answered."""
        while self.frontier.changed or self.frontier.wants or self.frontier.shorter or self.busy:
            self.post()
            while self._jobs:
                self.work()
            while self._refills or self._relaxes:
                self.deliver(self._random or Random(0))

    @property
    def busy(self) -> bool:
        return bool(self._jobs or self._refills or self._relaxes)

    def post(self) -> None:
        """Changes go first, as they are now; then the questions."""
        frontier = self.frontier
        fresh, touched, edges, ended = frontier.take_changes()
        snapshot = Written(_rows(fresh), _rows(touched), edges, ended)
        self._jobs.append(lambda: self.disk.apply(snapshot))
        while frontier.wants:
            want = frontier.wants.popleft()
            self._jobs.append(lambda want=want: self._refills.append((want.host, self.disk.refill(want))))  # type: ignore[misc]
        if frontier.shorter:
            asked = list(frontier.shorter)
            frontier.shorter.clear()
            self._jobs.append(lambda: self._relaxes.append(self.disk.relax(asked)))

    def work(self) -> None:
        if self._jobs:
            self._jobs.popleft()()

    def deliver(self, random: Random) -> None:
        """One answer: those about paths come in order, those of hosts as they like."""
        if self._relaxes and (not self._refills or random.random() < 0.5):
            self.frontier.relaxed(self._relaxes.popleft())
        elif self._refills:
            self.frontier.refill(*self._refills.pop(random.randrange(len(self._refills))))


def _rows(entries: Iterable[Entry]) -> list[tuple[int, Row]]:
    return [(entry.id, Row.of(entry)) for entry in entries]


def mark_of(url: str) -> bytes:
    return fingerprint("GET", url, None, "p", {})


def allow_all(request: Request) -> Refusal | None:
    return None


def new_frontier(
    refusal: Callable[[Request], Refusal | None] = allow_all,
    *,
    concurrency: int = 1,
    delay: float = 0.0,
    jitter: float = 0.0,
    **more: Any,
) -> Frontier:
    politeness = Politeness(concurrency, delay, jitter)
    return Frontier(refusal=refusal, politeness=lambda host: politeness, random=Random(1), **more)
