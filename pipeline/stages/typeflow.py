"""Which fields items have and of which types, and who asks for others: told when the config is loaded.

A filter or store takes part by a method `check_fields(fields)`: it is told the fields of the item types that it gets,
as `{item type: {field: type}}` (an empty text where the type is not known), and gives an `OptionError` for each. A
filter that neither adds nor changes fields says so by `changes_fields = False`, and names those that it takes away in
`removes`, those that it gives another name in `renames`; behind any other filter nothing is certain, and nobody is
asked. Knows neither expressions nor tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from pipeline.stages.assemble import Placed
from pipeline.stages.places import Problems

Fields: TypeAlias = dict[str, dict[str, str]]

MAKERS: Final = frozenset(("parse", "process_item"))
_ORDER: Final = {"filter": 0, "plugins": 1, "store": 2}  # items meet the filters first, the stores last
_TEXT: Final = ("css", "xpath", "meta", "opengraph", "join", "url")
_OPEN_STEPS: Final = ("map", "json")  # steps of `transform` that may give other things than text


def check_flow(placed: Sequence[Placed], rules: Mapping[str, Mapping[str, Any]], problems: Problems, own: str) -> None:
    """Enter a problem for each field that a filter or store asks for and that nothing gives. `own` reads the rules."""
    fields = fields_of(rules)
    parsers = [place for place in placed if place.name != own and any(hook.hook == "parse" for hook in place.hooks)]
    if not fields or parsers:
        return
    for place in sorted(placed, key=lambda place: _ORDER.get(place.section, -1)):
        if place.section in ("filter", "store"):
            _ask(place, fields, problems)
        changes = any(hook.hook in MAKERS for hook in place.hooks) and place.name != own
        if changes and getattr(place.target, "changes_fields", True):
            return
        fields = _changed(fields, getattr(place.target, "removes", ()), getattr(place.target, "renames", {}))


def _ask(place: Placed, fields: Fields, problems: Problems) -> None:
    check = getattr(place.target, "check_fields", None)
    routed = {kind: fields[kind] for kind in fields if place.use.items is None or kind in place.use.items}
    if check is not None and routed:
        for error in check(routed):
            problems.add_option(place.use.key, place.name, error)


def _changed(fields: Fields, removed: Sequence[str], renamed: Mapping[str, str]) -> Fields:
    """The fields behind a filter; of a type whose fields it does not rename nothing but the removed ones go."""
    found: Fields = {}
    for kind, own in fields.items():
        new = {renamed[name] for name in own if name in renamed and name not in removed}
        left = {name: of for name, of in own.items() if name not in removed and (name in renamed or name not in new)}
        found[kind] = {renamed.get(name, name): of for name, of in left.items()}
    return found


def fields_of(rules: Mapping[str, Mapping[str, Any]]) -> Fields:
    """Item type -> field -> its type, from page rules in long form; empty where rules differ or nothing is certain."""
    found: Fields = {}
    carried = _carried(rules)
    for rule in rules.values():
        for items in rule.get("items") or ():
            own = found.setdefault(items.get("type") or "item", {})
            for name, spec in (items.get("fields") or {}).items():
                kind = kind_of_field(spec) or carried.get(_carry_alone(spec), "")
                own[name] = kind if own.get(name, kind) == kind else ""
    return found


def _carried(rules: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Name -> type of the values that links carry along; empty where they differ."""
    found: dict[str, str] = {}
    for rule in rules.values():
        for follow in rule.get("follow") or ():
            for name, spec in (follow.get("carry") or {}).items():
                kind = kind_of_field(spec)
                found[name] = kind if found.get(name, kind) == kind else ""
    return found


def _carry_alone(spec: Any) -> str:
    """The name of the carried value that a field takes as it is; empty for other fields."""
    return str(spec["carry"]) if isinstance(spec, Mapping) and spec.keys() <= {"carry", "required"} else ""


def kind_of_field(spec: Any) -> str:
    """The type of a field's values; `list` and `object` besides the types of fields; empty if it is not certain."""
    if not isinstance(spec, Mapping):
        return "str"
    if spec.get("many") and spec.get("separator") is None:
        return "list"
    if spec.get("type"):
        return "" if spec["type"] == "json" else str(spec["type"])
    return "" if _is_open(spec) else _kind_of_source(spec)


def _is_open(spec: Mapping[str, Any]) -> bool:
    """May a default or a step bring another type?"""
    steps = [step for step in spec.get("transform") or () if isinstance(step, Mapping)]
    default = spec.get("default")
    return (default is not None and not isinstance(default, str)) or any(
        not step.keys().isdisjoint(_OPEN_STEPS) for step in steps
    )


def _kind_of_source(spec: Mapping[str, Any]) -> str:
    if "fields" in spec:
        return "object"
    if "first_of" in spec:
        kinds = {kind_of_field(part) for part in spec["first_of"]}
        return kinds.pop() if len(kinds) == 1 else ""
    if "value" in spec:
        return {str: "str", bool: "bool", int: "int", float: "float"}.get(type(spec["value"]), "")
    return "str" if any(name in spec for name in _TEXT) or spec.get("regex") or spec.get("transform") else ""
