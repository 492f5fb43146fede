"""Elements, text, groups, and selectors before any page."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.errors import SelectorError
from pipeline.stages.css import Selector, check_selector, split_pseudo
from pipeline.stages.group import Group
from pipeline.stages.tree import Element, Tree, values
from pipeline.stages.whitespace import collapse, collapsed


def one(html: str, selector: str) -> Element:
    return Tree(html).select(selector)[0]


TEXT = [
    ("<p> a\n <b>b</b>\u00a0c </p>", "p", "a b c"),
    ("<p>a<br>b</p>", "p", "ab"),
    ("<p>a<!--c-->b</p>", "p", "ab"),
    ("<div>a<script>x</script><style>y</style><template>z</template>b</div>", "div", "ab"),
    ("<div><p>a<span>b<script>x</script></span></p> c</div>", "div", "ab c"),
    ("<script> x </script>", "script", "x"),
    ("<style>y  y</style>", "style", "y y"),
    ("<template>a<b>b</b><script>x</script><template>n</template></template>", "template", "ab"),
    ("<svg><style>y</style><text>t</text></svg>", "svg", "t"),
    ("<p></p>", "p", ""),
]


@pytest.mark.parametrize(("html", "selector", "text"), TEXT)
def test_text(html: str, selector: str, text: str) -> None:
    assert one(html, selector).text == text


def test_own_text() -> None:
    assert one("<p> a <b>b</b> c </p>", "p").own_text == "a c"
    assert one("<template>a<b>b</b></template>", "template").own_text == "a"


@pytest.mark.parametrize("text", ["", " ", "a", " a", "a  b", "a\nb", "\ta\u2003b ", "a b", "a\u00a0b", "\x1fa\x85b"])
def test_collapse_is_split(text: str) -> None:
    assert collapse(text) == " ".join(text.split())


@given(st.lists(st.text(alphabet=" |ab\t\u00a0\u0085", max_size=5), max_size=4))
@example([" "])
@example(["a", "| b"])
def test_many_texts_collapse_as_each_does(texts: list[str]) -> None:
    assert collapsed(texts) == [collapse(text) for text in texts]


def test_attributes_parent_html() -> None:
    tree = Tree("<p class='a b' hidden DATA-x=1><b>x</b></p>")
    p = tree.select("p")[0]
    assert (p.attr("class"), p.attr("CLASS"), p.attr("hidden"), p.attr("no")) == ("a b", "a b", "", None)
    assert p.attributes == {"class": "a b", "hidden": "", "data-x": "1"}
    assert p.html == '<p class="a b" hidden="" data-x="1"><b>x</b></p>' or p.html.endswith("<b>x</b></p>")
    assert p.select("b")[0].parent == p
    assert tree.select("html")[0].parent is None
    assert p.tag == "p" and repr(p) == "<Element p>"


def test_equal_elements_are_the_same_node() -> None:
    tree = Tree("<p>x</p><p>x</p>")
    first, second = tree.select("p")
    assert first != second
    assert first == tree.select("p:first-of-type", parser="soup")[0]
    assert len({first, second, tree.select("p")[0]}) == 2
    assert first != Tree("<p>x</p><p>x</p>").select("p")[0]


def test_css_with_pseudo_elements() -> None:
    p = one("<p>a<a href=x>b</a><a>c</a></p>", "p")
    assert p.css("a::attr(href)") == ["x"]
    assert p.css("a::text") == ["b", "c"]
    assert p.css("::text") == ["a"]
    assert p.css("a::html") == ['<a href="x">b</a>', "<a>c</a>"]


def test_the_doctype_and_foreign_attributes_stay() -> None:
    tree = Tree('<!--x--><!DOCTYPE html><svg xml:lang="en" id="i" xlink:href="q" hidden></svg>')
    assert tree.html.startswith("<!--x--><!DOCTYPE html><html>")
    assert list(tree.select("svg")[0].attributes) == ["xml:lang", "id", "xlink:href", "hidden"]
    assert [tag.name for tag in tree.soup.find_all(True)] == ["html", "head", "body", "svg"]


def test_bytes_are_decoded() -> None:
    assert one("<p>é".encode("cp1252"), "p").text == "é"  # type: ignore[arg-type]
    assert Tree("<p>é".encode("utf-16-le"), "utf-16-le").select("p")[0].text == "é"
    assert Tree(b"<p>x", "no-such-label").select("p")[0].text == "x"


# --- groups -----------------------------------------------------------------------------------------------------------

ROWS = "<html>" + "<div><b>1</b><i>x <b>2</b></i> <p><u><b> 3</b></u></div>" * 3
GROUPS = ["html", "p b", "b", "b, i", "::text", "i:has(b)", ":scope > b", "b:-soup-contains('2')", "div b", "none"]
NESTED = "<div><b>1</b><div><b>2</b><i><b>3</b></i></div></div><b>0</b><div></div>"


@pytest.mark.parametrize("html", [NESTED + "<i><b>9</b></i>" * 40, NESTED, ROWS])
@pytest.mark.parametrize("text", GROUPS)
def test_a_group_gives_what_its_elements_give(text: str, html: str) -> None:
    tree = Tree(html)
    records = tree.select("div")
    selector = Selector(text)
    for elements in (records, records[::-1], records + records[:1]):
        alone = [tree.select(selector, element) for element in elements]
        group = Group(tree, elements)
        assert group.select(selector) == alone
        assert group.select(selector, first=True) == [share[:1] for share in alone]
        assert group.texts(selector) == [[element.text for element in share] for share in alone]
        assert group.first_texts(selector) == [share[0].text if share else None for share in alone]


def test_where_matches_lead() -> None:
    tree = Tree("<a href=x><a><img src=i><a href><a href=y src=z>")
    assert tree.links(Selector("a, img")) == ["x", None, "i", "", "y"]
    assert tree.links(Selector("a, img")) == [element.link for element in tree.select("a, img")]


def test_an_empty_group() -> None:
    assert Group(Tree(""), []).select(Selector("p")) == []


# --- selectors --------------------------------------------------------------------------------------------------------

SPLITS = [
    ("h1", ("h1", None, None)),
    ("h1::text", ("h1", "text", None)),
    ("h1::attr(src)", ("h1", "attr", "src")),
    ("h1 ::attr( data-x )", ("h1", "attr", "data-x")),
    ('h1::attr("src")', ("h1", "attr", "src")),
    ("::attr(href)", ("", "attr", "href")),
    ("a::text, b > c::text", ("a, b > c", "text", None)),
    ("a:is(b, c)::html", ("a:is(b, c)", "html", None)),
    ("a[href='x::text']", ("a[href='x::text']", None, None)),
    ("a[title=',']::text", ("a[title=',']", "text", None)),
    (":-soup-contains('::')::text", (":-soup-contains('::')", "text", None)),
    (r"a\:\:text", (r"a\:\:text", None, None)),
    ("a/* ::text */", ("a/* ::text */", None, None)),
]


@pytest.mark.parametrize(("text", "parts"), SPLITS)
def test_split_pseudo(text: str, parts: tuple[str, str | None, str | None]) -> None:
    assert split_pseudo(text) == parts


WRONG = [
    ("", "empty"),
    ("   ", "empty"),
    ("a::before", "known are"),
    ("a::attr", "needs the name"),
    ("a::attr()", "needs the name"),
    ("a::attr(b c)", "needs the name"),
    ("a::text(x)", "no argument"),
    ("a::text b", "at the end"),
    ("a, b::text", "same pseudo-element"),
    ("::text, a::text", "alone"),
    ("a:not(b::text)", "at the end"),
    ("a[", "Malformed attribute"),
    ("a:foo", ":foo"),
    ("svg|a", "namespace prefixes"),
    ("a >", ""),
]


@pytest.mark.parametrize(("text", "why"), WRONG)
@pytest.mark.parametrize("parser", ["auto", "lexbor", "soup"])
def test_wrong_selectors(text: str, why: str, parser: str) -> None:
    with pytest.raises(SelectorError) as caught:
        check_selector(text, parser)  # type: ignore[arg-type]
    assert why in str(caught.value)
    assert caught.value.selector.strip() in text


def test_the_position_of_a_mistake() -> None:
    with pytest.raises(SelectorError) as caught:
        check_selector("div a[")
    assert caught.value.position == 5
    assert str(caught.value) == "selector 'div a[': Malformed attribute selector at position 5"


def test_who_answers() -> None:
    assert check_selector("div > a::text") == "lexbor"
    assert check_selector("p:-soup-contains('x')") == "soup"
    assert check_selector("p:lexbor-contains('x')") == "lexbor"
    assert check_selector("div", "soup") == "soup"
    for text in ("p:-soup-contains('x')", "p:empty"):
        with pytest.raises(SelectorError, match="use parser: auto or soup"):
            check_selector(text, "lexbor")
    with pytest.raises(SelectorError):
        check_selector("p:lexbor-contains('x'):empty")
    with pytest.raises(ValueError, match="known are auto, lexbor, soup"):
        check_selector("p", "html5lib")  # type: ignore[arg-type]
    assert (Selector("p:empty").reason or "").startswith("for lexbor white space is content")


def test_lexbors_own_pseudo_class() -> None:
    assert [element.text for element in Tree("<p>ab<p>c").select("p:lexbor-contains('B' i)")] == ["ab"]


def test_values_of_elements() -> None:
    tree = Tree("<a href=1>x</a><a>y</a>")
    links = tree.select("a")
    assert values(links, Selector("a")) == links
    assert values(links, Selector("a::attr(href)")) == ["1"]
