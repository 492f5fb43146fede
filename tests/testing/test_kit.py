"""The test kit: pages, whole runs, the scripted site, and that failures of its assertions say what to look at."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigError
from pipeline.model import Item
from pipeline.testing import (
    FakeSite,
    RunResult,
    close,
    drip,
    hang,
    make_page,
    parse_page,
    redirect,
    reset,
    run_config,
    status,
    truncate,
)

BOOKS: dict[str, Any] = {
    "fetch": {"retry": {"attempts": 1}},
    "pages": {"list": {"items": [{"type": "book", "each": "div", "fields": {"title": "h2"}}], "follow": ["a"]}},
}


# --- pages -----------------------------------------------------------------------------------------------------------


def test_a_page_is_what_hooks_get() -> None:
    page = make_page("<title>Ü</title><a href=x>", "http://a.test/b/", carry={"n": 1}, rule="list", status=203)
    assert page.css("title::text") == ["Ü"] and page.links == ["http://a.test/b/x"] and page.kind == "html"
    assert (page.status, page.rule, page.carry["n"], page.run.name if page.run else None) == (203, "list", 1, "test")


@pytest.mark.parametrize(
    ("body", "headers", "kind"),
    [
        ({"a": 1}, None, "json"),
        ([1], None, "json"),
        (b"\x00\x01", {"content-type": "image/png"}, "binary"),
        ("<rss></rss>", {"Content-Type": "application/rss+xml"}, "xml"),
    ],
)
def test_other_pages(body: Any, headers: dict[str, str] | None, kind: str) -> None:
    assert make_page(body, headers=headers).kind == kind


def test_one_page_through_a_config() -> None:
    config = {**BOOKS, "filter": [{"require": ["title"]}]}
    parsed = parse_page(config, "<div><h2>A</h2></div><div></div><a href=/x>")
    parsed.assert_items({"title": "A"})
    assert parsed.links == ["http://site.test/x"] and parsed.dropped == {"require: missing title": 1}


def test_a_page_of_another_rule_and_a_plugin_beside_it(tmp_path: Path) -> None:
    plugin = "from pipeline import hookimpl\n@hookimpl\ndef parse(page):\n    raise ValueError(page.rule)\n"
    config = {"pages": {"a": {"match": "/a"}, "b": {"match": "/b"}}, "plugins": ["./broken.py"]}
    parsed = parse_page(
        config, make_page("", "http://site.test/a", rule="b"), folder=tmp_path, files={"broken.py": plugin}
    )
    assert parsed.fate == "failed:plugin" and "broken.parse" in parsed.detail and "b" in parsed.detail
    with pytest.raises(AssertionError, match="failed:plugin"):
        parsed.assert_items({"x": 1})


def test_a_page_that_no_rule_fits() -> None:
    with pytest.raises(ConfigError, match="no page rule fits"):
        parse_page({"seeds": ["http://site.test/a"], "pages": {"a": {"match": "/a"}}}, "")


# --- whole runs ------------------------------------------------------------------------------------------------------


def test_a_run_with_every_fate(fake_site: FakeSite, run_config: Callable[..., RunResult]) -> None:
    fake_site.page("/", "<div><h2>A</h2></div>" + "".join(f"<a href=/{n}>x</a>" for n in "rbgnts"))
    fake_site.script("/r", redirect("/new"))
    fake_site.page("/new", "<div><h2>B</h2></div>")
    fake_site.script("/b", reset())
    fake_site.script("/g", status(410))
    fake_site.script("/n", close())
    fake_site.script("/t", truncate("<div><h2>half</h2></div>"))
    fake_site.script("/s", drip("<div><h2>C</h2></div>", size=8, every=0.001))
    result = run_config(
        {**BOOKS, "seeds": [fake_site.url + "/"], "checks": ["pages.failed <= 100%"], "store": [{"jsonl": "out.jsonl"}]}
    )
    expected = {
        "/": "fetched", "/r": "redirected", "/new": "fetched", "/g": "gone", "/t": "failed:truncated", "/s": "fetched",
    }  # fmt: skip
    assert {path: result.fate(path) for path in expected} == expected
    assert result.fate("/b").startswith("failed:") and result.fate("/n").startswith("failed:")
    result.assert_fate(fake_site.url + "/new", "fetched")
    assert {item["title"] for item in result.items_of("book")} == {"A", "B", "C"}
    fake_site.assert_asked("/new", times=1, headers={"Host": f"127.0.0.1:{fake_site.port}"})
    fake_site.assert_not_asked("/elsewhere")
    fake_site.assert_requests("/", "/r", "/new", "/b", "/g", "/n", "/t", "/s")


def test_a_script_is_followed_and_its_last_answer_stays(run_config: Callable[..., RunResult]) -> None:
    with FakeSite() as site:
        site.script("/", status(503), status(503), "<div><h2>A</h2></div>")
        config = {**BOOKS, "seeds": [site.url + "/"], "fetch": {"retry": {"attempts": 3, "base": "1ms"}}}
        result = run_config(config)
        result.assert_ok()
        result.assert_items(Item("book", title="A"))
        site.assert_asked("/", times=3)
        run_config(config).assert_items({"title": "A"})


def test_a_hanging_answer_times_out(run_config: Callable[..., RunResult]) -> None:
    with FakeSite() as site:
        site.script("/", hang())
        fetch = {"retry": {"attempts": 1}, "timeout": {"first_byte": "100ms"}}
        result = run_config({**BOOKS, "seeds": [site.url + "/"], "fetch": fetch})
    result.assert_exit(4)
    result.assert_fate("/", "failed:timeout")


def test_without_a_folder_there_is_one_while_the_result_lives() -> None:
    with FakeSite({"/": "<div><h2>A</h2></div>"}) as site:
        result = run_config({**BOOKS, "seeds": [site.url + "/"], "store": [{"jsonl": "out.jsonl"}]})
    assert result.read("out.jsonl") == '{"title":"A"}\n'
    folder = result.folder
    del result
    assert not folder.exists()


def test_a_wrong_config_is_refused_as_ever(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"test\.yaml:\d+:\d+: .*did you mean"):
        run_config({"page": {}}, folder=tmp_path)
    with pytest.raises(ConfigError):
        run_config({"page": {}})


# --- failures that say what to look at -------------------------------------------------------------------------------


def outcome(**more: Any) -> RunResult:
    with FakeSite({"/": "<div><h2>A</h2></div><div><h2>B</h2></div><a href=/gone>"}) as site:
        return run_config({**BOOKS, "seeds": [site.url + "/"], **more})


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (lambda r: r.assert_items({"title": "A"}), ["2 items, expected 1", "more than expected", "'B'"]),
        (lambda r: r.assert_items({"title": "A"}, {"title": "X"}), ["item 1 is another", "'B', expected 'X'"]),
        (lambda r: r.assert_items({"title": "A"}, {"name": "B"}), ["name: '(none)', expected 'B'"]),
        (lambda r: r.assert_items(*[{"title": t} for t in "ABC"]), ["missing", "'C'"]),
        (lambda r: r.assert_items({"title": "A"}, Item("film", title="B")), ["type 'book', expected 'film'"]),
        (lambda r: r.assert_fate("/gone", "fetched"), ["came to gone, expected fetched"]),
        (lambda r: r.fate("/nowhere"), ["no request for /nowhere", "/gone"]),
        (lambda r: r.assert_exit(3), ["ended with 0, expected 3"]),
    ],
)
def test_a_failed_assertion_says_what_came(check: Callable[[RunResult], Any], words: list[str]) -> None:
    result = outcome()
    with pytest.raises(AssertionError) as caught:
        check(result)
    assert not [word for word in words if word not in str(caught.value)], str(caught.value)


def test_a_failed_run_says_why() -> None:
    with pytest.raises(AssertionError, match=r"(?s)ended with 1, expected 0.*items >= 1.*2 dropped: where") as caught:
        outcome(filter=[{"where": "title == 'X'"}]).assert_ok()
    assert "gone" in str(caught.value)


def test_a_site_says_what_it_was_asked() -> None:
    with FakeSite() as site:
        with pytest.raises(AssertionError, match="was to be asked for, and was 0 times; the site was asked: nothing"):
            site.assert_asked("/x")
        with pytest.raises(AssertionError, match=r"missing: \['/x'\]"):
            site.assert_requests("/x")
        with pytest.raises(ValueError, match="at least one answer"):
            site.script("/x")


# --- it is no burden -------------------------------------------------------------------------------------------------


def test_the_pytest_plugin_imports_nothing_of_the_framework(installed: str) -> None:
    code = (
        "import sys, pytest; before = set(sys.modules)\n"
        "import pipeline.testing.pytest_plugin\n"
        "new = {n for n in set(sys.modules) - before if not n.startswith('pipeline')}\n"
        "print(sorted(n for n in sys.modules if n.startswith('pipeline')), sorted(new))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    ours, others = done.stdout.strip().rstrip("]").split("] [")
    assert ours == "['pipeline', 'pipeline.testing', 'pipeline.testing.pytest_plugin'"
    assert others == ""
    assert installed
