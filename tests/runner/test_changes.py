"""Changes put together: what the steps between two results add up to is what the two results say."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.packing import pack_values
from pipeline.runner import changes
from pipeline.runner.changes import Change, between, collect, differing, packed, turned
from pipeline.runner.compare import Comparison
from pipeline.state import pages, runs
from pipeline.state.changes import RUNS, Published, keep, published
from pipeline.state.writer import Writer

FIELDS = st.dictionaries(st.sampled_from("abc"), st.sampled_from([None, 1, 1.0, True, "x", [1], Decimal("1.0")]))
RESULT = st.dictionaries(st.binary(min_size=1, max_size=1), FIELDS, max_size=4)


def steps(old: dict[bytes, Any], new: dict[bytes, Any]) -> dict[bytes, Change]:
    """The definition."""
    found = {}
    for identity in {**old, **new}:
        one, other = old.get(identity), new.get(identity)
        if one is not None and other is not None:
            one, other = differing(one, other)
            if not one and not other:
                continue
        found[identity] = Change(identity, "t", {}, "u", one, other)
    return found


def step(number: int, found: dict[bytes, Change]) -> Published:
    return Published(number, f"r{number}", True, packed(list(found.values())))


def exact(found: dict[bytes, Change]) -> Any:
    """With the types of values, which `==` does not tell apart; fields in any order."""
    return {
        identity: tuple(side and {name: pack_values(value) for name, value in side.items()} for side in change[4:])
        for identity, change in found.items()
    }


@given(st.lists(RESULT, min_size=2, max_size=5))
def test_steps_add_up_to_the_difference_of_the_ends(results: list[dict[bytes, Any]]) -> None:
    chain = [step(number, steps(old, new)) for number, (old, new) in enumerate(pairwise(results))]
    found = {change.identity: change for change in between(chain)}
    assert exact(found) == exact(steps(results[0], results[-1]))
    back = {identity: turned(change) for identity, change in found.items()}
    assert exact(back) == exact(steps(results[-1], results[0]))


def test_numbers_that_are_equal_but_not_the_same_differ() -> None:
    assert differing({"a": 1, "b": 2}, {"a": Decimal("1"), "b": 2}) == ({"a": 1}, {"a": Decimal("1")})
    assert differing({"a": Decimal("1.0")}, {"a": Decimal("1.00")}) != ({}, {})


# --- from the state --------------------------------------------------------------------------------------------------


@pytest.fixture
def writer() -> Iterator[Writer]:
    made = Writer(None)
    yield made
    made.close()


def result(writer: Writer, run: int, items: list[tuple[int, int]], size: int) -> bytes:
    """Items (identity, price) of a result, in pieces of so many; their marks."""
    whole = b""
    for seq, start in enumerate(range(0, len(items), size)):
        piece = items[start : start + size]
        marks = b"".join(number.to_bytes(16, "big") for pair in piece for number in pair)
        packed_items = pack_values([["t", {"id": one, "price": other}, "u", 0] for one, other in piece])
        writer.call(pages.add_chunk, run, seq, len(piece), marks, packed_items)
        whole += marks
    return whole


def compared(writer: Writer, old: list[tuple[int, int]], new: list[tuple[int, int]], size: int = 2) -> Any:
    comparison = Comparison(iter([result(writer, 1, old, size)]), most=100)
    comparison.feed(result(writer, 2, new, size))
    comparison.end()
    return collect(writer, 1, 2, comparison.moves, {"t": ["id"]})


def test_changes_are_read_from_the_two_results(writer: Writer) -> None:
    found, whole = compared(writer, [(1, 1), (2, 2), (3, 3), (5, 5)], [(1, 1), (2, 9), (4, 4), (5, 5)])
    told = [(change.kind, change.key, change.before, change.after) for change in found]
    assert whole and told == [
        ("changed", {"id": 2}, {"price": 2}, {"price": 9}),
        ("new", {"id": 4}, None, {"id": 4, "price": 4}),
        ("gone", {"id": 3}, {"id": 3, "price": 3}, None),
    ]


def test_what_is_kept_is_bounded(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MOST_BYTES", 60)
    found, whole = compared(writer, [(at, 0) for at in range(9)], [(at, 1) for at in range(9)])
    assert not whole and 0 < len(found) < 9
    assert all(change.kind == "changed" for change in found)


def test_changes_of_runs_long_past_are_forgotten(writer: Writer) -> None:
    for number in range(1, RUNS + 4):
        writer.call(runs.begin, f"r{number}", "2026-01-01T00:00:00+00:00", b"", False, "0")
        writer.call(runs.close, number, "published", 0, "", b"{}")
        writer.call(keep, number, True, b"\x90")
    there = writer.call(published, 0, 2**62)
    assert [step.changes is not None for step in there] == [False] * 3 + [True] * RUNS
    assert [step.number for step in writer.call(published, 2, 4)] == [3, 4]
