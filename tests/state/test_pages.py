"""What pages gave: added, ordered, taken away, promoted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model import DeadLetter, Fault
from pipeline.state import pages, runs, schema
from pipeline.state.pages import DeadRow, PageRow

TEXT = st.text(st.characters(codec="utf-8"), max_size=4)
TWINS = st.sampled_from(["", "a", "a\x00", "b", "\u007f", "é", "\uffee", "\U0001f600", "\ue000", "aa", "Z"])
RUN = 7


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = connect()
    yield connection
    connection.close()


def connect() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript("".join(schema.MIGRATIONS))
    connection.execute("PRAGMA recursive_triggers = ON")
    connection.execute("BEGIN")
    return connection


def mark_of(name: str) -> bytes:
    return name.encode().ljust(16, b"\x00")


def page(name: str, run: int = RUN, **given: Any) -> PageRow:
    row = PageRow(
        run=run,
        mark=mark_of(name),
        url=f"https://a.example/{name}",
        method="GET",
        body=b"",
        rule="list",
        carry=b"",
        carried=b"",
        status=200,
        etag='"1"',
        last_modified=None,
        made_by=b"m",
        fetched=1_700_000_000,
        origin=run,
        count=1,
        items=b"items of " + name.encode(),
        links=b"links",
    )
    return row._replace(**given)


def names(db: sqlite3.Connection, run: int) -> list[str]:
    found = db.execute("SELECT mark FROM page WHERE run = ? ORDER BY mark", (run,))
    return [mark.rstrip(b"\x00").decode() for (mark,) in found]


def result(db: sqlite3.Connection, run: int) -> list[tuple[str, int]]:
    return [(row.url.rpartition("/")[2], row.run) for row in pages.read(db, pages.order(db, run))]


def begin(db: sqlite3.Connection, number: int, status: str) -> None:
    db.execute(
        "INSERT INTO run(number, id, started, status, fingerprint) VALUES (?, ?, '2026-01-01T00:00:00Z', ?, x'00')",
        (number, f"run-{number}", status),
    )


def ask(db: sqlite3.Connection, name: str, fate: str | None) -> None:
    db.execute(
        "INSERT INTO request(mark, host, url, rank, depth, fate) VALUES (?, 'h', ?, 0, 0, ?)",
        (mark_of(name), name, fate),
    )


# --- in and out -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 5, 257])
def test_rows_are_kept_as_they_are(db: sqlite3.Connection, count: int) -> None:
    rows = [page(f"{i:03}", last_modified="x", etag=None, links=bytes(range(256))) for i in range(count)]
    pages.add(db, rows)
    kept = db.execute(
        f"SELECT {', '.join(PageRow._fields)} FROM page JOIN content ON content.page = page.id ORDER BY mark"
    ).fetchall()
    assert [PageRow(*row) for row in kept] == rows


def test_a_page_is_there_once_a_run(db: sqlite3.Connection) -> None:
    pages.add(db, [page("a"), page("a", run=0), page("b"), page("b", items=b"later")])
    pages.add(db, [page("a", items=b"new")])
    found = pages.read(db, pages.order(db, RUN))
    assert {(row.run, row.items) for row in found if row.mark == mark_of("a")} == {(0, b"items of a"), (RUN, b"new")}
    assert [row.items for row in found if row.mark == mark_of("b")] == [b"later"]


def test_forget(db: sqlite3.Connection) -> None:
    pages.add(db, [page("a"), page("b"), page("c"), page("a", run=0)])
    pages.forget(db, RUN, [mark_of("a"), mark_of("c"), mark_of("nobody")])
    pages.forget(db, RUN, [])
    assert (names(db, RUN), names(db, 0)) == (["b"], ["a"])


def test_dead_letters(db: sqlite3.Connection) -> None:
    letter = DeadLetter("book", '{"a": 1}', Fault("eur", "process_item", "no rate", "Traceback"))
    row = DeadRow.of(RUN, 3, mark_of("a"), "https://a.example/", letter)
    pages.dead(db, [row])
    assert db.execute(f"SELECT {', '.join(DeadRow._fields)} FROM dead_letter").fetchall() == [
        (RUN, 3, mark_of("a"), "https://a.example/", "eur", "process_item", "no rate", "Traceback", "book", '{"a": 1}')
    ]


KEYS = st.tuples(TWINS | TEXT, st.sampled_from(["GET", "POST", "PUT"]), st.binary(max_size=2), TWINS, TWINS)


@given(st.lists(KEYS, max_size=25, unique=True))
@settings(max_examples=150, deadline=None)
def test_order_is_that_of_python(keys: list[tuple[str, str, bytes, str, str]]) -> None:
    db = connect()
    pages.add(
        db,
        [
            page(f"{at}", run=at % 2 * RUN, url=url, method=method, body=body, rule=rule, carry=carry.encode())
            for at, (url, method, body, rule, carry) in enumerate(keys)
        ],
    )
    pages.add(db, [page("other", run=RUN + 1)])
    found = pages.read(db, pages.order(db, RUN))
    assert [(row.url, row.method, row.body, row.rule, row.carry.decode()) for row in found] == sorted(keys)
    db.close()


@given(st.lists(st.binary(max_size=9), max_size=12), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_read_gives_any_bytes_in_the_order_asked(given: list[bytes], random: Any) -> None:
    db = connect()
    rows = [page(f"{at}", items=items, carried=items, body=items) for at, items in enumerate(given)]
    pages.add(db, rows)
    ids = [*range(1, len(rows) + 1), 999]
    random.shuffle(ids)
    found = pages.read(db, ids)
    assert [row.id for row in found] == [number for number in ids if number != 999]
    for row in found:
        told = rows[row.id - 1]
        assert row[1:] == tuple(getattr(told, name) for name in row._fields[1:])
    db.close()


def test_reading_is_few_steps(db: sqlite3.Connection) -> None:
    pages.add(db, [page(f"{at}") for at in range(300)])
    steps: list[str] = []
    db.set_trace_callback(steps.append)
    assert len(pages.read(db, pages.order(db, RUN))) == 300
    assert len(steps) == 2


# --- what a run takes away --------------------------------------------------------------------------------------------

LOST = ("gone", "redirected")
KEPT = (
    "fetched",
    "not_modified",
    "not_due",
    "failed:dns",
    "failed:http_500",
    "deferred:retry_after",
    "deferred:host_down",
)
UNMET = ("rejected:scope", "rejected:robots", "rejected:limit", "rejected:depth", "rejected:trap", None, "nobody")


@pytest.mark.parametrize("anew", [False, True], ids=["", "anew"])
@pytest.mark.parametrize("there", [True, False], ids=["rule", "no-rule"])
@pytest.mark.parametrize("clean", [True, False], ids=["clean", "unclean"])
@pytest.mark.parametrize("fate", [*LOST, *KEPT, *UNMET])
def test_what_is_taken_away(db: sqlite3.Connection, fate: str | None, clean: bool, there: bool, anew: bool) -> None:
    more = page("more", rule="kept")
    pages.add(db, [page("it", run=0), page("other", run=0, rule="kept"), more, page("it", run=RUN + 1)])
    ask(db, "other", "not_modified")
    if fate != "nobody":
        ask(db, "it", fate)
    if anew:
        pages.add(db, [page("it")])
    pages.decide_removals(db, RUN, clean=clean, rules=["list", "kept"] if there else ["kept"])
    taken = anew or not there or fate in LOST or (clean and fate in UNMET)
    removed = db.execute("SELECT run, mark FROM removal").fetchall()
    assert removed == ([(RUN, mark_of("it"))] if taken else [])
    expected = [("more", RUN), ("other", 0)]
    if anew and there and fate not in LOST:
        expected.append(("it", RUN))
    elif not taken:
        expected.append(("it", 0))
    assert result(db, RUN) == sorted(expected)


def test_removals_are_decided_anew(db: sqlite3.Connection) -> None:
    pages.add(db, [page("a", run=0), page("b", run=0)])
    db.execute("INSERT INTO removal VALUES (?, ?)", (RUN + 1, mark_of("b")))
    for rules, left in (([], []), (["list"], ["a", "b"])):
        pages.decide_removals(db, RUN, clean=False, rules=rules)
        assert [name for name, _ in result(db, RUN)] == left
    assert db.execute("SELECT run FROM removal").fetchall() == [(RUN + 1,)]


# --- pieces, promotion ------------------------------------------------------------------------------------------------


def test_chunks_come_back_in_order(db: sqlite3.Connection) -> None:
    for seq in (2, 0, 1, 3):
        pages.add_chunk(db, RUN, seq, 500, bytes([seq]) * 32, b"items")
    pages.add_chunk(db, RUN, 3, 7, b"", b"again")
    pages.add_chunk(db, RUN + 1, 1, 1, b"", b"other")
    assert [chunk.seq for chunk in pages.chunks(db, RUN, -1, 2)] == [0, 1]
    assert pages.chunks(db, RUN, 1, 9) == [(2, 500, b"\x02" * 32, b"items"), (3, 7, b"", b"again")]
    pages.unstage(db, RUN)
    assert pages.chunks(db, RUN, -1, 9) == []
    assert len(pages.chunks(db, RUN + 1, -1, 9)) == 1


def test_published_is_the_last_published_run(db: sqlite3.Connection) -> None:
    assert pages.published(db) is None
    for number, status in enumerate(("published", "dropped", "published", "candidate", "open"), 1):
        begin(db, number, status)
    assert pages.published(db) == 3


def test_drop_candidates_but_one(db: sqlite3.Connection) -> None:
    for number, status in enumerate(("published", "candidate", "candidate", "open"), 1):
        begin(db, number, status)
    pages.add(db, [page("a", run=run) for run in (0, 2, 3, 4)])
    assert pages.drop_candidates(db, but=3) == [2]
    assert [names(db, run) for run in (0, 2, 3, 4)] == [["a"], [], ["a"], ["a"]]
    assert pages.drop_candidates(db) == [3]
    assert db.execute("SELECT status FROM run ORDER BY number").fetchall() == [
        *(("published",), ("dropped",), ("dropped",), ("open",))
    ]


def test_promotion(db: sqlite3.Connection) -> None:
    statuses = {3: "published", 4: "published", 5: "candidate", RUN: "publishing", 8: "candidate", 9: "open"}
    for number, status in statuses.items():
        begin(db, number, status)
        pages.add_chunk(db, number, 0, 1, b"", b"")
    old = [page("kept", run=0), page("gone", run=0), page("anew", run=0)]
    pages.add(db, [*old, page("anew", items=b"new"), page("new"), page("c", run=5), page("c", run=8), page("o", run=9)])
    ask(db, "gone", "gone")
    pages.decide_removals(db, RUN, clean=False, rules=["list"])
    runs.deliver(db, RUN, [("jsonl", "out.jsonl")])
    before = [row._replace(run=0) for row in pages.read(db, pages.order(db, RUN))]
    pages.promote(db, RUN, "2026-01-02T00:00:00Z")

    assert names(db, 0) == ["anew", "kept", "new"]
    assert pages.read(db, pages.order(db, RUN)) == before
    assert db.execute("SELECT DISTINCT run FROM page ORDER BY run").fetchall() == [(0,), (9,)]
    assert db.execute("SELECT run FROM chunk").fetchall() == [(RUN,)]
    assert db.execute("SELECT * FROM removal").fetchall() == []
    assert runs.deliveries(db, RUN) == []
    assert pages.published(db) == RUN
    assert dict(db.execute("SELECT number, status FROM run")) == statuses | {
        5: "dropped",
        8: "dropped",
        RUN: "published",
    }
    assert db.execute("SELECT ended FROM run WHERE number = ?", (RUN,)).fetchone() == ("2026-01-02T00:00:00Z",)


def test_a_promotion_rolled_back_has_not_been(db: sqlite3.Connection) -> None:
    begin(db, RUN, "publishing")
    pages.add(db, [page("a", run=0), page("b")])
    pages.decide_removals(db, RUN, clean=True, rules=["list"])
    db.execute("COMMIT")
    db.execute("BEGIN")
    pages.promote(db, RUN, "2026-01-02T00:00:00Z")
    db.execute("ROLLBACK")
    assert (names(db, 0), names(db, RUN), pages.published(db)) == (["a"], ["b"], None)
    assert result(db, RUN) == [("b", RUN)]


def test_content_goes_with_its_page(db: sqlite3.Connection) -> None:
    pages.add(db, [page("a"), page("b"), page("a", items=b"anew")])
    pages.add(db, [page("b", items=b"anew")])

    def kept() -> set[tuple[str, bytes]]:
        joined = db.execute("SELECT p.url, c.items FROM content AS c LEFT JOIN page AS p ON p.id = c.page")
        return set(joined.fetchall())

    assert {items for _, items in kept()} == {b"anew"} and len(kept()) == 2
    pages.forget(db, RUN, [mark_of("a")])
    assert len(kept()) == 1 and None not in {url for url, _ in kept()}
