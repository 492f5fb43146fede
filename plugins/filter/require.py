"""`require`: drop items that lack a field.

    filter:
      - require: [title, price]

A field lacks a value when it is absent, null, an empty text, list or object. Zero and false are values.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline import Drop, Item, KnownFields, OptionError, Registry, hookimpl, unknown_fields


class Require:
    """Keep only items in which each of `fields` has a value."""

    changes_fields = False

    def __init__(self, fields: list[str]) -> None:
        if not fields:
            raise OptionError("no field is named", hint="name at least one, as in `require: [title]`")
        self.fields = fields

    def check_fields(self, fields: KnownFields) -> Iterator[OptionError]:
        """A field that no item has."""
        return unknown_fields(self.fields, fields)

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
