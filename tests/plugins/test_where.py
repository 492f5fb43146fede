"""`where`: what expressions mean, and what they refuse."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import Drop, Item, OptionError
from plugins.filter.where import Where

BOOK = Item(
    "book",
    {
        "title": "Used cars in Zürich",
        "price": Decimal("51.77"),
        "weight": 0.1,
        "stock": 3,
        "sold": False,
        "tags": ["sea", "travel"],
        "sizes": [1, 2.5],
        "none": None,
        "empty": "",
        "day": date(2024, 5, 1),
        "at": datetime(2024, 5, 1, 10, tzinfo=timezone(timedelta(hours=2))),
        "list-price": Decimal("60"),
        "class": "A",
        "path": r"C:\temp",
        "digits": " 12.50 ",
        "len": 7,
    },
)

TRUE = r"""
price == 51.77
51.77 == price
weight == 0.1
weight + price == 51.87
price > 50 and price < 60.5
0 < price < 60 <= 60
not (price > 60)
price * 2 - 1 == 102.54
stock / 2 == 1.5
stock % 2 == 1
-stock < -2
-(-stock) == 3
title + '!' == 'Used cars in Zürich!'
type == 'book'
type in ['book', 'film'] and type not in ['film'] and type in ('book',)
'sea' in tags and 'x' not in tags
'cars' in title and not ('Cars' in title)
2.5 in sizes and 51.77 in [price]
matches(title, '^Used')
matches(title, '(?i)zÜRICH$')
matches(title, '\bcars\b')
matches(tags, '^trav')
contains(title, 'cars') and contains(tags, 'sea')
starts(title, 'Used') and ends(title, 'rich')
len(title) == 19 and len(tags) == 2 and len(none) == 0
lower(type) == 'book' and upper('é') == 'É'
number(digits) == 12.5 and number(stock) == 3 and number(title) == null
exists(price) and exists('price') and not exists(none) and not exists(empty) and not exists(nothing)
field('list-price') == 60 and field('class') == "A"
field(price) > 1
field('type') == null and not exists('type') and field(type) == 'book'
len == 7
true and not false and null == None and True
none == null and nothing == null and price != null
sold == false and not sold
day >= '2024-05-01' and '2024-06' > day and at > '2024-05'
path == 'C:\temp'
"it's" != title
none or title
(none or price) > 50
title != 3 and price != 'x'
1 == 1.0 and 1_000 == 1000 and 0x10 == 16
'none' not in none
"""

FALSE = r"""
price < none
none < price
none > none
nothing > 0
price > 'a'
title > 3
title < 3
tags > 1
1 < none < 3
sizes < tags
price / 0 > 0 or price / 0 < 0 or price % 0 == 1
none + 1 > 0
title * 3 == 'x'
'a' * 1000000000
'%99999999d' % 1
[1] * 1000000000
title + 1
-title
sold + 1
matches(none, 'x')
matches(price, '5')
contains(none, 'x') or contains(title, 3) or contains(price, 5)
starts(none, 'x') or lower(none) or upper(3) or len(price)
number('1e9') or number('0x1') or number('٣') or number('nan') or number(sold)
'x' in none or 'x' in 3 or 3 in title
empty
0
"""


@pytest.mark.parametrize("expression", TRUE.strip().splitlines())
def test_holds(expression: str) -> None:
    assert Where(expression).process_item(BOOK) is None


@pytest.mark.parametrize("expression", FALSE.strip().splitlines())
def test_does_not_hold(expression: str) -> None:
    drop = Where(expression).process_item(BOOK)
    assert isinstance(drop, Drop)
    assert drop.reason == f"where: {expression}"


@pytest.mark.parametrize(
    ("expression", "column", "says"),
    [
        ("title.upper", 1, "a dot after a value"),
        ("price > 0 and title.__class__", 15, "a dot"),
        ("'é' == title and a.b", 18, "a dot"),
        (r"matches(title, '\d\d') and a.b", 28, "a dot"),
        ("tags[0] == 'x'", 1, "an index"),
        ("[t for t in tags]", 1, "a comprehension"),
        ("len(t for t in tags)", 4, "a comprehension"),
        ("lambda: 1", 1, "Lambda"),
        ("1 if 2 else 3", 1, "if ... else"),
        ("(a := 1)", 2, ":="),
        ("f'{title}'", 1, "an f-string"),
        ("{1: 2}", 1, "Dict"),
        ("{1, 2}", 1, "Set"),
        ("[*tags]", 2, "Starred"),
        ("2 ** 9 ** 9", 1, "not one of + - * / %"),
        ("1 << 99", 1, "not one of"),
        ("price // 2", 1, "not one of"),
        ("~stock", 1, "only `not` and `-`"),
        ("title is None", 1, "`is` is not a comparison"),
        ("open('x')", 1, "open is not a function"),
        ("price > 0 or __import__('os')", 14, "__import__ is not a function"),
        ("len(title)(1)", 1, "only a function's name"),
        ("title.upper()", 1, "only a function's name"),
        ("match(title, 'x')", 1, "match is not a function"),
        ("len()", 1, "len takes 1 value"),
        ("matches(title)", 1, "matches takes 2 values"),
        ("len(title, key=1)", 1, "without names"),
        ("matches(title, '(')", 16, "not a regular expression"),
        ("matches(title, tags)", 16, "must be a text in quotes"),
        ("exists(1)", 8, "field's name"),
        ("exists(a.b)", 8, "field's name"),
        ("b'x' == title", 1, "not a number or a text"),
        ("r'x' == title", 1, "one pair of quotes"),
        ("title == 'a' 'b'", 10, "one pair of quotes"),
        ("title == '''a'''", 10, "one pair of quotes"),
        ("price > 1e999", 9, "not a number"),
        ("price > 1j", 9, "not a number"),
        ("... == 1", 1, "not a number"),
        ("price >", 8, "not an expression"),
        ("title and price = 1", 17, "not an expression"),
        ("a == 1; b", 7, "not an expression"),
    ],
)
def test_refused_with_its_column(expression: str, column: int, says: str) -> None:
    with pytest.raises(OptionError) as caught:
        Where(expression)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"column {column}: ")
    assert caught.value.hint


@pytest.mark.parametrize(
    "expression",
    [
        "(" * 300 + "1" + ")" * 300,
        "- " * 900 + "1",
        "not " * 499 + "1",
        "+".join("a" * 999),
        "[" * 150 + "]" * 150,
        "a\0",
    ],
)
def test_refused_without_harm(expression: str) -> None:
    with pytest.raises(OptionError):
        Where(expression)


def test_too_long() -> None:
    with pytest.raises(OptionError, match="2001 characters, 2000 are allowed"):
        Where("1 or " * 400 + "1")


def test_many_alternatives_are_not_deep() -> None:
    assert Where(" or ".join(f"stock == {n}" for n in range(100))).process_item(BOOK) is None


def test_products_stay_small() -> None:
    huge = Item(n=10**1000)
    assert Where("n * n > 0").process_item(huge) is not None
    assert Where("n * 10 > n").process_item(huge) is None


def test_nearest_function_is_named() -> None:
    with pytest.raises(OptionError) as caught:
        Where("contain(tags, 'x')")
    assert caught.value.hint == "did you mean contains?"


def test_lines_of_a_block_text_are_one_expression() -> None:
    drop = Where("price > 0\nand stock > 100\n").process_item(BOOK)
    assert drop is not None
    assert drop.reason == "where: price > 0 and stock > 100"


OPERATORS = ["==", "!=", "<", "<=", ">", ">=", "in", "+", "-", "*", "/", "%", "and", "or"]
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text() | st.lists(st.integers())


@settings(deadline=None)
@given(VALUES, VALUES, st.sampled_from(OPERATORS), st.sampled_from(["in", "<", "=="]))
def test_no_item_makes_an_expression_fail(a: Any, b: Any, one: str, two: str) -> None:
    item = Item(a=a, b=b)
    parts = "contains(a, b) or starts(a, b) or len(a) or lower(a) or number(a) or -a or exists(a) or matches(a, 'x')"
    answer = Where(f"(a {one} b) {two} b or {parts}").process_item(item)
    assert answer is None or isinstance(answer, Drop)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_an_expression_or_an_option_error(text: str) -> None:
    try:
        answer = Where(text).process_item(BOOK)
    except OptionError:
        return
    assert answer is None or isinstance(answer, Drop)
