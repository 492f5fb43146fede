# ruff: noqa: E501 - markup is easier to read unbroken
"""Drafts for the shapes that listing pages have: the markup of well-known kinds of sites, rebuilt by hand in short."""

from __future__ import annotations

import pytest

from pipeline.drafting.records import find_records
from pipeline.testing import make_page

URL = "https://a.example/"
MENU = "<ul class='nav nav-list'>" + "".join(f"<li><a href='/c{n}'>Category {n}</a></li>" for n in range(50)) + "</ul>"
FOOT = (
    "<footer>"
    + "".join(f"<div class='links'><a href='/f{n}'>Footer link {n}</a></div>" for n in range(20))
    + "</footer>"
)

SHAPES: dict[str, tuple[str, str, set[str]]] = {
    "grid of a shop": (
        "<aside class='sidebar'><div class='side_categories'>" + MENU + "</div></aside><ol class='row'>",
        "<li class='col-xs-6 col-sm-4 col-md-3'><article class='product_pod'><div class='image_container'>"
        "<a href='/b/%'><img src='/%.jpg' alt='Book %' class='thumbnail'></a></div><p class='star-rating Three'><i></i></p>"
        "<h3><a href='/b/%' title='Book number %'>Book number %</a></h3><div class='product_price'>"
        "<p class='price_color'>£1%.77</p><p class='instock availability'>In stock</p></div></article></li>",
        {"article.product_pod"},
    ),
    "rows of a table by place": (
        MENU + "<table id='big'><tbody>",
        "<tr class='athing'><td><span class='rank'>%.</span></td><td class='title'><span class='titleline'>"
        "<a href='https://x%.example/'>Something that happened, number %</a></span></td></tr>",
        {"tr.athing"},
    ),
    "posts of a blog": (
        "<header class='site-header'>" + MENU + "</header><main>",
        "<article id='post-10%' class='post-10% post type-post'><header><h2 class='entry-title'>"
        "<a href='/p/%'>Post number %</a></h2><time class='entry-date' datetime='2026-01-0%'>January</time></header>"
        "<div class='entry-summary'><p>What the post number % is about, in two or three lines of text.</p></div></article>",
        {"article.post"},
    ),
    "table without a class": (
        "<h1>Cities</h1><table><tbody>",
        "<tr><td>City %</td><td>%00,000</td><td>Country %</td></tr>",
        {"tbody > tr", "table > tbody > tr"},
    ),
    "table of an encyclopedia": (
        "<p>Some words on the matter.</p><table class='wikitable sortable'><tbody>",
        "<tr><td><a href='/w/%'>River %</a></td><td>%00 km</td><td>Sea %</td></tr>",
        {"table.wikitable > tbody > tr"},
    ),
    "questions": (
        "<div id='questions'>",
        "<div class='s-post-summary' data-post-id='%'><div class='s-post-summary--stats'><span class='n'>% votes</span></div>"
        "<h3 class='s-post-summary--title'><a href='/q/%'>How do I do the thing number %?</a></h3>"
        "<div class='s-post-summary--excerpt'>I have tried it in % ways and none of them works at all.</div></div>",
        {"div.s-post-summary"},
    ),
    "events in a list": (
        MENU + "<ul class='events'>",
        "<li><span class='date'>0%. March 2026</span> <a href='/e/%'>Concert of band number %</a> <span class='room'>Hall</span></li>",
        {"ul.events > li"},
    ),
    "results with generated classes": (
        "<div class='css-1x2y3z'>",
        "<div class='css-9a8b7c'><a class='css-abc123' href='/j/%'><h2 class='css-q1w2e3'>Job number %</h2></a>"
        "<span class='css-zzz111'>Company %</span><span class='css-zzz222'>Town %</span></div>",
        {"div.css-9a8b7c"},
    ),
    "microdata": (
        "<section>",
        "<div itemscope itemtype='https://schema.org/Product'><span itemprop='name'>Chair number %</span>"
        "<meta itemprop='sku' content='c%'><span itemprop='price'>1%.00</span></div>",
        {"section > div"},
    ),
    "two columns of cards": (
        "<div class='container'>",
        "<div class='row'><div class='col-md-6'><div class='card'><h4>Flat number %a</h4><p class='rent'>CHF 1%00</p></div></div>"
        "<div class='col-md-6'><div class='card'><h4>Flat number %b</h4><p class='rent'>CHF 2%00</p></div></div></div>",
        {"div.card"},
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_records_of_a_listing_are_found(name: str) -> None:
    before, record, wanted = SHAPES[name]
    body = before + "".join(record.replace("%", str(n)) for n in range(1, 10)) + FOOT
    found = find_records(make_page(body, URL))
    assert found is not None
    assert found.selector in wanted
    assert len(found.fields) >= 2
