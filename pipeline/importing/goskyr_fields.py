"""Fields of a goskyr scraper: where a text comes from, and dates put together from parts.

By default goskyr takes of an element its first child node only, if that is text: `child: 0`. A location's steps are
JSON lookup, regex, length, joining of nodes, default; then the field's transforms.
"""

from __future__ import annotations

import itertools
import re

from pipeline.importing import selectors
from pipeline.importing.fields import Spec, first_of, joined, known_language, known_zone, short, then
from pipeline.importing.layouts import names_in, parts_of, strptime_format, unsayable, without
from pipeline.importing.regexes import go_regex, go_replacement
from pipeline.importing.source import Part

TOOL = "goskyr"
_MOST_FORMATS = 100
_PARTS = ("day", "month", "year", "time")


def read_field(field: Part) -> Spec:
    """A field as Hookline has it, without `required`. An empty spec where nothing could be said."""
    value = field.text("value")
    kind = field.text("type") or "text"
    if value:
        if "location" in field or "components" in field:
            field.note("has a value, so goskyr looks at no location")
            field.node("location"), field.node("components")
        return {"value": value}
    if kind == "date":
        return _date(field)
    if kind not in ("text", "url"):
        field.note(f"goskyr knows no type {kind!r}; taken as text")
    locations = field.parts("location", lone=True)
    specs = [spec for part in locations if (spec := read_location(part, "href" if kind == "url" else None))]
    if not specs:
        if not locations:
            field.note("has neither value nor location, so there is nothing to take")
        return {}
    spec = joined(specs, field.text("separator") or "")
    field.text("separator")
    if kind == "url":
        spec = then(spec, "type", "url")
    return then(spec, "transform", _transforms(field))


# --- one location ----------------------------------------------------------------------------------------------------


def read_location(part: Part, attr: str | None = None) -> Spec:
    """Where a text comes from, and what is done to it. `attr` is taken where the location names none."""
    selector, attr = part.text("selector") or "", part.text("attr") or attr
    default, every = part.text("default"), bool(part.flag("all_nodes")) and not attr
    part.node("examples")  # written by goskyr's own generator, read by nobody
    lookup = part.text("json_selector")
    separator = part.text("separator") or ""
    if default is not None and set(part.names) == {"default"}:
        return {"value": default}  # of an item as a whole there is no text to speak of
    try:
        spec = _source(part, selector, attr)
    except ValueError as error:
        part.note(f"selector {selector!r} cannot be said: {error}")
        part.done(tool=TOOL)
        return {} if default is None else {"value": default}
    if lookup:
        spec = _looked_up(part, spec, selector, lookup)
    if every:
        spec["many"] = True
    elif (index := part.number("node_index")) is not None:
        spec["index"] = index
    spec = _cut(part, spec)
    if every:
        spec = _all_joined(spec, separator)
    if default is not None:
        spec = then(spec, "default", default)
    part.done(tool=TOOL)
    return spec


def _source(part: Part, selector: str, attr: str | None) -> Spec:
    """The element, and its attribute, its whole text or the child node that is meant."""
    child, whole = part.number("child_index") or 0, part.flag("entire_subtree")
    if attr:
        return {"css": selectors.css(selector, f"::attr({attr})", any_case=True)}
    if not selector:  # the item itself
        return {"xpath": "." if whole else f"node()[{child + 1}][self::text()]" if child >= 0 else "text()"}
    if whole:
        return {"css": selectors.css(selector, any_case=True)}
    if child < 0:  # the first child text that the regex fits
        return {"css": selectors.css(selector, "::text", any_case=True)}
    return {"css": selectors.css(selector, any_case=True), "child": child}


def _looked_up(part: Part, spec: Spec, selector: str, lookup: str) -> Spec:
    """`json_selector` is XPath over the JSON that an element has as its text."""
    deep = re.fullmatch(r"//([A-Za-z_]\w*(?:/[A-Za-z_]\w*)*)", lookup)
    if deep and "ld+json" in selector:
        return {"jsonld": f"*.{deep[1].replace('/', '.')}"}
    anywhere = re.fullmatch(r"//([A-Za-z_]\w*)", lookup)
    if anywhere:
        part.note(f"{lookup} is found by a regular expression: first text under that name", "json_selector")
        found = {"pattern": rf'"{anywhere[1]}"\s*:\s*"?((?:\\.|[^"\\,}}])*)', "group": 1}
        return then(spec, "regex", found)
    if not re.fullmatch(r"/?[A-Za-z_]\w*(?:\[\d+\])?(?:/[A-Za-z_]\w*(?:\[\d+\])?)*", lookup):
        part.note(f"{lookup} cannot be said in JMESPath; the whole text is taken", "json_selector")
        return spec
    path = re.sub(r"\[(\d+)\]", lambda m: f"[{int(m[1]) - 1}]", lookup.strip("/").replace("/", "."))
    return then(spec, "transform", [{"json": path}])


def _cut(part: Part, spec: Spec) -> Spec:
    """`regex_extract`, then `max_length`."""
    extract = part.part("regex_extract")
    pattern, index = extract.text("exp"), extract.number("index") or 0
    extract.flag("ignore_errors")  # goskyr leaves the item out otherwise; here the value is missing in both cases
    extract.done(("exp", "index", "ignore_errors"), TOOL)
    if pattern:
        try:
            pattern = go_regex(pattern)
            plain = index == 0 and re.compile(pattern).groups == 0
            spec = then(spec, "regex", pattern if plain else _match(pattern, index))
        except ValueError as error:
            extract.note(f"{pattern!r} cannot be said: {error}", "exp")
    if (length := part.number("max_length")) and length > 0:
        spec = then(spec, "transform", [{"shorten": length}])
    return spec


def _match(pattern: str, index: int) -> Spec:
    """The whole match, whatever groups there are, and the one of several that is meant."""
    return {"pattern": pattern, "group": 0} | ({"index": index} if index else {})


def _all_joined(spec: Spec, separator: str) -> Spec:
    """The texts of all nodes as one; what is done to each of them is done before."""
    if "regex" in spec or "transform" in spec or "jsonld" in spec:
        return {"join": [spec], "separator": separator}
    return {**spec, "separator": separator}


def _transforms(owner: Part) -> list[Spec]:
    steps = []
    for part in owner.parts("transform", lone=True):
        kind, pattern = part.text("type") or "", part.text("regex")
        replacement = part.text("replace") or ""
        if kind == "regex-replace" and pattern:
            try:
                pattern = go_regex(pattern)
                steps.append({"sub": [pattern, go_replacement(replacement, pattern)]})
                if "\\n" in pattern:
                    part.note("looks for line breaks, but white space in texts is one space here", "regex")
            except ValueError as error:
                part.note(f"{pattern!r} cannot be said: {error}", "regex")
        elif kind not in ("", "regex-replace"):
            part.note(f"goskyr knows no transform {kind!r}")
        part.done(tool=TOOL)
    return steps


# --- dates -----------------------------------------------------------------------------------------------------------


class _Slot:
    """Components that cover the same parts of a date: the first that gives something counts."""

    def __init__(self, covers: frozenset[str]) -> None:
        self.covers = covers
        self.specs: list[Spec] = []
        self.layouts: list[str] = []
        self.formats: list[str] = []
        self.optional = False

    def leave(self, others: frozenset[str]) -> None:
        """Take out of text and layouts what another component says: in Go the later one wins, here it stands once."""
        for kind in sorted(others - self.covers):
            for number, form in enumerate(self.formats):
                if kind in parts_of(form):
                    self.formats[number], pattern = without(form, kind)
                    self.specs = [then(spec, "transform", [{"sub": [pattern, ""]}]) for spec in self.specs]


def _date(field: Part) -> Spec:
    slots = _slots(field)
    guess = field.flag("guess_year")
    zone = known_zone(field, "date_location", field.text("date_location"))
    language = known_language(field, "date_language", field.text("date_language"))
    if "location" in field:
        field.note("a date has components, so goskyr looks at no location", "location")
        field.node("location")
    if not slots:
        field.note("has no components that could be said")
        return {}
    covered = frozenset().union(*(slot.covers for slot in slots))
    if missing := [part for part in ("day", "month", "time") if part not in covered]:
        field.note(f"covers no {' and no '.join(missing)}, without which goskyr makes no date")
    layouts = [layout for slot in slots for layout in slot.layouts]
    for slot in slots:
        slot.formats = [strptime_format(layout) for layout in slot.layouts]
        slot.leave(frozenset().union(*(other.covers for other in slots if other is not slot)))
    spec = joined([first_of(slot.specs) for slot in slots], " ")
    if "default" in spec:
        spec = {"join": [short(spec)]}
    formats = _formats(field, slots)
    spec |= {"type": "datetime"} | ({"formats": formats} if formats else {})
    if language or names_in(layouts):
        spec["languages"] = [language or "de-DE"]
    if zone:
        spec["timezone"] = zone
    if "year" not in covered or any(slot.optional and slot.covers == {"year"} for slot in slots):
        spec["missing_year"] = "nearest" if guess else "current"
    elif guess is not None:
        field.note(f"{str(guess).lower()} has no effect: the components cover the year", "guess_year")
    return spec


def _slots(field: Part) -> list[_Slot]:
    slots: list[_Slot] = []
    for part in field.parts("components", lone=True):
        covers = part.part("covers")
        covered = frozenset(name for name in _PARTS if covers.flag(name))
        covers.done(_PARTS, TOOL)
        location = part.part("location")
        spec, steps = read_location(location), _transforms(part)
        spec = then(spec, "transform", steps) if spec else {}
        layouts = part.texts("layout")
        part.done(tool=TOOL)
        if not covered or not layouts:
            part.note("covers nothing" if not covered else "has no layout")
        if not spec:
            continue
        slot = next((slot for slot in slots if slot.covers == covered), None)
        if slot is None:
            if any(slot.covers & covered for slot in slots):
                part.note("covers parts of the date that another component covers too; both are joined")
            slots.append(slot := _Slot(covered))
        slot.specs.append(spec)
        slot.layouts += [layout for layout in layouts if layout not in slot.layouts]
        sure = "value" in spec or "default" in spec or ("regex" in spec and not _forgives(location))
        slot.optional = not sure and (slot.optional or len(slot.specs) == 1)
    return slots


def _forgives(location: Part) -> bool:
    return bool(location.part("regex_extract").flag("ignore_errors"))


def _formats(field: Part, slots: list[_Slot]) -> list[str]:
    """Every way to put the layouts together, in goskyr's order; without a year where it may be missing."""
    choices = [
        slot.formats + ([""] if slot.optional and slot.covers == {"year"} and len(slots) > 1 else []) for slot in slots
    ]
    formats = [" ".join(filter(None, parts)) for parts in itertools.product(*choices)]
    formats = [form for form in dict.fromkeys(formats) if parts_of(form)]
    if wrong := {form: why for form in formats if (why := unsayable(form))}:
        form, why = next(iter(wrong.items()))
        field.note(f"{len(wrong)} of the ways to put the layouts together cannot be said: {form!r}: {why}")
        formats = [form for form in formats if form not in wrong]
    elif not formats:
        field.note(f"the layouts have nothing of a date: {[slot.layouts for slot in slots]}")
    if len(formats) > _MOST_FORMATS:
        field.note(f"the layouts can be put together in {len(formats)} ways; the first {_MOST_FORMATS} are taken")
    return formats[:_MOST_FORMATS]
