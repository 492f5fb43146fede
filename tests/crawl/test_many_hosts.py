"""What very many hosts cost: requests that are folded, hosts by the second in which they are due, robots.txt packed."""

from __future__ import annotations

from decimal import Decimal
from random import Random

import pytest

from pipeline.crawl import robots_shelf
from pipeline.crawl.hosts import ALL, Entry, HostQueue, Politeness
from pipeline.crawl.robots import Robots
from pipeline.crawl.robots_shelf import Shelf
from pipeline.crawl.schedule import Schedule
from pipeline.crawl.scope import REMEMBERED, Refusal, Scope
from pipeline.model import Request, Source
from pipeline.url import Origin
from tests.crawl.disk import mark_of, new_frontier


def host_with(request: Request, *, attempts: int = 0) -> tuple[HostQueue, Entry]:
    host = HostQueue("a", Politeness(1, 1.0))
    entry = Entry(7, request, b"0123456789abcdef", -(2**50))
    entry.host, entry.attempts = host, attempts
    host.ready.append((entry.rank, entry))
    host.waiting = 1
    return host, entry


# --- folding ---------------------------------------------------------------------------------------------------------


def test_a_folded_request_comes_back_with_all_that_it_had() -> None:
    request = Request(
        "http://a/x",
        method="POST",
        headers={"X-A": "ä"},
        body=b"\xff\0",
        page="p",
        carry={"price": Decimal("1.10"), "tags": ["a"]},
        priority=-5,
        source=Source("feed", since=1.5, level=2),
        depth=3,
        seed=True,
        parent="http://a/",
        hops=("http://a/y",),
        trail=((b"\1", b"\2"),),
        rule_limit=("pages.p.follow.0", 5),
        unchanged=True,
    )
    host, entry = host_with(request, attempts=70_000)
    host.horizon = entry.rank
    host.fold()
    assert (host.here, host.horizon, host.may_start_at()) == (1, entry.rank, 0.0)
    assert isinstance(host._ready, bytes)
    [(rank, again)] = host.ready
    assert again is not entry and (rank, again.rank, again.id, again.attempts) == (entry.rank, entry.rank, 7, 70_000)
    assert (again.request, again.fingerprint, again.host) == (request, entry.fingerprint, host)
    assert host.horizon == entry.rank and type(again.request.carry["price"]) is Decimal


def test_only_one_alone_of_which_nothing_is_known_is_folded() -> None:
    host, entry = host_with(Request("http://a/x"))
    entry.visit = "a page of the last run"
    host.fold()
    assert host.ready == [(entry.rank, entry)]
    entry.visit = None
    host.fold()
    [(_, again)] = host.ready
    assert again.visit is None and host.horizon == ALL
    host.ready.append((5, Entry(8, Request("http://a/y"), b"1" * 16, 5)))
    before = list(host.ready)
    host.fold()
    assert host.ready == before
    host.ready.clear()
    host.fold()
    assert (host.here, host.ready, host.held(), host.may_start_at()) == (0, [], [], None)


def test_attempts_are_forgiven_to_a_request_that_is_another_object_by_now() -> None:
    frontier = new_frontier(delay=1.0, crowd=0)
    frontier.add(Request("http://a/x", page="p"), mark_of("http://a/x"))
    entry = frontier.next(0.0)
    assert entry is not None
    frontier.retry(entry, due=0.5)  # its host has to wait for longer
    assert isinstance(frontier.hosts["a"]._ready, bytes)
    frontier.forgive(entry, 1)
    assert frontier.next(0.9) is None
    again = frontier.next(1.0)
    assert again is not None and again is not entry and again.attempts == 1


# --- the calendar ----------------------------------------------------------------------------------------------------


def test_hosts_come_in_the_order_of_their_times_over_many_seconds() -> None:
    random = Random(7)
    schedule, hosts = Schedule(), []
    for number in range(500):
        host, _ = host_with(Request("http://a/x"))
        host.name, host.not_before = f"h{number}", random.choice([0.0, random.uniform(0.1, 90), random.randrange(9)])
        schedule.add(host)
        hosts.append(host)
    for host in random.sample(hosts, 100):  # these may come earlier after all
        host.not_before /= 2
        schedule.add(host)
    for host in random.sample(hosts, 50):  # and these are paused
        host.not_before += 50
    now, came = 0.0, []
    while (when := schedule.next_time()) is not None:
        now = max(now, when)
        host = schedule.next(now)
        if host is not None:
            came.append((host.not_before, host.name))
        if len(came) == 250 and host is not None:  # one that is taken in again, for a second that is open already
            host.not_before = now
            schedule.add(host)
    assert [at for at, _ in came] == sorted(at for at, _ in came)
    assert len(came) == 501 and len({name for _, name in came}) == 500


def test_nothing_is_handed_out_before_its_time() -> None:
    schedule = Schedule()
    host, _ = host_with(Request("http://a/x"))
    host.not_before = 3.75
    schedule.add(host)
    assert (schedule.next(3.7), schedule.next_time()) == (None, 3.75)
    assert schedule.next(3.75) is host and schedule.next_time() is None


# --- what else there is of each host ---------------------------------------------------------------------------------


def test_a_shelf_gives_back_what_was_put_there() -> None:
    shelf = Shelf("bot/1")
    no = Refusal("rejected:robots", "HTTP 503")
    origins = [Origin("https", "a.example", 443), Origin("http", "a.example", 80), Origin("https", "b.example", 8443)]
    shelf.put(origins[0], Robots("User-agent: *\nDisallow: /wp-admin/\n\nDisallow: /x\nSitemap: /s.xml\n"))
    shelf.put(origins[1], no)
    shelf.put(origins[2], None)
    rules = shelf[origins[0]]
    assert isinstance(rules, Robots)
    assert rules.explain("https://a.example/x/1", "bot/1")[:3] == (False, "*", 4)
    assert (shelf[origins[1]], shelf[origins[2]]) == (no, None)
    assert Origin("http", "b.example", 80) not in shelf and Origin("https", "c.example", 443) not in shelf


def test_a_file_that_says_nothing_to_us_takes_nothing() -> None:
    shelf, origin = Shelf("bot/1"), Origin("https", "a.example", 443)
    shelf.put(origin, Robots("User-agent: other\nDisallow: /\n"))
    assert origin in shelf and shelf[origin] is None


def test_parsed_files_are_bounded_by_the_length_of_their_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(robots_shelf, "TEXT", 10_000)
    monkeypatch.setattr(robots_shelf, "LEAST", 3)
    shelf = Shelf("bot/1")
    for number in range(40):
        lines = "".join(f"Disallow: /{number}/{line}\n" for line in range(100 if number > 20 else 2))
        shelf.put(Origin("https", str(number), 443), Robots(f"User-agent: *\n{lines}"))
    for number in range(40):
        rules = shelf[Origin("https", str(number), 443)]
        assert isinstance(rules, Robots) and not rules.allows(f"https://x/{number}/1", "bot/1")
        assert shelf._size <= 10_000 or len(shelf._ready) == 3
    assert shelf._size == sum(size for _, size in shelf._ready.values())
    assert shelf[Origin("https", "39", 443)] is shelf[Origin("https", "39", 443)], "it is read once"


def test_a_scope_does_not_remember_every_host_of_the_web() -> None:
    scope = Scope(allow_domains=["in.example"])
    for number in range(REMEMBERED + 10):
        assert scope.refusal(f"http://h{number}.example/") is not None
    assert scope.refusal("http://a.in.example/") is None and len(scope._hosts) <= REMEMBERED
