"""The c-ares resolver against a DNS server of our own on loopback, in the same loop: every ending, on every selector.

The first label of a name says what the server does. c-ares has its own clock, so time is real here, in tenths.
"""

from __future__ import annotations

import gc
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pipeline.errors import ResolveError
from pipeline.fetch import cares
from pipeline.fetch.cares import CaresResolver
from pipeline.fetch.fetcher import Fetcher
from pipeline.fetch.loop import READ, Loop
from pipeline.fetch.resolver import Address, Answer
from pipeline.model import Request
from tests.badserver.server import REQUEST, BadServer, Steps
from tests.fetch.kit import describe

A, CNAME, AAAA = 1, 5, 28
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
TRUNCATED = 0x0200


class Question(NamedTuple):
    number: int
    name: str
    kind: int
    raw: bytes  # as in the message, to be given back


def parse(message: bytes) -> Question:
    labels, place = [], 12
    while message[place]:
        labels.append(message[place + 1 : place + 1 + message[place]].decode())
        place += 1 + message[place]
    kind = struct.unpack_from("!H", message, place + 1)[0]
    return Question(struct.unpack_from("!H", message)[0], ".".join(labels), kind, message[12 : place + 5])


def encode(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def record(kind: int, data: bytes, *, owner: str = "", ttl: int = 300) -> bytes:
    name = encode(owner) if owner else b"\xc0\x0c"  # a pointer to the question's
    return name + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


def reply(question: Question, records: list[bytes], code: int = NOERROR, flags: int = 0) -> bytes:
    head = struct.pack("!HHHHHH", question.number, 0x8180 | flags | code, 1, len(records), 0, 0)
    return head + question.raw + b"".join(records)


def v4(ip: str, **options: Any) -> bytes:
    return record(A, socket.inet_aton(ip), **options)


def v6(ip: str, **options: Any) -> bytes:
    return record(AAAA, socket.inet_pton(socket.AF_INET6, ip), **options)


THOUSAND = [v4(f"192.0.{n >> 8}.{n & 255}") for n in range(1000)]


def bind_both(host: str) -> tuple[socket.socket, socket.socket]:
    """A listener and a datagram socket on one free port."""
    while True:
        tcp = socket.create_server((host, 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.setblocking(False)
        try:
            udp.bind(tcp.getsockname())
        except OSError:  # taken by somebody's datagrams
            tcp.close()
            udp.close()
        else:
            return tcp, udp


class DnsServer:
    """UDP and TCP on one port of a loopback address, on the loop under test."""

    def __init__(self, loop: Loop, host: str = "127.0.0.1") -> None:
        self.loop = loop
        self.asked: list[tuple[str, str]] = []  # (name, "udp" or "tcp"), one for each message
        self.down = False
        self._tcp, self._udp = bind_both(host)
        self.port: int = self._udp.getsockname()[1]
        self._streams: dict[socket.socket, bytes] = {}
        self.address = f"{host}:{self.port}"
        loop.register(self._udp, READ, self._on_datagram)
        loop.register(self._tcp, READ, self._on_connection)

    def _on_datagram(self, mask: int) -> None:
        message, peer = self._udp.recvfrom(4096)
        question = parse(message)
        self.asked.append((question.name, "udp"))
        for delay, answer in self.replies(question, tcp=False):
            self.loop.call_later(delay, lambda answer=answer: self._udp.sendto(answer, peer))

    def _on_connection(self, mask: int) -> None:
        stream = self._tcp.accept()[0]
        self._streams[stream] = b""
        self.loop.register(stream, READ, lambda mask: self._on_stream(stream))

    def _on_stream(self, stream: socket.socket) -> None:
        data = stream.recv(4096)
        if not data:
            self._drop(stream)
            return
        held = self._streams[stream] + data
        while len(held) >= 2 and len(held) >= 2 + (size := int.from_bytes(held[:2])):
            question = parse(held[2 : 2 + size])
            self.asked.append((question.name, "tcp"))
            for _, answer in self.replies(question, tcp=True):
                stream.sendall(struct.pack("!H", len(answer)) + answer)
            held = held[2 + size :]
        self._streams[stream] = held

    def replies(self, question: Question, *, tcp: bool) -> list[tuple[float, bytes]]:
        """(delay in seconds, message) for each answer; none is a server that drops the question."""
        mode = question.name.partition(".")[0]
        if mode == "drop" or self.down or (mode == "lost" and len(self.asked) <= 2):
            return []
        delay = 0.15 if mode == "slow" else 0
        return [(delay, self.reply_to(mode, question, tcp=tcp))]

    def reply_to(self, mode: str, question: Question, *, tcp: bool) -> bytes:
        wants_v4 = question.kind == A
        if mode in ("truncated", "many") and not tcp:
            return reply(question, [], flags=TRUNCATED)
        if mode == "garbage":
            return reply(question, [b"\xc0\x0c" + b"\xff" * 40])
        codes = {"nxdomain": NXDOMAIN, "servfail": SERVFAIL, "refused": REFUSED}
        if mode in codes:
            return reply(question, [], codes[mode])
        records = {
            "nodata": [],
            "loop": [record(CNAME, encode(question.name))],
            "ring": [
                record(CNAME, encode("b.ring.test")),
                record(CNAME, encode(question.name), owner="b.ring.test"),
            ],
            "alias": [
                record(CNAME, encode("real.test"), ttl=40),
                (v4("192.0.2.7", owner="real.test") if wants_v4 else v6("2001:db8::7", owner="real.test")),
            ],
            "many": THOUSAND if wants_v4 else [],
            "brief": [v4("192.0.2.1", ttl=0)] if wants_v4 else [],
            "both": [v4("127.0.0.1")] if wants_v4 else [v6("::1")],
            "six": [] if wants_v4 else [v6("2001:db8::1"), v6("2001:db8::2")],
        }.get(mode, [v4("192.0.2.1")] if wants_v4 else [])
        return reply(question, records)

    def _drop(self, stream: socket.socket) -> None:
        self.loop.unregister(stream)
        del self._streams[stream]
        stream.close()

    def close(self) -> None:
        for sock in (self._udp, self._tcp):
            self.loop.unregister(sock)
            sock.close()
        for stream in list(self._streams):
            self._drop(stream)


class Bench:
    """A resolver and its name server."""

    def __init__(self, kind: str, timeout: float = 3) -> None:
        self.loop = Loop(kind)
        self.server = DnsServer(self.loop)
        self.registered = self.count_registered()
        self.resolver = CaresResolver(self.loop, servers=[self.server.address], timeout=timeout)

    def count_registered(self) -> int:
        return len(self.loop._selector.get_map())

    def resolve(self, *hosts: str) -> list[Answer]:
        """The answers in order of arrival."""
        got: list[Answer] = []
        for host in hosts:
            known = self.resolver.resolve(host, got.append)
            if known is not None:
                got.append(known)
        watchdog = self.loop.call_later(10, lambda: pytest.fail("no answer"))
        self.loop.run(lambda: len(got) == len(hosts) and self.loop.stop())
        watchdog.cancel()
        return got

    def addresses(self, host: str) -> list[str]:
        (answer,) = self.resolve(host)
        assert isinstance(answer, tuple), answer
        return [address.ip for address in answer]

    def error(self, host: str) -> ResolveError:
        (answer,) = self.resolve(host)
        assert isinstance(answer, ResolveError)
        assert host in str(answer)
        return answer

    def close(self) -> None:
        self.resolver.close()
        assert self.count_registered() == self.registered
        self.server.close()
        self.loop.close()


@pytest.fixture
def bench(kind: str) -> Iterator[Bench]:
    made = Bench(kind)
    yield made
    made.close()


@pytest.fixture
def hasty(kind: str) -> Iterator[Bench]:
    """A bench whose resolver gives up soon."""
    made = Bench(kind, timeout=0.5)
    yield made
    made.close()


def test_an_answer(bench: Bench) -> None:
    threads = threading.active_count()
    assert bench.resolve("a.test") == [(Address(socket.AF_INET, "192.0.2.1"),)]
    assert bench.server.asked == [("a.test", "udp")] * 2  # A and AAAA
    assert threading.active_count() == threads
    assert bench.count_registered() == bench.registered


@pytest.mark.parametrize(
    ("host", "reason", "retry"),
    [
        ("nxdomain.test", "no_such_host", None),
        ("servfail.test", "lookup_failed", "dns"),
        ("refused.test", "lookup_failed", "dns"),
        ("garbage.test", "lookup_failed", "dns"),
        ("nodata.test", "no_such_host", None),
        ("loop.test", "no_such_host", None),
        ("ring.test", "no_such_host", None),
    ],
)
def test_errors(bench: Bench, host: str, reason: str, retry: str | None) -> None:
    error = bench.error(host)
    assert (error.reason, error.retry_word) == (reason, retry)
    asked = len(bench.server.asked)
    bench.resolve(host)
    assert (len(bench.server.asked) == asked) == (reason == "no_such_host")


def test_a_silent_server(hasty: Bench) -> None:
    """Asked again with growing patience until the time is over; the loop sleeps meanwhile, and nothing is cached."""
    start, turns, got = hasty.loop._clock(), 0, list[Answer]()

    def count() -> None:
        nonlocal turns
        turns += 1
        if got:
            hasty.loop.stop()

    hasty.resolver.resolve("drop.test", got.append)
    hasty.loop.run(count)
    assert isinstance(got[0], ResolveError)
    assert (got[0].reason, got[0].retry_word) == ("timeout", "dns")
    assert hasty.loop._clock() - start >= 0.4
    assert turns < 60
    assert hasty.resolver._cache == {}
    assert len(hasty.server.asked) >= 4


def test_truncated_answers_are_repeated_over_tcp(bench: Bench) -> None:
    assert bench.addresses("truncated.test") == ["192.0.2.1"]
    assert ("truncated.test", "tcp") in bench.server.asked


def test_of_a_thousand_addresses_sixteen_are_kept(bench: Bench) -> None:
    assert bench.addresses("many.test") == [f"192.0.0.{n}" for n in range(16)]


def test_aliases_are_followed_and_bound_the_lifetime(bench: Bench) -> None:
    assert set(bench.addresses("alias.test")) == {"192.0.2.7", "2001:db8::7"}
    until, _ = bench.resolver._cache["alias.test"]
    assert until - bench.loop.now <= 40


def test_a_lifetime_of_zero_is_cached(bench: Bench) -> None:
    bench.addresses("brief.test")
    asked = len(bench.server.asked)
    bench.addresses("brief.test")
    assert len(bench.server.asked) == asked


def test_only_ipv6(bench: Bench) -> None:
    assert bench.addresses("six.test") == ["2001:db8::1", "2001:db8::2"]


def test_a_family_without_route_comes_last(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cares, "_has_route", lambda family, ip: family == socket.AF_INET)
    assert bench.addresses("both.test") == ["127.0.0.1", "::1"]


def test_families_take_turns() -> None:
    four = [Address(socket.AF_INET, f"127.0.0.{n}") for n in range(1, 4)]
    six = Address(socket.AF_INET6, "::1")
    ordered = cares.in_order([*four, six])
    assert sorted(ordered) == sorted([*four, six])
    assert six in ordered[:2]
    assert cares.in_order(four) == tuple(four)
    assert cares._has_route(socket.AF_INET, "127.0.0.1")
    assert not cares._has_route(socket.AF_INET, "no address")


def test_slow_lookups_run_beside_each_other(bench: Bench) -> None:
    start = bench.loop._clock()
    hosts = [f"slow.{n}.test" for n in range(100)]
    assert len(bench.resolve(*hosts, *hosts)) == 200
    assert bench.loop._clock() - start < 1.5  # one after another: 15 s
    assert {name for name, _ in bench.server.asked} == set(hosts)


def test_one_question_for_equal_ones(bench: Bench) -> None:
    assert len({id(answer) for answer in bench.resolve(*["slow.test"] * 20)}) == 1
    assert bench.server.asked.count(("slow.test", "udp")) == 2


def test_a_lost_question_is_asked_again(bench: Bench) -> None:
    assert bench.addresses("lost.test") == ["192.0.2.1"]
    assert len(bench.server.asked) >= 3  # two that are lost; the answer to one of those after them may be enough


def test_the_next_server_is_asked(kind: str) -> None:
    loop = Loop(kind)
    dead, alive = DnsServer(loop, "127.0.0.2"), DnsServer(loop, "127.0.0.3")
    dead.down = True
    resolver = CaresResolver(loop, servers=[dead.address, alive.address], timeout=3)
    got: list[Answer] = []
    assert resolver.resolve("a.test", got.append) is None
    loop.run(lambda: got and loop.stop())
    assert got == [(Address(socket.AF_INET, "192.0.2.1"),)]
    for thing in (resolver, dead, alive, loop):
        thing.close()


NOBODY = "127.0.0.1:1"  # below the ports that the system gives out, so that nobody can come by it meanwhile


def test_nobody_listens(bench: Bench) -> None:
    resolver = CaresResolver(bench.loop, servers=[NOBODY])
    got: list[Answer] = []
    resolver.resolve("a.test", got.append)
    bench.loop.run(lambda: got and bench.loop.stop())
    assert isinstance(got[0], ResolveError)
    assert got[0].reason == "lookup_failed"
    resolver.close()


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "a.localhost", "a.localhost."])
def test_localhost_is_no_matter_of_dns(bench: Bench, host: str) -> None:
    assert set(bench.addresses(host)) <= {"127.0.0.1", "::1"}
    assert bench.server.asked == []


def test_the_hosts_file_comes_before_dns(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.9  only-in-hosts nxdomain.test\n")
    monkeypatch.setenv("CARES_HOSTS", str(hosts))
    monkeypatch.setattr(cares, "_FLAGS", cares._FLAGS | 1 << 8)  # ARES_AI_ENVHOSTS: read that file for /etc/hosts
    assert bench.addresses("only-in-hosts") == ["127.0.0.9"]
    assert bench.addresses("nxdomain.test") == ["127.0.0.9"]
    assert bench.server.asked == []


def test_out_of_descriptors_is_not_the_sites_fault(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*args: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    status = cares.pycares.errno.ARES_ECONNREFUSED
    assert cares._explain("a.test", status).reason == "lookup_failed"
    monkeypatch.setattr(cares.socket, "socket", none_left)
    assert cares._explain("a.test", status).reason == "no_socket"


def test_close_with_lookups_under_way(bench: Bench) -> None:
    for n in range(50):
        bench.resolver.resolve(f"drop.{n}.test", pytest.fail)
    assert bench.count_registered() > bench.registered
    bench.resolver.close()
    bench.resolver.close()
    assert bench.count_registered() == bench.registered
    bench.loop.call_later(0.05, bench.loop.stop)
    bench.loop.run()


def test_a_channel_that_does_not_start(kind: str) -> None:
    loop = Loop(kind)
    with pytest.raises(RuntimeError, match="c-ares"):
        CaresResolver(loop, servers=["no address"])
    loop.close()


def page() -> Steps:
    yield REQUEST
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage"


def test_a_page_is_fetched_by_name(bench: Bench) -> None:
    """Names of DNS and of localhost, through the whole fetch stage."""
    web = BadServer(bench.loop, page)
    fetcher = Fetcher(bench.loop, resolver=bench.resolver)
    for host in ("both.test", "localhost"):
        fetcher.start(Request(f"http://{host}:{web.port}/"))
    fetcher.start(Request(f"http://nxdomain.test:{web.port}/"))
    bench.loop.run(lambda: len(fetcher.done) == 3 and bench.loop.stop())
    assert sorted(describe(outcome) for outcome in fetcher.done) == [
        "200 page",
        "200 page",
        "UnknownHostError no_such_host RESOLVING",
    ]
    fetcher.close()
    web.close()


QUERIES = """
import gc, sys
from pipeline.fetch.loop import Loop
from pipeline.fetch.cares import CaresResolver
from tests.fetch.test_cares import DnsServer

loop = Loop()
server = DnsServer(loop)
resolver = CaresResolver(loop, servers=[server.address])
got, asked = [], 0

def tick():
    global asked
    while asked < 10_000 and asked - len(got) < 50:
        mode = {1: "nxdomain", 2: "servfail", 3: "truncated", 4: "many"}.get(asked % 500, "a")
        resolver.resolve(f"{mode}.{asked}.test", got.append)
        asked += 1
    if len(got) == 10_000:
        loop.stop()

loop.run(tick)
for n in range(20):
    resolver.resolve(f"drop.{n}.test", got.append)
if "close" in sys.argv:
    resolver.close()
del resolver
gc.collect()
print(len(got))
"""


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["close", "drop"])
def test_ten_thousand_queries_and_a_clean_exit(ending: str) -> None:
    """CVE-2025-48945: in a process of its own, because the fault would be a crash."""
    repo = Path(__file__).resolve().parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", QUERIES, ending], cwd=repo, capture_output=True, text=True, timeout=50, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "10000\n", "")


def test_dropped_without_close(bench: Bench) -> None:
    """A resolver that somebody forgot: the loop keeps it as long as its answer is to come."""
    answers: list[Answer] = []
    CaresResolver(bench.loop, servers=[bench.server.address]).resolve("a.test", answers.append)
    gc.collect()
    bench.loop.run(lambda: answers and bench.loop.stop())
    assert answers == [(Address(socket.AF_INET, "192.0.2.1"),)]
    assert bench.count_registered() == bench.registered


def test_an_event_that_comes_with_the_close_is_ignored(bench: Bench) -> None:
    bench.resolver.resolve("drop.test", pytest.fail)
    (fd,) = bench.resolver._sockets
    bench.resolver.close()
    bench.resolver._on_ready(fd, READ)
    bench.resolver._on_socket_state(fd, True, False)
    assert bench.count_registered() == bench.registered


def test_a_flood_of_names_is_asked_in_portions(bench: Bench) -> None:
    """All at once they would overflow the buffers of both sides, and be asked again."""
    hosts = [f"a.{n}.test" for n in range(2000)]
    assert bench.resolve(*hosts) == [(Address(socket.AF_INET, "192.0.2.1"),)] * 2000
    assert len(bench.server.asked) < 2 * 2000 * 1.05


def test_names_that_wait_too_long_are_not_asked(hasty: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cares, "_MAX_OPEN", 1)
    got: list[Answer] = []
    for host in ("drop.test", "a.test", "b.test"):
        hasty.resolver.resolve(host, got.append)
    hasty.resolver._too_slow("a.test")
    hasty.loop.run(lambda: len(got) == 3 and hasty.loop.stop())
    assert [answer.reason for answer in got if isinstance(answer, ResolveError)] == ["timeout"] * 3
    assert "a.test" not in {name for name, _ in hasty.server.asked}
    assert hasty.addresses("c.test") == ["192.0.2.1"]
