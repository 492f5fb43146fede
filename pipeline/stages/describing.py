"""Options of components as JSON Schema, for `hookline schema`: what editors complete and check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError

from pipeline.errors import OptionError
from pipeline.stages.hookspecs import PROJECT
from pipeline.stages.loading import Catalogue, LoadError, Source, stdout_guard
from pipeline.stages.parameters import Signature, purpose
from pipeline.stages.registry import SECTIONS, Registry

_SECTION = {kind: section for section, kind in SECTIONS.items()}


class Described(NamedTuple):
    """A component: the section that names it (`plugins` for a plugin with options of its own), and its options.

    `first` is the option that a plain value is for; empty if there are none.
    """

    section: str
    name: str
    text: str
    properties: dict[str, Any]
    required: list[str]
    first: str
    open: bool


def describe_all(names: dict[str, Path] | None = None) -> list[Described]:
    """The components of every installed plugin, and of those in `names` (name as in a config -> its folder).

    A plugin that cannot be imported is left out.
    """
    catalogue = Catalogue()
    found: list[Described] = []
    with stdout_guard():
        for name, folder in {**dict.fromkeys(catalogue.points, Path()), **(names or {})}.items():
            try:
                found.extend(_of_source(catalogue.load(name, folder)))
            except LoadError:
                continue
    return found


def _of_source(source: Source) -> Iterator[Described]:
    registry = Registry()
    register = getattr(source.module, "register", None)
    if callable(register) and hasattr(register, f"{PROJECT}_impl"):
        try:
            register(registry)
        except Exception:  # `check` of a config that names it says so
            return
    for kind, name, factory in registry.components.values():
        yield from _of_factory(_SECTION[kind], name, factory)
    if source.plugin_class is not None:
        yield from _of_factory("plugins", source.name, source.plugin_class)


def _of_factory(section: str, name: str, factory: Callable[..., Any]) -> Iterator[Described]:
    try:
        known = Signature(factory)
    except OptionError:
        return
    text = purpose(factory)
    properties = {one: _option(known, one) for one in known.options}
    yield Described(section, name, text, properties, known.required, next(iter(known.options), ""), known.open)


def _inline(part: Any, definitions: dict[str, Any], inside: tuple[str, ...]) -> Any:
    """A schema without references, whose names might be somebody else's; what refers to itself may be anything."""
    if isinstance(part, list):
        return [_inline(one, definitions, inside) for one in part]
    if not isinstance(part, dict):
        return part
    name = str(part.get("$ref", "")).rpartition("/")[2]
    if not name:
        closed = {"additionalProperties": False} if isinstance(part.get("properties"), dict) else {}
        return {**closed, **{key: _inline(one, definitions, inside) for key, one in part.items()}}
    if name in inside or name not in definitions:
        return {}
    return _inline(definitions[name], definitions, (*inside, name))


def _option(known: Signature, name: str) -> dict[str, Any]:
    try:
        schema: dict[str, Any] = TypeAdapter(known.types[name]).json_schema()
    except (PydanticUserError, TypeError, ValueError):  # a type that YAML cannot write: `check` says so
        schema = {}
    schema = _inline(schema, schema.pop("$defs", {}), ())
    default = known.parameters[name].default
    if isinstance(default, str | int | float) and not isinstance(default, type):
        schema = {**schema, "default": default}
    return schema
