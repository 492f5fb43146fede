"""Nightly runs as cron makes them: of a site that stays the same, of one that changes, of a config that is repaired."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Answer, Command, Site
from tests.runner.test_revisits import versioned

LIST = "".join(f'<a class=book href="/detail/{number}">x</a>' for number in range(1, 7))
DETAIL = "<h1>Book {0}</h1><b class=price>{0}.50</b>"

CONFIG = """
name: shop
workers: {workers}
seeds: [{url}/]
fetch: {{retry: {{attempts: 1}}}}
pages:
  detail:
    match: "/detail/*"
    items:
      - type: book
        key: [title]
        fields:
          title: h1
          price: {{css: {price}, type: float, required: true}}
  list:
    follow: [a.book]
store:
  - jsonl: out/books.jsonl
  - csv: out/books.csv
"""


def put(site: Site, name: str = "price") -> None:
    """The shop, each page with a validator that changes when it does."""
    bodies = {"/": LIST, **{f"/detail/{number}": DETAIL.format(number) for number in range(1, 7)}}
    for path, body in bodies.items():
        named = body.replace("price", name)
        site.pages[path] = versioned(named, etag=f'"{len(named)}"')


class Shop:
    """A folder with the config, and the runs in it."""

    def __init__(self, hookline: Command, site: Site, folder: Path, workers: int = 0) -> None:
        self.hookline, self.site, self.folder, self.workers = hookline, site, folder, workers
        self.configure(".price")
        put(site)

    def configure(self, price: str) -> None:
        text = CONFIG.format(url=self.site.url, workers=self.workers, price=price)
        (self.folder / "shop.yaml").write_text(text)

    def run(self) -> tuple[int, str, dict[str, Any]]:
        """(exit code, all that was said, the report)"""
        self.site.seen.clear()
        done = self.hookline("run", "shop.yaml", "--report", "report.json")
        return done.returncode, done.stdout + done.stderr, json.loads((self.folder / "report.json").read_text())

    @property
    def output(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.folder / "out").iterdir()}

    @property
    def titles(self) -> list[str]:
        return [json.loads(line)["title"] for line in self.output["books.jsonl"].splitlines()]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unchanged_site_then_a_page_that_is_removed_then_a_listing_that_fails(
    hookline: Command, site: Site, tmp_path: Path, workers: int
) -> None:
    shop = Shop(hookline, site, tmp_path, workers)
    assert shop.run()[:2] == (0, "")
    before = shop.output
    code, said, report = shop.run()
    assert (code, said, report["fates"]) == (0, "", {"not_modified": 7})
    assert len(site.seen) == 8 and all("If-None-Match" in asked for path, asked in site.seen if path != "/robots.txt")
    assert shop.output == before
    site.pages["/detail/3"] = (404, {}, "")
    code, said, report = shop.run()
    assert (code, said, report["fates"]) == (0, "", {"gone": 1, "not_modified": 6})
    assert shop.titles == [f"Book {number}" for number in (1, 2, 4, 5, 6)]
    before = shop.output
    site.pages["/"] = (500, {}, "")
    code, said, report = shop.run()
    assert (code, report["fates"]) == (4, {"failed:http_500": 1}), said
    assert shop.output == before


def test_a_selector_is_repaired_and_nothing_changes_on_the_site(hookline: Command, site: Site, tmp_path: Path) -> None:
    shop = Shop(hookline, site, tmp_path)
    assert shop.run()[0] == 0
    before = shop.output
    put(site, "cost")
    code, said, report = shop.run()
    assert (code, report["fates"]) == (1, {"fetched": 6, "not_modified": 1}) and "items" in said
    assert shop.output == before
    shop.configure(".cost")
    code, said, report = shop.run()
    assert (code, said, report["fates"]) == (0, "", {"fetched": 6, "not_modified": 1})
    assert not any("If-None-Match" in asked for path, asked in site.seen if path.startswith("/detail"))
    assert shop.output == before and report["items"]["unchanged"] == 6


def test_revisit_and_full_refresh(hookline: Command, site: Site, tmp_path: Path) -> None:
    shop = Shop(hookline, site, tmp_path)
    text = (tmp_path / "shop.yaml").read_text().replace('match: "/detail/*"', 'match: "/detail/*"\n    revisit: 6h')
    (tmp_path / "shop.yaml").write_text(text)
    assert shop.run()[0] == 0
    code, said, report = shop.run()
    assert (code, said, report["fates"]) == (0, "", {"not_due": 6, "not_modified": 1})
    done = hookline("run", "shop.yaml", "--full-refresh", "--report", "report.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "report.json").read_text())["fates"] == {"fetched": 7}


def test_half_of_the_site_fails(hookline: Command, site: Site, tmp_path: Path) -> None:
    """The other half is unchanged: nothing is published, and what failed is not taken away later either."""
    shop = Shop(hookline, site, tmp_path)
    shop.run()
    before = shop.output
    failing: Answer = (500, {}, "")
    for number in (1, 2, 3):
        site.pages[f"/detail/{number}"] = failing
    code, said, report = shop.run()
    assert (code, report["fates"]) == (1, {"failed:http_500": 3, "not_modified": 4}) and "pages.failed" in said
    assert shop.output == before
