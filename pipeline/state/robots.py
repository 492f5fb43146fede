"""The last good robots.txt of each origin. Functions take the connection first and neither begin nor commit."""

from __future__ import annotations

import sqlite3
import zlib
from typing import Final, NamedTuple

MOST: Final = 64 * 1024  # bytes of a copy, packed; a longer one is not kept: cut off it would say something else


class Copy(NamedTuple):
    """A robots.txt as it was when `checked`, in seconds since 1970."""

    checked: int
    etag: str | None
    last_modified: str | None
    text: bytes


def load(db: sqlite3.Connection, origin: str) -> Copy | None:
    """The copy of an origin's robots.txt, if there is one."""
    row = db.execute("SELECT checked, etag, last_modified, text FROM robots WHERE origin = ?", (origin,)).fetchone()
    return None if row is None else Copy(row[0], row[1], row[2], zlib.decompress(row[3]))


def save(db: sqlite3.Connection, origin: str, copy: Copy | None) -> None:
    """Keep a copy in place of the one before; None: there is no robots.txt any more."""
    packed = b"" if copy is None else zlib.compress(copy.text, 1)
    if copy is None or len(packed) > MOST:
        db.execute("DELETE FROM robots WHERE origin = ?", (origin,))
    else:
        db.execute("INSERT OR REPLACE INTO robots VALUES (?, ?, ?, ?, ?)", (origin, *copy[:3], packed))


def refused_now(db: sqlite3.Connection) -> list[tuple[str, int]]:
    """(host, pages of the published result that its robots.txt refuses in this run), in order of host."""
    return db.execute(
        "SELECT host, count(*) FROM request WHERE fate = 'rejected:robots' "
        "AND mark IN (SELECT mark FROM page WHERE run = 0) GROUP BY host ORDER BY host"
    ).fetchall()
