"""XPath 1.0 over the lexbor tree: lxml elements copied node by node, so that results are nodes of the one tree.

Knows lxml and selectolax. Names stand without namespaces, as they do in HTML: `//svg//a` needs no prefix. What an XML
tree cannot hold (control characters, names such as `a"b`) is left out of attributes and replaced in text and tag names.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeAlias

from lxml import etree
from selectolax.lexbor import LexborNode

XPathResult: TypeAlias = "list[LexborNode | str | float | bool]"

_NAME = re.compile(r"[A-Za-z_][-.\w]*")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REPLACEMENT: Final = "\ufffd"


class XPathTree:
    """The lxml copy of a lexbor tree."""

    __slots__ = ("_elements", "_nodes")

    def __init__(self, root: LexborNode) -> None:
        self._nodes: dict[Any, LexborNode] = {}
        self._elements: dict[int, Any] = {}
        self._copy(root)

    def evaluate(self, expression: str, scope: LexborNode) -> XPathResult:
        """Nodes become nodes, attributes and text become str; a number, truth value or string is a list of one.

        Raises `ValueError` for an expression that is not XPath 1.0.
        """
        try:
            result = self._elements[scope.mem_id].xpath(expression)
        except etree.XPathError as error:
            raise ValueError(f"XPath {expression!r}: {error}") from None
        if not isinstance(result, list):
            return [str(result) if isinstance(result, str) else result]
        return [found for item in result if (found := self._back(item)) is not None]

    def _back(self, item: Any) -> LexborNode | str | None:
        if isinstance(item, str):
            return str(item)  # lxml's own str keeps the whole tree alive
        return self._nodes.get(item)

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


def evaluate_xml(body: bytes, expression: str) -> list[Any]:
    """XPath over an XML body, as lxml answers; [] where nothing can be parsed. Raises ValueError."""
    # Entities and the network stay off: a feed must not read files of ours.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=True)
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError:  # nothing that could be recovered
        return []
    if root is None:
        return []
    try:
        result = root.xpath(expression)
    except etree.XPathError as error:
        raise ValueError(f"XPath {expression!r}: {error}") from None
    return result if isinstance(result, list) else [result]
