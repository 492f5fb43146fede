"""What `tests:` expect, against what the page rules can give: types and fields that nothing makes are mistakes.

As `promises` does for checks: where plugins or filters may give more, only what is certain is a problem. Whether the
saved pages are there is asked by `check` and `test` only, since a run does not need them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from pipeline.checks.grammar import nearest
from pipeline.config.nodes import KeyPath, key_text
from pipeline.config.promises import adds_fields, given_types
from pipeline.errors import Mark, Problem


class Locate(Protocol):
    """Where a key path stands (the key itself with `key`)."""

    def __call__(self, key_path: KeyPath, key: bool = False) -> Mark: ...


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
            found += _wrong(expect, ("tests", index, "expect"), types, fields_open, locate)
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
