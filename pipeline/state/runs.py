"""Runs as rows: begun, counted, ended, dropped; the journal of a publish; single values that outlive a run.

Functions take the connection first and neither begin nor commit: the transaction is the caller's. What counts and
summaries hold is the engine's business; here they are JSON.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from pipeline.failpoints import hit

Value: TypeAlias = "str | int | float | bytes | None"

_decode: Final = msgspec.json.decode
_COLUMNS: Final = (
    "number, id, started, status, fingerprint, narrowed, made_by, ended, exit_code, counts, summary, "
    "most_pages, only_links, again FROM run"
)
_RESERVED: Final = "clean"  # of pipeline.state.database


class RunRow(msgspec.Struct, frozen=True):
    """One run. Times are UTC, ISO 8601.

    `status` is open (also where its process died), publishing, published, candidate, failed or dropped. `limit` and
    `only` are what it was `narrowed` by; a run of before they were kept has neither. `again` is the reason with which
    `retry` began it, None where it was `run`.
    """

    number: int
    id: str
    started: str
    status: str
    fingerprint: bytes
    narrowed: bool
    made_by: str
    ended: str | None
    exit_code: int | None
    counts: dict[str, Any]
    summary: dict[str, Any] | None
    limit: int | None = None
    only: str | None = None
    again: str | None = None


class Delivery(NamedTuple):
    """One store's part of a publish: its place in the config, and whether its commit returned."""

    place: int
    store: str
    path: str | None
    done: bool


def begin(  # noqa: PLR0917 - the writer passes arguments by place
    db: sqlite3.Connection,
    run_id: str,
    started: str,
    fingerprint: bytes,
    narrowed: bool,
    version: str,
    *,
    keep_requests: bool = False,
    limit: int | None = None,
    only: str | None = None,
    again: str | None = None,
) -> int:
    """Begin a run; its number.

    The frontier of the one before goes (`keep_requests`: it is gone on with), and whatever a run that is still open
    has left. The rest is as in `RunRow`. Raises sqlite3.IntegrityError for an id that was there before.
    """
    hit("run_begin")
    for (number,) in db.execute("SELECT number FROM run WHERE status = 'open'").fetchall():
        drop(db, number)
    if not keep_requests:
        db.execute("DELETE FROM request")
        db.execute("DELETE FROM link")
    kept = "SELECT number FROM run WHERE status IN ('publishing', 'published', 'candidate')"
    db.execute(f"DELETE FROM chunk WHERE run NOT IN ({kept})")
    cursor = db.execute(
        "INSERT INTO run(id, started, status, fingerprint, narrowed, made_by, most_pages, only_links, again) "
        "VALUES (?, ?, 'open', ?, ?, ?, ?, ?, ?)",
        (run_id, started, fingerprint, int(narrowed), version, limit, only, again),
    )
    number = cursor.lastrowid
    assert number is not None
    return number


def last(db: sqlite3.Connection) -> RunRow | None:
    """The run that was begun last, whatever became of it."""
    return next(iter(history(db, 1)), None)


def history(db: sqlite3.Connection, most: int) -> list[RunRow]:
    """The last runs, newest first."""
    return _rows(db.execute(f"SELECT {_COLUMNS} ORDER BY number DESC LIMIT ?", (most,)))


def last_good(db: sqlite3.Connection) -> str | None:
    """When the last run ended that was published with nothing wrong; None if there was none."""
    query = "SELECT ended FROM run WHERE status = 'published' AND exit_code IN (0, 10) ORDER BY number DESC LIMIT 1"
    row = db.execute(query).fetchone()
    return row[0] if row else None


def find(db: sqlite3.Connection, text: str) -> list[RunRow]:
    """The run with this id, else all whose ids begin so, newest first; of an empty text none."""
    exact = _rows(db.execute(f"SELECT {_COLUMNS} WHERE id = ?", (text,)))
    if exact or not text:
        return exact
    return _rows(db.execute(f"SELECT {_COLUMNS} WHERE substr(id, 1, ?) = ? ORDER BY number DESC", (len(text), text)))


def ids(db: sqlite3.Connection) -> list[str]:
    """The ids of all runs, newest first."""
    return [name for (name,) in db.execute("SELECT id FROM run ORDER BY number DESC").fetchall()]


def published_summaries(db: sqlite3.Connection, most: int) -> list[bytes]:
    """What the last published runs were told as, newest first: JSON that nothing here reads."""
    rows = db.execute(
        "SELECT summary FROM run WHERE status = 'published' AND summary IS NOT NULL ORDER BY number DESC LIMIT ?",
        (most,),
    )
    return [summary for (summary,) in rows.fetchall()]


def save_counts(db: sqlite3.Connection, number: int, counts: bytes) -> None:
    """Keep the engine's counters, a JSON object, in the transaction of what they count."""
    db.execute("UPDATE run SET counts = ? WHERE number = ?", (counts, number))


def close(  # noqa: PLR0917 - the writer passes arguments by place
    db: sqlite3.Connection, number: int, status: str, exit_code: int | None, ended: str, summary: bytes | None
) -> None:
    """Note how a process left a run: it may be open still, and gone on with by the next. `summary` is a JSON object."""
    db.execute(
        "UPDATE run SET status = ?, exit_code = ?, ended = ?, summary = ? WHERE number = ?",
        (status, exit_code, ended, summary, number),
    )


def drop(db: sqlite3.Connection, number: int) -> None:
    """Give a run up: its pages and all that was prepared from them go. Its row and its dead letters stay."""
    for table in ("page", "renewal", "removal", "chunk", "delivery"):
        db.execute(f"DELETE FROM {table} WHERE run = ?", (number,))
    db.execute("UPDATE run SET status = 'dropped' WHERE number = ?", (number,))


# --- the journal of a publish -----------------------------------------------------------------------------------------


def deliver(db: sqlite3.Connection, run: int, stores: Sequence[tuple[str, str | None]]) -> None:
    """Begin to publish: the run is `publishing`, and each store, (name, path) in the order of the config, has a row.

    Rows that are there already stay as they are, so a publish that goes on forgets nothing.
    """
    db.execute("UPDATE run SET status = 'publishing' WHERE number = ?", (run,))
    db.executemany(
        "INSERT OR IGNORE INTO delivery(run, place, store, path) VALUES (?, ?, ?, ?)",
        [(run, place, store, path) for place, (store, path) in enumerate(stores)],
    )


def delivered(db: sqlite3.Connection, run: int, place: int) -> None:
    """The store at this place has committed."""
    db.execute("UPDATE delivery SET done = 1 WHERE run = ? AND place = ?", (run, place))


def deliveries(db: sqlite3.Connection, run: int) -> list[Delivery]:
    """The journal of a run, in the order of the config; empty where no publish was begun."""
    rows = db.execute("SELECT place, store, path, done FROM delivery WHERE run = ? ORDER BY place", (run,))
    return [Delivery(place, store, path, bool(done)) for place, store, path, done in rows]


# --- single values ----------------------------------------------------------------------------------------------------


def load_meta(db: sqlite3.Connection, key: str) -> Value:
    """What `save_meta` was given last, None if nothing."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    value: Value = row[0] if row else None
    return value


def save_meta(db: sqlite3.Connection, key: str, value: Value) -> None:
    """Keep a value under a name, in place of the one before; None takes it away."""
    if key == _RESERVED:
        raise ValueError(f"{key!r} is the database's own")
    if value is None:
        db.execute("DELETE FROM meta WHERE key = ?", (key,))
    else:
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def _rows(found: Iterable[tuple[Any, ...]]) -> list[RunRow]:
    return [_row(*cells) for cells in found]


def _row(  # noqa: PLR0917 - the columns of `_COLUMNS`
    number: int,
    name: str,
    started: str,
    status: str,
    fingerprint: bytes,
    narrowed: int,
    made_by: str,
    ended: str | None,
    exit_code: int | None,
    counts: bytes,
    summary: bytes | None,
    *command: Any,
) -> RunRow:
    return RunRow(
        number,
        name,
        started,
        status,
        fingerprint,
        bool(narrowed),
        made_by,
        ended,
        exit_code,
        _decode(counts) if counts else {},
        _decode(summary) if summary else None,
        *command,
    )
