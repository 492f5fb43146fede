"""`run --trace-hooks`: a line for each call, from every process; and per-plugin time and errors in the report."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLUGIN = """
from pipeline import Drop, Item, Request, hookimpl

@hookimpl
def run_start(run): pass

@hookimpl
def prepare_request(request):
    request.headers["Authorization"] = "Bearer hidden"
    return request

@hookimpl
def parse(page):
    for number in range(5):
        yield Item("book", n=number)

@hookimpl
def process_item(item, page):
    if item["n"] == 1: return Drop("one")
    if item["n"] == 2: raise ValueError("two")
"""


@pytest.mark.parametrize("workers", [0, 1])
def test_every_call_is_told(
    workers: int, tmp_path: Path, serve: Callable[..., Any], hookline: Callable[..., Any]
) -> None:
    site = serve({"/": "<p>x"})
    (tmp_path / "p.py").write_text(PLUGIN)
    config = {
        "name": "x", "workers": workers, "seeds": [site.url], "plugins": ["./p.py"], "filter": ["p", {"dedupe": ["n"]}],
        "store": [{"jsonl": "out.jsonl"}],
    }  # fmt: skip
    (tmp_path / "x.yaml").write_text(json.dumps(config))
    done = hookline("run", "x.yaml", "--trace-hooks", "trace.txt", "--report", "r.json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = (tmp_path / "trace.txt").read_text().splitlines()
    form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d (\d+) +\d+\.\d{3} ms  ([\w.]+)  (\S*) -> (.+)"
    calls = [match.groups() for line in lines if (match := re.fullmatch(form, line))]
    assert len(calls) == len(lines)
    told = [(what, answer) for _, what, _, answer in calls]
    assert told[0] == ("p.run_start", "None")
    assert ("p.prepare_request", f"Request GET {site.url}/") in told and "hidden" not in str(lines)
    assert ("p.parse", "5: Item book {'n': 0}, Item book {'n': 1}, Item book {'n': 2}, and 2 more") in told
    assert ("p.process_item", "Drop 'one'") in told
    assert any(what == "p.process_item" and "raised ValueError: two" in answer for what, answer in told)
    assert [what for what, _ in told].count("dedupe.process_item") == 3
    assert {"jsonl.store_items", "jsonl.commit"} <= {what for what, _ in told}
    assert {where for _, what, where, _ in calls if what == "p.parse"} == {f"{site.url}/"}
    assert (len({process for process, *_ in calls}) > 1) == (workers > 0)
    plugins = json.loads((tmp_path / "r.json").read_text())["plugins"]
    assert plugins["p"]["seconds"] > 0 and "two" in str(plugins["p"]["errors"])


def test_on_stderr_and_where_it_cannot_be_written(tmp_path: Path, serve: Callable[..., Any], hookline: Any) -> None:
    site = serve({"/": "<p>x"})
    (tmp_path / "p.py").write_text(PLUGIN)
    (tmp_path / "x.yaml").write_text(json.dumps({"name": "x", "seeds": [site.url], "plugins": ["./p.py"]}))
    done = hookline("run", "x.yaml", "--trace-hooks", "-")
    assert done.returncode == 0 and " ms  p.parse " in done.stderr
    done = hookline("run", "x.yaml", "--trace-hooks", "nowhere/x.txt")
    assert done.returncode == 2 and "nowhere/x.txt cannot be written: No such file or directory" in done.stderr


def test_time_in_the_process_of_the_run_is_reported(fake_site: Any, run_config: Callable[..., Any]) -> None:
    fake_site.page("/", "<p>")
    plugin = "from pipeline import hookimpl\n@hookimpl\ndef run_start():\n    sum(range(100000))\n"
    config = {"seeds": [fake_site.url], "plugins": ["./p.py"], "checks": ["items >= 0"]}
    assert run_config(config, files={"p.py": plugin}).summary.plugins["p"].seconds > 0
