"""The resolver: answers on the loop, coalescing, both caches. Lookups are functions of the test."""

from __future__ import annotations

import errno
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.errors import ResolveError
from pipeline.fetch.loop import Loop
from pipeline.fetch.resolver import Address, Answer, ThreadResolver
from pipeline.fetch.resolvers import make_resolver
from tests.fetch.kit import FakeClock


def entry(ip: str, family: int = socket.AF_INET) -> tuple[Any, ...]:
    return (family, socket.SOCK_STREAM, 6, "", (ip, 0))


class Bench:
    """A resolver whose lookups wait for `gate`; the clock is set by hand."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.loop = Loop("auto", self.clock)
        self.gate = threading.Event()
        self.gate.set()
        self.asked: list[str] = []
        self.threads: set[int] = set()
        self.waits: dict[str, threading.Event] = {}  # host -> its own gate
        self.answers: dict[str, Any] = {}
        self.resolver = ThreadResolver(self.loop, lifetime=60, negative_lifetime=10, threads=2, lookup=self.lookup)

    def lookup(self, host: str, port: None, **options: Any) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        self.threads.add(threading.get_ident())
        assert self.waits.get(host, self.gate).wait(10)
        answer = self.answers[host]
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    def resolve(self, *hosts: str) -> list[Answer]:
        """The answers in order of arrival; those known now first."""
        got: list[Answer] = []
        for host in hosts:
            answer = self.resolver.resolve(host, got.append)
            if answer is not None:
                got.append(answer)
        self.loop.run(lambda: len(got) == len(hosts) and self.loop.stop())
        return got

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds
        self.loop.now = self.clock.now


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.gate.set()
    made.resolver.close()
    made.loop.close()


ONE = (Address(socket.AF_INET, "192.0.2.1"),)


@pytest.mark.parametrize(
    ("host", "family"),
    [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6), ("2001:db8::1", socket.AF_INET6)],
)
def test_literals_need_no_lookup(bench: Bench, host: str, family: int) -> None:
    assert bench.resolver.resolve(host, pytest.fail) == (Address(family, host),)
    assert bench.asked == []


def test_answer_comes_in_the_loop(bench: Bench) -> None:
    bench.answers["a.example"] = [entry("192.0.2.1")]
    seen: list[tuple[Answer, int]] = []
    assert bench.resolver.resolve("a.example", lambda a: seen.append((a, threading.get_ident()))) is None
    bench.loop.run(lambda: seen and bench.loop.stop())
    assert seen == [(ONE, threading.get_ident())]
    assert threading.get_ident() not in bench.threads


def test_order_is_kept_and_doubles_dropped(bench: Bench) -> None:
    six = entry("2001:db8::1", socket.AF_INET6)
    bench.answers["a.example"] = [six, entry("192.0.2.1"), six, entry("192.0.2.1"), entry("x", socket.AF_UNIX)]
    assert bench.resolve("a.example") == [(Address(socket.AF_INET6, "2001:db8::1"), *ONE)]


def test_equal_questions_are_one_lookup(bench: Bench) -> None:
    bench.answers["a.example"] = [entry("192.0.2.1")]
    bench.gate.clear()
    got: list[Answer] = []
    for _ in range(50):
        assert bench.resolver.resolve("a.example", got.append) is None
    bench.gate.set()
    bench.loop.run(lambda: len(got) == 50 and bench.loop.stop())
    assert got == [ONE] * 50
    assert bench.asked == ["a.example"]


def test_answers_are_kept_for_their_lifetime(bench: Bench) -> None:
    bench.answers["a.example"] = [entry("192.0.2.1")]
    bench.resolve("a.example")
    bench.advance(59)
    assert bench.resolve("a.example") == [ONE]
    assert len(bench.asked) == 1
    bench.advance(2)
    bench.answers["a.example"] = [entry("192.0.2.2")]
    assert bench.resolve("a.example") == [(Address(socket.AF_INET, "192.0.2.2"),)]
    assert len(bench.asked) == 2


@pytest.mark.parametrize(
    ("error", "reason", "kept"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "no_such_host", True),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "lookup_failed", False),
        (socket.gaierror(socket.EAI_NODATA, "No address associated with hostname"), "no_such_host", True),
        (UnicodeError("label too long"), "lookup_failed", False),
        (OSError(errno.EMFILE, "Too many open files"), "no_socket", False),
        (ZeroDivisionError("broken"), "lookup_failed", False),
        (None, "no_such_host", True),
    ],
)
def test_errors_are_answers(bench: Bench, error: Exception | None, reason: str, kept: bool) -> None:
    bench.answers["a.example"] = error or []
    (answer,) = bench.resolve("a.example")
    assert isinstance(answer, ResolveError)
    assert answer.reason == reason
    assert answer.retry_word == (None if reason == "no_such_host" else "dns")
    assert "a.example" in str(answer)
    bench.resolve("a.example")
    assert len(bench.asked) == (1 if kept else 2)
    bench.advance(11)
    bench.answers["a.example"] = [entry("192.0.2.1")]
    assert bench.resolve("a.example") == [ONE]


def test_not_more_threads_than_allowed(bench: Bench) -> None:
    hosts = [f"{n}.example" for n in range(20)]
    bench.answers.update({host: [entry("192.0.2.1")] for host in hosts})
    assert bench.resolve(*hosts) == [ONE] * 20
    assert 1 <= len(bench.threads) <= 2
    assert sorted(bench.asked) == sorted(hosts)


def test_a_slow_lookup_does_not_hold_up_another(bench: Bench) -> None:
    bench.answers.update({"slow.example": [entry("192.0.2.9")], "fast.example": [entry("192.0.2.1")]})
    slow = threading.Event()
    bench.waits["slow.example"] = slow
    got: list[Answer] = []
    bench.resolver.resolve("slow.example", got.append)
    bench.resolver.resolve("fast.example", got.append)
    bench.loop.run(lambda: got and bench.loop.stop())
    assert got == [ONE]
    slow.set()
    bench.loop.run(lambda: len(got) == 2 and bench.loop.stop())


def test_close_calls_nobody_back(bench: Bench) -> None:
    bench.answers["a.example"] = [entry("192.0.2.1")]
    bench.gate.clear()
    bench.resolver.resolve("a.example", pytest.fail)
    threads = list(bench.resolver._threads)
    bench.resolver.close()
    bench.gate.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    bench.loop.call_soon(bench.loop.stop)
    bench.loop.run()


def test_the_cache_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.fetch.resolver._MAX_CACHED", 5)
    hosts = [f"{n}.example" for n in range(9)]
    bench.answers.update({host: [entry("192.0.2.1")] for host in hosts})
    for host in hosts:
        bench.resolve(host)
    assert list(bench.resolver._cache) == hosts[-5:]


WRONG_NAMES = [
    "",
    ".",
    "a..b",
    ".a",
    "x" * 64 + ".example",
    "a.example\0.evil.example",
    "a\\.example",
    "a b.example",
    "b\u00fccher.example",
    "a.example:80",
    "[::1]",
    "1.2.3",
    "2130706433",
    "0x7f.1",
    "127.0.0.0x1",
    "1.2.3.4.5",
    ".".join(["x" * 63] * 4),
    "x" * 100_000,
    "x." * 50_000,
]


@pytest.mark.parametrize("host", WRONG_NAMES, ids=lambda host: repr(host[:20]))
def test_what_is_no_host_name_is_not_asked_for(bench: Bench, host: str) -> None:
    start = time.perf_counter()
    answer = bench.resolver.resolve(host, pytest.fail)
    assert time.perf_counter() - start < 0.02  # 1 ms with room for a machine that is held up
    assert isinstance(answer, ResolveError)
    assert (answer.reason, answer.retry_word) == ("no_such_host", None)
    assert len(str(answer)) < 250
    assert bench.asked == []


RIGHT_NAMES = [
    "a",
    "_dmarc.a-b.example",
    "a.example.",
    "xn--bcher-kva.example",
    ".".join(["x" * 62] * 4),
    "1.2.3.4.com",
]


@pytest.mark.parametrize("host", RIGHT_NAMES)
def test_host_names(bench: Bench, host: str) -> None:
    bench.answers[host] = [entry("192.0.2.1")]
    assert bench.resolve(host) == [ONE]


def test_a_lookup_has_a_deadline_and_its_late_answer_is_kept(bench: Bench) -> None:
    bench.answers["a.example"] = [entry("192.0.2.1")]
    bench.gate.clear()
    got: list[Answer] = []
    bench.resolver.resolve("a.example", got.append)
    bench.advance(9.6)
    bench.loop.run(lambda: got and bench.loop.stop())
    assert isinstance(got[0], ResolveError)
    assert (got[0].reason, got[0].retry_word) == ("timeout", "dns")
    bench.gate.set()
    bench.loop.run(lambda: bench.resolver._cache and bench.loop.stop())
    assert bench.resolver.resolve("a.example", pytest.fail) == ONE
    assert len(got) == 1


def test_cancel_forgets_the_waiter_and_not_the_answer(bench: Bench) -> None:
    bench.answers["a.example"] = [entry("192.0.2.1")]
    bench.gate.clear()
    got: list[Answer] = []
    forgotten: list[Answer] = []
    bench.resolver.resolve("a.example", forgotten.append)
    bench.resolver.resolve("a.example", got.append)
    bench.resolver.cancel("a.example", forgotten.append)
    bench.resolver.cancel("a.example", forgotten.append)
    bench.resolver.cancel("b.example", got.append)
    bench.gate.set()
    bench.loop.run(lambda: got and bench.loop.stop())
    assert (got, forgotten) == ([ONE], [])


def test_not_more_than_sixteen_addresses(bench: Bench) -> None:
    bench.answers["a.example"] = [entry(f"192.0.2.{n}") for n in range(200)]
    (answer,) = bench.resolve("a.example")
    assert isinstance(answer, tuple)
    assert [address.ip for address in answer] == [f"192.0.2.{n}" for n in range(16)]


@pytest.mark.parametrize(("said", "kept"), [(0, 30), (29, 30), (31, 31), (3600, 3600), (2**31, 3600)])
def test_lifetimes_are_clamped(bench: Bench, said: float, kept: float) -> None:
    bench.resolver._answered("a.example", ONE, said)
    bench.advance(kept - 0.5)
    assert bench.resolver.resolve("a.example", pytest.fail) == ONE
    bench.advance(1)
    bench.answers["a.example"] = [entry("192.0.2.2")]
    assert bench.resolve("a.example") == [(Address(socket.AF_INET, "192.0.2.2"),)]


def test_make_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop()
    for kind, made in [("threads", "threads"), ("cares", "cares"), ("auto", "cares")]:
        resolver = make_resolver(loop, kind)
        assert resolver.kind == made
        resolver.close()
    with pytest.raises(ValueError, match="there are auto, cares, threads"):
        make_resolver(loop, "dnspython")
    monkeypatch.setitem(sys.modules, "pipeline.fetch.cares", None)  # as if pycares were not there
    assert make_resolver(loop).kind == "threads"
    with pytest.raises(ValueError, match="install pycares"):
        make_resolver(loop, "cares")
    loop.close()


def test_the_real_one() -> None:
    loop = Loop()
    resolver = ThreadResolver(loop)
    got: list[Answer] = []
    assert resolver.resolve("localhost", got.append) is None
    loop.run(lambda: got and loop.stop())
    assert isinstance(got[0], tuple)
    assert {address.ip for address in got[0]} <= {"127.0.0.1", "::1"}
    resolver.close()
    loop.close()
