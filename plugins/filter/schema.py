"""`schema`: keep only items that a JSON Schema allows.

    filter:
      - schema: {file: book.schema.json, items: book}
      - schema: {schema: {required: [title], properties: {price: {type: number, minimum: 0}}}}

An item is judged as JSON has it: decimals are numbers, dates are texts. What is wrong with the first wrong value is the
reason under which it is counted. Needs the package `jsonschema` (extra `all`); references to other files are refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import referencing
from jsonschema.validators import validator_for

from pipeline import Drop, Item, OptionError, Registry, hookimpl

_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder().decode


class Schema:
    """Drop items that do not fit the schema in `file`, or the one that stands in the config under `schema`."""

    changes_fields = False

    def __init__(self, file: Path | None = None, schema: dict[str, Any] | None = None) -> None:
        if (file is None) == (schema is None):
            raise OptionError("name a file, or write the schema down here", hint="one of `file` and `schema`")
        given: Any = schema if file is None else _read(file)
        kind = validator_for(given, jsonschema.Draft202012Validator)
        try:
            kind.check_schema(given)
        except jsonschema.SchemaError as error:
            where = ".".join(map(str, error.absolute_path)) or "the schema"
            raise OptionError(f"no JSON Schema: {where}: {error.message}") from None
        self._judge = kind(given, registry=referencing.Registry())  # which has nothing, and fetches nothing

    @hookimpl
    def process_item(self, item: Item) -> Drop | None:
        """Drop the item for the first thing that is wrong."""
        data = _decode(_encode(item))
        error = jsonschema.exceptions.best_match(self._judge.iter_errors(data))
        if error is None:
            return None
        where = ".".join(str(step) for step in error.absolute_path if isinstance(step, str))
        return Drop(f"{where or 'item'}: {error.validator} {json.dumps(error.validator_value, default=str)[:80]}")


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OptionError(f"{file} cannot be read as JSON: {error}", path=("file",)) from None


@hookimpl
def register(registry: Registry) -> None:
    """Let configs name it."""
    registry.filter("schema", Schema)
