"""TLS over real sockets and certificates of a test CA: who is believed, how a connection ends, what is used again."""

from __future__ import annotations

import gc
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import TlsError
from pipeline.fetch.connection import Connection
from pipeline.fetch.exchange import Timeouts
from pipeline.fetch.fetcher import Fetcher
from pipeline.fetch.loop import READ
from pipeline.fetch.resolver import Address
from pipeline.fetch.tls import Tls, TlsOptions, is_named
from pipeline.model import Failure, Request, Response
from tests.badserver import certificates
from tests.badserver.rows import early_script
from tests.badserver.server import (
    HALF_CLOSE,
    HOLD,
    REQUEST,
    RESET,
    UNWRAP,
    BadServer,
    Pause,
    Script,
    Steps,
    by_path,
    page,
    reply,
)
from tests.fetch.kit import Net, describe

LIMITS = Timeouts(dns=5, connect=3, tls=4, first_byte=10, idle=4, total=30, keepalive=60)
BIG = bytes(range(256)) * 4096 * 8  # 8 MiB


def trusting(**options: Any) -> TlsOptions:
    return TlsOptions(ca_file=certificates.ca_file(), **options)


def good_pages(net: Net, context: ssl.SSLContext | None = None) -> BadServer:
    return net.serve(by_path({"/": reply(page())}), tls=context or certificates.good())


def names(net: Net, *hosts: str) -> None:
    for host in hosts:
        net.resolver.table[host] = (Address(2, "127.0.0.1"),)


@pytest.fixture
def fetcher(net: Net) -> Fetcher:
    names(net, "localhost", "shop.example", "www.books.example")
    return net.fetcher(timeouts=LIMITS, tls=trusting())


def only_connection(fetcher: Fetcher) -> Connection:
    (connection,) = fetcher._pool._all
    return connection


class TestHandshake:
    @pytest.mark.parametrize("host", ["localhost", "shop.example", "www.books.example", "127.0.0.1"])
    def test_names_and_addresses(self, net: Net, fetcher: Fetcher, host: str) -> None:
        server = good_pages(net)
        assert describe(net.get(fetcher, f"https://{host}:{server.port}/")) == "200 good"
        assert server.requests[0].startswith(b"GET / HTTP/1.1\r\nHost: " + host.encode())

    def test_the_protocol_and_what_is_offered(self, net: Net, fetcher: Fetcher) -> None:
        seen: list[str | None] = []
        context = certificates.server(certificates.authority().issue_cert("localhost", "127.0.0.1"))
        context.sni_callback = lambda sock, name, context: seen.append(name)
        server = good_pages(net, context)
        for host in ("localhost", "127.0.0.1"):
            assert describe(net.get(fetcher, f"https://{host}:{server.port}/")) == "200 good"
        assert seen == ["localhost", None]
        assert server.handshakes == [("TLSv1.3", "http/1.1", False)] * 2

    def test_tls_1_2(self, net: Net, fetcher: Fetcher) -> None:
        server = good_pages(net, certificates.good_tls12())
        assert describe(net.get(fetcher, f"https://localhost:{server.port}/")) == "200 good"
        assert server.handshakes[0].version == "TLSv1.2"

    def test_a_name_with_a_final_dot(self, net: Net, fetcher: Fetcher) -> None:
        names(net, "shop.example.")
        server = good_pages(net)
        assert describe(net.get(fetcher, f"https://shop.example.:{server.port}/")) == "200 good"

    def test_a_name_that_tls_cannot_say(self, net: Net, fetcher: Fetcher) -> None:
        long = "x" * 64 + ".example"
        names(net, long)
        server = good_pages(net)
        assert describe(net.get(fetcher, f"https://{long}:{server.port}/")) == "TlsError handshake CONNECTING"

    def test_one_context_a_mode(self, net: Net) -> None:
        tls = Tls(trusting(insecure_hosts=["localhost"]))
        assert tls.context(verify=True) is tls.context(verify=True)
        assert tls.context(verify=True) is not tls.context(verify=False)
        for context in (tls.context(verify=True), tls.context(verify=False)):
            assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert (tls.verifies("localhost"), tls.verifies("shop.example")) == (False, True)

    def test_without_ca_file_the_systems_are_trusted(self, net: Net) -> None:
        server = good_pages(net)
        outcome = net.get(net.fetcher(timeouts=LIMITS), server.url + "/")
        assert describe(outcome) == "CertificateError cert_verify HANDSHAKING"

    def test_ca_files_that_are_none(self, tmp_path: Path) -> None:
        for path, content in (("none.pem", None), ("junk.pem", "no certificate")):
            if content is not None:
                (tmp_path / path).write_text(content)
            with pytest.raises(ValueError, match=path):
                Tls(TlsOptions(ca_file=tmp_path / path))


def then(*parts: Any) -> Script:
    """Bytes of our own instead of TLS."""

    def script() -> Steps:
        yield from parts
        return None

    return script


def drip() -> Steps:
    """The beginning of a TLS record, a byte a second."""
    yield b"\x16\x03\x03\x40\x00"
    while True:
        yield Pause(1)
        yield b"\0"


# T18: what the server does -> the outcome, its state, what the message says
BAD: dict[str, tuple[Callable[[], ssl.SSLContext] | Script, str, str]] = {
    "expired": (certificates.expired, "CertificateError cert_verify", "has expired"),
    "wrong host": (certificates.wrong_host, "CertificateError cert_verify", "for another host"),
    "self-signed": (certificates.self_signed, "CertificateError cert_verify", "self-signed"),
    "unknown CA": (certificates.unknown_ca, "CertificateError cert_verify", "CA that is not trusted"),
    "TLS 1.1": (certificates.old_tls, "TlsError handshake", "TLS 1.2 or later"),
    "200 KiB chain": (certificates.long_chain, "TlsError handshake", "excessive message size"),
    "stall": (then(HOLD), "PhaseTimeoutError tls", "TLS handshake within 4 s"),
    "drip": (drip, "PhaseTimeoutError tls", "TLS handshake within 4 s"),
    "plain HTTP": (then(b"HTTP/1.1 400 Bad Request\r\n\r\n", HOLD), "TlsError handshake", "does not speak TLS"),
    "hang-up": (then(HALF_CLOSE, HOLD), "TlsError handshake", "ended the connection"),
    "reset": (then(Pause(1), RESET), "TlsError handshake", "ended the connection"),
    "alert": (then(b"\x15\x03\x03\0\2\2\x28", HOLD), "TlsError handshake", "handshake failure"),
}


@pytest.mark.parametrize("name", BAD)
def test_t18_bad_tls(net: Net, fetcher: Fetcher, name: str) -> None:
    """Refused in time, said why, and the next good URL on the same fetcher still works."""
    behaviour, expected, words = BAD[name]
    plain = name in ("stall", "drip", "plain HTTP", "hang-up", "reset", "alert")
    server = (
        net.serve(behaviour)  # type: ignore[arg-type]
        if plain
        else net.serve(by_path({"/": reply(page())}), tls=behaviour())  # type: ignore[arg-type]
    )
    outcome = net.get(fetcher, f"https://localhost:{server.port}/")
    assert describe(outcome) == f"{expected} HANDSHAKING"
    assert isinstance(outcome, Failure)
    assert words in str(outcome.error)
    assert outcome.elapsed <= 4.1
    assert outcome.error.fate == ("failed:timeout" if "Timeout" in expected else "failed:tls")
    if isinstance(outcome.error, TlsError):
        assert f"localhost:{server.port}" in str(outcome.error)
    if outcome.error.reason == "cert_verify":
        assert outcome.error.retry_word is None
        assert "fetch.tls.ca_file" in str(outcome.error)
        assert "fetch.tls.insecure_hosts" in str(outcome.error)
        assert not server.requests
    else:
        assert outcome.error.retry_word is not None
    assert not fetcher._pool._all
    assert describe(net.get(fetcher, good_pages(net).url + "/")) == "200 good"


def test_an_address_that_the_certificate_does_not_name(net: Net, fetcher: Fetcher) -> None:
    server = net.serve(by_path({"/": reply(page())}), tls=certificates.wrong_host())
    outcome = net.get(fetcher, f"https://127.0.0.1:{server.port}/")
    assert describe(outcome) == "CertificateError cert_verify HANDSHAKING"
    assert "for another address" in str(outcome.error)


def test_a_client_certificate_is_wanted(net: Net, fetcher: Fetcher) -> None:
    context = certificates.server(certificates.authority().issue_cert("localhost"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificates.ca_file())
    server = good_pages(net, context)
    outcome = net.get(fetcher, f"https://localhost:{server.port}/")
    assert describe(outcome).startswith("TlsError alert ")  # TLS 1.3: the handshake is over when the alert comes


class TestInsecure:
    @pytest.mark.parametrize(
        "options",
        [{"verify": False}, {"insecure_hosts": ["localhost"]}, {"insecure_hosts": ["local*"]}],
    )
    @pytest.mark.parametrize("context", [certificates.expired, certificates.self_signed, certificates.wrong_host])
    def test_by_name(self, net: Net, context: Callable[[], ssl.SSLContext], options: dict[str, Any]) -> None:
        names(net, "localhost")
        server = net.serve(by_path({"/": reply(page())}), tls=context())
        fetcher = net.fetcher(timeouts=LIMITS, tls=TlsOptions(**options))
        assert describe(net.get(fetcher, f"https://localhost:{server.port}/")) == "200 good"

    def test_another_name_of_the_same_server_is_still_verified(self, net: Net) -> None:
        names(net, "localhost", "shop.example")
        server = net.serve(by_path({"/": reply(page())}), tls=certificates.expired())
        fetcher = net.fetcher(timeouts=LIMITS, tls=trusting(insecure_hosts=["localhost"]))
        good, bad = (f"https://{host}:{server.port}/" for host in ("localhost", "shop.example"))
        assert describe(net.get(fetcher, good)) == "200 good"
        assert describe(net.get(fetcher, bad)) == "CertificateError cert_verify HANDSHAKING"

    @pytest.mark.parametrize(
        ("host", "patterns", "expected"),
        [
            ("a.example", ["a.example"], True),
            ("a.example", ["*.EXAMPLE"], True),
            ("a.example", ["b.example", "?.example"], True),
            ("a.example", ["example"], False),
            ("a.example", [], False),
            ("127.0.0.1", ["127.0.0.1"], True),
            ("127.0.0.1", ["127.*", "*"], False),
            ("::1", ["*", "::?"], False),
            ("::1", ["::1"], True),
        ],
    )
    def test_globs_are_over_names(self, host: str, patterns: list[str], expected: bool) -> None:
        assert is_named(host, patterns) is expected


class TestEnd:
    """T05 over TLS: what the end of input means."""

    @pytest.mark.parametrize("context", [certificates.good, certificates.good_tls12])
    @pytest.mark.parametrize(
        ("parts", "expected", "flags"),
        [
            ((b"HTTP/1.0 200 OK\r\n\r\ngood", UNWRAP), "200 good", ()),
            ((b"HTTP/1.0 200 OK\r\n\r\ngood",), "200 good", ("unclean_tls_eof",)),
            ((b"HTTP/1.1 200 OK\r\n\r\ngood", HALF_CLOSE, HOLD), "200 good", ("unclean_tls_eof",)),
            ((b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ngood",), "TruncatedError early_eof RECEIVING", ()),
            ((b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ngood", UNWRAP), "TruncatedError early_eof RECEIVING", ()),
            ((b"HTTP/1.1 200 OK\r\nContent-Le",), "TruncatedError early_eof RECEIVING", ()),
            ((RESET,), "TruncatedError reset RECEIVING", ()),
            ((), "TruncatedError early_eof RECEIVING", ()),
        ],
    )
    def test_end_of_input(
        self,
        net: Net,
        fetcher: Fetcher,
        parts: tuple[Any, ...],
        expected: str,
        flags: tuple[str, ...],
        context: Callable[[], ssl.SSLContext],
    ) -> None:
        server = net.serve(by_path({"/": reply(*parts, keep=False), "/good": reply(page())}), tls=context())
        outcome = net.get(fetcher, f"https://localhost:{server.port}/")
        assert describe(outcome) == expected
        assert not isinstance(outcome, Response) or outcome.flags == flags
        assert not fetcher._pool._all
        assert describe(net.get(fetcher, f"https://localhost:{server.port}/good")) == "200 good"

    def test_stray_bytes_that_are_no_tls(self, net: Net, fetcher: Fetcher) -> None:
        server = good_pages(net)
        net.get(fetcher, server.url + "/")
        (peer,) = server.peers
        assert isinstance(peer._sock, ssl.SSLSocket)
        socket.socket.send(peer._sock, b"\x17\x03\x03\0\x05junk!")
        net.settle()
        assert not fetcher._pool._all


class TestReuse:
    def test_kept_and_used_again(self, net: Net, fetcher: Fetcher) -> None:
        server = good_pages(net)
        for _ in range(4):
            assert describe(net.get(fetcher, server.url + "/")) == "200 good"
        assert (server.accepted, len(server.handshakes)) == (1, 1)

    def test_tickets_in_idle_do_not_close_it(self, net: Net, fetcher: Fetcher) -> None:
        server = good_pages(net)
        net.get(fetcher, server.url + "/")
        assert server.handshakes[0].version == "TLSv1.3"
        net.settle(5)
        assert only_connection(fetcher).state == "IDLE"
        assert describe(net.get(fetcher, server.url + "/")) == "200 good"
        assert server.accepted == 1

    @pytest.mark.parametrize("what", ["stray", "unwrap", "reset", "eof"])
    @pytest.mark.parametrize("polled", [True, False])
    def test_a_spoilt_one_is_not_used_again(self, net: Net, fetcher: Fetcher, what: str, polled: bool) -> None:
        server = good_pages(net)
        assert describe(net.get(fetcher, server.url + "/")) == "200 good"
        net.settle()
        (peer,) = server.peers
        assert isinstance(peer._sock, ssl.SSLSocket)
        if what == "stray":
            peer._sock.send(page(b"stray"))
        elif what == "unwrap":
            with pytest.raises(ssl.SSLWantReadError):
                peer._sock.unwrap()
        else:
            peer.close(reset=what == "reset")
        if polled:
            net.settle()
            assert not fetcher._pool._all
        assert describe(net.get(fetcher, server.url + "/")) == "200 good"
        assert server.accepted == 2

    def test_t17_the_server_closes_as_we_write(self, net: Net, fetcher: Fetcher) -> None:
        def script() -> Steps:
            yield REQUEST
            yield page()
            yield REQUEST
            return None

        server = net.serve(script, tls=certificates.good())
        for _ in range(2):
            assert describe(net.get(fetcher, server.url + "/")) == "200 good"
        assert server.accepted == 2

    @pytest.mark.parametrize("context", [certificates.good, certificates.good_tls12])
    def test_a_session_is_used_again_for_a_new_connection(
        self, net: Net, fetcher: Fetcher, context: Callable[[], ssl.SSLContext]
    ) -> None:
        server = net.serve(
            by_path({"/": reply(page(headers=b"Connection: close\r\n"), UNWRAP, keep=False)}), tls=context()
        )
        for _ in range(3):
            assert describe(net.get(fetcher, f"https://localhost:{server.port}/")) == "200 good"
        assert [shaken.reused for shaken in server.handshakes] == [False, True, True]
        assert len(fetcher._tls._sessions) == 1

    def test_sessions_are_not_shared_between_names_or_modes(self, net: Net) -> None:
        names(net, "localhost", "shop.example")
        server = net.serve(
            by_path({"/": reply(page(headers=b"Connection: close\r\n"), UNWRAP, keep=False)}), tls=certificates.good()
        )
        fetcher = net.fetcher(timeouts=LIMITS, tls=trusting(insecure_hosts=["localhost"]))
        for host in ("localhost", "shop.example", "127.0.0.1"):
            assert describe(net.get(fetcher, f"https://{host}:{server.port}/")) == "200 good"
        assert [shaken.reused for shaken in server.handshakes] == [False] * 3

    def test_sessions_are_few(self, net: Net, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pipeline.fetch.tls.MAX_SESSIONS", 2)
        for _ in range(4):
            net.get(fetcher, f"https://localhost:{good_pages(net).port}/")
        assert len(fetcher._tls._sessions) == 2

    def test_close_notify_is_sent_when_an_idle_one_is_closed(self, net: Net, fetcher: Fetcher) -> None:
        ends: list[bytes | None] = []

        def script() -> Steps:
            yield REQUEST
            yield page()
            ends.append((yield REQUEST))
            return None

        server = net.serve(script, tls=certificates.good())
        net.get(fetcher, server.url + "/")
        (peer,) = server.peers
        assert isinstance(peer._sock, ssl.SSLSocket)
        peer._sock.suppress_ragged_eofs = False
        fetcher.abort()
        net.settle()
        assert ends == [None]


class TestWants:
    """TLS wants the other direction: rare with TLS 1.3, so it is made to."""

    def ask(self, net: Net, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, name: str, want: Exception) -> None:
        real, wants = getattr(ssl.SSLSocket, name), 1

        def once(sock: ssl.SSLSocket, *args: Any) -> Any:
            nonlocal wants
            if sock.server_side or not wants:
                return real(sock, *args)
            wants -= 1
            raise want

        monkeypatch.setattr(ssl.SSLSocket, name, once)
        server = good_pages(net)
        assert describe(net.get(fetcher, server.url + "/")) == "200 good"
        assert wants == 0
        connection = only_connection(fetcher)
        assert connection._wire is not None
        assert (connection.state, connection._wire.interest) == ("IDLE", READ)

    def test_to_read_before_it_writes(self, net: Net, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ask(net, fetcher, monkeypatch, "send", ssl.SSLWantReadError())  # what wakes it are session tickets

    def test_to_write_before_it_reads(self, net: Net, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ask(net, fetcher, monkeypatch, "recv_into", ssl.SSLWantWriteError())

    def test_to_write_in_the_handshake(self, net: Net, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ask(net, fetcher, monkeypatch, "do_handshake", ssl.SSLWantWriteError())

    def test_a_read_that_leaves_bytes_behind_goes_on_in_the_next_turn(
        self, net: Net, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With a buffer smaller than a record; no poll would ever report the rest."""
        monkeypatch.setattr("pipeline.fetch.fetcher._BUFFER_SIZE", 1000)
        server = net.serve(by_path({"/": reply(page(b"x" * 15_000))}), tls=certificates.good())
        fetcher = net.fetcher(timeouts=LIMITS, tls=trusting())
        outcome = net.get(fetcher, server.url + "/")
        assert isinstance(outcome, Response)
        assert len(outcome.body) == 15_000
        assert outcome.elapsed < 1


class TestBodies:
    def test_large_both_ways(self, net: Net, fetcher: Fetcher) -> None:
        server = net.serve(by_path({"/": reply(page(BIG))}), tls=certificates.good())
        outcome = net.get(fetcher, server.url + "/", method="POST", body=BIG)
        assert isinstance(outcome, Response)
        assert outcome.body == BIG
        assert server.requests[0].endswith(BIG[-1000:])
        assert len(server.requests[0].partition(b"\r\n\r\n")[2]) == len(BIG)
        assert only_connection(fetcher).state == "IDLE"

    def test_many_at_a_time(self, net: Net) -> None:
        server = net.serve(by_path({f"/{n}": reply(page(b"page %d" % n)) for n in range(30)}), tls=certificates.good())
        fetcher = net.fetcher(concurrency=6, tls=trusting())
        outcomes = net.fetch(fetcher, *[Request(f"{server.url}/{n % 30}") for n in range(120)])
        for outcome in outcomes:
            assert describe(outcome) == "200 page " + outcome.request.url.rpartition("/")[2]
        assert server.accepted == 6

    def test_t19_an_early_answer(self, net: Net, fetcher: Fetcher) -> None:
        server = net.serve(early_script, tls=certificates.good())
        outcome = net.get(fetcher, server.url + "/", method="POST", body=BIG)
        assert describe(outcome) == "413 early"

    def test_deadlines_hold(self, net: Net, fetcher: Fetcher) -> None:
        server = net.serve(
            by_path({"/silent": reply(HOLD), "/body": reply(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", HOLD)}),
            tls=certificates.good(),
        )
        for path, expected in (("/silent", "first_byte"), ("/body", "idle")):
            outcome = net.get(fetcher, server.url + path)
            assert describe(outcome) == f"PhaseTimeoutError {expected} RECEIVING"

    def test_nothing_is_registered_or_held_after_the_end(self, net: Net, fetcher: Fetcher) -> None:
        server = good_pages(net)
        before = net.count_registered()
        net.get(fetcher, server.url + "/")
        fetcher.abort()
        net.settle()
        assert net.count_registered() == before
        gc.collect()
        assert not [thing for thing in gc.get_objects() if type(thing) is Connection and thing.state != "CLOSED"]
