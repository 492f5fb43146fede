"""`csv` on real files: RFC 4180, columns, formulas, and appending."""

from __future__ import annotations

import csv
import logging
import os
import resource
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import Item, OptionError, RunInfo
from plugins.store.csv import Csv

RUN = RunInfo("r1", datetime(2024, 5, 1, tzinfo=UTC), "demo", logging.getLogger("test"))
LATER = replace(RUN, id="r2")


def save(path: Path, *batches: list[Item], run: RunInfo = RUN, **options: Any) -> str:
    store = Csv(path, run=run, **options)
    for batch in batches:
        store.store_items(batch)
    store.commit()
    return path.read_bytes().decode()


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("Zürich", "Zürich"),
        ('say "hi", twice', '"say ""hi"", twice"'),
        ("two\nlines", '"two\nlines"'),
        (None, '""'),  # a line with one empty cell would look like a blank line
        (float("nan"), '""'),
        (Decimal("51.70"), "51.70"),
        (Decimal("-1E+3"), "-1E+3"),
        (-5, "-5"),
        (True, "true"),
        (date(2024, 5, 1), "2024-05-01"),
        (datetime(2024, 5, 1, 10, tzinfo=UTC), "2024-05-01T10:00:00Z"),
        (["a", 1], '"[""a"",1]"'),
        ({"a": None}, '"{""a"":null}"'),
    ],
)
def test_a_cell(tmp_path: Path, value: Any, cell: str) -> None:
    assert save(tmp_path / "x.csv", [Item(v=value)]) == f"v\r\n{cell}\r\n"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("+41 44 123", "'+41 44 123"),
        ("-x", "'-x"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("-1.5", "-1.5"),
        ("+3", "+3"),
        ("-1e5", "-1e5"),
        ("-1-1", "'-1-1"),
        ("-٣", "'-٣"),
        ("x=1", "x=1"),
        ("'=1", "'=1"),
    ],
)
def test_formulas(tmp_path: Path, text: str, safe: str) -> None:
    assert save(tmp_path / "x.csv", [Item(v=text)]) == f"v\r\n{safe}\r\n"
    assert save(tmp_path / "x.csv", [Item(v=text)], formula_safe=False) == f"v\r\n{text}\r\n"


def test_a_header_can_be_a_formula_too(tmp_path: Path) -> None:
    assert save(tmp_path / "x.csv", [Item({"=a": 1})]) == "'=a\r\n1\r\n"


def test_columns_are_all_fields_in_order_of_first_appearance(tmp_path: Path) -> None:
    written = save(tmp_path / "x.csv", [Item(b=1, a=2), Item(c=3, a=4)], [Item(d=5)])
    assert written == "b,a,c,d\r\n1,2,,\r\n,4,3,\r\n,,,5\r\n"


def test_chosen_columns(tmp_path: Path) -> None:
    written = save(tmp_path / "x.csv", [Item(a=1, b=2, other=9)], [Item(a=3)], columns=["b", "nobody", "a"])
    assert written == "b,nobody,a\r\n2,,1\r\n,,3\r\n"


def test_no_items(tmp_path: Path) -> None:
    assert save(tmp_path / "x.csv", columns=["a", "b"]) == "a,b\r\n"
    assert save(tmp_path / "x.csv") == ""


def test_nothing_is_visible_before_commit(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.csv"
    store = Csv(path, run=RUN)
    assert not path.parent.exists()
    store.store_items([Item(a=1)])
    assert not path.exists()
    store.commit()
    assert [file.name for file in path.parent.iterdir()] == ["x.csv"]


def test_abort_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("old")
    store = Csv(path, run=RUN)
    store.store_items([Item(a=1)])
    store.abort()
    assert [file.name for file in tmp_path.iterdir()] == ["x.csv"]
    assert path.read_text() == "old"


def test_a_disk_without_room(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("old")
    before = path.read_bytes()
    store = Csv(path, run=RUN)
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
    assert [file.name for file in tmp_path.iterdir()] == ["x.csv"]


@pytest.mark.parametrize("old", ["a,b\r\n1,2\r\n", "a,b\r\n1,2", "\ufeffa,b\n1,2\n", '"a","b"\n'])
@pytest.mark.parametrize("columns", [None, ["a", "b"]])
def test_append(tmp_path: Path, old: str, columns: list[str] | None) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(old.encode())
    written = save(path, [Item(b=4, a=3), Item(a=5)], write="append", columns=columns)
    assert written == old + ("" if old.endswith("\n") else "\r\n") + "3,4\r\n5,\r\n"


def test_append_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    for name in ("empty.csv", "none.csv"):
        assert save(tmp_path / name, [Item(a=1)], write="append") == "a\r\n1\r\n"


def test_append_twice_with_a_header_that_looks_like_a_formula(tmp_path: Path) -> None:
    for run in (RUN, LATER):
        written = save(tmp_path / "x.csv", [Item({"@id": 1})], run=run, write="append", columns=["@id"])
    assert written == "'@id\r\n1\r\n1\r\n"


@pytest.mark.parametrize(
    ("old", "columns", "says"),
    [
        ("a,b\r\n", ["b", "a"], "has the columns a, b, not b, a"),
        ("a;b\r\n", ["a", "b"], "has the columns a;b, not a, b"),
        ("a,a\r\n", None, "has the columns a, a, not a"),
        ("a\r\n", None, "has no column b, which a new item has"),
    ],
)
def test_append_to_other_columns(tmp_path: Path, old: str, columns: list[str] | None, says: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(old.encode())
    store = Csv(path, run=RUN, columns=columns, write="append")
    with pytest.raises(ValueError, match=says):
        store.store_items([Item(a=1, b=2)])
    store.abort()
    assert path.read_bytes() == old.encode()
    assert [file.name for file in tmp_path.iterdir()] == ["x.csv"]


def test_permissions_of_the_old_file_stay(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.touch(mode=0o600)
    save(path, [Item(a=1)])
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_path_where_no_file_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="is not a file"):
        Csv(tmp_path, run=RUN)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(OptionError, match="no permission to write"):
        Csv(tmp_path / "x.csv", run=RUN)


TEXT = st.text(st.characters(codec="utf-8"))  # all but surrogates


@settings(deadline=None, max_examples=50)
@given(st.lists(TEXT, min_size=1, max_size=4, unique=True), st.data())
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, columns: list[str], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(columns, TEXT)), max_size=5))
    path = tmp_path_factory.getbasetemp() / "round.csv"
    save(path, [Item("x", row) for row in rows], columns=columns, formula_safe=False)
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [columns, *([row[column] for column in columns] for row in rows)]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.dictionaries(st.sampled_from("abcd"), TEXT.filter(bool), max_size=4), max_size=6), st.integers(0, 6))
def test_late_columns_and_batches(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]], cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "late.csv"
    items = [Item("x", row) for row in rows]
    save(path, items[:cut], items[cut:], formula_safe=False)
    with path.open(encoding="utf-8", newline="") as file:
        read = [{name: cell for name, cell in row.items() if cell} for row in csv.DictReader(file)]
    assert [row for row in read if row] == [row for row in rows if row]
