"""Field rules in the making, as both formats need them: steps that nest where the language has another order.

A field works off its keys in a fixed order: source, regex, transform, type, default. What the source does in another
order becomes a `join` of one part: what has been said so far is the part, and what follows is done to its text.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Sequence
from typing import Any, TypeAlias

from pipeline.importing.source import Part

Spec: TypeAlias = dict[str, Any]

# The order in which a field does its work, which is also the order in which its keys are written.
_ORDER = (
    *("css", "xpath", "json", "jsonld", "value", "carry", "url", "first_of", "join"),
    *("many", "separator", "index", "child", "regex", "transform", "type", "formats", "languages", "timezone"),
    *("missing_year", "default", "required"),
)
_OLD_NAMES = {"no": "nb", "iw": "he", "in": "id", "tl": "fil"}
_RESERVED = ("_run", "_url", "_fetched_at", "_type")
_FOLLOWED = ("css", "xpath", "json", "jsonld", "value", "first_of", "join", "separator", "index", "regex", "transform")


def ordered(spec: Spec) -> Spec:
    """The same keys in the order of the work."""
    return {key: spec[key] for key in _ORDER if key in spec}


def short(spec: Spec) -> Any:
    """The short form where there is one."""
    return spec["css"] if list(spec) == ["css"] else ordered(spec)


def then(spec: Spec, key: str, value: Any) -> Spec:
    """The spec with one more step; what comes later in a field's own order is put into a part first."""
    if value == []:
        return spec
    after = _ORDER[_ORDER.index(key) + 1 :] if key == "transform" else _ORDER[_ORDER.index(key) :]
    if any(late in spec for late in after):
        spec = {"join": [short(spec)]}
    if key == "transform":
        return {**spec, key: [*spec.get(key, []), *value]}
    return {**spec, key: value}


def joined(specs: Sequence[Spec], separator: str) -> Spec:
    """Several texts as one; a part that is one text already is taken into pieces no further."""
    if len(specs) == 1:
        return dict(specs[0])
    spec: Spec = {"join": [short(part) for part in specs]}
    return spec if separator == " " else {**spec, "separator": separator}


def first_of(specs: Sequence[Spec]) -> Spec:
    """The first of several that has a value."""
    return dict(specs[0]) if len(specs) == 1 else {"first_of": [short(part) for part in specs]}


def followed(spec: Spec) -> Spec:
    """The source of a link from the field that has its URL."""
    bare = {key: value for key, value in spec.items() if key != "required"}
    if bare.get("type") == "url":
        del bare["type"]
    if set(bare) <= set(_FOLLOWED):
        return ordered(bare)
    return {"first_of" if "carry" in bare else "join": [ordered(bare)]}


def document_fields(fields: dict[str, Spec]) -> dict[str, Any]:
    """Fields as they are written."""
    return {name: short(spec) for name, spec in fields.items()}


def field_name(text: str) -> str:
    """A name that a field may have, as near as can be."""
    name = "".join(sign if sign.isprintable() else " " for sign in text).strip()
    return name.lstrip("_") or "field" if name in _RESERVED else name or "field"


def known_zone(owner: Part, key: str, zone: str | None) -> str | None:
    """The time zone, if there is one of that name."""
    try:
        if zone:
            zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        owner.note(f"there is no time zone {zone!r}", key)
        return None
    return zone


def known_language(owner: Part, key: str, code: str | None) -> str | None:
    """A language as codes have it, if there are names of months in it: `de_DE.UTF-8` is `de-DE`."""
    if not code:
        return None
    spelt, code = code, code.partition(".")[0].replace("_", "-")
    from dateparser.data.languages_info import language_order  # noqa: PLC0415 - few sources name a language

    script = [part for part in code.split("-")[1:2] if len(part) == 4]
    name = "-".join([code.partition("-")[0].lower(), *script])
    if re.fullmatch(r"[A-Za-z]{2,3}(?:-[A-Za-z]{2,4})*", code) and _OLD_NAMES.get(name, name) in language_order:
        return code
    owner.note(f"{spelt!r} is no language whose names of months are known", key)
    return None


def duration(milliseconds: int) -> str:
    """`2s`, `500ms`."""
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"
