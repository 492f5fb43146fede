"""`dedupe`: of items that agree in some fields, keep the first in output order.

    filter:
      - dedupe: [title, author]

Items of different types never count as equal. An item that lacks all the fields says nothing about equality: it stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

import msgspec

from pipeline import Drop, Item, KnownFields, OptionError, Registry, hookimpl, unknown_fields

_encode = msgspec.json.Encoder(decimal_format="number", order="sorted").encode


class Dedupe:
    """Drop items whose `by` fields have all been seen together before."""

    changes_fields = False
    single = True  # must see every item, so it runs at publish

    def __init__(self, by: list[str]) -> None:
        if not by:
            raise OptionError("no field is named", hint="name at least one, as in `dedupe: [title]`")
        self.by = by
        self._seen: set[bytes] = set()  # digests: 16 bytes an item, however long its fields are

    def check_fields(self, fields: KnownFields) -> Iterator[OptionError]:
        """A field that no item has."""
        return unknown_fields(self.by, fields, "by")

    @hookimpl
    def process_item(self, item: Item) -> Drop | None:
        """Drop the item if an earlier one had the same values."""
        values = [item.get(field) for field in self.by]
        if all(value in (None, "", [], {}) for value in values):
            return None
        digest = blake2b(_encode([item.type, *values]), digest_size=16).digest()
        if digest in self._seen:
            return Drop("duplicate")
        self._seen.add(digest)
        return None


@hookimpl
def register(registry: Registry) -> None:
    """Let configs name it."""
    registry.filter("dedupe", Dedupe)
