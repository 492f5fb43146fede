"""The JSON Schema of a config, for editors: every key with its description and default, short forms allowed.

pydantic describes the long forms; here the schema learns what the models accept besides: lone values, entries that name
components, numbers where text is wanted, and `${NAME}` where anything else is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.config.entries import SeedEntry, StageEntry
from pipeline.config.schema import Config
from pipeline.config.values import DURATION_PATTERN, PERCENT_PATTERN, Model

Schema = dict[str, Any]

_SUBSTITUTION: Schema = {"type": "string", "pattern": r"\$\{"}


def json_schema() -> Schema:
    """The schema as plain data (JSON Schema 2020-12)."""
    schema = Config.model_json_schema(by_alias=True)
    models = {model.__name__: model for model in _models(Model)}
    definitions: Schema = {name: _accepting(models[name], body) for name, body in schema.pop("$defs").items()}
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


def _accepting(model: type[Model], body: Schema) -> Schema:
    """The long form of a model, and beside it the short ones."""
    properties: Schema = body["properties"]
    if issubclass(model, StageEntry):
        return _entry(body, {word: properties[word] for word in model.extra_words})
    if issubclass(model, SeedEntry):
        words = {name: value for name, value in properties.items() if name not in ("name", "options")}
        url = {**body, "properties": words, "required": ["url"]}
        component = _entry(body, {"page": properties["page"]})
        return {**component, "anyOf": [url, *component["anyOf"]]}
    if not model.short_form:
        return body
    long = properties[model.short_form]
    lone = {name: value for name, value in long.items() if name not in ("default", "description")}
    return {"description": body.get("description", ""), "anyOf": [lone, body]}


def _entry(body: Schema, words: Schema) -> Schema:
    """A component by name, alone or with options; our words may stand beside it."""
    named = {"type": "object", "properties": words, "additionalProperties": True, "minProperties": 1}
    return {"description": body.get("description", ""), "anyOf": [{"type": "string"}, named]}


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
