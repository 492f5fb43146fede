"""What the published result knows of a page, and how that is renewed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from pipeline.state import pages, runs, visits
from pipeline.state.schema import MIGRATIONS, REVISITS
from pipeline.state.visits import RenewalRow, Visit
from tests.state.test_pages import RUN, begin, connect, mark_of, page


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = connect()
    yield connection
    connection.close()


def ids(db: sqlite3.Connection) -> dict[str, int]:
    found = db.execute("SELECT url, id FROM page WHERE run = 0")
    return {url.rpartition("/")[2]: number for url, number in found}


@pytest.mark.parametrize("count", [0, 1, 300])
def test_only_published_pages_are_found(db: sqlite3.Connection, count: int) -> None:
    published = [
        page(f"{n}", run=0, etag=f'"{n}"', last_modified=None, made_by=bytes([n % 256]) * 16) for n in range(count)
    ]
    pages.add(db, [*published, page("mine", run=RUN), page("theirs", run=RUN + 1)])
    there = ids(db)
    marks = [mark_of("mine"), *(mark_of(f"{n}") for n in range(count)), mark_of("theirs"), mark_of("nobody")]
    assert visits.find(db, marks) == {
        1 + n: Visit(there[f"{n}"], f'"{n}"', None, bytes([n % 256]) * 16, 1_700_000_000) for n in range(count)
    }


def test_links_are_those_of_the_page(db: sqlite3.Connection) -> None:
    pages.add(db, [page("a", run=0, links=bytes(range(256))), page("b", run=0, links=b"")])
    there = ids(db)
    assert visits.links(db, [there["b"], there["a"], 999]) == {there["a"]: bytes(range(256)), there["b"]: b""}
    assert visits.links(db, []) == {}


def renewal(db: sqlite3.Connection, name: str, run: int = RUN, mark: str = "") -> RenewalRow:
    return RenewalRow(run, ids(db)[name], mark_of(mark or name), f'"new {name}"', None, 1_700_000_999)


def checked(db: sqlite3.Connection, name: str) -> tuple[str | None, int]:
    return db.execute("SELECT etag, checked FROM page WHERE run = 0 AND mark = ?", (mark_of(name),)).fetchone()


def test_a_renewal_counts_when_its_run_is_published(db: sqlite3.Connection) -> None:
    begin(db, RUN, "publishing")
    pages.add(db, [page(name, run=0) for name in ("a", "b", "c")])
    visits.renew(db, [renewal(db, "a"), renewal(db, "b")])
    visits.renew(db, [renewal(db, "a")])  # told twice
    assert checked(db, "a") == ('"1"', 0)
    pages.promote(db, RUN, "2026-01-01T00:00:00Z")
    assert [checked(db, name) for name in ("a", "b", "c")] == [
        ('"new a"', 1_700_000_999),
        ('"new b"', 1_700_000_999),
        ('"1"', 0),
    ]
    assert visits.find(db, [mark_of("a")])[0].checked == 1_700_000_999
    assert db.execute("SELECT count(*) FROM renewal").fetchone() == (0,)


def test_a_renewal_of_a_page_that_was_replaced_is_void(db: sqlite3.Connection) -> None:
    begin(db, RUN, "publishing")
    pages.add(db, [page("a", run=0), page("b", run=0)])
    visits.renew(db, [renewal(db, "a", mark="another")])
    visits.renew(db, [renewal(db, "b")])
    pages.add(db, [page("b", etag='"fetched"')])
    pages.decide_removals(db, RUN, clean=False, rules=["list"])
    pages.promote(db, RUN, "2026-01-01T00:00:00Z")
    assert (checked(db, "a"), checked(db, "b")) == (('"1"', 0), ('"fetched"', 0))


def test_those_of_an_open_run_outlive_the_promotion_of_a_candidate(db: sqlite3.Connection) -> None:
    begin(db, RUN, "candidate")
    begin(db, RUN + 1, "open")
    pages.add(db, [page("a", run=0)])
    visits.renew(db, [renewal(db, "a", run=RUN + 1), renewal(db, "a")])
    pages.promote(db, RUN, "2026-01-01T00:00:00Z")
    assert db.execute("SELECT run FROM renewal").fetchall() == [(RUN + 1,)]
    runs.drop(db, RUN + 1)
    assert db.execute("SELECT count(*) FROM renewal").fetchone() == (0,)


def test_a_state_of_an_older_version_is_gone_on_with() -> None:
    old = sqlite3.connect(":memory:", isolation_level=None)
    at = MIGRATIONS.index(REVISITS)
    old.executescript("".join(MIGRATIONS[:at]))
    pages.add(old, [page("a", run=0)])
    old.executescript("".join(MIGRATIONS[at:]))
    assert visits.find(old, [mark_of("a")])[0].checked == 1_700_000_000
    old.close()
