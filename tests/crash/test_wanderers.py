"""Plugins that go to another folder, or change the report that they are shown: neither reaches what a run leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

PLUGIN = """
import os
from pipeline import hookimpl
def go(now):
    if now == "{when}":
        os.chdir("{away}")
go("import")
@hookimpl
def run_start(run): go("run_start")
@hookimpl
def seeds(run):
    go("seeds")
    yield from ()
@hookimpl
def prepare_request(request): go("prepare_request")
@hookimpl
def parse(page):
    go("parse")
@hookimpl
def run_finish(run, summary):
    go("run_finish")
    summary.exit_code = 70
    summary.fates.clear()
"""
CONFIG = """
name: shop
seeds: ["{url}/"]
plugins: [./wanderer.py]
pages: {{all: {{items: [{{fields: {{title: h1}}}}], follow: [a]}}}}
store: [jsonl: out.jsonl]
"""


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("when", ["import", "run_start", "seeds", "prepare_request", "parse", "run_finish"])
def test_a_run_stays_where_it_is(site: Any, hookline: Any, tmp_path: Path, when: str, workers: int) -> None:
    site.page("/", "<h1>Home</h1><a href=/b>b</a>")
    site.page("/b", "<h1>B</h1>")
    away, here = tmp_path / "away", tmp_path / "here"
    away.mkdir()
    here.mkdir()
    (here / "wanderer.py").write_text(PLUGIN.format(when=when, away=away))
    (here / "shop.yaml").write_text(CONFIG.format(url=site.url))
    done = hookline("run", "shop.yaml", "--report", "report.json", "--workers", workers, cwd=here)
    assert (done.returncode, done.stderr) == (0, "")
    assert (here / "out.jsonl").read_text() == '{"title":"Home"}\n{"title":"B"}\n'
    report = json.loads((here / "report.json").read_text())
    assert (report["exit_code"], report["fates"]) == (0, {"fetched": 2})
    assert not list(away.iterdir())
