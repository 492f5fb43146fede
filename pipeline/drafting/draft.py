"""From one page to the text of a config for it: seeds, records or a single item, the next page, a store.

The draft is a beginning that works, made for being read and changed, so every part says in a comment what it is.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from pipeline.config.writing import dump_line
from pipeline.drafting.data import Listed, json_records, jsonld_records, next_page, xml_records
from pipeline.drafting.records import LEAST_SHARE, Records, find_records
from pipeline.drafting.single import og_type, says_article, says_product, single_fields
from pipeline.stages.page import Page
from pipeline.stages.tree import Element

TYPE: Final = "item"
FEW: Final = 6  # records that may be the sections of a page
MORE_PROSE: Final = 1.5  # times as much text in paragraphs beside the records: these are not what the page is about
FEW_FIELDS: Final = 3  # of a page that is one thing; with fewer the data in its scripts may say more
MOST_OF: Final = 0.6  # share of the text that must be records where the page says that it is one thing
_NEXT: Final = ("next", "next page", "older posts", "older", "weiter", "nächste", "suivant", "siguiente", "avanti")
_SIGNS: Final = ("\u203a", "»", "→", ">", ">>")
_WORD = re.compile(r"[^\W\d_]+(?: [^\W\d_]+)?")


class Draft(NamedTuple):
    """A config as text, without its test; what was found in a few words; what the config says of each field."""

    text: str
    found: str
    fields: dict[str, Any]


class _Plan(NamedTuple):
    """What the page rule of the draft will say."""

    found: str
    each: Any
    fields: dict[str, Any]
    key: list[str]
    follow: Any


def draft(page: Page, name: str, refused: Collection[str] = ()) -> Draft:
    """A config for the page, as far as it can be read off it; for `refused` see `single_fields`."""
    read = {"json": _data_plan, "html": _page_plan, "xml": _xml_plan}.get(page.kind)
    plan = (read(page, refused) if read else None) or _Plan("nothing", None, {}, [], None)
    return Draft("\n".join(_lines(page, name, plan)) + "\n", plan.found, plan.fields)


def config_name(url: str) -> str:
    """A name for the config of a site."""
    host = urlsplit(url).hostname or "site"
    return re.sub(r"[^A-Za-z0-9.-]", "-", host.removeprefix("www.")).strip("-.") or "site"


# --- what the page has -----------------------------------------------------------------------------------------------


def _data_plan(page: Page, _: Collection[str]) -> _Plan | None:
    try:
        document = page.json()
    except ValueError:
        return None
    following = next_page(document)
    return _listed("a list of records", json_records([document]), {"json": following} if following else None)


def _xml_plan(page: Page, _: Collection[str]) -> _Plan | None:
    return _listed("records", xml_records(page.select("*")))


def _listed(what: str, found: Listed | None, follow: Any = None) -> _Plan | None:
    if found is None:
        return None
    each = found.each if isinstance(found.each, str) else next(iter(found.each.values()))
    return _Plan(f"{what}, {each}", found.each, found.fields, [], follow)


def _script_plan(page: Page) -> _Plan | None:
    """What a page that a browser would fill in has in its scripts."""
    scripts = page.select("script")
    plan = _listed("a list of records in a script", json_records(_documents(scripts, "application/json")))
    return plan or _listed("records of JSON-LD", jsonld_records(_documents(scripts, "application/ld+json")))


def _documents(scripts: Sequence[Element], kind: str) -> list[Any]:
    found = []
    for script in scripts:
        if (script.attr("type") or "").partition(";")[0].strip().lower() == kind:
            with contextlib.suppress(ValueError, RecursionError):
                found.append(json.loads(script.text, strict=False))
    return found


def _page_plan(page: Page, refused: Collection[str]) -> _Plan | None:
    records = find_records(page)
    if records is not None and records.share >= LEAST_SHARE and records.place == 1 and not _is_one(page, records):
        return _of(page, records)
    single = single_fields(page, refused)
    in_script = _script_plan(page) if len(single) < FEW_FIELDS else None
    return in_script or (_Plan("one item, the page itself", None, single, [], None) if single else None)


def _of(page: Page, records: Records) -> _Plan:
    fields = {field.name: _short(field.spec) for field in records.fields}
    links = [field for field in records.fields if field.kind == "url"]
    unique = [field.name for field in links if field.share == 1.0 and len(set(field.values)) == len(field.values)]
    found = f"{len(records.elements)} records, {records.selector}"
    return _Plan(found, records.selector, fields, unique[:1], _next(page))


def _is_one(page: Page, records: Records) -> bool:
    """Is the page one thing, and what repeats on it beside the point: its sections, or others of its kind?"""
    if says_product(page) or says_article(page):
        return True
    if _prose(page, records) > MORE_PROSE * sum(len(one.text) for one in records.elements):
        return True
    few = len(records.elements) < FEW
    says_so = og_type(page).startswith(("product", "article", "og:product"))
    return (few and len(records.fields) < FEW - 2) or (says_so and (few or records.share < MOST_OF))


def _prose(page: Page, records: Records) -> int:
    """Characters of paragraphs that stand in no record."""
    inside = {one for record in records.elements for one in record.select("p")}
    return sum(len(one.text) for one in page.select("p") if one not in inside)


def _short(spec: dict[str, Any]) -> Any:
    return spec["css"] if list(spec) == ["css"] else spec


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
