"""Drift: what is worth a warning, and what is not."""

from __future__ import annotations

import pytest

from pipeline.checks.drift import drift
from pipeline.checks.figures import FieldFigures, Figures


def books(count: int, filled: int | None = None, *, kind: str = "str", length: int = 0) -> Figures:
    filled = count if filled is None else filled
    measured = filled if kind == "str" else 0
    figures = FieldFigures(filled, {kind: filled} if filled else {}, measured, length * measured, length, length)
    return Figures({"book": count}, {"book": {"price": figures}})


MOVES: list[tuple[Figures, list[Figures], list[str]]] = [
    (books(100), [], []),
    (books(100), [books(100)], []),
    (books(80), [books(100)], []),
    (books(79), [books(100)], ["items of type book fell from 100 to 79"]),
    (books(79), [books(30), books(100), books(100)], ["items of type book fell from 100 to 79"]),
    (books(100), [books(500), books(100), books(90)], []),  # one odd run before hides nothing and warns of nothing
    (books(500), [books(100)], []),
    (books(2), [books(10)], []),
    (Figures(), [books(100)], ["items of type book fell from 100 to 0"]),
    (books(100, 95), [books(100)], []),
    (books(100, 94), [books(100)], ["coverage of book.price fell from 100 % to 94 %"]),
    (books(100), [books(100, 50)], []),
    (books(5, 3), [books(5)], []),
    (books(5, 0), [books(5)], ["coverage of book.price fell from 100 % to 0 %"]),
    (
        books(100, kind="int"),
        [books(100)],
        ["values of book.price that are str fell from 100 % to 0 %, now mostly int"],
    ),
    (books(100, length=19), [books(100, length=10)], []),
    (books(100, length=20), [books(100, length=10)], ["mean length of book.price went from 10.0 to 20.0"]),
    (books(100, length=5), [books(100, length=10)], ["mean length of book.price went from 10.0 to 5.0"]),
    (books(100, length=4), [books(100, length=2)], []),
    (books(5, length=40), [books(5, length=10)], []),
    (Figures({"book": 100}, {"book": {}}), [books(100)], ["coverage of book.price fell from 100 % to 0 %"]),
]


@pytest.mark.parametrize(("now", "past", "told"), MOVES)
def test_what_is_told(now: Figures, past: list[Figures], told: list[str]) -> None:
    assert [one.message for one in drift(now, past)] == told


def test_it_is_data_too() -> None:
    (one,) = drift(books(100, 40), [books(100, 90)])
    assert (one.figure, one.before, one.now) == ("coverage.book.price", 0.9, 0.4)


def test_runs_long_past_do_not_count() -> None:
    assert drift(books(40), [books(40)] * 7 + [books(100)] * 90) == []
