"""The connection: every state with success, error, hang-up and deadline, over real sockets on a clock that jumps."""

from __future__ import annotations

import errno
import logging
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest

from pipeline.errors import ResolveError
from pipeline.fetch.connection import STATES, Connection
from pipeline.fetch.exchange import Timeouts
from pipeline.fetch.fetcher import Fetcher
from pipeline.fetch.http1 import ResponseReader
from pipeline.fetch.loop import READ, WRITE
from pipeline.fetch.opening import PATIENCE
from pipeline.fetch.resolver import Address
from pipeline.fetch.wire import Wire
from pipeline.model import Failure, Request, Response
from tests.badserver.server import (
    HALF_CLOSE,
    HOLD,
    REQUEST,
    RESET,
    Handler,
    Pause,
    Script,
    Steps,
    by_path,
    page,
    reply,
)
from tests.fetch.kit import Net, describe

LIMITS = Timeouts(dns=5, connect=3, tls=4, first_byte=10, idle=4, total=30, keepalive=60)
BIG = b"x" * (8 * 2**20)  # more than the socket buffers of both sides


def once(*parts: Any) -> Script:
    """After a request these things, then close."""

    def script() -> Steps:
        yield REQUEST
        yield from parts
        return None

    return script


def at_once(*parts: Any) -> Script:
    """These things without waiting for a request, then close."""

    def script() -> Steps:
        yield from parts
        return None

    return script


def always(handler: Handler) -> Script:
    """The same for every request of a connection."""

    def script() -> Steps:
        while request := (yield REQUEST):
            if not (yield from handler(request)):
                return None
        return None

    return script


def drip(head: bytes, byte: bytes, every: float) -> Iterator[Any]:
    yield head
    while True:
        yield Pause(every)
        yield byte


@contextmanager
def black_hole(host: str, port: int = 0) -> Iterator[int]:
    """A port whose queue is full: connection attempts are neither accepted nor refused."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    try:
        yield listener.getsockname()[1]
    finally:
        for sock in (*fillers, listener):
            sock.close()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def v4(*ips: str) -> tuple[Address, ...]:
    return tuple(Address(socket.AF_INET, ip) for ip in ips)


@pytest.fixture
def fetcher(net: Net) -> Fetcher:
    return net.fetcher(timeouts=LIMITS)


def only_connection(fetcher: Fetcher) -> Connection:
    (connection,) = fetcher._pool._all
    return connection


def test_the_table_is_whole() -> None:
    assert list(STATES) == [
        *("NEW", "RESOLVING", "CONNECTING", "PROXYING", "HANDSHAKING"),
        *("SENDING", "RECEIVING", "IDLE", "CLOSED"),
    ]
    for name, state in STATES.items():
        assert state.deadline == "" or hasattr(LIMITS, state.deadline), name
        assert state.interest in (0, READ, WRITE, READ | WRITE)


class TestResolving:
    def test_now(self, net: Net, fetcher: Fetcher) -> None:
        server = net.serve(always(reply(page())))
        net.resolver.table["books.example"] = v4("127.0.0.1")
        assert describe(net.get(fetcher, f"http://books.example:{server.port}/")) == "200 good"
        assert b"\r\nHost: books.example:%d\r\n" % server.port in server.requests[0]

    def test_later(self, net: Net, fetcher: Fetcher) -> None:
        server = net.serve(always(reply(page())))
        net.resolver.table["books.example"] = (2.0, v4("127.0.0.1"))
        outcome = net.get(fetcher, f"http://books.example:{server.port}/")
        assert describe(outcome) == "200 good"
        assert outcome.elapsed >= 2

    @pytest.mark.parametrize("later", [False, True])
    def test_error(self, net: Net, fetcher: Fetcher, later: bool) -> None:
        error = ResolveError("no.example: unknown", reason="no_such_host")
        net.resolver.table["no.example"] = (2.0, error) if later else error
        assert describe(net.get(fetcher, "http://no.example/")) == "ResolveError no_such_host RESOLVING"

    def test_deadline_and_late_answer(self, net: Net, fetcher: Fetcher) -> None:
        server = net.serve(always(reply(page())))
        net.resolver.table["slow.example"] = (6.0, v4("127.0.0.1"))
        outcome = net.get(fetcher, f"http://slow.example:{server.port}/")
        assert describe(outcome) == "PhaseTimeoutError dns RESOLVING"
        assert outcome.elapsed == pytest.approx(5)
        net.settle(5)
        assert server.accepted == 0
        assert not fetcher.done

    def test_abort_and_late_answer(self, net: Net, fetcher: Fetcher) -> None:
        net.resolver.table["slow.example"] = (1.0, v4("127.0.0.1"))
        fetcher.start(Request("http://slow.example/"))
        fetcher.abort()
        net.settle(2)
        assert (fetcher.active, len(fetcher.done)) == (0, 0)


class TestConnecting:
    def test_refused(self, net: Net, fetcher: Fetcher) -> None:
        outcome = net.get(fetcher, f"http://127.0.0.1:{closed_port()}/")
        assert describe(outcome) == "ConnectError refused CONNECTING"

    def test_refused_then_next_address(self, net: Net, fetcher: Fetcher) -> None:
        server = net.serve(always(reply(page())))
        net.resolver.table["two.example"] = v4("127.0.0.7", "127.0.0.8", "127.0.0.1")
        assert describe(net.get(fetcher, f"http://two.example:{server.port}/")) == "200 good"

    def test_all_refused_is_one_failure(self, net: Net, fetcher: Fetcher) -> None:
        net.resolver.table["two.example"] = v4("127.0.0.7", "127.0.0.8")
        outcome = net.get(fetcher, f"http://two.example:{closed_port()}/")
        assert describe(outcome) == "ConnectError refused CONNECTING"
        assert "two.example" in str(outcome.error)

    def test_ipv6_first(self, net: Net, fetcher: Fetcher) -> None:
        server = net.serve(always(reply(page())))
        net.resolver.table["two.example"] = (Address(socket.AF_INET6, "::1"), *v4("127.0.0.1"))
        assert describe(net.get(fetcher, f"http://two.example:{server.port}/")) == "200 good"

    def test_deadline(self, net: Net, fetcher: Fetcher) -> None:
        with black_hole("127.0.0.1") as port:
            outcome = net.get(fetcher, f"http://127.0.0.1:{port}/")
        assert describe(outcome) == "PhaseTimeoutError connect CONNECTING"
        assert outcome.elapsed == pytest.approx(3)

    def test_an_address_that_swallows_all_does_not_hold_up_the_next(self, net: Net, fetcher: Fetcher) -> None:
        server = net.serve(always(reply(page())))
        net.resolver.table["two.example"] = v4("127.0.0.2", "127.0.0.3", "127.0.0.1")
        with black_hole("127.0.0.2", server.port), black_hole("127.0.0.3", server.port):
            outcome = net.get(fetcher, f"http://two.example:{server.port}/")
        assert describe(outcome) == "200 good"
        assert outcome.elapsed == pytest.approx(2 * PATIENCE, abs=0.1)

    def test_each_address_has_its_full_time_in_the_end(self, net: Net, fetcher: Fetcher) -> None:
        with black_hole("127.0.0.2") as port, black_hole("127.0.0.3", port):
            net.resolver.table["two.example"] = v4("127.0.0.2", "127.0.0.3", "127.0.0.9")  # the last one refuses
            outcome = net.get(fetcher, f"http://two.example:{port}/")
        assert describe(outcome) == "PhaseTimeoutError connect CONNECTING"
        assert outcome.elapsed == pytest.approx(2 * PATIENCE + 3 + 3, abs=0.1)

    def test_the_last_address_may_be_slow(self, net: Net, fetcher: Fetcher) -> None:
        with black_hole("127.0.0.2") as port, black_hole("127.0.0.3", port):
            net.resolver.table["two.example"] = v4("127.0.0.2", "127.0.0.3")
            outcome = net.get(fetcher, f"http://two.example:{port}/")
        assert describe(outcome) == "PhaseTimeoutError connect CONNECTING"
        assert outcome.elapsed == pytest.approx(PATIENCE + 3 + 3, abs=0.1)

    def test_total_is_over_all_addresses(self, net: Net) -> None:
        fetcher = net.fetcher(timeouts=Timeouts(connect=3, total=5))
        with black_hole("127.0.0.2") as port, black_hole("127.0.0.3", port):
            net.resolver.table["two.example"] = v4("127.0.0.2", "127.0.0.3")
            outcome = net.get(fetcher, f"http://two.example:{port}/")
        assert describe(outcome) == "PhaseTimeoutError total CONNECTING"
        assert outcome.elapsed == pytest.approx(5)

    def test_no_socket_to_be_had(self, net: Net) -> None:
        def make_socket(family: int, kind: int) -> socket.socket:
            raise OSError(errno.EMFILE, "Too many open files")

        outcome = net.get(net.fetcher(make_socket=make_socket), "http://127.0.0.1:8/")
        assert describe(outcome) == "ConnectError no_socket RESOLVING"

    def test_a_family_that_the_kernel_lacks_is_passed_over(self, net: Net) -> None:
        def make_socket(family: int, kind: int) -> socket.socket:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            return socket.socket(family, kind)

        server = net.serve(always(reply(page())))
        net.resolver.table["two.example"] = (Address(socket.AF_INET6, "::1"), *v4("127.0.0.1"))
        outcome = net.get(net.fetcher(make_socket=make_socket), f"http://two.example:{server.port}/")
        assert describe(outcome) == "200 good"

    @pytest.mark.parametrize("raises", [False, True])
    def test_an_address_that_is_refused_at_once_is_passed_over(self, net: Net, raises: bool) -> None:
        class NoRoute(socket.socket):
            def connect_ex(self, where: Any) -> int:
                if where[0] != "127.0.0.2":
                    return super().connect_ex(where)
                if raises:
                    raise OSError(errno.ENETUNREACH, "Network is unreachable")
                return errno.ENETUNREACH

        server = net.serve(always(reply(page())))
        fetcher = net.fetcher(make_socket=NoRoute)
        net.resolver.table["two.example"] = v4("127.0.0.2", "127.0.0.1")
        assert describe(net.get(fetcher, f"http://two.example:{server.port}/")) == "200 good"
        outcome = net.get(fetcher, f"http://127.0.0.2:{server.port}/")
        assert describe(outcome) == "ConnectError unreachable RESOLVING"

    def test_a_body_that_finds_no_memory_is_a_failure(
        self, net: Net, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def no_memory(reader: ResponseReader) -> bytes:
            raise MemoryError

        server = net.serve(always(reply(page())))
        with caplog.at_level(logging.CRITICAL), monkeypatch.context() as patch:
            patch.setattr(ResponseReader, "body", property(no_memory))
            outcome = net.get(fetcher, server.url + "/")
        assert describe(outcome) == "FetchError internal RECEIVING"

    def test_resolver_without_addresses(self, net: Net, fetcher: Fetcher) -> None:
        net.resolver.table["none.example"] = ()
        assert describe(net.get(fetcher, "http://none.example/")) == "ConnectError no_address RESOLVING"


class TestSending:
    def post(self, net: Net, fetcher: Fetcher, script: Script) -> Any:
        return net.get(fetcher, net.serve(script).url + "/", method="POST", body=BIG)

    def test_a_large_body_arrives_whole(self, net: Net, fetcher: Fetcher) -> None:
        server = net.serve(always(reply(page())))
        assert describe(net.get(fetcher, server.url + "/", method="POST", body=BIG)) == "200 good"
        assert server.requests[0].partition(b"\r\n\r\n")[2] == BIG
        assert only_connection(fetcher).state == "IDLE"

    def test_early_answer_is_read_and_the_connection_given_up(self, net: Net, fetcher: Fetcher) -> None:
        early = page(b"too big", status="413 Content Too Large")
        outcome = self.post(net, fetcher, at_once(Pause(1), early, HOLD))
        assert describe(outcome) == "413 too big"
        assert not fetcher._pool._all

    def test_early_answer_then_close(self, net: Net, fetcher: Fetcher) -> None:
        early = page(b"too big", status="413 Content Too Large")
        assert describe(self.post(net, fetcher, at_once(Pause(1), early))) == "413 too big"

    def test_early_answer_then_reset(self, net: Net, fetcher: Fetcher) -> None:
        early = page(b"no", status="403 Forbidden")
        outcome = self.post(net, fetcher, at_once(Pause(1), early, Pause(1), RESET))
        assert describe(outcome) == "403 no"

    def test_interim_answer_while_sending(self, net: Net, fetcher: Fetcher) -> None:
        def script() -> Steps:
            yield b"HTTP/1.1 100 Continue\r\n\r\n"
            yield Pause(1)
            yield REQUEST
            yield page()
            return None

        assert describe(self.post(net, fetcher, script)) == "200 good"

    def test_reset(self, net: Net, fetcher: Fetcher) -> None:
        outcome = self.post(net, fetcher, at_once(Pause(1), RESET))
        assert describe(outcome).startswith("TruncatedError reset ")

    def test_hang_up(self, net: Net, fetcher: Fetcher) -> None:
        outcome = self.post(net, fetcher, at_once(Pause(1), HALF_CLOSE, Pause(9)))
        assert describe(outcome) == "TruncatedError early_eof SENDING"

    def test_deadline(self, net: Net, fetcher: Fetcher) -> None:
        outcome = self.post(net, fetcher, at_once(Pause(99)))
        assert describe(outcome) == "PhaseTimeoutError idle SENDING"
        assert outcome.elapsed == pytest.approx(4, abs=0.1)


RECEIVING: dict[str, tuple[Script, str]] = {
    "ok": (once(page()), "200 good"),
    "in pieces": (once(b"HTTP/1.1 200 OK\r\nContent-", Pause(1), b"Length: 4\r\n\r\ngo", Pause(3), b"od"), "200 good"),
    "to the end": (once(b"HTTP/1.0 200 OK\r\n\r\ngood"), "200 good"),
    "half close": (once(b"HTTP/1.0 200 OK\r\n\r\ngood", HALF_CLOSE, HOLD), "200 good"),
    "hang-up before the answer": (once(), "TruncatedError early_eof RECEIVING"),
    "hang-up in the head": (once(b"HTTP/1.1 200 OK\r\nCont"), "TruncatedError early_eof RECEIVING"),
    "hang-up in the body": (
        once(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ngood"),
        "TruncatedError early_eof RECEIVING",
    ),
    "reset before the answer": (once(RESET), "TruncatedError reset RECEIVING"),
    "reset in the body": (
        once(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ngood", Pause(1), RESET),
        "TruncatedError reset RECEIVING",
    ),
    "silence": (once(HOLD), "PhaseTimeoutError first_byte RECEIVING"),
    "silence in the head": (once(b"HTTP/1.1 200 OK\r\n", HOLD), "PhaseTimeoutError first_byte RECEIVING"),
    "silence in the body": (
        once(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ngood", HOLD),
        "PhaseTimeoutError idle RECEIVING",
    ),
    "dripping head": (
        once(*[b"HTTP/1.1 200 OK\r\nX: "], *[Pause(3), b"a"] * 9),
        "PhaseTimeoutError first_byte RECEIVING",
    ),
    "not HTTP": (once(b"SSH-2.0-OpenSSH\r\n", HOLD), "ProtocolError bad_status_line RECEIVING"),
    "too large": (
        once(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"),
        "TooLargeError body_too_large RECEIVING",
    ),
    "304 unasked": (once(b"HTTP/1.1 304 Not Modified\r\n\r\n"), "304 "),
    "206 unasked": (once(page(status="206 Partial Content")), "TruncatedError early_eof RECEIVING"),
}


def head(status: str, length: int = 9, more: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n" % (status.encode(), length, more)


CHUNKS = b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n"
TARGET = b"Location: /x\r\n"
LOST: dict[str, Script] = {
    "404 announces too much": once(head("404 No", 99999999)),
    "410 is too large": once(b"HTTP/1.0 410 Gone\r\n\r\n", *[b"x" * 2**20] * 20),
    "404 is cut": once(head("404 No") + b"abc"),
    "404 is reset": once(head("404 No") + b"abc", Pause(1), RESET),
    "404 stalls": once(head("404 No") + b"abc", HOLD),
    "404 is badly framed": once(CHUNKS + b"zz\r\n"),
    "redirect is cut": once(head("302 Found", 9, TARGET) + b"abc"),
    "redirect stalls": once(head("301 Moved", 9, TARGET) + b"abc", HOLD),
    "redirect announces too much and stalls": once(head("308 Moved", 99999999, TARGET), HOLD),
}
NOT_LOST = {
    "redirect to nowhere": (once(head("302 Found") + b"abc"), "TruncatedError early_eof RECEIVING"),
    "500": (once(head("500 No", 99999999)), "TooLargeError body_too_large RECEIVING"),
    "403": (once(head("403 No") + b"abc", HOLD), "PhaseTimeoutError idle RECEIVING"),
    "404 whose head is cut": (once(b"HTTP/1.1 404 No\r\nX: y"), "TruncatedError early_eof RECEIVING"),
}


class TestReceiving:
    @pytest.mark.parametrize("name", LOST)
    def test_what_the_head_has_decided_no_body_changes(self, net: Net, fetcher: Fetcher, name: str) -> None:
        server = net.serve(LOST[name])
        answer = net.get(fetcher, server.url + "/")
        assert isinstance(answer, Response) and answer.status in (404, 410, 301, 302, 308)
        assert answer.body == b"" and "body_lost" in answer.flags
        assert answer.header("location") == ("/x" if answer.status < 400 else None)
        assert fetcher.active == 0

    @pytest.mark.parametrize("name", NOT_LOST)
    def test_all_others_fail_with_their_body(self, net: Net, fetcher: Fetcher, name: str) -> None:
        script, expected = NOT_LOST[name]
        assert describe(net.get(fetcher, net.serve(script).url + "/")) == expected

    @pytest.mark.parametrize("name", RECEIVING)
    def test_endings(self, net: Net, fetcher: Fetcher, name: str) -> None:
        script, expected = RECEIVING[name]
        assert describe(net.get(fetcher, net.serve(script).url + "/")) == expected
        assert fetcher.active == 0

    def test_what_the_head_said_is_told_of_a_failure_too(self, net: Net, fetcher: Fetcher) -> None:
        cut = net.get(fetcher, net.serve(once(b"HTTP/1.1 203 Cut\r\nContent-Length: 9\r\nX: y\r\n\r\nabc")).url + "/")
        assert isinstance(cut, Failure) and cut.error.reason == "early_eof"
        assert (cut.status, cut.headers) == (203, [("Content-Length", "9"), ("X", "y")])
        nothing = net.get(fetcher, net.serve(once(b"HTTP/1.1 200 OK\r\nX: y")).url + "/")
        assert isinstance(nothing, Failure) and (nothing.status, nothing.headers) == (None, [])

    @pytest.mark.parametrize(
        ("path", "seconds"),
        [("/silent", 10), ("/body", 4), ("/drip", 30)],
    )
    def test_seconds(self, net: Net, fetcher: Fetcher, path: str, seconds: float) -> None:
        def dripping(request: bytes) -> Steps:
            yield from drip(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", b"a", 3.0)
            return None

        server = net.serve(
            by_path(
                {
                    "/silent": reply(HOLD),
                    "/body": reply(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", HOLD),
                    "/drip": dripping,
                }
            )
        )
        outcome = net.get(fetcher, server.url + path)
        assert isinstance(outcome, Failure)
        assert outcome.elapsed == pytest.approx(seconds, abs=0.1)

    def test_progress_moves_the_idle_deadline(self, net: Net, fetcher: Fetcher) -> None:
        parts = [Pause(3), b"a"] * 8
        server = net.serve(once(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n", *parts))
        outcome = net.get(fetcher, server.url + "/")
        assert describe(outcome) == "200 aaaaaaaa"
        assert outcome.elapsed == pytest.approx(24, abs=0.1)

    def test_304_and_206_that_were_asked_for(self, net: Net, fetcher: Fetcher) -> None:
        server = net.serve(
            by_path(
                {
                    "/304": reply(b"HTTP/1.1 304 Not Modified\r\n\r\n"),
                    "/206": reply(page(status="206 Partial Content")),
                }
            )
        )
        outcomes = net.fetch(
            fetcher,
            Request(server.url + "/304", headers={"If-None-Match": '"x"'}),
            Request(server.url + "/206", headers={"range": "bytes=0-3"}),
        )
        assert sorted(map(describe, outcomes)) == ["206 good", "304 "]

    def test_a_fault_of_ours_fails_one_request_and_is_logged(
        self, net: Net, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = net.serve(always(reply(page())))
        with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
            patch.setattr(ResponseReader, "feed", lambda *_: 1 / 0)
            outcome = net.get(fetcher, server.url + "/")
        assert describe(outcome) == "FetchError internal RECEIVING"
        assert isinstance(outcome.error.__cause__, ZeroDivisionError)
        assert "ZeroDivisionError" in caplog.text
        assert describe(net.get(fetcher, server.url + "/")) == "200 good"


class TestIdle:
    def test_reused_without_a_change_at_the_selector(self, net: Net, fetcher: Fetcher) -> None:
        server = net.serve(always(reply(page())))
        net.get(fetcher, server.url + "/")
        connection, calls = only_connection(fetcher), []
        watch = Wire.watch
        try:
            Wire.watch = lambda *args: (calls.append(args), watch(*args))  # type: ignore[assignment,method-assign]
            for _ in range(5):
                assert describe(net.get(fetcher, server.url + "/")) == "200 good"
        finally:
            Wire.watch = watch  # type: ignore[method-assign]
        assert calls == []
        assert only_connection(fetcher) is connection
        assert server.accepted == 1

    def test_a_new_connection_costs_three_changes(self, net: Net, fetcher: Fetcher) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            before = net.selector.changes
            fetcher.start(Request(f"http://127.0.0.1:{listener.getsockname()[1]}/"))
            accepted, _ = listener.accept()
            with accepted:
                accepted.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\ngood")
                net.run(lambda: fetcher.done and net.loop.stop())
        assert describe(fetcher.done.popleft()) == "200 good"
        assert net.selector.changes - before == 3  # register, modify, unregister

    @pytest.mark.parametrize("what", ["hang-up", "stray bytes", "reset"])
    def test_what_comes_unasked_closes(self, net: Net, fetcher: Fetcher, what: str) -> None:
        then: dict[str, list[Any]] = {
            "hang-up": [],
            "stray bytes": [page(b"not yours"), HOLD],
            "reset": [RESET],
        }
        server = net.serve(once(page(), Pause(5), *then[what]))
        assert describe(net.get(fetcher, server.url + "/")) == "200 good"
        assert only_connection(fetcher).state == "IDLE"
        net.settle(6)
        assert not fetcher._pool._all
        assert (fetcher._pool.idle, len(fetcher.done)) == (0, 0)

    @pytest.mark.parametrize("last", [b"stray", None], ids=["stray bytes", "hang-up"])
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_spoilt_since_the_last_poll(self, net: Net, fetcher: Fetcher, last: bytes | None, method: str) -> None:
        """Nothing was sent on it, so even a POST may go to a fresh connection, and it is no replay."""
        server = net.serve(always(reply(page())))
        net.get(fetcher, server.url + "/")
        connection = only_connection(fetcher)
        (peer,) = server.peers
        if last:
            peer._sock.send(last)
        else:
            peer.close()
        fetcher.start(Request(server.url + "/", method=method))
        assert connection.state == "CLOSED"
        net.run(lambda: fetcher.done and net.loop.stop())
        assert describe(fetcher.done.popleft()) == "200 good"
        assert (len(server.requests), server.accepted) == (2, 2)

    def test_deadline(self, net: Net, fetcher: Fetcher) -> None:
        server = net.serve(always(reply(page())))
        net.get(fetcher, server.url + "/")
        net.settle(59)
        assert fetcher._pool.idle == 1
        net.settle(2)
        assert fetcher._pool.idle == 0
        assert describe(net.get(fetcher, server.url + "/")) == "200 good"
        assert server.accepted == 2

    def test_the_total_deadline_ends_with_its_exchange(self, net: Net, fetcher: Fetcher) -> None:
        server = net.serve(always(reply(page())))
        net.get(fetcher, server.url + "/")
        net.settle(40)
        assert describe(net.get(fetcher, server.url + "/")) == "200 good"
        assert server.accepted == 1

    NOT_KEPT: ClassVar = {
        "close": page(headers=b"Connection: close\r\n"),
        "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\ngood",
        "extra bytes": page() + b"HTTP/1.1 404 Not Found\r\n\r\n",
        "repaired head": b"HTTP/1.1 200 OK\nContent-Length: 4\n\ngood",
    }

    @pytest.mark.parametrize("name", NOT_KEPT)
    def test_not_kept(self, net: Net, fetcher: Fetcher, name: str) -> None:
        server = net.serve(always(reply(self.NOT_KEPT[name])))
        for _ in range(2):
            assert describe(net.get(fetcher, server.url + "/")) == "200 good"
            assert not fetcher._pool._all
        assert server.accepted == 2

    def test_head_is_followed_by_a_new_connection(self, net: Net, fetcher: Fetcher) -> None:
        server = net.serve(always(reply(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")))
        for _ in range(2):
            assert describe(net.get(fetcher, server.url + "/", method="HEAD")) == "200 "
        assert server.accepted == 2


def close_after_first(*last: Any) -> Callable[[], Steps]:
    """The first connection answers once and dies when the next request comes; later ones are good."""
    connections = iter(range(99))

    def script() -> Steps:
        first = next(connections) == 0
        while (yield REQUEST):
            yield page(b"first" if first else b"good")
            if first:
                yield REQUEST
                yield from last
                return None
        return None

    return script


class TestReplay:
    @pytest.mark.parametrize("last", [(), (RESET,)], ids=["hang-up", "reset"])
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_a_connection_that_died_in_between(
        self, net: Net, fetcher: Fetcher, last: tuple[Any, ...], method: str
    ) -> None:
        server = net.serve(close_after_first(*last))
        assert describe(net.get(fetcher, server.url + "/1")) == "200 first"
        outcome = net.get(fetcher, server.url + "/2", method=method)
        assert isinstance(outcome, Response)
        assert server.accepted == 2
        assert [request.split()[1] for request in server.requests] == [b"/1", b"/2", b"/2"]

    def test_not_for_post(self, net: Net, fetcher: Fetcher) -> None:
        server = net.serve(close_after_first())
        net.get(fetcher, server.url + "/")
        outcome = net.get(fetcher, server.url + "/", method="POST", body=b"x")
        assert describe(outcome) == "TruncatedError early_eof RECEIVING"

    def test_not_after_the_first_byte(self, net: Net, fetcher: Fetcher) -> None:
        server = net.serve(close_after_first(b"H"))
        net.get(fetcher, server.url + "/")
        assert describe(net.get(fetcher, server.url + "/")) == "TruncatedError early_eof RECEIVING"

    def test_not_after_silence(self, net: Net, fetcher: Fetcher) -> None:
        server = net.serve(close_after_first(HOLD))
        net.get(fetcher, server.url + "/")
        assert describe(net.get(fetcher, server.url + "/")) == "PhaseTimeoutError first_byte RECEIVING"

    def test_not_on_a_fresh_connection(self, net: Net, fetcher: Fetcher) -> None:
        server = net.serve(once())
        assert describe(net.get(fetcher, server.url + "/")) == "TruncatedError early_eof RECEIVING"
        assert server.accepted == 1

    def test_once_only_and_never_on_another_kept_connection(self, net: Net, fetcher: Fetcher) -> None:
        """Two kept connections die; the request goes to a fresh one, not to the other kept one, and fails there."""
        answers = iter([page(), page()])

        def script() -> Steps:
            yield REQUEST
            answer = next(answers, None)
            if answer:
                yield Pause(1)
                yield answer
                yield REQUEST
            return None

        server = net.serve(script)
        net.fetch(fetcher, Request(server.url + "/a"), Request(server.url + "/b"))
        assert server.accepted == 2
        assert describe(net.get(fetcher, server.url + "/c")) == "TruncatedError early_eof RECEIVING"
        assert server.accepted == 3
        assert len(server.requests) == 4

    def test_the_total_deadline_goes_on(self, net: Net) -> None:
        fetcher = net.fetcher(timeouts=Timeouts(first_byte=9, total=5))
        connections = iter(range(9))

        def script() -> Steps:
            yield REQUEST
            if next(connections) == 0:
                yield page()
                yield REQUEST
                yield Pause(4)
            else:
                yield HOLD
            return None

        server = net.serve(script)
        net.get(fetcher, server.url + "/")
        outcome = net.get(fetcher, server.url + "/")
        assert describe(outcome) == "PhaseTimeoutError total RECEIVING"
        assert outcome.elapsed == pytest.approx(5, abs=0.1)


class TestClosed:
    def test_events_of_the_same_batch_are_ignored(self, net: Net, fetcher: Fetcher) -> None:
        """Two sockets are ready in one poll; handling the first closes the second and opens another with its number."""
        server = net.serve(always(reply(page(), Pause(1), b"stray", HOLD)))
        net.fetch(fetcher, Request(server.url + "/"), Request(server.url + "/"))
        first, second = list(fetcher._pool._idle)
        assert second._wire is not None
        closed = {"fd": second._wire._sock.fileno()}
        ready = first._on_ready

        def meddle(mask: int) -> None:
            second.abort()
            closed["new"] = socket.socket().detach()
            ready(mask)
            second._on_ready(READ)
            second._on_deadline()

        assert first._wire is not None
        net.loop.modify(first._wire._sock, READ, meddle)
        net.settle(2)
        assert closed["new"] == closed["fd"]
        socket.socket(fileno=closed["new"]).close()
        assert (first.state, second.state) == ("CLOSED", "CLOSED")
        assert not fetcher.done

    def test_abort_ends_every_state_silently(self, net: Net, fetcher: Fetcher) -> None:
        net.resolver.table["slow.example"] = (1.0, v4("127.0.0.1"))
        server = net.serve(by_path({"/silent": reply(HOLD), "/page": reply(page()), "/unread": reply(Pause(99))}))
        unread = net.serve(at_once(Pause(99)))
        net.fetch(fetcher, Request(server.url + "/page"))
        with black_hole("127.0.0.1") as port:
            for request in (
                Request("http://slow.example/"),
                Request(f"http://127.0.0.1:{port}/"),
                Request(server.url + "/silent"),
                Request(server.url + "/silent"),
                Request(unread.url + "/", method="POST", body=BIG),
            ):
                fetcher.start(request)
            net.settle()
            states = sorted(connection.state for connection in fetcher._pool._all)
            assert states == ["CONNECTING", "RECEIVING", "RECEIVING", "RESOLVING", "SENDING"]
            assert fetcher.active == 5
            fetcher.abort()
        net.settle(2)
        assert (fetcher.active, len(fetcher.done), len(fetcher._pool._all)) == (0, 0, 0)

    def test_repr_says_where_it_is(self, net: Net, fetcher: Fetcher) -> None:
        server = net.serve(always(reply(page())))
        net.get(fetcher, server.url + "/")
        connection = only_connection(fetcher)
        assert repr(connection) == f"<Connection 127.0.0.1:{server.port} IDLE served=1>"
        fetcher.abort()
        assert "CLOSED" in repr(connection)


def test_false_readiness_is_no_end(net: Net, fetcher: Fetcher) -> None:
    server = net.serve(once(Pause(2), page()))
    fetcher.start(Request(server.url + "/"))
    net.settle()
    only_connection(fetcher)._on_ready(READ)
    net.run(lambda: fetcher.done and net.loop.stop())
    assert describe(fetcher.done.popleft()) == "200 good"


def test_reset_helper_really_resets() -> None:
    """SO_LINGER 0 as the scripted server uses it: the peer sees ECONNRESET, not a hang-up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        accepted.close()
        with client, pytest.raises(ConnectionResetError):
            client.recv(1)


class OddSocket(socket.socket):
    """A socket whose next calls of `send` or `recv_into` go as the test says."""

    sends: ClassVar[list[OSError]] = []
    reads: ClassVar[list[OSError]] = []

    def send(self, data: Any, flags: int = 0) -> int:
        if self.sends:
            raise self.sends.pop(0)
        return super().send(data, flags)

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        if self.reads:
            raise self.reads.pop(0)
        return super().recv_into(buffer, size, flags)


class TestOddSockets:
    @pytest.fixture
    def odd(self, net: Net) -> Fetcher:
        OddSocket.sends, OddSocket.reads = [], []
        return net.fetcher(timeouts=LIMITS, make_socket=OddSocket)

    def test_a_send_that_would_block_is_tried_again(self, net: Net, odd: Fetcher) -> None:
        OddSocket.sends = [BlockingIOError(errno.EAGAIN, "not now"), InterruptedError(errno.EINTR, "signal")]
        server = net.serve(always(reply(page())))
        assert describe(net.get(odd, server.url + "/")) == "200 good"

    def test_a_broken_pipe_does_not_hide_the_answer(self, net: Net, odd: Fetcher) -> None:
        OddSocket.sends = [BrokenPipeError(errno.EPIPE, "broken pipe")]
        server = net.serve(at_once(page(b"go away", status="503 Busy"), HOLD))
        assert describe(net.get(odd, server.url + "/")) == "503 go away"
        assert not odd._pool._all, "a connection that was not sent to is not kept"

    def test_a_broken_pipe_without_an_answer(self, net: Net, odd: Fetcher) -> None:
        OddSocket.sends = [BrokenPipeError(errno.EPIPE, "broken pipe")]
        server = net.serve(at_once(Pause(1)))
        assert describe(net.get(odd, server.url + "/")) == "TruncatedError early_eof RECEIVING"

    def test_a_broken_pipe_on_a_kept_connection_is_replayed(self, net: Net, odd: Fetcher) -> None:
        server = net.serve(always(reply(page())))
        net.get(odd, server.url + "/")
        OddSocket.sends = [BrokenPipeError(errno.EPIPE, "broken pipe")]
        OddSocket.reads = [ConnectionResetError(errno.ECONNRESET, "reset")]
        odd.start(Request(server.url + "/"))
        only_connection(odd)._on_ready(READ)
        net.run(lambda: odd.done and net.loop.stop())
        assert describe(odd.done.popleft()) == "200 good"
        assert server.accepted == 2

    def test_a_read_that_would_block_is_no_end(self, net: Net, odd: Fetcher) -> None:
        OddSocket.reads = [BlockingIOError(errno.EAGAIN, "not now"), InterruptedError(errno.EINTR, "signal")]
        server = net.serve(always(reply(page())))
        assert describe(net.get(odd, server.url + "/")) == "200 good"

    def test_a_kept_connection_whose_look_fails_is_not_used(self, net: Net, odd: Fetcher) -> None:
        server = net.serve(always(reply(page())))
        net.get(odd, server.url + "/")
        connection = only_connection(odd)
        (peer,) = server.peers
        peer.close(reset=True)
        odd.start(Request(server.url + "/"))
        assert connection.state == "CLOSED"
        net.run(lambda: odd.done and net.loop.stop())
        assert describe(odd.done.popleft()) == "200 good"

    @pytest.mark.parametrize("where", ["at once", "later", "deadline"])
    def test_faults_of_ours_outside_of_readiness(self, net: Net, where: str, caplog: pytest.LogCaptureFixture) -> None:
        def broken(family: int, kind: int) -> socket.socket:
            raise ZeroDivisionError

        def second_broken(family: int, kind: int) -> socket.socket:
            nonlocal made
            made += 1
            return socket.socket(family, kind) if made == 1 else broken(family, kind)

        made = 0
        fetcher = net.fetcher(timeouts=LIMITS, make_socket=second_broken if where == "deadline" else broken)
        with black_hole("127.0.0.2") as port, caplog.at_level(logging.CRITICAL):
            addresses = v4("127.0.0.2", "127.0.0.3")
            net.resolver.table["two.example"] = (1.0, addresses) if where == "later" else addresses
            outcome = net.get(fetcher, f"http://two.example:{port}/")
        assert describe(outcome).startswith("FetchError internal ")
        assert isinstance(outcome.error.__cause__, ZeroDivisionError)
