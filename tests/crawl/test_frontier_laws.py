"""What holds of the frontier whatever happens in which order, however little is in memory, however late answers are."""

from __future__ import annotations

import sys
from collections import defaultdict
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.crawl.frontier import Entry, Frontier
from pipeline.crawl.hosts import RETRYING
from pipeline.crawl.scope import Refusal
from pipeline.errors import BooksError
from pipeline.model import Request
from tests.crawl.disk import Crawl, Disk, allow_all, mark_of, new_frontier

WINDOWS = st.sampled_from([1, 2, 4, 9, 256])
STEPS = ("add", "many", "start", "finish", "retry", "put_back", "pause", "wait", "again")


class Witness:
    """Plays a crawl at random and keeps books of its own."""

    def __init__(self, frontier: Frontier, random: Random) -> None:
        self.frontier = frontier
        self.crawl = Crawl(frontier, random=random)
        self.random = random
        self.now = 0.0
        self.running: list[Entry] = []
        self.waiting: dict[str, tuple[int, float]] = {}  # URL -> rank, when it may go
        self.went_back: set[str] = set()
        self.ended: dict[str, str] = {}
        self.starts: defaultdict[str, list[float]] = defaultdict(list)

    def do(self, step: str) -> None:
        self.now += self.random.random()
        if step in ("add", "many"):
            for _ in range(1 if step == "add" else 20):
                self.add()
        elif step == "start":
            self.start()
        elif step == "wait":
            self.crawl.settle()
        elif step == "pause":
            self.frontier.pause(self.random.choice("ab"), self.now + 1)
        elif step == "again":
            self.ask_again()
        elif self.running:
            entry = self.running.pop(self.random.randrange(len(self.running)))
            self.end(entry) if step == "finish" else self.go_back(entry, step)
        self.check()

    def add(self) -> None:
        url = f"http://{self.random.choice('ab')}/{self.random.randrange(400)}"
        known = self.frontier.known(mark_of(url)) is not None
        depth, priority = self.random.randrange(4), self.random.choice([0, 0, 0, 5, -5])
        request = Request(url, page="p", depth=depth, priority=priority)
        assert self.frontier.add(request, mark_of(url)) is not known
        if not known:
            number = self.frontier.known(mark_of(url))
            assert number == self.frontier.discovered
            self.waiting[url] = self.frontier._rank(request, number), 0.0
        self.crawl.step()

    def start(self) -> None:
        entry = self.crawl.next(self.now)
        if entry is None:
            return
        url = entry.request.url
        rank, due = self.waiting.pop(url)
        assert (rank, entry.fate) == (entry.rank, None) and due <= self.now
        assert entry.host is not None
        if url not in self.went_back:
            others = [
                other
                for name, (other, due) in self.waiting.items()
                if due <= self.now and name.startswith(f"http://{entry.host.name}/")
            ]
            assert rank < min(others, default=rank + 1), "a smaller rank waited"
        self.starts[entry.host.name].append(self.now)
        self.running.append(entry)

    def end(self, entry: Entry) -> None:
        assert self.ended.get(entry.request.url) in (None, "redirected"), "a request was handed out twice"
        fate = self.ended[entry.request.url] = self.random.choice(["fetched", "redirected"])
        self.crawl.finish(entry, fate)

    def go_back(self, entry: Entry, step: str) -> None:
        due = self.now + self.random.random()
        self.waiting[entry.request.url] = entry.rank, due
        self.went_back.add(entry.request.url)
        if step == "retry":
            self.crawl.retry(entry, due)
        else:
            self.frontier.put_back(entry, due)
            self.crawl.step()

    def ask_again(self) -> None:
        open_ = {entry.request.url for entry in self.running} | set(self.waiting)
        urls = [url for url, fate in self.ended.items() if fate == "redirected" and url not in open_]
        if urls:
            request = Request(self.random.choice(urls), page="p", depth=1)
            number = self.frontier.ask_again(request, mark_of(request.url), was="redirected")
            self.waiting[request.url] = self.frontier._rank(request, number), 0.0
            self.crawl.step()

    def check(self) -> None:
        frontier = self.frontier
        assert frontier.pending + frontier.active + frontier.fates.total() == frontier.discovered
        assert (frontier.pending, frontier.active) == (len(self.waiting), len(self.running))
        assert sum(frontier.waiting_on(name) for name in frontier.hosts) == frontier.pending
        window = frontier._windows.size
        for host in frontier.hosts.values():
            aside = len(host.awaited.fresh) if host.awaited else 0
            assert host.active <= 2 and len(host.later or ()) <= RETRYING + 2
            ready = host.here - len(host.later or ())
            assert ready <= window + 1 + len(self.went_back) and aside <= window
        lists = [host._ready for host in frontier.hosts.values() if isinstance(host._ready, list)]  # not folded
        everything = [entry for ready in lists for _, entry in ready]
        assert len({entry.id for entry in everything}) == len(everything)

    def finish_all(self) -> None:
        """To the end: everything that was accepted has been handed out."""
        while self.frontier.pending or self.frontier.active:
            for entry in self.running:
                self.end(entry)
            self.running.clear()
            self.crawl.settle()
            self.now += 1.0
            self.start()
            self.check()
        self.crawl.settle()
        assert {url: self.crawl.row(url).fate for url in self.ended} == self.ended
        assert len(self.ended) == self.frontier.discovered


@settings(deadline=None)  # each is a whole crawl
@given(st.integers(0, 2**32), WINDOWS, st.sampled_from(["breadth", "depth"]), st.sampled_from([0, 10_000]))
def test_every_request_is_handed_out_once_in_order_and_the_books_balance(
    seed: int, window: int, order: str, crowd: int
) -> None:
    """With a crowd of 0 every host is one of too many, and folds what it can."""
    random = Random(seed)
    weights = [5, random.choice([0, 2]), 12, 10, *(random.choice([0, 0, 3]) for _ in range(5))]
    witness = Witness(new_frontier(concurrency=2, delay=0.5, window=window, order=order, crowd=crowd), random)
    for step in random.choices(STEPS, weights, k=250):
        witness.do(step)
    witness.finish_all()
    for times in witness.starts.values():
        assert all(later - earlier >= 0.5 for earlier, later in pairwise(times))


@settings(deadline=None)  # each is a whole crawl
@given(st.integers(0, 2**32), WINDOWS, st.integers(1, 6), st.sampled_from([0, 10_000]))
def test_whatever_is_killed_and_resumed_every_request_ends_once_on_disk(
    seed: int, window: int, kills: int, crowd: int
) -> None:
    """What was not written is forgotten, as by a kill, and met again on the pages that were not written either."""
    random = Random(seed)
    graph = {node: random.sample(range(40), k=random.randint(0, 6)) for node in range(40)}
    urls = [f"http://{'abc'[node % 3]}/{node}" for node in range(40)]
    disk = Disk()
    crawl = Crawl(new_frontier(window=window, concurrency=3, crowd=crowd), disk, random)
    for life in range(kills + 1):
        left = random.randrange(30) if life < kills else 10**6
        crawl.add(urls[0])
        while left and (crawl.frontier.pending or crawl.frontier.active or crawl.busy or crawl.frontier.changed):
            left -= 1
            entry = crawl.next()
            if entry is None:
                crawl.settle()
                continue
            crawl.frontier.finish(entry, "fetched")
            for target in graph[int(entry.request.url[9:])]:
                request = Request(urls[target], page="p", depth=entry.request.depth + 1)
                crawl.frontier.add(request, mark_of(urls[target]), entry)
            crawl.step()
            frontier = crawl.frontier
            assert frontier.pending + frontier.active + frontier.fates.total() == frontier.discovered
        if life < kills:
            sizes = {"window": window, "crowd": crowd}
            again = disk.restored(refusal=allow_all, politeness=crawl.frontier._politeness, **sizes)
            crawl = Crawl(again, disk, random)
    reached = {0}
    while more := {target for node in reached for target in graph[node]} - reached:
        reached |= more
    crawl.settle()
    assert {row.request.url: row.fate for row in disk.rows.values()} == {urls[node]: "fetched" for node in reached}


def test_a_resumed_frontier_knows_all_and_loads_only_the_first_stretch() -> None:
    crawl = Crawl(new_frontier(window=4))
    for number in range(20):
        crawl.add(f"http://{'ab'[number % 2]}/{number}")
    first = crawl.next()
    assert first is not None
    crawl.finish(first)
    frontier = crawl.disk.restored(refusal=allow_all, politeness=crawl.frontier._politeness, window=4)
    assert (frontier.discovered, frontier.pending, frontier.fates) == (20, 19, {"fetched": 1})
    assert frontier.known(mark_of("http://b/19")) == 20
    assert (frontier.next(0.0), frontier.next_time()) == (None, None)
    assert [(want.host, want.after, want.most) for want in frontier.wants] == [("a", None, 4), ("b", None, 4)]
    again = Crawl(frontier, crawl.disk)
    again.settle()
    assert [len(host.held()) for host in frontier.hosts.values()] == [4, 4]
    again.add("http://a/20")
    assert sorted(again.drain()) == sorted(f"http://{'ab'[n % 2]}/{n}" for n in range(1, 21))


def test_a_shorter_path_is_found_after_a_resume_too() -> None:
    crawl = Crawl(new_frontier(track_depth=True, concurrency=9))
    crawl.add("http://a/0")
    parent = crawl.next()
    for number in range(1, 5):
        crawl.add(f"http://a/{number}", parent=parent, depth=number * 2)
        parent = crawl.next()
    depths = [[row.request.depth for row in crawl.disk.rows.values()][start : start + 2] for start in (0, 2, 4)]
    from array import array

    frontier = new_frontier(track_depth=True)
    frontier.restore(5, [_packed(crawl.disk)], [("a", 5)], {}, {}, [array("H", piece) for piece in depths])
    again = Crawl(frontier, crawl.disk)
    again.add("http://a/2", depth=1)
    assert [row.request.depth for row in crawl.disk.rows.values()] == [0, 2, 1, 3, 5]
    with pytest.raises(BooksError, match="4 of 5"):
        new_frontier(track_depth=True).restore(5, [_packed(crawl.disk)], [], {}, {}, [array("H", range(4))])


def _packed(disk: Disk) -> bytes:
    return b"".join(row.mark[:12] + number.to_bytes(4, "big") for number, row in disk.rows.items())


def test_what_is_met_while_a_question_is_under_way_keeps_its_place() -> None:
    """More of them than are kept aside: the answer, which does not have them, counts only up to the first left out."""
    before = Crawl(new_frontier())
    before.add("http://a/0")
    politeness = before.frontier._politeness
    crawl = Crawl(before.disk.restored(refusal=allow_all, politeness=politeness, window=8), before.disk)
    crawl.post()
    crawl.work()
    crawl.work()
    for number in range(1, 12):
        request = Request(f"http://a/{number}", page="p", priority=5)
        crawl.frontier.add(request, mark_of(request.url))
    assert len(crawl.frontier.hosts["a"].held()) == 7
    crawl.settle()
    for number in range(1, 8):
        entry = _some(crawl.frontier.next(0.0))
        assert entry.request.url == f"http://a/{number}"
        crawl.frontier.finish(entry, "fetched")
    assert crawl.frontier.next(0.0) is None  # it waits for the rest rather than take what was further
    crawl.settle()
    assert crawl.drain() == [f"http://a/{number}" for number in (8, 9, 10, 11, 0)]


def test_what_ends_while_a_question_is_under_way_does_not_come_back() -> None:
    crawl = Crawl(new_frontier(window=4, concurrency=9))
    frontier = crawl.frontier
    crawl.add("http://a/last")
    last = crawl.next()
    for number in range(5):
        crawl.add(f"http://a/{number}", priority=5)
    running = [frontier.next(0.0) for _ in range(3)]
    assert [(want.host, want.most) for want in frontier.wants] == [("a", 3)]
    crawl.post()
    crawl.work()
    crawl.work()
    for entry in (last, *running):
        frontier.finish(_some(entry), "fetched")
    crawl.settle()
    assert crawl.drain() == ["http://a/3", "http://a/4"]


def test_what_moves_while_a_question_is_under_way_does_not_come_back_as_it_was() -> None:
    """Moved beyond what is kept aside, it is on disk only; the answer shows it where it was before."""
    crawl = Crawl(new_frontier(order="depth", track_depth=True, window=1))
    frontier = crawl.frontier
    for depth in (9, 5, 4):
        crawl.add(f"http://a/{depth}", depth=depth)
    frontier.add(Request("http://a/5", page="p", depth=1), mark_of("http://a/5"))
    crawl.post()
    far = _some(frontier.next(0.0))
    assert [(want.host, want.after) for want in frontier.wants] == [("a", far.rank)]
    crawl.post()
    frontier.add(Request("http://a/2", page="p", depth=2), mark_of("http://a/2"))
    crawl.work()
    crawl.work()
    crawl.deliver(Random(0))
    assert crawl.busy and frontier.hosts["a"].find(2) is None
    frontier.finish(far, "fetched")
    crawl.settle()
    assert crawl.drain() == [f"http://a/{path}" for path in (4, 2, 5)]
    assert [row.request.depth for row in crawl.disk.rows.values()] == [9, 1, 4, 2]


def test_what_two_answers_bring_near_is_opened_once() -> None:
    crawl = Crawl(
        new_frontier(lambda one: Refusal("rejected:depth", "") if one.depth > 2 else None, track_depth=True, window=1)
    )
    frontier = crawl.frontier
    for number in range(4):
        crawl.add(f"http://a/{number}")
    way = crawl.next()
    crawl.add("http://b/way", depth=9)
    crawl.add("http://a/far", parent=way, depth=9)
    for depth in (2, 1):
        way_there = Request("http://a/far", page="p", depth=depth)
        frontier.add(way_there, mark_of("http://a/far"))
        crawl.post()
    for _ in range(4):
        crawl.work()
    random = Random(0)
    crawl.deliver(random)
    assert (frontier.waiting_on("a"), frontier.hosts["a"].find(6)) == (4, None)
    crawl.deliver(random)
    assert frontier.waiting_on("a") == 4
    frontier.finish(_some(way), "fetched")
    crawl.settle()
    assert crawl.drain() == [*(f"http://a/{number}" for number in (1, 2, 3)), "http://a/far"]
    assert +frontier.fates == {"fetched": 5, "rejected:depth": 1}


def _some(entry: Entry | None) -> Entry:
    assert entry is not None
    return entry


def test_requests_that_the_disk_has_lost_are_noticed() -> None:
    crawl = Crawl(new_frontier(window=2))
    for number in range(9):
        crawl.add(f"http://a/{number}")
    del crawl.disk.rows[9]
    with pytest.raises(BooksError, match="a, but only"):
        crawl.drain()


def test_very_many_hosts_share_what_memory_holds() -> None:
    crawl = Crawl(new_frontier(crowd=100))
    for number in range(1000):
        crawl.frontier.add(Request(f"http://h{number % 50}/{number}", page="p"), mark_of(str(number)))
    crawl.settle()
    held = [entry for host in crawl.frontier.hosts.values() for entry in host.held()]
    assert len(held) <= 50 * 4 + 100
    assert len(crawl.drain()) == 1000
    assert not any(host.held() for host in crawl.frontier.hosts.values())


def test_nothing_is_kept_of_what_has_ended() -> None:
    crawl = Crawl(new_frontier())
    crawl.add("http://a/1")
    entry = crawl.next()
    assert entry is not None
    crawl.finish(entry)
    assert sys.getrefcount(entry) == 2  # the name here, and the argument of the call


def test_the_next_request_costs_the_same_among_many_hosts() -> None:
    """Steps counted, not timed: with 20,000 hosts queued, each `next` touches one heap entry."""
    frontier = new_frontier(delay=1.0)
    for number in range(20_000):
        frontier.add(Request(f"http://h{number}/", page="p"), mark_of(str(number)))
    for _ in range(20_000):
        entry = frontier.next(0.0)
        assert entry is not None
        frontier.finish(entry, "fetched")
    assert frontier.next_time() is None and not frontier.pending and frontier.ended == 20_000
