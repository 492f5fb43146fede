"""What `tests:` expect, against what the page rules can give: types and fields that nothing makes are mistakes.

As `promises` does for checks: where plugins or filters may give more, only what is certain is a problem. Whether the
saved pages are there is asked by `check` and `test` only, since a run does not need them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from pipeline.checks.grammar import nearest
from pipeline.config.crosscheck import item_rules
from pipeline.config.nodes import KeyPath, key_text
from pipeline.config.promises import adds_fields, given_types
from pipeline.config.reach import Locate
from pipeline.errors import Problem

Specs: TypeAlias = dict[str, list[dict[str, Any]]]


def expectation_problems(data: dict[str, Any], locate: Locate) -> list[Problem]:
    """Item types and fields in `expect` that nothing gives."""
    types = given_types(data)
    tests = data.get("tests")
    if types is None or not isinstance(tests, list):
        return []
    fields_open = adds_fields(data)
    found: list[Problem] = []
    for index, test in enumerate(tests):
        expect = test.get("expect") if isinstance(test, dict) else None
        if isinstance(expect, dict):
            path: KeyPath = ("tests", index, "expect")
            found += _wrong(expect, path, types, fields_open, locate)
            if not fields_open:
                found += _wrong_objects(expect, path, data, locate)
    return found


def _wrong(
    expect: dict[str, Any], path: KeyPath, types: dict[str, set[str]], fields_open: bool, locate: Locate
) -> Iterator[Problem]:
    for name, items in expect.items():
        if name not in types:
            hint = nearest(name, types) or "no page rule has items"
            message = f"expected a type of items of a page rule, found {name!r}"
            yield Problem(locate((*path, name), True), key_text((*path, name)), message, hint)
            continue
        for number, item in enumerate(items if isinstance(items, list) else ()):
            for field in item if isinstance(item, dict) and not fields_open else ():
                if field not in types[name]:
                    where = (*path, name, number, field)
                    message = f"expected a field of type {name}, found {field!r}"
                    yield Problem(locate(where, True), key_text(where), message, nearest(field, sorted(types[name])))


def _wrong_objects(expect: dict[str, Any], path: KeyPath, data: dict[str, Any], locate: Locate) -> Iterator[Problem]:
    """Names in expected objects that the fields they come from do not have."""
    for name, items in expect.items():
        rules = [rule for _, rule in item_rules(data) if str(rule.get("type") or "item") == name]
        for number, item in enumerate(items if isinstance(items, list) else ()):
            yield from _wrong_names(item, (*path, name, number), _specs(rules), locate)


def _specs(rules: list[dict[str, Any]]) -> Specs:
    """What rules or fields that are objects say of each field within them."""
    specs: Specs = {}
    for rule in rules:
        fields = rule.get("fields")
        for name, spec in fields.items() if isinstance(fields, dict) else ():
            specs.setdefault(name, []).append(spec if isinstance(spec, dict) else {})
    return specs


def _wrong_names(item: Any, path: KeyPath, specs: Specs, locate: Locate) -> Iterator[Problem]:
    for field, value in item.items() if isinstance(item, dict) else ():
        inner = specs.get(field, [])
        if not inner or not all(isinstance(one.get("fields"), dict) and not one.get("transform") for one in inner):
            continue  # no object, or one that may have been changed
        known = _specs(inner)
        objects = enumerate(value) if isinstance(value, list) else [(None, value)]
        for number, one in objects:
            here: KeyPath = (*path, field) if number is None else (*path, field, number)
            for name in one if isinstance(one, dict) else ():
                if name not in known:
                    message = f"expected a field of {field}, found {name!r}"
                    yield Problem(locate((*here, name), True), key_text((*here, name)), message, nearest(name, known))
            yield from _wrong_names(one, here, known, locate)
