"""How a request of the last run came about: its row, the rows on its way from a seed, and what else there is like it.

Functions take the connection first and only read. URLs have no index: a look through a million takes half a second,
which a command may take and a run never does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from heapq import nlargest
from typing import Any, Final

import msgspec

from pipeline.state.more import request_of

MOST_STEPS: Final = 1000  # of a way; a calendar's may be endless

_COLUMNS: Final = (
    "r.id, r.url, r.rule, r.fate, r.detail, r.status, r.attempts, r.depth, r.seed, r.source, "
    "r.parent, r.target, r.more, "
    "(SELECT count FROM page WHERE page.mark = r.mark ORDER BY run DESC LIMIT 1)"
)


class Step(msgspec.Struct):
    """One request of the last run. `parent` and `target` are ids, `items` those that the page last gave; `source` is
    `sitemap`, `feed` or `robots` of a list of URLs.
    """

    id: int
    url: str
    rule: str | None
    fate: str | None  # None: it waits
    detail: str
    status: int | None
    attempts: int
    depth: int
    seed: bool
    source: str | None
    parent: int | None
    target: int | None
    method: str
    carry: dict[str, Any]
    items: int | None


def requests_for(db: sqlite3.Connection, url: str) -> list[Step]:
    """All requests for a URL, in order of discovery: there may be one for each page rule and carried values."""
    return [_step(row) for row in db.execute(f"SELECT {_COLUMNS} FROM request AS r WHERE url = ? ORDER BY id", (url,))]


def way_to(db: sqlite3.Connection, step: Step) -> list[Step]:
    """The requests that led to this one, from the first; without itself."""
    way: list[Step] = []
    while step.parent is not None and len(way) < MOST_STEPS:
        row = db.execute(f"SELECT {_COLUMNS} FROM request AS r WHERE id = ?", (step.parent,)).fetchone()
        if row is None:
            break
        step = _step(row)
        way.append(step)
    return way[::-1]


def way_from(db: sqlite3.Connection, step: Step) -> list[Step]:
    """What a request was redirected to, each by the one before. A cookie wall leads back to where it was."""
    way: list[Step] = []
    met = {step.id}
    while step.target is not None:
        row = db.execute(f"SELECT {_COLUMNS} FROM request AS r WHERE id = ?", (step.target,)).fetchone()
        if row is None:
            break
        step = _step(row)
        way.append(step)
        if step.id in met:
            break
        met.add(step.id)
    return way


def nearest(db: sqlite3.Connection, host: str, alike: Callable[[str], float], most: int) -> list[str]:
    """The URLs of a host, of any if there is none, that are most alike, the best first."""
    urls = [url for (url,) in nlargest(most, _urls(db, host), key=lambda row: alike(row[0]))]
    return urls or [url for (url,) in nlargest(most, _urls(db, None), key=lambda row: alike(row[0]))]


def _urls(db: sqlite3.Connection, host: str | None) -> sqlite3.Cursor:
    return db.execute("SELECT DISTINCT url FROM request WHERE ?1 IS NULL OR host = ?1", (host,))


def _step(row: tuple[Any, ...]) -> Step:
    *known, parent, target, more, items = row
    number, url, rule, fate, detail, status, attempts, depth, seed, source = known
    request = request_of(url, rule, depth, bool(seed), more)
    return Step(
        number,
        url,
        rule,
        fate,
        detail,
        status,
        attempts,
        depth,
        bool(seed),
        source,
        parent,
        target,
        request.method,
        request.carry,
        items,
    )
