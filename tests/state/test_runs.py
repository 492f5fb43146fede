"""Runs, the journal of a publish, and single values."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from pipeline.state import database, runs
from pipeline.state.runs import Delivery, RunRow

STARTED = "2026-01-31T04:00:00Z"
MARK = bytes(16)


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(database.connect(None)) as db:
        yield db


def begin(db: sqlite3.Connection, name: str, *, status: str = "open") -> int:
    number = runs.begin(db, name, STARTED, b"\x01\x02", False, "0.1.0")
    if status != "open":
        runs.close(db, number, status, 0, STARTED, None)
    return number


def fill(db: sqlite3.Connection, run: int) -> None:
    """One row of everything that can belong to a run."""
    db.execute(
        "INSERT INTO page(run, mark, url, method, body, rule, carry, carried, status, made_by, fetched, origin, count) "
        "VALUES (?, ?, 'http://h.test/', 'GET', '', '', '', '', 200, '', 0, 0, 0)",
        (run, MARK),
    )
    db.execute("INSERT INTO removal VALUES (?, ?)", (run, MARK))
    db.execute("INSERT INTO chunk(run, seq, count, marks, items) VALUES (?, 0, 0, '', '')", (run,))
    db.execute(
        "INSERT INTO dead_letter(run, mark, url, plugin, hook, message, traceback, type, fields) "
        "VALUES (?, ?, '', '', '', '', '', '', '')",
        (run, MARK),
    )
    db.execute(
        "INSERT OR REPLACE INTO request(id, mark, host, url, rank, depth) VALUES (1, ?, 'h', 'u', 1, 1)", (MARK,)
    )
    db.execute("INSERT OR REPLACE INTO link VALUES (1, 2, 1)")


def has(db: sqlite3.Connection, run: int) -> set[str]:
    """The tables with rows of a run."""
    tables = ("page", "removal", "chunk", "delivery", "dead_letter")
    return {one for one in tables if db.execute(f"SELECT 1 FROM {one} WHERE run = ?", (run,)).fetchone()}


def test_a_run_begins_counts_and_ends(db: sqlite3.Connection) -> None:
    assert (runs.last(db), runs.history(db, 5)) == (None, [])
    number = runs.begin(db, "20260131-040000", STARTED, b"\x01\x02", True, "0.1.0")
    begun = RunRow(number, "20260131-040000", STARTED, "open", b"\x01\x02", True, "0.1.0", None, None, {}, None)
    assert runs.last(db) == begun
    runs.save_counts(db, number, b'{"requests": 7}')
    runs.close(db, number, "open", 3, "2026-01-31T04:10:00Z", b'{"verdict": "stopped", "fates": {"fetched": 7}}')
    row = runs.last(db)
    assert row is not None
    assert (row.status, row.exit_code, row.ended) == ("open", 3, "2026-01-31T04:10:00Z")
    assert (row.counts, row.summary) == ({"requests": 7}, {"verdict": "stopped", "fates": {"fetched": 7}})


def test_an_id_is_there_once(db: sqlite3.Connection) -> None:
    begin(db, "a", status="published")
    with pytest.raises(sqlite3.IntegrityError):
        begin(db, "a")


def test_begin_clears_the_frontier_and_what_is_dead(db: sqlite3.Connection) -> None:
    held = {name: begin(db, name, status=name) for name in ("published", "candidate", "publishing", "failed")}
    held["dead"] = begin(db, "dead")
    for number in held.values():
        fill(db, number)
    fill(db, 0)
    begin(db, "new")
    assert db.execute("SELECT (SELECT count(*) FROM request), (SELECT count(*) FROM link)").fetchone() == (0, 0)
    everything = {"page", "removal", "chunk", "dead_letter"}
    left = {name: has(db, number) for name, number in held.items()}
    assert left == {
        "published": everything,
        "candidate": everything,
        "publishing": everything,
        "failed": everything - {"chunk"},
        "dead": {"dead_letter"},
    }
    assert "page" in has(db, 0)
    assert [row.status for row in runs.history(db, 9)] == [
        *("open", "dropped", "failed", "publishing", "candidate", "published")
    ]


def test_begin_may_keep_the_frontier(db: sqlite3.Connection) -> None:
    number = begin(db, "before", status="published")
    fill(db, number)
    runs.begin(db, "again", STARTED, b"", False, "0.1.0", keep_requests=True)
    assert db.execute("SELECT (SELECT count(*) FROM request), (SELECT count(*) FROM link)").fetchone() == (1, 1)


def test_numbers_are_never_used_again(db: sqlite3.Connection) -> None:
    first = begin(db, "a")
    db.execute("DELETE FROM run")
    assert begin(db, "b") > first


def test_drop(db: sqlite3.Connection) -> None:
    one, other = begin(db, "a", status="candidate"), begin(db, "b")
    for number in (one, other):
        fill(db, number)
    runs.deliver(db, one, [("jsonl", None)])
    runs.drop(db, one)
    assert has(db, one) == {"dead_letter"}
    assert has(db, other) == {"page", "removal", "chunk", "dead_letter"}
    assert [(row.id, row.status) for row in runs.history(db, 9)] == [("b", "open"), ("a", "dropped")]


def test_history_is_newest_first(db: sqlite3.Connection) -> None:
    for name in "abcd":
        begin(db, name, status="published")
    assert [row.id for row in runs.history(db, 3)] == ["d", "c", "b"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("20260131-1", ["20260131-1"]),  # exact, though another begins so
        ("20260131-", ["20260131-12", "20260131-1"]),
        ("20260131-12", ["20260131-12"]),
        ("2026", ["20260201-1", "20260131-12", "20260131-1"]),
        ("%", []),
        ("_", []),
        ("20260131-13", []),
        ("", []),
    ],
)
def test_find(db: sqlite3.Connection, text: str, found: list[str]) -> None:
    for name in ("20260131-1", "20260131-12", "20260201-1"):
        begin(db, name, status="published")
    assert [row.id for row in runs.find(db, text)] == found


def test_the_journal(db: sqlite3.Connection) -> None:
    run = begin(db, "a")
    assert runs.deliveries(db, run) == []
    stores = [("jsonl", "/out/a.jsonl"), ("sqlite", "/out/a.db"), ("mine", None)]
    runs.deliver(db, run, stores)
    runs.delivered(db, run, 1)
    runs.deliver(db, run, stores)  # gone on with after a kill
    assert runs.deliveries(db, run) == [
        Delivery(0, "jsonl", "/out/a.jsonl", False),
        Delivery(1, "sqlite", "/out/a.db", True),
        Delivery(2, "mine", None, False),
    ]
    row = runs.last(db)
    assert row is not None
    assert row.status == "publishing"
    assert runs.deliveries(db, run + 1) == []


@pytest.mark.parametrize("value", ["text", "", 7, 2.5, b"\x00\xff", True])
def test_single_values(db: sqlite3.Connection, value: runs.Value) -> None:
    assert runs.load_meta(db, "cookies") is None
    runs.save_meta(db, "cookies", b"before")
    runs.save_meta(db, "cookies", value)
    assert runs.load_meta(db, "cookies") == value
    runs.save_meta(db, "cookies", None)
    assert runs.load_meta(db, "cookies") is None


def test_the_databases_own_value_is_left_alone(db: sqlite3.Connection) -> None:
    with pytest.raises(ValueError, match="'clean' is the database's own"):
        runs.save_meta(db, "clean", 1)
    assert runs.load_meta(db, "clean") is None
