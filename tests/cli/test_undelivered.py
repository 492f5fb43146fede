"""What no store could take when the crawl was over (exit 5): delivered by the next `run`, or by `publish`."""

from __future__ import annotations

import json
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest

from pipeline.state.lock import Lock

CONFIG = """
name: shop
seeds: [{url}/]
fetch: {{robots: false, retry: {{attempts: 1}}}}
pages: {{all: {{items: [{{fields: {{title: h1}}}}], follow: [a]}}}}
store: [{{jsonl: out.jsonl}}]
"""


def shop(site: Any, folder: Path, *names: str) -> None:
    site.page("/", "<h1>list</h1>" + "".join(f"<a href=/{name}>x</a>" for name in names))
    for name in names:
        site.page(f"/{name}", f"<h1>{name}</h1>")
    (folder / "shop.yaml").write_text(CONFIG.format(url=site.url))


def titles(folder: Path) -> list[str]:
    return [json.loads(line)["title"] for line in (folder / "out.jsonl").read_text().splitlines()]


def newest(hookline: Any) -> dict[str, Any]:
    return dict(json.loads(hookline("runs", "shop.yaml", "--json").stdout)[0])


@pytest.mark.slow
@pytest.mark.parametrize("word", ["publish", "run"])
@pytest.mark.parametrize("point", ["before_stage", "before_journal", "before_rename"])
def test_what_no_store_could_take_is_delivered_later(
    site: Any, hookline: Any, tmp_path: Path, point: str, word: str
) -> None:
    """With all that it takes away, and nothing is asked again."""
    shop(site, tmp_path, "a", "b", "c")
    assert hookline("run", "shop.yaml").returncode == 0
    shop(site, tmp_path, "a", "c")
    done = hookline("run", "shop.yaml", env={"HOOKLINE_FAILPOINT": f"{point}:full"})
    assert done.returncode == 5, done.stderr
    assert titles(tmp_path) == ["list", "a", "b", "c"]
    site.log.clear()
    done = hookline(word, "shop.yaml")
    assert done.returncode == 0, done.stderr
    assert titles(tmp_path) == ["list", "a", "c"] and not site.log
    run = newest(hookline)
    assert (run["status"], run["exit_code"], run["items"], run["gone"]) == ("published", 0, 3, 1)
    assert hookline("items", "shop.yaml").stdout == (tmp_path / "out.jsonl").read_text()


def test_a_check_is_judged_when_it_is_delivered(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site, tmp_path, "a")
    config = tmp_path / "shop.yaml"
    config.write_text(config.read_text() + "checks: [items >= 9]\n")
    assert hookline("run", "shop.yaml", env={"HOOKLINE_FAILPOINT": "before_stage:full"}).returncode == 5
    done = hookline("publish", "shop.yaml")
    assert done.returncode == 1 and "--force" in done.stderr and not (tmp_path / "out.jsonl").exists()
    assert newest(hookline)["status"] == "candidate"
    assert hookline("publish", "shop.yaml", "--force").returncode == 0 and titles(tmp_path) == ["list", "a"]


def test_an_interrupted_crawl_is_no_result(site: Any, hookline: Any, tmp_path: Path) -> None:
    """Neither one that was killed nor one that was stopped, though nothing was left to ask for."""
    shop(site, tmp_path, "a")
    killed = hookline("run", "shop.yaml", env={"HOOKLINE_FAILPOINT": "before_stage:kill"})
    assert killed.returncode == -signal.SIGKILL
    done = hookline("publish", "shop.yaml")
    assert done.returncode == 0 and "`hookline run` goes on with it" in done.stderr
    done = hookline("publish", "shop.yaml", newest(hookline)["id"])
    assert done.returncode == 2 and "`hookline run` goes on with it" in done.stderr
    assert not (tmp_path / "out.jsonl").exists() and newest(hookline)["status"] == "open"


@pytest.mark.parametrize("word", ["publish", "run"])
def test_an_output_that_another_run_holds_is_written_later(site: Any, hookline: Any, tmp_path: Path, word: str) -> None:
    shop(site, tmp_path, "a")
    with Lock.beside(tmp_path / "out.jsonl", "run of another config"):
        done = hookline("run", "shop.yaml")
    assert done.returncode == 75 and "nothing was done" not in done.stderr, done.stderr
    told = done.stderr.splitlines()
    assert "another run holds an output; nothing was published" in told[0] and "out.jsonl is locked by" in told[1]
    assert told[-1] == "  next: the same command goes on with it: hookline run shop.yaml"
    site.log.clear()
    assert hookline(word, "shop.yaml").returncode == 0 and not site.log
    assert titles(tmp_path) == ["list", "a"]


@pytest.mark.parametrize("flags", [("run", "--limit", "2"), ("run", "--only", "/a b"), ("retry",)], ids=" ".join)
def test_the_next_command_is_one_that_goes_on(site: Any, hookline: Any, tmp_path: Path, flags: tuple[str, ...]) -> None:
    """With other limits than it was begun with a run would be dropped."""
    shop(site, tmp_path, *"abcdefghijk")
    site.page("/k", "broken", status=500)
    if flags[0] == "retry":
        assert hookline("run", "shop.yaml").returncode == 0
    done = hookline(flags[0], "shop.yaml", *flags[1:], env={"HOOKLINE_FAILPOINT": "before_stage:full"})
    assert done.returncode == 5, done.stderr
    told, _, command = done.stderr.splitlines()[-1].partition(": hookline ")
    assert told == "  next: the same command goes on with it"
    assert shlex.split(command) == [flags[0], "shop.yaml", *flags[1:]]
    done = hookline(*shlex.split(command))
    assert done.returncode == 0 and "resuming run" in done.stderr, done.stderr
