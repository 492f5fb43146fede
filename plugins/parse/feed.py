"""`feed`: the entries of RSS and Atom pages, as items.

    parse:
      - feed: {type: entry}

An item has `url`, `title`, `id`, `published`, `updated`, `author`, `summary` and `feed`, the URL of the feed. Dates are
ISO 8601, or as the feed has them where they are none. Other pages are left to others.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from pipeline import Item, Page, Registry, hookimpl

ENTRIES = "//*[local-name()='item' or local-name()='entry']"
FIELDS = {  # field -> the elements that have it, the best first
    "title": ("title",),
    "id": ("guid", "id"),
    "published": ("pubDate", "published", "date", "issued"),
    "updated": ("updated", "modified"),
    "author": ("author", "creator"),
    "summary": ("description", "summary", "encoded", "content"),
}
DATES = ("published", "updated")


class Feed:
    """Give an item of `type` for each entry."""

    def __init__(self, type: str = "entry") -> None:  # noqa: A002 - an option's name
        self.type = type

    @hookimpl
    def parse(self, page: Page) -> Iterator[Item]:
        """The entries in the feed's order."""
        if page.kind != "xml":
            return
        for entry in page.xpath(ENTRIES):
            item = Item(self.type, url=_link(page, entry))
            for field, names in FIELDS.items():
                text = next(filter(None, (_text(page, entry, name) for name in names)), None)
                item[field] = _iso(text) if text and field in DATES else text
            item["feed"] = page.url
            yield item


def _children(page: Page, entry: Any, name: str) -> list[Any]:
    return page.xpath(f"*[local-name()='{name}']", entry)


def _text(page: Page, entry: Any, name: str) -> str | None:
    return next((child.text for child in _children(page, entry, name) if child.text), None)


def _link(page: Page, entry: Any) -> str | None:
    """RSS has the URL as text, Atom as an attribute of the link that is no other relation."""
    for child in _children(page, entry, "link"):
        reference = child.attr("href") if (child.attr("rel") or "alternate") == "alternate" else None
        if reference := reference or child.text:
            return page.url_join(reference)
    return None


def _iso(text: str) -> str:
    try:
        return parsedate_to_datetime(text).isoformat()
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        return text


@hookimpl
def register(registry: Registry) -> None:
    """Let configs name it."""
    registry.parser("feed", Feed)
