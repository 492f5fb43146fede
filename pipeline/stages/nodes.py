"""The lexbor document as all that look at it see it: its nodes, and what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

HIDDEN: Final = frozenset({"script", "style", "template"})


def top_nodes(parser: LexborHTMLParser) -> Iterator[LexborNode]:
    """The children of the document: comments, doctype, the root element."""
    root = parser.root
    document = root.parent if root is not None else None
    node = document.first_child if document is not None else None
    while node is not None:
        yield node
        node = node.next


def rename_foreign_attributes(nodes: list[LexborNode]) -> None:
    """Make `xlink:href` one plain name: lexbor's `[href]` would match it, a browser's does not. The order is kept."""
    for node in nodes:
        attributes = node.attributes
        if any(":" in name for name in attributes):
            for name in attributes:
                del node.attrs[name]
            for name, value in attributes.items():
                node.attrs[name] = value  # None is an attribute without value


def attribute(node: LexborNode, name: str) -> str | None:
    """An attribute; empty text if it has no value, None if it is not there."""
    try:
        return node.attrs[name] or ""
    except KeyError:
        return None


def link_of(node: LexborNode) -> str | None:
    """Where an element leads: its `href`, else its `src`."""
    try:
        return node.attrs["href"] or ""
    except KeyError:
        return attribute(node, "src")


def visible_text(node: LexborNode) -> str:
    """Text of the subtree in document order, hidden subtrees below `node` skipped."""
    start = content(node) if node.tag == "template" else node
    if node.tag in ("script", "style"):
        return node.text_lexbor()
    texts: list[str] = []
    todo = [start.first_child]
    while todo:
        current = todo.pop()
        if current is None:
            continue
        todo.append(current.next)
        if current.is_text_node:
            texts.append(current.text_content or "")
        elif current.tag not in HIDDEN:
            todo.append(current.first_child)
    return "".join(texts)


def content(template: LexborNode) -> LexborNode:
    """What is within a `template`, which is a document of its own."""
    fragments: list[LexborNode] = template.template_fragments()
    return fragments[0] if fragments else template
