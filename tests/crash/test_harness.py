"""The harness itself: the site answers alike, and the oracle sees what it is there to see."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.crash.killing import MARK, relatives, wait_until
from tests.crash.oracle import (
    Ended,
    Golden,
    State,
    read_outputs,
    read_state,
    wrong_ends,
    wrong_outputs,
    wrong_report,
    wrong_requests,
    wrong_state,
)
from tests.crash.served import Asked, Served, write_config
from tests.crash.site import Site

# --- the site --------------------------------------------------------------------------------------------------------


def test_the_site_has_all_that_is_asked_of_it() -> None:
    site = Site(hosts=20, pages=2000, seed=1, port=80)
    shares = {kind: count / 2000 for kind, count in Counter(site.kinds).items()}
    assert 0.08 <= shares["redirect"] <= 0.12
    assert all(shares[kind] > 0.004 for kind in ("404", "410", "500", "refresh", "slow"))
    answers = [site.answer(*place) for place in site.places]
    assert sum(b"Content-Encoding: gzip" in answer.data for answer in answers) >= 100
    assert all(0.05 <= answer.delay <= 0.3 for answer in answers if answer.delay)
    chains = [n for n, kind in enumerate(site.kinds) if kind == "redirect" and site.kinds[site._target(n) or 0] == kind]
    assert len(chains) > 20
    away = [n for n in range(2000) if site.kinds[n] == "redirect" and (t := site._target(n)) and (t - n) % 20]
    assert len(away) > 100
    assert b"Disallow: /d/s3/" in site.answer(1, "/robots.txt").data


def test_an_answer_depends_on_the_url_alone() -> None:
    one, other = (Site(hosts=4, pages=200, seed=1, port=80) for _ in range(2))
    places = list(one.places)
    expected = {place: one.answer(*place) for place in places}
    random.Random(3).shuffle(places)
    assert {place: other.answer(*place) for place in places} == expected
    assert Site(hosts=4, pages=200, seed=2, port=80).answer(0, "/") != one.answer(0, "/")


@pytest.mark.slow
def test_the_site_is_never_what_a_crawl_waits_for(big: Served) -> None:
    """3,000 requests a second on kept connections."""
    request, best = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0.0
    peers = [socket.create_connection(("127.0.1.1", big.port)) for _ in range(16)]
    for _ in range(5):
        since = time.monotonic()
        for _ in range(60):
            for peer in peers:
                peer.send(request)
            for peer in peers:
                assert peer.recv(1 << 16).startswith(b"HTTP/1.1 200")
        best = max(best, 60 * len(peers) / (time.monotonic() - since))
    for peer in peers:
        peer.close()
    big.take()
    assert best >= 3000, f"{best:.0f} requests a second"


def test_the_site_ends_with_whoever_started_it() -> None:
    code = "import os\nfrom tests.crash.served import Served\nprint(Served(hosts=1, pages=5).process.pid, flush=True)\n"
    starter = subprocess.Popen(
        [sys.executable, "-c", code + "os.kill(os.getpid(), 9)"], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    pid = int(starter.communicate(timeout=20)[0])
    wait_until(lambda: not relatives(pid, "-"), "the site ends", 5)


# --- what an uninterrupted run looks like ----------------------------------------------------------------------------


@pytest.mark.slow
def test_the_golden_run_is_what_it_should_be(big_golden: Golden) -> None:
    fates, items = big_golden.report["fates"], big_golden.report["items"]
    assert 1950 <= len(big_golden.places) <= 2000
    assert 2000 <= big_golden.requests <= 2600
    assert fates["fetched"] > 1700 and fates["redirected"] > 200 and fates["gone"] > 40
    assert fates["rejected:robots"] > 5 and fates["failed:http_500"] > 20 and fates["rejected:scope"] == 50
    assert items["extracted"] == 3 * fates["fetched"] and items["dropped"]["duplicate"] > 100
    check_outputs(big_golden)


def test_the_small_golden_run_is_what_it_should_be(small_golden: Golden) -> None:
    assert 180 <= len(small_golden.places) <= 200
    assert {"fetched", "gone", "redirected", "failed:http_500", "rejected:robots"} <= small_golden.report[
        "fates"
    ].keys()
    check_outputs(small_golden)


def check_outputs(golden: Golden) -> None:
    """All of them there, with what one can count."""
    outputs, by_type = golden.outputs, golden.report["items"]["by_type"]
    assert not outputs.others
    assert outputs.files["all.jsonl"] == outputs.files["log.jsonl"]
    assert outputs.files["all.jsonl"].count(b"\n") == sum(by_type.values())
    assert outputs.files["offers.csv"].count(b"\n") == by_type["offer"] + 1
    rows = {name: len(rows) - 1 for name, rows in outputs.tables.items()}
    assert rows == {
        "all.db/offer": by_type["offer"],
        "all.db/note": by_type["note"],
        "all.db/page": by_type["page"],
        "all.db/merged": by_type["offer"],
        "log.db/notes": by_type["note"],
    }
    assert "東京".encode() in outputs.files["all.jsonl"] and "★".encode() in outputs.files["offers.csv"]


# --- the oracle ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(small: Served, small_golden: Golden, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the outputs of the golden run, written from what is known of it."""
    assert small_golden.outputs.files
    folder = tmp_path_factory.mktemp("finished") / "trial"
    write_config(folder, small)
    (folder / "out").mkdir()
    for name, data in small_golden.outputs.files.items():
        (folder / "out" / name).write_bytes(data)
    for name, (columns, *rows) in small_golden.outputs.tables.items():
        file, _, table = name.partition("/")
        with closing(sqlite3.connect(folder / "out" / file)) as database:
            database.execute(f"CREATE TABLE {table} ({', '.join(f'{column} {kind}' for column, kind in columns)})")
            database.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", rows)
            database.commit()
    (folder / "report.json").write_text(json.dumps(small_golden.report))
    return folder


def change(path: Path, edit: Callable[[bytes], bytes]) -> None:
    path.write_bytes(edit(path.read_bytes()))


def sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)


def swapped(data: bytes) -> bytes:
    first, second, rest = data.split(b"\n", 2)
    return b"\n".join((second, first, rest))


DAMAGE: list[tuple[str, Callable[[Path], object], str]] = [
    ("a line lost", lambda out: change(out / "all.jsonl", lambda data: data[data.index(b"\n") + 1 :]), "differs: "),
    ("a torn end", lambda out: change(out / "all.jsonl", lambda data: data[:-9]), "the last line is torn"),
    ("another order", lambda out: change(out / "all.jsonl", swapped), "all.jsonl differs"),
    ("half a line within", lambda out: change(out / "log.jsonl", lambda data: data[:40] + b"\n" + data), "is not JSON"),
    ("appended twice", lambda out: change(out / "log.jsonl", lambda data: data * 2), "log.jsonl differs"),
    ("a file lost", lambda out: (out / "offers.csv").unlink(), "offers.csv is missing"),
    ("a cell too many", lambda out: change(out / "offers.csv", lambda data: data + b"x," * 9 + b"x\n"), "cells"),
    ("a stage left", lambda out: (out / ".all.jsonl.x.stage").touch(), "left beside the outputs"),
    ("a lock left", lambda out: (out / ".all.db.lock").touch(), "left beside the outputs"),
    ("a journal left", lambda out: (out / "all.db-journal").touch(), "left beside the outputs"),
    ("a value changed", lambda out: sql(out / "all.db", "UPDATE page SET title = 1 WHERE rowid = 3"), "page differs"),
    ("a row twice", lambda out: sql(out / "log.db", "INSERT INTO notes SELECT * FROM notes LIMIT 1"), "notes differs"),
    ("rows in another order", lambda out: sql(out / "all.db", "UPDATE offer SET rowid = -rowid"), "offer differs"),
    ("a table lost", lambda out: sql(out / "all.db", "DROP TABLE merged"), "all.db/merged is missing"),
    ("a table too many", lambda out: sql(out / "all.db", "CREATE TABLE new_page (a)"), "a table too many"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "told"), [pytest.param(*rest, id=name) for name, *rest in DAMAGE])
def test_the_oracle_sees_damage(
    finished: Path, small_golden: Golden, tmp_path: Path, damage: Callable[[Path], object], told: str
) -> None:
    folder = tmp_path / "trial"
    shutil.copytree(finished, folder)
    assert list(wrong_outputs(small_golden.outputs, read_outputs(folder))) == []
    damage(folder / "out")
    wrong = list(wrong_outputs(small_golden.outputs, read_outputs(folder)))
    assert any(told in line for line in wrong), wrong


def test_books_of_the_stores_do_not_count_and_appending_twice_is_right_after_two_runs(
    finished: Path, small_golden: Golden, tmp_path: Path
) -> None:
    folder = tmp_path / "trial"
    shutil.copytree(finished, folder)
    sql(
        folder / "out/log.db",
        "CREATE TABLE _hookline_appended (a)",
        "INSERT INTO notes SELECT * FROM notes ORDER BY rowid",
    )
    change(folder / "out/log.jsonl", lambda data: data * 2)
    assert list(wrong_outputs(small_golden.outputs, read_outputs(folder), published=2)) == []


def test_the_oracle_sees_requests_beyond_the_bound(small_golden: Golden, tmp_path: Path) -> None:
    asked = small_golden.asked
    robots = [Asked(1.0, "127.0.1.1", "/robots.txt")] * 5000
    good = Ended(tmp_path, asked + robots, kills=0)
    assert list(wrong_requests(small_golden, good)) == []
    pages = [each for each in asked if not each.robots]
    assert "at most" in next(wrong_requests(small_golden, replace(good, asked=[*asked, pages[0]])))
    assert list(wrong_requests(small_golden, replace(good, asked=[*asked, *pages], kills=1))) == []
    assert list(wrong_requests(small_golden, replace(good, asked=[*asked, *pages, pages[0]], kills=1)))
    fewer = [each for each in pages if each.path != "/l/4"]
    assert any("never asked for" in line for line in wrong_requests(small_golden, replace(good, asked=fewer)))
    other = Asked(1.0, "127.0.1.1", "/other")
    assert any(
        "not by golden" in line for line in wrong_requests(small_golden, replace(good, asked=[*asked[1:], other]))
    )


REPORTS = [
    ({"pending": 1}, "do not balance"),
    ({"fates": {"fetched": 1}, "discovered": 1}, "report.fates"),
    ({"exit_code": 3}, "says exit 3"),
    ({"items": {"extracted": 9, "stored": 8, "dropped": {}, "dead_lettered": 0, "by_type": {}}}, "of items do not"),
    ({"links": {"found": 1, "new": 1, "duplicate": 0}}, "links.found"),
]


@pytest.mark.parametrize(("wrong", "told"), REPORTS)
def test_the_oracle_sees_reports_that_do_not_balance(
    small_golden: Golden, tmp_path: Path, wrong: dict[str, object], told: str
) -> None:
    path = tmp_path / "report.json"
    assert list(wrong_report(small_golden.report, path)) == ["there is no report"]
    path.write_text(json.dumps(small_golden.report))
    assert list(wrong_report(small_golden.report, path)) == []
    path.write_text(json.dumps({**small_golden.report, **wrong}))
    assert any(told in line for line in wrong_report(small_golden.report, path))


def test_the_oracle_sees_wrong_ends(tmp_path: Path) -> None:
    def ended(codes: list[int], gap: float = 1.0) -> list[str]:
        asked = [Asked(10 + gap, "127.0.1.1", "/")]
        return list(wrong_ends(Ended(tmp_path, asked, 0, starts=[10.0], codes=codes)))

    assert ended([0]) == []
    assert "exit code 1," in ended([1, 0])[0]
    assert "did not end with 0" in ended([])[0]
    assert "after 3.5 s" in ended([0], 3.5)[0]


def test_the_oracle_reads_a_state_and_sees_damage_in_it(tmp_path: Path) -> None:
    folder = tmp_path / ".hookline/crash"
    folder.mkdir(parents=True)
    assert read_state(tmp_path) is None
    assert list(wrong_state(None, 1, 0)) == ["there is no state.db"]
    sql(
        folder / "state.db",
        "PRAGMA journal_mode = WAL",
        "CREATE TABLE run (number INTEGER PRIMARY KEY, id TEXT, status TEXT)",
        "INSERT INTO run (id, status) VALUES ('a', 'published'), ('b', 'open')",
    )
    state = read_state(tmp_path)
    assert state == State("ok", (("a", "published"), ("b", "open")))
    assert list(wrong_state(state, 1, 0)) == [] and "expected" in next(wrong_state(state, 1, 1))
    assert sorted(path.name for path in folder.iterdir()) == ["state.db"]  # looked at, not touched
    change(folder / "state.db", lambda data: data[:4096] + os.urandom(len(data) - 4096))
    damaged = read_state(tmp_path)
    assert damaged is not None and damaged.sound != "ok"


# --- what is left of a process ---------------------------------------------------------------------------------------

ORPHAN = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; print('up', flush=True); time.sleep(20)"], {how})
time.sleep(20)
"""


@pytest.mark.parametrize("how", ["", "start_new_session=True", "env={}"])
def test_children_that_stay_are_found(tmp_path: Path, how: str) -> None:
    """By their session or by their environment: one of the two is enough."""
    mark = f"{tmp_path}"
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHAN.format(how=how)],
        env={**os.environ, MARK: mark},
        start_new_session=True,
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None and parent.stdout.readline() == b"up\n"
    assert len(relatives(parent.pid, mark)) == 2
    parent.kill()
    parent.wait(10)
    (left,) = relatives(parent.pid, mark)
    assert "time.sleep(20)" in left
    os.kill(int(left.partition(":")[0]), signal.SIGKILL)
    wait_until(lambda: not relatives(parent.pid, mark), "it ends", 5)
    parent.stdout.close()
