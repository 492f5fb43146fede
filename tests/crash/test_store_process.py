"""Stores in a process of their own: one that dies costs exit 5, and the next run delivers what it had not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

PLUGIN = """
import ctypes, os, pathlib, sys
from pipeline import hookimpl
class Deadly:
    def __init__(self, path: pathlib.Path, when: str, how: str = "segv"):
        self.path, self.when, self.how = path, when, how
        self.rows = []
    def die(self, now):
        if now == self.when and not pathlib.Path("dead").exists():
            pathlib.Path("dead").touch()
            if self.how == "segv":
                ctypes.string_at(0)
            os._exit(3)
    @hookimpl
    def store_items(self, items):
        print("stored", os.getpid())
        self.die("store_items")
        self.rows += [dict(item) for item in items]
    @hookimpl
    def commit(self, summary):
        self.die("commit")
        self.path.write_text(f"{summary.items.stored} {len(self.rows)}")
@hookimpl
def register(registry): registry.store("deadly", Deadly)
"""

CONFIG = """
name: shop
workers: 1
seeds: ["{url}/"]
plugins: [./deadly.py]
pages: {{all: {{items: [{{fields: {{title: h1}}}}], follow: [a]}}}}
store:
  - jsonl: {{path: before.jsonl, write: append}}
  - deadly: {{path: deadly.txt, when: {when}, how: {how}}}
  - jsonl: {{path: after.jsonl, write: append}}
"""


@pytest.mark.parametrize(
    ("when", "how", "told"), [("store_items", "segv", "signal SEGV"), ("commit", "exit", "exit status 3")]
)
def test_a_store_that_kills_its_process(
    site: Any, hookline: Any, tmp_path: Path, when: str, how: str, told: str
) -> None:
    site.page("/", "<h1>Home</h1><a href=/b>b</a>")
    site.page("/b", "<h1>B</h1>")
    (tmp_path / "deadly.py").write_text(PLUGIN)
    (tmp_path / "shop.yaml").write_text(CONFIG.format(url=site.url, when=when, how=how))
    first = hookline("run", "shop.yaml")
    assert first.returncode == 5, first.stderr
    assert told in first.stderr and f"plugin deadly, hook {when}" in first.stderr
    assert "Traceback" not in first.stderr and "stored" not in first.stdout
    assert (tmp_path / "before.jsonl").exists() is (when == "commit") and not (tmp_path / "after.jsonl").exists()
    asked = len(site.log)
    second = hookline("run", "shop.yaml")
    assert second.returncode == 0, second.stderr
    assert len(site.log) == asked, "nothing is asked again"
    assert (tmp_path / "deadly.txt").read_text() == "2 2"
    for name in ("before.jsonl", "after.jsonl"):
        titles = [json.loads(line)["title"] for line in (tmp_path / name).read_text().splitlines()]
        assert titles == ["Home", "B"]
    assert not [path.name for path in tmp_path.iterdir() if path.suffix in (".stage", ".lock")]


@pytest.mark.parametrize(("more", "processes"), [("", 1), ("\nplugins: [./other.py]", 2)])
def test_a_worker_goes_on_with_the_stores_where_no_code_of_others_runs(
    site: Any, hookline: Any, tmp_path: Path, more: str, processes: int
) -> None:
    site.page("/", "<h1>Home</h1>")
    (tmp_path / "other.py").write_text("from pipeline import hookimpl\n@hookimpl\ndef classify(page): return None\n")
    (tmp_path / "shop.yaml").write_text((PLAIN + STORES).format(url=site.url, second="second.jsonl") + more)
    (tmp_path / "sitecustomize.py").write_text("import os; open('started', 'a').write(f'{os.getpid()}\\n')")
    done = hookline("run", "shop.yaml", env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "started").read_text().splitlines()) == 1 + processes
    assert (tmp_path / "third.jsonl").read_text() == '{"title":"Home"}\n'


HANGING = """
import pathlib, time
from pipeline import hookimpl
def hang(now, when):
    if now == when and not pathlib.Path("hung").exists():
        pathlib.Path("hung").touch()
        while True:
            time.sleep(0.01)
class Slow:
    def __init__(self, when: str): self.when = when
    @hookimpl
    def store_items(self, items): hang("store_items", self.when)
    @hookimpl
    def commit(self, summary): hang("commit", self.when)
class Whole:
    single = True
    def __init__(self, when: str): self.when = when
    @hookimpl
    def process_item(self, item): hang("process_item", self.when)
@hookimpl
def register(registry):
    registry.store("slow", Slow)
    registry.filter("whole", Whole)
"""
HUNG = """
name: shop
workers: 1
limits: {{page_time: 400ms}}
seeds: ["{url}/"]
plugins: [./slow.py]
pages: {{all: {{items: [{{fields: {{title: h1}}}}]}}}}
filter: [whole: {{when: {when}}}]
store: [jsonl: first.jsonl, slow: {{when: {when}}}, jsonl: last.jsonl]
"""


@pytest.mark.parametrize(
    ("when", "plugin", "most"), [("process_item", "whole", 0.4), ("store_items", "slow", 4), ("commit", "slow", 4)]
)
def test_what_never_comes_back_at_publish_is_killed_and_the_next_run_delivers(
    site: Any, hookline: Any, tmp_path: Path, when: str, plugin: str, most: float
) -> None:
    site.page("/", "<h1>Home</h1>")
    (tmp_path / "slow.py").write_text(HANGING)
    (tmp_path / "shop.yaml").write_text(HUNG.format(url=site.url, when=when))
    first = hookline("run", "shop.yaml")
    assert first.returncode == 5, first.stderr
    line = f"{tmp_path / 'slow.py'}:8"
    assert f"took more than {most:g} s in plugin {plugin}, hook {when} ({line}), and was killed" in first.stderr
    assert "limits.page_time" in first.stderr and "Traceback" not in first.stderr
    assert (tmp_path / "first.jsonl").exists() is (when == "commit") and not (tmp_path / "last.jsonl").exists()
    asked = len(site.log)
    second = hookline("run", "shop.yaml")
    assert second.returncode == 0, second.stderr
    assert len(site.log) == asked, "nothing is asked again"
    assert (tmp_path / "first.jsonl").read_text() == (tmp_path / "last.jsonl").read_text() == '{"title":"Home"}\n'


@pytest.mark.parametrize("when", ["process_item", "store_items", "commit"])
def test_a_second_signal_ends_a_run_whose_store_hangs(site: Any, hookline: Any, tmp_path: Path, when: str) -> None:
    site.page("/", "<h1>Home</h1>")
    (tmp_path / "slow.py").write_text(HANGING)
    (tmp_path / "shop.yaml").write_text(HUNG.format(url=site.url, when=when).replace("limits: {page_time: 400ms}", ""))
    command = [sys.executable, "-P", "-m", "pipeline", "run", "shop.yaml"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        begin = time.monotonic()
        while not (tmp_path / "hung").exists():
            assert time.monotonic() - begin < 30
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None, "the first one waits for what is under way"
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 130
    second = hookline("run", "shop.yaml")
    assert second.returncode == 0, second.stderr
    assert (tmp_path / "first.jsonl").read_text() == (tmp_path / "last.jsonl").read_text() == '{"title":"Home"}\n'


STORES = "store: [{{jsonl: first.jsonl}}, {{jsonl: {second}}}, {{jsonl: third.jsonl}}]"
PLAIN = """
name: shop
workers: 1
seeds: ["{url}/"]
pages: {{all: {{items: [{{fields: {{title: h1}}}}]}}}}
"""


@pytest.mark.parametrize("second", ["second.jsonl", "other.jsonl"])
def test_nothing_is_left_of_a_publish_that_was_killed(site: Any, hookline: Any, tmp_path: Path, second: str) -> None:
    """Neither at the store that had its result already, nor at one that is not in the config any more."""
    site.page("/", "<h1>Home</h1>")
    config = tmp_path / "shop.yaml"
    config.write_text((PLAIN + STORES).format(url=site.url, second="second.jsonl"))
    assert hookline("run", "shop.yaml", env={"HOOKLINE_FAILPOINT": "before_store_commit:kill@2"}).returncode == -9
    left = sorted(path.suffix for path in tmp_path.glob(".*.*"))
    assert left.count(".lock") == 3 and left.count(".stage") == 2
    config.write_text((PLAIN + STORES).format(url=site.url, second=second))
    done = hookline("run", "shop.yaml")
    assert done.returncode == 0, done.stderr
    there = ["first.jsonl", "third.jsonl", *(["second.jsonl"] if second == "second.jsonl" else [])]
    assert sorted(path.name for path in tmp_path.glob("*jsonl*")) == sorted(there)
    assert not list(tmp_path.glob(".*.*")), "no lock, no stage"
