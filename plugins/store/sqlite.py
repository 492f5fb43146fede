"""`sqlite`: tables of a SQLite database.

    store:
      - sqlite: out/books.db
      - sqlite: {path: out/books.db, table: books, write: merge, key: [upc]}

Without `table` each item type has a table of its name. `replace` makes the table anew (its indexes and triggers are
kept). `merge` updates rows by `key`, adds the new ones and removes those that it added earlier and whose items are
gone; rows that others made stay. `append` adds all, but never twice for one run. The rest of the database is left
alone. Rows are in output order.

Types follow the values: INTEGER (true is 1), REAL, TEXT; a column with a mixture has no type, so that SQLite keeps each
value as it came. A decimal is a REAL if that shows the same number, else, with some 16 digits or more, a text: SQL can
then calculate with prices, and no digit is lost but zeros at the end. Dates are ISO 8601, lists and objects JSON text.

Items are staged in a database of their own beside the target. `commit` attaches it and writes to the target in one
transaction, so readers see all of it or nothing, and a kill at any moment leaves the old state or the new one.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from pipeline import Item, KnownFields, OptionError, Registry, RunInfo, hookimpl, unknown_fields

from ._files import claim, real, release, writable
from ._table import Table, unique
from ._target import Target

BUSY_SECONDS = 10.0  # how long another program may keep the database locked

_OURS = "_hookline_"  # begins the names of the tables that are no items

_NUMBERS = {sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_IOERR: errno.EIO}


class Sqlite:
    """Write items to `table`, or one table a type, of the database at `path`; only `columns` and `key`, if given.

    `items` are the types that the config routes here: a table of another type is never taken for one that vanished.
    """

    def __init__(
        self,
        path: Path,
        *,
        run: RunInfo,
        table: str | None = None,
        write: Literal["replace", "merge", "append"] = "replace",
        key: list[str] | dict[str, list[str]] | None = None,  # for all types, or by type
        columns: list[str] | None = None,
        items: Sequence[str] | None = None,
    ) -> None:
        if write == "merge" and not key:
            raise OptionError("`write: merge` needs to know which rows are the same", hint="add, say, `key: [upc]`")
        if table is not None and (table == "" or "\0" in table or table.lower().startswith(("sqlite_", _OURS))):
            raise OptionError(f"{table!r} cannot be the name of a table", path=["table"])
        self.path = writable(path)
        self.run = run
        self.table = table
        self.write = write
        self.key = key or [] if write == "merge" else []
        self.columns = columns or []
        self._named = key if isinstance(key, list) else []  # by the config, for whatever way of writing
        self.items = items
        self.stage = path
        self._tables: dict[str, Table] = {}
        self._staging: sqlite3.Connection | None = None

    def check_fields(self, fields: KnownFields) -> Iterator[OptionError]:
        """Columns and parts of a key that no item has."""
        yield from unknown_fields(self.columns, fields, "columns")
        yield from unknown_fields(self._named, fields, "key")

    @hookimpl
    def store_items(self, items: list[Item]) -> None:
        """Add rows to the stage."""
        with _plain_errors(self.path):
            staging = self._staging or self._begin()
            for item in items:
                table = self._table(staging, self.table or item.type, item.type)
                for field in () if self.columns else item:
                    if field not in table.columns:
                        staging.execute(f"ALTER TABLE {table.stage} ADD COLUMN {table.add(field)}")
                row = table.row(item)
                row.insert(0, table.mark(row))
                staging.execute(f"INSERT INTO {table.stage} VALUES (NULL{', ?' * len(row)})", row)

    @hookimpl
    def commit(self) -> None:
        """Write everything to the target in one transaction; for a run that did so before, with the same outcome."""
        with _plain_errors(self.path):
            staging = self._staging or self._begin()
            if self.table:
                self._table(staging, self.table, "")  # there even without items
            staging.execute("COMMIT")
            staging.close()
            with closing(sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)) as target:
                target.execute("PRAGMA synchronous = EXTRA")  # FULL may lose a commit that has been answered
                target.execute("ATTACH ? AS stage", (str(self.stage),))
                target.execute("PRAGMA stage.synchronous = OFF")  # else a super-journal is made, which a kill leaves
                target.execute("BEGIN IMMEDIATE")  # where this block ends by an error, closing rolls back
                self._write(Target(target, self.run.name, self.items if self.table is None else ()))
                target.execute("COMMIT")
        self._end()

    @hookimpl
    def abort(self) -> None:
        """Forget the stage; the target was never touched."""
        if self._staging:
            self._staging.close()
            self._end()

    def _write(self, target: Target) -> None:
        tables = list(self._tables.values())
        if self.write == "replace":
            target.replace(tables)
        elif self.write == "merge":
            target.merge(tables, self.path)
        else:
            target.append(tables, json.dumps([self.run.id, self.run.name, self.table, self.items]))

    # --- the stage: disposable, so without journal and fsync ---------------------------------------------------------

    def _begin(self) -> sqlite3.Connection:
        self.stage = claim(real(self.path), self.run.id)
        os.close(os.open(self.stage, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # the target may be private
        self._staging = sqlite3.connect(self.stage, isolation_level=None)
        self._staging.execute("PRAGMA journal_mode = OFF")
        self._staging.execute("PRAGMA synchronous = OFF")
        self._staging.execute("BEGIN")
        return self._staging

    def _end(self) -> None:
        self._staging = None
        self._tables = {}
        release(self.stage)

    def _table(self, staging: sqlite3.Connection, name: str, kind: str) -> Table:
        table = self._tables.get(name)
        if not table:
            if name.lower().startswith(_OURS):
                raise ValueError(f"type {name} cannot have a table of its name: those of {_OURS}* are Hookline's books")
            taken = {other.name.lower() for other in self._tables.values()}
            key = self.key.get(kind, []) if isinstance(self.key, dict) else self.key
            if self.write == "merge" and kind and not key:
                raise ValueError(f"type {kind} has no key to merge by: add it to `key`")
            table = Table(unique(name, taken), len(self._tables), "" if self.table else kind, key, self.columns)
            self._tables[name] = table
            cells = ", ".join(["n INTEGER PRIMARY KEY", "k TEXT", *table.cells])
            staging.execute(f"CREATE TABLE {table.stage} ({cells})")
        return table


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    """What SQLite says, with the file and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        said = str(error)
        number = _NUMBERS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)  # the rest of it are details
        if number:
            raise OSError(number, os.strerror(number), str(path)) from error
        if "locked" in said:
            said = f"another program has kept it locked for {BUSY_SECONDS:g} s; end that one, then publish again"
        elif "not a database" in said:
            said = "this file is not a SQLite database; move it away, or name another file"
        raise OSError(f"{path}: {said}") from error


@hookimpl
def register(registry: Registry) -> None:
    """Let configs name it."""
    registry.store("sqlite", Sqlite)
