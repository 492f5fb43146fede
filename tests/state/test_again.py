"""A run that goes back to what failed: which requests are open again, and what is kept of the last one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from pipeline.model import DeadLetter, Fault
from pipeline.state import again, database, pages, requests, runs
from pipeline.state.again import Again
from pipeline.state.pages import DeadRow, PageRow
from pipeline.state.requests import FreshRow

STARTED = "2026-01-01T00:00:00+00:00"
FATES = {
    "http://a/fetched": "fetched",
    "http://a/dead": "fetched",
    "http://a/timeout": "failed:timeout",
    "http://a/503": "failed:http_503",
    "http://a/plugin": "failed:plugin",
    "http://a/later": "deferred:retry_after",
    "http://a/gone": "gone",
    "http://a/scope": "rejected:scope",
}


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(database.connect(None)) as db:
        yield db


def mark_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


def last_run(db: sqlite3.Connection, status: str = "published") -> int:
    """A run with one request of every kind; the second page has a dead letter of the filter `eur`."""
    number = runs.begin(db, "last", STARTED, b"f", True, "0")
    rows = [
        FreshRow(
            id=at,
            mark=mark_of(at),
            host="a",
            url=url,
            rule="p",
            rank=at,
            depth=0,
            fate=fate,
            detail="told",
            status=200,
            attempts=2,
            parent=None,
            seed=at == 1,
            more=None,
        )
        for at, (url, fate) in enumerate(FATES.items(), 1)
    ]
    requests.write(db, rows, [], [(1, 2, 1)], [])
    letter = DeadLetter("book", "{}", Fault("eur", "process_item", "no rate"))
    pages.dead(db, [DeadRow.of(number, 2, mark_of(2), "http://a/dead", letter)])
    pages.add(db, [page(number, 1), page(number, 2)])
    runs.close(db, number, status, 1, STARTED, None)
    return number


def page(run: int, number: int) -> PageRow:
    return PageRow(
        run=run,
        mark=mark_of(number),
        url=f"http://a/{number}",
        method="GET",
        body=b"",
        rule="p",
        carry=b"",
        carried=b"",
        status=200,
        etag=None,
        last_modified=None,
        made_by=b"",
        fetched=0,
        origin=run,
        count=1,
        items=b"",
        links=b"",
    )


def begin(db: sqlite3.Connection, reason: str = "") -> Again | None:
    return again.begin_again(db, reason, "again", STARTED, b"g", "0")


def pending(db: sqlite3.Connection) -> list[str]:
    found = db.execute("SELECT url, detail, status, attempts FROM request WHERE fate IS NULL ORDER BY id").fetchall()
    assert all(rest == ("", None, 0) for _, *rest in found for rest in [tuple(rest)])
    return [url.removeprefix("http://a/") for url, *_ in found]


REASONS = [
    ("", ["dead", "timeout", "503", "plugin", "later"]),
    ("failed:timeout", ["timeout"]),
    ("timeout", ["timeout"]),
    ("http_503", ["503"]),
    ("failed", ["timeout", "503", "plugin"]),
    ("deferred", ["later"]),
    ("retry_after", ["later"]),
    ("plugin", ["plugin"]),
    ("dead", ["dead"]),
    ("eur", ["dead"]),
    ("gone", []),
    ("scope", []),
    ("fetched", []),
    ("nobody", []),
    ("%", []),
]


@pytest.mark.parametrize(("reason", "reopened"), REASONS)
def test_what_is_open_again(db: sqlite3.Connection, reason: str, reopened: list[str]) -> None:
    before = last_run(db)
    begun = begin(db, reason)
    assert pending(db) == reopened
    if not reopened:
        assert begun is None
        assert [row.id for row in runs.history(db, 9)] == ["last"], "no run was begun"
        return
    assert begun is not None
    assert (begun.reopened, sum(begun.fates.values())) == (len(reopened), len(FATES) - len(reopened))
    row = runs.last(db)
    assert row is not None
    assert (row.number, row.id, row.status, row.narrowed) == (begun.number, "again", "open", True)
    assert begun.number > before
    assert db.execute("SELECT count(*) FROM link").fetchone() == (1,), "the frontier is gone on with"


def pages_of(db: sqlite3.Connection) -> dict[int, int]:
    return dict(db.execute("SELECT run, count(*) FROM page GROUP BY run").fetchall())


@pytest.mark.parametrize("status", ["candidate", "failed"])
def test_pages_of_a_result_that_was_not_published_go_over(db: sqlite3.Connection, status: str) -> None:
    before = last_run(db, status)
    begun = begin(db)
    assert begun is not None
    assert pages_of(db) == {begun.number: 2}
    assert db.execute("SELECT DISTINCT origin FROM page").fetchall() == [(before,)]
    assert [(row.id, row.status) for row in runs.history(db, 9)] == [("again", "open"), ("last", "dropped")]


def test_published_pages_stay_published(db: sqlite3.Connection) -> None:
    number = last_run(db, "publishing")
    pages.promote(db, number, STARTED)
    assert begin(db) is not None
    assert pages_of(db) == {0: 2}
    assert [row.status for row in runs.history(db, 9)] == ["open", "published"]


def test_without_a_run_there_is_nothing(db: sqlite3.Connection) -> None:
    assert begin(db) is None
    assert runs.last(db) is None


def test_a_page_that_came_over_and_is_gone_now_is_not_in_the_result(db: sqlite3.Connection) -> None:
    last_run(db, "candidate")
    begun = begin(db, "dead")
    assert begun is not None
    db.execute("UPDATE request SET fate = 'gone' WHERE fate IS NULL")
    pages.decide_removals(db, begun.number, clean=False, rules=["p"])
    assert [row.url for row in pages.read(db, pages.order(db, begun.number))] == ["http://a/1"]
