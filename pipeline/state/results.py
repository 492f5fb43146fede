"""Results as wholes: what a run takes away from the published one, its items in order, and its promotion.

The one place that turns pages of a run into pages of run 0 (spec, section 3, contracts 3 to 6). Public by way of
`pipeline.state.pages`. Functions neither begin nor commit; a promotion is one transaction of the caller's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import Final, NamedTuple

from pipeline.failpoints import hit
from pipeline.state import runs
from pipeline.state.rows import json_text

_LOST: Final = "fate IN ('gone', 'redirected')"  # the page of before is there no longer
_HELD: Final = (
    "(fate IN ('fetched', 'not_modified', 'not_due') OR fate LIKE 'failed:%' OR fate LIKE 'deferred:%')"  # was met
)
_DECIDE: Final = (
    "INSERT INTO removal SELECT ?1, mark FROM page WHERE run = 0 AND ("
    "rule NOT IN (SELECT value FROM json_each(?2)) "
    "OR mark IN (SELECT mark FROM page WHERE run = ?1) "
    f"OR mark IN (SELECT mark FROM request WHERE {_LOST}) "
    f"OR (?3 AND mark NOT IN (SELECT mark FROM request WHERE {_HELD})))"
)
_ENDED_OTHERWISE: Final = (
    "DELETE FROM page WHERE run = ?1 AND (rule NOT IN (SELECT value FROM json_each(?2)) "
    f"OR mark IN (SELECT mark FROM request WHERE {_LOST}))"
)
_LEFT_OVER: Final = (
    "DELETE FROM page WHERE run NOT IN (0, ?) AND run NOT IN (SELECT number FROM run WHERE status = 'open')"
)

_RENEW: Final = (
    "UPDATE page SET etag = r.etag, last_modified = r.last_modified, checked = r.checked FROM renewal AS r "
    "WHERE r.run = ? AND page.id = r.page AND page.mark = r.mark AND page.run = 0"
)
_RENEWED: Final = (
    "DELETE FROM renewal WHERE run = ? OR run NOT IN (SELECT number FROM run WHERE status IN ('open', 'publishing'))"
)


class Chunk(NamedTuple):
    """Consecutive items of a result. `marks` has 16 bytes of identity and 16 of content for each item."""

    seq: int
    count: int  # type: ignore[assignment]  # named as its column; nobody counts equal values of a row
    marks: bytes
    items: bytes


def decide_removals(db: sqlite3.Connection, run: int, *, clean: bool, rules: Collection[str]) -> None:
    """Note which published pages the result of `run` is without. Decided anew each time it is called.

    These are the pages that were fetched anew (their new items stand instead), are gone or redirect now, or whose page
    rule is not among `rules`; after a `clean` run (nothing failed, was deferred or cut) also those that it did not
    meet, or refused. Pages that the run took over from a candidate, and that are gone or redirect now, go altogether.
    `request` must still be that of this run.
    """
    there = json_text(list(rules)).decode()
    db.execute("DELETE FROM removal WHERE run = ?", (run,))
    db.execute(_DECIDE, (run, there, clean))
    db.execute(_ENDED_OTHERWISE, (run, there))


def add_chunk(  # noqa: PLR0917 - the writer passes arguments by place
    db: sqlite3.Connection, run: int, seq: int, count: int, marks: bytes, items: bytes
) -> None:
    """Keep the next piece of a result, in place of one with the same number from a publish that did not end."""
    db.execute(
        "INSERT OR REPLACE INTO chunk(run, seq, count, marks, items) VALUES (?, ?, ?, ?, ?)",
        (run, seq, count, marks, items),
    )


def chunks(db: sqlite3.Connection, run: int, after_seq: int, most: int) -> list[Chunk]:
    """At most `most` pieces of a result behind `after_seq`, in order."""
    rows = db.execute(
        "SELECT seq, count, marks, items FROM chunk WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?",
        (run, after_seq, most),
    )
    return [Chunk(*row) for row in rows.fetchall()]


def unstage(db: sqlite3.Connection, run: int) -> None:
    """Forget a result's items in order, and those that `single` filters broke on: it is going to be read anew."""
    db.execute("DELETE FROM chunk WHERE run = ?", (run,))
    db.execute("DELETE FROM dead_letter WHERE run = ? AND request IS NULL", (run,))


def published(db: sqlite3.Connection) -> int | None:
    """Number of the run whose result is the published one; None where nothing was published yet."""
    number: int | None = db.execute("SELECT max(number) FROM run WHERE status = 'published'").fetchone()[0]
    return number


def published_start(db: sqlite3.Connection) -> float | None:
    """When the run began whose result is the published one, in seconds since 1970."""
    found = db.execute("SELECT unixepoch(started) FROM run WHERE status = 'published' ORDER BY number DESC").fetchone()
    return None if found is None or found[0] is None else float(found[0])


def published_marks(db: sqlite3.Connection, made_by: Collection[bytes]) -> list[bytes]:
    """The fingerprints of the published pages whose items were made by one of these, some thousand to a piece."""
    found = db.execute(
        "SELECT group_concat(hex(mark), '') FROM page WHERE run = 0 "
        "AND hex(made_by) IN (SELECT value FROM json_each(?)) GROUP BY id / 10000",
        (json_text([maker.hex().upper() for maker in made_by]).decode(),),
    )
    return [bytes.fromhex(text) for (text,) in found.fetchall()]


def drop_candidates(db: sqlite3.Connection, but: int | None = None) -> list[int]:
    """Give up all candidates but one; their numbers."""
    found = db.execute("SELECT number FROM run WHERE status = 'candidate' AND number IS NOT ?", (but,)).fetchall()
    for (number,) in found:
        runs.drop(db, number)
    return [number for (number,) in found]


def promote(db: sqlite3.Connection, run: int, ended: str) -> None:
    """Make the result of `run` the published one. `ended`: UTC, ISO 8601.

    Afterwards only its pages are left, and its items in order; pages that it found unchanged have the validators it was
    told. Other candidates are dropped, its journal is closed. Of an open run, which is there where an older candidate
    is published, the pages stay: its requests count on them.
    """
    hit("before_promote")
    drop_candidates(db, but=run)
    db.execute(_RENEW, (run,))
    db.execute("DELETE FROM page WHERE run = 0 AND mark IN (SELECT mark FROM removal WHERE run = ?)", (run,))
    db.execute(_LEFT_OVER, (run,))
    db.execute("UPDATE OR REPLACE page SET run = 0 WHERE run = ?", (run,))
    db.execute("DELETE FROM chunk WHERE run <> ?", (run,))
    db.execute("DELETE FROM removal")
    db.execute(_RENEWED, (run,))
    db.execute("DELETE FROM delivery WHERE run = ?", (run,))
    db.execute("UPDATE run SET status = 'published', ended = ? WHERE number = ?", (ended, run))
    hit("after_promote")
