"""An entry of a feed, read from an item: which field gives which part, and what is a date."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, time
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from logging import Logger
from mimetypes import MimeTypes
from typing import Any, Final, NamedTuple

from pipeline import Item

DEFAULTS: Final[Mapping[str, tuple[str, ...]]] = {
    "title": ("title",),
    "link": ("url", "link"),
    "description": ("description", "summary"),
    "date": ("published_at", "updated", "pubDate", "date"),
    "id": ("guid", "id"),
    "author": ("author",),
    "comments": ("comments",),
    "enclosure": ("enclosure",),
    "categories": ("categories",),
}
"""Part of an entry to the fields that it is taken from: the first with a value; for id and categories all of them."""


class Enclosure(NamedTuple):
    """A file that belongs to an entry."""

    url: str
    type: str


class Entry(NamedTuple):
    """What both kinds of feeds know of an entry. `identity` is its id, link, or a hash of its text."""

    identity: str
    title: str
    link: str
    description: str
    date: datetime | None
    author: str
    comments: str
    enclosure: Enclosure | None
    categories: list[str]


class Reader:
    """From items to entries."""

    def __init__(self, fields: Mapping[str, str | list[str]], enclosure_type: str | None, log: Logger) -> None:
        chosen = {name: (value,) if isinstance(value, str) else tuple(value) for name, value in fields.items()}
        self._fields = {**DEFAULTS, **chosen}
        self._type = enclosure_type
        self._log = log
        self._guess = MimeTypes().guess_type  # Python's own table: the same on every machine

    def __call__(self, item: Item) -> Entry:
        """The entry of an item."""
        title, link, description = (self._first(item, part) for part in ("title", "link", "description"))
        file = self._first(item, "enclosure")
        kind = self._type or self._guess(file.partition("?")[0])[0] or "application/octet-stream"
        return Entry(
            identity=" ".join(self._all(item, "id"))
            or link
            or blake2b(f"{title}\n{description}".encode(errors="replace"), digest_size=16).hexdigest(),
            title=" ".join(title.split()),
            link=link,
            description=description,
            date=self._date(item),
            author=self._first(item, "author"),
            comments=self._first(item, "comments"),
            enclosure=Enclosure(file, kind) if file else None,
            categories=list(dict.fromkeys(self._all(item, "categories"))),
        )

    def _all(self, item: Item, part: str) -> list[str]:
        """The values of a part as texts; a list is several values."""
        values = (item.get(field) for field in self._fields[part])
        parts = (one for value in values for one in (value if isinstance(value, list) else [value]))
        return [text for one in parts if one is not None and (text := str(one))]

    def _first(self, item: Item, part: str) -> str:
        return next(iter(self._all(item, part)), "")

    def _date(self, item: Item) -> datetime | None:
        values = [value for field in self._fields["date"] if (value := item.get(field)) not in (None, "", [])]
        if not values:
            return None
        found = moment(values[0])
        if found is None:
            self._log.warning("feed: %r is no date; give the field 'type: datetime'", str(values[0])[:60])
        return found


def moment(value: Any) -> datetime | None:
    """A date or a text in ISO 8601 or RFC 2822 as a moment; without a zone it is UTC. None for anything else."""
    found: datetime | None = None
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, date):
        found = datetime.combine(value, time())
    elif isinstance(value, str):
        with suppress(ValueError):
            found = datetime.fromisoformat(value.strip())
        if found is None:
            with suppress(ValueError, TypeError, IndexError):
                found = parsedate_to_datetime(value)
    return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found
