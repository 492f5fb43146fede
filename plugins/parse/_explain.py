"""How the rules of a page fared on it, field by field, for people. It asks the very objects that read the page, so it
tells what happened and not what should have; it costs more than reading, and nothing of it runs in a crawl.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline import Drop, Element, Explained, Links, ParseError, Selector, SelectorError

from ._composite import EMPTY, FirstOf, Join, Objects, spread
from ._css_miss import cut, misses, near_attributes, snippet
from ._data_miss import graph_misses, json_misses, near, xpath_misses
from ._field import Chain, Field
from ._follow import FollowRule
from ._reading import Reading, Scopes
from ._sources import Css, Raws, text_of, within
from ._structured import read_opengraph

SOURCES = (
    *("css", "xpath", "json", "jsonld", "microdata", "opengraph", "meta"),
    *("first_of", "join", "fields", "value", "carry", "url", "number"),
)
SHOWN = 5  # values of a field
LONGEST = 120  # characters of a value


def explain_items(rule: Any, reading: Reading) -> Explained:
    """An item rule: its records, then its fields."""
    given, failure = _read(rule, reading)
    items = [one for one in given if isinstance(one, Mapping)]
    told = Explained("items", rule.type, "", len(given), len(items), len(given))
    scopes = Scopes(reading) if rule.each is None else rule.each(reading)
    if rule.each is not None:
        told.asked = asked(_as_mapping(rule.spec["each"]))
        told.records = told.found = scopes.size
        if not scopes.size:
            told.misses = _misses_of(_as_mapping(rule.spec["each"]), Scopes(reading), reading)
            return told
    dropped = dict.fromkeys(one.reason for one in given if isinstance(one, Drop))
    told.steps = [*failure, *(f"dropped: {reason}" for reason in dropped)]
    told.parts = [explain_field(field, scopes) for field in rule.fields]
    return told


def _read(rule: Any, reading: Reading) -> tuple[list[Any], list[str]]:
    """What the rule gives; nothing, and why, where a field fails the page."""
    try:
        return list(rule.read(reading)), []
    except ParseError as error:
        return [], [f"the page fails: {error}"]


def explain_follow(rule: FollowRule, reading: Reading) -> Explained:
    """A follow rule: the links that it finds, and what they carry."""
    links, failure = _read(rule, reading)
    found = [url for one in links for url in (one.urls if isinstance(one, Links) else [one.url])]
    told = Explained("follow", rule.spec.get("page") or "", asked(rule.spec), len(found), len(found), 1, found[:SHOWN])
    scopes = Scopes(reading) if rule.each is None else rule.each(reading)
    if rule.each is not None:
        told.asked = f"each {asked(_as_mapping(rule.spec['each']))}, {told.asked}"
        told.records = scopes.size
        if not scopes.size:
            told.misses = _misses_of(_as_mapping(rule.spec["each"]), Scopes(reading), reading)
            return told
    if not found and rule.link is not None:
        link = explain_field(rule.link, scopes)
        told.misses, told.steps, told.parts = link.misses, link.steps, link.parts
    elif not found:
        told.misses = ["no further page: nothing says that there is one"]
    told.steps = [*failure, *told.steps]
    told.parts += [explain_field(field, scopes) for field in rule.carry]
    return told


def explain_field(field: Field, scopes: Scopes, kind: str = "field") -> Explained:
    """A field: what its source found, what was made of it, and why nothing came."""
    if field.page_wide:
        scopes = Scopes(scopes.reading)
    told = Explained(kind, field.name, asked(field.spec), records=scopes.size)
    try:
        shares = field.raws(scopes, False)
        values = field.values(scopes, shares)
    except ParseError as error:  # of a part that fails the page
        told.parts, told.steps = _parts(field, scopes), [f"the page fails: {error}"]
        return told
    got = [value for value in values if value not in EMPTY]
    told.found = sum(map(len, shares))
    told.hits = len(got)
    told.values = _first_values(got)
    told.parts = _parts(field, scopes)
    told.steps = [*_made(field, scopes, shares, values), *_without(field, told.hits, scopes.size)]
    empty = [number for number, share in enumerate(shares) if not _has_any(share)]
    if len(empty) == len(shares):
        told.misses = _field_misses(field, scopes, shares)
    elif empty and kind == "field" and not isinstance(field.source, FirstOf | Join | Objects):
        told.misses = _some_misses(field, scopes, shares, empty)
    return told


def _has_any(raws: Raws) -> bool:
    return any(raw not in (None, "") for raw in raws)


def _some_misses(field: Field, scopes: Scopes, shares: Sequence[Raws], empty: Sequence[int]) -> list[str]:
    """Of a field that some records do not have, why the first of those does not."""
    first = empty[0]
    told = _field_misses(field, scopes.at(first), [shares[first]], alone=True)
    return (
        [f"nothing in {len(empty)} of {scopes.size}; in the first of them, record {first + 1}:", *told] if told else []
    )


def asked(spec: Mapping[str, Any]) -> str:
    """What is looked for, as the config says it."""
    for name in SOURCES:
        if spec.get(name) is not None:
            value = spec[name]
            if name in ("first_of", "join", "fields"):
                return f"{name} ({len(value)})"
            return f"{name} {value if isinstance(value, str) else '' if value is True else text_of(value)}".rstrip()
    return ""


def _as_mapping(each: Any) -> Mapping[str, Any]:
    return {"css": each} if isinstance(each, str) else each


def _first_values(values: Sequence[Any]) -> list[Any]:
    """A few, each once."""
    found: list[Any] = []
    for value in (one for row in values for one in spread(row)):
        if value not in found:
            found.append(value)
        if len(found) == SHOWN:
            break
    return found


def _without(field: Field, hits: int, size: int) -> Iterator[str]:
    """What became of the records without a value."""
    if hits == size:
        return
    try:
        value = field.missing()
    except ParseError:
        yield f"without a value, {size - hits} of {size}: the page fails (on_missing: fail)"
        return
    if field.required:
        yield f"without a value, {size - hits} of {size}: the item is dropped (required)"
    elif value not in (None, []):
        yield f"without a value, {size - hits} of {size}: default {text_of(value)}"


# --- what was made of a match ----------------------------------------------------------------------------------------


def _made(field: Field, scopes: Scopes, shares: Sequence[Raws], values: Sequence[Any]) -> Iterator[str]:
    """The steps of the first record that lost its value in them, else of the first that has one."""
    stages = list(_stages(field))
    lost = [raws for raws, value in zip(shares, values, strict=True) if value is None and any(raws)]
    raws = next(iter(lost or [raws for raws in shares if any(raws)]), None)
    if raws is None:
        return
    taken = field.taken(raws)
    if not taken:
        yield f"index {field.index} is asked for, but there are {len(raws)} of them"
        return
    if field.index:
        yield f"index {field.index} of {len(raws)}: {_shown(taken[0])}"
    if stages and not isinstance(taken[0], dict):
        yield from _chain_steps(stages, taken[0], scopes.reading)
        if lost:
            yield f"so {len(lost)} of {scopes.size} records have no value"


def _chain_steps(stages: Sequence[tuple[str, Chain]], raw: Any, reading: Reading) -> Iterator[str]:
    before = raw
    for name, chain in stages:
        try:
            made: Any = chain.values(raw, reading)
        except ParseError as error:
            yield f"{name}: {error}"
            return
        shown = "nothing" if not made else _shown(made[0] if len(made) == 1 else made)
        yield f"{name}: {_shown(before)} -> {shown}"
        if not made:
            return
        before = made[0]


def _stages(field: Field) -> Iterator[tuple[str, Chain]]:
    """Each stage of the chain by name, together with all before it."""
    chain, spec = field.chain, field.spec
    if chain.regex is not None:
        yield f"regex {chain.regex.pattern.pattern}", Chain(chain.regex, (), None)
    for number in range(len(chain.steps)):
        yield _step_name(spec["transform"][number]), Chain(chain.regex, chain.steps[: number + 1], None)
    if chain.convert is not None:
        yield f"type {spec.get('type')}", chain


def _step_name(step: Any) -> str:
    if isinstance(step, Mapping):
        name, options = next(iter(step.items()))
        return f"{name} {cut(text_of(options), 30)}"
    return str(step)


def _shown(value: Any) -> str:
    return cut(repr(value) if isinstance(value, str) else text_of(value).strip('"'), LONGEST)


# --- what a field is made of -----------------------------------------------------------------------------------------


def _parts(field: Field, scopes: Scopes) -> list[Explained]:
    source = field.source
    if isinstance(source, FirstOf):
        chosen = [place for place, _ in source.choose(scopes, lambda raws, reading: field.values(scopes, [raws])[0])]
        told = [explain_field(part, scopes, "part") for part in source.parts]
        for place, part in enumerate(told):
            number = chosen.count(place)
            part.name = f"{place + 1}. choice"
            part.steps.insert(0, f"taken for {number} of {scopes.size}" if number else "not taken")
        return told
    if isinstance(source, Join):
        return [explain_field(part, scopes, "part") for part in source.parts]
    if isinstance(source, Objects):
        inner = scopes if source.places is None else next(iter(source.places(scopes)), Scopes(scopes.reading, []))
        return [explain_field(part, inner, "part") for part in source.fields]
    return []


# --- why nothing matched ---------------------------------------------------------------------------------------------


def _field_misses(field: Field, scopes: Scopes, shares: Sequence[Raws], *, alone: bool = False) -> list[str]:
    """Why there is nothing; `alone`: in one record, while others have something."""
    source, reading = field.source, scopes.reading
    if isinstance(source, Css) and source.selector.pseudo == "attr" and any(shares):
        return near_attributes(source.selector.arg or "", _found(source, scopes))
    if isinstance(source, Css) and any(shares):
        return [_no_text(source, scopes), snippet(_found(source, scopes)[0])]
    if isinstance(source, FirstOf | Join):
        return []  # each part tells its own
    if field.spec.get("carry"):
        return [f"no link carried it here; {near(str(field.spec['carry']), reading.page.carry, 'carried are')}"]
    return _misses_of(field.spec, scopes, reading, alone=alone)


def _no_text(source: Css, scopes: Scopes) -> str:
    own = source.selector.pseudo == "text" and any(one.text for one in _found(source, scopes))
    return "what matches has no text of its own; without `::text` it has:" if own else "what matches has no text:"


def _found(source: Css, scopes: Scopes) -> list[Element]:
    return [one for share in scopes.select(source.selector, False) for one in share]


def _misses_of(spec: Mapping[str, Any], scopes: Scopes, reading: Reading, *, alone: bool = False) -> list[str]:
    page = reading.page
    if spec.get("css") is not None:
        return _css_misses(Selector(str(spec["css"])).css, scopes, reading, alone=alone)
    if spec.get("xpath") is not None:
        inside: Sequence[Element | None] = [None] if scopes.elements is None else scopes.elements
        return xpath_misses(str(spec["xpath"]), lambda text: _xpath(page, text, inside))
    if spec.get("json") is not None:
        documents = reading.documents if scopes.data is None else scopes.data
        if scopes.elements is not None:
            documents = [one for element in scopes.elements for one in reading.scripts(element)]
        return json_misses(str(spec["json"]), documents)
    for syntax in ("jsonld", "microdata"):
        if spec.get(syntax) is not None:
            graph = getattr(reading, syntax)
            if scopes.elements:
                graph = within(syntax, scopes.elements[0], reading)
            return graph_misses(syntax, str(spec[syntax]).split("."), graph)
    return _meta_misses(spec, reading)


def _css_misses(css: str, scopes: Scopes, reading: Reading, *, alone: bool) -> list[str]:
    if scopes.data is not None:
        return ["records of JSON have no elements: read them with json"]
    if reading.page.kind not in ("html", "xml"):
        return [f"the page is {reading.page.kind}, which has no elements" + _instead(reading)]

    def ask(text: str) -> Sequence[Element]:
        try:
            return [one for share in scopes.select(Selector(text), False) for one in share]
        except SelectorError:
            return []

    def ask_page(text: str) -> Sequence[Element]:
        try:
            return [] if scopes.whole or alone else reading.page.select(Selector(text))
        except SelectorError:
            return []

    return misses(css, ask, ask_page) if css else []


def _instead(reading: Reading) -> str:
    return ": read it with json" if reading.page.kind == "json" else ""


def _xpath(page: Any, text: str, inside: Sequence[Element | None]) -> list[Any]:
    try:
        return [found for element in inside for found in page.xpath(text, element)]
    except ValueError:
        return []


def _meta_misses(spec: Mapping[str, Any], reading: Reading) -> list[str]:
    metas = reading.page.select("meta")
    if spec.get("opengraph") is not None:
        names = [name.removeprefix("og:") for name, _ in read_opengraph(metas)]
        return [near(str(spec["opengraph"]).removeprefix("og:"), names, "properties here")]
    if spec.get("meta") is not None:
        found = [one.attr(name) for one in metas for name in ("name", "property", "itemprop", "http-equiv")]
        return [near(str(spec["meta"]), [name for name in found if name], "names here")]
    return []
