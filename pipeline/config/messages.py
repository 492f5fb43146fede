"""From pydantic's findings to sentences for people: where, which key, what was expected, what was found, what to do.

It knows the models only as a tree of keys, in which it looks for the nearest known name. Nothing that is secret and no
word of pydantic's gets into a message.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from pipeline.config.nodes import KeyPath, Mapping, Node, Scalar, key_text, resolve, walk
from pipeline.config.places import found_text, is_secret, locate, steps
from pipeline.config.values import Model, choice, keys_of
from pipeline.errors import Problem

_EXPECTED = {
    "string_type": "text",
    "string_unicode": "text in UTF-8",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "finite_number": "a finite number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
}
_YES_NO = {**dict.fromkeys(("yes", "on", "y"), "true"), **dict.fromkeys(("no", "off", "n"), "false")}
_NEAR_ENOUGH = 0.8


def problems(error: ValidationError, tree: Mapping, root: type[Model]) -> list[Problem]:
    """One Problem for each finding, in the order of the places; findings about broken values are left out."""
    result = []
    for detail in error.errors(include_url=False, include_input=False):
        found = _problem(detail, tree, root)
        if found:
            result.append(found)
    return result


def _problem(detail: Any, tree: Mapping, root: type[Model]) -> Problem | None:
    path: KeyPath = tuple(detail["loc"])
    of_key = bool(path) and path[-1] == "[key]"
    path = tuple(part for part in path if part != "[key]")
    if detail["type"] == "extra_forbidden":
        return _unknown(path, tree, root)
    if detail["type"] == "missing":
        return Problem(locate(tree, path), key_text(path), "expected this key, found nothing")
    real = real_path(tree, path)
    node = steps(tree, real)[-1][1]
    if isinstance(node, Scalar) and node.broken:
        return None
    if of_key:
        what, _ = _expectation(detail, node)
        return Problem(locate(tree, real, key=True), key_text(real), f"expected {what}, found {str(path[-1])!r}")
    return _said(detail, tree, real, node)


def _said(detail: Any, tree: Mapping, path: KeyPath, node: Node) -> Problem:
    what, hint = _expectation(detail, node)
    secret = is_secret(path, node)
    hint = hint or comment_hint(node)
    named = hint.startswith("found ")  # the validator knows better what is wrong with a mapping
    message = f"expected {what}, {hint}" if named and not secret else f"expected {what}, found {found_text(path, node)}"
    return Problem(locate(tree, path), key_text(path), message, "" if named or secret else hint)


def comment_hint(node: Node) -> str:
    """What to do where a value begins with `#` and so is none: this one, or one of a mapping that lacks something."""
    if isinstance(node, Mapping):
        own = (comment_hint(entry.node) for entry in node.entries.values() if isinstance(entry.node, Scalar))
        return next(filter(None, own), "")
    if not isinstance(node, Scalar) or not node.commented:
        return ""
    return "in YAML a '#' begins a comment; put the value in quotes"


def unread(tree: Mapping) -> Iterator[Problem]:
    """A note for each key that counts as not given though something stands there which looks like a value."""
    for path, node in walk(tree):
        hint = comment_hint(node) if isinstance(node, Scalar) and not is_secret(path, node) else ""
        if hint:
            yield Problem(locate(tree, path), key_text(path), "has no value", hint)


def _expectation(detail: Any, node: Node) -> tuple[str, str]:
    """(what should stand there, what to do)."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "expected":
        return context["what"], context["hint"]
    value = node.value if isinstance(node, Scalar) else None
    if kind == "literal_error":
        words = tuple(re.findall(r"'([^']*)'", context["expected"]))
        if len(words) == 1:
            return words[0], ""
        error = choice(words, value)
        return (error.context or {})["what"], (error.context or {})["hint"]
    if kind == "too_short":
        return "at least one entry", ""
    bounds = {name: int(v) if isinstance(v, float) and v.is_integer() else v for name, v in context.items()}
    what = _EXPECTED.get(kind, "another value").format(**bounds)
    return what, _type_hint(kind, node)


def _type_hint(kind: str, node: Node) -> str:
    if kind == "list_type" and isinstance(node, Mapping):
        return "begin each entry with '- '"
    if not isinstance(node, Scalar) or node.null:
        return ""
    if kind == "list_type":
        return "write it as a list: [...]"
    if kind == "string_type":
        return f'did you mean "{node.text}" in quotes?'
    if kind in ("int_type", "float_type", "bool_type") and not isinstance(resolve(node.text), str):
        return "" if node.plain else "write it without quotes"
    word = _YES_NO.get(node.text.lower(), "") if kind == "bool_type" else ""
    if kind == "int_type" and node.text.replace("_", "").isdecimal():
        word = node.text.replace("_", "")
    return f"did you mean '{word}'?" if word else ""


def real_path(tree: Mapping, path: KeyPath) -> KeyPath:
    """A model's path as the YAML has it: as far as it exists, and by a component's name to words among its options."""
    real: KeyPath = ()
    for part in path:
        node = steps(tree, real)[-1][1]
        if len(steps(tree, (*real, part))) == len(real) + 2:
            real = (*real, part)
        elif isinstance(node, Mapping) and len(real) == 2:
            below = [
                name
                for name, entry in node.entries.items()
                if isinstance(entry.node, Mapping) and part in entry.node.entries
            ]
            if len(below) != 1:
                return real
            real = (*real, below[0], part)
        else:
            return real
    return real


# --- unknown keys ----------------------------------------------------------------------------------------------------


def _unknown(path: KeyPath, tree: Mapping, root: type[Model]) -> Problem:
    name = str(path[-1])
    model = model_at(root, path[:-1])
    known = list(keys_of(model)) if model else []
    hint = nearest_key(name, known, _elsewhere(root).get(name, []), path[:-1])
    if not hint and known:
        hint = f"known here: {', '.join(known)}"
    return Problem(locate(tree, path, key=True), key_text(path), f"expected a known key, found {name!r}", hint)


def nearest_key(name: str, known: list[str], elsewhere: list[str], above: KeyPath) -> str:
    """The suggestion for an unknown key: a near name at this place, else the same name elsewhere."""
    import difflib  # noqa: PLC0415 - only where something is wrong

    near = difflib.get_close_matches(name, known, 1)
    sure = bool(near) and difflib.SequenceMatcher(None, name, near[0]).ratio() >= _NEAR_ENOUGH
    if near and (sure or not elsewhere):
        return f"did you mean '{near[0]}'?"
    if elsewhere:
        start = str(above[0]) if above else ""
        closest = min(elsewhere, key=lambda path: ("." not in path, path.split(".")[0] != start, path.count(".")))
        return f"did you mean '{closest}'?" if "." in closest else "it belongs at the top level"
    return ""


def model_at(root: type[Model], path: KeyPath) -> type[Model] | None:
    """The model that a key path of pydantic's leads to."""
    here: Any = root
    for part in path:
        kind = _core_type(here)
        if isinstance(kind, type) and issubclass(kind, Model):
            attribute = keys_of(kind).get(str(part))
            if attribute is None:
                return None
            here = kind.model_fields[attribute].annotation
        elif get_origin(kind) in (list, dict):
            here = get_args(kind)[-1]
        else:
            return None
    kind = _core_type(here)
    return kind if isinstance(kind, type) and issubclass(kind, Model) else None


def _core_type(annotation: Any) -> Any:
    """The annotation without `Annotated` and `| None`."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in (Union, types.UnionType):
            others = [part for part in get_args(annotation) if part is not type(None)]
            if len(others) != 1:
                return annotation
            annotation = others[0]
        else:
            return annotation


@cache
def _elsewhere(root: type[Model]) -> dict[str, list[str]]:
    """All keys by their last name, with their paths; user-chosen names and numbers are `*`."""
    found: dict[str, list[str]] = {}
    for path in key_paths(root):
        found.setdefault(path.rpartition(".")[2], []).append(path)
    return found


def key_paths(root: type[BaseModel], prefix: str = "", above: tuple[type[BaseModel], ...] = ()) -> Iterator[str]:
    """The dotted paths of all keys, each model once on the way down."""
    for name, attribute in keys_of(root).items():
        path = f"{prefix}{name}"
        yield path
        kind = _core_type(root.model_fields[attribute].annotation)
        stars = ""
        while get_origin(kind) in (list, dict):
            kind = _core_type(get_args(kind)[-1])
            stars += ".*"
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in (*above, root):
            yield from key_paths(kind, f"{path}{stars}.", (*above, root))
