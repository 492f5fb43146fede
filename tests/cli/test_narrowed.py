"""Runs narrowed by --limit or --only, and `retry`, when they are interrupted or gone back to: each sees what it saw."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

CONFIG = """
name: shop
seeds: [{url}/]
fetch: {{robots: false, retry: {{attempts: 1}}}}
pages: {{all: {{items: [{{fields: {{title: h1}}}}], follow: [a]}}}}
store: [{{jsonl: out.jsonl}}]
checks: [pages.failed <= 100%]
{more}
"""
ALL = ["list", "1", "2", "3", "4"]
KILL = {"HOOKLINE_FAILPOINT": "before_stage:kill"}


@pytest.fixture
def shop(site: Any, tmp_path: Path) -> Any:
    return restored(site, tmp_path)


def restored(site: Any, folder: Path, more: str = "") -> Any:
    site.page("/", "<h1>list</h1>" + "".join(f"<a href=/{name}>x</a>" for name in ALL[1:]))
    for name in ALL[1:]:
        site.page(f"/{name}", f"<h1>{name}</h1>")
    (folder / "shop.yaml").write_text(CONFIG.format(url=site.url, more=more))
    return site


def titles(folder: Path) -> list[str]:
    return [json.loads(line)["title"] for line in (folder / "out.jsonl").read_text().splitlines()]


def newest(hookline: Any) -> dict[str, Any]:
    return dict(json.loads(hookline("runs", "shop.yaml", "--json").stdout)[0])


@pytest.mark.parametrize("flags", [("--only", "/2"), ("--limit", "2")], ids=["only", "limit"])
def test_retry_of_a_narrowed_run_takes_nothing_away(
    shop: Any, hookline: Any, tmp_path: Path, flags: tuple[str, str]
) -> None:
    """It fetches what failed, follows no more than that run did, and stays a candidate as that run did."""
    assert hookline("run", "shop.yaml").returncode == 0
    shop.page("/1", "broken", status=500)
    shop.page("/2", "broken", status=500)
    assert hookline("run", "shop.yaml", *flags).returncode == 0
    shop.log.clear()
    shop.page("/1", "<h1>new 1</h1>")
    shop.page("/2", "<h1>new 2</h1><a href=/5>x</a>")
    shop.page("/5", "<h1>5</h1>")
    done = hookline("retry", "shop.yaml")
    assert done.returncode == 0 and "hookline publish shop.yaml" in done.stderr, done.stderr
    asked = ["GET /2"] if flags[0] == "--only" else ["GET /1", "GET /2"]
    assert sorted(shop.log) == asked, "what was asked for once, and no link beyond"
    assert titles(tmp_path) == ALL and newest(hookline)["status"] == "candidate" and newest(hookline)["narrowed"]
    assert hookline("publish", "shop.yaml").returncode == 0
    assert titles(tmp_path) == ["list", *(["1"] if len(asked) == 1 else ["new 1"]), "new 2", "3", "4"]


def test_a_cap_that_is_used_up_leaves_room_for_what_is_fetched_again(shop: Any, hookline: Any, tmp_path: Path) -> None:
    restored(shop, tmp_path, "limits: {pages: 2}")
    shop.page("/1", "broken", status=500)
    assert hookline("run", "shop.yaml").returncode == 0
    assert titles(tmp_path) == ["list", "2"]
    shop.page("/1", "<h1>1</h1><a href=/5>x</a>")
    done = hookline("retry", "shop.yaml", env=KILL)
    assert done.returncode == -signal.SIGKILL
    assert hookline("retry", "shop.yaml").returncode == 0
    assert titles(tmp_path) == ["list", "1", "2"] and "GET /5" not in shop.log


OTHERS = [
    # (flags of the run that was killed, flags of the next, what is said of them; None: it goes on)
    (("--limit", "2"), ("--limit", "2"), None),
    (("--only", "/2"), ("--only", "/2"), None),
    ((), (), None),
    (("--limit", "2"), (), "it was begun with --limit 2, and this command has no such limit"),
    ((), ("--limit", "2"), "it was begun without --limit 2"),
    (("--limit", "2"), ("--limit", "3"), "it was begun with --limit 2, and this command has --limit 3"),
    (("--only", "/2"), ("--only", "/3 4"), "it was begun with --only /2, and this command has --only '/3 4'"),
]


@pytest.mark.parametrize(("before", "after", "told"), OTHERS)
def test_an_interrupted_run_goes_on_only_with_the_same_limits(
    shop: Any, hookline: Any, tmp_path: Path, before: tuple[str, ...], after: tuple[str, ...], told: str | None
) -> None:
    assert hookline("run", "shop.yaml", *before, env=KILL).returncode == -signal.SIGKILL
    shop.log.clear()
    done = hookline("run", "shop.yaml", *after)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 1 and (told or "resuming run") in done.stderr
    assert bool(shop.log) is (told is not None), "what goes on has asked for everything"
    assert newest(hookline)["narrowed"] is bool(after)
    if not after:
        assert titles(tmp_path) == ALL


def test_a_retry_that_was_killed_goes_on_by_the_same_command(shop: Any, hookline: Any, tmp_path: Path) -> None:
    shop.page("/3", "broken", status=500)
    assert hookline("run", "shop.yaml").returncode == 0
    restored(shop, tmp_path)
    assert hookline("retry", "shop.yaml", env=KILL).returncode == -signal.SIGKILL
    shop.log.clear()
    done = hookline("retry", "shop.yaml")
    assert done.returncode == 0 and "resuming run" in done.stderr and not shop.log, done.stderr
    assert titles(tmp_path) == ALL


@pytest.mark.slow
@pytest.mark.parametrize("point", ["before_commit:kill@1", "after_commit:kill@1", "before_commit:kill@2"])
@pytest.mark.parametrize("word", ["retry", "run"])
def test_a_retry_may_be_killed_before_its_first_page_is_kept(
    shop: Any, hookline: Any, tmp_path: Path, point: str, word: str
) -> None:
    shop.page("/3", "broken", status=500)
    assert hookline("run", "shop.yaml").returncode == 0
    restored(shop, tmp_path)
    assert hookline("retry", "shop.yaml", env={"HOOKLINE_FAILPOINT": point}).returncode == -signal.SIGKILL
    done = hookline(word, "shop.yaml", "--report", "report.json")
    assert done.returncode == 0, done.stderr
    assert titles(tmp_path) == ALL
    assert json.loads((tmp_path / "report.json").read_text())["fates"] == {"fetched": 5}


@pytest.mark.slow
def test_a_killed_retry_under_other_rules_is_left_to_run(shop: Any, hookline: Any, tmp_path: Path) -> None:
    shop.page("/3", "broken", status=500)
    assert hookline("run", "shop.yaml").returncode == 0
    restored(shop, tmp_path)
    assert hookline("retry", "shop.yaml", env=KILL).returncode == -signal.SIGKILL
    restored(shop, tmp_path, "scope: {max_depth: 4}")
    done = hookline("retry", "shop.yaml")
    assert done.returncode == 2 and "have changed since" in done.stderr and "hookline run shop.yaml" in done.stderr
    assert newest(hookline)["status"] == "open", "nothing is dropped by that"
    assert hookline("run", "shop.yaml").returncode == 0 and titles(tmp_path) == ALL


@pytest.mark.slow
def test_fresh_after_an_interrupted_publish_finishes_it_and_begins_anew(
    shop: Any, hookline: Any, tmp_path: Path
) -> None:
    killed = hookline("run", "shop.yaml", env={"HOOKLINE_FAILPOINT": "before_promote:kill"})
    assert killed.returncode == -signal.SIGKILL
    shop.page("/4", "<h1>new 4</h1>")
    done = hookline("run", "shop.yaml", "--fresh")
    assert done.returncode == 0 and "publishing it now" in done.stderr
    assert titles(tmp_path) == [*ALL[:-1], "new 4"]
    assert [run["status"] for run in json.loads(hookline("runs", "shop.yaml", "--json").stdout)] == ["published"] * 2


SINGLE = """
from pipeline import hookimpl
class Picky:
    single = True
    @hookimpl
    def process_item(self, item, page):
        if item["title"] == "2":
            raise ValueError("not this one")
@hookimpl
def register(registry):
    registry.filter("picky", Picky)
"""


@pytest.mark.slow
def test_what_a_single_filter_broke_on_is_kept_once_and_can_be_fetched_again(
    shop: Any, hookline: Any, tmp_path: Path
) -> None:
    """However often its result is staged; a dead letter names its page."""
    (tmp_path / "picky.py").write_text(SINGLE)
    restored(shop, tmp_path, "plugins: [./picky.py]\nfilter: [picky]")
    config = tmp_path / "shop.yaml"
    config.write_text(config.read_text().replace("checks: [", "checks: [items >= 100, "))
    assert hookline("run", "shop.yaml").returncode == 1
    assert hookline("publish", "shop.yaml").returncode == 1
    assert hookline("publish", "shop.yaml", "--force").returncode == 0
    assert json.loads(hookline("state", "show", "shop.yaml", "--json").stdout)["dead_letters"] == 1
    shop.log.clear()
    (tmp_path / "picky.py").write_text(SINGLE.replace('"2"', '"none"'))
    config.write_text(config.read_text().replace("items >= 100, ", ""))
    done = hookline("retry", "shop.yaml", "--reason", "dead")
    assert (done.returncode, done.stderr) == (0, "")
    assert shop.log == ["GET /2"] and titles(tmp_path) == ALL


def test_publish_says_each_thing_once(shop: Any, hookline: Any, tmp_path: Path) -> None:
    killed = hookline("run", "shop.yaml", env={"HOOKLINE_FAILPOINT": "before_promote:kill"})
    assert killed.returncode == -signal.SIGKILL
    done = hookline("publish", "shop.yaml")
    assert done.returncode == 0 and done.stderr.count("publishing it now") == 1, done.stderr


@pytest.mark.slow
def test_a_run_that_was_dropped_is_not_gone_back_to(shop: Any, hookline: Any, tmp_path: Path) -> None:
    """Its pages are gone: what it found and the published run did not would be missing in the result."""
    assert hookline("run", "shop.yaml").returncode == 0
    assert hookline("run", "shop.yaml", "--limit", "2").returncode == 0
    older = newest(hookline)["id"]
    shop.page("/2", "broken", status=500)
    assert hookline("run", "shop.yaml", "--limit", "3").returncode == 0
    assert hookline("publish", "shop.yaml", older).returncode == 0
    done = hookline("retry", "shop.yaml")
    assert done.returncode == 0 and "was dropped when another was published" in done.stderr
    assert titles(tmp_path) == ALL
