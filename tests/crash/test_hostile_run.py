"""Whole runs among hostile plugins: every other page is as if nothing had been done, and the report says what was."""

from __future__ import annotations

import importlib.util
import json
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import Site
from tests.crash.killing import Process

HOSTILE = Path(__file__).parents[1] / "workers" / "hostile.py"
PLAIN = 1200  # pages that do nothing: each deed is on less than one page in a thousand
CONFIG = """
name: crash
workers: {workers}
plugins: [{plugin}]
seeds: [{url}/]
fetch: {{per_host: {{delay: 0s, concurrency: 8}}}}
limits: {{page_time: 2s, page_memory: 200MiB{limits}}}
pages:
  all: {{items: [{{type: row, fields: {{h: h1, first: p}}}}], follow: [a]}}
store: [{{jsonl: {{path: out.jsonl, items: [row, page]}}}}]
"""


def deeds() -> dict[str, str]:
    """Deed -> what its page's fault says, without those of which anything may come."""
    spec = importlib.util.spec_from_file_location("hostile_for_runs", HOSTILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: says for name, says in module.EXPECTED.items() if says != "*"}


class Ended(NamedTuple):
    """How a run ended. `memory`: the most that its parent process had, in MiB."""

    code: int
    report: dict[str, Any]
    items: list[dict[str, Any]]
    memory: float


def crawl(folder: Path, url: str, *, workers: int, limits: str = "") -> Ended:
    """One run by the command."""
    folder.mkdir()
    text = CONFIG.format(url=url, plugin=HOSTILE, workers=workers, limits=limits)
    (folder / "crash.yaml").write_text(text, encoding="utf-8")
    process = Process(folder)
    memory = 0
    while (code := process.wait(0.05)) is None:
        assert time.monotonic() - process.started < 120, process.stderr
        with suppress(OSError, IndexError):
            memory = max(memory, int(Path(f"/proc/{process.popen.pid}/statm").read_text().split()[1]))
    assert not process.orphans(), "something that a plugin started outlives the run"
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    out = folder / "out.jsonl"
    items = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()] if out.exists() else []
    return Ended(code, report, items, memory * resource.getpagesize() / 2**20)


def fill(site: Any, names: list[str]) -> None:
    """A site whose first page links to all these."""
    site.page("/", "<h1>all</h1>" + "".join(f'<a href="/{name}">x</a>' for name in names))
    site.page("/next", "<h1>next</h1><p>n")
    for name in names:
        site.page(f"/{name}", f"<h1>{name}</h1><p>{name} text")


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.skipif(sys.platform != "linux", reason="the deeds are those of Linux")
def test_a_run_among_hostile_plugins(serve: Callable[..., Any], tmp_path: Path) -> None:
    plain, bad = [f"p{number}" for number in range(PLAIN)], deeds()
    names = list(plain)
    for number, deed in enumerate(bad):
        names.insert(number * 20 + 10, deed)
    golden_site, site = serve(), serve()
    fill(golden_site, plain)
    fill(site, names)

    golden = crawl(tmp_path / "golden", golden_site.url, workers=2)
    code, report, items, memory = crawl(tmp_path / "hostile", site.url, workers=2)

    assert code == 0, report["errors"]
    assert memory < golden.memory + 24, "what workers do must not grow the parent"
    failing = {name for name, says in bad.items() if says}
    assert report["fates"] == {"failed:plugin": len(failing), "fetched": len(names) + 2 - len(failing)}
    told = {one["url"].rpartition("/")[2]: one["detail"] for one in report["problems"]}
    for name in failing:
        assert bad[name] in told[name], (name, told[name])

    def without_port(rows: list[dict[str, Any]], base: str) -> list[dict[str, Any]]:
        return json.loads(json.dumps(rows).replace(base, "http://site"))

    good = [row for row in without_port(items, site.url) if not _of(row, set(bad)) and row.get("h") != "all"]
    wanted = [row for row in without_port(golden.items, golden_site.url) if row.get("h") != "all"]
    assert [row for row in good if row.get("title") != "all"] == [row for row in wanted if row.get("title") != "all"]
    harmless = {name for name, says in bad.items() if not says}
    assert {row["h"] for row in items if row.get("h") in bad} == harmless, "a page that only misbehaves keeps its items"


def _of(row: dict[str, Any], names: set[str]) -> bool:
    """Whether an item is of one of these pages."""
    return row.get("h") in names or row.get("title") in names


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_too_many_pages_that_kill_end_the_run(serve: Callable[..., Any], tmp_path: Path) -> None:
    site = serve()
    names = [f"p{number}" for number in range(30)]
    fill(site, [*names, *(f"dir{number}/exits_hard" for number in range(12))])
    code, report, items, _ = crawl(tmp_path / "run", site.url, workers=2)
    assert code == 6, report
    assert "hostile" in report["errors"][0] and "limits.plugin_errors" in report["stopped"]
    assert items == [], "nothing of such a run is published"
    assert report["plugins"]["hostile"]["errors"]


STUCK = """
import pathlib, time
from pipeline import hookimpl
@hookimpl
def prepare_request(request):
    if "stuck" in request.url:
        time.sleep(60)
@hookimpl
def run_finish(run):
    pathlib.Path("finished").write_text("begun")
    time.sleep(60)
"""


def test_hooks_that_the_parent_calls_come_back_too(site: Any, tmp_path: Path, hookline: Any) -> None:
    fill(site, ["a", "stuck", "b"])
    (tmp_path / "stuck.py").write_text(STUCK)
    text = CONFIG.format(url=site.url, plugin="./stuck.py", workers=1, limits="").replace("2s", "300ms")
    (tmp_path / "crash.yaml").write_text(text.replace("[row, page]", "[row]"))
    done = hookline("run", "crash.yaml", "--report", "report.json")
    assert done.returncode == 1, done.stderr  # a quarter of the pages failed, more than the check allows
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["fates"] == {"fetched": 3, "failed:plugin": 1}
    assert (tmp_path / "finished").read_text() == "begun"
    assert f"plugin stuck, hook run_finish: TookTooLong: more than 3 s ({tmp_path / 'stuck.py'}:11)" in report["notes"]
    why = hookline("why", "crash.yaml", f"{site.url}/stuck")
    assert f"plugin stuck, hook prepare_request: TookTooLong: more than 0.3 s ({tmp_path / 'stuck.py'}:7)" in " ".join(
        why.stdout.split()
    )


SPOILER = """
from pipeline import Request, hookimpl
@hookimpl
def parse(page):
    if "/p" in page.url:
        {code}
"""
SPOILERS = {
    "builtins": ("import builtins; builtins.len = builtins.isinstance = None", "TypeError: 'NoneType' object is not"),
    "priority": ("return [Request('/p/1?z', priority=10**30)]", "not a whole number of 64 bits"),
}


@pytest.mark.parametrize("deed", SPOILERS)
def test_what_goes_wrong_behind_a_hook_uses_up_the_budget_of_its_plugin(
    deed: str, site: Site, tmp_path: Path, hookline: Any
) -> None:
    fill(site, [f"p{number}" for number in range(14)])
    code, says = SPOILERS[deed]
    (tmp_path / "spoiler.py").write_text(SPOILER.format(code=code))
    text = CONFIG.format(url=site.url, plugin="./spoiler.py", workers=2, limits="")
    (tmp_path / "crash.yaml").write_text(text.replace("[row, page]", "[row]"))
    done = hookline("run", "crash.yaml", "--report", "report.json")
    assert done.returncode == 6, done.stderr
    assert "plugin spoiler, hook parse: failed on 10 of " in done.stderr
    assert says in done.stderr and "plugin ," not in done.stderr
    assert list(json.loads((tmp_path / "report.json").read_text())["plugins"]) == ["fields", "spoiler"]


def test_markup_that_kills_our_own_parsers_is_no_plugins_fault(site: Site, tmp_path: Path, hookline: Any) -> None:
    fill(site, [f"p{number}" for number in range(12)])
    heavy = "<h1 " + " ".join(f"a{number}=1" for number in range(100_000)) + ">x</h1>"
    for number in range(11):
        site.page(f"/p{number}", heavy)
    text = CONFIG.format(url=site.url, plugin="", workers=2, limits="").replace("2s", "500ms")
    (tmp_path / "crash.yaml").write_text(text.replace("[row, page]", "[row]"))
    done = hookline("run", "crash.yaml", "--report", "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["fates"] == {"failed:plugin": 11, "fetched": 2}, report
    assert sum(report["plugins"]["fields"]["errors"].values()) == 11
    assert done.returncode == 1, "the check on pages that failed"
