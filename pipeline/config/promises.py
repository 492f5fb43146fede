"""What `checks:` say, against what the page rules can give: types and fields that nothing makes are mistakes.

Plugins may give items of any type, and filters any field; where there are such, only the grammar is certain. Works on
plain data that may be wrong in other ways, as `crosscheck` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from pipeline.checks.grammar import Check, CheckError, Name, nearest, parse
from pipeline.config.crosscheck import item_rules
from pipeline.config.nodes import KeyPath, key_text
from pipeline.config.values import as_text
from pipeline.errors import Mark, Problem

HIDDEN = ("expected a check, found a value that is not shown", "it came from the environment")
ADD_NO_FIELDS = frozenset(("where", "require", "dedupe"))  # filters that leave items as they are


class Inside(Protocol):
    """Where a character of a text stands."""

    def __call__(self, key_path: KeyPath, at: int) -> Mark: ...


def check_problems(data: dict[str, Any], inside: Inside, is_secret: Callable[[KeyPath], bool]) -> list[Problem]:
    """All that is wrong with the checks of a config's data; of a secret one (from the environment) no word is shown."""
    types, fields_open = given_types(data), adds_fields(data)
    found: list[Problem] = []
    checks = data.get("checks")
    for index, value in enumerate(checks if isinstance(checks, list) else []):
        path: KeyPath = ("checks", index)
        text = as_text(value)
        if not isinstance(text, str) or not text.strip():
            continue  # said by the models
        for at, message, hint in _wrong(text, types, fields_open=fields_open):
            found.append(
                Problem(inside(path, at), key_text(path), *((message, hint) if not is_secret(path) else HIDDEN))
            )
    return found


def given_types(data: dict[str, Any]) -> dict[str, set[str]] | None:
    """The types that the page rules give and their fields; None where a plugin may give others."""
    if data.get("plugins") or data.get("parse"):
        return None
    types: dict[str, set[str]] = {}
    for _, rule in item_rules(data):
        fields = rule.get("fields")
        types.setdefault(str(rule.get("type") or "item"), set()).update(fields if isinstance(fields, dict) else ())
    return types


def adds_fields(data: dict[str, Any]) -> bool:
    """May filters add or rename fields?"""
    filters = data.get("filter")
    names = [
        name if isinstance(entry, dict) else str(entry)
        for entry in (filters if isinstance(filters, list) else [])
        for name in (entry if isinstance(entry, dict) else [entry])
        if name != "items"
    ]
    return not ADD_NO_FIELDS.issuperset(names)


def _wrong(text: str, types: dict[str, set[str]] | None, *, fields_open: bool) -> Iterator[tuple[int, str, str]]:
    """What is wrong with one check: at which character, the message, what to do."""
    try:
        check = parse(text)
    except CheckError as error:
        yield error.at, error.message, error.hint
        return
    if types is not None:
        for name, message, hint in _unknown(check, types, fields_open=fields_open):
            yield name.at, message, hint


def _unknown(check: Check, types: dict[str, set[str]], *, fields_open: bool) -> Iterator[tuple[Name, str, str]]:
    """Names in a check that nothing gives: the name, the message, what to do."""
    kind, names = check.figure.kind, check.figure.names
    if kind == "pages" or not names:
        return
    name = names[0]
    if name.text not in types:
        hint = nearest(name.text, types) or "no page rule has items"
        yield name, f"expected a type of items of a page rule, found {name.text!r}", hint
    elif kind == "coverage" and names[1].text not in types[name.text] and not fields_open:
        message = f"expected a field of type {name.text}, found {names[1].text!r}"
        yield names[1], message, nearest(names[1].text, sorted(types[name.text]))
