"""The pool by itself: which connection is taken, which one makes room. No sockets."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.fetch.exchange import Exchange, Route
from pipeline.fetch.pool import Pool
from pipeline.fetch.proxy import Proxy
from pipeline.model import Request
from pipeline.url import Origin

A, B, C = (Route(Origin("http", name, 80)) for name in ("a", "b", "c"))


class FakeConnection:
    """Does what it is told and tells its pool."""

    def __init__(self, pool: Pool, route: Route, number: int) -> None:
        self.pool, self.route, self.number = pool, route, number
        self.busy = False
        self.closed = False

    def __repr__(self) -> str:
        return f"{self.route.origin.host}{self.number}"

    def start(self, exchange: Exchange) -> None:
        assert not self.busy
        assert not self.closed
        assert exchange.route == self.route
        self.busy = True

    def finish(self) -> None:
        self.busy = False
        self.pool.became_idle(self)  # type: ignore[arg-type]

    def abort(self) -> None:
        self.closed = True
        self.busy = False
        self.pool.became_closed(self)  # type: ignore[arg-type]


class Bench:
    def __init__(self, max_idle: int = 3) -> None:
        self.made: list[FakeConnection] = []
        self.pool = Pool(self.open, max_idle=max_idle)

    def open(self, route: Route) -> Any:
        self.made.append(FakeConnection(self.pool, route, len(self.made)))
        return self.made[-1]

    def ask(self, route: Route, *, fresh: bool = False) -> FakeConnection:
        before = [c for c in self.made if c.busy]
        self.pool.dispatch(Exchange(Request("http://x/"), route, b"", 0.0), fresh=fresh)
        (taken,) = [c for c in self.made if c.busy and c not in before]
        return taken


def test_the_last_used_is_taken_first() -> None:
    bench = Bench()
    first, second = bench.ask(A), bench.ask(A)
    first.finish()
    second.finish()
    assert bench.ask(A) is second
    assert bench.ask(A) is first
    assert len(bench.made) == 2


def test_routes_do_not_mix() -> None:
    bench = Bench(max_idle=20)
    secure = Origin("https", "a", 443)
    proxy = Proxy("http", "p", 3128, "user:one")
    routes = [
        A,
        B,
        Route(Origin("http", "a", 81)),
        Route(Origin("https", "a", 80)),
        Route(secure),
        Route(secure, verify=False),
        Route(secure, proxy=proxy),
        Route(secure, proxy=Proxy("http", "p", 3128, "user:two")),
        Route(secure, proxy=Proxy("http", "p", 3128)),
        Route(secure, proxy=Proxy("https", "p", 3128, "user:one")),
        Route(secure, verify=False, proxy=proxy),
    ]
    for number, route in enumerate(routes):
        bench.ask(route).finish()
        assert len(bench.made) == number + 1
    assert [bench.ask(route).number for route in routes] == list(range(len(routes)))


def test_fresh_is_fresh() -> None:
    bench = Bench()
    kept = bench.ask(A)
    kept.finish()
    assert bench.ask(A, fresh=True) is not kept
    assert not kept.closed


def test_the_longest_idle_makes_room() -> None:
    bench = Bench(max_idle=2)
    a, b = bench.ask(A), bench.ask(B)
    b.finish()
    a.finish()
    bench.ask(C)
    assert (a.closed, b.closed) == (False, True)
    assert (bench.pool.busy, bench.pool.idle) == (1, 1)


def test_taking_an_idle_one_closes_none() -> None:
    bench = Bench(max_idle=2)
    a, b = bench.ask(A), bench.ask(B)
    a.finish()
    b.finish()
    assert bench.ask(A) is a
    assert not b.closed


def test_abort_closes_all() -> None:
    bench = Bench()
    bench.ask(A).finish()
    bench.ask(B)
    bench.pool.abort()
    assert all(c.closed for c in bench.made)
    assert (bench.pool.busy, bench.pool.idle) == (0, 0)


STEPS = st.lists(st.tuples(st.sampled_from(["ask", "fresh", "finish", "close"]), st.integers(0, 9)), max_size=60)


@settings(max_examples=300, deadline=None)
@given(STEPS, st.integers(1, 4))
def test_law_the_books_balance(steps: list[tuple[str, int]], max_idle: int) -> None:
    bench = Bench(max_idle)
    for what, number in steps:
        busy = [c for c in bench.made if c.busy]
        alive = [c for c in bench.made if not c.closed]
        if what in ("ask", "fresh"):
            bench.ask((A, B, C)[number % 3], fresh=what == "fresh")
        elif what == "finish" and busy:
            busy[number % len(busy)].finish()
        elif what == "close" and alive:
            alive[number % len(alive)].abort()
        alive = [c for c in bench.made if not c.closed]
        busy = [c for c in bench.made if c.busy]
        assert bench.pool.busy == len(busy)
        assert bench.pool.idle == len(alive) - len(busy)
        assert {c.route for c in alive if not c.busy} == set(bench.pool._idle_of)
