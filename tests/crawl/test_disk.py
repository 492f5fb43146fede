"""The tests' state in memory and the real one agree: what the frontier's laws were tested with is what it meets."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.crawl.depths import RelaxedRow
from pipeline.crawl.frontier import Want
from pipeline.crawl.scope import Refusal
from pipeline.crawl.windows import WaitingRow
from pipeline.state import requests, schema
from pipeline.state.requests import FreshRow, TouchedRow, more_of
from pipeline.url import host_of
from tests.crawl.disk import Disk, Row, Written, new_frontier
from tests.crawl.graph import Graph, GraphCrawl


class Both(Disk):
    """Does everything twice, and answers as the real one does."""

    def __init__(self, db: sqlite3.Connection) -> None:
        super().__init__()
        self._db = db

    def apply(self, changes: Written) -> None:
        super().apply(changes)
        fresh, touched = [_fresh(*row) for row in changes.fresh], [_touched(*row) for row in changes.touched]
        requests.write(self._db, fresh, touched, changes.edges, changes.ended_hosts)
        kept = self._db.execute("SELECT id, depth, rank, fate, attempts FROM request ORDER BY id").fetchall()
        rows = sorted(self.rows.items())
        assert kept == [(number, row.request.depth, row.rank, row.fate, row.attempts) for number, row in rows]

    def refill(self, want: Want) -> list[WaitingRow]:
        found: list[WaitingRow] = [*requests.refill(self._db, want.host, want.after, want.most)]
        assert found == super().refill(want)
        return found

    def relax(self, asked: list[tuple[int, int]]) -> list[RelaxedRow]:
        found: list[RelaxedRow] = [*requests.relax(self._db, asked)]
        assert sorted(found) == sorted(super().relax(asked))
        return found


def _fresh(number: int, row: Row) -> FreshRow:
    request = row.request
    return FreshRow(
        id=number,
        mark=row.mark,
        host=host_of(request.url),
        url=request.url,
        rule=request.page,
        rank=row.rank,
        depth=request.depth,
        fate=row.fate,
        detail="",
        status=None,
        attempts=row.attempts,
        parent=None,
        seed=False,
        more=more_of(request),
    )


def _touched(number: int, row: Row) -> TouchedRow:
    new = _fresh(number, row)
    return TouchedRow(number, new.rank, new.depth, new.fate, "", None, new.attempts, None, new.more)


@settings(deadline=None, max_examples=40)  # each is a whole crawl
@given(st.integers(0, 2**32), st.integers(2, 9), st.sampled_from([1, 2, 4]), st.sampled_from(["breadth", "depth"]))
def test_a_crawl_over_the_real_state_goes_as_over_the_tests_own(seed: int, limit: int, window: int, order: str) -> None:
    random = Random(seed)
    frontier = new_frontier(
        lambda request: Refusal("rejected:depth", "too far") if request.depth > limit else None,
        concurrency=20,
        track_depth=True,
        window=window,
        order=order,
    )
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.executescript("".join(schema.MIGRATIONS))
        crawl = GraphCrawl(Graph(random), frontier, random, Both(db))
        crawl.run()
    assert crawl.depths(limit) == crawl.graph.depths(limit)
