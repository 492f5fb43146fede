"""check, fetch, try, plugin list and schema, through the command line."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipeline.cli import main

CONFIG = """
name: shop
seeds: [{url}/]
pages:
  all:
    items:
      - each: .row
        fields: {{title: h2, price: {{css: b, type: float}}}}
    follow: [a]
filter:
  - where: "price > 1"
store:
  - jsonl: out.jsonl
"""
PAGE = "<div class=row><h2>A</h2><b>2.5</b></div><div class=row><h2>B</h2><b>1</b></div><a href='/next?x=1#y'>n</a>"


def write(folder: Path, text: str) -> None:
    (folder / "shop.yaml").write_text(text)


# --- check -----------------------------------------------------------------------------------------------------------

MISTAKES = [
    ("nmae: shop\n", "shop.yaml:1:1: nmae", "did you mean 'name'?"),
    ("fetch: {concurency: 3}\n", "shop.yaml:13:9: fetch.concurency", "did you mean 'concurrency'?"),
    ("fetch: {concurrency: many}\n", "shop.yaml:13:22: fetch.concurrency", "'many'"),
    ("fetch: {timeout: {idle: 20}}\n", "shop.yaml:13:25: fetch.timeout.idle", "20s"),
    ("limits: {bytes: 3XB}\n", "shop.yaml:13:17: limits.bytes", "64KiB"),
    ("scope: {deny: ['re:[']}\n", "shop.yaml:13:16: scope.deny", "regular expression"),
    ("name: shop\n", "shop.yaml:13:1", "name"),
    ('vars: {a: "${NO_SUCH_VARIABLE}"}\n', "shop.yaml:13:", "NO_SUCH_VARIABLE"),
    ("filter2: []\n", "shop.yaml:13:1: filter2", "did you mean 'filter'?"),
    ("extends: missing.yaml\n", "shop.yaml:13:10", "missing.yaml"),
    ("plugins: [no-such-plugin]\n", "shop.yaml:13:11: plugins", "no-such-plugin"),
    ("parse: [fileds]\n", "shop.yaml:13:9: parse", "fields"),
    ("checks: {a: 1}\n", "shop.yaml:13:9: checks", "list"),
    ("tests: !!python/name:os.system x\n", "shop.yaml:13:8", "tag"),
]
BASE = CONFIG.strip().format(url="http://127.0.0.1:9") + "\n"


FIELDS = "fields: {title: h2, price: {css: b, type: float}}"
SELECTORS = [
    (FIELDS.replace("h2", "'h2['"), "shop.yaml:7:25: pages.all.items.0.fields.title", "h2["),
    (FIELDS.replace("css: b", "css: 'b:nope('"), "shop.yaml:7:42: pages.all.items.0.fields.price.css", "b:nope("),
]
WRONG = [
    *((text + BASE.partition("\n")[2] if text.startswith("nmae") else BASE + text, *rest) for text, *rest in MISTAKES),
    *((BASE.replace(FIELDS, fields), *rest) for fields, *rest in SELECTORS),
]


@pytest.fixture(scope="module", params=["check", "run"])
def told(request: Any, command: Any, tmp_path_factory: Any) -> subprocess.CompletedProcess[str]:
    """What a command says of all wrong configs, each in a folder that is named by its number."""
    folder = tmp_path_factory.mktemp("wrong")
    for number, (text, *_) in enumerate(WRONG):
        (folder / str(number)).mkdir()
        write(folder / str(number), text)
    done: subprocess.CompletedProcess[str] = command(
        request.param, *(f"{number}/shop.yaml" for number in range(len(WRONG))), cwd=folder
    )
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {"shop.yaml"}, "nothing is written"
    return done


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_a_mistake_is_told_with_its_place(told: Any, number: int) -> None:
    _, place, word = WRONG[number]
    lines = [line for line in told.stderr.splitlines() if line.startswith(f"{number}/{place}")]
    assert lines and any(word in line for line in lines), told.stderr
    assert told.returncode == 2
    assert "Traceback" not in told.stderr and told.stdout == ""


def test_all_mistakes_are_told_at_once(hookline: Any, tmp_path: Path) -> None:
    write(tmp_path, BASE + "fetch: {concurency: 3}\nlimits: {pages: none}\nstroe: []\n")
    done = hookline("check", "shop.yaml")
    assert done.returncode == 2
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == ["fetch.concurency", "limits.pages", "stroe"]


def test_check_says_what_is_good_and_what_has_no_effect_yet(hookline: Any, tmp_path: Path) -> None:
    write(tmp_path, BASE + "notify: [{mail: me@example.org}]\n")
    done = hookline("check", "shop.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "shop.yaml: ok" in done.stdout
    assert "shop.yaml:13:1: notify: has no effect yet" in done.stdout
    assert "process_item: where" in done.stdout
    report = json.loads(hookline("check", "shop.yaml", "--format", "json").stdout)
    assert report[0]["ok"] and report[0]["notes"][0]["line"] == 13


def test_set_overrides_a_key_and_wrong_ones_are_told(hookline: Any, tmp_path: Path) -> None:
    write(tmp_path, BASE)
    assert hookline("check", "shop.yaml", "--set", "limits.pages=3").returncode == 0
    done = hookline("check", "shop.yaml", "--set", "limits.pagse=3")
    assert done.returncode == 2 and "--set" in done.stderr and "pages" in done.stderr
    assert hookline("check", "shop.yaml", "--set", "nonsense").returncode == 2
    done = hookline("run", "shop.yaml", "--set", "limits.pagse=3")
    assert done.returncode == 2 and "next:" not in done.stderr, "the file itself is fine"


def test_check_tells_limits_as_a_config_spells_them(hookline: Any, tmp_path: Path) -> None:
    write(tmp_path, BASE)
    limits = ["--set", "limits.time=90s", "--set", "fetch.timeout.dns=250ms", "--set", "limits.page_memory=1000"]
    told = hookline("check", "shop.yaml", *limits).stdout
    for line in (
        "delay 1s (loopback 0s), jitter 0.25, autothrottle true",
        "dns 250ms, connect 10s, tls 10s, first_byte 30s, idle 20s, total 2m",
        "obey true, max 10m",
        "on [dns, connect, tls, timeout, truncated, 500, 502, 503, 504]",
        "time 90s,",
        "page_memory 1000, plugin_errors 10%",
    ):
        assert line in told, told


@pytest.mark.parametrize("arguments", [["nosuch"], ["run", "--nosuch", "x.yaml"], ["run"]])
def test_an_unknown_command_or_flag_is_a_usage_error(arguments: list[str]) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2 and "Usage:" in done.stderr


def test_a_missing_config_is_told(hookline: Any) -> None:
    done = hookline("run", "nosuch.yaml")
    assert done.returncode == 2 and "nosuch.yaml" in done.stderr and "Traceback" not in done.stderr


# --- fetch -----------------------------------------------------------------------------------------------------------


def test_fetch_json(site: Any, hookline: Any) -> None:
    site.page("/", "héllo")
    site.page("/from", "", status=302, Location="/")
    site.page("/loop", "", status=302, Location="/loop")
    urls = [f"{site.url}{path}" for path in ("/", "/from", "/gone", "/loop")] + ["http://127.0.0.1:1/"]
    done = hookline("fetch", "--json", *urls)
    assert done.returncode == 4
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["url"] for line in lines] == urls
    assert [line["outcome"] for line in lines] == ["fetched", "fetched", "gone", "failed:http_302", "failed:connect"]
    assert [line["status"] for line in lines] == [200, 200, 404, 302, None]
    assert lines[1]["final_url"] == f"{site.url}/"
    assert base64.b64decode(lines[0]["body_b64"]).decode() == "héllo"
    assert ["Content-Type", "text/html; charset=utf-8"] in lines[0]["headers"]
    assert lines[4]["body_b64"] is None and lines[4]["error"]
    assert all(line["elapsed_ms"] >= 0 for line in lines)
    assert set(lines[0]) == {
        "url", "final_url", "outcome", "status", "headers", "body_b64", "error", "elapsed_ms"
    }  # fmt: skip


def test_fetch_prints_the_body_and_head_the_head(site: Any, hookline: Any) -> None:
    site.page("/", "hello")
    done = hookline("fetch", f"{site.url}/")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello", "")
    done = hookline("fetch", "--head", f"{site.url}/")
    assert done.returncode == 0 and done.stdout.startswith(f"HTTP 200 {site.url}/\n")
    assert site.log == ["GET /", "HEAD /"]
    assert hookline("fetch", "http://[").returncode == 2


# --- try -------------------------------------------------------------------------------------------------------------


def test_try_prints_the_items_of_one_page(site: Any, hookline: Any, tmp_path: Path) -> None:
    site.page("/x", PAGE)
    write(tmp_path, CONFIG.format(url=site.url))
    done = hookline("try", "shop.yaml", f"{site.url}/x")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"title": "A", "price": 2.5}]
    assert "page rule all: 1 items, 1 links" in done.stderr
    assert "1 dropped: where: price > 1" in done.stderr
    assert f"-> {site.url}/next?x=1 (all)" in done.stderr
    assert not (tmp_path / "out.jsonl").exists()
    assert json.loads(hookline("try", "shop.yaml", f"{site.url}/x", "--field", "title").stdout) == {"title": "A"}


def test_try_tells_what_went_wrong(site: Any, hookline: Any, tmp_path: Path) -> None:
    write(tmp_path, CONFIG.format(url=site.url))
    assert hookline("try", "shop.yaml", f"{site.url}/none").returncode == 4
    done = hookline("try", "shop.yaml", f"{site.url}/x", "--page", "nosuch")
    assert done.returncode == 2 and "the rules are all" in done.stderr


# --- plugin list, schema ---------------------------------------------------------------------------------------------


def test_plugin_list_names_what_is_installed(hookline: Any) -> None:
    rows = {row["name"]: row for row in json.loads(hookline("plugin", "list", "--json").stdout)}
    assert {"fields", "require", "where", "dedupe", "jsonl", "sqlite", "csv", "file", "demo-site"} <= set(rows)
    assert rows["jsonl"]["distribution"] == "hookline" and rows["jsonl"]["error"] is None
    assert "jsonl" in hookline("plugin", "list").stdout


def test_schema_is_a_json_schema_that_knows_the_keys(hookline: Any) -> None:
    schema = json.loads(hookline("schema").stdout)
    assert schema["type"] == "object"
    assert {"name", "seeds", "pages", "store", "fetch"} <= set(schema["properties"])


def test_version(hookline: Any) -> None:
    import pipeline

    assert hookline("--version").stdout.split() == ["hookline", pipeline.__version__]


@pytest.mark.parametrize(("error", "code"), [(RuntimeError("oops"), 70), (KeyboardInterrupt(), 130)])
def test_a_bug_of_ours_is_no_verdict(monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int) -> None:
    """Exit code 1 means that a check failed: a crash must not look like it."""
    from click.testing import CliRunner

    import pipeline.cli.schema
    from pipeline.cli import main

    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(pipeline.cli.schema, "json_schema", broken)
    done = CliRunner().invoke(main, ["schema"])
    assert done.exit_code == code
    assert ("Traceback" in done.stderr and "please report" in done.stderr) is (code == 70)


def test_unbalanced_books_end_with_70(monkeypatch: pytest.MonkeyPatch, site: Any, tmp_path: Path) -> None:
    """A request that gets two fates, or an item that vanishes, is noticed whatever else went well."""
    from pipeline import run
    from pipeline.crawl.frontier import Entry, Frontier
    from pipeline.model import PackedPage
    from pipeline.runner.books import Books

    site.page("/", PAGE)
    write(tmp_path, CONFIG.format(url=site.url))
    ended, taken = Frontier._end, Books.take_items

    def twice(self: Frontier, entry: Entry, fate: str) -> None:
        ended(self, entry, fate)
        self.fates[fate] += 1

    def lossy(self: Books, page: PackedPage) -> None:
        taken(self, page)
        self.extracted += 1

    for where, name, broken in ((Frontier, "_end", twice), (Books, "take_items", lossy)):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, broken)
            result = run(tmp_path / "shop.yaml")
        assert result.exit_code == 70
        assert any("the books do not balance" in error for error in result.summary.errors)
    assert run(tmp_path / "shop.yaml").exit_code == 0


def test_a_regular_expression_that_python_remarks_on_is_silent(hookline: Any, tmp_path: Path) -> None:
    text = CONFIG.format(url="http://127.0.0.1:1").replace("title: h2", "title: {css: h2, regex: '[[(]x'}")
    write(tmp_path, text + "limits: {pages: 1}\nfetch: {retry: {attempts: 1}}\n")
    assert "Warning" not in hookline("check", "shop.yaml").stderr
    done = hookline("run", "shop.yaml", "--workers", "1")
    assert done.returncode == 4
    assert "Warning" not in done.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux has no kqueue")
def test_check_finds_what_only_this_system_can_tell(hookline: Any, tmp_path: Path) -> None:
    for settings, key in (("{selector: kqueue}", "fetch.selector"), ("{tls: {ca_file: no.pem}}", "fetch.tls.ca_file")):
        write(tmp_path, BASE + f"fetch: {settings}\n")
        for command in ("check", "run"):
            done = hookline(command, "shop.yaml", cwd=tmp_path)
            assert done.returncode == 2 and f": {key}: " in done.stderr, done.stderr
