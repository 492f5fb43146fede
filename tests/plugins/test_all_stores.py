"""What is true of every bundled store: killed anywhere, on a full disk, through links, again and again.

A kill is a real one: the store works in a forked child that SIGKILLs itself at a point, or that the system ends at a
write. Whoever runs the store again with the same run and the same items must get what an undisturbed run gets.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline import Item, RunInfo
from pipeline.errors import StorageError
from pipeline.failpoints import VARIABLE, arm
from pipeline.stages.stores import BoundStore, sweep
from plugins.store.csv import Csv
from plugins.store.feed import Feed
from plugins.store.jsonl import JsonLines
from plugins.store.sqlite import Sqlite

OLD_RUN = "20240430T100000Z-000000"
RUN = "20240501T100000Z-abc123"
OLD = [Item("book", k=n, title=f"old {n}") for n in range(3)]
NEW = [Item("book", k=n, title=f"new {n} " + "x" * 900, price=n) for n in range(1, 30)]


@dataclass(frozen=True)
class Case:
    """A store in one of its write modes."""

    make: Callable[..., Any]
    write: str
    file: str

    def store(self, folder: Path, run: str = RUN) -> BoundStore:
        info = RunInfo(run, datetime(2024, 5, 1, tzinfo=UTC), "demo", logging.getLogger("test"))
        options: dict[str, Any] = {"key": ["k"]} if self.write == "merge" else {}
        if self.make is Csv and self.write == "append":
            options = {"columns": ["k", "title", "price"]}
        if self.make is Feed:
            options = {"link": "https://books.example/"}
        store = self.make(folder / self.file, run=info, write=self.write, **options)
        hooks = {"store_items": store.store_items, "commit": lambda _: store.commit(), "abort": lambda _: store.abort()}
        return BoundStore(self.file, hooks, path=store.path)

    def publish(self, folder: Path, items: Sequence[Item] = NEW, run: str = RUN) -> None:
        store = self.store(folder, run)
        for start in range(0, len(items), 10):
            store.store_items(list(items[start : start + 10]))
        store.store_items([])
        store.commit(None)

    def content(self, folder: Path) -> Any:
        """What a reader sees: the bytes of a file, all of a database."""
        path = folder / self.file
        if self.make is not Sqlite:
            return path.read_bytes()
        with closing(sqlite3.connect(path)) as database:
            return list(database.iterdump())


FILES = [
    Case(JsonLines, "replace", "x.jsonl"),
    Case(JsonLines, "append", "x.jsonl"),
    Case(Csv, "replace", "x.csv"),
    Case(Csv, "append", "x.csv"),
    Case(Feed, "replace", "x.xml"),
]
TABLES = [Case(Sqlite, write, "x.db") for write in ("replace", "merge", "append")]


def named(cases: Sequence[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: f"{case.file[2:]}-{case.write}")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def killed(work: Callable[[], None]) -> bool:
    """Do the work in a child; True if a signal ended that. An error there fails the test."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.waitstatus_to_exitcode(status) == 0
    return False


@pytest.fixture
def golden(case: Case, tmp_path: Path) -> tuple[Path, Any, Any, list[str]]:
    """A folder with what an earlier run left, its content, the content after an undisturbed run, and the files then."""
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    if case.make is Sqlite:  # a database has more in it, so that it is larger than the stage
        with closing(sqlite3.connect(before / case.file)) as database:
            database.executescript("CREATE TABLE others (a); INSERT INTO others VALUES (zeroblob(70000))")
    case.publish(before, OLD, OLD_RUN)
    shutil.copytree(before, after)
    case.publish(after)
    return before, case.content(before), case.content(after), names(after)


def check_after_kill(case: Case, folder: Path, golden: tuple[Path, Any, Any, list[str]], what: str) -> None:
    """Old or new now; after the same run again it is the new one, and nothing else lies about."""
    _, old, new, files = golden
    assert case.content(folder) in (old, new), what
    sweep(folder / case.file, RUN)
    case.publish(folder)
    assert case.content(folder) == new, what
    assert names(folder) == files, what


# --- killed ----------------------------------------------------------------------------------------------------------

POINTS = ("before_fsync", "after_fsync", "before_rename", "after_rename")


def kill_at(case: Case, folder: Path, point: str, turn: int) -> bool:
    def work() -> None:
        arm({VARIABLE: f"{point}:kill@{turn}"})
        case.publish(folder)

    return killed(work)


@named(FILES)
def test_killed_at_every_fsync_and_rename(case: Case, tmp_path: Path, golden: Any) -> None:
    kills = {}
    for point in POINTS:
        for turn in itertools.count(1):
            folder = tmp_path / "now"
            shutil.copytree(golden[0], folder)
            if not kill_at(case, folder, point, turn):
                break
            check_after_kill(case, folder, golden, f"{point}@{turn}")
            kills[point] = turn
            shutil.rmtree(folder)
        assert case.content(folder) == golden[2]
        shutil.rmtree(folder)
    notes = case.write == "append"  # each with an fsync of its own and of the folder, and a rename
    assert kills == dict.fromkeys(POINTS[:2], 4 if notes else 2) | dict.fromkeys(POINTS[2:], 2 if notes else 1)


@pytest.mark.slow
@named([case for case in FILES if case.write == "append"])
def test_killed_twice(case: Case, tmp_path: Path, golden: Any) -> None:
    places = [("before_fsync", 1), ("after_fsync", 3), ("before_rename", 2), ("after_rename", 1), ("after_rename", 2)]
    for first, second in itertools.product(places, repeat=2):
        folder = tmp_path / "now"
        shutil.copytree(golden[0], folder)
        kill_at(case, folder, *first)
        sweep(folder / case.file, RUN)
        kill_at(case, folder, *second)
        check_after_kill(case, folder, golden, f"{first}, {second}")
        shutil.rmtree(folder)


@pytest.mark.slow
@named(TABLES)
def test_killed_before_every_statement(
    case: Case, tmp_path: Path, golden: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, left = sqlite3.connect, 0

    def traced(*arguments: Any, **named: Any) -> sqlite3.Connection:
        def count(statement: str) -> None:
            nonlocal left
            left -= not statement.startswith("INSERT INTO t0")  # the stage gets nine of them in a row
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        database: sqlite3.Connection = connect(*arguments, **named)
        database.set_trace_callback(count)
        return database

    def work() -> None:
        monkeypatch.setattr(sqlite3, "connect", traced)
        case.publish(folder)

    folder = tmp_path / "now"
    for turn in itertools.count(1):
        left = turn
        shutil.copytree(golden[0], folder)
        if not killed(work):
            break
        check_after_kill(case, folder, golden, f"statement {turn}")
        shutil.rmtree(folder)
    assert turn > 15


@pytest.mark.slow
@named([*FILES, *TABLES])
def test_killed_in_the_middle_of_a_write(case: Case, tmp_path: Path, golden: Any) -> None:
    """The system ends a process that writes beyond a limit (SIGXFSZ): the stage, the journal or the target is cut."""

    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        case.publish(folder)

    folder, left = tmp_path / "now", set()
    for limit in itertools.count(700, 3000):
        shutil.copytree(golden[0], folder)
        if not killed(work):
            break
        left.update(names(folder))
        check_after_kill(case, folder, golden, f"limit {limit}")
        shutil.rmtree(folder)
    assert limit > 20_000
    assert f".{case.file}.{RUN}.stage" in left or case.make is Csv  # which often waits in a file without a name
    assert f"{case.file}-journal" in left or case.make is not Sqlite  # cut within COMMIT


@named([case for case in (*FILES, *TABLES) if case.write == "append"])
def test_committed_and_told_to_publish_again(case: Case, tmp_path: Path, golden: Any) -> None:
    before, _, new, files = golden
    for _ in range(3):
        case.publish(before)
    assert (case.content(before), names(before)) == (new, files)


# --- an append is told from another ----------------------------------------------------------------------------------


@named([case for case in FILES if case.write == "append"])
def test_rows_behind_ours_do_not_hide_them(case: Case, tmp_path: Path) -> None:
    case.publish(tmp_path, OLD)
    case.publish(tmp_path, OLD, OLD_RUN)  # an equal run is another run
    with (tmp_path / case.file).open("ab") as file:
        file.write(b"4,by hand,\r\n")
    content = case.content(tmp_path)
    note = tmp_path / f".{case.file}.appended"
    noted = json.loads(note.read_bytes())
    case.publish(tmp_path, OLD, OLD_RUN)
    assert case.content(tmp_path) == content
    note.write_text(json.dumps({**noted, "other config": {"run": RUN, "start": 0, "end": 1, "blake2b": "00"}}))
    case.publish(tmp_path, OLD, OLD_RUN)
    assert case.content(tmp_path) == content
    case.publish(tmp_path, OLD, RUN)
    assert len(case.content(tmp_path)) > len(content)
    assert json.loads(note.read_bytes()).keys() == {"demo", "other config"}


@named([case for case in FILES if case.write == "append"])
@pytest.mark.parametrize("what", ["gone", "emptied", "changed"])
def test_rows_that_are_not_there_are_appended(case: Case, tmp_path: Path, what: str) -> None:
    case.publish(tmp_path, OLD)
    path, content = tmp_path / case.file, case.content(tmp_path)
    if what == "gone":
        path.unlink()
    else:
        path.write_bytes(b"" if what == "emptied" else content.replace(b"old 1", b"OLD 1"))
    case.publish(tmp_path, OLD)
    again = case.content(tmp_path)
    assert again.endswith(content.splitlines(keepends=True)[-1])
    assert (again == content) == (what != "changed")


@named([case for case in FILES if case.write == "append"])
@pytest.mark.parametrize(
    "text", ["", "{", "[]", "\udcff", '{"demo": 3}', '{"demo": {"run": "r0"}}', f'{{"demo": {{"run": "{RUN}"}}}}']
)
def test_a_note_that_says_nothing(case: Case, tmp_path: Path, text: str) -> None:
    (tmp_path / f".{case.file}.appended").write_bytes(text.encode("utf-8", "surrogateescape"))
    case.publish(tmp_path, OLD)
    content = case.content(tmp_path)
    case.publish(tmp_path, OLD)
    assert case.content(tmp_path) == content


# --- a disk without room ---------------------------------------------------------------------------------------------


@contextmanager
def mounted(folder: Path, *arguments: str) -> Iterator[Path]:
    """Something mounted at `folder`, or the test is skipped."""
    done = subprocess.run(["mount", *arguments, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def try_to_publish(case: Case, folder: Path, golden: Any) -> str:
    """Where it failed: nowhere, staging, commit. The target is old or new, and nothing is left but it."""
    _, old, new, files = golden
    store, where = case.store(folder), "staging"
    try:
        for start in range(0, len(NEW), 10):
            store.store_items(NEW[start : start + 10])
        where = "commit"
        store.commit(None)
        where = "nowhere"
    except StorageError as error:
        assert case.file in str(error)
        assert any(word in str(error) for word in ("make room", "ulimit", "system's log")), str(error)
        store.abort(str(error))
    assert case.content(folder) == (new if where == "nowhere" else old)
    assert set(names(folder)) <= {*files, "filler"}
    return where


@named([*FILES, *TABLES])
def test_a_full_disk(case: Case, tmp_path: Path, golden: Any) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    found = set()
    with mounted(disk, "-t", "tmpfs", "-o", "size=400k", "tmpfs"):
        for free in range(0, 409_600, 8192):
            for file in golden[0].iterdir():
                shutil.copy(file, disk)
            with (disk / "filler").open("wb") as filler:
                filler.write(b"x" * (os.statvfs(disk).f_bavail * 4096 - free if free < 300_000 else 0))
            found.add(try_to_publish(case, disk, golden))
            (disk / "filler").unlink()  # room again
            check_after_kill(case, disk, golden, f"{free} bytes free")
            for file in disk.iterdir():
                file.unlink()
    assert {"nowhere", "commit"} <= found
    assert "staging" in found or case.make is not JsonLines  # the others begin to write at commit, so short as this is


@named([*FILES, *TABLES])
def test_a_limit_on_the_size_of_files(case: Case, tmp_path: Path, golden: Any) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    found = []
    for limit in (100, 4096, 10_000, 20_000, 200_000):
        folder = tmp_path / str(limit)
        shutil.copytree(golden[0], folder)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            found.append(try_to_publish(case, folder, golden))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert found[-1] == "nowhere"
    assert "nowhere" not in found[:3]


# --- the order that a power loss asks for ----------------------------------------------------------------------------


@named(FILES)
def test_durable_before_visible_before_done(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        fsync(descriptor)
        done.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().relative_to(tmp_path)}")

    def renamed(source: Path, target: Path) -> None:
        replace(source, target)
        done.append(f"rename {source.name} {target.name}")

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    case.publish(tmp_path / "a" / "b", OLD)
    file, stage = case.file, f".{case.file}.{RUN}"
    note = [f"sync a/b/{stage}-2.stage", f"rename {stage}-2.stage .{file}.appended", "sync a/b"]
    assert done == [
        "sync .",  # the new folders
        "sync a",
        *(note if case.write == "append" else []),
        f"sync a/b/{stage}.stage",
        f"rename {stage}.stage {file}",
        "sync a/b",
    ]


# --- links, mounts, permissions --------------------------------------------------------------------------------------


@named([*FILES, *TABLES])
def test_a_link_stays_and_the_file_it_leads_to_is_written(case: Case, tmp_path: Path, golden: Any) -> None:
    before, _, new, files = golden
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / case.file
    link.symlink_to(Path("..") / "before" / case.file)
    store = case.store(tmp_path / "links")
    store.store_items(NEW)
    assert names(tmp_path / "links") == [case.file]
    store.commit(None)
    assert link.is_symlink()
    assert names(tmp_path / "links") == [case.file]
    assert (case.content(before), names(before)) == (new, files)


@named([*FILES, *TABLES])
def test_a_link_to_no_file_yet(case: Case, tmp_path: Path) -> None:
    (tmp_path / case.file).symlink_to(tmp_path / "new" / "folder" / case.file)
    case.publish(tmp_path, OLD)
    assert (tmp_path / case.file).is_symlink()
    assert case.content(tmp_path) == case.content(tmp_path / "new" / "folder")


@named([*FILES, *TABLES])
def test_a_link_to_another_file_system(case: Case, tmp_path: Path, golden: Any) -> None:
    disk, links = tmp_path / "disk", tmp_path / "links"
    disk.mkdir()
    links.mkdir()
    (links / case.file).symlink_to(disk / case.file)
    with mounted(disk, "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
        for file in golden[0].iterdir():
            shutil.copy(file, disk)
        case.publish(links)
        assert (case.content(disk), names(disk)) == (golden[2], golden[3])
    assert names(links) == [case.file]


@named(FILES)
def test_a_file_that_is_mounted_itself(case: Case, tmp_path: Path, golden: Any) -> None:
    before, old, _, files = golden
    (tmp_path / "source").write_bytes(old)
    with mounted(before / case.file, "--bind", str(tmp_path / "source")):
        store = case.store(before)
        store.store_items(NEW)
        with pytest.raises(StorageError, match="mount its folder instead"):
            store.commit(None)
        store.abort("")
        assert (case.content(before), names(before)) == (old, files)


@named([*FILES, *TABLES])
def test_permissions_of_the_target_stay_and_its_stage_has_no_others(case: Case, tmp_path: Path, golden: Any) -> None:
    before = golden[0]
    (before / case.file).chmod(0o640)
    if os.geteuid() == 0:
        os.chown(before / case.file, 12345, 12346)
    old = (before / case.file).stat()
    store = case.store(before)
    store.store_items(NEW)
    for stage in before.glob(".*.stage"):
        assert stage.stat().st_mode & 0o777 & ~0o640 == 0
    store.commit(None)
    now = (before / case.file).stat()
    assert (now.st_mode, now.st_uid, now.st_gid) == (old.st_mode, old.st_uid, old.st_gid)


@named([*FILES, *TABLES])
def test_a_new_file_has_the_permissions_that_others_get(case: Case, tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        case.publish(tmp_path, OLD)
    finally:
        os.umask(umask)
    assert (tmp_path / case.file).stat().st_mode & 0o777 == 0o640


@named([*FILES, *TABLES])
def test_a_link_that_leads_to_itself(case: Case, tmp_path: Path) -> None:
    (tmp_path / case.file).symlink_to(case.file)
    with pytest.raises(ValueError, match="leads back to itself"):
        case.store(tmp_path)


# --- again and again -------------------------------------------------------------------------------------------------


@named([*FILES, *TABLES])
def test_one_store_for_several_publishes(case: Case, tmp_path: Path, golden: Any) -> None:
    _, _, new, files = golden
    folder = shutil.copytree(golden[0], tmp_path / "now")
    store = case.store(folder)
    store.store_items([*OLD, Item("film", other=1, k=1)] if case.write == "replace" else OLD)
    store.abort("a check failed")
    assert names(folder) == [file for file in files if file in names(folder)]
    store.abort("again")
    for _ in range(2):  # the second one has the same run, so `append` adds nothing
        store.store_items(NEW)
        store.commit(None)
        assert (case.content(folder), names(folder)) == (new, files)
        store.commit(None)
        assert (case.content(folder), names(folder)) == (new, files)
    store.abort("")
    assert (case.content(folder), names(folder)) == (new, files)


@named(FILES)
def test_two_ways_to_one_file(case: Case, tmp_path: Path) -> None:
    """Nobody should; but then each stage is whole, and the last one wins or comes behind."""
    case.publish(tmp_path, [], OLD_RUN)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / case.file).symlink_to(tmp_path / case.file)
    stores = [case.store(tmp_path), case.store(tmp_path / "links", "20240501T100000Z-abc124")]
    for store, items in zip(stores, (OLD, NEW), strict=True):
        store.store_items(items)
    for store in stores:
        store.commit(None)
    content = case.content(tmp_path)
    assert content.count(b"new") == len(NEW)
    assert content.count(b"old") == (len(OLD) if case.make is Csv and case.write == "append" else 0)
