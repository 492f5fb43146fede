"""`rename`: give fields other names.

    filter:
      - rename: {fields: {titel: title, preis: price}, drop: [internal]}

The order of the fields stays. A new name that another field has already takes that field's place.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline import Item, KnownFields, OptionError, Registry, hookimpl, unknown_fields


class Rename:
    """Rename `fields`, old name to new; leave out those in `drop`."""

    changes_fields = False  # beyond what `renames` and `removes` say

    def __init__(self, fields: dict[str, str], drop: list[str] | None = None) -> None:
        several = sorted({new for new in fields.values() if list(fields.values()).count(new) > 1})
        if several:
            raise OptionError(f"several fields would be called {several[0]!r}", path=("fields",))
        self.fields = fields
        self.drop = frozenset(drop or ())
        self.renames = fields
        self.removes = drop or []

    def check_fields(self, fields: KnownFields) -> Iterator[OptionError]:
        """Fields that no item has."""
        for error in unknown_fields(self.fields, fields):
            yield OptionError(str(error), path=("fields",), hint=error.hint)
        yield from unknown_fields(self.removes, fields, "drop")

    @hookimpl
    def process_item(self, item: Item) -> None:
        """Change the item in place."""
        renamed = {self.fields[name] for name in item if name in self.fields}
        kept = {
            self.fields.get(name, name): value
            for name, value in item.items()
            if name not in self.drop and (name in self.fields or name not in renamed)
        }
        item.clear()
        item.update(kept)


@hookimpl
def register(registry: Registry) -> None:
    """Let configs name it."""
    registry.filter("rename", Rename)
