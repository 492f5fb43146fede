"""Publish: order, keys, identity, routing, all or nothing; the journal, and going on with what it says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pipeline.checks.judge import Verdict
from pipeline.errors import LockedError, StateError, StorageError
from pipeline.model import DeadLetter, Drop, Fault, Item, ItemRecord
from pipeline.packing import MARK, pack_items, pack_values, unpack_values
from pipeline.runner.publish import PAGES, Publisher, StoppedError, StreamStore
from pipeline.runner.summary import Summary
from pipeline.stages.staging import BATCH, Facts, ResultPage, Stager
from pipeline.stages.stores import BoundStore
from pipeline.state import pages, runs
from pipeline.state.lock import Lock
from pipeline.state.pages import PageRow
from pipeline.state.writer import Writer
from pipeline.url import carry_key, fingerprint

STARTED = "2026-01-01T00:00:00+00:00"


class FakeStore:
    def __init__(self, name: str = "fake", *, items: tuple[str, ...] | None = None, fails_on: str = "") -> None:
        self.name, self.items = name, items
        self.meta: tuple[str, ...] = ()
        self.only: str | None = None
        self.fails_on = fails_on
        self.rows: list[Item] = []
        self.batches: list[int] = []
        self.ended = ""
        self.commits = 0

    def store_items(self, items: list[Item]) -> None:
        if self.fails_on == "store":
            raise StorageError("disk full")
        self.rows.extend(items)
        if items:
            self.batches.append(len(items))

    def commit(self, summary: Any) -> None:
        if self.fails_on == "commit":
            raise StorageError("no rename")
        self.ended = "commit"
        self.commits += 1

    def abort(self, reason: str) -> None:
        self.ended = f"abort: {reason}"


def bound(store: FakeStore, path: Path | None = None) -> BoundStore:
    """The same store as an entry of `store:`, which the journal knows."""
    hooks: dict[str, Callable[..., Any]] = {
        "store_items": store.store_items,
        "commit": store.commit,
        "abort": store.abort,
    }
    return BoundStore(store.name, hooks, path=path)


def summary() -> Summary:
    return Summary("0", "x", "r1", STARTED, "x.yaml")


def records(*items: Item, rule: int = 0) -> list[ItemRecord]:
    return [ItemRecord(item.type, dict(item), rule, at) for at, item in enumerate(items)]


def mark_of(url: str, method: str = "GET", body: bytes = b"", carry: Mapping[str, Any] | None = None) -> bytes:
    return fingerprint(method, url, body, "p", carry or {})


def result_page(url: str, items: Sequence[ItemRecord], *, rule: str = "p") -> ResultPage:
    return ResultPage(mark_of(url), url, "GET", rule, b"", 200, 0, pack_items(items))


# --- the stager ------------------------------------------------------------------------------------------------------


def test_the_first_item_of_a_key_wins_within_its_type() -> None:
    store = FakeStore()
    items = [Item("book", id=1, n=1), Item("book", id=1, n=2), Item("pen", id=1, n=3), Item("book", id=None, n=4)]
    items.append(Item("book", n=5))
    stager = Stager([store], keys={"book": ["id"]})
    first = stager.take([result_page("http://a/", records(*items))])
    second = stager.take([result_page("http://b/", records(Item("book", id=1, n=6)))])
    stager.finish()
    assert [row["n"] for row in store.rows] == [1, 3, 4, 5]
    assert (first.dropped, second.dropped) == ({"duplicate": 1}, {"duplicate": 1})
    assert (first.read, first.by_type) == (5, {"book": 3, "pen": 1})


def test_a_key_of_several_fields_is_a_key_where_one_is_there() -> None:
    stager = Stager([], keys={"book": ["id", "shop"]})
    items = [Item("book", id=1, shop="a"), Item("book", id=1), Item("book", id=1, shop="a"), Item("book", x=1)]
    staged = stager.take([result_page("http://a/", records(*items, *items[1:2], *items[3:]))])
    assert (staged.by_type, staged.dropped) == ({"book": 4}, {"duplicate": 2})


def test_items_are_routed_by_type_in_batches() -> None:
    books, everything = FakeStore(items=("book",)), FakeStore()
    stager = Stager([books, everything])
    items = [Item("book", n=number) for number in range(BATCH + 1)]
    stager.take([result_page("http://a/", records(*items, Item("pen", n=0)))])
    stager.finish()
    assert (len(books.rows), len(everything.rows)) == (BATCH + 1, BATCH + 2)
    assert books.batches == [BATCH, 1]


def test_single_filters_keep_drop_and_dead_letter() -> None:
    def single(item: Item, page: Any) -> Item | Drop | DeadLetter:
        assert isinstance(page, Facts) and page.url == "http://a/"
        if item["n"] == 1:
            return Drop("one")
        return DeadLetter("item", "{}", Fault("f", "process_item", "no")) if item["n"] == 2 else item

    store = FakeStore()
    stager = Stager([store], single=single)
    staged = stager.take([result_page("http://a/", records(*(Item(n=number) for number in range(4))))])
    stager.finish()
    assert [row["n"] for row in store.rows] == [0, 3]
    assert (staged.dropped, len(staged.dead)) == ({"one": 1}, 1)
    assert len(staged.marks) == 2 * 2 * MARK


def test_meta_columns_come_last_and_only_where_asked() -> None:
    plain, telling = FakeStore(), FakeStore()
    telling.meta = ("_run", "_url", "_type", "_fetched_at")
    stager = Stager([plain, telling], run="r1")
    stager.take([result_page("http://a/x", records(Item("book", a=1)))])
    stager.finish()
    assert plain.rows == [{"a": 1}]
    assert list(telling.rows[0].items()) == [
        *(("a", 1), ("_run", "r1"), ("_url", "http://a/x"), ("_type", "book")),
        ("_fetched_at", "1970-01-01T00:00:00+00:00"),
    ]


def test_what_was_staged_can_be_fed_again_without_filters() -> None:
    def single(item: Item, page: Any) -> Item | Drop | DeadLetter:
        item["n"] += 1
        return item

    first, again = FakeStore(), FakeStore()
    stager = Stager([first], single=single, run="r1")
    staged = stager.take([result_page("http://a/", records(*(Item("book", n=number) for number in range(3))))])
    stager.finish()
    later = stager.only([again])
    later.feed_again(staged.items)
    later.feed_again(b"")
    later.finish()
    assert [(row.type, row) for row in again.rows] == [(row.type, row) for row in first.rows]
    assert [row["n"] for row in again.rows] == [1, 2, 3]


# --- identity (spec, section 3, contract 7) --------------------------------------------------------------------------


def marks(page: ResultPage, *, each: bool = False, keys: Any = None) -> list[tuple[bytes, bytes]]:
    """(identity, content) of each item."""
    found = Stager([], keys=keys or {}, eaches={"p": [each, each]}).take([page]).marks
    return [(found[at : at + MARK], found[at + MARK : at + 2 * MARK]) for at in range(0, len(found), 2 * MARK)]


def page_of(*items: Item, url: str = "http://a/", rule: int = 0) -> ResultPage:
    return result_page(url, records(*items, rule=rule))


KEYED = {"keys": {"book": ["id"]}}
LONE: dict[str, Any] = {}
EACH = {"each": True}
A, B = Item("book", id=1, t="x"), Item("book", id=1, t="y")
IDENTITIES = [  # how, one page, another: same identity, same content
    (KEYED, page_of(A), page_of(A), True, True),
    (KEYED, page_of(A), page_of(B), True, False),
    (KEYED, page_of(A), page_of(A, url="http://b/"), True, True),
    (KEYED, page_of(A), page_of(Item("pen", id=1, t="x")), False, True),
    (KEYED, page_of(A), page_of(Item("book", id=2, t="x")), False, False),
    (LONE, page_of(A), page_of(A), True, True),
    (LONE, page_of(A), page_of(B), True, False),
    (LONE, page_of(A), page_of(A, url="http://b/"), False, True),
    (LONE, page_of(A), page_of(A, rule=1), False, True),
    (EACH, page_of(A), page_of(A), True, True),
    (EACH, page_of(A), page_of(B), False, False),
    (EACH, page_of(A), page_of(A, url="http://b/"), False, False),
    (EACH, page_of(A), page_of(A, rule=1), False, False),
    (KEYED, page_of(Item("book", t="x")), page_of(Item("book", t="y")), True, False),  # its key is empty: as LONE
    (LONE, page_of(Item("book", t="x", u=1)), page_of(Item("book", u=1, t="x")), True, True),
]


@pytest.mark.parametrize(("how", "one", "other", "identity", "content"), IDENTITIES)
def test_who_an_item_is(how: Any, one: ResultPage, other: ResultPage, identity: bool, content: bool) -> None:
    ((first, first_content),), ((second, second_content),) = marks(one, **how), marks(other, **how)
    assert (first == second, first_content == second_content) == (identity, content)


def test_equal_items_of_a_rule_with_each_are_numbered() -> None:
    found = marks(page_of(A, B, A, A), each=True)
    assert len(set(found)) == 4
    assert marks(page_of(A, A, A, B), each=True) != found
    assert set(marks(page_of(A, A, A, B), each=True)) == set(found), "their order does not matter"
    assert all(identity == content for identity, content in found), "so such an item is never changed"


def test_a_plugins_own_items_are_as_those_of_each() -> None:
    own = page_of(A, A, rule=-1)
    assert marks(own) == marks(own, each=True)
    assert len(set(marks(own))) == 2


# --- a publisher over a state ----------------------------------------------------------------------------------------


@pytest.fixture
def writer() -> Iterator[Writer]:
    with closing(Writer(None, threaded=False)) as writer:
        yield writer


def begin(writer: Writer, name: str = "r1") -> int:
    return writer.call(runs.begin, name, STARTED, b"", False, "0")


def keep(
    writer: Writer,
    number: int,
    url: str,
    items: Sequence[ItemRecord],
    *,
    carry: Mapping[str, Any] | None = None,
    method: str = "GET",
    body: bytes = b"",
) -> None:
    row = PageRow(
        run=number,
        mark=mark_of(url, method, body, carry),
        url=url,
        method=method,
        body=body,
        rule="p",
        carry=carry_key(carry or {}),
        carried=pack_values(carry) if carry else b"",
        status=200,
        etag=None,
        last_modified=None,
        made_by=b"",
        fetched=0,
        origin=number,
        count=len(items),
        items=pack_items(items),
        links=b"",
    )
    writer.call(pages.add, [row])


def publisher(writer: Writer, number: int, stores: Sequence[Any], *, passes: bool = True, **more: Any) -> Publisher:
    def verdicts(told: Summary) -> None:
        told.checks = [Verdict("some check", passes, "as told")]

    rest = {name: more.pop(name) for name in ("stopped", "wait") if name in more}
    stager = Stager(list(stores), run="r1", **more)
    keys = more.get("keys")
    return Publisher(writer, stager, number=number, run="r1", judge=verdicts, keys=keys, **rest)


def publish(one: Publisher, told: Summary | None = None, *, clean: bool = True, despite: bool = False) -> bool:
    return one.publish(told or summary(), rules=["p"], clean=clean, despite_checks=despite)


def status(writer: Writer) -> str:
    row = writer.call(runs.last)
    assert row is not None
    return row.status


def result(writer: Writer) -> list[Any]:
    """The fields of the published pieces."""
    number = writer.call(pages.published)
    assert number is not None
    found = writer.call(pages.chunks, number, -1, 100)
    return [fields for piece in found if piece.items for _, fields, *_ in unpack_values(piece.items)]


@pytest.mark.parametrize(
    ("passes", "despite", "ended", "left"),
    [
        (True, False, "commit", "published"),
        (False, False, "abort: a check failed", "open"),
        (False, True, "commit", "published"),
    ],
)
def test_commit_is_after_all_staging_and_only_if_the_checks_pass(
    writer: Writer, passes: bool, despite: bool, ended: str, left: str
) -> None:
    number, stores, told = begin(writer), [FakeStore(), FakeStore()], summary()
    keep(writer, number, "http://a/", records(Item(a=1)))
    published = publish(publisher(writer, number, stores, passes=passes), told, despite=despite)
    assert published is told.published is (passes or despite)
    assert [store.ended for store in stores] == [ended, ended]
    assert (told.items.stored, told.items.by_type, told.items.new) == (1, {"item": 1}, 1)
    assert status(writer) == left


def test_a_store_that_cannot_stage_leaves_every_target_alone(writer: Writer) -> None:
    number, good, bad = begin(writer), FakeStore(), FakeStore(fails_on="store")
    keep(writer, number, "http://a/", records(Item(a=1)))
    with pytest.raises(StorageError, match="disk full"):
        publish(publisher(writer, number, [good, bad]))
    assert good.ended == bad.ended == "abort: disk full"
    assert (status(writer), writer.call(runs.deliveries, number)) == ("open", [])


def test_a_store_that_cannot_commit_leaves_the_earlier_ones_committed(writer: Writer) -> None:
    number = begin(writer)
    keep(writer, number, "http://a/", records(Item(a=1)))
    first, bad, last = FakeStore("one"), FakeStore("two", fails_on="commit"), FakeStore("three")
    with pytest.raises(StorageError, match="no rename"):
        publish(publisher(writer, number, [bound(first), bound(bad), bound(last)]))
    assert first.ended == "commit"
    assert bad.ended.startswith("abort: ") and last.ended.startswith("abort: ")
    assert status(writer) == "publishing"
    assert [one.done for one in writer.call(runs.deliveries, number)] == [True, False, False]


@pytest.fixture
def halfway(writer: Writer) -> tuple[Writer, int]:
    """Two stores, of which the second could not commit."""
    number = begin(writer)
    for page in range(3):
        keep(writer, number, f"http://a/{page}", records(Item(n=page)))
    with pytest.raises(StorageError):
        publish(publisher(writer, number, [bound(FakeStore("one")), bound(FakeStore("two", fails_on="commit"))]))
    return writer, number


def test_a_publish_that_was_begun_is_finished(halfway: tuple[Writer, int]) -> None:
    writer, number = halfway
    one, two, told = FakeStore("one"), FakeStore("two"), summary()
    assert publisher(writer, number, [bound(one), bound(two)], passes=False).finish(told)
    assert (one.rows, one.ended) == ([], ""), "it has committed"
    assert ([row["n"] for row in two.rows], two.commits) == ([0, 1, 2], 1)
    assert (status(writer), writer.call(runs.deliveries, number), told.notes) == ("published", [], [])


def test_stores_that_came_or_went_meanwhile_are_told(halfway: tuple[Writer, int]) -> None:
    writer, number = halfway
    new, told = FakeStore("new"), summary()
    assert publisher(writer, number, [bound(new)]).finish(told)
    assert new.rows == [] and status(writer) == "published"
    assert told.notes == [
        "store new is new since run r1: it gets the next run's result",
        "store two (no path) is not in the config any more: not delivered",
    ]


def test_a_stream_of_the_command_line_gets_the_result_when_a_publish_is_finished(halfway: tuple[Writer, int]) -> None:
    writer, number = halfway
    delivered: list[Item] = []
    stores = [bound(FakeStore("one")), bound(FakeStore("two")), StreamStore("-", delivered.extend)]
    publisher(writer, number, stores).finish(summary())
    assert [item["n"] for item in delivered] == [0, 1, 2]


def test_a_signal_before_the_journal_leaves_the_run_open(writer: Writer) -> None:
    number, store = begin(writer), FakeStore()
    for page in range(PAGES + 1):
        keep(writer, number, f"http://a/{page}", records(Item(n=page)))
    asked: list[int] = []

    def stopped() -> bool:
        asked.append(1)
        return len(asked) > 1

    with pytest.raises(StoppedError):
        publish(publisher(writer, number, [store], stopped=stopped))
    assert store.ended.startswith("abort") and status(writer) == "open"
    assert publish(publisher(writer, number, [store]))
    assert len(result(writer)) == PAGES + 1


def test_an_output_path_is_locked_while_publishing(writer: Writer, tmp_path: Path) -> None:
    number, store, path = begin(writer), FakeStore(), tmp_path / "out.jsonl"
    seen: list[list[str]] = []

    def single(item: Item, page: Any) -> Item:
        seen.append(sorted(entry.name for entry in tmp_path.iterdir()))
        return item

    keep(writer, number, "http://a/", records(Item(a=1)))
    assert publish(publisher(writer, number, [bound(store, path)], single=single))
    assert seen == [[".out.jsonl.lock"]] and list(tmp_path.iterdir()) == []
    again = begin(writer, "r2")
    with Lock.beside(path, "another"), pytest.raises(LockedError, match="another"):
        publish(publisher(writer, again, [bound(store, path)]))
    held = Lock.beside(path, "another")
    free_it = threading.Timer(0.2, held.release)
    free_it.start()
    assert publish(publisher(writer, again, [bound(store, path)], wait=30))
    free_it.join()


def test_the_state_failing_is_an_error_of_the_publish(writer: Writer) -> None:
    number, store = begin(writer), FakeStore()
    keep(writer, number, "http://a/", records(Item(a=1)))
    with pytest.raises(StateError):
        writer.call(lambda db: db.execute("SELECT * FROM nothing"))
    with pytest.raises(StateError):
        publish(publisher(writer, number, [store]))
    assert store.ended == ""


def test_a_stream_store_hands_over_only_at_commit() -> None:
    delivered: list[Item] = []
    store = StreamStore("-", delivered.extend)
    store.store_items([Item(a=1)])
    assert delivered == []
    store.commit(summary())
    assert delivered == [{"a": 1}]


# --- order, layers, differences --------------------------------------------------------------------------------------


def fields(url: str, carry: Mapping[str, Any] | None = None) -> list[ItemRecord]:
    return [ItemRecord("item", {"n": f"{url}{carry or ''}-{rule}-{at}"}, rule, at) for rule in (1, 0) for at in (1, 0)]


def test_reading_order_does_not_depend_on_the_order_of_arrival() -> None:
    crawl: list[tuple[str, dict[str, Any]]] = [
        ("http://a/2", {}),
        ("http://a/1", {"carry": {"x": 2}}),
        ("http://a/1", {"carry": {"x": 1}}),
        ("http://a/1", {}),
        ("http://a/10", {}),
        ("http://a/1", {"method": "POST", "body": b"z"}),
    ]
    orders = []
    for seed in range(5):
        with closing(Writer(None, threaded=False)) as writer:
            number, store, told = begin(writer), FakeStore(), summary()
            for url, more in Random(seed).sample(crawl, k=len(crawl)):
                keep(writer, number, url, fields(url, more.get("carry")), **more)
            publish(publisher(writer, number, [store]), told)
            orders.append([row["n"] for row in store.rows])
            assert told.items.stored == 24
    assert all(order == orders[0] for order in orders)
    assert orders[0][:4] == [f"http://a/1-{rule}-{at}" for rule in (0, 1) for at in (0, 1)]
    assert [name.partition("-")[0] for name in orders[0][-8:]] == ["http://a/10"] * 4 + ["http://a/2"] * 4


def run_of(writer: Writer, name: str, found: Mapping[str, int], *, clean: bool = True) -> tuple[Summary, FakeStore]:
    """Publish a run in which page U of `found` gave an item with that number."""
    number, store, told = begin(writer, name), FakeStore(), summary()
    for url, value in found.items():
        keep(writer, number, f"http://a/{url}", records(Item("book", n=value)))
    publish(publisher(writer, number, [store], eaches={"p": [False]}), told, clean=clean)
    return told, store


def test_a_result_is_the_last_one_with_what_this_run_found(writer: Writer) -> None:
    run_of(writer, "r1", {"a": 1, "b": 2, "c": 3})
    told, store = run_of(writer, "r2", {"b": 20, "d": 4}, clean=False)
    items = told.items
    assert [row["n"] for row in store.rows] == [1, 20, 3, 4] == [row["n"] for row in result(writer)]
    assert (items.new, items.changed, items.unchanged, items.gone) == (1, 1, 2, 0)
    assert (items.earlier, items.stored) == (2, 4)
    told, store = run_of(writer, "r3", {"b": 20}, clean=True)
    assert [row["n"] for row in store.rows] == [20], "a clean run takes away what it did not meet"
    assert (told.items.unchanged, told.items.gone, told.items.earlier) == (1, 3, 0)


def test_an_unchanged_site_gives_nothing_new(writer: Writer) -> None:
    found = {f"{page:04}": page for page in range(PAGES + 7)}
    run_of(writer, "r1", found)
    told, _ = run_of(writer, "r2", found)
    items = told.items
    assert (items.new, items.changed, items.unchanged, items.gone) == (0, 0, PAGES + 7, 0)


def test_a_candidate_is_released_as_it_was_decided(writer: Writer) -> None:
    run_of(writer, "r1", {"a": 1, "b": 2})
    number, store = begin(writer, "r2"), FakeStore()
    keep(writer, number, "http://a/a", records(Item("book", n=10)))
    assert not publish(publisher(writer, number, [store], passes=False))
    writer.call(runs.close, number, "candidate", 1, STARTED, None)
    assert [row["n"] for row in result(writer)] == [1, 2], "the published result stays"
    later, told = FakeStore(), summary()
    assert not publisher(writer, number, [later], passes=False).release(told, despite_checks=False)
    assert publisher(writer, number, [later], passes=False).release(told, despite_checks=True)
    assert [row["n"] for row in result(writer)] == [10] and status(writer) == "published"
