"""`dedupe`: the first of equal items stays."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import Item, OptionError
from plugins.filter.dedupe import Dedupe


def reasons(by: list[str], *items: Item) -> list[str | None]:
    dedupe = Dedupe(by)
    return [drop.reason if (drop := dedupe.process_item(item)) else None for item in items]


def test_the_first_in_order_stays() -> None:
    items = [Item(title="a", n=1), Item(title="b"), Item(title="a", n=2), Item(title="b")]
    assert reasons(["title"], *items) == [None, None, "duplicate", "duplicate"]


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        ([1, "a"], [1, "a"], True),
        ({"x": 1, "y": 2}, {"y": 2, "x": 1}, True),
        (Decimal("1.5"), Decimal("1.5"), True),
        ("1", 1, False),
        ("a", "A", False),
        ("é", "e\u0301", False),
        (["ab"], ["a", "b"], False),
    ],
)
def test_equality_of_values(first: Any, second: Any, equal: bool) -> None:
    assert (reasons(["v"], Item(v=first), Item(v=second))[1] == "duplicate") is equal


def test_several_fields_must_all_agree() -> None:
    items = [Item(a=1, b=1), Item(a=1, b=2), Item(a=1), Item(a=1, b=None), Item(b=1, a=1)]
    assert reasons(["a", "b"], *items) == [None, None, None, "duplicate", "duplicate"]


def test_items_without_any_of_the_fields_stay() -> None:
    assert reasons(["a", "b"], Item(c=1), Item(c=1), Item(a="", b=[]), Item(a=None)) == [None] * 4


def test_types_are_apart() -> None:
    assert reasons(["t"], Item("book", t="x"), Item("film", t="x"), Item("book", t="x")) == [None, None, "duplicate"]


def test_it_sees_every_item() -> None:
    assert Dedupe.single is True


def test_no_field_is_an_option_error() -> None:
    with pytest.raises(OptionError, match="no field is named"):
        Dedupe([])


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", 1, 2, True]), max_size=20))
def test_what_stays_is_the_distinct_values_in_order(values: list[Any]) -> None:
    dedupe = Dedupe(["v"])
    kept = [value for value in values if dedupe.process_item(Item(v=value)) is None]
    assert [repr(value) for value in kept] == list(dict.fromkeys(map(repr, values)))
