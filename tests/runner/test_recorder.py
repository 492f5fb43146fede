"""From the crawl to the state: what is committed when, and that a page's parts are never there without each other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.crawl.frontier import Entry, Frontier, Politeness
from pipeline.model import DeadLetter, Fault, Item, ItemRecord, PackedPage, PageResult, Request, Response
from pipeline.packing import pack, unpack_items
from pipeline.runner.books import Books
from pipeline.runner.recorder import BATCH, INTERVAL, Recorder
from pipeline.state import runs
from pipeline.state.writer import Writer
from pipeline.url import identity

STARTED = "2026-01-01T00:00:00+00:00"


class Crawl:
    """A frontier with a recorder over a file, and what another process would see of it."""

    def __init__(self, path: Path, *, window: int = 256, **more: Any) -> None:
        self.path = path
        self.writer = Writer(path, threaded=False)
        self.run = self.writer.call(runs.begin, "r1", STARTED, b"", False, "0")
        self.writer.commit()
        self.frontier = Frontier(
            refusal=lambda request: None,
            politeness=lambda host: Politeness(10_000, 0.0),
            window=window,
            small_window=min(4, window),
        )
        self.books = Books()
        self.recorder = Recorder(
            self.writer,
            self.frontier,
            self.books,
            run=self.run,
            fetched=1,
            made_by={"p": b"maker"},
            vault={},
            **more,
        )

    def meet(self, *numbers: int) -> None:
        for number in numbers:
            request = Request(f"http://a/{number}", page="p")
            self.books.seeds += self.frontier.add(request, identity(request))

    def fetch(self, count: int = 1) -> list[Entry]:
        """Fetch the next pages; each gives one item."""
        found = []
        for _ in range(count):
            entry = self.frontier.next(0.0)
            assert entry is not None
            self.recorder.books.requests += 1
            self.frontier.finish(entry, "fetched", status=200)
            headers = [("ETag", '"1"'), ("Last-Modified", "then")]
            self.recorder.keep(entry, Response(entry.request, 200, headers, b"", 0.1), page())
            found.append(entry)
        return found

    def seen(self) -> tuple[int, int, int]:
        """Committed: requests, those of them that have ended, pages."""
        with closing(sqlite3.connect(self.path)) as db:
            found: tuple[int, int, int] = db.execute(
                "SELECT (SELECT count(*) FROM request), (SELECT count(fate) FROM request), (SELECT count(*) FROM page)"
            ).fetchone()
            return found

    def saved(self) -> Books:
        with closing(sqlite3.connect(self.path)) as db:
            return msgspec.json.decode(db.execute("SELECT counts FROM run").fetchone()[0], type=Books)


def page(*dead: DeadLetter) -> PackedPage:
    return pack(PageResult(items=[ItemRecord("book", {"a": 1}, 0, 0)], extracted=1 + len(dead), dead=list(dead)))


@pytest.fixture
def crawl(tmp_path: Path) -> Iterator[Crawl]:
    crawl = Crawl(tmp_path / "state.db")
    yield crawl
    crawl.writer.close()


def test_a_result_waits_half_a_second(crawl: Crawl) -> None:
    crawl.meet(1, 2)
    crawl.fetch()
    crawl.recorder.tick(10.0, 0)
    assert crawl.recorder.next_time() == 10.0 + INTERVAL
    crawl.recorder.tick(10.0 + INTERVAL - 0.01, 0)
    assert crawl.seen() == (0, 0, 0)
    assert crawl.recorder.uncommitted == 1
    crawl.recorder.tick(10.0 + INTERVAL, 0)
    assert crawl.seen() == (2, 1, 1)
    assert crawl.recorder.next_time() is None
    crawl.recorder.tick(10.0 + INTERVAL, 0)
    assert crawl.recorder.uncommitted == 0


def test_a_batch_waits_for_nothing(tmp_path: Path) -> None:
    crawl = Crawl(tmp_path / "state.db", window=BATCH)
    with closing(crawl.writer):
        crawl.meet(*range(BATCH))
        crawl.fetch(BATCH - 1)
        crawl.recorder.tick(0.0, 0)
        crawl.recorder.tick(0.1, 0)
        assert crawl.seen() == (0, 0, 0)
        crawl.fetch()
        crawl.recorder.tick(0.1, 0)
        assert crawl.seen() == (BATCH, BATCH, BATCH)
        crawl.recorder.tick(0.1, 0)
        assert crawl.recorder.uncommitted == 0


def test_nothing_new_is_no_transaction(crawl: Crawl) -> None:
    for now in (0.0, 1.0, 2.0):
        crawl.recorder.tick(now, 0)
        assert crawl.recorder.next_time() is None
    assert crawl.seen() == (0, 0, 0)


def test_requests_that_are_met_are_committed_as_well(crawl: Crawl) -> None:
    crawl.meet(1)
    crawl.recorder.tick(0.0, 0)
    crawl.recorder.tick(1.0, 0)
    assert crawl.seen() == (1, 0, 0)


def test_a_question_writes_but_does_not_commit(tmp_path: Path) -> None:
    """What is asked about must be there; a page and its fate become visible together all the same."""
    crawl = Crawl(tmp_path / "state.db", window=4)
    with closing(crawl.writer):
        crawl.meet(*range(40))
        crawl.fetch(3)
        assert crawl.frontier.wants
        crawl.recorder.tick(0.0, 0)
        assert not crawl.frontier.wants
        assert crawl.seen() == (0, 0, 0)
        for now in range(1, 60):
            ready = crawl.frontier.next(0.0)
            if ready is not None:
                crawl.frontier.put_back(ready, 0.0)
                crawl.fetch()
            crawl.recorder.tick(now / 10, 0)
            requests, ended, pages = crawl.seen()
            assert ended == pages and requests in (0, 40)
        crawl.recorder.close()
        assert crawl.seen() == (40, 40, 40)


def test_what_was_not_committed_was_not(crawl: Crawl) -> None:
    crawl.meet(1, 2)
    crawl.fetch()
    crawl.recorder.commit(0)
    crawl.fetch()
    crawl.recorder.flush()
    crawl.writer.close()
    assert crawl.seen() == (2, 1, 1)
    assert (crawl.saved().kept, crawl.saved().fates) == (1, {"fetched": 1})


def test_close_keeps_the_rest(crawl: Crawl) -> None:
    crawl.meet(1, 2)
    crawl.fetch(2)
    crawl.recorder.close()
    assert crawl.seen() == (2, 2, 2)
    assert crawl.recorder.uncommitted == 0
    assert (crawl.saved().seeds, crawl.saved().extracted, crawl.saved().by_type) == (2, 2, {"book": 2})


def test_a_page_is_kept_with_all_that_is_known_of_it(crawl: Crawl) -> None:
    crawl.meet(1)
    (entry,) = crawl.fetch()
    crawl.recorder.close()
    with closing(sqlite3.connect(crawl.path)) as db:
        row = db.execute(
            "SELECT run, mark, url, method, rule, status, etag, last_modified, made_by, fetched, origin, count "
            "FROM page"
        ).fetchone()
        (items,) = db.execute("SELECT items FROM content").fetchone()
    assert row == (
        *(crawl.run, entry.fingerprint, "http://a/1", "GET", "p", 200, '"1"', "then", b"maker", 1, crawl.run, 1),
    )
    assert unpack_items(items) == [ItemRecord("book", {"a": 1}, 0, 0)]


def test_dead_letters_and_a_look_at_items(tmp_path: Path) -> None:
    shown: list[Item] = []
    crawl = Crawl(tmp_path / "state.db", tap=shown.append)
    with closing(crawl.writer):
        crawl.meet(1)
        entry = crawl.frontier.next(0.0)
        assert entry is not None
        crawl.frontier.finish(entry, "fetched")
        letter = DeadLetter("book", "{}", Fault("eur", "process_item", "no rate"))
        crawl.recorder.keep(entry, Response(entry.request, 200, [], b"", 0.1), page(letter))
        crawl.recorder.close()
        with closing(sqlite3.connect(crawl.path)) as db:
            found = db.execute("SELECT request, url, plugin, message FROM dead_letter").fetchall()
    assert found == [(entry.id, "http://a/1", "eur", "no rate")]
    assert [(item.type, item) for item in shown] == [("book", {"a": 1})]
    assert (crawl.books.dead, crawl.books.extracted, crawl.books.kept) == (1, 2, 1)


def test_cookies_are_kept_when_they_changed(tmp_path: Path) -> None:
    answers: list[bytes | None] = [b"one", None, None]
    crawl = Crawl(tmp_path / "state.db", cookies=lambda: answers.pop(0))
    with closing(crawl.writer):
        crawl.recorder.flush()
        crawl.recorder.flush()
        assert crawl.writer.call(runs.load_meta, "cookies") == b"one"


def test_after_a_failure_nothing_more_is_kept(crawl: Crawl) -> None:
    def fail(db: Any) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    crawl.meet(1)
    crawl.recorder.close()
    crawl.writer.post(fail)
    crawl.meet(2)
    crawl.fetch()
    for now in (0.0, 1.0):
        crawl.recorder.tick(now, 0)
    assert crawl.recorder.error is not None
    assert crawl.recorder.uncommitted == 1
    assert crawl.seen() == (1, 0, 0)
