"""`tests:` changed in the text of a config: what is replaced, and that everything else stays as it was."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.nodes import plain, to_data
from pipeline.config.rewriting import CannotRewriteError, with_expectations, with_test
from pipeline.config.writing import dump, dump_line
from pipeline.config.yaml12 import read_tree

NEW = {"book": [{"upc": "a89", "price": Decimal("12.50")}, {"upc": "b1", "price": None}]}
READ = {"book": [{"upc": "a89", "price": 12.5}, {"upc": "b1", "price": None}]}

BLOCK = """\
name: shop   # a comment
tests:
  # about the first
  - name: one
    url: https://a.example/
    fixture: a.html   # saved in May
    expect:   # what must come
      book:
        - {upc: a00}   # this one goes
      # a comment at the end

  - {name: two, url: https://a.example/2, fixture: b.html, expect: {book: [{upc: b}]}}   # kept
# the end
"""


def data(text: str) -> Any:
    tree, problems = read_tree(text, "x.yaml")
    assert tree is not None
    assert not problems
    return plain(to_data(tree))


def test_a_block_is_replaced_and_comments_elsewhere_stay() -> None:
    text = with_expectations(BLOCK, {0: NEW})
    assert data(text)["tests"][0]["expect"] == READ
    kept = ("# a comment", "# about the first", "# saved in May", "# what must come", "# kept", "# the end")
    assert all(comment in text for comment in kept)
    assert "price: 12.50" in text, "a decimal keeps its digits"
    assert text.splitlines()[-2:] == BLOCK.splitlines()[-2:]


def test_a_test_in_one_line_stays_in_one() -> None:
    text = with_expectations(BLOCK, {1: NEW})
    assert text.count("\n") == BLOCK.count("\n")
    assert data(text)["tests"][1]["expect"] == READ
    assert "# this one goes" in text


def test_both_at_once() -> None:
    assert [test["expect"] for test in data(with_expectations(BLOCK, {0: NEW, 1: NEW}))["tests"]] == [READ, READ]


OTHER_FORMS = [
    "tests:\n- url: u\n  fixture: f   # here\n",
    "tests:\n- {url: u, fixture: f}\n",
    "tests: [{url: u, fixture: f}]\n",
    "tests:\n- url: u\n  fixture: f\n  expect: {}\n",
    "tests:\n- url: u\n  expect: {}   # none\n  fixture: f\n",
    "tests:\n- url: u\n  fixture: f\n  expect:\n",
    "tests:\n- url: u\n  fixture: f\n  expect: {book: [{upc: x},\n    {upc: y}]}\nname: x\n",
    "tests:\n- url: u\r\n  fixture: f\r\n  expect: {}\r\n",
    "name: 'é'\ntests:\n- url: 'ü'\n  fixture: f\n  expect: {}\n",
    "tests:\n- url: u\n  fixture: f\n  expect:\n    book:\n    - text: |\n        two\n        lines\n",
]


@pytest.mark.parametrize("text", OTHER_FORMS)
def test_however_a_test_is_written(text: str) -> None:
    wanted = data(text)
    wanted["tests"][0]["expect"] = READ
    assert data(with_expectations(text, {0: NEW})) == wanted


@pytest.mark.parametrize("value", ["{book: [{upc: '${X}'}]}", "&a {book: []}", "{book: *a}"])
def test_what_is_more_than_data_is_left_alone(value: str) -> None:
    text = f"vars: &a {{}}\ntests:\n- {{url: u, fixture: f, expect: {value}}}\n".replace("vars: &a {}", "x: &a []")
    with pytest.raises(CannotRewriteError, match="it holds"):
        with_expectations(text.replace("x: &a []", "x: &a []" if "*a" in value else "x: []"), {0: NEW})


def test_text_that_looks_like_more_than_data_is_data() -> None:
    text = "tests:\n- url: u\n  expect: {book: [{upc: 'A & B *x $${Y}'}, {upc: a &b *c}]}\n"
    assert data(with_expectations(text, {0: NEW}))["tests"][0]["expect"] == READ


def test_tests_of_another_file_are_left_alone() -> None:
    with pytest.raises(CannotRewriteError, match="do not stand in this file"):
        with_expectations("name: x\n", {0: NEW})


TEST = {"name": "n", "url": "u", "fixture": "f", "expect": NEW}


@pytest.mark.parametrize(
    "text", ["", "name: x", "name: x\n# end\n", BLOCK, "tests:\n- url: u\n  fixture: f # c\nname: x\n"]
)
def test_a_test_is_added(text: str) -> None:
    before = data(text) if text else {}
    new = with_test(text, TEST)
    assert data(new)["tests"] == [*before.get("tests", []), TEST | {"expect": READ}]
    assert {**data(new), "tests": 0} == {**before, "tests": 0}
    assert all(f"#{part.splitlines()[0]}" in new for part in text.split("#")[1:])


@pytest.mark.parametrize("text", ["tests: [{url: u, fixture: f}]\n", "{name: x}\n"])
def test_no_test_is_added_where_that_is_not_plain(text: str) -> None:
    with pytest.raises(CannotRewriteError):
        with_test(text, TEST)


# --- data as YAML ----------------------------------------------------------------------------------------------------

VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES |= st.decimals(allow_nan=False, allow_infinity=False)
TREES = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1), inner, max_size=4),
    max_leaves=12,
)


def as_read(value: Any) -> Any:
    """A value as the config's reader gives it back, before `${NAME}` is put in."""
    if isinstance(value, dict):
        return {as_read(name): as_read(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [as_read(inner) for inner in value]
    if isinstance(value, str):
        return value.replace("${", "$${")
    return float(value) if isinstance(value, Decimal) else value


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b"]), TREES, min_size=1))
def test_whatever_an_item_holds_is_read_back_as_it_was(values: dict[str, Any]) -> None:
    assert data(dump(values)) == data(dump_line(values)) == as_read(values)


def test_whole_decimals_and_odd_line_breaks_are_written_so_that_they_are_read() -> None:
    text = with_expectations(BLOCK, {0: {"book": [{"price": Decimal(0), "upc": "a\x85b\u2028c"}]}})
    assert "price: 0," in text
    assert data(text)["tests"][0]["expect"] == {"book": [{"price": 0, "upc": "a\x85b\u2028c"}]}


def test_a_key_that_no_config_may_have_is_not_written() -> None:
    with pytest.raises(CannotRewriteError, match="a key has"):
        with_test(BLOCK, {"expect": {"book": [{"more": {"${A}": 1}}]}})


@pytest.mark.parametrize("empty", ["tests: []   # none yet", "tests:   # none yet", "tests: null", "tests: [\n  ]"])
def test_the_first_test_stands_under_a_key_that_has_none(empty: str) -> None:
    text = with_test(f"name: shop\n{empty}\nchecks: [items >= 1]\n", {"url": "https://a.example/", "expect": {}})
    assert data(text)["tests"] == [{"url": "https://a.example/", "expect": {}}]
    assert data(text)["checks"] == ["items >= 1"]
    assert ("# none yet" in text) is ("# none yet" in empty)
