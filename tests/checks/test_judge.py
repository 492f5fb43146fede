"""Verdicts: what passes, what does not, what is told, and which checks are there without being asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.checks.figures import FieldFigures, Figures
from pipeline.checks.grammar import parse
from pipeline.checks.judge import VANISHED, Verdict, judge, judge_types, runs_needed, with_defaults


def figures(items: Mapping[str, int] | None = None, fates: Mapping[str, int] | None = None, **filled: int) -> Figures:
    """Figures with books whose fields have so many values."""
    fields = {"book": {name: FieldFigures(filled=count) for name, count in filled.items()}} if filled else {}
    return Figures(dict(items or {}), fields, dict(fates or {}))


def verdict(text: str, now: Figures, past: Sequence[Figures] = ()) -> Verdict:
    (found,) = judge([parse(text)], now, past)
    return found


BOOKS = figures(
    {"book": 200, "pen": 5}, {"fetched": 90, "failed:dns": 6, "failed:http_503": 4, "rejected:scope": 50}, price=196
)
MANY = [figures({"book": count}) for count in (10, 200, 300, 300, 320)]
VERDICTS: list[tuple[str, list[Figures], bool, str]] = [
    ("items >= 205", [], True, "expected at least 205, got 205"),
    ("items.book > 200", [], False, "expected more than 200, got 200"),
    ("items.book < 200", [MANY[0]], False, "expected less than 200, got 200, before 10"),
    ("items.pencil >= 1", [], False, "expected at least 1, got 0"),
    ("items.pen == 5", [], True, "expected exactly 5, got 5"),
    ("coverage.book.price >= 98%", [], True, "expected at least 98 %, got 98 % (196 of 200)"),
    ("coverage.book.price > 98%", [], False, "expected more than 98 %, got 98 % (196 of 200)"),
    ("coverage.book.title <= 0%", [], True, "expected at most 0 %, got 0 % (0 of 200)"),
    (
        "coverage.book.price >= 99.5%",
        [figures({"book": 3}, price=1)],
        False,
        "expected at least 99.5 %, got 98 % (196 of 200), before 33.33 % (1 of 3)",
    ),
    ("coverage.pencil.price >= 1%", [], False, "expected at least 1 %, got no items of type pencil"),
    ("pages.failed <= 10%", [], True, "expected at most 10 %, got 10 % (10 of 100 requests sent)"),
    ("pages.failed < 10", [], False, "expected less than 10, got 10"),
    ("pages.failed:dns <= 5%", [], False, "expected at most 5 %, got 6 % (6 of 100 requests sent)"),
    ("pages.rejected <= 10%", [], False, "expected at most 10 %, got 33.33 % (50 of 150 requests)"),
    ("pages.fetched >= 90", [], True, "expected at least 90, got 90"),
    (
        "items.book drop <= 20% vs median(7)",
        MANY[:2],
        True,
        "not judged: it needs 3 published runs, there are 2; got 200",
    ),
    (
        "items.book drop <= 20% vs median(7)",
        MANY,
        False,
        "expected at most 20 % below 300, the median of 5 published runs, got 200, 33.33 % below, before 10",
    ),
    (
        "items.book drop <= 20% vs median(3)",
        MANY,
        True,
        "expected at most 20 % below 200, the median of 3 published runs, got 200, 0 % below, before 10",
    ),
    (
        "coverage.book.price drop <= 1% vs median(3)",
        [figures({"book": 4}, price=4)] * 3,
        False,
        "expected at most 1 % below 100 %, the median of 3 published runs, got 98 % (196 of 200), 2 % below, "
        "before 100 % (4 of 4)",
    ),
    (
        "coverage.pen.ink drop <= 1% vs median(3)",
        MANY,
        True,
        "not judged: it needs 3 published runs, there are none; got 0 % (0 of 5)",
    ),
    (
        "items.pen drop <= 1% vs median(3)",
        MANY,
        True,
        "expected at most 1 % below 0, the median of 3 published runs, got 5, 0 % below, before 0",
    ),
]


@pytest.mark.parametrize(("text", "past", "passed", "message"), VERDICTS)
def test_a_verdict_says_what_was_expected_what_came_and_what_it_was(
    text: str, past: list[Figures], passed: bool, message: str
) -> None:
    found = verdict(text, BOOKS, past)
    assert (found.check, found.passed, found.message) == (text, passed, message)
    assert found.skipped is message.startswith("not judged")


def test_before_the_first_request_no_share_fails() -> None:
    assert verdict("pages.failed <= 0%", figures()).message == "expected at most 0 %, got 0 % (0 of 0 requests sent)"


@given(st.integers(0, 400), st.integers(1, 400), st.integers(0, 1000))
def test_a_share_is_compared_exactly(filled: int, count: int, per_mille: int) -> None:
    filled = min(filled, count)
    now = figures({"book": count}, price=filled)
    text = f"{per_mille // 10}.{per_mille % 10}%"
    assert verdict(f"coverage.book.price >= {text}", now).passed is (filled * 1000 >= per_mille * count)
    assert verdict(f"coverage.book.price <= {text}", now).passed is (filled * 1000 <= per_mille * count)


@given(st.lists(st.integers(0, 50), min_size=3, max_size=9), st.integers(0, 50), st.integers(0, 100))
def test_a_drop_is_measured_from_the_middle(counts: list[int], now: int, share: int) -> None:
    past = [figures({"book": count}) for count in counts]
    passed = verdict(f"items.book drop <= {share}% vs median(9)", figures({"book": now}), past).passed
    ordered = sorted(counts)
    twice = ordered[(len(counts) - 1) // 2] + ordered[len(counts) // 2]  # the median, times two
    assert passed is (twice == 0 or (twice - 2 * now) * 100 <= share * twice)


# --- those that are always there -------------------------------------------------------------------------------------

CHECKS: list[tuple[list[str], dict[str, int], dict[str, int], list[str]]] = [
    ([], {"book": 1}, {"fetched": 10}, []),
    ([], {}, {"fetched": 10}, ["items >= 1"]),
    (["items.book >= 0"], {}, {"fetched": 10}, []),
    (["items drop <= 20% vs median(7)"], {}, {"fetched": 10}, []),
    ([], {"book": 1}, {"fetched": 9, "failed:http_500": 1}, []),
    ([], {"book": 1}, {"fetched": 8, "failed:dns": 1, "gone": 0, "redirected": 0}, ["pages.failed <= 10%"]),
    ([], {"book": 1}, {"fetched": 1, "failed:dns": 1, "rejected:scope": 90}, ["pages.failed <= 10%"]),
    (["pages.failed <= 100%"], {"book": 1}, {"failed:dns": 1}, []),
    (["pages.failed:dns <= 100%"], {"book": 1}, {"failed:dns": 1}, ["pages.failed <= 10%"]),
    (["coverage.book.price >= 0%"], {}, {}, ["items >= 1"]),
    ([], {"book": 1}, {}, []),
]


@pytest.mark.parametrize(("own", "items", "fates", "failed"), CHECKS)
def test_the_checks_that_are_always_there(own: list[str], items: Any, fates: Any, failed: list[str]) -> None:
    checks, _ = with_defaults([parse(text) for text in own], expects_items=True)
    verdicts = judge(checks, figures(items, fates), [])
    assert [verdict.check for verdict in verdicts if not verdict.passed] == failed


def test_types_may_vanish_where_the_config_counts_items_itself_or_has_none() -> None:
    assert with_defaults([], expects_items=True)[1] is False
    assert with_defaults([parse("items.book >= 1")], expects_items=True)[1] is True
    assert with_defaults([], expects_items=False)[1] is True
    assert [check.text for check in with_defaults([], expects_items=False)[0]] == ["pages.failed <= 10%"]


TYPES: list[tuple[dict[str, int], dict[str, int], set[str], bool, str]] = [
    ({"book": 1}, {"book": 9}, set(), True, "got all 1"),
    ({"book": 1, "pen": 0}, {"book": 9, "pen": 4}, set(), False, "got no pen, before 4 pen"),
    ({}, {"book": 9, "pen": 4}, set(), False, "got no book and no pen, before 9 book, 4 pen"),
    ({"book": 1}, {"book": 9, "pen": 4}, {"pen"}, True, "got all 1"),
    ({"book": 1}, {"book": 9, "pen": 0}, set(), True, "got all 1"),
]


@pytest.mark.parametrize(("now", "before", "retired", "passed", "told"), TYPES)
def test_no_type_of_the_last_published_result_may_vanish(
    now: dict[str, int], before: dict[str, int], retired: set[str], passed: bool, told: str
) -> None:
    (found,) = judge_types(figures(now), [figures(before), figures({"ink": 1})], retired=retired)
    assert (found.check, found.passed) == (VANISHED, passed)
    assert found.message == f"expected items of every type that was published, {told}"


def test_nothing_has_vanished_before_the_first_result() -> None:
    assert judge_types(figures(), []) == []


def test_how_many_runs_are_looked_at() -> None:
    assert runs_needed([]) == 1
    assert runs_needed([parse("items >= 1"), parse("items drop <= 1% vs median(9)")]) == 9
