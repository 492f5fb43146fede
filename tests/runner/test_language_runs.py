"""The field language through whole runs: list and detail in one item, pages by number, a cursor by POST, a feed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import ConfigError, run

LIST = "<ul>{}</ul>"
EVENT = "<li><a href=/e/{0}>Event {0}</a> <time>{0}. M\u00e4rz 2027</time><b>CHF {0}.50</b></li>"


def items(config: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    (folder / "c.yaml").write_text(json.dumps({"name": "c"} | config))
    result = run(folder / "c.yaml")
    assert result.exit_code == 0, result.summary.errors
    return [dict(item) for item in result.items]


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_list_and_detail_give_one_item_with_carried_values_as_they_were(
    serve: Callable[..., Any], tmp_path: Path, workers: int
) -> None:
    site = serve({"/": LIST.format(EVENT.format(1) + EVENT.format(2)), "/e/1": "<p>20h15</p>", "/e/2": "<p>soon</p>"})
    when = {
        "css": "time",
        "type": "datetime",
        "languages": ["de"],
        "formats": ["%d. %B %Y"],
        "timezone": "Europe/Zurich",
    }
    carry = {"title": "a", "day": when, "price": {"css": "b", "type": "decimal"}}
    detail = {
        "title": {"carry": "title"},
        "day": {"carry": "day"},
        "price": {"carry": "price"},
        "time": {"css": "p", "regex": {"pattern": r"\d+h\d+"}, "required": True},
    }
    pages = {
        "list": {"match": "/", "follow": [{"each": "li", "css": "a", "page": "event", "carry": carry}]},
        "event": {"match": "/e/*", "items": [{"type": "event", "fields": detail}]},
    }
    store = [{"jsonl": "out.jsonl"}]
    config = {"workers": workers, "seeds": [f"{site.url}/"], "pages": pages, "store": store}
    found = items(config, tmp_path)
    assert [item["title"] for item in found] == ["Event 1"]
    expected = {"title": "Event 1", "day": "2027-03-01T00:00:00+01:00", "price": 1.5, "time": "20h15"}
    assert json.loads((tmp_path / "out.jsonl").read_text()) == expected
    assert '"price":1.50' in (tmp_path / "out.jsonl").read_text().replace(": ", ":")


def test_pages_by_number_until_one_gives_nothing(serve: Callable[..., Any], tmp_path: Path) -> None:
    site = serve({"/l": LIST.format("<li>1"), "/l?page=2": LIST.format("<li>2"), "/l?page=3": LIST.format("")})
    follow = [{"number": 1, "param": "page"}]
    pages = {"list": {"items": [{"each": "li", "fields": {"n": {"css": "::text", "type": "int"}}}], "follow": follow}}
    assert items({"seeds": [f"{site.url}/l"], "pages": pages}, tmp_path) == [{"n": 1}, {"n": 2}]
    assert site.log == ["GET /l", "GET /l?page=2", "GET /l?page=3"]


def test_a_cursor_in_json_by_post(serve: Callable[..., Any], tmp_path: Path) -> None:
    site = serve()
    answers = [{"rows": [{"id": 1}], "next": "b c"}, {"rows": [{"id": 2}, {"id": 3}], "next": None}]
    site.pages["/api"] = [(200, {"Content-Type": "application/json"}, json.dumps(answer)) for answer in answers]
    rule = {
        "items": [{"each": {"json": "rows"}, "fields": {"id": {"json": "id"}}}],
        "follow": [{"json": "next", "body": {"after": "{value}"}}],
    }
    seeds = [{"url": f"{site.url}/api", "json": {"after": None}}]
    found = items({"seeds": seeds, "pages": {"rows": rule}}, tmp_path)
    assert sorted(item["id"] for item in found) == [1, 2, 3]
    assert site.log == ['POST /api {"after":null}', 'POST /api {"after": "b c"}']


def test_a_body_has_a_type(tmp_path: Path) -> None:
    from pipeline.config import load
    from pipeline.runner.build import own_seeds

    url = "http://127.0.0.1:1/"
    seeds = [
        {"url": url},
        {"url": url, "body": "a=1"},
        {"url": url, "json": {}},
        {"url": url, "body": "<a/>", "headers": {"content-type": "text/xml"}},
    ]
    (tmp_path / "c.yaml").write_text(json.dumps({"name": "c", "seeds": seeds}))
    assert [(one.method, one.headers) for one in own_seeds(load(tmp_path / "c.yaml"))] == [
        ("GET", {}),
        ("POST", {"Content-Type": "application/x-www-form-urlencoded"}),
        ("POST", {"Content-Type": "application/json"}),
        ("POST", {"content-type": "text/xml"}),
    ]


def test_carried_values_keep_their_types_in_check(tmp_path: Path) -> None:
    link = {"each": "li", "css": "a", "page": "d", "carry": {"price": "b", "n": {"css": "b", "type": "int"}}}
    fields = {"p": {"carry": "price"}, "n": {"carry": "n", "required": True}}
    pages = {"l": {"match": "/", "follow": [link]}, "d": {"items": [{"fields": fields}]}}
    config = {"name": "c", "seeds": ["http://127.0.0.1:1/"], "pages": pages}
    (tmp_path / "c.yaml").write_text(json.dumps(config | {"filter": [{"where": "p > 3"}, {"where": "n == 'x'"}]}))
    with pytest.raises(ConfigError) as caught:
        run(tmp_path / "c.yaml")
    first, second = caught.value.problems
    assert "'p' is text" in str(first) and "'n' is a number" in str(second)


def test_a_feed_leads_to_its_pages(serve: Callable[..., Any], tmp_path: Path) -> None:
    site = serve({"/p/1": "<h1>One</h1>"})
    feed = f"<rss><channel><item><title>1</title><link>{site.url}/p/1</link></item></channel></rss>"
    site.pages["/feed"] = (200, {"Content-Type": "application/rss+xml"}, feed)
    pages = {
        "feed": {"match": "/feed", "follow": [{"each": "item", "css": "link", "carry": {"n": "title"}}]},
        "page": {"items": [{"fields": {"title": "h1", "n": {"carry": "n"}}}]},
    }
    assert items({"seeds": [f"{site.url}/feed"], "pages": pages}, tmp_path) == [{"title": "One", "n": "1"}]


BASE: dict[str, Any] = {
    "name": "c",
    "seeds": ["http://127.0.0.1:1/"],
    "pages": {"p": {"items": [{"each": "li", "fields": {"title": "a", "price": "b", "tag": "i"}}]}},
}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"filter": [{"where": "price > 10"}]}, "'price' is text, and is compared with a number"),
        ({"filter": [{"where": "titel == 'x'"}]}, "no item has a field 'titel'; did you mean title?"),
        ({"filter": [{"require": ["titel"]}]}, "no item has a field 'titel'; did you mean title?"),
        ({"filter": [{"dedupe": {"by": ["titel"]}}]}, "no item has a field 'titel'; did you mean title?"),
        ({"filter": [{"omit": ["titel"]}]}, "no item has a field 'titel'; did you mean title?"),
        ({"store": [{"csv": {"path": "o.csv", "columns": ["title", "pric"]}}]}, "no item has a field 'pric'"),
        ({"store": [{"sqlite": {"path": "o.db", "columns": ["pric"]}}]}, "no item has a field 'pric'"),
        ({"filter": [{"omit": ["tag"]}], "store": [{"csv": {"path": "o.csv", "columns": ["tag"]}}]}, "no item has a"),
        ({"filter": [{"omit": ["tag"]}, {"require": ["tag"]}]}, "no item has a field 'tag'"),
        ({"filter": [{"rename": {"fields": {"price": "eur"}}}, {"require": ["price"]}]}, "no item has a field 'price'"),
        (
            {"filter": [{"rename": {"fields": {"price": "eur"}}}, {"where": "eur > 3"}]},
            "'eur' is text, and is compared",
        ),
        ({"filter": [{"rename": {"fields": {"pric": "eur"}}}]}, "no item has a field 'pric'; did you mean price?"),
        ({"filter": [{"rename": {"fields": {"tag": "t"}, "drop": ["pric"]}}]}, "no item has a field 'pric'"),
        ({"filter": [{"near_duplicate": "titel"}]}, "no item has a field 'titel'; did you mean title?"),
        ({"store": [{"sqlite": {"path": "o.db", "key": ["pric"]}}]}, "no item has a field 'pric'"),
        (
            {"store": [{"feed": {"path": "o.xml", "link": "http://a.example/", "fields": {"id": ["pric", "tag"]}}}]},
            "store.0.feed.fields.id.0: feed: no item has a field 'pric'",
        ),
        (
            {"store": [{"feed": {"path": "o.xml", "link": "http://a.example/", "fields": {"link": "pric"}}}]},
            "store.0.feed.fields.link: feed: no item has a field 'pric'",
        ),
    ],
)
def test_fields_that_nothing_gives_are_refused(more: dict[str, Any], said: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(json.dumps(BASE | more, indent=1))
    with pytest.raises(ConfigError) as caught:
        run(tmp_path / "c.yaml")
    (problem,) = caught.value.problems
    assert said in str(problem) and problem.mark is not None and problem.mark.line > 20


ADDS = """from pipeline import hookimpl
@hookimpl
def process_item(item):
    item["more"] = 1
"""


@pytest.mark.parametrize(
    "more",
    [
        {"plugins": ["./adds.py"], "store": [{"csv": {"path": "o.csv", "columns": ["more"]}}]},
        {"plugins": ["./adds.py"], "filter": ["adds", {"require": ["more"]}]},
        {"filter": [{"where": "number(price) > 10"}, {"require": ["title"]}]},
        {"store": [{"csv": {"path": "o.csv", "columns": ["title", "_url"], "meta": ["_url"]}}]},
        {"store": [{"csv": {"path": "o.csv", "columns": ["title", "_change", "_noindex"], "only": "changed"}}]},
        {"filter": [{"rename": {"fields": {"price": "eur"}}}, {"omit": ["eur"]}, {"where": "tag == title"}]},
    ],
)
def test_fields_that_a_plugin_may_add_are_not(more: dict[str, Any], tmp_path: Path) -> None:
    from pipeline.config import load
    from pipeline.runner.build import new_run
    from pipeline.runner.plugging import load_host

    (tmp_path / "adds.py").write_text(ADDS)
    (tmp_path / "c.yaml").write_text(json.dumps(BASE | more))
    assert load_host(load(tmp_path / "c.yaml"), new_run("c")).run.name == "c"
