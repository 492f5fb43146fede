"""`workers: 0`: everything in one process, for debugging, with the results of workers."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

PLUGIN = """
import os, signal, time
from pathlib import Path
from pipeline import Item, hookimpl

@hookimpl
def classify(page):
    if page.url.endswith("/interrupt"):
        raise KeyboardInterrupt

@hookimpl
def parse(page):
    word = page.url.rpartition("/")[2]
    if word == "chdir":
        os.chdir("/")
    if word == "hang":
        print("hanging", flush=True)
        time.sleep(60)
    if word == "deep":
        inner = []
        for _ in range(5000):
            inner = [inner]
        return Item("item", {"deep": inner})

@hookimpl
def process_item(item, page):
    if page.url.endswith("/item"):
        raise KeyError("item")
"""
CONFIG = """
name: shop
seeds: ["{url}/"]
plugins: [./odd.py]
fetch: {{per_host: {{concurrency: {lanes}}}}}
pages: {{all: {{items: [{{fields: {{title: h1, path: {{url: true}}}}}}], follow: [a]}}}}
checks: ["items >= 0", "pages.failed <= 100%"]
store: [{{jsonl: {{path: out.jsonl, meta: [_url]}}}}]
"""
WORDS = ("interrupt", "chdir", "deep", "item", *(f"p{number}" for number in range(8)))


def project(folder: Path, site: Any, words: tuple[str, ...] = WORDS, lanes: int = 16) -> None:
    for word in words:
        site.page(f"/{word}", f"<h1>{word}</h1>")
    site.page("/", "<h1>all</h1>" + "".join(f"<a href=/{word}>x</a>" for word in words))
    folder.mkdir(exist_ok=True)
    (folder / "odd.py").write_text(PLUGIN)
    (folder / "shop.yaml").write_text(CONFIG.format(url=site.url, lanes=lanes))


@pytest.mark.parametrize("lanes", [pytest.param(1, marks=pytest.mark.slow), 7])
def test_any_number_of_workers_gives_the_same_bytes_and_charges(
    site: Any, hookline: Any, tmp_path: Path, lanes: int
) -> None:
    found = []
    for number in (0, 1, 2, 4):
        folder = tmp_path / str(number)
        project(folder, site, lanes=lanes)
        done = hookline("run", "shop.yaml", "--workers", str(number), "--report", "report.json", cwd=folder)
        assert done.returncode == 0, done.stderr
        report = json.loads((folder / "report.json").read_text().replace(str(folder), "FOLDER"))
        errors = {name: plugin["errors"] for name, plugin in report["plugins"].items() if plugin["errors"]}
        problems = sorted((one["url"], one["fate"], one["detail"]) for one in report["problems"])
        found.append(((folder / "out.jsonl").read_bytes(), errors, problems, report["fates"]))
    assert found[0][3] == {"fetched": 12, "failed:plugin": 1}
    assert "odd" in found[0][1] and len(found[0][0].splitlines()) == 11
    for one in found[1:]:
        assert one == found[0]


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_ends_a_run_whose_plugin_hangs(site: Any, tmp_path: Path, signum: int, code: int) -> None:
    project(tmp_path, site, ("hang",))
    command = [sys.executable, "-P", "-m", "pipeline", "run", "shop.yaml", "--workers", "0"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "hanging\n"
        deadline = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < deadline:
            process.send_signal(signum)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
        process.kill()
        assert process.returncode == code
        assert "Traceback" not in process.stdout.read()
