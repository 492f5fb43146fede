"""A run that goes back to what went wrong in the last one: the same frontier, with some of its requests open again."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from pipeline.state import runs

_FAILED = "(fate LIKE 'failed:%' OR fate LIKE 'deferred:%')"
_NAMED = "(fate IN (?1, 'failed:' || ?1, 'deferred:' || ?1) OR substr(fate, 1, length(?1) + 1) = ?1 || ':')"
_DEAD = "mark IN (SELECT mark FROM dead_letter WHERE run = ?2 AND (?1 IN ('', 'dead') OR plugin = ?1))"


class Again(NamedTuple):
    """A run that was begun anew: its number, how many requests are open again, and the fates of the others."""

    number: int
    reopened: int
    fates: Mapping[str, int]


def begin_again(  # noqa: PLR0917 - the writer passes arguments by place
    db: sqlite3.Connection, reason: str, run_id: str, started: str, fingerprint: bytes, version: str
) -> Again | None:
    """Begin a run that asks again for what failed, was deferred or gave dead letters in the last one; None if nothing.

    `reason` "" means all of it; else a fate (`failed:timeout`, `timeout`, `http_503`), `dead`, or the name of the
    plugin that broke on an item. Pages of a result that was not published go over to the new run, and so does what the
    last one was narrowed by.
    """
    last = runs.last(db)
    if last is None:
        return None
    which = f"({_FAILED} AND (?1 = '' OR {_NAMED})) OR {_DEAD}"
    cursor = db.execute(
        f"UPDATE request SET fate = NULL, detail = '', status = NULL, attempts = 0 WHERE {which}",
        (reason, last.number),
    )
    if not cursor.rowcount:
        return None
    number = runs.begin(
        db,
        run_id,
        started,
        fingerprint,
        last.narrowed,
        version,
        keep_requests=True,
        limit=last.limit,
        only=last.only,
        again=reason,
    )
    if last.status in ("candidate", "failed"):
        for table in ("page", "renewal"):
            db.execute(f"UPDATE {table} SET run = ? WHERE run = ?", (number, last.number))
        runs.drop(db, last.number)
    fates = db.execute("SELECT fate, count(*) FROM request WHERE fate IS NOT NULL GROUP BY fate").fetchall()
    return Again(number, cursor.rowcount, dict(fates))
