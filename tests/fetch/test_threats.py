"""The threat table as far as fetch alone can judge it: each row ends as it must, in time, and leaves nothing behind."""

from __future__ import annotations

import resource
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from pipeline.errors import PolicyError
from pipeline.fetch import address
from pipeline.fetch.exchange import Timeouts
from pipeline.fetch.fetcher import TlsOptions
from pipeline.fetch.resolver import Address, Answer
from pipeline.model import Failure, Request, Response
from pipeline.url import normalise
from tests.badserver import certificates
from tests.badserver.rows import ROWS, early_script, script
from tests.badserver.server import BadServer, by_path, page, reply
from tests.fetch.kit import Net, describe

LIMITS = Timeouts()  # the defaults: the clock jumps


@dataclass
class Row:
    """What must come of a path: outcome, seconds at most on the loop's clock, flags of the response."""

    outcome: str
    seconds: float = 1.0
    ask: dict[str, Any] = field(default_factory=dict)
    flags: tuple[str, ...] = ()


FRAMING = Row("ProtocolError framing RECEIVING")
REPAIRED = Row("200 good", flags=("head_repaired",))

TABLE: dict[str, Row] = {
    "/T01a": Row("PhaseTimeoutError total RECEIVING", 120.1),
    "/T01b": Row("PhaseTimeoutError total RECEIVING", 120.1),
    "/T01c": Row("PhaseTimeoutError idle RECEIVING", 20.1),
    "/T02a": Row("TooLargeError head_too_large RECEIVING"),
    "/T02b": Row("PhaseTimeoutError first_byte RECEIVING", 30.1),
    "/T02c": Row("TooLargeError head_too_large RECEIVING"),
    "/T03a": Row("PhaseTimeoutError first_byte RECEIVING", 30.1),
    "/T04a": Row("TruncatedError reset RECEIVING", 1.1),
    "/T04b": Row("TruncatedError early_eof RECEIVING"),
    "/T04c": Row("TruncatedError early_eof RECEIVING"),
    "/T04d": Row("TruncatedError early_eof RECEIVING"),
    "/T05a": Row("200 good"),
    "/T05b": Row("200 good"),
    "/T06a": Row("200 ", ask={"method": "HEAD"}),
    "/T06b": Row("204 "),
    "/T06c": Row("304 "),
    "/T06d": Row("TruncatedError early_eof RECEIVING"),
    "/T07a": Row("200 good", flags=("extra_data",)),
    "/T07b": Row("200 good"),
    "/T08a": Row("TooLargeError too_many_interim RECEIVING"),
    "/T08b": Row("200 good"),
    "/T09a": Row("ProtocolError unexpected_upgrade RECEIVING"),
    "/T09b": Row("ProtocolError bad_status_line RECEIVING"),
    "/T09c": Row("ProtocolError bad_version RECEIVING"),
    **{f"/T10{letter}": FRAMING for letter in "abcdefghij"},
    **{f"/T11{letter}": REPAIRED for letter in "abcdefghijk"},
    "/T11l": Row("ProtocolError header_syntax RECEIVING"),
    "/T12a": Row("TooLargeError head_too_large RECEIVING"),
    "/T12b": Row("TooLargeError too_many_headers RECEIVING"),
    "/T13a": Row("200 good"),
    "/T13b": Row("TooLargeError too_many_headers RECEIVING"),
    "/T14a": Row("TooLargeError chunk_overhead RECEIVING"),
    "/T14b": Row("TooLargeError chunk_overhead RECEIVING"),
    "/T15a": Row("TooLargeError body_too_large RECEIVING"),
    "/T15b": Row("TooLargeError body_too_large RECEIVING"),
    "/T15c": Row("TooLargeError body_too_large RECEIVING"),
    **{f"/T16{letter}": Row("ProtocolError bad_status_line RECEIVING") for letter in "abcde"},
    "/T17a": Row("200 good"),
    "/T19a": Row("413 early", ask={"method": "POST", "body": b"x" * 2**20}),
}


def test_every_row_of_the_server_has_its_outcome() -> None:
    assert set(TABLE) == set(ROWS) - {"/good"}


OVER_TLS = {
    "/T05a": Row("200 good", flags=("unclean_tls_eof",)),
    "/T05b": Row("200 good", flags=("unclean_tls_eof",)),
}


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("path", TABLE)
def test_row(net: Net, path: str, secure: bool) -> None:
    row = OVER_TLS.get(path, TABLE[path]) if secure else TABLE[path]
    server = net.serve(script, tls=certificates.good() if secure else None)
    fetcher = net.fetcher(timeouts=LIMITS, concurrency=4, tls=TlsOptions(ca_file=certificates.ca_file()))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (outcome,) = net.fetch(fetcher, Request(server.url + path, **row.ask))
    assert describe(outcome) == row.outcome
    assert outcome.elapsed <= row.seconds
    if isinstance(outcome, Response):
        assert outcome.flags == row.flags
        assert not any(name.lower() in ("set-cookie", "location") for name, _ in outcome.headers)
    else:
        assert not fetcher._pool._all
    # a good page afterwards, on the same fetcher
    net.settle(2)
    assert describe(net.get(fetcher, server.url + "/good")) == "200 good"
    assert fetcher.active == 0
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 64, f"{grown:.0f} MiB more"


def test_t19_the_answer_comes_before_the_body_is_sent(net: Net) -> None:
    server = net.serve(early_script)
    fetcher = net.fetcher(timeouts=LIMITS)
    outcome = net.get(fetcher, server.url + "/", method="POST", body=b"x" * (10 * 2**20))
    assert describe(outcome) == "413 early"
    assert outcome.elapsed <= 1


def test_bad_servers_beside_good_ones(net: Net) -> None:
    """All rows at once over one fetcher: good pages come, and every request ends.

    Without T07b: an answer that a server sends on its own, after the next request has gone out, cannot be told from
    the answer to it. Connections are kept by origin, so a server spoils nobody's answers but its own.
    """
    bad, good = net.serve(script), net.serve(script)
    fetcher = net.fetcher(timeouts=LIMITS, concurrency=16)
    requests = []
    for path, row in TABLE.items():
        if path != "/T07b":
            requests += [Request(bad.url + path, **row.ask), Request(good.url + "/good")]
    outcomes = net.fetch(fetcher, *requests)
    for outcome in outcomes:
        path = "/" + outcome.request.url.rpartition("/")[2]
        assert describe(outcome) == (TABLE[path].outcome if path in TABLE else "200 good"), path
    assert sum(isinstance(outcome, Failure) for outcome in outcomes) == sum(
        "Error" in r.outcome for r in TABLE.values()
    )


# --- U02, U03, U09: the address gate ---------------------------------------------------------------------------------

LOCAL = [
    *("127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("169.254.169.254", "100.64.0.1", "192.0.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255"),
    *(
        "0",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "\uff11\uff12\uff17.0.0.1",
    ),
    *("[::]", "[::1]", "[fe80::1]", "[fc00::1]", "[fd12::1]", "[ff02::1]", "[::ffff:127.0.0.1]", "[::ffff:a00:1]"),
    *("[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:db8::1]"),
]


@pytest.mark.parametrize("host", LOCAL)
def test_u02_literals_of_local_networks(net: Net, host: str) -> None:
    """As a page spells them, through the one URL parser; nothing is connected to."""

    def no_socket(family: int, kind: int) -> socket.socket:
        raise AssertionError("a socket was made")

    url = normalise(f"http://{host}/")
    assert url is not None
    fetcher = net.fetcher(private_networks="deny", resolver=None, make_socket=no_socket)
    outcome = net.get(fetcher, url)
    assert describe(outcome) == "PolicyError private_network RESOLVING"
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, PolicyError)
    assert outcome.error.rejected == "rejected:private_network"
    assert outcome.error.retry_word is None
    assert "fetch.private_networks: allow" in str(outcome.error)


def v4(*ips: str) -> tuple[Address, ...]:
    return tuple(Address(socket.AF_INET, ip) for ip in ips)


@pytest.mark.parametrize("later", [False, True])
def test_u02_a_name_of_a_local_address(net: Net, later: bool) -> None:
    server = net.serve(script)
    net.resolver.table["evil.example"] = (1.0, v4("127.0.0.1")) if later else v4("127.0.0.1")
    outcome = net.get(net.fetcher(private_networks="deny"), f"http://evil.example:{server.port}/")
    assert describe(outcome) == "PolicyError private_network RESOLVING"
    for word in ("evil.example", "127.0.0.1", f"evil.example:{server.port}", "fetch.private_networks"):
        assert word in str(outcome.error)  # type: ignore[union-attr]
    assert server.accepted == 0


def only(*ips: str) -> Callable[..., bool]:
    """A policy under which these addresses of loopback are the internet."""
    return lambda ip, *, private: ip in ips or private


def test_u02_only_the_good_ones_of_several_addresses_are_tried(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "allowed", only("127.0.0.9", "127.0.0.1"))
    server = net.serve(script)
    net.resolver.table["mixed.example"] = v4("127.0.0.2", "127.0.0.9", "127.0.0.1")
    tried: list[str] = []

    class Spy(socket.socket):
        def connect_ex(self, where: Any) -> int:
            tried.append(where[0])
            return super().connect_ex(where)

    fetcher = net.fetcher(private_networks="deny", make_socket=Spy)
    assert describe(net.get(fetcher, f"http://mixed.example:{server.port}/good")) == "200 good"
    assert tried == ["127.0.0.9", "127.0.0.1"]


@pytest.mark.parametrize("secure", [False, True])
def test_u03_a_name_that_answers_twice_differently(net: Net, monkeypatch: pytest.MonkeyPatch, secure: bool) -> None:
    """One lookup for one connection: the answer that was checked is the one that is connected to."""
    monkeypatch.setattr(address, "allowed", only("127.0.0.2"))
    good = net.serve(by_path({"/": reply(page())}), host="127.0.0.2", tls=certificates.good() if secure else None)
    answers = [v4("127.0.0.2"), v4("127.0.0.3"), v4("127.0.0.3")]

    class Flips:
        asked = 0

        def resolve(self, host: str, callback: Callable[[Answer], object]) -> Answer | None:
            self.asked += 1
            return answers.pop(0)

    resolver = Flips()
    options = {"headers": {"Connection": "close"}, "tls": TlsOptions(ca_file=certificates.ca_file())}
    fetcher = net.fetcher(private_networks="deny", resolver=resolver, **options)
    url = f"http{'s' if secure else ''}://shop.example:{good.port}/"
    assert describe(net.get(fetcher, url)) == "200 good"
    assert (resolver.asked, good.accepted) == (1, 1)
    fetcher.abort()
    assert describe(net.get(fetcher, url)) == "PolicyError private_network RESOLVING"
    assert (resolver.asked, good.accepted) == (2, 1)


def test_u03_the_system_is_asked_who_is_at_the_other_end(net: Net) -> None:
    """A socket that ends elsewhere than at the address that was checked: nothing is said to it."""

    class Astray(socket.socket):
        def connect_ex(self, where: Any) -> int:
            return super().connect_ex(("127.0.0.1", server.port))

    server = net.serve(script)
    net.resolver.table["shop.example"] = v4("93.184.216.34")
    outcome = net.get(net.fetcher(private_networks="deny", make_socket=Astray), "http://shop.example/good")
    assert describe(outcome) == "PolicyError private_network CONNECTING"
    net.settle()
    assert server.requests == []


def exempt(server: BadServer, host: str = "127.0.0.1") -> tuple[str, int]:
    return host, server.port


def test_exempt_is_one_host_and_port(net: Net) -> None:
    one, two = net.serve(script), net.serve(script)
    fetcher = net.fetcher(private_networks="deny", exempt={exempt(one)})
    assert describe(net.get(fetcher, one.url + "/good")) == "200 good"
    assert describe(net.get(fetcher, two.url + "/good")) == "PolicyError private_network RESOLVING"
    net.resolver.table["alias.example"] = v4("127.0.0.1")
    other_name = f"http://alias.example:{one.port}/good"
    assert describe(net.get(fetcher, other_name)) == "PolicyError private_network RESOLVING"
    fetcher.exempt.add(exempt(two))
    fetcher.exempt.add(exempt(one, "alias.example"))
    assert describe(net.get(fetcher, two.url + "/good")) == "200 good"
    assert describe(net.get(fetcher, other_name)) == "200 good"


def test_a_bare_fetcher_lets_its_user_decide(net: Net) -> None:
    assert describe(net.get(net.fetcher(), net.serve(script).url + "/good")) == "200 good"


@pytest.mark.parametrize("port", [25, 22, 110, 6000, 6667, 10080])
@pytest.mark.parametrize("private", ["allow", "deny"])
def test_u09_ports_of_other_protocols(net: Net, port: int, private: str) -> None:
    fetcher = net.fetcher(private_networks=private)
    outcome = net.get(fetcher, f"http://127.0.0.1:{port}/")
    assert describe(outcome) == "PolicyError scheme NEW"
    assert net.resolver.asked == []
    fetcher.exempt.add(("127.0.0.1", port))
    assert describe(net.get(fetcher, f"http://127.0.0.1:{port}/")).startswith("ConnectError refused")


def test_a_refusal_wakes_the_loop(net: Net) -> None:
    """An outcome that is there as soon as the request is started must not wait for something else to happen."""
    fetcher = net.fetcher(private_networks="deny")
    outcomes = net.fetch(fetcher, Request("ftp://x/"), Request("http://127.0.0.1/"), Request("http://[::1]:22/"))
    assert len(outcomes) == 3
