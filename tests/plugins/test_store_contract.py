"""The bundled stores under the contract that the test kit gives to every author of one."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipeline import Item, RunInfo, hookimpl
from pipeline.testing import StoreContract
from plugins.store.csv import Csv
from plugins.store.jsonl import JsonLines
from plugins.store.sqlite import Sqlite


class TestJsonl(StoreContract):
    def make_store(self, folder: Path, run: RunInfo) -> JsonLines:
        return JsonLines(folder / "x.jsonl", run=run, write="replace" if self.replaces else "append")

    def read(self, folder: Path) -> list[Any]:
        path = folder / "x.jsonl"
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


class TestJsonlAppend(TestJsonl):
    replaces = False


class TestCsv(StoreContract):
    def make_store(self, folder: Path, run: RunInfo) -> Csv:
        return Csv(folder / "x.csv", run=run, write="replace" if self.replaces else "append", columns=["id", "title"])

    def read(self, folder: Path) -> list[Any]:
        path = folder / "x.csv"
        lines = path.read_text("utf-8").splitlines(keepends=True) if path.exists() else []
        return list(csv.reader(lines))[1:]


class TestCsvAppend(TestCsv):
    replaces = False


class TestSqlite(StoreContract):
    def make_store(self, folder: Path, run: RunInfo) -> Sqlite:
        return Sqlite(folder / "x.db", run=run, table="book", write="replace" if self.replaces else "append")

    def read(self, folder: Path) -> list[Any]:
        path = folder / "x.db"
        if not path.exists():
            return []
        with closing(sqlite3.connect(path)) as database:
            try:
                return database.execute("SELECT id, title FROM book ORDER BY rowid").fetchall()
            except sqlite3.OperationalError:  # no table yet
                return []


class TestSqliteAppend(TestSqlite):
    replaces = False


# --- the contract finds what is wrong --------------------------------------------------------------------------------


class Naive:
    """Writes a line at once, and so does what the contract forbids; `fault` chooses what."""

    def __init__(self, path: Path, fault: str) -> None:
        self.path = path
        self.fault = fault
        self.lines: list[str] = []

    @hookimpl
    def store_items(self, items: list[Item]) -> None:
        for item in items:
            if self.fault == "changes items":
                item["seen"] = True
            line = f"{item['title'] if self.fault != 'lacks' else item['author']}"
            if self.fault == "early":
                self._write([line])
            self.lines.append(line)
        if self.fault == "leaves files":
            self.path.with_name(f"{self.lines[0]}.part").write_text("x")

    @hookimpl
    def commit(self) -> None:
        if self.fault != "early":
            self._write(self.lines)

    @hookimpl
    def abort(self) -> None:
        self.lines.clear()

    def _write(self, lines: list[str]) -> None:
        mode = "a" if self.fault in ("early", "appends") else "w"
        with self.path.open(mode, encoding="utf-8") as file:
            file.writelines(f"{json.dumps(line)}\n" for line in lines)


class Contract(StoreContract):
    fault = ""

    def make_store(self, folder: Path, run: RunInfo) -> Naive:
        return Naive(folder / "x.txt", self.fault)

    def read(self, folder: Path) -> list[str]:
        path = folder / "x.txt"
        return path.read_text("utf-8").splitlines() if path.exists() else []


FAULTS = [
    ("early", "test_nothing_is_seen_before_commit", "store_items changed the output before commit"),
    ("early", "test_killed_while_staging", "killed before commit changed the output"),
    ("appends", "test_a_run_counts_once", "published again, changed the output"),
    ("appends", "test_the_next_run", "earlier run's items are still there"),
    ("leaves files", "test_abort_leaves_what_was_there", "(?s)abort left new 11.*part"),
    ("changes items", "test_items_are_left_alone", "the store changed"),
    ("lacks", "test_values_of_every_kind", "author"),
]


@pytest.mark.parametrize(("fault", "rule", "words"), FAULTS)
def test_the_contract_sees(fault: str, rule: str, words: str, tmp_path: Path) -> None:
    contract = type("Wrong", (Contract,), {"fault": fault})()
    with pytest.raises(Exception, match=words):
        getattr(contract, rule)(tmp_path)


@pytest.mark.parametrize("rule", [name for name in dir(StoreContract) if name.startswith("test_")])
def test_a_store_of_ten_lines_may_pass(rule: str, tmp_path: Path) -> None:
    getattr(Contract(), rule)(tmp_path)


def test_what_is_no_store_is_told() -> None:
    from pipeline.testing.stores import bind

    class Half:
        @hookimpl
        def store_items(self, items: list[Item]) -> None:
            """Take them."""

    with pytest.raises(AssertionError, match="Half has no commit"):
        bind(Half())
