"""`csv`: a table for spreadsheets, as RFC 4180 has it: commas, CRLF, a header line, UTF-8.

    store:
      - csv: out/books.csv
      - csv: {path: out/prices.csv, columns: [upc, price], items: book}

Without `columns` every field is a column, in order of first appearance. Null is an empty cell, a list or an object is
JSON text. A cell that a spreadsheet would take for a formula gets an apostrophe in front (`formula_safe: false` leaves
it as it is).

The header stands first but is known last, so rows wait in a nameless temporary file until `commit` writes them to the
stage and renames that; no more than one batch is in memory.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Literal, TextIO

import msgspec

from pipeline import Item, Registry, RunInfo, hookimpl

from ._files import sync_folder, writable

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
        self.stage = path.with_name(f".{path.name}.{run.id}.stage")
        self.write = write
        self.formula_safe = formula_safe
        self.columns = dict.fromkeys(columns or [])  # in order, each once
        self._chosen = columns is not None
        self._header: list[str] = []  # of the file that is appended to
        self._waiting: IO[bytes] | None = None  # rows as JSON lists of cells

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
        with self.stage.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            if self._header:
                _copy(self.path, file)
            elif self.columns:
                writer.writerow(map(self._cell, self.columns))
            writer.writerows(_rows(waiting, len(self.columns)))
            file.flush()
            os.fsync(file.fileno())
        if self.path.exists():
            shutil.copymode(self.path, self.stage)
        self.stage.replace(self.path)
        self._end(waiting)
        sync_folder(self.path.parent)

    @hookimpl
    def abort(self) -> None:
        """Forget the rows; the target was never touched."""
        if self._waiting:
            self.stage.unlink(missing_ok=True)
            self._end(self._waiting)

    def _begin(self) -> IO[bytes]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.write == "append" and self.path.exists():
            self._take_header()
        self._waiting = tempfile.TemporaryFile(dir=self.path.parent)  # noqa: SIM115 - `commit` or `abort` closes it
        return self._waiting

    def _end(self, waiting: IO[bytes]) -> None:
        self._waiting = None
        with suppress(OSError):  # a full disk refuses what is still in the buffer, and nobody needs it any more
            waiting.close()

    def _take_header(self) -> None:
        """The columns of the file; ValueError where others were chosen."""
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            self._header = next(csv.reader(file), [])
        if self._header and not self._chosen:
            self.columns = dict.fromkeys(self._header)
        wanted = [self._cell(column) for column in self.columns]
        if self._header and self._header != wanted:
            raise ValueError(
                f"{self.path} has the columns {', '.join(self._header)}, not {', '.join(wanted)}: "
                "name the same ones in `columns`, or write to another file"
            )

    def _learn(self, item: Item) -> None:
        """Make columns of new fields; ValueError where the file that is appended to lacks them."""
        new = [] if self._chosen else [field for field in item if field not in self.columns]
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


def _copy(path: Path, file: TextIO) -> None:
    """Begin `file` with the rows of `path`, the last one ended."""
    last = ""
    with path.open(encoding="utf-8", newline="") as old:
        while part := old.read(1 << 20):
            file.write(part)
            last = part[-1]
    if last != "\n":
        file.write("\r\n")


@hookimpl
def register(registry: Registry) -> None:
    """Let configs name it."""
    registry.store("csv", Csv)
