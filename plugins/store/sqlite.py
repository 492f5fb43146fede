"""`sqlite`: tables of a SQLite database.

    store:
      - sqlite: out/books.db
      - sqlite: {path: out/books.db, table: books, write: merge, key: [upc]}

Without `table` each item type has a table of its name. `replace` makes the table anew (its indexes and triggers are
kept), `merge` updates rows by `key` and adds the new ones, `append` adds all, but never twice for one run. The rest of
the database is left alone. Rows are in output order.

Types follow the values: INTEGER (true is 1), REAL, TEXT; a column with a mixture has no type, so that SQLite keeps each
value as it came. A decimal is a REAL if that shows the same number, else, with some 16 digits or more, a text: SQL can
then calculate with prices, and no digit is lost but zeros at the end. Dates are ISO 8601, lists and objects JSON text.

Items are staged in a database of their own beside the target. `commit` attaches it and writes to the target in one
transaction, so readers see all of it or nothing, and a kill at any moment leaves the old state or the new one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec

from pipeline import Item, OptionError, Registry, RunInfo, hookimpl

from ._files import writable

BUSY_SECONDS = 10.0  # how long another program may keep the database locked

_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder().decode


class Table:
    """A table in the making. Its rows are in table `t<number>` of the stage, its third column is `c2` there."""

    def __init__(self, name: str, number: int, key: list[str]) -> None:
        self.name = name
        self.key = key  # fields; only `merge` wants them
        self.stage = f"t{number}"
        self.columns: dict[str, str] = {}  # field -> name of its column
        self.kinds: list[set[str]] = []  # for each column, what values it has

    def add(self, field: str) -> str:
        """Make a column for a field; its name in the stage."""
        self.columns[field] = unique(field, {name.lower() for name in self.columns.values()})
        self.kinds.append(set())
        return f"c{len(self.kinds) - 1}"

    def row(self, item: Item) -> list[Any]:
        """The item's value for each column."""
        row = []
        for field, kinds in zip(self.columns, self.kinds, strict=True):
            kind, value = convert(item.get(field))
            kinds.add(kind)
            row.append(value)
        return row

    def declarations(self) -> Iterator[tuple[str, str]]:
        """Name and declaration of each column, as CREATE TABLE and ADD COLUMN want it."""
        for name, kinds in zip(self.columns.values(), self.kinds, strict=True):
            yield name, f"{quote(name)} {affinity(kinds)}".rstrip()


class Sqlite:
    """Write items to `table`, or one table a type, of the database at `path`; only `columns` and `key`, if given."""

    _stages: ClassVar[set[Path]] = set()  # of stores at work: several may write to one database

    def __init__(
        self,
        path: Path,
        *,
        run: RunInfo,
        table: str | None = None,
        write: Literal["replace", "merge", "append"] = "replace",
        key: list[str] | dict[str, list[str]] | None = None,  # for all types, or by type
        columns: list[str] | None = None,
    ) -> None:
        if write == "merge" and not key:
            raise OptionError("`write: merge` needs to know which rows are the same", hint="add, say, `key: [upc]`")
        if table is not None and (table == "" or "\0" in table or table.lower().startswith("sqlite_")):
            raise OptionError(f"{table!r} cannot be the name of a table", path=["table"])
        self.path = writable(path)
        self.run = run
        self.table = table
        self.write = write
        self.key = key or [] if write == "merge" else []
        self.columns = columns or []
        self.stage = path
        self._tables: dict[str, Table] = {}
        self._staging: sqlite3.Connection | None = None

    @hookimpl
    def store_items(self, items: list[Item]) -> None:
        """Add rows to the stage."""
        with _plain_errors(self.path):
            staging = self._staging or self._begin()
            for item in items:
                table = self._table(staging, self.table or item.type, item.type)
                _check_key(item, table)
                for field in () if self.columns else item:
                    if field not in table.columns:
                        staging.execute(f"ALTER TABLE {table.stage} ADD COLUMN {table.add(field)}")
                row = table.row(item)
                staging.execute(f"INSERT INTO {table.stage} VALUES (NULL{', ?' * len(row)})", row)

    @hookimpl
    def commit(self) -> None:
        """Write everything to the target in one transaction."""
        with _plain_errors(self.path):
            staging = self._staging or self._begin()
            if self.table:
                self._table(staging, self.table, "")  # there even without items
            staging.execute("COMMIT")
            staging.close()
            with closing(sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)) as target:
                target.execute("PRAGMA synchronous = FULL")
                target.execute("ATTACH ? AS stage", (str(self.stage),))
                target.execute("BEGIN IMMEDIATE")  # where this block ends by an error, closing rolls back
                self._write(target)
                target.execute("COMMIT")
        self._end()

    @hookimpl
    def abort(self) -> None:
        """Forget the stage; the target was never touched."""
        if self._staging:
            self._staging.close()
            self._end()

    # --- the stage: disposable, so without journal and fsync ---------------------------------------------------------

    def _begin(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        number, self.stage = 1, self.path.with_name(f".{self.path.name}.{self.run.id}.stage")
        while self.stage in self._stages:
            number += 1
            self.stage = self.path.with_name(f".{self.path.name}.{self.run.id}-{number}.stage")
        self._stages.add(self.stage)
        self.stage.unlink(missing_ok=True)  # of this run, from before a crash
        self._staging = sqlite3.connect(self.stage, isolation_level=None)
        self._staging.execute("PRAGMA journal_mode = OFF")
        self._staging.execute("PRAGMA synchronous = OFF")
        self._staging.execute("BEGIN")
        return self._staging

    def _end(self) -> None:
        self._staging = None
        self._tables = {}
        self._stages.discard(self.stage)
        self.stage.unlink(missing_ok=True)

    def _table(self, staging: sqlite3.Connection, name: str, kind: str) -> Table:
        table = self._tables.get(name)
        if not table:
            taken = {other.name.lower() for other in self._tables.values()}
            key = self.key.get(kind, []) if isinstance(self.key, dict) else self.key
            if self.write == "merge" and kind and not key:
                raise ValueError(f"type {kind} has no key to merge by: add it to `key`")
            table = self._tables[name] = Table(unique(name, taken), len(self._tables), key)
            added = [table.add(column) for column in dict.fromkeys([*key, *self.columns])]
            staging.execute(f"CREATE TABLE {table.stage} ({', '.join(['n INTEGER PRIMARY KEY', *added])})")
        return table

    # --- the target: one transaction ---------------------------------------------------------------------------------

    def _write(self, target: sqlite3.Connection) -> None:
        if self.write == "append" and not self._first_time(target):
            return
        for table in self._tables.values():
            if self.write == "replace":
                _replace(target, table)
                continue
            _extend(target, table)
            if self.write == "merge" and table.key:  # an empty table may have none
                _insert(target, table, conflict=_upsert(target, table, self.path))
            else:
                _insert(target, table)

    def _first_time(self, target: sqlite3.Connection) -> bool:
        """Whether this stage has not been appended yet: after a kill, a run may be told to publish again."""
        target.execute("CREATE TABLE IF NOT EXISTS main._hookline_appended (stage TEXT PRIMARY KEY)")
        sql = "INSERT OR IGNORE INTO main._hookline_appended VALUES (?)"
        return target.execute(sql, (self.stage.name,)).rowcount == 1


def _check_key(item: Item, table: Table) -> None:
    """ValueError for an item that `merge` could not find again."""
    lacking = next((field for field in table.key if item.get(field) is None), None)
    if lacking is not None:
        raise ValueError(
            f"an item of type {item.type} has no {lacking}, which is in the key of table {table.name}: "
            f"let the filter `require: [{lacking}]` drop such items, or choose another key"
        )


def _upsert(target: sqlite3.Connection, table: Table, path: Path) -> str:
    """The end of an INSERT that updates the row with the same key; there must be a unique index on the key."""
    key = ", ".join(quote(table.columns[field]) for field in table.key)
    index = quote("_".join(["hookline", table.name, *table.key]))
    try:
        target.execute(f"CREATE UNIQUE INDEX IF NOT EXISTS main.{index} ON {quote(table.name)} ({key})")
    except sqlite3.IntegrityError:
        raise ValueError(f"{path}: table {table.name} has several rows with one key ({key}) already") from None
    names = [quote(name) for field, name in table.columns.items() if field not in table.key]
    update = f"UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in names)}" if names else "NOTHING"
    same = ", ".join(f"c{list(table.columns).index(field)}" for field in table.key)
    first = f"WHERE n IN (SELECT min(n) FROM stage.{table.stage} GROUP BY {same})"
    return f"{first} ORDER BY n ON CONFLICT ({key}) DO {update}"


def _replace(target: sqlite3.Connection, table: Table) -> None:
    """Make the table anew, with the indexes and triggers that users gave it."""
    name = quote(table.name)
    if not target.execute(f"SELECT 1 FROM stage.{table.stage} LIMIT 1").fetchone() and _columns(target, table.name):
        target.execute(f"DELETE FROM main.{name}")  # nothing says what the columns would be, so they stay
        return
    kept = _attachments(target, table)
    target.execute(f"DROP TABLE IF EXISTS main.{name}")
    _extend(target, table)
    _insert(target, table)
    for sql in kept:
        target.execute(sql)


def _attachments(target: sqlite3.Connection, table: Table) -> list[str]:
    """The statements that made the table's indexes and triggers, but not an index on a column that there is no more."""
    sql = "SELECT type, name, sql FROM main.sqlite_master WHERE tbl_name = ? COLLATE NOCASE AND sql NOT NULL"
    columns = {name.lower() for name in table.columns.values()}
    kept = []
    for kind, name, statement in target.execute(sql, (table.name,)).fetchall():
        uses = target.execute("SELECT name FROM pragma_index_info(?, 'main') WHERE name NOT NULL", (name,)).fetchall()
        if kind == "trigger" or (kind == "index" and {use.lower() for (use,) in uses} <= columns):
            kept.append(statement)
    return kept


def _extend(target: sqlite3.Connection, table: Table) -> None:
    """Create the table, or add the columns that it lacks."""
    name, present = quote(table.name), _columns(target, table.name)
    lacking = [sql for column, sql in table.declarations() if column.lower() not in present]
    if not present:
        target.execute(f"CREATE TABLE main.{name} ({', '.join(lacking) or '_type TEXT'})")  # no table without a column
        return
    for sql in lacking:
        target.execute(f"ALTER TABLE main.{name} ADD COLUMN {sql}")


def _insert(target: sqlite3.Connection, table: Table, conflict: str = "ORDER BY n") -> None:
    """Copy the rows from the stage, in order."""
    names = ", ".join(map(quote, table.columns.values())) or "_type"
    cells = ", ".join(f"c{number}" for number in range(len(table.kinds))) or "NULL"
    target.execute(f"INSERT INTO main.{quote(table.name)} ({names}) SELECT {cells} FROM stage.{table.stage} {conflict}")


def _columns(target: sqlite3.Connection, table: str) -> set[str]:
    return {name.lower() for (name,) in target.execute("SELECT name FROM pragma_table_xinfo(?, 'main')", (table,))}


# --- names and values ------------------------------------------------------------------------------------------------


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


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    """What SQLite says, with the file and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        said = str(error)
        if "locked" in said:
            said = f"another program has kept it locked for {BUSY_SECONDS:g} s; end that one, then publish again"
        elif "not a database" in said:
            said = "this file is not a SQLite database; move it away, or name another file"
        raise OSError(f"{path}: {said}") from error


@hookimpl
def register(registry: Registry) -> None:
    """Let configs name it."""
    registry.store("sqlite", Sqlite)
