"""`require`: drop items that lack a field.

    filter:
      - require: [title, price]

A field lacks a value when it is absent, null, an empty text, list or object. Zero and false are values.
"""

from __future__ import annotations

from pipeline import Drop, Item, OptionError, Registry, hookimpl


class Require:
    """Keep only items in which each of `fields` has a value."""

    def __init__(self, fields: list[str]) -> None:
        if not fields:
            raise OptionError("no field is named", hint="name at least one, as in `require: [title]`")
        self.fields = fields

    @hookimpl
    def process_item(self, item: Item) -> Drop | None:
        """Drop the item for the first field that it lacks."""
        for field in self.fields:
            if item.get(field) in (None, "", [], {}):
                return Drop(f"missing {field}")
        return None


@hookimpl
def register(registry: Registry) -> None:
    """Let configs name it."""
    registry.filter("require", Require)
