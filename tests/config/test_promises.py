# ruff: noqa: E501 - messages stand here in one line, as they are printed
"""`checks:` in a config: each mistake with its place, down to the character; what only plugins give stays possible."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import load
from pipeline.errors import ConfigError

BASE = """\
name: x
seeds: [https://a.example/, {url: "https://a.example/q", page: q}]
pages:
  p:
    items:
      - {type: book, fields: {title: h1, list price: b}}
  q:
    items: [{type: book, fields: {upc: i}}, {type: pen, fields: {ink: u}}]
"""

MISTAKES = [
    ("checks: items >= 1\n", ["x.yaml:9:9: checks: expected a list, found 'items >= 1'; write it as a list: [...]"]),
    ("checks: [{items: 1}]\n", ["x.yaml:9:10: checks.0: expected text, found a mapping"]),
    ("checks: [5]\n", ["x.yaml:9:10: checks.0: expected items, coverage or pages, found '5'; as in: items >= 100"]),
    ("checks:\n  - items.bok >= 900\n", ["x.yaml:10:11: checks.0: expected a type of items of a page rule, found 'bok'; did you mean 'book'?"]),
    ("checks:\n  - items.cat >= 900\n", ["x.yaml:10:11: checks.0: expected a type of items of a page rule, found 'cat'; there are: book, pen"]),
    ("checks:\n  - 'coverage.book.tilte >= 9%'\n", ["x.yaml:10:20: checks.0: expected a field of type book, found 'tilte'; did you mean 'title'?"]),
    ('checks:\n  - coverage.pen."list price" >= 9%\n', ["x.yaml:10:19: checks.0: expected a field of type pen, found 'list price'; there are: ink"]),
    ("checks: [items >= 1, pages.faild <= 2%]\n", ["x.yaml:9:28: checks.1: expected a fate of requests, found 'faild'; did you mean 'failed'?"]),
    ("checks:\n  - items.book >= 98%\n  - coverage.book.upc >= 98\n", [
        "x.yaml:10:19: checks.0: expected a number of items, found '98 %'; for the share of items with a field write coverage.TYPE.FIELD",
        "x.yaml:11:26: checks.1: expected a percentage such as 98%, found '98'; did you mean '98%'?",
    ]),
    ("vars: {n: 5}\nchecks:\n  - items.book >= ${n}%\n", ["x.yaml:11:5: checks.0: expected a number of items, found '5 %'; for the share of items with a field write coverage.TYPE.FIELD"]),
    ("checks: ['items >= ${SECRET}']\n", ["x.yaml:9:10: checks.0: expected a check, found a value that is not shown; it came from the environment"]),
    ("filter: [{currency: {to: eur}}]\nchecks: [items.bok >= 1]\n", ["x.yaml:10:16: checks.0: expected a type of items of a page rule, found 'bok'; did you mean 'book'?"]),
    ("filter: [dedupe, {require: [title], items: book}]\nchecks: [coverage.pen.inc > 1%]\n", ["x.yaml:10:23: checks.0: expected a field of type pen, found 'inc'; did you mean 'ink'?"]),
    ("checks:\n  - >-\n    items.book\n    > nine\n", ["x.yaml:10:5: checks.0: expected a number or a percentage such as 98%, found 'nine'"]),
    ("checks:\n  - |\n    items.book > nine\n", ["x.yaml:10:5: checks.0: expected a number or a percentage such as 98%, found 'nine'"]),
    ('checks: ["items.b\\u006fok > nine"]\n', ["x.yaml:9:10: checks.0: expected a number or a percentage such as 98%, found 'nine'"]),
    ("checks: [items.book\n    > nine]\n", ["x.yaml:9:10: checks.0: expected a number or a percentage such as 98%, found 'nine'"]),
    ("checks: [&enough  items > nine, *enough]\n", [
        "x.yaml:9:27: checks.0: expected a number or a percentage such as 98%, found 'nine'",
        "x.yaml:9:27: checks.1: expected a number or a percentage such as 98%, found 'nine'",
    ]),
    ("on_check_failure: publsh\n", ["x.yaml:9:19: on_check_failure: expected keep_last_good or publish, found 'publsh'; did you mean 'publish'?"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), MISTAKES)
def test_mistakes_are_told_where_they_stand(tmp_path: Path, text: str, told: list[str]) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(BASE + text)
    with pytest.raises(ConfigError) as caught:
        load(file, environ={"SECRET": "hunter2%"})
    assert [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems] == told


def test_a_mistake_in_a_check_from_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(BASE)
    with pytest.raises(ConfigError) as caught:
        load(file, {"checks": "[items >> 2, items.bok >= 1]"})
    assert [str(problem) for problem in caught.value.problems] == [
        "--set checks: checks.0: expected >=, <=, >, <, == or drop, found '>>'",
        "--set checks: checks.1: expected a type of items of a page rule, found 'bok'; did you mean 'book'?",
    ]


FINE = [
    "checks: [items.book >= 1, coverage.book.title >= 1%, coverage.book.upc >= 1%, 'coverage.book.\"list price\" > 0%']",
    "plugins: [./any.py]\nchecks: [items.bok >= 1, coverage.book.tilte >= 98%]",
    "parse: [any]\nchecks: [items.bok >= 1]",
    "filter: [currency: {to: eur}]\nchecks: [coverage.book.price_eur >= 98%]",
    "filter: [currency]\nchecks: [coverage.book.price_eur >= 98%]",
    "checks: null",
]


@pytest.mark.parametrize("text", FINE)
def test_what_plugins_may_give_is_possible(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.yaml").write_text(BASE + text)
    loaded = load(tmp_path / "x.yaml", environ={})
    assert not [note for note in loaded.notes if "checks" in str(note)]
