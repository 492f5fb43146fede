"""What a request has beyond its row: everything comes back, but for secrets that nobody has any more."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import Request
from pipeline.state.more import HIDDEN, hidden_links, more_of, request_of
from pipeline.state.more import digest as digest_of

TEXT = st.text(st.characters(codec="utf-8"))


def test_plain_get_has_nothing_more() -> None:
    assert more_of(Request("https://a.example/", page="list", depth=3, seed=True, parent="https://a.example/p")) is None


FULL = Request(
    "https://a.example/s?q=é",
    method="POST",
    headers={"Accept": "x", "X-Empty": ""},
    body=b"\x00\xff",
    page="list",
    carry={"n": Decimal("1.10"), "on": date(2026, 1, 2), "at": datetime(2026, 1, 2, tzinfo=UTC), "l": [1, None, "x"]},
    priority=-5,
    depth=2,
    seed=True,
    hops=("https://a.example/1", "https://a.example/2"),
    trail=((b"1" * 16, b"a"), (b"2" * 16, b"")),
    rule_limit=("list.follow.0", 5),
    at_seed=True,
)


def test_more_brings_everything_back() -> None:
    more = more_of(FULL)
    assert request_of(FULL.url, "list", 2, True, more) == FULL


@given(st.builds(Request, TEXT, method=TEXT, body=st.none() | st.binary(), priority=st.integers(-(2**62), 2**62)))
def test_more_of_any_request(request: Request) -> None:
    assert request_of(request.url, None, 0, False, more_of(request)) == request


@pytest.mark.parametrize("name", ["Authorization", "COOKIE", "x-api-key", "Proxy-Authorization", "X-Auth-Token "])
def test_secret_header_is_never_stored(name: str) -> None:
    secret = "Basic aGFucy1ydWRp"
    request = Request("https://a.example/", headers={"Accept": "a", name: secret, "Via": "b"})
    more = more_of(request)
    assert more is not None
    assert secret.encode() not in more
    assert digest_of(secret).encode() in more
    vault = {digest_of(secret): secret}
    back = request_of(request.url, None, 0, False, more, vault)
    assert list(back.headers.items()) == list(request.headers.items())
    assert request_of(request.url, None, 0, False, more).headers == {"Accept": "a", "Via": "b"}


def test_a_text_that_looks_like_a_digest_is_a_text() -> None:
    digest = digest_of("secret")
    more = more_of(Request("https://a.example/", headers={"X-Sum": digest}))
    assert request_of("https://a.example/", None, 0, False, more, {digest: "secret"}).headers == {"X-Sum": digest}


def test_named_headers_are_secret_too() -> None:
    more = more_of(Request("https://a.example/", headers={"X-Mine": "hush"}), secret_names={"x-mine"})
    assert more is not None
    assert b"hush" not in more


def test_digest_is_32_hex_digits_of_any_text() -> None:
    assert len(bytes.fromhex(digest_of("\udc80"))) == 16


def test_stored_links_hold_no_secret() -> None:
    plain = Request("http://a/1", headers={"X-Reason": "shown"})
    secret = Request("http://a/2", headers={"X-Api-Key": "canary", "authorization": "Bearer canary"})
    links = msgspec.msgpack.encode([plain, secret])
    hidden = hidden_links(links)
    assert b"canary" not in hidden
    found = msgspec.msgpack.decode(hidden, type=list[Request])
    assert found[0] == plain
    assert found[1].headers["X-Api-Key"] == HIDDEN + digest_of("canary")
    only_plain = msgspec.msgpack.encode([plain])
    assert hidden_links(only_plain) is only_plain
