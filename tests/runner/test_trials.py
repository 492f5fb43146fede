"""A config's own tests: what counts as the same value, and what is said of what differs."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.loader import load
from pipeline.config.nodes import Float, Int
from pipeline.errors import ConfigError
from pipeline.runner.build import new_run
from pipeline.runner.plugging import load_host
from pipeline.runner.trials import Trial, run_trials, same, unfit_tests, updated

CONFIG = """
name: shop
seeds: [https://a.example/list/1]
pages:
  list:
    match: /list/**
    items:
      - {type: book, each: li, fields: {title: b, price: {css: i, type: decimal}, by: {carry: by}}}
filter:
  - dedupe: {by: [title]}
"""
PAGE = "<ul><li><b>A</b><i>1.50</i></li><li><b>A</b><i>3</i></li><li><b>B</b></li></ul>"


def trials(folder: Path, test: str, page: str = PAGE, name: str = "page.html") -> list[Trial]:
    (folder / name).write_text(page, encoding="utf-8")
    file = folder / "shop.yaml"
    file.write_text(CONFIG + f"tests:\n  - {test}\n", encoding="utf-8")
    loaded = load(file)
    assert not unfit_tests(loaded)
    return list(run_trials(loaded, load_host(loaded, new_run("shop"), dry_run=True)))


def said(folder: Path, expect: str, more: str = "") -> list[str]:
    test = f"{{url: 'https://a.example/list/1', fixture: page.html, expect: {expect}{more}}}"
    return [one.text for one in trials(folder, test)[0].differences]


SAID: list[tuple[str, list[str]]] = [
    ("{book: [{title: A, price: 1.5}, {title: B}]}", []),
    ("{book: [{title: A, price: 1.50}, {}]}", []),
    ("{}", ["no items are expected, found 2 of type book"]),
    ("{book: [{title: A}, {title: C}]}", ["book 2: title: expected 'C', found 'B'"]),
    (
        "{book: [{price: 2}, {price: 0}]}",
        ["book 1: price: expected 2, found 1.50", "book 2: price: expected 0, found null"],
    ),
    (
        "{book: []}",
        [
            "book: expected 0 items, found 2",
            'book 1: not expected: {"title":"A","price":1.50,"by":null}',
            'book 2: not expected: {"title":"B","price":null,"by":null}',
        ],
    ),
    (
        "{book: [{title: A}, {title: B}, {title: C}]}",
        [
            "book: expected 3 items, found 2",
            'book 3: expected {"title":"C"}, found nothing',
        ],
    ),
    ("{book: [{by: Ann}, {by: Ann}]}, carry: {by: Ann}", []),
]
MANY = "<ul>" + "".join(f"<li><b>{name}</b></li>" for name in "ABCDEF") + "</ul>"


@pytest.mark.parametrize(("expect", "lines"), SAID, ids=[case[0] for case in SAID])
def test_what_differs_is_said(expect: str, lines: list[str], tmp_path: Path) -> None:
    assert said(tmp_path, expect) == lines


def test_of_many_items_that_nobody_expects_a_few_are_shown(tmp_path: Path) -> None:
    test = "{url: 'https://a.example/list/1', fixture: page.html, expect: {book: [{title: A}]}}"
    told = [one.text for one in trials(tmp_path, test, MANY)[0].differences]
    assert told == [
        "book: expected 1 item, found 6",
        *[f'book {n}: not expected: {{"title":"{name}"}}' for n, name in ((2, "B"), (3, "C"), (4, "D"))],
        "book 5 to 6: not expected",
    ]


def test_a_difference_stands_where_it_is_expected(tmp_path: Path) -> None:
    test = "{url: 'https://a.example/list/1', fixture: page.html, expect: {book: [{title: A}, {title: C}]}}"
    [one] = trials(tmp_path, test)[0].differences
    line = (tmp_path / "shop.yaml").read_text(encoding="utf-8").splitlines()[one.mark.line - 1]
    assert line[one.mark.column - 1 :].startswith("C}")


def test_a_page_that_is_none_fails(tmp_path: Path) -> None:
    test = "{url: 'https://a.example/list/1', fixture: page.html, expect: {book: []}}"
    [trial] = trials(tmp_path, test, "GIF89a\x01\x00\x01\x00")
    assert trial.items is None
    assert trial.differences[0].text.startswith("the page ends rejected:type: ")


def test_the_type_of_the_page_may_be_said(tmp_path: Path) -> None:
    test = "{url: 'https://a.example/list/1', fixture: page.html, content_type: application/json, expect: {book: []}}"
    assert trials(tmp_path, test, '{"a": 1}')[0].differences == []


VALUES: list[tuple[Any, Any, bool]] = [
    ("007", Int("007"), True),
    ("7", Int("007"), False),
    ("1.50", Float("1.50"), True),
    (1.5, Float("1.50"), True),
    (Decimal("1.50"), 1.5, True),
    (Decimal("1.1"), Float("1.1"), True),
    (1, 1.0, True),
    (1, True, False),
    (True, True, True),
    ("true", True, False),
    (1, "1", False),
    (None, None, True),
    (None, "", False),
    ("", None, False),
    (["a", 1], ["a", 1], True),
    (["a"], ["a", "b"], False),
    ({"a": [1]}, {"a": [1.0]}, True),
    ({"a": 1}, {"a": 1, "b": 2}, False),
    ([], {}, False),
]


@pytest.mark.parametrize(("got", "want", "answer"), VALUES)
def test_same(got: Any, want: Any, answer: bool) -> None:
    assert same(got, want) is answer


def test_an_update_keeps_to_the_fields_that_were_compared(tmp_path: Path) -> None:
    test = "{url: 'https://a.example/list/1', fixture: page.html, expect: {book: [{title: X}]}}"
    [trial] = trials(tmp_path, test)
    loaded = load(tmp_path / "shop.yaml")
    assert trial.items is not None
    assert updated(loaded.config.tests[0], trial.items) == {"book": [{"title": "A"}, {"title": "B"}]}


MISTAKES = [
    (
        "page: lst, fixture: page.html",
        "tests.0.page: expected the name of a page rule, found 'lst'; did you mean 'list'?",
    ),
    (
        "fixture: page.html, expect: {bok: []}",
        "tests.0.expect.bok: expected a type of items of a page rule, found 'bok'; did you mean 'book'?",
    ),
    (
        "fixture: page.html, expect: {book: [{titel: A}]}",
        "tests.0.expect.book.0.titel: expected a field of type book, found 'titel'; did you mean 'title'?",
    ),
]


OBJECTS = """
name: shop
seeds: [https://a.example/]
pages:
  list:
    items:
      - {fields: {by: {fields: {name: b, at: {fields: {town: i}}}}, all: {css: li, fields: {a: b}, many: true}}}
tests:
  - {url: 'https://a.example/', fixture: page.html, expect: {item: [%s]}}
"""


@pytest.mark.parametrize(
    ("item", "key", "message"),
    [
        ("{by: {nam: x}}", "by.nam", "expected a field of by, found 'nam'; did you mean 'name'?"),
        ("{by: {at: {twon: x}}}", "by.at.twon", "expected a field of at, found 'twon'; did you mean 'town'?"),
        ("{all: [{a: x}, {b: x}]}", "all.1.b", "expected a field of all, found 'b'; there are: a"),
        ("{by: {name: x, at: {town: y}}, all: [{a: x}, null]}", "", ""),
    ],
)
def test_a_misspelt_name_within_an_object_is_an_error(item: str, key: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(OBJECTS % item, encoding="utf-8")
    if not message:
        assert load(file)
        return
    with pytest.raises(ConfigError) as caught:
        load(file)
    [problem] = caught.value.problems
    assert str(problem).endswith(f": tests.0.expect.item.0.{key}: {message}")


@pytest.mark.parametrize(("test", "message"), MISTAKES)
def test_a_misspelt_expectation_is_an_error_with_its_place(test: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(PAGE, encoding="utf-8")
    file = tmp_path / "shop.yaml"
    text = CONFIG + f"tests:\n  - {{url: 'https://a.example/list/1', {test}}}\n"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(file)
    [problem] = caught.value.problems
    assert str(problem).endswith(message)
    assert problem.mark is not None
    assert (problem.mark.line, problem.mark.column > 40) == (text.count("\n"), True)


@pytest.mark.parametrize(
    ("test", "message", "hint"),
    [
        (
            "url: 'https://a.example/list/1', fixture: pag.html",
            "expected a file, found none at",
            "did you mean 'page.html'?",
        ),
        (
            "url: 'https://a.example/list/1', fixture: shop.html",  # beside shop.yaml
            "expected a file, found none at",
            "hookline try --save-fixture saves a page",
        ),
        (
            "url: 'https://a.example/list/1', fixture: .",
            "expected a file, found a folder at",
            "name the saved page in it",
        ),
        (
            "url: 'https://a.example/x', fixture: page.html",
            "expected a URL that some page rule matches",
            "name one with 'page:'",
        ),
    ],
)
def test_a_test_that_cannot_be_run_is_a_problem(test: str, message: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(PAGE, encoding="utf-8")
    file = tmp_path / "shop.yaml"
    file.write_text(CONFIG + f"tests:\n  - {{{test}}}\n", encoding="utf-8")
    [problem] = unfit_tests(load(file))
    assert problem.message.startswith(message)
    assert problem.hint == hint
