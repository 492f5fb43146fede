"""Figures of a result: counts, and for each field of each type how often it has a value, of which kinds, how long.

Gathered while the items pass by at publish, some hundreds at a time, by columns: `Counter(map(type, column))` costs a
tenth of looking at each value by itself. Kept with each published run, so that the next can be compared with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any, Final

import msgspec

from pipeline.model import Item

_SIZED: Final = (str, list)  # what has a length
_EMPTY: Final = (str, list, dict)  # what may be there and hold nothing
_NOTHING: Final = type(None)


class FieldFigures(msgspec.Struct):
    """One field of the items of one type.

    `filled` of them have a value that is not null and not empty; `types` counts those by kind; of `measured` texts and
    lists (characters, elements) the lengths add up to `length`.
    """

    filled: int = 0
    types: dict[str, int] = {}
    measured: int = 0
    length: int = 0
    shortest: int = 0
    longest: int = 0

    @property
    def mean(self) -> float | None:
        """Mean length of texts and lists; None where there are none."""
        return self.length / self.measured if self.measured else None

    def add(self, other: FieldFigures) -> None:
        """Enter more items."""
        self.filled += other.filled
        for name, number in other.types.items():
            self.types[name] = self.types.get(name, 0) + number
        if other.measured:
            self.shortest = min(self.shortest, other.shortest) if self.measured else other.shortest
            self.longest = max(self.longest, other.longest)
            self.measured += other.measured
            self.length += other.length


Fields = dict[str, dict[str, FieldFigures]]
"""By type and field."""


class Figures(msgspec.Struct, frozen=True):
    """What checks and drift look at: items by type, their fields, and the fates of the run's requests."""

    items: dict[str, int] = {}
    fields: Fields = {}
    fates: dict[str, int] = {}

    def total(self) -> int:
        """All items."""
        return sum(self.items.values())

    def coverage(self, kind: str, field: str) -> Decimal | None:
        """The share of the items of a type that have a value; None where there are no such items."""
        count = self.items.get(kind, 0)
        return Decimal(self.filled(kind, field)) / count if count else None

    def filled(self, kind: str, field: str) -> int:
        """How many items of a type have a value."""
        found = self.fields.get(kind, {}).get(field)
        return found.filled if found else 0


def measure(items: Iterable[Item]) -> Fields:
    """The fields of some items."""
    by_type: dict[str, list[Item]] = {}
    for item in items:
        by_type.setdefault(item.type, []).append(item)
    return {kind: _fields(group) for kind, group in by_type.items()}


def add(fields: Fields, more: Mapping[str, Mapping[str, FieldFigures]]) -> None:
    """Enter the figures of more items."""
    for kind, found in more.items():
        known = fields.setdefault(kind, {})
        for name, figures in found.items():
            if name in known:
                known[name].add(figures)
            else:
                known[name] = figures


def _fields(items: Sequence[Mapping[str, Any]]) -> dict[str, FieldFigures]:
    names = list(items[0])
    if all(list(item) == names for item in items):  # as those of one rule have
        columns = zip(*[item.values() for item in items], strict=True)
        return {name: _field(column) for name, column in zip(names, columns, strict=True)}
    names = list(dict.fromkeys(chain.from_iterable(items)))
    return {name: _field([item[name] for item in items if name in item]) for name in names}


def _field(values: Sequence[Any]) -> FieldFigures:
    same_kind = len(set(map(type, values))) == 1
    kinds: dict[type, int] = {type(values[0]): len(values)} if same_kind else Counter(map(type, values))
    kinds.pop(_NOTHING, None)
    figures = FieldFigures()
    for kind, count in kinds.items():
        same = values if count == len(values) else [value for value in values if type(value) is kind]
        lengths = [length for length in map(len, same) if length] if kind in _EMPTY else []
        there = len(lengths) if kind in _EMPTY else count
        if not there:
            continue
        figures.filled += there
        figures.types[kind.__name__.lower()] = there  # Decimal is `decimal`, as in a config
        if kind in _SIZED:
            figures.add(FieldFigures(0, {}, there, sum(lengths), min(lengths), max(lengths)))
    return figures


def is_filled(value: Any) -> bool:
    """Is it neither null nor empty?"""
    return value is not None and not (isinstance(value, _EMPTY) and not value)


def median(values: Iterable[Any]) -> Any:
    """The middle of some numbers, of which there is one at least. `statistics` takes 10 ms to import."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
