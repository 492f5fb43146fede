"""Which fields the records of a page share, from the elements within them, and what they might be called.

A field is a selector that finds something in most records, and not the same in all. Its name comes from `itemprop`,
else from the class or the head of its column, else from what it is: a heading, a link, a picture, a time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from pipeline.stages.tree import Element

MOST: Final = 10  # fields
LEAST: Final = 0.6  # share of the records that have a value
SAMPLE: Final = 40  # records that are looked at
LONGEST: Final = 400  # characters of a text that is a field and no body of text

_CLASS = re.compile(r"[A-Za-z_][\w-]*")
_SIZE = (
    r"(?:\d.*|\[.*|xs|sm|md|lg|\d?xl|full|auto|none|start|end|center|between|around|hidden|cover|nowrap|tight|relaxed)"
)
_NO_NAME = re.compile(  # classes that say how something looks, or how it is at the moment
    r"(?i)^(?:col|row|grid|flex|d|p|m|px|py|mx|my|mt|mb|w|h|bg|text|font|btn|icon|fa|is|has|js|u|g|sm|md|lg|xl|xs)"
    r"(?:[-:].*|\d.*)$|"
    r"^(?:row|col|grid|flex|container|wrapper|inner|btn|button|icon|fa|active|first|last|odd|even|clearfix|hidden)$|"
    r"^(?:visible|selected|current|pull-\w+|clear|left|right|new|on|off|truncate|block|inline(?:-\w+)?)$|"
    r"^(?:relative|absolute|uppercase|italic|underline|sr-only|divide-.*)$|"
    rf"^(?:leading|tracking|gap|space|min|max|rounded|shadow|items|justify|self|object|shrink|grow|z)(?:-[xywh])?-{_SIZE}$|"
    r"^\w+-\d+$"
)
_GENERATED = re.compile(r"^(?:css|sc|jss|svelte|style)-|\d{3,}|^(?=\w*\d)(?=\w*[a-z])(?=\w*[A-Z])\w+$")
_SIGN = r"(?:[€$£¥]|USD|EUR|GBP|CHF|SEK|NOK|DKK|PLN|zł|kr\.?|Kč|Ft|lei)"
_POINT = re.compile(rf"(?:{_SIGN}\s?)?(?:[1-9]\d{{0,8}}|0)(?:\.\d{{1,2}})?(?:\s?{_SIGN})?", re.IGNORECASE)
_COMMA = re.compile(rf"(?:{_SIGN}\s?)?\d{{1,3}}(?:[. \xa0]?\d{{3}})*,\d{{2}}(?:\s?{_SIGN})?", re.IGNORECASE)
_CUT = ("...", "\u2026")
_HEADINGS: Final = ("h1", "h2", "h3", "h4", "h5", "h6")
_MOST_LEAVES: Final = 8
_NO_LEAF: Final = frozenset((*_HEADINGS, "a", "time", "td", "th", "button", "option", "label", "script", "style"))
_ALONE: Final = 1.2  # matches in a record at most, of a link that is the record's own


class Found(NamedTuple):
    """A field: its name, what the config says of it, what kind of thing it is, how many records have it."""

    name: str
    spec: dict[str, Any]
    kind: str  # text, heading, link (the text of one), url, image, date, price, list
    share: float
    values: tuple[str, ...]


def name_class(element: Element) -> str:
    """The first class that could tell what an element is, else one that a program made; empty if there is none."""
    classes = [one for one in (element.attr("class") or "").split() if _CLASS.fullmatch(one)]
    good = [one for one in classes if not _NO_NAME.search(one)]
    return next((one for one in good if not _GENERATED.search(one)), good[0] if good else "")


def find_fields(records: Sequence[Element]) -> list[Found]:
    """The fields of the records, best first."""
    sample = records[:SAMPLE]
    found: list[Found] = []
    columns: set[tuple[str, ...]] = set()
    for name, selector, kind in _proposals(sample):
        field = _field(name, selector, kind, sample)
        if field is None or field.values in columns:
            continue
        columns.add(field.values)
        found.append(field)
        if len(found) == MOST:
            break
    return _named(found)


def _proposals(sample: Sequence[Element]) -> Iterator[tuple[str, str, str]]:
    """(name, selector, kind) of what stands in the records, what says most of itself first."""
    inner = [record.select("*") for record in sample]
    for name in _common(one.attr("itemprop") or "" for some in inner for one in some):
        if re.fullmatch(r"[\w-]+", name):
            yield name, f'[itemprop="{name}"]', "text"
    heads = [(head, f"td:nth-of-type({number})", "text") for number, head in enumerate(_columns(sample), 1)]
    if heads and heads[0][0] != _unnamed(1):
        yield from heads
    for tag in _HEADINGS:
        yield from (("title", tag, "heading"), ("url", f"{tag} a", "url"))
    own = "" if sample[0].tag == "a" else _own_link(sample)
    if own is not None:
        yield from (("title", own, "link"), ("url", own, "url"))
    yield from (("url", "a", "url"), ("image", "img", "image"), ("date", "time", "date"))
    for tag, name in _common_pairs((one.tag, name_class(one)) for some in inner for one in some):
        yield tag if _GENERATED.search(name) else name, f"{tag}.{name}", "text"
    yield from heads
    yield from _leaves(inner)
    yield "text", "", "text"


def _own_link(sample: Sequence[Element]) -> str | None:
    """The selector of the link that says most, of those that stand once in a record."""
    texts: dict[str, list[str]] = {}
    for record in sample:
        for link in record.select("a[href]"):
            texts.setdefault(_link_selector(link), []).append(link.text)
    once = {one: some for one, some in texts.items() if LEAST * len(sample) <= len(some) <= _ALONE * len(sample)}
    return max(once, key=lambda one: sum(map(len, once[one])), default=None)


def _link_selector(link: Element) -> str:
    own, parent = name_class(link), link.parent
    if own:
        return f"a.{own}"
    above = name_class(parent) if parent is not None else ""
    return f"{parent.tag}.{above} > a" if parent is not None and above else "a"


def _columns(sample: Sequence[Element]) -> list[str]:
    """Names for the cells of records that are rows of a table: the heads of the columns, else numbers."""
    cells = max(len([one for one in record.select("td") if one.parent == record]) for record in sample)
    table: Element | None = sample[0]
    while table is not None and table.tag != "table":
        table = table.parent
    heads = [one.text for one in table.select("tr")[0].select("th")] if table is not None and table.select("tr") else []
    if len(heads) != cells:
        heads = [""] * cells
    return [head or _unnamed(number) for number, head in enumerate(heads, 1)]


def _unnamed(number: int) -> str:
    return f"td_{number}"


def _leaves(inner: Sequence[Sequence[Element]]) -> Iterator[tuple[str, str, str]]:
    """Elements with text of their own and no class that names them, by their place beside others of their kind."""
    counts: Counter[tuple[str, str]] = Counter()
    for some in inner:
        found = dict.fromkeys(
            _place(one) for one in some if one.tag not in _NO_LEAF and not name_class(one) and one.own_text
        )
        counts.update(list(found))
    for (tag, selector), number in counts.most_common(_MOST_LEAVES):
        if number >= LEAST * len(inner):
            yield tag, selector, "text"


def _place(element: Element) -> tuple[str, str]:
    """The tag of an element, and a selector: its number among its like, in what it stands in."""
    parent = element.parent
    if parent is None:
        return element.tag, element.tag
    number = [one for one in parent.select(element.tag) if one.parent == parent].index(element) + 1
    own = name_class(parent)
    return element.tag, f"{parent.tag}{f'.{own}' if own else ''} > {element.tag}:nth-of-type({number})"


def _common(names: Iterator[str]) -> list[str]:
    return [name for name, _ in Counter(name for name in names if name).most_common(20)]


def _common_pairs(pairs: Iterator[tuple[str, str]]) -> list[tuple[str, str]]:
    return [pair for pair, _ in Counter(pair for pair in pairs if pair[1]).most_common(40)]


def _field(name: str, selector: str, kind: str, sample: Sequence[Element]) -> Found | None:
    """The field, if most records have it and not all the same."""
    shares = [record.select(selector) if selector else [record] for record in sample]
    values = tuple(_value(share[0], kind) if share else "" for share in shares)
    filled = [value for value in values if value]
    share = len(filled) / len(sample)
    if share < LEAST or len(set(filled)) < 2 or not _is_text(selector, kind, shares, filled):
        return None
    if kind == "heading" and (whole := _in_title(selector, sample)) is not None:
        return whole
    several = sum(len(one) > 1 for one in shares)
    if kind == "text" and selector and several > len(sample) / 2:
        return Found(name, {"css": selector, "many": True}, "list", share, values)
    return Found(name, _spec(selector, kind, shares, filled), _kind(kind, filled), share, values)


def _is_text(selector: str, kind: str, shares: Sequence[Sequence[Element]], filled: Sequence[str]) -> bool:
    """Is it a value of its own? A box with other things in it is none, nor is a whole body of text."""
    if kind not in ("text", "heading", "link"):
        return True
    if sum(map(len, filled)) / len(filled) > LONGEST:
        return False
    most = 2 if selector else 1
    return kind == "heading" or 2 * sum(len(one[0].select("*")) > most for one in shares if one) <= len(filled)


def _in_title(selector: str, sample: Sequence[Element]) -> Found | None:
    """The field for headings that are cut short, where their links have the whole of it as `title`."""
    texts = [share[0] for record in sample if (share := record.select(selector))]
    links = [share[0] if (share := record.select(f"{selector} a[title]")) else None for record in sample]
    if not any(one.text.endswith(_CUT) for one in texts) or None in links:
        return None
    values = tuple(one.attr("title") or "" for one in links if one is not None)
    return Found("title", {"css": f"{selector} a::attr(title)"}, "heading", 1.0, values)


def _value(element: Element, kind: str) -> str:
    if kind == "url":
        return element.attr("href") or ""
    if kind == "image":
        return _source(element)[1]
    if kind == "date":
        return element.attr("datetime") or element.text
    return element.text or element.attr("content") or ""


def _source(element: Element) -> tuple[str, str]:
    """The attribute in which an image stands: pages that load it late have a place-holder in `src`."""
    late = (("data-src", element.attr("data-src")), ("data-original", element.attr("data-original")))
    return next(((name, value) for name, value in late if value), ("src", element.attr("src") or ""))


def _kind(kind: str, filled: Sequence[str]) -> str:
    return "price" if kind == "text" and _decimal_sign(filled) else kind


def _decimal_sign(filled: Sequence[str]) -> str:
    """The decimal sign of texts that are all prices; empty if they are not."""
    if not any(re.search(rf"\d[.,]\d|{_SIGN}", text) for text in filled):
        return ""
    return next((sign for sign, form in ((".", _POINT), (",", _COMMA)) if all(map(form.fullmatch, filled))), "")


def _spec(selector: str, kind: str, shares: Sequence[Sequence[Element]], filled: Sequence[str]) -> dict[str, Any]:
    first = next(share[0] for share in shares if share)
    if kind == "url":
        return {"css": f"{selector}::attr(href)", "type": "url"}
    if kind == "image":
        return {"css": f"{selector}::attr({_source(first)[0]})", "type": "url"}
    if kind == "date" and first.attr("datetime"):
        return {"css": f"{selector}::attr(datetime)"}
    if not selector:
        return {"css": "::text"}
    if not first.text and first.attr("content"):
        return {"css": f"{selector}::attr(content)"}
    return decimal_spec(selector, filled) if kind == "text" else {"css": selector}


def decimal_spec(selector: str, filled: Sequence[str]) -> dict[str, Any]:
    """A field for these texts: of prices a decimal, with the sign that divides them where that is a comma."""
    sign = _decimal_sign(filled)
    return {"css": selector} | ({"type": "decimal"} if sign else {}) | ({"decimal": sign} if sign == "," else {})


def _named(found: Sequence[Found]) -> list[Found]:
    """Each field under a name of its own that a table and an expression can hold; one heading is enough."""
    named: dict[str, Found] = {}
    for field in found:
        name = re.sub(r"\W+", "_", re.sub(r"^.*__|--.*$", "", field.name)).strip("_").lower() or "field"
        if name in named and field.kind in ("heading", "link", "url"):
            continue
        unique, number = name, 2
        while unique in named:
            unique, number = f"{name}_{number}", number + 1
        named[unique] = field._replace(name=unique)
    return list(named.values())
