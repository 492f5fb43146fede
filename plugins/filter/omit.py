"""`omit`: leave fields out of what is stored.

    filter:
      - where: "not matches(tag, 'cancelled')"
      - omit: [tag]

For fields that are read only to filter by. Filters that stand before it still see them.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline import Item, KnownFields, OptionError, Registry, hookimpl, unknown_fields


class Omit:
    """Take `fields` away from every item."""

    changes_fields = False

    def __init__(self, fields: list[str]) -> None:
        if not fields:
            raise OptionError("no field is named", hint="name at least one, as in `omit: [tag]`")
        self.removes = fields

    def check_fields(self, fields: KnownFields) -> Iterator[OptionError]:
        """A field that no item has."""
        return unknown_fields(self.removes, fields)

    @hookimpl
    def process_item(self, item: Item) -> None:
        """Take them away."""
        for name in self.removes:
            item.pop(name, None)


@hookimpl
def register(registry: Registry) -> None:
    """Let configs name it."""
    registry.filter("omit", Omit)
