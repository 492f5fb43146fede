"""runs, items, retry, publish and state, through the command line: what is kept of runs, and what is done with it."""

from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.runs import table, took
from pipeline.state.lock import Lock

CONFIG = """
name: shop
seeds: [{url}/]
fetch: {{robots: false, retry: {{attempts: 1}}}}
pages:
  all:
    items:
      - {{type: book, key: [title], fields: {{title: h1, price: {{css: b, type: float}}}}}}
    follow: [a]
store:
  - jsonl: out.jsonl
"""
STATE = ".hookline/shop"


def shop(site: Any, folder: Path, *, books: int = 3, more: str = "") -> Path:
    """A list of books; the page with the list is no book, and its item has no price."""
    site.page("/", "<h1>list</h1>" + "".join(f"<a href=/{number}>x</a>" for number in range(1, books + 1)))
    for number in range(1, books + 1):
        site.page(f"/{number}", f"<h1>Bü {number}</h1><b>{number}.50</b>")
    config = folder / "shop.yaml"
    config.write_text(CONFIG.format(url=site.url) + more)
    return config


def titles(text: str) -> list[str]:
    return [json.loads(line)["title"] for line in text.splitlines()]


def history(hookline: Any) -> list[dict[str, Any]]:
    done = hookline("runs", "shop.yaml", "--json")
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def statuses(hookline: Any) -> list[str]:
    return [row["status"] for row in history(hookline)]


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# --- without a state, and with a damaged one -------------------------------------------------------------------------

NOTHING_YET = [
    (["runs"], "", "no run yet"),
    (["runs", "--json"], "[]\n", "no run yet"),
    (["items"], "", "nothing is published"),
    (["retry"], "", "nothing to fetch again"),
    (["publish"], "", "nothing to publish"),
    (["publish", "--force"], "", "nothing to publish"),
    (["state", "show"], "", "no run yet"),
    (["state", "show", "--json"], "null\n", "no run yet"),
    (["state", "reset", "--yes"], "", "no run yet"),
    (["state", "forget", "/**"], "", "no run yet"),
]


def call(hookline: Any, words: list[str]) -> Any:
    """The command with its config: after the name of the command, and of its group."""
    place = 2 if words[0] == "state" else 1
    return hookline(*words[:place], "shop.yaml", *words[place:])


@pytest.mark.parametrize(("words", "stdout", "told"), NOTHING_YET, ids=lambda value: "-".join(value)[:20])
def test_before_the_first_run_all_say_so_and_make_nothing(
    site: Any, hookline: Any, tmp_path: Path, words: list[str], stdout: str, told: str
) -> None:
    shop(site, tmp_path)
    done = call(hookline, words)
    assert (done.returncode, done.stdout) == (0, stdout)
    assert told in done.stderr and len(done.stderr.splitlines()) == 1
    assert listing(tmp_path) == ["shop.yaml"] and not site.seen


@pytest.mark.parametrize("words", [["runs"], ["items"], ["retry"], ["publish"], ["state", "show"]])
def test_a_damaged_state_is_told_and_left_alone(site: Any, hookline: Any, tmp_path: Path, words: list[str]) -> None:
    shop(site, tmp_path)
    (tmp_path / STATE).mkdir(parents=True)
    (tmp_path / STATE / "state.db").write_bytes(b"no database at all" * 500)
    done = call(hookline, words)
    assert (done.returncode, done.stdout) == (5, "")
    assert "hookline state reset" in done.stderr and "Traceback" not in done.stderr
    assert (tmp_path / STATE / "state.db").read_bytes().startswith(b"no database")


# --- runs ------------------------------------------------------------------------------------------------------------


def test_runs_tells_of_each_newest_first(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site, tmp_path)
    assert hookline("run", "shop.yaml").returncode == 0
    site.page("/2", "<h1>Bü 2</h1><b>9.99</b>")
    site.page("/3", "broken", status=500)
    assert hookline("run", "shop.yaml").returncode == 1
    before = listing(tmp_path)
    second, first = history(hookline)
    assert (first["status"], first["exit_code"], first["pages"]) == (
        "published",
        0,
        {"fetched": 4, "unchanged": 0, "failed": 0},
    )
    assert (first["items"], first["new"], first["changed"], first["gone"]) == (4, 4, 0, 0)
    assert (second["status"], second["exit_code"], second["pages"]) == (
        "candidate",
        1,
        {"fetched": 3, "unchanged": 0, "failed": 1},
    )
    assert (second["items"], second["new"], second["changed"], second["gone"]) == (4, 0, 1, 0)
    assert first["started"].startswith(first["id"][:4]) and first["seconds"] > 0

    done = hookline("runs", "shop.yaml", "-n", "1")
    assert (done.returncode, done.stderr) == (0, "")
    heading, row, verdict = done.stdout.splitlines()
    assert verdict.startswith(
        "  pages.failed <= 10%: expected at most 10 %, got 25 % (1 of 4 requests sent), before 0 %"
    )
    assert row.split() == [second["id"], row.split()[1], "candidate", "1", "3", "1", "4", "+0", "~1", "-0"]
    assert max(map(len, (heading, row))) <= 80 and "\x1b" not in done.stdout
    assert listing(tmp_path) == before, "who only looks makes nothing"


def test_a_table_of_long_runs_fits_too() -> None:
    row = ("20260131T040000Z-abcdef", took(86400 * 3 + 7201), "publishing", "143", "120000", "4000", "990000", "+9 ~9")
    assert max(map(len, table([row]))) <= 80
    assert [took(seconds) for seconds in (0.04, 99.94, 100, 3599, 3600, 90000)] == [
        "0.0s", "99.9s", "1m40s", "59m59s", "1h00m", "1d01h"
    ]  # fmt: skip


# --- items -----------------------------------------------------------------------------------------------------------


def test_items_are_the_bytes_of_the_output(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site, tmp_path)
    assert hookline("run", "shop.yaml").returncode == 0
    done = hookline("items", "shop.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    assert done.stdout.splitlines()[1] == '{"title":"Bü 1","price":1.5}'
    assert hookline("items", "shop.yaml", "--type", "book").stdout == done.stdout
    done = hookline("items", "shop.yaml", "--type", "boook")
    assert (done.returncode, done.stdout) == (0, "") and "there are book" in done.stderr


def test_items_of_a_result_that_was_never_published_are_none(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site, tmp_path, more="checks: []\n")
    site.page("/3", "broken", status=500)
    assert hookline("run", "shop.yaml").returncode == 1
    done = hookline("items", "shop.yaml")
    assert (done.returncode, done.stdout) == (0, "") and "nothing is published yet" in done.stderr


# --- retry -----------------------------------------------------------------------------------------------------------


def test_retry_asks_for_what_failed_and_keeps_the_rest(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site, tmp_path)
    site.page("/2", "broken", status=500)
    site.page("/3", "broken", status=503)
    assert hookline("run", "shop.yaml").returncode == 1
    site.log.clear()
    shop(site, tmp_path)
    done = hookline("retry", "shop.yaml", "--reason", "http_418")
    assert done.returncode == 0 and "nothing failed with the reason 'http_418'" in done.stderr and not site.log

    done = hookline("retry", "shop.yaml", "--reason", "http_500")
    assert done.returncode == 1, done.stderr
    assert "requests of run" not in done.stderr and site.log == ["GET /2"]
    done = hookline("retry", "shop.yaml", "--report", "report.json", "-o", "-")
    assert (done.returncode, done.stderr, site.log) == (0, "", ["GET /2", "GET /3"])
    assert titles(done.stdout) == ["list", "Bü 1", "Bü 2", "Bü 3"]
    assert titles((tmp_path / "out.jsonl").read_text()) == ["list", "Bü 1", "Bü 2", "Bü 3"]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["published"] is True and report["notes"][0].startswith("fetched 1 requests of run")
    done = hookline("retry", "shop.yaml")
    assert done.returncode == 0 and "nothing to fetch again" in done.stderr and len(site.log) == 2


def test_retry_after_an_interrupted_run_says_what_to_do(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site, tmp_path)
    assert hookline("run", "shop.yaml", env={"HOOKLINE_FAILPOINT": "before_stage:kill"}).returncode == -signal.SIGKILL
    done = hookline("retry", "shop.yaml")
    assert done.returncode == 2 and "hookline run shop.yaml" in done.stderr


# --- publish ---------------------------------------------------------------------------------------------------------


def test_a_held_back_result_is_released_by_force_only(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site, tmp_path)
    assert hookline("run", "shop.yaml").returncode == 0
    site.page("/", "<h1>list</h1><a href=/1>x</a><a href=/2>x</a><a href=/3>x</a>")
    site.page("/1", "<h1>Bü 1</h1><b>8.00</b>")
    site.page("/3", "broken", status=500)
    done = hookline("run", "shop.yaml")
    assert done.returncode == 1 and "hookline publish shop.yaml --force" in done.stderr.splitlines()[-1]
    kept = (tmp_path / "out.jsonl").read_bytes()

    done = hookline("publish", "shop.yaml")
    assert (done.returncode, done.stdout) == (1, "")
    assert "pages.failed <= 10%" in done.stderr and "25 % (1 of 4 requests sent)" in done.stderr
    assert done.stderr.splitlines()[-1].endswith("--force")
    assert (tmp_path / "out.jsonl").read_bytes() == kept and statuses(hookline) == ["candidate", "published"]

    asked = len(site.log)
    done = hookline("publish", "shop.yaml", "--force")
    assert done.returncode == 0 and "4 items" in done.stderr, done.stderr
    prices = [json.loads(line)["price"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert prices == [None, 8.0, 2.5, 3.5], "what failed keeps its item"
    assert statuses(hookline) == ["published", "published"] and len(site.log) == asked
    done = hookline("publish", "shop.yaml")
    assert done.returncode == 0 and "nothing to publish" in done.stderr
    assert hookline("items", "shop.yaml").stdout == (tmp_path / "out.jsonl").read_text(encoding="utf-8")


def test_a_run_narrowed_by_limit_publishes_first_and_stays_a_candidate_later(
    site: Any, hookline: Any, tmp_path: Path
) -> None:
    shop(site, tmp_path)
    done = hookline("run", "shop.yaml", "--limit", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert titles((tmp_path / "out.jsonl").read_text()) == ["list", "Bü 1"]
    assert hookline("run", "shop.yaml").returncode == 0
    site.page("/1", "<h1>Bü 1</h1><b>7</b>")
    done = hookline("run", "shop.yaml", "--limit", "2")
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 1 and "hookline publish shop.yaml" in done.stderr
    assert hookline("run", "shop.yaml", "--limit", "2", "-q").stderr == ""
    narrow = history(hookline)[1]["id"]
    done = hookline("publish", "shop.yaml", narrow[:-1])
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(row["title"], row["price"]) for row in rows] == [
        ("list", None), ("Bü 1", 7), ("Bü 2", 2.5), ("Bü 3", 3.5)
    ]  # fmt: skip
    assert statuses(hookline) == ["dropped", "published", "published", "published"]
    with sqlite3.connect(tmp_path / STATE / "state.db") as db:
        assert db.execute("SELECT run, count(*) FROM page GROUP BY run").fetchall() == [(0, 4)]
    db.close()


@pytest.mark.slow
def test_a_candidate_without_keys_takes_the_place_of_its_pages(site: Any, hookline: Any, tmp_path: Path) -> None:
    config = shop(site, tmp_path)
    config.write_text(config.read_text().replace("key: [title], ", ""))
    assert hookline("run", "shop.yaml").returncode == 0
    site.page("/", "<h1>list 2</h1><a href=/1>x</a>")
    site.page("/1", "gone", status=404)
    assert hookline("run", "shop.yaml", "--limit", "2").returncode == 0
    done = hookline("publish", "shop.yaml")
    assert done.returncode == 0, done.stderr
    assert titles((tmp_path / "out.jsonl").read_text()) == ["list 2", "Bü 2", "Bü 3"]


FAILS_ONCE = """
from pathlib import Path
from pipeline import hookimpl

class Fails:
    def __init__(self, when: str): self.when = when
    @hookimpl
    def store_items(self, items):
        if self.when == "stage" and Path("full").exists(): raise OSError(28, "No space left on device")
    @hookimpl
    def commit(self, summary):
        if self.when == "commit" and Path("full").exists(): raise OSError(28, "No space left on device")

@hookimpl
def register(registry): registry.store("fails", Fails)
"""


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_store_that_failed_gets_its_items_later(site: Any, hookline: Any, tmp_path: Path, times: int) -> None:
    config = shop(site, tmp_path, more="plugins: [./fails.py]\n")
    (tmp_path / "fails.py").write_text(FAILS_ONCE)
    config.write_text(config.read_text().replace("- jsonl", "- fails: commit\n  - jsonl"))
    (tmp_path / "full").touch()
    for word in ("run", "publish")[:times]:
        done = hookline(word, "shop.yaml")
        assert done.returncode == 5 and "No space left" in done.stderr, done.stderr
        assert "the same command goes on" in done.stderr.splitlines()[-1]
        assert statuses(hookline) == ["publishing"]
    (tmp_path / "full").unlink()
    done = hookline("publish", "shop.yaml")
    assert done.returncode == 0 and "4 items" in done.stderr, done.stderr
    assert history(hookline)[0]["exit_code"] == 0 and statuses(hookline) == ["published"]
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 4


@pytest.mark.slow
def test_a_finished_publish_is_no_news_of_a_candidate(site: Any, hookline: Any, tmp_path: Path) -> None:
    config = shop(site, tmp_path, more="plugins: [./fails.py]\n")
    (tmp_path / "fails.py").write_text(FAILS_ONCE)
    config.write_text(config.read_text().replace("- jsonl", "- fails: commit\n  - jsonl"))
    (tmp_path / "full").touch()
    assert hookline("run", "shop.yaml").returncode == 5
    (tmp_path / "full").unlink()
    done = hookline("run", "shop.yaml", "--report", "report.json")
    assert done.returncode == 0 and len(done.stderr.splitlines()) == 1 and "publishing it now" in done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["published"] is True and report["errors"] == [] and report["name"] == "shop"


@pytest.mark.slow
def test_a_candidate_whose_store_fails_stays_one(site: Any, hookline: Any, tmp_path: Path) -> None:
    config = shop(site, tmp_path, more="plugins: [./fails.py]\n")
    (tmp_path / "fails.py").write_text(FAILS_ONCE)
    config.write_text(config.read_text().replace("- jsonl", "- fails: stage\n  - jsonl"))
    assert hookline("run", "shop.yaml").returncode == 0
    assert hookline("run", "shop.yaml", "--limit", "2").returncode == 0
    (tmp_path / "full").touch()
    assert hookline("publish", "shop.yaml").returncode == 5
    assert statuses(hookline) == ["candidate", "published"]
    (tmp_path / "full").unlink()
    assert hookline("publish", "shop.yaml").returncode == 0
    assert statuses(hookline) == ["published", "published"]


@pytest.mark.slow
def test_an_older_candidate_beside_an_interrupted_run(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site, tmp_path)
    assert hookline("run", "shop.yaml").returncode == 0
    site.page("/1", "<h1>Bü 1</h1><b>7</b>")
    site.page("/3", "broken", status=500)
    assert hookline("run", "shop.yaml").returncode == 1
    shop(site, tmp_path)
    killed = hookline("run", "shop.yaml", env={"HOOKLINE_FAILPOINT": "before_stage:kill"})
    assert killed.returncode == -signal.SIGKILL
    assert hookline("publish", "shop.yaml", "--force").returncode == 0
    prices = [json.loads(line)["price"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert prices == [None, 7, 2.5, 3.5] and statuses(hookline) == ["open", "published", "published"]
    asked = len(site.log)
    done = hookline("run", "shop.yaml")
    assert done.returncode == 0 and "resuming run" in done.stderr and len(site.log) == asked
    prices = [json.loads(line)["price"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert prices == [None, 1.5, 2.5, 3.5] and statuses(hookline) == ["published"] * 3


@pytest.mark.slow
@pytest.mark.parametrize("word", ["publish", "run"])
def test_a_pending_publish_is_finished(site: Any, hookline: Any, tmp_path: Path, word: str) -> None:
    config = shop(site, tmp_path)
    config.write_text(config.read_text() + "  - csv: out.csv\n")
    killed = hookline("run", "shop.yaml", env={"HOOKLINE_FAILPOINT": "after_store_commit:kill"})
    assert killed.returncode == -signal.SIGKILL and not (tmp_path / "out.csv").exists()
    assert statuses(hookline) == ["publishing"]
    asked = len(site.log)
    done = hookline(word, "shop.yaml")
    assert done.returncode == 0 and "publishing it now" in done.stderr, done.stderr
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 5
    assert statuses(hookline) == ["published"] and len(site.log) == asked


@pytest.mark.slow
def test_a_run_that_cannot_be_published_is_a_mistake_that_is_told(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site, tmp_path)
    assert hookline("run", "shop.yaml").returncode == 0
    name = history(hookline)[0]["id"]
    done = hookline("publish", "shop.yaml", "20200101T000000Z-aaaaaa")
    assert done.returncode == 2 and name in done.stderr
    done = hookline("publish", "shop.yaml", name)
    assert done.returncode == 0 and "published already" in done.stderr
    assert hookline("run", "shop.yaml", env={"HOOKLINE_FAILPOINT": "before_stage:kill"}).returncode == -signal.SIGKILL
    done = hookline("publish", "shop.yaml", history(hookline)[0]["id"])
    assert done.returncode == 2 and "hookline run" in done.stderr


# --- state -----------------------------------------------------------------------------------------------------------


def test_state_show(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site, tmp_path)
    site.page("/3", "gone", status=404)
    assert hookline("run", "shop.yaml").returncode == 0
    before = listing(tmp_path)
    done = hookline("state", "show", "shop.yaml", "--json")
    found = json.loads(done.stdout)
    assert found["path"] == f"{STATE}/state.db" and found["bytes"] > 4096
    assert found["fates"] == {"fetched": 3, "gone": 1} and found["hosts"] == 1
    assert (found["pages"], found["items"], found["dead_letters"], found["candidates"]) == (3, 3, 0, [])
    assert found["published"] == found["last_run"]["id"]
    done = hookline("state", "show", "shop.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "its requests: 3 fetched, 1 gone" in done.stdout and f"{found['published']}, published" in done.stdout
    assert listing(tmp_path) == before


@pytest.mark.slow
def test_state_reset_needs_a_yes(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site, tmp_path)
    assert hookline("run", "shop.yaml").returncode == 0
    out = (tmp_path / "out.jsonl").read_bytes()
    done = hookline("state", "reset", "shop.yaml")
    assert done.returncode == 2 and "--yes" in done.stderr and f"{STATE}/state.db (" in done.stderr
    assert statuses(hookline) == ["published"]
    (tmp_path / STATE / "state.db").write_bytes(b"damaged")
    (tmp_path / STATE / "state.db-wal").write_bytes(b"damaged")
    done = hookline("state", "reset", "shop.yaml", "--yes")
    assert done.returncode == 0 and "state.db-wal (7 bytes)" in done.stderr
    assert listing(tmp_path / STATE) == ["lock"] and (tmp_path / "out.jsonl").read_bytes() == out
    assert hookline("run", "shop.yaml").returncode == 0 and len(history(hookline)) == 1


@pytest.mark.parametrize(("answer", "code", "left"), [("n\n", 1, True), ("y\n", 0, False)])
def test_state_reset_asks_on_a_terminal(
    site: Any, hookline: Any, tmp_path: Path, answer: str, code: int, left: bool
) -> None:
    shop(site, tmp_path)
    assert hookline("run", "shop.yaml").returncode == 0
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    words = [sys.executable, "-P", "-m", "pipeline", "state", "reset", "shop.yaml"]
    done = subprocess.run(words, cwd=tmp_path, stdin=theirs, capture_output=True, text=True, timeout=30, check=False)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == code and "Delete them?" in done.stderr and done.stdout == ""
    assert (tmp_path / STATE / "state.db").exists() is left


def test_state_forget(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site, tmp_path)
    assert hookline("run", "shop.yaml").returncode == 0
    done = hookline("state", "forget", "shop.yaml", f"{site.url}/1", "re:/[3-9]$", "/none")
    assert done.returncode == 0 and "2 pages are forgotten" in done.stderr
    assert "no published page fits /none" in done.stderr
    assert json.loads(hookline("state", "show", "shop.yaml", "--json").stdout)["pages"] == 2
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 4
    site.page("/1", "broken", status=500)
    assert hookline("run", "shop.yaml", "--set", "checks=[pages.failed <= 50%]").returncode in (0, 1)
    assert hookline("state", "forget", "shop.yaml", "no-glob").returncode == 2
    assert hookline("state", "forget", "shop.yaml", "http://[").returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [["run"], ["retry"], ["publish"], ["state", "reset", "--yes"], ["state", "forget", "/**"]]
)
def test_while_a_run_has_the_state_the_others_say_whose_it_is(
    site: Any, hookline: Any, tmp_path: Path, words: list[str]
) -> None:
    shop(site, tmp_path)
    assert hookline("run", "shop.yaml").returncode == 0
    with Lock.take(tmp_path / STATE):
        done = call(hookline, words)
        assert done.returncode == 75, done.stderr
        assert "is locked by process" in done.stderr and str(os.getpid()) in done.stderr
        assert hookline("runs", "shop.yaml").returncode == 0, "who only looks needs no lock"
    assert statuses(hookline) == ["published"]


def test_a_run_under_way_is_named_once(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site, tmp_path)
    told = []

    def home(headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
        told.append(hookline("run", "shop.yaml").stderr)
        return 200, {"Content-Type": "text/html"}, "<h1>list</h1>"

    site.pages["/"] = home
    assert hookline("run", "shop.yaml").returncode == 0
    assert told[0].count(history(hookline)[0]["id"]) == 1, told


# --- run: what it says of what was before, and of several configs -----------------------------------------------------


def test_run_says_what_it_resumes_and_fresh_drops_it(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site, tmp_path)
    kill = {"HOOKLINE_FAILPOINT": "before_stage:kill"}
    assert hookline("run", "shop.yaml", env=kill).returncode == -signal.SIGKILL
    assert hookline("run", "shop.yaml", env=kill).returncode == -signal.SIGKILL
    asked = len(site.log)
    done = hookline("run", "shop.yaml", "--fresh")
    assert done.returncode == 0 and len(done.stderr.splitlines()) == 1
    assert "is dropped: --fresh was given; a new one starts" in done.stderr and len(site.log) == 2 * asked
    assert statuses(hookline) == ["published", "dropped"]
    assert hookline("run", "shop.yaml", "-q").stderr == ""


def test_an_interrupted_run_ends_with_how_it_goes_on(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site, tmp_path, more="")
    slow = ("--set", "fetch.per_host={concurrency: 1, delay: 30s}", "--time-limit", "200ms")
    done = hookline("run", "shop.yaml", *slow)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == "  next: the same command goes on with it: hookline run shop.yaml"
    assert history(hookline)[0]["status"] == "open" and history(hookline)[0]["exit_code"] == 3
    done = hookline("run", "shop.yaml", *slow, "--dry-run")
    assert done.returncode == 3 and "goes on" not in done.stderr


def several(site: Any, folder: Path, *names: str, more: str = "") -> list[str]:
    config = shop(site, folder, more=more)
    for name in names:
        (folder / f"{name}.yaml").write_text(
            config.read_text().replace("name: shop", f"name: {name}").replace("out.jsonl", f"{name}.jsonl")
        )
    return [f"{name}.yaml" for name in names]


def test_an_internal_error_in_one_config_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, site: Any, tmp_path: Path
) -> None:
    from click.testing import CliRunner

    import pipeline.cli.running
    from pipeline.cli import main

    names = several(site, tmp_path, "a", "b", "c")
    execute = pipeline.cli.running.execute

    def broken(loaded: Any, *arguments: Any, **named: Any) -> Any:
        if loaded.config.name == "a":
            raise RuntimeError("oops")
        return execute(loaded, *arguments, **named)

    monkeypatch.setattr(pipeline.cli.running, "execute", broken)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["run", *names])
    assert done.exit_code == 70 and "oops" in done.stderr and "please report" in done.stderr
    assert (tmp_path / "b.jsonl").exists() and (tmp_path / "c.jsonl").exists()


@pytest.mark.parametrize(("signals", "code"), [(1, 3), (2, 143)])
def test_a_signal_ends_the_whole_command(site: Any, tmp_path: Path, signals: int, code: int) -> None:
    """The signal comes while the first page of the first config is asked for; a second one while that is waited for."""
    names = several(site, tmp_path, "a", "b")
    processes: list[subprocess.Popen[str]] = []
    answer, asked = site.pages["/1"], threading.Event()

    def hold(headers: dict[str, str]) -> Any:
        for _ in range(signals):
            processes[0].send_signal(signal.SIGTERM)
            if signals > 1:
                asked.wait(0.3)  # two signals at once would be one
        return answer

    site.pages["/1"] = hold
    words = [sys.executable, "-P", "-m", "pipeline", "run", *names]
    processes.append(subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True))
    _, stderr = processes[0].communicate(timeout=30)
    assert processes[0].returncode == code, stderr
    assert "not started: b" in stderr and not (tmp_path / ".hookline/b").exists()


def test_a_wrong_failpoint_is_a_usage_error(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site, tmp_path)
    for words in (["run", "shop.yaml"], ["--help"], ["schema"]):
        done = hookline(*words, env={"HOOKLINE_FAILPOINT": "before_comit:kill"})
        assert done.returncode == 2 and "did you mean 'before_commit'?" in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
    assert listing(tmp_path) == ["shop.yaml"] and not site.seen
