"""What publishing a run changed, kept for the last published runs; and pieces of a result, to find it out.

Earlier results are not kept: a promotion makes one result out of two. So what was different is written down before, in
the transaction that begins a publish. What it looks like is the runner's business; here it is bytes.
"""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

RUNS: Final = 20  # published ones whose changes are kept


class Published(NamedTuple):
    """A published run; `changes` against the one published before it, None where they are not kept (any more)."""

    number: int
    id: str
    whole: bool
    changes: bytes | None


def keep(db: sqlite3.Connection, run: int, whole: bool, changes: bytes) -> None:
    """Keep the changes of a run that is about to be published, and forget those of runs long past."""
    db.execute("INSERT OR REPLACE INTO change VALUES (?, ?, ?)", (run, int(whole), changes))
    db.execute("DELETE FROM change WHERE run NOT IN (SELECT run FROM change ORDER BY run DESC LIMIT ?)", (RUNS,))


def published(db: sqlite3.Connection, after: int, last: int) -> list[Published]:
    """The published runs with numbers above `after` up to `last`, in the order in which they were published."""
    rows = db.execute(
        "SELECT r.number, r.id, coalesce(c.whole, 0), c.changes "
        "FROM run AS r LEFT JOIN change AS c ON c.run = r.number "
        "WHERE r.status = 'published' AND r.number > ? AND r.number <= ? ORDER BY r.number",
        (after, last),
    )
    return [Published(number, name, bool(whole), changes) for number, name, whole, changes in rows.fetchall()]


def sizes(db: sqlite3.Connection, run: int) -> list[tuple[int, int]]:
    """(number, items) of each piece of a result, in order."""
    return db.execute("SELECT seq, count FROM chunk WHERE run = ? ORDER BY seq", (run,)).fetchall()


def piece(db: sqlite3.Connection, run: int, seq: int) -> tuple[bytes, bytes]:
    """(marks, items) of one piece of a result."""
    marks, items = db.execute("SELECT marks, items FROM chunk WHERE run = ? AND seq = ?", (run, seq)).fetchone()
    return marks, items
