"""The frontier on disk: rows come back as they went in, and nothing of it takes a step a row."""

from __future__ import annotations

import sqlite3
import struct
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model import Request
from pipeline.state import requests, rows, schema
from pipeline.state.requests import FreshRow, TouchedRow, more_of

TEXT = st.text(st.characters(codec="utf-8"))


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = connect()
    yield connection
    connection.close()


def connect() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript("".join(schema.MIGRATIONS))
    connection.execute("BEGIN")
    return connection


def mark_of(number: int) -> bytes:
    return number.to_bytes(4, "big") * 4


def fresh(number: int, **given: Any) -> FreshRow:
    row = FreshRow(
        id=number,
        mark=mark_of(number),
        host="a.example",
        url=f"https://a.example/{number}",
        rule="list",
        rank=number,
        depth=0,
        fate=None,
        detail="",
        status=None,
        attempts=0,
        parent=None,
        seed=False,
        more=None,
    )
    return row._replace(**given)


def touched(number: int, **given: Any) -> TouchedRow:
    row = TouchedRow(number, number, 0, "fetched", "", 200, 1, None, None)
    return row._replace(**given)


def stored(db: sqlite3.Connection, columns: str) -> list[Any]:
    return db.execute(f"SELECT {columns} FROM request ORDER BY id").fetchall()


class Steps:
    """Counts the statements that SQLite starts, and the rows that it gives back."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.count = 0
        self._db = db

    def __enter__(self) -> Steps:
        self._db.set_trace_callback(self._one)
        return self

    def __exit__(self, *exc: object) -> None:
        self._db.set_trace_callback(None)

    def _one(self, _statement: str) -> None:
        self.count += 1


# --- write ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 64, 65, 255, 256, 257, 600])
def test_any_number_of_rows(db: sqlite3.Connection, count: int) -> None:
    requests.write(db, [fresh(i, parent=i - 1 or None, more=b"\x00") for i in range(1, count + 1)], [], [], [])
    assert stored(db, ", ".join(FreshRow._fields)) == [
        tuple(fresh(i, parent=i - 1 or None, more=b"\x00")) for i in range(1, count + 1)
    ]
    changed = [touched(i, target=i, depth=7, more=b"m") for i in range(1, count + 1)]
    requests.write(db, [], changed, [], [])
    assert stored(db, ", ".join(TouchedRow._fields)) == [tuple(row) for row in changed]


def test_a_batch_is_few_steps(db: sqlite3.Connection) -> None:
    with Steps(db) as steps:
        requests.write(
            db,
            [fresh(i) for i in range(1, 501)],
            [touched(i) for i in range(1, 501)],
            [(1, i, 1) for i in range(500)],
            [("a.example", "deferred:host_down", "", [1, 2])],
        )
    assert steps.count <= 7


def test_the_last_id(db: sqlite3.Connection) -> None:
    assert requests.last_id(db) == 0
    requests.write(db, [fresh(i) for i in (1, 2, 9)], [], [], [])
    assert requests.last_id(db) == 9


def test_origins_of_seeds(db: sqlite3.Connection) -> None:
    urls = ["http://a/", "http://a/x/y?z=/", "https://a:8/x", "http://a:80/", "https://[::1]/", "https://b/a//c"]
    rows_ = [fresh(i, url=url, seed=True) for i, url in enumerate(urls, 1)]
    requests.write(db, [*rows_, fresh(9, url="http://other/")], [], [], [])
    assert sorted(requests.seed_origins(db)) == [
        *("http://a", "http://a:80", "https://[::1]", "https://a:8", "https://b")
    ]


@given(TEXT, TEXT, st.binary(), st.integers(-(2**62), 2**63 - 1))
@settings(max_examples=30)
def test_any_text_comes_back(url: str, rule: str, body: bytes, rank: int) -> None:
    db = connect()
    more = more_of(Request("", method="POST", body=body))
    row = fresh(1, url=url, rule=rule, host=url, rank=rank, more=more, attempts=2, depth=3)
    requests.write(db, [row], [], [], [])
    [waiting] = requests.refill(db, url, None, 9)
    assert waiting == (1, mark_of(1), rank, Request(url, "POST", body=body, page=rule, depth=3), 2)
    assert requests.waiting(db) == [(url, 1)]
    db.close()


def test_touched_is_state_by_value(db: sqlite3.Connection) -> None:
    requests.write(db, [fresh(1, more=b"x", status=500, attempts=2, fate="failed:http_500")], [], [], [])
    requests.write(db, [], [touched(1, fate="fetched"), touched(1, fate=None, status=None, attempts=0)], [], [])
    assert stored(db, "fate, status, attempts, more, mark, url") == [
        (None, None, 0, None, mark_of(1), "https://a.example/1")
    ]


def test_fresh_and_touched_in_one_batch(db: sqlite3.Connection) -> None:
    requests.write(db, [fresh(1)], [touched(1, fate="gone")], [], [("a.example", "x", "", [])])
    assert stored(db, "fate") == [("gone",)]


def test_an_id_is_fresh_once(db: sqlite3.Connection) -> None:
    requests.write(db, [fresh(1)], [], [], [])
    with pytest.raises(sqlite3.IntegrityError):
        requests.write(db, [fresh(1)], [], [], [])


def test_of_equal_edges_the_shortest_stays(db: sqlite3.Connection) -> None:
    requests.write(db, [], [], [(1, 2, 1), (1, 3, 0), (1, 2, 1)], [])
    requests.write(db, [], [], [(1, 2, 0), (1, 3, 1)], [])
    assert db.execute("SELECT * FROM link ORDER BY child").fetchall() == [(1, 2, 0), (1, 3, 0)]


@pytest.mark.parametrize(
    ("host", "ended"), [("a.example", [1, 3]), ("b.example", [4]), ("c.example", []), (None, [1, 3, 4])]
)
def test_an_ended_host_spares_what_is_in_flight_and_what_has_ended(
    db: sqlite3.Connection, host: str | None, ended: list[int]
) -> None:
    batch = [fresh(1), fresh(2), fresh(3), fresh(4, host="b.example"), fresh(5, fate="gone", detail="d")]
    requests.write(db, batch, [], [], [(host, "rejected:limit", "why", {2})])
    expected = dict.fromkeys(ended, ("rejected:limit", "why")) | {5: ("gone", "d")}
    assert stored(db, "fate, detail") == [expected.get(i, (None, "")) for i in range(1, 6)]


# --- refill, waiting --------------------------------------------------------------------------------------------------


def test_refill_goes_on_behind_a_rank(db: sqlite3.Connection) -> None:
    ranks = {1: 30, 2: -10, 3: 2**62, 4: 20, 5: 40}
    batch = [fresh(i, rank=rank) for i, rank in ranks.items()]
    requests.write(db, [*batch, fresh(6, rank=25, host="b.example"), fresh(7, rank=26, fate="gone")], [], [], [])
    assert [row.id for row in requests.refill(db, "a.example", None, 3)] == [2, 4, 1]
    assert [row.rank for row in requests.refill(db, "a.example", 30, 9)] == [40, 2**62]
    assert requests.refill(db, "a.example", 2**62, 9) == []
    assert requests.refill(db, "nobody.example", None, 9) == []
    assert requests.waiting(db) == [("a.example", 5), ("b.example", 1)]


def test_refill_is_one_step_and_knows_parents_and_secrets(db: sqlite3.Connection) -> None:
    request = Request("https://a.example/2", headers={"Cookie": "s=1"}, page="list", parent="https://a.example/1")
    requests.write(db, [fresh(1, fate="fetched"), fresh(2, parent=1, more=more_of(request))], [], [], [])
    with Steps(db) as steps:
        [waiting] = requests.refill(db, "a.example", None, 256, {requests.digest("s=1"): "s=1"})
    assert steps.count == 1
    assert waiting.request == request


# --- marks, depths ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ids", [[], [1], [*range(1, 12)], [2, 3, 9, 40, 41, 300], [7]])
@pytest.mark.parametrize("most", [1, 3, 100])
def test_marks_and_depths_in_calls(db: sqlite3.Connection, ids: list[int], most: int) -> None:
    requests.write(db, [fresh(i, depth=i * 300) for i in ids], [], [], [])
    known: dict[int, bytes] = {}
    after = 0
    while True:
        last, packed = requests.marks(db, after, most)
        if not packed:
            break
        assert len(packed) <= most * 16
        known |= {number: head for head, number in struct.iter_unpack(">12sI", packed)}
        after = last
    assert last == after == (ids[-1] if ids else 0)
    assert known == {i: mark_of(i)[:12] for i in ids}
    depths: list[int] = []
    while (found := requests.depths(db, len(depths), most))[1]:
        assert found[0] == len(depths) + len(found[1])
        depths += found[1]
    assert depths == [min(i * 300, 0xFFFF) if i in ids else 0xFFFF for i in range(1, after + 1)]


# --- relax ------------------------------------------------------------------------------------------------------------


def shortest(edges: list[tuple[int, int, int]], roots: list[int], most: int) -> dict[int, int]:
    """Depths by a plain search over the edges, as long as nothing changes any more."""
    below: dict[int, list[tuple[int, int]]] = {}
    for parent, child, hops in edges:
        below.setdefault(parent, []).append((child, hops))
    found = dict.fromkeys(roots, 0)
    todo = deque(roots)
    while todo:
        parent = todo.popleft()
        for child, hops in below.get(parent, []):
            if found[parent] + hops < found.get(child, most):
                found[child] = found[parent] + hops
                todo.append(child)
    return found


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(0, 1)), max_size=60), st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_depths_are_right_whatever_the_order_of_discovery(edges: list[tuple[int, int, int]], roots: int) -> None:
    """As in a crawl: an edge gives a request its depth, or a shorter one to be followed."""
    db = connect()
    depth = dict.fromkeys(range(1, roots + 1), 0)
    requests.write(db, [fresh(i) for i in depth], [], [], [])
    later: list[tuple[int, int, int]] = list(edges)
    used = []
    while ready := [edge for edge in later if edge[0] in depth]:
        parent, child, hops = ready[0]
        later.remove(ready[0])
        used.append(ready[0])
        new = depth[parent] + hops
        if child not in depth:
            depth[child] = new
            requests.write(db, [fresh(child, depth=new)], [], [(parent, child, hops)], [])
            continue
        requests.write(db, [], [], [(parent, child, hops)], [])
        if new < depth[child]:
            answer = requests.relax(db, [(child, new)])
            assert all(row.depth < depth[row.id] and row.request.depth == row.depth for row in answer)
            assert len({row.id for row in answer}) == len(answer)
            depth |= {row.id: row.depth for row in answer}
    assert depth == shortest(used, list(range(1, roots + 1)), 99)
    assert dict(stored(db, "id, depth")) == depth
    db.close()


def test_relax_tells_what_improved(db: sqlite3.Connection) -> None:
    batch = [
        fresh(1),
        fresh(2, depth=5, fate="fetched", attempts=3),
        fresh(3, depth=6, fate="rejected:depth", parent=2, more=more_of(Request("", priority=4))),
        fresh(4, depth=1),
    ]
    requests.write(db, batch, [], [(2, 3, 1), (2, 4, 1)], [])
    answer = requests.relax(db, [(2, 1), (4, 3), (99, 0)])
    assert answer == [
        (2, 1, "fetched", mark_of(2), "a.example", Request("https://a.example/2", page="list", depth=1), 3),
        (
            *(3, 2, "rejected:depth", mark_of(3), "a.example"),
            Request("https://a.example/3", page="list", depth=2, priority=4, parent="https://a.example/2"),
            0,
        ),
    ]
    assert stored(db, "depth, rank") == [(0, 1), (1, 2), (2, 3), (1, 4)]
    assert requests.relax(db, [(2, 1), (3, 2)]) == []


def test_an_edge_that_came_after_the_shorter_path_is_followed_when_asked_again(db: sqlite3.Connection) -> None:
    requests.write(db, [fresh(1, depth=3), fresh(2, depth=4)], [], [], [])
    assert [row.id for row in requests.relax(db, [(1, 2)])] == [1]
    requests.write(db, [], [], [(1, 2, 1)], [])
    assert [(row.id, row.depth) for row in requests.relax(db, [(1, 2)])] == [(2, 3)]


def test_relax_is_few_steps_a_depth(db: sqlite3.Connection) -> None:
    requests.write(db, [fresh(i, depth=9) for i in range(1, 602)], [], [(1, i, 1) for i in range(2, 602)], [])
    with Steps(db) as steps:
        assert len(requests.relax(db, [(1, 1)])) == 601
    assert steps.count <= 6


# --- the report -------------------------------------------------------------------------------------------------------


def test_fates_by_host(db: sqlite3.Connection) -> None:
    batch = [fresh(1), fresh(2, host="Z"), fresh(3, fate="gone"), fresh(4, fate="gone"), fresh(5, fate="fetched")]
    requests.write(db, batch, [], [], [])
    found = requests.fates_by_host(db)
    assert found == {"Z": {"pending": 1}, "a.example": {"fetched": 1, "gone": 2, "pending": 1}}
    assert [list(found), list(found["a.example"])] == [["Z", "a.example"], ["fetched", "gone", "pending"]]


BAD = st.sampled_from(
    ["failed:dns", "failed:http_500", "gone", "rejected:scope", "deferred:host_down", "fetched", None]
)


def picked(rows: list[FreshRow], most: int) -> list[tuple[str, str, str]]:
    """One example of each bad fate, then failures, then the rest, each the first by URL."""
    bad = sorted((row for row in rows if row.fate and row.fate != "fetched"), key=lambda row: (row.fate, row.url))
    told: dict[int, FreshRow] = {}
    for row in bad:
        if row.fate not in {other.fate for other in told.values()}:
            told[row.id] = row
    for row in sorted(bad, key=lambda row: not str(row.fate).startswith("failed:"))[: max(0, most - len(told))]:
        told[row.id] = row
    found = [(row.url, str(row.fate), row.detail) for row in told.values()]
    return sorted(found, key=lambda row: (not row[1].startswith("failed:"), row[1], row[0]))


@given(st.lists(st.tuples(BAD, st.sampled_from("abcdefé\U0001f600\uffee")), max_size=25), st.integers(0, 12))
@settings(max_examples=60, deadline=None)
def test_problems_are_picked_as_told(given: list[tuple[str | None, str]], most: int) -> None:
    db = connect()
    batch = [fresh(i, fate=fate, url=url, detail=f"d{i}") for i, (fate, url) in enumerate(given, 1)]
    requests.write(db, batch, [], [], [])
    assert requests.problems(db, most) == picked(batch, most)
    db.close()


def test_problems_show_no_password(db: sqlite3.Connection) -> None:
    requests.write(db, [fresh(1, url="https://me:pw@a.example/", fate="failed:dns", detail="x")], [], [], [])
    assert requests.problems(db, 5) == [("https://a.example/", "failed:dns", "x")]


@pytest.mark.parametrize(
    ("fate", "reached"),
    [
        *((fate, True) for fate in (None, "fetched", "not_modified", "not_due", "rejected:limit")),
        *((fate, False) for fate in ("gone", "failed:dns", "deferred:host_down", "rejected:robots", "redirected")),
    ],
)
@pytest.mark.parametrize("hops", [0, 1, 3])
def test_seeds_reached(db: sqlite3.Connection, fate: str | None, reached: bool, hops: int) -> None:
    batch = [fresh(i, fate="redirected", seed=i == 1) for i in range(1, hops + 1)]
    batch += [
        fresh(hops + 1, fate=fate, seed=not hops),
        fresh(9, fate="fetched", parent=1),
        fresh(10, fate="gone", seed=True),
    ]
    ways = [touched(i, fate="redirected", target=i + 1) for i in range(1, hops + 1)]
    requests.write(db, batch, ways, [], [])
    assert requests.seeds_reached(db) is reached


def test_a_circle_of_redirects_reaches_nothing(db: sqlite3.Connection) -> None:
    ways = [touched(i, fate="redirected", target=3 - i) for i in (1, 2)]
    requests.write(db, [fresh(1, seed=True), fresh(2)], ways, [], [])
    assert not requests.seeds_reached(db)


def test_statements_come_in_few_sizes() -> None:
    assert rows.SIZES[-1] * len(FreshRow._fields) < 32_766, "variables of a statement"
