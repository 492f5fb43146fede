"""The parser of page rules: items, fields, links, and what is wrong in a config."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import Drop, Item, OptionError, Page, ParseError, Request
from pipeline.model import one_by_one
from plugins.parse._values import read_bool, read_float, read_int
from plugins.parse.fields import Fields

HTML = """<!doctype html><base href="/b/"><h1> The  <b>list</b></h1>
<ul id=nav><li><a href="x">X</a><li><a href="/y#f">Y</a><li><img src=i.png></ul>
<div class=r data-id=7><h2>One <i>i</i></h2><p class=price>12</p>
<a class=t>a</a><a class=t>b</a><a class=go href=1>go</a></div>
<div class=r><h2>Two</h2><p class=price>n/a</p><a class=go href=2>go</a></div>
<div class=r><h2></h2></div>"""


def page(html: str = HTML, **options: Any) -> Page:
    return Page("http://x.example/p", 200, [("Content-Type", "text/html")], html.encode(), rule="r", **options)


def parse(rule: dict[str, Any], html: str = HTML, **options: Any) -> tuple[list[Item], list[Request]]:
    found = list(one_by_one(Fields({"r": rule}).parse(page(html, **options))))
    return [one for one in found if isinstance(one, Item)], [one for one in found if isinstance(one, Request)]


def field(spec: Any, html: str = HTML, each: str | None = None, **options: Any) -> list[Any]:
    rule = {"items": [{"type": "t", "each": each, "fields": {"f": spec}}]}
    return [item["f"] for item in parse(rule, html, **options)[0]]


FIELDS: list[tuple[Any, list[Any]]] = [
    ("h2", ["One i", "Two", None]),
    ("h2::text", ["One", "Two", None]),
    ("::attr(data-id)", ["7", None, None]),
    ({"css": "h2::html"}, ["<h2>One <i>i</i></h2>", "<h2>Two</h2>", "<h2></h2>"]),
    ({"css": "h2", "type": "html"}, ["<h2>One <i>i</i></h2>", "<h2>Two</h2>", "<h2></h2>"]),
    ({"css": ".t", "many": True}, [["a", "b"], [], []]),
    ({"css": ".t", "many": True, "default": ["none"]}, [["a", "b"], ["none"], ["none"]]),
    ({"css": ".price", "type": "int"}, [12, None, None]),
    ({"css": ".price", "type": "int", "default": 0}, [12, 0, 0]),
    ({"css": ".price", "type": "float"}, [12.0, None, None]),
    ({"css": ".price", "regex": r"\d"}, ["1", None, None]),
    ({"css": ".price", "regex": r"1(\d)", "type": "int"}, [2, None, None]),
    ({"css": ".price", "regex": r"(x)?1"}, [None, None, None]),
    ({"css": ".go", "type": "url"}, ["http://x.example/b/1", "http://x.example/b/2", None]),
    ({"css": ".go::attr(href)", "type": "url"}, ["http://x.example/b/1", "http://x.example/b/2", None]),
    ({"css": "h2:-soup-contains('Two')"}, [None, "Two", None]),
    ({"value": "Zurich"}, ["Zurich"] * 3),
    ({"carry": "c"}, ["v 5"] * 3),
    ({"carry": "c", "regex": r"\d", "type": "int"}, [5] * 3),
    ({"carry": "none", "default": 1}, [1] * 3),
    ({"url": True}, ["http://x.example/p"] * 3),
    ({"url": True, "regex": "/([^/]+)$"}, ["p"] * 3),
    ({"css": "h2", "transform": ["lower"], "future": 1}, ["one i", "two", None]),
    ({"xpath": ".//h2"}, ["One i", "Two", None]),
]


@pytest.mark.parametrize(("spec", "expected"), FIELDS)
def test_fields_of_records(spec: Any, expected: list[Any]) -> None:
    assert field(spec, each="div.r", carry={"c": "v 5"}) == expected


def test_items_in_order_with_type_and_rule_number() -> None:
    rule = {
        "items": [
            {"type": "nav", "each": "#nav li", "fields": {"link": {"css": "a", "type": "url"}}},
            {"type": "head", "key": ["title"], "fields": {"title": "h1", "site": {"value": "x"}}},
        ]
    }
    items, requests = parse(rule)
    assert [(item.type, item.rule) for item in items] == [("nav", 0)] * 3 + [("head", 1)]
    assert [item.get("link") for item in items[:3]] == ["http://x.example/b/x", "http://x.example/y", None]
    assert list(items[3].items()) == [("title", "The list"), ("site", "x")]
    assert requests == []


def test_a_page_without_any_field_is_no_item() -> None:
    fields = {"a": "h3", "b": {"css": "h4", "default": 1}, "c": {"value": 2}}
    assert parse({"items": [{"type": "t", "fields": fields}]})[0] == []
    assert parse({"items": [{"type": "t", "fields": {"c": {"value": 2}}}]})[0] == [{"c": 2}]
    assert parse({"items": [{"type": "t", "fields": {}}]}, "")[0] == [{}]
    assert parse({"items": [{"type": "t", "each": "p.price", "fields": {"a": "h3"}}]})[0] == [{"a": None}] * 2


def test_values_are_not_shared_between_items() -> None:
    first, second, _ = field({"value": ["x"]}, each="div.r")
    first.append("y")
    assert second == ["x"]


def test_on_missing_fail() -> None:
    with pytest.raises(ParseError, match="field f has no value"):
        field({"css": ".price", "type": "int", "on_missing": "fail"}, each="div.r")
    assert field({"css": ".price", "type": "int", "on_missing": "null"}, each="div.r") == [12, None, None]


def test_a_record_without_a_required_value_is_dropped() -> None:
    rule = {
        "items": [{"each": "div.r", "fields": {"a": {"css": "h2", "required": True}, "t": {"css": ".t", "many": True}}}]
    }
    found = list(Fields({"r": rule}).parse(page()))
    assert [one["a"] for one in found if isinstance(one, Item)] == ["One i", "Two"]
    assert [one.reason for one in found if isinstance(one, Drop)] == ["missing a"]


FOLLOWS: list[tuple[Any, list[str]]] = [
    ("#nav a", ["x", "/y#f"]),
    ({"css": "#nav a, #nav img"}, ["x", "/y#f", "i.png"]),
    ({"css": "div::attr(data-id)"}, ["7"]),
    ({"css": "h2::text"}, ["One", "Two"]),
    ({"css": "h2"}, []),
    ({"each": "div.r", "css": "a"}, ["2"]),  # the first match decides; in the first record it leads nowhere
    ({"each": "div.r", "css": "a.go"}, ["1", "2"]),
    ({"each": "a.go", "css": "::attr(href)"}, ["1", "2"]),
]


@pytest.mark.parametrize(("follow", "urls"), FOLLOWS)
def test_links(follow: Any, urls: list[str]) -> None:
    assert [request.url for request in parse({"follow": [follow]})[1]] == urls


def test_what_a_followed_link_brings_along() -> None:
    follow = {
        "each": "div.r",
        "css": "a.go",
        "page": "detail",
        "priority": 5,
        "limit": 3,
        "method": "POST",
        "body": "q=é",
        "headers": {"A": "b"},
        "carry": {"title": {"css": "h2"}, "n": {"css": ".price", "type": "int"}},
    }
    first, second = parse({"follow": ["nope", follow]})[1]
    assert first == Request(
        "1",
        method="POST",
        headers={"Content-Type": "application/x-www-form-urlencoded", "A": "b"},
        body="q=é".encode(),
        page="detail",
        carry={"title": "One i", "n": 12},
        priority=5,
        rule_limit=("pages.r.follow.1.limit", 3),
    )
    assert second.carry == {"title": "Two"}


def test_carry_of_the_page() -> None:
    requests = parse({"follow": [{"css": "#nav a", "carry": {"head": {"css": "h1"}}}]})[1]
    assert [request.carry for request in requests] == [{"head": "The list"}] * 2
    assert requests[0].carry is not requests[1].carry


def test_pages_of_other_rules_and_kinds() -> None:
    plugin = Fields({"r": {"items": [{"fields": {"a": "h1"}}], "follow": ["a"]}})
    assert list(plugin.parse(Page("http://x.example/", body=b"<h1>x", rule="other"))) == []
    other = Page("http://x.example/", headers=[("Content-Type", "image/png")], body=b"<h1>x<a href=y>", rule="r")
    assert list(plugin.parse(other)) == []


def test_all_mistakes_at_once_with_their_places() -> None:
    rules = {
        "list": {
            "parser": "lexbor",
            "items": [
                {"each": "div[", "fields": {"a": "h1::nope", "b": {"css": "p:empty"}, "c": {"css": "p", "regex": "("}}}
            ],
            "follow": ["a:foo", {"each": ":bar", "css": "::attr()", "carry": {"x": {"css": ">"}}}],
        }
    }
    with pytest.raises(ExceptionGroup) as caught:
        Fields(rules)
    errors = [error for error in caught.value.exceptions if isinstance(error, OptionError)]
    assert [error.path for error in errors] == [
        ("list", "items", 0, "each"),
        ("list", "items", 0, "fields", "a"),
        ("list", "items", 0, "fields", "b", "css"),
        ("list", "items", 0, "fields", "c", "regex"),
        ("list", "follow", 0),
        ("list", "follow", 1, "each"),
        ("list", "follow", 1, "css"),
        ("list", "follow", 1, "carry", "x", "css"),
    ]
    assert "use parser: auto or soup" in str(errors[2])


def test_notes_name_the_selectors_that_beautifulsoup_answers() -> None:
    rule = {"items": [{"fields": {"a": "h1", "b": {"css": "p:-soup-contains('x')"}}}]}
    assert [path for path, _ in Fields({"r": rule}).notes] == [("r", "items", 0, "fields", "b", "css")]
    assert Fields({"r": {**rule, "parser": "soup"}}).notes == []


def test_both_parsers_give_the_same_items() -> None:
    rule = {"items": [{"each": "div.r", "fields": {"a": "h2", "t": {"css": ".t", "many": True}}}], "follow": ["a"]}
    assert parse(rule) == parse({**rule, "parser": "soup"}) == parse({**rule, "parser": "lexbor"})


# --- values -----------------------------------------------------------------------------------------------------------

INTS = [
    *(
        ("12", 12),
        (" -3 ", -3),
        ("+4", 4),
        ("1,234", 1234),
        ("1,234,567", 1234567),
        ("1 234", 1234),
        ("1.234.567", 1234567),
    ),
    *(("1'234", 1234), ("€ 1\u00a0234", 1234), ("12 €", 12), ("-$5", -5), ("\u22125", -5), ("007", 7)),
    *(
        (bad, None)
        for bad in ("", "1.234", "12.0", "1,23", "12,34,567", "1,234 567", "1234,567", "x1", "1_0", "1e3", "--1", "€")
    ),
]
FLOATS = [
    *(("1.5", 1.5), ("1,5", 1.5), ("12", 12.0), ("1,234.5", 1234.5), ("1.234,5", 1234.5), ("1,234,567", 1234567.0)),
    *(("1.234.567", 1234567.0), ("1.234", 1.234), ("1 234,5", 1234.5), (".5", 0.5), ("1e3", 1000.0), ("£51.77", 51.77)),
    *(("1,234,567.8", 1234567.8), ("-1,5", -1.5), ("1 234", 1234.0)),
    *((bad, None) for bad in ("", "1,234", "nan", "inf", "1e999", "1.2.3", "1,2,3", "1_0", "x", "1,234,5", "0x10")),
]


@pytest.mark.parametrize(("text", "value"), INTS)
def test_int(text: str, value: int | None) -> None:
    assert read_int(text) == value


@pytest.mark.parametrize(("text", "value"), FLOATS)
def test_float(text: str, value: float | None) -> None:
    assert read_float(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("Yes", True), (" on", True), ("1", True), ("FALSE", False), ("0", False), ("", None), ("2", None)],
)
def test_bool(text: str, value: bool | None) -> None:
    assert read_bool(text) is value


@given(st.integers())
def test_integers_come_back(number: int) -> None:
    assert read_int(str(number)) == number
    assert read_int(f"{number:,}") == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_come_back(number: float) -> None:
    assert read_float(repr(number)) == number


@given(st.text(max_size=12))
def test_reading_never_raises(text: str) -> None:
    read_int(text)
    read_float(text)
    read_bool(text)
    assert read_int("9" * 5000) is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"v":', "cannot be read as that"),
        ("<h1>500</h1>", "cannot be read as that"),
        ('{"v":' + "[" * 100_000, "nested too deep"),
        ('{"v":' + "9" * 5000 + "}", "cannot be read as that"),
    ],
)
def test_a_page_that_is_said_to_be_json_and_is_none_fails(body: str, said: str) -> None:
    """Nothing of it would be known otherwise: it would be a page without items."""
    rule = {"items": [{"type": "t", "fields": {"f": {"json": "v"}}}]}
    broken = Page("http://x.example/p", 200, [("Content-Type", "application/json")], body.encode(), rule="r")
    with pytest.raises(ParseError, match=said):
        list(Fields({"r": rule}).parse(broken))
    empty = Page("http://x.example/p", 200, [("Content-Type", "application/json")], b" \n", rule="r")
    assert list(Fields({"r": rule}).parse(empty)) == []
