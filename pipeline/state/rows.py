"""Many rows in one step of SQLite.

Theory. `sqlite3` gives the interpreter lock away at every step of a statement, and while another thread computes it
comes back only after the switch interval, 5 ms: 500 rows by `executemany` then take two seconds instead of two
milliseconds. So rows go in as one statement for up to 256 of them, and come out folded into one row by the JSON
functions of SQLite. Statements come in few sizes, filled up with rows that have no effect, so that they stay prepared.
Such a row is NULL in its first column only: `sqlite3` looks for an adapter for every None, which takes 2,500
instructions, and binds a number at once.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final

import msgspec

SIZES: Final = (4, 16, 64, 256)  # rows of a statement; 256 rows of 17 columns are 4,352 variables of at most 32,766

json_text: Final = msgspec.json.Encoder().encode
_integers: Final = msgspec.json.Decoder(list[int])


def put(db: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Run `statement` over rows of equal width in pieces; `{rows}` in it stands for the table of their values.

    The columns of that table are column1, column2 ...; column1 of a row is never NULL, and rows where it is are to have
    no effect.
    """
    for text, values in _pieces(statement, rows):
        db.execute(text, values)


def fold(db: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> list[Any]:
    """As `put`, for a query that answers with one cell: those of all pieces."""
    return [db.execute(text, values).fetchone()[0] for text, values in _pieces(statement, rows)]


def _pieces(statement: str, rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[str, list[Any]]]:
    width = len(rows[0]) if rows else 0
    for start in range(0, len(rows), SIZES[-1]):
        piece = rows[start : start + SIZES[-1]]
        size = next(size for size in SIZES if size >= len(piece))
        values = list(chain.from_iterable(piece))
        values.extend([None, *[0] * (width - 1)] * (size - len(piece)))
        yield _sized(statement, width, size), values


@lru_cache(maxsize=64)
def _sized(statement: str, width: int, size: int) -> str:
    row = f"({', '.join('?' * width)})"
    return statement.replace("{rows}", f"(VALUES {', '.join([row] * size)})")


def insert(table: str, columns: Sequence[str], *, verb: str = "INSERT") -> str:
    """The text of a `put` that adds rows to a table."""
    return f"{verb} INTO {table}({', '.join(columns)}) SELECT * FROM {{rows}} WHERE column1 IS NOT NULL"


def id_list(ids: Iterable[int]) -> str:
    """Ids as one variable, for `json_each(?)`."""
    return json_text(list(ids)).decode()


def ids_of(text: str) -> array[int]:
    """What `json_group_array(id)` gave, as 64-bit numbers."""
    return array("q", _integers.decode(text))
