"""Markup that nests too deep: every element and text is there, and the page takes no time."""

from __future__ import annotations

import itertools
import time

import pytest

from pipeline.stages.nesting import DEEPEST, flattened
from pipeline.stages.page import Page
from pipeline.stages.tree import Tree


def depth_of(tree: Tree, selector: str) -> int:
    element, depth = tree.select(selector)[0], 0
    while (element := element.parent) is not None:
        depth += 1
    return depth


@pytest.mark.parametrize("tag", ["div", "span", "section", "b", "table", "x-y"])
@pytest.mark.parametrize("closed", [True, False])
def test_markers_at_any_depth_are_found(tag: str, closed: bool) -> None:
    count = 100_000 if tag == "div" else 10_000
    last = count - 1
    marks = (250, 260, 600, last)
    parts = [f"<{tag}>" + (f"<i class=m{number}>{number}</i>" if number in marks else "") for number in range(count)]
    markup = "".join(parts) + (f"</{tag}>" * count if closed else "") + "<h1>after</h1>"
    start = time.process_time()
    tree = Tree(markup)
    assert time.process_time() - start < 10, "quadratic: half a minute"
    for number in marks:
        assert [element.text for element in tree.select(f".m{number}")] == [str(number)]
    assert [element.text for element in tree.select("h1")] == ["after"]
    if tag != "table":  # what stands in a table and not in a cell is put before it
        assert 260 <= depth_of(tree, ".m260") <= DEEPEST
        assert depth_of(tree, ".m600") <= DEEPEST + 4 and depth_of(tree, f".m{last}") <= DEEPEST + 4
    if closed and tag in ("div", "section", "x-y"):
        assert depth_of(tree, "h1") == 2, "what comes after them is not among them"


@pytest.mark.parametrize(
    "markup",
    [
        "<p>" * 50_000,
        "<ul>" + "<li>x" * 50_000,
        "<table>" + "<tr><td>x" * 20_000,
        "<br>" * 50_000,
        "<div><p>x</p></div>" * 20_000,
        "<div>" * DEEPEST,
        "a < b " * 10_000,
    ],
)
def test_long_is_not_deep(markup: str) -> None:
    assert flattened(markup) is markup


def test_attributes_and_texts_stay() -> None:
    markup = "".join(f"<div id=d{number}>t{number} " for number in range(DEEPEST + 500))
    tree = Tree(markup)
    assert len(tree.select("div")) == DEEPEST + 500
    assert tree.select("body")[0].text == Tree(markup.replace("div", "br")).select("body")[0].text


def xml_page(markup: str) -> Page:
    return Page("http://x.example/", 200, [("Content-Type", "text/xml")], markup.encode())


@pytest.mark.parametrize("count", [250, 260, 600, 3000, 100_000])
def test_nothing_of_an_xml_page_is_lost_below_any_depth(count: int) -> None:
    page = xml_page(f"<r><h>t</h>{'<x>' * count}<m a='1'>m</m>{'</x>' * count}<e/><after>a</after></r>")
    assert [element.text for name in ("h", "m", "r > after") for element in page.css(name)] == ["t", "m", "a"]
    assert len(page.css("x")) == count
    assert page.depth_truncated is (count > DEEPEST)


@pytest.mark.parametrize("text", ["y" * 12_000_000, "<![CDATA[" + "<x>" * 4_000_000 + "]]>"])
def test_what_follows_a_long_text_is_seen(text: str) -> None:
    page = xml_page(f"<r><h>t</h><x>{text}</x><after>a</after></r>")
    assert [element.text for element in page.css("after")] == ["a"]
    assert not page.depth_truncated


def test_entities_do_not_grow() -> None:
    names = "abcdefghij"
    entities = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in itertools.pairwise(names))
    page = xml_page(f'<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">{entities}]><r><h b="&j;">&j;</h></r>')
    begun = time.process_time()
    assert len("".join(element.text for element in page.css("h"))) < 1000
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("many", ["<x/>", "<x></x>", "<!-- <x> -->", "<x a='1'/>", "<?x?>", "<\u00e9/>"])
def test_long_is_not_deep_in_xml(many: str) -> None:
    markup = f"<r>{many * 3000}</r>"
    assert flattened(markup, xml=True) is markup


def test_a_page_says_that_it_is_too_deep() -> None:
    deep = Page("http://x.example/", 200, [("Content-Type", "text/html")], b"<div>" * 600 + b"<b>x")
    assert not deep.depth_truncated, "nobody has looked yet"
    assert [element.text for element in deep.css("b")] == ["x"]
    assert deep.depth_truncated
