"""The JSON Schema for editors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pipeline.config import json_schema


def test_it_is_json_and_describes_every_key() -> None:
    schema = json_schema()
    json.dumps(schema)
    undescribed = [
        path for path, key in keys(schema, schema) if not key.get("description") and not described(schema, key)
    ]
    assert undescribed == []
    assert len(schema["properties"]) == 22


def test_short_forms_are_alternatives() -> None:
    definitions = json_schema()["$defs"]
    for name in ("FieldRule", "FollowRule", "StoreEntry", "FilterEntry", "PluginEntry"):
        assert '["string", "number"]' in json.dumps(definitions[name]["anyOf"][0]), name
    url, text, component = definitions["SeedEntry"]["anyOf"]
    assert url["required"] == ["url"]
    assert "string" in text["type"]
    assert component["additionalProperties"] is True
    assert [part["type"] for part in definitions["ItemRule"]["properties"]["key"]["anyOf"]] == [
        "array",
        ["string", "number"],
    ]


def test_durations_are_text_and_anything_may_be_substituted() -> None:
    timeout = json_schema()["$defs"]["Timeout"]["anyOf"][1]["properties"]["dns"]
    assert timeout["default"] == "10s"
    assert [part["type"] for part in timeout["anyOf"]] == [["string", "integer"], "string"]
    pages = json_schema()["$defs"]["Limits"]["properties"]["pages"]
    assert {"type": "string", "pattern": r"\$\{"} in pages["anyOf"][0]["anyOf"]


def keys(part: Any, root: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(part, dict):
        for name, key in part.get("properties", {}).items():
            yield f"{path}.{name}", key
        for name, value in part.items():
            yield from keys(value, root, f"{path}.{name}")
    elif isinstance(part, list):
        for value in part:
            yield from keys(value, root, path)


def described(root: dict[str, Any], key: dict[str, Any]) -> bool:
    return bool(root["$defs"][key["$ref"].rpartition("/")[2]].get("description")) if "$ref" in key else False
