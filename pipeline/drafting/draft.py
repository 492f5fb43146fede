"""From one page to the text of a config for it: seeds, records or a single item, the next page, a store.

The draft is a beginning that works, made for being read and changed, so every part says in a comment what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from pipeline.config.writing import dump_line
from pipeline.drafting.data import find_list
from pipeline.drafting.records import LEAST_SHARE, Records, find_records
from pipeline.stages.page import Page

TYPE: Final = "item"
FEW: Final = 6  # records that may be the sections of a page
MOST_OF: Final = 0.6  # share of the text that must be records where the page says that it is one thing
_NEXT: Final = ("next", "next page", "older posts", "older", "weiter", "nächste", "suivant", "siguiente", "avanti")
_SIGNS: Final = ("\u203a", "»", "→", ">", ">>")
_WORD = re.compile(r"[^\W\d_]+(?: [^\W\d_]+)?")
_SINGLE: Final = (  # fields of a page that is one thing: name, what the page says of itself, else an element
    ("title", [{"jsonld": "*.headline"}, {"opengraph": "title"}, "h1"]),
    ("title", ["h1", "title"]),
    ("description", [{"opengraph": "description"}, {"meta": "description"}]),
    ("image", [{"opengraph": "image"}]),
)
_PRODUCT: Final = (
    ("name", "name"),
    ("brand", "brand.name"),
    ("sku", "sku"),
    ("price", "offers.price"),
    ("currency", "offers.priceCurrency"),
    ("availability", "offers.availability"),
)
_ARTICLE: Final = (("headline", "headline"), ("author", "author.name"), ("published", "datePublished"))


class Draft(NamedTuple):
    """A config as text, without its test; what was found in a few words; the fields to tell items apart by."""

    text: str
    found: str
    fields: list[str]


class _Plan(NamedTuple):
    """What the page rule of the draft will say."""

    found: str
    each: Any
    fields: dict[str, Any]
    key: list[str]
    follow: Any


def draft(page: Page, name: str) -> Draft:
    """A config for the page, as far as it can be read off it."""
    plan = (_data_plan(page) if page.kind == "json" else _page_plan(page)) or _Plan("nothing", None, {}, [], None)
    return Draft("\n".join(_lines(page, name, plan)) + "\n", plan.found, list(plan.fields))


def config_name(url: str) -> str:
    """A name for the config of a site."""
    host = urlsplit(url).hostname or "site"
    return re.sub(r"[^A-Za-z0-9.-]", "-", host.removeprefix("www.")).strip("-.") or "site"


# --- what the page has -----------------------------------------------------------------------------------------------


def _data_plan(page: Page) -> _Plan | None:
    try:
        found = find_list(page.json())
    except ValueError:
        return None
    if found is None:
        return None
    path, fields = found
    specs = {_plain(field, fields): {"json": field} for field in fields}
    return _Plan(f"a list of records, {path}", {"json": path}, specs, [], None)


def _plain(path: str, paths: Sequence[str]) -> str:
    """The last part of a path as the name of a field; all of it where two would get one name."""
    last = path.rpartition(".")[2]
    alone = sum(one.rpartition(".")[2] == last for one in paths) == 1
    return re.sub(r"\W+", "_", last if alone else path).strip("_") or "field"


def _page_plan(page: Page) -> _Plan | None:
    if page.kind != "html":
        return None
    records = find_records(page)
    if records is None or records.share < LEAST_SHARE or _is_one(page, records):
        return _single(page)
    fields = {field.name: _short(field.spec) for field in records.fields}
    links = [field for field in records.fields if field.kind == "url"]
    unique = [field.name for field in links if field.share == 1.0 and len(set(field.values)) == len(field.values)]
    found = f"{len(records.elements)} records, {records.selector}"
    return _Plan(found, records.selector, fields, unique[:1], _next(page))


def _is_one(page: Page, records: Records) -> bool:
    """Is the page one thing, and what repeats on it beside the point: its sections, or others of its kind?"""
    few = len(records.elements) < FEW
    kind = "".join(page.css('meta[property="og:type"]::attr(content)')[:1]).lower()
    says_so = kind.startswith(("product", "article", "og:product")) or bool(_said(page, "Product", _PRODUCT))
    return (few and len(records.fields) < FEW - 2) or (says_so and (few or records.share < MOST_OF))


def _short(spec: dict[str, Any]) -> Any:
    return spec["css"] if list(spec) == ["css"] else spec


def _single(page: Page) -> _Plan | None:
    """A page that is one thing."""
    fields = _said(page, "Product", _PRODUCT) or _said(page, "*", _ARTICLE)
    for name, sources in _SINGLE:
        there = [source for source in sources if _gives(page, source)]
        if name not in fields and there and not (name == "title" and ("name" in fields or "headline" in fields)):
            fields[name] = there[0]
    return _Plan("one item, the page itself", None, fields, [], None) if fields else None


def _said(page: Page, kind: str, wanted: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """What JSON-LD of this type says, as far as the words stand in it."""
    scripts = [one.text for one in page.select('script[type="application/ld+json"]')]
    text = " ".join(scripts)
    types = "Product" if kind == "Product" else "(?:News|Blog)?(?:Article|Posting)"
    match = re.search(rf'"@type"\s*:\s*\[?\s*"({types})"', text)
    if match is None:
        return {}
    return {
        name: {"jsonld": f"{match[1]}.{path}"}
        for name, path in wanted
        if all(f'"{part}"' in text for part in path.split("."))
    }


def _gives(page: Page, source: Any) -> bool:
    if isinstance(source, str):
        return any(one.text for one in page.select(source)[:1])
    name, value = next(iter(source.items()))
    if name == "opengraph":
        return bool(page.css(f'meta[property="og:{value}"]::attr(content)'))
    return name == "meta" and bool(page.css(f'meta[name="{value}"]::attr(content)'))


def _next(page: Page) -> Any:
    """The link to the next page: by its relation, else by a class, else by its words."""
    for selector in ('a[rel~="next"]', "li.next a", "a.next", ".next > a", ".pagination-next a", 'link[rel~="next"]'):
        if page.css(f"{selector}::attr(href)"):
            return selector
    for link in page.select("a[href]"):
        text = link.text.lower().strip(" .\u203a»→>\xa0")
        if text in _NEXT and (word := _WORD.match(link.text.strip())):
            return f'a:-soup-contains("{word[0]}")'
        if link.text.strip() in _SIGNS:
            return f'a:-soup-contains("{link.text.strip()}")'
    return None


# --- how it is said --------------------------------------------------------------------------------------------------


def _lines(page: Page, name: str, plan: _Plan) -> Iterator[str]:
    url = page.url
    yield from (
        f"# A draft from one page, {url}: {plan.found}. Read it, change it, then run it.",
        "#",
        f"#     hookline try {name}.yaml {_quoted(url)} --explain",
        f"#     hookline test {name}.yaml",
        f"#     hookline run --limit 5 {name}.yaml",
        "",
        f"name: {dump_line(name)}",
        "",
        "# Where to start. Links that leave this host are not followed.",
        "seeds:",
        f"  - {_value(url)}",
        "",
        "fetch:",
        "  # Say who you are, so that the site's owner can write to you instead of blocking you.",
        f'  # user_agent: "{name}-bot/1.0 (+https://you.example/contact)"',
        "  per_host: {delay: 1s}              # one request a second",
        "",
        "# Code beyond what is built in: an example that may change or drop items.",
        "# plugins: [./plugins/example.py]",
        "",
        "pages:",
        "  page:",
    )
    yield from _items(plan)
    if plan.follow is not None:
        yield "    follow:"
        yield f"      - {_value(plan.follow):<30} # the next page"
    yield from (
        "",
        "# The file appears when a run is over, or stays as it was.",
        "store:",
        f"  - jsonl: out/{name}.jsonl",
    )


def _items(plan: _Plan) -> Iterator[str]:
    yield "    items:"
    yield f"      - type: {TYPE}"
    if plan.each is not None:
        yield f"        each: {_value(plan.each)}   # one item for each of these"
    if plan.key:
        yield f"        key: {_value(plan.key)}   # tells items apart from run to run"
    yield "        fields:" + ("" if plan.fields else " {url: {url: true}}   # nothing was found: name what you want")
    for name, spec in plan.fields.items():
        yield f"          {_value(name)}: {_value(spec)}"


def _value(value: Any) -> str:
    """A value as it stands behind a key."""
    return dump_line(value)


def _quoted(url: str) -> str:
    return url if re.fullmatch(r"[\w:/.~%-]+", url) else f"'{url}'"
