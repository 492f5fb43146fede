"""Whatever a foreign config says, and in whatever order: it is translated, and what comes out passes `check`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.cli.check import _examine
from pipeline.config import load
from pipeline.config.yaml12 import read
from pipeline.errors import ConfigError
from pipeline.importing import goskyr, html2rss

pick = st.sampled_from
SELECTORS = pick(
    [
        *(
            "a",
            "h3 > a:first-child",
            "td[2]",
            "div:contains('x y')",
            "a[@href]",
            "#12x",
            "li:gt(2)",
            ".a\\:b",
            "> p",
            "",
        ),
        *(
            "a:matches('^x')",
            "a::text",
            "h1, h2",
            "b:has(> i)",
            '[data-x="a]b"]',
            "a[href!='x']",
            "a b:",
            "a:last",
            "//a",
        ),
        *("${x}", "%", 'a:containsOwn("it\'s")', "a{b}", "x|y", "array > object", "data array", "object > t"),
    ]
)
REGEXES = pick(
    [
        *(
            "[0-9]{2}",
            "(?i)x",
            "[\\p{L} ]+",
            "(?P<a>x)(y)",
            "^$",
            "[[:alpha:]]",
            "(",
            "a**",
            "\\Qx.y\\E",
            "\\$ {2}",
            "/(a)/",
        ),
        *("${y}", "(?U)a", "\\x{2013}", "x{2,}", "\\pL", "(a)(?i)b", "[\\Q]\\E]", "\\z", "'\"", "\\", "[^\\P{L}]", "]"),
    ]
)
LAYOUTS = pick(
    [
        *(
            "2.1.2006",
            "2006-01-02T15:04:05Z07:00",
            "Mon 2 January",
            "15:04",
            "3pm",
            "Jan",
            "2006",
            "06",
            "2",
            "'06",
            "15h04",
        ),
        *(
            "2nd January 2006",
            "January 2, 2006 3:04 PM",
            "",
            "x",
            "%d",
            "20060102",
            "Monday",
            "MST",
            "2.1. 15:04",
            "002",
        ),
    ]
)
VALUES = pick(["x", "007", "yes", "", "a: b", "# c", "${z}", "'", '"', "%<a>s", "null", "- a", "{x}", "a\nb"])
NAMES = pick(["title", "url", "date", "type", "a b", "_url", "now", "x.y", "and", "123", "t'x"])
TRUTH = st.booleans()


def mapping(needed: dict[str, Any], **optional: Any) -> Any:
    return st.fixed_dictionaries(needed, optional=optional)


def some(of: Any, most: int = 3, least: int = 0) -> Any:
    return st.lists(of, min_size=least, max_size=most)


LOCATION = mapping(
    {},
    selector=SELECTORS,
    attr=pick(["href", "data-x", "x:y", ""]),
    child_index=pick([0, 1, -1]),
    node_index=pick([0, 1, -1]),
    entire_subtree=TRUTH,
    all_nodes=TRUTH,
    separator=pick([", ", "", "\n"]),
    regex_extract=mapping({"exp": REGEXES}, index=pick([0, -1]), ignore_errors=TRUTH),
    default=VALUES,
    max_length=pick([0, 5, -1]),
    json_selector=pick(["//startDate", "//a/b", "/a/b[1]", "a.b", "//*[1]"]),
)
TRANSFORM = some(
    mapping({"type": pick(["regex-replace", "x"]), "regex": REGEXES}, replace=pick(["$1", "${a}", "\\1", "$$x"]))
)
COVERS = mapping(dict.fromkeys(("day", "month", "year", "time"), TRUTH))
COMPONENT = mapping({"covers": COVERS, "location": LOCATION, "layout": some(LAYOUTS)}, transform=TRANSFORM)
FIELD = mapping(
    {"name": NAMES},
    value=VALUES,
    type=pick(["text", "url", "date", "date", "image"]),
    location=st.one_of(LOCATION, some(LOCATION)),
    components=some(COMPONENT, 4),
    date_location=pick(["CET", "Europe/Berlin", "Nowhere"]),
    date_language=pick(["de_DE", "fr_CH", "zz_ZZ", "no", "x"]),
    guess_year=TRUTH,
    can_be_empty=TRUTH,
    hide=TRUTH,
    on_subpage=NAMES,
    transform=TRANSFORM,
)
SCRAPER = mapping(
    {
        "name": VALUES,
        "url": pick(["https://a.example/x?a=1&b=%20", "https://a.example/${x}"]),
        "item": pick(["li", "> p", "a b:"]),
    },
    fields=some(FIELD, 6),
    filters=some(
        mapping({"field": NAMES, "exp": st.one_of(REGEXES, pick(["> now", "< 2026", 'it\'s "x"']))}, match=TRUTH)
    ),
    paginator=mapping({}, location=LOCATION, max_pages=pick([0, 1, 5])),
    fetcher=mapping({"type": pick(["static", "dynamic", "x"])}, page_load_wait_ms=pick([2500])),
    interaction=some(mapping({"type": pick(["click", "scroll"])}, selector=SELECTORS, count=pick([2]))),
    exclude_with_selector=some(SELECTORS, 1),
)
STEP = st.one_of(
    mapping(
        {"name": pick(["gsub"]), "pattern": REGEXES, "replacement": pick(["", "\\1", "\\k<a>", "x\\", {"a": "b"}])}
    ),
    mapping({"name": pick(["template"]), "string": pick(["%{self} %{title}", "%<url>s", "100%", "%{nope}", "x"])}),
    mapping({"name": pick(["substring"])}, start=pick([0, -3]), end=pick([3, -1])),
    mapping({"name": pick(["parse_time", "parse_uri", "markdown_to_html", "html_to_markdown", "sanitize_html", "zz"])}),
)
SELECTOR = mapping(
    {},
    selector=SELECTORS,
    extractor=pick(["text", "html", "href", "attribute", "static", "foo"]),
    attribute=pick(["src", "data-x"]),
    static=VALUES,
    post_process=some(STEP),
)
STRATEGIES = pick(["url_template", "offset", "json_cursor", "rel_next", "zz"])
PAGINATION = st.one_of(
    pick([3]),
    mapping({"strategy": STRATEGIES}, max_pages=pick([1, 2]), cursor_path=pick(["a.b"])),
    mapping({"strategy": pick(["custom_selector"]), "selector": SELECTORS.filter(bool)}),
)
FEED = mapping(
    {
        "channel": mapping(
            {"url": pick(["https://a.example/%<id>s", "https://a.example/x"])},
            title=VALUES,
            time_zone=pick(["UTC", "Nowhere"]),
            language=pick(["en", "de-DE", "zz", "en-us"]),
        ),
        "selectors": mapping(
            {"items": mapping({"selector": SELECTORS.filter(bool)}, pagination=PAGINATION, order=pick(["reverse"]))},
            **dict.fromkeys(
                ("title", "url", "link", "description", "published_at", "enclosure", "price", "type"), SELECTOR
            ),
            categories=some(pick(["title", "price", "nope"]), 2, 1),
            guid=some(pick(["url", "type"]), 1, 1),
        ),
    },
    headers=pick([{"Accept": "application/json"}]),
    strategy=pick(["faraday", "browserless", "auto"]),
    parameters=mapping({"id": mapping({}, default=VALUES)}),
)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@pytest.mark.parametrize("tool", [goskyr, html2rss], ids=["goskyr", "html2rss"])
@given(data=st.data())
def test_what_comes_out_passes_check(tool: Any, data: st.DataObject, tmp_path: Path) -> None:
    source = {"scrapers": [data.draw(SCRAPER)]} if tool is goskyr else data.draw(FEED)
    tree, problems = read(yaml.dump(source, allow_unicode=True).encode(), "x.yml")
    assert not problems
    try:
        documents = tool.translate(tree, "x.yml")
    except ConfigError as error:
        assert all(problem.mark is not None and "expected" in str(problem) for problem in error.problems)
        return
    for document in documents:
        path = tmp_path / "x.yaml"
        path.write_text(document.text, encoding="utf-8")
        report = _examine(load(path))
        assert report["ok"], [problem["text"] for problem in report["problems"]]
