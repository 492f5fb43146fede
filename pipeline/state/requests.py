"""The frontier on disk: every request of the last run, written and read many at a time.

It knows rows, not the frontier that they come from. Functions take the connection first and neither begin nor commit.
`pipeline.state.rows` says why each is few, long statements.

Depth. `relax` is Dijkstra's algorithm over `link`, whose lengths (hops) are small and not negative: in rounds by depth,
smallest first, each request is settled once. A round is two statements, and there are at most as many rounds as depths,
but for redirects, which are zero hops long.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

import msgspec

from pipeline.model import Request
from pipeline.state.more import NO_VAULT, digest, more_of, request_of
from pipeline.state.rows import id_list, ids_of, insert, put
from pipeline.url import shown

__all__ = [
    "Edge",
    "EndedHost",
    "FreshRow",
    "Improved",
    "TouchedRow",
    "Waiting",
    "depths",
    "digest",
    "fates_by_host",
    "marks",
    "more_of",
    "problems",
    "refill",
    "refusals",
    "relax",
    "request_of",
    "seeds_reached",
    "waiting",
    "write",
]

FINE: Final = ("fetched", "not_modified", "redirected", "not_due")  # fates that are no problem
REACHED: Final = ("fetched", "not_modified", "not_due", "rejected:limit")  # of a seed: its site is there
NO_DEPTH: Final = 0xFFFF  # of an id that is not there; greater depths are told as this one, too
MARK_HEAD: Final = 12  # bytes of a mark that `marks` gives

_ANSWERED: Final = 1000  # requests that `relax` reads in a step
_BELOW_ALL: Final = -(2**63)  # no rank is as small: they have 63 bits

Edge: TypeAlias = tuple[int, int, int]
"""(parent, child, hops in depth)."""

EndedHost: TypeAlias = tuple[str | None, str, str, Collection[int]]
"""(host or None for all, fate, detail, ids that are in flight)."""


class FreshRow(NamedTuple):
    """A request that nobody knew before; as it is by now, so it may have ended."""

    id: int
    mark: bytes
    host: str
    url: str
    rule: str | None
    rank: int
    depth: int
    fate: str | None
    detail: str
    status: int | None
    attempts: int
    parent: int | None
    seed: bool
    more: bytes | None
    source: str | None = None  # sitemap, feed or robots
    target: int | None = None  # what it has redirected to by now


class TouchedRow(NamedTuple):
    """What has become of a request: the row is made equal to this."""

    id: int
    rank: int
    depth: int
    fate: str | None
    detail: str
    status: int | None
    attempts: int
    target: int | None
    more: bytes | None


class Waiting(NamedTuple):
    """A pending request on its way back into memory."""

    id: int
    mark: bytes
    rank: int
    request: Request
    attempts: int


class Improved(NamedTuple):
    """A request to which a shorter path was found; `request.depth` is the new one."""

    id: int
    depth: int
    fate: str | None
    mark: bytes
    host: str
    request: Request
    attempts: int


# --- in ---------------------------------------------------------------------------------------------------------------

_FRESH: Final = insert("request", FreshRow._fields)
_TOUCHED: Final = (
    "UPDATE request SET "
    + ", ".join(f"{name} = new.column{at}" for at, name in enumerate(TouchedRow._fields[1:], 2))
    + " FROM {rows} AS new WHERE request.id = new.column1"
)
_EDGES: Final = (
    insert("link", ("parent", "child", "hops")) + " ON CONFLICT DO UPDATE SET hops = min(hops, excluded.hops)"
)
_END: Final = (
    "UPDATE request SET fate = ?2, detail = ?3 "
    "WHERE fate IS NULL AND {host} AND id NOT IN (SELECT value FROM json_each(?4))"
)
_END_ONE: Final = _END.format(host="host = ?1")
_END_ALL: Final = _END.format(host="?1 IS NULL")


def write(
    db: sqlite3.Connection,
    fresh: Sequence[FreshRow],
    touched: Sequence[TouchedRow],
    edges: Sequence[Edge],
    ended_hosts: Iterable[EndedHost],
) -> None:
    """Write what happened since the last time, in this order: new requests, changed ones, links, ended hosts.

    Of several rows for one id in `touched` the last counts, of several equal edges the shortest, also of those written
    before. An ended host's fate goes to all rows that are pending by then. Raises sqlite3.IntegrityError for an id in
    `fresh` that is there already.
    """
    put(db, _FRESH, fresh)
    put(db, _TOUCHED, list({row.id: row for row in touched}.values()))
    put(db, _EDGES, edges)
    for host, fate, detail, in_flight in ended_hosts:
        db.execute(_END_ALL if host is None else _END_ONE, (host, fate, detail, id_list(in_flight)))


# --- out: pending requests --------------------------------------------------------------------------------------------

_REQUEST: Final = "r.url, r.rule, r.depth, r.seed, hex(r.more), (SELECT url FROM request WHERE id = r.parent)"
_RequestRow: TypeAlias = tuple[str, str | None, int, int, str, str | None]

_REFILL: Final = (
    f"SELECT json_group_array(json_array(r.id, hex(r.mark), r.rank, r.attempts, json_array({_REQUEST}))) FROM "
    "(SELECT * FROM request WHERE fate IS NULL AND host = ? AND rank > ? ORDER BY rank LIMIT ?) AS r"
)
_refilled: Final = msgspec.json.Decoder(list[tuple[int, str, int, int, _RequestRow]])
_counted: Final = msgspec.json.Decoder(list[tuple[str, int]])


def refill(
    db: sqlite3.Connection, host: str, after: int | None, most: int, vault: Mapping[str, str] = NO_VAULT
) -> list[Waiting]:
    """At most `most` pending requests of a host with a rank above `after` (None: any), in order of rank."""
    found = db.execute(_REFILL, (host, _BELOW_ALL if after is None else after, most)).fetchone()[0]
    return [
        Waiting(number, bytes.fromhex(mark), rank, _request(row, vault), attempts)
        for number, mark, rank, attempts, row in _refilled.decode(found)
    ]


def waiting(db: sqlite3.Connection) -> list[tuple[str, int]]:
    """(host, number of pending requests) of each host that has any, in order of host."""
    found = db.execute(
        "SELECT json_group_array(json_array(host, pending)) FROM "
        "(SELECT host, count(*) AS pending FROM request WHERE fate IS NULL GROUP BY host)"
    ).fetchone()[0]
    return sorted(_counted.decode(found))


def _request(row: _RequestRow, vault: Mapping[str, str]) -> Request:
    url, rule, depth, seed, more, parent = row
    return request_of(url, rule, depth, bool(seed), bytes.fromhex(more) or None, vault, parent=parent)


# --- out: all requests, for a resume ----------------------------------------------------------------------------------


def last_id(db: sqlite3.Connection) -> int:
    """The highest id, 0 where there is no request."""
    return int(db.execute("SELECT coalesce(max(id), 0) FROM request").fetchone()[0])


def seed_origins(db: sqlite3.Connection) -> list[str]:
    """Scheme, host and port of every seed, as the beginning of a URL up to the path."""
    found = db.execute(
        "SELECT DISTINCT substr(url, 1, instr(substr(url, 9), '/') + 7) FROM request WHERE seed"
    ).fetchall()
    return [origin for (origin,) in found]


def marks(db: sqlite3.Connection, after_id: int, most: int) -> tuple[int, bytes]:
    """What is known, by id: (the last id, for each request the first 12 bytes of its mark and its id, big-endian).

    At most `most` requests with ids above `after_id`; where there are no more: (`after_id`, b"").
    """
    bounds = _bounds(db, after_id, most)
    if bounds is None:
        return after_id, b""
    last, count, text = db.execute(
        "SELECT max(id), count(*), group_concat(hex(mark), '') FROM request WHERE id BETWEEN ? AND ?", bounds
    ).fetchone()
    heads = bytes.fromhex(text)
    ids = array("I", _ids(db, bounds[0], last, count))
    ids.byteswap()
    tails = ids.tobytes()
    width = MARK_HEAD + ids.itemsize
    packed = bytearray(count * width)
    for at in range(MARK_HEAD):  # column by column: 16 copies, however many rows
        packed[at::width] = heads[at :: len(heads) // count]
    for at in range(ids.itemsize):
        packed[MARK_HEAD + at :: width] = tails[at :: ids.itemsize]
    return last, bytes(packed)


def depths(db: sqlite3.Connection, after_id: int, most: int) -> tuple[int, array[int]]:
    """(The last id, the depth of `after_id` + 1, of the next one, and so on to the last), as 16-bit numbers.

    At most `most` requests. An id that is not there has `NO_DEPTH`; where there are no more: (`after_id`, nothing).
    """
    bounds = _bounds(db, after_id, most)
    if bounds is None:
        return after_id, array("H")
    last, count, text = db.execute(
        "SELECT max(id), count(*), json_group_array(min(depth, ?3)) FROM request WHERE id BETWEEN ?1 AND ?2",
        (*bounds, NO_DEPTH),
    ).fetchone()
    found = array("H", ids_of(text))
    if count == last - after_id:
        return last, found
    filled = array("H", [NO_DEPTH]) * (last - after_id)
    for number, depth in zip(_ids(db, bounds[0], last, count), found, strict=True):
        filled[number - after_id - 1] = depth
    return last, filled


def _bounds(db: sqlite3.Connection, after_id: int, most: int) -> tuple[int, int] | None:
    """A range of ids that has the next one and at most `most` requests, by far cheaper than LIMIT in a subquery."""
    (first,) = db.execute("SELECT min(id) FROM request WHERE id > ?", (after_id,)).fetchone()
    return None if first is None else (first, first + most - 1)


def _ids(db: sqlite3.Connection, first: int, last: int, count: int) -> Sequence[int]:
    """The ids from `first` to `last`, of which there are `count`: nearly always all."""
    if count == last - first + 1:
        return range(first, last + 1)
    found = db.execute("SELECT json_group_array(id) FROM request WHERE id BETWEEN ? AND ?", (first, last))
    return ids_of(found.fetchone()[0])


# --- shorter paths ----------------------------------------------------------------------------------------------------

_DEPTHS: Final = (
    "SELECT json_group_array(json_array(id, depth)) FROM request WHERE id IN (SELECT value FROM json_each(?))"
)
_SETTLE: Final = "UPDATE request SET depth = ?1 WHERE depth > ?1 AND id IN (SELECT value FROM json_each(?2))"
_BEYOND: Final = (
    "SELECT json_group_array(json_array(r.id, l.hops)) FROM json_each(?2) AS v "
    "CROSS JOIN link AS l ON l.parent = v.value CROSS JOIN request AS r ON r.id = l.child WHERE r.depth > ?1 + l.hops"
)
_IMPROVED: Final = (
    f"SELECT json_group_array(json_array(r.id, r.fate, hex(r.mark), r.host, r.attempts, json_array({_REQUEST}))) "
    "FROM json_each(?) AS v CROSS JOIN request AS r ON r.id = v.value"
)
_pairs: Final = msgspec.json.Decoder(list[tuple[int, int]])
_improved: Final = msgspec.json.Decoder(list[tuple[int, str | None, str, str, int, _RequestRow]])


def relax(
    db: sqlite3.Connection, improved: Iterable[tuple[int, int]], vault: Mapping[str, str] = NO_VAULT
) -> list[Improved]:
    """Follow shorter paths, each (id, depth), as far as they make others shorter; all whose depth became smaller.

    Nearest first. A pair that says what the row says already is followed, too: links may have been written since it
    became so, and asking again until the answer is empty thus ends with all depths right. A greater one is ignored.
    """
    return [
        Improved(number, row[2], fate, bytes.fromhex(mark), host, _request(row, vault), attempts)
        for piece in _pieces(_shorten(db, improved))
        for number, fate, mark, host, attempts, row in _improved.decode(db.execute(_IMPROVED, (piece,)).fetchone()[0])
    ]


def _shorten(db: sqlite3.Connection, improved: Iterable[tuple[int, int]]) -> list[int]:
    """Set the new depths; the ids that have one, nearest first."""
    asked = list(improved)
    text = db.execute(_DEPTHS, (id_list(number for number, _ in asked),)).fetchone()[0]
    before = dict(_pairs.decode(text))
    rounds: defaultdict[int, set[int]] = defaultdict(set)
    for number, depth in asked:
        if depth <= before.get(number, -1):
            rounds[depth].add(number)
    settled: set[int] = set()
    shorter = []
    while rounds:
        depth = min(rounds)
        reached = rounds.pop(depth) - settled
        settled |= reached
        shorter += sorted(number for number in reached if before.get(number, depth + 1) > depth)
        ids = id_list(reached)
        db.execute(_SETTLE, (depth, ids))
        for child, hops in _pairs.decode(db.execute(_BEYOND, (depth, ids)).fetchone()[0]):
            rounds[depth + hops].add(child)
    return shorter


def _pieces(ids: Sequence[int]) -> Iterable[str]:
    return (id_list(ids[start : start + _ANSWERED]) for start in range(0, len(ids), _ANSWERED))


# --- for the report ---------------------------------------------------------------------------------------------------

_cells: Final = msgspec.json.Decoder(list[tuple[str, str, int]])
_FINE: Final = ", ".join(f"'{fate}'" for fate in FINE)
_REACHED: Final = ", ".join(f"'{fate}'" for fate in REACHED)


def fates_by_host(db: sqlite3.Connection) -> dict[str, dict[str, int]]:
    """Host -> fate -> requests for pages, both in order of name; without a fate: `pending`."""
    found = db.execute(
        "SELECT json_group_array(json_array(host, fate, requests)) FROM "
        "(SELECT host, coalesce(fate, 'pending') AS fate, count(*) AS requests FROM request "
        "WHERE source IS NULL GROUP BY 1, 2)"
    ).fetchone()[0]
    hosts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for host, fate, requests in sorted(_cells.decode(found)):
        hosts[host][fate] = requests
    return dict(hosts)


def problems(db: sqlite3.Connection, most: int) -> list[tuple[str, str, str]]:
    """(URL without credentials, fate, detail) of what went wrong: an example of every fate, then more, up to `most`.

    Failures come before the rest, then by fate and URL. Of each fate the smallest URLs are told.
    """
    bad = f"FROM request WHERE fate NOT IN ({_FINE})"
    told = {
        number: (shown(url), fate, detail)
        for number, url, fate, detail in db.execute(
            f"SELECT min(id), url, fate, detail FROM request WHERE (fate, url) IN "
            f"(SELECT fate, min(url) {bad} GROUP BY fate) GROUP BY fate"
        ).fetchall()
    }
    more = db.execute(
        f"SELECT id, url, fate, detail {bad} ORDER BY fate NOT LIKE 'failed:%', fate, url, id LIMIT ?",
        (max(0, most - len(told)),),
    ).fetchall()
    told |= {number: (shown(url), fate, detail) for number, url, fate, detail in more}
    return sorted(told.values(), key=lambda row: (not row[1].startswith("failed:"), row[1], row[0]))


def refusals(db: sqlite3.Connection, most: int) -> list[tuple[str, str, int, str]]:
    """(fate, rule, requests, URL of the first one) of what was refused, by rule, the most frequent first."""
    found = db.execute(
        "SELECT fate, detail, count(*), min(id) FROM request WHERE fate LIKE 'rejected:%' GROUP BY fate, detail "
        "ORDER BY count(*) DESC, fate, detail LIMIT ?",
        (most,),
    ).fetchall()
    urls = dict(db.execute(f"SELECT id, url FROM request WHERE id IN ({', '.join(str(row[3]) for row in found)})"))
    return [(fate, detail, count, shown(urls[first])) for fate, detail, count, first in found]


def seeds_reached(db: sqlite3.Connection) -> bool:
    """Whether anything that the run began with (seeds, and what plugins gave), at the end of its redirects, was there,
    or may still be.
    """
    found = db.execute(
        "WITH RECURSIVE way(id) AS (SELECT id FROM request WHERE seed OR parent IS NULL UNION "
        "SELECT r.target FROM way CROSS JOIN request AS r USING (id) WHERE r.fate = 'redirected') "
        "SELECT EXISTS (SELECT 1 FROM way CROSS JOIN request AS r USING (id) "
        f"WHERE r.fate IS NULL OR r.fate IN ({_REACHED}))"
    ).fetchone()
    return bool(found[0])
