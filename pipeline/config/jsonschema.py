"""The JSON Schema of a config, for editors: every key with its description and default, short forms allowed."""

from __future__ import annotations

from typing import Any

from pipeline.config.schema import Config


def json_schema() -> dict[str, Any]:
    """The schema as plain data (JSON Schema 2020-12); null stands for 'not given' and is allowed for every key."""
    schema = Config.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Hookline config"
    return schema
