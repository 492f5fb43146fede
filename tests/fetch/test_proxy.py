"""Proxies: what is said to them, byte by byte; then whole ways through them; and who gets to see credentials."""

from __future__ import annotations

import socket
from base64 import b64encode
from collections.abc import Iterable
from typing import Any

import pytest

from pipeline.errors import ConnectError
from pipeline.fetch.exchange import Timeouts
from pipeline.fetch.fetcher import Fetcher, TlsOptions
from pipeline.fetch.http1 import ResponseReader
from pipeline.fetch.proxy import ConnectPrologue, Prologue, Proxy, SocksPrologue, absolute_form
from pipeline.fetch.resolver import Address
from pipeline.model import Failure, Request
from tests.badserver import certificates
from tests.badserver.proxies import connect_to, socks_to
from tests.badserver.server import (
    HALF_CLOSE,
    HOLD,
    REQUEST,
    RESET,
    UNWRAP,
    BadServer,
    Exactly,
    Script,
    Steps,
    by_path,
    page,
    reply,
)
from tests.fetch.kit import Net, describe

LIMITS = Timeouts(dns=5, connect=3, tls=4, first_byte=10, idle=4, total=30, keepalive=60)
CANARY = "user:canary-7f3"
SECRET = b64encode(CANARY.encode())


class TestParse:
    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("http://p.example", ("http", "p.example", 80, None)),
            ("http://p.example:80/", ("http", "p.example", 80, None)),
            ("HTTP://P.Example:3128", ("http", "p.example", 3128, None)),
            ("https://p.example", ("https", "p.example", 443, None)),
            ("https://p.example:80", ("https", "p.example", 80, None)),
            ("socks5://p.example", ("socks5", "p.example", 1080, None)),
            ("socks5://p.example:80", ("socks5", "p.example", 80, None)),
            ("socks5://p.example:443", ("socks5", "p.example", 443, None)),
            ("socks5h://p.example:9", ("socks5", "p.example", 9, None)),
            ("socks5://[::1]:1081", ("socks5", "::1", 1081, None)),
            ("http://0x7f.1:1/", ("http", "127.0.0.1", 1, None)),
            ("http://a:b@p.example", ("http", "p.example", 80, "a:b")),
            ("http://a@p.example", ("http", "p.example", 80, "a:")),
            ("http://a%40b:c%3Ad@p.example:9", ("http", "p.example", 9, "a@b:c:d")),
            (" http://p.example\n", ("http", "p.example", 80, None)),
        ],
    )
    def test_parse(self, url: str, expected: tuple[Any, ...]) -> None:
        proxy = Proxy.parse(url)
        assert (proxy.scheme, proxy.host, proxy.port, proxy.credentials) == expected

    @pytest.mark.parametrize(
        "url",
        [
            *("", "p.example", "p.example:3128", "user:canary-7f3@p.example", "ftp://user:canary-7f3@p.example"),
            *("http://", "http://user:canary-7f3@", "http://user:canary-7f3@a b", "socks4://p.example"),
            *("http://user:canary-7f3@p.example/path", "http://user:canary-7f3@p.example:99999"),
            "socks5://user:canary-7f3@p.example/?x",
        ],
    )
    def test_what_is_none_is_refused_without_showing_it(self, url: str) -> None:
        with pytest.raises(ValueError, match=r"prox|is expected") as caught:
            Proxy.parse(url)
        assert "canary" not in str(caught.value)

    def test_a_fetcher_refuses_it_at_once(self, net: Net) -> None:
        with pytest.raises(ValueError, match="is no proxy"):
            net.fetcher(proxies=["http://p.example", "gopher://p.example"])

    def test_no_text_shows_credentials(self) -> None:
        proxy = Proxy.parse(f"http://{CANARY}@p.example:3128")
        assert str(proxy) == "http://p.example:3128"
        for text in (repr(proxy), str(proxy), str(proxy.failed("x")), str(proxy.refused(407))):
            assert "canary" not in text

    def test_identity(self) -> None:
        one, two = (Proxy.parse(f"http://{user}@p.example") for user in ("a:b", "a:c"))
        assert one != two
        assert one == Proxy.parse("http://a:b@p.example:80")


class TestAbsoluteForm:
    @pytest.mark.parametrize(
        ("payload", "expected"),
        [
            (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"GET http://h/ HTTP/1.1\r\n%bHost: h\r\n\r\n"),
            (b"GET /a?b=//c HTTP/1.1\r\n\r\n", b"GET http://h/a?b=//c HTTP/1.1\r\n%b\r\n"),
            (b"POST /x HTTP/1.1\r\nA: b\r\n\r\nGET / x\r\n", b"POST http://h/x HTTP/1.1\r\n%bA: b\r\n\r\nGET / x\r\n"),
        ],
    )
    @pytest.mark.parametrize("credentials", [None, CANARY])
    def test_bytes(self, payload: bytes, expected: bytes, credentials: str | None) -> None:
        line = b"" if credentials is None else b"Proxy-Authorization: Basic %b\r\n" % SECRET
        assert absolute_form(payload, "h", Proxy("http", "p", 80, credentials)) == expected % line


def drive(prologue: Prologue, answers: Iterable[bytes]) -> list[bytes]:
    """What it says, after `first`, to each of these."""
    return [prologue.feed(memoryview(answer)) for answer in answers]


def bytewise(data: bytes) -> list[bytes]:
    return [data[n : n + 1] for n in range(len(data))]


def to_connect(credentials: str | None = None, host: str = "h.example", **limits: int) -> ConnectPrologue:
    return ConnectPrologue(Proxy("http", "p", 3128, credentials), host, 443, ResponseReader(**limits))


class TestConnect:
    def test_request(self) -> None:
        assert to_connect().first == b"CONNECT h.example:443 HTTP/1.1\r\nHost: h.example:443\r\n\r\n"
        assert to_connect(host="::1").first == b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n"
        assert to_connect(CANARY).first.endswith(b"\r\nProxy-Authorization: Basic %b\r\n\r\n" % SECRET)

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.0 200 Connection established\r\nProxy-Agent: x\r\n\r\n",
            b"HTTP/1.1 204 No Content\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\nA: b\n\n",
        ],
    )
    @pytest.mark.parametrize("bit_by_bit", [False, True])
    def test_granted(self, answer: bytes, bit_by_bit: bool) -> None:
        prologue = to_connect()
        parts = bytewise(answer) if bit_by_bit else [answer]
        assert drive(prologue, parts[:-1]) == [b""] * (len(parts) - 1)
        assert not prologue.done
        assert drive(prologue, parts[-1:]) == [b""]
        assert prologue.done

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\n\r\n", "answered 407; are user and password"),
            (b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno", "answered 403"),
            (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "answered 502"),
            (b"HTTP/1.1 301 Moved\r\nLocation: http://evil.example/\r\n\r\n", "answered 301"),
            (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "switches protocols"),
            (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\nfrom the proxy", "more than its answer"),
            (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000, "larger than 65536 bytes"),
            (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300 + b"\r\n", "more than 256 header fields"),
            (b"HTTP/1.1 100 Continue\r\n\r\n" * 9, "more than 8 interim"),
            (b"\5\0\0\1\0\0\0\0\0\0", "not HTTP"),
            (b"HTTP/2.0 200 OK\r\n\r\n", "neither HTTP/1.0 nor 1.1"),
        ],
    )
    def test_refused(self, answer: bytes, words: str) -> None:
        prologue = to_connect(CANARY)
        with pytest.raises(ConnectError, match=words) as caught:
            drive(prologue, [answer])
        assert caught.value.reason == "proxy"
        assert "proxy http://p:3128" in str(caught.value)
        assert "canary" not in str(caught.value)
        assert not prologue.done

    def test_hang_up(self) -> None:
        assert to_connect().eof().reason == "proxy"


OK4 = b"\5\0\0\1\1\2\3\4\0\x50"
NAME = b"\5\1\0\3\x09h.example\x01\xbb"

# host, credentials, [(the proxy says, we say)]
GRANTED: dict[str, tuple[str, str | None, list[tuple[bytes, bytes]]]] = {
    "name": ("h.example", None, [(b"\5\0", NAME), (OK4, b"")]),
    "IPv4": ("1.2.3.4", None, [(b"\5\0", b"\5\1\0\1\1\2\3\4\x01\xbb"), (OK4, b"")]),
    "IPv6": ("::1", None, [(b"\5\0", b"\5\1\0\4" + b"\0" * 15 + b"\1\x01\xbb"), (OK4, b"")]),
    "user": ("h.example", "me:pw", [(b"\5\2", b"\1\2me\2pw"), (b"\1\0", NAME), (OK4, b"")]),
    "user without password": ("h.example", "me:", [(b"\5\2", b"\1\2me\0"), (b"\1\0", NAME), (OK4, b"")]),
    "bound to a name": ("h.example", None, [(b"\5\0", NAME), (b"\5\0\0\3\4here\0\x50", b"")]),
    "bound to no name": ("h.example", None, [(b"\5\0", NAME), (b"\5\0\0\3\0\0\x50", b"")]),
    "bound to IPv6": ("h.example", None, [(b"\5\0", NAME), (b"\5\0\0\4" + b"\0" * 16 + b"\0\x50", b"")]),
}


class TestSocks:
    def prologue(self, host: str = "h.example", credentials: str | None = None) -> SocksPrologue:
        return SocksPrologue(Proxy("socks5", "p", 1080, credentials), host, 443)

    @pytest.mark.parametrize("name", GRANTED)
    @pytest.mark.parametrize("bit_by_bit", [False, True])
    def test_granted(self, name: str, bit_by_bit: bool) -> None:
        host, credentials, dialogue = GRANTED[name]
        prologue = self.prologue(host, credentials)
        assert prologue.first == (b"\5\1\0" if credentials is None else b"\5\1\2")
        for theirs, ours in dialogue:
            assert not prologue.done
            parts = bytewise(theirs) if bit_by_bit else [theirs]
            assert drive(prologue, parts) == [b""] * (len(parts) - 1) + [ours]
        assert prologue.done

    @pytest.mark.parametrize(
        ("credentials", "answers", "words"),
        [
            (None, [b"\4\0"], "not SOCKS5"),
            (None, [b"HTTP/1.1 400"], "not SOCKS5|more than its answer"),
            (None, [b"\5\xff"], "no client without credentials"),
            (None, [b"\5\2"], "no client without credentials"),
            ("me:pw", [b"\5\0"], "no way of authentication that we offer"),
            ("me:pw", [b"\5\2", b"\1\1"], "refuses the user or password"),
            (None, [b"\5\0", b"\5\5\0\1\0"], "no connection to h.example:443: connection refused"),
            (None, [b"\5\0", b"\5\x63\0\1\0"], "code 99"),
            (None, [b"\5\0", b"\5\0\0\7\0"], "unknown type 7"),
            (None, [b"\5\0", b"\4\0\0\1\0"], "not SOCKS5"),
            (None, [b"\5\0" + OK4], "more than its answer"),
            (None, [b"\5\0", OK4 + b"x"], "more than its answer"),
        ],
    )
    def test_refused(self, credentials: str | None, answers: list[bytes], words: str) -> None:
        prologue = self.prologue(credentials=credentials)
        with pytest.raises(ConnectError, match=words) as caught:
            drive(prologue, answers)
        assert caught.value.reason == "proxy"
        assert "pw" not in str(caught.value)

    @pytest.mark.parametrize("credentials", ["x" * 256 + ":b", "a:" + "x" * 256, ":b"])
    def test_credentials_that_cannot_be_said(self, credentials: str) -> None:
        with pytest.raises(ConnectError, match="255 bytes"):
            drive(self.prologue(credentials=credentials), [b"\5\2"])

    def test_a_host_that_cannot_be_said(self) -> None:
        with pytest.raises(ConnectError, match="longer"):
            drive(self.prologue("x" * 256), [b"\5\0"])

    def test_hang_up(self) -> None:
        assert self.prologue().eof().reason == "proxy"


# --- over sockets ----------------------------------------------------------------------------------------------------


def plain_target(net: Net) -> BadServer:
    return net.serve(by_path({"/": reply(page())}))


def secure_target(net: Net) -> BadServer:
    return net.serve(by_path({"/": reply(page())}), tls=certificates.good())


def fetcher_by(net: Net, *proxies: str, **options: Any) -> Fetcher:
    options.setdefault("tls", TlsOptions(ca_file=certificates.ca_file()))
    return net.fetcher(timeouts=LIMITS, proxies=proxies, **options)


def at(server: BadServer, scheme: str, credentials: str = CANARY) -> str:
    return f"{scheme}://{credentials}@127.0.0.1:{server.port}"


WAYS = [(proxy, scheme) for proxy in ("http", "https", "socks5", "socks5 with user") for scheme in ("http", "https")]


def start_proxy(net: Net, kind: str, target: BadServer) -> tuple[BadServer, str]:
    """The proxy, and its URL."""
    if kind == "socks5":
        proxy = net.serve(socks_to(target.port))
        return proxy, f"socks5://127.0.0.1:{proxy.port}"
    if kind.startswith("socks5"):
        proxy = net.serve(socks_to(target.port, user=b"user", password=b"canary-7f3"))
        return proxy, at(proxy, "socks5")
    proxy = net.serve(connect_to(target.port), tls=certificates.good() if kind == "https" else None)
    return proxy, at(proxy, kind)


class TestWays:
    @pytest.mark.parametrize(("via", "scheme"), WAYS)
    def test_through(self, net: Net, via: str, scheme: str) -> None:
        """The name goes to the proxy; the target sees a plain request, and nothing of the proxy's credentials."""
        target = plain_target(net) if scheme == "http" else secure_target(net)
        proxy, url = start_proxy(net, via, target)
        fetcher = fetcher_by(net, url)
        by_request = scheme == "http" and not via.startswith("socks5")
        for _ in range(2):
            outcome = net.get(fetcher, f"{scheme}://shop.example/")
            assert describe(outcome) == ("200 by proxy: http://shop.example/" if by_request else "200 good")
        assert net.resolver.asked == ["127.0.0.1"]
        assert proxy.accepted == 1
        assert target.accepted == (0 if by_request else 1)
        for request in target.requests:
            assert request.startswith(b"GET / HTTP/1.1\r\nHost: shop.example\r\n")
            assert b"canary" not in request
            assert SECRET not in request
            assert b"roxy" not in request
        said = b"".join(proxy.requests)
        assert said.count(SECRET) == {"http": 1, "https": 1}.get(via, 0) * (2 if by_request else 1)

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_a_body_through_every_layer(self, net: Net, host: str) -> None:
        body = bytes(range(256)) * 1024  # 16 records of TLS
        target = net.serve(by_path({"/": reply(page(body))}), tls=certificates.good())
        _, url = start_proxy(net, "https", target)
        outcome = net.get(fetcher_by(net, url), f"https://{host}/", method="POST", body=body[:20_000])
        assert not isinstance(outcome, Failure), outcome.error
        assert outcome.body == body
        assert target.requests[0].endswith(body[:20_000])

    def test_tls_in_tls_takes_its_time(self, net: Net) -> None:
        """Two requests of several records each on one kept connection, an idle look between."""
        target = net.serve(by_path({"/": reply(page(b"x" * 100_000))}), tls=certificates.good())
        proxy, url = start_proxy(net, "https", target)
        fetcher = fetcher_by(net, url)
        for _ in range(3):
            assert describe(net.get(fetcher, "https://localhost/")) == "200 " + "x" * 40
            net.settle(1)
        assert proxy.accepted == 1

    def test_the_certificate_of_the_target_is_checked(self, net: Net) -> None:
        target = net.serve(by_path({"/": reply(page())}), tls=certificates.wrong_host())
        for kind in ("http", "https", "socks5"):
            _, url = start_proxy(net, kind, target)
            outcome = net.get(fetcher_by(net, url), "https://shop.example/")
            assert describe(outcome) == "CertificateError cert_verify HANDSHAKING"
            assert "shop.example:443" in str(outcome.error)
        assert not target.requests

    def test_the_certificate_of_the_proxy_is_checked(self, net: Net) -> None:
        proxy = net.serve(connect_to(1), tls=certificates.wrong_host())
        outcome = net.get(fetcher_by(net, at(proxy, "https")), "https://shop.example/")
        assert describe(outcome) == "CertificateError cert_verify HANDSHAKING"
        assert f"127.0.0.1:{proxy.port}" in str(outcome.error)
        assert not proxy.requests

    @pytest.mark.parametrize(
        ("parts", "expected", "flags"),
        [
            ((b"HTTP/1.0 200 OK\r\n\r\ngood", UNWRAP), "200 good", ()),
            ((b"HTTP/1.0 200 OK\r\n\r\ngood",), "200 good", ("unclean_tls_eof",)),
            ((b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ngood",), "TruncatedError early_eof RECEIVING", ()),
            ((b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", UNWRAP), "TruncatedError early_eof RECEIVING", ()),
        ],
    )
    @pytest.mark.parametrize("via", ["http", "https", "socks5"])
    def test_the_end_of_input_inside_a_tunnel(
        self, net: Net, via: str, parts: tuple[Any, ...], expected: str, flags: tuple[str, ...]
    ) -> None:
        target = net.serve(by_path({"/": reply(*parts, keep=False)}), tls=certificates.good())
        _, url = start_proxy(net, via, target)
        outcome = net.get(fetcher_by(net, url), "https://shop.example/")
        assert describe(outcome) == expected
        assert isinstance(outcome, Failure) or outcome.flags == flags


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def holds(*parts: bytes) -> Script:
    def script() -> Steps:
        yield REQUEST
        yield from parts
        yield HOLD
        return None

    return script


class TestFailures:
    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_407(self, net: Net, scheme: str) -> None:
        proxy = net.serve(holds(page(status="407 Proxy Authentication Required")))
        outcome = net.get(fetcher_by(net, at(proxy, "http")), f"{scheme}://shop.example/")
        assert describe(outcome).startswith("ConnectError proxy ")
        assert "407" in str(outcome.error)
        assert "canary" not in str(outcome.error)

    def test_407_from_an_origin_is_its_own_affair(self, net: Net) -> None:
        server = net.serve(by_path({"/": reply(page(status="407 Odd"))}))
        assert describe(net.get(net.fetcher(timeouts=LIMITS), server.url + "/")) == "407 good"

    def test_refused(self, net: Net) -> None:
        outcome = net.get(fetcher_by(net, f"http://{CANARY}@127.0.0.1:{closed_port()}"), "http://shop.example/")
        assert describe(outcome) == "ConnectError refused CONNECTING"
        assert "proxy http://127.0.0.1:" in str(outcome.error)
        assert "canary" not in str(outcome.error)

    @pytest.mark.parametrize("via", ["http", "socks5"])
    def test_silence(self, net: Net, via: str) -> None:
        proxy = net.serve(holds())
        outcome = net.get(fetcher_by(net, at(proxy, via)), "https://shop.example/")
        assert describe(outcome) == "PhaseTimeoutError connect PROXYING"
        assert outcome.elapsed == pytest.approx(3, abs=0.1)

    @pytest.mark.parametrize("via", ["http", "socks5"])
    @pytest.mark.parametrize("ending", [b"", HALF_CLOSE, RESET])
    @pytest.mark.parametrize("read", [False, True])
    def test_hang_up(self, net: Net, via: str, ending: Any, read: bool) -> None:
        def script() -> Steps:
            if read:
                yield Exactly(3)
            yield ending
            return None

        outcome = net.get(fetcher_by(net, at(net.serve(script), via)), "https://shop.example/")
        assert describe(outcome) == "ConnectError proxy PROXYING"
        assert "it closed the connection" in str(outcome.error)  # type: ignore[union-attr]

    def test_socks_says_no(self, net: Net) -> None:
        proxy = net.serve(socks_to(1, reply=b"\5\4\0\1\0\0\0\0\0\0"))
        outcome = net.get(fetcher_by(net, f"socks5://127.0.0.1:{proxy.port}"), "http://shop.example/")
        assert describe(outcome) == "ConnectError proxy PROXYING"
        assert "host unreachable" in str(outcome.error)

    def test_a_proxy_whose_name_is_unknown(self, net: Net) -> None:
        net.resolver.table["p.example"] = ()
        outcome = net.get(fetcher_by(net, "http://p.example"), "http://shop.example/")
        assert describe(outcome) == "ConnectError no_address RESOLVING"


class TestCredentials:
    """C07 and C08."""

    def test_two_that_rotate_do_not_see_each_others(self, net: Net) -> None:
        target = secure_target(net)
        first, second = net.serve(connect_to(target.port)), net.serve(connect_to(target.port))
        fetcher = fetcher_by(net, at(first, "http", "one:canary-1"), at(second, "http", "two:canary-2"))
        requests = [Request(f"{scheme}://shop.example/") for scheme in ("http", "https") for _ in range(4)]
        for request in requests:
            assert not isinstance(net.fetch(fetcher, request)[0], Failure)
        mine, others = b64encode(b"one:canary-1"), b64encode(b"two:canary-2")
        for proxy, right, wrong in ((first, mine, others), (second, others, mine)):
            said = b"".join(proxy.requests)
            # two requests in absolute form on one connection, and one CONNECT for the two others
            assert [request[:5] for request in proxy.requests] == [b"GET h", b"GET h", b"CONNE"]
            assert said.count(right) == 3
            assert wrong not in said
        inside = b"".join(target.requests)
        assert len(target.requests) == 4
        assert mine not in inside
        assert others not in inside
        assert b"roxy" not in inside

    def test_one_proxy_with_two_users_is_two(self, net: Net) -> None:
        target = secure_target(net)
        proxy = net.serve(connect_to(target.port))
        fetcher = fetcher_by(net, at(proxy, "http", "one:x"), at(proxy, "http", "two:x"))
        for _ in range(4):
            net.get(fetcher, "https://shop.example/")
        assert proxy.accepted == 2
        assert [shaken.reused for shaken in target.handshakes] == [False, False]

    def test_the_environment_is_not_asked(self, net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
        net.resolver.table["shop.example"] = (Address(2, "127.0.0.1"),)
        server = plain_target(net)
        assert describe(net.get(net.fetcher(timeouts=LIMITS), f"http://shop.example:{server.port}/")) == "200 good"

    @pytest.mark.parametrize("of_run", [True, False])
    def test_a_header_of_that_name_is_refused(self, net: Net, of_run: bool) -> None:
        own = {"proxy-authorization": f"Basic {CANARY}"}
        if of_run:
            with pytest.raises(Exception, match="belong in its URL"):
                net.fetcher(headers=own)
            return
        outcome = net.get(net.fetcher(), "http://127.0.0.1:8/", headers=own)
        assert describe(outcome) == "ProtocolError bad_request NEW"
        assert "canary" not in str(outcome.error)


class TestGate:
    """Behind a proxy names are the proxy's affair; addresses are still checked."""

    @pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "[::1]", "[::ffff:10.0.0.1]", "169.254.169.254"])
    def test_literals(self, net: Net, host: str) -> None:
        proxy = net.serve(connect_to(1))
        fetcher = fetcher_by(net, at(proxy, "http"), private_networks="deny")
        outcome = net.get(fetcher, f"http://{host}/")
        assert describe(outcome) == "PolicyError private_network NEW"
        assert not proxy.accepted

    def test_names_and_the_proxy_itself_are_not(self, net: Net) -> None:
        proxy = net.serve(connect_to(1))
        fetcher = fetcher_by(net, at(proxy, "http"), private_networks="deny")
        assert describe(net.get(fetcher, "http://shop.example/")) == "200 by proxy: http://shop.example/"
        fetcher.exempt.add(("10.1.2.3", 80))
        assert describe(net.get(fetcher, "http://10.1.2.3/")) == "200 by proxy: http://10.1.2.3/"

    def test_ports(self, net: Net) -> None:
        proxy = net.serve(connect_to(1))
        outcome = net.get(fetcher_by(net, at(proxy, "http")), "http://shop.example:25/")
        assert describe(outcome) == "PolicyError scheme NEW"
