"""The fetcher: what goes on the wire, one outcome for each start, room and books."""

from __future__ import annotations

from base64 import b64decode
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import PolicyError
from pipeline.fetch.exchange import Timeouts
from pipeline.fetch.fetcher import Fetcher
from pipeline.fetch.loop import Loop
from pipeline.model import Failure, Request, Response
from tests.badserver.server import HOLD, REQUEST, RESET, Pause, Steps, by_path, page, reply, serve_in_thread
from tests.fetch.kit import HERE, Net, describe


def head_of(request: bytes) -> dict[str, str]:
    lines = request.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")[1:]
    fields = [line.split(": ", 1) for line in lines]
    assert len({name.lower() for name, _ in fields}) == len(fields), "a header twice"
    return {name.lower(): value for name, value in fields}


class TestWire:
    def ask(self, net: Net, request: Request, **options: object) -> bytes:
        server = net.serve(by_path({"/a?b=c": reply(page())}))
        request.url = request.url.replace("HOST", f"127.0.0.1:{server.port}")
        assert isinstance(net.fetch(net.fetcher(**options), request)[0], Response)
        return server.requests[0]

    def test_defaults(self, net: Net) -> None:
        wire = self.ask(net, Request("http://HOST/a?b=c"))
        assert wire.startswith(b"GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:")
        assert head_of(wire)["user-agent"] == "hookline"
        assert head_of(wire)["accept-encoding"] == "identity"

    def test_headers_of_the_run_and_of_the_request(self, net: Net) -> None:
        request = Request("http://HOST/a", headers={"user-agent": "mine", "X-One": "1"})
        wire = self.ask(net, request, user_agent="run/1", headers={"Accept": "text/html", "X-Run": "2"})
        fields = head_of(wire)
        assert (fields["user-agent"], fields["accept"], fields["x-one"], fields["x-run"]) == (
            "mine",
            "text/html",
            "1",
            "2",
        )

    def test_accept_encoding(self, net: Net) -> None:
        assert (
            head_of(self.ask(net, Request("http://HOST/"), accept_encoding="gzip, br"))["accept-encoding"] == "gzip, br"
        )

    @pytest.mark.parametrize("of_run", [False, True])
    def test_host_can_be_set_and_is_sent_once(self, net: Net, of_run: bool) -> None:
        own = {"host": "other.example"}
        wire = self.ask(net, Request("http://HOST/", headers={} if of_run else own), headers=own if of_run else None)
        assert head_of(wire)["host"] == "other.example"

    @pytest.mark.parametrize(
        ("userinfo", "credentials"),
        [
            ("user:pass", b"user:pass"),
            ("user", b"user:"),
            (":pass", b":pass"),
            ("a%40b:c%3Ad%2F", b"a@b:c:d/"),
            ("j%C3%B6:%0d%0aX:1", "j\xf6:\r\nX:1".encode()),
        ],
    )
    def test_user_info_is_sent_as_basic_authorization(self, net: Net, userinfo: str, credentials: bytes) -> None:
        wire = self.ask(net, Request(f"http://{userinfo}@HOST/"))
        assert b64decode(head_of(wire)["authorization"].removeprefix("Basic ")) == credentials
        assert "@" not in head_of(wire)["host"]
        assert credentials not in wire
        assert wire.startswith(b"GET / HTTP/1.1\r\n")

    @pytest.mark.parametrize(
        ("of_run", "own", "expected"),
        [
            ({}, {"authorization": "Bearer mine"}, "Bearer mine"),
            ({"Authorization": "Bearer run"}, {}, "Basic dTpw"),
            ({"Authorization": "Bearer run"}, {"AUTHORIZATION": "Bearer mine"}, "Bearer mine"),
        ],
    )
    def test_user_info_stands_between_the_headers_of_run_and_request(
        self, net: Net, of_run: dict[str, str], own: dict[str, str], expected: str
    ) -> None:
        wire = self.ask(net, Request("http://u:p@HOST/", headers=own), headers=of_run)
        assert head_of(wire)["authorization"] == expected

    def test_user_info_is_for_its_url_only_and_in_no_message(self, net: Net) -> None:
        server = net.serve(by_path({"/": reply(page())}))
        fetcher = net.fetcher()
        with_user = server.url.replace("//", "//user:canary@")
        net.fetch(fetcher, Request(with_user + "/"), Request(server.url + "/"))
        assert [b"Authorization" in request for request in server.requests] == [True, False]
        server.close()
        net._open.remove(server)
        fetcher.abort()
        outcome = net.get(fetcher, with_user + "/")
        assert isinstance(outcome, Failure)
        assert "canary" not in str(outcome.error)
        assert "user" not in str(outcome.error)

    def test_body(self, net: Net) -> None:
        wire = self.ask(net, Request("http://HOST/", method="POST", body=b"x=1"))
        assert wire.endswith(b"\r\n\r\nx=1")
        assert head_of(wire)["content-length"] == "3"

    def test_url_without_path(self, net: Net) -> None:
        assert self.ask(net, Request("http://HOST")).startswith(b"GET / HTTP/1.1\r\n")

    def test_ipv6(self, net: Net) -> None:
        try:
            server = net.serve(by_path({"/": reply(page())}), host="::1")
        except OSError:
            pytest.skip("no IPv6 on loopback")
        fetcher = net.fetcher(resolver=None)
        assert describe(net.get(fetcher, server.url + "/")) == "200 good"
        assert head_of(server.requests[0])["host"] == f"[::1]:{server.port}"


NOT_SENT = {
    "line break in a header": Request("http://127.0.0.1:1/", headers={"X": "a\r\nEvil: 1"}),
    "header name": Request("http://127.0.0.1:1/", headers={"a b": "c"}),
    "target": Request("http://127.0.0.1:1/a b"),
    "method": Request("http://127.0.0.1:1/", method="GE T"),
}


@pytest.mark.parametrize("name", NOT_SENT)
def test_what_cannot_be_sent_is_a_failure_at_once(net: Net, name: str) -> None:
    fetcher = net.fetcher()
    fetcher.start(NOT_SENT[name])
    assert describe(fetcher.done.popleft()) == "ProtocolError bad_request NEW"
    assert fetcher.active == 0


@pytest.mark.parametrize("url", ["ftp://h/", "file:///etc/passwd", "data:text/html,x", "javascript:1", "x"])
def test_other_schemes_are_rejected(net: Net, url: str) -> None:
    fetcher = net.fetcher()
    fetcher.start(Request(url))
    outcome = fetcher.done.popleft()
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, PolicyError)
    assert outcome.error.rejected == "rejected:scheme"


def test_a_response_carries_its_request_and_time(net: Net) -> None:
    server = net.serve(by_path({"/": reply(Pause(2), page(b"x", headers=b"A: b\r\n"))}))
    request = Request(server.url + "/", carry={"n": 1})
    (outcome,) = net.fetch(net.fetcher(), request)
    assert isinstance(outcome, Response)
    assert outcome.request is request
    assert outcome.elapsed == pytest.approx(2, abs=0.1)
    assert outcome.headers == [("A", "b"), ("Content-Length", "1")]


def test_flags_reach_the_response(net: Net) -> None:
    server = net.serve(by_path({"/": reply(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi!")}))
    outcome = net.get(net.fetcher(), server.url + "/")
    assert isinstance(outcome, Response)
    assert outcome.flags == ("head_repaired", "extra_data")


def test_redirects_and_errors_are_outcomes_like_any_other(net: Net) -> None:
    moved = b"HTTP/1.1 301 Moved\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"
    broken = page(b"oops", status="500 Internal Server Error")
    server = net.serve(by_path({"/a": reply(moved), "/c": reply(broken)}))
    outcomes = net.fetch(net.fetcher(), Request(server.url + "/a"), Request(server.url + "/c"))
    assert sorted(map(describe, outcomes)) == ["301 ", "500 oops"]


def test_room_and_active(net: Net) -> None:
    server = net.serve(by_path({"/": reply(Pause(1), page())}))
    fetcher = net.fetcher(concurrency=3)
    assert (fetcher.active, fetcher.room) == (0, 3)
    fetcher.start(Request(server.url + "/"))
    fetcher.start(Request(server.url + "/"))
    assert (fetcher.active, fetcher.room) == (2, 1)
    net.run(lambda: len(fetcher.done) == 2 and net.loop.stop())
    assert (fetcher.active, fetcher.room) == (0, 3)


def test_never_more_sockets_than_concurrency_and_idle(net: Net) -> None:
    servers = [net.serve(by_path({"/": reply(page())})) for _ in range(12)]
    fetcher = net.fetcher(concurrency=4, max_idle=3)
    before = net.count_registered()
    outcomes = net.fetch(fetcher, *[Request(server.url + "/") for server in servers for _ in range(2)])
    assert Counter(map(describe, outcomes)) == {"200 good": 24}
    net.settle()
    assert fetcher._pool.idle <= 4 + 3
    assert net.count_registered() - before <= 2 * (4 + 3)


def test_many_at_a_time_on_kept_connections(net: Net) -> None:
    server = net.serve(by_path({f"/{n}": reply(page(b"page %d" % n)) for n in range(40)}))
    fetcher = net.fetcher(concurrency=10)
    outcomes = net.fetch(fetcher, *[Request(f"{server.url}/{n % 40}") for n in range(400)])
    assert Counter(map(describe, outcomes)) == {f"200 page {n}": 10 for n in range(40)}
    assert server.accepted == 10
    for outcome in outcomes:
        assert outcome.request.url.rpartition("/")[2] == outcome.body.decode().partition(" ")[2]


BEHAVIOURS = {
    "/good": reply(page()),
    "/slow": reply(Pause(3), page()),
    "/chunked": reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngo", Pause(1), b"od\r\n0\r\n\r\n"),
    "/close": reply(page(headers=b"Connection: close\r\n"), keep=False),
    "/die": reply(page(), keep=False),
    "/reset": reply(RESET),
    "/cut": reply(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ngood", keep=False),
    "/silent": reply(HOLD),
    "/junk": reply(b"\0\1\2", keep=False),
    "/extra": reply(page() + b"HTTP/1.1 500 No\r\n\r\n"),
}


@pytest.mark.parametrize("kind", HERE)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paths=st.lists(st.sampled_from(sorted(BEHAVIOURS)), max_size=25), concurrency=st.integers(1, 6))
def test_law_each_start_has_exactly_one_outcome(kind: str, paths: list[str], concurrency: int) -> None:
    net = Net(kind)
    server = net.serve(by_path(BEHAVIOURS))
    fetcher = net.fetcher(concurrency=concurrency, timeouts=Timeouts(first_byte=5, idle=5, total=20))
    requests = [Request(server.url + path) for path in paths]
    outcomes = net.fetch(fetcher, *requests)
    net.settle(30)
    assert not fetcher.done
    assert sorted(id(outcome.request) for outcome in outcomes) == sorted(map(id, requests))
    for outcome in outcomes:
        bad = any(word in outcome.request.url for word in ("reset", "cut", "silent", "junk"))
        assert isinstance(outcome, Failure) == bad, describe(outcome)
    assert fetcher.active == 0
    net.close()


@pytest.mark.parametrize("kind", HERE)
def test_on_a_real_clock_with_a_server_of_its_own(kind: str) -> None:
    """Nothing simulated: own resolver, own loop, a server in a thread."""

    def script() -> Steps:
        while (yield REQUEST):
            yield page()
        return None

    with serve_in_thread(script) as server:
        loop = Loop(kind)
        fetcher = Fetcher(loop, concurrency=5)
        for _ in range(5):
            fetcher.start(Request(f"http://localhost:{server.port}/"))
        loop.run(lambda: fetcher.active or loop.stop())
        assert [describe(outcome) for outcome in fetcher.done] == ["200 good"] * 5
        fetcher.close()
        loop.close()
