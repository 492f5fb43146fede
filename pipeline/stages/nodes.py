"""The lexbor document as all that look at it see it."""

from __future__ import annotations

from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode


def top_nodes(parser: LexborHTMLParser) -> Iterator[LexborNode]:
    """The children of the document: comments, doctype, the root element."""
    root = parser.root
    document = root.parent if root is not None else None
    node = document.first_child if document is not None else None
    while node is not None:
        yield node
        node = node.next
