# ruff: noqa: E501 - messages stand here in one line, as they are printed
"""The grammar of checks: what is understood, what is refused and where, and that nothing else can happen."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.checks.grammar import COMPARISONS, FATES, Check, CheckError, parse

UNDERSTOOD = [
    ("items >= 1", "items", ">=", "1", False, None),
    ("items.book>=900", "items.book", ">=", "900", False, None),
    ("  items.book   <  900 ", "items.book", "<", "900", False, None),
    ("items == 0", "items", "==", "0", False, None),
    ('items."a.b" > 0', "items.a.b", ">", "0", False, None),
    ("items.book drop <= 20% vs median(7)", "items.book", "<=", "0.2", True, 7),
    ("items drop<=2.5 %vs median ( 3 )", "items", "<=", "0.025", True, 3),
    ("coverage.book.price drop <= 0% vs median(100)", "coverage.book.price", "<=", "0", True, 100),
    ("coverage.book.price >= 98%", "coverage.book.price", ">=", "0.98", True, None),
    ("coverage.book.'list price' >= 0.1%", "coverage.book.list price", ">=", "0.001", True, None),
    ("coverage.Büch-er.2nd == 100%", "coverage.Büch-er.2nd", "==", "1", True, None),
    ("pages.failed <= 2%", "pages.failed", "<=", "0.02", True, None),
    ("pages.failed:http_503 <= 3", "pages.failed:http_503", "<=", "3", False, None),
    ("pages.rejected:robots < 1", "pages.rejected:robots", "<", "1", False, None),
    ("pages.fetched drop <= 50% vs median(5)", "pages.fetched", "<=", "0.5", True, 5),
    ("pages.gone <= 5%", "pages.gone", "<=", "0.05", True, None),
]


@pytest.mark.parametrize(("text", "figure", "sign", "bound", "percent", "median"), UNDERSTOOD)
def test_what_is_understood(text: str, figure: str, sign: str, bound: str, percent: bool, median: int | None) -> None:
    check = parse(text)
    assert (str(check.figure), check.sign, check.bound) == (figure, sign, Decimal(bound))
    assert (check.text, check.percent, check.median) == (text, percent, median)


MISTAKES = [
    ("", 0, "expected items, coverage or pages, found nothing", "as in: items >= 100"),
    ("item.book >= 3", 0, "expected items, coverage or pages, found 'item'", "did you mean 'items'?"),
    ("3 <= items", 0, "expected items, coverage or pages, found '3 <= items'", "as in: items >= 100"),
    ("items. >= 3", 7, "expected a name behind the dot, found '>= 3'", "a name with other characters goes in quotes"),
    ("items.a.b >= 3", 8, "expected items or items.TYPE, found a second name, 'b'", "a name with a dot in it goes in quotes; the share of items with a field is coverage.TYPE.FIELD"),
    ("items.book", 10, "expected >=, <=, >, <, == or drop, found nothing", ""),
    ("items.book => 3", 11, "expected >=, <=, >, <, == or drop, found '=>'", "did you mean '>='?"),
    ("items.book = 3", 11, "expected >=, <=, >, <, == or drop, found '='", "did you mean '=='?"),
    ("items.book ≥ 3", 11, "expected >=, <=, >, <, == or drop, found '≥'", "did you mean '>='?"),
    ("items.book != 3", 11, "expected >=, <=, >, <, == or drop, found '!='", ""),
    ("items book >= 3", 6, "expected a comparison or drop, found 'book'", "as in: items.book >= 100"),
    ("items.book drops <= 20% vs median(7)", 11, "expected a comparison or drop, found 'drops'", "did you mean 'drop'?"),
    ("items.book >= many", 14, "expected a number or a percentage such as 98%, found 'many'", ""),
    ("items.book >= -1", 14, "expected a number or a percentage such as 98%, found '-1'", ""),
    ("items.book >= 1_000", 14, "expected a number or a percentage such as 98%, found '1_000'", ""),
    ("items.book >= 98%", 14, "expected a number of items, found '98 %'", "for the share of items with a field write coverage.TYPE.FIELD"),
    ("items.book >= 1.5", 14, "expected a number of items, found '1.5'", ""),
    ("items >= 3 and pages.failed <= 2%", 11, "expected the end of the check, found 'and pages.failed <= 2%'", "write each check as an entry of its own"),
    ("coverage.book >= 98%", 14, "expected coverage.TYPE.FIELD, found '>= 98%'", "a name with a dot or a space in it goes in quotes"),
    ("coverage.book.price >= 98", 23, "expected a percentage such as 98%, found '98'", "did you mean '98%'?"),
    ("coverage.book.price >= 0.98", 23, "expected a percentage such as 98%, found '0.98'", "did you mean '98%'?"),
    ("coverage.book.price >= 980", 23, "expected a percentage such as 98%, found '980'", "for a count write items.TYPE"),
    ("coverage.book.price >= 101%", 23, "expected at most 100%, found '101%'", ""),
    ("pages <= 3", 6, "expected pages.FATE, found '<= 3'", "did you mean 'failed'?"),
    ("pages.faild <= 2%", 6, "expected a fate of requests, found 'faild'", "did you mean 'failed'?"),
    ("pages.failed:timout <= 2", 13, "expected a fate of requests, found 'failed:timout'", "did you mean 'timeout'?"),
    ("pages.fetched:fast <= 2", 14, "expected a fate of requests, found 'fetched:fast'", "did you mean 'pages.fetched'?"),
    ("pages.failed:http_NNN <= 2", 13, "expected a status in place of NNN", "as in pages.failed:http_503"),
    ("pages.failed <= 0.02", 16, "expected a number of pages or a percentage, found '0.02'", "did you mean '0.02%', or '2%'?"),
    ("items drop >= 20% vs median(7)", 11, "expected <=, found '>='", ""),
    ("items drop <= 20 vs median(7)", 14, "expected a percentage, found '20'", "did you mean '20%'?"),
    ("items drop <= 20%", 17, "expected 'vs median(7)', found nothing", ""),
    ("items drop <= 20% vs mean(7)", 21, "expected 'vs median(7)', found 'mean(7)'", ""),
    ("items drop <= 20% vs median(2)", 28, "expected a number of published runs from 3 to 100, found '2'", ""),
    ("items drop <= 20% vs median(7", 29, "expected ')', found nothing", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "at", "message", "hint"), MISTAKES)
def test_what_is_refused_and_where(text: str, at: int, message: str, hint: str) -> None:
    with pytest.raises(CheckError) as caught:
        parse(text)
    assert (caught.value.at, caught.value.message, caught.value.hint) == (at, message, hint)


@given(st.text(alphabet="itemscovragp.dlunfh:_<>=%0123456789 ()'\"vé", max_size=40) | st.text(max_size=40))
def test_any_text_is_a_check_or_a_mistake_with_a_place_in_it(text: str) -> None:
    try:
        assert isinstance(parse(text), Check)
    except CheckError as error:
        assert 0 <= error.at <= len(text) and error.message.startswith("expected ")


NAMES = st.text(alphabet="abcXYZ019_-. é'", min_size=1, max_size=8)
SPACES = st.sampled_from(["", " ", "  ", "\t"])
REASONS = [(word, reason) for word, reasons in FATES.items() for reason in ("", *reasons) if reason != "http_NNN"]
FIGURES = (
    st.builds(lambda *names: ("items", [*names]), NAMES)
    | st.just(("items", []))
    | st.builds(lambda *names: ("coverage", [*names]), NAMES, NAMES)
    | st.sampled_from(
        [("pages", [f"{word}:{reason}" if reason else word]) for word, reasons in [*REASONS] for reason in [reasons]]
    )
)


@given(FIGURES, st.sampled_from([*COMPARISONS]), st.integers(0, 100), st.integers(3, 100), st.booleans(), SPACES)
def test_what_is_written_is_what_is_read(
    figure: tuple[str, list[str]], sign: str, number: int, median: int, drop: bool, space: str
) -> None:
    kind, names = figure
    written = ".".join([kind, *(name if kind == "pages" else f'"{name}"' for name in names)])
    percent = drop or kind != "items"
    bound = f"{number}{space}%" if percent else str(number)
    rest = f"drop{space}<={space}{bound}{space}vs median({space}{median})" if drop else f"{sign}{space}{bound}"
    check = parse(f"{space}{written} {rest}{space}")
    assert (check.figure.kind, [name.text for name in check.figure.names]) == figure
    assert check.bound == (Decimal(number) / 100 if percent else number)
    assert (check.sign, check.median) == (("<=", median) if drop else (sign, None))
    for name in check.figure.names:
        assert check.text[name.at :].startswith(name.text)
