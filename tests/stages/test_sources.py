"""Sitemaps and feeds: what is read of them, whatever is wrong with them; the corpus; laws that hold for any bytes."""

from __future__ import annotations

import base64
import gzip
import json
import time
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import FetchError, ParseError
from pipeline.model import Headers, Source
from pipeline.stages import sources
from pipeline.stages.dates import latest
from pipeline.stages.sources import Found, Listing, read, requests

CORPUS = Path(__file__).parents[3] / "shared/corpus/open/feeds_sitemaps"
needs_corpus = pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of sitemaps and feeds is not here")

BASE = "https://shop.example/maps/s.xml"
SITEMAP, FEED = Source("sitemap"), Source("feed")


def listing(text: str | bytes, *, headers: Headers | None = None, url: str = BASE, source: Source = SITEMAP) -> Listing:
    return read(source, url, headers or [], text.encode() if isinstance(text, str) else text)


def urls(text: str | bytes, **more: Any) -> list[str]:
    return [found.url for found in listing(text, **more).found]


def urlset(*locs: str, head: str = "<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'>") -> str:
    return head + "".join(f"<url><loc>{loc}</loc></url>" for loc in locs) + "</urlset>"


A, B = "https://shop.example/a", "https://shop.example/b"

# --- what is read ----------------------------------------------------------------------------------------------------

WHOLE = {
    "urlset": urlset(A, B),
    "no namespace": urlset(A, B, head="<urlset>"),
    "a namespace of no one": urlset(A, B, head='<urlset xmlns="x:y">'),
    "white space": f"<urlset>\n<url> <loc>\n {A}\t</loc>\n</url><url><loc><![CDATA[ {B} ]]></loc></url></urlset>",
    "upper case": f"<URLSET><URL><LOC>{A}</LOC></URL><Url><Loc>{B}</Loc></Url></URLSET>",
    "relative": urlset("/a", "../b"),
    "images are none": f"<urlset xmlns:i='i'><url><i:image><i:loc>/x</i:loc></i:image><loc>{A}</loc></url>"
    f"<url><loc>{B}</loc><i:image><i:loc>/y</i:loc></i:image></url></urlset>",
    "alternates are none": f"<urlset xmlns:x='x'><url><loc>{A}</loc><x:link rel='alternate' href='/de'/></url>"
    f"<url><loc>{B}</loc></url></urlset>",
    "text": f"{A}\n\r\n  {B}  \n",
    "text with a mark": f"\ufeff{A}\n{B}",
    "rss 2.0": f"<rss version='2.0'><channel><link>/no</link><item><link>{A}</link></item>"
    f"<item><guid>{B}</guid></item></channel></rss>",
    "rss 0.91 with its DTD": "<!DOCTYPE rss PUBLIC '-//Netscape//DTD RSS 0.91//EN' 'http://my.netscape.com/x.dtd'>"
    f"<rss version='0.91'><channel><item><link>{A}</link></item><item><link>{B}</link></item></channel></rss>",
    "rdf": "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns='http://purl.org/rss/1.0/'>"
    f"<channel><link>/no</link></channel><item rdf:about='/no'><link>{A}</link></item>"
    f"<item rdf:about='{B}'/></rdf:RDF>",
    "atom 1.0": "<feed xmlns='http://www.w3.org/2005/Atom'><link href='/no'/><entry><link rel='self' href='/no'/>"
    f"<link href='{A}'/></entry><entry><link rel='alternate' type='application/pdf' href='/pdf'/>"
    f"<link rel='alternate' type='text/html' href='{B}'/><source><link href='/no'/></source></entry></feed>",
    "atom 0.3": "<feed version='0.3' xmlns='http://purl.org/atom/ns#'><entry>"
    f"<link rel='alternate' type='text/html' href='{A}'/></entry><entry><link href='{B}'/></entry></feed>",
    "xml:base": "<feed xmlns='http://www.w3.org/2005/Atom' xml:base='https://shop.example/'>"
    "<entry xml:base='x/y'><link href='../a'/></entry><entry><link href='b'/></entry></feed>",
    "an entry in an entry": "<feed xmlns='http://www.w3.org/2005/Atom'><entry>"
    f"<content type='xml'><feed><entry><link href='/no'/></entry></feed></content><link href='{A}'/></entry>"
    f"<entry><link href='{B}'/></entry></feed>",
    "atom's link in rss": f"<rss xmlns:a='http://www.w3.org/2005/Atom'><channel><item><a:link rel='self' href='/no'/>"
    f"<link>{A}</link></item><item><a:link href='{B}'/></item></channel></rss>",
    "json feed": json.dumps(
        {"version": "https://jsonfeed.org/version/1.1", "items": [{"id": "1", "url": A}, {"external_url": "/b"}]}
    ),
    "a prefix of no one": f"<urlset><url><loc>{A}</loc><i:image><i:loc>/x</i:loc></i:image></url>"
    f"<url><loc>{B}</loc></url></urlset>",
    "comments and instructions": f"<!-- <url> --><?xml-stylesheet href='x'?>{urlset(A, '<!-- no -->' + B)}",
}


@pytest.mark.parametrize("text", WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("declaration", ["", "<?xml version='1.0' encoding='UTF-8'?>\n"])
def test_what_is_whole(text: str, declaration: str) -> None:
    found = listing(declaration + text if text.startswith("<") else text)
    assert [one.url for one in found.found] == [A, B]
    assert found.incomplete == "" and found.without == 0 and not any(one.nested for one in found.found)


BROKEN = {
    "cut in an entry": urlset(A, B, "/c")[:-22],
    "cut between entries": urlset(A, B).removesuffix("</urlset>"),
    "a bare ampersand": f"<urlset><url><loc>{A}</loc></url><!-- & --><url><x>a & b</x><loc>{B}</loc></url></urlset>",
    "an entity of HTML": f"<rss><item><link>{A}</link><b>a&nbsp;b</b></item><item><link>{B}</link></item></rss>",
    "junk before": "\n  Warning: x in y.php\n<?xml version='1.0'?>" + urlset(A, B),
    "junk behind": urlset(A, B) + "<script>x</script>",
    "a control character": f"<urlset><url><x>\x08</x><loc>{A}</loc></url><url><loc>{B}</loc></url></urlset>",
    "tags crossed": f"<urlset><url><loc>{A}</loc><b><i></b></i></url><url><loc>{B}</loc></url></urlset>",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_what_is_broken_costs_nothing_else_and_is_told(text: str) -> None:
    found = listing(text)
    assert [one.url for one in found.found][:2] == [A, B]
    assert found.incomplete


def test_a_bare_ampersand_in_a_url_is_one() -> None:
    assert urls(urlset("/x?a=1&b=2&copy=3", "/y?a=1&amp;b=2")) == [
        "https://shop.example/x?a=1&b=2&copy=3",
        "https://shop.example/y?a=1&b=2",
    ]
    assert urls("<rss><item><link><![CDATA[/x?a&b]]></link></item><item><link>/y?a&b</link></item></rss>") == [
        "https://shop.example/x?a&b",
        "https://shop.example/y?a&b",
    ]


def test_entries_without_a_url_are_counted() -> None:
    assert listing("<urlset><url/><url><loc/></url><url><loc>http://[</loc></url></urlset>").without == 3
    found = listing(f"<rss><item><guid isPermaLink='false'>{A}</guid></item><item><guid>tag:x</guid></item></rss>")
    assert (found.found, found.without) == ([], 2)
    assert listing(f"{A}\nno url\n").without == 1


def test_an_index_names_sitemaps() -> None:
    text = f"<sitemapindex><sitemap><loc>{A}</loc><lastmod>2024-05-01T00:00:00Z</lastmod></sitemap></sitemapindex>"
    assert listing(text).found == [Found(A, latest("2024-05-01T00:00:00Z"), nested=True)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no line of it is a URL"),
        ("not found\n", "no line of it is a URL"),
        ("<!doctype html><html><body><a href=/x>x</a>", "it is an HTML page"),
        ("<opml><body/></opml>", "its root is <opml>"),
        ("<", "neither a sitemap nor a feed"),
        ('{"a": 1}', "without a list of `items`"),
        ("{", "not JSON"),
        ("[" * 5000, "no line"),
        ('{"a":' * 5000, "not JSON"),
    ],
)
def test_what_is_none_is_told(text: str, says: str) -> None:
    with pytest.raises(ParseError, match=says):
        listing(text)


def test_an_empty_one_is_one() -> None:
    for text in ("<urlset/>", "<rss><channel/></rss>", "<feed/>", '{"items": []}'):
        assert listing(text).found == []


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be", "iso-8859-1", "cp1251", "big5"]
)
def test_encodings(encoding: str) -> None:
    name = encoding.removesuffix("-sig")
    path = {"cp1251": "ж", "big5": "中"}.get(encoding, "é")
    text = f"<?xml version='1.0' encoding='{name}'?>" + urlset(f"/{path}")
    assert urls(text.encode(encoding)) == urls(urlset(f"/{path}"))


def test_a_charset_of_the_header_wins_over_a_wrong_declaration() -> None:
    text = "<?xml version='1.0' encoding='utf-8'?>" + urlset("/é")
    headers = [("Content-Type", "text/xml; charset=iso-8859-1")]
    assert urls(text.encode("iso-8859-1"), headers=headers) == urls(urlset("/é"))


# --- codings and caps ------------------------------------------------------------------------------------------------


def test_gzip_as_a_file_as_a_coding_and_both() -> None:
    data = gzip.compress(urlset(A, B).encode())
    assert urls(data) == [A, B]
    assert urls(data, headers=[("Content-Encoding", "gzip")]) == [A, B]
    assert urls(gzip.compress(data), headers=[("Content-Encoding", "gzip")]) == [A, B]


def test_a_cut_gzip_gives_what_it_has() -> None:
    text = urlset(*(f"/{zlib.crc32(bytes([n % 256, n // 256]))}" for n in range(2000))).encode()
    found = listing(gzip.compress(text)[:-2000])
    assert 100 < len(found.found) < 2000 and found.incomplete
    with pytest.raises(FetchError):
        listing(b"\x1f\x8bno gzip at all")


def test_caps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST_ENTRIES", 2)
    for text in (urlset(A, B, "/c"), f"{A}\n{B}\n{A}", json.dumps({"items": [{"url": A}, {"url": B}, {"url": A}]})):
        found = listing(text)
        assert [one.url for one in found.found] == [A, B] and "more than 2 URLs" in found.incomplete
    monkeypatch.setattr(sources, "MOST_BYTES", 1000)
    monkeypatch.setattr(sources, "MOST_ENTRIES", 1000)
    found = listing(urlset(*map(str, range(500))))
    assert 0 < len(found.found) < 50 and "larger than" in found.incomplete


BOMB = "<!DOCTYPE x [<!ENTITY a 'ha'>" + "".join(f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in pairwise("abcdefghi"))
HOSTILE = {
    "billion laughs": BOMB + "]>" + urlset("&i;"),
    "quadratic": f"<!DOCTYPE x [<!ENTITY a '{'x' * 50_000}'>]>" + urlset("&a;" * 50_000),
    "a file": "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>" + urlset("/&a;"),
    "a parameter entity": "<!DOCTYPE x [<!ENTITY % a SYSTEM 'http://127.0.0.1:1/'> %a;]>" + urlset("/"),
    "behind a comment": f"<!--{'x' * 100_000}--><!DOCTYPE x [<!-- ]> --><!ENTITY a 'b'>]>" + urlset("/&a;"),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_at_once(text: str, encoding: str) -> None:
    begin = time.process_time()
    with pytest.raises(ParseError, match="declares entities"):
        listing(text.encode(encoding))
    assert time.process_time() - begin < 0.5


def test_an_article_about_entities_is_none() -> None:
    told = "<![CDATA[<!DOCTYPE x [<!ENTITY a 'b'>]>]]>"
    assert urls(f"<rss><item><description>{told}</description><link>{A}</link></item></rss>") == [A]
    with pytest.raises(ParseError, match="declares entities"):
        listing("Warning: <!DOCTYPE x [<!ENTITY a 'b'>]>" + urlset("/&a;"))


def test_an_external_dtd_is_not_asked_for_and_deep_nesting_ends() -> None:
    assert urls("<!DOCTYPE x SYSTEM 'http://127.0.0.1:1/x.dtd'>" + urlset(A)) == [A]
    begin = time.process_time()
    found = listing("<urlset>" + f"<url><loc>{A}</loc></url>" + "<x>" * 100_000)
    assert [one.url for one in found.found] == [A] and found.incomplete
    assert time.process_time() - begin < 1


# --- laws ------------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([*WHOLE.values(), *BROKEN.values()]), st.data())
def test_any_damage_gives_urls_or_a_parse_error(text: str, data: st.DataObject) -> None:
    body = bytearray(text.encode())
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, max(0, len(body) - 1)))
        body[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
    try:
        found = listing(bytes(body))
    except (ParseError, FetchError):
        return
    assert all(isinstance(one.url, str) and ":" in one.url for one in found.found)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([A, B, "https://shop.example/c?x=1"]), max_size=8), st.integers(0, 400))
def test_a_prefix_gives_a_prefix(locs: list[str], cut: int) -> None:
    whole = urlset(*locs, head="<urlset>")
    try:
        found = listing(whole[: max(8, len(whole) - cut)])
    except ParseError:
        return
    got = [one.url for one in found.found]
    assert got == locs[: len(got)]
    assert found.incomplete or got == locs


# --- requests --------------------------------------------------------------------------------------------------------


def test_what_is_named_becomes_requests() -> None:
    found = Listing()
    for changed, nested in ((None, False), (5.0, False), (15.0, False), (5.0, True)):
        found.add(f"{A}{changed}", changed, nested=nested)
    made = requests(found, Source("sitemap", since=10.0, level=1), "product")
    assert [request.unchanged for request in made] == [False, True, False, False]
    assert made[3].source == Source("sitemap", since=10.0, level=2) and made[0].source is None
    assert {request.page for request in made} == {"product"}


def test_an_index_that_lies_too_deep_is_left_out_and_told() -> None:
    found = listing(f"<sitemapindex><sitemap><loc>{A}</loc></sitemap></sitemapindex>")
    assert requests(found, Source("sitemap", level=sources.MOST_LEVELS), "") == []
    assert "3 levels" in found.incomplete


def test_robots_names_sitemaps_or_the_usual_place() -> None:
    robots = Source("robots")
    text = "User-agent: *\nDisallow: /\nSitemap: /a.xml\nSITEMAP : https://cdn.example/b.xml.gz\n"
    found = listing(text, source=robots, url="https://shop.example/robots.txt")
    assert [(one.url, one.nested) for one in found.found] == [
        ("https://shop.example/a.xml", True),
        ("https://cdn.example/b.xml.gz", True),
    ]
    assert requests(found, robots, "")[0].source == Source("sitemap", level=0)
    assert urls("", source=robots, url="https://shop.example/robots.txt") == ["https://shop.example/sitemap.xml"]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2024-05-01", "2024-05-02T14:00:00Z"),  # whenever on that day, wherever
        ("2024-02", "2024-03-01T14:00:00Z"),
        ("2024-12", "2025-01-01T14:00:00+00:00"),
        ("2024", "2025-01-01T14:00:00Z"),
        ("2024-05-01T10:00:00", "2024-05-02T00:00:00Z"),
        ("2024-05-01T10:00:00.123+02:00", "2024-05-01T08:00:00.123Z"),
        ("Wed, 01 May 2024 10:00:00 GMT", "2024-05-01T10:00:00Z"),
        (" 2024-05-01T10:00Z\n", "2024-05-01T10:00:00Z"),
    ],
)
def test_dates(text: str, same: str) -> None:
    assert latest(text) == latest(same) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2024-13-01",
        "0000",
        "99999-01-01",
        "2024-05-01T25:00:00Z",
        "9999",
        "1970-01-01",
        "0001-01-01T00:00:00",
    ],
)
def test_what_is_no_date(text: str) -> None:
    assert latest(text) is None


# --- the corpus ------------------------------------------------------------------------------------------------------

DIFFERENT = {"wellformed/rss/entity_in_doctype"}  # declares an entity, which we refuse


def cases(name: str) -> Iterator[dict[str, Any]]:
    if CORPUS.exists():
        file = CORPUS / name
        data = file.read_bytes()
        yield from map(json.loads, (gzip.decompress(data) if name.endswith(".gz") else data).splitlines())


def bytes_of(case: dict[str, Any]) -> bytes:
    return base64.b64decode(case["xml_base64"]) if "xml_base64" in case else case["xml"].encode()


@pytest.mark.parametrize("case", list(cases("scrapy_sitemaps.jsonl")), ids=lambda case: case["id"])
def test_corpus_of_sitemaps(case: dict[str, Any]) -> None:
    found = listing(bytes_of(case), url="http://www.example.com/s.xml")
    entries = case["expected"]["entries"]
    assert [one.url for one in found.found] == [entry["loc"] for entry in entries]
    assert [one.changed for one in found.found] == [latest(entry.get("lastmod", "")) for entry in entries]
    assert all(one.nested == (case["expected"]["type"] == "sitemapindex") for one in found.found)


@needs_corpus
def test_corpus_of_feeds() -> None:
    linked, refused = 0, set()
    for case in cases("feedparser.jsonl"):
        headers = case["headers"] or {}
        fields = [tuple(field) for field in (headers.items() if isinstance(headers, dict) else headers)]
        try:
            found = read(FEED, "http://127.0.0.1:8097/feed.xml", fields, bytes_of(case)).found
        except (ParseError, FetchError):
            refused.add(case["id"])
            continue
        for check in case["checks"] or ():
            if check["path"][0] == "entries" and check["path"][2:] == ["link"] and "equals" in check:
                linked += 1
                assert found[check["path"][1]].url == check["equals"], case["id"]
    assert refused == DIFFERENT and linked >= 9


@needs_corpus
def test_corpus_of_real_ones() -> None:
    for case in cases("real_samples.jsonl.gz"):
        found = listing(base64.b64decode(case["bytes_base64"]))
        assert found.found and not found.incomplete, case["id"]


@pytest.mark.parametrize("case", list(cases("usp_trees.jsonl")), ids=lambda case: case["id"])
def test_corpus_of_trees(case: dict[str, Any]) -> None:
    """Whole sites, from robots.txt down: each list is read once, however they name each other."""
    home = case["homepage"] or "http://test_ultimate-sitemap-parser.com"
    answers = {answer["url"]: answer for answer in case["responses"] or ()}
    if case["content_base64"]:
        waiting, seen = [], set[str]()
        pages = _pages(Source("sitemap"), home, [], base64.b64decode(case["content_base64"]), waiting)
    else:
        waiting, seen, pages = [(Source("robots"), f"{home}/robots.txt")], set[str](), []
    while waiting:
        source, url = waiting.pop(0)
        answer = answers.get(url)
        if url in seen or answer is None:
            continue
        seen.add(url)
        headers = {name.lower(): value for name, value in (answer["headers"] or {}).items()}
        if answer["status"] in (301, 302):
            waiting.append((source, headers["location"]))
        elif answer["status"] == 200:
            pages += _pages(source, url, list(headers.items()), base64.b64decode(answer["body_base64"]), waiting)
    assert set(pages) == set(case["expected_pages"])


def _pages(source: Source, url: str, headers: Headers, body: bytes, waiting: list[tuple[Source, str]]) -> list[str]:
    try:
        made = requests(read(source, url, headers, body), source, "")
    except (ParseError, FetchError):
        return []
    waiting += [(request.source, request.url) for request in made if request.source is not None]
    return [request.url for request in made if request.source is None]
