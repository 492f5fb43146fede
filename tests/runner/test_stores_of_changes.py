"""Stores that want what is new, or all that changed: what they get, and that they get it once."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipeline.model import Item
from pipeline.runner.publish import StreamStore
from tests.conftest import Site
from tests.runner.test_session import Project

HOME = "<h1>home</h1>" + "".join(f"<a href=/{number}>x</a>" for number in range(1, 5))
KEYED = [{"type": "book", "key": ["title"], "fields": {"title": "h1", "price": "b"}}]


@pytest.fixture
def project(site: Site, installed: str, tmp_path: Path) -> Project:
    assert installed
    project = Project(site, tmp_path)
    project.config["pages"]["all"]["items"] = KEYED
    site.page("/", HOME)
    for number in range(1, 5):
        site.page(f"/{number}", f"<h1>{number}</h1><b>{number}</b>")
    return project


def rows(path: Path) -> list[tuple[str, ...]]:
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [tuple(row[name] for name in ("_change", "title", "price") if name in row) for row in found]


def move(project: Project) -> None:
    """One page changes, one goes, one is new, one is new and behind it."""
    project.site.page("/1", "<h1>1</h1><b>one</b>")
    project.site.page("/2", "gone", status=404)
    project.site.page("/", HOME + "<a href=/5>x</a>")
    project.site.page("/5", "<h1>5</h1><b>5</b><u>five</u>")


@pytest.mark.parametrize("workers", [0, 1])
def test_new_and_changed(project: Project, workers: int) -> None:
    project.config["workers"] = workers
    project.config["pages"]["all"]["items"] = [*KEYED, {"type": "note", "each": "u", "fields": {"title": "::text"}}]
    project.config["store"] = [
        {"jsonl": "out.jsonl", "items": "book"},
        {"jsonl": {"path": "new.jsonl", "only": "new"}, "items": "book"},
        {"jsonl": "changed.jsonl", "only": "changed", "items": "book"},
        {"jsonl": {"path": "run-{run.id}.jsonl", "only": "changed", "write": "replace"}, "items": "book"},
        {"csv": {"path": "changed.csv", "only": "changed", "meta": ["_type"]}, "items": "book"},
        {"sqlite": {"path": "x.db", "table": "changes", "only": "changed"}, "items": "book"},
        {"jsonl": {"path": "notes.jsonl", "only": "changed", "items": "note"}},
    ]
    project.run()
    first = [("home", None), *((str(n), str(n)) for n in range(1, 5))]
    assert rows(project.folder / "new.jsonl") == first
    assert rows(project.folder / "changed.jsonl") == [("new", *row) for row in first]
    move(project)
    told = project.run()
    changes = [("changed", "1", "one"), ("new", "5", "5"), ("gone", "2", "2")]
    assert (told.items.new, told.items.changed, told.items.gone) == (2, 1, 1)
    assert rows(project.folder / "new.jsonl") == [*first, ("5", "5")]
    assert rows(project.folder / "changed.jsonl")[5:] == changes
    assert rows(project.folder / f"run-{told.run}.jsonl") == changes
    assert project.output == ["home", "1", "3", "4", "5"]
    with (project.folder / "changed.csv").open(newline="") as file:
        header, *cells = csv.reader(file)
    assert header == ["title", "price", "_type", "_change"] and cells[-1] == ["2", "2", "book", "gone"]
    with closing(sqlite3.connect(project.folder / "x.db")) as db:
        assert db.execute("SELECT _change, title, price FROM changes").fetchall()[5:] == changes
    assert rows(project.folder / "notes.jsonl") == [("new", "five")]
    told = project.run()
    assert (told.items.new, told.items.changed, told.items.gone) == (0, 0, 0)
    assert len(rows(project.folder / "changed.jsonl")) == 8, "nothing changed, nothing is added"


@pytest.mark.parametrize("stage", ["delivering", "promoting"])
def test_a_publish_that_was_interrupted_gives_each_change_once(
    project: Project, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted after the journal, before or after the store with `only` has committed: the next run delivers."""
    project.config["store"].append({"jsonl": {"path": "changed.jsonl", "only": "changed"}})
    project.run()
    move(project)

    def broken(items: list[Item]) -> None:
        raise OSError(28, "No space left on device")

    before = (project.folder / "changed.jsonl").read_text()
    if stage == "promoting":  # stores of the command line come last
        assert project.run(stores=[StreamStore("-", broken)]).exit_code == 5
        assert len(rows(project.folder / "changed.jsonl")) == 8
    else:
        (project.folder / ".changed.jsonl.appended").rename(project.folder / "kept")
        (project.folder / ".changed.jsonl.appended").mkdir()
        assert project.run().exit_code == 5
        assert (project.folder / "changed.jsonl").read_text() == before
        (project.folder / ".changed.jsonl.appended").rmdir()
        (project.folder / "kept").rename(project.folder / ".changed.jsonl.appended")
    assert project.statuses[0] == "publishing"
    assert project.run().exit_code == 0
    assert rows(project.folder / "changed.jsonl")[5:] == [
        ("changed", "1", "one"),
        ("new", "5", "5"),
        ("gone", "2", "2"),
    ]


def test_items_without_a_key(project: Project) -> None:
    """Those of a page are its own and can change; those of `each` are new or gone."""
    rules: list[dict[str, Any]] = [
        {"type": "page", "fields": {"title": "h1"}},
        {"type": "part", "each": "i", "fields": {"title": {"css": "::text"}}},
    ]
    project.config["pages"]["all"]["items"] = rules
    project.config["store"] = [{"jsonl": {"path": "changed.jsonl", "only": "changed"}}]
    project.site.page("/1", "<h1>1</h1><i>a</i><i>a</i><i>b</i>")
    project.run()
    (project.folder / "changed.jsonl").unlink()
    project.site.page("/1", "<h1>one</h1><i>a</i><i>b</i><i>c</i>")
    project.run()
    assert rows(project.folder / "changed.jsonl") == [("changed", "one"), ("new", "c"), ("gone", "a")]


def test_a_store_that_knows_no_modes_gets_its_part(project: Project) -> None:
    """A notifier, say: it has no `write`, so there is nothing to append to."""
    (project.folder / "told.py").write_text(
        "from pathlib import Path\nfrom pipeline import hookimpl\n\n\nclass Plugin:\n    @hookimpl\n"
        "    def store_items(self, items):\n"
        "        with Path(__file__).with_name('told').open('a') as file:\n"
        "            file.writelines(item['title'] + item['_change'] + '\\n' for item in items)\n"
    )
    project.config["plugins"] = ["./told.py"]
    project.config["store"].append({"told": None, "only": "changed"})
    project.run()
    (project.folder / "told").unlink()
    move(project)
    project.run()
    assert (project.folder / "told").read_text().split() == ["1changed", "5new", "2gone"]
