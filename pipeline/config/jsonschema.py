"""The JSON Schema of a config, for editors: every key with its description and default, short forms allowed.

pydantic describes the long forms; here the schema learns what the models accept besides: lone values, entries that name
components, numbers where text is wanted, and `${NAME}` where anything else is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pipeline.config.entries import FilterEntry, ParseEntry, PluginEntry, SeedEntry, StageEntry, StoreEntry
from pipeline.config.rules import PageRule
from pipeline.config.schema import Config
from pipeline.config.values import DURATION_PATTERN, PERCENT_PATTERN, Model

if TYPE_CHECKING:
    from pipeline.stages.describing import Described

Schema = dict[str, Any]

SECTIONS: dict[type[StageEntry], str] = {
    PluginEntry: "plugins",
    ParseEntry: "parse",
    FilterEntry: "filter",
    StoreEntry: "store",
}
_SUBSTITUTION: Schema = {"type": "string", "pattern": r"\$\{"}


def json_schema(components: Iterable[Described] = ()) -> Schema:
    """The schema as plain data (JSON Schema 2020-12), with the options of these components."""
    known: dict[str, Schema] = {}
    for one in components:
        known.setdefault(one.section, {})[one.name] = _options(one)
    schema = Config.model_json_schema(by_alias=True)
    models = {model.__name__: model for model in _models(Model)}
    definitions: Schema = {name: _accepting(models[name], body, known) for name, body in schema.pop("$defs").items()}
    body = _widen(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **body,
        "title": "Hookline config",
        "$defs": {name: _widen(definition) for name, definition in definitions.items()},
    }


def _models(model: type[Model]) -> Iterator[type[Model]]:
    for child in model.__subclasses__():
        yield child
        yield from _models(child)


def _accepting(model: type[Model], body: Schema, known: dict[str, Schema]) -> Schema:
    """The long form of a model, and beside it the short ones."""
    properties: Schema = body["properties"]
    if issubclass(model, StageEntry):
        words = {word: properties[word] for word in model.extra_words}
        return _entry(body, words, known.get(SECTIONS.get(model, ""), {}))
    if issubclass(model, PageRule):
        named = {"type": "object", "properties": known.get("fetcher", {}), "minProperties": 1, "maxProperties": 1}
        fetcher = {name: value for name, value in properties["fetcher"].items() if name in ("default", "description")}
        whole = {**properties, "fetcher": {**fetcher, "anyOf": [{"type": "string"}, named]}}
        return {**body, "properties": whole}
    if issubclass(model, SeedEntry):
        words = {name: value for name, value in properties.items() if name not in ("name", "options")}
        url = {**body, "properties": words, "required": ["url"]}
        component = _entry(body, {"page": properties["page"]}, known.get("seeds", {}))
        return {**component, "anyOf": [url, *component["anyOf"]]}
    if not model.short_form:
        return body
    long = properties[model.short_form]
    lone = {name: value for name, value in long.items() if name not in ("default", "description")}
    return {"description": body.get("description", ""), "anyOf": [lone, body]}


def _entry(body: Schema, words: Schema, components: Schema) -> Schema:
    """A component by name, alone or with options; our words may stand beside it or among them."""
    options = {
        name: {**one, "anyOf": [_with_words(part, words) for part in one["anyOf"]]} for name, one in components.items()
    }
    named = {"type": "object", "properties": {**options, **words}, "additionalProperties": True, "minProperties": 1}
    return {"description": body.get("description", ""), "anyOf": [{"type": "string"}, named]}


def _options(one: Described) -> Schema:
    """What may stand behind a component's name: its options by name, the first one's value, or nothing."""
    whole = {"type": "object", "properties": one.properties, "additionalProperties": one.open}
    if one.required:
        whole["required"] = one.required
    choices: list[Schema] = [whole] if one.required else [whole, {"type": "null"}]
    if one.first and not set(one.required) - {one.first}:
        choices.append({name: value for name, value in one.properties[one.first].items() if name != "default"})
    return {"description": one.text, "anyOf": choices}


def _with_words(part: Schema, words: Schema) -> Schema:
    return {**part, "properties": {**words, **part["properties"]}} if "properties" in part else part


def _widen(schema: Any) -> Any:
    """Every part of a schema with what YAML and substitution allow, without pydantic's titles and empty defaults."""
    if isinstance(schema, list):
        return [_widen(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    result: Schema = {}
    for name, value in schema.items():
        if name in ("properties", "$defs"):
            result[name] = {key: _widen(part) for key, part in value.items()}
        elif name == "default":
            if value is not None:
                result[name] = _default(schema, value)
        elif name not in ("title", "oneOrMore"):
            result[name] = _widen(value) if name in ("items", "anyOf", "additionalProperties") else value
    return _alternatives(result, schema)


def _alternatives(result: Schema, schema: Schema) -> Schema:
    kind = schema.get("type")
    if schema.get("oneOrMore"):
        return _split(result, result["items"])
    if kind in ("integer", "number", "boolean") or (kind == "string" and "enum" in schema):
        return _split(result, _SUBSTITUTION)
    if isinstance(kind, (str, list)) and "string" in kind and "pattern" in schema and schema != _SUBSTITUTION:
        return _split(result, _SUBSTITUTION)
    if kind == "string" and "const" not in schema and "pattern" not in schema:
        result["type"] = ["string", "number"]
    return result


def _split(schema: Schema, other: Schema) -> Schema:
    """`schema` or `other`; description and default stay outside."""
    outer: Schema = {name: schema[name] for name in ("description", "default") if name in schema}
    return {**outer, "anyOf": [{name: value for name, value in schema.items() if name not in outer}, other]}


def _default(schema: Schema, value: Any) -> Any:
    if schema.get("pattern") == DURATION_PATTERN:
        return f"{value:g}s"
    return f"{value:.0%}" if schema.get("pattern") == PERCENT_PATTERN else value
