"""The counters of a run: they add up, they go through the state unchanged, and they stay small."""

from __future__ import annotations

import msgspec

from pipeline.model import DeadLetter, Fault, PackedPage
from pipeline.runner.books import MOST_MESSAGES, OTHER, Books
from pipeline.runner.summary import SlowHook


def filled() -> Books:
    books = Books(seeds=2)
    letter = DeadLetter("book", "{}", Fault("eur", "process_item", "no rate"))
    page = PackedPage(
        types={"book": 2, "pen": 1}, extracted=6, dropped={"one": 2}, dead=[letter], missing={"book.price": 1}
    )
    for _ in range(2):
        books.take_items(page)
        books.take_links(5, 3, 1)
        books.spend(PackedPage(seconds={"eur": 0.5}, slow={"eur.parse": 0.6}), "http://x.example/")
    books.charge("eur", "process_item: no rate")
    return books


def test_they_add_up() -> None:
    books = filled()
    assert (books.extracted, books.kept, books.dead, books.dropped) == (12, 6, 2, {"one": 4})
    assert books.extracted == books.kept + books.dead + sum(books.dropped.values())
    assert (books.by_type, books.missing) == ({"book": 4, "pen": 2}, {"book.price": 2})
    assert (books.links.found, books.links.new, books.links.duplicate, books.bad_links) == (10, 6, 4, 2)
    assert books.plugin_seconds == {"eur": 1.0}
    assert books.slow == {"eur.parse": SlowHook(2, 0.6, "http://x.example/")}


def test_they_come_back_from_the_state_as_they_were() -> None:
    books = filled()
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(books)), Books) == books


def test_two_books_share_nothing() -> None:
    filled()
    assert Books() == Books(seeds=0) and Books().dropped == {} and Books().faults == {}


def test_messages_of_a_plugin_are_bounded() -> None:
    """A message may name the page; a plugin that fails on all of them must not fill the memory."""
    books = Books()
    for number in range(MOST_MESSAGES + 50):
        books.charge("eur", f"process_item: {number}")
    books.charge("eur", "process_item: 0")
    told = books.faults["eur"]
    assert len(told) == MOST_MESSAGES + 1
    assert (told[OTHER], told["process_item: 0"]) == (50, 2)
