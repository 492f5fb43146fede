"""The cookie jar: the http-state suite, attacks that other clients fell for, caps, and a jar that never raises."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.crawl.cookies import MAX_AGE, MAX_HEADER, MAX_JAR, MAX_SENT, MAX_SET, CookieJar, parse_date
from pipeline.url import normalise

CORPUS = Path(__file__).parents[3] / "shared/corpus/open/cookies"
needs_corpus = pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of cookies is not here")
NOW = 1_300_000_000.0  # March 2011: the suite's "future" dates are from 2010

# Where our answer is not the suite's, and why.
DIFFERENT = {
    "disabled-chromium0023": "a control character drops the cookie (RFC 6265bis 5.6); the suite does not require it"
}


def lines(name: str) -> list[dict[str, Any]]:
    path = CORPUS / name
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def jar(*cookies: tuple[str, str], now: float = NOW) -> CookieJar:
    made = CookieJar()
    for url, value in cookies:
        made.store(url, [value], now)
    return made


@needs_corpus
def test_corpus_of_cookies() -> None:
    cases = lines("http_state.jsonl")
    wrong = []
    for case in cases:
        asked, then = normalise(case["set_url"]), normalise(case["then_url"])
        assert asked and then
        made = CookieJar()
        made.store(asked, case["set_cookie"], NOW)
        if (made.header(then, NOW) or "") != case["expected_cookie_header"]:
            wrong.append(case["id"])
    assert len(cases) == 133
    assert wrong == list(DIFFERENT)


@needs_corpus
@pytest.mark.parametrize("case", lines("dates.jsonl"), ids=lambda case: case["id"])
def test_corpus_of_dates(case: dict[str, Any]) -> None:
    seconds = parse_date(case["test"])
    if case["expected"] is None:
        assert seconds is None
    else:
        assert seconds is not None
        assert datetime.fromtimestamp(seconds, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT") == case["expected"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Mon, 31-Feb-2011 00:00:00",
        "1 Jan 1600 00:00:00",
        "1 Jan 2011 24:00:00",
        "1 Jan 2011 00:60:00",
        "Jan 2011 00:00:00",
    ],
)
def test_no_dates(text: str) -> None:
    assert parse_date(text) is None


SENT = [
    # set by, Set-Cookie, asked then, sent
    ("https://a.example/", "k=v", "https://a.example/x", True),
    ("https://a.example/", "k=v", "https://b.a.example/", False),  # host-only
    ("https://a.example/", "k=v", "http://a.example:8080/", True),  # cookies know no port
    ("https://b.a.example/", "k=v; Domain=a.example", "https://c.a.example/", True),
    ("https://b.a.example/", "k=v; Domain=.A.Example", "https://a.example/", True),
    ("https://ba.example/", "k=v; Domain=a.example", "https://a.example/", False),
    ("https://a.example/", "k=v; Domain=b.a.example", "https://b.a.example/", False),
    ("https://a.co.uk/", "k=v; Domain=co.uk", "https://b.co.uk/", False),  # public suffixes
    ("https://a.co.uk/", "k=v; Domain=CO.uk", "https://a.co.uk/", False),
    ("https://a.github.io/", "k=v; Domain=github.io", "https://b.github.io/", False),  # the private part of the list
    ("https://github.io/", "k=v; Domain=github.io", "https://b.github.io/", False),  # the suffix itself: host-only
    ("https://github.io/", "k=v; Domain=github.io", "https://github.io/", True),
    ("https://a.co.uk./", "k=v; Domain=co.uk.", "https://b.co.uk./", False),  # CVE-2022-27779
    ("https://a.example/", "k=v; Domain=example.", "https://a.example/", False),
    ("https://a.unknowntld/", "k=v; Domain=unknowntld", "https://b.unknowntld/", False),
    ("http://localhost/", "k=v; Domain=localhost", "http://localhost/", True),
    ("http://localhost/", "k=v; Domain=localhost", "http://x.localhost/", False),
    ("http://127.0.0.1/", "k=v", "http://127.0.0.1/", True),
    ("http://127.0.0.1/", "k=v; Domain=127.0.0.1", "http://127.0.0.1/", True),
    ("http://127.0.0.1/", "k=v; Domain=0.0.1", "http://127.0.0.1/", False),
    ("http://127.0.0.1/", "k=v; Domain=.0.1", "http://126.0.0.1/", False),
    ("http://[::1]:8080/", "k=v", "http://[::1]/", True),
    ("https://a.example/", "k=v; Secure", "http://a.example/", False),
    ("https://a.example/", "k=v; Secure", "https://a.example/", True),
    ("http://a.example/", "k=v; Secure", "https://a.example/", False),
    ("https://a.example/", "__Secure-k=v", "https://a.example/", False),
    ("https://a.example/", "__secure-k=v; Secure", "https://a.example/", True),
    ("https://a.example/", "__Host-k=v; Secure; Path=/", "https://a.example/", True),
    ("https://a.example/", "__Host-k=v; Secure", "https://a.example/", False),
    ("https://b.a.example/", "__Host-k=v; Secure; Path=/; Domain=a.example", "https://b.a.example/", False),
    ("http://a.example/", "__Host-k=v; Path=/", "http://a.example/", False),
    ("https://a.example/", "k=v; SameSite=Strict", "https://a.example/", True),  # ignored, see the module
    ("https://a.example/", "k=v; SameSite=None", "https://a.example/", True),
    ("https://a.example/", "=v", "https://a.example/", False),
    ("https://a.example/", "=__Host-k=v", "https://a.example/", False),
    ("https://a.example/", "k=v\x00", "https://a.example/", False),
    ("https://a.example/", "k=v\r\nX: y", "https://a.example/", False),
    ("https://a.example/", "k=\u20ac", "https://a.example/", False),
    ("https://a.example/", "k=" + "v" * 4095, "https://a.example/", True),
    ("https://a.example/", "k=" + "v" * 4096, "https://a.example/", False),
    ("https://a.example/", "k=v; Path=/" + "p" * 1024, "https://a.example/", True),  # too long an attribute is ignored
    ("https://a.example/a/b", "k=v", "https://a.example/a/c", True),  # the default path
    ("https://a.example/a/b", "k=v", "https://a.example/", False),
    ("https://a.example/", "k=v; Path=/a", "https://a.example/ab", False),
    ("https://a.example/", "k=v; Path=/a", "https://a.example/a?b", True),
    ("https://a.example/", "k=v; Max-Age=0", "https://a.example/", False),
    ("https://a.example/", "k=v; Max-Age=" + "9" * 900, "https://a.example/", True),
    ("https://a.example/", "k=v; Max-Age=9; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "https://a.example/", True),
    ("https://a.example/", "k=v; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "https://a.example/", False),
    ("https://a.example/", "k=v; Expires=soon", "https://a.example/", True),
    ("https://user:secret@a.example/", "k=v", "https://a.example/", True),
]


@pytest.mark.parametrize(("setter", "value", "asked", "sent"), SENT)
def test_what_is_kept_and_sent(setter: str, value: str, asked: str, sent: bool) -> None:
    made = jar((setter, value))
    assert (made.header(asked, NOW) is not None) is sent


def test_expiry_and_its_cap() -> None:
    made = jar(("https://a.example/", "short=1; Max-Age=10"), ("https://a.example/", "long=1; Max-Age=99999999999"))
    assert made.header("https://a.example/", NOW + 9.9) == "short=1; long=1"
    assert made.header("https://a.example/", NOW + 10) == "long=1"
    assert made.header("https://a.example/", NOW + MAX_AGE) is None


def test_a_new_value_keeps_the_place_and_a_past_date_deletes() -> None:
    made = jar(("https://a.example/", "a=1"), ("https://a.example/", "b=2"), ("https://a.example/", "a=3"))
    assert made.header("https://a.example/", NOW) == "a=3; b=2"
    made.store("https://a.example/", ["a=; Max-Age=0"], NOW)
    assert made.header("https://a.example/", NOW) == "b=2"
    assert len(made) == 1


def test_longer_paths_come_first() -> None:
    made = jar(
        ("https://a.example/", "a=1; Path=/"),
        ("https://a.example/", "b=2; Path=/x/y"),
        ("https://a.example/", "c=3; Path=/x"),
    )
    assert made.header("https://a.example/x/y/z", NOW) == "b=2; c=3; a=1"


def test_http_cannot_touch_a_secure_cookie() -> None:
    made = jar(("https://b.a.example/", "sid=good; Secure; Domain=a.example"))
    made.store(
        "http://b.a.example/",
        ["sid=bad; Domain=a.example", "sid=bad", "sid=; Max-Age=0; Domain=a.example", "other=1"],
        NOW,
    )
    assert made.header("https://b.a.example/", NOW) == "sid=good; other=1"


def test_caps() -> None:
    made = CookieJar()
    assert made.store("https://a.example/", [f"k{n}=v" for n in range(10_000)], NOW) == MAX_SET
    for part in range(5):
        made.store("https://a.example/", [f"k{part}-{n}=v" for n in range(MAX_SET)], NOW)
    sent = made.header("https://a.example/", NOW)
    assert sent is not None
    assert sent.count("=") == MAX_SENT
    wide = jar(*(("https://a.example/", f"k{n}={'v' * 1000}") for n in range(20)))
    sent = wide.header("https://a.example/", NOW)
    assert sent is not None
    assert MAX_HEADER - 1010 < len(sent) <= MAX_HEADER


def test_the_least_recently_used_go_first() -> None:
    made = jar(
        ("https://keep.example/", "k=v"), ("https://old.example/", "k=v"), ("https://brief.example/", "k=v; Max-Age=5")
    )
    for n in range(MAX_JAR // MAX_SET):
        assert made.header("https://keep.example/", NOW) == "k=v"
        made.store(f"https://h{n}.example/", [f"k{m}=v" for m in range(MAX_SET)], NOW + 9)
    assert len(made) <= MAX_JAR
    assert made.header("https://keep.example/", NOW) == "k=v"
    assert made.header("https://old.example/", NOW) is None
    assert made.header("https://brief.example/", NOW) is None


def test_a_jar_survives_saving_whole() -> None:
    made = jar(
        ("https://b.a.example/x/y", "host=1; HttpOnly; SameSite=Lax"),
        ("https://b.a.example/", "wide=2; Domain=a.example; Secure; Max-Age=100; Path=/x"),
        ("https://b.a.example/", "last=3"),
    )
    rows = made.dump()
    again = CookieJar()
    again.load(json.loads(json.dumps(rows)))
    assert again.dump() == rows
    assert len(again) == 3
    for url in ("https://b.a.example/x/z", "https://a.example/x", "http://b.a.example/x/", "https://c.b.a.example/x"):
        assert again.header(url, NOW) == made.header(url, NOW)  # host-only, too: CVE-2026-8924
    again.store("https://b.a.example/x/y", ["new=4"], NOW)
    assert again.header("https://b.a.example/x/y", NOW) == "host=1; wide=2; new=4; last=3"


def test_the_signature_stands_for_what_would_be_sent() -> None:
    made = CookieJar()
    url = "https://a.example/login"
    empty = made.signature(url, NOW)
    made.store("https://other.example/", ["a=1"], NOW)
    assert made.signature(url, NOW) == empty
    made.store(url, ["a=1; Max-Age=10"], NOW)
    first = made.signature(url, NOW)
    assert first != empty
    made.header(url, NOW)
    made.store(url, ["a=1; Max-Age=10"], NOW)
    assert made.signature(url, NOW) == first
    assert made.signature(url, NOW + 10) == empty
    made.store(url, ["a=2"], NOW)
    assert made.signature(url, NOW) not in (first, empty)


def test_the_public_suffix_list_is_read_only_when_needed() -> None:
    code = """
import sys
from pipeline.crawl.cookies import CookieJar
jar = CookieJar()
jar.store("https://a.example/", ["k=v"], 0)
print(jar.header("https://a.example/", 0), "publicsuffixlist" in sys.modules)
jar.store("https://a.example/", ["k=v; Domain=a.example"], 0)
print("publicsuffixlist" in sys.modules)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True, cwd=root
    )
    assert done.stdout.split() == ["k=v", "False", "True"]


HOSTS = st.sampled_from(
    ["a.example", "b.a.example", "example", "127.0.0.1", "[::1]", "a.co.uk", "localhost", "a.example."]
)
URLS = st.builds(
    "{}://{}{}".format, st.sampled_from(["http", "https"]), HOSTS, st.sampled_from(["/", "/x", "/x/y?z", "//"])
)
ATTRIBUTES = st.sampled_from(
    [
        "Secure",
        "HttpOnly",
        "Path=/x",
        "Path=",
        "Domain=a.example",
        "Domain=.",
        "Domain=co.uk",
        "Max-Age=5",
        "Max-Age=-",
        "Expires=1 Jan 2030 1:1:1",
    ]
)
VALUES = st.one_of(
    st.text(max_size=60),
    st.builds(
        "{}={}; {}".format, st.text(max_size=5), st.text(max_size=5), st.lists(ATTRIBUTES, max_size=4).map("; ".join)
    ),
)


@given(st.lists(st.tuples(URLS, st.lists(VALUES, max_size=4)), max_size=6), URLS, st.floats(-1e9, 1e12))
def test_never_raises_and_sends_only_what_is_safe(steps: list[tuple[str, list[str]]], url: str, later: float) -> None:
    made = CookieJar()
    for setter, values in steps:
        made.store(setter, values, NOW)
    before = made.signature(url, later)
    sent = made.header(url, later)
    assert made.signature(url, later) == before
    if sent is not None:
        assert sent.encode("latin-1")
        assert not set(sent) & {"\r", "\n", "\x00"}
    again = CookieJar()
    again.load(made.dump())
    assert again.header(url, later) == sent
    assert len(again) == len(made) == len(made.dump())
