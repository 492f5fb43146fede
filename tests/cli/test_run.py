"""Whole runs against a scripted site: through the command line, off a terminal, where what it says matters."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline import run

LIST = """
<div class="row"><a href="/detail/1">one</a><i>5</i></div>
<div class="row"><a href="/detail/2">two</a><i>4</i></div>
<li class="next"><a href="/page/2">next</a></li>
"""
LAST = '<div class="row"><a href="/detail/3">three</a><i>3</i></div>'
DETAIL = "<h1>Book {0}</h1><p class=price>{0}.50</p><a href='/'>home</a>"

CONFIG = """
name: shop
seeds: [{url}/]
pages:
  detail:
    match: "/detail/*"
    items:
      - type: book
        key: [title]
        fields:
          title: {{css: h1, required: true}}
          price: {{css: .price, type: float}}
          stars: {{carry: stars}}
  list:
    follow:
      - {{each: .row, css: a, page: detail, carry: {{stars: i}}}}
      - li.next a
store:
  - jsonl: out/books.jsonl
  - csv: out/books.csv
  - sqlite: {{path: out/books.db, table: books}}
"""


def shop(site: Any) -> None:
    site.page("/", LIST)
    site.page("/page/2", LAST)
    for number in (1, 2, 3):
        site.page(f"/detail/{number}", DETAIL.format(number))


def write(folder: Path, text: str, name: str = "shop.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_good_run_is_silent_and_publishes_everything(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site)
    write(tmp_path, CONFIG.format(url=site.url))
    done = hookline("run", "shop.yaml", "--report", "report.json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    books = rows(tmp_path / "out/books.jsonl")
    assert books == [
        {"title": "Book 1", "price": 1.5, "stars": "5"},
        {"title": "Book 2", "price": 2.5, "stars": "4"},
        {"title": "Book 3", "price": 3.5, "stars": "3"},
    ]
    assert (tmp_path / "out/books.csv").read_text().splitlines()[1] == "Book 1,1.5,5"
    with sqlite3.connect(tmp_path / "out/books.db") as database:
        assert database.execute("select title, price, stars from books").fetchall()[2] == ("Book 3", 3.5, "3")
    database.close()
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["exit_code"] == 0 and report["published"] is True
    assert report["fates"] == {"fetched": 5}
    assert report["discovered"] == 5
    assert report["items"]["extracted"] == report["items"]["stored"] == 3
    assert sorted(site.log) == ["GET /", "GET /detail/1", "GET /detail/2", "GET /detail/3", "GET /page/2"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["books.csv", "books.db", "books.jsonl"]


def test_two_rows_with_other_carried_values_and_one_detail_page_give_two_items(
    site: Any, hookline: Any, tmp_path: Path
) -> None:
    shop(site)
    site.page(
        "/", "<div class=row><a href=/detail/1>x</a><i>5</i></div><div class=row><a href=/detail/1>x</a><i>1</i></div>"
    )
    write(tmp_path, CONFIG.format(url=site.url).replace("key: [title]", "key: [title, stars]"))
    assert hookline("run", "shop.yaml").returncode == 0
    assert [(row["title"], row["stars"]) for row in rows(tmp_path / "out/books.jsonl")] == [
        ("Book 1", "1"),
        ("Book 1", "5"),
    ]
    assert site.log.count("GET /detail/1") == 2


@pytest.mark.parametrize(("key", "value"), [("fetch.selector", "select"), ("fetch.selector", "poll"),
    ("fetch.selector", "epoll"), ("pages.list.parser", "soup"), ("pages.detail.parser", "lexbor")])  # fmt: skip
def test_selectors_and_parsers_give_equal_bytes(site: Any, tmp_path: Path, key: str, value: str) -> None:
    shop(site)
    config = write(tmp_path, CONFIG.format(url=site.url))
    outputs = []
    for overrides in ({}, {key: value}):
        assert run(config, overrides=overrides).exit_code == 0
        outputs.append({path.name: path.read_bytes() for path in (tmp_path / "out").glob("books.[jc]s*")})
    assert outputs[0] == outputs[1]
    assert len(outputs[0]) == 2


def test_stdout_is_data_only(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site)
    write(tmp_path, CONFIG.format(url=site.url))
    done = hookline("run", "shop.yaml", "-o", "-")
    assert done.returncode == 0
    assert [json.loads(line)["title"] for line in done.stdout.splitlines()] == ["Book 1", "Book 2", "Book 3"]
    done = hookline("run", "shop.yaml", "-o", "more/items.jsonl")
    assert (tmp_path / "more/items.jsonl").read_bytes() == (tmp_path / "out/books.jsonl").read_bytes()
    assert done.stdout == ""


def test_a_dry_run_writes_nothing(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site)
    write(tmp_path, CONFIG.format(url=site.url))
    done = hookline("run", "shop.yaml", "--dry-run", "-o", "-")
    assert done.returncode == 0
    assert sorted(json.loads(line)["title"] for line in done.stdout.splitlines()) == ["Book 1", "Book 2", "Book 3"]
    assert not (tmp_path / "out").exists()
    done = hookline("run", "shop.yaml", "--dry-run", "-o", "seen/items.jsonl")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = (tmp_path / "seen/items.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["title"] for line in lines) == ["Book 1", "Book 2", "Book 3"]
    assert not (tmp_path / "out").exists() and not (tmp_path / ".hookline").exists()
    done = hookline("run", "shop.yaml", "--dry-run", "-o", "seen")
    assert done.returncode == 5 and "cannot be written to seen" in done.stderr


def test_limit_ends_a_run_normally(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site)
    write(tmp_path, CONFIG.format(url=site.url))
    done = hookline("run", "shop.yaml", "--limit", "3", "--report", "report.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["fates"]["fetched"] == 3
    assert report["fates"]["rejected:limit"] == report["discovered"] - 3
    assert len(site.log) == 3


# --- exit codes ------------------------------------------------------------------------------------------------------


def test_exit_1_when_no_item_came_and_the_last_output_stays(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site)
    config = write(tmp_path, CONFIG.format(url=site.url))
    assert hookline("run", "shop.yaml").returncode == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    config.write_text(config.read_text().replace("css: h1", "css: h1.renamed"))
    done = hookline("run", "shop.yaml")
    assert done.returncode == 1
    assert "items >= 1: expected at least 1, got 0, before " in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) <= 10
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}


def test_exit_1_when_many_pages_fail(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site)
    site.page("/detail/3", "broken", status=501)
    write(tmp_path, CONFIG.format(url=site.url))
    done = hookline("run", "shop.yaml")
    assert done.returncode == 1
    assert "pages.failed <= 10%" in done.stderr and "20 % (1 of 5 requests sent)" in done.stderr
    assert f"1 x failed:http_501, as {site.url}/detail/3: HTTP 501" in done.stderr
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_exit_3_on_a_signal_and_nothing_is_published(site: Any, tmp_path: Path) -> None:
    shop(site)
    write(tmp_path, CONFIG.format(url=site.url) + "fetch: {robots: false, per_host: {concurrency: 1, delay: 30s}}\n")
    command = [sys.executable, "-P", "-m", "pipeline", "run", "shop.yaml", "--report", "report.json"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 20
    while not site.log and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 3, stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["stopped"] == "signal SIGTERM" and report["pending"] > 0
    assert not (tmp_path / "out").exists()


def test_exit_3_when_the_time_is_up(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site)
    write(tmp_path, CONFIG.format(url=site.url) + "fetch: {robots: false, per_host: {concurrency: 1, delay: 30s}}\n")
    done = hookline("run", "shop.yaml", "--time-limit", "300ms")
    assert done.returncode == 3
    assert "stopped early; nothing was published (time)" in done.stderr
    assert re.search(r"^  \d+ requests done, \d+ waiting, after \d+\.\d s$", done.stderr, re.MULTILINE), done.stderr


def test_exit_4_when_the_source_is_gone_or_redirects_to_nothing(site: Any, hookline: Any, tmp_path: Path) -> None:
    write(tmp_path, CONFIG.format(url=site.url))
    done = hookline("run", "shop.yaml")
    assert done.returncode == 4
    assert "every seed failed, was gone, blocked or refused" in done.stderr
    site.page("/", "", status=302, Location="/nowhere")
    assert hookline("run", "shop.yaml").returncode == 4


FULL_DISK = """
import errno
from pipeline import hookimpl

class Full:
    def __init__(self, when: str): self.when = when
    @hookimpl
    def store_items(self, items):
        if self.when == "stage": raise OSError(errno.ENOSPC, "No space left on device")
    @hookimpl
    def commit(self, summary):
        raise OSError(errno.ENOSPC, "No space left on device")

@hookimpl
def register(registry): registry.store("full", Full)
"""


@pytest.mark.parametrize("when", ["stage", "commit"])
def test_exit_5_when_a_store_fails(site: Any, hookline: Any, tmp_path: Path, when: str) -> None:
    """While staging nothing becomes visible; at commit what was committed before stays, the rest does not appear."""
    shop(site)
    write(tmp_path, FULL_DISK, "full.py")
    text = CONFIG.format(url=site.url).replace("  - csv:", f"  - full: {when}\n  - csv:")
    write(tmp_path, text + "plugins: [./full.py]\n")
    done = hookline("run", "shop.yaml")
    assert done.returncode == 5
    assert "No space left on device" in done.stderr and "Traceback" not in done.stderr
    visible = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert visible == ([] if when == "stage" else ["books.jsonl"])


def test_a_run_stopped_by_its_bytes_goes_on_with_as_many_again(site: Any, tmp_path: Path) -> None:
    """What it has had before does not count, as with `limits.time`: else each start would fetch one page, for ever."""
    site.page("/", "<h1>home</h1>" + "".join(f"<a href=/{number}>x</a>" for number in range(12)))
    for number in range(12):
        site.page(f"/{number}", f"<h1>{number}</h1>" + "x" * 2000)
    config = f"""
name: bytes
seeds: [{site.url}/]
limits: {{bytes: 7KiB}}
fetch: {{per_host: {{concurrency: 1}}}}
pages: {{all: {{items: [{{fields: {{title: h1}}}}], follow: [a]}}}}
store: [{{jsonl: out.jsonl}}]
"""
    (tmp_path / "bytes.yaml").write_text(config)
    asked, codes = [], []
    while not codes or (codes[-1] == 3 and len(codes) < 9):
        site.log.clear()
        summary = run(tmp_path / "bytes.yaml").summary
        codes.append(summary.exit_code)
        asked.append(len(site.log))
    assert codes == [3, 3, 3, 0] and sum(asked) == 13 and min(asked[:3]) >= 4, asked
    assert summary.bytes > 12 * 2000, "the report tells of the whole run"
    assert len(rows(tmp_path / "out.jsonl")) == 13


def test_exit_2_when_an_output_can_never_be_written(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site)
    (tmp_path / "out").write_text("a file where a folder should be")
    write(tmp_path, CONFIG.format(url=site.url))
    done = hookline("run", "shop.yaml")
    assert done.returncode == 2
    assert "shop.yaml:" in done.stderr and "Traceback" not in done.stderr
    assert site.log == []


def test_the_worst_of_several_configs_counts_and_all_run(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site)
    (tmp_path / "all").mkdir()
    write(tmp_path / "all", CONFIG.format(url=site.url), "good.yaml")
    write(tmp_path / "all", "name: bad\nseeds: [", "bad.yaml")
    write(tmp_path / "all", "nonsense", "_common.yaml")
    done = hookline("run", "all")
    assert done.returncode == 2
    assert "all/bad.yaml:3:1: this is not YAML" in done.stderr and "_common" not in done.stderr
    assert len(rows(tmp_path / "all/out/books.jsonl")) == 3


def test_two_configs_of_one_name_in_one_folder_are_refused(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site)
    for name in ("a.yaml", "b.yaml"):
        write(tmp_path, CONFIG.format(url=site.url), name)
    done = hookline("run", "a.yaml", "b.yaml")
    assert done.returncode == 2
    assert "b.yaml:2:7" in done.stderr and "a.yaml" in done.stderr
    assert site.log.count("GET /") == 1


# --- redirects, retries, fates ---------------------------------------------------------------------------------------


def fates(config: Path) -> dict[str, int]:
    summary = run(config).summary
    assert summary.exit_code != 70
    assert sum(summary.fates.values()) + summary.pending == summary.discovered
    return summary.fates


def test_a_redirect_ends_redirected_and_its_target_is_a_request_of_its_own(site: Any, tmp_path: Path) -> None:
    shop(site)
    site.page("/", "", status=301, Location="/home#top")
    site.page("/home", LIST)
    site.page("/detail/2", "", status=307, Location="/detail/1")
    write(tmp_path, CONFIG.format(url=site.url).replace("carry: {stars: i}", "carry: {}"))
    assert fates(tmp_path / "shop.yaml") == {"fetched": 4, "redirected": 2}
    assert site.log.count("GET /detail/1") == 1


def test_quick_redirects_of_a_seed_lead_to_its_page(site: Any, hookline: Any, tmp_path: Path) -> None:
    """The second is met and has ended before anything of it is on disk."""
    for path, target in (("/", "/login"), ("/login", "/home")):
        site.page(path, "", status=301, Location=target)
    site.page("/home", "<h1>Home</h1>")
    write(
        tmp_path,
        f"""
        name: shop
        seeds: [{site.url}/]
        pages: {{all: {{items: [{{fields: {{title: h1}}}}]}}}}
        store: [jsonl: shop.jsonl]
        """,
    )
    done = hookline("run", "shop.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "shop.jsonl").read_text() == '{"title":"Home"}\n'
    assert hookline("why", "shop.yaml", f"{site.url}/home").stdout.count("(redirected to)") == 2


def test_the_first_hop_of_a_seed_off_its_host_joins_wherever_it_is_in_the_chain(site: Any, tmp_path: Path) -> None:
    """As of http://shop.example/ -> /en/ -> https://shop.other/en/: that is one site which has moved."""
    other = site.url.replace("127.0.0.1", "localhost")
    site.page("/", "", status=302, Location="/en")
    site.page("/en", "", status=301, Location=f"{other}/home")
    site.page("/home", "<h1>home</h1><a href=/1>x</a><a href=/2>x</a>")
    site.page("/1", "<h1>1</h1>")
    site.page("/2", "", status=302, Location="http://third.example/")
    config = f"""
name: moved
seeds: [{site.url}/]
fetch: {{private_networks: allow}}
pages: {{all: {{items: [{{fields: {{title: h1}}}}], follow: [a]}}}}
"""
    (tmp_path / "moved.yaml").write_text(config)
    summary = run(tmp_path / "moved.yaml").summary
    assert summary.fates == {"redirected": 3, "fetched": 2, "rejected:scope": 1}


def test_a_redirect_loop_fails_and_is_told(site: Any, tmp_path: Path) -> None:
    shop(site)
    site.page("/page/2", "", status=302, Location="/page/3")
    site.page("/page/3", "", status=302, Location="/page/2")
    write(tmp_path, CONFIG.format(url=site.url))
    summary = run(tmp_path / "shop.yaml").summary
    assert summary.fates == {"fetched": 3, "redirected": 1, "failed:http_302": 1}
    assert any("redirect loop" in problem.detail for problem in summary.problems)


def test_too_many_redirects(site: Any, tmp_path: Path) -> None:
    shop(site)
    for number in range(2, 9):
        site.page(f"/page/{number}", "", status=302, Location=f"/page/{number + 1}")
    write(tmp_path, CONFIG.format(url=site.url) + "fetch: {redirects: 3}\n")
    assert fates(tmp_path / "shop.yaml") == {"fetched": 3, "redirected": 3, "failed:http_302": 1}


def test_a_server_error_is_tried_again(site: Any, tmp_path: Path) -> None:
    shop(site)
    page = site.pages["/detail/1"]
    site.pages["/detail/1"] = [(503, {}, "busy"), page]
    write(tmp_path, CONFIG.format(url=site.url) + "fetch: {retry: {base: 50ms}}\n")
    assert fates(tmp_path / "shop.yaml") == {"fetched": 5}
    assert site.log.count("GET /detail/1") == 2


def test_every_refusal_has_its_fate(site: Any, tmp_path: Path) -> None:
    shop(site)
    links = ["/gone", "/deny/x", "mailto:a@b", "http://other.invalid/", "/a/a/a/a", "http://127.0.0.1:8/"]
    site.page("/", "".join(f'<a href="{link}">x</a>' for link in links))
    text = (
        CONFIG.format(url=site.url)
        .replace("- li.next a", "- {css: a, limit: 6}")
        .replace("title: {css: h1, required: true}", "title: a")
    )
    text = (
        text.replace('match: "/detail/*"', 'match: "/"')
        .replace("follow:", "follow: ")
        .replace("list:", "rest:\n    match: re:.\n    follow: [a]\n  list:")
    )
    text += 'scope: {deny: ["/deny/**"], allow_domains: [127.0.0.1]}\nfetch: {retry: {attempts: 1}}\n'
    text = text.replace("          stars: {carry: stars}\n", "          stars: {carry: stars}\n    follow: [a]\n")
    write(tmp_path, text)
    assert fates(tmp_path / "shop.yaml") == {
        "fetched": 1,
        "gone": 1,
        "rejected:private_network": 1,  # another port of this machine, which no URL of the config names
        "rejected:scheme": 1,
        "rejected:scope": 2,
        "rejected:trap": 1,
    }


def test_post_seeds_and_json_bodies(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site)
    text = CONFIG.format(url=site.url).replace(
        f"seeds: [{site.url}/]", f'seeds: [{{url: "{site.url}/", method: POST, json: {{q: "*"}}, page: list}}]'
    )
    write(tmp_path, text)
    assert hookline("run", "shop.yaml").returncode == 0
    assert site.log[0] == 'POST / {"q":"*"}'


def test_local_plugins_change_and_drop_items(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site)
    (tmp_path / "plugins").mkdir()
    write(
        tmp_path / "plugins",
        "from pipeline import Drop, hookimpl\n\n@hookimpl\ndef process_item(item, page):\n"
        "    print('noise')\n    if item['title'] == 'Book 2':\n        return Drop('no twos')\n"
        "    item['price'] *= 2\n    item['from'] = page.url[-9:]\n",
        "double.py",
    )
    write(tmp_path, CONFIG.format(url=site.url) + "plugins: [./plugins/double.py]\n")
    done = hookline("run", "shop.yaml", "-o", "-", "--report", "report.json")
    assert done.returncode == 0, done.stderr
    assert [(row["title"], row["price"], row["from"]) for row in map(json.loads, done.stdout.splitlines())] == [
        ("Book 1", 3.0, "/detail/1"),
        ("Book 3", 7.0, "/detail/3"),
    ]
    assert "noise" in done.stderr
    dropped = json.loads((tmp_path / "report.json").read_text())["items"]["dropped"]
    assert list(dropped.values()) == [1] and "no twos" in next(iter(dropped))
    assert not list((tmp_path / "plugins").glob("__pycache__"))


WRONG_PLUGINS = [
    ("@hookimpl\ndef proces_item(item, page): pass\n", "process_item"),
    ("@hookimpl\ndef process_item(itme, page): pass\n", "itme"),
    ("def process_item(item, page): pass\n", "@hookimpl"),
    ("import nothing_of_that_name\n", "nothing_of_that_name"),
    ("def broken(:\n", "wrong.py"),
]


@pytest.mark.parametrize("way", ["run", "check"])
def test_wrong_plugins_are_refused_at_load(site: Any, hookline: Any, tmp_path: Path, way: str) -> None:
    shop(site)
    configs = []
    for number, (source, _) in enumerate(WRONG_PLUGINS):
        folder = tmp_path / str(number)
        folder.mkdir()
        write(folder, f"from pipeline import hookimpl\n{source}", "wrong.py")
        configs.append(write(folder, CONFIG.format(url=site.url) + "plugins: [./wrong.py]\n"))
    done = hookline(way, *configs)
    assert done.returncode == 2
    for config, (_, told) in zip(configs, WRONG_PLUGINS, strict=True):
        assert any(line.startswith(f"{config}:") and told in line for line in done.stderr.splitlines()), done.stderr
    assert "Traceback" not in done.stderr
    assert site.log == []


def test_a_plugin_that_raises_costs_its_page_or_item_only(site: Any, hookline: Any, tmp_path: Path) -> None:
    shop(site)
    write(
        tmp_path,
        "from pipeline import hookimpl\n\n@hookimpl\ndef process_item(item, page):\n"
        "    if item['title'] == 'Book 2':\n        raise ValueError('not two')\n",
        "fussy.py",
    )
    write(tmp_path, CONFIG.format(url=site.url) + "plugins: [./fussy.py]\n")
    done = hookline("run", "shop.yaml", "--report", "report.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["items"]["dead_lettered"] == 1 and report["items"]["stored"] == 2
    assert any("not two" in message for message in report["plugins"]["fussy"]["errors"])
    done = hookline("run", "shop.yaml", "--strict")
    assert done.returncode == 6 and "not two" in done.stderr


def test_the_published_file_does_not_depend_on_the_order_of_arrival(site: Any, tmp_path: Path) -> None:
    """Sixty pages on sixteen connections come in any order; the file is the same each time, and with one connection."""
    site.page("/", "".join(f'<a href="/detail/{number}">x</a>' for number in range(60)))
    for number in range(60):
        site.page(f"/detail/{number}", DETAIL.format(number))
    config = CONFIG.format(url=site.url).replace("- li.next a", "- a")
    write(tmp_path, config)
    outputs = set()
    for key, value in (("fetch.concurrency", "16"), ("fetch.concurrency", "1"), ("scope.order", "depth")):
        assert run(tmp_path / "shop.yaml", overrides={key: value}).exit_code == 0
        outputs.add((tmp_path / "out/books.jsonl").read_bytes())
    assert len(outputs) == 1
    assert len(rows(tmp_path / "out/books.jsonl")) == 60


def test_max_depth(site: Any, tmp_path: Path) -> None:
    for number in range(5):
        site.page(f"/{number}", f'<h1>{number}</h1><a href="/{number + 1}">next</a>')
    write(
        tmp_path,
        f"name: shop\nseeds: [{site.url}/0]\nscope: {{max_depth: 2}}\n"
        "pages: {all: {items: [{fields: {title: h1}}], follow: [a]}}\nstore: [{jsonl: out.jsonl}]\n",
    )
    assert fates(tmp_path / "shop.yaml") == {"fetched": 3, "rejected:depth": 1}
    assert [row["title"] for row in rows(tmp_path / "out.jsonl")] == ["0", "1", "2"]


def test_python_api(site: Any, tmp_path: Path) -> None:
    shop(site)
    config = write(tmp_path, CONFIG.format(url=site.url))
    result = run(config, limit=20)
    assert result.exit_code == 0
    assert [item["title"] for item in result.items] == ["Book 1", "Book 2", "Book 3"]
    assert result.summary.fates == {"fetched": 5}


def test_no_file_descriptor_is_left_open(site: Any, tmp_path: Path) -> None:
    shop(site)
    config = write(tmp_path, CONFIG.format(url=site.url))
    run(config)
    site.close()  # its own sockets come and go in their own time
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert run(config, overrides={"fetch.retry": "1"}).exit_code == 4
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_plugins_may_be_all_that_a_config_wants(site: Any, hookline: Any, tmp_path: Path) -> None:
    """Without page rules there is one that fits all."""
    shop(site)
    write(
        tmp_path,
        "from pipeline import Item, Request, hookimpl\n\n@hookimpl\ndef parse(page):\n"
        "    yield Item('page', rule=page.rule, title=page.soup.h1 and page.soup.h1.text)\n"
        "    for link in page.links:\n        yield Request(link)\n",
        "all.py",
    )
    write(tmp_path, f"name: shop\nseeds: [{site.url}/]\nplugins: [./all.py]\n")
    done = hookline("run", "shop.yaml", "-o", "-")
    assert done.returncode == 0, done.stderr
    items = [json.loads(line) for line in done.stdout.splitlines()]
    assert [item["title"] for item in items] == [None, "Book 1", "Book 2", "Book 3", None]
    assert {item["rule"] for item in items} == {"page"}


def test_a_plugin_that_blocks_the_loop_is_named_in_the_report(site: Any, tmp_path: Path) -> None:
    shop(site)
    source = (
        "import time\nfrom pipeline import hookimpl\n\n@hookimpl\ndef prepare_request(request):\n    time.sleep(0.06)\n"
    )
    write(tmp_path, source, "slow.py")
    config = write(tmp_path, CONFIG.format(url=site.url) + "plugins: [./slow.py]\n")
    from pipeline import run

    notes = run(config, limit=2).summary.notes
    assert any("slow" in note and "prepare_request" in note for note in notes), notes


def test_a_report_goes_where_a_link_leads(site: Any, tmp_path: Path) -> None:
    shop(site)
    config = write(tmp_path, CONFIG.format(url=site.url))
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("real.json")
    from pipeline.config import load
    from pipeline.runner.build import Options
    from pipeline.runner.session import execute

    execute(load(config), Options(report=tmp_path / "link.json"))
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text())["exit_code"] == 0
