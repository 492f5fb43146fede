"""The tree of an XML page: lxml's, with elements that are asked like those of HTML pages.

Names are as the document writes them: those of its default namespace stand bare (`feed > entry`), prefixed ones keep
their prefix (`media\\:content` in CSS, `media:content` in XPath). CSS is translated to XPath by cssselect. Knows lxml;
knows no page and no field. Entities and the network stay off: a feed must not read files of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import cssselect
from lxml import etree

from pipeline.errors import SelectorError
from pipeline.stages.css import Selector, compiled
from pipeline.stages.nesting import flattened
from pipeline.stages.tree import Element, values
from pipeline.stages.whitespace import collapse
from pipeline.stages.xpath import Found, XPath

if TYPE_CHECKING:
    from pipeline.stages.css import Parser

_translate = cssselect.GenericTranslator().css_to_xpath


class XmlElement:
    """An element of an XML page, with the face of `Element`."""

    __slots__ = ("_tree", "node")

    def __init__(self, tree: XmlTree, node: Any) -> None:
        self._tree = tree
        self.node = node

    @property
    def tag(self) -> str:
        """The name as the document writes it."""
        prefix = self.node.prefix
        name = etree.QName(self.node).localname
        return f"{prefix}:{name}" if prefix else name

    @property
    def text(self) -> str:
        """All text within, white space collapsed."""
        return collapse("".join(self.node.itertext()))

    @property
    def own_text(self) -> str:
        """The text directly within, white space collapsed."""
        return collapse((self.node.text or "") + "".join(child.tail or "" for child in self.node))

    def child_text(self, number: int) -> str | None:
        """The text of child node `number` if that is text."""
        nodes = [self.node.text or None]
        for child in self.node:
            nodes += [None, child.tail or None]
        # lxml has texts beside the elements: where there is none, there is no node.
        found = [text for place, text in enumerate(nodes) if text is not None or place % 2]
        return collapse(found[number] or "") or None if -len(found) <= number < len(found) else None

    @property
    def html(self) -> str:
        """The element as XML, itself included."""
        return str(etree.tostring(self.node, encoding="unicode", with_tail=False))

    @property
    def link(self) -> str | None:
        """Where it leads: its `href`, else its `src`, else its text, as in RSS."""
        return self.attr("href") or self.attr("src") or self.text or None

    @property
    def parent(self) -> XmlElement | None:
        """The element around it; None for the root."""
        above = self.node.getparent()
        return None if above is None else XmlElement(self._tree, above)

    def attr(self, name: str) -> str | None:
        """An attribute by its name as written, prefix included."""
        prefix, colon, local = name.partition(":")
        if colon and (space := self._tree.namespaces.get(prefix)) is not None:
            name = f"{{{space}}}{local}"
        value = self.node.get(name)
        return None if value is None else str(value)

    @property
    def attributes(self) -> dict[str, str]:
        """All attributes, in order; those of a namespace by their local names."""
        return {etree.QName(name).localname: str(value) for name, value in self.node.attrib.items()}

    def select(self, selector: str | Selector, parser: Parser = "auto") -> list[XmlElement]:
        """The elements within this one that match, in document order."""
        return self._tree.select(selector, self, parser)

    def css(self, selector: str | Selector, parser: Parser = "auto") -> list[Any]:
        """As `select`, or a list of texts where the selector ends in a pseudo-element."""
        selector = compiled(selector, parser) if isinstance(selector, str) else selector
        return values(cast("list[Element]", self._tree.select(selector, self)), selector)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, XmlElement) and self.node is other.node

    def __hash__(self) -> int:
        return hash(self.node)

    def __repr__(self) -> str:
        return f"<XmlElement {self.tag}>"


class XmlTree:
    """The tree of an XML document, however broken; an empty one finds nothing."""

    __slots__ = ("_root", "depth_truncated", "namespaces")

    def __init__(self, text: str) -> None:
        flat = flattened(text, xml=True)
        self.depth_truncated = flat is not text
        parser = etree.XMLParser(
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            recover=True,
            remove_comments=True,
            remove_pis=True,
            strip_cdata=False,
            encoding="utf-8",
            # Otherwise all that follows a text of 10 MB is dropped in silence. Its other limits are against entities.
            huge_tree="<!ENTITY" not in text,
        )
        self.namespaces: dict[str, str] = {}
        try:
            self._root = etree.fromstring(flat.strip().encode("utf-8", "replace"), parser)
        except etree.XMLSyntaxError:  # nothing that could be recovered
            self._root = None
        if self._root is not None:
            self._bare()

    def _bare(self) -> None:
        """Take the default namespace off every name, and remember what the prefixes stand for."""
        self.namespaces.update({prefix: uri for prefix, uri in self._root.nsmap.items() if prefix})
        for node in self._root.iter("{*}*"):
            if node.prefix:
                self.namespaces.setdefault(node.prefix, etree.QName(node).namespace)
            else:
                node.tag = etree.QName(node).localname

    def select(
        self, selector: str | Selector, scope: XmlElement | None = None, parser: Parser = "auto"
    ) -> list[XmlElement]:
        """The elements that match within `scope` or the document. Raises `SelectorError` for what only HTML has."""
        if isinstance(selector, str):
            selector = compiled(selector, parser)
        if self._root is None:
            return []
        if not selector.css:
            return [XmlElement(self, self._root) if scope is None else scope]
        path = _path(selector.css, scope is None)
        found = path(self._root if scope is None else scope.node)
        return [XmlElement(self, node) for node in found]

    def group(self, elements: Sequence[XmlElement]) -> XmlGroup:
        """`elements` as scopes for selectors that will each be asked of all of them."""
        return XmlGroup(elements)

    def xpath(self, expression: XPath, scope: XmlElement | None = None) -> list[XmlElement | Found]:
        """What an expression finds from the root element or `scope`."""
        if self._root is None:
            return []
        found = expression.find(self._root if scope is None else scope.node, self.namespaces)
        return [one if isinstance(one, str | float | bool) else XmlElement(self, one) for one in found]


class XmlGroup:
    """Elements of one XML page that the same selectors are asked of."""

    __slots__ = ("elements",)

    def __init__(self, elements: Sequence[XmlElement]) -> None:
        self.elements = list(elements)

    def select(self, selector: Selector, *, first: bool = False) -> list[list[XmlElement]]:
        """For each element what `element.select(selector)` gives; with `first` at most the first of it."""
        found = (element.select(selector) for element in self.elements)
        return [share[:1] if first else share for share in found]

    def texts(self, selector: Selector) -> list[list[str]]:
        """As `select`, but the text of each match."""
        return [[element.text for element in share] for share in self.select(selector)]

    def first_texts(self, selector: Selector) -> list[str | None]:
        """For each element the text of the first match, None without one."""
        return [share[0].text if share else None for share in self.select(selector, first=True)]


@lru_cache(maxsize=512)
def _path(css: str, whole: bool) -> Any:
    try:
        return etree.XPath(_translate(css, prefix="descendant-or-self::" if whole else "descendant::"))
    except (cssselect.SelectorError, etree.XPathError) as error:
        raise SelectorError(css, f"it cannot be asked of an XML page ({error})") from None
