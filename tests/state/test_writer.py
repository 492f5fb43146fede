"""The writer: order, transactions, failures, and that it always ends. Most of it holds with and without a thread."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import BooksError, StateError
from pipeline.state import database
from pipeline.state import writer as module
from pipeline.state.lock import Lock
from pipeline.state.writer import Writer


@pytest.fixture(params=[True, False], ids=["thread", "inline"])
def threaded(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.db"


@pytest.fixture
def writer(path: Path, threaded: bool) -> Iterator[Writer]:
    writer = Writer(path, threaded=threaded)
    yield writer
    writer.close()
    assert threads() == []


def put(db: sqlite3.Connection, key: str, value: object = 1) -> str:
    db.execute("INSERT INTO meta VALUES (?, ?)", (key, value))
    return key


def get(db: sqlite3.Connection) -> str:
    """The keys, in one text."""
    return " ".join(key for (key,) in db.execute("SELECT key FROM meta WHERE key <> 'clean' ORDER BY key"))


def threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "state writer"]


def wrong(db: sqlite3.Connection) -> None:
    put(db, "half")
    raise BooksError("a bug")


def broken(db: sqlite3.Connection) -> None:
    put(db, "half")
    db.execute("INSERT INTO nowhere VALUES (1)")


def kept(path: Path) -> str:
    """The keys that are there for others: what was committed."""
    with database.reading(path) as db:
        return get(db)


def clean(path: Path) -> bool:
    with database.reading(path) as db:
        return bool(db.execute("SELECT value FROM meta WHERE key = 'clean'").fetchone()[0])


# --- order and transactions -------------------------------------------------------------------------------------------


def test_in_order(writer: Writer) -> None:
    for number in range(200):
        writer.post(put, f"{number:03d}", token=number if number % 2 else None)
    assert writer.call(get).split() == [f"{number:03d}" for number in range(200)]
    assert list(writer.done) == [(number, f"{number:03d}") for number in range(1, 200, 2)]
    assert (writer.waiting, writer.error) == (0, None)


def test_a_transaction_spans_jobs_until_commit(writer: Writer, path: Path) -> None:
    writer.post(put, "a")
    writer.post(put, "b")
    assert writer.call(get) == "a b"
    assert kept(path) == ""
    writer.commit("done")
    assert writer.call(get) == "a b"
    assert kept(path) == "a b"
    assert list(writer.done) == [("done", None)]
    writer.post(put, "c")
    writer.commit(wait=True)
    assert kept(path) == "a b c"
    writer.commit(wait=True)  # of nothing
    assert writer.error is None


def test_close_rolls_back(path: Path, threaded: bool) -> None:
    writer = Writer(path, threaded=threaded)
    writer.post(put, "a")
    writer.commit()
    writer.post(put, "b", token="b")
    writer.close()
    assert list(writer.done) == [("b", "b")]
    assert [one.name for one in path.parent.iterdir()] == ["state.db"]
    assert (kept(path), clean(path), writer.error) == ("a", True, None)


def test_wake_comes_after_the_answer_from_the_writers_thread(path: Path, threaded: bool) -> None:
    seen: list[tuple[int, str]] = []
    writer = Writer(
        path, threaded=threaded, wake=lambda: seen.append((len(writer.done), threading.current_thread().name))
    )
    writer.post(put, "a")
    writer.post(put, "b", token=1)
    writer.commit(2)
    writer.close()
    assert [count for count, _ in seen] == [1, 2]
    assert {name == "state writer" for _, name in seen} == {threaded}


def test_private(threaded: bool) -> None:
    writer = Writer(None, threaded=threaded)
    writer.post(put, "a")
    writer.commit(wait=True)
    with pytest.raises(BooksError):
        writer.call(wrong)
    writer.close()


# --- the end ----------------------------------------------------------------------------------------------------------


def test_close_ends_it_always(path: Path, threaded: bool) -> None:
    used: list[Callable[[Writer], object]] = [
        lambda writer: None,
        lambda writer: writer.call(get),
        lambda writer: writer.post(put, "a"),
        lambda writer: writer.post(broken),
        lambda writer: writer.close(),
    ]
    for use in used:
        writer = Writer(path, threaded=threaded)
        use(writer)
        writer.close()
        writer.close()
        assert threads() == []
        for late in (lambda w: w.post(put, "b"), lambda w: w.commit(), lambda w: w.call(get)):
            with pytest.raises(RuntimeError, match="closed"):
                late(writer)


def test_what_cannot_be_opened_leaves_no_thread(tmp_path: Path, threaded: bool) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="cannot be a folder"):
        Writer(tmp_path / "file" / "state.db", threaded=threaded)
    assert threads() == []


def test_the_check_left_to_the_caller(path: Path) -> None:
    database.connect(path).close()
    writer = Writer(path, check=False)
    assert writer.unchecked
    writer.close()
    assert not clean(path)
    writer = Writer(path, check=False)
    database.look_through(path)
    writer.checked()
    writer.close()
    assert clean(path)


EXITS = """
import signal, sys, time, _thread
from pathlib import Path
from pipeline.state.writer import Writer

signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background is started without

def put(db, key):
    db.execute("INSERT INTO meta VALUES (?, 1)", (key,))

def slow(db):
    time.sleep(0.05)

writer = Writer(Path(sys.argv[1]))
writer.post(put, "kept")
writer.commit()
writer.post(put, "lost")
writer.post(slow)
{}
"""


@pytest.mark.parametrize(
    ("end", "code", "words"),
    [
        ("", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("raise OSError('main')", 1, "OSError: main"),
        ("del writer", 0, ""),
        ("raise KeyboardInterrupt", -signal.SIGINT, "KeyboardInterrupt"),
        ("writer.post(lambda db: _thread.interrupt_main()); writer.call(slow)", -signal.SIGINT, "KeyboardInterrupt"),
        ("writer.post(lambda db: _thread.interrupt_main()); writer.close()", -signal.SIGINT, "KeyboardInterrupt"),
    ],
)
def test_the_interpreter_ends_whatever_is_going_on(path: Path, repo: Path, end: str, code: int, words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EXITS.format(end), path],
        cwd=repo,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert done.stderr.count("Traceback") == bool(words), done.stderr
    assert (kept(path), clean(path)) == ("kept", True)


# --- failures ---------------------------------------------------------------------------------------------------------


def test_after_a_failure_nothing_is_written(path: Path, threaded: bool) -> None:
    woken: list[int] = []
    writer = Writer(path, threaded=threaded, wake=lambda: woken.append(1))
    writer.post(put, "a")
    writer.commit(wait=True)
    writer.post(put, "b")
    writer.post(broken, token="broken")
    writer.post(put, "c", token="c")
    writer.commit("commit")
    for ask in (lambda: writer.call(get), lambda: writer.call(put, "d"), lambda: writer.commit(wait=True)):
        with pytest.raises(StateError, match=r"state\.db: no such table: nowhere"):
            ask()
    assert isinstance(writer.error, StateError)
    assert isinstance(writer.error.__cause__, sqlite3.OperationalError)
    writer.close()
    assert (list(writer.done), len(woken)) == ([], 1)
    assert (kept(path), clean(path)) == ("a", False)


def surfaces(writer: Writer) -> list[Callable[[], Any]]:
    return [
        lambda: writer.post(put, "b"),
        writer.commit,
        lambda: writer.call(get),
        lambda: writer.error,
        writer.close,
    ]


@pytest.mark.parametrize("way", range(5), ids=["post", "commit", "call", "error", "close"])
def test_a_bug_in_a_job_is_not_lost(path: Path, threaded: bool, way: int) -> None:
    failed = threading.Event()
    writer = Writer(path, threaded=threaded, wake=failed.set)
    writer.post(put, "a")
    writer.commit()
    writer.post(wrong, token=1)
    assert failed.wait(5)
    with pytest.raises(BooksError, match="a bug"):
        surfaces(writer)[way]()
    writer.close()  # told once, it does not come in the way of other exceptions
    assert (kept(path), list(writer.done)) == ("a", [])


def test_a_call_that_fails_raises_what_it_raised(path: Path, threaded: bool) -> None:
    writer = Writer(path, threaded=threaded)
    with pytest.raises(BooksError, match="a bug"):
        writer.call(wrong)
    with pytest.raises(BooksError, match="a bug"):
        writer.post(get)
    writer.close()
    assert kept(path) == ""


def test_a_wake_that_fails_is_not_lost(path: Path, threaded: bool) -> None:
    def wake() -> None:
        raise ValueError("the loop is closed")

    writer = Writer(path, threaded=threaded, wake=wake)
    writer.post(put, "a", token=1)
    with pytest.raises(ValueError, match="the loop is closed"):
        writer.close()
    assert threads() == []


def test_ctrl_c_within_an_inline_job(path: Path) -> None:
    def interrupted(db: sqlite3.Connection) -> None:
        put(db, "half")
        raise KeyboardInterrupt

    writer = Writer(path, threaded=False)
    with pytest.raises(KeyboardInterrupt):
        writer.post(interrupted)
    writer.close()
    assert kept(path) == ""


@pytest.mark.parametrize("point", ["before_commit", "after_commit", "before_checkpoint", "after_checkpoint"])
def test_a_step_that_fails(path: Path, threaded: bool, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def hit(here: str) -> None:
        if here == point and armed:
            raise OSError(5, "Input/output error")

    armed: list[int] = []
    monkeypatch.setattr(module, "hit", hit)
    monkeypatch.setattr(module, "PASSIVE_BYTES", 0)
    writer = Writer(path, threaded=threaded)
    writer.post(put, "a")
    writer.commit(wait=True)
    writer.call(get)  # the checkpoint is over
    armed.append(1)
    writer.post(put, "b")
    writer.commit("b")
    with pytest.raises(StateError, match=r"state\.db: Input/output error"):
        writer.call(get)
    writer.close()
    acknowledged = [token for token, _ in writer.done]
    assert acknowledged == ([] if "commit" in point else ["b"])
    assert kept(path) == ("a" if point == "before_commit" else "a b")
    assert not clean(path)


def test_a_failure_at_close_is_told(path: Path, threaded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def hit(here: str) -> None:
        raise OSError(5, "Input/output error")

    writer = Writer(path, threaded=threaded)
    writer.post(put, "a")
    writer.commit(wait=True)
    monkeypatch.setattr(database, "hit", hit)
    writer.close()
    assert "Input/output error" in str(writer.error)
    assert kept(path) == "a"


# --- checkpoints ------------------------------------------------------------------------------------------------------


def wal(path: Path) -> int:
    return path.with_name("state.db-wal").stat().st_size


def bulk(db: sqlite3.Connection, key: str) -> None:
    put(db, key, os.urandom(400_000))


def test_the_wal_is_moved_when_it_has_grown(path: Path, threaded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PASSIVE_BYTES", 1_000_000)
    writer = Writer(path, threaded=threaded)
    sizes = []
    for number in range(12):
        writer.post(bulk, f"{number:02d}")
        writer.commit(wait=True)
        writer.call(get)
        sizes.append(wal(path))
    assert max(sizes) < 2_000_000
    assert sum(size < before for before, size in pairwise(sizes)) >= 2
    assert path.stat().st_size > 3_000_000
    writer.close()


def test_a_reader_does_not_hold_it_up(path: Path, threaded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PASSIVE_BYTES", 500_000)
    monkeypatch.setattr(module, "TRUNCATE_BYTES", 1_500_000)
    monkeypatch.setattr(module, "READERS_MS", 1)
    writer = Writer(path, threaded=threaded)
    writer.post(bulk, "a")
    writer.commit(wait=True)
    with database.reading(path) as db:
        db.execute("BEGIN")
        assert get(db) == "a"
        for key in "bcdefgh":
            writer.post(bulk, key)
            writer.commit(wait=True)
        assert get(db) == "a"
        assert writer.call(get) == "a b c d e f g h"
        assert wal(path) > 2_000_000
        db.execute("ROLLBACK")
    writer.post(bulk, "i")
    writer.post(bulk, "j")
    writer.commit(wait=True)
    writer.call(get)
    assert wal(path) == 0
    writer.close()
    assert kept(path) == "a b c d e f g h i j"


# --- full disks -------------------------------------------------------------------------------------------------------

FILLS = """
import resource, sys
from pathlib import Path
from pipeline.errors import StateError
from pipeline.state.writer import Writer

def put(db, number):
    db.execute("INSERT INTO meta VALUES (?, randomblob(50000))", (f"{number:04d}",))

if sys.argv[2] != "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
writer = Writer(Path(sys.argv[1]))
try:
    for number in range(1000):
        writer.post(put, number)
        writer.commit(wait=True)
        print(f"{number:04d}", flush=True)
except StateError as error:
    print(error)
writer.close()
"""


def fill(path: Path, repo: Path, limit: int) -> tuple[list[str], str]:
    """Write until there is no room: what was acknowledged, and the last word."""
    done = subprocess.run(
        [sys.executable, "-c", FILLS, path, str(limit)],
        cwd=repo,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    *acknowledged, last = done.stdout.splitlines()
    return acknowledged, last


def test_a_limit_of_file_sizes(path: Path, repo: Path) -> None:
    acknowledged, last = fill(path, repo, 2_000_000)
    assert f"{path}: cannot be read or written" in last
    assert "a limit of file sizes" in last
    assert len(acknowledged) > 10
    assert kept(path).split() == acknowledged
    assert not clean(path)
    writer = Writer(path)  # there is room again
    writer.post(put, "x")
    writer.commit(wait=True)
    writer.close()
    assert kept(path).split() == [*acknowledged, "x"]


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk(tmp_path: Path, repo: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        path = disk / "state" / "state.db"
        acknowledged, last = fill(path, repo, 0)
        assert f"{path}: the disk is full; make room" in last
        assert len(acknowledged) > 10
        subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
        assert kept(path).split() == acknowledged
        writer = Writer(path)
        writer.post(put, "x")
        writer.commit(wait=True)
        writer.close()
        assert (kept(path).split(), clean(path)) == ([*acknowledged, "x"], True)


# --- kill -9 ----------------------------------------------------------------------------------------------------------

WORKS = """
import sys
from pathlib import Path
from pipeline.state.lock import Lock
from pipeline.state.writer import Writer

def put(db, first):
    db.executemany("INSERT INTO meta VALUES (?, randomblob(3000))", [(f"{n:07d}",) for n in range(first, first + 20)])

path = Path(sys.argv[1])
lock = Lock.take(path.parent)
writer = Writer(path)
first = int(sys.argv[2])
while True:
    writer.post(put, first)
    first += 20
    writer.commit(first)
    while writer.done:
        print(writer.done.popleft()[0], flush=True)
    if writer.waiting > 4:
        writer.commit(wait=True)
"""


def test_killed_at_any_time(path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Path] = []
    real = database._quick_check
    monkeypatch.setattr(database, "_quick_check", lambda db, path: looked.append(path) or real(db, path))
    there = 0
    for trial in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", WORKS, path, str(there)], cwd=repo, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(5 + 7 * trial)]
        process.kill()
        acknowledged += [int(line) for line in process.communicate()[0].split("\n")[:-1]]
        with Lock.take(path.parent), closing(database.connect(path)) as db:
            keys = get(db).split()
        assert len(looked) == trial + 1
        assert keys == [f"{number:07d}" for number in range(len(keys))]  # no gap, and
        assert len(keys) % 20 == 0  # no half of a transaction
        assert len(keys) >= acknowledged[-1] > there
        there = len(keys)


# --- cost --


@pytest.mark.slow
def test_a_post_costs_the_caller_little() -> None:
    writer = Writer(None)
    began = time.perf_counter()
    for number in range(20_000):
        writer.post(len_of, number)
    posted = time.perf_counter() - began
    writer.close()
    print(f"{posted / 20_000 * 1e6:.1f} us a post while the writer is busy")
    assert posted < 2.0


def len_of(db: sqlite3.Connection, number: int) -> int:
    return number
