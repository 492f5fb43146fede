"""XPath 1.0: compiled expressions, and their answers over the lexbor tree.

That tree is copied node by node to lxml elements, so that results are nodes of the one tree. Knows lxml and selectolax.
Names stand without namespaces, as they do in HTML: `//svg//a` needs no prefix. What an XML tree cannot hold (control
characters, names such as `a"b`) is left out of attributes and replaced in text and tag names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

from lxml import etree
from selectolax.lexbor import LexborNode

Found: TypeAlias = str | float | bool
XPathResult: TypeAlias = "list[LexborNode | Found]"

_NAME = re.compile(r"[A-Za-z_][-.\w]*")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REPLACEMENT: Final = "\ufffd"


class XPath:
    """A compiled expression: `XPath("//h1/text()")`. Raises `ValueError` if it is not XPath 1.0."""

    __slots__ = ("_plain", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._plain = etree.XPath(text)
            self._plain(etree.Element("x"))  # unknown functions show only when they are called
        except etree.XPathError as error:
            if "prefix" not in str(error):  # what a prefix stands for is the document's business
                raise ValueError(f"XPath {text!r}: {error}") from None

    def find(self, node: Any, namespaces: Mapping[str, str] | None = None) -> list[Any]:
        """What it finds from an lxml element: a list, of one where the answer is a number, truth value or string."""
        try:
            found = _bound(self.text, tuple(namespaces.items()))(node) if namespaces else self._plain(node)
        except etree.XPathError as error:
            if "prefix" in str(error):
                return []  # the document knows no such prefix
            raise ValueError(f"XPath {self.text!r}: {error}") from None
        if isinstance(found, list):
            return [str(one) if isinstance(one, str) else one for one in found]  # lxml's str keeps the tree alive
        return [str(found) if isinstance(found, str) else found]

    def __repr__(self) -> str:
        return f"XPath({self.text!r})"


@lru_cache(maxsize=512)
def compiled_xpath(text: str) -> XPath:
    """`XPath(text)`, remembered: plugins pass texts, page after page."""
    return XPath(text)


@lru_cache(maxsize=512)
def _bound(text: str, namespaces: tuple[tuple[str, str], ...]) -> Any:
    return etree.XPath(text, namespaces=dict(namespaces))


class XPathTree:
    """The lxml copy of a lexbor tree."""

    __slots__ = ("_elements", "_nodes")

    def __init__(self, root: LexborNode) -> None:
        self._nodes: dict[Any, LexborNode] = {}
        self._elements: dict[int, Any] = {}
        self._copy(root)

    def evaluate(self, expression: XPath, scope: LexborNode) -> XPathResult:
        """Nodes become nodes, attributes and text become str; a number, truth value or string is a list of one.

        Raises `ValueError` for what goes wrong only now.
        """
        found = (self._back(item) for item in expression.find(self._elements[scope.mem_id]))
        return [item for item in found if item is not None]

    def _back(self, item: Any) -> LexborNode | Found | None:
        return item if isinstance(item, str | float | bool) else self._nodes.get(item)

    def _copy(self, root: LexborNode) -> None:
        todo: list[tuple[LexborNode, Any]] = [(root, None)]
        while todo:
            node, parent = todo.pop()
            element = self._element(node, parent)
            children = []
            last: Any = None
            child = node.first_child
            while child is not None:
                if child.is_text_node:
                    _add_text(element, last, child.text_content or "")
                elif child.is_element_node:
                    last = etree.SubElement(element, _name(child.tag or ""))
                    children.append((child, last))
                child = child.next
            todo.extend(children)

    def _element(self, node: LexborNode, made: Any) -> Any:
        element = etree.Element(_name(node.tag or "")) if made is None else made
        for name, value in node.attributes.items():
            if _NAME.fullmatch(name):
                element.set(name, _text(value or ""))
        self._nodes[element] = node
        self._elements[node.mem_id] = element
        return element


def _add_text(element: Any, last: Any, text: str) -> None:
    if last is None:
        element.text = (element.text or "") + _text(text)
    else:
        last.tail = (last.tail or "") + _text(text)


def _name(tag: str) -> str:
    return tag if _NAME.fullmatch(tag) else re.sub(r"^(?![A-Za-z_])|[^-.\w]", "_", tag)


def _text(text: str) -> str:
    return _NOT_XML.sub(_REPLACEMENT, text)
