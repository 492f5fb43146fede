"""What the state has still to hear of, collected between two batches."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from pipeline.crawl.hosts import Entry

Edge: TypeAlias = tuple[int, int, int]
"""A link: id of the parent, id of the child, how much deeper the child is (a redirect: 0)."""


class EndedHost(NamedTuple):
    """Everything that waits at a host (None: at all of them) ends with this fate, but for the ids handed out."""

    host: str | None
    fate: str
    detail: str
    excluded: tuple[int, ...]


class Changes(NamedTuple):
    """What the state has to hear, in this order: new requests, known ones as they are now, links, ended hosts."""

    fresh: list[Entry]
    touched: list[Entry]
    edges: list[Edge]
    ended_hosts: list[EndedHost]


class Journal:
    """Collects changes. `told` is the id up to which the state knows of requests."""

    __slots__ = ("_touched", "edges", "ended_hosts", "fresh", "told")

    def __init__(self) -> None:
        self.told = 0
        self.fresh: list[Entry] = []
        self.edges: list[Edge] = []
        self.ended_hosts: list[EndedHost] = []
        self._touched: dict[int, Entry] = {}

    def __bool__(self) -> bool:
        return bool(self.fresh or self._touched or self.edges or self.ended_hosts)

    def touch(self, entry: Entry) -> None:
        """A request has changed: not news if it is fresh. Of two entries with one id the later counts."""
        place = entry.id - self.told - 1  # ids have no gaps
        if place < 0 or self.fresh[place] is not entry:
            self._touched[entry.id] = entry

    def take(self) -> Changes:
        """All since the last time; the entries are as they are now, and go on changing."""
        if self.fresh:
            self.told = self.fresh[-1].id
        changes = Changes(self.fresh, list(self._touched.values()), self.edges, self.ended_hosts)
        self.fresh, self._touched, self.edges, self.ended_hosts = [], {}, [], []
        return changes
