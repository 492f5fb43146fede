"""BeautifulSoup over the lexbor tree: a TreeBuilder that copies lexbor's nodes instead of parsing a second time.

Each `Tag` gets its lexbor node (see `node_of`), so that what BeautifulSoup or soupsieve finds can be named as a node of
the one tree. Knows bs4 and selectolax; knows no selector and no page.

The links between bs4 elements (`parent`, `next_element`, siblings, `contents`) are made here, in one loop without a
stack of open tags to search: bs4's own `handle_starttag` and `handle_endtag` compare tags by content and shorten white
space, which costs time and would make the soup another tree than lexbor's. lexbor does not say an element's namespace;
it follows from name and parent (WHATWG HTML, tree construction: foreign content enters at `svg` and `math` and leaves
at integration points).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from bs4 import BeautifulSoup
from bs4.builder import HTMLTreeBuilder
from bs4.element import Comment, Doctype, NavigableString, PageElement, Tag
from selectolax.lexbor import LexborHTMLParser, LexborNode

from pipeline.stages.nodes import top_nodes

HTML_NS: Final = "http://www.w3.org/1999/xhtml"
SVG_NS: Final = "http://www.w3.org/2000/svg"
MATH_NS: Final = "http://www.w3.org/1998/Math/MathML"

_SVG_INTEGRATION: Final = frozenset({"foreignobject", "desc", "title"})
_MATH_TEXT_INTEGRATION: Final = frozenset({"mi", "mo", "mn", "ms", "mtext"})
_MATH_ONLY: Final = frozenset({"mglyph", "malignmark"})
_ANNOTATION_HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
_MARKUP: Final = (
    "<lexbor>"  # stands for the tree that is already there; bs4 warns of markup that looks like a file name
)


class LexborTreeBuilder(HTMLTreeBuilder):
    """Builds a soup from a lexbor tree; without one it parses the markup that it is fed."""

    NAME = "lexbor"
    features: Iterable[str] = (NAME, "html5", "html")

    def __init__(self, top: Sequence[LexborNode] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._top = top

    def feed(self, markup: Any) -> None:
        """Fill `self.soup`. Empty markup leaves it empty, as bs4 asks for when it copies a soup."""
        top, self._top = self._top, None
        if top is None and markup:
            top = list(top_nodes(LexborHTMLParser(markup)))
        _copy(top or (), cast("BeautifulSoup", self.soup), self)


def build_soup(top: Sequence[LexborNode], *, plain: bool = False) -> BeautifulSoup:
    """A BeautifulSoup object with the same elements, text, comments and doctype as the lexbor tree.

    `top` are the nodes of the document itself. With `plain` every attribute is one text; else `class` and the like are
    lists, as everywhere in bs4 (which loses the white space that `[class$="x "]` asks for).
    """
    builder = LexborTreeBuilder(top, multi_valued_attributes=None) if plain else LexborTreeBuilder(top)
    return BeautifulSoup(_MARKUP, builder=cast("Any", builder))


def node_of(tag: Tag) -> LexborNode | None:
    """The lexbor node that a Tag was made from; None for tags that a plugin made itself."""
    return cast("LexborNode | None", tag.__dict__.get("lexbor_node"))


def namespace_of(name: str, parent: Tag) -> str:
    """The namespace of an element, from its (lower case) name and its parent."""
    outer = parent.namespace
    if outer is None or outer == HTML_NS or _is_integration_point(parent, name):
        return SVG_NS if name == "svg" else MATH_NS if name == "math" else HTML_NS
    return SVG_NS if name == "svg" and parent.name == "annotation-xml" else outer


def _is_integration_point(parent: Tag, child: str) -> bool:
    name = parent.name.lower()
    if parent.namespace == SVG_NS:
        return name in _SVG_INTEGRATION
    if name == "annotation-xml":
        return str(parent.get("encoding", "")).lower() in _ANNOTATION_HTML
    return name in _MATH_TEXT_INTEGRATION and child not in _MATH_ONLY


def _copy(top: Sequence[LexborNode], soup: BeautifulSoup, builder: LexborTreeBuilder) -> None:
    """Copy node by node in document order. Depth is bounded by memory only: pages nest tags by the ten thousand."""
    containers = cast("Any", builder.string_containers)
    parent: Tag = soup
    previous: PageElement = soup
    string_class: type[NavigableString] = NavigableString
    open_tags: list[tuple[LexborNode | None, Tag, type[NavigableString]]] = []  # where to go on after the children
    rest = iter(top)
    node: LexborNode | None = next(rest, None)
    while node is not None:
        name = node.tag or ""
        child = None
        if not node.is_element_node:
            string = _string(node, name, string_class)
            string.setup(parent, previous)
            parent.contents.append(string)
            previous = string
        else:
            previous = tag = _tag(node, name, parent, previous, builder)
            child = _content(node, name)
            if child is not None:
                open_tags.append((node.next, parent, string_class))
                string_class = containers.get(name, string_class)
                parent, node = tag, child
                continue
        node = node.next if open_tags else None
        while node is None and open_tags:
            node, parent, string_class = open_tags.pop()
            if not open_tags:
                node = None  # back at the document, whose children are those of `top`
        node = node or next(rest, None)


def _content(node: LexborNode, name: str) -> LexborNode | None:
    """First child; of a `template` the first node of its content, which bs4 has as its children."""
    if name == "template" and (fragments := node.template_fragments()):
        # The content of this very template comes first, those of templates within the subtree after it.
        fragment: LexborNode = fragments[0]
        if fragment.parent is not None and fragment.parent.mem_id == node.mem_id:
            return fragment.first_child
    return node.first_child


def _tag(node: LexborNode, name: str, parent: Tag, previous: PageElement, builder: LexborTreeBuilder) -> Tag:
    attributes = builder.attribute_dict_class(node.attributes)
    for key, value in attributes.items():
        if value is None:
            attributes[key] = ""
    namespace = namespace_of(name.lower(), parent)
    tag = Tag(builder.soup, cast("Any", builder), name, namespace, None, attributes, parent, previous)
    tag.__dict__["lexbor_node"] = node  # not setattr: Tag looks every unknown attribute up in its children
    parent.contents.append(tag)
    return tag


def _string(node: LexborNode, name: str, string_class: type[NavigableString]) -> NavigableString:
    if name == "-text":
        return string_class(node.text_content or "")
    if name == "-doctype":
        return Doctype(_doctype(node))
    html = node.html or ""
    # `<?php ... ?>`: a bogus comment in HTML, of which lexbor makes a processing instruction.
    return Comment(html[len("<!--") : -len("-->")] if html.startswith("<!--") else html[1:-1])


def _doctype(node: LexborNode) -> str:
    """`<!DOCTYPE html PUBLIC ...>` without the frame, as bs4 keeps it."""
    return (node.html_pretty(full_doctype=True) or "").strip()[len("<!DOCTYPE ") : -1]
