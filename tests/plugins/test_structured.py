"""What pages say about themselves for machines: the corpus of extruct's tests, and paths into it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import Page
from plugins.parse._structured import Graph, read_jsonld, read_microdata, read_opengraph

CORPUS = Path(__file__).resolve().parents[2].parent / "shared/corpus/open/structured_data/extruct.jsonl"
NOWHERE = "http://nowhere.example/"


def cases() -> Iterator[Any]:
    if not CORPUS.exists():
        yield pytest.param({}, marks=pytest.mark.skip(reason="the corpus is not here"))
        return
    for number, line in enumerate(CORPUS.read_text().splitlines()):
        case = json.loads(line)
        if case["syntax"] == "all" and list(case["expected"]) == ["microdata"]:
            case = {**case, "syntax": "microdata", "expected": case["expected"]["microdata"]}
        # `nested: False` is a form of extruct's own, in which items name each other by number
        if case["syntax"] in ("json-ld", "microdata", "opengraph") and case["options"].get("nested", True):
            yield pytest.param(case, id=f"{number}-{case['syntax']}")


def as_extruct(node: Any, strict: bool) -> Any:
    """A node of ours as extruct has it: types and properties apart, with `strict` every value in a list."""
    if not isinstance(node, dict) or "valueName" in node:
        return node
    found = {"type": node.get("@type"), "id": node.get("@id"), "value": node.get("@value")}
    found = {name: value for name, value in found.items() if value is not None}
    if strict and isinstance(found.get("type"), str):
        found["type"] = [found["type"]]
    properties = {}
    for name, value in node.items():
        if not name.startswith("@"):
            values = [as_extruct(one, strict) for one in (value if isinstance(value, list) else [value])]
            properties[name] = values if strict or len(values) > 1 else values[0]
    return found | ({"properties": properties} if "value" not in found else {})


def without_node_names(node: Any) -> Any:
    """extruct's answer without `_nodeId_`, which stands for its own tree."""
    if isinstance(node, list):
        return [without_node_names(one) for one in node]
    if not isinstance(node, dict):
        return node.removeprefix("/") if isinstance(node, str) else node
    return {name: without_node_names(value) for name, value in node.items() if name not in ("_nodeId_", "htmlNode")}


@pytest.mark.parametrize("case", list(cases()))
def test_equal_to_the_expectation_of_the_corpus(case: dict[str, Any]) -> None:
    markup = case.get("html") or base64.b64decode(case["html_base64"])
    body = markup.encode() if isinstance(markup, str) else markup
    page = Page(
        case["base_url"] or case["options"].get("url") or NOWHERE,
        200,
        [("Content-Type", "text/html;charset=utf-8")],
        body,
    )
    found: Any
    if case["syntax"] == "json-ld":
        found = read_jsonld(page.select("script"))
        assert found == case["expected"]
        return
    if case["syntax"] == "opengraph":
        assert read_opengraph(page.select("meta")) == case["expected"]
        return
    items = read_microdata(page.select("[itemscope]"), page)
    found = [as_extruct(item, bool(case["options"].get("strict"))) for item in items]
    found = json.loads(json.dumps(found).replace(NOWHERE, ""))
    assert without_node_names(found) == without_node_names(case["expected"])


GRAPH = Graph(
    [
        {
            "@graph": [
                {"@type": "WebPage", "author": {"@id": "#me"}, "about": [{"@type": "Thing", "name": "x"}, "y"]},
                {"@id": "#me", "@type": ["Person", "https://schema.org/Agent"], "name": "Ann"},
                {"@type": "schema:Product", "brand": "ACME", "offers": [{"price": 1}, {"price": "2"}]},
            ]
        }
    ]
)


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("WebPage.author.name", ["Ann"]),
        ("WebPage.about.name", ["x", "y"]),
        ("Agent.name", ["Ann"]),
        ("Product.brand.name", ["ACME"]),
        ("Product.offers.price", [1, "2"]),
        ("*.price", [1, "2"]),
        ("Product.nothing.name", []),
        ("Nothing.name", []),
    ],
)
def test_paths(path: str, values: list[Any]) -> None:
    kind, *steps = path.split(".")
    assert [value for node in GRAPH.of_type(kind) for value in GRAPH.values(node, steps)] == values


def test_opengraph_and_its_relatives() -> None:
    page = Page(
        NOWHERE,
        200,
        [("Content-Type", "text/html")],
        b"<meta property=og:title content=T><meta property=og:image content=/a.png><meta property=og:image content=/b>"
        b"<meta property=article:author content=A><meta property=og:x><meta name=og:y content=n>",
    )
    assert read_opengraph(page.select("meta")) == [
        ("og:title", "T"),
        ("og:image", "/a.png"),
        ("og:image", "/b"),
        ("article:author", "A"),
    ]


def test_what_holds_itself_ends() -> None:
    page = Page(
        NOWHERE,
        200,
        [("Content-Type", "text/html")],
        b"<div itemscope id=a itemref=b><p itemprop=p>1</p></div><div itemscope itemprop=c id=b itemref=a></div>",
    )
    assert read_microdata(page.select("[itemscope]"), page)[0]["p"] == "1"
