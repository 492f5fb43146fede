"""BeautifulSoup from the lexbor tree: the same tree, with bs4's classes, links and manners."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from bs4.element import Comment, Doctype, NavigableString, PageElement, Script, Stylesheet, Tag, TemplateString
from selectolax.lexbor import LexborHTMLParser

from pipeline.stages.nesting import DEEPEST
from pipeline.stages.soup import HTML_NS, MATH_NS, SVG_NS, LexborTreeBuilder, build_soup, node_of, top_nodes
from pipeline.stages.tree import Tree

CASES = Path(__file__).parents[3] / "shared/corpus/open/html_tree/tree_construction.jsonl"
PREFIX = {HTML_NS: "", SVG_NS: "svg ", MATH_NS: "math "}

# lexbor's tree is another than html5lib's tests want: an age of the standard, or a mistake of lexbor. Not ours to mend.
LEXBOR_DIFFERS_AT_MOST = 15


def soup_of(html: str) -> BeautifulSoup:
    return build_soup(list(top_nodes(LexborHTMLParser(html))))


def dump(element: Tag, depth: int = 0) -> Iterator[str]:
    """The tree in the notation of html5lib's tests, names in lower case."""
    indent = "| " + "  " * depth
    for child in element.contents:
        if isinstance(child, Doctype):
            found = re.fullmatch(r'(\S*)(?: PUBLIC "(.*?)")?(?: (?:SYSTEM )?"(.*)")?', str(child))
            assert found is not None
            ids = f' "{found[2] or ""}" "{found[3] or ""}"' if found[2] is not None or found[3] is not None else ""
            yield f"{indent}<!DOCTYPE {found[1]}{ids}>"
        elif isinstance(child, Comment):
            yield f"{indent}<!-- {child} -->"
        elif isinstance(child, NavigableString):
            yield f'{indent}"{child}"'
        elif isinstance(child, Tag):
            yield f"{indent}<{PREFIX[child.namespace or HTML_NS]}{child.name.lower()}>"
            plain = {name: " ".join(value) if isinstance(value, list) else value for name, value in child.attrs.items()}
            yield from sorted(f'{indent}  {name.lower()}="{value}"' for name, value in plain.items())
            if child.name == "template" and child.namespace == HTML_NS:
                yield f"{indent}  content"
                yield from dump(child, depth + 2)
            else:
                yield from dump(child, depth + 1)


def normal(text: str) -> str:
    """Expected trees spell SVG names in mixed case and foreign attributes with a space."""
    return text.lower().replace("xlink ", "xlink:").replace("xml ", "xml:")


def test_the_soup_is_the_standard_tree() -> None:
    if not CASES.exists():
        pytest.skip(f"{CASES} is not here")
    wrong = []
    checked = 0
    for line in CASES.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        if case["fragment"] or case["scripting"] is True or case.get("scripted"):
            continue
        checked += 1
        top = Tree(case["data"])
        soup = build_soup(top._top, plain=True)
        if normal("\n".join(dump(soup))) != normal(case["document"]):
            wrong.append(case["id"])
    assert checked > 700
    assert len(wrong) <= LEXBOR_DIFFERS_AT_MOST, wrong


def links_are_sound(soup: BeautifulSoup) -> None:
    previous: PageElement = soup
    for element in soup.descendants:
        assert element.previous_element is previous
        assert previous.next_element is element
        parent = element.parent
        assert parent is not None
        place = next(i for i, child in enumerate(parent.contents) if child is element)
        assert element.previous_sibling is (parent.contents[place - 1] if place else None)
        assert element.next_sibling is (parent.contents[place + 1] if place + 1 < len(parent.contents) else None)
        previous = element
    assert previous.next_element is None


PAGE = (
    "<!--a--><!doctype html><title>t</title><p class='a b' id=x data-n>1<br>2<b>3</b><!--c--></p> "
    "<script>s</script><style>y</style><template><i>z</i></template><svg viewBox='0'><a xlink:href=q></a></svg>"
)


def test_links_strings_and_attributes() -> None:
    soup = soup_of(PAGE)
    links_are_sound(soup)
    kinds = {type(string).__name__: str(string) for string in soup.descendants if isinstance(string, NavigableString)}
    assert kinds["Script"] == "s"
    assert kinds["Stylesheet"] == "y"
    assert kinds["TemplateString"] == "z"
    assert kinds["Doctype"] == "html"
    assert {Script, Stylesheet, TemplateString, Comment} <= {type(string) for string in soup.descendants}
    assert soup.p is not None
    assert soup.p.attrs == {"class": ["a", "b"], "id": "x", "data-n": ""}
    assert soup.find("a", attrs={"xlink:href": "q"}) is not None
    assert [str(child) for child in soup.contents[:2]] == ["a", "html"]
    assert soup.get_text() == "t123 "


def test_what_authors_do_with_a_soup() -> None:
    soup = soup_of(PAGE)
    assert copy.copy(soup).decode() == soup.decode()
    title, body = soup.title, soup.body
    assert title is not None and body is not None
    assert title.string == "t"
    body.append(soup.new_tag("hr"))
    links_are_sound(soup)
    assert body.find_all("hr")[-1].decode() == "<hr/>"
    assert [tag.name for tag in soup.select("p > b")] == ["b"]


def test_each_tag_knows_its_node() -> None:
    tree = Tree(PAGE)
    for tag in tree.soup.find_all(True):
        node = node_of(tag)
        assert node is not None
        assert (node.tag or "").lower() == tag.name.lower()
    assert node_of(tree.soup.new_tag("p")) is None


def test_changing_the_soup_does_not_change_what_selectors_find() -> None:
    tree = Tree("<p>x<script>s</script>")
    for tag in tree.soup.find_all(["p", "script"]):
        tag.decompose()
    assert [element.text for element in tree.select("p:-soup-contains('x')")] == ["x"]


def test_very_deep_pages() -> None:
    tree = Tree("<div>" * 20_000 + "x")
    assert len(tree.select("div")) == 20_000
    assert len(tree.select("div:-soup-contains('x')")) == DEEPEST + 1
    assert tree.root.css_first("body") is not None
    assert tree.select("body")[0].text == "x"


def test_the_builder_alone_parses() -> None:
    soup = BeautifulSoup("<p>a<p>b", builder=LexborTreeBuilder())
    assert [p.get_text() for p in soup.find_all("p")] == ["a", "b"]
