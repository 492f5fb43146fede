"""robots.txt: Google's and Protego's cases, real files, RFC 9309 rule by rule, and a slow matcher to agree with."""

from __future__ import annotations

import base64
import gzip
import json
import random
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.crawl.robots import MAX_BYTES, MAX_LINE, MAX_RULES, Robots

CORPUS = Path(__file__).parents[3] / "shared/corpus/open/robots"
needs_corpus = pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of robots files is not here")

# Where our answer is not the suite's, and why.
DIFFERENT = {
    "r0040": "an agent is a whole User-Agent header for us: its token is `Foo`, not `Foo Bar`",
    "r0065": "RFC 9309 2.2.2 encodes both sides before comparing; Google wants encoded URLs; Protego agrees with us",
    "r0066": "RFC 9309 2.2.2 decodes unreserved octets before comparing; Protego agrees with us",
    "r0312": "a colon is forgotten in `user agent harry potter`: with more than two words it is prose, as for Google",
    "r0315": "a product token has no wildcards (RFC 9309 2.2.1)",
    "r0316": "an unknown record must not end a group (RFC 9309 2.2.4), so `*` shares the rules of ia_archiver",
    "r0317": "as r0316",
    "r0318": "as r0316",
    "r0404": "`$` at the end is the end of the path only (RFC 9309 2.2.3), never a dollar sign too",
    "r0405": "as r0404",
}


def lines(name: str) -> list[dict[str, Any]]:
    path = CORPUS / name
    if not path.exists():
        return []
    data = path.read_bytes()
    text = gzip.decompress(data) if path.suffix == ".gz" else data
    return [json.loads(line) for line in text.splitlines()]


@needs_corpus
def test_corpus_of_rules() -> None:
    cases = lines("rules.jsonl")
    wrong = [
        case["id"] for case in cases if Robots(case["robots_txt"]).allows(case["url"], case["agent"]) != case["allowed"]
    ]
    assert len(cases) == 314
    assert wrong == sorted(DIFFERENT)


@needs_corpus
@pytest.mark.parametrize("case", lines("other.jsonl"), ids=lambda case: case["id"])
def test_corpus_of_other_fields(case: dict[str, Any]) -> None:
    field, expected = case["field"], case["expected"]
    if field == "sitemaps":
        assert Robots(case["robots_txt"]).sitemaps == expected
    elif field == "crawl_delay":
        assert Robots(case["robots_txt"]).crawl_delay(case["agent"]) == expected
    elif field == "line_stats":
        # Google counts lines that it knows; what we know shows in the rules that are there.
        robots = Robots(base64.b64decode(case["robots_b64"]))
        known = expected["valid_directives"]
        assert robots.explain("/AnyValue", "foo").line == (2 if known == 2 else None)
        assert robots.allows("/x", "bar") == (known != 4)
    elif field == "path_of_url":
        # A rule for exactly that target matches the URL.
        target = re.sub(r"([*$])", lambda found: f"%{ord(found[0]):02X}", expected)
        assert not Robots(f"user-agent: a\ndisallow: {target}$").allows(case["input"], "a")
    else:
        assert field == "escape_pattern"
        encoded = "/" + expected
        assert not Robots(f"user-agent: a\ndisallow: /{case['input']}$").allows(encoded, "a")


@needs_corpus
def test_real_files_never_raise() -> None:
    files = lines("real.jsonl.gz")
    assert len(files) == 778
    allowed = 0
    for file in files:
        robots = Robots(base64.b64decode(file["robots_b64"]))
        allowed += robots.allows("https://example.com/some/page?x=1", "hookline/0.1")
        delay = robots.crawl_delay("hookline")
        assert delay is None or delay >= 0
    assert 700 < allowed < 778


@needs_corpus
def test_mutations_of_real_files_never_raise() -> None:
    rng = random.Random(9309)
    files = [base64.b64decode(file["robots_b64"])[:3000] for file in lines("real.jsonl.gz")]
    for _ in range(2000):
        data = bytearray(rng.choice(files))
        for _ in range(rng.randint(1, 20)):
            at = rng.randint(0, len(data))
            data[at : at + rng.randint(0, 4)] = rng.randbytes(rng.randint(0, 4))
        verdict = Robots(bytes(data)).explain("/a?b", "bingbot")
        assert verdict.allowed in (True, False)


RFC = [
    # robots, agent, path, allowed
    ("user-agent: A\ndisallow: /x", "a/2.0 (+https://me.example)", "/x", False),  # token, without case
    ("user-agent: A/1.0\ndisallow: /x", "a", "/x", False),
    ("user-agent: ab\ndisallow: /", "a", "/x", True),  # the whole token, no prefix
    ("user-agent: b\ndisallow: /\nuser-agent: *\ndisallow: /y", "a", "/y", False),  # else `*`
    ("user-agent: *\ndisallow: /\nuser-agent: a\ndisallow:", "a", "/y", True),  # own group only
    ("user-agent: *\ndisallow: /\nuser-agent: a", "a", "/y", True),
    (
        "user-agent: a\ndisallow: /x\nuser-agent: b\ndisallow: /z\nuser-agent: a\ndisallow: /y",
        "a",
        "/x",
        False,
    ),  # merged
    ("user-agent: a\ndisallow: /x\nuser-agent: b\ndisallow: /z\nuser-agent: a\ndisallow: /y", "a", "/y", False),
    ("user-agent: a\ndisallow: /x\nuser-agent: b\ndisallow: /z\nuser-agent: a\ndisallow: /y", "a", "/z", True),
    ("user-agent: a\nuser-agent: b\ndisallow: /x", "a", "/x", False),  # several agents, one group
    ("disallow: /\nuser-agent: a\ndisallow: /x", "a", "/y", True),  # before the first user-agent
    ("user-agent: a\nallow: /x/page\ndisallow: /x/", "a", "/x/page", True),  # longest wins
    ("user-agent: a\nallow: /x\ndisallow: /x/page", "a", "/x/page", False),
    ("user-agent: a\ndisallow: /x\nallow: /x", "a", "/x", True),  # Allow wins ties
    ("user-agent: a\ndisallow: /x*y\nallow: /x/y", "a", "/x/y", True),
    ("user-agent: a\nallow: /x/y\ndisallow: /x*y", "a", "/x/y", True),
    ("user-agent: a\nallow: /x*y\ndisallow: /x/y", "a", "/x/y", True),
    ("user-agent: a\ndisallow: /*.gif$", "a", "/a/b.gif", False),
    ("user-agent: a\ndisallow: /*.gif$", "a", "/a/b.gif?x", True),
    ("user-agent: a\ndisallow: /a*a$", "a", "/a", True),  # the two do not share a letter
    ("user-agent: a\ndisallow: /a*$", "a", "/abc", False),
    ("user-agent: a\ndisallow: /%41%2f", "a", "/A%2F", False),  # unreserved decoded, reserved kept, hex case ignored
    ("user-agent: a\ndisallow: /%41%2f", "a", "/A/", True),
    ("user-agent: a\ndisallow: /ü", "a", "/%C3%BC", False),
    ("user-agent: a\ndisallow: /%C3%BC", "a", "/ü", False),
    ("user-agent: a\ndisallow: /%zz", "a", "/%zz", False),
    ("user-agent: a\ndisallow: /A", "a", "/a", True),  # case of octets counts
    ("user-agent: a\ndisallow: /", "a", "/robots.txt", True),
    ("user-agent: a\ndisallow: /", "a", "/robots.txt/x", False),
    ("user-agent: a # me\ndisallow: /x # that", "a", "/x", False),
    ("user-agent: a\rdisallow: /x\r", "a", "/x", False),
    ("user-agent: a\n\n\ndisallow: /x", "a", "/x", False),  # blank lines mean nothing
    ("user-agent: a\nsitemap: http://x/\nuser-agent: b\ndisallow: /x", "a", "/x", False),
    ("user-agent: a\ncrawl-delay: 1\nuser-agent: b\ndisallow: /x", "a", "/x", False),
    ("user-agent a\ndisallow /x", "a", "/x", False),  # the colon forgotten
    ("user agent: a\ndissalow: /x", "a", "/x", False),
    ("user-agent: a\nallow: /d/index.html\ndisallow: /", "a", "/d/", True),
    ("user-agent: a\nallow: /d/index.html\ndisallow: /", "a", "/d/x", False),
    ("user-agent:\ndisallow: /", "", "/x", True),
    ("user-agent: a\ndisallow: x", "a", "/x", True),  # a path begins with a slash
]


@pytest.mark.parametrize(("text", "agent", "path", "allowed"), RFC)
def test_rfc_9309(text: str, agent: str, path: str, allowed: bool) -> None:
    robots = Robots(text)
    assert robots.allows(f"https://example.com{path}", agent) is allowed
    assert robots.allows(path, agent) is allowed
    assert robots.explain(path, agent).allowed is allowed
    assert Robots(text.encode()).allows(path, agent) is allowed


FILE = "User-agent: a\nDisallow: /x\n"


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + FILE.encode(),
        b"\xef\xbb" + FILE.encode(),
        FILE.encode("utf-16"),
        FILE.encode("utf-16-le"),
        FILE.encode("utf-16-be"),
        b"\xfe\xff" + FILE.encode("utf-16-be"),
        b"\xfe\xff" + FILE.encode("utf-16-be") + b"\xd8",  # cut in a character
        FILE.encode("utf-32"),
        b"User-agent:\x00 a\nDis\x00allow: /x\n",
        b"<html><head><style>a: b</style>\n<pre>\n" + FILE.encode() + b"</pre>",
        b"\xff\xfa\x80: \x81\n" + FILE.encode() + b"Disallow: /\xff",
    ],
)
def test_odd_encodings_keep_their_rules(data: bytes) -> None:
    robots = Robots(data)
    assert not robots.allows("/x", "a")
    assert robots.allows("/y", "a")


def test_html_in_place_of_robots_allows_all() -> None:
    page = "<!DOCTYPE html>\n<html lang=en>\n<title>Page: not found</title>\n<a href='https://x/'>x</a>\n"
    assert Robots(page).allows("/x", "a")


def test_explain_names_group_line_and_rule() -> None:
    robots = Robots("# hello\nUser-agent: *\nDisallow: /a\n\nUser-agent: Bot\nAllow:/a/ok # fine\nDisallow: /*.pdf$\n")
    assert robots.explain("https://x.example/b.pdf", "BOT/1.0") == (False, "bot", 7, "Disallow: /*.pdf$")
    assert robots.explain("/a/ok", "bot") == (True, "bot", 6, "Allow: /a/ok")
    assert robots.explain("/a/b", "other") == (False, "*", 3, "Disallow: /a")
    assert robots.explain("/b", "other") == (True, "*", None, None)
    assert robots.explain("/robots.txt", "bot") == (True, "bot", None, None)
    assert Robots("").explain("/a", "bot") == (True, None, None, None)


@pytest.mark.parametrize(
    ("text", "agent", "delay"),
    [
        ("user-agent: *\ncrawl-delay: 0.5", "a", 0.5),
        ("user-agent: *\ncrawl-delay: 61 # slow", "a", 61.0),
        ("user-agent: *\ncrawl-delay: abc", "a", None),
        ("user-agent: *\ncrawl-delay: -1", "a", None),
        ("user-agent: *\ncrawl-delay: inf", "a", None),
        ("user-agent: *\ncrawl-delay: nan", "a", None),
        ("user-agent: *\ncrawl-delay: 3\nuser-agent: a\ndisallow:", "a", None),  # the own group only
        ("user-agent: b\ncrawl-delay: 3\nuser-agent: a\ncrawl-delay: 7", "b", 3.0),
        ("user-agent: b\nuser-agent: a\ncrawl-delay: 7\ndisallow: /x", "b", 7.0),
        ("user-agent: a\ndisallow: /x\ncrawl-delay: 4\nuser-agent: a\ncrawl-delay: 2", "a", 4.0),
        ("crawl-delay: 3\nuser-agent: a\ndisallow:", "a", None),
    ],
)
def test_crawl_delay(text: str, agent: str, delay: float | None) -> None:
    assert Robots(text).crawl_delay(agent) == delay


def test_sitemaps_belong_to_no_group() -> None:
    text = "Sitemap: https://x/1.xml\nuser-agent: a\nSITE-MAP: https://x/2.xml\ndisallow: /\nsitemap:\nsitemap: /ü.xml"
    assert Robots(text).sitemaps == ["https://x/1.xml", "https://x/2.xml", "/ü.xml"]


def test_limits() -> None:
    head = "user-agent: a\ndisallow: /x\n"
    late = (
        head + "#" * (MAX_BYTES - len(head) - 30) + "\ndisallow: /whole\ndisallow: /cut-in-the-middle\ndisallow: /late"
    )
    robots = Robots(late)
    assert not robots.allows("/x", "a")
    assert not robots.allows("/whole", "a")
    assert robots.allows("/cut-in-the-middle", "a")
    assert robots.allows("/late", "a")
    many = Robots("user-agent: a\n" + "".join(f"disallow: /{n}$\n" for n in range(MAX_RULES + 5)))
    assert not many.allows(f"/{MAX_RULES - 1}", "a")
    assert many.allows(f"/{MAX_RULES}", "a")
    long = Robots("user-agent: a\ndisallow: /" + "y" * MAX_LINE + "/page")
    assert not long.allows("/" + "y" * MAX_LINE, "a")


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/" + "*a" * 30 + "b", "/" + "a" * 8191),
        ("/" + "*a" * 30 + "$", "/" + "a" * 8190 + "b"),
        ("/" + "*" * 30 + "b", "/" + "a" * 8191),
        ("/" + "*ab" * 30 + "c", "/" + "ab" * 4095),
        ("/*" + "a" * 4000 + "b", "/" + "a" * 8191),
        ("/" + "*aab" * 30 + "*" + "a" * 50 + "c$", "/" + "aab" * 2730),
    ],
)
def test_wildcards_take_linear_time(pattern: str, path: str) -> None:
    robots = Robots(f"user-agent: a\ndisallow: {pattern}")
    robots.allows("/", "a")
    start = time.process_time()
    assert robots.allows("https://x.example" + path, "a")
    assert time.process_time() - start < 0.005


def test_a_large_file_is_parsed_and_asked_quickly() -> None:
    text = "user-agent: a\n" + "".join(f"disallow: /section/{n}/*/page\ndisallow: /{n}/\n" for n in range(5000))
    start = time.process_time()
    robots = Robots(text)
    assert robots.allows("/section/4999/x/pag", "a")
    assert time.process_time() - start < 0.5
    assert not robots.allows("/section/4999/x/page", "a")
    assert not robots.allows("/4999/x", "a")


PATTERNS = st.text(alphabet="/ab*$%2Aé", max_size=7)
PATHS = st.text(alphabet="/ab*$%2Aé?", max_size=8).map("/{}".format)


@given(st.lists(st.tuples(st.booleans(), PATTERNS), max_size=6), PATHS)
def test_agrees_with_a_slow_matcher(rules: list[tuple[bool, str]], path: str) -> None:
    text = "user-agent: a\n" + "".join(f"{'allow' if allow else 'disallow'}: {pattern}\n" for allow, pattern in rules)
    assert Robots(text).allows(f"https://x.example{path}", "a") is slowly(rules, path)


def slowly(rules: list[tuple[bool, str]], path: str) -> bool:
    """RFC 9309 2.2.2 as it reads: match every rule, the longest decides, Allow among equals."""
    fitting = []
    for allow, pattern in rules:
        anchored = pattern.endswith("$")
        parts = [normal(part) for part in (pattern[:-1] if anchored else pattern).split("*")]
        expression = ".*".join(map(re.escape, parts)) + ("$(?![\\s\\S])" if anchored else "")
        if pattern and re.match(expression, normal(path), re.DOTALL):
            fitting.append((len("*".join(parts)) + anchored, allow))
    return max(fitting, default=(0, True))[1]


def normal(text: str) -> str:
    """Percent-encoding as RFC 9309 2.2.2 wants it, octet by octet."""
    out = ""
    data = text.encode()
    at = 0
    while at < len(data):
        octet = data[at]
        escaped = re.fullmatch(rb"%[0-9a-fA-F]{2}", data[at : at + 3])
        if escaped:
            octet = int(data[at + 1 : at + 3], 16)
        char = chr(octet)
        kept = re.fullmatch(r"[A-Za-z0-9._~-]", char) or (not escaped and char in "/?%")
        out += char if kept else f"%{octet:02X}"
        at += 3 if escaped else 1
    return out


@given(st.binary(max_size=400), st.text(max_size=30), st.text(max_size=20))
def test_never_raises(data: bytes, url: str, agent: str) -> None:
    robots = Robots(b"User-agent: *\n" + data)
    assert robots.allows(url, agent) is robots.explain(url, agent).allowed
    assert isinstance(robots.sitemaps, list)


@given(st.text(alphabet="user-agent:*\ndisallow/$#% \x00é", max_size=200), st.text(max_size=20))
def test_text_and_its_bytes_say_the_same(text: str, path: str) -> None:
    assert Robots(text).explain(path, "a") == Robots(text.encode()).explain(path, "a")


def test_many_agents_do_not_fill_memory() -> None:
    robots = Robots("user-agent: *\ndisallow: /x")
    assert not any(robots.allows("/x", f"agent{n}") for n in range(500))
    assert len(robots._cache) <= 64
