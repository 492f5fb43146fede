"""A table in the making: its columns, its types, and how a value stands in SQLite. Knows no connection and no file."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator
from decimal import Decimal
from typing import Any

import msgspec

from pipeline import Item

_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder().decode
_key = json.JSONEncoder(sort_keys=True).encode  # as JSON reads it back, a number is the same number


class Table:
    """A table in the making. Its rows are in table `t<number>` of the stage, its third column is `c2` there."""

    def __init__(self, name: str, number: int, kind: str, key: list[str], columns: list[str]) -> None:
        self.name = name
        self.kind = kind  # the item type that it is named after; empty for one that the config names
        self.key = list(dict.fromkeys(key))  # fields; only `merge` wants them
        self.stage = f"t{number}"
        self.columns: dict[str, str] = {}  # field -> name of its column, those of the key first
        self.kinds: list[set[str]] = []  # for each column, what values it has
        for field in dict.fromkeys([*key, *columns]):
            self.add(field)

    def add(self, field: str) -> str:
        """Make a column for a field; its name in the stage."""
        self.columns[field] = unique(field, {name.lower() for name in self.columns.values()})
        self.kinds.append(set())
        return f"c{len(self.kinds) - 1}"

    @property
    def cells(self) -> list[str]:
        """The names of the columns in the stage."""
        return [f"c{number}" for number in range(len(self.kinds))]

    def row(self, item: Item) -> list[Any]:
        """The item's value for each column."""
        row = []
        for field, kinds in zip(self.columns, self.kinds, strict=True):
            kind, value = convert(item.get(field))
            kinds.add(kind)
            row.append(value)
        return row

    def mark(self, row: list[Any]) -> str | None:
        """The key of a row as JSON, by column; None without a key. ValueError for a row without a value there."""
        if not self.key:
            return None
        values = dict(zip(self.key, row, strict=False))  # the columns of the key are the first ones
        lacking = next((field for field, value in values.items() if value is None), None)
        if lacking is not None:
            raise ValueError(
                f"an item of type {self.kind or self.name} has no {lacking}, which is in the key of table {self.name}: "
                f"let the filter `require: [{lacking}]` drop such items, or choose another key"
            )
        return _key({self.columns[field]: value for field, value in values.items()})

    def declarations(self) -> Iterator[tuple[str, str]]:
        """Name and declaration of each column, as CREATE TABLE and ADD COLUMN want it."""
        for name, kinds in zip(self.columns.values(), self.kinds, strict=True):
            yield name, f"{quote(name)} {affinity(kinds)}".rstrip()


def quote(name: str) -> str:
    """A name as an SQL identifier, whatever is in it."""
    if "\0" in name:
        raise ValueError(f"{name!r} cannot be a name in SQLite: it has a NUL character")
    return '"' + name.replace('"', '""') + '"'


def unique(name: str, taken: Container[str]) -> str:
    """`name`, or with a number where it is taken: SQLite does not tell `Title` from `title`."""
    quote(name)
    free, number = name, 1
    while free.lower() in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def convert(value: Any) -> tuple[str, Any]:
    """(kind, value for SQLite). Kinds: "" for null, INTEGER, BIG for integers that a REAL rounds, REAL, TEXT."""
    if value is None or (isinstance(value, float | Decimal) and value != value):  # noqa: PLR0124 - NaN
        return "", None
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return ("INTEGER" if abs(value) <= 2**53 else "BIG"), int(value)
    if isinstance(value, float):
        return "REAL", value
    if isinstance(value, Decimal) and Decimal(repr(float(value))) == value:
        return "REAL", float(value)
    if isinstance(value, int | Decimal | str):
        return "TEXT", str(value)
    json = _encode(value)
    return "TEXT", str(_decode(json)) if json.startswith(b'"') else json.decode()


def affinity(kinds: set[str]) -> str:
    """The type of a column whose values are of these kinds; none where one type would change a value."""
    some = kinds - {""}
    if not some or ("TEXT" in some and len(some) > 1) or {"BIG", "REAL"} <= some:
        return ""
    return "TEXT" if "TEXT" in some else "REAL" if "REAL" in some else "INTEGER"
