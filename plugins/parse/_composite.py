"""Sources that are made of other fields: the first of several, several joined, an object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pipeline import Element

from ._field import Field
from ._reading import Reading, Scopes
from ._sources import Raws, text_of

Read = Callable[[Raws, Reading], Any]


class FirstOf:
    """The first part that gives a value, judged by what the field makes of it."""

    def __init__(self, parts: Sequence[Field]) -> None:
        self.parts = parts
        self.observed = any(part.observed for part in parts)

    def find(self, scopes: Scopes, first: bool) -> Sequence[Raws]:
        return self.read(scopes, lambda raws, reading: raws or None)

    def read(self, scopes: Scopes, read: Read) -> list[Any]:
        """For each record the raw values of the first part of which `read` makes a value."""
        return [raws for _, raws in self.choose(scopes, read)]

    def choose(self, scopes: Scopes, read: Read) -> list[tuple[int | None, Raws]]:
        """For each record the number of that part, and its raw values."""
        found: list[tuple[int | None, Raws]] = [(None, []) for _ in range(scopes.size)]
        open_ = list(range(scopes.size))
        for place, part in enumerate(self.parts):
            column = part.column(scopes)
            left = []
            for number in open_:
                raws = spread(column[number])
                if raws and read(raws, scopes.reading) is not None:
                    found[number] = (place, raws)
                else:
                    left.append(number)
            open_ = left
            if not open_:
                break
        return found


class Join:
    """The texts of several parts as one; parts without a value are left out."""

    def __init__(self, parts: Sequence[Field], separator: str) -> None:
        self.parts = parts
        self._separator = separator
        self._observed = [part.observed for part in parts]
        self.observed = any(self._observed)

    def find(self, scopes: Scopes, first: bool) -> Sequence[Raws]:
        rows = zip(*(part.column(scopes) for part in self.parts), strict=True)
        return [self._join([spread(value) for value in row]) for row in rows]

    def _join(self, values: Sequence[Raws]) -> Raws:
        if self.observed and not any(raws for raws, seen in zip(values, self._observed, strict=True) if seen):
            return []
        return [self._separator.join(text_of(raw) for raws in values for raw in raws)]


class Objects:
    """An object for each place that `find_scopes` gives in a record, or one for the record itself."""

    def __init__(self, fields: Sequence[Field], find_scopes: Callable[[Scopes], list[Scopes]] | None) -> None:
        self.fields = fields
        self.places = find_scopes
        self._required = [field.name for field in fields if field.required]
        self._observed = [field.name for field in fields if field.observed]
        self.observed = bool(self._observed) or find_scopes is not None

    def find(self, scopes: Scopes, first: bool) -> Sequence[Raws]:
        if self.places is None:
            found = [[row] for row in self._rows(scopes)]
            return [[row for row in share if row is not None] for share in found]
        return [[row for row in self._rows(inner) if row is not None] for inner in self.places(scopes)]

    def _rows(self, scopes: Scopes) -> list[dict[str, Any] | None]:
        columns = [field.column(scopes) for field in self.fields]
        names = [field.name for field in self.fields]
        rows = zip(*columns, strict=True) if columns else iter([()] * scopes.size)
        return [self._object(dict(zip(names, row, strict=True))) for row in rows]

    def _object(self, values: dict[str, Any]) -> dict[str, Any] | None:
        """None if there is nothing in it that was read from the page, or a required value lacks."""
        if any(values[name] in EMPTY for name in self._required):
            return None
        nothing = self._observed and all(values[name] in EMPTY for name in self._observed)
        return None if nothing else values


EMPTY: tuple[Any, ...] = (None, "", [], {})


def spread(value: Any) -> Raws:
    """The values of a part as raw values."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def each_within(found: Sequence[Sequence[Element]], reading: Reading) -> list[Scopes]:
    """The elements found in each record as scopes."""
    return [Scopes(reading, list(share)) for share in found]
