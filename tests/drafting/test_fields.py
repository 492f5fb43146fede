# ruff: noqa: E501 - markup is easier to read unbroken
"""What a draft gives of a page: the fields that a person would want, under names of their own, with their types."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.drafting.draft import draft
from pipeline.stages.page import Page
from pipeline.testing import make_page

Read = Callable[[str, Any, Path], list[dict[str, Any]]]

URL = "https://shop.example/list"
MENU = (
    "<header class='site-header'><nav><ul class='menu'>"
    + "".join(f"<li class='menu-item'><a href='/m{n}'>Menu {n}</a></li>" for n in range(12))
    + "</ul></nav></header>"
)
SITE = "https://shop.example"


def listing(before: str, record: str, after: str = "") -> str:
    return MENU + before + "".join(record.replace("%", str(n)) for n in range(1, 10)) + after


LISTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "a heading that is cut short has the whole in the title of its link": (
        listing(
            "", "<article class='pod'><h3><a href='/%' title='Title % and all of it'>Title % ...</a></h3></article>"
        ),
        {"title": "Title 1 and all of it", "url": f"{SITE}/1"},
    ),
    "the link that says most is the record's, whatever stands before it": (
        listing(
            "<table>",
            "<tr class='thing'><td><a href='/vote?%'><i></i></a></td><td><span class='line'><a href='/s/%'>Story number %</a>"
            " <i class='from'>(<a href='/from?%'><i>site%</i></a>)</i></span></td></tr>",
        ),
        {"title": "Story number 1", "url": f"{SITE}/s/1", "from": "(site1)", "i": "site1"},
    ),
    "classes of a style sheet name nothing": (
        listing(
            "<main class='mx-auto'><ul class='divide-y'>",
            "<li class='flex justify-between gap-x-6'><div class='min-w-0'><p class='text-sm leading-6'><a href='/j/%'>Job number %</a></p>"
            "<p class='mt-1 truncate'>Firm %</p></div><time datetime='2026-01-0%'>today</time></li>",
        ),
        {"title": "Job number 1", "url": f"{SITE}/j/1", "date": "2026-01-01", "p": "Firm 1"},
    ),
    "nothing has a class": (
        listing(
            "<div>",
            "<div><div><a href='/d/%'><b>Document %</b></a></div><div>Words about it, %</div><i>May %</i></div>",
        ),
        {"title": "Document 1", "url": f"{SITE}/d/1", "div": "Words about it, 1", "i": "May 1"},
    ),
    "columns are called what their heads say": (
        listing(
            "<h1>Rates</h1><table><tr><th>Currency</th><th>Rate in %</th></tr>",
            "<tr><td>Money %</td><td>0.%</td></tr>",
            "</table>",
        ),
        {"currency": "Money 1", "rate_in": Decimal("0.1")},
    ),
    "a day and a month are no price": (
        listing(
            "", "<div class='ev'><h3>Band %</h3><span class='when'>0%.03</span><span class='fee'>%.50</span></div>"
        ),
        {"title": "Band 1", "when": "01.03", "fee": Decimal("1.50")},
    ),
    "a comma divides the price": (
        listing("", "<div class='box'><h3>Lamp %</h3><span class='price'>1.00%,50 €</span></div>"),
        {"title": "Lamp 1", "price": Decimal("1001.50")},
    ),
    "a record that is a link": (
        listing(
            "<main>", "<a class='card' href='/c/%'><span class='name'>Card %</span><span class='sub'>Sub %</span></a>"
        ),
        {"url": f"{SITE}/c/1", "name": "Card 1", "sub": "Sub 1"},
    ),
}


@pytest.mark.parametrize("name", LISTINGS)
def test_the_fields_of_a_listing(name: str, tmp_path: Path, read: Read) -> None:
    body, first = LISTINGS[name]
    items = read(draft(make_page(body, URL), "draft").text, body, tmp_path)
    assert len(items) == 9
    assert items[0] == first


LD = [{"@type": "Event", "name": f"Event {n}", "location": {"@type": "Place", "name": f"Hall {n}"}} for n in range(5)]
DATA: dict[str, tuple[Any, dict[str, Any]]] = {
    "a list in a script": (
        MENU + '<div id="root"></div><script type="application/json">'
        '{"props": {"things": [{"id": 1, "price": {"amount": 2.5}}, {"id": 2, "price": {"amount": 3}}]}}</script>',
        {"id": 1, "amount": 2.5},
    ),
    "nodes of JSON-LD": (
        MENU + f'<div id="root"></div><script type="application/ld+json">{json.dumps({"@graph": LD})}</script>',
        {"name": "Event 0", "location_name": "Hall 0"},
    ),
    "a feed": (
        '<?xml version="1.0"?><rss><channel><title>F</title>'
        + "".join(f"<item><title>Item {n}</title><link>http://a.example/{n}</link></item>" for n in range(4))
        + "</channel></rss>",
        {"title": "Item 0", "link": "http://a.example/0"},
    ),
}


@pytest.mark.parametrize("name", DATA)
def test_the_records_of_data(name: str, tmp_path: Path, read: Read) -> None:
    body, first = DATA[name]
    items = read(draft(make_page(body, URL), "draft").text, body, tmp_path)
    assert items[0] == first
    assert len(items) >= 2


def test_elements_of_xml() -> None:
    body = "<all>" + "".join(f'<s id="{n}"><t u="C">{n}.5</t><link>/{n}</link></s>' for n in range(4)) + "</all>"
    made = draft(Page(URL, 200, [("Content-Type", "application/xml")], body.encode()), "draft")
    assert made.found == "records, all > s"
    assert made.fields == {"id": "::attr(id)", "t": "t", "link": {"css": "link", "type": "url"}}


def test_a_json_page_that_names_the_next() -> None:
    data = {"next": "/api?page=2", "results": [{"id": n} for n in range(4)]}
    assert "- {json: next}" in draft(make_page(data, URL), "draft").text


OTHERS = "<div class='related-items'>" + "".join(
    f"<div class='pod'><h3><a href='/p/{n}'>Another lamp {n}</a></h3><b class='price'>{n}.00 €</b></div>"
    for n in range(12)
)
SINGLES: dict[str, tuple[str, dict[str, Any]]] = {
    "a product among others like it": (
        "<meta property='og:type' content='product'><title>Lamp | Shop</title><h1>Lamp</h1><p class='price'>12,50 €</p>"
        + "<p>What it is like.</p>" * 30
        + OTHERS,
        {"title": "Lamp", "price": Decimal("12.50")},
    ),
    "a product in microdata": (
        "<div itemscope itemtype='http://schema.org/Product'><h1 itemprop='name'>Lamp</h1><div itemprop='offers' itemscope>"
        "<i itemprop='price' content='9.5'>9,50</i></div></div>" + OTHERS,
        {"name": "Lamp", "price": Decimal("9.5")},
    ),
    "an article": (
        "<meta property='og:type' content='article'><meta name='author' content='Ann'><title>News - Site</title><h1>News</h1>"
        + "<div class='entry-content'>"
        + "<p>A paragraph of the article.</p> " * 30
        + "</div>",
        {"title": "News", "author": "Ann", "text": " ".join(["A paragraph of the article."] * 30)},
    ),
    "paragraphs are no records": (
        "<title>About</title><h1>About</h1><div class='main'>"
        + "".join(
            f"<p>Paragraph {n} about <a href='/{n}'>link {n}</a>, at some length and on and on.</p>" for n in range(9)
        ),
        {"title": "About"},
    ),
}


@pytest.mark.parametrize("name", SINGLES)
def test_a_page_that_is_one_thing(name: str, tmp_path: Path, read: Read) -> None:
    body, wanted = SINGLES[name]
    made = draft(make_page(MENU + body, URL), "draft")
    assert made.found == "one item, the page itself"
    [item] = read(made.text, MENU + body, tmp_path)
    assert wanted.items() <= item.items()


def test_a_field_that_was_refused_has_another_source() -> None:
    body = SINGLES["a product in microdata"][0]
    made = draft(make_page(body, URL), "draft")
    assert made.fields["name"] == {"microdata": "Product.name"}
    again = draft(make_page(body, URL), "draft", ['{"microdata": "Product.name"}'])
    assert "name" not in again.fields
    assert again.fields["title"] == "h1"


def test_real_product_pages_are_taken_for_what_they_are(repo: Path) -> None:
    folder = repo / "../shared/corpus/open/pages_products/html"
    if not folder.is_dir():
        pytest.skip("the corpus of real pages is not here")
    files = sorted(folder.iterdir(), key=lambda file: file.stat().st_size)[:8]  # the small ones, for the time it takes
    found = [
        draft(Page(URL, 200, [("Content-Type", "text/html")], gzip.decompress(one.read_bytes())), "x") for one in files
    ]
    assert sum(one.found == "one item, the page itself" for one in found) >= 7
