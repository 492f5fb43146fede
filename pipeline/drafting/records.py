"""Which elements of a page are its records: those that stand there several times, alike, with most to say.

A candidate is a selector of one step (`article.product_pod`, `ul.results > li`) with all that it matches. It scores by
how many fields its elements share, how much of the page's text they hold, and what looks like prices, dates and
headings. Parts of a page that repeat without being content (navigation, footers, forms) count little.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from pipeline.drafting.fields import Found, find_fields, name_class
from pipeline.stages.page import Page
from pipeline.stages.tree import Element

FEWEST: Final = 3  # of anything that stands twice nobody can say that it repeats
MOST: Final = 400  # elements of a candidate that are looked at
CLOSELY: Final = 40  # candidates that are looked at closely
LEAST_SHARE: Final = 0.10  # of the page's text; what has less is a part of another kind of page
_NO_CONTENT: Final = frozenset(("nav", "footer", "select", "svg", "button"))
_FRAME: Final = frozenset(("header", "aside"))
_NEVER: Final = frozenset(
    ("option", "br", "script", "style", "meta", "link", "path", "td", "th", "source", "input", "b", "i", "em", "strong")
)
_FRAME_NAME = re.compile(
    r"(?i)(?:^|[-_ ])(?:nav|menu|footer|breadcrumbs?|sidebar|pagination|pager|cookie|share|social)"
)
_PRICE = re.compile(r"[$€£¥]\s?\d|\d\s?(?:[$€£¥]|USD|EUR|CHF|zł|kr)")


class Records(NamedTuple):
    """The records of a page: their selector, what it matches, the fields that they share, what they are worth."""

    selector: str
    elements: Sequence[Element]
    fields: Sequence[Found]
    score: float
    share: float  # of the page's text


def find_records(page: Page) -> Records | None:
    """The best candidate of an HTML page; None if nothing repeats."""
    whole = max(len(page.tree.select("body")[0].text) if page.tree.select("body") else 0, 1)
    rough = sorted(_candidates(page), key=lambda one: -_rough(one[1]))[:CLOSELY]
    judged = [found for selector, elements in rough if (found := _judge(selector, elements, whole)) is not None]
    return max((found for found in judged if found.score > 0), key=lambda found: found.score, default=None)


def _candidates(page: Page) -> Iterator[tuple[str, list[Element]]]:
    """Every selector that matches several elements, none of them within another."""
    groups: dict[str, list[Element]] = defaultdict(list)
    for element in page.tree.select("body *"):
        if element.tag in _NEVER or element.tag in _FRAME or element.tag in _NO_CONTENT:
            continue
        own = name_class(element)
        if own:
            groups[f"{element.tag}.{own}"].append(element)
        parent = element.parent
        above = _name(parent) if parent is not None else ""
        if above:
            groups[f"{above} > {element.tag}"].append(element)
    for selector, elements in groups.items():
        if FEWEST <= len(elements) <= MOST and not _nested(elements):
            yield selector, elements


def _name(parent: Element) -> str:
    """A selector for the element around records; of a table's body also for the table."""
    own = name_class(parent)
    if own:
        return f"{parent.tag}.{own}"
    above = parent.parent
    if parent.tag in ("tbody", "ul", "ol", "dl", "table") and above is not None and above.tag != "body":
        return f"{_name(above)} > {parent.tag}" if _name(above) else parent.tag
    return parent.tag if parent.tag in ("tbody", "ul", "ol", "main", "section") else ""


def _nested(elements: Sequence[Element]) -> bool:
    known = {element.node.mem_id for element in elements}
    for element in elements:
        parent = element.parent
        while parent is not None:
            if parent.node.mem_id in known:
                return True
            parent = parent.parent
    return False


def _rough(elements: Sequence[Element]) -> float:
    """A first guess, from the texts alone."""
    texts = {element.text for element in elements}
    return math.sqrt(len(texts)) * sum(min(len(text), 600) for text in texts) / max(len(elements), 1)


def _judge(selector: str, elements: Sequence[Element], whole: int) -> Records | None:
    texts = [element.text for element in elements]
    filled = [text for text in texts if text]
    if len(set(filled)) < FEWEST or len(filled) < 0.7 * len(elements):
        return None
    fields = find_fields(elements)
    if not fields:
        return None
    share = min(sum(map(len, texts)) / whole, 1.0)
    kinds = {field.kind for field in fields}
    place = _place(elements[0])
    worth = min(len(fields), 8) + 2 * ("heading" in kinds) + ("image" in kinds) + ("date" in kinds) + ("url" in kinds)
    worth += 3 * (sum(bool(_PRICE.search(text)) for text in texts) > len(texts) / 2)
    score = worth * math.log2(len(elements) + 1) * (0.15 + share) * place
    score *= 1.0 if " > " in selector else 1.2  # a name says more than a place
    return Records(selector, elements, fields, score, share)


def _place(element: Element) -> float:
    """How likely content stands where this element does."""
    here: Element | None = element
    while here is not None and here.tag != "body":
        if here.tag in _NO_CONTENT:
            return 0.0
        named = f"{here.attr('class') or ''} {here.attr('id') or ''} {here.attr('role') or ''}"
        if here.tag in _FRAME or _FRAME_NAME.search(named):
            return 0.15
        here = here.parent
    return 1.0
