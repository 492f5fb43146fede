"""`rename`: give fields other names.

    filter:
      - rename: {fields: {titel: title, preis: price}, drop: [internal]}

The order of the fields stays. A new name that another field has already takes that field's place.
"""

from __future__ import annotations

from pipeline import Item, OptionError, Registry, hookimpl


class Rename:
    """Rename `fields`, old name to new; leave out those in `drop`."""

    def __init__(self, fields: dict[str, str], drop: list[str] | None = None) -> None:
        several = sorted({new for new in fields.values() if list(fields.values()).count(new) > 1})
        if several:
            raise OptionError(f"several fields would be called {several[0]!r}", path=("fields",))
        self.fields = fields
        self.drop = frozenset(drop or ())

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
