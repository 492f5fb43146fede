"""What is said of a worker's death: where the plugin was, in its own words."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.workers.deaths import failing_line

ROOT, LIBRARY = Path(pipeline.__file__).resolve().parent, Path(os.__file__).parent
OUTSIDE = f"""  File "{ROOT}/stages/jobs.py", line 132 in _collect
  File "{ROOT}/stages/jobs.py", line 227 in _guarded
  File "{ROOT}/workers/child.py", line 116 in _serve
  File "<string>", line 1 in <module>"""


@pytest.mark.parametrize(
    ("inside", "line"),
    [
        ((f"{ROOT}/model.py", 157), "/my/pl.py:15"),
        ((f"{LIBRARY}/ctypes/__init__.py", 519), "/my/pl.py:15"),
        ((f"{LIBRARY}/site-packages/lxml/html.py", 5), "/my/pl.py:15"),
        (("/my/pl.py", 3), "/my/pl.py:3"),
    ],
)
def test_the_line_is_the_plugins_own(inside: tuple[str, int], line: str) -> None:
    call = f'Current thread 0x1 (most recent call first):\n  File "{inside[0]}", line {inside[1]} in f'
    assert failing_line(f'{call}\n  File "/my/pl.py", line 15 in parse\n{OUTSIDE}') == line
    decorated = f'  File "/my/pl.py", line 15 in parse\n  File "{LIBRARY}/contextlib.py", line 81 in inner'
    assert failing_line(f"{call}\n{decorated}\n{OUTSIDE}") == line


def test_without_a_plugin_it_is_the_innermost() -> None:
    assert failing_line(OUTSIDE) == f"{ROOT}/stages/jobs.py:132"
    assert failing_line("") == ""


PLUGIN = """
import ctypes
from pipeline import Item, hookimpl

@hookimpl
def parse(page):
    if page.url.endswith("/endless"):
        while True:
            Item("z", a=1)  # between two items that are given, the stack has none of the plugin's lines
    if page.url.endswith("/crash"):
        ctypes.string_at(0)
"""


def test_the_line_of_a_page_that_was_killed_and_of_one_that_crashed(crew: Any, job: Any, tmp_path: Path) -> None:
    plugin = tmp_path / "pl.py"
    plugin.write_text(PLUGIN)
    results = crew(plugins=[plugin], processes=2, page_time=0.5).run(map(job, ["endless", "crash"]))
    told = {url.rpartition("/")[2]: page.fault.message for url, page in results.items()}
    assert f"({plugin}:8)" in told["endless"] or f"({plugin}:9)" in told["endless"]
    assert f"({plugin}:11)" in told["crash"]
