"""Publish is one step, after the crawl: read the result in order, stage, check, commit (spec, section 3, 4).

Stores see nothing before it and make nothing visible until all of them hold their whole stage and the checks passed.
An error while staging leaves every target as it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from pipeline.errors import StorageError
from pipeline.model import DeadLetter, Drop, Item
from pipeline.runner.checks import Verdict
from pipeline.runner.openrun import PageFacts
from pipeline.runner.summary import Summary

BATCH = 500  # items a call of store_items

_key = msgspec.json.Encoder(order="sorted", decimal_format="number")


class Store(Protocol):
    """A store as publish sees it: which items it wants, and the three hooks."""

    @property
    def name(self) -> str: ...
    @property
    def items(self) -> tuple[str, ...] | None: ...
    @property
    def meta(self) -> tuple[str, ...]: ...
    def store_items(self, items: list[Item]) -> None: ...
    def commit(self, summary: Any) -> None: ...
    def abort(self, reason: str) -> None: ...


SingleChain = Callable[[Item, PageFacts], Item | Drop | DeadLetter]
"""The `single` filters and all filters after them, for one item."""


class Publisher:
    """Publishes one result into stores. `keys` are the key fields by item type, `meta` values by column name."""

    def __init__(
        self,
        stores: Sequence[Store],
        *,
        single: SingleChain | None,
        keys: Mapping[str, Sequence[str]],
        meta: Mapping[str, str],
        judge: Callable[[Counter[str]], list[Verdict]],
    ) -> None:
        self._stores = stores
        self._single = single
        self._keys = keys
        self._meta = meta
        self._judge = judge
        self._by_type: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self.dead: list[DeadLetter] = []

    def publish(self, result: Iterable[tuple[PageFacts, Item]], summary: Summary) -> bool:
        """Stage, check and commit `result`; True if it is visible now. The counts and verdicts go into `summary`.

        Raises StorageError; what had been committed by then stays.
        """
        try:
            self._stage(self._filtered(self._unique(result)))
        except StorageError as error:
            self._abort(self._stores, str(error))
            raise
        self._tell(summary)
        if not all(verdict.passed for verdict in summary.checks):
            self._abort(self._stores, "a check failed")
            return False
        self._commit(summary)
        return True

    def _tell(self, summary: Summary) -> None:
        items = summary.items
        items.by_type = dict(self._by_type)
        items.stored = self._by_type.total()
        items.dropped = dict(Counter(items.dropped) + self._dropped)
        items.dead_lettered += len(self.dead)
        summary.checks = self._judge(self._by_type)

    def _unique(self, result: Iterable[tuple[PageFacts, Item]]) -> Iterator[tuple[PageFacts, Item]]:
        """Of items with one key the first in order wins; an item whose key fields are all empty has no key."""
        seen: set[tuple[str, bytes]] = set()
        for facts, item in result:
            values = [item.get(field) for field in self._keys.get(item.type, ())]
            if any(value is not None for value in values):
                mark = (item.type, _key.encode(values))
                if mark in seen:
                    self._dropped["duplicate"] += 1
                    continue
                seen.add(mark)
            yield facts, item

    def _filtered(self, result: Iterable[tuple[PageFacts, Item]]) -> Iterator[tuple[PageFacts, Item]]:
        for facts, item in result:
            answer = self._single(item, facts) if self._single else item
            if isinstance(answer, Item):
                self._by_type[answer.type] += 1
                yield facts, answer
            elif isinstance(answer, Drop):
                self._dropped[answer.reason] += 1
            else:
                self.dead.append(answer)

    def _stage(self, result: Iterable[tuple[PageFacts, Item]]) -> None:
        batches: list[list[Item]] = [[] for _ in self._stores]
        for facts, item in result:
            for store, batch in zip(self._stores, batches, strict=True):
                if store.items is None or item.type in store.items:
                    batch.append(self._with_meta(item, facts, store.meta))
                    if len(batch) == BATCH:
                        store.store_items(batch[:])
                        batch.clear()
        for store, batch in zip(self._stores, batches, strict=True):
            store.store_items(batch)

    def _with_meta(self, item: Item, facts: PageFacts, names: tuple[str, ...]) -> Item:
        copy = Item(item.type, item)  # each store gets its own: one that changes an item must not change another's
        for name in names:
            copy[name] = {"_url": facts.url, "_type": item.type}.get(name) or self._meta[name]
        return copy

    def _commit(self, summary: Summary) -> None:
        for index, store in enumerate(self._stores):
            try:
                store.commit(summary)
            except StorageError as error:
                self._abort(self._stores[index + 1 :], str(error))
                raise

    def _abort(self, stores: Sequence[Store], reason: str) -> None:
        for store in stores:
            store.abort(reason)


class StreamStore:
    """The store behind `-o -` and `pipeline.run`: holds the items back until commit, then hands them over at once."""

    items: tuple[str, ...] | None = None
    meta: tuple[str, ...] = ()

    def __init__(self, name: str, deliver: Callable[[list[Item]], None]) -> None:
        self.name = name
        self._deliver = deliver
        self._held: list[Item] = []

    def store_items(self, items: list[Item]) -> None:
        """Hold a batch."""
        self._held.extend(items)

    def commit(self, summary: Any) -> None:
        """Hand over everything."""
        try:
            self._deliver(self._held)
        except OSError as error:
            raise StorageError(f"the items cannot be written to {self.name}: {error.strerror}") from error

    def abort(self, reason: str) -> None:
        """Forget everything."""
        self._held.clear()
