"""Two results side by side: what is new, changed, unchanged and gone, however they are cut into pieces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.packing import MARK
from pipeline.runner.compare import PAIR, Comparison, Difference


def packed(items: Sequence[tuple[int, int]]) -> bytes:
    return b"".join(number.to_bytes(MARK, "big") for pair in items for number in pair)


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Pieces of whole items; empty ones as well."""
    ends = sorted({0, *(place % (len(data) // PAIR + 1) for place in places)} | {len(data) // PAIR})
    return [data[start * PAIR : end * PAIR] for start, end in pairwise(ends)]


def compare(old: Sequence[bytes], new: Sequence[bytes]) -> Difference:
    comparison = Comparison(iter(old))
    for piece in new:
        comparison.feed(piece)
    return comparison.end()


def plain(old: Mapping[int, int], new: Mapping[int, int]) -> Difference:
    """The definition."""
    both = old.keys() & new.keys()
    unchanged = sum(old[identity] == new[identity] for identity in both)
    return Difference(len(new) - len(both), len(both) - unchanged, unchanged, len(old) - len(both))


RESULT = st.dictionaries(st.integers(0, 12), st.integers(0, 2), max_size=12)
PLACES = st.lists(st.integers(0, 20), max_size=4)


@given(RESULT, RESULT, PLACES, PLACES, st.randoms(use_true_random=False), st.booleans())
def test_it_is_what_two_dicts_say(
    old: dict[int, int], new: dict[int, int], old_cuts: list[int], new_cuts: list[int], random: object, shuffled: bool
) -> None:
    before, after = sorted(old.items()), sorted(new.items())
    if shuffled:
        random.shuffle(after)  # type: ignore[attr-defined]
    found = compare(cut(packed(before), old_cuts), cut(packed(after), new_cuts))
    assert found == plain(old, new)
    assert found.any is (old != new)


@given(RESULT, RESULT, PLACES, PLACES, st.integers(0, 5))
def test_where_the_items_stand_that_moved(
    old: dict[int, int], new: dict[int, int], old_cuts: list[int], new_cuts: list[int], most: int
) -> None:
    before, after = sorted(old.items()), sorted(new.items())
    comparison = Comparison(iter(cut(packed(before), old_cuts)), most=most)
    for piece in cut(packed(after), new_cuts):
        comparison.feed(piece)
    comparison.end()
    changed = {
        (before.index((k, old[k])), after.index((k, new[k]))) for k in old.keys() & new.keys() if old[k] != new[k]
    }
    assert len(comparison.moves.changed) == min(most, len(changed)) and changed.issuperset(comparison.moves.changed)
    assert comparison.moves.new == [at for at, (key, _) in enumerate(after) if key not in old][:most]
    assert comparison.moves.gone == [at for at, (key, _) in enumerate(before) if key not in new][:most]


@given(RESULT, PLACES, PLACES)
def test_an_equal_result_is_unchanged(result: dict[int, int], old_cuts: list[int], new_cuts: list[int]) -> None:
    items = packed(list(result.items()))
    assert compare(cut(items, old_cuts), cut(items, new_cuts)) == Difference(unchanged=len(result))


def test_equal_pieces_are_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    def met(*_: object) -> None:
        raise AssertionError("an item was looked at")

    monkeypatch.setattr(Comparison, "_meet", met)
    pieces = [packed([(at, at), (at + 1, 0)]) for at in range(0, 100, 2)]
    assert compare(pieces, pieces).unchanged == 100


def test_an_old_result_is_read_no_faster_than_the_new_one() -> None:
    read: list[int] = []

    def old() -> Iterator[bytes]:
        for at in range(10):
            read.append(at)
            yield packed([(at, 0)])

    comparison = Comparison(old())
    comparison.feed(packed([(0, 0), (1, 1)]))
    assert read == [0, 1]
    assert comparison.end() == Difference(changed=1, unchanged=1, gone=8)
