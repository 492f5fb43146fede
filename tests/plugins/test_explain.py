"""`try --explain`: what the page rules tell of a page, above all of selectors that miss."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import Explained
from pipeline.testing import make_page
from plugins.parse.fields import Fields

PAGE = """
<title>Quotes</title><meta property="og:title" content="Quotes"><meta name="description" content="many">
<div class="quote"><span class="text">First</span><small class="author">Ann</small><p class="price_color">1.50</p>
  <div class="tags"><a class="tag" href="/t/1" data-id="7">x</a><a class="tag" href="/t/2">y</a></div></div>
<div class="quote"><span class="text">Second</span><small class="author">Bob</small><p class="price_color">sold out</p>
  <div class="tags"><a class="tag" href="/t/3">z</a></div></div>
<p id="total">2 quotes</p>
<script type="application/json">{"data": {"items": [{"sku": 1}], "total": 3}}</script>
<script type="application/ld+json">{"@type": "Product", "name": "Lamp", "offers": {"price": 12}}</script>
"""


def explain(rule: dict[str, Any], body: Any = PAGE) -> list[Explained]:
    return Fields({"page": rule}).explain(make_page(body, url="https://a.example/", rule="page"))


def field(spec: Any, *, each: Any = "div.quote") -> Explained:
    [items] = explain({"items": [{"each": each, "fields": {"it": spec}} if each else {"fields": {"it": spec}}]})
    return items.parts[0]


MISSES = [
    ("small.auther", "`small.auther` matches nothing", "did you mean `.author`? It matches 2 here:"),
    (".price", None, "did you mean `.price_color`? It matches 2 here:"),
    (".prize", None, "did you mean `.price_color`? It matches 2 here:"),
    ("smal", "`smal` matches nothing", "did you mean `small`? It matches 2 here:"),
    ("div.tags > .tagg", "`div.tags` matches 2, `div.tags > .tagg` nothing", "did you mean `.tag`? It matches 3 here:"),
    ("div.quote > a.tag", "`div.quote` is there (the record, or around it), `div.quote > a.tag` nothing", None),
    ("div.quote > a", None, "not as a child, but further down it matches 3: leave out the `>`"),
    ("a[data-di]", None, "no element here has `data-di`; did you mean `data-id`? 1 have it"),
    ("a[data-id='8']", None, "`data-id` stands on 1, but not so; there are 7"),
    ("span.author", None, "without `span` it matches 2:"),
    ("#total", "`#total` matches nothing", "outside of the records it matches 1:"),
    ("a.tag:nth-child(9)", None, "without `:nth-child(9)` it matches 3:"),
    ("small.x", None, "without `.x` it matches 2:"),
    ("price_color", "`price_color` matches nothing", "did you mean `.price_color`? It matches 2 here:"),
    ("#author", None, "did you mean `.author`? It matches 2 here:"),
    (".small", None, "did you mean `small`? It matches 2 here:"),
    ("span.text + p", None, "not right behind, but further on it matches 2: write `~`"),
    ("p ~ span.text", None, "`span.text` matches 2, but not behind `p`:"),
    (
        "div.tags small",
        "`div.tags` matches 2, `div.tags small` nothing",
        "`small` matches 2, but not within `div.tags`:",
    ),
    ('p:-soup-contains("sold owt")', None, 'did you mean "sold out"?'),
    ("div.tags::text", "what matches has no text of its own; without `::text` it has:", None),
    ("h2, h3.x", "`h2` matches nothing", "`h3.x` matches nothing"),
    ("a.tag::attr(hrf)", None, "no element here has `hrf`; did you mean `href`? 3 have it"),
    ({"xpath": ".//p[@class='prize_color']"}, None, "without `[@class='prize_color']` it finds 2"),
    ({"xpath": ".//p[@class='prize_color']"}, None, "@class: did you mean `price_color`?"),
    ({"xpath": "string(.//smal/text())"}, "`.//smal` finds nothing", "did you mean `small`?"),
    ({"xpath": ".//a/@hrf"}, "`.//a` finds 3, `.//a/@hrf` nothing", None),
    ({"carry": "rating"}, None, "no link carried it here; carried are: none"),
    ({"json": "data.itms[0].sku", "from": "page"}, "`data` gives an object, `data.itms` null", "did you mean `items`?"),
    ({"json": "data.itms", "from": "page"}, None, "did you mean `items`?"),
    ({"jsonld": "Product.nam", "from": "page"}, None, "`Product` is there (1), but has no `nam`; did you mean `name`?"),
    ({"jsonld": "Prodct.name", "from": "page"}, None, "no jsonld here is a Prodct; did you mean `Product`?"),
    ({"microdata": "Product.name", "from": "page"}, "there is no microdata here", None),
    ({"opengraph": "titel", "from": "page"}, "did you mean `title`?", None),
    ({"meta": "descripton", "from": "page"}, "did you mean `description`?", None),
]


@pytest.mark.parametrize(("spec", "first", "some"), MISSES, ids=[str(case[0]) for case in MISSES])
def test_a_miss_says_what_fails_and_what_is_near(spec: Any, first: str | None, some: str | None) -> None:
    told = field(spec)
    assert told.hits == 0
    assert first is None or told.misses[0] == first
    assert some is None or some in told.misses


@pytest.mark.parametrize(
    ("spec", "element"),
    [
        ("small.auther", '<small class="author">Ann'),
        ("a[data-id='8']", '<a class="tag" href="/t/1" data-id="7">x'),
        ("a[href='/t/33']", '<a class="tag" href="/t/3">z'),
        ("a[data-di]", '<a class="tag" href="/t/1" data-id="7">x'),
        ("a.tag::attr(data-di)", '<a class="tag" href="/t/1" data-id="7">x'),
        ({"xpath": ".//a/@hrf"}, '<a class="tag" href="/t/1">x'),
    ],
)
def test_a_near_element_is_shown(spec: Any, element: str) -> None:
    assert field(spec).misses[-1] == element


def test_a_hit_tells_how_many_and_the_first_values() -> None:
    told = field({"css": "a.tag", "many": True})
    assert (told.asked, told.found, told.hits, told.records) == ("css a.tag", 3, 2, 2)
    assert told.values == ["x", "y", "z"]
    assert not told.misses


def test_a_part_that_has_no_name_like_it_does_not_end_in_a_list_of_others() -> None:
    assert field("small.x").misses == [
        "`small.x` matches nothing",
        "without `.x` it matches 2:",
        '<small class="author">Ann',
    ]


def test_what_is_outside_of_the_records_is_told_once() -> None:
    assert field("#total").misses == [
        "`#total` matches nothing",
        "outside of the records it matches 1:",
        '<p id="total">2 quotes',
    ]


def test_of_a_field_that_some_records_lack_the_first_is_looked_at() -> None:
    page = PAGE.replace('<small class="author">Bob</small>', '<small class="writer">Bob</small>')
    [items] = explain({"items": [{"each": "div.quote", "fields": {"it": "small.author"}}]}, page)
    assert items.parts[0].hits == 1
    assert items.parts[0].misses == [
        "nothing in 1 of 2; in the first of them, record 2:",
        "`small.author` matches nothing",
        "without `.author` it matches 1:",
        '<small class="writer">Bob',
    ]


def test_what_regex_and_type_made_of_it() -> None:
    told = field({"css": ".price_color", "regex": r"([\d.]+)", "type": "float", "transform": ["strip"], "default": 0})
    assert told.values == [1.5]
    assert told.steps == [
        r"regex ([\d.]+): 'sold out' -> nothing",
        "so 1 of 2 records have no value",
        "without a value, 1 of 2: default 0",
    ]
    good = field({"css": ".price_color", "regex": r"\d.*", "type": "decimal", "required": True})
    assert good.steps[-1] == "without a value, 1 of 2: the item is dropped (required)"


def test_each_stage_of_a_value_is_told() -> None:
    told = field({"css": ".text", "transform": ["lower", {"replace": ["f", "g"]}]})
    assert told.steps == ["lower: 'First' -> 'first'", "replace [\"f\", \"g\"]: 'first' -> 'girst'"]


def test_an_index_that_is_not_there() -> None:
    assert field({"css": "a.tag", "index": 5}).steps[0] == "index 5 is asked for, but there are 2 of them"


def test_the_taken_choice_is_named() -> None:
    told = field({"first_of": ["h2", "small.author", "span.text"]})
    assert [part.steps[0] for part in told.parts] == ["not taken", "taken for 2 of 2", "not taken"]
    assert told.values == ["Ann", "Bob"]


def test_a_field_that_fails_the_page_is_explained_all_the_same() -> None:
    fields = {"it": "small", "no": {"css": "smal", "on_missing": "fail"}}
    follow = [{"each": "div.quote", "css": "a", "carry": {"by": {"css": "smal", "on_missing": "fail"}}}]
    items, links = explain({"items": [{"each": "div.quote", "fields": fields}], "follow": follow})
    assert items.steps == ["the page fails: field no has no value (on_missing: fail)"]
    assert [part.hits for part in items.parts] == [2, 0]
    assert "did you mean `small`? It matches 2 here:" in items.parts[1].misses
    assert links.steps == ["the page fails: field by has no value (on_missing: fail)"]
    [nested] = explain({"items": [{"each": "div.quote", "fields": {"it": {"fields": fields}}}]})
    assert nested.parts[0].steps == ["the page fails: field no has no value (on_missing: fail)"]
    assert [part.hits for part in nested.parts[0].parts] == [2, 0]


def test_records_that_are_not_there() -> None:
    [told] = explain({"items": [{"each": "div.quotes > p", "fields": {"a": "b"}}]})
    assert (told.hits, told.records, told.parts) == (0, 0, [])
    assert told.misses[:2] == ["`div.quotes` matches nothing", "did you mean `.quote`? It matches 2 here:"]


def test_follows() -> None:
    good, bad, each = explain(
        {"follow": ["a.tag", "li.next a", {"each": "div.quotes", "css": "a", "carry": {"by": "small"}}]}
    )
    assert (good.hits, good.values) == (3, ["/t/1", "/t/2", "/t/3"])
    assert bad.hits == 0
    assert bad.misses[0] == "`li.next` matches nothing"
    assert "did you mean `.quote`? It matches 2 here:" in each.misses


def test_a_json_page_has_no_elements() -> None:
    [told] = explain({"items": [{"fields": {"a": "h1", "b": {"json": "nam"}}}]}, {"name": 1})
    assert told.parts[0].misses == ["the page is json, which has no elements: read it with json"]
    assert told.parts[1].misses == ["`nam` gives null", "did you mean `name`?"]


def test_an_index_into_data_that_is_not_there_is_told_without_keys() -> None:
    [told] = explain(
        {"items": [{"fields": {"a": {"json": "tags[5]"}, "b": {"json": "price", "type": "decimal"}}}]},
        {"tags": ["x", "y"], "price": 1.5},
    )
    assert told.parts[0].misses == ["`tags` gives a list of 2, `tags[5]` null"]
    assert told.parts[1].steps == ["type decimal: 1.5 -> 1.5"]


def test_an_element_without_text_is_told() -> None:
    [told] = explain({"items": [{"fields": {"it": "img"}}]}, "<img class=a>")
    assert told.parts[0].misses == ["what matches has no text:", '<img class="a">']


def test_whatever_stands_in_a_selector_explaining_it_breaks_nothing() -> None:
    for css in ("a:not(.b) > c", "::text", "x\\:y", "[a='b c'] d", "a:has(> b, c)", "e ~ f + g", "*", "é.ü", ":root"):
        told = field({"css": css})
        assert told.hits in (0, 2)
