"""Selection by soupsieve, over a BeautifulSoup copy of the lexbor tree; the answers are nodes of the one tree.

Imported when a selector needs it: bs4 and soupsieve take 100 ms to import, and lexbor answers most selectors.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

import soupsieve
from bs4.element import Tag
from selectolax.lexbor import LexborNode
from soupsieve.css_parser import PSEUDO_SUPPORTED

from pipeline.errors import SelectorError
from pipeline.stages.soup import build_soup, node_of

_UNKNOWN = re.compile(r"'(:[^']+)' was detected as a pseudo-class")
_POSITION = re.compile(r"(?i)\bposition (\d+)")


def compile_sieve(css: str) -> soupsieve.SoupSieve:
    """A selector compiled by soupsieve. Raises `SelectorError`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # `:contains()`, an older name of `:-soup-contains()`
            # NOSTRICT: browsers allow `:has(a > b)`, which soupsieve else refuses as slow on odd trees.
            return soupsieve.compile(css, flags=soupsieve.NOSTRICT)
    except soupsieve.SelectorSyntaxError as error:
        reason = str(error).partition("\n")[0]
        if unknown := _UNKNOWN.search(reason):
            place = css.lower().find(unknown[1].lower())
            raise SelectorError(css, _no_such(unknown[1]), None if place < 0 else place) from None
        found = _POSITION.search(reason)
        reason = _POSITION.sub("", reason).replace(" at ", " ").strip() if found else reason
        raise SelectorError(css, reason, int(found[1]) if found else None) from None


def _no_such(name: str) -> str:
    """What to say of a pseudo-class that nobody knows, with the nearest one."""
    from difflib import get_close_matches  # noqa: PLC0415 - only where something is wrong

    near = get_close_matches(name, PSEUDO_SUPPORTED, 1, cutoff=0.7)
    told = f"did you mean {near[0]}?" if near else r"a colon within a name is written as \:"
    return f"there is no pseudo-class {name} ({told})"


class Sieve:
    """The copy that selectors are asked of: its own, so that plugins that change `page.soup` cannot change answers."""

    def __init__(self, top: Sequence[LexborNode]) -> None:
        self._soup = build_soup(top, plain=True)
        self._tags: dict[int, Tag] | None = None

    def select(self, pattern: soupsieve.SoupSieve, scope: LexborNode | None) -> list[LexborNode]:
        """The nodes that match below `scope` (None: in the document), in document order."""
        tag = self._soup if scope is None else self._tag_of(scope)
        if tag is None:
            return []
        return [node for found in pattern.select(tag) if (node := node_of(found)) is not None]

    def _tag_of(self, node: LexborNode) -> Tag | None:
        if self._tags is None:
            tags = (tag for tag in self._soup.descendants if isinstance(tag, Tag))
            self._tags = {found.mem_id: tag for tag in tags if (found := node_of(tag)) is not None}
        return self._tags.get(node.mem_id)
