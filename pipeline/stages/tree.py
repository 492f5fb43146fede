"""One tree a page: lexbor's, the tree that a browser shows. Selection, elements, and what counts as text.

A selector is answered by lexbor, or by soupsieve on a BeautifulSoup copy of the same nodes; either way the answer is a
list of `Element` in document order without duplicates. Within an element the answer is querySelectorAll's: descendants
only, while the selector may look at ancestors outside. Nothing here knows pages, URLs or fields.

Text of an element is its descendants' text, white space collapsed, without that of script, style and template. To look
for those in every element would cost more than the text itself, so the tree finds once which nodes have one inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, cast

from selectolax.lexbor import LexborCSSSelector, LexborHTMLParser, LexborNode

from pipeline.errors import SelectorError
from pipeline.stages.css import Parser, Selector, check_selector, compiled, split_pseudo
from pipeline.stages.decoding import known
from pipeline.stages.encoding import decode
from pipeline.stages.nesting import flattened
from pipeline.stages.nodes import attribute, content, link_of, rename_foreign_attributes, top_nodes, visible_text
from pipeline.stages.whitespace import collapse, collapsed

if TYPE_CHECKING:
    from bs4 import BeautifulSoup

    from pipeline.stages.sieve import Sieve

__all__ = ["Element", "Selector", "SelectorError", "Tree", "check_selector", "split_pseudo"]


# lexbor keeps one with every document; to make it takes a third of the time that it takes to parse a page.
_find: Final[Callable[[str, LexborNode], list[LexborNode]]] = LexborCSSSelector().find  # type: ignore[no-untyped-call]


class Tree:
    """The tree of an HTML document. `encoding` is that of `markup` if it is bytes; without one it is found out.

    Selectors never look at `soup`, which plugins may change, but at a second copy of their own, made when one needs it.
    """

    __slots__ = (
        "_doc",
        "_over_hidden",
        "_quirks",
        "_sieve",
        "_soup",
        "_top",
        "depth_truncated",
        "root",
    )

    def __init__(self, markup: bytes | str, encoding: str | None = None) -> None:
        if isinstance(markup, bytes):
            name = known(encoding) if encoding else None
            markup = markup.decode(name, "replace") if name else decode(markup)[0]
        flat = flattened(markup)
        self.depth_truncated = flat is not markup
        self._doc = LexborHTMLParser(flat)
        self.root = cast("LexborNode", self._doc.root)
        self._top = list(top_nodes(self._doc))
        for node in self._top:
            if node.tag == "-doctype":
                # lexbor counts a doctype as a sibling: `html:first-child` would not match. It is kept in `_top`.
                node.decompose(recursive=False)
        if "xlink:" in markup or "xml:" in markup:
            rename_foreign_attributes(_find("svg, svg *, math, math *", self.root))
        self._soup: BeautifulSoup | None = None
        self._sieve: Sieve | None = None
        self._over_hidden: set[int] | None = None
        self._quirks: bool | None = None

    @property
    def soup(self) -> BeautifulSoup:
        """The tree as BeautifulSoup, built when first asked for."""
        if self._soup is None:
            from pipeline.stages.soup import build_soup  # noqa: PLC0415 - bs4 takes 50 ms to import

            self._soup = build_soup(self._top)
        return self._soup

    @property
    def html(self) -> str:
        """The document serialised as HTML."""
        return "".join(node.html or "" for node in self._top)

    def select(self, selector: str | Selector, scope: Element | None = None, parser: Parser = "auto") -> list[Element]:
        """The elements that match, within `scope` or the whole document. A pseudo-element is not looked at.

        A text is compiled (and remembered) with `parser`; raises `SelectorError`.
        """
        if isinstance(selector, str):
            selector = compiled(selector, parser)
        return [Element(self, node) for node in self.nodes(selector, None if scope is None else scope.node)]

    def links(self, selector: Selector) -> list[str | None]:
        """Where each match leads (`Element.link`): what is followed, without an object for every element."""
        return [link_of(node) for node in self.nodes(selector)]

    def first(self, selector: Selector, scope: Element) -> Element | None:
        """The first that `select` would give, or None."""
        if selector.engine == "lexbor" and selector.css and scope.node.tag != "template":
            found = scope.node.css_first(selector.css)
            if found is None:
                return None
            if found.mem_id != scope.node.mem_id:
                return Element(self, found)
        nodes = self.nodes(selector, scope.node)
        return Element(self, nodes[0]) if nodes else None

    def nodes(self, selector: Selector, scope: LexborNode | None = None) -> list[LexborNode]:
        """As `select`, as lexbor's nodes."""
        css = selector.css
        if not css:
            return [self.root if scope is None else scope]
        if scope is not None and scope.tag == "template":
            return []  # its content is another document, as in a browser
        if selector.engine == "soup":
            return self._sieved(selector, scope)
        found = _find(css, self.root if scope is None else scope)
        if "," in css:
            found = list({node.mem_id: node for node in found}.values())
        if scope is not None and found and found[0].mem_id == scope.mem_id:
            del found[0]  # lexbor counts the scope itself
        return found

    def _sieved(self, selector: Selector, scope: LexborNode | None) -> list[LexborNode]:
        if selector.pattern is None:
            return []
        if self._sieve is None:
            from pipeline.stages.sieve import Sieve  # noqa: PLC0415 - see there

            self._sieve = Sieve(self._top)
        return self._sieve.select(selector.quirks_pattern if self._is_quirks() else selector.pattern, scope)

    def _is_quirks(self) -> bool:
        """Is the document in quirks mode (WHATWG DOM)? lexbor does not tell, but matches classes caselessly there."""
        if self._quirks is None:
            probe = self._doc.create_node("i")
            probe.attrs["class"] = "q"
            self._quirks = bool(_find(".Q", probe))
        return self._quirks

    def text_of(self, node: LexborNode) -> str:
        """The text of a node, see `Element.text`."""
        return self.texts_of([node])[0]

    def texts_of(self, nodes: Sequence[LexborNode]) -> list[str]:
        """The text of each node, see `Element.text`."""
        over = self._over_hidden
        if over is None:
            over = self._over_hidden = self._find_over_hidden()
        if not over:
            return collapsed([node.text_lexbor() for node in nodes])
        return collapsed([visible_text(node) if node.mem_id in over else node.text_lexbor() for node in nodes])

    def _find_over_hidden(self) -> set[int]:
        over: set[int] = set()
        for hidden in _find("script, style, template", self.root):
            node: LexborNode | None = hidden
            while node is not None and node.mem_id not in over:
                over.add(node.mem_id)
                node = node.parent
        return over


class Element:
    """An element of a page. Two are equal if they are the same node of the same tree."""

    __slots__ = ("_tree", "node")

    def __init__(self, tree: Tree, node: LexborNode) -> None:
        self._tree = tree
        self.node = node

    @property
    def tag(self) -> str:
        """The tag name in lower case (`svg` names as lexbor spells them)."""
        return self.node.tag or ""

    @property
    def text(self) -> str:
        """All text within, white space collapsed; without script, style, template and comments.

        Of a script, style or template itself: its own content.
        """
        return self._tree.text_of(self.node)

    @property
    def own_text(self) -> str:
        """The text directly within, not that of child elements, white space collapsed."""
        node = content(self.node) if self.node.tag == "template" else self.node
        return collapse(node.text(deep=False))

    def child_text(self, number: int) -> str | None:
        """The text of child node `number` (from 0; negative from the end) if that is text; comments count."""
        nodes: list[LexborNode] = []
        child = content(self.node).first_child if self.node.tag == "template" else self.node.first_child
        while child is not None:
            nodes.append(child)
            child = child.next
        node = nodes[number] if -len(nodes) <= number < len(nodes) else None
        return collapse(node.text_content or "") or None if node is not None and node.is_text_node else None

    @property
    def link(self) -> str | None:
        """Where the element leads: its `href`, else its `src`."""
        return link_of(self.node)

    @property
    def html(self) -> str:
        """The element as HTML, itself included."""
        return self.node.html or ""

    @property
    def parent(self) -> Element | None:
        """The element around it; None for the root."""
        parent = self.node.parent
        return Element(self._tree, parent) if parent is not None and parent.is_element_node else None

    def attr(self, name: str) -> str | None:
        """An attribute by name (case-insensitive); empty text if it has no value, None if it is not there."""
        return attribute(self.node, name)

    @property
    def attributes(self) -> dict[str, str]:
        """All attributes, in order."""
        return {name: value or "" for name, value in self.node.attributes.items()}

    def select(self, selector: str | Selector, parser: Parser = "auto") -> list[Element]:
        """The elements within this one that match, in document order."""
        return self._tree.select(selector, self, parser)

    def css(self, selector: str | Selector, parser: Parser = "auto") -> list[Element] | list[str]:
        """As `select`, or a list of texts where the selector ends in `::text`, `::attr(NAME)` or `::html`."""
        if isinstance(selector, str):
            selector = compiled(selector, parser)
        return values(self._tree.select(selector, self), selector)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Element) and self._tree is other._tree and self.node.mem_id == other.node.mem_id

    def __hash__(self) -> int:
        return self.node.mem_id

    def __repr__(self) -> str:
        return f"<Element {self.tag}>"


def values(elements: list[Element], selector: Selector) -> list[Element] | list[str]:
    """The elements, or what the selector's pseudo-element reads off them; without the attribute, nothing."""
    if selector.pseudo is None:
        return elements
    if selector.pseudo == "text":
        return [element.own_text for element in elements]
    if selector.pseudo == "html":
        return [element.html for element in elements]
    name = selector.arg or ""
    return [value for element in elements if (value := element.attr(name)) is not None]
