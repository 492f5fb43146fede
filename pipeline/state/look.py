"""What commands ask of a state beside runs: what is in it, its published items, what to forget, its files.

Functions that take a connection neither begin nor commit, but `published_items`, which reads for as long as it is asked
and needs one view of the database all the while. Items are bytes that nothing here unpacks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from pipeline.state.database import plain_errors, size, sync_folder
from pipeline.state.results import chunks, published
from pipeline.state.rows import json_text

BESIDE: Final = ("", "-wal", "-shm", "-journal")  # SQLite drops what is beside a database that has gone
FORGOTTEN: Final = 1000  # URLs whose pages are deleted in a step

_THOSE: Final = "FROM page WHERE run = 0 AND url IN (SELECT value FROM json_each(?))"


class Overview(msgspec.Struct):
    """How much of what a state holds. `fates` are those of the last run's requests, `pending` where there is none."""

    fates: dict[str, int]
    hosts: int  # of the last run's requests
    published: str | None  # id of the run whose result is the published one
    pages: int  # of the published result
    items: int  # of the published result
    dead_letters: int  # of all runs
    candidates: list[str]  # ids, newest first


def overview(db: sqlite3.Connection) -> Overview:
    """Count it all."""
    fates = db.execute("SELECT coalesce(fate, 'pending') AS word, count(*) FROM request GROUP BY word ORDER BY word")
    run = published(db)
    name = db.execute("SELECT id FROM run WHERE number = ?", (run,)).fetchone()
    candidates = db.execute("SELECT id FROM run WHERE status = 'candidate' ORDER BY number DESC")
    return Overview(
        fates=dict(fates.fetchall()),
        hosts=_number(db, "SELECT count(DISTINCT host) FROM request"),
        published=name[0] if name else None,
        pages=_number(db, "SELECT count(*) FROM page WHERE run = 0"),
        items=_number(db, "SELECT coalesce(sum(count), 0) FROM chunk WHERE run = ?", run),
        dead_letters=_number(db, "SELECT count(*) FROM dead_letter"),
        candidates=[candidate for (candidate,) in candidates.fetchall()],
    )


def fates(db: sqlite3.Connection) -> dict[str, str]:
    """URL -> fate of each request of the last run, in order of discovery; `pending` where there is none."""
    return dict(db.execute("SELECT url, coalesce(fate, 'pending') FROM request ORDER BY id").fetchall())


def published_items(db: sqlite3.Connection) -> Iterator[bytes] | None:
    """The published result's items in order, in packed pieces; None where nothing was published yet.

    A run that publishes meanwhile changes nothing of what is read.
    """
    db.execute("BEGIN")
    run = published(db)
    return None if run is None else _pieces(db, run)


def _pieces(db: sqlite3.Connection, run: int) -> Iterator[bytes]:
    after = -1
    while found := chunks(db, run, after, 1):
        after = found[-1].seq
        yield from (piece.items for piece in found if piece.items)


def forget(db: sqlite3.Connection, wanted: Callable[[str], bool]) -> int:
    """Take the pages whose URL is `wanted` out of the published result; how many there were.

    What was published of them stays in the outputs, and in the items in order, until the next result is published.
    """
    urls = [url for (url,) in db.execute("SELECT DISTINCT url FROM page WHERE run = 0") if wanted(url)]
    pieces = (urls[start : start + FORGOTTEN] for start in range(0, len(urls), FORGOTTEN))
    return sum(db.execute(f"DELETE {_THOSE}", (json_text(piece).decode(),)).rowcount for piece in pieces)


def files(path: Path) -> dict[Path, int]:
    """A database's files, its own first, and their sizes in bytes; empty where there is none. Raises as `size`."""
    size(path)
    there = (path.with_name(path.name + end) for end in BESIDE)
    return {one: one.lstat().st_size for one in there if one.is_file() or one.is_symlink()}


def delete(path: Path) -> None:
    """Delete a database, damaged or not. The caller has the lock of its folder. Raises StateError.

    The database goes first: what is left beside it, should the process die, is never taken for a later one's.
    """
    with plain_errors(path):
        for one in files(path):
            one.unlink()
        sync_folder(path.parent)


def _number(db: sqlite3.Connection, question: str, *values: int | None) -> int:
    return int(db.execute(question, values).fetchone()[0])
