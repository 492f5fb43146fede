"""What the last run left to the next one: requests that were deferred come first in it.

A new run begins by taking the frontier of the one before away, so they are put aside in the same transaction, in a
table that only this connection sees. Functions take the connection first and neither begin nor commit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

from pipeline.model import Request
from pipeline.state.more import NO_VAULT, request_of

_PUT_ASIDE: Final = (
    "CREATE TEMP TABLE deferred AS SELECT r.id, r.url, r.rule, r.depth, r.seed, r.more, "
    "(SELECT url FROM request AS p WHERE p.id = r.parent) AS parent FROM request AS r "
    "WHERE r.fate LIKE 'deferred:%' AND r.source IS NULL"
)


def put_aside(db: sqlite3.Connection) -> None:
    """Remember what the last run has deferred, before its frontier goes."""
    db.execute("DROP TABLE IF EXISTS temp.deferred")
    db.execute(_PUT_ASIDE)


def take(
    db: sqlite3.Connection, after: int, most: int, seeds: bool, vault: Mapping[str, str] = NO_VAULT
) -> tuple[int, list[Request]]:
    """At most `most` of them in order of discovery, those after the id that the call before gave (0 at first),
    seeds or others.
    """
    found = db.execute(
        "SELECT * FROM temp.deferred WHERE id > ? AND seed = ? ORDER BY id LIMIT ?", (after, seeds, most)
    ).fetchall()
    requests = [
        request_of(url, rule, depth, bool(seed), more, vault, parent=parent)
        for _, url, rule, depth, seed, more, parent in found
    ]
    return (found[-1][0] if found else after), requests
