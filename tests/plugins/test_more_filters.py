"""`rename`, `schema`, `near_duplicate`."""

from __future__ import annotations

import json
import random
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import Drop, Item, OptionError
from plugins.filter.near_duplicate import NearDuplicate
from plugins.filter.rename import Rename
from plugins.filter.schema import Schema

# --- rename ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "drop", "before", "after"),
    [
        ({"a": "x"}, [], {"a": 1, "b": 2}, {"x": 1, "b": 2}),
        ({"a": "b", "b": "a"}, [], {"a": 1, "b": 2}, {"b": 1, "a": 2}),
        ({"a": "b"}, [], {"b": 2, "a": 1}, {"b": 1}),
        ({"a": "b"}, [], {"b": 2}, {"b": 2}),
        ({}, ["a", "z"], {"a": 1, "b": 2}, {"b": 2}),
    ],
)
def test_rename(fields: dict[str, str], drop: list[str], before: dict[str, Any], after: dict[str, Any]) -> None:
    item = Item("book", before)
    Rename(fields, drop).process_item(item)
    assert list(item.items()) == list(after.items()) and item.type == "book"


def test_two_fields_of_one_name() -> None:
    with pytest.raises(OptionError, match="several fields would be called 'x'"):
        Rename({"a": "x", "b": "x"})


# --- schema ----------------------------------------------------------------------------------------------------------

BOOK = {"required": ["title"], "properties": {"price": {"type": "number", "minimum": 0}, "when": {"type": "string"}}}


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (Item(title="a", price=Decimal("1.50"), when=date(2026, 1, 1)), None),
        (Item(price=1), 'item: required ["title"]'),
        (Item(title="a", price=-1), "price: minimum 0"),
        (Item(title="a", price="1"), 'price: type "number"'),
    ],
)
def test_schema(item: Item, reason: str | None, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps(BOOK))
    for judge in (Schema(schema=BOOK), Schema(tmp_path / "s.json")):
        drop = judge.process_item(item)
        assert (drop.reason if drop else None) == reason


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "name a file"),
        ({"schema": {"type": "strin"}}, "no JSON Schema: type:"),
        ({"file": Path("/nowhere.json")}, "cannot be read as JSON"),
    ],
)
def test_a_wrong_schema(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        Schema(**options)


def test_a_schema_fetches_nothing() -> None:
    judge = Schema(schema={"$ref": "http://127.0.0.1:9/other.json"})
    with pytest.raises(Exception, match=r"127\.0\.0\.1"):
        judge.process_item(Item(title="a"))


# --- near duplicates -------------------------------------------------------------------------------------------------

WORDS = [f"word{number}" for number in range(400)]
TEXT = " ".join(random.Random(1).choices(WORDS, k=300))


def stays(filter_: NearDuplicate, text: Any, kind: str = "item") -> bool:
    return not isinstance(filter_.process_item(Item(kind, text=text)), Drop)


def test_nearly_the_same_is_dropped_and_other_texts_stay() -> None:
    near = NearDuplicate("text")
    assert stays(near, TEXT)
    assert not stays(near, TEXT.upper().replace(" ", ",\n"))
    assert not stays(near, TEXT + " one")
    assert stays(near, TEXT, "other type")
    for seed in range(2, 30):
        assert stays(near, " ".join(random.Random(seed).choices(WORDS, k=300)))


def test_short_texts_and_none_stay() -> None:
    near = NearDuplicate("text")
    assert all(stays(near, text) for text in ("a b c", "a b c", "", None, 5, None))
    assert near.single


@given(st.text(), st.integers(0, 7))
def test_a_text_is_nearly_itself(text: str, distance: int) -> None:
    near = NearDuplicate("text", distance=distance, shortest=1)
    first = stays(near, text)
    assert first
    assert stays(near, text) == (not any(char.isalnum() or char == "_" for char in text))


def test_a_distance_beyond() -> None:
    with pytest.raises(OptionError, match="from 0 to 7"):
        NearDuplicate("text", distance=8)
