"""Which elements of a page are its records: those that stand there several times, alike, with most to say.

A candidate is a selector of one step (`article.product_pod`, `ul.results > li`) with all that it matches. It scores by
how many fields its elements share, how much of the page's text they hold, and what looks like prices, dates and
headings. Parts of a page that repeat without being content (navigation, footers, forms) count little.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from pipeline.drafting.fields import Found, find_fields, name_class
from pipeline.stages.page import Page
from pipeline.stages.tree import Element

FEWEST: Final = 3  # of anything that stands twice nobody can say that it repeats
MOST: Final = 400  # elements of a candidate that are looked at
CLOSELY: Final = 40  # candidates that are looked at closely
LEAST_SHARE: Final = 0.10  # of the page's text; what has less is a part of another kind of page
LEAST_LIKE: Final = 0.3
_NO_CONTENT: Final = frozenset(("nav", "footer", "select", "svg", "button", "math", "p", "pre"))
_FRAME: Final = frozenset(("header", "aside"))
_NEVER: Final = frozenset(
    (
        *("option", "br", "script", "style", "meta", "link", "path", "source", "input", "td", "th", "p"),
        *("b", "i", "em", "strong", "ul", "ol", "tbody", "thead"),
    )
)
_FRAME_NAME = re.compile(
    r"(?i)(?:^|[-_ ])(?:nav|menu|submenu|megamenu|footer|breadcrumbs?|sidebar|pagination|pager|cookie|share|social|"
    r"related|recommend\w*|recommendations|similar|upsell|cross-?sell|also|carousel|slick|swiper|dropdown|accordion|references)"
)
WHOLE: Final = 0.6  # share of the page's text with which something is the page, and no frame around it
_BESIDE: Final = 0.15  # of the score of records that stand in a frame
_DEEP: Final = 4  # steps of a selector to an element without a name
PRICE = re.compile(r"[$€£¥]\s?\d|\d\s?(?:[$€£¥]|USD|EUR|CHF|zł|kr)")


class Records(NamedTuple):
    """The records of a page: their selector, what it matches, the fields that they share, what they are worth."""

    selector: str
    elements: Sequence[Element]
    fields: Sequence[Found]
    score: float
    share: float  # of the page's text
    place: float  # how likely content stands there; 1 where nothing says otherwise


def find_records(page: Page) -> Records | None:
    """The best candidate of an HTML page; None if nothing repeats."""
    body = page.tree.select("body")
    whole = max(len(body[0].text) if body else 0, 1)
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
        above = _name(parent, _DEEP) if parent is not None else ""
        if above:
            groups[f"{above} > {element.tag}"].append(element)
    for selector, elements in groups.items():
        if FEWEST <= len(elements) <= MOST and not _nested(elements):
            yield _without_heads(selector, elements)


def _without_heads(selector: str, elements: list[Element]) -> tuple[str, list[Element]]:
    """Rows of a table without those that only name its columns."""
    rows = [one for one in elements if one.select("td")] if elements[0].tag == "tr" else elements
    return (selector, elements) if len(rows) == len(elements) else (f"{selector}:has(td)", rows)


def selector_of(element: Element) -> str:
    """A selector for one element, by its name or place; empty if it has none that is short."""
    return _name(element, _DEEP)


def _name(parent: Element, steps: int) -> str:
    """A selector for the element around records: its name, or its place in something that has one."""
    own, ident = name_class(parent), parent.attr("id") or ""
    if own:
        return f"{parent.tag}.{own}"
    if parent.tag in ("main", "body"):
        return parent.tag
    if re.fullmatch(r"[A-Za-z][A-Za-z_-]*", ident):
        return f"#{ident}"
    above = parent.parent
    if above is None or not steps:
        return ""
    if parent.tag in ("tbody", "ul", "ol", "dl", "table", "section") and above.tag == "body":
        return parent.tag
    around = _name(above, steps - 1)
    return f"{around} > {parent.tag}" if around else ""


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
    likeness = _likeness(elements[:CLOSELY])
    fields = find_fields(elements) if likeness >= LEAST_LIKE else []
    kinds = {field.kind for field in fields}
    if kinds <= {"image"}:
        return None
    share = min(sum(map(len, texts)) / whole, 1.0)
    place = _place(elements[0], whole)
    worth = min(len(fields), 8) + 2 * ("heading" in kinds) + ("image" in kinds) + ("date" in kinds) + ("url" in kinds)
    worth += 3 * (sum(bool(PRICE.search(text)) for text in texts) > len(texts) / 2)
    score = worth * math.log2(len(elements) + 1) * (0.15 + share) * place * likeness
    score *= 1.2 * 0.85 ** selector.count(" > ")  # a name says more than a place
    return Records(selector, elements, fields, score, share, place)


def _likeness(elements: Sequence[Element]) -> float:
    """How much of what the elements are made of most of them have, 0 to 1: the parts of a page are not alike."""
    made = [{(one.tag, name_class(one)) for one in element.select("*")} for element in elements]
    counts = Counter(part for parts in made for part in parts)
    common = {part for part, number in counts.items() if 2 * number > len(made)}
    return sum(len(parts & common) / len(parts | common) if parts | common else 1.0 for parts in made) / len(made)


def _place(element: Element, whole: int) -> float:
    """How likely content stands where this element does."""
    here: Element | None = element
    place = 1.0
    while here is not None and here.tag != "body":
        if here.tag in _NO_CONTENT:
            return 0.0
        named = f"{here.attr('class') or ''} {here.attr('id') or ''} {here.attr('role') or ''}"
        if (here.tag in _FRAME or _FRAME_NAME.search(named)) and not _is_page(here, whole):
            place = _BESIDE
        here = here.parent
    return place


def _is_page(element: Element, whole: int) -> bool:
    """Is it the page itself, whatever its classes say of what else it has?"""
    return len(element.select("h1")) == 1 or len(element.text) > WHOLE * whole
