"""`require`: which values count as missing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pipeline import Drop, Item, OptionError
from plugins.filter.require import Require


@pytest.mark.parametrize("value", [None, "", [], {}])
def test_no_value(value: Any) -> None:
    drop = Require(["title"]).process_item(Item(title=value))
    assert isinstance(drop, Drop)
    assert drop.reason == "missing title"


@pytest.mark.parametrize("value", [0, 0.0, Decimal(0), False, " ", "x", [None], {"a": None}])
def test_a_value(value: Any) -> None:
    assert Require(["title"]).process_item(Item(title=value)) is None


def test_absent_field_and_first_one_missing() -> None:
    drop = Require(["a", "b", "c"]).process_item(Item(a=1))
    assert drop is not None
    assert drop.reason == "missing b"


def test_no_field_is_an_option_error() -> None:
    with pytest.raises(OptionError, match="no field is named"):
        Require([])
