"""Publish: order, keys, routing, all or nothing; and the open run's order of reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from random import Random
from typing import Any

import pytest

from pipeline.errors import StorageError
from pipeline.model import DeadLetter, Drop, Fault, Item, ItemRecord, PageResult, Request
from pipeline.runner.checks import Verdict
from pipeline.runner.openrun import OpenRun, PageFacts
from pipeline.runner.publish import BATCH, Publisher, SingleChain, StreamStore
from pipeline.runner.summary import Summary


class FakeStore:
    def __init__(self, name: str = "fake", *, items: tuple[str, ...] | None = None, fails_on: str = "") -> None:
        self.name, self.items, self.meta = name, items, ()
        self.fails_on = fails_on
        self.rows: list[Item] = []
        self.batches: list[int] = []
        self.ended = ""

    def store_items(self, items: list[Item]) -> None:
        if self.fails_on == "store":
            raise StorageError("disk full")
        self.rows.extend(items)
        self.batches.append(len(items))

    def commit(self, summary: Summary) -> None:
        if self.fails_on == "commit":
            raise StorageError("no rename")
        self.ended = "commit"

    def abort(self, reason: str) -> None:
        self.ended = f"abort: {reason}"


def facts(url: str = "http://a/") -> PageFacts:
    return PageFacts(url, "GET", b"", "p", b"", 200, {})


def summary() -> Summary:
    return Summary("0", "x", "r", "2026-01-01T00:00:00Z", "x.yaml")


def publisher(
    stores: Iterable[Any], *, single: SingleChain | None = None, keys: Any = None, passes: bool = True
) -> Publisher:
    def verdicts(by_type: Counter[str]) -> list[Verdict]:
        return [Verdict("some check", passes, "as told")]

    return Publisher(list(stores), single=single, keys=keys or {}, meta={"_run": "r1"}, judge=verdicts)


def test_commit_is_after_all_staging_and_only_if_the_checks_pass() -> None:
    for passes, ended in ((True, "commit"), (False, "abort: a check failed")):
        stores = [FakeStore(), FakeStore()]
        told = summary()
        published = publisher(stores, passes=passes).publish([(facts(), Item(a=1))], told)
        assert published is passes
        assert [store.ended for store in stores] == [ended, ended]
        assert (told.items.stored, told.items.by_type) == (1, {"item": 1})


def test_the_first_item_of_a_key_wins_within_its_type() -> None:
    store, told = FakeStore(), summary()
    items = [Item("book", id=1, n=1), Item("book", id=1, n=2), Item("pen", id=1, n=3), Item("book", id=None, n=4)]
    items.append(Item("book", n=5))
    publisher([store], keys={"book": ["id"]}).publish([(facts(), item) for item in items], told)
    assert [row["n"] for row in store.rows] == [1, 3, 4, 5]
    assert told.items.dropped == {"duplicate": 1}


def test_items_are_routed_by_type_in_batches() -> None:
    books, everything = FakeStore(items=("book",)), FakeStore()
    items = [(facts(), Item("book", n=number)) for number in range(BATCH + 1)] + [(facts(), Item("pen", n=0))]
    publisher([books, everything]).publish(items, summary())
    assert (len(books.rows), len(everything.rows)) == (BATCH + 1, BATCH + 2)
    assert books.batches == [BATCH, 1]


def test_single_filters_keep_drop_and_dead_letter() -> None:
    def single(item: Item, page: PageFacts) -> Item | Drop | DeadLetter:
        if item["n"] == 1:
            return Drop("one")
        return DeadLetter("item", "{}", Fault("f", "process_item", "no")) if item["n"] == 2 else item

    store, told = FakeStore(), summary()
    publishing = publisher([store], single=single)
    publishing.publish([(facts(), Item(n=number)) for number in range(4)], told)
    assert [row["n"] for row in store.rows] == [0, 3]
    assert (told.items.dropped, told.items.dead_lettered, len(publishing.dead)) == ({"one": 1}, 1, 1)


def test_a_store_that_cannot_stage_leaves_every_target_alone() -> None:
    good, bad = FakeStore(), FakeStore(fails_on="store")
    with pytest.raises(StorageError, match="disk full"):
        publisher([good, bad]).publish([(facts(), Item(a=1))], summary())
    assert good.ended == bad.ended == "abort: disk full"


def test_a_store_that_cannot_commit_leaves_the_earlier_ones_committed() -> None:
    first, bad, last = FakeStore(), FakeStore(fails_on="commit"), FakeStore()
    with pytest.raises(StorageError, match="no rename"):
        publisher([first, bad, last]).publish([(facts(), Item(a=1))], summary())
    assert (first.ended, bad.ended, last.ended) == ("commit", "", "abort: no rename")


def test_meta_columns_come_last_and_only_where_asked() -> None:
    plain, telling = FakeStore(), FakeStore()
    telling.meta = ("_run", "_url", "_type")
    publisher([plain, telling]).publish([(facts("http://a/x"), Item("book", a=1))], summary())
    assert plain.rows == [{"a": 1}]
    assert list(telling.rows[0].items()) == [("a", 1), ("_run", "r1"), ("_url", "http://a/x"), ("_type", "book")]


def test_a_stream_store_hands_over_only_at_commit() -> None:
    delivered: list[Item] = []
    store = StreamStore("-", delivered.extend)
    store.store_items([Item(a=1)])
    assert delivered == []
    store.commit(summary())
    assert delivered == [{"a": 1}]


def page(url: str, carry: dict[str, Any] | None = None, **more: Any) -> tuple[Request, PageResult]:
    records = [
        ItemRecord("item", {"n": f"{url}{carry or ''}-{rule}-{at}"}, rule, at) for rule in (1, 0) for at in (1, 0)
    ]
    return Request(url, page="p", carry=carry or {}, **more), PageResult(items=records, extracted=4)


def test_reading_order_does_not_depend_on_the_order_of_arrival() -> None:
    pages = [
        page("http://a/2"),
        page("http://a/1", {"x": 2}),
        page("http://a/1", {"x": 1}),
        page("http://a/1"),
        page("http://a/10"),
        page("http://a/1", method="POST", body=b"z"),
    ]
    orders = []
    for seed in range(5):
        run = OpenRun()
        for request, result in Random(seed).sample(pages, k=len(pages)):
            run.add(request, 200, result)
        orders.append([(page.url, page.method, item["n"]) for page, item in run.in_order()])
        assert (run.extracted, run.kept) == (24, 24)
    assert all(order == orders[0] for order in orders)
    assert [n for _, _, n in orders[0][:4]] == [f"http://a/1-{rule}-{at}" for rule in (0, 1) for at in (0, 1)]
    assert [url for url, *_ in orders[0]][-8:] == ["http://a/10"] * 4 + ["http://a/2"] * 4
