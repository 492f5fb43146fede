"""Figures of items: by columns and in pieces they are what a plain count of each value says."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.checks.figures import FieldFigures, Fields, Figures, add, measure, median
from pipeline.model import Item

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 3),
    st.floats(0, 1),
    st.sampled_from(["", "x", "yz", [], [1], [1, 2], {}, {"k": None}]),
    st.sampled_from([Decimal("1.5"), date(2026, 1, 2)]),
)
ITEMS = st.lists(
    st.builds(Item, st.sampled_from(["book", "pen"]), st.dictionaries(st.sampled_from("abc"), VALUES)), max_size=12
)


def plain(items: list[Item]) -> Fields:
    """The definition, one value at a time."""
    found: Fields = {}
    for item in items:
        for name, value in item.items():
            figures = found.setdefault(item.type, {}).setdefault(name, FieldFigures())
            if value is None or value in ("", [], {}):
                continue
            sizes = [len(value)] if isinstance(value, str | list) else []
            figures.add(FieldFigures(1, {type(value).__name__.lower(): 1}, len(sizes), *(sizes or [0]) * 3))
    return found


def told(fields: Fields) -> Any:
    return {kind: found for kind, found in fields.items() if found}


@given(ITEMS, st.integers(1, 5))
def test_in_pieces_and_by_columns_it_is_what_one_by_one_says(items: list[Item], size: int) -> None:
    found: Fields = {}
    for start in range(0, len(items), size):
        add(found, measure(items[start : start + size]))
    assert told(found) == told(plain(items))


def test_what_is_empty_is_no_value() -> None:
    items = [Item("book", a=value) for value in (None, "", [], {}, 0, False, "x", ["", "y"], {"k": None})]
    assert measure(items)["book"]["a"] == FieldFigures(
        filled=5,
        types={"int": 1, "bool": 1, "str": 1, "list": 1, "dict": 1},
        measured=2,
        length=3,
        shortest=1,
        longest=2,
    )


def test_coverage_is_over_all_items_of_a_type_also_those_without_the_field() -> None:
    items = [Item("book", a="x"), Item("book"), Item("book", a=None), Item("book", a="y", b=1)]
    now = Figures(dict(Counter(item.type for item in items)), measure(items))
    assert (now.coverage("book", "a"), now.coverage("book", "b"), now.coverage("book", "c")) == (
        Decimal("0.5"),
        Decimal("0.25"),
        0,
    )
    assert now.coverage("pen", "a") is None
    assert now.fields["book"]["a"].mean == 1.0 and now.fields["book"]["b"].mean is None


def test_the_middle() -> None:
    assert [median([3]), median([1, 9]), median([5, 1, 9]), median(iter([4, 1, 2, 3]))] == [3, 5, 5, 2.5]
