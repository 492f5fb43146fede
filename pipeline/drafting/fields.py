"""Which fields the records of a page share, from the elements within them, and what they might be called.

A field is a selector that finds something in most records, and not the same in all. Its name comes from `itemprop`,
else from the class, else from what it is: a heading, a link, a picture, a time.
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
_NO_NAME = re.compile(  # classes that say how something looks, or how it is at the moment
    r"(?i)^(?:col|row|grid|flex|d|p|m|px|py|mx|my|mt|mb|w|h|bg|text|font|btn|icon|fa|is|has|js|u|g|sm|md|lg|xl|xs)"
    r"(?:-.*|\d.*)$|"
    r"^(?:row|col|grid|flex|container|wrapper|inner|btn|button|icon|fa|active|first|last|odd|even|clearfix|hidden)$|"
    r"^(?:visible|selected|current|pull-\w+|clear|left|right|new|on|off)$|"
    r"^\w+-\d+$"
)
_GENERATED = re.compile(r"^(?:css|sc|jss|svelte|style)-|\d{3,}|^(?=\w*\d)(?=\w*[a-z])(?=\w*[A-Z])\w+$")
_PRICE = re.compile(r"[^\w\s]{0,2}\s?\d{1,9}(?:\.\d{1,2})?\s?[€$£]?")
_HEADINGS: Final = ("h1", "h2", "h3", "h4", "h5", "h6")


class Found(NamedTuple):
    """A field: its name, what the config says of it, what kind of thing it is, how many records have it."""

    name: str
    spec: dict[str, Any]
    kind: str  # text, heading, url, image, date, price, list
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
    for tag in _HEADINGS:
        yield "title", tag, "heading"
    yield from (("url", "h1 a, h2 a, h3 a, h4 a, h5 a", "url"), ("url", "a", "url"), ("image", "img", "image"))
    yield "date", "time", "date"
    for tag, name in _common_pairs((one.tag, name_class(one)) for some in inner for one in some):
        yield tag if _GENERATED.search(name) else name, f"{tag}.{name}", "text"
    if not any(name_class(one) for some in inner for one in some):
        for tag in ("td", "dt", "dd", "p", "span", "a", "strong", "b", "div"):
            for number in range(1, 7 if tag == "td" else 2):
                yield f"{tag}_{number}" if tag == "td" else tag, _nth(tag, number), "text"
    yield "text", "", "text"


def _nth(tag: str, number: int) -> str:
    return f"td:nth-of-type({number})" if tag == "td" else tag


def _common(names: Iterator[str]) -> list[str]:
    return [name for name, _ in Counter(name for name in names if name).most_common(20)]


def _common_pairs(pairs: Iterator[tuple[str, str]]) -> list[tuple[str, str]]:
    return [pair for pair, _ in Counter(pair for pair in pairs if pair[1]).most_common(40)]


def _field(name: str, selector: str, kind: str, sample: Sequence[Element]) -> Found | None:
    """The field, if most records have it and not all the same."""
    shares = [record.select(selector) if selector else [record] for record in sample]
    if name == "text" and not selector and any(_has_parts(record) for record in sample[:5]):
        return None
    values = tuple(_value(share[0], kind) if share else "" for share in shares)
    filled = [value for value in values if value]
    if len(filled) < LEAST * len(sample) or len(set(filled)) < 2:
        return None
    if kind == "text" and sum(len(share[0].select("*")) > 2 for share in shares if share) > len(filled) / 2:
        return None  # it is a box with other things in it
    if kind in ("text", "heading") and sum(map(len, filled)) / len(filled) > LONGEST:
        return None
    several = sum(len(share) > 1 for share in shares)
    if kind == "text" and selector and several > len(sample) / 2:
        return Found(name, {"css": selector, "many": True}, "list", len(filled) / len(sample), values)
    return Found(name, _spec(selector, kind, shares, filled), _kind(kind, filled), len(filled) / len(sample), values)


def _has_parts(record: Element) -> bool:
    return len(record.select("*")) > 1


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
    return "price" if kind == "text" and all(map(_is_price, filled)) else kind


def _is_price(text: str) -> bool:
    return bool(_PRICE.fullmatch(text)) and any(sign in text for sign in ".€$£")


def _spec(selector: str, kind: str, shares: Sequence[Sequence[Element]], filled: Sequence[str]) -> dict[str, Any]:
    first = next(share[0] for share in shares if share)
    if kind == "url":
        return {"css": f"{selector}::attr(href)" if "," not in selector else selector, "type": "url"}
    if kind == "image":
        return {"css": f"{selector}::attr({_source(first)[0]})", "type": "url"}
    if kind == "date" and first.attr("datetime"):
        return {"css": f"{selector}::attr(datetime)"}
    if not selector:
        return {"css": "::text"}
    if not first.text and first.attr("content"):
        return {"css": f"{selector}::attr(content)"}
    return {"css": selector, "type": "decimal"} if _kind(kind, filled) == "price" else {"css": selector}


def _named(found: Sequence[Found]) -> list[Found]:
    """Each field under a name of its own that a table and an expression can hold; one heading is enough."""
    named: dict[str, Found] = {}
    for field in found:
        name = re.sub(r"\W+", "_", re.sub(r"^.*__|--.*$", "", field.name)).strip("_").lower() or "field"
        if name in named and field.kind in ("heading", "url"):
            continue
        unique, number = name, 2
        while unique in named:
            unique, number = f"{name}_{number}", number + 1
        named[unique] = field._replace(name=unique)
    return list(named.values())
