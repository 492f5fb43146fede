"""The store side of publishing: from stored pages, in output order, to what the stores hold in their stages.

It knows neither the state nor the checks: pages come in as bytes and go out as bytes, so that it can run in a process
of its own. Every item passes here once: keys (of items with one key the first in order wins), then the `single`
filters, then each store that wants its type.

*Identity* (spec, section 3, contract 7). An item with a key is that key within its type. One without is its request and
item rule, and if that rule has `each`, its fields and its number among equals besides; such an item is new or gone,
never changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import msgspec

from pipeline.checks.figures import Fields, measure
from pipeline.failpoints import hit
from pipeline.model import DeadLetter, Drop, Item, item_of
from pipeline.packing import MARK, pack_rows, unpack_items, unpack_values
from pipeline.stages.chains import SingleChain

BATCH: Final = 500  # items a call of store_items
Row: TypeAlias = tuple[str, Item, str, int, bool]  # type, item, and of its page: URL, when fetched, whether noindex

_canonical: Final = msgspec.json.Encoder(order="sorted", decimal_format="number").encode


class ResultPage(msgspec.Struct, array_like=True):
    """A page of the result: its request, and its items as `pack_items` made them. `fetched`: seconds since 1970."""

    mark: bytes
    url: str
    method: str
    rule: str
    carried: bytes
    status: int
    fetched: int
    items: bytes
    noindex: bool = False


class Origin(NamedTuple):
    """What stores can be told of an item's page, if they ask (`meta`)."""

    url: str
    fetched: int
    noindex: bool = False


class LostItem(msgspec.Struct, array_like=True):
    """An item that a `single` filter broke on, and the page that it came from."""

    mark: bytes
    url: str
    letter: DeadLetter


class Staged(msgspec.Struct):
    """What became of some pages. `marks` has 16 bytes of identity and 16 of content for each item in `items`."""

    items: bytes = b""
    marks: bytes = b""
    read: int = 0
    by_type: dict[str, int] = {}
    fields: Fields = {}
    dropped: dict[str, int] = {}
    dead: list[LostItem] = []


class Facts(NamedTuple):
    """All that a `single` filter may ask about a page."""

    url: str
    method: str
    rule: str
    status: int
    carry: Mapping[str, Any]
    fetched: int


class Store(Protocol):
    """A store as publishing sees it: which items it wants, and the three hooks."""

    @property
    def name(self) -> str: ...
    @property
    def items(self) -> tuple[str, ...] | None: ...
    @property
    def only(self) -> str | None: ...
    @property
    def meta(self) -> tuple[str, ...]: ...
    def store_items(self, items: list[Item]) -> None: ...
    def commit(self, summary: Any) -> None: ...
    def abort(self, reason: str) -> None: ...


class Stager:
    """Takes a result once, from its first page to its last, and feeds the stores.

    `keys` are the key fields by item type, `eaches` says of each page rule which of its item rules have `each`, and
    `run` is the run's id. Raises StorageError where a store does.
    """

    def __init__(
        self,
        stores: Sequence[Store],
        *,
        single: SingleChain | None = None,
        keys: Mapping[str, Sequence[str]] | None = None,
        eaches: Mapping[str, Sequence[bool]] | None = None,
        run: str = "",
    ) -> None:
        self.stores = stores
        self.seconds: dict[str, float] = {}  # of other processes
        self.alive = True
        self._single = single
        self._keys = keys or {}
        self._eaches = eaches or {}
        self._run = run
        self._seen: set[bytes] = set()
        self._batches: list[list[Item]] = [[] for _ in stores]

    def only(self, stores: Sequence[Store]) -> Stager:
        """One for some of the stores, to feed a result that has been staged before."""
        return Stager(stores, run=self._run)

    def stage(self, pieces: Iterable[Sequence[ResultPage]]) -> Iterator[Staged]:
        """Take the next pages of the result, piece by piece."""
        return map(self.take, pieces)

    def take(self, pages: Sequence[ResultPage]) -> Staged:
        """Take the next pages of the result."""
        staged = Staged()
        kept: list[Row] = []
        marks: list[bytes] = []
        for page in pages:
            hit("mid_stage")
            url, fetched, noindex = page.url, page.fetched, page.noindex
            for item, mark in self._items(page, staged):
                kept.append((item.type, item, url, fetched, noindex))
                marks.append(mark)
        staged.by_type.update(Counter(map(itemgetter(0), kept)))
        staged.items = pack_rows(kept) if kept else b""  # as they are now: stores get them after that
        staged.marks = b"".join(marks)
        staged.fields = measure(map(itemgetter(1), kept))
        self._feed(kept)
        return staged

    def feed_again(self, items: bytes) -> None:
        """Take a piece of a result that has been staged before: it is filtered already."""
        if items and self.stores:
            self._feed([(kind, item_of(kind, fields), *Origin(*of)) for kind, fields, *of in unpack_values(items)])

    def feed_changes(self, items: bytes) -> None:
        """Take items, each with what became of it, for the stores with `only`. See `pipeline.runner.compare.chosen`."""
        for change, rows in groupby(unpack_values(items) if self.stores else (), key=itemgetter(-1)):
            self._feed([(kind, item_of(kind, fields), *Origin(*of)) for kind, fields, *of, _ in rows], change)

    def finish(self) -> None:
        """The last page has been given."""
        for store, batch in zip(self.stores, self._batches, strict=True):
            store.store_items(batch[:])
            batch.clear()

    def commit(self, place: int, summary: Any) -> None:
        """Make the stage of one store visible. It gets a copy of the summary, as from another process."""
        self.stores[place].commit(deepcopy(summary))

    def close(self) -> None:
        """Nothing is held."""

    def abort(self, reason: str, *, first: int = 0) -> None:
        """Forget the stages, from the store at place `first` on."""
        for store in self.stores[first:]:
            store.abort(reason)

    # --- one item ----------------------------------------------------------------------------------------------------

    def _items(self, page: ResultPage, staged: Staged) -> Iterator[tuple[Item, bytes]]:
        """The page's items that stay, each with its identity and the hash of its content."""
        records = unpack_items(page.items)
        records.sort(key=lambda record: (record.rule, record.position))
        staged.read += len(records)
        single = self._single
        facts = None if single is None else _facts(page)
        eaches = self._eaches.get(page.rule, ())
        equals: dict[bytes, int] = {}
        for record in records:
            item = item_of(record.type, record.fields, record.rule)
            if self._keys and self._is_duplicate(item):
                _count(staged.dropped, "duplicate")
                continue
            answer = item if single is None or facts is None else single(item, facts)
            if isinstance(answer, Item):
                alone = 0 <= record.rule < len(eaches) and not eaches[record.rule]
                yield answer, self._mark(answer, page, record.rule, equals, alone=alone)
            elif isinstance(answer, Drop):
                _count(staged.dropped, answer.reason)
            else:
                staged.dead.append(LostItem(page.mark, page.url, answer))

    def _key(self, item: Item) -> bytes | None:
        """The item's key, or None: an item whose key fields are all empty has none."""
        values = [item.get(field) for field in self._keys.get(item.type, ())]
        if all(value is None for value in values):
            return None
        return _hash(b"key", item.type.encode(), _canonical(values))

    def _is_duplicate(self, item: Item) -> bool:
        key = self._key(item) if item.type in self._keys else None
        if key is None:
            return False
        if key in self._seen:
            return True
        self._seen.add(key)
        return False

    def _mark(self, item: Item, page: ResultPage, rule: int, equals: dict[bytes, int], *, alone: bool) -> bytes:
        content = _canonical(item)
        key = self._key(item) if item.type in self._keys else None
        if key is not None:
            return key + _hash(content)
        if alone:
            return _hash(b"page", page.mark, item.type.encode(), b"%d" % rule) + _hash(content)
        number = equals.get(content, 0)
        equals[content] = number + 1
        identity = _hash(b"each\n%b\n%b\n%d %d\n%b" % (page.mark, item.type.encode(), rule, number, content))
        return identity + identity

    def _feed(self, rows: Sequence[Row], change: str | None = None) -> None:
        """Give items to the stores. Each gets its own: one that changes an item must not change another's.

        `change` says what became of them, for the stores that want that alone.
        """
        for number, (store, batch) in enumerate(zip(self.stores, self._batches, strict=True), 1):
            if store.only is not None if change is None else store.only not in (change, "changed"):
                continue
            wanted = rows if store.items is None else [row for row in rows if row[0] in store.items]
            if number == len(self.stores):
                items = [row[1] for row in wanted]
            else:
                items = [item_of(row[0], row[1]) for row in wanted]
            if store.meta:
                for item, (kind, _, url, fetched, noindex) in zip(items, wanted, strict=True):
                    item.update(self._meta(store.meta, kind, Origin(url, fetched, noindex), change))
            batch.extend(items)
            while len(batch) >= BATCH:
                store.store_items(batch[:BATCH])
                del batch[:BATCH]

    def _meta(self, names: tuple[str, ...], kind: str, origin: Origin, change: str | None) -> dict[str, Any]:
        known = {
            "_run": self._run,
            "_url": origin.url,
            "_type": kind,
            "_fetched_at": datetime.fromtimestamp(origin.fetched, UTC).isoformat(),
            "_noindex": origin.noindex,
            "_change": change,
        }
        return {name: known[name] for name in names}


def _facts(page: ResultPage) -> Facts:
    carry = unpack_values(page.carried) if page.carried else {}
    return Facts(page.url, page.method, page.rule, page.status, carry, page.fetched)


def _hash(*parts: bytes) -> bytes:
    return blake2b(b"\n".join(parts), digest_size=MARK).digest()


def _count(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1
