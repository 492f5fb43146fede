"""What a start costs: cron pays it each time. Processor time beside that of an interpreter that does nothing, which
takes 13 ms where `--version` may take 120 ms and a run without news 400 ms; the best of many, taken in turn.

`-rP` shows the figures. What must not be imported is asked in `tests/cli/test_imports.py`, exactly and in every run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.runner.test_revisits import versioned

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(170)]

ROUNDS = 15
NOTHING = [sys.executable, "-I", "-c", "pass"]
VERSION, UNCHANGED = 9, 30  # times as much

CONFIG = """\
name: shop
seeds: ["{url}/"]
pages:
  list: {{match: "/", follow: [a]}}
  book: {{items: [{{type: book, key: [title], fields: {{title: h1, price: {{css: b, type: decimal}}}}}}]}}
store: [{{jsonl: books.jsonl}}]
"""


def seconds(command: list[str], cwd: Path) -> float:
    """User and system time of one process."""
    process = subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime


def ratio(*words: object, cwd: Path) -> float:
    """How many times as much `hookline WORDS` takes as nothing does."""
    command = [str(Path(sys.executable).with_name("hookline")), *map(str, words)]
    rounds = [(seconds(command, cwd), seconds(NOTHING, cwd)) for _ in range(ROUNDS)]
    ours, nothing = map(min, zip(*rounds, strict=True))
    print(f"hookline {words[0]}: {ours * 1000:.0f} ms, an interpreter alone {nothing * 1000:.0f} ms")
    return ours / nothing


def test_the_version_is_there_at_once(installed: str, tmp_path: Path) -> None:
    assert installed
    assert ratio("--version", cwd=tmp_path) <= VERSION


def test_a_run_in_which_nothing_is_new(installed: str, site: Any, tmp_path: Path) -> None:
    """In one process: with workers, publishing starts another."""
    assert installed
    pages = {f"/{number}": f"<h1>Book {number}</h1><b>{number}.50</b>" for number in range(20)}
    pages["/"] = "".join(f"<a href={path}>x</a>" for path in pages)
    for path, body in pages.items():
        site.pages[path] = versioned(body, etag=f'"{len(body)}"')
    (tmp_path / "shop.yaml").write_text(CONFIG.format(url=site.url))
    seconds([str(Path(sys.executable).with_name("hookline")), "run", "shop.yaml"], tmp_path)
    assert ratio("run", "shop.yaml", "--workers", 0, cwd=tmp_path) <= UNCHANGED
    assert all("If-None-Match" in asked for path, asked in site.seen[22:] if path != "/robots.txt")
