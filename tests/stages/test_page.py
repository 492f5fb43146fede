"""What a plugin author holds: kinds, encodings, links, headers, selectors."""

from __future__ import annotations

import logging
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.stages.encoding import decode
from pipeline.stages.kinds import disguised, kind_of, sniff
from pipeline.stages.page import Page, RunInfo

URL = "http://x.example/dir/page.html"


def page(body: str | bytes, content_type: str | None = "text/html", **options: Any) -> Page:
    headers = [] if content_type is None else [("Content-Type", content_type)]
    return Page(URL, 200, headers, body.encode() if isinstance(body, str) else body, **options)


KINDS = [
    ("text/html", b"", "html"),
    ("application/xhtml+xml", b"", "html"),
    ("application/json", b"", "json"),
    ("application/ld+json", b"", "json"),
    ("text/xml", b"", "xml"),
    ("application/rss+xml", b"", "xml"),
    ("text/css", b"<html>", "text"),
    ("application/pdf", b"%PDF", "binary"),
    ("image/png", b"<html>", "binary"),
    ("", b"  <!DOCTYPE HTML><p>", "html"),
    ("", b"\xef\xbb\xbf<html lang=en>", "html"),
    ("", "\ufeff<p>x".encode("utf-16-le"), "html"),
    ("text/plain", b"<div>x", "html"),
    ("text/plain", b"x < y", "text"),
    ("application/octet-stream", b'{"a": 1}', "json"),
    ("application/octet-stream", b"[" * 100_000, "text"),
    ("application/octet-stream", b"{not json", "text"),
    ("", b"<?xml version='1.0'?><rss/>", "xml"),
    ("", b"<?xml version='1.0'?><!DOCTYPE html><html>", "html"),
    ("", b"<urlset>", "xml"),
    ("", b"\x89PNG\r\n\x1a\n", "binary"),
    ("", b"", "text"),
    ("nonsense", b"<p>x", "html"),
    ("text/html", b'{"a": 1}', "json"),
    ("text/html", b" [1, 2]", "json"),
    ("text/html", b"{not json", "html"),
    ("text/html", b"<?xml version='1.0'?><!-- c --><rss version='2'>", "xml"),
    ("text/html", b"<feed xmlns='http://www.w3.org/2005/Atom'>", "xml"),
    ("text/html", b"<html><body>about <rss> and <feed>", "html"),
    ("text/html", b"<!DOCTYPE html><p>&lt;rss", "html"),
]


DISGUISES = [
    ("text/html", b"\x89PNG\r\n\x1a\n\0", True),
    ("text/html", b"GIF89a\1\0", True),
    ("application/json", b"PK\x03\x04", True),
    ("application/xhtml+xml", b"%PDF-1.7", True),
    ("text/plain", b"\x1f\x8b\x08\0", True),
    ("text/xml", b"\0\0\0\x18ftypmp42", True),
    ("text/html", b"RIFF\0\0\0\0WEBPVP8 ", True),
    ("text/html", b"RIFF is a format", False),
    ("text/html", b"GIF89 is a format", False),
    ("image/png", b"\x89PNG\r\n\x1a\n\0", False),  # it says so
    ("application/octet-stream", b"\x89PNG\r\n\x1a\n\0", False),
    ("", b"\x89PNG\r\n\x1a\n\0", False),
    ("text/html", b"<p>\x89PNG", False),
    ("text/html", b"plain words", False),
    ("text/html", b"BM is a company, not a picture", False),
    ("text/html", b"", False),
]


@pytest.mark.parametrize(("content_type", "body", "answer"), DISGUISES)
def test_what_calls_itself_text_and_is_none(content_type: str, body: bytes, answer: bool) -> None:
    assert disguised(content_type, body) is answer


@pytest.mark.parametrize(("content_type", "body", "kind"), KINDS)
def test_kind(content_type: str, body: bytes, kind: str) -> None:
    assert kind_of(content_type, body) == kind
    assert page(body, content_type or None).kind == kind


@given(st.binary(max_size=60))
def test_sniffing_and_decoding_take_anything(body: bytes) -> None:
    assert sniff(body) in ("html", "xml", "json", "text", "binary")
    assert isinstance(decode(body, "text/html; charset=utf-16")[0], str)
    assert page(body, None).css("p") is not None


def test_headers() -> None:
    headers = Page(URL, headers=[("Set-Cookie", "a=1"), ("X-Y", "1"), ("set-cookie", "b=2")]).headers
    assert headers["SET-COOKIE"] == "a=1, b=2"
    assert headers.get("nope") is None
    assert list(headers) == ["set-cookie", "x-y"] and len(headers) == 2
    assert headers.raw[0] == ("Set-Cookie", "a=1")
    with pytest.raises(TypeError):
        headers["x"] = "1"  # type: ignore[index]


def test_css() -> None:
    found = page("<h1>A</h1><p><a href=x>l</a></p>")
    assert [element.tag for element in found.select("h1, p")] == ["h1", "p"]
    assert found.css("a::attr(href)") == ["x"]
    assert found.css("p:-soup-contains('l') a::text") == ["l"]
    assert found.soup.h1 is not None and found.soup.h1.get_text() == "A"
    assert found.tree is found.tree


@pytest.mark.parametrize("content_type", ["application/json", "image/png", "text/css"])
def test_other_kinds_have_no_elements(content_type: str) -> None:
    other = page("<a href=x>", content_type)
    assert other.css("a") == [] and other.css("a::text") == [] and other.links == []
    assert other.soup.find("a") is None


def test_json() -> None:
    assert page('{"a": [1, "é"]}', "application/json").json() == {"a": [1, "é"]}
    for body in ("{", "[" * 100_000):
        with pytest.raises(ValueError, match=r"JSON|Expecting"):
            page(body, "application/json").json()


LINKS = [
    ("<a href=/a>1</a><area href='b#x'><a href=b>2</a><a>3</a>", ["http://x.example/a", "http://x.example/dir/b"]),
    ("<base href=/base/><a href=c>", ["http://x.example/base/c"]),
    ("<BASE target=_top><base href='//y.example'><a href=c>", ["http://y.example/c"]),
    ("<base href='javascript:1'><a href=c>", ["http://x.example/dir/c"]),
    ("<base href=http://[><a href=c>", ["http://x.example/dir/c"]),
    ("<a href=''>", [URL]),
    ("<a href='HTTP://X.example:80/%7e'><a href='http://[bad'>", ["http://x.example/%7e"]),
    ("<p>&lt;base href=/no/&gt;<a href=c>", ["http://x.example/dir/c"]),
]


@pytest.mark.parametrize(("html", "links"), LINKS)
def test_links(html: str, links: list[str]) -> None:
    assert page(html).links == links


def test_url_join() -> None:
    found = page("<base href=/b/>")
    assert found.url_join("c?d#e") == "http://x.example/b/c?d"
    assert found.url_join("http://[") is None


def test_xpath() -> None:
    found = page("<!doctype html><div a=1><p>x<b>y</b>z</p></div><svg><a>s</a></svg><x-y 1z=2>w\x0b</x-y>")
    assert found.xpath("//p/text()") == ["x", "z"]
    assert found.xpath("//p") == found.select("p")
    assert found.xpath("//svg/a") == found.select("svg a")
    assert found.xpath("string(//div/@a)") == ["1"]
    assert found.xpath("count(//p)") == [1.0]
    assert found.xpath("boolean(//p)") == [True]
    assert found.xpath("//x-y/text()") == ["w\ufffd"]
    with pytest.raises(ValueError, match="XPath"):
        found.xpath("//[")


def test_xpath_of_xml_reads_no_files() -> None:
    feed = page("<rss><i>1</i><i>2</i></rss>", "application/rss+xml")
    assert feed.xpath("//i/text()") == ["1", "2"]
    evil = page('<!DOCTYPE r [<!ENTITY e SYSTEM "file:///etc/hostname">]><r>&e;</r>', "text/xml")
    assert evil.xpath("string(/r)") == [""]
    assert page("", "text/xml").xpath("//i") == []
    assert page("{}", "application/json").xpath("//i") == []


def test_read_only_parts() -> None:
    run = RunInfo("r1", datetime(2026, 1, 1, tzinfo=UTC), "books", logging.getLogger("books"))
    found = page("", carry={"a": 1}, rule="list", run=run)
    assert (found.carry["a"], found.rule, found.run) == (1, "list", run)
    with pytest.raises(TypeError):
        found.carry["a"] = 2  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        run.id = "r2"  # type: ignore[misc]
    found.links.append("x")
    assert found.links == []
