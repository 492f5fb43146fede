"""What the pages gave, on disk: added as they come, read back in the contract's order (spec, section 3, 5).

Rows of run 0 are the published result, all others belong to their run; `pipeline.state.results` leads from one to the
other. Items and links are bytes that nothing here unpacks. Functions neither begin nor commit.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple, Self

from pipeline.model import DeadLetter
from pipeline.state.results import (
    Chunk,
    add_chunk,
    chunks,
    decide_removals,
    drop_candidates,
    promote,
    published,
    unstage,
)
from pipeline.state.rows import id_list, ids_of, insert, put

__all__ = [
    "Chunk",
    "DeadRow",
    "PageRow",
    "StoredPage",
    "add",
    "add_chunk",
    "chunks",
    "dead",
    "decide_removals",
    "drop_candidates",
    "forget",
    "order",
    "promote",
    "published",
    "read",
    "unstage",
]


class PageRow(NamedTuple):
    """A page that ended as `fetched`: what it gave and what is sent with the next request for it.

    `carry` and `carried` are the carried values as canonical JSON and packed, b"" for none; `made_by` is the
    fingerprint of what made the items; `fetched` is in seconds since 1970; `count` is of items.
    """

    run: int
    mark: bytes
    url: str
    method: str
    body: bytes
    rule: str
    carry: bytes
    carried: bytes
    status: int
    etag: str | None
    last_modified: str | None
    made_by: bytes
    fetched: int
    origin: int
    count: int  # type: ignore[assignment]  # named as its column; nobody counts equal values of a row
    items: bytes
    links: bytes
    noindex: bool = False  # the page asks not to be kept


class StoredPage(NamedTuple):
    """A page as publishing needs it; `run` is 0 where it was published before."""

    id: int
    run: int
    mark: bytes
    url: str
    method: str
    body: bytes
    rule: str
    carry: bytes
    carried: bytes
    status: int
    fetched: int
    origin: int
    count: int  # type: ignore[assignment]  # as in PageRow
    items: bytes
    noindex: bool = False


class DeadRow(NamedTuple):
    """An item that a plugin broke on; `request` is an id within that run."""

    run: int
    request: int | None
    mark: bytes
    url: str
    plugin: str
    hook: str
    message: str
    traceback: str
    type: str
    fields: str

    @classmethod
    def of(cls, run: int, request: int | None, mark: bytes, url: str, letter: DeadLetter) -> Self:
        """The row of a dead letter that came from this request."""
        fault = letter.fault
        return cls(
            run,
            request,
            mark,
            url,
            plugin=fault.plugin,
            hook=fault.hook,
            message=fault.message,
            traceback=fault.traceback,
            type=letter.type,
            fields=letter.fields,
        )


# --- in ---------------------------------------------------------------------------------------------------------------

_ADD: Final = insert("page", ("id", *PageRow._fields[:-3], "noindex"), verb="INSERT OR REPLACE")
_CONTENT: Final = insert("content", ("page", "items", "links"))
_DEAD: Final = insert("dead_letter", DeadRow._fields)
_FORGET: Final = "DELETE FROM page WHERE (run, mark) IN (SELECT column1, column2 FROM {rows})"


def add(db: sqlite3.Connection, rows: Sequence[PageRow]) -> None:
    """Add pages to their run; one that is there already, or stands earlier in `rows`, is replaced."""
    last: int = db.execute("SELECT coalesce(max(id), 0) FROM page").fetchone()[0]
    numbered = list(enumerate({(row.run, row.mark): row for row in rows}.values(), last + 1))
    put(db, _ADD, [(number, *row[:-3], row.noindex) for number, row in numbered])
    put(db, _CONTENT, [(number, row.items, row.links) for number, row in numbered])


def forget(db: sqlite3.Connection, run: int, marks: Collection[bytes]) -> None:
    """Take pages out of a run, because their requests have ended otherwise since."""
    put(db, _FORGET, [(run, mark) for mark in marks])


def dead(db: sqlite3.Connection, rows: Sequence[DeadRow]) -> None:
    """Keep dead letters."""
    put(db, _DEAD, rows)


# --- out --------------------------------------------------------------------------------------------------------------

# LIMIT keeps SQLite from leaving out the order of a subquery.
_ORDER: Final = (
    "SELECT json_group_array(id) FROM (SELECT id FROM page WHERE run = ?1 "
    "OR (run = 0 AND mark NOT IN (SELECT mark FROM removal WHERE run = ?1)) "
    "ORDER BY url, method, body, rule, carry LIMIT -1)"
)
# The caller waits for these: there is nobody to take the interpreter from, and rows may come one by one.
_READ: Final = (
    "SELECT p.id, p.run, p.mark, p.url, p.method, p.body, p.rule, p.carry, p.carried, p.status, p.fetched, p.origin, "
    "p.count, c.items, p.noindex FROM json_each(?) AS v CROSS JOIN page AS p ON p.id = v.value "
    "CROSS JOIN content AS c ON c.page = p.id"
)


def order(db: sqlite3.Connection, run: int) -> array[int]:
    """Ids of the pages of a run's result: its own, and the published ones that it does not take away.

    By (URL, method, body, page rule, carried values), compared byte by byte in UTF-8, which is Python's order.
    """
    return ids_of(db.execute(_ORDER, (run,)).fetchone()[0])


def read(db: sqlite3.Connection, ids: Iterable[int]) -> list[StoredPage]:
    """The pages with these ids, in this order; ids that are not there are left out. Give some hundred at a time."""
    return [StoredPage(*row) for row in db.execute(_READ, (id_list(ids),)).fetchall()]
