"""`links`, `metadata`, `feed`, `table`: what each reads of a page."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import OptionError
from pipeline.testing import make_page, parse_page
from plugins.parse.feed import Feed
from plugins.parse.links import Links
from plugins.parse.metadata import Metadata
from plugins.parse.table import Table


def test_links() -> None:
    page = make_page(
        '<a href=/a.pdf rel=nofollow> A  b</a><a href="/a.pdf#x">again</a><a href="http://[">no</a><map><area href=b>'
    )
    found = list(Links().parse(page))
    assert found == [
        {"url": "http://site.test/a.pdf", "text": "A b", "rel": "nofollow", "on": page.url},
        {"url": "http://site.test/b", "text": "", "rel": None, "on": page.url},
    ]
    assert [item["url"] for item in Links(r"\.pdf$", type="file").parse(page)] == ["http://site.test/a.pdf"]
    assert [item["url"] for item in Links(selector="img").parse(make_page("<img src=x.png>"))] == [
        "http://site.test/x.png"
    ]
    with pytest.raises(OptionError, match="not a regular expression"):
        Links("(")


def test_metadata() -> None:
    page = make_page(
        """<html lang=en><title> T </title><meta name=Description content="D"><link rel=canonical href=/c>
        <meta property=og:title content=OG><meta property=og:title content=second><meta property=x:y content=no>
        <script type="application/ld+json">{"@graph": [{"@type": "A"}, {"@type": "B"}]}</script>
        <script type="application/ld+json">{broken</script><script type="application/ld+json">[1]</script>"""
    )
    item = Metadata().parse(page)
    assert item == {
        "url": page.url, "title": "T", "description": "D", "canonical": "http://site.test/c", "language": "en",
        "og_title": "OG", "jsonld": [{"@type": "A"}, {"@type": "B"}, 1],
    }  # fmt: skip
    assert Metadata(jsonld=False).parse(make_page("<p>")) == {
        "url": page.url, "title": None, "description": None, "canonical": None, "language": None,
    }  # fmt: skip
    assert Metadata().parse(make_page({"a": 1})) is None


RSS = """<?xml version="1.0"?><rss xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>Not this</title><item>
<title>A &amp; B</title><link> /a </link><guid>1</guid><pubDate>Thu, 01 Jan 2026 10:00:00 +0100</pubDate>
<dc:creator>Me</dc:creator><description>&lt;p&gt;x</description></item><item><pubDate>soon</pubDate></item></channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><entry><title type="xhtml"><div>A <b>b</b></div></title>
<link rel="self" href="/self"/><link href="/a"/><id>i</id><updated>2026-01-02T03:04:05Z</updated>
<author><name>N</name></author><content>C</content></entry></feed>"""


def test_feeds() -> None:
    found = list(Feed().parse(make_page(RSS, headers={"Content-Type": "application/rss+xml"})))
    assert found[0] == {
        "url": "http://site.test/a", "title": "A & B", "id": "1", "published": "2026-01-01T10:00:00+01:00",
        "updated": None, "author": "Me", "summary": "<p>x", "feed": "http://site.test/",
    }  # fmt: skip
    assert (found[1]["url"], found[1]["published"]) == (None, "soon")
    (entry,) = Feed("e").parse(make_page(ATOM, headers={"Content-Type": "application/atom+xml"}))
    assert (entry["url"], entry["title"], entry["updated"]) == (
        "http://site.test/a",
        "A b",
        "2026-01-02T03:04:05+00:00",
    )
    assert (entry["author"], entry["summary"], entry["published"], entry.type) == ("N", "C", None, "e")
    assert not list(Feed().parse(make_page("<item>")))


TABLES: list[tuple[str, dict[str, Any], list[dict[str, str]]]] = [
    ("<tr><th>Title<th>Price, £<tr><td>A<td>1", {}, [{"title": "A", "price": "1"}]),
    ("<tr><td>A<td>1<tr><td>B", {}, [{"column_1": "A", "column_2": "1"}, {"column_1": "B"}]),
    ("<tr><td>A<td>1", {"columns": ["x"]}, [{"x": "A", "column_2": "1"}]),
    ("<tr><th>t<tr><td rowspan=2>A<tr><td>B", {}, [{"t": "A"}, {"t": "A", "column_2": "B"}]),
    ("<tr><td rowspan=2>A<td>1<tr><td>2", {"columns": ["x", "y"]}, [{"x": "A", "y": "1"}, {"x": "A", "y": "2"}]),
    ("<tr><td>1<td rowspan=3>A<tr><td>2<tr><td>3", {"columns": ["x", "y"]}, [{"x": n, "y": "A"} for n in "123"]),
    ("<tr><td colspan=2>A<td>B", {"columns": ["x", "y", "z"]}, [{"x": "A", "y": "A", "z": "B"}]),
    ("<tr><th>t<th>t<tr><td>1<td>2", {}, [{"t": "1", "t_2": "2"}]),
    ("<tr><th>t<tr><td><tr><td colspan=x>A<tr>", {}, [{"t": "A"}]),
    ("<thead><tr><th>t<tbody><tr><td>A<table><tr><td>within</table>", {}, [{"t": "Awithin"}, {"column_1": "within"}]),
    ("", {}, []),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "options", "expected"), TABLES)
def test_tables(rows: str, options: dict[str, Any], expected: list[dict[str, str]]) -> None:
    assert list(Table(**options).parse(make_page(f"<table>{rows}</table>"))) == expected


def test_by_name_in_a_config(installed: str) -> None:
    assert installed
    page = make_page(RSS, headers={"Content-Type": "application/rss+xml"})
    parsed = parse_page({"parse": ["links", {"metadata": "m"}, "feed", "table"]}, page)
    assert [item.type for item in parsed.items] == ["entry", "entry"]
