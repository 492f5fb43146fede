"""`csv`: a table for spreadsheets, as RFC 4180 has it: commas, CRLF, a header line, UTF-8.

    store:
      - csv: out/books.csv
      - csv: {path: out/prices.csv, columns: [upc, price], items: book}

Without `columns` every field is a column, in order of first appearance. Null is an empty cell, a list or an object is
JSON text. A cell that a spreadsheet would take for a formula gets an apostrophe in front (`formula_safe: false` leaves
it as it is).

The header stands first but is known last, so rows wait in a nameless temporary file until `commit` writes them to the
stage and renames that; no more than one batch is in memory. With `append` the stage begins as a copy of the file, and a
run's rows are appended once however often it is told to commit them (see `_files`).
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Literal

import msgspec

from pipeline import Item, KnownFields, OptionError, Registry, RunInfo, hookimpl, unknown_fields

from ._files import Stage, nameless, writable

_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder().decode
_plain_number = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII).fullmatch
_formula = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet may take for the start of one (OWASP, CSV injection)


class Csv:
    """Write items to `path`. With `append` the header of the file that is there decides the columns."""

    def __init__(
        self,
        path: Path,
        *,
        run: RunInfo,
        columns: list[str] | None = None,
        write: Literal["replace", "append"] = "replace",
        formula_safe: bool = True,
    ) -> None:
        self.path = writable(path)
        self.run = run
        self.write = write
        self.formula_safe = formula_safe
        self.columns = dict.fromkeys(columns or [])  # in order, each once
        self._chosen = None if columns is None else tuple(self.columns)
        self._header: list[str] = []  # of the file that is appended to
        self._waiting: IO[bytes] | None = None  # rows as JSON lists of cells
        self._stage: Stage | None = None  # only while `commit` is at work, or after it failed

    def check_fields(self, fields: KnownFields) -> Iterator[OptionError]:
        """Columns that no item has."""
        return unknown_fields(self.columns, fields, "columns")

    @hookimpl
    def store_items(self, items: list[Item]) -> None:
        """Add rows: one cell for each column that is known by now."""
        waiting = self._waiting or self._begin()
        for item in items:
            self._learn(item)
            waiting.write(_encode([self._cell(item.get(column)) for column in self.columns]) + b"\n")

    @hookimpl
    def commit(self) -> None:
        """Write header and rows to the stage, and put it in the target's place."""
        waiting = self._waiting or self._begin()
        self._stage = stage = Stage(self.path, self.run)
        if self._header:
            stage.copy_target(b"\r\n")
        elif self.write == "append":
            stage.start_anew()
        writer = csv.writer(codecs.getwriter("utf-8")(stage.file))
        if self.columns and not self._header:
            writer.writerow(map(self._cell, self.columns))
        writer.writerows(_rows(waiting, len(self.columns)))
        stage.commit()
        self._end()

    @hookimpl
    def abort(self) -> None:
        """Forget the rows; the target was never touched."""
        if self._stage:
            self._stage.abort()
        self._end()

    def _begin(self) -> IO[bytes]:
        self.columns = dict.fromkeys(self._chosen or ())  # an earlier publish may have learned others
        self._header = []
        if self.write == "append" and self.path.exists():
            self._take_header()
        self._waiting = nameless(self.path, self.run.id)
        return self._waiting

    def _end(self) -> None:
        self._stage = None
        with suppress(OSError):  # a full disk refuses what is still in the buffer, and nobody needs it any more
            if self._waiting:
                self._waiting.close()
        self._waiting = None

    def _take_header(self) -> None:
        """The columns of the file; ValueError where others were chosen."""
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            self._header = next(csv.reader(file), [])
        if self._header and self._chosen is None:
            self.columns = dict.fromkeys(self._header)
        wanted = [self._cell(column) for column in self.columns]
        if self._header and self._header != wanted:
            raise ValueError(
                f"{self.path} has the columns {', '.join(self._header)}, not {', '.join(wanted)}: "
                "name the same ones in `columns`, or write to another file"
            )

    def _learn(self, item: Item) -> None:
        """Make columns of new fields; ValueError where the file that is appended to lacks them."""
        new = [] if self._chosen is not None else [field for field in item if field not in self.columns]
        if new and self._header:
            raise ValueError(
                f"{self.path} has no column {', '.join(new)}, which a new item has: "
                "name the file's own ones in `columns`, or write to another file"
            )
        self.columns.update(dict.fromkeys(new))

    def _cell(self, value: Any) -> str:
        text = value if isinstance(value, str) else _text(value)
        if self.formula_safe and text.startswith(_formula) and not _plain_number(text):
            return f"'{text}"
        return text


def _text(value: Any) -> str:
    """A value as JSON writes it, but null empty and no quotes around dates."""
    json = _encode(value)
    if json.startswith(b'"'):
        return str(_decode(json))
    return "" if json == b"null" else json.decode()


def _rows(waiting: IO[bytes], width: int) -> Iterator[list[str]]:
    """The waiting rows, each filled up with the columns that appeared after it."""
    waiting.seek(0)
    for line in waiting:
        cells: list[str] = _decode(line)
        yield cells + [""] * (width - len(cells))


@hookimpl
def register(registry: Registry) -> None:
    """Let configs name it."""
    registry.store("csv", Csv)
