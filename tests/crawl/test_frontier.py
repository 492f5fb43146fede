"""The frontier: order, politeness, retries, caps, depth, and the books, with time passed in.

Every law holds whatever part of the requests is in memory: each test runs with windows from one request a host up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.crawl.frontier import Frontier
from pipeline.crawl.hosts import MAX_DEPTH, rank_of
from pipeline.crawl.scope import Refusal
from pipeline.model import Request
from tests.crawl.disk import Crawl, allow_all, mark_of, new_frontier
from tests.crawl.graph import Graph, GraphCrawl

Make: TypeAlias = Callable[..., Crawl]
WINDOWS = (1, 2, 4, 256)


@pytest.fixture(params=WINDOWS)
def make(request: pytest.FixtureRequest) -> Make:
    """Makes a crawl whose frontier has windows of one of the sizes."""

    def new(refusal: Callable[[Request], Refusal | None] = allow_all, **arguments: Any) -> Crawl:
        return Crawl(new_frontier(refusal, window=request.param, **arguments))

    return new


def books_balance(frontier: Frontier) -> bool:
    return frontier.pending + frontier.active + frontier.fates.total() == frontier.discovered


def too_deep(limit: int) -> Callable[[Request], Refusal | None]:
    return lambda request: Refusal("rejected:depth", "too far") if request.depth > limit else None


# --- order and politeness ---------------------------------------------------------------------------------------------


def test_a_request_is_met_once(make: Make) -> None:
    crawl = make()
    assert crawl.add("http://a/1")
    assert not crawl.add("http://a/1")
    assert (crawl.frontier.discovered, crawl.frontier.pending, crawl.frontier.waiting_on("a")) == (1, 1, 1)


def test_breadth_and_depth_and_priority(make: Make) -> None:
    for order, expected in (("breadth", ["/p", "/0", "/1a", "/1b", "/2"]), ("depth", ["/p", "/2", "/1b", "/1a", "/0"])):
        crawl = make(order=order)
        for path, depth, priority in (("/2", 2, 0), ("/1a", 1, 0), ("/1b", 1, 0), ("/0", 0, 0), ("/p", 5, 10)):
            crawl.add(f"http://a{path}", depth=depth, priority=priority)
        assert crawl.drain() == [f"http://a{path}" for path in expected]


def test_ranks_are_64_bits_and_keep_their_order_at_the_ends() -> None:
    def rank(priority: int, depth: int, number: int, *, deepest_first: bool = False) -> int:
        return rank_of(Request("http://a/", priority=priority, depth=depth), number, deepest_first=deepest_first)

    last = 2**32 - 1
    ascending = [rank(10**9, 0, 1), rank(1, 99, last), rank(0, 0, 1), rank(0, 0, last), rank(0, 1, 1)]
    ascending += [rank(0, 10**6, last), rank(-1, 0, 1), rank(-(10**9), 10**6, last)]
    assert ascending == sorted(set(ascending))
    assert ascending[0] > -(2**63) and ascending[-1] < 2**63 - 1
    deepest = [rank(0, depth, number, deepest_first=True) for depth, number in ((9, 2), (9, 1), (3, last), (0, 7))]
    assert deepest == sorted(deepest)


def test_a_host_has_at_most_its_concurrency_and_others_are_not_held_up(make: Make) -> None:
    crawl = make(concurrency=2)
    for host in ("a", "b"):
        for number in range(3):
            crawl.add(f"http://{host}/{number}")
    running = []
    while entry := crawl.next():
        running.append(entry)
    assert sorted(entry.request.url for entry in running) == ["http://a/0", "http://a/1", "http://b/0", "http://b/1"]
    assert crawl.frontier.next_time() is None
    crawl.finish(running[0])
    assert crawl.frontier.next_time() is not None


def test_starts_on_a_host_are_a_delay_apart(make: Make) -> None:
    crawl = make(concurrency=9, delay=1.0)
    crawl.add("http://a/1")
    crawl.add("http://a/2")
    assert crawl.next(10.0) is not None
    assert crawl.next(10.9) is None
    assert crawl.frontier.next_time() == 11.0
    assert crawl.next(11.0) is not None


def test_jitter_moves_the_delay_by_its_share_at_most(make: Make) -> None:
    crawl = make(concurrency=1, delay=1.0, jitter=0.25)
    for number in range(200):
        crawl.add(f"http://a/{number}")
    now, waits = 0.0, []
    while entry := crawl.next(now):
        crawl.finish(entry)
        at = crawl.frontier.next_time()
        if at is None:
            break
        waits.append(at - now)
        now = at
    assert len(waits) == 199
    assert 0.75 <= min(waits) < 0.8 and 1.2 < max(waits) <= 1.25


def test_a_retry_waits_its_time_and_others_go_first(make: Make) -> None:
    crawl = make()
    crawl.add("http://a/1")
    crawl.add("http://a/2")
    first = crawl.next()
    assert first is not None
    crawl.retry(first, 5.0)
    assert crawl.row("http://a/1").attempts == 1
    second = crawl.next()
    assert second is not None and second is not first
    crawl.finish(second)
    assert crawl.next(4.9) is None
    assert crawl.frontier.next_time() == 5.0
    assert crawl.next(5.0) is first
    assert first.attempts == 2


def test_a_request_that_is_put_back_has_used_no_attempt(make: Make) -> None:
    crawl = make()
    crawl.add("http://a/1")
    entry = crawl.next()
    assert entry is not None
    crawl.frontier.put_back(entry, 0.0)
    assert (crawl.frontier.pending, crawl.frontier.active, entry.attempts) == (1, 0, 0)
    assert crawl.next() is entry
    assert entry.attempts == 1


def test_attempts_are_kept_when_memory_forgets_a_request() -> None:
    crawl = Crawl(new_frontier(window=2, concurrency=3))
    for number in range(3):
        crawl.add(f"http://a/{number}")
    entries = [crawl.next(), crawl.next(), crawl.next()]
    for entry in entries:
        assert entry is not None
        crawl.retry(entry, 1.0)
    for number in range(3, 9):
        crawl.add(f"http://a/{number}", priority=1)
    first = crawl.next(2.0)  # now the others' time has come, and there are too many
    assert first is not None
    crawl.finish(first)
    for number in range(9, 12):
        crawl.add(f"http://a/{number}", priority=2)
    assert all(entry.attempts == 0 for entry in crawl.frontier.hosts["a"].held())
    attempts = {first.request.url: 1}
    while entry := crawl.next(2.0):
        attempts[entry.request.url] = entry.attempts
        crawl.finish(entry)
    assert attempts == {f"http://a/{number}": 2 if number < 3 else 1 for number in range(12)}


def test_a_host_that_only_fails_is_not_asked_for_ever_more(make: Make) -> None:
    crawl = make(concurrency=1)
    for number in range(300):
        crawl.add(f"http://a/{number}")
    while entry := crawl.next():
        crawl.retry(entry, 5.0)
    assert crawl.frontier.next_time() == 5.0
    assert len(crawl.frontier.hosts["a"].later or ()) == 256
    assert len(crawl.drain(5.0)) == 300


def test_a_paused_host_is_left_alone_until_then(make: Make) -> None:
    crawl = make(concurrency=2)
    crawl.add("http://a/1")
    crawl.add("http://a/2")
    assert crawl.next() is not None
    crawl.frontier.pause("a", 7.0)
    crawl.frontier.pause("unknown", 7.0)
    assert crawl.next(1.0) is None
    assert crawl.frontier.next_time() == 7.0
    assert crawl.next(7.0) is not None


# --- fates ------------------------------------------------------------------------------------------------------------


def test_a_refused_request_has_its_fate_at_once(make: Make) -> None:
    crawl = make(lambda request: Refusal("rejected:scope", "elsewhere"))
    assert crawl.add("http://a/1")
    assert crawl.next() is None
    assert crawl.frontier.fates == {"rejected:scope": 1}
    row = crawl.row("http://a/1")
    assert row.fate == "rejected:scope"


def test_a_follow_limit_counts_new_requests_only(make: Make) -> None:
    crawl = make()
    for path in ("/1", "/1", "/2", "/3"):
        crawl.add(f"http://a{path}", rule_limit=("list.follow[0]", 2))
    assert crawl.frontier.fates == {"rejected:limit": 1}
    assert crawl.frontier.per_limit == {"list.follow[0]": 3}
    assert crawl.drain() == ["http://a/1", "http://a/2"]


def test_reject_pending_ends_the_waiting_and_leaves_the_running(make: Make) -> None:
    crawl = make(concurrency=1)
    for number in range(9):
        crawl.add(f"http://a/{number}")
    running = crawl.next()
    assert running is not None
    assert crawl.frontier.reject_pending("rejected:limit", "enough") == 8
    assert crawl.frontier.reject_pending("rejected:limit", "enough") == 0
    crawl.add("http://new/")
    crawl.finish(running)
    assert crawl.next(99.0) is None
    assert crawl.frontier.fates == {"fetched": 1, "rejected:limit": 9}
    assert Counter(row.fate for row in crawl.disk.rows.values()) == crawl.frontier.fates


def test_a_host_is_ended_with_all_that_waits_there_but_for_what_is_handed_out(make: Make) -> None:
    crawl = make(concurrency=2)
    for number in range(9):
        crawl.add(f"http://a/{number}")
    again, running = crawl.next(), crawl.next()
    assert again is not None and running is not None
    crawl.retry(again, 5.0)
    crawl.add("http://b/")
    crawl.frontier.end_host("a", "deferred:host_down", "gone")
    assert crawl.frontier.waiting_on("a") == 0
    crawl.step()
    assert [row.fate for row in crawl.disk.rows.values()].count(None) == 2
    crawl.retry(running, 6.0)
    crawl.add("http://a/late")
    assert crawl.frontier.fates == {"deferred:host_down": 10}
    assert crawl.drain(9.0) == ["http://b/"]
    assert [row.fate for row in crawl.disk.rows.values()].count("deferred:host_down") == 10
    assert books_balance(crawl.frontier)


def test_a_late_answer_for_a_host_that_was_ended_is_ignored() -> None:
    crawl = Crawl(new_frontier(window=1))
    for number in range(3):
        crawl.frontier.add(Request(f"http://a/{number}", page="p"), mark_of(f"http://a/{number}"))
    assert crawl.frontier.next(0.0) is not None
    crawl.post()
    crawl.frontier.end_host("a", "deferred:host_down", "")
    crawl.settle()
    assert crawl.next() is None
    assert crawl.frontier.fates == {"deferred:host_down": 2}


def test_a_request_can_be_asked_again_after_it_has_ended(make: Make) -> None:
    crawl = make()
    crawl.add("http://a/1")
    entry = crawl.next()
    assert entry is not None
    crawl.finish(entry, "redirected")
    again = Request("http://a/1", page="p", hops=("http://a/2",))
    assert crawl.frontier.ask_again(again, mark_of("http://a/1"), was="redirected") == entry.id
    crawl.step()
    assert crawl.row("http://a/1").fate is None
    assert crawl.drain() == ["http://a/1"]
    assert +crawl.frontier.fates == {"fetched": 1}
    assert crawl.row("http://a/1").fate == "fetched"


def test_of_a_request_that_ends_and_is_asked_again_in_one_batch_the_last_word_counts(make: Make) -> None:
    crawl = make()
    crawl.add("http://a/1")
    entry = crawl.next()
    assert entry is not None
    crawl.frontier.finish(entry, "redirected", target=entry.id)
    crawl.frontier.ask_again(Request("http://a/1", page="p"), mark_of("http://a/1"), was="redirected")
    changes = crawl.frontier.take_changes()
    assert [(one.id, one.fate) for one in changes.touched] == [(1, None)]
    assert not crawl.frontier.changed
    crawl = make()
    crawl.frontier.add(Request("http://a/1", page="p"), mark_of("http://a/1"))
    entry = crawl.frontier.next(0.0)
    assert entry is not None
    crawl.frontier.finish(entry, "redirected", target=entry.id)
    crawl.frontier.ask_again(Request("http://a/1", page="p"), mark_of("http://a/1"), was="redirected")
    crawl.settle()
    assert crawl.row("http://a/1").fate is None


# --- depth ------------------------------------------------------------------------------------------------------------


def test_a_shorter_path_found_later_reopens_what_depth_had_refused(make: Make) -> None:
    crawl = make(too_deep(2), track_depth=True, concurrency=9)
    crawl.add("http://a/seed")
    seed = crawl.next()
    assert seed is not None
    crawl.add("http://a/far", parent=seed, depth=2)
    far = crawl.next()
    assert far is not None
    crawl.add("http://a/beyond", parent=far, depth=3)
    assert crawl.row("http://a/beyond").fate == "rejected:depth"
    crawl.add("http://a/far", parent=seed, depth=1)
    beyond = crawl.row("http://a/beyond")
    assert (far.request.depth, beyond.request.depth, beyond.fate) == (1, 2, None)
    assert crawl.drain() == ["http://a/beyond"]
    assert +crawl.frontier.fates == {"fetched": 1}


def test_a_nearer_request_goes_earlier_wherever_it_waits(make: Make) -> None:
    crawl = make(track_depth=True)
    crawl.add("http://a/seed")
    seed = crawl.next()
    assert seed is not None
    for number in range(9):
        crawl.add(f"http://a/{number}", parent=seed, depth=3)
    crawl.add("http://a/8", parent=seed, depth=1)
    crawl.finish(seed)
    assert crawl.drain() == [f"http://a/{number}" for number in (8, 0, 1, 2, 3, 4, 5, 6, 7)]


def test_attempts_are_kept_when_a_request_on_disk_moves_nearer() -> None:
    crawl = Crawl(new_frontier(track_depth=True, window=1))
    crawl.add("http://a/again", depth=5)
    again = crawl.next()
    assert again is not None
    crawl.retry(again, 1.0)
    for number in range(3):
        crawl.add(f"http://a/{number}", priority=1)
    assert crawl.next(2.0) is not None  # now its time has come, too
    crawl.add("http://a/3", priority=2)
    assert crawl.frontier.hosts["a"].find(again.id) is None
    crawl.add("http://a/again", depth=4)
    row = crawl.row("http://a/again")
    assert (row.request.depth, row.attempts) == (4, 1)


def test_depths_beyond_what_two_bytes_hold_are_taken_as_the_greatest() -> None:
    crawl = Crawl(new_frontier(track_depth=True))
    crawl.add("http://a/", depth=MAX_DEPTH + 5)
    crawl.add("http://a/", depth=MAX_DEPTH + 3)
    assert crawl.row("http://a/").request.depth == MAX_DEPTH + 5
    crawl.add("http://a/", depth=7)
    assert crawl.row("http://a/").request.depth == 7


@settings(deadline=None)  # each is a whole crawl
@given(st.integers(0, 2**32), st.integers(2, 9), st.sampled_from(WINDOWS), st.sampled_from(["breadth", "depth"]))
@example(seed=20_000, limit=7, window=1, order="depth")
def test_what_depth_admits_does_not_depend_on_the_order_of_arrival(
    seed: int, limit: int, window: int, order: str
) -> None:
    """Whatever order pages of a random graph and answers come in, exactly those within `limit` hops are fetched, once,
    and every depth on disk is that of the shortest path.
    """
    random = Random(seed)
    frontier = new_frontier(too_deep(limit), concurrency=20, track_depth=True, window=window, order=order)
    crawl = GraphCrawl(Graph(random), frontier, random)
    crawl.run()
    depths = crawl.graph.depths(limit)
    assert crawl.fetched == Counter(depths.keys())
    assert crawl.depths(limit) == depths
    assert not frontier.pending


# --- set aside --------------------------------------------------------------------------------------------------------


def test_a_request_that_is_set_aside_frees_its_host(make: Make) -> None:
    crawl = make()
    for number in range(3):
        crawl.add(f"http://a/{number}")
    frontier = crawl.frontier
    first = crawl.next(0.0)
    assert first is not None and crawl.next(0.0) is None, "one at a time"
    frontier.set_aside(first)
    second = crawl.next(frontier.next_time() or 0.0)
    assert second is not None and frontier.active == 2 and books_balance(frontier)
    frontier.finish(first, "not_modified")
    assert crawl.next(1e9) is None, "its end frees nothing more"
    frontier.finish(second, "fetched")
    assert crawl.next(1e9) is not None and books_balance(frontier)


def test_a_request_that_was_not_asked_costs_no_delay_and_no_attempt(make: Make) -> None:
    crawl = make(concurrency=2, delay=10.0)
    for number in range(4):
        crawl.add(f"http://a/{number}")
    frontier = crawl.frontier
    first = crawl.next(0.0)
    assert first is not None and frontier.next_time() == 10.0
    frontier.set_aside(first, asked=False)
    assert (first.attempts, frontier.next_time()) == (0, 0.0)
    second = crawl.next(0.0)
    assert second is not None and frontier.next_time() == 10.0
    third = crawl.next(10.0)
    assert third is not None
    frontier.set_aside(second, asked=False)
    assert frontier.next_time() == 20.0, "the other one's delay stays"
    frontier.pause("a", 50.0)
    frontier.set_aside(third, asked=False)
    fourth = crawl.next(49.0)
    assert fourth is None, "and so does a pause"
