"""Markup that nests deeper than any page that people read, made flatter before it is parsed.

For every start tag an HTML parser walks up the open elements, so a page of 100,000 open `<div>` costs it half a minute
(browsers stop at a depth of 512 for that reason), and an XML parser drops what is too deep for it. Here what stands
deeper than `DEEPEST` is put side by side: every element and every text stays, all that is lost is which of the deepest
elements is in which. Pages that are not hostile cost a count, or one pass of a regular expression where they have
thousands of tags.
"""

from __future__ import annotations

import re
from typing import Final

DEEPEST: Final = 512

# What never ends counts up to the end of the page: else whatever begins anew within it is looked for as far, each time.
_TAG: Final = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)[^>]*(?:>|\Z)")
_XML_TAG: Final = re.compile(
    r"<!--.*?(?:-->|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|<[^\W\d][^>]*/>|<(/?)([^\W\d][^\s/>]*)[^>]*(?:>|\Z)", re.DOTALL
)
# What has no content, or is closed by the next of its kind: many of these in a row are no depth.
_NEVER_DEEP: Final = frozenset((
    *("a", "area", "base", "body", "br", "col", "dd", "dt", "embed", "head", "hr", "html", "img", "input", "li"),
    *("link", "meta", "nobr", "option", "optgroup", "p", "param", "source", "tbody", "td", "tfoot", "th", "thead"),
    *("tr", "track", "wbr"),
))  # fmt: skip


def flattened(markup: str, *, xml: bool = False) -> str:
    """`markup` itself, or, where it is deeper than `DEEPEST`, with what is deeper side by side."""
    tags, flat = (_XML_TAG, frozenset[str]()) if xml else (_TAG, _NEVER_DEEP)
    if markup.count("<") <= DEEPEST or _depth(markup, tags, flat) <= DEEPEST:
        return markup
    depth = 0
    beyond = ""  # the element that is open beyond the deepest

    def kept(tag: re.Match[str]) -> str:
        nonlocal depth, beyond
        closing, name = tag[1], tag[2] if xml else tag[2].lower()
        if name is None or name in flat:
            return tag[0]
        if not closing:
            depth += 1
            if depth <= DEEPEST:
                return tag[0]
            before, beyond = beyond, name
            return f"</{before}>{tag[0]}" if before else tag[0]
        depth = max(depth - 1, 0)
        if depth >= DEEPEST and beyond != name:
            return ""
        before, beyond = beyond, ""
        return tag[0] if depth >= DEEPEST or not before else f"</{before}>{tag[0]}"

    return tags.sub(kept, markup)


def _depth(markup: str, tags: re.Pattern[str], flat: frozenset[str]) -> int:
    """About how deep the deepest element stands."""
    depth = deepest = 0
    for closing, name in tags.findall(markup):
        if not name or name.lower() in flat:
            continue
        if not closing:
            depth += 1
            deepest = max(deepest, depth)
        elif depth:
            depth -= 1
    return deepest
