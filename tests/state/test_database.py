"""Opening, checking and closing `state.db`, and what is said when that cannot be."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, StateError
from pipeline.state import database
from pipeline.state.schema import APPLICATION_ID, VERSION

NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "books" / "state.db"


def pragma(db: sqlite3.Connection, name: str) -> object:
    return db.execute(f"PRAGMA {name}").fetchone()[0]


def made(path: Path, *, rows: int = 0, clean: bool = True) -> None:
    """A state with some bulk, as a run that ended or was killed leaves it."""
    db = database.connect(path)
    db.execute("BEGIN")
    for number in range(1, rows + 1):
        db.execute(
            "INSERT INTO request(mark, host, url, rank, depth) VALUES (?, 'h.test', ?, ?, 1)",
            (number.to_bytes(16, "big"), f"http://h.test/{number:06d}", number),
        )
    db.execute("COMMIT")
    database.close(db)
    if not clean:
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("UPDATE meta SET value = 0 WHERE key = 'clean'")


def clean(path: Path) -> object:
    with database.reading(path) as db:
        return db.execute("SELECT value FROM meta WHERE key = 'clean'").fetchone()[0]


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were looked through."""
    seen: list[Path] = []
    real = database._quick_check

    def spy(db: database.Database, path: Path) -> None:
        seen.append(path)
        real(db, path)

    monkeypatch.setattr(database, "_quick_check", spy)
    return seen


# --- made and opened --------------------------------------------------------------------------------------------------


def test_a_new_state(path: Path) -> None:
    db = database.connect(path)
    assert (pragma(db, "journal_mode"), pragma(db, "synchronous"), pragma(db, "wal_autocheckpoint")) == ("wal", 2, 0)
    assert (pragma(db, "user_version"), pragma(db, "application_id")) == (VERSION, APPLICATION_ID)
    assert (pragma(db, "trusted_schema"), pragma(db, "recursive_triggers")) == (0, 1)
    assert (db.path, db.note, db.unchecked) == (path, "", False)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}
    database.close(db)
    assert [one.name for one in path.parent.iterdir()] == ["state.db"]


def test_a_folder_that_is_there_keeps_its_mode(path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    made(path)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9 #1?x%41") / "state.db"
    made(path)
    assert clean(path) == 1
    assert path.exists()


def test_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    db = database.connect(None)
    assert db.path is None
    assert pragma(db, "user_version") == VERSION
    assert db.execute("SELECT count(*) FROM request").fetchone() == (0,)
    database.close(db)
    assert not list(tmp_path.iterdir())


def test_a_folder_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    made(tmp_path / "link" / "state.db")
    assert clean(tmp_path / "real" / "state.db") == 1


# --- clean ends and others --------------------------------------------------------------------------------------------


def test_after_a_clean_end_nothing_is_checked(path: Path, checks: list[Path]) -> None:
    made(path)
    assert clean(path) == 1
    db = database.connect(path)
    assert clean(path) == 0
    database.close(db)
    assert checks == []


def test_after_another_end_the_file_is_looked_through(path: Path, checks: list[Path]) -> None:
    database.connect(path).close()  # the way a process ends that is killed: nobody said goodbye
    made(path)
    assert checks == [path]
    assert clean(path) == 1


def test_the_check_can_be_left_to_the_caller(path: Path, checks: list[Path]) -> None:
    made(path, rows=10, clean=False)
    db = database.connect(path, check=False)
    assert db.unchecked
    assert checks == []
    database.close(db)
    assert clean(path) == 0  # nobody did it, so the next one has to
    db = database.connect(path, check=False)
    database.look_through(path)
    db.unchecked = False
    database.close(db)
    assert (clean(path), checks) == (1, [path])


def test_an_interrupted_migration_leaves_nothing_half(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(point: str) -> None:
        raise OSError(28, "No space left on device", point)

    with monkeypatch.context() as patch:
        patch.setattr(database, "hit", fail)
        with pytest.raises(StateError, match="No space left on device"):
            database.connect(path)
    with closing(sqlite3.connect(path)) as db:
        assert (pragma(db, "user_version"), pragma(db, "application_id")) == (0, 0)
        assert db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    made(path)
    assert clean(path) == 1


@pytest.mark.parametrize("version", range(1, VERSION))
def test_a_state_of_an_older_version_is_brought_up_to_date(
    path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(database, "VERSION", version)
        made(path)
        with closing(sqlite3.connect(path)) as old, old:
            old.execute("INSERT INTO run(id, started, status, fingerprint) VALUES ('r1', '', 'published', x'')")
            assert pragma(old, "user_version") == version
    with pytest.raises(StateError, match="of an older version"):
        database.read_only(path)
    db = database.connect(path)
    assert (pragma(db, "user_version"), db.execute("SELECT id FROM run").fetchall()) == (VERSION, [("r1",)])
    with closing(database.connect(None)) as new:
        tables = "SELECT name, sql FROM sqlite_master ORDER BY name"
        assert db.execute(tables).fetchall() == new.execute(tables).fetchall()
    database.close(db)


# --- what is no state of ours -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"hello", b"x" * 5000, b"SQLite format 3\0" + b"\xff" * 3000])
def test_a_file_that_is_no_database(path: Path, data: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(data)
    for opening in (database.connect, database.read_only):
        with pytest.raises(StateError, match=r"state\.db: is no database.*hookline state reset"):
            opening(path)
    assert path.read_bytes() == data


@pytest.mark.parametrize("first", ["CREATE TABLE t(x)", "PRAGMA application_id = 7", "PRAGMA user_version = 3"])
def test_a_database_of_another_program(path: Path, first: str) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(first)
    before = path.read_bytes()
    for opening in (database.connect, database.read_only):
        with pytest.raises(StateError, match="is a database of another program; move it away"):
            opening(path)
    assert path.read_bytes() == before


def test_a_newer_version(path: Path) -> None:
    made(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    for opening in (database.connect, database.read_only):
        with pytest.raises(StateError, match=rf"newer version of Hookline \(format {VERSION + 1}, .*use that version"):
            opening(path)


def test_a_damaged_file(path: Path) -> None:
    made(path, rows=2000, clean=False)
    data = bytearray(path.read_bytes())
    for page in range(8, len(data) // 4096, 3):
        data[page * 4096 : page * 4096 + 64] = b"\xa5" * 64
    path.write_bytes(data)
    for opening in (database.connect, database.look_through):
        with pytest.raises(StateError, match=r"state\.db: is damaged \(.*move it away.*hookline state reset"):
            opening(path)
    with (
        pytest.raises(StateError, match=r"state\.db: is damaged"),
        closing(database.connect(path, check=False)) as db,
        database.plain_errors(path),
    ):
        db.execute("SELECT sum(length(url)) FROM request").fetchone()
    assert path.stat().st_size == len(data)  # for whoever wants to save what can be saved


# --- files and folders that stand in the way --------------------------------------------------------------------------


def test_the_folder_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    cases = {"file": "file", "file/deeper": "file", "dangling": "dangling"}
    for folder, blocking in cases.items():
        with pytest.raises(StateError) as caught:
            database.connect(tmp_path / folder / "state.db")
        assert f"{tmp_path / folder}: cannot be a folder, since {tmp_path / blocking} is" in str(caught.value)


def test_the_file_is_something_else(tmp_path: Path) -> None:
    made(tmp_path / "other" / "state.db")
    (tmp_path / "link").symlink_to("other/state.db")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    cases = {"link": "symbolic link", "dangling": "symbolic link", "folder": "no file", "pipe": "no file"}
    for name, word in cases.items():
        with pytest.raises(StateError, match=f"{name}: is .*{word}"):
            database.connect(tmp_path / name)
    assert not (tmp_path / "nowhere").exists()


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that an ordinary user can get to, which those of pytest are not."""
    folder = Path(tempfile.mkdtemp(prefix="hookline-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


PROBE = """
import os, sys
from pathlib import Path
from pipeline.errors import HooklineError
from pipeline.state import database
from pipeline.state.lock import Lock
ways = {"connect": database.connect, "look": database.read_only, "size": database.size}
ways |= {"take": Lock.take, "beside": Lock.beside}
if os.geteuid() == 0:  # who may do anything, so it has to be another one
    os.setgroups([])
    os.setgid(int(sys.argv[1]))
    os.setuid(int(sys.argv[1]))
for name in sys.argv[2:]:
    way, _, path = name.partition(":")
    try:
        ways[way](Path(path))
        print("opened")
    except HooklineError as error:
        print(error.exit_code, error)
"""


def test_no_permission(reachable: Path, repo: Path) -> None:
    for name in ("folder", "file", "wal", "locked", "closed"):
        made(reachable / name / "state.db")
    (reachable / "locked" / "lock").touch()
    (reachable / "wal" / "state.db-wal").touch()
    if os.geteuid() == 0:
        for one in (reachable, *reachable.rglob("*")):
            os.chown(one, NOBODY, NOBODY)
    for one, mode in (
        ("folder", 0o500),
        ("file/state.db", 0o400),
        ("wal/state.db-wal", 0o400),
        ("locked/lock", 0),
        ("closed", 0),
    ):
        (reachable / one).chmod(mode)
    cases = [
        ("connect", "folder/state.db", "folder"),
        ("connect", "folder/new/state.db", "folder/new"),
        ("connect", "file/state.db", "file/state.db"),
        ("connect", "wal/state.db", "wal/state.db-wal"),
        ("take", "folder", "folder"),
        ("take", "locked", "locked/lock"),
        ("beside", "folder/out.jsonl", "folder/.out.jsonl.lock"),
        ("look", "file/state.db", ""),
        ("size", "closed/state.db", "closed/state.db"),
        ("size", "file/state.db", ""),
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(NOBODY), *(f"{way}:{reachable / path}" for way, path, _ in cases)],
        cwd=repo,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    (reachable / "folder").chmod(0o700)
    answers = done.stdout.splitlines()
    assert len(answers) == len(cases), done.stderr
    for answer, (_, _, named) in zip(answers, cases, strict=True):
        if named:
            assert answer.startswith(f"2 {reachable / named} cannot be "), answer
            assert "permission" in answer
        else:
            assert answer == "opened"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make something another's")
def test_a_state_of_another_user(reachable: Path, repo: Path) -> None:
    """A run that was tried as root, and then the job's own user: whose it is says what has to be done."""
    state = reachable / "books" / "state.db"
    made(state)
    state.parent.chmod(0o700)
    probe = [sys.executable, "-c", PROBE, str(NOBODY), f"size:{state}", f"connect:{state}"]
    done = subprocess.run(probe, cwd=repo, capture_output=True, text=True, check=False, timeout=30)
    answers = done.stdout.splitlines()
    assert len(answers) == 2 and all(f"({state.parent} belongs to root)" in answer for answer in answers), done


# --- network file systems ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "mode"), [("nfs4", "delete"), ("cifs", "delete"), ("fuse.sshfs", "delete")])
def test_no_wal_over_a_network(path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, mode: str) -> None:
    monkeypatch.setattr(database, "file_system", lambda folder: kind)
    db = database.connect(path)
    assert (pragma(db, "journal_mode"), pragma(db, "synchronous")) == (mode, 2)
    assert f"network file system ({kind})" in db.note
    database.close(db)
    assert clean(path) == 1


@pytest.mark.parametrize("kind", ["ext4", "fuseblk", "overlay", None])
def test_wal_on_a_disk(path: Path, monkeypatch: pytest.MonkeyPatch, kind: str | None) -> None:
    monkeypatch.setattr(database, "file_system", lambda folder: kind)
    with closing(database.connect(path)) as db:
        assert (pragma(db, "journal_mode"), db.note) == ("wal", "")


def test_the_file_system_is_told_by_its_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        f"22 27 0:9999 / /proc rw,relatime - proc proc rw\n"
        f"36 35 {os.major(device)}:{os.minor(device)} /a b /mnt rw,noatime shared:1 - nfs4 server:/x rw\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(database, "MOUNTS", mounts)
    assert database.file_system(tmp_path) == "nfs4"
    monkeypatch.setattr(database, "MOUNTS", tmp_path / "none")
    assert database.file_system(tmp_path) is None


# --- looking only -----------------------------------------------------------------------------------------------------


def test_without_a_state_nothing_is_made(path: Path) -> None:
    with pytest.raises(StateError, match="there is no state yet"):
        database.read_only(path)
    assert not path.parent.exists()
    path.parent.mkdir()
    path.touch()
    with pytest.raises(StateError, match="is empty"):
        database.read_only(path)


def test_looking_beside_a_writer(path: Path) -> None:
    writer = database.connect(path)
    with database.reading(path) as db:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO meta VALUES ('x', 1)")
        assert db.execute("SELECT value FROM meta WHERE key = 'x'").fetchone() is None
        writer.execute("COMMIT")
        assert db.execute("SELECT value FROM meta WHERE key = 'x'").fetchone() == (1,)
    with pytest.raises(StateError, match="cannot be opened or written"), database.reading(path) as db:
        db.execute("DELETE FROM meta")
    database.close(writer)


def test_another_program_has_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(path)
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.01)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateError, match="is locked by another program"):
            database.connect(path)


# --- words ------------------------------------------------------------------------------------------------------------


def error(code: int, name: str) -> sqlite3.Error:
    made = sqlite3.OperationalError("what it says")
    made.sqlite_errorcode, made.sqlite_errorname = code, name
    return made


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (error(sqlite3.SQLITE_FULL, "SQLITE_FULL"), "the disk is full"),
        (error(sqlite3.SQLITE_IOERR_FSYNC, "SQLITE_IOERR_FSYNC"), "the disk failed.*SQLITE_IOERR_FSYNC"),
        (error(sqlite3.SQLITE_CORRUPT, "SQLITE_CORRUPT"), r"is damaged \(what it says\)"),
        (error(sqlite3.SQLITE_BUSY_SNAPSHOT, "SQLITE_BUSY_SNAPSHOT"), "another program"),
        (error(sqlite3.SQLITE_CANTOPEN, "SQLITE_CANTOPEN"), "permissions .* open files"),
        (error(sqlite3.SQLITE_ERROR, "SQLITE_ERROR"), r"what it says \(SQLITE_ERROR\); this should not happen"),
        (sqlite3.ProgrammingError("Cannot operate {x}"), r"Cannot operate \{x\} \(ProgrammingError\)"),
        (OSError(5, "Input/output error"), "Input/output error"),
    ],
)
def test_errors_in_plain_words(given: sqlite3.Error | OSError, words: str, tmp_path: Path) -> None:
    found = database.plain(given, tmp_path / "state.db")
    assert str(found).startswith(f"{tmp_path / 'state.db'}: ")
    with pytest.raises(StateError, match=words):
        raise found
    assert found.exit_code == 5


def test_a_lack_of_permission_is_no_failure_of_the_state() -> None:
    assert (ConfigError.exit_code, StateError.exit_code) == (2, 5)


# --- cost -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_million_requests_are_opened_quickly(path: Path) -> None:
    db = database.connect(path)
    db.execute("BEGIN")
    url = "'https://www.host' || (n % 50) || '.test/catalogue/section-' || (n % 97) || printf('/item-%08d.html', n)"
    numbers = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {})"
    db.execute(
        f"{numbers.format(1_000_000)} INSERT INTO request(mark, host, url, rule, rank, depth, fate, parent) "
        f"SELECT randomblob(16), 'host' || (n % 50), {url}, 'product', n, 3, iif(n % 4, 'fetched', NULL), n / 10 FROM c"
    )
    db.execute(
        f"{numbers.format(60_000)} INSERT INTO page(run, mark, url, method, body, rule, carry, carried, status, "
        f"made_by, fetched, origin, count) SELECT 1, randomblob(16), {url}, 'GET', '', 'product', '', '', 200, "
        f"randomblob(16), 0, 1, 1 FROM c"
    )
    db.execute("INSERT INTO content SELECT id, randomblob(600), randomblob(300) FROM page")
    db.execute("COMMIT")
    db.close()
    began = time.perf_counter()
    db = database.connect(path)
    passed = time.perf_counter() - began
    database.close(db)
    print(f"{path.stat().st_size / 2**20:.0f} MiB opened after an unclean end in {passed:.2f} s")
    assert passed < 1.5
