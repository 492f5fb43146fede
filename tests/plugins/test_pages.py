"""Real pages, read by rules that were written by hand: each stated field is what the corpus says, by either parser."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import Item, Page
from pipeline.config.rules import PageRule
from pipeline.model import one_by_one
from plugins.parse.fields import Fields

CORPUS = Path(__file__).resolve().parents[3] / "shared/corpus/open"
RULES = Path(__file__).parent / "pages"
PARSERS = ["auto", "soup"]
pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="the corpus is not here")


def rules(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((RULES / name).read_text(encoding="utf-8"))
    return found


def cases(name: str) -> list[Any]:
    return [
        pytest.param(page, rule["fields"], id=f"{kind}-{page}")
        for kind, rule in rules(name).items()
        for page in rule["pages"]
    ]


def read(fields: Any, page: Page, parser: str, **more: Any) -> list[Item]:
    """The items of the page, by a rule that has been through the config's model."""
    rule = PageRule.model_validate({"parser": parser, "items": [{"fields": fields, **more}]}).dump()
    return [one for one in one_by_one(Fields({"": rule}).parse(page)) if isinstance(one, Item)]


def html(url: str, body: bytes) -> Page:
    return Page(url, 200, [("Content-Type", "text/html")], body)


def as_digits(value: Any) -> str:
    """A number as the corpus writes it: without zeros at the end."""
    text = str(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(("name", "fields"), cases("products.yaml"))
def test_product_pages(name: str, fields: Any, parser: str) -> None:
    truth = json.loads((CORPUS / "pages_products/ground_truth.json").read_text(encoding="utf-8"))
    (key,) = [key for key in truth if key.startswith(name)]
    body = gzip.decompress((CORPUS / f"pages_products/html/{key}.html.gz").read_bytes())
    (item,) = read(fields, html(truth[key]["url"], body), parser)
    assert item.keys() == fields.keys()
    for field, value in item.items():
        accepted = [text.strip() for text in truth[key][field]]
        if isinstance(value, int | float | Decimal):
            assert as_digits(value) in map(as_digits, accepted), field
        else:
            assert value in accepted, field


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(("name", "fields"), cases("articles.yaml"))
def test_article_pages(name: str, fields: Any, parser: str) -> None:
    folder = CORPUS / "pages_readability" / name
    truth = json.loads((folder / "expected-metadata.json").read_text(encoding="utf-8"))
    body = gzip.decompress((folder / "source.html.gz").read_bytes())
    (item,) = read(fields, html("http://fakehost/test/page.html", body), parser)
    assert item.keys() == fields.keys()
    for field, value in item.items():
        expected = truth[field]
        assert expected is not None, field
        if isinstance(value, datetime):
            wanted = datetime.fromisoformat(expected)
            assert value == (wanted if wanted.tzinfo else wanted.replace(tzinfo=UTC)), field
        else:
            assert (value.isoformat() if isinstance(value, date) else value) == expected, field


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(("name", "fields"), cases("bodies.yaml"))
def test_texts_of_articles(name: str, fields: Any, parser: str) -> None:
    truth = json.loads((CORPUS / "pages_articles/ground_truth.json").read_text(encoding="utf-8"))
    (key,) = [key for key in truth if key.startswith(name)]
    body = gzip.decompress((CORPUS / f"pages_articles/html/{key}.html.gz").read_bytes())
    (item,) = read(fields, html(truth[key]["url"], body), parser)
    assert dict(item) == {"articleBody": truth[key]["articleBody"]}


IANA = {
    "each": "#arpa-table tbody tr",
    "fields": {
        "domain": "td",
        "ascii": "td span.domain",
        "language": "td:nth-child(3)",
        "script": {"css": "td", "index": -1},
        "link": {"css": "td a", "type": "url"},
    },
}
ITEM = {
    "fields": {
        "name": {"css": "h1", "regex": r"^(.*) name$"},
        "price": {"xpath": "//li[1]", "regex": r"\$(.*)", "type": "decimal"},
        "stock": {"css": "li", "index": -1, "regex": r"\d+", "type": "int"},
    }
}
SMALL: list[tuple[str, dict[str, Any], int, dict[str, Any]]] = [
    (
        "IANA \u2014 IANA-managed Reserved Domains.html",
        IANA,
        11,
        {
            "domain": "\u0baa\u0bb0\u0bbf\u0b9f\u0bcd\u0b9a\u0bc8",
            "ascii": "XN--HLCJ6AYA9ESC7A",
            "language": "Tamil",
            "script": "Tamil",
            "link": "http://small.example/domains/root/db/xn--hlcj6aya9esc7a.html",
        },
    ),
    ("scrapy_item1.html", ITEM, 1, {"name": "Item 1", "price": Decimal(100), "stock": 12}),
    ("scrapy_item2.html", ITEM, 1, {"name": "Item 2", "price": Decimal(200), "stock": 5}),
    (
        "scrapy_index.html",
        {"each": {"xpath": "//li"}, "fields": {"text": "a", "number": {"css": "::text", "default": "none"}}},
        3,
        {"text": "Item 999 (not found)", "number": "none"},
    ),
    (
        "Tutorial \u2014 Webstruct 0.6 documentation.html",
        {"each": "h2", "fields": {"title": {"css": "::text"}, "anchor": "a.headerlink::attr(href)"}},
        7,
        {"title": "Model Development", "anchor": "#model-development"},
    ),
    (
        "Scrapinghub Enterprise Solutions.html",
        {"each": ".company-info", "fields": {"tax": {"css": "p", "index": -1, "regex": "VAT Number (.*)"}}},
        1,
        {"tax": "IE 9787078K"},
    ),
]


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(("name", "rule", "count", "last"), SMALL)
def test_small_pages(name: str, rule: dict[str, Any], count: int, last: dict[str, Any], parser: str) -> None:
    body = (CORPUS / "pages_small" / name).read_bytes()
    items = read(rule["fields"], html("http://small.example/", body), parser, each=rule.get("each"))
    assert dict(items[-1]) == last
    assert len(items) == count


def test_there_are_enough_pages_and_kinds() -> None:
    for name, kinds, pages in (("products.yaml", 10, 30), ("articles.yaml", 10, 20), ("bodies.yaml", 10, 30)):
        found = rules(name).values()
        assert len(found) >= kinds
        assert sum(len(kind["pages"]) for kind in found) >= pages
    assert len(SMALL) >= 5
