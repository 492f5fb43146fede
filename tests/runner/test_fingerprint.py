"""What makes an interrupted run another one, and what makes a page's items others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import load
from pipeline.runner.build import Options, build, new_run
from pipeline.runner.fingerprint import makers

PLUGIN = """from pipeline import hookimpl


class Plugin:
    @hookimpl
    def process_item(self, item, page):
        return item
"""
BASE: dict[str, Any] = {
    "name": "x",
    "seeds": ["http://127.0.0.1:1/", {"file": "seeds.txt"}],
    "scope": {"max_depth": 3},
    "plugins": ["./own.py"],
    "pages": {
        "list": {"match": "/list*", "follow": ["a"]},
        "all": {"items": [{"fields": {"title": "h1"}}], "follow": ["a"]},
    },
    "filter": [{"require": ["title"]}],
    "store": [{"jsonl": "out.jsonl"}],
}

Change = Callable[[dict[str, Any], Path], None]


def put(**keys: Any) -> Change:
    return lambda config, folder: config.update(keys)


def write(name: str, text: str) -> Change:
    def change(config: dict[str, Any], folder: Path) -> None:
        (folder / name).write_text(text)

    return change


def fingerprints(folder: Path, change: Change | None = None) -> tuple[bytes, dict[str, bytes]]:
    """Of the run, and of what makes the items of each page rule."""
    config = json.loads(json.dumps(BASE))
    (folder / "seeds.txt").write_text("http://127.0.0.1:1/x\n")
    (folder / "own.py").write_text(PLUGIN)
    if change is not None:
        change(config, folder)
    (folder / "x.yaml").write_text(json.dumps(config))
    loaded = load(folder / "x.yaml")
    job = build(loaded, Options(), new_run("x"))
    try:
        return job.fingerprint, makers(loaded, job.host)
    finally:
        job.close()


PAGES = BASE["pages"]
OTHER_ITEMS = {**PAGES, "all": {**PAGES["all"], "items": [{"fields": {"title": "h2"}}]}}
CHANGES: list[tuple[str, Change, bool, set[str]]] = [  # what, how, another run, page rules whose items are others
    ("nothing", put(), False, set()),
    ("store", put(store=[{"csv": "out.csv"}]), False, set()),
    ("manners", put(fetch={"per_host": {"delay": "3s"}}), False, set()),
    ("limits", put(limits={"pages": 7}), False, set()),
    ("checks", put(checks=["items >= 5"]), False, set()),
    ("seeds", put(seeds=["http://127.0.0.1:1/other"]), True, set()),
    ("the seeds' file", write("seeds.txt", "http://127.0.0.1:1/y\n"), True, set()),
    ("scope", put(scope={"max_depth": 4}), True, set()),
    ("a page rule", put(pages=OTHER_ITEMS), True, {"all"}),
    ("the order of page rules", put(pages=dict(reversed(PAGES.items()))), True, {"list", "all"}),  # of links, too
    ("what URLs look like", put(scope={"max_depth": 3, "normalize": {"sort_params": True}}), True, {"list", "all"}),
    ("what goes along", put(fetch={"headers": {"Accept-Language": "de"}}), False, {"list", "all"}),
    ("credentials", put(fetch={"auth": {"http://127.0.0.1:1": {"bearer": "x"}}}), False, {"list", "all"}),
    ("filter", put(filter=[{"require": {"fields": ["title"]}}, {"where": "title != ''"}]), True, {"list", "all"}),
    ("a plugin's text", write("own.py", PLUGIN + "\n# other\n"), True, {"list", "all"}),
    ("plugins", put(plugins=[]), True, {"list", "all"}),
]


@pytest.mark.parametrize(("name", "change", "run", "pages"), CHANGES, ids=[row[0] for row in CHANGES])
def test_what_changes_it(name: str, change: Change, run: bool, pages: set[str], installed: str, tmp_path: Path) -> None:
    before, makers_before = fingerprints(tmp_path)
    after, makers_after = fingerprints(tmp_path, change)
    assert (before != after) is run, name
    assert {rule for rule in makers_before if makers_before[rule] != makers_after.get(rule)} == pages
    assert installed


def test_it_is_sixteen_bytes_whatever_goes_in(installed: str, tmp_path: Path) -> None:
    """A secret among the options changes it, and cannot be read from it."""
    assert installed
    secret = "hunter2-hunter2-hunter2"
    seeds = [{"url": "http://127.0.0.1:1/", "headers": {"Authorization": secret}}]
    plain, _ = fingerprints(tmp_path, put(seeds=["http://127.0.0.1:1/"]))
    one, rules = fingerprints(tmp_path, put(seeds=seeds))
    assert one != plain
    assert {len(mark) for mark in (one, *rules.values())} == {16}
