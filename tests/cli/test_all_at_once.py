"""All mistakes of a config in one look, whoever finds them: models, plugins, networks, tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import main

WRONG = """\
name: multi
seeds: [https://x.example/, "nothing.at.all"]
fetch: {concurency: 3, proxy: "ftp://p.example"}
pages:
  list:
    items:
      - each: "div..quote"
        fields:
          text: "span:nosuch"
          number: {css: b, type: integer}
          amount: {css: i, regex: "(", type: float}
    follow: ["a[href"]
filter:
  - where: "price >"
  - requir: [x]
store:
  - jsonl: {pth: a.jsonl}
"""


def told(folder: Path, text: str, command: str = "check") -> list[str]:
    """Line, column and key of each mistake, as the command tells them."""
    file = folder / "multi.yaml"
    file.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(main, [command, str(file)])
    assert result.exit_code == 2, result.output
    lines = [line.removeprefix(f"{file}:") for line in result.output.splitlines() if line.startswith(str(file))]
    return [" ".join(line.split(": ")[:2]) for line in lines]


ALL = [
    "2:29 seeds.1",
    "3:9 fetch.concurency",
    "3:31 fetch.proxy",
    "7:15 pages.list.items.0.each",
    "9:17 pages.list.items.0.fields.text.css",
    "10:34 pages.list.items.0.fields.number.type",
    "11:35 pages.list.items.0.fields.amount.regex",
    "12:14 pages.list.follow.0.css",
    "14:12 filter.0.where",
    "15:13 filter.1.requir",
    "17:12 store.0.jsonl",
    "17:18 store.0.jsonl.pth",
]


def test_mistakes_of_all_kinds_are_told_together_in_the_order_of_the_file(tmp_path: Path) -> None:
    assert told(tmp_path, WRONG) == ALL


def test_run_tells_them_too(tmp_path: Path) -> None:
    assert told(tmp_path, WRONG, "run")[:3] == ALL[:3]


@pytest.mark.parametrize(
    ("wrong", "left"),
    [
        ("fields: {a: h1, b: {css: h2, typ: int}}", "where: 'exists(b)'"),  # the field is there, only wrong
        ("fields: {a: h1}\n        eech: p", "where: 'a == a'"),
    ],
)
def test_what_was_taken_away_is_not_missed(tmp_path: Path, wrong: str, left: str) -> None:
    text = f"name: n\nseeds: [https://x.example/]\npages:\n  p:\n    items:\n      - {wrong}\nfilter: [{{{left}}}]\n"
    assert len(told(tmp_path, text)) == 1


def test_a_mistake_within_an_element_of_a_list_hides_none_of_the_others(tmp_path: Path) -> None:
    text = (
        "name: n\nseeds: [https://x.example/]\npages: {p: {follow: ['a[', {css: b, limt: 3}, 'c[']}}\n"
        "filter: [{where: 'x ='}]\n"
    )
    follow = ["3:22 pages.p.follow.0.css", "3:37 pages.p.follow.1.limt", "3:47 pages.p.follow.2.css"]
    assert told(tmp_path, text) == [*follow, "4:18 filter.0.where"]


def test_what_is_told_behind_a_wrong_element_of_a_list_has_its_own_number(tmp_path: Path) -> None:
    text = "name: n\nseeds: [https://x.example/]\npages: {p: {follow: ['a[', [], 'c[']}}\n"
    follow = ["3:22 pages.p.follow.0.css", "3:28 pages.p.follow.1", "3:32 pages.p.follow.2.css"]
    assert told(tmp_path, text) == follow


def test_a_config_of_which_nothing_can_be_made_says_why(tmp_path: Path) -> None:
    assert told(tmp_path, "seeds: 3\npages: {p: {follow: ['a[']}}\n") == ["1:1 name", "1:8 seeds"]


def test_seeds_tests_and_selectors_in_one_look(tmp_path: Path) -> None:
    text = (
        "name: n\nseeds: [{file: missing.txt}]\npages: {p: {items: [{fields: {a: 'h1['}}]}}\n"
        "tests: [{name: t, page: p, url: 'https://x.example/', fixture: gone.html, expect: {}}]\n"
    )
    keys = [one.split(" ")[1] for one in told(tmp_path, text)]
    assert "pages.p.items.0.fields.a.css" in keys
    assert any(key.startswith("tests.0") for key in keys)


def test_seeds_are_looked_at_whatever_else_is_wrong(tmp_path: Path) -> None:
    seeds = "['no thing', {file: missing.txt}, {url: 'https://x.example/', page: gone}]"
    text = f"name: n\nseeds: {seeds}\npages: {{p: {{}}}}\n"
    assert [one.split(" ")[1] for one in told(tmp_path, text)] == ["seeds.0", "seeds.1.file", "seeds.2.page"]
