"""What commands ask of a state: its overview, its items, what is forgotten, its files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.errors import StateError
from pipeline.state import look, pages, requests, runs
from pipeline.state.database import close, connect, reading
from pipeline.state.pages import DeadRow, PageRow
from pipeline.state.requests import FreshRow


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(connect(None)) as opened:
        yield opened


def page(run: int, url: str) -> PageRow:
    return PageRow(
        run, url.encode().ljust(16), url, "GET", b"", "all", b"", b"", 200, None, None, b"", 0, run, 1, b"", b""
    )


def begun(db: sqlite3.Connection, name: str, *urls: str) -> int:
    number = runs.begin(db, name, "2026-01-31T04:00:00+00:00", b"", False, "0.1")
    pages.add(db, [page(number, url) for url in urls])
    return number


def published(db: sqlite3.Connection, name: str, *urls: str) -> int:
    number = begun(db, name, *urls)
    for seq, url in enumerate(urls):
        pages.add_chunk(db, number, seq, 2, b"", url.encode())
    pages.promote(db, number, "2026-01-31T05:00:00+00:00")
    return number


def test_of_an_empty_state_there_is_nothing_to_tell(db: sqlite3.Connection) -> None:
    assert look.overview(db) == look.Overview({}, 0, None, 0, 0, 0, [])
    assert look.published_items(db) is None
    assert look.forget(db, lambda url: True) == 0


def test_an_overview_counts_what_is_there(db: sqlite3.Connection) -> None:
    published(db, "one", "http://a/1", "http://a/2")
    for name in ("two", "three"):
        runs.close(db, begun(db, name, "http://a/3"), "candidate", 1, "2026-01-31T06:00:00+00:00", None)
    number = begun(db, "four")
    fates = [("a", "fetched"), ("b", "fetched"), ("b", None), ("c", "failed:dns")]
    rows = [
        FreshRow(at, bytes([at] * 16), host, f"http://{host}/{at}", "all", at, 0, fate, "", None, 0, None, False, None)
        for at, (host, fate) in enumerate(fates, 1)
    ]
    requests.write(db, rows, [], [], [])
    pages.dead(db, [DeadRow(number, 1, b"", "http://a/1", "p", "process_item", "no", "", "book", "{}")])
    assert look.overview(db) == look.Overview(
        {"failed:dns": 1, "fetched": 2, "pending": 1}, 3, "one", 2, 4, 1, ["three", "two"]
    )


def test_published_items_come_in_order_and_from_one_view(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    writer = connect(path)
    published(writer, "one", "http://a/1", "http://a/2", "http://a/3")
    with reading(path) as db:
        pieces = look.published_items(db)
        assert pieces is not None
        assert next(pieces) == b"http://a/1"
        published(writer, "two", "http://b/1")
        assert list(pieces) == [b"http://a/2", b"http://a/3"]
    with reading(path) as db:
        assert list(look.published_items(db) or ()) == [b"http://b/1"]
    close(writer)


@pytest.mark.parametrize("pieces", [1, 1000])
def test_forget_takes_pages_of_the_published_result_only(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    monkeypatch.setattr(look, "FORGOTTEN", pieces)
    published(db, "one", "http://a/1", "http://a/2", "http://b/1")
    begun(db, "two", "http://a/1")
    assert look.forget(db, lambda url: url.startswith("http://a/")) == 2
    left = db.execute("SELECT run, url FROM page ORDER BY run").fetchall()
    assert left == [(0, "http://b/1"), (2, "http://a/1")]
    assert len(list(look.published_items(db) or ())) == 3, "until the next publish"


def test_a_brief_look_leaves_nothing_behind_and_sees_what_is_committed(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    writer = connect(path)
    published(writer, "one", "http://a/1")
    with reading(path, briefly=True) as db:
        assert look.overview(db).pages == 1, "though it is in the write-ahead log only"
    close(writer)
    with reading(path, briefly=True) as db:
        assert look.overview(db).pages == 1
        assert list(tmp_path.iterdir()) == [path]
    assert list(tmp_path.iterdir()) == [path]


def test_files_and_their_deletion(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    assert look.files(path) == {}
    for name in ("state.db", "state.db-wal", "state.db-shm", "lock", "state.db.bak"):
        (tmp_path / name).write_bytes(b"12345")
    assert [(one.name, size) for one, size in look.files(path).items()] == [
        ("state.db", 5), ("state.db-wal", 5), ("state.db-shm", 5)
    ]  # fmt: skip
    look.delete(path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["lock", "state.db.bak"]
    look.delete(path)


def test_a_deletion_that_was_interrupted_harms_no_later_state(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    writer = connect(path)
    published(writer, "one", "http://a/1")
    log = Path(f"{path}-wal").read_bytes()
    close(writer)
    path.unlink()
    Path(f"{path}-wal").write_bytes(log)
    writer = connect(path)
    assert look.overview(writer).pages == 0
    close(writer)


def test_a_deletion_that_is_not_allowed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"")

    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(StateError, match="Permission denied"):
        look.delete(path)
