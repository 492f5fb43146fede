"""Checks, verdicts, drift, report and diff through the command line: what a night job's reader sees, and what stays."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipeline import run
from pipeline.checks.drift import Drift
from pipeline.checks.judge import Verdict
from pipeline.cli import main
from pipeline.cli.terminal import MOST_LINES, failure_lines, success_lines
from pipeline.runner.summary import Summary, UrlProblem

CONFIG = """
name: shop
seeds: [{{url: "{url}/", page: list}}]
fetch: {{robots: false, retry: {{attempts: 1}}, per_host: {{concurrency: 4}}}}
pages:
  list: {{match: "/", follow: [a]}}
  book:
    items:
      - {{type: book, key: [title], fields: {{title: h1, price: {{css: b.price, type: float}}}}}}
store: [jsonl: out.jsonl, csv: out.csv]
checks:
  - coverage.book.price >= 98%
  - items.book drop <= 20% vs median(7)
{more}
"""


class Shop:
    """A site with books, and its config in a folder."""

    def __init__(self, site: Any, folder: Path, hookline: Any) -> None:
        self.site, self.folder, self.config = site, folder, folder / "shop.yaml"
        self._hookline = hookline
        self.write()
        self.fill()

    def write(self, more: str = "", **replaced: str) -> None:
        text = CONFIG.format(url=self.site.url, more=more)
        for old, new in replaced.items():
            text = text.replace(old, new)
        self.config.write_text(text)

    def fill(self, books: int = 6, *, name: str = "price", by: float = 0.5) -> None:
        """Pages of books, whose price has this class and is a number and so much more."""
        self.site.pages.clear()
        self.site.page("/", "".join(f"<a href=/{number}>x</a>" for number in range(1, books + 1)))
        for number in range(1, books + 1):
            self.site.page(f"/{number}", f"<h1>Book {number}</h1><b class={name}>{number + by}</b>")

    def run(self) -> int:
        """A run in this very process."""
        return run(self.config).exit_code

    def __call__(self, word: str, *more: str, code: int = 0, env: Any = None) -> Any:
        """A command: a run in a process of its own, as cron starts it, and what only looks at the state in this one."""
        if word == "run":
            done = self._hookline(word, "shop.yaml", *more, env=env)
            assert done.returncode == code, (done.stdout, done.stderr)
            return done
        with chdir(self.folder):
            looked = CliRunner().invoke(main, [word, "shop.yaml", *more])
        assert looked.exit_code == code, (looked.stdout, looked.stderr)
        return looked

    def outputs(self) -> dict[str, bytes]:
        return {name: (self.folder / name).read_bytes() for name in ("out.jsonl", "out.csv")}

    def prices(self) -> list[float | None]:
        return [json.loads(line)["price"] for line in (self.folder / "out.jsonl").read_text().splitlines()]

    def report(self, *words: str) -> Any:
        return json.loads(self("report", *words, "--format", "json").stdout)


@pytest.fixture
def shop(site: Any, tmp_path: Path, hookline: Any) -> Shop:
    return Shop(site, tmp_path, hookline)


# --- what must hold --------------------------------------------------------------------------------------------------


def test_a_class_is_renamed_and_later_the_selector_is_repaired(shop: Shop) -> None:
    assert shop("run").stderr == ""
    good = shop.outputs()
    shop.fill(name="amount")
    failed = shop("run", code=1)
    assert (
        "coverage.book.price >= 98%: expected at least 98 %, got 0 % (0 of 6), before 100 % (6 of 6)" in failed.stderr
    )
    assert failed.stdout == "" and len(failed.stderr.splitlines()) <= MOST_LINES
    assert failed.stderr.splitlines()[-3:] == [
        f"  next: hookline try shop.yaml {shop.site.url}/1 --page book --explain",
        "  all that was found: hookline report shop.yaml",
        "  to publish the result all the same: hookline publish shop.yaml --force",
    ]
    explained = shop("try", f"{shop.site.url}/1", "--page", "book", "--explain").stdout
    assert "`b.price` matches nothing" in explained
    assert shop.outputs() == good
    shop.write(**{"b.price": "b.amount"})  # nothing changes on the site
    assert shop("run").stderr == ""
    assert shop.outputs() == good and shop.prices() == [1.5, 2.5, 3.5, 4.5, 5.5, 6.5]


def test_the_site_disappears(shop: Shop) -> None:
    assert shop.run() == 0
    good = shop.outputs()
    shop.site.close()
    failed = shop("run", code=4)
    assert "the source is unavailable" in failed.stderr and len(failed.stderr.splitlines()) <= MOST_LINES
    assert shop.outputs() == good
    assert shop.report()["checks"] == []


def test_half_of_the_site_answers_500_and_the_other_half_is_a_candidate(shop: Shop) -> None:
    assert shop.run() == 0
    good = shop.outputs()
    shop.fill(by=0.75)
    for number in (4, 5, 6):
        shop.site.page(f"/{number}", "out of order", status=500)
    failed = shop("run", code=1)
    expected = "pages.failed <= 10%: expected at most 10 %, got 42.86 % (3 of 7 requests sent), before 0 % (0 of 7"
    assert expected in failed.stderr and "3 x failed:http_500" in failed.stderr
    assert shop.outputs() == good
    candidate, published = json.loads(shop("runs", "--json").stdout)
    assert (candidate["status"], published["status"]) == ("candidate", "published")
    assert (candidate["items"], candidate["changed"]) == (6, 3)
    assert [check["check"] for check in candidate["checks"] if not check["passed"]] == ["pages.failed <= 10%"]
    refused = shop("publish", code=1)
    assert expected in refused.stderr and shop.outputs() == good
    assert "is published, 6 items" in shop("publish", "--force").stderr
    assert shop.prices() == [1.75, 2.75, 3.75, 4.5, 5.5, 6.5]
    assert shop("publish", "--force").stderr.strip() == "shop: nothing to publish: no result was kept back"


# --- verdicts --------------------------------------------------------------------------------------------------------


def test_published_all_the_same(shop: Shop) -> None:
    shop.write("on_check_failure: publish")
    assert shop.run() == 0
    shop.fill(name="amount")
    failed = shop("run", code=1)
    assert "published all the same" in failed.stderr and "--force" not in failed.stderr
    assert shop.prices() == [None] * 6
    assert [row["status"] for row in json.loads(shop("runs", "--json").stdout)] == ["published"] * 2


def test_published_all_the_same_also_by_the_process_after_a_killed_one(shop: Shop) -> None:
    shop.write("on_check_failure: publish", **{"b.price": "b.nothing"})
    killed = shop("run", code=-signal.SIGKILL, env={"HOOKLINE_FAILPOINT": "after_journal:kill"})
    assert killed.stdout == ""
    again = shop("run", code=1)
    assert "coverage.book.price" in again.stderr and shop.prices() == [None] * 6


def test_a_drop_is_judged_from_the_third_published_run_on(shop: Shop) -> None:
    told = []
    for _ in range(4):
        assert shop.run() == 0
        told.append(shop_verdict(shop, "items.book drop"))
    assert [verdict.get("skipped", False) for verdict in told] == [True, True, True, False]
    assert told[2]["message"] == "not judged: it needs 3 published runs, there are 2; got 6"
    shop.fill(4)
    assert shop.run() == 1, "a drop by a third"
    expected = "expected at most 20 % below 6, the median of 4 published runs, got 4, 33.33 % below, before 6"
    assert shop_verdict(shop, "items.book drop")["message"] == expected
    lines = shop("runs").stdout.splitlines()
    assert lines[2] == f"  items.book drop <= 20% vs median(7): {expected}" and len(lines) == 1 + 5 + 1


def shop_verdict(shop: Shop, check: str) -> Any:
    """A verdict of the last run, from the state."""
    from pipeline.cli.report import _row
    from pipeline.config import load

    summary = _row(load(shop.config), None).summary
    assert summary is not None
    return next(verdict for verdict in summary["checks"] if verdict["check"].startswith(check))


def test_what_a_required_field_costs_is_told(shop: Shop) -> None:
    shop.write(**{"type: float}": "type: float, required: true}"})
    assert shop.run() == 0
    shop.fill(name="amount")
    failed = shop("run", code=1).stderr
    assert (
        "coverage.book.price >= 98%: expected at least 98 %, got no items of type book, before 100 % (6 of 6)" in failed
    )
    assert "  6 x item dropped, fields: missing price" in failed.splitlines()
    assert f"  next: hookline try shop.yaml {shop.site.url}/1 --page book --explain" in failed.splitlines()


def test_the_checks_in_force_are_told(shop: Shop) -> None:
    told = "  checks: coverage.book.price >= 98%, items.book drop <= 20% vs median(7), pages.failed <= 10%"
    assert told in shop("check").stdout.splitlines()
    assert shop("check", "--set", "checks=[pages.gone < 5]", "--format", "json").stdout.count(
        "no type of items vanishes"
    )


PENS = "      - {type: pen, fields: {ink: {css: u, required: true}}}\n"


def test_a_type_may_not_vanish_unless_nobody_asks_for_it_any_more(shop: Shop) -> None:
    with_pens = shop.config.read_text().replace("store:", f"{PENS}store:").replace("  - items.book drop", "#")
    shop.config.write_text(with_pens.replace(", csv: out.csv", ""))
    shop.site.page("/6", "<h1>Book 6</h1><b class=price>6.5</b><u>blue</u>")
    assert shop.run() == 0
    shop.fill()
    failed = shop("run", code=1)
    assert "no type of items vanishes: expected items of every type that was published, got no pen, before 1 pen" in (
        failed.stderr
    )
    assert f"hookline try shop.yaml {shop.site.url}/1 --page book --explain" in failed.stderr
    shop.config.write_text(shop.config.read_text().replace(PENS, ""))
    assert shop.run() == 0


def test_the_page_that_shows_why_is_one_of_this_run(shop: Shop) -> None:
    """A book that never had a price stands first, and was not fetched anew: what is new about the site is elsewhere."""
    shop.write(**{"98%": "80%", "    items:\n": "    revisit: 1h\n    items:\n"})
    shop.site.page("/1", "<h1>Book 1</h1>")
    assert shop.run() == 0
    for number in range(7, 12):
        shop.site.page(f"/{number}", f"<h1>Book {number}</h1>")
    shop.site.page("/", "".join(f"<a href=/{number}>x</a>" for number in range(1, 12)))
    assert shop.run() == 1
    (failed,) = (each for each in shop.report()["checks"] if not each["passed"])
    assert (failed["url"], failed["rule"]) == (f"{shop.site.url}/10", "book")
    assert f"; see {shop.site.url}/10\n" in shop("report").stdout


# --- drift -----------------------------------------------------------------------------------------------------------


def test_drift_is_in_the_report_before_a_check_fails_and_nowhere_else(shop: Shop) -> None:
    shop.write(**{">= 98%": ">= 50%"})
    shop.fill(24)
    assert shop.run() == 0
    for number in range(1, 4):
        shop.site.page(f"/{number}", f"<h1>Book {number}, with a very long title that it did not have</h1>")
    for number in range(4, 25):
        shop.site.page(f"/{number}", f"<h1>{number} of the books, now told at great length</h1><b class=price>1</b>")
    done = shop("run", "--report", "report.json")
    assert (done.stdout, done.stderr) == ("", "")
    told = json.loads((shop.folder / "report.json").read_text())
    assert [one["message"] for one in told["drift"]] == [
        "mean length of book.title went from 6.6 to 42.0",
        "coverage of book.price fell from 100 % to 87.5 %",
    ]
    assert told["fields"]["book"]["price"]["filled"] == 21 and told["items"]["by_type"] == {"book": 24}
    text = shop("report").stdout
    assert "  coverage of book.price fell from 100 % to 87.5 %" in text.splitlines()


def test_a_terminal_is_told_of_drift_too() -> None:
    told = Summary("0", "shop", "r1", "", "shop.yaml", fates={"fetched": 3}, published=True)
    assert len(success_lines(told)) == 1
    told.drift = [Drift(f"items.{kind}", 9, 1, f"items of type {kind}\x1b fell from 9 to 1") for kind in "abcdefg"]
    lines = success_lines(told)
    assert lines[1] == "  drift: items of type a\\x1b fell from 9 to 1" and lines[-1] == "  ... and 2 more"


def test_however_much_is_wrong_ten_lines_tell_it() -> None:
    told = Summary("0", "shop", "r1", "", "shop.yaml", exit_code=1)
    told.checks = [Verdict(f"items.{number} >= 1", False, "expected at least 1, got 0") for number in range(30)]
    told.drift = [Drift("coverage.book.price", 1, 0, "coverage of book.price fell from 100 % to 0 %")]
    told.problems = [UrlProblem("http://a/1", "gone", "HTTP 404")]
    assert failure_lines(told, config="shop.yaml", report=None)[-2] == "  next: hookline report shop.yaml"
    lines = failure_lines(told, config="shop.yaml", report="report.json")
    assert len(lines) == MOST_LINES and lines[1] == "  items.0 >= 1: expected at least 1, got 0"
    assert lines[-1] == "  to publish the result all the same: hookline publish shop.yaml --force"
    told.checks = told.checks[:1]
    assert "  drift: coverage of book.price fell from 100 % to 0 %" in failure_lines(told, config="x", report=None)


def test_a_store_process_gives_the_same_figures(shop: Shop) -> None:
    one = run(shop.config).summary.fields
    assert run(shop.config, overrides={"workers": "1"}).summary.fields == one
    assert one["book"]["price"].types == {"float": 6}


# --- report ----------------------------------------------------------------------------------------------------------


def test_the_report_of_a_run_is_there_later(shop: Shop) -> None:
    assert shop("report").stderr == "shop: no run yet\n"
    shop("run", "--report", "report.json")
    written = json.loads((shop.folder / "report.json").read_text())
    assert shop.report() == written == shop.report(written["run"][:20])
    lines = shop("report").stdout.splitlines()
    assert lines[0].startswith(f"shop: run {written['run']}, published, exit 0, took ")
    assert "  passed  coverage.book.price >= 98%: expected at least 98 %, got 100 % (6 of 6)" in lines
    assert ["price", "100", "%", "float"] in [line.split() for line in lines]
    unknown = shop("report", "2027", code=2).stderr
    assert "there is no run '2027'" in unknown and written["run"] in unknown


def test_a_run_that_has_not_ended_has_no_report_yet(shop: Shop) -> None:
    shop("run", code=-signal.SIGKILL, env={"HOOKLINE_FAILPOINT": "before_stage:kill"})
    assert shop("report").stderr == "shop: no run has ended yet\n"
    assert "has no report yet" in shop("report", "2", code=2).stderr


# --- diff ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def history(shop: Shop) -> Callable[[], list[str]]:
    """The ids of the runs, oldest first."""
    return lambda: [row["id"] for row in reversed(json.loads(shop("runs", "--json").stdout))]


def test_what_changed_by_key_and_field(shop: Shop, history: Any) -> None:
    assert shop("diff").stderr == "shop: nothing to compare: no run yet\n"
    assert shop.run() == 0
    assert "only one result was published yet" in shop("diff").stderr
    shop.site.page("/2", "<h1>Book 2</h1><b class=price>9</b>")
    shop.site.page("/3", "<h1>Book 3b</h1><b class=price>3.5</b>")
    assert shop.run() == 0
    first, second = history()
    assert shop("diff").stdout.splitlines() == [
        f"shop: {first} -> {second}: 1 new, 1 changed, 1 gone",
        '~ book title="Book 2"',
        "    price: 2.5 -> 9.0",
        '+ book title="Book 3b"',
        "    price: 3.5",
        '- book title="Book 3"',
        "    price: 3.5",
    ]
    shop.fill()
    assert shop.run() == 0
    third = history()[-1]
    assert shop("diff", first, third).stdout == f"shop: {first} -> {third}: 0 new, 0 changed, 0 gone\n"
    back = json.loads(shop("diff", third, second, "--format", "json").stdout)
    assert (back["from"], back["to"], back["complete"]) == (third, second, True)
    assert (back["new"], back["changed"], back["gone"]) == (1, 1, 1)
    changed = next(one for one in back["changes"] if one["change"] == "changed")
    assert (changed["key"], changed["before"], changed["after"]) == (
        {"title": "Book 2"},
        {"price": 2.5},
        {"price": 9.0},
    )


def test_only_published_runs_are_compared(shop: Shop, history: Any) -> None:
    assert shop.run() == shop.run() == 0
    shop.fill(name="amount")
    assert shop.run() == 1
    first, second, third = history()
    refused = shop("diff", first, third, code=2).stderr
    assert f"run {third} was not published (candidate)" in refused and second in refused
    assert "there is no run 'x'" in shop("diff", "x", code=2).stderr
    assert shop("diff").stdout.startswith(f"shop: {first} -> {second}: 0 new")


def test_changes_are_kept_by_a_publish_that_was_killed(shop: Shop) -> None:
    assert shop.run() == 0
    shop.fill(by=0.25)
    shop("run", code=-signal.SIGKILL, env={"HOOKLINE_FAILPOINT": "before_promote:kill"})
    shop("run")
    assert shop("diff").stdout.splitlines()[0].endswith(": 0 new, 6 changed, 0 gone")
