"""What the published result knows of pages that a run is about to ask for, and what the run learns of them.

`find` says how a page was left, `links` whom it leads to, `renew` that it is still so. Functions neither begin nor
commit; queries answer with one row (see `pipeline.state.rows`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeAlias

import msgspec

from pipeline.state.rows import fold, id_list, insert, put


class Visit(NamedTuple):
    """A published page as its next visitor wants to know it.

    `page` is its id, `made_by` the fingerprint of what made its items; `checked` is the start of the run that last
    found it so, in seconds since 1970.
    """

    page: int
    etag: str | None
    last_modified: str | None
    made_by: bytes
    checked: int


class RenewalRow(NamedTuple):
    """A published page that this run was told is unchanged, and its validators from now on."""

    run: int
    page: int
    mark: bytes
    etag: str | None
    last_modified: str | None
    checked: int


_FIND: Final = (
    "SELECT json_group_array(json_array(v.column1, p.id, p.etag, p.last_modified, hex(p.made_by), "
    "max(p.fetched, p.checked))) FROM {rows} AS v CROSS JOIN page AS p ON p.run = 0 AND p.mark = v.column2"
)
_LINKS: Final = (
    "SELECT json_group_array(json_array(c.page, hex(c.links))) FROM json_each(?) AS v "
    "CROSS JOIN content AS c ON c.page = v.value"
)
_RENEW: Final = insert("renewal", RenewalRow._fields, verb="INSERT OR REPLACE")

_Found: TypeAlias = tuple[int, int, str | None, str | None, str, int]
_found: Final = msgspec.json.Decoder(list[_Found])
_linked: Final = msgspec.json.Decoder(list[tuple[int, str]])


def find(db: sqlite3.Connection, marks: Sequence[bytes]) -> dict[int, Visit]:
    """The published pages among the requests with these marks, by the mark's place in `marks`."""
    return {
        place: Visit(page, etag, modified, bytes.fromhex(made_by), checked)
        for text in fold(db, _FIND, list(enumerate(marks)))
        for place, page, etag, modified, made_by, checked in _found.decode(text)
    }


def links(db: sqlite3.Connection, ids: Iterable[int]) -> dict[int, bytes]:
    """The packed links of the pages with these ids. Give some hundred at a time."""
    found = _linked.decode(db.execute(_LINKS, (id_list(ids),)).fetchone()[0])
    return {page: bytes.fromhex(packed) for page, packed in found}


def renew(db: sqlite3.Connection, rows: Sequence[RenewalRow]) -> None:
    """Keep what a run was told of unchanged pages; it comes to count when the run is published."""
    put(db, _RENEW, rows)
