"""Values of items: rows that are looked at by column come out as they do one by one."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.model import ItemRecord, PageResult, Rows
from pipeline.packing import pack, pack_items
from pipeline.stages.chains import Batch, ItemChain, Step
from pipeline.stages.values import MAX_FIELDS, MAX_TEXT, UnfitError, settled, settled_rows

TEXTS = st.sampled_from(["", "a", "caf\u00e9", "x" * 50, "\ud800", "\udc00"])
SIMPLE = st.sampled_from([None, True, 1, 2.5, -(2**63), 2**64 - 1, date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)])
ODD = st.sampled_from(
    [2**64, float("nan"), float("inf"), Decimal("1.50"), Decimal("NaN"), b"x", object, (1, 2), {"a": [1]}, {1: 2}]
)
LISTS = st.lists(st.one_of(TEXTS, st.none(), st.integers(), st.lists(TEXTS, max_size=2)), max_size=3)
COLUMN = st.one_of(
    *[st.lists(st.one_of(one, st.none()), min_size=3, max_size=3) for one in (TEXTS, SIMPLE, LISTS, st.integers())],
    st.lists(st.one_of(TEXTS, SIMPLE, ODD, LISTS), min_size=3, max_size=3),
)
NAMES = st.one_of(st.sampled_from(["a", "b", "caf\u00e9", "\ud800", ""]), st.just(3))


@given(st.dictionaries(NAMES, COLUMN, max_size=4), st.sampled_from(["t", "caf\u00e9", "", "\ud800", "a\nb"]))
@example({"a": [None, None, None]}, "t")
@example({"a": [["x"], [], None], "b": ["x", "y", "z"]}, "t")
def test_rows_give_what_their_items_give(columns: dict[Any, list[Any]], kind: str) -> None:
    maker = Step("p", "parse", lambda page: None)
    together, each = PageResult(), PageResult()
    batch = Batch(Rows(kind, columns, 0), None, maker, 5)
    together.items = ItemChain([]).run([batch], together)
    each.items = ItemChain([]).run(batch.entries(), each)
    assert not each.plain or not each.items
    assert pack(together) == pack(each)  # in bytes: 1 is not True, and 1 not 1.0
    assert pack_items(together.items, plain=together.plain) == pack_items(together.items)


def test_a_list_of_an_item_is_not_the_plugin_s() -> None:
    tags = ["a"]
    found = settled_rows({"t": [tags]})
    assert found is not None
    tags.append("b")
    assert found == ([{"t": ["a"]}], True)


@pytest.mark.parametrize(
    "columns",
    [
        {"t": ["x" * (MAX_TEXT // 2 + 1)] * 2},  # each of them fits
        {str(number): [1] for number in range(MAX_FIELDS + 1)},
        {"t": [["a", 1]]},
        {"t": ["a", 1]},
    ],
)
def test_what_is_looked_at_one_by_one(columns: dict[str, list[Any]]) -> None:
    assert settled_rows(columns) is None


def test_items_that_are_too_large_among_rows() -> None:
    with pytest.raises(UnfitError, match="the most that an item may have"):
        settled({"t": "x" * (MAX_TEXT + 1)})
    result = PageResult()
    rows = Rows("t", {"t": ["x" * (MAX_TEXT + 1), "y"]})
    records = ItemChain([]).run([Batch(rows, None, Step("p", "parse", lambda page: None), 0)], result)
    assert records == [ItemRecord("t", {"t": "y"}, -1, 1)]
    assert [(letter.type, letter.fault.fate) for letter in result.dead] == [("t", "failed:parse")]
