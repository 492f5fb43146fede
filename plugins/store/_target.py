"""The database that `sqlite` writes to: everything here happens within one transaction, with the stage attached.

Books. What may be taken away later has to be known to be ours, so there are up to three tables beside those of the
user, written in the same transaction:

- `_hookline_appended`: which runs' rows have been appended. A run that is told to publish again adds nothing.
- `_hookline_merged`: the key of every row that `merge` made, with the name of the config. A row whose item is not in
  the result any more is removed if it is in there; one that stood in the table before, though it was updated since, is
  somebody else's and stays. A row that several configs merge stays until the last of them has it no more.
- `_hookline_replaced`: the tables that `replace` made for item types. Where a type has no items any more its table is
  emptied, so that queries and views go on working; it is dropped by nobody.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable
from pathlib import Path

from ._table import Table, quote

_APPENDED = "CREATE TABLE IF NOT EXISTS main._hookline_appended (stage TEXT PRIMARY KEY)"
_MERGED = """CREATE TABLE IF NOT EXISTS main._hookline_merged (
    "table" TEXT COLLATE NOCASE, key TEXT, config TEXT, type TEXT, PRIMARY KEY ("table", key, config)) WITHOUT ROWID"""
_REPLACED = """CREATE TABLE IF NOT EXISTS main._hookline_replaced (
    "table" TEXT COLLATE NOCASE PRIMARY KEY, config TEXT, type TEXT) WITHOUT ROWID"""


class Target:
    """The database `target`, written to for `config`. `types` are the item types that come here; None: all."""

    def __init__(self, target: sqlite3.Connection, config: str, types: Collection[str] | None) -> None:
        self._target = target
        self._config = config
        self._types = types

    def append(self, tables: Iterable[Table], publish: str) -> None:
        """Add all rows, unless this was done before for the same `publish`."""
        self._target.execute(_APPENDED)
        sql = "INSERT OR IGNORE INTO main._hookline_appended VALUES (?)"
        if self._target.execute(sql, (publish,)).rowcount == 1:
            for table in tables:
                self._extend(table)
                self._insert(table)

    def replace(self, tables: Collection[Table]) -> None:
        """Make the tables anew; empty those that were made earlier for a type that has no items now."""
        self._clear_vanished(tables)
        for table in tables:
            self._replace(table)
            for book in self._books("_hookline_merged", "_hookline_replaced"):
                self._target.execute(f'DELETE FROM main.{book} WHERE "table" = ?', (table.name,))
            if table.kind:
                self._target.execute(_REPLACED)
                row = (table.name, self._config, table.kind)
                self._target.execute("INSERT INTO main._hookline_replaced VALUES (?, ?, ?)", row)

    def merge(self, tables: Collection[Table], path: Path) -> None:
        """Update and add rows by key, and remove those that this config merged earlier and that are gone."""
        self._target.execute(_MERGED)
        self._clear_vanished(tables)
        for table in tables:
            self._extend(table)
            for book in self._books("_hookline_replaced"):  # others' rows may come in from now on
                self._target.execute(f'DELETE FROM main.{book} WHERE "table" = ?', (table.name,))
            self._remove_gone(table.name, table)  # before rows are added: 1 and '1' may be one key in the table
            if table.key:  # an empty table may have none
                update = self._upsert(table, path)
                self._take_note(table)
                self._insert(table, conflict=update)

    # --- what is gone ------------------------------------------------------------------------------------------------

    def _clear_vanished(self, tables: Iterable[Table]) -> None:
        """Take away what this config wrote for types that have no items in this result."""
        present = {table.name.lower() for table in tables}
        for book in self._books("_hookline_merged", "_hookline_replaced"):
            sql = f"SELECT DISTINCT \"table\", type FROM main.{book} WHERE config = ? AND type <> ''"
            for name, kind in self._target.execute(sql, (self._config,)).fetchall():
                if name.lower() in present or not (self._types is None or kind in self._types):
                    continue
                if book == "_hookline_merged":
                    self._remove_gone(name, None)
                elif self._is_table(name):  # else somebody dropped it
                    self._target.execute(f"DELETE FROM main.{quote(name)}")

    def _remove_gone(self, name: str, table: Table | None) -> None:
        """Remove rows that this config merged into a table and that its result (None: nothing) has no more."""
        mine = '"table" = ? AND config = ?'
        staged = f" AND key NOT IN (SELECT k FROM stage.{table.stage} WHERE k NOT NULL)" if table else ""
        sql = f"SELECT key FROM main._hookline_merged WHERE {mine}{staged}"
        gone = [key for (key,) in self._target.execute(sql, (name, self._config))]
        forget = f"DELETE FROM main._hookline_merged WHERE {mine} AND key = ?"
        self._target.executemany(forget, [(name, self._config, key) for key in gone])
        others = 'SELECT 1 FROM main._hookline_merged WHERE "table" = ? AND key = ?'
        present = self._columns(name) if self._is_table(name) else set()
        for key in gone:
            values = json.loads(key)
            if present.issuperset(map(str.lower, values)) and not self._target.execute(others, (name, key)).fetchone():
                same = " AND ".join(f"{quote(column)} = ?" for column in values)
                self._target.execute(f"DELETE FROM main.{quote(name)} WHERE {same}", list(values.values()))

    def _take_note(self, table: Table) -> None:
        """Put the rows that are about to be made into the book, and those that another config made."""
        mine = 'UPDATE main._hookline_merged SET type = ?1 WHERE "table" = ?2 AND config = ?3 AND type <> ?1'
        self._target.execute(mine, (table.kind, table.name, self._config))
        name, staged = f"main.{quote(table.name)}", f"stage.{table.stage}"
        pairs = zip(table.key, table.cells, strict=False)  # the cells of the key are the first ones
        same = " AND ".join(f"{name}.{quote(table.columns[field])} = {staged}.{cell}" for field, cell in pairs)
        self._target.execute(
            f"""INSERT OR IGNORE INTO main._hookline_merged SELECT ?1, k, ?2, ?3 FROM {staged}
            WHERE NOT EXISTS (SELECT 1 FROM {name} WHERE {same})
            OR EXISTS (SELECT 1 FROM main._hookline_merged AS b WHERE b."table" = ?1 AND b.key = {staged}.k)""",
            (table.name, self._config, table.kind),
        )

    def _books(self, *names: str) -> list[str]:
        """Those of these tables that there are."""
        return [name for name in names if self._columns(name)]

    # --- one table ---------------------------------------------------------------------------------------------------

    def _upsert(self, table: Table, path: Path) -> str:
        """The end of an INSERT that updates the row with the same key; makes the unique index that this needs."""
        key = ", ".join(quote(table.columns[field]) for field in table.key)
        index = quote("_".join(["hookline", table.name, *table.key]))
        try:
            self._target.execute(f"CREATE UNIQUE INDEX IF NOT EXISTS main.{index} ON {quote(table.name)} ({key})")
        except sqlite3.IntegrityError:
            raise ValueError(f"{path}: table {table.name} has several rows with one key ({key}) already") from None
        names = [quote(name) for field, name in table.columns.items() if field not in table.key]
        update = f"UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in names)}" if names else "NOTHING"
        same = ", ".join(table.cells[: len(table.key)])
        first = f"WHERE n IN (SELECT min(n) FROM stage.{table.stage} GROUP BY {same})"
        return f"{first} ORDER BY n ON CONFLICT ({key}) DO {update}"

    def _replace(self, table: Table) -> None:
        """Make the table anew, with the indexes and triggers that users gave it."""
        name = quote(table.name)
        some = self._target.execute(f"SELECT 1 FROM stage.{table.stage} LIMIT 1").fetchone()
        if not some and self._columns(table.name):
            self._target.execute(f"DELETE FROM main.{name}")  # nothing says what the columns would be, so they stay
            return
        kept = self._attachments(table)
        self._target.execute(f"DROP TABLE IF EXISTS main.{name}")
        self._extend(table)
        self._insert(table)
        for sql in kept:
            self._target.execute(sql)

    def _attachments(self, table: Table) -> list[str]:
        """The statements that made the table's indexes and triggers, but not an index on a column that is no more."""
        sql = "SELECT type, name, sql FROM main.sqlite_master WHERE tbl_name = ? COLLATE NOCASE AND sql NOT NULL"
        columns = {name.lower() for name in table.columns.values()}
        info = "SELECT name FROM pragma_index_info(?, 'main') WHERE name NOT NULL"
        kept = []
        for kind, name, statement in self._target.execute(sql, (table.name,)).fetchall():
            uses = {use.lower() for (use,) in self._target.execute(info, (name,))}
            if kind == "trigger" or (kind == "index" and uses <= columns):
                kept.append(statement)
        return kept

    def _extend(self, table: Table) -> None:
        """Create the table, or add the columns that it lacks."""
        name, present = quote(table.name), self._columns(table.name)
        lacking = [sql for column, sql in table.declarations() if column.lower() not in present]
        if not present:  # no table without a column
            self._target.execute(f"CREATE TABLE main.{name} ({', '.join(lacking) or '_type TEXT'})")
            return
        for sql in lacking:
            self._target.execute(f"ALTER TABLE main.{name} ADD COLUMN {sql}")

    def _insert(self, table: Table, conflict: str = "ORDER BY n") -> None:
        """Copy the rows from the stage, in order."""
        if not table.columns and not self._target.execute(f"SELECT 1 FROM stage.{table.stage} LIMIT 1").fetchone():
            return  # nothing came, so nothing is known of the columns either
        names = ", ".join(map(quote, table.columns.values())) or "_type"
        cells = ", ".join(table.cells) or "NULL"
        into = f"main.{quote(table.name)} ({names})"
        self._target.execute(f"INSERT INTO {into} SELECT {cells} FROM stage.{table.stage} {conflict}")

    def _is_table(self, name: str) -> bool:
        sql = "SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE"
        return self._target.execute(sql, (name,)).fetchone() is not None

    def _columns(self, table: str) -> set[str]:
        """The names of its columns in lower case; none if there is no such table."""
        sql = "SELECT name FROM pragma_table_xinfo(?, 'main')"
        return {name.lower() for (name,) in self._target.execute(sql, (table,))}
