"""Runs that lose the means to have workers: they stop, say why, and the same command goes on with them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import load
from pipeline.errors import ConfigError
from pipeline.runner.build import Options
from pipeline.runner.session import execute
from pipeline.state import runs
from pipeline.state.database import reading
from pipeline.workers import process
from tests.conftest import Site

CONFIG = """
name: crash
workers: {workers}
plugins: [./pl.py]
seeds: [{url}/]
fetch: {{robots: false, per_host: {{delay: 0s, concurrency: 2}}}}
pages:
  all: {{items: [{{type: row, fields: {{h: h1}}}}], follow: [a]}}
store: [{{jsonl: out.jsonl}}]
"""
BREAKS_ITSELF = """
import os
from pipeline import hookimpl

@hookimpl
def parse(page):
    if page.url.endswith("/p20") and not os.path.exists("once"):
        open("once", "w").close()
        with open({file!r}, "a") as file:
            file.write({more!r})
        os._exit(1)
"""


def project(folder: Path, site: Site, plugin: str, *, workers: int = 1) -> Path:
    names = [f"p{number}" for number in range(40)]
    site.page("/", "<h1>all</h1>" + "".join(f'<a href="/{name}">x</a>' for name in names))
    for name in names:
        site.page(f"/{name}", f"<h1>{name}</h1>")
    (folder / "pl.py").write_text(plugin)
    file = folder / "crash.yaml"
    file.write_text(CONFIG.format(url=site.url, workers=workers))
    return file


def status(folder: Path) -> Any:
    with reading(folder / ".hookline" / "crash" / "state.db") as state:
        last = runs.last(state)
    return last.status if last is not None else None


def test_a_plugin_that_is_broken_in_the_middle_of_a_run_ends_it(site: Site, tmp_path: Path, hookline: Any) -> None:
    plugin = BREAKS_ITSELF.format(file=str(tmp_path / "pl.py"), more="\n1/0\n")
    project(tmp_path, site, plugin)
    done = hookline("run", "crash.yaml", "--report", "report.json")
    assert done.returncode == 6, done.stderr
    assert "nothing was requested" not in done.stderr
    assert "importing ./pl.py failed: ZeroDivisionError" in done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["stopped"] == "no workers"
    assert report["fates"]["fetched"] >= 10
    assert status(tmp_path) == "open"
    (tmp_path / "pl.py").write_text(plugin)
    again = hookline("run", "crash.yaml")
    assert again.returncode == 0, again.stderr
    assert "resuming run" in again.stderr
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 41


def no_more_after(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the system refuse all processes but the first ones."""
    spawn, left = process._spawn, [number]

    def spawned(*arguments: int) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise PermissionError(13, "Permission denied")
        return spawn(*arguments)

    monkeypatch.setattr(process, "_spawn", spawned)


DIES = """
import os
from pipeline import hookimpl

@hookimpl
def parse(page):
    if page.url.endswith("/p20"):
        os._exit(1)
"""


def test_a_run_for_which_the_system_has_no_process_any_more_can_be_gone_on_with(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project(tmp_path, site, DIES)
    monkeypatch.chdir(tmp_path)
    no_more_after(2, monkeypatch)  # a worker and the store process
    summary = execute(load(file), Options())
    assert (summary.exit_code, summary.stopped) == (3, "no workers")
    assert "the system starts no process: Permission denied" in " ".join(summary.errors)
    assert status(tmp_path) == "open"
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pl.py").write_text(DIES)
    again = execute(load(file), Options())
    assert again.resumed
    assert again.fates == {"fetched": 40, "failed:plugin": 1}


@pytest.mark.parametrize("plugin", [DIES, "from pipeline import hookimpl\n\n@hookimpl\ndef parse(page): pass\n"])
def test_where_not_even_one_process_is_to_be_had_nothing_is_left_behind(
    plugin: str, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project(tmp_path, site, plugin)
    monkeypatch.chdir(tmp_path)
    no_more_after(0, monkeypatch)
    with pytest.raises(ConfigError, match="the system starts no process: Permission denied"):
        execute(load(file), Options())
    assert not (tmp_path / ".hookline").exists()
    assert not site.seen


KILLS_THE_STORE_PROCESS = """
import os
import time
from pathlib import Path
from pipeline import hookimpl

@hookimpl
def parse(page):
    if page.url.endswith("/p39") and not os.path.exists("once"):
        open("once", "w").close()
        with open({file!r}, "a") as file:
            file.write("\\n1/0\\n")
        parent = os.getppid()
        for child in Path(f"/proc/{{parent}}/task/{{parent}}/children").read_text().split():
            if int(child) != os.getpid():
                os.kill(int(child), 9)
        time.sleep(0.3)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_a_store_process_that_cannot_be_set_up_costs_no_crawl(site: Site, tmp_path: Path, hookline: Any) -> None:
    plugin = KILLS_THE_STORE_PROCESS.format(file=str(tmp_path / "pl.py"))
    project(tmp_path, site, plugin)
    done = hookline("run", "crash.yaml")
    assert done.returncode == 6, done.stderr
    assert "importing ./pl.py failed: ZeroDivisionError" in done.stderr
    assert status(tmp_path) == "open"
    (tmp_path / "pl.py").write_text(plugin)
    asked = len(site.log)
    again = hookline("run", "crash.yaml")
    assert again.returncode == 0, again.stderr
    assert len(site.log) == asked
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 41


CHANGES_ITSELF = """
import os
from pipeline import hookimpl

VERSION = 1

@hookimpl
def process_item(item):
    item["version"] = VERSION

@hookimpl
def parse(page):
    if page.url.endswith("/p20") and not os.path.exists("once"):
        open("once", "w").close()
        with open({file!r}) as file:
            text = file.read()
        with open({file!r}, "w") as file:
            file.write(text.replace("VERSION = 1", "VERSION = 2", 1))
        os._exit(1)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_plugin_that_changes_in_the_middle_of_a_run_ends_it(
    workers: int, site: Site, tmp_path: Path, hookline: Any
) -> None:
    file = str(tmp_path / "pl.py")
    project(tmp_path, site, CHANGES_ITSELF.format(file=file), workers=workers)
    done = hookline("run", "crash.yaml")
    assert done.returncode == 6, done.stderr
    assert f"plugin pl ({file}) has changed since the run began; the next run begins anew" in done.stderr
    assert not (tmp_path / "out.jsonl").exists()
    again = hookline("run", "crash.yaml")
    assert again.returncode == 0, again.stderr
    assert "is dropped: seeds, scope, pages, parse, filter or a plugin have changed since" in again.stderr
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["version"] for row in rows] == [2] * 41


def test_a_store_process_runs_the_plugins_of_the_run(site: Site, tmp_path: Path, hookline: Any) -> None:
    plugin = KILLS_THE_STORE_PROCESS.format(file=str(tmp_path / "pl.py")).replace("1/0", "VERSION = 2")
    project(tmp_path, site, plugin)
    done = hookline("run", "crash.yaml")
    assert done.returncode == 6, done.stderr
    assert f"plugin pl ({tmp_path / 'pl.py'}) has changed since the run began" in done.stderr
    assert not (tmp_path / "out.jsonl").exists()
