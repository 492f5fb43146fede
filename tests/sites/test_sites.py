"""Whole documentation sites through the command line: complete, no URL twice, books balanced, titles right."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.sites, pytest.mark.timeout(200)]

FATE_OF_STATUS = {200: "fetched", 301: "redirected", 404: "gone"}


@dataclass(frozen=True)
class Crawl:
    """What one run left behind."""

    output: bytes
    report: dict[str, Any]
    asked: Counter[tuple[str, int]]
    base: str

    def items(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.splitlines()]


Run = Callable[..., Crawl]


@pytest.fixture
def crawl(hookline: Callable[..., Any], nginx: Callable[..., Any], tmp_path: Path) -> Run:
    """`crawl(root, parser=..., selector=...)`: every page from `/`, one item a page, politeness as it comes."""

    def run(root: Path, *, parser: str = "auto", selector: str = "auto") -> Crawl:
        folder = tmp_path / f"{parser}-{selector}"
        folder.mkdir()
        with nginx(root) as served:
            config = {
                "name": "docs",
                "seeds": [f"{served.base}/"],
                "fetch": {"selector": selector},
                "pages": {
                    "page": {
                        "parser": parser,
                        "items": [{"fields": {"url": {"url": True}, "title": {"css": "title", "required": True}}}],
                        "follow": ["a", "area"],
                    }
                },
                "store": [{"jsonl": "out.jsonl"}],
            }
            (folder / "docs.yaml").write_text(json.dumps(config), encoding="utf-8")
            done = hookline("run", "docs.yaml", "--report", "report.json", cwd=folder, timeout=180)
        assert done.returncode == 0, done.stderr
        assert (done.stdout, done.stderr) == ("", ""), "silent when all is well, off a terminal"
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        return Crawl((folder / "out.jsonl").read_bytes(), report, served.asked(), served.base)

    return run


def assert_books_balance(report: dict[str, Any]) -> None:
    """Spec, section 3: every request has one fate, every link is new or a duplicate, every item went somewhere."""
    assert report["exit_code"] == 0
    assert report["discovered"] == sum(report["fates"].values())
    assert report["links"]["found"] == report["links"]["new"] + report["links"]["duplicate"]
    items = report["items"]
    assert items["extracted"] == items["stored"] + sum(items["dropped"].values()) + items["dead_lettered"]


@pytest.mark.parametrize("site", ["git", "python", "apache"])
def test_every_page_once_and_right(site: str, oracle: Callable[[str], Any], crawl: Run) -> None:
    known = oracle(site)
    done = crawl(known.root)

    expected = Counter({(path, facts["status"]): 1 for path, facts in known.urls.items()})
    expected["/robots.txt", 404] = done.report["robots_requests"]  # counted apart from the pages
    assert done.report["robots_requests"] == 1
    assert sorted(expected - done.asked) == [], "never asked for"
    assert sorted(done.asked - expected) == [], "asked for twice, or not reachable, or answered otherwise"

    assert_books_balance(done.report)
    fates = {fate: count for fate, count in done.report["fates"].items() if not fate.startswith("rejected:")}
    assert fates == Counter(FATE_OF_STATUS[facts["status"]] for facts in known.urls.values())

    titles = {item["url"].removeprefix(done.base): item["title"] for item in done.items()}
    assert len(titles) == len(done.items()) == done.report["items"]["stored"], "one item a page"
    sure = known.titles()
    assert {path: titles.get(path) for path in sure} == sure
    assert all(known.urls[path]["html"] for path in titles)


PARSERS_AND_SELECTORS = [
    pytest.param("git", {"parser": "lexbor"}, id="git-lexbor"),
    pytest.param("git", {"parser": "soup"}, id="git-soup"),
    pytest.param("git", {"selector": "select"}, id="git-select"),
    pytest.param("git", {"selector": "poll"}, id="git-poll"),
    pytest.param("git", {"selector": "epoll"}, id="git-epoll"),
    pytest.param("python", {"parser": "lexbor", "selector": "poll"}, id="python-lexbor-poll"),
]


@pytest.fixture(scope="module")
def outputs() -> dict[str, bytes]:
    """Outputs of runs with nothing set, by site: what every other way must give, byte for byte."""
    return {}


@pytest.mark.parametrize(("site", "chosen"), PARSERS_AND_SELECTORS)
def test_parser_and_selector_change_no_byte(
    site: str, chosen: dict[str, str], oracle: Callable[[str], Any], crawl: Run, outputs: dict[str, bytes]
) -> None:
    root = oracle(site).root
    if site not in outputs:
        outputs[site] = crawl(root).output
    other = crawl(root, **chosen)
    assert other.output == outputs[site]
    assert_books_balance(other.report)
