"""The field language: every example of docs/config.md, records that are no elements, links by number and cursor."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import Drop, Item, Links, OptionError, Page, Request, RunInfo
from pipeline.config.rules import PageRule
from pipeline.model import one_by_one
from plugins.filter.omit import Omit
from plugins.filter.where import Where
from plugins.parse._transform import EXAMPLES, MAKERS, PLAIN, StepError, compile_step
from plugins.parse._values import read_decimal, read_float, read_int
from plugins.parse.fields import Fields

DOCS = Path(__file__).resolve().parents[2] / "docs/config.md"
RUN = RunInfo("r1", datetime(2026, 11, 24, 12, tzinfo=UTC), "x", logging.getLogger("hookline.plugin"))
EXAMPLE = """<!doctype html><meta property=og:title content=Pot><meta name=Author content=Ann>
<script type=application/ld+json>{"@type": "Product", "brand": "ACME"}</script>
<script type=application/json>{"data": {"sku": "T-1", "stock": 7}, "data2": 1}</script>
<script type=application/json>{"stock": 7}</script>
<h1>Tea <b>pot</b></h1><p class=price>12,50 <small>EUR</small></p><a href=/next>on</a><img alt="A pot">
<ul><li><b>a</b><i>1</i><li><b>b</b><i>2</i></ul>
<div itemscope itemtype=http://schema.org/Rating><span itemprop=ratingValue>4</span></div>"""


def fields(specs: dict[str, Any], each: Any = None) -> dict[str, Any]:
    """A page rule that has been through the config's model."""
    return PageRule.model_validate({"items": [{"each": each, "fields": specs}]}).dump()


def read(rule: dict[str, Any], body: str, content_type: str = "text/html", **more: Any) -> list[Any]:
    url = more.pop("url", "http://x.example/t/1")
    page = Page(url, 200, [("Content-Type", content_type)], body.encode(), rule="r", run=RUN, **more)
    return list(one_by_one(Fields({"r": rule}).parse(page)))


def value(spec: Any, body: str = EXAMPLE, content_type: str = "text/html", **more: Any) -> Any:
    (item,) = read(fields({"f": spec}), body, content_type, **more) or [{"f": None}]
    return item["f"]


# --- the examples of the documents -----------------------------------------------------------------------------------


def examples(heading: str) -> Iterator[Any]:
    """(example, what it gives) of the table below a heading."""
    text = DOCS.read_text(encoding="utf-8").partition(f"**{heading}")[2]
    for line in text[: text.index("\n\n", text.index("|:--"))].splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 4 and cells[2].startswith("`"):
            yield pytest.param(cells[2].strip("`"), cells[3].strip("`"), id=cells[2].strip("`"))


def as_json(found: Any) -> Any:
    return json.loads(json.dumps(found, default=lambda one: one if isinstance(one, int) else str(one)))


@pytest.mark.parametrize(("example", "gives"), [*examples("Sources"), *examples("Types")])
def test_the_documented_fields(example: str, gives: str) -> None:
    found = value(yaml.safe_load(example), carry={"rating": "Three"})
    if isinstance(found, Decimal):
        assert str(found) == gives
    elif isinstance(found, date):
        assert found.isoformat() == json.loads(gives)
    else:
        assert found == json.loads(gives)


@pytest.mark.parametrize(("example", "gives"), list(examples("Steps")))
def test_the_documented_steps(example: str, gives: str) -> None:
    spec = {"value": "Tea-pot, blue", "transform": yaml.safe_load(example)}
    assert value(spec, "") == json.loads(gives)


def test_every_step_is_documented() -> None:
    text = DOCS.read_text(encoding="utf-8").partition("**Steps of")[2].partition("### Follow")[0]
    told = {
        name
        for line in text.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert told == {*PLAIN, *MAKERS} and set(EXAMPLES) == set(MAKERS)


@pytest.mark.parametrize("example", EXAMPLES.values())
def test_the_examples_in_errors_are_right(example: str) -> None:
    assert callable(compile_step(yaml.safe_load(example)))


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("lowr", "no step 'lowr'"),
        ({"lower": 1}, "lower takes nothing"),
        ("replace", "replace needs a value"),
        ({"replace": "a"}, "cannot take 'a'"),
        ({"sub": ["(", ""]}, "cannot take"),
        ({"sub": ["a", r"\1"]}, "cannot take"),
        ({"slice": "ab"}, "cannot take"),
        ({"item": "x"}, "cannot take"),
        ({"json": "a.["}, "cannot take"),
        ({"map": ["a"]}, "cannot take"),
        ({"split": ""}, "cannot take"),
    ],
)
def test_wrong_steps(step: Any, message: str) -> None:
    with pytest.raises(StepError, match=message):
        compile_step(step)


# --- fields ----------------------------------------------------------------------------------------------------------

HTML = """<h1>T</h1><div id=a><p>x <i>y</i> z<!--c--> w</p><p>2</p><p>3</p></div>
<div id=b><p><i>y</i></p></div><script>var s = {"p": {"n": [1, 2]}};</script>"""


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"css": "p", "index": -1}, ["3", "y"]),
        ({"css": "p", "index": 1}, ["2", None]),
        ({"css": "p", "many": True, "separator": "+"}, ["x y z w+2+3", "y"]),
        ({"css": "p", "many": True, "separator": "+", "regex": r"\d\+\d"}, ["2+3", None]),
        ({"css": "p", "child": 0}, ["x", None]),
        ({"css": "p", "child": 2}, ["z", None]),
        ({"css": "p", "child": -1}, ["w", None]),
        ({"css": "p", "child": 9}, [None, None]),
        ({"css": "h1", "from": "page"}, ["T", "T"]),
        ({"xpath": "ancestor::body/h1"}, ["T", "T"]),
        ({"xpath": "count(p)", "type": "int"}, [3, 1]),
        ({"xpath": "@id"}, ["a", "b"]),
        ({"xpath": "p/text()", "many": True}, [["x", "z w", "2", "3"], []]),
        ({"css": "p", "regex": {"pattern": r"(\w) (\w)", "group": 2}}, ["y", None]),
        ({"css": "p", "regex": {"pattern": r"(?P<n>\w) \w", "group": "n"}}, ["x", None]),
        ({"css": "p", "regex": {"pattern": r"(\w) \w", "group": 0}}, ["x y", None]),
        ({"css": "p", "regex": {"pattern": r"\w", "index": -1}}, ["w", "y"]),
        ({"css": "p", "regex": r"[^z]*"}, ["x y", "y"]),
        ({"css": "p", "regex": r"x(\s+)y"}, [None, None]),
        ({"css": "p", "regex": {"pattern": r"\w", "index": 3}}, ["w", None]),
        ({"first_of": [{"css": "p", "regex": r"\d"}, "p i"]}, ["y", "y"]),
        ({"first_of": ["p", {"css": "p", "index": 1}], "type": "int"}, [2, None]),
        ({"first_of": ["b", {"css": "p", "index": 1, "default": "none"}]}, ["2", "none"]),
        ({"join": ["b", "p i", {"css": "p", "index": 1}]}, ["y 2", "y"]),
        ({"join": [{"value": "<"}, {"css": "p", "index": 2}, {"value": ">"}], "separator": ""}, ["<3>", None]),
        ({"join": [{"value": "a"}, {"value": ""}, {"value": " b"}], "separator": "-"}, ["a- b", "a- b"]),
        ({"join": [{"css": "p", "many": True}, {"join": ["p i", "p i"], "separator": "/"}], "separator": "|"},
         ["x y z w|2|3|y/y", "y|y/y"]),
        ({"fields": {"n": {"css": "p", "index": 1}, "c": {"value": 1}}}, [{"n": "2", "c": 1}, None]),
        ({"css": "p", "fields": {"i": {"css": "i", "required": True}}, "many": True}, [[{"i": "y"}], [{"i": "y"}]]),
        ({"xpath": "p[i]", "fields": {"i": "i", "t": {"css": "::text"}}},
         [{"i": "y", "t": "x z w"}, {"i": "y", "t": None}]),
        ({"css": "script", "from": "page", "regex": r"s = (\{.*\});", "transform": [{"json": "p.n[1]"}]}, [2, 2]),
        ({"css": "p", "transform": [{"split": " "}], "many": True}, [["x", "y", "z", "w", "2", "3"], ["y"]]),
    ],
)  # fmt: skip
def test_fields_of_records(spec: Any, expected: list[Any]) -> None:
    assert [item["f"] for item in read(fields({"f": spec}, "div"), HTML)] == expected


DATA = json.dumps(
    {"items": [{"n": "a", "p": 1.5, "t": ["x", "y"], "d": {"k": 1}}, {"n": None, "p": "2"}, 3], "next": "c2"}
)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"json": "n"}, ["a", None, None]),
        ({"json": "p"}, [1.5, "2", None]),
        ({"json": "p", "type": "decimal"}, [Decimal("1.5"), Decimal(2), None]),
        ({"json": "p", "type": "str"}, ["1.5", "2", None]),
        ({"json": "p", "type": "float", "decimal": ","}, [1.5, 2.0, None]),
        ({"json": "t"}, [["x", "y"], None, None]),
        ({"json": "t", "many": True}, [["x", "y"], [], []]),
        ({"json": "t", "index": -1}, ["y", None, None]),
        ({"json": "t", "type": "str"}, ["x", None, None]),
        ({"json": "d"}, [{"k": 1}, None, None]),
        ({"json": "length(t)"}, [2, None, None]),
        ({"json": "@"}, [{"n": "a", "p": 1.5, "t": ["x", "y"], "d": {"k": 1}}, {"n": None, "p": "2"}, 3]),
        ({"json": "next", "from": "page"}, ["c2"] * 3),
        ({"css": "p"}, [None] * 3),
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "text/html", "text/plain"])
def test_records_of_json(spec: Any, expected: list[Any], content_type: str) -> None:
    items = read(fields({"f": spec}, {"json": "items"}), DATA, content_type)
    assert [item["f"] for item in items] == expected


LD = """<div><script type=application/ld+json>{"@type": "Event", "name": "A", "startDate": "2026-01-02",
"offers": [{"price": 5}]}</script></div><div><script type=application/ld+json>{"@graph": [{"@type":
"MusicEvent", "name": "B", "offers": {"price": "6"}}]}</script></div>"""


def test_records_of_json_ld() -> None:
    specs = {"n": {"jsonld": "name"}, "p": {"jsonld": "offers.price", "type": "int"}}
    assert read(fields(specs, {"jsonld": "*"}), LD)[0] == {"n": "A", "p": 5}
    assert read(fields(specs, {"jsonld": "MusicEvent"}), LD) == [{"n": "B", "p": 6}]
    inside = {"n": {"jsonld": "*.name"}, "d": {"jsonld": "Event.startDate", "type": "date"}}
    assert read(fields(inside, "div"), LD) == [{"n": "A", "d": date(2026, 1, 2)}, {"n": "B", "d": None}]


FEED = """<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom" xmlns:media="http://m">
<entry><title>A &amp; B</title><link href="/a"/><media:title>M</media:title><media:thumb media:url="/t" k="1"/></entry>
<entry><title>C<!-- no --> D</title><link href="/c"/></entry></feed>"""


@pytest.mark.parametrize("content_type", ["application/atom+xml", "text/html", "text/plain"])
@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("title", ["A & B", "C D"]),
        ({"css": "link", "type": "url"}, ["http://x.example/a", "http://x.example/c"]),
        (r"media\:title", ["M", None]),
        (r"media\:thumb::attr(media:url)", ["/t", None]),
        ("[k]::attr(k)", ["1", None]),
        ("entry > title:first-child", [None, None]),
        ({"xpath": "title/text()"}, ["A & B", "C D"]),
        ({"xpath": "media:title"}, ["M", None]),
        ({"xpath": "other:title"}, [None, None]),
        ({"xpath": "count(link)", "type": "int"}, [1, 1]),
        ({"css": "title", "child": 0}, ["A & B", "C D"]),
        ("link::html", ['<link href="/a"/>', '<link href="/c"/>']),
    ],
)
def test_records_of_a_feed(spec: Any, expected: list[Any], content_type: str) -> None:
    for each in ("feed > entry", {"xpath": "//entry"}):
        found = read(fields({"f": spec}, each), FEED, content_type)
        namespaces = ' xmlns="http://www.w3.org/2005/Atom" xmlns:media="http://m"'
        values = [one["f"].replace(namespaces, "") if isinstance(one["f"], str) else one["f"] for one in found]
        assert [
            re.sub(r' xmlns(:\w+)?="[^"]*"', "", one) if isinstance(one, str) else one for one in values
        ] == expected


def test_what_is_dropped_and_what_is_no_item() -> None:
    rule = fields({"a": {"json": "x", "required": True}, "b": {"value": 1}}, {"json": "@"})
    found = read(rule, '[{"x": 1}, {}, {"x": ""}]', "application/json")
    assert [one if isinstance(one, Item) else one.reason for one in found if isinstance(one, Item | Drop)] == [
        {"a": 1, "b": 1},
        "missing a",
        "missing a",
    ]
    assert read(fields({"a": {"jsonld": "X.y"}, "b": {"meta": "nope"}}), f"<meta name=x content=y>{LD}") == []
    assert read(fields({"a": {"json": "x"}}), "[]", "application/json") == []


# --- links -----------------------------------------------------------------------------------------------------------


def links(spec: Any, body: str, content_type: str = "text/html", **more: Any) -> list[Request]:
    rule = PageRule.model_validate({"items": more.pop("items", []), "follow": [spec]}).dump()
    found = read(rule, body, content_type, **more)
    return list(one_by_one(one for one in found if isinstance(one, Request | Links)))


@pytest.mark.parametrize(
    ("spec", "urls"),
    [
        ({"xpath": "//a[2]"}, ["/2"]),
        ({"css": "a", "index": -1}, ["/2"]),
        ({"css": "a", "regex": r"\d", "transform": [{"prefix": "/n/"}]}, ["/n/1", "/n/2"]),
        ({"first_of": ["a.no", "a"]}, ["/1"]),
        ({"join": [{"value": "/x/"}, {"css": "b"}], "separator": ""}, ["/x/B"]),
        ({"value": "/about"}, ["/about"]),
        ({"css": "b", "url": "/q?b={value}"}, []),
        ({"css": "b::text", "url": "/q?b={value}&c"}, ["/q?b=B&c"]),
        ({"css": "b::text", "param": "b"}, ["http://x.example/l?a=1&b=B"]),
        ({"each": {"xpath": "//p"}, "css": "a"}, ["/1", "/2"]),
    ],
)
def test_links(spec: Any, urls: list[str]) -> None:
    body = "<p><a href=/1>x</a></p><p><b>B</b><a href=/2>x</a></p><a href=/2 class=x></a>"
    found = links(spec, body.replace("<a href=/2 class=x></a>", ""), url="http://x.example/l?a=1&b=0")
    if spec == {"xpath": "//a[2]"}:
        found = links({"xpath": "(//a)[2]"}, body)[:1]
    assert [one.url for one in found] == urls


ITEMS = [{"each": {"json": "items"}, "fields": {"n": {"json": "n"}}}]


@pytest.mark.parametrize(
    ("spec", "url", "found"),
    [
        ({"number": 1, "param": "page"}, "/l", "/l?page=2"),
        ({"number": 1, "param": "page"}, "/l?x=1&page=2&y=2", "/l?x=1&page=3&y=2"),
        ({"number": {"start": 0, "step": 20}, "param": "offset"}, "/l?offset=20", "/l?offset=40"),
        ({"number": 1, "url": "/l/{value}/"}, "/l/", "/l/2/"),
        ({"number": 1, "url": "/l/{value}/"}, "/l/7/", "/l/8/"),
        ({"json": "next", "param": "cursor"}, "/l?cursor=c1", "/l?cursor=c2"),
        ({"json": "next", "url": "/l/{value}"}, "/l", "/l/c2"),
        (
            {"number": 1, "param": "page"},
            "/l?q=%E4+%20b&flag&page=2&sig=a%2Bb/c",
            "/l?q=%E4+%20b&flag&page=3&sig=a%2Bb/c",
        ),
        ({"number": 1, "param": "p[n]"}, "/l?p%5Bn%5D=2&p[n]=7", "/l?p[n]=8"),
        ({"number": 1, "param": "a b"}, "/l", "/l?a+b=2"),
        ({"json": "none", "param": "cursor"}, "/l", None),
        ({"number": {"while": "a"}, "param": "page"}, "/l", None),
    ],
)
def test_the_next_page_by_number_or_cursor(spec: Any, url: str, found: str | None) -> None:
    requests = links(spec, DATA, "application/json", items=ITEMS, url=f"http://x.example{url}")
    assert [one.url.removeprefix("http://x.example") for one in requests] == ([found] if found else [])


def test_numbers_end_where_a_page_gives_nothing() -> None:
    assert links({"number": 1, "param": "page"}, '{"items": []}', "application/json", items=ITEMS) == []


def test_bodies() -> None:
    spec = {"number": 1, "body": {"page": "{value}", "q": "*"}, "headers": {"X-A": "b"}}
    (first,) = links(spec, DATA, "application/json", items=ITEMS)
    assert (first.method, first.url) == ("POST", "http://x.example/t/1")
    assert json.loads(first.body or b"") == {"page": 2, "q": "*"}
    assert first.headers == {"Content-Type": "application/json", "X-A": "b"}
    (second,) = links(spec, DATA, "application/json", items=ITEMS, carry=first.carry)
    assert json.loads(second.body or b"")["page"] == 3
    (cursor,) = links({"json": "next", "body": "c={value}"}, DATA, "application/json")
    assert (cursor.method, cursor.body) == ("POST", b"c=c2")
    assert cursor.headers == {"Content-Type": "application/x-www-form-urlencoded"}
    (typed,) = links({"json": "next", "body": "{value}", "headers": {"content-type": "text/plain"}}, DATA, "text/html")
    assert typed.headers == {"content-type": "text/plain"}
    (bare,) = links({"json": "next", "method": "POST"}, DATA, "application/json")
    assert (bare.headers, bare.body) == ({}, None)


# --- numbers, filters ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sign", "number"),
    [
        ("1.234,50", ",", "1234.50"),
        ("1.234", ",", "1234"),
        ("1,5", ",", "1.5"),
        ("1'234.50", ".", "1234.50"),
        ("CHF 12.-", ".", "12"),
        ("12,- \u20ac", ",", "12"),
        ("EUR 1 234,5", ",", "1234.5"),
        ("-1.000.000,01", ",", "-1000000.01"),
        (",5", ",", "0.5"),
        ("1,234.5", ",", None),
        ("12.34.56", ",", None),
        ("", ",", None),
        (",", ",", None),
        ("-", ".", None),
        ("1.50", None, "1.50"),
        ("USD 99.95", None, "99.95"),
        ("1,234", None, None),
        *(("1 234,56 z\u0142", None, "1234.56"), ("1 299 K\u010d", None, "1299"), ("R$ 1.299,90", None, "1299.90")),
        *(
            ("US$ 12.00", None, "12.00"),
            ("-US$12.00", None, "-12.00"),
            ("Fr. 12.\u2013", None, "12"),
            ("kr 1 299", None, "1299"),
        ),
        *(
            ("1 299,00 kr.", None, "1299.00"),
            ("299:-", None, "299"),
            ("12,--", ".", "12"),
            ("Rs. 1,500.00", None, "1500.00"),
        ),
        *(
            ("12,- \u20ac", None, "12"),
            ("500 \u0440\u0443\u0431.", None, "500"),
            ("CHF 1\u2019234.50", None, "1234.50"),
        ),
        *(
            ("\u0661\u0662\u066b\u0665", None, "12.5"),
            ("\uff11\uff12\uff0c\uff15", None, "12.5"),
            ("\u0e53\u0e54", None, "34"),
        ),
        *(
            (bad, None, None)
            for bad in ("12 kg", "12 St\u00fcck", "kr", "fr 12 kr", "12.5 EUR/kg", "1.2k", "12 - 15", "x12", "12,-5")
        ),
    ],
)
def test_decimals(text: str, sign: str | None, number: str | None) -> None:
    found = read_decimal(text, sign)
    assert (None if found is None else str(found)) == number
    assert read_float(text, sign) == (None if number is None else float(number))
    if number is not None and "." not in number:
        assert read_int(text, sign) == int(number)


def test_where_knows_the_start_of_the_run() -> None:
    later = Where("when > now", RUN)
    assert later.process_item(Item(when=datetime(2026, 11, 25, tzinfo=UTC))) is None
    assert later.process_item(Item(when=date(2026, 11, 25))) is None
    assert isinstance(later.process_item(Item(when=date(2026, 11, 24))), Drop)
    assert isinstance(later.process_item(Item(when=None)), Drop)


KNOWN = {
    "a": {"title": "str", "price": "str", "day": "date"},
    "b": {"count": "int", "tags": "list", "data": "", "flag": "bool"},
}


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("price > 10", ["'price' is text, and is compared with a number"]),
        (
            "10 <= price and titel == 'x'",
            ["no item has a field 'titel'", "'price' is text, and is compared with a number"],
        ),
        ("exists(nothing) or field('nope')", ["no item has a field 'nothing'", "no item has a field 'nope'"]),
        ("number(price) > 10 and count > 1 and day < now and type == 'a'", []),
        ("matches(title, 'x') or price == null", []),
        ("price == 10", ["'price' is text, and is compared with a number"]),
        ("price + 1 > 3", ["'price' is text, and is calculated with"]),
        ("count == 'x' or '3' < count", ["'count' is a number, and is compared with text"]),
        ("day > 5", ["'day' is a date, and is compared with a number"]),
        ("day > '2026-01-01' and day < now and title > '2026' and now > title", []),
        ("matches(count, 'x')", ["'count' is a number, and matches takes text or a list"]),
        ("starts(day, '2026')", ["'day' is a date, and starts takes text"]),
        ("contains(title, 3)", ["3 is a number, and is looked for in text"]),
        ("price in [1, 2]", ["'price' is text, and is compared with a number"]),
        ("price in [1, '2'] and type in ['a'] and 'x' in title and 'x' in tags and contains(tags, 3)", []),
        ("3 in title", ["3 is a number, and is looked for in text"]),
        ("'x' in count", ["'count' is a number, and nothing is in one"]),
        ("tags > 3", ["'tags' is a list, and is compared with a number"]),
        ("len(tags) > 3 and len(title) > 3 and tags == [1] and -count < 3 and not title == 'x'", []),
        ("lower(title) == 3", ["lower(title) is text, and is compared with a number"]),
        ("field('price') > 3", ["field('price') is text, and is compared with a number"]),
        ("data > 3 and data == 'x' and matches(data, 'x')", []),
        ("price * 2", ["'price' is text, and is calculated with"]),
        ("title + 'x' == 'y' and count + 1 > 2 and title + price == 'y'", []),
        ("flag > 'x'", ["'flag' is true or false, and is compared with text"]),
        ("flag == 1 and flag", []),
    ],
)
def test_where_is_held_against_the_fields(expression: str, said: list[str]) -> None:
    assert [str(error) for error in Where(expression, RUN).check_fields(KNOWN)] == said


def test_omit() -> None:
    item = Item(title="x", tag="y")
    Omit(["tag"]).process_item(item)
    assert item == {"title": "x"}
    (error,) = Omit(["titel"]).check_fields(KNOWN)
    assert isinstance(error, OptionError) and error.hint == "did you mean title?"
