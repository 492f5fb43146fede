"""The frontier: order, politeness, retries, caps, depth, and the books, with time passed in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from pipeline.crawl.frontier import Entry, Frontier, Politeness
from pipeline.model import Request
from pipeline.url import fingerprint


def allow_all(request: Request) -> str | None:
    return None


def make(
    refusal: Callable[[Request], str | None] = allow_all,
    *,
    concurrency: int = 1,
    delay: float = 0.0,
    jitter: float = 0.0,
    order: str = "breadth",
    track_depth: bool = False,
) -> Frontier:
    return Frontier(
        refusal=refusal,
        politeness=lambda host: Politeness(concurrency, delay, jitter),
        order=order,
        track_depth=track_depth,
        random=Random(1),
    )


def add(frontier: Frontier, url: str, *, parent: Entry | None = None, depth: int = 0, priority: int = 0) -> bool:
    request = Request(url, page="p", depth=depth, priority=priority)
    return frontier.add(request, fingerprint("GET", url, None, "p", {}), parent=parent)


def entry_of(frontier: Frontier, url: str) -> Entry:
    return frontier.entries[fingerprint("GET", url, None, "p", {})]


def drain(frontier: Frontier, now: float = 0.0) -> list[str]:
    urls = []
    while entry := frontier.next(now):
        urls.append(entry.request.url)
        frontier.finish(entry, "fetched")
    return urls


def test_a_request_is_met_once() -> None:
    frontier = make()
    assert add(frontier, "http://a/1")
    assert not add(frontier, "http://a/1")
    assert (frontier.discovered, frontier.pending) == (1, 1)


def test_breadth_and_depth_and_priority() -> None:
    for order, expected in (("breadth", ["/p", "/0", "/1a", "/1b", "/2"]), ("depth", ["/p", "/2", "/1b", "/1a", "/0"])):
        frontier = make(order=order)
        for path, depth, priority in (("/2", 2, 0), ("/1a", 1, 0), ("/1b", 1, 0), ("/0", 0, 0), ("/p", 5, 10)):
            add(frontier, f"http://a{path}", depth=depth, priority=priority)
        assert drain(frontier) == [f"http://a{path}" for path in expected]


def test_a_host_has_at_most_its_concurrency_and_others_are_not_held_up() -> None:
    frontier = make(concurrency=2)
    for host in ("a", "b"):
        for number in range(3):
            add(frontier, f"http://{host}/{number}")
    running = []
    while entry := frontier.next(0.0):
        running.append(entry)
    assert sorted(entry.request.url for entry in running) == ["http://a/0", "http://a/1", "http://b/0", "http://b/1"]
    assert frontier.next_time() is None
    frontier.finish(running[0], "fetched")
    assert frontier.next_time() is not None


def test_starts_on_a_host_are_a_delay_apart() -> None:
    frontier = make(concurrency=9, delay=1.0)
    add(frontier, "http://a/1")
    add(frontier, "http://a/2")
    assert frontier.next(10.0) is not None
    assert frontier.next(10.9) is None
    assert frontier.next_time() == 11.0
    assert frontier.next(11.0) is not None


def test_jitter_moves_the_delay_by_its_share_at_most() -> None:
    frontier = make(concurrency=1, delay=1.0, jitter=0.25)
    for number in range(200):
        add(frontier, f"http://a/{number}")
    now, waits = 0.0, []
    while entry := frontier.next(now):
        frontier.finish(entry, "fetched")
        at = frontier.next_time()
        if at is None:
            break
        waits.append(at - now)
        now = at
    assert len(waits) == 199
    assert 0.75 <= min(waits) < 0.8 and 1.2 < max(waits) <= 1.25


def test_a_retry_waits_its_time_and_others_go_first() -> None:
    frontier = make()
    add(frontier, "http://a/1")
    add(frontier, "http://a/2")
    first = frontier.next(0.0)
    assert first is not None
    frontier.retry(first, 5.0)
    second = frontier.next(0.0)
    assert second is not None and second is not first
    frontier.finish(second, "fetched")
    assert frontier.next(4.9) is None
    assert frontier.next_time() == 5.0
    assert frontier.next(5.0) is first
    assert first.attempts == 2


def test_a_paused_host_is_left_alone_until_then() -> None:
    frontier = make(concurrency=2)
    add(frontier, "http://a/1")
    add(frontier, "http://a/2")
    assert frontier.next(0.0) is not None
    frontier.pause("a", 7.0)
    assert frontier.next(1.0) is None
    assert frontier.next_time() == 7.0
    assert frontier.next(7.0) is not None


def test_a_refused_request_has_its_fate_at_once() -> None:
    frontier = make(lambda request: "rejected:scope")
    assert add(frontier, "http://a/1")
    assert frontier.next(0.0) is None
    assert frontier.fates == {"rejected:scope": 1}


def test_a_follow_limit_counts_new_requests_only() -> None:
    frontier = make()
    for path in ("/1", "/1", "/2", "/3"):
        url = f"http://a{path}"
        frontier.add(Request(url, page="p", rule_limit=("list.follow[0]", 2)), fingerprint("GET", url, None, "p", {}))
    assert frontier.fates == {"rejected:limit": 1}
    assert drain(frontier) == ["http://a/1", "http://a/2"]


def test_reject_pending_ends_the_queued_and_leaves_the_running() -> None:
    frontier = make(concurrency=1)
    for number in range(3):
        add(frontier, f"http://a/{number}")
    running = frontier.next(0.0)
    assert running is not None
    assert frontier.reject_pending("rejected:limit", "enough") == 2
    frontier.finish(running, "fetched")
    assert frontier.next(99.0) is None
    assert frontier.fates == {"fetched": 1, "rejected:limit": 2}


def test_a_shorter_path_found_later_reopens_what_depth_had_refused() -> None:
    frontier = make(lambda request: "rejected:depth" if request.depth > 2 else None, track_depth=True)
    add(frontier, "http://a/seed")
    seed = entry_of(frontier, "http://a/seed")
    add(frontier, "http://a/far", parent=seed, depth=2)
    far = entry_of(frontier, "http://a/far")
    add(frontier, "http://a/beyond", parent=far, depth=3)
    beyond = entry_of(frontier, "http://a/beyond")
    assert beyond.fate == "rejected:depth"
    add(frontier, "http://a/far", parent=seed, depth=1)
    assert (far.request.depth, beyond.request.depth, beyond.fate) == (1, 2, None)
    assert sorted(drain(frontier)) == ["http://a/beyond", "http://a/far", "http://a/seed"]
    assert +frontier.fates == {"fetched": 3}


@given(st.integers(0, 2**32), st.integers(2, 4))
def test_what_depth_admits_does_not_depend_on_the_order_of_arrival(seed: int, limit: int) -> None:
    """Whatever order the pages of a random graph come in, exactly those within `limit` hops are fetched."""
    random = Random(seed)
    graph = {node: random.sample(range(12), k=random.randint(0, 3)) for node in range(12)}
    frontier = make(
        lambda request: "rejected:depth" if request.depth > limit else None, concurrency=20, track_depth=True
    )
    add(frontier, "http://a/0")
    running: list[Entry] = []
    while True:
        while entry := frontier.next(0.0):
            running.append(entry)
        if not running:
            break
        entry = running.pop(random.randrange(len(running)))
        frontier.finish(entry, "fetched")
        for target in graph[int(entry.request.url[9:])]:
            add(frontier, f"http://a/{target}", parent=entry, depth=entry.request.depth + 1)
    near, edge = {0}, {0}
    for _ in range(limit):
        edge = {target for node in edge for target in graph[node]}
        near |= edge
    fetched = {int(e.request.url[9:]) for e in frontier.entries.values() if e.fate == "fetched"}
    assert fetched == near


@given(st.lists(st.sampled_from(["add", "start", "finish", "retry", "pause"]), max_size=60), st.integers(0, 2**32))
def test_the_books_balance_and_limits_hold_after_any_sequence(steps: list[str], seed: int) -> None:
    random, now = Random(seed), 0.0
    frontier = make(concurrency=2, delay=0.5)
    running: list[Entry] = []
    started: dict[str, list[float]] = defaultdict(list)
    for step in steps:
        now += random.random()
        host = random.choice("ab")
        if step == "add":
            add(frontier, f"http://{host}/{random.randrange(20)}")
        elif step == "start" and (entry := frontier.next(now)):
            running.append(entry)
            assert entry.host is not None
            started[entry.host.name].append(now)
        elif step == "finish" and running:
            frontier.finish(running.pop(), "fetched")
        elif step == "retry" and running:
            frontier.retry(running.pop(), now + 1)
        elif step == "pause":
            frontier.pause(host, now + 1)
        assert frontier.pending + frontier.active + frontier.fates.total() == frontier.discovered
        assert all(queue.active <= 2 for queue in frontier.hosts.values())
    assert all(later - earlier >= 0.5 for times in started.values() for earlier, later in pairwise(times))


def test_the_next_request_costs_the_same_among_many_hosts() -> None:
    """Steps counted, not timed: with 20,000 hosts queued, each `next` touches one heap entry."""
    frontier = make(delay=1.0)
    for number in range(20_000):
        add(frontier, f"http://h{number}/")
    assert len(drain(frontier)) == 20_000
    assert not frontier._ready
