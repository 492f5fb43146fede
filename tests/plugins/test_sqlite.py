"""`sqlite` on real databases: values, names, the three ways to write, and what happens when it cannot."""

from __future__ import annotations

import logging
import os
import resource
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import Item, OptionError, RunInfo
from plugins.store import sqlite
from plugins.store._table import quote
from plugins.store.sqlite import Sqlite


def run_info(run_id: str = "r1", config: str = "demo") -> RunInfo:
    return RunInfo(run_id, datetime(2024, 5, 1, tzinfo=UTC), config, logging.getLogger("test"))


def save(path: Path, *batches: list[Item], run: str = "r1", config: str = "demo", **options: Any) -> None:
    store = Sqlite(path, run=run_info(run, config), **options)
    for batch in batches:
        store.store_items(batch)
    store.commit()


def ask(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(sql).fetchall()


def change(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(script)


def types(path: Path, table: str = "x") -> dict[str, str]:
    return dict(ask(path, f"SELECT name, type FROM pragma_table_info('{table}')"))


@pytest.mark.parametrize(
    ("values", "kind", "stored"),
    [
        ([1, None, True], "INTEGER", [1, None, 1]),
        ([2**63 - 1, -(2**63)], "INTEGER", [2**63 - 1, -(2**63)]),
        ([1.5, 2], "REAL", [1.5, 2.0]),
        ([Decimal("51.70"), Decimal("20"), 3], "REAL", [51.7, 20.0, 3.0]),
        ([Decimal("0.1234567890123456789")], "TEXT", ["0.1234567890123456789"]),
        ([Decimal("0.1234567890123456789"), Decimal("1.5")], "", ["0.1234567890123456789", 1.5]),
        ([2**53 + 1, 1.5], "", [2**53 + 1, 1.5]),
        ([2**70], "TEXT", [str(2**70)]),
        (["007", "1e5"], "TEXT", ["007", "1e5"]),
        (["n/a", 1, 0.1 + 0.2], "", ["n/a", 1, 0.1 + 0.2]),
        ([None], "", [None]),
        ([float("nan"), 1.0], "REAL", [None, 1.0]),
        ([["a", 1], {"b": None}], "TEXT", ['["a",1]', '{"b":null}']),
        ([date(2024, 5, 1)], "TEXT", ["2024-05-01"]),
        ([datetime(2024, 5, 1, 10, tzinfo=UTC)], "TEXT", ["2024-05-01T10:00:00Z"]),
    ],
)
def test_values(tmp_path: Path, values: list[Any], kind: str, stored: list[Any]) -> None:
    path = tmp_path / "x.db"
    save(path, [Item("x", v=value) for value in values])
    assert types(path) == {"v": kind}
    read = [value for (value,) in ask(path, "SELECT v FROM x ORDER BY rowid")]
    assert list(map(repr, read)) == list(map(repr, stored))  # 1 is not 1.0 here


def test_a_table_a_type_in_output_order(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    save(path, [Item("book", b=2, a=1), Item("film", t="x")], [Item("book", a=0, c=3)])
    assert ask(path, "SELECT rowid, * FROM book ORDER BY rowid") == [(1, 2, 1, None), (2, None, 0, 3)]
    assert ask(path, "SELECT * FROM film") == [("x",)]
    assert ask(path, "SELECT name FROM sqlite_master ORDER BY name") == [("_hookline_replaced",), ("book",), ("film",)]


def test_chosen_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    save(path, [Item("x", a=1, b=2, other=9)], columns=["b", "nobody", "a"])
    assert list(types(path)) == ["b", "nobody", "a"]
    assert ask(path, "SELECT * FROM x") == [(2, None, 1)]
    save(path, [Item("y", a=1, k=2, other=9)], columns=["a"], write="merge", key=["k"])
    assert ask(path, "SELECT k, a FROM y") == [(2, 1)]


def test_nothing_is_visible_before_commit(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.db"
    store = Sqlite(path, run=run_info())
    assert not path.parent.exists()
    store.store_items([Item("x", a=1)])
    assert [file.name for file in path.parent.iterdir()] == [".x.db.r1.stage"]
    store.commit()
    assert [file.name for file in path.parent.iterdir()] == ["x.db"]


def test_abort_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    save(path, [Item("x", a=1)])
    before = path.read_bytes()
    (tmp_path / ".x.db.r0.stage").write_text("of another run")
    store = Sqlite(path, run=run_info())
    store.store_items([Item("x", a=2)])
    store.abort()
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == [".x.db.r0.stage", "x.db"]


def test_two_stores_write_to_one_database(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    stores = [Sqlite(path, run=run_info(), table=name) for name in ("one", "two")]
    for store in stores:
        store.store_items([Item(a=store.table)])
    for store in stores:
        store.commit()
    assert ask(path, "SELECT one.a, two.a FROM one, two") == [("one", "two")]
    assert [file.name for file in tmp_path.iterdir()] == ["x.db"]


def test_a_stage_of_this_run_from_before_a_crash_does_not_count(tmp_path: Path) -> None:
    (tmp_path / ".x.db.r1.stage").write_text("half a page")
    save(tmp_path / "x.db", [Item("x", a=1)])
    assert ask(tmp_path / "x.db", "SELECT * FROM x") == [(1,)]


def test_one_store_can_serve_two_publishes(tmp_path: Path) -> None:
    store = Sqlite(tmp_path / "x.db", run=run_info())
    for number in (1, 2):
        store.store_items([Item("x", a=number)])
        store.commit()
    assert ask(store.path, "SELECT * FROM x") == [(2,)]


# --- replace ---------------------------------------------------------------------------------------------------------


def test_replace_leaves_the_rest_of_the_database_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    change(
        path,
        """CREATE TABLE book (title TEXT, price REAL, old TEXT); INSERT INTO book VALUES ('gone', 1, 'x');
        CREATE TABLE mine (a); INSERT INTO mine VALUES (1); CREATE INDEX mine_a ON mine (a);
        CREATE TABLE log (title);
        CREATE VIEW cheap AS SELECT title FROM book WHERE price < 5;
        CREATE INDEX by_price ON book (PRICE);
        CREATE INDEX by_length ON book (length(title));
        CREATE INDEX by_old ON book ("old");
        CREATE TRIGGER logged AFTER INSERT ON book BEGIN INSERT INTO log VALUES (new.title); END;""",
    )
    save(path, [Item("book", title="a", price=Decimal("1.5"), isbn="x"), Item("book", title="b", price=9)])
    assert ask(path, "SELECT * FROM book") == [("a", 1.5, "x"), ("b", 9.0, None)]
    assert ask(path, "SELECT * FROM mine") == [(1,)]
    assert ask(path, "SELECT * FROM cheap") == [("a",)]
    names = {name for (name,) in ask(path, "SELECT name FROM sqlite_master")}
    assert names == {"book", "mine", "mine_a", "log", "cheap", "by_price", "by_length", "logged", "_hookline_replaced"}
    assert ask(path, "SELECT * FROM log") == []  # rows that were only moved in are no news


def test_replace_with_no_items(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    save(path, table="new")
    save(path, table="chosen", columns=["a", "b"])
    save(path, [Item(a="x")], table="old")
    save(path, table="old")
    assert [ask(path, f"SELECT * FROM {name}") for name in ("new", "chosen", "old")] == [[], [], []]
    assert list(types(path, "chosen")) == ["a", "b"]
    assert types(path, "old") == {"a": "TEXT"}


def test_replace_of_a_view_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    change(path, "CREATE TABLE t (a); CREATE VIEW x AS SELECT a FROM t")
    with pytest.raises(OSError, match="view"):
        save(path, [Item("x", a=1)])
    assert ask(path, "SELECT * FROM x") == []


def test_an_item_without_fields_is_a_row(tmp_path: Path) -> None:
    save(tmp_path / "x.db", [Item("x"), Item("x")])
    assert ask(tmp_path / "x.db", "SELECT count(*) FROM x") == [(2,)]


def test_readers_see_the_old_table_until_the_commit(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    save(path, [Item("x", a="old")])
    change(path, "PRAGMA journal_mode = WAL")
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT a FROM x").fetchall() == [("old",)]
        save(path, [Item("x", a="new")])
        assert reader.execute("SELECT a FROM x").fetchall() == [("old",)]
        reader.execute("COMMIT")
        assert reader.execute("SELECT a FROM x").fetchall() == [("new",)]


# --- merge -----------------------------------------------------------------------------------------------------------


def test_merge_updates_adds_and_removes(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    options: dict[str, Any] = {"table": "t", "write": "merge", "key": ["k"]}
    save(path, [Item(k=1, a="one"), Item(k=2, a="two"), Item(k=2, a="second")], **options)
    assert ask(path, "SELECT k, a FROM t") == [(1, "one"), (2, "two")]
    save(path, [Item(a="TWO", k=2, new=Decimal("0.5")), Item(a="three", k=3)], run="r2", **options)
    assert ask(path, "SELECT k, a, new FROM t ORDER BY rowid") == [(2, "TWO", 0.5), (3, "three", None)]


def test_merge_into_a_table_of_the_user(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    change(path, "CREATE TABLE t (A INTEGER PRIMARY KEY, b TEXT, own TEXT); INSERT INTO t VALUES (1, 'x', 'keep')")
    save(path, [Item(a=1, b="y"), Item(a=2, b="z")], table="T", write="merge", key=["a"])
    assert ask(path, "SELECT * FROM t") == [(1, "y", "keep"), (2, "z", None)]


def test_merge_by_several_fields_which_are_all(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    for run in ("r1", "r2"):
        save(path, [Item(a=1, b=1), Item(a=1, b=2)], run=run, table="t", write="merge", key=["a", "b"])
    assert ask(path, "SELECT * FROM t") == [(1, 1), (1, 2)]


def test_merge_with_keys_by_type(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    key = {"book": ["upc"], "film": ["title", "year"]}
    for run, price in (("r1", 1), ("r2", 2)):
        items = [
            Item("book", upc="a", price=price),
            Item("film", title="t", year=2024),
            Item("film", title="t", year=1),
        ]
        save(path, items, run=run, write="merge", key=key)
    assert ask(path, "SELECT * FROM book") == [("a", 2)]
    assert ask(path, "SELECT * FROM film") == [("t", 2024), ("t", 1)]
    save(path, run="r3", table="empty", write="merge", key=key)
    assert ask(path, "SELECT * FROM empty") == []


def test_merge_of_a_type_without_key(tmp_path: Path) -> None:
    store = Sqlite(tmp_path / "x.db", run=run_info(), write="merge", key={"book": ["upc"]})
    with pytest.raises(ValueError, match="type film has no key to merge by"):
        store.store_items([Item("film", title="t")])
    store.abort()


def test_merge_needs_a_key(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="which rows are the same") as caught:
        Sqlite(tmp_path / "x.db", run=run_info(), write="merge")
    assert "key" in caught.value.hint


def test_merge_of_an_item_without_its_key(tmp_path: Path) -> None:
    store = Sqlite(tmp_path / "x.db", run=run_info(), write="merge", key=["upc"])
    for value in (None, float("nan")):  # SQL says of both that they equal nothing
        with pytest.raises(ValueError, match="has no upc, which is in the key"):
            store.store_items([Item(upc=value)])
    store.abort()
    assert list(tmp_path.iterdir()) == []


def test_merge_into_rows_with_equal_keys(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    change(path, "CREATE TABLE t (k); INSERT INTO t VALUES (1), (1)")
    store = Sqlite(path, run=run_info(), table="t", write="merge", key=["k"])
    store.store_items([Item(k=2)])
    with pytest.raises(ValueError, match="several rows with one key"):
        store.commit()
    store.abort()
    assert ask(path, "SELECT * FROM t") == [(1,), (1,)]
    assert [file.name for file in tmp_path.iterdir()] == ["x.db"]


# --- what is gone ----------------------------------------------------------------------------------------------------

MERGE: dict[str, Any] = {"table": "t", "write": "merge", "key": ["k"]}


def book(path: Path) -> list[tuple[Any, ...]]:
    return ask(path, 'SELECT "table", key, config, type FROM _hookline_merged ORDER BY 1, 2, 3')


def test_rows_of_others_stay_also_those_that_look_like_ours(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    change(path, "CREATE TABLE t (k, a, own); INSERT INTO t VALUES (1, 'x', 'theirs'), (9, 'x', 'theirs')")
    save(path, [Item(k=1, a="y"), Item(k=2, a="y"), Item(k=3, a="y")], **MERGE)
    assert ask(path, "SELECT * FROM t") == [
        (1, "y", "theirs"),  # updated, but theirs: it was there before
        (9, "x", "theirs"),
        (2, "y", None),
        (3, "y", None),
    ]
    change(path, "INSERT INTO t VALUES (4, 'y', NULL)")  # as ours
    save(path, [Item(k=3, a="z")], run="r2", **MERGE)
    assert ask(path, "SELECT * FROM t ORDER BY k") == [
        (1, "y", "theirs"),
        (3, "z", None),
        (4, "y", None),
        (9, "x", "theirs"),
    ]
    assert book(path) == [("t", '{"k": 3}', "demo", "")]
    save(path, run="r3", **MERGE)
    assert ask(path, "SELECT k FROM t ORDER BY k") == [(1,), (4,), (9,)]
    assert book(path) == []


def test_a_row_of_several_configs_stays_until_the_last_has_it_no_more(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    for config, keys, left in (
        ("a", [1, 2], [1, 2]),
        ("b", [2, 3], [1, 2, 3]),
        ("a", [1], [1, 2, 3]),  # b has 2
        ("b", [3], [1, 3]),
        ("a", [3], [3]),
        ("b", [], [3]),
        ("a", [], []),
    ):
        save(path, [Item(k=key, a=config) for key in keys], config=config, **MERGE)
        assert ask(path, "SELECT k FROM t ORDER BY k") == [(key,) for key in left], (config, keys)


def test_keys_of_every_kind_are_found_again(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    numbers = [1, 2**53 + 1, -(2**63), 0.1 + 0.2, 1e300, 2**70, Decimal("0.12345678901234567890"), True]
    items = [Item(k=key, kk=[number]) for number, key in enumerate([*numbers, "", "1", "a\"'\\", "ä\n"])]
    options: dict[str, Any] = {**MERGE, "key": ["k", "kk"]}
    for left in range(len(items), -1, -1):
        save(path, items[:left], **options)
        assert ask(path, "SELECT count(*) FROM t") == [(left,)]


@pytest.mark.parametrize(("declared", "first", "second"), [("INTEGER", 1, "1"), ("TEXT COLLATE NOCASE", "a", "A")])
def test_a_key_that_only_the_table_takes_for_the_same(tmp_path: Path, declared: str, first: Any, second: Any) -> None:
    path = tmp_path / "x.db"
    change(path, f"CREATE TABLE t (k {declared}, v)")
    save(path, [Item(k=first, v=1)], **MERGE)
    save(path, [Item(k=second, v=2)], **MERGE)
    assert ask(path, "SELECT v FROM t") == [(2,)]
    save(path, **MERGE)
    assert ask(path, "SELECT v FROM t") == []


def test_another_key_is_a_new_beginning(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    save(path, [Item(k=1, j="a"), Item(k=2, j="b")], **MERGE)
    save(path, [Item(k=3, j="a")], **{**MERGE, "key": ["j"]})
    assert ask(path, "SELECT k, j FROM t") == [(3, "a")]


@pytest.mark.parametrize(
    ("script", "left"),
    [
        ("DROP TABLE t; CREATE TABLE t (n)", []),
        ("DROP INDEX hookline_t_k; ALTER TABLE t DROP COLUMN k", [(1,)]),
        ("DROP TABLE t; CREATE VIEW t AS SELECT 'k' AS k", [("k",)]),
        ("DELETE FROM t", []),
        ("DELETE FROM t; INSERT INTO t VALUES ('j', 1)", [("j", 1)]),
    ],
)
def test_what_users_did_to_a_table_in_between(tmp_path: Path, script: str, left: list[tuple[Any, ...]]) -> None:
    path = tmp_path / "x.db"
    save(path, [Item("t", k="k", a=1), Item("u", k=1), Item("gone", k=1)], write="merge", key=["k"])
    change(path, f"{script}; DROP TABLE gone")
    save(path, [Item("u", k=2)], write="merge", key=["k"])
    assert [row[0] for row in book(path)] == ["u"]
    assert ask(path, "SELECT * FROM t") == left
    assert ask(path, "SELECT k FROM u") == [(2,)]


def test_a_type_that_vanished_from_a_merge(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    change(path, "CREATE TABLE film (k, a); INSERT INTO film VALUES (7, 'theirs')")
    save(path, [Item("book", k=1), Item("film", k=1)], write="merge", key=["k"])
    save(path, [Item("film", k=5)], config="another", write="merge", key=["k"])
    save(path, [Item("book", k=2)], run="r2", write="merge", key=["k"])
    assert ask(path, "SELECT k FROM book") == [(2,)]
    assert ask(path, "SELECT k FROM film ORDER BY k") == [(5,), (7,)]


def test_a_type_that_vanished_from_a_replace(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    change(path, "CREATE TABLE mine (a); INSERT INTO mine VALUES (1)")
    save(path, [Item("book", a=1), Item("film", a=1)])
    change(path, "CREATE INDEX by_a ON film (a); CREATE VIEW films AS SELECT a FROM film")
    save(path, [Item("book", a=2)], config="another")  # that table is its from now on
    save(path, [Item("film", a=3)], config="another", table="kept", items=["film"])
    save(path, [Item("song", a=2)], run="r2")
    assert ask(path, "SELECT a FROM book") == [(2,)]
    assert ask(path, "SELECT a FROM films") == []
    assert types(path, "film") == {"a": "INTEGER"}
    assert ask(path, "SELECT name FROM sqlite_master WHERE name = 'by_a'") == [("by_a",)]
    assert ask(path, "SELECT a FROM kept") == [(3,)]
    assert ask(path, "SELECT a FROM mine") == [(1,)]
    save(path, [Item("film", a=4)], run="r3")
    assert ask(path, "SELECT a FROM film") == [(4,)]
    assert ask(path, "SELECT a FROM song") == []


def test_a_vanished_type_whose_table_is_gone_or_a_view(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    save(path, [Item("a", v=1), Item("b", v=1), Item("c", v=1)])
    change(path, "DROP TABLE a; DROP TABLE b; CREATE VIEW b AS SELECT * FROM c")
    save(path, [Item("c", v=2)])
    assert ask(path, "SELECT v FROM b") == [(2,)]


@pytest.mark.parametrize("options", [{"write": "merge", "key": ["k"]}, {"write": "replace"}])
def test_a_type_that_goes_elsewhere_has_not_vanished(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "x.db"
    tables = ("book", "film", "poems")
    for run in ("r1", "r2"):
        save(path, [Item("book", k=run)], run=run, items=["book"], **options)
        save(path, [Item("film", k=run)], run=run, items=["film", "song"], **options)
        save(path, [Item("poem", k=run)], run=run, items=["poem"], table="poems", **options)
    assert [ask(path, f"SELECT k FROM {name}") for name in tables] == [[("r2",)]] * 3
    save(path, [Item("book", k="r3")], run="r3", **options)  # all types come here now
    assert [ask(path, f"SELECT k FROM {name}") for name in tables] == [[("r3",)], [], [("r2",)]]


@pytest.mark.parametrize("order", [("film", None), (None, "FILM")])
def test_a_table_that_another_entry_took_over_is_not_emptied(tmp_path: Path, order: tuple[str | None, ...]) -> None:
    path = tmp_path / "x.db"
    save(path, [Item("book", k=1), Item("film", k=1)])
    for table in order:
        if table:
            save(path, [Item("movie", k=2)], run="r2", table=table, items=["movie"])
        else:
            save(path, [Item("book", k=2)], run="r2")
    assert ask(path, "SELECT k FROM film") == [(2,)]


def test_from_replace_to_merge_and_back(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    merge: dict[str, Any] = {"write": "merge", "key": ["k"]}
    save(path, [Item("x", k=1), Item("x", k=2), Item("y", k=1)])
    save(path, [Item("x", k=2), Item("x", k=3)], **merge)
    assert ask(path, "SELECT k FROM x") == [(1,), (2,), (3,)]  # what was there before the first merge counts as others'
    assert ask(path, "SELECT k FROM y") == []
    save(path, [Item("x", k=2)], **merge)
    assert ask(path, "SELECT k FROM x") == [(1,), (2,)]
    save(path, [Item("x", k=4)])
    assert (ask(path, "SELECT k FROM x"), book(path)) == ([(4,)], [])
    save(path, [Item("z", k=4)], **merge)
    save(path, [Item("x", k=5)])
    assert ask(path, "SELECT k FROM z") == []


@pytest.mark.parametrize("write", ["merge", "append"])
def test_books_are_written_in_the_transaction_of_the_rows(tmp_path: Path, write: str) -> None:
    path = tmp_path / "x.db"
    name = {"merge": "_hookline_merged", "append": "_hookline_appended"}[write]
    change(path, "CREATE TABLE t (k UNIQUE, a CHECK (a < 5))")
    save(path, [Item(k=1, a=1)], **{**MERGE, "write": write})
    noted = ask(path, f"SELECT * FROM {name}")
    with pytest.raises(OSError, match="CHECK"):
        save(path, [Item(k=2, a=1), Item(k=3, a=9)], run="r2", **{**MERGE, "write": write})
    assert len(noted) == 1
    assert ask(path, f"SELECT * FROM {name}") == noted
    assert ask(path, "SELECT k FROM t") == [(1,)]


def test_a_store_that_is_told_again_alone(tmp_path: Path) -> None:
    """Killed when the first of two stores was done: only the second is told to publish again."""
    path = tmp_path / "x.db"
    stores = {kind: Sqlite(path, run=run_info(), write="append", items=[kind]) for kind in ("a", "b")}
    for kind, store in stores.items():
        store.store_items([Item(kind, v=1)])
    stores["a"].commit()
    stores["b"].abort()
    for _ in range(2):
        save(path, [Item("b", v=1)], write="append", items=["b"])
    assert ask(path, "SELECT a.v, b.v FROM a, b") == [(1, 1)]


@pytest.mark.parametrize("write", ["replace", "merge", "append"])
def test_a_type_named_as_a_book_is_refused(tmp_path: Path, write: Any) -> None:
    store = Sqlite(tmp_path / "x.db", run=run_info(), write=write, key=["k"])
    with pytest.raises(ValueError, match="Hookline's books"):
        store.store_items([Item("_Hookline_merged", k=1)])
    store.abort()


KEYS = st.sets(st.integers(0, 5))


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.sampled_from("AB"), KEYS), max_size=8), KEYS)
def test_merge_keeps_the_union_of_all(
    tmp_path_factory: pytest.TempPathFactory, publishes: list[tuple[str, set[int]]], theirs: set[int]
) -> None:
    path = tmp_path_factory.getbasetemp() / "union.db"
    path.unlink(missing_ok=True)
    change(path, f"CREATE TABLE t (k, who); {''.join(f'INSERT INTO t VALUES ({k}, 0);' for k in theirs)}")
    latest: dict[str, set[int]] = {}
    for config, keys in publishes:
        save(path, [Item(k=k) for k in keys], config=config, **MERGE)
        latest[config] = keys
        assert {k for (k,) in ask(path, "SELECT k FROM t")} == theirs.union(*latest.values())


# --- append ----------------------------------------------------------------------------------------------------------


def test_append_adds_rows_and_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    save(path, [Item(a=1)], table="t", write="append")
    save(path, [Item(a=1, b="x")], run="r2", table="t", write="append")
    assert ask(path, "SELECT a, b FROM t ORDER BY rowid") == [(1, None), (1, "x")]


def test_append_of_nothing_leaves_the_table_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    save(path, [Item(a=1)], table="t", write="append")
    save(path, [], run="r2", table="t", write="append")
    assert ask(path, "SELECT a FROM t") == [(1,)]


def test_append_counts_once_a_run(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    for _ in range(2):  # killed after the commit, so told to publish again
        stores = [Sqlite(path, run=run_info(), table="t", write="append", items=[kind]) for kind in ("a", "b")]
        for number, store in enumerate(stores):
            store.store_items([Item("ab"[number], a=number)])
        for store in stores:
            store.commit()
    assert ask(path, "SELECT a FROM t ORDER BY a") == [(0,), (1,)]


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_a_locked_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sqlite.BUSY_SECONDS == 10
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    path = tmp_path / "x.db"
    save(path, [Item("x", a="old")])
    store = Sqlite(path, run=run_info())
    store.store_items([Item("x", a="new")])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OSError, match=r"x\.db: another program has kept it locked for 0.05 s"):
            store.commit()
        other.execute("ROLLBACK")
    store.abort()
    assert ask(path, "SELECT a FROM x") == [("old",)]
    assert [file.name for file in tmp_path.iterdir()] == ["x.db"]


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_text("a,b\n1,2\n" * 200)
    store = Sqlite(path, run=run_info())
    store.store_items([Item("x", a=1)])
    with pytest.raises(OSError, match="not a SQLite database"):
        store.commit()
    store.abort()
    assert path.read_text().startswith("a,b")


def test_a_disk_without_room(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    save(path, [Item("x", a=1)])
    before = path.read_bytes()
    store = Sqlite(path, run=run_info())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))  # a write beyond it fails as on a full disk
    try:
        with pytest.raises(OSError):
            for _ in range(50):
                store.store_items([Item("x", a="z" * 10_000)])
            store.commit()
        store.abort()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["x.db"]


def test_a_failure_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    change(
        path, "CREATE TABLE one (a); INSERT INTO one VALUES (1); CREATE TABLE t (a); CREATE VIEW two AS SELECT * FROM t"
    )
    with pytest.raises(OSError, match="view"):
        save(path, [Item("one", a=2), Item("two", a=2)])
    assert ask(path, "SELECT a FROM one") == [(1,)]


def test_a_path_where_no_file_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="is not a file"):
        Sqlite(tmp_path, run=run_info())
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(OptionError, match="no permission to write"):
        Sqlite(tmp_path / "x.db", run=run_info())


@pytest.mark.parametrize("name", ["", "a\0b", "sqlite_x", "SQLITE_master", "_hookline_merged"])
def test_a_name_that_no_table_can_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match="cannot be the name of a table"):
        Sqlite(tmp_path / "x.db", run=run_info(), table=name)


def test_a_field_with_a_nul_character(tmp_path: Path) -> None:
    store = Sqlite(tmp_path / "x.db", run=run_info())
    with pytest.raises(ValueError, match="NUL character"):
        store.store_items([Item("x", {"a\0": 1})])
    store.abort()


# --- names -----------------------------------------------------------------------------------------------------------


def test_names_that_differ_in_case_only(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    save(path, [Item("x", Title=1, title=2, TITLE=3, title_2=4), Item("X", a=1)])
    assert list(types(path)) == ["Title", "title_2", "TITLE_3", "title_2_2"]
    assert ask(path, "SELECT * FROM x") == [(1, 2, 3, 4)]
    assert ask(path, "SELECT * FROM X_2") == [(1,)]


NAME = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12) | st.sampled_from(
    [
        '"',
        "'; DROP TABLE x; --",
        "select",
        "rowid",
        "a b",
        "",
        "_rowid_",
        "[x]",
        "`",
        "n",
        "c0",
        "main.x",
        "%s",
        ":a",
        "?1",
    ]
)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(NAME, min_size=1, max_size=5), NAME.filter(lambda name: name and not name.lower().startswith("sqlite_"))
)
def test_any_name_survives(tmp_path_factory: pytest.TempPathFactory, fields: list[str], table: str) -> None:
    path = tmp_path_factory.getbasetemp() / "names.db"
    path.unlink(missing_ok=True)
    row = {field: f"value {number}" for number, field in enumerate(fields)}
    for run, write in (("r1", "replace"), ("r2", "append"), ("r3", "replace"), ("r4", "merge")):
        save(path, [Item("x", row)], run=run, table=table, write=write, key=list(row)[:1])
    with closing(sqlite3.connect(path)) as database:
        answer = database.execute(f"SELECT * FROM {quote(table)}")
        columns = [column[0] for column in answer.description]
        assert answer.fetchall() == [tuple(row.values())]
    assert all(column.startswith(field) for column, field in zip(columns, row, strict=True))
    assert len({column.lower() for column in columns}) == len(row)
