"""`feed`: a feed for feed readers, RSS 2.0 or Atom 1.0.

    store:
      - feed: {path: out/news.xml, link: "https://news.example/"}
      - feed: {path: out/news.atom, format: atom, link: "https://news.example/", fields: {title: headline, date: when}}

An item is an entry. `fields` names the fields of the item that an entry's parts come from; `DEFAULTS` (see `_entry`)
has what is taken otherwise. Of items with one identity the first stays.

Entries stand newest first, those without a date last; with `order: as_is` or `reverse` as the items do. There are
`max_entries` of them at most, and no more than twice as many are in memory. The feed is written to a stage and renamed,
as all files are (see `_files`), and always replaced: a feed is what there is now.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import count
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

from pipeline import Item, KnownFields, OptionError, Registry, RunInfo, hookimpl, unknown_fields

from ._entry import DEFAULTS, Reader
from ._files import Stage, writable
from ._syndication import Channel


class Feed:
    """Write items to `path` as the entries of a feed; `link` is the page that the feed is of."""

    def __init__(
        self,
        path: Path,
        *,
        run: RunInfo,
        link: str,
        format: Literal["rss", "atom"] = "rss",  # noqa: A002 - the option's name
        title: str | None = None,
        description: str | None = None,
        author: str | None = None,
        language: str | None = None,
        ttl: int | None = None,
        fields: dict[str, str | list[str]] | None = None,
        html: bool = False,
        enclosure_type: str | None = None,
        max_entries: int = 1000,
        order: Literal["newest", "as_is", "reverse"] = "newest",
        stylesheets: list[dict[str, str]] | None = None,
        write: Literal["replace"] = "replace",
    ) -> None:
        for name in fields or {}:
            if name not in DEFAULTS:
                raise OptionError(
                    f"an entry has no part {name!r}", path=("fields",), hint=f"parts: {', '.join(DEFAULTS)}"
                )
        if max_entries < 1:
            raise OptionError("expected a number above 0", path=("max_entries",))
        self.path = writable(path)
        self.run = run
        self.order = order
        self.max_entries = max_entries
        self._channel = Channel(
            format, link, title or run.name, description or "", author, language, ttl, html, stylesheets or []
        )
        self._fields = fields or {}
        self._read = Reader(fields or {}, enclosure_type, run.log)
        self._stage: Stage | None = None  # only while `commit` is at work, or after it failed
        self._newest: datetime | None = None
        self._forget()

    def check_fields(self, fields: KnownFields) -> Iterator[OptionError]:
        """Parts of an entry that are to come from fields that no item has."""
        for part, names in self._fields.items():
            if isinstance(names, list):
                yield from unknown_fields(names, fields, "fields", part)
                continue
            for error in unknown_fields([names], fields):
                yield OptionError(str(error), path=("fields", part), hint=error.hint)

    @hookimpl
    def store_items(self, items: list[Item]) -> None:
        """Make entries of the items; those beyond the limit go."""
        for item in items:
            entry = self._read(item)
            if entry.identity in self._seen:
                continue
            self._seen.add(entry.identity)
            self._newest = max(filter(None, (self._newest, entry.date)), default=None)
            self._entries.append((self._rank(entry.date), self._channel.entry(entry, self.run.start)))
        if len(self._entries) > 2 * self.max_entries:
            self._sort()

    @hookimpl
    def commit(self) -> None:
        """Write the feed to a stage, and put it in the target's place."""
        self._sort()
        self._stage = stage = Stage(self.path, self.run)
        stage.file.write(self._channel.head(self._newest, self.run.start).encode())
        stage.file.writelines(text.encode() for _, text in self._entries)
        stage.file.write(self._channel.tail().encode())
        stage.commit()
        self._forget()

    @hookimpl
    def abort(self) -> None:
        """Forget the entries; the target was never touched."""
        if self._stage:
            self._stage.abort()
        self._forget()

    def _forget(self) -> None:
        self._stage = None
        self._entries: list[tuple[Any, str]] = []  # (rank, XML)
        self._seen: set[str] = set()
        self._newest = None
        self._number = count()

    def _rank(self, date: datetime | None) -> tuple[float, float]:
        number = next(self._number)
        if self.order == "newest":
            return (-date.timestamp() if date else float("inf"), number)
        return (0, number if self.order == "as_is" else -number)

    def _sort(self) -> None:
        self._entries.sort(key=itemgetter(0))
        del self._entries[self.max_entries :]


@hookimpl
def register(registry: Registry) -> None:
    """Let configs name it."""
    registry.store("feed", Feed)
